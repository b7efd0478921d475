# Break & Fix a mini-GPT: every command, one line each. `make` alone lists them.
# ARGS goes to the command behind `make learn`, as in: make learn ARGS=--no-browser

PYTHON ?= python3
BIN := .venv/bin
LEARNER := .venv/learner
INSTALLED := .venv/installed
EXTRAS := .venv/extras

.PHONY: help install learn aprender test lint build bench lock

help:  ## list the commands / lista las órdenes
	@sed -n 's/^\([a-z]*\):.*##/\1\t/p' Makefile | expand -t 12

install: $(LEARNER) $(INSTALLED)  ## set everything up in .venv / prepara todo en .venv

# pip reads the lock, so every machine gets the same versions; nothing happens while the lock has not changed.
# A learner needs less than the tests do.
$(LEARNER): requirements-learner.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 or newer is needed, and “$(PYTHON)” is not that: install it, or name it with PYTHON=python3.12" >&2; \
	  echo "Hace falta Python 3.11 o posterior, y «$(PYTHON)» no lo es: instálalo o indícalo con PYTHON=python3.12" >&2; \
	  exit 1; }
	@echo "Installing into .venv: some minutes the first time / Instalando en .venv: unos minutos la primera vez"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --requirement requirements-learner.lock
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(INSTALLED): requirements.lock $(LEARNER)
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --requirement requirements.lock
	@touch $@

# --no-deps, because what they ask for besides is in the lock, and pip shall not exchange it.
$(EXTRAS): requirements-extras.lock $(INSTALLED)
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --no-deps --requirement requirements-extras.lock
	@touch $@

learn: $(LEARNER)  ## open the course in JupyterLab / abre el curso, en inglés primero
	@$(BIN)/python -m course.learn --lang en $(ARGS)

aprender: $(LEARNER)  ## abre el curso en JupyterLab, en español / open it in Spanish
	@$(BIN)/python -m course.learn --lang es $(ARGS)

test: install $(EXTRAS)  ## run every test / ejecuta todas las pruebas
	$(BIN)/course build --check
	$(BIN)/course check
	$(BIN)/course check --mutate
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --nbval-lax --durations=20 tests solutions

lint: install  ## look for mistakes of style / revisa el estilo
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

build: install  ## make the notebooks from the lesson sources / genera los cuadernos
	$(BIN)/course build

bench: install  ## run every measurement in benchmarks/, for hours / ejecuta las mediciones, durante horas
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --requirement benchmarks/requirements.txt
	@for file in $$(grep -l __main__ benchmarks/*.py); do echo "$$file"; $(BIN)/python "$$file" || exit 1; done
	@$(BIN)/python -m benchmarks.clean_loops

# After a change of a version in pyproject.toml: a fresh environment decides the rest.
lock:  ## write the locks again / vuelve a escribir los dos .lock
	$(PYTHON) -m venv --clear build/lock
	build/lock/bin/python -m pip install --editable '.[course,dev]'
	{ sed -n '/^#/p' requirements.lock; \
	  build/lock/bin/python -m pip freeze --all --exclude pip --exclude-editable | sed 's/+cpu$$//' | LC_ALL=C sort --ignore-case; } > build/requirements.lock
	mv build/requirements.lock requirements.lock
	$(PYTHON) -m venv --clear build/learner
	build/learner/bin/python -m pip install --constraint requirements.lock --editable '.[course]'
	{ sed -n '/^#/p' requirements-learner.lock; \
	  build/learner/bin/python -m pip freeze --all --exclude pip --exclude-editable | sed 's/+cpu$$//' | LC_ALL=C sort --ignore-case; } > build/requirements-learner.lock
	mv build/requirements-learner.lock requirements-learner.lock
