#!/usr/bin/env bash
# start.sh UPSTREAM: the LiteLLM proxy on a free port of 127.0.0.1, before a provider at HOST:PORT, until it is ended.
# Installs it from the pinned list first, once for each list.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

bin=$(../../../scripts/ensure-python.sh requirements.txt ../../../.tools/litellm)
exec "$bin/python" start.py "$1"
