# What a person or a CI does with this repository. `make` alone lists it.
# PROFILE=release builds for speed instead of for a short build.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

export PATH := $(CURDIR)/.tools/bin:$(PATH)

PROFILE ?= dev
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
LOOMGATE := $(TARGET_DIR)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))/loomgate
# What the SDKs and the contract suite said to the server, to be held against both API documents.
EXCHANGES := $(abspath $(TARGET_DIR))/contract/exchanges.jsonl
EXCHANGES_POSTGRES := $(EXCHANGES:.jsonl=-postgres.jsonl)
EXCHANGES_AT_RANDOM := $(EXCHANGES:.jsonl=-at-random.jsonl)
# The binary that is tested from outside, and what tells a test to keep its records in PostgreSQL.
TESTED := LOOMGATE_BIN=$(abspath $(TARGET_DIR)/debug/loomgate)
TESTED_CHAOS := $(TARGET_DIR)/debug/loomgate-chaos --binary $(TARGET_DIR)/debug/loomgate
ON_POSTGRES := LOOMGATE_TEST_DATABASE=postgres
CHAOS := $(dir $(LOOMGATE))loomgate-chaos --binary $(LOOMGATE)
BUILD := cargo build --locked --profile $(PROFILE) --package loomgate-server --bin loomgate

.PHONY: help
help: ## list these targets
	@echo 'Loomgate: an OpenAI Assistants API v2 server of your own. Targets:'
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: run
run: cargo ## build and start a server on 127.0.0.1:8787 (ARGS='...' are passed on)
	@echo '== Building Loomgate ($(PROFILE) profile): 3 to 6 minutes the first time, seconds later.'
	@$(BUILD)
	@echo '== Starting `loomgate serve`: Ctrl-C stops it, the data stays in ./loomgate-data.'
	@exec $(LOOMGATE) serve $(ARGS)

.PHONY: demo
demo: cargo ## a guided tour with a real small language model, and questions about three PDFs (STAY=1: servers stay up)
	@PROFILE=$(PROFILE) LOOMGATE_BIN=$(abspath $(LOOMGATE)) demo/run.sh

.PHONY: test
test: cargo ## every test: Rust, the official SDKs, the contract, the documentation, on both databases, and some chaos (what CI runs)
	@echo '== Every test, in four parts: 35 to 40 minutes from nothing, 15 to 20 once built.'
	@echo '== 1/4 Rust tests, those of the store on SQLite and PostgreSQL'
	@scripts/ensure-nextest.sh
	@scripts/ensure-postgres.sh >/dev/null
	@scripts/ensure-pgvector.sh >/dev/null
	cargo nextest run --locked --workspace
	@echo '== 2/4 Servers and engines once more, on PostgreSQL'
	$(ON_POSTGRES) cargo nextest run --locked --workspace -E '(package(loomgate-server) | package(loomgate-engine)) & kind(test) - binary(simulation)'
	@echo '== 2/4 Files once more, in a bucket'
	scripts/test-s3.sh cargo nextest run --locked --workspace -E 'package(loomgate-blobs) | (package(loomgate-server) & test(/^files/))'
	@echo '== 3/4 The binaries that the next part uses: the ones that those tests ran'
	@$(abspath $(TARGET_DIR)/debug/loomgate) --version
	@echo '== 4/4 Three at a time, each told when it has ended: SDKs, contract and documentation; the same on PostgreSQL; random requests; chaos'
	@scripts/ensure-node.sh >/dev/null
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=target suites suites-on-postgres suites-of-chaos suites-at-random
	@echo '== Every measurement, for a moment: whether it works, and every answer is right'
	@$(MAKE) bench-smoke

# The lanes of part 4 of `make test`. They mostly wait, so that two cores are enough for three at a time.
.PHONY: suites suites-on-postgres suites-at-random suites-of-chaos
suites:
	@mkdir -p $(dir $(EXCHANGES)) && : > $(EXCHANGES)
	@echo '== The official SDKs against the binary'
	@bin=$$(scripts/ensure-node.sh) && PATH="$$bin:$$PATH" LOOMGATE_RECORD=$(EXCHANGES) $(TESTED) tests/sdk/run.sh
	@echo '== The contract, over plain HTTP'
	@LOOMGATE_RECORD=$(EXCHANGES) $(TESTED) tests/contract/run.sh --ignore-glob '*test_schemathesis.py'
	@echo '== The calls that the documentation shows'
	@$(TESTED) tests/docs/run.sh

