# `make run` starts the product here; `make test` runs every check that CI runs.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.installed
PORT ?= 8000
HOST ?= 127.0.0.1
MINUTES ?= 10
STUDIES ?= 200
SEED ?= 1
SALT ?= 0
ADVISORIES ?=
MIRROR ?=
AUDIT := var/audit/venv
CLIENTS := var/clients
# Networks that others were trained on from, out of the repository's history.
PREDECESSORS := skin-lesion/1.1.0 retina/1.1.0 brain-mri/1.2.0 body-part/1.0.2 chest-xray/1.1.1
FIRST_WEIGHTS ?= var/backbones/predecessors

# pip's own configuration says where packages come from.
PIP := $(BIN)/pip --disable-pip-version-check --quiet
INSTALL := $(PIP) install --require-hashes --only-binary :all: --no-compile
LOCK := $(BIN)/uv pip compile --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-header --quiet

SOURCES := accounts classifier medimaging ml records

.DEFAULT_GOAL := help
.PHONY: help install install-test backbones predecessors run check test clients lint types fmt openapi lock \
	audit bench bench-inference bench-intake bench-metadata bench-precision bench-queue chaos \
	containers fuzz pin-images clean

help:
	@echo "make run        start everything on http://$(HOST):$(PORT) (PORT=, HOST=)"
	@echo "make backbones  fetch the first weights that training starts from"
	@echo "make check      style, types and the tests that need no server: after each change"
	@echo "make test       every check and test"
	@echo "make clients    install what the API's contract is tested with"
	@echo "make lint       style, import rules, bandit, templates, migrations, OpenAPI document"
	@echo "make types      mypy"
	@echo "make fmt        format sources and templates"
	@echo "make openapi    write docs/openapi.yaml anew"
	@echo "make lock       resolve requirements/*.in into requirements/*.txt"
	@echo "make audit      scan a running product, and hold what is installed against ADVISORIES=file"
	@echo "make bench      measure pages and training's input"
	@echo "make bench-inference  measure the engines side by side, for every model"
	@echo "make bench-intake     measure intake by every door, beside Orthanc"
	@echo "make bench-metadata   measure the metadata of a study, beside Orthanc"
	@echo "make bench-precision  measure what bfloat16 would change, for every model"
	@echo "make bench-queue      measure the queue: a backlog, a lost Redis, an export beside urgent studies"
	@echo "make chaos      kill what runs while STUDIES=200 are sent for MINUTES=10, and count what is wrong (SEED=)"
	@echo "make fuzz       feed damaged files to the readers for MINUTES=10 each, with another SALT= others"
	@echo "make containers  bring docker-compose.yml up by podman and work with it (root; MIRROR=)"
	@echo "make pin-images  write the digests of compose's images into .env (needs Docker)"
	@echo "make clean      remove caches (never var/, which holds your data)"

install: $(STAMPS)/base

install-test: $(STAMPS)/test

$(STAMPS)/base: requirements/base.txt requirements/quickstart.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing what the product needs ..."
	@$(INSTALL) -r requirements/base.txt -r requirements/quickstart.txt
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/test: $(STAMPS)/base requirements/train.txt requirements/test.txt
	@echo "Installing what training and tests need ..."
	@$(INSTALL) -r requirements/train.txt -r requirements/test.txt
	@touch $@

backbones: install-test predecessors
	@$(PIP) install --require-hashes --no-deps --upgrade --target var/backbones -r requirements/backbones.txt

# A bundle holds a whole model.keras, or network.json and the weights in network.bin.
# brain-mri 1.2.1 was the network of 1.2.0, exported once more and never shipped.
predecessors:
	@mkdir -p $(FIRST_WEIGHTS)
	@for one in $(PREDECESSORS); do \
		folder=ml/bundles/$$one; to=$(FIRST_WEIGHTS)/$$(echo $$one | tr / -); \
		commit=$$(git rev-list -n 1 HEAD -- $$folder/network.bin); \
		git cat-file -e $$commit:$$folder/network.bin 2> /dev/null || commit=$$commit^; \
		if git cat-file -e $$commit:$$folder/model.keras 2> /dev/null; then \
			git show $$commit:$$folder/model.keras > $$to.keras || exit 1; \
		else \
			mkdir -p $$to; \
			git show $$commit:$$folder/network.json > $$to/network.json || exit 1; \
			git show $$commit:$$folder/network.bin > $$to/network.bin || exit 1; \
		fi; \
	done
	@cp $(FIRST_WEIGHTS)/brain-mri-1.2.0.keras $(FIRST_WEIGHTS)/brain-mri-1.2.1.keras

