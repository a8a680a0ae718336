# make try [DATA=stack.tif]              super-resolve a small stack with the network that comes with the package
# make demo [DATA=stack.tif] [SCALE=8]   train the three stages on a small stack and super-resolve its last sections
# make test                              lint, types and tests
# make lint                              lint and types only
# make format                            fix what ruff can fix
# make dist                              build wheel and sdist into dist/, install the wheel by itself and try it
# make docs                              build the documentation into site/; a broken link is an error
# make benchmark EM_DATA=folder          compare networks at equal training, from the raw stacks: hours
# make weights EM_DATA=folder            train the network that comes with the package: hours, or minutes on a GPU
# Each first makes .venv, or updates it if requirements.lock has changed.

PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3,$(if $(shell command -v $(p)),$(p))))
SCALE ?= 8
BIN := .venv/bin
LOCKED := .venv/locked-$(shell cksum < requirements.lock | tr ' ' '-')
INSTALLED := .venv/installed
DOCS := .venv/docs
NAPARI := .venv/napari
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: try demo weights test dist docs benchmark lint format venv clean always
.DELETE_ON_ERROR:

try: $(INSTALLED)
	$(BIN)/gpemsr-demo --weights fib25-x8 --consistent --out try $(if $(DATA),--data "$(DATA)")

demo: $(INSTALLED)
	$(BIN)/gpemsr-demo --scale $(SCALE) $(if $(DATA),--data "$(DATA)")

# One process per core, so one thread each.
test: lint $(NAPARI)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

dist: $(INSTALLED)
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	.ci/try_wheel dist/*.whl

docs: $(DOCS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Raw stacks as EM_DATA/{fib25_sample1,fib25_sample2_half,isbi2012_train}/*.tif. Finished steps are not repeated.
BENCHMARKS := fib25 neurons isbi2012
TRAININGS := fib25 isbi2012
SEGMENTERS := mala_fib25 superhuman_fib25 superhuman_isbi2012
LMDB := $(BIN)/gpemsr-lmdb --out benchmark/data --scales 8 --overwrite

benchmark: $(INSTALLED) $(BENCHMARKS:%=benchmark/data/.%) $(SEGMENTERS:%=experiments/%/models/net_g_latest.pth)
	worst=0; \
	for name in $(TRAININGS); do \
	  $(BIN)/gpemsr-benchmark-train -opt options/benchmark/train_$$name.yml || worst=$$?; done; \
	for name in $(BENCHMARKS) ablation; do \
	  $(BIN)/gpemsr-benchmark -opt options/benchmark/$${name}_x8.yml || worst=$$?; done; exit $$worst

# Raw stacks as for the benchmark, and EM_DATA/fib25_large/raw.tif.
SHIPPED := stage1 stage2_x8 first_step_x8 stage3_x8 last_step_x8

weights: $(INSTALLED)
	@test -d "$(EM_DATA)" || { echo 'error: make weights EM_DATA=folder, with fib25_large/raw.tif and the like' >&2; exit 2; }
	append=--overwrite; for stack in large_0 large_2 sample1_0 sample1_2; do \
	  case $$stack in large*) stop=;; *) stop=200;; esac; \
	  $(BIN)/gpemsr-lmdb "$(EM_DATA)/fib25_$${stack%_*}/raw.tif" --out shipped/data --name fib25_train --volume fib25_$$stack \
	    --every 4 --crop $${stack##*_}:$$stop,:,: $$append || exit; append=--append; done
	$(BIN)/gpemsr-lmdb "$(EM_DATA)/fib25_sample1/raw.tif" --out shipped/data --name fib25_test --every 4 --crop 200:,0:240,0:240 --overwrite
	for name in $(SHIPPED); do $(BIN)/gpemsr-train -opt options/shipped/$$name.yml || exit; done
	$(BIN)/gpemsr-convert experiments/shipped_last_step_x8/models/net_g_latest.pth --param-key params_ema \
	  --out shipped/fib25-x8.safetensors --overwrite

benchmark/raw: always | $(INSTALLED)
	@test -d "$@" || test -d "$(EM_DATA)" || \
	  { echo 'error: make benchmark EM_DATA=folder, with fib25_sample1/raw.tif and the like' >&2; exit 2; }
	@test ! -d "$@" || test -z "$(EM_DATA)" || test "$@" -ef "$(EM_DATA)" || \
	  { echo "error: benchmark/ was begun with $$(readlink $@): leave out EM_DATA, or remove benchmark/" >&2; exit 2; }
	@test -d "$@" || { mkdir -p benchmark && ln -sfn "$(abspath $(EM_DATA))" $@; }

benchmark/data/.fib25: | benchmark/raw
	$(LMDB) benchmark/raw/fib25_sample1/raw.tif --name fib25 --every 4 --crop :,0:240,0:240 --split train=0-199 test=200-249
	touch $@

benchmark/data/.neurons: | benchmark/raw
	$(LMDB) benchmark/raw/fib25_sample2_half/raw.tif --name neurons --every 4 --crop :,0:120,0:248 --split test=0-249
	touch $@

benchmark/data/.isbi2012: | benchmark/raw
	$(LMDB) benchmark/raw/isbi2012_train/raw.tif --name isbi2012 --voxel-size 50 4 4 --split train=0-23 test=24-29
	touch $@

experiments/%/models/net_g_latest.pth: | benchmark/raw
	$(BIN)/gpemsr-train -opt options/benchmark/segmentation/$*.yml --auto_resume

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

venv: $(INSTALLED)

clean:
	rm -rf .venv build dist site *.egg-info

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

$(DOCS) $(NAPARI): .venv/%: requirements-%.lock $(INSTALLED)
	$(PIP) install --no-deps -r $<
	touch $@
