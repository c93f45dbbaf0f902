# Everything a developer runs. `make .venv` alone makes the environment, with .venv/bin/batch-router in it.

.PHONY: demo test suite check fuzz bench drill test-vllm bench-vllm demo-vllm clean

# The newest of these that is there; 3.11 is the oldest that will do.
PYTHON := $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# The tests start hundreds of processes: each would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE
VLLM := .venv-vllm

demo: .venv
	$(BIN)/batch-router demo

# Beside each other: mypy keeps one core busy.
test: .venv
	@$(MAKE) --no-print-directory -j 2 check suite

# Twice as many processes as CI has cores: many tests wait for workers.
suite: .venv
	$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder

check: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.house

# SEED= repeats an earlier run, EXAMPLES= says how many each fuzzer tries.
fuzz: SEED := $(or $(SEED),$(shell $(PYTHON) -c 'import random; print(random.randrange(1 << 32))'))
fuzz: .venv
	@echo "make fuzz SEED=$(SEED)"
	FUZZ_EXAMPLES=$(or $(EXAMPLES),20000) FUZZ_SEED=$(SEED) FUZZ_SECONDS=600 $(BIN)/pytest -n 2 --timeout 0 tests/fuzz --hypothesis-seed=$(SEED)

# SMALL=1 goes through every part in seconds, without figures that count.
bench: .venv
	$(BIN)/python -m tests.bench $(if $(SMALL),--small)

# SEED= replays the random kills of an earlier run, KILLS= says how many.
drill: .venv
	HYPOTHESIS_PROFILE=drill $(BIN)/pytest -q tests/road/test_schedules.py tests/road/test_lying_schedules.py
	SEED=$(SEED) KILLS=$(KILLS) $(BIN)/python -m tests.drills

# The last one is copied into it.
.venv: pyproject.toml constraints.txt Procfile
	@test -n "$(PYTHON)" || { echo "batch_router needs Python 3.11 or later: install it and try again" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev --editable .
	@touch .venv

# The real vLLM on CPU, in a venv of its own; the installer first says what that takes.
test-vllm: .venv
	$(BIN)/python -m tests.vllm.install $(VLLM)
	TEST_VLLM_VENV=$(abspath $(VLLM)) $(BIN)/pytest -v tests/vllm

# What we add to bare `vllm run-batch`; MODEL=smollm2 has rows that cost something.
bench-vllm: .venv
	$(BIN)/python -m tests.vllm.install $(VLLM)
	$(BIN)/python -m tests.vllm.bench $(VLLM) $(MODEL) $(if $(SMALL),--small)

demo-vllm: .venv
	$(BIN)/python -m tests.vllm.install $(VLLM)
	$(BIN)/python -m tests.vllm.demo $(VLLM)

clean:
	rm -rf .venv .venv-vllm build dist
