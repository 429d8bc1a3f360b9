# Everything a person types here. `make demo` needs the Rust toolchain, make and apt, and Node.js for the console's pages;
# `make test` needs all of them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo pages test lint bench torture fuzz install

# What `make install` puts where. With another PREFIX, `[profiles] dir` in the configuration must name its profiles.
DESTDIR ?=
PREFIX ?= /usr
UNITDIR ?= /lib/systemd/system
BINARY ?= target/release/schoolgate
DOC = $(DESTDIR)$(PREFIX)/share/doc/schoolgate

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## a simulated school and a real gateway; DEMO_SECS=40 ends by itself
	@scripts/setup build
	@echo "demo: building the gateway and the simulated school (5 to 8 minutes the first time, seconds after that)" >&2
	@cargo build --release --locked -p schoolgate -p schoolgate-hil --bins
	@target/release/schoolgate-hil demo --gateway target/release/schoolgate

pages: ## the pages of the console into web/dist, for the next build of the program
	@scripts/pages

test: ## all tests, with counterparts that nobody here wrote
	@scripts/setup test
	@echo "test: building and running all tests (5 to 10 minutes the first time on two cores)" >&2
	@scripts/test

lint: ## form, lints, licences
	@scripts/setup build
	@if [ -d web/node_modules ]; then npm --prefix web run --silent check; fi
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features schoolgate/museum --locked -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then \
	    cargo deny check bans licenses sources; \
	else \
	    echo "lint: cargo-deny is not installed, so licences and bans are not checked" >&2; \
	fi

bench: ## figures, one line each, into target/figures.json; ONLY=pipe runs one area
	@case "$(ONLY)" in '' | console*) scripts/setup test ;; *) scripts/setup build ;; esac
	@ONLY="$(ONLY)" cargo bench --locked --bench figures

torture: ## the tests that try the store, in their long form (an hour or two); ONLY=store, ONLY=crash_states … runs a part
	@scripts/setup test
	@ONLY="$(ONLY)" scripts/torture

fuzz: ## every decoder against hostile bytes for FUZZ_SECS (600) each, two at a time; ONLY=modbus_rtu runs one
	@scripts/setup build
	@ONLY="$(ONLY)" FUZZ_SECS="$(or $(FUZZ_SECS),600)" scripts/fuzz

install: ## program, device profiles, unit, example, docs; DESTDIR= PREFIX=/usr
	@test -x "$(BINARY)" || { echo "install: first run: make pages, then cargo build --release --locked -p schoolgate" >&2; exit 1; }
	@umask 022; \
	install -D -m 755 "$(BINARY)" "$(DESTDIR)$(PREFIX)/bin/schoolgate"; \
	find device-profiles -type f -print0 | \
	    xargs -0 -I{} install -D -m 644 {} "$(DESTDIR)$(PREFIX)/share/schoolgate/{}"; \
	find docs README.md README.zh-CN.md CHANGELOG.md LICENSE -type f -print0 | \
	    xargs -0 -I{} install -D -m 644 {} "$(DOC)/{}"; \
	cd deploy; find example rules -type f -print0 | xargs -0 -I{} install -D -m 644 {} "$(DOC)/{}"; cd ..; \
	install -d "$(DESTDIR)$(UNITDIR)"; \
	sed 's|/usr/bin/|$(PREFIX)/bin/|; s|/usr/share/|$(PREFIX)/share/|g' systemd/schoolgate.service \
	    >"$(DESTDIR)$(UNITDIR)/schoolgate.service"; \
	install -d -m 755 "$(DESTDIR)/etc/schoolgate"; \
	install -d -m 700 "$(DESTDIR)/etc/schoolgate/secrets"
	@echo "install: done; the next steps are in $(DOC)/docs/install.md"
