# Sourced: `. ensure-python.sh REQUIREMENTS_FILE VENV_DIR` makes or updates the venv so that it holds
# exactly the pinned requirements. Does nothing when the stamp of an earlier run matches.

ensure_python() {
  local requirements=$1 venv=$2 stamp
  stamp=$({ python3 --version; cat "$requirements"; } | sha256sum | cut -d' ' -f1)
  if [ "$(cat "$venv/.stamp" 2>/dev/null)" != "$stamp" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$requirements"
    echo "$stamp" >"$venv/.stamp"
  fi
}
ensure_python "$1" "$2"
