# `make demo` builds a site from the samples that the package ships and opens the portal.
# `make test` runs every check and every test. Both install what they need into .venv first.

PYTHON ?= python3
VENV := .venv
LAB := .venv-workspace
FLOWER := .venv-flower
BIN := $(VENV)/bin
INSTALL := -m pip --disable-pip-version-check --quiet install
# Compiled when first imported: half of a fresh installation's time would go into what never is. And kept then, even
# where a container forbids it: each process, of the product and of the tests, would compile all it imports once more.
LATER := --no-compile
export PYTHONDONTWRITEBYTECODE :=
DEMO ?= demo-site
PORT ?= 8000

.PHONY: setup dev demo test check compiled around fmt bench browser workspace flower screenshots clean

setup: $(VENV)/.ready
workspace: $(LAB)/.ready
	@sh scripts/workspace.sh
flower: $(FLOWER)/.ready
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

$(FLOWER)/.ready: requirements-flower.lock
	$(PYTHON) -m venv $(FLOWER)
	$(FLOWER)/bin/python $(INSTALL) -r requirements-flower.lock
	@touch $@

demo: setup
	$(BIN)/estran demo $(DEMO) --port $(PORT)

check: dev
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

# What the tests import, and the tests: compiled by one process while others wait for the network, not by three at once.
compiled: dev
	@said=$$(mktemp) && trap 'rm -f "$$said"' EXIT && \
	{ $(BIN)/pytest --collect-only -q > "$$said" 2>&1 || { cat "$$said" >&2; exit 1; }; }

test:
	$(MAKE) -j3 check around compiled
	# three on two cores: a test often waits, for a browser, another process or (without room in memory) the disk
	sh scripts/in_memory.sh $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

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
	rm -rf $(VENV) $(LAB) $(FLOWER) demo-site demo-site.key .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
