#!/usr/bin/env bash
# print-openapi.sh LOOMGATE
#
# Starts LOOMGATE on a free port with an empty data folder, prints the document
# that GET /openapi.json answers, and stops the server.
set -euo pipefail
# shellcheck source=scripts/processes.sh
source "$(dirname "${BASH_SOURCE[0]}")/processes.sh"

start_listening "loomgate listening on" "$1" serve --listen 127.0.0.1:0 --data-dir "$scratch/data"
curl --silent --show-error --fail "$listening_url/openapi.json"
