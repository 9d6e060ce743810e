PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The longest tests first, so that both processes have work to the end.
OTHERS := $(filter-out tests/integration tests/helpers tests/__pycache__,$(patsubst %/,%,$(wildcard tests/*/)))

.PHONY: help quickstart test lint clean

help:  ## show this help
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if v in ((3, 11), (3, 12)) else f"error: Python {v[0]}.{v[1]} is not supported; run make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[test]'
	touch $@

quickstart: $(READY)  ## answer the question for a small case, in under ten minutes
	$(BIN)/adatok-bench run experiments/quickstart.yaml

test: $(READY) lint  ## run the test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests/integration $(OTHERS)

lint: $(READY)  ## check style, types and the direction of dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:  ## remove the environment, keep the store
	rm -rf $(VENV)
