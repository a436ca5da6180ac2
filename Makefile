# Everything a fresh machine needs is a `python3` of version 3.11 or newer; `make setup` does the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup demo test test-faults lint docs bench clean

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

test-faults: setup  ## break a run at each of its file operations, and print what survived (minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults.kill_points

lint: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: setup  ## build the site into site/, warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo site/index.html

bench: setup  ## print every figure of the README's speed table
	$(BIN)/python -m benchmarks

clean:  ## remove .venv, caches, the site and runs
	rm -rf $(VENV) exp site .mypy_cache .ruff_cache .pytest_cache
