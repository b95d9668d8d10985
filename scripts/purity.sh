#!/usr/bin/env bash
# The pure parts stay pure: without features, no crate reaches for a runtime, a socket or GStreamer.
set -euo pipefail

failed=0
for crate in strata-proto strata-client strata-media; do
  tree=$(cargo tree --locked -e normal --no-default-features -p "$crate" --prefix none)
  if found=$(grep -E '^(tokio|socket2|gstreamer)[a-z0-9-]* ' <<<"$tree" | sort -u); then
    printf 'purity: %s without features depends on\n%s\n' "$crate" "$found" >&2
    failed=1
  fi
done
[ "$failed" -eq 0 ] && echo "purity: strata-proto, strata-client, strata-media are pure without features"
exit "$failed"
