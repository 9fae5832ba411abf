# Everything starts here; each target makes .venv itself.
#
#   make demo     the main job, end to end, on the embedded model (no GPU needed)
#   make test     lint, types, layers and tests: what continuous integration runs
#   make check    lint, types and layers alone
#   make fmt      format the code
#   make bench    the measurements that the README quotes (BENCH=bench/x.py for one of them)
#   make clean    remove .venv, build outputs and caches
#
# PYTHON        which Python makes .venv (3.11 or newer)
# FATHOM_TORCH  what pip is given to install torch, options included
# ARGS          further arguments of `fathom demo`, for example ARGS=--quick
# WORKERS       how many processes run the tests, a file of them at a time (2)

PYTHON ?= python3
FATHOM_TORCH ?= torch==2.13.0
BENCH ?= $(filter-out bench/results.py bench/picture.py bench/terminal.py bench/tiny_gguf.py bench/plain_script.py,$(wildcard bench/*.py))
ARGS ?=
WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INPUTS := pyproject.toml constraints.txt

export PYTHONUNBUFFERED := 1
export GOMP_SPINCOUNT := 20000

.DEFAULT_GOAL := help
.PHONY: help demo test check fmt bench clean

help:
	@sed -n 's/^#   //p' Makefile

demo: $(VENV)/.demo
	@$(BIN)/fathom demo $(ARGS)

test: check
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev
	@for script in $(BENCH); do echo "== $$script"; $(BIN)/python "$$script" || exit; done

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf ./*.egg-info

# Three steps. torch comes first and alone, so that FATHOM_TORCH may name another version or build:
# its line is then taken out of the constraints and what is installed is left as it is.
$(VENV)/.demo: $(INPUTS)
	@command -v "$(PYTHON)" >/dev/null || { \
		echo "error: $(PYTHON) was not found. Install Python 3.11 or newer, or: make PYTHON=/path/to/python3" >&2; exit 4; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: $(PYTHON) is $$("$(PYTHON)" --version 2>&1), Fathom needs 3.11 or newer: make PYTHON=python3.11" >&2; exit 4; }
	@command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || { \
		echo "error: no C++ compiler (c++, g++ or clang++), and llama.cpp is built from source. Install one, for example: apt-get install g++" >&2; exit 4; }
	@"$(PYTHON)" -m venv $(VENV) || { \
		echo "error: $(PYTHON) cannot make a virtual environment. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 4; }
	@echo "Setting up $(VENV) (once). 1/3: $(FATHOM_TORCH)"
	@$(PIP) install --quiet $(FATHOM_TORCH)
	@grep -v '^torch==' constraints.txt > $(VENV)/constraints.txt
	@echo "2/3: llama-cpp-python, built from source: 3-4 minutes on 2 cores; pip keeps the wheel, later set-ups take seconds here"
	@$(PIP) install --quiet --constraint $(VENV)/constraints.txt 'llama-cpp-python[server]'
	@echo "3/3: everything else: 1-2 minutes"
	@$(PIP) install --quiet --constraint $(VENV)/constraints.txt --editable '.[demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/.demo $(INPUTS)
	@echo "Setting up the tools for tests: half a minute"
	@$(PIP) install --quiet --constraint $(VENV)/constraints.txt --editable '.[demo,dev]'
	@touch $@
