#!/usr/bin/env bash
# The contract suite: run.sh [pytest arguments].
# Starts the binary itself (LOOMGATE_BIN, or target/debug/loomgate) on free loopback ports.
# Exchanges are recorded to LOOMGATE_RECORD and checked against the API documents at the end.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD

# On PostgreSQL (LOOMGATE_TEST_DATABASE=postgres) the server of the tests stays for as long as this runs.
if [[ ${LOOMGATE_TEST_DATABASE:-} == postgres && -z ${LOOMGATE_TEST_POSTGRES:-} ]]; then
    exec "$root/scripts/test-postgres.sh" with "$root/tests/contract/run.sh" "$@"
fi
scripts/ensure-python.sh tests/contract/requirements.txt .tools/venv-contract >/dev/null
if [ -z "${LOOMGATE_RECORD:-}" ]; then
    mkdir -p "$root/target/contract"
    export LOOMGATE_RECORD="$root/target/contract/exchanges.jsonl"
    : >"$LOOMGATE_RECORD"
fi
export PYTHONDONTWRITEBYTECODE=1
exec .tools/venv-contract/bin/python -m pytest -p no:cacheprovider -q "$@" tests/contract
