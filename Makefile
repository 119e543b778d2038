# The commands of ciduty. Each does all of its own set-up; `make help` lists them.

MAKEFLAGS += --no-print-directory
PYTHON := .venv/bin/python
# PORT is passed on only when it is given, so that a PORT in .env counts too.
GIVEN_PORT := $(if $(PORT),PORT='$(PORT)')
DEMO ?= 1
FAULTS ?= full
# Only from the command line: some shells export HOST with the machine's name, and nobody means to open that.
GIVEN_HOST := $(if $(filter command line,$(origin HOST)),--host '$(HOST)')

.DEFAULT_GOAL := help
.PHONY: help run test lint bench fault fuzz test-gates lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name says; do printf 'make %-12s %s\n' "$$name" "$$says"; done

run: ## start everything and print the address; PORT=8000, DEMO=0 for an empty start, HOST= to listen beyond this machine
	@bin/environment runtime && exec env $(GIVEN_PORT) CIDUTY_DEMO='$(DEMO)' $(PYTHON) manage.py supervise $(GIVEN_HOST)

test: ## run the whole suite, on DATABASE_URL and REDIS_URL when they are set; ARGS= goes to pytest
	@bin/environment development && exec $(PYTHON) -m pytest $(ARGS)

lint: ## check style and structure
	@bin/environment development && $(PYTHON) -m ruff check . && echo "Nothing to complain about."

bench: ## print the benchmark table; FULL=1 for the long one
	@bin/environment development && exec $(PYTHON) -m bench

fault: ## break deliveries in every way and print what was lost; FAULTS=quick for two minutes, SOAK=1 for ten seeds
	@bin/environment development && exec env -u DATABASE_URL -u REDIS_URL FAULTS='$(FAULTS)' SOAK='$(SOAK)' \
	  $(PYTHON) -m pytest -m fault -q --no-header -p no:cacheprovider $(ARGS)

fuzz: ## 400 rounds of approving, editing and announcing at once, on DATABASE_URL (PostgreSQL); other fuzzing comes later
	@bin/environment development && exec env ROUNDS=400 $(PYTHON) -m pytest -q -s -rs tests/test_downtime_races.py $(ARGS)

test-gates: ## switch each gate of the downtimes off in turn and show that its test turns red
	@bin/environment development && exec $(PYTHON) -m tests.gates

lock: ## write the lock files anew: versions and hashes, no address
	@bin/environment development
	@set -e; for name in requirements-build requirements requirements-dev; do \
	  $(PYTHON) -m uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
	    --python-version 3.11 $$name.in --output-file $$name.lock; done
	@if grep -n '://' requirements*.lock; then echo "A lock names an address." >&2; exit 1; fi
	@echo "The locks are written."

clean: ## remove the environment and the caches; the data in var/ stays
	@rm -rf .venv .pytest_cache .ruff_cache .hypothesis
	@find . -path ./.git -prune -o -name __pycache__ -type d -exec rm -rf {} +
	@echo "Removed .venv and the caches. The data in var/ is untouched."
