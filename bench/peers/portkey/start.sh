#!/usr/bin/env bash
# start.sh: the Portkey gateway on a free port of 127.0.0.1, until it is ended.
# Installs it from the lock file first, once for each lock file.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

bin=$(../../../scripts/ensure-node.sh)
PATH=$bin:$PATH
../../../scripts/ensure-npm-packages.sh .
exec node start.mjs
