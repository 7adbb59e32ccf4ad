#!/usr/bin/env bash
# The official SDKs against the real loomgate binary ($LOOMGATE_BIN or target/debug/loomgate).
#
#   tests/sdk/run.sh                        all five clients, native and through a relay
#   tests/sdk/run.sh --native               without the relay, which keeps no records
#   LOOMGATE_RECORD=FILE tests/sdk/run.sh   also appends every exchange to FILE, one JSON line each
#
# Installs what it needs into .tools/ and tests/sdk/node/node_modules, when the pins changed.
set -euo pipefail
shopt -s extglob
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
suite=$root/tests/sdk

# On PostgreSQL (LOOMGATE_TEST_DATABASE=postgres) the server of the tests stays for as long as this runs.
if [[ ${LOOMGATE_TEST_DATABASE:-} == postgres && -z ${LOOMGATE_TEST_POSTGRES:-} ]]; then
    exec "$root/scripts/test-postgres.sh" with "$suite/run.sh" "$@"
fi

LOOMGATE_BIN=$(realpath "${LOOMGATE_BIN:-$root/target/debug/loomgate}")
export LOOMGATE_BIN
[[ -x $LOOMGATE_BIN ]] || { echo "no loomgate binary at $LOOMGATE_BIN" >&2; exit 1; }
record=${LOOMGATE_RECORD:+$(realpath "$LOOMGATE_RECORD")}
unset LOOMGATE_RECORD

python=$("$root/scripts/ensure-python.sh" "$suite/python/requirements.txt" "$root/.tools/venv")/python
python_openai1=$("$root/scripts/ensure-python.sh" "$suite/python/requirements-openai1.txt" "$root/.tools/venv-openai1")/python

"$root/scripts/ensure-npm-packages.sh" "$suite/node"

cd "$suite/python"
[[ -z $record ]] || export LOOMGATE_RECORD=$record
echo "-- Python: openai 3.x, portkey-ai"
"$python" -m pytest --clients openai,portkey
echo "-- Python: openai 1.x"
"$python_openai1" -m pytest --clients openai --ignore-glob 'test_gateway*'
if [[ ${1:-} != --native ]]; then
  echo "-- Python: the same through a relay"
  "$python" -m pytest --clients openai,portkey --relayed --ignore-glob 'test_gateway*'
fi

echo "-- Node: openai, portkey-ai"
# Node has no models to validate with at run time: its exchanges are recorded and validated afterwards.
recorded=$(mktemp)
trap 'rm -f "$recorded"' EXIT
(cd "$suite/node" && LOOMGATE_RECORD=$recorded node --test --test-reporter=spec)
if [[ ${1:-} != --native ]]; then
  echo "-- Node: the same through a relay"
  (cd "$suite/node" && LOOMGATE_RELAYED=1 LOOMGATE_RECORD=$recorded node --test --test-reporter=dot !(gateway*).test.mjs)
fi
"$python" validate_recording.py "$recorded"
[[ -z $record ]] || cat "$recorded" >>"$record"
