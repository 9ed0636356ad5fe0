# SPDX-License-Identifier: Apache-2.0
# Every target first makes .venv from requirements.lock if it is missing or stale. `make help` lists them.
# Passed through: WAVES=1 (FST traces), SEED=n (all randomness), T=name (tests or design to run), PYTHON=python3.x.

VENV   := .venv
RUN    := $(VENV)/bin
JOBS   ?= 2
# yosys keeps its compiled form here: nothing is written to the home directory.
export XDG_CACHE_HOME := $(CURDIR)/.cache
PYTEST := $(RUN)/python -m pytest $(if $(T),-k '$(T)')

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-linux sim sim-long lint type bench synth replay fmt regs docs lock clean distclean
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

help: ## this list
	@printf 'Tupelo: targets of this Makefile (options: WAVES=1 SEED=n T=name JOBS=2)\n\n'
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)$$/\1\t\2/p' $(MAKEFILE_LIST) | \
	  while IFS="$$(printf '\t')" read -r name what; do printf '  make %-10s %s\n' "$$name" "$$what"; done

setup: ## make .venv from the lock file (every other target does so by itself)
	@MAKE_COMMAND='$(MAKE)' scripts/setup.sh

demo: setup ## the main job: 4 MiB over HTTPS through the RTL; results in build/demo/ (BYTES=n)
	@$(RUN)/tupelo demo $(if $(SEED),--seed $(SEED)) $(if $(BYTES),--bytes $(BYTES)) $(DEMO_ARGS)

test: setup ## all tests but the slow ones, JUnit results in build/junit.xml (T=name: only those)
	@mkdir -p build
	@$(PYTEST) -m 'not slow and not tap' -n $(JOBS) --dist loadgroup --junitxml=build/junit.xml driver userstack sim cocotb_tests

sim: setup ## simulator tests only (T=name, WAVES=1, SEED=n)
	@mkdir -p build
	@$(PYTEST) -m 'not slow and not tap' --junitxml=build/junit-sim.xml cocotb_tests

sim-long: setup ## the slow simulator tests too: long random runs, every size
	@mkdir -p build
	@$(PYTEST) -m 'not tap' -n $(JOBS) --dist loadgroup --junitxml=build/junit-long.xml driver userstack sim cocotb_tests

test-linux: setup ## tests with real Linux kernels in namespaces: needs root and /dev/net/tun (T=name)
	@mkdir -p build
	@$(PYTEST) -m 'tap and not slow' --junitxml=build/junit-linux.xml sim/linux

lint: setup ## ruff, mypy --strict, verible, Verilator lint, yosys elaboration, registers, file rules
	@$(RUN)/python -m sim.lint --jobs $(JOBS)

type: setup ## mypy --strict alone
	@$(RUN)/python -m sim.lint mypy

bench: setup ## measure speed: build/bench.json and a table against the bounds
	@$(RUN)/tupelo bench $(BENCH_ARGS)

synth: setup ## area in LUTs, flip-flops, block RAM by module, and an FPGA's clock: build/synth.json
	@$(RUN)/tupelo synth --jobs $(JOBS) $(SYNTH_ARGS)

replay: setup ## your own capture through the NIC: make replay F=file.pcap
	@$(RUN)/tupelo replay $(REPLAY_ARGS) $(F)

fmt: setup ## format Python, sort its imports
	@$(RUN)/ruff check --fix --quiet --select I . && $(RUN)/ruff format .

regs: setup ## write the register files again from rtl/regs/tupelo.rdl
	@$(RUN)/python -m sim.regs generate

docs: regs ## regenerate docs/registers.md and check the documentation's links and tables
	@$(RUN)/python -m sim.lint docs

lock: setup ## resolve the dependencies again and rewrite requirements.lock
	@$(RUN)/pip-compile --quiet --upgrade --extra dev -o requirements.lock pyproject.toml

clean: ## remove build/ and caches in the tree
	@rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean ## clean, and remove .venv and .cache too
	@rm -rf .venv .cache *.egg-info
