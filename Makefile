# Everything a developer runs. `make` alone lists it.
#
# demo and test need nothing but Rust and make: with-servers installs PostgreSQL and Redis when
# they are missing, and starts private ones below .local. DATABASE_URL and REDIS_URL, when set,
# are used instead.

SHELL := /bin/bash
.DEFAULT_GOAL := help

CARGO ?= cargo
BINARIES := $(or $(CARGO_TARGET_DIR),target)/release
DEBUG_BINARIES := $(or $(CARGO_TARGET_DIR),target)/debug
# Places at which tests may end a process; no release has them.
FAILPOINTS := --features store/failpoints
MINUTES ?= 5
WITH_SERVERS := deploy/local/with-servers

# Queries are checked against .sqlx, so that a DATABASE_URL that happens to be set never changes
# what a build does.
export SQLX_OFFLINE := true

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: release ## show what Lineage does, on a database of its own (DEMO_ARGS=…)
	$(WITH_SERVERS) --durable $(BINARIES)/lineage demo $(DEMO_ARGS)

.PHONY: test
test: ## run every test, on a database of its own (TEST_ARGS=…)
	deploy/local/install-servers postgresql redis # for faults, which no given server may suffer
	$(CARGO) build --workspace --locked $(FAILPOINTS)
	$(WITH_SERVERS) $(CARGO) test --workspace --locked $(FAILPOINTS) $(TEST_ARGS)

.PHONY: chaos
chaos: ## break everything under load, then check the books (MINUTES=5 SEED=… CHAOS_ARGS=…)
	deploy/local/install-servers postgresql redis
	deploy/local/install-servers faketime || true
	$(CARGO) build --workspace --locked $(FAILPOINTS)
	$(DEBUG_BINARIES)/chaos --minutes $(MINUTES) $(addprefix --seed ,$(SEED)) $(CHAOS_ARGS)

.PHONY: fuzz
fuzz: ## random requests, stream entries and files, each kind for MINUTES=5
	$(CARGO) build --workspace --locked $(FAILPOINTS)
	LINEAGE_FUZZ_MINUTES=$(MINUTES) $(WITH_SERVERS) $(CARGO) test --workspace --locked $(FAILPOINTS) \
	  fuzz_ -- --nocapture

.PHONY: check
check: deny ## formatting, lints, documentation and dependencies, as CI wants them
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked $(FAILPOINTS) -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

.PHONY: deny
deny: ## licences, sources, bans and, where they are known, advisories of dependencies
	deploy/local/cargo-deny

.PHONY: bench
bench: release ## measure throughput and latency (BENCH_ARGS=…)
	$(WITH_SERVERS) --durable $(BINARIES)/lineage bench all $(BENCH_ARGS)

.PHONY: up
up: release ## start a development stack that keeps running
	deploy/local/up

.PHONY: down
down: ## stop the development stack, keep its data
	deploy/local/down

.PHONY: clean-local
clean-local: ## stop the development stack, remove its data and every leftover in .local
	deploy/local/down --purge

# Never on the servers of DATABASE_URL: it needs an empty database, which it fills.
.PHONY: sqlx-prepare
sqlx-prepare: ## regenerate .sqlx after a change to a query or a migration
	env -u DATABASE_URL -u REDIS_URL $(WITH_SERVERS) deploy/local/sqlx-prepare

.PHONY: release
release:
	$(CARGO) build --release --locked
