#!/usr/bin/env bash
# ensure-npm-packages.sh DIR [NPM_CI_OPTION...]
#
# Makes DIR/node_modules hold what DIR/package-lock.json lists. Does nothing when
# the file is that of the last time; runs no package's install script. Needs npm
# on PATH (scripts/ensure-node.sh).
set -euo pipefail

say() { printf 'ensure-npm-packages: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

[[ $# -ge 1 ]] || fail "usage: scripts/ensure-npm-packages.sh DIR [NPM_CI_OPTION...]"
cd "$1" && shift || fail "no such directory"

# Two suites may want the same packages at the same time. The lock stands beside
# node_modules, for `npm ci` begins by removing that.
exec 9>.node_modules.lock
flock 9

stamp=$(sha256sum package-lock.json | cut -d' ' -f1)
if [[ ! -r node_modules/.stamp || $(<node_modules/.stamp) != "$stamp" ]]; then
    say "filling $PWD/node_modules (up to a minute)"
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error "$@" >&2 9>&- ||
        fail "npm ci failed: see above; check the network, then try again"
    printf '%s\n' "$stamp" >node_modules/.stamp
fi
