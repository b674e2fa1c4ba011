"""Durable acknowledgements per second, their latency, and the server's CPU per request, by number of connections.

    load.py --key
    load.py [--pid PID] [--seconds 10] [--rate-max 20000] [--rate R] [--bad R] URL CONNECTIONS...

Every request is a `call.cost` of its own, signed beforehand with a key that everyone knows (`--key` prints the public
half); the last column of a trustworthy run is `ok`. `--rate` paces the requests; `--bad` adds so many with signatures
that are not genuine in each second, each from another client where 127.0.0.1 is a trusted proxy. Loopback only: this is no tool against anybody's server.
"""

import argparse
import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.parse
import uuid

from nacl.signing import SigningKey

KEY = SigningKey(b"tollbell load test, known to all")
THREADS = 2
BAD_CONNECTIONS = 100


def lines(count):
    timestamp = str(int(time.time()))
    for _ in range(count):
        leg = str(uuid.uuid4())
        payload = {
            "billed_duration_secs": 42,
            "call_control_id": f"v3:{leg}",
            "call_leg_id": leg,
            "call_session_id": leg,
            "client_state": "bG9hZA==",
            "connection_id": "1494404757140276705",
            "cost_parts": [
                {
                    "billed_duration_secs": 42,
                    "call_part": part,
                    "cost": "0.0035",
                    "currency": "USD",
                    "rate": "0.0050",
                }
                for part in ("sip-trunking", "call-control")
            ],
            "occurred_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "status": "success",
            "total_cost": "0.0070",
        }
        event = {
            "record_type": "event",
            "event_type": "call.cost",
            "id": str(uuid.uuid4()),
            "occurred_at": payload["occurred_at"],
            "payload": payload,
        }
        meta = {"attempt": 1, "delivered_to": "https://hooks.example.com/webhooks/telnyx"}
        body = json.dumps({"data": event, "meta": meta})
        signature = KEY.sign(f"{timestamp}|{body}".encode()).signature
        yield f"{timestamp}\t{base64.b64encode(signature).decode()}\t{body}\n"


def cpu_seconds(pid):
    if not pid:
        return float("nan")
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def result_of(output):
    result = next(line for line in output.splitlines() if line.startswith("RESULT "))
    return json.loads(result.removeprefix("RESULT "))


def start_bad(args, environment):
    if not args.bad:
        return None
    pause = str(round(1000 * BAD_CONNECTIONS / args.bad))
    environment = environment | {"LOAD_BAD": "1", "LOAD_THREADS": "1", "LOAD_PAUSE": pause}
    command = ["wrk", "-t", "1", "-c", str(BAD_CONNECTIONS), "-d", f"{args.seconds}s"]
    command += ["-s", "scripts/load.lua", args.url]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def run(args, connections, file):
    # A single connection waits for the disk each time; it needs no more than this.
    count = int(args.seconds * min(args.rate_max, 5000 * connections))
    with open(file, "w") as out:
        out.writelines(lines(count))
    threads = min(THREADS, connections)
    command = ["wrk", "-t", str(threads), "-c", str(connections), "-d", f"{args.seconds}s"]
    command += ["--timeout", "10s", "-s", "scripts/load.lua", args.url]
    before = cpu_seconds(args.pid)
    environment = os.environ | {"LOAD_FILE": file, "LOAD_THREADS": str(threads)}
    bad = start_bad(args, environment)
    if args.rate:
        environment["LOAD_PAUSE"] = str(round(1000 * connections / args.rate))
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    if bad:
        result = result_of(bad.communicate()[0])
        print(f"bad signatures: {result['failed'] / result['seconds']:.0f}/s refused")
    cpu = cpu_seconds(args.pid) - before
    result = result_of(output.stdout)
    verdict = "ok"
    if result["failed"]:
        verdict = f"{result['failed']} FAILED"
    elif result["requests"] > count:
        verdict = "REPEATED EVENTS: raise --rate-max"
    requests = max(result["requests"], 1)
    print(
        f"{connections:>11} {result['requests'] / result['seconds']:>9.0f} {result['p50_ms']:>8.2f} "
        f"{result['p99_ms']:>8.2f} {result['max_ms']:>8.2f} {cpu / requests * 1e6:>10.0f}  {verdict}",
        flush=True,
    )


def main():
    if sys.argv[1:] == ["--key"]:
        print(base64.b64encode(bytes(KEY.verify_key)).decode())
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--pid", type=int)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rate-max", type=int, default=20000)
    parser.add_argument("--rate", type=int)
    parser.add_argument("--bad", type=int)
    parser.add_argument("url")
    parser.add_argument("connections", type=int, nargs="+")
    args = parser.parse_args()
    if urllib.parse.urlsplit(args.url).hostname not in ("127.0.0.1", "::1", "localhost"):
        parser.error("only this machine's loopback may be loaded")
    if args.seconds > 120:
        parser.error("120 seconds at most: the signatures must stay fresh")
    print("connections    acks/s   p50 ms   p99 ms   max ms  cpu us/req")
    with tempfile.NamedTemporaryFile() as file:
        for connections in args.connections:
            run(args, connections, file.name)


if __name__ == "__main__":
    main()