run: install
	@$(BIN)/python manage.py quickstart --host $(HOST) --port $(PORT)

# Each process has servers of its own; a file's tests stay together, and share what they start.
# Tests wait for other programs a good part of their time: one process more than there are cores.
# tests/startup.py says in which order files are begun.
test: lint types clients
	$(BIN)/pytest --numprocesses $$(( $$(nproc) + 1 )) --maxprocesses 5 \
		--dist loadfile --no-loadscope-reorder

# What needs no server and no browser.
check: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/pytest --without-servers --numprocesses $$(nproc) --dist loadfile

lint: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --severity-level medium \
		--recursive $(SOURCES) samples manage.py
	$(BIN)/djlint --lint --quiet templates medimaging/templates
	$(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	SECRET_KEY=$$(head -c 40 /dev/urandom | base64 -w 0) BEHIND_TLS=true \
		$(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py spectacular --fail-on-warn --validate | diff -u docs/openapi.yaml - \
		|| { echo "docs/openapi.yaml is out of date: make openapi"; exit 1; }

types: install-test
	$(BIN)/mypy

fmt: install-test
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .
	$(BIN)/djlint --reformat --quiet templates medimaging/templates || true

openapi: install-test
	$(BIN)/python manage.py spectacular --fail-on-warn --validate --file docs/openapi.yaml

# In this order: each set is resolved against the ones before it.
lock: install-test
	for set in base quickstart train test gpu backbones audit clients; do \
		$(LOCK) requirements/$$set.in --output-file requirements/$$set.txt || exit 1; \
	done

# The scanner lives apart: it pins other releases, and two of its packages come as sources only.
$(AUDIT)/.installed: requirements/audit.txt
	@test -x $(AUDIT)/bin/python || $(PYTHON) -m venv $(AUDIT)
	@$(AUDIT)/bin/pip --disable-pip-version-check --quiet install --require-hashes -r requirements/audit.txt
	@touch $@

audit: install-test $(AUDIT)/.installed
	$(BIN)/python manage.py check_dependencies $(if $(ADVISORIES),--advisories $(ADVISORIES))
	$(BIN)/python -m tests.scan.scan_pages --wapiti $(AUDIT)/bin/wapiti --out var/audit

# Other people's programs, which make and drive clients of the API; node comes as a wheel.
$(CLIENTS)/.installed: requirements/clients.txt tests/contract/typescript/package-lock.json
	@echo "Installing what the API's contract is tested with ..."
	@test -x $(CLIENTS)/venv/bin/python || $(PYTHON) -m venv $(CLIENTS)/venv
	@$(CLIENTS)/venv/bin/pip --disable-pip-version-check --quiet install \
		--require-hashes --only-binary :all: -r requirements/clients.txt
	@mkdir -p $(CLIENTS)/typescript
	@cp tests/contract/typescript/package*.json tests/contract/typescript/.npmrc $(CLIENTS)/typescript
	@PATH=$(abspath $(CLIENTS))/venv/bin:$$PATH npm ci --silent --prefix $(CLIENTS)/typescript
	@touch $@

clients: $(CLIENTS)/.installed

bench: install-test
	$(BIN)/pytest tests/bench -m bench -q -s

bench-inference: install-test
	$(BIN)/python -m tests.bench.bench_inference --out var/bench

bench-intake: install-test
	$(BIN)/python -m tests.bench.bench_intake

bench-metadata: install-test
	$(BIN)/python -m tests.bench.bench_metadata

bench-precision: install-test
	$(BIN)/python -m tests.bench.bench_precision

bench-queue: install-test
	$(BIN)/python -m tests.bench.bench_queue

# The whole product as real processes, each kind of which is killed and stopped again and again.
chaos: install-test
	$(BIN)/python -m tests.chaos.run_chaos --studies $(STUDIES) --minutes $(MINUTES) --seed $(SEED)

# Cases that end in neither frames nor a verdict are kept in var/fuzz.
fuzz: install-test
	$(BIN)/python -m tests.fuzz.fuzz_images --minutes $(MINUTES) --salt $(SALT)
	$(BIN)/python -m tests.fuzz.fuzz_headers --minutes $(MINUTES) --salt $(SALT)

# The first `up` of a hospital isn't the first: built and started here, without Docker's engine.
containers: install-test
	$(BIN)/python -m tests.containers.try_compose $(if $(MIRROR),--mirror $(MIRROR))

pin-images:
	docker/pin-images

clean:
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info
	find $(SOURCES) tests -name __pycache__ -type d -prune -exec rm -rf {} +
