#!/usr/bin/env bash
# install.sh: fills node_modules from the lock file, once for each lock file.
# Needs node and npm on PATH (scripts/ensure-node.sh). The native code comes
# ready inside @node-llama-cpp/linux-x64 (25 MB), so no install script is run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

exec ../../scripts/ensure-npm-packages.sh . --omit=optional
