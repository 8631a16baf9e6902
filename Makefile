# What a contributor does every day. `make` alone lists it.
#
# Everything goes into .venv and .demo in this folder. No root, no Docker, no cluster is needed: Python 3.11 or
# newer and make are. Packages come from wherever this machine's pip and uv are set to look.

VENV := .venv
BIN := $(VENV)/bin

# make demo PYTHON=/path/to/python3.12 chooses another one.
PYTHON ?= $(shell for candidate in python3.11 python3; do \
	"$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$candidate" && break; done)

# Bytecode is compiled once here, not by every process of Airflow at its first start.
INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode

.DEFAULT_GOAL := help
.PHONY: help demo ui test lint format docs links benchmark build clean

help:  ## list what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.installed  ## run an example DAG in a real Airflow, show what came of it, stop everything
	@$(BIN)/python -m tests.live.demo demo

ui: $(VENV)/.installed  ## run Airflow with the examples until Ctrl-C (PORT=8080)
	@$(BIN)/python -m tests.live.demo ui $(if $(PORT),--port $(PORT))

test: lint docs  ## check, build the documentation, then run all tests (ARGS="-k name" is handed to pytest)
	@$(BIN)/python -m tests.everything $(ARGS)

lint: $(VENV)/.installed-for-tests  ## ruff, mypy and the rules about imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-for-tests  ## let ruff mend what it can
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

docs: $(VENV)/.installed-for-docs  ## build the documentation into docs/_build/html; a warning is an error
	@home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && export AIRFLOW_HOME="$$home/airflow" && \
	$(BIN)/sphinx-build -q -E -W --keep-going -n -b html docs docs/_build/html >"$$home/output" 2>&1 || \
	{ cat "$$home/output" >&2; exit 1; }
	@echo "The documentation: docs/_build/html/index.html"

links: $(VENV)/.installed-for-docs  ## ask for every external link of the documentation; needs the internet
	@home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && export AIRFLOW_HOME="$$home/airflow" && \
	$(BIN)/sphinx-build -q -b linkcheck docs docs/_build/links

benchmark: $(VENV)/.installed-for-tests  ## measure the budgets of the design, side by side
	@home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && AIRFLOW_HOME="$$home/airflow" $(BIN)/python -m benchmarks

build: | $(BIN)/uv  ## make the sdist and the wheel in dist
	@rm -rf dist
	$(BIN)/uv build

clean:  ## remove everything that make made
	rm -rf $(VENV) .demo build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache htmlcov
	rm -f .coverage .coverage.* coverage.xml
	find airflow_provider_tasks dags_examples tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp for each set of packages: installed once, and again when pyproject.toml changes.

$(BIN)/uv:
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python 3.11 or newer found (tried python3.11 and python3). Name one: make PYTHON=/path/to/python" >&2; exit 1; fi
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is not Python 3.11 or newer. Name another one: make PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) can't make a virtual environment: its venv module is missing (Debian: apt install python3-venv)." >&2; exit 1; }
	@echo "Making $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/.installed: pyproject.toml | $(BIN)/uv
	@echo "Installing Airflow and this provider into $(VENV)"
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-for-tests: pyproject.toml | $(VENV)/.installed
	@echo "Installing what the tests need into $(VENV)"
	@$(INSTALL) --editable . --group test --group lint
	@touch $@

$(VENV)/.installed-for-docs: pyproject.toml | $(VENV)/.installed
	@echo "Installing what the documentation needs into $(VENV)"
	@$(INSTALL) --editable . --group docs
	@touch $@
