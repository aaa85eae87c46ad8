# The front door. Every verb makes the environment first when it is missing or when the pins changed.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PORT ?= 8000
# Changes exactly when the pins or the packages' definition change.
STAMP = $(VENV)/.installed-$(shell cat requirements.txt pyproject.toml | cksum | cut -d' ' -f1)
PRESS := PYTHONNOUSERSITE=1 $(PY) -m press

export CHAPTER PART PROFILE SEED OUT PARAMS PORT

.PHONY: help setup book test serve chapter new lab bench lint clean notebooks

help:  ## this list
	@echo "make VERB, where VERB is one of"
	@awk -F':[^#]*## *' '/^[a-z]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' Makefile

setup: ## create .venv and install the pinned requirements
	@$(MAKE) -s --no-print-directory $(STAMP)

$(VENV)/.installed-%:
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "no $(PYTHON) found: install Python 3.11 or newer, or say PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is $$($(PYTHON) -V 2>&1): Python 3.11 or newer is needed, for example make book PYTHON=python3.12" >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed: on Debian or Ubuntu, apt install python3-venv" >&2; exit 1; }
	@echo "installing the pinned requirements into $(VENV) (once; a few minutes)"
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@rm -f $(VENV)/.installed-*
	@touch $@

book: setup ## execute, validate and build the whole book
	@$(PRESS) book --profile "$$PROFILE" --seed "$$SEED"

test: setup ## every test but the slow ones
	@$(PRESS) test

serve: setup ## show the built site on http://127.0.0.1:8000 (PORT=...)
	@$(PRESS) serve --port "$$PORT"

chapter: setup ## execute one: CHAPTER=<slug> [PROFILE=smoke|book|full] [SEED=k] [PARAMS="n=5"] [OUT=folder]
	@$(PRESS) chapter "$$CHAPTER" --profile "$$PROFILE" --seed "$$SEED" --params "$$PARAMS" --out "$$OUT"

new: setup ## start a chapter: CHAPTER=<slug> PART=<part>
	@$(PRESS) new "$$CHAPTER" --part "$$PART"

notebooks: setup ## write every chapter as a plain .ipynb below _build/notebooks
	@$(PRESS) notebooks

lab: setup ## JupyterLab, where chapters open as notebooks
	@$(PRESS) lab

bench: setup ## the speed and size table, as ratios measured in one run
	@$(PY) benchmarks/bench.py

lint: setup ## ruff, and the arrows between packages
	@$(VENV)/bin/ruff check lib tests benchmarks
	@$(VENV)/bin/lint-imports

clean: ## remove what was built (not .venv)
	rm -rf _build .snakemake
