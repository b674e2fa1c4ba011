#!/usr/bin/env bash
# Measures durable acknowledgements of a running tollbell on this machine; see scripts/load.py for arguments.
#
#   scripts/load.sh --key                                       the public key to configure
#   scripts/load.sh --pid PID http://127.0.0.1:8080/webhooks/telnyx 1 8 32 128
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/tools.sh load
exec .tools/venv/bin/python scripts/load.py "$@"
