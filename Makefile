# `make help` lists what there is. Everything is built in one cache directory outside the checkout.
SHELL := /bin/bash
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/holdfast/target
HOLDFAST := $(CARGO_TARGET_DIR)/debug/holdfast
BENCH_DIR := $(CARGO_TARGET_DIR)/bench

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

.PHONY: setup
setup: ## Install missing system packages (root or sudo)
	@scripts/setup

.PHONY: build
build: setup
	cargo build --locked --workspace --bins

.PHONY: up
up: build ## Build, then start the whole system; Ctrl-C stops it
	@exec $(HOLDFAST) up

.PHONY: demo
demo: ## Buy two tickets over REST from a running `make up`, step by step
	@test -x $(HOLDFAST) || { echo "run 'make up' in another shell first" >&2; exit 1; }
	@$(HOLDFAST) demo

.PHONY: test
test: ## Run every test, starting the servers they need
	@scripts/setup tests
	scripts/with-postgres cargo test --locked --workspace --no-fail-fast
	cargo test --locked --manifest-path bench/Cargo.toml

.PHONY: mix
mix: setup ## Ten minutes of every ending of a purchase while every process is killed, then an audit
	HOLDFAST_MIX_SECONDS=$${HOLDFAST_MIX_SECONDS:-600} cargo test --locked --workspace --test chaos -- --nocapture

.PHONY: verify
verify: ## What CI runs: format, contracts, dependencies, units, lints, docs, all tests, packing; reads only
	@scripts/setup tests
	scripts/step "format" cargo fmt --all --check
	scripts/step "format (bench)" cargo fmt --manifest-path bench/Cargo.toml --check
	scripts/step "contracts" scripts/check-protos
	scripts/step "contracts (REST)" scripts/check-openapi
	scripts/step "dependencies" scripts/check-dependencies
	scripts/step "units" scripts/check-units
	scripts/step "lints" cargo clippy --locked --workspace --all-targets -- -D warnings
	scripts/step "lints (bench)" cargo clippy --locked --manifest-path bench/Cargo.toml --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" scripts/step "docs" cargo doc --locked --workspace --no-deps
	scripts/step "build tests" cargo test --locked --workspace --no-run
	INSTA_UPDATE=no scripts/step "tests" $(MAKE) --no-print-directory test
	scripts/step "packing (unoptimised)" scripts/dist --binary $(HOLDFAST)

.PHONY: fix
fix: ## Format, apply lint suggestions, regenerate bindings, snapshots and generated pages
	cargo fmt --all
	cargo fmt --manifest-path bench/Cargo.toml
	cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	UPDATE_BINDINGS=1 cargo test --workspace --test bindings
	UPDATE_DOCS=1 INSTA_UPDATE=always scripts/with-postgres cargo test --workspace --test rest --lib
	UPDATE_DOCS=1 cargo test --workspace --test contract --test workflow

.PHONY: queries
queries: setup ## Check every SQL query against migrated schemas and write .sqlx
	scripts/with-postgres scripts/queries

.PHONY: bench
bench: setup ## Measure holds and reads per second on this machine (release build)
	cargo build --locked --workspace --bins --release
	cargo build --locked --manifest-path bench/Cargo.toml --release
	mkdir -p $(BENCH_DIR)
	$(CARGO_TARGET_DIR)/release/holdfast-bench --holdfast $(CARGO_TARGET_DIR)/release/holdfast --out $(BENCH_DIR) all

.PHONY: bench-holds
bench-holds: ## Holds per second beside etcd, Redis and PostgreSQL in one run; then a million of them (release build)
	@scripts/setup peers
	cargo build --locked --workspace --bins --release
	cargo build --locked --manifest-path bench/Cargo.toml --release
	mkdir -p $(BENCH_DIR)
	$(CARGO_TARGET_DIR)/release/holdfast-bench --holdfast $(CARGO_TARGET_DIR)/release/holdfast --out $(BENCH_DIR) \
		compare --postgres-bin $$(scripts/postgres-bin)
	$(CARGO_TARGET_DIR)/release/holdfast-bench --holdfast $(CARGO_TARGET_DIR)/release/holdfast --out $(BENCH_DIR) million

.PHONY: bench-purchase
bench-purchase: setup ## Whole purchases per second over REST beside pgbench, and a real sale again (release build)
	cargo build --locked --workspace --bins --release
	cargo build --locked --manifest-path bench/Cargo.toml --release
	mkdir -p $(BENCH_DIR)
	$(CARGO_TARGET_DIR)/release/holdfast-bench --holdfast $(CARGO_TARGET_DIR)/release/holdfast --out $(BENCH_DIR) \
		purchase --postgres-bin $$(scripts/postgres-bin)

.PHONY: bench-read
bench-read: ## Pages and availability beside nginx, one search, 10,000 open seat maps (release build)
	@scripts/setup web-peers
	cargo build --locked --workspace --bins --release
	cargo build --locked --manifest-path bench/Cargo.toml --release
	mkdir -p $(BENCH_DIR)
	$(CARGO_TARGET_DIR)/release/holdfast-bench --holdfast $(CARGO_TARGET_DIR)/release/holdfast --out $(BENCH_DIR) views

.PHONY: bench-search
bench-search: setup ## Search among a million shows: building, latencies, freshness; then sign-ins beside holds (release build; SHOWS=, LENGTH=)
	cargo build --locked --workspace --bins --release
	cargo build --locked --manifest-path bench/Cargo.toml --release
	mkdir -p $(BENCH_DIR)
	$(CARGO_TARGET_DIR)/release/holdfast-bench --holdfast $(CARGO_TARGET_DIR)/release/holdfast --out $(BENCH_DIR) \
		search --shows $(or $(SHOWS),1000000) --seconds $(or $(LENGTH),60)
	$(CARGO_TARGET_DIR)/release/holdfast-bench --holdfast $(CARGO_TARGET_DIR)/release/holdfast --out $(BENCH_DIR) logins

.PHONY: dist
dist: setup ## One tarball for this machine's kind: release binary, units, completions, licences
	scripts/dist
