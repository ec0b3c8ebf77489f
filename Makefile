# Needs Python 3.11 or newer with its venv module, make and git; everything else comes from PyPI into .venv, at the
# versions of constraints.txt. A C++ compiler is taken from the system, or from PyPI where the system has none.

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=

BIN := $(VENV)/bin
COMPILER := $(if $(shell command -v c++ || command -v g++ || command -v clang++),,compiler)
STAMPED_BY := pyproject.toml constraints.txt Makefile

comma := ,
empty :=
space := $(empty) $(empty)
# $(call install,EXTRAS): this tree, editable, with its extras and pinned versions.
install = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	--editable ".$(if $(1)$(COMPILER),[$(subst $(space),$(comma),$(strip $(1) $(COMPILER)))])"

.PHONY: help demo test test-long prove lint format bench docs clean distclean

help:
	@echo 'make demo       the demonstration: generate, simulate, compare clock for clock'
	@echo 'make test       the tests that take seconds (PYTEST_ARGS="-k lfsr" to choose)'
	@echo 'make test-long  the tests marked long'
	@echo 'make prove      proofs that every unit does what its specification says, some minutes'
	@echo 'make lint       ruff and mypy, changing nothing'
	@echo 'make format     ruff, changing files'
	@echo 'make bench      the scripts of bench/ that need nothing else'
	@echo 'make docs       the documentation, build/docs/index.html'
	@echo 'make clean      remove what was built and cached; distclean removes $(VENV) too'
	@echo 'PYTHON=python3.12 chooses the interpreter that makes $(VENV).'

demo: $(VENV)/.core
	$(BIN)/gradloom demo

test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

# No long test at all (exit status 5) is no failure. The quick tests of builds and documents come
# again: here they have their tools, where `make test` had to skip some.
test-long: $(VENV)/.all
	$(BIN)/python -m pytest -n 2 -m long $(PYTEST_ARGS) || [ $$? -eq 5 ]
	$(BIN)/python -m pytest -n 2 tests/boards/test_build.py tests/test_docs.py

prove: $(VENV)/.test
	$(BIN)/gradloom prove --waves build/prove

lint: $(VENV)/.all
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/.all
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Those that need nothing but the core; the others say in their first lines what they want.
bench: $(VENV)/.core
	$(BIN)/python bench/simulation.py
	$(BIN)/python bench/training.py

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -W --keep-going -q -d build/doctrees docs build/docs
	@echo 'build/docs/index.html'

clean:
	rm -rf build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -path './$(VENV)' -prune -o -name __pycache__ -type d -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || \
		{ echo 'gradloom needs Python 3.11 or newer: there is no $(PYTHON); name one: make PYTHON=python3.12 ...' >&2; \
		exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"gradloom needs Python 3.11 or newer: $(PYTHON) is %d.%d; name another: make PYTHON=python3.12 ..." \
		% sys.version_info[:2])'
	$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }

# The extras of a stamp; each is installed again when what it was made from changes.
$(VENV)/.core: EXTRAS :=
$(VENV)/.test: EXTRAS := test
$(VENV)/.docs: EXTRAS := docs
$(VENV)/.all: EXTRAS := test dev docs fpga
$(VENV)/.core $(VENV)/.test $(VENV)/.docs $(VENV)/.all: $(STAMPED_BY) | $(BIN)/python
	$(call install,$(EXTRAS))
	@touch $@
