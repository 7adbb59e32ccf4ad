#!/usr/bin/env bash
# test-s3.sh COMMAND...
#
# Runs a command beside a server that speaks S3 (moto, on a free loopback port, in memory), with
# `http://HOST:PORT/BUCKET` in LOOMGATE_TEST_S3: tests of files then use a bucket, too. The server goes
# with the command.
#
#   scripts/test-s3.sh cargo nextest run --workspace -E 'package(loomgate-blobs) | test(/^files/)'
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[[ $# -gt 0 ]] || { echo "usage: scripts/test-s3.sh COMMAND..." >&2; exit 1; }
bin=$("$root/scripts/ensure-python.sh" "$root/tests/s3/requirements.txt" "$root/.tools/venv-s3")
exec "$bin/python" "$root/tests/s3/run.py" "$@"
