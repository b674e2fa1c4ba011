#!/usr/bin/env bash
# The Debian package, by cargo-deb (scripts/tools.sh installs it): binary, unit, configuration, rules, documents.
#
#   scripts/deb.sh [--fast] [--binary FILE] [--output FOLDER]
#
# Builds target/release/tollbell unless a binary is named; the package goes to target/debian by default.
# --fast compresses less.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.tools/bin:$PATH"

binary='' output=target/debian fast=()
while [ $# -gt 0 ]; do
  case $1 in
  --binary) binary=$2 ;;
  --output) output=$2 ;;
  --fast)
    fast=(--fast)
    shift
    continue
    ;;
  *)
    sed -n '2,7s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
  esac
  shift 2
done
type -P cargo-deb >/dev/null || {
  echo "deb.sh: cargo-deb is missing: scripts/tools.sh" >&2
  exit 1
}
if [ -z "$binary" ]; then
  cargo build --release --locked --bin tollbell
elif [ "$(realpath "$binary")" != "$(realpath -m target/release/tollbell)" ]; then
  install -D -m 755 "$binary" target/release/tollbell
fi

# The shipped configuration with the places of a package: the database beside nothing that belongs to root.
mkdir -p target/deb
sed -e 's#^  url: sqlite:data/tollbell.db *#  url: sqlite:/var/lib/tollbell/tollbell.db   #' \
  -e 's#/run/secrets/#/etc/tollbell/secrets/#' \
  -e 's#TELNYX_PUBLIC_KEY=… tollbell check --config config/tollbell.yaml#tollbell check --config /etc/tollbell/tollbell.yaml#' \
  config/tollbell.yaml >target/deb/tollbell.yaml
grep -q 'url: sqlite:/var/lib/tollbell/tollbell.db' target/deb/tollbell.yaml
mkdir -p "$output"
cargo-deb deb --no-build --locked "${fast[@]}" --output "$output"
