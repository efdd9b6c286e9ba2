# Everything a contributor runs. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

export CARGO_TARGET_DIR ?= $(HOME)/.cache/liftgate/target
VENV := $(HOME)/.cache/liftgate/venv
ARGS ?=
# Figures below are printed by every step, so that a slow one shows.
STEP = @printf '\n== %s\n' "$(1)"; start=$$(date +%s); { $(2); } && printf '== %s: %s s\n' "$(1)" "$$(( $$(date +%s) - start ))"

.PHONY: help
help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: demo
demo: toolchain ## Build the release binary and run the whole loop: make demo ARGS='--fresh --exit'
	cargo build --release --locked -p liftgate
	"$(CARGO_TARGET_DIR)/release/liftgate" demo $(ARGS)

.PHONY: test
test: toolchain test-deps ## Install what the tests need, then run lints and all tests
	$(call STEP,format,cargo fmt --all --check)
	$(call STEP,lints,cargo clippy --workspace --all-targets --locked -- -D warnings)
	$(call STEP,build,cargo build --workspace --all-targets --locked)
	$(call STEP,tests,if cargo nextest --version >/dev/null 2>&1; then cargo nextest run --workspace --locked --no-fail-fast; else cargo test --workspace --locked --lib --bins --tests --examples --no-fail-fast; fi)
	$(call STEP,documentation examples,cargo test --workspace --locked --doc)

.PHONY: test-deps
test-deps: ## Install the tests' own needs: PostgreSQL, Node, and Python and npm packages, each pinned
	$(call STEP,test dependencies,deploy/test-deps.sh "$(VENV)")

.PHONY: toolchain
toolchain:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust with rustup (the version is in rust-toolchain.toml)"; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing: apt-get install build-essential"; exit 1; }

.PHONY: bench
bench: toolchain ## Print evaluation ns a flag, ingest events/s, readout on 1 M events, tick of 100 rollouts
	cargo bench --locked -p liftgate-evaluator -p liftgate-stats -p liftgate-ingest -p liftgate-store -p liftgate --benches

BENCH_VENV := $(HOME)/.cache/liftgate/bench-venv

.PHONY: bench-events
bench-events: toolchain ## Ingest, readouts and bytes an event at scale, beside ClickHouse, DuckDB and DataFusion: ARGS='--units 100000'
	cargo build --release --locked -p liftgate
	[ -x "$(BENCH_VENV)/bin/python" ] || python3 -m venv "$(BENCH_VENV)"
	"$(BENCH_VENV)/bin/pip" install --quiet --disable-pip-version-check -r bench/events/requirements.txt
	"$(BENCH_VENV)/bin/pip" install --quiet --disable-pip-version-check --no-deps chdb-core==26.9.0
	events=$$(cargo bench --locked -p liftgate --bench events --no-run 2>&1 | sed -n 's/.*(\(.*events-[0-9a-f]*\))$$/\1/p' | tail -1); \
	"$(BENCH_VENV)/bin/python" bench/events/compare.py --liftgate "$(CARGO_TARGET_DIR)/release/liftgate" --events "$$events" $(ARGS)

NOTEBOOKS_VENV := $(HOME)/.cache/liftgate/notebooks-venv

.PHONY: bench-stats
bench-stats: toolchain ## The statistics beside gbstats in the same run: microseconds a comparison, and the ratio
	cargo build --release --locked -p liftgate-stats --example speed
	[ -x "$(NOTEBOOKS_VENV)/bin/python" ] || deploy/test-deps.sh "$(VENV)"
	"$(NOTEBOOKS_VENV)/bin/python" bench/stats/compare.py --speed "$(CARGO_TARGET_DIR)/release/examples/speed"

.PHONY: bench-peers
bench-peers: toolchain ## One evaluation beside the engines of Eppo, GrowthBook, Unleash, flagd and JSONLogic in the same run: ns, and the ratio
	cd bench && cargo run --release --locked -p liftgate-bench-peers

.PHONY: bench-http
bench-http: toolchain ## Requests a second of the server beside a bare handler of the same bytes, with wrk: and p50, p99, the ratio: EDGE=path/to/unleash-edge
	@command -v wrk >/dev/null || { echo "wrk is missing: apt-get install wrk"; exit 1; }
	cargo build --release --locked -p liftgate
	cd bench && cargo build --release --locked -p liftgate-bench-bare
	python3 bench/http/compare.py --liftgate "$(CARGO_TARGET_DIR)/release/liftgate" --bare "$(CARGO_TARGET_DIR)/release/bare" --edge "$(EDGE)"

FUZZ_SECONDS ?= 300

.PHONY: fuzz
fuzz: toolchain ## Coverage-guided fuzzing of the log reader and the payload parsers, FUZZ_SECONDS each (300)
	@cargo fuzz --version >/dev/null 2>&1 || { echo "cargo-fuzz is missing: cargo install cargo-fuzz --locked"; exit 1; }
	@rustc +nightly --version >/dev/null 2>&1 || { echo "the fuzzer needs a nightly compiler: rustup toolchain install nightly"; exit 1; }
	for target in native segment log; do (cd ingest && cargo +nightly fuzz run --target-dir "$(CARGO_TARGET_DIR)/fuzz" "$$target" -- -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=4096 -print_final_stats=1); done

.PHONY: calibrate
calibrate: toolchain ## Long, seeded simulation of error rates and detection, about 20 minutes on two cores: ARGS='--only detection'
	cargo run --release --locked -p liftgate-stats --example calibrate -- $(ARGS)

.PHONY: fmt
fmt: ## Format everything
	cargo fmt --all

.PHONY: lint
lint: toolchain ## Format check, clippy, licences and bans
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny check bans licenses sources; else echo "cargo-deny is missing, licences are not checked: cargo install cargo-deny --locked"; fi
