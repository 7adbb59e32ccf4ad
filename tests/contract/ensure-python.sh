#!/usr/bin/env bash
# ensure-python.sh REQUIREMENTS VENV_DIR
# Makes VENV_DIR hold exactly the packages pinned in REQUIREMENTS. Does nothing when it already does.
set -euo pipefail
requirements=$1
venv=$2
stamp="$venv/.requirements.sha256"
wanted=$(sha256sum <"$requirements")
if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null || true)" = "$wanted" ]; then
    exit 0
fi
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$requirements"
printf '%s\n' "$wanted" >"$stamp"
