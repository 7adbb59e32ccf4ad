#!/usr/bin/env bash
# ensure-cargo-tool.sh NAME VERSION
#
# Makes sure that `NAME` (a cargo subcommand such as cargo-nextest) can be run:
# the one on PATH, otherwise NAME at VERSION, built once into .tools/bin.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { printf 'ensure-cargo-tool: %s\n' "$*" >&2; exit 1; }

[[ $# -eq 2 ]] || fail "usage: scripts/ensure-cargo-tool.sh NAME VERSION"
name=$1
version=$2

PATH=$PWD/.tools/bin:$PATH
command -v "$name" >/dev/null && exit 0

printf 'ensure-cargo-tool: building %s %s into .tools/bin (once, a few minutes)\n' "$name" "$version" >&2
# A target directory of its own: the tool's build must not evict the project's.
CARGO_TARGET_DIR=$PWD/.tools/target cargo install --quiet --locked --root .tools "$name" --version "$version" ||
    fail "cargo install $name failed: see above; or install $name by hand and try again"
rm -rf .tools/target
