#!/usr/bin/env bash
# run.sh: what `make demo` runs. Builds Loomgate, gets a small language model,
# serves it on loopback, puts Loomgate in front of it and runs `loomgate demo`; then
# asks about three PDFs with the official Python and Node SDKs.
# Everything it starts is stopped, and its data removed, when it ends; with STAY=1
# it ends with Ctrl-C, so that the calls can be repeated by hand before.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/processes.sh

readonly profile=${PROFILE:-dev}
readonly loomgate=${LOOMGATE_BIN:-$PWD/target/debug/loomgate}
readonly model_name=SmolLM2-135M-Instruct
readonly api_key=lg-demo-key-of-this-machine-only

step() { printf '== %s\n' "$*"; }

if [[ $(uname -sm) != "Linux x86_64" ]]; then
    echo "The model runtime of this demo is for Linux on x86-64. Elsewhere: 'make run', then 'loomgate demo --base-url URL --api-key KEY'" >&2
    exit 1
fi

step "1/4 Building Loomgate ($profile profile): 3 to 6 minutes the first time, seconds later"
cargo build --locked --profile "$profile" --package loomgate-server --bin loomgate

step "2/4 Getting a small language model and what runs it: 93 MB and 25 MB, once"
model=$(scripts/get-demo-model.sh)
PATH=$(scripts/ensure-node.sh):$PATH
demo/model-server/install.sh
python=$(scripts/ensure-python.sh tests/sdk/python/requirements.txt .tools/venv)/python
scripts/ensure-npm-packages.sh tests/sdk/node

step "3/4 Starting the model server and Loomgate on free ports of 127.0.0.1"
start_listening "model server listening on" \
    node demo/model-server/server.mjs --model "$model" --name "$model_name"
cat >"$scratch/demo.toml" <<TOML
[[api_keys]]
name = "demo"
key = "$api_key"
default_virtual_key = "smol"

[virtual_keys.smol]
provider = "openai"
base_url = "$listening_url/v1"
api_key = "none-needed"

[virtual_keys.echo]
provider = "echo"
TOML
start_listening "loomgate listening on" \
    "$loomgate" serve --listen 127.0.0.1:0 --data-dir "$scratch/data" --config "$scratch/demo.toml"

"$loomgate" demo --base-url "$listening_url" --api-key "$api_key" --virtual-key smol --model "$model_name"

step "4/4 Asking about three PDFs with the official SDKs, through file_search"
node demo/documents/write-pdfs.mjs "$scratch/pdfs"
export OPENAI_BASE_URL=$listening_url/v1 OPENAI_API_KEY=$api_key
echo "With Python:"
"$python" demo/documents/ask.py "$scratch/pdfs" "$model_name"
echo "With Node, as a stream:"
node demo/documents/ask.mjs "$scratch/pdfs" "$model_name"

if [[ ${STAY:-0} == 1 ]]; then
    step "Both servers stay up until Ctrl-C"
    trap 'exit 0' INT
    wait "${started[@]}"
else
    step "Both servers are stopped now; 'make demo STAY=1' leaves them up"
fi
