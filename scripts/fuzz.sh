#!/usr/bin/env bash
# Runs every fuzz target for the given number of seconds (default 20). Findings go to fuzz/artifacts.
set -euo pipefail

seconds=${1:-20}
cd "$(dirname "$0")/.."
cargo fuzz --version >/dev/null 2>&1 || { echo "fuzz: cargo-fuzz is missing: cargo install --locked cargo-fuzz" >&2; exit 1; }
for target in $(cargo +nightly fuzz list); do
  seeds=()
  [ -d "fuzz/seeds/$target" ] && seeds=("fuzz/seeds/$target")
  mkdir -p "fuzz/corpus/$target"
  echo "fuzz: $target, $seconds s"
  cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "${seeds[@]}" -- \
    -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=0
done
