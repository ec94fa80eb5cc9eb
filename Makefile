# The words of this repository. What takes more than a line lives in deploy/make.

.PHONY: help up down test chaos check fmt lint proto sqlx fuzz load audit
.DEFAULT_GOAL := help

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## install what is missing, build, start Turnpike on port 4000 (PORT=…) and say how to call it
	@deploy/make/up

down: ## stop what `make up` started
	@deploy/make/down

test: ## run every test, with private servers of its own
	@deploy/make/test

chaos: ## exactly once under a thousand random faults, under load; takes half an hour
	@deploy/make/chaos

check: ## what the CI asks before the tests: format and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features data-plane/bench --locked -- -D warnings

fmt: ## format the code
	cargo fmt --all

lint: ## lints, with the fixes that clippy knows applied
	cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged

proto: ## write the generated gRPC code anew
	TURNPIKE_REGENERATE=1 cargo test -p proto --test generated

sqlx: ## check the queries against the migrations, and write control-plane/.sqlx anew
	@deploy/make/sqlx

fuzz: ## search for inputs that break promises (SECONDS_PER_TARGET=600, TARGETS=…)
	@deploy/make/fuzz

audit: ## check dependencies against advisories, licences, bans and sources
	@deploy/make/audit

load: ## measure a release build beside nginx, on one core each (see tests/load/README.md)
	@deploy/make/load
