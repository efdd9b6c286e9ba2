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
	$(call STEP,tests,if cargo nextest --version >/dev/null 2>&1; then cargo nextest run --workspace --locked --no-fail-fast; else cargo test --workspace --locked --lib --bins --tests --no-fail-fast; fi)
	$(call STEP,documentation examples,cargo test --workspace --locked --doc)

.PHONY: test-deps
test-deps: ## Install the tests' own needs: PostgreSQL and Python packages, each pinned
	$(call STEP,test dependencies,deploy/test-deps.sh "$(VENV)")

.PHONY: toolchain
toolchain:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust with rustup (the version is in rust-toolchain.toml)"; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing: apt-get install build-essential"; exit 1; }

.PHONY: bench
bench: toolchain ## Print evaluation ns a flag, ingest events/s, readout on 1 M events, tick of 100 rollouts
	cargo bench --locked -p liftgate-evaluator -p liftgate-stats -p liftgate-ingest -p liftgate-store -p liftgate --benches

.PHONY: calibrate
calibrate: toolchain ## Long, seeded simulation of the error rates (about two minutes)
	cargo run --release --locked -p liftgate-stats --example calibrate

.PHONY: fmt
fmt: ## Format everything
	cargo fmt --all

.PHONY: lint
lint: toolchain ## Format check, clippy, licences and bans
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny check bans licenses sources; else echo "cargo-deny is missing, licences are not checked: cargo install cargo-deny --locked"; fi