suites-on-postgres:
	@mkdir -p $(dir $(EXCHANGES)) && : > $(EXCHANGES_POSTGRES)
	@echo '== SDKs, contract and documentation once more, on PostgreSQL; the first two with a bucket'
	@bin=$$(scripts/ensure-node.sh) && PATH="$$bin:$$PATH" $(ON_POSTGRES) $(TESTED) scripts/test-s3.sh tests/sdk/run.sh --native
	@LOOMGATE_RECORD=$(EXCHANGES_POSTGRES) $(ON_POSTGRES) $(TESTED) scripts/test-s3.sh tests/contract/run.sh --ignore-glob '*test_schemathesis.py'
	@$(ON_POSTGRES) $(TESTED) tests/docs/run.sh

suites-at-random:
	@mkdir -p $(dir $(EXCHANGES)) && : > $(EXCHANGES_AT_RANDOM)
	@echo '== Requests at random, against the API document; the same on PostgreSQL with a bucket'
	@LOOMGATE_RECORD=$(EXCHANGES_AT_RANDOM) $(TESTED) tests/contract/run.sh -k test_schemathesis
	@LOOMGATE_RECORD=$(EXCHANGES_AT_RANDOM) $(ON_POSTGRES) $(TESTED) scripts/test-s3.sh tests/contract/run.sh -k test_schemathesis
	@echo '== The contract of files and vector stores, on SQLite with a bucket and on PostgreSQL with a folder'
	@LOOMGATE_RECORD=$(EXCHANGES_AT_RANDOM) $(TESTED) scripts/test-s3.sh tests/contract/run.sh -k 'files or vector'
	@LOOMGATE_RECORD=$(EXCHANGES_AT_RANDOM) $(ON_POSTGRES) $(TESTED) tests/contract/run.sh -k 'files or vector'

suites-of-chaos:
	@echo '== Chaos, and aborts at commits (docs/reliability.md)'
	@$(TESTED_CHAOS) --seconds 30
	@$(TESTED_CHAOS) failpoints --one-in 2
	@$(TESTED_CHAOS) documents --seconds 15
	@$(TESTED_CHAOS) --postgres-bin "$$(scripts/ensure-postgres.sh)" --database postgres --replicas 2 --seconds 25
	@$(TESTED_CHAOS) --postgres-bin "$$(scripts/ensure-postgres.sh)" --database postgres failpoints --one-in 4
	@scripts/test-s3.sh $(TESTED_CHAOS) --postgres-bin "$$(scripts/ensure-postgres.sh)" --database postgres --replicas 2 documents --seconds 15

.PHONY: check
check: cargo ## formatting, lints, dependency rules, unused dependencies
	@echo '== Formatting, lints, dependency rules: about 3 minutes; the first time two tools are built (10 minutes).'
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	@scripts/ensure-cargo-tool.sh cargo-deny 0.20.2
	cargo deny --locked check bans licenses sources
	@scripts/ensure-cargo-tool.sh cargo-machete 0.9.2
	cargo machete crates bench chaos

# What is measured is what is published: the `dist` profile. By its letter in docs/performance.md: W=S, W=W1, .. W=W10; also W=pgvector (docs/file-search.md).
W ?= S W1 W2 W3 W4 W5 W6 W7 W9 W10
BENCH := $(TARGET_DIR)/dist/loomgate-bench
MEASURED := --binary $(TARGET_DIR)/dist/loomgate
TABLES := --document docs/performance.md --json $(TARGET_DIR)/bench.json
PEERS := --portkey bench/peers/portkey/start.sh --litellm bench/peers/litellm/start.sh
BENCH_CHAOS = $(TARGET_DIR)/dist/loomgate-chaos $(MEASURED) --postgres-bin "$$(scripts/ensure-postgres.sh)" --document docs/reliability.md
BENCH_S = $(BENCH) start $(MEASURED) $(TABLES)
BENCH_W1 = $(BENCH) modify-run --blocks 30 --block-ms 150 $(MEASURED) $(TABLES)
BENCH_W2 = $(BENCH) relay --blocks 15 --block-ms 160 $(MEASURED) $(TABLES) $(PEERS)
BENCH_W3 = $(BENCH) runs --blocks 25 --block-ms 100 $(MEASURED) $(TABLES)
BENCH_W4 = $(BENCH) streams --blocks 15 --block-ms 2000 $(MEASURED) $(TABLES)
BENCH_W5 = $(BENCH) open-streams --blocks 1 $(MEASURED) $(TABLES)
BENCH_W6 = $(BENCH) paging --block-ms 100 $(MEASURED) $(TABLES)
BENCH_W7 = $(BENCH) file-search $(MEASURED) --document docs/file-search-figures.md
BENCH_pgvector = $(BENCH) pgvector $(MEASURED) --postgres-bin "$$(scripts/ensure-pgvector.sh)" --document docs/file-search.md
BENCH_W9 = $(BENCH_CHAOS) resume
BENCH_W10 = $(BENCH) replicas --blocks 10 --block-ms 600 --postgres-bin "$$(scripts/ensure-postgres.sh)" $(MEASURED) $(TABLES) && \
	$(BENCH_CHAOS) transactions

