#!/usr/bin/env bash
# Runs every fuzz target for the given number of seconds (default 20). Findings go to fuzz/artifacts.
set -euo pipefail

seconds=${1:-20}
cd "$(dirname "$0")/.."
cargo fuzz --version >/dev/null 2>&1 ||
  { echo "fuzz: cargo-fuzz is missing: cargo install --locked cargo-fuzz" >&2; exit 1; }
toolchain=(+nightly) options=()
if ! cargo +nightly --version >/dev/null 2>&1; then
  # All but AddressSanitizer works with stable too.
  echo "fuzz: without a nightly toolchain, and so without AddressSanitizer"
  toolchain=() options=(--sanitizer none)
  export RUSTC_BOOTSTRAP=1
fi
python3 scripts/fuzz-seeds.py
for target in $(cargo "${toolchain[@]}" fuzz list); do
  echo "fuzz: $target, $seconds s"
  mkdir -p "fuzz/corpus/$target"
  cargo "${toolchain[@]}" fuzz run "${options[@]}" "$target" -- \
    -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -verbosity=0
done
