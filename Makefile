# Every target does its own set-up, from a fresh clone with Python 3.11, venv and
# make alone. What it sets up is kept in $(VENV) and redone when its inputs change.

PY   ?= python3
VENV ?= .venv
# The front end is part of the project: a target fails where it can't be built.
export NBFLOW_FRONTEND ?= require

BIN     := $(VENV)/bin
STAMPS  := $(VENV)/.nbflow
REPORTS := build/reports
START   := notebooks/00-start.ipynb
GUIDE   := $(wildcard notebooks/*.ipynb)
SUITE   := test-unit test-front-end test-notebooks test-ui
LINTS   := lint-ruff lint-format lint-types lint-layers lint-spelling lint-front-end
PYTEST   = $(BIN)/python -m pytest
FRONT_END_SOURCES := $(shell find labextension \( -name node_modules -o -name lib -o -name '.*' \
  -o -name '*.tsbuildinfo' \) -prune -o -type f -print)
SETUP_INPUTS := pyproject.toml hatch_build.py $(FRONT_END_SOURCES)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## Show these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# --- Using it ---------------------------------------------------------------

.PHONY: lab
lab: $(STAMPS)/lab ## Install everything and open the guide in JupyterLab (LAB_ARGS=...)
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/$(START) \
	  $(LAB_AS_ROOT) $(LAB_BROWSER) $(LAB_ARGS)

LAB_AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
LAB_BROWSER  = $(if $(DISPLAY)$(WAYLAND_DISPLAY)$(filter Darwin,$(shell uname)),,--no-browser)

.PHONY: demo
demo: $(STAMPS)/lab ## Run the guide's first notebook without a screen; leaves build/00-start.html
	$(BIN)/python .ci/notebooks.py demo $(START)

# --- Checking it ------------------------------------------------------------

.PHONY: test
test: $(STAMPS)/dev ## Run the whole suite: unit, front end, notebooks, browser
	@rm -rf $(REPORTS) && mkdir -p $(REPORTS)
	@$(MAKE) --keep-going --no-print-directory $(SUITE) || touch $(REPORTS)/failed
	@$(BIN)/python .ci/summary.py $(REPORTS)

# A signal can be caught by what hangs; the end of a worker is reported and made good.
.PHONY: test-unit
test-unit: $(STAMPS)/dev ## Run what needs no browser: doctests and every folder of tests but ui and wheel
	$(PYTEST) --numprocesses auto --timeout-method thread -m 'not (ui or wheel or bench)' \
	  $(COVERAGE) --junit-xml $(REPORTS)/unit.xml $(ARGS)

.PHONY: test-front-end
test-front-end: $(STAMPS)/dev ## Run the tests of the TypeScript
	$(BIN)/python hatch_build.py test -- --reporter=default --reporter=junit \
	  --outputFile.junit=../$(REPORTS)/front-end.xml

.PHONY: test-notebooks
test-notebooks: $(STAMPS)/dev ## Run the guide again and compare its outputs (nbval)
	$(BIN)/python .ci/notebooks.py check $(GUIDE)

.PHONY: test-ui
test-ui: $(STAMPS)/dev $(STAMPS)/chromium ## Drive JupyterLab and Notebook 7 in a Chromium
	NBFLOW_CHROMIUM="$$(cat $(STAMPS)/chromium)" $(PYTEST) -m ui \
	  --junit-xml $(REPORTS)/ui.xml $(ARGS) tests/ui

.PHONY: test-wheel
test-wheel: $(STAMPS)/dev ## Build the wheel, install it elsewhere and use it there
	$(PYTEST) -m wheel --junit-xml $(REPORTS)/wheel.xml $(ARGS) tests/wheel

.PHONY: coverage
coverage: ## Run test-unit under coverage, branches too
	$(MAKE) --no-print-directory test-unit COVERAGE='--cov --cov-report=term'

.PHONY: crash
crash: $(STAMPS)/dev ## Kill it, flip its bits, fill its disk: ten times what `make test` does, and print the record
	NBFLOW_CRASH=long $(PYTEST) -m crash $(ARGS) tests/crash

.PHONY: bench
bench: $(STAMPS)/bench ## Measure it beside LangGraph, what stores stay within, rows in the page
	$(BIN)/python tests/bench/run.py $(ARGS)
	$(BIN)/python tests/bench/limits.py
	$(BIN)/python hatch_build.py run bench

$(STAMPS)/bench: $(STAMPS)/dev
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	@touch $@

.PHONY: lint
lint: $(STAMPS)/dev ## Check style, types, layers, spelling and the TypeScript
	@$(MAKE) --keep-going --no-print-directory $(LINTS)

.PHONY: $(LINTS)
lint-ruff:
	$(BIN)/ruff check
lint-format:
	$(BIN)/ruff format --check
lint-types:
	$(BIN)/mypy
lint-layers:
	$(BIN)/lint-imports --no-logo
lint-spelling:
	git ls-files -z | xargs -0 $(BIN)/codespell
lint-front-end:
	$(BIN)/python hatch_build.py run lint

.PHONY: types
types: $(STAMPS)/dev ## Check that the public names are typed as an editor reads them
	PYTHONPATH=. PATH="$(BIN):$$PATH" $(BIN)/pyright --verifytypes nbflow --ignoreexternal

.PHONY: format
format: $(STAMPS)/dev ## Let ruff mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# --- Making it --------------------------------------------------------------

.PHONY: build
build: $(STAMPS)/dev ## Build the wheel and the source archive into dist/
	rm -rf dist
	NBFLOW_FRONTEND=require $(BIN)/python -m hatchling build -d dist

.PHONY: notebooks
notebooks: $(STAMPS)/dev ## Run the guide and keep its outputs in the notebooks
	$(BIN)/python .ci/notebooks.py refresh $(GUIDE)

.PHONY: clean
clean: ## Remove what the targets made, the environment too
	rm -rf $(VENV) build dist nbflow/static nbflow/labextension labextension/lib \
	  labextension/node_modules .coverage .coverage.* .hypothesis \
	  .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find nbflow tests .ci -name __pycache__ -type d -prune -exec rm -rf {} +

# --- Set-up -----------------------------------------------------------------

$(STAMPS)/python:
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "nbflow needs Python 3.11 or newer; \`$(PY)\` is $$($(PY) --version 2>&1)." \
	    "Name another: make PY=python3.12 ..." >&2; exit 1; }
	$(PY) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/lab: $(STAMPS)/python $(SETUP_INPUTS)
	$(BIN)/python -m pip install --quiet --editable '.[demo,lab]'
	@touch $@

$(STAMPS)/dev: $(STAMPS)/python $(SETUP_INPUTS)
	$(BIN)/python -m pip install --quiet --editable '.[lint,test]'
	@touch $(STAMPS)/lab $@

# A Chromium may have left since: whether it is there is asked each time.
.PHONY: $(STAMPS)/chromium
$(STAMPS)/chromium: $(STAMPS)/dev
	@$(BIN)/python .ci/chromium.py > $@
