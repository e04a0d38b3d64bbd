# What a person types. Everything that is built is cached outside the repository, keyed by its pin.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup services demo demo-stack demo-stop test unit check proof bench pictures docs clean

CACHE := $(or $(OTEL_KPI_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/otel-kpi)
UV_VERSION := 0.13.8
UV := $(CACHE)/uv-$(UV_VERSION)/bin/uv
PYTHON ?= python3
RUN := $(UV) run --no-sync
# A person sees uv's progress; a log file has no use for it.
QUIET := $(shell [ -t 2 ] || echo --quiet)

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 16

$(UV):
	@echo "setting up: uv $(UV_VERSION)"
	@$(PYTHON) -m venv "$(CACHE)/uv-$(UV_VERSION)" || { echo "Python's venv module is missing; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@"$(CACHE)/uv-$(UV_VERSION)/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"

.venv/.ready: pyproject.toml uv.lock | $(UV)
	@echo "setting up: Python packages"
	@$(UV) sync $(QUIET) --locked --all-extras --all-groups
	@touch $@

# Without what is there already: a developer's environment stays whole.
.venv/.demo: pyproject.toml uv.lock | $(UV)
	@echo "setting up: Python packages of the example systems"
	@$(UV) sync $(QUIET) --locked --inexact --no-default-groups --extra dev --extra llm --group demo
	@touch $@

setup: .venv/.ready  ## a Python environment with everything that tests and demo need

services:  ## the database servers that tests use, from Debian where they are missing
	@.ci/services

demo: .venv/.demo  ## the example systems under traffic, and the page that shows them; DEMO_SECONDS ends it, else Ctrl-C
	@PYTHONPATH=examples $(RUN) python -m demo --data "$(CACHE)/demo"

demo-stack: setup  ## real Collector, Jaeger, Prometheus, Bugsink; a small shop; some traffic; where to look
	@$(RUN) otel-kpi stack up
	@PYTHONPATH=examples $(RUN) python -m storefront demo --data "$(CACHE)/storefront"
	@echo "the stack goes on; 'make demo-stop' stops it and removes what it stored"

demo-stop: setup  ## stop what demo-stack left running, and remove what both have left
	@$(RUN) otel-kpi stack clean
	@rm -rf "$(CACHE)/storefront" "$(CACHE)/demo" .otel-kpi/demo.db*

check: setup  ## style, types, arrows between modules, generated files
	@echo "checking: style, types, arrows, generated files"
	@$(RUN) ruff check --quiet
	@$(RUN) ruff format --check --quiet
	@$(RUN) pyright --threads
	@$(RUN) lint-imports
	@$(RUN) otel-kpi settings --markdown | diff - docs/settings.md
	@$(RUN) otel-kpi generate --check
	@PYTHONPATH=tests $(RUN) python -m matrix --markdown | diff - docs/libraries.md

unit: setup  ## the quick tests: in one process, those of drivers with a server of their own
	@$(RUN) pytest tests/unit -n 2 -m "not proof and not network"

# Where tests keep what they saw of the pages.
test proof: export OTEL_KPI_SCREENSHOTS ?= $(CURDIR)/.screenshots

test: check  ## every test, on the real services; pictures of the pages in .screenshots/
	@$(RUN) otel-kpi stack build
	@$(RUN) pytest tests/unit -n 2 -m "not proof"
	@$(RUN) pytest tests/process -n 2 --dist loadfile -m "not proof"
	@$(RUN) pytest --ignore tests/unit --ignore tests/process -m "not proof"

proof: check  ## soaks, documented waits, version matrices: too long for every day
	@$(RUN) otel-kpi stack build
	@$(RUN) pytest -m proof

bench: setup  ## the figures, in turns with stock OpenTelemetry
	@$(RUN) python -m benchmarks

pictures: setup  ## the pictures of the documentation, taken anew of the pages by their tests
	@OTEL_KPI_PICTURES=keep $(RUN) pytest -q tests/browser/test_pictures.py

docs: setup  ## the documentation as a site in site/
	@$(RUN) mkdocs build --strict --quiet

clean:  ## remove what was made in this folder
	@rm -rf .venv site dist .ruff_cache .hypothesis .coverage* .screenshots
