# Two commands for a newcomer, on a machine with Python >= 3.11 (with venv) and make:
#   make demo                                   paint a moving picture on the CPU
#   make demo IN=clip.mp4 STYLE=great-wave OUT=out.mp4    paint your own
#   make test                                   run the tests
# and two for a contributor: make lint, make format.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
IN ?=
STYLE ?=
OUT ?=
ARGS ?=
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo test lint format clean

demo: $(VENV)/.base
	@$(BIN)/python -m allaprima.demos.make_demo $(if $(IN),--in "$(IN)") $(if $(STYLE),--style "$(STYLE)") $(if $(OUT),--out "$(OUT)")

# Several at a time, since many tests wait; those of one file share what they have loaded.
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

lint: $(VENV)/.dev build/types/allaprima
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=build/types $(BIN)/mypy --namespace-packages --explicit-package-bases

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/.base: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Alla Prima needs Python 3.11 or newer; try make PYTHON=python3.12")'
	@echo "Installing into $(VENV) (once, about 200 MB) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	@$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

# The import name maps to top-level folders, which mypy cannot know: show it a tree that has the names.
build/types/allaprima:
	@mkdir -p $@
	@for folder in realtime kernels exporters bench demos; do ln -sfn ../../../$$folder $@/$$folder; done

clean:
	rm -rf $(VENV) build out *.egg-info .pytest_cache .mypy_cache .ruff_cache
