# Every target makes .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
SECONDS ?= 3600
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
RUNTIME_STAMP := $(VENV)/runtime-installed
TIMED := began=$$(date +%s)
SAY_SIZE = echo "$(VENV) is $$(du -sm $(VENV) | cut -f1) MB now, after $$(($$(date +%s) - began)) s."

# Every file is checked against a lock; nothing is built but this package, by what lock.txt brought.
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install -q --no-deps

# Each of the environments in docs/guide/cluster.md can be looked at: make gpu PYTORCH_PYTHON=~/.../bin/python
RUNTIME_PYTHON ?= $(BIN)/python
PYTORCH_PYTHON ?= $(BIN)/python
TENSORFLOW_PYTHON ?= $(BIN)/python

.PHONY: help demo demo-first test slow fuzz lint docs models bench gpu quality lock sbom clean

help:
	@echo "make demo    solve a scan with the small runtime; then train in both frameworks, and compare"
	@echo "make demo-first  only the first stage, which needs no framework"
	@echo "make test    the default tests (some 20 minutes on 2 cores)"
	@echo "make slow    the tests that take longer"
	@echo "make fuzz    spoilt files for every reader, for an hour on all cores (SECONDS=600 for less)"
	@echo "make lint    ruff, mypy, the arrows between the parts, and the links of the documentation"
	@echo "make docs    the documentation as a site: open build/site/index.html"
	@echo "make models  train the solver of models/ further, which takes hours and goes on where it was stopped"
	@echo "make bench   measure everything in docs/measurements/performance.md and write it anew"
	@echo "make gpu     look at every path to a GPU, in at most 8 minutes, and print one table"
	@echo "make lock    choose versions for what pyproject.toml asks for, and write their hashes"
	@echo "make sbom    list what is installed, as CycloneDX JSON, in build/sbom.json"
	@echo "make quality train and score the table of docs/measurements/quality.md (a day on 2 cores; resumes)"

# The runtime comes first and alone, since it is small; lock.txt has the same versions and adds to it.
$(RUNTIME_STAMP): pyproject.toml lock-demo.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; say which: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Installing the runtime into $(VENV) (a minute or less) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(TIMED); $(INSTALL) --require-hashes -r lock-demo.txt && \
		$(INSTALL) --no-build-isolation -e . && $(SAY_SIZE)
	@touch $@

$(STAMP): $(RUNTIME_STAMP) lock.txt lock-torch-cpu.txt lock-torch-cuda.txt
	@echo "Installing both frameworks and the tools of development into $(VENV) (some minutes) ..."
	@$(TIMED); $(INSTALL) --require-hashes -r lock-torch-cpu.txt 2> $(VENV)/no-torch-cpu || \
		echo "pip finds no build of torch for CPUs ($(VENV)/no-torch-cpu): taking the index's"; \
	$(INSTALL) --require-hashes -r lock.txt && $(SAY_SIZE)
	@# the index's build for Linux is for CUDA, and needs more
	@if $(BIN)/python -m pip show torch | grep '^Requires:.*nvidia'; then \
		$(INSTALL) --require-hashes -r lock-torch-cuda.txt; fi
	@touch $@

demo-first: $(RUNTIME_STAMP)
	@$(BIN)/python docs/examples/demo_first.py

demo: demo-first
	@$(MAKE) --no-print-directory $(STAMP)
	@$(BIN)/python docs/examples/demo.py

test: $(STAMP)
	$(BIN)/python -m pytest

slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

fuzz: $(STAMP)
	$(BIN)/python tests/fuzz.py --seconds $(SECONDS)

lint: $(STAMP) docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=runtime/ptychodus_plugin $(BIN)/lint-imports

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

models: $(STAMP)
	$(BIN)/python models/make_solver.py

bench: $(STAMP)
	$(BIN)/python tests/benchmarks/performance.py
	$(BIN)/python tests/benchmarks/scaling.py
	$(BIN)/python tests/benchmarks/bounds.py
	$(BIN)/python tests/benchmarks/refusals.py

gpu: $(STAMP)
	$(BIN)/python tests/benchmarks/gpu.py --runtime $(RUNTIME_PYTHON) \
		--pytorch $(PYTORCH_PYTHON) --tensorflow $(TENSORFLOW_PYTHON)

quality: $(STAMP)
	$(BIN)/python tests/benchmarks/quality.py all

lock: $(STAMP)
	$(BIN)/python .ci/locks.py $(UPGRADE)

sbom: $(STAMP)
	mkdir -p build
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --mc-type application \
		--output-reproducible -o build/sbom.json $(BIN)/python

clean:
	rm -rf $(VENV) .venv-ptychodus demo build dist
