#!/usr/bin/env bash
# The documentation against the real loomgate binary ($LOOMGATE_BIN or target/debug/loomgate): every curl of
# docs/gateway.md is run, and what comes back is compared with what the page shows.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# On PostgreSQL (LOOMGATE_TEST_DATABASE=postgres) the server of the tests stays for as long as this runs.
if [[ ${LOOMGATE_TEST_DATABASE:-} == postgres && -z ${LOOMGATE_TEST_POSTGRES:-} ]]; then
    exec "$root/scripts/test-postgres.sh" with "$root/tests/docs/run.sh" "$@"
fi
LOOMGATE_BIN=$(realpath "${LOOMGATE_BIN:-$root/target/debug/loomgate}")
export LOOMGATE_BIN
command -v curl >/dev/null || { echo "curl is missing: install it, then try again" >&2; exit 1; }
python=$("$root/scripts/ensure-python.sh" "$root/tests/sdk/python/requirements.txt" "$root/.tools/venv")/python
cd "$root/tests/docs"
exec "$python" -m pytest -q -p no:cacheprovider
