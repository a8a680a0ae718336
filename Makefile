# make demo [DATA=stack.tif] [SCALE=8]   train the three stages on a small stack and super-resolve its last sections
# make test                              lint, types and tests
# make lint                              lint and types only
# Each makes or mends .venv first, where it is absent or requirements.lock has changed.

PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3,$(if $(shell command -v $(p)),$(p))))
SCALE ?= 8
BIN := .venv/bin
LOCKED := .venv/locked-$(shell cksum < requirements.lock | tr ' ' '-')
INSTALLED := .venv/installed
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test lint format venv clean
.DELETE_ON_ERROR:

demo: $(INSTALLED)
	$(BIN)/gpemsr-demo --scale $(SCALE) $(if $(DATA),--data "$(DATA)")

test: lint
	$(BIN)/python -m pytest

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

venv: $(INSTALLED)

clean:
	rm -rf .venv build *.egg-info

# BasicSR's setup.py needs setuptools, wheel and Cython beforehand; with build isolation pip would fetch torch twice.
$(LOCKED): requirements.lock
	@$(if $(PYTHON),,echo "error: no python3 found: sudo apt install python3.11 python3.11-venv" >&2; exit 2)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || \
	  { echo "error: $(PYTHON) is not Python 3.11 or 3.12, which the pins are for: make PYTHON=python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "error: $(PYTHON) cannot make virtual environments: sudo apt install $(notdir $(PYTHON))-venv" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(PIP) install $$(grep -E '^(setuptools|wheel|Cython|packaging)==' requirements.lock)
	$(PIP) install --no-deps --no-build-isolation -r requirements.lock
	rm -f .venv/locked-*
	touch $@

$(INSTALLED): $(LOCKED) setup.py pyproject.toml
	$(PIP) install --no-deps --no-build-isolation -e .
	touch $@
