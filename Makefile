# Ritorno. `make` lists the targets; all of them prepare .venv by themselves.
#
#   PYTHON=python3.12 make setup    another interpreter (3.11 or newer)
#   PIP_INDEX_URL=… make setup      another package index; pip's own variables are used as they are

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo "$$name"; break; fi; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY) ## Create .venv with the command `ritorno` in it

# Runs again only when what is to be installed changes.
$(READY): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ] || ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo "Ritorno needs Python 3.11 or newer, and none was found$(if $(PYTHON), as $(PYTHON))."; \
		echo "Install one (Debian, Ubuntu: apt install python3 python3-venv), or say where it is: make PYTHON=/path/to/python3 setup"; \
		exit 1; \
	fi >&2
	@if ! "$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$(PYTHON) can't create virtual environments: its parts venv and ensurepip are missing."; \
		echo "On Debian and Ubuntu: apt install python3-venv (or python3.X-venv for that version), then again."; \
		exit 1; \
	fi >&2
	@echo "Preparing $(VENV) with $$("$(PYTHON)" --version) (a minute or two the first time) …"
	@"$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement constraints.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)
	@echo "Ready: $(BIN)/ritorno"

NODE := tests/node
PACKAGES := $(NODE)/node_modules/.ready

.PHONY: packages
packages: ## Fetch the npm packages with which tests send events; without npm these tests skip
	@if command -v npm >/dev/null; then \
		$(MAKE) -s --no-print-directory $(PACKAGES) || echo "NO NODE: the packages of $(NODE) could not be fetched"; \
	fi

$(PACKAGES): $(NODE)/package.json $(NODE)/package-lock.json
	@cd $(NODE) && npm ci --loglevel=error >/dev/null
	@touch $@

SITE := streams/http/ingest/site

.PHONY: site-script
site-script: packages ## Write what pages get, of streams/http/ingest/site/ritorno.js
	@made=$$(mktemp); trap 'rm -f "$$made"' EXIT; \
	node $(NODE)/minify.mjs $(SITE)/ritorno.js > "$$made"; \
	cp "$$made" $(SITE)/ritorno.min.js; chmod 644 $(SITE)/ritorno.min.js; wc -c < $(SITE)/ritorno.min.js

.PHONY: demo
demo: setup ## Weeks of a shop's life in about a minute, without a broker or a mail server
	@$(BIN)/ritorno demo

# One more than there are cores: the tests on real Kafka wait most of the time.
PYTEST := $(BIN)/pytest --numprocesses $(shell echo $$(($$(nproc) + 1))) --maxprocesses 4 --dist loadgroup

FAST := tests/schemas tests/sending tests/tools/workflow_files tests/project tests/runtime/state tests/runtime/logs/test_embedded.py tests/runtime/logs/test_embedded_redaction.py \
	tests/partition/test_partition.py tests/rules/test_conditions.py tests/customer/test_segments.py \
	tests/workflows/test_steps.py

.PHONY: check
check: lint types ## Before each commit: lint, types and the fast tests, in about a minute
	@$(PYTEST) -q $(FAST)

.PHONY: test
test: setup packages ## All tests of CI; those on real Kafka need Java 17 and Maven, and say so when they skip
	@$(PYTEST) $(PYTEST_ARGS)

.PHONY: test-slow
test-slow: setup packages ## Before an issue is called resolved: what does not fit CI, other examples
	@$(PYTEST) -m "slow or hypothesis" --hypothesis-profile=night --durations=15
	@$(MAKE) soak soak-mail FAULTS=20

.PHONY: coverage
coverage: setup packages ## Before an issue is called resolved: how much of each room the tests run, and its floor
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m coverage run $(PYTEST) -q
	@$(BIN)/python -m tests.coverage_floors

.PHONY: lint
lint: setup ## ruff: style and likely mistakes; import-linter: who may import whom
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache

.PHONY: types
types: setup ## mypy --strict
	@$(BIN)/mypy

.PHONY: catalogue
catalogue: setup ## Write docs/catalogue.md anew, from the workflow files and the tests
	@$(BIN)/python -m tests.catalogue

DASHBOARD := deploy/grafana/dashboards/ritorno.json

.PHONY: dashboard
dashboard: setup ## Write Grafana's dashboard anew, from the metrics in streams/operate
	@$(BIN)/python -m streams.tools.dashboard $(DASHBOARD)

.PHONY: states
states: setup ## Write docs/states.md anew, from the tables of transitions
	@$(BIN)/python -m tests.states

