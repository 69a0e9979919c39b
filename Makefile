# Voltstream. `make` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 3

.PHONY: help
help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: install
install: .venv/installed .cache/kafka/installed .cache/kafka/classes.jsa ## set up Python packages and Kafka's jars inside this folder

.venv/installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Voltstream needs Python 3.11 or newer: install it, or say which with PYTHON=python3.12"; exit 1; }
	@echo "installing Python packages into .venv (a minute or two, once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -c 'import sysconfig, pathlib; pathlib.Path(sysconfig.get_path("purelib"), "voltstream.pth").write_text("$(CURDIR)\n")'
	@touch $@

.cache/kafka/installed: deploy/local/pom.xml
	@command -v java >/dev/null || { echo "Voltstream needs Java 17 or newer for Kafka: install a JRE (Debian: apt-get install openjdk-17-jre-headless)"; exit 1; }
	@command -v mvn >/dev/null || { echo "Voltstream needs Maven to fetch Kafka: install it (Debian: apt-get install maven)"; exit 1; }
	@echo "fetching Kafka's jars into .cache/kafka (a minute, once)"
	@rm -f .cache/kafka/*.jar
	@mvn --quiet --batch-mode -f deploy/local/pom.xml -Dmaven.repo.local=$(CURDIR)/.cache/maven -DoutputDirectory=$(CURDIR)/.cache/kafka dependency:copy-dependencies
	@touch $@

.cache/kafka/classes.jsa: .cache/kafka/installed .venv/installed
	@echo "preparing Kafka's classes, so that it starts faster (some seconds, once)"
	@$(BIN)/python -m chassis.broker --prepare

.PHONY: lock
lock: .venv/installed ## resolve the dependencies anew (needs uv)
	@uv pip compile pyproject.toml --all-extras --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --universal --python-version 3.11 --quiet -o requirements.lock
	@uv pip compile pyproject.toml -c requirements.lock --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --universal --python-version 3.11 --quiet -o requirements-image.lock

.PHONY: run
run: install ## run the whole system on this machine, until Ctrl-C
	@$(BIN)/python -m deploy.local

.PHONY: demo
demo: install ## the same, and 20 simulated stations charge against it
	@$(BIN)/python -m deploy.local.demo

.PHONY: fmt
fmt: .venv/installed ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix-only .

.PHONY: lint
lint: .venv/installed ## ruff, mypy, import-linter
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

.PHONY: test
test: install test-tools ## set everything up and run every test
	@rm -rf .pytest_cache
	@$(BIN)/pytest -n $(WORKERS) --no-loadscope-reorder -m "not alone" || $(call singly,not alone)
	@$(BIN)/pytest -m alone || $(call singly,alone)

# A test that waits for real processes can be impatient on a machine that does other things as well; one that is wrong fails twice.
singly = { test $$? = 1 && echo "what failed runs once more with nothing beside it; what passes only so was named above, and is to be mended" && \
	$(BIN)/pytest --last-failed --last-failed-no-failures none --maxfail 3 -m "$(1)"; }

.PHONY: test-tools
test-tools: # what the tests run besides: PostgreSQL and kubectl
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || $(call debian,postgresql,PostgreSQL)
	@command -v kubectl >/dev/null || { echo "the tests need kubectl 1.27 or newer, to render deploy/k8s: install it"; exit 1; }

debian = { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && echo "installing $(2) for the tests" && \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1) >/dev/null; } || \
	{ echo "the tests need $(2): install it (Debian: apt-get install $(1))"; exit 1; }

.PHONY: check
check: lint test ## what must be green before a commit

.PHONY: bench
bench: install ## measure, each beside a floor taken in the same run (ONLY=gateway,memory: some)
	@$(BIN)/python -m benchmarks --only "$(ONLY)"

.PHONY: load
load: install ## let simulated stations charge against `make run` (STATIONS=50 RATE= PROFILE=closed SECONDS=30 SEED=1 URL=)
	@$(BIN)/python -m benchmarks.load $(foreach each,STATIONS RATE PROFILE SECONDS SEED URL,$(call flag,$(each)))

.PHONY: torture
torture: install ## 200 stations charge while everything is killed again and again; nothing may be lost (SEED=)
	@$(BIN)/python -m tests.torture $(call flag,SEED) $(call flag,STATIONS) $(call flag,SECONDS)

.PHONY: torture-money
torture-money: install ## 2,000 sessions are charged and paid while whoever keeps books is killed again and again; all books must agree (SEED=)
	@$(BIN)/python -m tests.torture.money $(call flag,SEED) $(call flag,SESSIONS) $(call flag,SECONDS)

flag = $(if $($(1)),--$(shell echo $(1) | tr A-Z a-z) $($(1)))

.PHONY: mutation
mutation: .venv/installed ## change the rules in small ways and see whether their tests notice (MODULE=services.sessions SAMPLE=30 SEED=1)
	@$(BIN)/python -m tests.mutation $(call flag,MODULE) $(call flag,SAMPLE) $(call flag,SEED)

.PHONY: replay
replay: install ## every state, SQL and ClickHouse worked out anew from the log of `make run`, and what differs; sends nothing
	@$(BIN)/python -m deploy.local.replay

.PHONY: retranslate
retranslate: install ## what today's gateway rules make of every frame in the log of `make run`, where that is something else
	@VOLTSTREAM_PARTITIONS=$${VOLTSTREAM_PARTITIONS:-4} VOLTSTREAM_SECRET=$${VOLTSTREAM_SECRET:-$$(cat .voltstream/secret)} \
		$(BIN)/python -m services.gateway retranslate

.PHONY: contracts
contracts: .venv/installed ## write contracts/schema and docs/ocpp-coverage.md from the code
	@$(BIN)/python -m contracts.generate
	@$(BIN)/python -m services.api openapi
	@$(BIN)/python -m tests.samples
	@$(BIN)/python -m tests.ocpp_coverage

.PHONY: image
image: ## build the container image (needs Docker)
	docker build --build-arg VERSION=$$(git describe --tags --always) --build-arg REVISION=$$(git rev-parse HEAD) -t voltstream:local .
