# Needs Python 3.10 or newer and make; everything else goes into .venv. Arguments of the command: make test ARGS="-k flows"
PYTHON ?= python3
BIN = .venv/bin
UI = .venv/share/downbeat/ui.zip

PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: run install test bench lint lines lock

install: .venv/runtime $(UI)

run: install
	@exec $(BIN)/downbeat serve $(ARGS)

test: .venv/test $(UI)
	@exec $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(ARGS)

bench: .venv/test
	@exec $(BIN)/python -m tests.bench $(ARGS)

lines: .venv/test
	@$(BIN)/python -m tests.lines

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Choose the versions that the locks name, for every Python and system; what runs is what was tested. What is locked stays where
# it fits: newer with ARGS=--upgrade.
LOCK = $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.10 --generate-hashes --no-annotate \
	--custom-compile-command 'make lock' pyproject.toml -

lock: | $(BIN)/pip
	$(PIP) 'uv==0.13.*'
	echo setuptools | $(LOCK) $(ARGS) --output-file tests/requirements.lock --extra test >/dev/null
	echo setuptools | $(LOCK) $(ARGS) --output-file requirements.lock --constraint tests/requirements.lock >/dev/null

# Files that say when the dependencies were installed, so that it is done again only when they have changed. Setuptools, which
# makes the editable installation, is locked too: an environment of its own for building it would be filled from outside the lock.
.venv/runtime: pyproject.toml requirements.lock | $(BIN)/pip
	$(PIP) --no-deps --require-hashes --requirement requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/test: pyproject.toml tests/requirements.lock | $(BIN)/pip
	$(PIP) --no-deps --require-hashes --requirement tests/requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch .venv/runtime $@

# The files of the web UI. The server does without them as well, so that nothing stops when they cannot be fetched.
$(UI): handlers/domain/prefect_files.py | .venv/runtime
	@DOWNBEAT_UI_FILES=$@ $(BIN)/downbeat ui || echo "It is tried again by the next make; the API does not need it." >&2

# Debian and Ubuntu leave pip out of venv until python3-venv is installed; the system's own pip may help out.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit("Downbeat needs Python 3.10 or newer, and $(PYTHON) is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12")'
	@$(PYTHON) -m venv .venv >/dev/null 2>&1 \
	|| { $(PYTHON) -m venv --without-pip .venv && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; } >/dev/null 2>&1 \
	|| { echo "$(PYTHON) cannot make a virtual environment with pip. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
