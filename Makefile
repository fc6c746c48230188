PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
GENERATED := service/lossmeter/inference service/lossmeter/v1 clients/python/src/lossmeter_client/v1 docs/losses docs/disagreements.md
TOOL := $(BIN)/uv tool run --quiet --from
LOCK := $(BIN)/uv pip compile --quiet $(ARGS)

.DEFAULT_GOAL := help
.PHONY: help setup demo serve format check check-clients test test-clients test-interop container-check bench bench-clients bench-peers bench-scaling generate generate-python generate-clients docs lock sbom licences audit dashboard clean

help: ## List these targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.installed ## Make .venv with the locked dependencies and this package in it.

.venv/.installed: requirements-dev.lock pyproject.toml clients/python/pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable . --editable clients/python && touch $@

demo: setup ## Start the service and evaluate a real model's predictions over REST and gRPC.
	$(BIN)/python tools/demo.py

serve: setup ## Serve REST on 127.0.0.1:8080 and gRPC on 127.0.0.1:8081 (ARGS="--workers 2").
	$(BIN)/lossmeter serve $(ARGS)

format: setup ## Format Python and proto files.
	$(BIN)/ruff check --select I --fix --quiet && $(BIN)/ruff format
	$(BIN)/buf format --write

check: setup ## Check format, lint, types, protos, and that generated files are current.
	$(BIN)/ruff format --check && $(BIN)/ruff check && $(BIN)/mypy && $(BIN)/buf lint
	$(MAKE) --no-print-directory generate-python docs
	git diff --exit-code -- $(GENERATED) && test -z "$$(git ls-files --others --exclude-standard -- $(GENERATED))"

check-clients: setup ## Check format, lint, docs and generated stubs of the clients in other languages.
	$(MAKE) --no-print-directory generate-clients
	cd clients/go && ./check.sh
	cd clients/typescript && npm run --silent check
	cd clients/typescript/examples/dashboard && npm ci --no-audit --no-fund && npm run --silent check
	cd clients/java && mvn -q -B test-compile javadoc:javadoc
	cd clients/rust && cargo fmt --all --check
	cd clients/rust && cargo clippy --locked --quiet --workspace --all-targets --all-features -- -D warnings
	cd clients/rust && RUSTDOCFLAGS="-D warnings" cargo doc --locked --quiet --no-deps
	git diff --exit-code -- clients && test -z "$$(git ls-files --others --exclude-standard -- clients)"

test: setup ## Run all tests (ARGS="-k huber" for some).
	$(BIN)/pytest -n 2 $(ARGS)

test-clients: setup ## Run the suites of the clients against one service (ARGS="go rust" for some).
	$(BIN)/python -m tests.clients $(ARGS)

test-interop: setup ## Run Triton's and KServe's clients and perf_analyzer against the service.
	$(BIN)/pytest -v -rs tests/interop $(ARGS)

container-check: ## Build, run and ask the image, with a Docker engine or one brought up for it.
	$(PYTHON) -m tools.container_check

bench: setup ## Measure blocks of losses, then the backends beside each other (ARGS=1e6 for less).
	$(BIN)/python -m benchmarks.blocks $(ARGS)
	$(BIN)/python -m benchmarks.backends $(ARGS)

bench-clients: setup ## Measure the clients beside their languages' bare gRPC.
	$(BIN)/python -m benchmarks.clients $(ARGS)

bench-peers: setup ## Measure the service beside other servers, which it installs (ARGS="--rounds 1").
	$(BIN)/python -m benchmarks.peers $(ARGS)

bench-scaling: setup ## Measure against rows streamed, workers and callers (ARGS="--largest 6").
	$(BIN)/python -m benchmarks.scaling $(ARGS)

generate: generate-python generate-clients ## Generate code from proto/, for the service and for every client.

generate-python: setup
	$(BIN)/python tools/generate.py

generate-clients: setup
	cd clients/go && go generate .
	cd clients/typescript && npm ci --no-audit --no-fund && npm run --silent generate
	cd clients/java && ./generate.sh
	cd clients/rust && cargo run --locked --quiet -p generate

docs: setup ## Write docs/losses and docs/disagreements.md from the declarations.
	$(BIN)/python -m tools.pages

lock: setup ## Resolve the lock files anew (ARGS="--upgrade" for newer versions).
	$(LOCK) pyproject.toml --extra cpu --output-file requirements.lock
	$(LOCK) pyproject.toml --extra gpu --constraint requirements.lock --output-file requirements-gpu.lock
	$(LOCK) pyproject.toml --extra cpu --extra dev --constraint requirements.lock --output-file requirements-dev.lock
	$(LOCK) --group build --constraint requirements-dev.lock --output-file requirements-build.lock

sbom: setup ## Write build/*.cdx.json: what is locked for the images, as CycloneDX.
	mkdir -p build && for name in requirements requirements-gpu; do $(TOOL) cyclonedx-bom==7.5.0 cyclonedx-py requirements \
	    --pyproject pyproject.toml --output-reproducible --output-file build/$$name.cdx.json $$name.lock || exit 1; done

licences: setup ## Write docs/licences.md, of what is locked for the image.
	$(BIN)/python -m tools.licences

audit: setup ## Ask the package index which locked packages have known vulnerabilities.
	$(TOOL) pip-audit==2.10.1 pip-audit --strict --require-hashes --disable-pip $(foreach lock,$(wildcard requirements*.lock),--requirement $(lock)) $(ARGS)

dashboard: setup ## Draw Grafana's dashboard into docs/pictures, from a Prometheus that watches the service.
	$(BIN)/python -m tools.dashboard

clean: ## Remove caches and builds; .venv stays.
	rm -rf build dist service/*.egg-info clients/python/build clients/python/src/*.egg-info .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find service clients tests tools benchmarks -name __pycache__ -prune -exec rm -rf {} +
