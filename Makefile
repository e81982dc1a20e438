# Every command of the project. They share one build of the dependencies (the dev profile), except `bench`.
SHELL := /bin/bash
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
BIN := $(TARGET)/debug
# `make demo DATA=/some/folder` keeps its data elsewhere.
DATA ?= .data
# `make demo PORTS=auto` takes free ports where the fixed ones are busy.
PORTS ?= fixed

.PHONY: help setup setup-demo build demo down test soak bench screenshots prepare lint

help: ## This list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

setup: ## Install what is missing (says what), a browser and the tests' Python environment with it
	@tools/setup.sh

setup-demo:
	@tools/setup.sh --demo

build: ## Build everything once; demo and test share it
	$(CARGO) build --workspace

demo: setup-demo build ## Start everything, seed 90 days of history, publish it, show last night's report
	@$(BIN)/stack demo --data-dir '$(DATA)' --ports $(PORTS)

down: ## Stop what `make demo` left running; its data stays
	@if [ -x $(BIN)/stack ]; then $(BIN)/stack down --data-dir '$(DATA)'; else echo "nothing was built, so nothing runs"; fi

test: setup build ## Every test, on real PostgreSQL and real processes
	$(CARGO) test --workspace

soak: setup build ## The same fault campaigns at their full counts, and what each of them measured
	TRIBUTARY_SOAK=1 $(CARGO) test --workspace -- --show-output

bench: ## Figures beside their peers, as a table and JSON (release build); TOPICS="a b" runs only those
	@tools/setup.sh --bench
	$(CARGO) build --workspace --release
	$(CARGO) bench --workspace --bench bench -- $(TOPICS)

screenshots: setup build ## The pictures of the README, taken of a demo of their own
	$(CARGO) build --workspace --example screenshots
	@$(BIN)/stack demo --data-dir $(TARGET)/screenshots --ports auto >/dev/null
	@$(BIN)/examples/screenshots $(TARGET)/screenshots docs/screenshots; status=$$?; \
	  $(BIN)/stack down --data-dir $(TARGET)/screenshots; exit $$status

prepare: ## Describe the checked SQL statements anew, by a PostgreSQL of its own; after a change of one, or of a migration
	@CARGO='$(CARGO)' tools/prepare.sh

lint: ## Format and clippy, as CI runs them
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
