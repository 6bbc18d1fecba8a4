# A thin front end: `make demo` and `make test` set up everything they need, with python3 and pip alone.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO ?= $(BIN)/metarl train ml1_reach_maml --iterations 12
DEMO_RUN := runs/demo-$(shell date +%Y%m%d-%H%M%S)

.DEFAULT_GOAL := help
.PHONY: help setup demo fewshot-demo test test-thorough docs release test-slow clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## make .venv and install metarl with the pinned versions (does nothing the second time)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "metarl needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is " + sys.version.split()[0] + "; name another one, such as: make setup PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

demo: setup ## meta-train on Meta-World ML1 reach and adapt to goals never seen (about 6 minutes on 2 cores)
	$(DEMO) --out $(DEMO_RUN)
	$(BIN)/metarl report $(DEMO_RUN)

fewshot-demo: setup ## few-shot learning on scikit-learn's digits, with pictures (about a minute, needs no data file)
	$(BIN)/python -m metarl.experiments._few_shot_demo

test: setup ## lint, type check and the quick tests
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/python -m pytest -q -n auto --dist worksteal

docs: setup ## build the documentation site into site/, strictly
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	@echo "the documentation is in site/index.html"

release: setup ## build sdist and wheel into dist/, and check what the wheel does where nothing else is installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[release]'
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m pytest -q -m thorough --timeout 1800 tests/test_installed.py

test-thorough: setup ## what the quick tests have samples of: every kill, every place in a file, the wheel, Ray, sweeps
	$(BIN)/python -m pytest -q -n auto --dist worksteal -m thorough --timeout 1800

test-slow: setup ## the tests that learn something or measure time
	$(BIN)/python -m pytest -q -m slow --timeout 3600

clean: ## remove .venv, caches and build leftovers; runs/ stays
	rm -rf $(VENV) build dist site *.egg-info src/*.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
