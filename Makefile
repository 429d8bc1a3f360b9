# Everything a person types here. `make demo` and `make test` need nothing but the Rust toolchain, make and apt.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test lint bench torture

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## a simulated school and a real gateway; DEMO_SECS=40 ends by itself
	@scripts/setup build
	@echo "demo: building the gateway and the simulated school (5 to 8 minutes the first time, seconds after that)" >&2
	@cargo build --release --locked -p schoolgate -p schoolgate-hil --bins
	@target/release/schoolgate-hil demo --gateway target/release/schoolgate

test: ## all tests, with counterparts that nobody here wrote
	@scripts/setup test
	@echo "test: building and running all tests (5 to 10 minutes the first time on two cores)" >&2
	@scripts/test

lint: ## form, lints, licences
	@scripts/setup build
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features schoolgate/museum --locked -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then \
	    cargo deny check bans licenses sources; \
	else \
	    echo "lint: cargo-deny is not installed, so licences and bans are not checked" >&2; \
	fi

bench: ## figures, one line each, into target/figures.json; ONLY=pipe runs one area
	@scripts/setup build
	@ONLY="$(ONLY)" cargo bench --locked --bench figures

torture: ## the tests that try the store, in their long form (hours); ONLY=store, ONLY=crash_states … runs a part
	@scripts/setup test
	@ONLY="$(ONLY)" scripts/torture