.PHONY: bench
bench: bench-build ## measure everything, or W=W1, and write docs/performance.md (about 30 minutes once built)
	@for workload in $(W); do echo "== $$workload"; $(MAKE) "bench-$$workload" || void="$${void:-} $$workload"; done; \
	[[ -z $${void:-} ]] || { echo "== void, or failed:$$void" >&2; exit 1; }

bench-%:
	$(or $(BENCH_$*),$(error there is no workload $*)) $(ARGS)

# In no lane beside others: it wants a core for the server and one for the load.
.PHONY: bench-smoke
bench-smoke: ## see whether every measurement works and every answer is right, on debug builds; judges no time
	@for workload in 'start --idle-s 0' modify-run 'relay --only=flat' 'runs --only=1\ client' streams \
		'open-streams --streams 200 --tokens 1000 --pause-ms 20' 'paging --messages 5000' \
		"replicas --postgres-bin $$(scripts/ensure-postgres.sh)"; do \
		eval "$(TARGET_DIR)/debug/loomgate-bench $$workload --binary $(TARGET_DIR)/debug/loomgate --blocks 1 --block-ms 50 --unjudged"; done
	@$(TARGET_DIR)/debug/loomgate-bench file-search --binary $(TARGET_DIR)/debug/loomgate \
		--chunks 500 --searches 5 --starts 1 --quiet-s 0

.PHONY: bench-build
bench-build: cargo
	@echo '== Building as for a release: about 7 minutes the first time.'
	cargo build --locked --profile dist --package loomgate-server --package loomgate-bench --package loomgate-chaos --bins
	@! grep -qaE 'LOOMGATE_FAILPOINT|failpoint::Written' $(TARGET_DIR)/dist/loomgate || { echo 'a release build has failpoints' >&2; exit 1; }

.PHONY: search-quality
search-quality: bench-build ## measure how well questions find their passages (5 minutes once built), into docs/search-quality.md
	scripts/search-quality.sh $(TARGET_DIR)/dist

.PHONY: chaos
chaos: cargo ## kill servers under load, and check that nothing was lost (about 5 minutes once built)
	@echo '== Building Loomgate and what breaks it ($(PROFILE) profile).'
	@cargo build --locked --profile $(PROFILE) --workspace --bin loomgate --bin loomgate-chaos
	$(CHAOS) --postgres-bin "$$(scripts/ensure-postgres.sh)" $(ARGS)

.PHONY: try-nginx
try-nginx: cargo ## try the nginx configuration of docs/operations.md (needs nginx)
	@cargo build --locked --workspace --bin loomgate --quiet
	@python=$$(scripts/ensure-python.sh tests/sdk/python/requirements.txt .tools/venv)/python; \
	scripts/test-postgres.sh with bash -c 'LOOMGATE_DATABASE=$$(scripts/test-postgres.sh database) \
		LOOMGATE_BIN=$(abspath $(TARGET_DIR))/debug/loomgate exec "$$0" scripts/try_nginx.py' "$$python"

SEEDS ?= 100000
FROM ?= 0
.PHONY: simulate
simulate: cargo ## run the engine in SEEDS simulated worlds, from seed FROM on (about 1000 a minute; 20 times that with PROFILE=release)
	@echo '== Simulating $(SEEDS) seeds from $(FROM) on ($(PROFILE) profile).'
	LOOMGATE_SIM_FROM=$(FROM) LOOMGATE_SIM_SEEDS=$(SEEDS) \
		cargo test --locked --profile $(PROFILE) --workspace --test simulation seeds

.PHONY: openapi
openapi: cargo ## print the OpenAPI document that the server serves
	@$(BUILD) --quiet
	@scripts/print-openapi.sh $(LOOMGATE)

.PHONY: clean-tools
clean-tools: ## remove what the scripts fetched (.tools, node_modules), not the build
	rm -rf .tools demo/model-server/node_modules

.PHONY: cargo
cargo:
	@command -v cargo >/dev/null || { echo 'cargo is missing: install Rust 1.95 or newer, then try again.' >&2; exit 1; }
