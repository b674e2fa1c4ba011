#!/usr/bin/env bash
# The documents as a book, in target/book: open target/book/index.html.
#
#   scripts/book.sh
#
# Installs mdbook into .tools where it is missing (some minutes, once), builds, and checks every link of the result.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.5.4
if [ "$(.tools/bin/mdbook --version 2>/dev/null)" != "mdbook v$version" ]; then
  # Its own speed does not matter, the time to build it does.
  CARGO_PROFILE_RELEASE_OPT_LEVEL=0 cargo install --locked --no-default-features --features search --version "$version" \
    --root .tools --target-dir .tools/mdbook mdbook
  rm -rf .tools/mdbook
fi
said=$(.tools/bin/mdbook build 2>&1) || { echo "$said" >&2; exit 1; }
echo "$said"
# Such as a < that it takes for HTML: what follows it is lost.
! grep -E '^ *(WARN|ERROR)' <<<"$said" >/dev/null || { echo "book.sh: mdbook warns" >&2; exit 1; }
python3 scripts/book.py check target/book
