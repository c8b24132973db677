# The commands of the README. Each target installs what it needs. Only Python 3.11 or newer must be there.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HOST ?= 127.0.0.1
PORT ?= 8000

# Tests run in several processes. There are more than cores, because many tests wait: for a clock, for a server.
TEST_PROCESSES ?= $(shell echo $$(( 2 * $$(getconf _NPROCESSORS_ONLN) )))
# Python keeps what it has compiled, whatever the environment says. Otherwise each process compiles all tests, for 5 s.
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --dist worksteal

# The slow ones start servers of their own, which need the cores.
SLOW_TEST_PROCESSES ?= $(shell getconf _NPROCESSORS_ONLN)

.PHONY: run test test-slow test-all lint format types audit check admin bench bench-growth bench-soak bench-hedging clean

run: $(VENV)/run.stamp  ## the service, with its database set up, on http://127.0.0.1:8000
	$(BIN)/python manage.py migrate --verbosity 0
	$(BIN)/python manage.py runserver $(HOST):$(PORT)

test: $(VENV)/dev.stamp  ## the tests, without those that take long by nature; ARGS="tests/chat -x" chooses some
	$(PYTEST) --numprocesses $(TEST_PROCESSES) -m "not slow" $(ARGS)

test-slow: $(VENV)/dev.stamp  ## those that `test` leaves out, and the property tests with many more examples
	HYPOTHESIS_PROFILE=$${HYPOTHESIS_PROFILE:-thorough} $(PYTEST) --numprocesses $(SLOW_TEST_PROCESSES) -m "slow or hypothesis" $(ARGS)

test-all: test test-slow  ## every test

check: lint types audit test-all  ## what CI runs

lint: $(VENV)/dev.stamp  ## style and import order
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run

format: $(VENV)/dev.stamp  ## rewrite the code in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/dev.stamp  ## mypy
	$(BIN)/mypy .

audit: $(VENV)/dev.stamp  ## insecure code, vulnerable packages, and the files in deploy/
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive access chat llm orchestration_site stats manage.py
	$(BIN)/hadolint Dockerfile
	$(BIN)/kubernetes-validate --strict --quiet deploy/kubernetes.yaml
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	$(BIN)/python .ci/audit_packages.py

admin: $(VENV)/run.stamp  ## make a user for /admin
	$(BIN)/python manage.py migrate --verbosity 0
	$(BIN)/python manage.py createsuperuser

bench: $(VENV)/run.stamp  ## ours beside other gateways; ARGS=--quick to try it. Needs wrk, npm, two cores
	$(BIN)/python -m bench.peers $(ARGS)

bench-growth: $(VENV)/run.stamp  ## how cost grows with workers, history, prompts and connections; ARGS=--quick
	$(BIN)/python -m bench.growth $(ARGS)

bench-soak: $(VENV)/run.stamp  ## pauses and memory over minutes of load; ARGS="--seconds 20 --calls 1000 --disconnects 500"
	$(BIN)/python -m bench.soak $(ARGS)

bench-hedging: $(VENV)/run.stamp  ## what a hedge gains, and what it costs
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
