.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := $(wildcard libs/*) $(wildcard services/*) cli
EDITABLE := $(foreach p,$(PACKAGES),-e ./$(p))
PYTEST := $(BIN)/python -m pytest
# Tests start processes by the hundred: each module is to be compiled once.
unexport PYTHONDONTWRITEBYTECODE
DEBIAN := baresip chromium curl espeak-ng nginx prometheus softhsm2 strace

help:  ## print these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 15

setup: $(VENV)/.run  ## install what the vault needs into .venv

run: $(VENV)/.run  ## start the embedded vault on https://localhost:8443 with two demo tenants
	@$(BIN)/voicefile demo

check: $(VENV)/.dev  ## format, lint, types, import rules, generated code (under a minute)
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python proto/generate.py --check

# In memory where there is enough of it: thousands of small stores would wait for the disk, and no
# test cuts the power. Three at a time, as they wait for processes as often as they compute.
test: check services  ## everything that must hold: check, then all tests, adapters against real engines
	@free=$$(df -k --output=avail /dev/shm 2>/dev/null | tail -n 1); \
	  scratch=$$(if [ "$${free:-0}" -gt 6000000 ]; then mktemp -d -p /dev/shm; else mktemp -d; fi); \
	  $(PYTEST) -n 3 --dist loadfile --no-loadscope-reorder -q --basetemp "$$scratch/tests" \
	    --durations=25 --durations-min=5; status=$$?; \
	  rm -rf "$$scratch"; $(BIN)/python -m tests.engines down --wipe; exit $$status

format: $(VENV)/.dev  ## let ruff format and mend what it can
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

proto: $(VENV)/.dev  ## generate libs/contracts from proto/
	@$(BIN)/python proto/generate.py

proto-lint:  ## lint the contracts, and compare them with the last commit (needs npm)
	@npx --yes @bufbuild/buf@1 lint proto
	@npx --yes @bufbuild/buf@1 breaking proto --against '.git#subdir=proto'

services: $(VENV)/.dev  ## start real engines for tests: Kafka, a document store, S3, OpenBao … (.engines/)
	@$(BIN)/python -m tests.engines up

services-down:  ## stop them and forget what they stored
	@test ! -x $(BIN)/python || $(BIN)/python -m tests.engines down --wipe

packages:  ## install what some tests want besides (Debian, as root); without it they say they did not run
	@apt-get update -qq
	@DEBIAN_FRONTEND=noninteractive apt-get install -yqq --no-install-recommends $(DEBIAN) >/dev/null

faults: $(VENV)/.dev  ## the long fault runs: random kills in the middle of everything
	@$(BIN)/python -m tests.engines up
	@VOICEFILE_FAULTS=long $(PYTEST) -q tests/faults tests/libs/docstore tests/libs/blobstore tests/libs/eventbus \
	  tests/telephony/test_whole_calls.py tests/telephony/test_ten_thousand.py tests/telephony/test_guessing.py \
	  tests/telephony/test_edge_limits.py
	@VOICEFILE_BACKUP_MANIPULATIONS=10000 VOICEFILE_BACKUP_CANARIES=10000 VOICEFILE_SHRED_EVERY_DAYS=1 \
	  $(PYTEST) -q tests/services/backup/test_verify.py tests/services/backup/test_host.py tests/services/backup/test_shred.py

nemesis: $(VENV)/.dev  ## a few minutes of faults over services apart: kills, cuts, full disks, a lost broker
	@VOICEFILE_FORM=cluster $(PYTEST) -q -p tests.cluster.plugin tests/faults/nemesis

cluster: $(VENV)/.dev  ## the suites of the whole vault over services apart: Kafka, a document store, S3
	@VOICEFILE_FORM=cluster $(PYTEST) -q -p tests.cluster.plugin tests/cluster tests/journeys tests/isolation

telephony: $(VENV)/.dev  ## real calls through an edge: SIPS, SRTP and keys, where FreeSWITCH 1.10 or newer is installed
	@VOICEFILE_TELEPHONY=real $(PYTEST) -q tests/telephony/real

bench: $(VENV)/.dev  ## print the figures, each as a ratio against a baseline of the same run
	@$(BIN)/python -m tests.bench

lock: $(VENV)/.dev  ## renew the hash-locked dependencies from requirements/*.in
	@cd requirements && for f in run cluster dev engines; do ../$(BIN)/pip-compile --quiet --upgrade --generate-hashes \
	  --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  --no-emit-options --no-header --output-file $$f.lock $$f.in || exit 1; done

clean:  ## remove what setup made; recordings in var/ stay
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(VENV)/.base: requirements/run.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; say make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/run.lock
	@touch $@

$(VENV)/.run: $(VENV)/.base $(wildcard libs/*/pyproject.toml services/*/pyproject.toml cli/pyproject.toml)
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation $(EDITABLE)
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.run
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.lock
	@touch $@

.PHONY: help packages setup run check test format proto proto-lint services services-down faults nemesis cluster telephony bench lock clean
