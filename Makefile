# Needs Python 3.10 or newer and make; everything else goes into .venv. Arguments of the command: make test ARGS="-k flows"
PYTHON ?= python3
BIN = .venv/bin

.PHONY: run test bench lint

run: .venv/runtime
	@exec $(BIN)/python app.py serve $(ARGS)

test: .venv/test
	@exec $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

bench: .venv/test
	@exec $(BIN)/python -m tests.bench $(ARGS)

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Files that say when the dependencies were installed, so that it is done again only when pyproject.toml has changed.
.venv/runtime: pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/test: pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch .venv/runtime $@

# Debian and Ubuntu leave pip out of venv until python3-venv is installed; the system's own pip may help out.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit("Downbeat needs Python 3.10 or newer, and $(PYTHON) is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12")'
	@$(PYTHON) -m venv .venv >/dev/null 2>&1 \
	|| { $(PYTHON) -m venv --without-pip .venv && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; } >/dev/null 2>&1 \
	|| { echo "$(PYTHON) cannot make a virtual environment with pip. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
