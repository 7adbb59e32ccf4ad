#!/usr/bin/env bash
# search-quality.sh: what `make search-quality` runs, with release builds in the folder that it is given. Measures how well
# written questions find their passages in this repository's documentation, and writes docs/search-quality.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly built=$1 page=docs/search-quality.md
readonly questions=bench/src/search_quality/questions.tsv

model=$(scripts/get-embedding-model.sh)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Pages that are figures themselves would change the set with every run.
mkdir "$work/docs"
for file in docs/*.md; do
    [[ $file == "$page" || $file == docs/file-search-figures.md ]] || cp "$file" "$work/docs"
done
# The documentation of everything that is built in, which Cargo.lock pins.
cargo metadata --locked --format-version 1 2>"$work/log" | grep -o '"manifest_path":"[^"]*/registry/[^"]*"' |
    sed 's/.*:"//; s#/Cargo.toml"$##' | sort -u | while read -r package; do
    find "$package" -name '*.md' -print0 | sort -z | xargs -0 -r cat
done >"$work/more.md"

tables=$("$built/loomgate-bench" search-quality --binary "$built/loomgate" --model "$model" --docs "$work/docs" \
    --questions "$questions" --more "$work/more.md" --postgres-bin "$(scripts/ensure-postgres.sh)")
asked=$(grep -cv '^#' "$questions")
pages=$(find "$work/docs" -name '*.md' | wc -l)
words=$(cat "$work"/docs/*.md | wc -w)
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

The rows that name a database are what \`POST /v1/vector_stores/{id}/search\` of a running server answers, with embeddings (\`local:\`) and
without. The server keeps one vector for each chunk, the mean of its windows; the line with the best window says what several would
bring by themselves.

$tables

From some thousand rows on, a scan reads the codes of those rows only whose signs promise something (\`search/src/vector/signs.rs\`); the
last lines are of a text large enough for that: the documentation of the libraries that are built in.

Recall@10: the share of a question's relevant chunks among the first ten. nDCG@10: the same, weighed by place, 1 at best. MRR: one
divided by the place of the first relevant chunk.
MARKDOWN
echo "wrote $page"
