#!/usr/bin/env bash
# install.sh: fills node_modules from the lock file, once for each lock file.
# Needs node and npm on PATH (scripts/ensure-node.sh). No package's install
# script is run; the native code comes ready inside @node-llama-cpp/linux-x64.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

stamp=$(sha256sum package-lock.json | cut -d' ' -f1)
if [[ ! -r node_modules/.stamp || $(<node_modules/.stamp) != "$stamp" ]]; then
    echo "model-server: installing node-llama-cpp (25 MB)" >&2
    npm ci --ignore-scripts --omit=optional --loglevel=error >&2 ||
        { echo "model-server: npm ci failed: see above; check the network, then try again" >&2; exit 1; }
    printf '%s\n' "$stamp" >node_modules/.stamp
fi
