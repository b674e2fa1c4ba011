#!/usr/bin/env bash
# Sets tollbell against a bare handler that only verifies the signature: same machine, same load, one after the other.
#
#   scripts/bench.sh [CONNECTIONS...]        default: 1 8 32 128
#
# Prints acknowledgements per second, latency and server CPU per request for both, then what tollbell weighs: binary size,
# time from start to ready, idle memory. Durable: each of tollbell's acknowledgements is an fsynced row.
set -euo pipefail
cd "$(dirname "$0")/.."
connections=("${@:-1 8 32 128}")
read -ra connections <<< "${connections[*]}"
scripts/tools.sh load
cargo build --release --locked --bin tollbell --example bare
target=${CARGO_TARGET_DIR:-target}/release
dir=./bench.$$
mkdir "$dir"
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$dir"' EXIT
key=$(scripts/load.sh --key)

cat > "$dir/tollbell.yaml" <<YAML
server: {listen: "127.0.0.1:18080", private_listen: "127.0.0.1:19464"}
accounts: [{name: default, public_keys: ["$key"]}]
store: {url: "sqlite:$dir/tollbell.db"}
rule_files: ["$PWD/config/rules/*.yaml"]
route: {receiver: nobody}
receivers: [{name: nobody}]
YAML

ready() { for _ in $(seq 500); do "$target/tollbell" healthcheck --address 127.0.0.1:19464 >/dev/null && return; sleep 0.01; done; return 1; }

echo "== bare handler: verifies, keeps nothing"
"$target/examples/bare" 127.0.0.1:18081 "$key" >/dev/null & pids+=($!)
sleep 1
scripts/load.sh --pid $! http://127.0.0.1:18081/webhooks/telnyx "${connections[@]}"

echo "== tollbell: verifies, parses, keeps durably, judges by the shipped rules"
begin=$(date +%s%N)
"$target/tollbell" serve --config "$dir/tollbell.yaml" 2>"$dir/log" & pids+=($!)
pid=$!
ready
end=$(date +%s%N)
sleep 2
idle=$(awk '/VmRSS/ {print $2}' "/proc/$pid/status")
scripts/load.sh --pid "$pid" http://127.0.0.1:18080/webhooks/telnyx "${connections[@]}"
peak=$(awk '/VmHWM/ {print $2}' "/proc/$pid/status")

echo "== weight"
echo "binary        $(stat -c %s "$target/tollbell") bytes"
echo "start         $(((end - begin) / 1000000)) ms from exec to ready (with up to 10 ms of polling)"
echo "memory idle   $idle KiB"
echo "memory peak   $peak KiB under this load"
echo "log lines     $(wc -l < "$dir/log")"
