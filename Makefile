# Every target makes .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
SECONDS ?= 3600
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
SMALL := .venv-demo
SMALL_STAMP := $(SMALL)/installed
TIMED := began=$$(date +%s)
say_size = echo "$(1) has $$(du -sm $(1) | cut -f1) MB, after $$(($$(date +%s) - began)) s."

# Every file is checked against a lock; nothing is built but this package, by what lock.txt brought.
INSTALL := -m pip --disable-pip-version-check install -q --no-deps

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

PYTHON_FOUND = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "Python 3.11 or newer is needed; say which: make PYTHON=/path/to/python3.11"; exit 1; }

$(STAMP): pyproject.toml lock.txt lock-torch-cpu.txt lock-torch-cuda.txt
	@$(PYTHON_FOUND)
	@echo "Installing both frameworks and the tools of development into $(VENV) (some minutes) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(TIMED); $(BIN)/python $(INSTALL) --require-hashes -r lock-torch-cpu.txt 2> $(VENV)/no-torch-cpu || \
		echo "pip finds no build of torch for CPUs ($(VENV)/no-torch-cpu): taking the index's"; \
	$(BIN)/python $(INSTALL) --require-hashes -r lock.txt && $(call say_size,$(VENV))
	@# the index's build for Linux is for CUDA, and needs more
	@if $(BIN)/python -m pip show torch | grep '^Requires:.*nvidia'; then \
		$(BIN)/python $(INSTALL) --require-hashes -r lock-torch-cuda.txt; fi
	@$(BIN)/python $(INSTALL) --no-build-isolation -e .
	@touch $@

# An environment of its own: the other has onnxruntime-gpu, which must not be beside onnxruntime.
$(SMALL_STAMP): pyproject.toml lock-demo.txt
	@$(PYTHON_FOUND)
	@echo "Installing the runtime into $(SMALL) (a minute or less) ..."
	@test -x $(SMALL)/bin/python || $(PYTHON) -m venv $(SMALL)
	@$(TIMED); $(SMALL)/bin/python $(INSTALL) --require-hashes -r lock-demo.txt && \
		$(SMALL)/bin/python $(INSTALL) --no-build-isolation -e . && $(call say_size,$(SMALL))
	@touch $@

demo-first: $(SMALL_STAMP)
	@$(SMALL)/bin/python docs/examples/demo_first.py

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
	rm -rf $(VENV) $(SMALL) .venv-ptychodus demo build dist
