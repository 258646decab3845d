PYTHON ?= python3
BIN := .venv/bin

.PHONY: serve test lint bench lock

serve: .venv
	@$(BIN)/tidings serve

# Kept bytecode halves the time that commands and tests take to begin.
unexport PYTHONDONTWRITEBYTECODE

test: .venv
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

lint: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv
	$(BIN)/python -m tests.bench $(ARGS)

# Made again whenever the lock changes; half-made environments carry no stamp and are finished next time.
.venv: .venv/.made
.venv/.made: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tidings needs Python 3.11 or later (set PYTHON=)")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

lock: .venv
	uv pip compile requirements.in -o requirements.lock --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

# The committed description of the API; a test compares it with what is served.
.PHONY: openapi
openapi: .venv
	$(BIN)/tidings openapi > openapi.json
