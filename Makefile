# These are the commands of the README. Each target installs what it needs. Only Python 3.11 or newer and make must be
# there already.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HOST ?= 127.0.0.1
PORT ?= 8000

# Tests run in several processes. There are more processes than cores, because many tests wait for a clock or a server.
TEST_PROCESSES ?= $(shell echo $$(( 2 * $$(getconf _NPROCESSORS_ONLN) )))
# Python keeps what it has compiled, even if the environment forbids it. Otherwise each process would compile all tests
# again, which takes 5 s.
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --dist worksteal

# The slow tests start servers of their own, which need the cores. So there is one process for each core.
SLOW_TEST_PROCESSES ?= $(shell getconf _NPROCESSORS_ONLN)

.PHONY: run test test-slow test-all lint format types audit check admin bench bench-growth bench-soak bench-hedging clean

run: $(VENV)/run.stamp  ## set up the database, and run the service on http://127.0.0.1:8000
	$(BIN)/python manage.py migrate --verbosity 0
	$(BIN)/python manage.py runserver $(HOST):$(PORT)

test: $(VENV)/dev.stamp  ## run the tests that do not take long; ARGS="tests/chat -x" runs some of them
	$(PYTEST) --numprocesses $(TEST_PROCESSES) -m "not slow" $(ARGS)

test-slow: $(VENV)/dev.stamp  ## run the tests that `test` leaves out, and the property tests with many more examples
	HYPOTHESIS_PROFILE=$${HYPOTHESIS_PROFILE:-thorough} $(PYTEST) --numprocesses $(SLOW_TEST_PROCESSES) -m "slow or hypothesis" $(ARGS)

test-all: test test-slow  ## run every test

check: lint types audit test-all  ## run what CI runs

lint: $(VENV)/dev.stamp  ## check the style, the imports, and whether a migration is missing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run

format: $(VENV)/dev.stamp  ## rewrite the code in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/dev.stamp  ## check the types with mypy
	$(BIN)/mypy .

audit: $(VENV)/dev.stamp  ## look for insecure code, vulnerable packages, and mistakes in the files of deploy/
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive access chat llm orchestration_site stats manage.py
	$(BIN)/hadolint Dockerfile
	$(BIN)/kubernetes-validate --strict --quiet deploy/kubernetes.yaml
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	$(BIN)/python .ci/audit_packages.py

admin: $(VENV)/run.stamp  ## make a user for /admin
	$(BIN)/python manage.py migrate --verbosity 0
	$(BIN)/python manage.py createsuperuser

bench: $(VENV)/run.stamp  ## compare our service with other gateways; ARGS=--quick tries it. It needs wrk, npm and two cores
	$(BIN)/python -m bench.peers $(ARGS)

bench-growth: $(VENV)/run.stamp  ## measure how cost grows with workers, history, prompts and connections; ARGS=--quick tries it
	$(BIN)/python -m bench.growth $(ARGS)

bench-soak: $(VENV)/run.stamp  ## measure pauses and memory under load; ARGS="--seconds 20 --calls 1000 --disconnects 500" tries it
	$(BIN)/python -m bench.soak $(ARGS)

bench-hedging: $(VENV)/run.stamp  ## measure what a hedge gains, and what it costs
	$(BIN)/python bench/hedging.py

clean:  ## remove the virtual environment and all caches; the database and the logs stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; $(PYTHON) is `$(PYTHON) --version`. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: requirements.txt $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/dev.stamp: requirements.txt requirements-dev.txt $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@ $(VENV)/run.stamp
