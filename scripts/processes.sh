# shellcheck shell=bash
# processes.sh: sourced by scripts that start servers.
#
# Gives a folder `$scratch` that is removed, and `start_listening`, whose
# processes are stopped by their ids, on every way out of the script.

scratch=$(mktemp -d)
started=()

stop_started() {
    local pid
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$scratch"
}
trap stop_started EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# start_listening PREFIX COMMAND...: starts COMMAND and sets `listening_url` from its first
# line on stdout, `PREFIX http://127.0.0.1:PORT`. The rest of its output goes to
# `$scratch/NAME.log`, which is shown when the line does not come within a minute.
start_listening() {
    local prefix=$1 name line output
    shift
    name=$(basename "$1")-${#started[@]}
    mkfifo "$scratch/$name.out"
    "$@" >"$scratch/$name.out" 2>"$scratch/$name.log" &
    started+=("$!")
    exec {output}<"$scratch/$name.out"
    if ! read -r -t 60 line <&"$output" || [[ $line != "$prefix http://"* ]]; then
        printf '%s did not start: %s\n' "$1" "${line-}" >&2
        tail -n 30 "$scratch/$name.log" >&2
        return 1
    fi
    cat <&"$output" >>"$scratch/$name.log" &
    started+=("$!")
    # shellcheck disable=SC2034 # read by the script that sources this file
    listening_url=${line#"$prefix "}
}
