#!/usr/bin/env bash
# No source file over 800 lines: a room that is too big has two people living in it.
set -euo pipefail

limit=800
git ls-files -z --cached --others --exclude-standard '*.rs' | xargs -0 awk -v limit="$limit" '
  FNR == 1 { files++ }
  FNR == limit + 1 { printf "sizes: %s has more than %d lines\n", FILENAME, limit; failed = 1 }
  END { if (!failed) printf "sizes: %d files, none over %d lines\n", files, limit; exit failed }'
