# Everything that a contributor runs. `make` lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# cargo-deny of this version is built into target/tools where none is on the PATH.
CARGO_DENY_VERSION := 0.20.2
# `make deny DENY_CHECKS="advisories bans licenses sources"` asks for known vulnerabilities too.
DENY_CHECKS ?= bans licenses sources

.PHONY: help
help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-26s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Starts the server, sends it a real Spark driver and a SparkConnect over TLS, shows what changes, and stops it
	@cargo build --bin spark-admission --example demo
	@cargo run --quiet --example demo

.PHONY: test
test: control-plane spark static-binary ## Runs every test, and says how many ran and which were skipped
	@scripts/test

.PHONY: test-unit
test-unit: ## Runs the tests that need no socket and no process: those beside the code
	cargo test --lib --bins

.PHONY: test-control-plane
test-control-plane: control-plane spark ## Runs the tests on a real API server; KUBERNETES_VERSION=1.34.4 takes another version
	cargo test --test control_plane

# Those with a module of their own. The newest, `kubernetes` without a number, is what the other targets take.
KUBERNETES_VERSIONS ?= $(shell sed -n 's|^require k8s.io/kubernetes v||p' tests/control-plane/modules/kubernetes*/go.mod | sort -V)

.PHONY: test-kubernetes-versions
test-kubernetes-versions: ## Runs the tests on a real API server of every version of Kubernetes that Kubernetes supports
	@scripts/test-kubernetes-versions $(KUBERNETES_VERSIONS)

.PHONY: control-plane
control-plane: ## Builds etcd, Kubernetes, the Spark operator, Helm and kubectl for the tests, where they are not yet built
	@scripts/control-plane >/dev/null

.PHONY: spark
spark: ## Gets the Spark releases that the tests run, where they are not yet there; needs Java and Python
	@scripts/spark >/dev/null

.PHONY: e2e
e2e: static-binary ## Runs Spark on a real node, without the webhook and with it; needs root, and Debian
	cargo test --test e2e

.PHONY: proof
proof: static-binary ## The same for all pairs of columns, written into docs/proof.md; takes half an hour
	cargo test --test e2e -- --proof

.PHONY: static-binary
static-binary: ## Builds target/static/spark-admission, the one file of the image
	scripts/static-binary

.PHONY: image
image: static-binary ## Makes target/image.tar, the image of that binary, for `docker load` and the like; needs buildah, or a Debian
	@made=$$(scripts/image); echo "$$made"; [[ $$made = image=* ]]

.PHONY: lint
lint: ## Checks the format, and lets clippy read everything
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --test e2e -- -D warnings

.PHONY: check
check: lint test-unit ## Checks fast: format, clippy, unit tests; before every commit

.PHONY: format
format: ## Formats the code
	cargo fmt

.PHONY: bench
bench: ## Measures what a review costs
	cargo bench

.PHONY: bench-nodes
bench-nodes: control-plane ## Measures what five thousand nodes cost the server, on a real API server; takes minutes
	cargo build --release
	cargo test --test control_plane -- --ignored --nocapture five_thousand_nodes

.PHONY: golden
golden: ## Writes the golden files anew; look at what git says has changed
	UPDATE_GOLDEN=1 cargo test --test review_command --test false_alarms
	@git status --short -- tests

.PHONY: manifests
manifests: ## Writes what is made from the chart anew: install.yaml, kustomize, the table of values; look at what git says has changed
	UPDATE_MANIFESTS=1 cargo test --test charts generated::
	@git status --short -- manifests

.PHONY: deny
deny: ## Checks the dependencies: licences, sources, duplicates
	@scripts/cargo-deny $(CARGO_DENY_VERSION) check --hide-inclusion-graph $(DENY_CHECKS)

.PHONY: clean
clean: ## Removes everything that was built
	cargo clean
