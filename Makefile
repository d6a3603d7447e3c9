# `make demo` and `make test` need Python 3.11, 3.12 or 3.13 and nothing else. Variables:
#   PYTHON=/path/to/python3.12   the interpreter that makes .venv (default: the first that fits; 3.11 is tried first)
#   VENV=.venv-3.12              another environment next to .venv, for another PYTHON (default: .venv)
#   PIP_ARGS="..."               passed to every pip install, e.g. an --index-url of your own mirror; uv is not used then
#   TORCH=cpu|cuda|auto          which build of torch (auto: cuda only if an NVIDIA driver is found)
#   TESTS_AT_ONCE=N              number of processes for `make check` (default: 2) and `make test` (default: 3)
#   TEST_ARGS="..."              passed to pytest, e.g. TEST_ARGS="-k ledger"
#   DEMO_ARGS="..."              passed to the demo, e.g. DEMO_ARGS="--set output.format=png"
#   BENCH_ARGS="..."             passed to the benchmark, e.g. BENCH_ARGS=--quick; see its --help
SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
DEMO_OUTPUT := demo-output
# More than the two cores that the tests are made for: many of them wait for a process to start or to end.
TESTS_AT_ONCE := 3
CHECKED := not ray and not s3 and not server and not job and not slow
# Each file runs in one process, the longest files first (tests/conftest.py sorts them).
PYTEST = $(PY) -m pytest -n $(TESTS_AT_ONCE) --dist loadfile --no-loadscope-reorder $(TEST_ARGS)
export PYTHON VENV PIP_ARGS TORCH
# If this were set, each process of pytest would compile all tests and all of pipeline/.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup tools demo bench lint check test lock sbom audit clean

help:  ## this list
	@awk -F ':.*##  *' '/^[a-z]+:.*##/ {printf "make %-6s  %s\n", $$1, $$2}' Makefile

setup:  ## make .venv with the packages of the program (at once if it is up to date)
	@bash infra/setup_env.sh

tools:  ## the same, with the tools for tests and linters
	@bash infra/setup_env.sh dev

demo: setup  ## colour the twenty photographs in tests/photos; results go to demo-output/
	@$(PY) jobs/colorize_bucket.py --input tests/photos --output $(DEMO_OUTPUT) \
		--config configs/colorize/demo.yaml $(DEMO_ARGS)

bench: tools  ## compare the job with plain loops and Ray's own script; writes docs/performance.md, takes hours
	@$(PY) jobs/benchmark.py --stages --train --page docs/performance.md $(BENCH_ARGS)

lint: tools  ## ruff, mypy and the import contracts
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -c "from importlinter.cli import lint_imports_command; lint_imports_command()"

check: TESTS_AT_ONCE := 2  # and the linters beside them
check: tools  ## the linters and the fast tests, those that need no Ray, server or browser: 90 seconds
	@$(MAKE) --no-print-directory lint & linters=$$!; \
	$(PYTEST) -m "$(CHECKED)"; status=$$?; \
	wait $$linters && exit $$status

test: lint  ## the linters, then every test
	$(PYTEST)

lock:  ## write both lock files again from pyproject.toml (needs uv)
	@bash infra/lock.sh

sbom: setup  ## dist/sbom.json: the packages of a release (CycloneDX)
	@bash infra/sbom.sh

audit: setup  ## known vulnerabilities of the packages of a release, from PyPI
	@bash infra/sbom.sh audit

clean:  ## remove .venv, .venv-*, caches and demo-output/
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis $(DEMO_OUTPUT)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
