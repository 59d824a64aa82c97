# Everything here sets up what it needs, in .venv, again and again without harm.
PYTHON ?= python3
VENV ?= .venv
PORT ?= 8000
SERVER ?=
REDIS_URI ?=
CHROMIUM ?= chromium
FAULT_SECONDS ?= 4
FAULT_USERS ?= 8
SECONDS ?= 60
TARGETS ?=
bin = $(VENV)/bin
ready = $(VENV)/.ready

.PHONY: demo test lint types unit test-browser faults soak fuzz model mutation screenshots chromium \
	bench format clean

demo: $(ready)
	$(bin)/python testproject/manage.py demo --port $(PORT) \
		$(if $(REDIS_URI),--redis-uri '$(REDIS_URI)') $(if $(SERVER),--server $(SERVER))

test: lint types unit

lint: $(ready)
	$(bin)/ruff check .
	$(bin)/ruff format --check .

types: $(ready)
	$(bin)/mypy

unit: $(ready)
	$(bin)/python -X dev -m pytest -n auto --cov --cov-fail-under=95

# The model-based tests and those of concurrency, for long: about half an hour.
MODEL_EXAMPLES ?= 400
LINEARIZABILITY_ROUNDS ?= 600
model: $(ready)
	MODEL_EXAMPLES=$(MODEL_EXAMPLES) LINEARIZABILITY_ROUNDS=$(LINEARIZABILITY_ROUNDS) \
		$(bin)/python -X dev -m pytest -s -v tests/test_model.py tests/test_engine_model.py \
		tests/test_linearizability.py tests/test_interleavings.py

# What people see, in a real browser: about two minutes.
test-browser: $(VENV)/.browser chromium
	CHROMIUM="$$(command -v $(CHROMIUM))" \
		$(bin)/python -X dev -m pytest -n 2 tests/browser

# tests/faults for longer, with more users: about three minutes. Prints its figures.
faults: $(ready)
	FAULT_SECONDS=$(FAULT_SECONDS) FAULT_USERS=$(FAULT_USERS) \
		$(bin)/python -X dev -m pytest -p no:randomly tests/faults

# 100 users click for half an hour while the server is restarted every two minutes.
MINUTES ?= 30
USERS ?= 100
soak: $(ready)
	MINUTES=$(MINUTES) USERS=$(USERS) $(bin)/python -m tests.faults.soak

# Draws docs/images anew. Look at each of them.
screenshots: $(VENV)/.browser chromium
	CHROMIUM="$$(command -v $(CHROMIUM))" SCREENSHOTS=docs/images \
		$(bin)/python -X dev -m pytest tests/browser/test_screenshots.py -k drawn

# Playwright's own browsers are not used. Debian's is installed where this runs as root.
chromium:
	@command -v $(CHROMIUM) >/dev/null || $(install_chromium) || { \
		echo 'There is no $(CHROMIUM): apt-get install chromium, or make … CHROMIUM=/its/path' >&2; \
		exit 1; }

install_chromium = { [ "$(CHROMIUM)" = chromium ] && [ "$$(id -u)" = 0 ] && \
	apt-get update -qq && apt-get install -y -qq --no-install-recommends \
	chromium fonts-dejavu-core; }

$(VENV)/.browser: $(ready)
	$(bin)/python -m pip install --quiet --group browser
	touch $@

# Hostile input, SECONDS for each target: nine minutes. TARGETS="ids cookies" for some.
fuzz: $(VENV)/.fuzz
	SECONDS=$(SECONDS) $(bin)/python -m tests.fuzz $(TARGETS)

$(VENV)/.fuzz: $(ready)
	$(bin)/python -m pip install --quiet --group fuzz
	touch $@

# Which changes to the code no test notices: half an hour. tests/mutation.md tells of what is left.
mutation: $(VENV)/.mutation
	$(bin)/mutmut run
	$(bin)/mutmut results

$(VENV)/.mutation: $(ready)
	$(bin)/python -m pip install --quiet --group mutation
	touch $@

# About three minutes; make bench FULL=1 takes longer.
bench: $(ready) $(VENV)/.bench
	FULL=$(FULL) $(bin)/python -m benchmarks

$(VENV)/.bench: pyproject.toml $(ready)
	$(bin)/python -m pip install --quiet --group bench
	touch $@

format: $(ready)
	$(bin)/ruff check --fix .
	$(bin)/ruff format .

clean:
	rm -rf $(VENV) testproject/.demo

$(ready): pyproject.toml Makefile
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 10), "Python 3.10 or later, please: make PYTHON=…"'
	$(PYTHON) -m venv $(VENV)
	$(bin)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(bin)/python -m pip install --quiet --group test --editable '.[redis]'
	touch $@
