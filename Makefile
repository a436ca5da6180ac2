# Everything a fresh machine needs is a `python3` of version 3.11 or newer; `make setup` does the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# What is imported is compiled once and kept: setup compiles nothing.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-faults fuzz lint lock docs bench gpu clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## install mmspec and its tested dependencies into .venv

$(READY): pyproject.toml constraints.txt setup.sh
	PYTHON=$(PYTHON) ./setup.sh $(VENV)
	@touch $@

demo: setup  ## train on pictures and sounds, and write a report page (minutes, no GPU needed)
	PATH=$(abspath $(BIN)):$$PATH recipes/demo/run.sh

# A file's tests go to one process: what they share is prepared once.
test: setup  ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

test-faults: setup  ## break runs in all ways, in one process and in many, and print what survived (minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults.table

fuzz: setup  ## change strangers' files at random for MMSPEC_FUZZ_SECONDS (30 minutes), and see that all are refused or read
	OMP_NUM_THREADS=1 MMSPEC_FUZZ_SECONDS=$${MMSPEC_FUZZ_SECONDS:-1800} $(BIN)/python -m pytest -n 0 tests/hostile/test_fuzz.py

lint: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lock: setup  ## write requirements.lock: the hash of each package that setup installs on this machine
	$(BIN)/python .ci/lock > requirements.lock.new && mv requirements.lock.new requirements.lock

docs: setup  ## build the site into site/, warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo site/index.html

bench: setup  ## measure every figure of speed beside its goal, and write docs/performance.md (20 minutes)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[bench,export]"
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.page

gpu: setup  ## on a machine with a GPU: tests, tables of speed, trainings with their MFU (10 minutes)
	$(BIN)/python -m benchmarks.gpu

clean:  ## remove .venv, caches, the site and runs
	rm -rf $(VENV) exp site .mypy_cache .ruff_cache .pytest_cache
