# Everything a fresh machine needs is a `python3` of version 3.11 or newer; `make setup` does the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup demo test test-faults lint bench clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## install mmspec and its tested dependencies into .venv

$(READY): pyproject.toml constraints.txt setup.sh
	PYTHON=$(PYTHON) ./setup.sh $(VENV)
	@touch $@

demo: setup  ## train on pictures and speech, and write a report page (minutes, no GPU needed)
	PATH=$(abspath $(BIN)):$$PATH recipes/demo/run.sh

test: setup  ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

test-faults: setup  ## break runs in all ways, in one process and in many, and print what survived (minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults.table

lint: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup  ## print every figure of the README's speed table
	$(BIN)/python -m benchmarks

clean:  ## remove .venv, caches and runs
	rm -rf $(VENV) exp .mypy_cache .ruff_cache .pytest_cache
