#!/usr/bin/env bash
# Runs every fuzz target for the given number of seconds (default 20). Findings go to fuzz/artifacts.
set -euo pipefail

seconds=${1:-20}
cd "$(dirname "$0")/.."
cargo fuzz --version >/dev/null 2>&1 ||
  { echo "fuzz: cargo-fuzz is missing: cargo install --locked cargo-fuzz" >&2; exit 1; }
python3 scripts/fuzz-seeds.py
for target in $(cargo +nightly fuzz list); do
  echo "fuzz: $target, $seconds s"
  mkdir -p "fuzz/corpus/$target"
  cargo +nightly fuzz run "$target" -- -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -verbosity=0
done
