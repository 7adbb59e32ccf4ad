#!/usr/bin/env bash
# start.sh: the Portkey gateway on a free port of 127.0.0.1, until it is ended.
# Installs it from the lock file first, once for each lock file; no package's install script is run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

bin=$(../../../scripts/ensure-node.sh)
PATH=$bin:$PATH
stamp=$(sha256sum package-lock.json | cut -d' ' -f1)
if [[ ! -r node_modules/.stamp || $(<node_modules/.stamp) != "$stamp" ]]; then
    echo "bench: installing the Portkey gateway (once)" >&2
    npm ci --ignore-scripts --loglevel=error >&2 ||
        { echo "bench: npm ci failed: see above; check the network, then try again" >&2; exit 1; }
    printf '%s\n' "$stamp" >node_modules/.stamp
fi
exec node start.mjs
