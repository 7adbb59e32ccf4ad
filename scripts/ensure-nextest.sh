#!/usr/bin/env bash
# ensure-nextest.sh: makes sure that `cargo nextest` can be run (see ensure-cargo-tool.sh).
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/ensure-cargo-tool.sh" cargo-nextest 0.9.143
