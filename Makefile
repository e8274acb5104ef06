# Purser: one verb, one target. `make` alone lists them.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
ARGS   ?=
PACKAGES := $(wildcard purser events tasks schedules odoo_client store config workers gateway console devtools bench)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo drill test test-odoo odoo lint up bench docs docs-site coverage lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv and install the locked requirements

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "setup: '$(PYTHON)' is missing or older than Python 3.11. Name a newer one: make PYTHON=python3.12 $(or $(MAKECMDGOALS),setup)" >&2; exit 1; }
	@test -x $(BIN)/python && $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "setup: making $(VENV) with $$($(PYTHON) --version)"; $(PYTHON) -m venv --clear $(VENV); }
	@echo "setup: installing the locked requirements (once, about half a minute)"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@
	@echo "setup: ready"

demo: setup ## see the whole fleet at work on this machine: no Docker, no Odoo
	@$(BIN)/purser demo $(ARGS)

drill: setup ## break a fleet of its own in every way it is to stand, and count (ARGS=--short is quick)
	@$(BIN)/purser drill $(ARGS)

test: setup ## run the tests (ARGS="-k name" picks some)
	@$(BIN)/python -m pytest $(ARGS)

odoo: ## start a disposable Odoo 19 with a PostgreSQL of its own (ARGS=down stops it, ARGS=help lists more)
	@devtools/odoo_testbed/odoo-testbed $(or $(ARGS),up)

ODOO_TESTS := tests/contract/odoo tests/contract/fake_odoo tests/odoo tests/integration tests/e2e/test_round.py tests/e2e/test_watching.py
test-odoo: setup ## run the tests that need a real Odoo, on a disposable one (ARGS=tests/odoo picks some)
	@devtools/odoo_testbed/with-odoo $(BIN)/python -m pytest $(or $(ARGS),$(ODOO_TESTS))

lint: setup ## formatter, linter, types and layers, changing nothing
	@echo "lint: ruff check";  $(BIN)/ruff check --quiet .
	@echo "lint: ruff format"; $(BIN)/ruff format --quiet --check . || { \
		echo "lint: these files want '$(BIN)/ruff format .':" >&2; $(BIN)/ruff format --check . >&2; exit 1; }
	@echo "lint: mypy";        $(BIN)/mypy --no-error-summary $(PACKAGES) tests
	@echo "lint: layers";      $(BIN)/lint-imports --no-cache >$(VENV)/layers.log 2>&1 || { cat $(VENV)/layers.log >&2; exit 1; }
	@echo "lint: clean"

up: setup ## run the fleet on this machine against the Odoo named in .env
	@$(BIN)/purser up $(ARGS)

bench: setup ## measure the budgets of the design
	@test -d bench || { echo "bench: there is no bench/ here yet, so nothing to measure" >&2; exit 1; }
	@$(BIN)/python -m bench $(ARGS)

docs: setup ## write docs/reference from the declarations
	@$(BIN)/python docs/generate.py

docs-site: setup ## build the documentation as a site in build/site; a broken link or a page left out fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "docs-site: build/site/index.html"

coverage: setup ## run the unit tests and say which lines of the product they reach
	@$(BIN)/python -m pytest -q tests/unit --cov --cov-report=term:skip-covered --cov-report=html:build/coverage $(ARGS)

lock: ## pin the requirements anew from pyproject.toml (needs `uv`; ARGS=--upgrade moves versions)
	@command -v uv >/dev/null || { echo "lock: 'uv' is not on the PATH. Install it apart from this project, for instance with pipx, then repeat" >&2; exit 1; }
	@for lock in "dev --group dev" "runtime -c requirements/dev.txt"; do \
		set -- $$lock; name=$$1; shift; echo "lock: requirements/$$name.txt"; \
		uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
			--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
			--extra embedded $$@ $(ARGS) pyproject.toml --output-file requirements/$$name.txt >/dev/null; done

clean: ## remove what can be made again, .venv included
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
