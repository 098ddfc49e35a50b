# make demo: an early warning that works, and one that cannot; make docs: the site;
# make notebooks: run those of examples/ and keep their outputs (FORESHOCK_DATA names the real data);
# make test: what CI runs, there with COVERAGE=1, which takes a quarter longer; make test-all: all bars;
# make install-check: the wheel in clean environments, with the pinned and the lowest versions
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.installed

.PHONY: demo docs notebooks test test-all install-check lint clean

$(SETUP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(SETUP)
	mkdir -p runs
	set -e; demo=$$(mktemp -d runs/demo-XXXX); \
	$(BIN)/foreshock cut beijing-pm25 -o $$demo/air.npz --rule.channel pm2.5 --rule.event-above 300 \
	    --rule.window 3d --rule.horizon 24h --rule.quiet 24h; \
	$(BIN)/foreshock train $$demo/air.npz --run $$demo/air; \
	$(BIN)/foreshock report $$demo/air; \
	$(BIN)/foreshock simulate -o $$demo/catalog.csv; \
	$(BIN)/foreshock cut $$demo/catalog.csv -o $$demo/quakes.npz --rule.quiet-binds all; \
	$(BIN)/foreshock train $$demo/quakes.npz --run $$demo/quakes; \
	$(BIN)/foreshock report $$demo/quakes

docs: $(SETUP)
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -q -c docs . build/site
	@echo build/site/index.html

notebooks: $(SETUP)
	$(BIN)/python tests/notebooks.py

lint: $(SETUP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Workers compute beside each other, one a core, and threads that wait must not spin (OMP_WAIT_POLICY);
# the tests of a file share what they train, so they stay together (loadfile); the longest files come
# first, as tests/conftest.py sorts them.
PYTEST := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/pytest -n auto --maxprocesses 4 \
	--dist loadfile --no-loadscope-reorder \
	$(if $(COVERAGE),--cov --cov-report=term --cov-fail-under=90)

test: lint
	@echo "The tests take about ten minutes on two cores."
	$(PYTEST)

test-all: lint
	@echo "All tests take about an hour on two cores."
	$(PYTEST) -m 'slow or not slow'

install-check: $(SETUP)
	$(BIN)/python benchmarks/install.py pinned
	$(BIN)/python benchmarks/install.py lowest
	$(BIN)/python benchmarks/download.py

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .coverage
