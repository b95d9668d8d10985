#!/usr/bin/env bash
# Every reduced build that is advertised compiles, without a warning: no features, and each feature alone.
set -euo pipefail

# The names in the [features] table, without `default`.
features() {
  awk '/^\[/ { inside = ($0 == "[features]") } inside && /^[a-z]/ && $1 != "default" { print $1 }' "$1/Cargo.toml"
}

for crate in strata-proto strata-client strata-media; do
  for feature in "" $(features "$crate"); do
    cargo clippy --quiet --locked -p "$crate" --lib --no-default-features --features "$feature" -- -D warnings ||
      { echo "features: $crate does not build with ${feature:-no features} alone" >&2; exit 1; }
  done
  echo "features: $crate alone, and with each of:" $(features "$crate")
done
