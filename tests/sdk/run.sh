#!/usr/bin/env bash
# The official SDKs against the real loomgate binary ($LOOMGATE_BIN or target/debug/loomgate).
#
#   tests/sdk/run.sh                    all five clients
#   LOOMGATE_RECORD=FILE tests/sdk/run.sh   also appends every exchange to FILE, one JSON line each
#
# Installs what it needs into .tools/ and tests/sdk/node/node_modules, when the pins changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

export LOOMGATE_BIN=${LOOMGATE_BIN:-$PWD/target/debug/loomgate}
LOOMGATE_BIN=$(realpath "$LOOMGATE_BIN")
[ -x "$LOOMGATE_BIN" ] || { echo "no loomgate binary at $LOOMGATE_BIN" >&2; exit 1; }
if [ -n "${LOOMGATE_RECORD:-}" ]; then
  LOOMGATE_RECORD=$(realpath "$LOOMGATE_RECORD")
fi
root=$PWD
here=$root/tests/sdk

. "$here/ensure-python.sh" "$here/python/requirements.txt" "$root/.tools/venv"
. "$here/ensure-python.sh" "$here/python/requirements-openai1.txt" "$root/.tools/venv-openai1"

node_stamp=$(sha256sum <"$here/node/package-lock.json")
if [ "$(cat "$here/node/node_modules/.stamp" 2>/dev/null)" != "$node_stamp" ]; then
  (cd "$here/node" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
  echo "$node_stamp" >"$here/node/node_modules/.stamp"
fi

echo "== Python: openai 3.x, portkey-ai"
(cd "$here/python" && "$root/.tools/venv/bin/python" -m pytest --clients openai,portkey)

echo "== Python: openai 1.x"
(cd "$here/python" && "$root/.tools/venv-openai1/bin/python" -m pytest --clients openai)

echo "== Node: openai, portkey-ai"
# Node has no models to validate with at run time: its exchanges are recorded and validated afterwards.
recorded=$(mktemp)
trap 'rm -f "$recorded"' EXIT
(cd "$here/node" && LOOMGATE_RECORD=$recorded node --test --test-reporter=spec)
(cd "$here/python" && "$root/.tools/venv/bin/python" validate_recording.py "$recorded")
if [ -n "${LOOMGATE_RECORD:-}" ]; then
  cat "$recorded" >>"$LOOMGATE_RECORD"
fi
