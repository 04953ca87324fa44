# What developers do, each from a clean clone: make run | test | lint | integration | bench | services-up | clean.
# The virtual environment in .venv follows requirements.lock, and is made again only when that file changes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?= --users 1000 --duration 1m
TEST_PROCESSES ?= 4  # on two cores: the tests wait as much as they compute
SERVICES ?=
export PYTHONDONTWRITEBYTECODE := # what the tests start again and again is compiled once
SERVICES_PROGRAM := $(PYTHON) deploy/local/services.py

.DEFAULT_GOAL := help
.PHONY: help run test lint integration bench dashboards services-up services-status services-down lock clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 18 | sed 's/^/  make /'

run: $(VENV)/ready ## the main job: make run ARGS="--users 50000 --duration 30m"
	@echo "loadgen run $(ARGS)"
	@$(BIN)/python -m loadgen run $(ARGS)

test: $(VENV)/ready ## unit tests (those marked slow or integration are left out)
	@echo "running the tests"
	@$(BIN)/python -m pytest -q -n $(TEST_PROCESSES) --dist worksteal --ignore tests/integration

lint: $(VENV)/ready ## ruff, mypy --strict (tests too), and the direction of imports
	@echo "checking style, types and imports"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict
	@$(BIN)/lint-imports

integration: $(VENV)/ready ## tests with real services, started and stopped by them (needs Java 17, Maven)
	@echo "running the integration tests"
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -m integration tests/integration

services-up: ## start Kafka, HDFS, Prometheus as plain processes: make services-up SERVICES="--only kafka,registry"
	@$(SERVICES_PROGRAM) up $(SERVICES)

services-status: ## show which of them run
	@$(SERVICES_PROGRAM) status $(SERVICES)

services-down: ## stop them and wait until they are gone
	@$(SERVICES_PROGRAM) down $(SERVICES)

bench: $(VENV)/ready ## the cost of each stage as ratios measured in one run, and build/bench.json
	@echo "running the benchmarks"
	@$(BIN)/python -m tests.bench

dashboards: $(VENV)/ready ## write grafana/dashboards/*.json anew from the modules in grafana/
	@$(BIN)/python -m grafana

lock: $(VENV)/ready ## write requirements.lock anew from pyproject.toml (needs uv)
	@echo "resolving dependencies"
	@uv pip compile --quiet --universal --no-header --no-annotate --generate-hashes --no-emit-index-url \
		--group dev pyproject.toml --output-file requirements.lock

$(VENV)/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "loadgen needs Python 3.11 or newer, $(PYTHON) is older; set PYTHON=python3.12"; exit 1; }
	@echo "making $(VENV) from requirements.lock"
	@$(PYTHON) -m venv $(VENV) || { echo "on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

clean: ## remove everything that make and the tests made, services' data too; what runs wrote stays
	@[ ! -d build/services/data ] || $(SERVICES_PROGRAM) down
	@echo "removing $(VENV), build and caches"
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
