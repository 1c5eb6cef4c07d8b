# Thin names for what the programs do; set-up is setup.sh.
.DEFAULT_GOAL := all
.PHONY: all demo demo-full play stop release neo test test-neo test-browser emulate soak lint bench docs clean help

# Tests start hundreds of interpreters: each module is compiled once, not by each of them.
unexport PYTHONDONTWRITEBYTECODE

all:      ## prepare everything; the commands are then in bin/
	@./setup.sh all

# With STORE there is one computer, whose mini-master keeps its state in that.
STORE ?=
CLOUD = $(if $(STORE),--store '$(STORE)',--regions 3)
demo:     ## three regions from nothing to nothing, and a table; STORE=file: one computer
	@./setup.sh programs
	@bin/slapcluster play demo $(CLOUD)

demo-full: ## the same, a loss of all power with a cold start, and an upgrade
	@./setup.sh programs
	@bin/slapcluster play demo --regions 3 --full

play:     ## the same cloud, left running, with commands to type
	@./setup.sh programs
	@bin/slapcluster play start $(CLOUD)

stop:     ## end what `make play` left running
	@./setup.sh programs
	@bin/slapcluster play stop

release:  ## fill dist/release/ with what a computer needs to build our software
	@./setup.sh programs
	@bin/python -m slapcluster.release

neo: all ## the wheel of NEO for Python 3 that set-up built, in dist/neo/
	@rm -rf dist/neo && mkdir -p dist/neo
	@cp .make/cache/dist/neoppod-*.whl dist/neo/

test: all ## every check and every test
	@bin/pytest -n auto --dist worksteal

# The whole demo, with its upgrade, is one test.
test-neo: all ## NEO's own tests on that wheel, and a cluster of real processes
	@bin/pytest tests/neo_port -n auto --dist worksteal -o faulthandler_timeout=2400

test-browser: ## the panel in the system's Chromium; pictures in .make/pictures/
	@./setup.sh browser
	@PYTHONPATH=.make/browser bin/pytest tests/browser

# RUNS of each fault of three regions, JOBS at a time; ONLY what pytest -k selects.
RUNS ?= 1
JOBS ?= 1
ONLY ?=
emulate: all ## faults of three regions, and what only root can try; run with sudo
	@.venv/bin/python -m tests.emulate -n $(JOBS) -k '$(ONLY)' --runs $(RUNS)

SECONDS ?= 3600
CAMPAIGN ?= histories
soak: all ## CAMPAIGN (histories, schedules, ...) for SECONDS, JOBS at a time; goes on
	@bin/python tests/soak.py --campaign $(CAMPAIGN) --seconds $(SECONDS) --jobs $(JOBS)

lint: all ## style and types alone
	@bin/pytest tests/test_lint.py tests/test_tidy.py tests/test_imports.py

bench: all ## what things cost beside the stock slapproxy; minutes, resumed when interrupted
	@.venv/bin/python -m benchmarks

docs: all ## the documentation, in docs/_build/
	@bin/sphinx-build -q -W --keep-going docs docs/_build
	@echo docs/_build/index.html

clean:    ## remove what was generated here
	@rm -rf .venv .make .soak bin eggs develop-eggs parts .installed.cfg build dist \
	  docs/_build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@rmdir .slapcluster 2>/dev/null || true

help:     ## this
	@sed -n 's/^\([a-z-]*\):[^#]*## /  make \1\t/p' Makefile
