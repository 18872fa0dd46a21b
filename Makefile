.PHONY: env run test test-slow lint types bench torture up down
JOBS ?= 3
PYTHON := .venv/bin/python

# Make .venv from requirements.lock; does nothing when nothing changed.
env:
	@infra/environment.sh

# Train, compress, prove and release the digits model, end to end.
run: env
	@.venv/bin/steelyard run recipes/digits.yaml

# Run the tests, JOBS of them at a time: one of three waits for servers and processes, so that they suit two cores.
test: env
	@OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n $(JOBS) --dist loadgroup -m "not slow"

# Run those that take longest: more ways in which servers, workers and runs end, retraining, other machines, a wipe.
test-slow: env
	@OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n $(JOBS) --dist loadgroup -m slow

# Check style, formatting and the layers between packages.
lint: env
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@.venv/bin/lint-imports

# Check types, strictly.
types: env
	@$(PYTHON) -m mypy

# Measure every claim: each benchmark prints a table and writes JSON; the last one prints the README's table.
bench: env
	@for name in store store_s3 tracking training distributed memory overhead workers quality tables epochs gate gate_bunches readme; do $(PYTHON) -m benchmarks.$$name || exit 1; done

# End real runs by SIGKILL and Ctrl-C at every stage, at 50 random moments and, on workers, 50 times; compare their files.
torture: env
	@$(PYTHON) -m tests.torture && $(PYTHON) -m tests.torture.workers

# Start the Prefect server, the MLflow server and a worker on this machine, and leave them running.
up: env
	@.venv/bin/steelyard up

# Stop them.
down: env
	@.venv/bin/steelyard down
