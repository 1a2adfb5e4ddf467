# The repository's verbs. A machine needs Python 3.11 or newer with venv; nothing else.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test bench clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch .venv/installed

demo: install
	$(BIN)/semiseg demo

test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

bench: install
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/balanced_contrast.py
	$(BIN)/python benchmarks/loading.py
	$(BIN)/python benchmarks/reading.py
	$(BIN)/python benchmarks/iteration.py
	$(BIN)/python benchmarks/patch_methods.py
	$(BIN)/python benchmarks/surface_distances.py

clean:
	rm -rf .venv semiseg-demo
