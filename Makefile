# `make demo` builds a site from the samples that the package ships and opens the portal.
# `make test` runs every check and every test. Both install what they need into .venv first.

PYTHON ?= python3
VENV := .venv
LAB := .venv-workspace
BIN := $(VENV)/bin
INSTALL := -m pip --disable-pip-version-check --quiet install
# Compiled when first imported: half of a fresh installation's time would go into what never is.
LATER := --no-compile
DEMO ?= demo-site
PORT ?= 8000

.PHONY: setup dev demo test check around fmt bench browser workspace screenshots clean

setup: $(VENV)/.ready
workspace: $(LAB)/.ready
	@sh scripts/workspace.sh
dev: $(VENV)/.ready-dev

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Estran needs Python 3.11 or newer; set PYTHON=/path/to/python3.") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: $(VENV)/bin/python requirements.lock pyproject.toml
	$(BIN)/python $(INSTALL) $(LATER) -r requirements.lock
	$(BIN)/python $(INSTALL) $(LATER) --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready requirements-dev.lock
	$(BIN)/python $(INSTALL) $(LATER) -r requirements-dev.lock
	@touch $@

$(LAB)/.ready: requirements-workspace.lock
	$(PYTHON) -m venv $(LAB)
	$(LAB)/bin/python $(INSTALL) -r requirements-workspace.lock
	@touch $@

demo: setup
	$(BIN)/estran demo $(DEMO) --port $(PORT)

check: dev
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

test:
	$(MAKE) -j2 check around
	# three on two cores: a third of the time a test waits for a disk, a browser or another process
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

around:
	$(MAKE) -j1 browser workspace  # one after the other: both may call apt-get

browser:
	@sh scripts/browser.sh

bench: dev
	$(BIN)/python -m benchmarks

screenshots: dev browser
	sh scripts/screenshots.sh

fmt: dev
	$(BIN)/ruff format src tests benchmarks
	$(BIN)/ruff check --fix src tests benchmarks

clean:
	rm -rf $(VENV) $(LAB) demo-site demo-site.key .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
