# make demo: sets everything up and does the main job.   make test: sets everything up and passes every test.
PYTHON ?= python3
WORKERS ?= 2
PARALLEL := --numprocesses=$(WORKERS) --max-worker-restart=0
# `make test ORDER=` runs the tests in the order of the files.
ORDER ?= -p randomly
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# The tests that resolve and build what the package index has.
BUILDING_TESTS := $(addprefix tests/integration/test_,cross_build.py emulation.py lock.py packages.py)

.PHONY: demo setup test test-all coverage test-unit test-slow test-pins test-latest lint format docs dist requirements policies debian-names clean

demo: setup
	@$(BIN)/incamera run --project examples/numbers
	@$(BIN)/python examples/what_next.py

setup: $(VENV)/.installed

$(VENV)/.installed: requirements/run.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "incamera needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": make PYTHON=/path/to/newer")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes --requirement requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: requirements/dev.txt $(VENV)/.installed
	@$(PIP) install --require-hashes --requirement requirements/dev.txt
	@touch $@

# Two test processes side by side. The order is random; PYTEST_ARGS="-p randomly --randomly-seed=SEED" repeats one.
# A crash of one ends the run: pytest-xdist would replace the process, and could then wait for ever for its tests.
test: lint
	$(BIN)/pytest $(ORDER) $(PARALLEL) $(PYTEST_ARGS)

# Every combination of architecture, profile and package, for a release: `make test` has one of each kind.
test-all: lint $(VENV)/.installed-docs
	$(BIN)/pytest $(ORDER) --all $(PARALLEL) $(PYTEST_ARGS)

# The same, and which lines it reached. Apart, because unit tests take three times as long while they are watched.
coverage: lint $(VENV)/.installed-docs
	$(BIN)/pytest $(ORDER) --all $(PARALLEL) --cov --cov-report=term $(PYTEST_ARGS)

test-unit: $(VENV)/.installed-dev
	$(BIN)/pytest tests/unit $(PYTEST_ARGS)

# What takes too long for every day: the first run builds OpenCV, which takes most of an hour; the store keeps it.
test-slow: $(VENV)/.installed-dev
	$(BIN)/pytest tests/slow $(PYTEST_ARGS)

# The tests' package index has only the files of tests/integration/pins.toml. This target records them again, with an
# empty store: the files that all tests fetch today. It takes hours. PYTEST_ARGS="tests/integration/test_lock.py" adds what that file's tests fetch.
test-pins: $(VENV)/.installed-dev
	rm -rf .incamera/pins-store
	INCAMERA_TEST_INDEX=$(if $(PYTEST_ARGS),add,record) INCAMERA_TEST_STORE=$(CURDIR)/.incamera/pins-store \
	  $(BIN)/pytest --all $(or $(PYTEST_ARGS),tests/integration tests/slow)
	rm -rf .incamera/pins-store

# What builds and resolves, with the newest of what the index has today, in an empty store.
test-latest: $(VENV)/.installed-dev
	rm -rf .incamera/latest-store
	INCAMERA_TEST_INDEX=latest INCAMERA_TEST_STORE=$(CURDIR)/.incamera/latest-store \
	  $(BIN)/pytest --all $(or $(PYTEST_ARGS),$(BUILDING_TESTS))

# The documentation as a website: build/docs/index.html. A link or an anchor that leads nowhere is an error.
docs: $(VENV)/.installed-docs
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --nitpicky -c docs/site -b html . build/docs

$(VENV)/.installed-docs: requirements/docs.txt $(VENV)/.installed
	@$(PIP) install --require-hashes --requirement requirements/docs.txt
	@touch $@

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# dist/ gets the sdist and the wheel of the commit; the same commit gives the same bytes.
dist: $(VENV)/.installed
	$(BIN)/python tools/make_dist.py dist

# Pins every dependency by hash, for all platforms; names no index.
requirements: $(VENV)/.installed-dev
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  pyproject.toml requirements/build.in --output-file requirements/run.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  pyproject.toml requirements/build.in --group dev --constraint requirements/run.txt --output-file requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --group docs --constraint requirements/dev.txt --output-file requirements/docs.txt

# Reads the libraries of the virtual cameras and of bare bundles anew, for the audit.
policies: $(VENV)/.installed-dev
	$(BIN)/python tools/make_policies.py

# Reads anew which Debian package holds which distribution.
debian-names: $(VENV)/.installed-dev
	$(BIN)/python tools/make_debian_names.py

clean:
	rm -rf $(VENV) .coverage .mypy_cache .ruff_cache .pytest_cache
