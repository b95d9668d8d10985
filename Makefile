# `make help` lists the targets. Each works alone on a fresh Debian 12 machine, but for `make fuzz`: it needs cargo-fuzz,
# which nothing here installs.
#   MEDIA=clip.mp4   the clip that `make demo` (and the end-to-end tests) send; one is generated when absent
#   SECONDS=30       how long `make demo` streams; 0 = until Ctrl-C
#   TRACES=folder    recorded capacities for `make bench-bonding`, in Mahimahi's format; made ones when absent
#   FUZZ_SECONDS=20  how long `make fuzz` spends on each target

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
export STRATA_TOOLS := $(TARGET_DIR)/tools
export PATH := $(STRATA_TOOLS)/bin:$(HOME)/.cargo/bin:$(PATH)

CARGO ?= cargo
CARGOFLAGS ?= --locked
CRATES := strata-proto strata-client strata-server strata-media
FUZZ_SECONDS ?= 20

ifneq ($(MEDIA),)
override MEDIA := $(abspath $(MEDIA))
export MEDIA
endif

.PHONY: help setup demo test test-programs check fmt clippy features fuzz-targets doc deny purity sizes package bench bench-bonding bench-throughput fuzz

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'
	@sed -n 's/^#   /  /p' $(firstword $(MAKEFILE_LIST))

setup: ## install what is missing: GStreamer, ffmpeg, rist-tools, the tools of `test` and `check`
	@scripts/setup.sh all

demo: ## a device enrols, streams over two bad links, the recording is checked
	@scripts/setup.sh build
	$(CARGO) build $(CARGOFLAGS) --workspace --bins
	$(TARGET_DIR)/debug/demo \
	  $(if $(MEDIA),--media "$(MEDIA)") $(if $(SECONDS),--seconds $(SECONDS))

test: ## every test, the ones with real processes included
	@scripts/setup.sh test
	@$(MAKE) test-programs
	$(CARGO) nextest run $(CARGOFLAGS) --workspace --test-threads $$((2 * $$(nproc)))
	$(CARGO) test $(CARGOFLAGS) --workspace --doc

# The end-to-end tests start the daemons; one build with the tests' features serves both.
test-programs:
	$(CARGO) build $(CARGOFLAGS) --workspace --bins --tests

check: ## what a change must pass besides the tests
	@scripts/setup.sh check
	@$(MAKE) fmt sizes purity deny clippy features fuzz-targets doc package
	@echo "make check: all passed"

fmt:
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check

sizes:
	scripts/sizes.sh

purity:
	scripts/purity.sh

# Advisories need the advisory database from a git host: CI on GitHub checks them.
deny:
	$(CARGO) deny --locked --all-features check bans licenses sources

clippy:
	$(CARGO) clippy $(CARGOFLAGS) --workspace --all-targets -- -D warnings

features:
	scripts/features.sh

# Of a workspace of their own, so that nothing else sees them.
fuzz-targets:
	$(CARGO) clippy $(CARGOFLAGS) --manifest-path fuzz/Cargo.toml --target-dir $(TARGET_DIR) --bins --no-default-features \
	  -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(CARGOFLAGS) --workspace --no-deps

# Cargo takes a packaged crate of the same version for the same crate: without this, what an earlier run packaged
# would stand in for the crates that others depend on.
package:
	@rm -rf $(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src/-*/strata-* \
	  $(CRATES:%=$(TARGET_DIR)/debug/.fingerprint/%-*)
	$(CARGO) package $(CARGOFLAGS) $(if $(CI),,--allow-dirty) $(CRATES:%=-p %)

bench: ## criterion benches; the figures are explained in benches/README.md
	@scripts/setup.sh build
	$(CARGO) bench $(CARGOFLAGS) -p strata-benches

bench-throughput: ## CPU time per Gbit and the highest rate without loss, beside librist and SRT (ARGS=)
	@scripts/setup.sh test
	$(CARGO) run --release $(CARGOFLAGS) -p strata-benches --bin throughput -- \
	  --rounds 3 --highest 100,200,400,600,800,1000 $(ARGS)

bench-bonding: ## bonding beside librist, SRT and GStreamer over emulated links (TRACES=, SECONDS=, ARGS=)
	@scripts/setup.sh build
	$(CARGO) build $(CARGOFLAGS) --release -p strata -p strata-benches --bin strata --bin bonding
	STRATA_BIN_DIR=$(TARGET_DIR)/release $(TARGET_DIR)/release/bonding --out $(TARGET_DIR)/bench-bonding \
	  $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

fuzz: ## every decoder for FUZZ_SECONDS (needs cargo-fuzz; a nightly toolchain for AddressSanitizer)
	scripts/fuzz.sh $(FUZZ_SECONDS)
