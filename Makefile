# What people and CI run. Everything lives in .venv; `make clean` removes it, to start afresh.
PYTHON ?= python3
# The versions CI runs with, and their hashes. `make test LOCK=` takes the newest instead.
LOCK ?= requirements.lock
# Twice as many as CI has processors: half of its time, a test waits for a real part.
WORKERS ?= 4
PYTEST_ARGS ?=
# In the order of the directories, in which the short ones (unit) come last: no worker is left with a long file.
SPREAD := --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
LOCKED := --require-hashes --no-deps --only-binary :all:
IMAGE := deploy/image
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The tests start hundreds of Python processes, and each would compile all it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F '\t' '{printf "make %-10s %s\n", $$1, $$2}'

.PHONY: demo
demo: .venv/run.stamp ## Start the bridge on an embedded platform that lives; Ctrl-C ends it
	@exec $(BIN)/ff-observe demo $(DEMO_ARGS)

.PHONY: test
test: .venv/test.stamp ## Run all tests; on Debian as root, install the real parts they need first
	@$(BIN)/python -m tests.real_parts.install
	$(BIN)/python -m pytest $(SPREAD) $(PYTEST_ARGS)

.PHONY: check
check: lint types docs test ## All that CI checks

.PHONY: lint
lint: .venv/test.stamp ## Style and mistakes (ruff)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: .venv/test.stamp ## Types (mypy, strict)
	$(BIN)/mypy

.PHONY: docs
docs: .venv/test.stamp ## Are the generated documents up to date?
	$(BIN)/python -m ff_observe.generate --check

.PHONY: generate
generate: .venv/test.stamp ## Write the generated documents anew
	$(BIN)/python -m ff_observe.generate
	$(BIN)/python -m tests.deployment.manifests

.PHONY: site
site: .venv/test.stamp ## Make the documentation a site, build/site/index.html: offline, every link checked
	$(BIN)/python -m sphinx --builder html --fail-on-warning --quiet --conf-dir docs/site . build/site
	@echo "build/site/index.html"

.PHONY: pictures
pictures: .venv/test.stamp ## Render every dashboard, state of the status page and the fleet's page into docs/pictures
	@$(BIN)/python -m tests.real_parts.install
	$(BIN)/python -m tests.pictures.status_page $(STATES)
	$(BIN)/python -m tests.pictures.fleet_page
	$(BIN)/python -m tests.pictures $(DASHBOARDS)
	$(BIN)/python -m tests.pictures.first_look

.PHONY: bench
bench: .venv/test.stamp ## Measure speed and cost against the alternatives
	@$(BIN)/python -m tests.real_parts.install
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

.PHONY: bench-compare
bench-compare: .venv/test.stamp ## What got worse between the newest two results of `make bench`
	$(BIN)/python -m benchmarks.ratios

.PHONY: attack
attack: .venv/test.stamp ## Flood bridge, collector and node_exporter; attack the privacy of the fleet's figures
	@$(BIN)/python -m tests.real_parts.install
	$(BIN)/python -m tests.attack.fleet_table
	$(BIN)/python -m tests.attack $(FLOODS)

.PHONY: mutants
mutants: .venv/test.stamp ## Change a module in a copy, and see whether its own unit tests notice: MODULE=ledger
	$(BIN)/python -m tests.mutants --workers $(WORKERS) $(MODULE)

.PHONY: coverage
coverage: .venv/test.stamp ## Run all tests, and show how many lines and branches they reach, in every process and thread
	@$(BIN)/python -m tests.real_parts.install
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(SPREAD) $(PYTEST_ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --sort=cover

.PHONY: nightly
nightly: .venv/test.stamp ## All tests, with many more generated examples, and a real FlowFuse
	@$(BIN)/python -m tests.real_parts.install
	@$(BIN)/python -m tests.real_parts.flowfuse
	HYPOTHESIS_PROFILE=nightly \
	  $(BIN)/python -m pytest $(SPREAD) --timeout=1800 $(PYTEST_ARGS)
	$(BIN)/python -m tests.fuzz.collector_acceptance -runs=1000000

.PHONY: plain-machine
plain-machine: ## Run both set-up commands in a plain Debian root, as root and as an ordinary user (needs root)
	@$(PYTHON) -m tests.plain_machine $(PLAIN_ARGS)

.PHONY: newcomer
newcomer: .venv/test.stamp ## From an empty directory to a picture of a dashboard by docs/start.md, within five minutes (needs root)
	@$(BIN)/python -m tests.real_parts.install
	@$(BIN)/python -m tests.deployment.newcomer

.PHONY: image-root
image-root: .venv/test.stamp ## Carry out the Dockerfile in a plain Debian root, print its size, scrape what starts from it (needs root)
	@$(BIN)/python -m tests.deployment.image_root

.PHONY: dist
dist: .venv/test.stamp ## Build the wheel and the sdist in dist/, twice, compare them byte by byte, and try the wheel
	$(BIN)/python -m tests.deployment.distribution dist
	$(BIN)/twine check --strict dist/*
	rm -rf .cache/dist && $(BIN)/python -m venv .cache/dist
	.cache/dist/bin/python -m pip install --quiet $(LOCKED) -r $(IMAGE)/requirements.lock
	.cache/dist/bin/python -m pip install --quiet --no-deps --no-index dist/*.whl
	cd .cache/dist && bin/ff-observe --help >/dev/null && bin/ff-observe --version && bin/ff-observe assets

.PHONY: matrix
matrix: .venv/test.stamp ## Test the built wheel under every Python, PostgreSQL, SQLite, lowest and newest dependency: ROWS="python-3.12 lowest"
	@$(BIN)/python -m tests.deployment.matrix $(ROWS)

.PHONY: pins
pins: .venv/test.stamp ## Take the newest versions into the locks
	$(BIN)/python -m tests.deployment.locks
	$(BIN)/python -m tests.deployment.sbom

.PHONY: clean
clean: ## Remove everything that was made here
	rm -rf .venv .cache build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

# ff-observe itself comes last, and is built by the hatchling of the lock: nothing is installed that has no hash.
.venv/run.stamp: pyproject.toml $(IMAGE)/requirements.lock $(IMAGE)/build-requirements.lock | .venv/bin/python
	@echo "Installing ff-observe into .venv ..."
	@$(PIP) $(LOCKED) -r $(IMAGE)/requirements.lock -r $(IMAGE)/build-requirements.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.venv/test.stamp: pyproject.toml $(LOCK) | .venv/bin/python
	@echo "Installing ff-observe and what its tests need into .venv ..."
ifdef LOCK
	@$(PIP) $(LOCKED) -r $(LOCK)
	@$(PIP) --no-deps --no-build-isolation -e .
else
	@$(PIP) 'pip>=25.1' # the first that knows dependency groups
	@$(PIP) -e '.[web-auth,grpc,build,parquet]' --group test --group dev --group docs
endif
	@touch .venv/run.stamp $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "ff-observe needs Python 3.11 or later; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv .venv || \
	  { echo "making .venv failed; on Debian and Ubuntu: apt-get install python3-venv" >&2; rm -rf .venv; exit 1; }