.PHONY: bench
bench: setup ## Measure; writes benchmarks/results.json, README's table and the sizes in docs/operations.md
	@$(BIN)/python -m benchmarks
	@$(BIN)/python -m benchmarks.table README.md
	@$(BIN)/python -m benchmarks.sizing docs/operations.md

FAULTS ?= 100

.PHONY: soak
soak: setup ## The long fault run on real Kafka: 100 kills, pauses and restarts (FAULTS=…), about an hour
	@RITORNO_REQUIRE_KAFKA=1 $(BIN)/python -m tests.faults.soak --faults $(FAULTS)

.PHONY: soak-mail
soak-mail: setup ## The mailer killed 50 times while 5,000 mails go to a real SMTP server
	@$(BIN)/python -m tests.faults.mail_soak

.PHONY: schemas
schemas: setup ## Export the JSON Schemas to out/schemas
	@$(BIN)/ritorno schemas export out/schemas

.PHONY: contract
contract: setup ## Write docs/contract.md anew, from the models; RELEASE=1: also what later ones are compared with
	@$(BIN)/python -m streams.tools.contract docs $(if $(RELEASE),--release)

MANIFESTS := deploy/kubernetes/ritorno.yaml
INGEST_MANIFESTS := deploy/kubernetes/ritorno-ingest.yaml
KUBE_VERSION := 1.34.0

# For who has no helm: what the chart says with its own values.
.PHONY: manifests
manifests: ## Write deploy/kubernetes/ anew, of the Helm chart (needs helm 3)
	@helm lint --strict --quiet --kube-version $(KUBE_VERSION) deploy/helm/ritorno
	@fresh=$$(mktemp); trap 'rm -f "$$fresh"' EXIT; \
	{ echo '# Written by `make manifests`, of deploy/helm/ritorno. Needs a Secret `ritorno`: see docs/operations.md.'; \
	  helm template ritorno deploy/helm/ritorno --kube-version $(KUBE_VERSION); } > "$$fresh"; \
	cp "$$fresh" $(MANIFESTS); chmod 644 $(MANIFESTS); \
	{ echo '# Written by `make manifests`: `ritorno ingest` beside the workers. Needs a Secret `ritorno-ingest`: see docs/operations.md.'; \
	  helm template ritorno deploy/helm/ritorno --kube-version $(KUBE_VERSION) --set ingest.where=alone \
	    --set ingest.ingress.host=ingest.shop.example --show-only templates/ingest.yaml; } > "$$fresh"; \
	cp "$$fresh" $(INGEST_MANIFESTS); chmod 644 $(INGEST_MANIFESTS)

# All versions and their files' hashes, for any machine and Python 3.11 or newer. The other three are
# parts of constraints.txt: what the image runs with, what builds its wheel, what asks for advisories.
COMPILE = "$$fresh/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate $${PIP_INDEX_URL:+--default-index "$$PIP_INDEX_URL"}

.PHONY: constraints
constraints: ## Resolve all dependencies anew; write versions and hashes into constraints.txt
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	"$(PYTHON)" -m venv "$$fresh"; \
	"$$fresh/bin/python" -m pip install --quiet --disable-pip-version-check uv; \
	echo "Resolving …"; \
	$(COMPILE) --extra dev pyproject.toml > "$$fresh/all"; \
	for each in 'requirements pyproject.toml' 'build-requirements -' 'advisories-requirements -'; do \
	  name="$${each% *}"; from="$${each##* }"; \
	  case "$$name" in build*) echo 'hatchling' ;; advisories*) echo 'pip-audit' ;; esac \
	    | $(COMPILE) --constraint "$$fresh/all" "$$from" > "$$fresh/$$name"; \
	  { echo '# Written by `make constraints`.'; cat "$$fresh/$$name"; } > "deploy/$$name.txt"; \
	done; \
	{ sed -n '/^#/p' constraints.txt; cat "$$fresh/all"; } > "$$fresh/constraints.txt"; \
	cp "$$fresh/constraints.txt" constraints.txt; \
	grep -c '==' constraints.txt

AUDIT := $(VENV)/advisories

$(AUDIT)/bin/pip-audit: deploy/advisories-requirements.txt
	@"$(PYTHON)" -m venv $(AUDIT)
	@$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

.PHONY: advisories
advisories: setup $(AUDIT)/bin/pip-audit ## Which dependencies have security advisories; fails when one has, or nobody can be asked
	@$(BIN)/python .ci/advisories.py $(AUDIT)/bin/pip-audit

.PHONY: clean
clean: ## Remove .venv and everything that was generated
	@rm -rf $(VENV) $(NODE)/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* out demo-output
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
