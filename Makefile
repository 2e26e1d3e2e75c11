# make setup | run | test | test-full | e2e | check | golden | requirements | bench | docs | sbom | audit | release; see README.md.
# `make run SOURCE=… BACKBONE=…`: every option of `inventory run` can be given as a make variable.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The index of CPU-only builds that PyTorch's "Get started" page names; empty takes the default (CUDA) build.
TORCH_INDEX ?=
STAMP := $(VENV)/.requirements-installed
DIRS := components pipelines tests benchmarks release
TOOLS := build/environments

# The variables given on the command line, which `run` reads from its environment: SPLIT=70/10/20 is --split 70/10/20.
# Neither make nor a shell looks into their values: `value` takes them as they were typed, quotes and dollars included.
OF_MAKE := E2E ENGINE PUSH BUILD_ARGS PYTHON VENV TORCH_INDEX REGISTRY TAG KEY
GIVEN := $(filter-out $(OF_MAKE),$(foreach v,$(.VARIABLES),$(if $(findstring command,$(origin $(v))),$(v))))
$(foreach v,$(GIVEN),$(eval override $(v) := $$(value $(v))))
ifneq ($(GIVEN),)
export $(GIVEN)
endif
export MAKE_VARIABLES := $(GIVEN)

.PHONY: setup run test test-full e2e check golden requirements bench images docs sbom audit release

setup: $(STAMP)

# $(call need,COMMAND,what to do where it fails); neither holds a comma.
need = @$(1) >/dev/null 2>&1 || { echo 'error: $(2)' >&2; exit 1; }
# pip keeps all that it fetches where TMPDIR says until the last package is there; /tmp is often memory, and too small.
PIP_INSTALL = TMPDIR="$(abspath $(VENV))/tmp" $(BIN)/python -m pip install -q --no-deps
$(STAMP): requirements/all.txt pyproject.toml
	$(call need,command -v $(PYTHON),there is no $(PYTHON); install Python 3.11 or newer or name it: make setup PYTHON=python3.12)
	$(call need,$(PYTHON) -c "import sys; sys.exit(sys.hexversion < 0x30b0000)",Python 3.11 or newer is needed: make setup PYTHON=python3.12)
	$(call need,$(PYTHON) -c "import ensurepip; import venv",$(PYTHON) cannot make environments; on Debian and Ubuntu: apt install $(notdir $(PYTHON))-venv)
	$(call need,test -w .,this folder cannot be written to; clone the project to where you may write)
	@$(BIN)/python -c 'import pip' 2>/dev/null || $(PYTHON) -m venv $(VENV)
	@rm -rf $(VENV)/tmp && mkdir $(VENV)/tmp
	@echo "installing $$(grep -c == requirements/all.txt) packages into $(VENV); this takes minutes"
ifneq ($(TORCH_INDEX),)
	$(PIP_INSTALL) --index-url $(TORCH_INDEX) $$(grep -oE '^(torch|torchvision)==[^ ]+' requirements/all.txt)
	sed -E '/^(torch|torchvision|triton|nvidia-[^m]|cuda-)/,/[^\\]$$/d' requirements/all.txt > $(VENV)/without-torch.txt
	$(PIP_INSTALL) --require-hashes -r $(VENV)/without-torch.txt
else
	$(PIP_INSTALL) --require-hashes -r requirements/all.txt
endif
	$(PIP_INSTALL) --no-build-isolation -e .
	@rm -rf $(VENV)/tmp
	@touch $@

run: setup
	@$(BIN)/python -m pipelines.cli.make_run

test: setup
	@mkdir -p build
	$(BIN)/python -m slipcover --source components,pipelines --json --out build/coverage.json -m pytest -q -m "not slow" \
	  --numprocesses auto --maxprocesses 4 --dist loadfile
	@$(BIN)/python -m tests.coverage_table build/coverage.json

test-full: setup
	$(BIN)/pytest -q -m "slow and not alone" --numprocesses auto --maxprocesses 4 --dist loadfile
	$(BIN)/pytest -q -m "slow and alone"

# The whole product on the cluster of KUBECONFIG: make e2e E2E="--namespace NAME --only preflight,plain"; docs/e2e.md.
e2e: setup
	$(BIN)/python -m tests.e2e_cluster $(E2E)

check: setup
	$(BIN)/ruff check $(DIRS)
	$(BIN)/ruff format --check $(DIRS)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint docker/Dockerfile
	@mkdir -p build && $(BIN)/inventory compile --output build/inventory.yaml

# Builds the three images with docker, podman or buildah, whichever is here.
ENGINE ?= $(firstword $(foreach e,docker podman buildah,$(if $(shell command -v $(e) 2>/dev/null),$(e))))
REGISTRY ?= ghcr.io/bin-inventory
TAG ?= $(shell $(PYTHON) -c 'import components; print(components.__version__)')

images:
	@test -n "$(ENGINE)" || { echo "error: docker, podman or buildah is needed to build images"; exit 1; }
	for image in control train serve; do \
	  $(ENGINE) build -f docker/Dockerfile --target $$image -t $(REGISTRY)/$$image:$(TAG) --build-arg VERSION=$(TAG) \
	    --build-arg REVISION=$$(git rev-parse HEAD) --build-arg SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) \
	    --build-arg CREATED=$$(TZ=UTC git log -1 --date=format-local:%FT%TZ --format=%cd) $(BUILD_ARGS) . && \
	    { test -z "$(PUSH)" || $(ENGINE) push $(REGISTRY)/$$image:$(TAG); } || exit 1; \
	done

# Writes anew what tests hold equal to the code: the samples in manifests/ and the compiled pipelines. `git diff` shows it.
golden: setup
	$(BIN)/python -m pipelines.samples
	for name in inventory reconciliation; do \
	  $(BIN)/inventory compile --pipeline $$name --registry registry.example/team --tag 1.2 \
	    --output tests/pipelines/$$name.golden.yaml || exit 1; \
	done

# Pins and hashes of requirements/, after a change of a .in file.
requirements: $(TOOLS)/lock/.installed
	PATH="$(abspath $(TOOLS))/lock/bin:$$PATH" sh requirements/lock.sh

bench: setup
	$(BIN)/python -m benchmarks.all

# Tools of a release, each in an environment of its own.
$(TOOLS)/%/.installed: requirements/tools/%.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install -q --no-deps --require-hashes -r $<
	@touch $@

# The site, into build/site; a link that leads nowhere is an error.
docs: setup $(TOOLS)/docs/.installed
	$(BIN)/python -m release.docs $(TOOLS)/docs/bin/python build/site

# What each environment consists of (CycloneDX), into build/sbom.
sbom: setup $(TOOLS)/supply/.installed
	$(BIN)/python -m release.sbom $(TOOLS)/supply/bin/python build/sbom

# Asks an advisory database about every pinned package.
audit: setup $(TOOLS)/supply/.installed
	$(BIN)/python -m release.audit $(TOOLS)/supply/bin/python

# Packages, bills of materials, notes, provenance and check sums of the version, into build/release/VERSION; signed with
# KEY=private.pem. docs/releases.md says how they are verified.
release: setup check $(TOOLS)/supply/.installed
	$(BIN)/python -m release.release $(TOOLS)/supply/bin/python build/release $(if $(KEY),"$(KEY)")
