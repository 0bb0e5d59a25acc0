# make demo and make test do their own set-up and are safe to repeat.
PYTHON ?= python3
VENV ?= .venv
PIP := $(VENV)/bin/python -m pip
PYTEST_ARGS ?=
# One more than there are cores: many tests wait for something else than a core.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(4, (os.cpu_count() or 1) + 1))')
TORCH := $(shell sed -n 's/^torch==//p' constraints.txt)

.DEFAULT_GOAL := help
.PHONY: help install demo test bench chaos lint format lock clean

help: ## Show this help
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## Set up the virtual environment with local evals

demo: $(VENV)/.installed ## Three pushes of a tiny real model: held, promoted, held (ARGS=--keep leaves it running)
	@$(VENV)/bin/proctor demo $(ARGS)

test: $(VENV)/.developing ## Run every test (real Redis, PostgreSQL, models; no server to install)
	@$(VENV)/bin/python -m pytest -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS)

chaos: $(VENV)/.developing ## Kill, freeze and cut Proctor at random, then ask the oracle (STORMS=4 SEED=1 SECONDS=30 PACE=0.25)
	@CHAOS_STORMS=$(or $(STORMS),4) CHAOS_SEED=$(or $(SEED),1) CHAOS_SECONDS=$(or $(SECONDS),30) \
	  CHAOS_PACE=$(or $(PACE),0.25) CHAOS_EXAMPLES=200 $(VENV)/bin/python -m pytest tests/chaos -s $(PYTEST_ARGS)

bench: $(VENV)/.benching ## How fast deliveries are taken, next to named ceilings; what the walk costs (ARGS=--quick, --long)
	@$(VENV)/bin/python -m tests.bench.run $(ARGS)

lint: $(VENV)/.developing ## Style, types and import rules
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/.developing ## Format the code
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

lock: $(VENV)/.developing ## Write constraints.txt anew from this environment (after an upgrade)
	@{ sed -n '/^#/p' constraints.txt; \
	   $(PIP) freeze --all --exclude-editable | grep -v '^proctor' | sed 's/+cpu//'; } > constraints.new
	@mv constraints.new constraints.txt

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Proctor needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "python -m venv failed; on Debian: apt-get install python3-venv"; exit 1; }

# Torch comes first: on Linux without a GPU the CPU build where an index has it, else the default.
$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV) (a few minutes the first time) ..."
	@$(PIP) install -qq --disable-pip-version-check -c constraints.txt pip setuptools
	@if [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null 2>&1; then \
	   $(PIP) install -qq --disable-pip-version-check -c constraints.txt "torch==$(TORCH)+cpu" 2>/dev/null || \
	   echo "No CPU build of torch in your package indexes: taking the default one (several GB)."; fi
	@$(PIP) install -qq --disable-pip-version-check -c constraints.txt -e '.[eval]'
	@touch $@

$(VENV)/.developing: $(VENV)/.installed
	@$(PIP) install -qq --disable-pip-version-check -c constraints.txt --group dev
	@touch $@

$(VENV)/.benching: $(VENV)/.developing
	@$(PIP) install -qq --disable-pip-version-check -c constraints.txt --group bench
	@touch $@
