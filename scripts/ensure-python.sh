#!/usr/bin/env bash
# ensure-python.sh REQUIREMENTS VENV_DIR
#
# Makes VENV_DIR a virtual environment that holds what the pinned REQUIREMENTS
# file lists, and prints its bin directory on stdout. Does nothing when the file
# and the interpreter below it are those of the last time. Installs python3-venv with
# apt-get when it is missing and this is root on Debian.
set -euo pipefail

say() { printf 'ensure-python: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

[[ $# -eq 2 ]] || fail "usage: scripts/ensure-python.sh REQUIREMENTS VENV_DIR"
requirements=$1
venv=$2
[[ -r $requirements ]] || fail "cannot read $requirements"

# ensurepip is what Debian leaves out of python3 and puts into python3-venv.
has_python() { python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))' >/dev/null 2>&1; }

if ! has_python; then
    if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
        fail "Python 3.9 or newer with venv is missing: install it (Debian: apt-get install python3-venv) and try again"
    fi
    say "installing python3-venv with apt-get"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv; } >&2 ||
        fail "apt-get could not install python3-venv: install it by hand and try again"
    has_python || fail "python3 on PATH is older than 3.9 or has no venv: put a newer one first on PATH"
fi

# Two suites may want the same one at the same time.
mkdir -p "$(dirname "$venv")"
exec 9>"$venv.lock"
flock 9

# Of the interpreter that it stands on, which may be another one than is first on PATH now: what somebody uses at this
# moment is not made anew for that.
stamp() { { "$venv/bin/python" -c 'import sys; print(sys.version, sys.base_prefix)'; cat "$requirements"; } | sha256sum | cut -d' ' -f1; }
if [[ ! -x $venv/bin/python || ! -r $venv/.stamp || $(<"$venv/.stamp") != "$(stamp)" ]]; then
    say "filling $venv from $requirements (up to a minute)"
    python3 -m venv --clear "$venv" || fail "python3 -m venv $venv failed: see above"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --requirement "$requirements" >&2 ||
        fail "pip could not install $requirements: check the network, then try again"
    stamp >"$venv/.stamp"
fi

(cd "$venv/bin" && pwd)
