# `make test` and `make demo` set up all they need, once: a virtual environment in .venv, the dependencies, videohub.
PYTHON ?= python3
PYTHONS ?= $(PYTHON)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# The tests start hundreds of processes, which would compile every module anew where this is set.
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo docs test test-slow test-all test-matrix test-zoo lint clean

demo: $(READY)
	BIN=$(BIN) sh tools/demo.sh

# Every area within minutes; what is marked `slow` is left to test-all. A file's tests stay in one of two processes, each
# with one thread of torch's: most tests have no use for another.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadscope -m "not slow"

test-slow: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadscope -m "slow and not by_hand"

# What came of both is kept in results/tests.json, for the page docs/proved.md.
test-all: export VIDEOHUB_TEST_RECORD = results/tests.json
test-all: test test-slow

# By hand, before a release: make test-matrix PYTHONS="python3.10 python3.13"
test-matrix: $(READY)
	$(BIN)/python tools/test_matrix.py $(PYTHONS)

# By hand, when records, networks or tables have changed: what is marked `by_hand`, then every record, from a file that
# is made for it. Writes tests/zoo/results.md; make test-zoo PUBLISHER=torchvision prints one publisher's.
test-zoo: $(READY)
	$(if $(PUBLISHER),,$(BIN)/python -m pytest -m by_hand)
	$(BIN)/python -m tests.zoo.walk $(if $(PUBLISHER),--publisher $(PUBLISHER))

# The site, into site/; without a connection.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $(READY)

clean:
	rm -rf $(VENV) .matrix demo-run dist site
