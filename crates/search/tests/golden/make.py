"""Makes minilm.json: what all-MiniLM-L6-v2 makes of some sentences, computed apart from the crate.

Tokens are those of Hugging Face's `tokenizers`; the encoder is written down here once more, in 64 bits.
Two of the numbers are checked against the similarities that the model's own page shows.

    pip install numpy==2.4.6 tokenizers==0.23.3 safetensors==0.8.0
    python make.py "$(scripts/get-embedding-model.sh)" > minilm.json
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

SENTENCES = [
    "That is a happy person",
    "That is a happy dog",
    "That is a very happy person",
    "Today is a sunny day",
    "How do I get my money back?",
    "Refunds are paid within 14 days of the return.",
    "fn main() { println!(\"{}\", x_1 + 0x2F); } // naïve café, ÜBERGRÖSSE",
    "東京都は日本の首都である。Mixed 漢字 and kana かな、한국어 텍스트.",
    "emoji 👩‍👩‍👧 🇩🇪, zero\u200bwidth, tab\tand\r\nlines, \u00a0 spaces — “quotes” … ½ ² €100",
    "Pneumonoultramicroscopicsilicovolcanoconiosis " + "x" * 120 + " हिन्दी नमस्ते Ελληνικά русский язык",
    "",
    "token " * 252,
]

erf = np.vectorize(math.erf)


def norm(states, weights, name):
    mean = states.mean(-1, keepdims=True)
    variance = ((states - mean) ** 2).mean(-1, keepdims=True)
    return (states - mean) / np.sqrt(variance + 1e-12) * weights[name + ".weight"] + weights[name + ".bias"]


def dense(states, weights, name):
    return states @ weights[name + ".weight"].T + weights[name + ".bias"]


def encode(ids, weights, config):
    heads = config["num_attention_heads"]
    width = config["hidden_size"] // heads
    states = weights["embeddings.word_embeddings.weight"][ids]
    states = states + weights["embeddings.position_embeddings.weight"][: len(ids)]
    states = states + weights["embeddings.token_type_embeddings.weight"][0]
    states = norm(states, weights, "embeddings.LayerNorm")
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}."
        query, key, value = (
            dense(states, weights, f"{layer}attention.self.{part}").reshape(len(ids), heads, width).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(width)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        context = (scores @ value).transpose(1, 0, 2).reshape(len(ids), -1)
        output = dense(context, weights, layer + "attention.output.dense")
        states = norm(states + output, weights, layer + "attention.output.LayerNorm")
        wide = dense(states, weights, layer + "intermediate.dense")
        wide = wide / 2 * (1 + erf(wide / math.sqrt(2)))
        states = norm(states + dense(wide, weights, layer + "output.dense"), weights, layer + "output.LayerNorm")
    mean = states.mean(0)
    return mean / np.linalg.norm(mean)


def main():
    folder = Path(sys.argv[1])
    config = json.loads((folder / "config.json").read_text())
    weights = {name: tensor.astype(np.float64) for name, tensor in load_file(folder / "model.safetensors").items()}
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    cases = []
    for sentence in SENTENCES:
        ids = tokenizer.encode(sentence).ids
        embedding = encode(np.array(ids), weights, config)
        cases.append({"text": sentence, "tokens": ids, "embedding": embedding})
    similarity = [float(cases[0]["embedding"] @ case["embedding"]) for case in cases[1:4]]
    # https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2 shows 0.695, 0.943, 0.257.
    assert np.allclose(similarity, [0.695, 0.943, 0.257], atol=1e-3), similarity
    for case in cases:
        case["embedding"] = [round(float(number), 6) for number in case["embedding"]]
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    print(f"[\n{lines}\n]")


main()
