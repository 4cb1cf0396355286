# Every target makes .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.PHONY: help demo test slow lint models bench quality clean

help:
	@echo "make demo    simulate, train in both frameworks, export, verify, reconstruct, compare"
	@echo "make test    the default tests (under 10 minutes on 2 cores)"
	@echo "make slow    the tests that take longer"
	@echo "make lint    ruff, mypy, and the arrows between the parts"
	@echo "make models  train and export the models in models/"
	@echo "make bench   measure everything in docs/performance.md and write it anew"
	@echo "make quality train and score the table of docs/quality.md (a day on 2 cores; resumes)"

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; say which: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade -c constraints.txt pip
	$(BIN)/python -m pip install -q -c constraints.txt torch
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[all]" --group dev
	touch $@

demo: $(STAMP)
	$(BIN)/python docs/examples/demo.py

test: $(STAMP)
	$(BIN)/python -m pytest

slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=runtime/ptychodus_plugin $(BIN)/lint-imports

models: $(STAMP)
	$(BIN)/python models/make_models.py

bench: $(STAMP)
	$(BIN)/python tests/benchmarks/performance.py
	$(BIN)/python tests/benchmarks/scaling.py
	$(BIN)/python tests/benchmarks/bounds.py

quality: $(STAMP)
	$(BIN)/python tests/benchmarks/quality.py all

clean:
	rm -rf $(VENV) .venv-ptychodus demo build dist
