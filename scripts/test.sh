#!/usr/bin/env bash
# All tests: installs what they need (scripts/tools.sh), then runs them. Arguments go to `cargo test`.
#
# TOLLBELL_KILL_ROUNDS=1000 scripts/test.sh durability    a longer run of the kill -9 test than CI's
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/tools.sh
exec cargo test --locked "$@"
