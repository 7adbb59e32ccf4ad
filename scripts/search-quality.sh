#!/usr/bin/env bash
# search-quality.sh: what `make search-quality` runs. Measures how well written questions find their passages in this
# repository's documentation, and writes docs/search-quality.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly page=docs/search-quality.md
readonly questions=crates/search/tests/quality/questions.tsv

model=$(scripts/get-embedding-model.sh)
cargo build --locked --release --quiet --package loomgate-search --example search_quality

# Pages that are figures themselves would change the set with every run.
corpus=$(mktemp -d)
trap 'rm -rf "$corpus"' EXIT
for file in docs/*.md; do
    [[ $file == "$page" || $file == docs/file-search-figures.md ]] || cp "$file" "$corpus"
done

tables=$("${CARGO_TARGET_DIR:-target}/release/examples/search_quality" "$model" "$corpus" "$questions")
asked=$(grep -cv '^#' "$questions")
pages=$(find "$corpus" -name '*.md' | wc -l)
words=$(cat "$corpus"/*.md | wc -w)
processor=$(awk -F ': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)

cat >"$page" <<MARKDOWN
# How well searches find

Written by \`make search-quality\`, on $(date -u +%F): $(nproc) cores of ${processor:-an unknown processor}; $(uname -sr);
$(rustc --version); commit $(git rev-parse --short HEAD). The model is all-MiniLM-L6-v2, run by Loomgate itself (\`scripts/get-embedding-model.sh\`).

The set is this project's own, and small: $asked questions, written by hand as a user would ask them, about the $pages pages of \`docs/\`
($words words; those with figures are left out). A chunk is relevant when it holds the passage that answers the question
(\`$questions\`). Who wrote the pages wrote the questions, so
the figures compare rankings on one set; they do not say how other documents fare. No package with a public retrieval set (BEIR, MS MARCO, ..)
was found in the registries that this project builds from: \`beir\` and \`ir-datasets\` on PyPI are programs that fetch them from elsewhere.

\`lexical\` is BM25 over the index text of \`crates/search\`; the databases' own ranking of the same text differs in detail. The server keeps
one vector for each chunk, the mean of its windows; the lines with the best window say what several would bring.

$tables

From some thousand rows on, a scan reads the codes of those rows only whose signs promise something (\`crates/search/src/vector/signs.rs\`). These sets are too small for that: over 5,700 chunks of other
documentation recall@10 was 0.991 with the codes alone and 1.000 with twice as many, rescored (\`crates/search/examples/search_bench.rs\`, \`embed\`).

Recall@10: the share of a question's relevant chunks among the first ten. nDCG@10: the same, weighed by place, 1 at best. MRR: one
divided by the place of the first relevant chunk.
MARKDOWN
echo "wrote $page"
