"""From receipt to the request at Slack, and what bad signatures do to good requests."""

import pathlib
import sqlite3
import statistics
import tempfile
import threading
import time

import machine
import receivers
from machine import Driver

EVENTS_A_SECOND = 1000
SECONDS = 20
BAD_A_SECOND = 5000


def percentile(values, part):
    values = sorted(values)
    return values[min(int(part * len(values)), len(values) - 1)] if values else float("nan")


def receipt_to_slack(args, binary):
    """Milliseconds from when an event was received, as it is stored, to the whole request at Slack."""
    with tempfile.TemporaryDirectory(dir=args.dir) as folder, receivers.receiver() as (port, seen):
        folder = pathlib.Path(folder)
        (folder / "rules.yaml").write_text(machine.SPEND_LIMIT_RULES)
        rules = [*machine.shipped_rules(), folder / "rules.yaml"]
        text = receivers.slack(port)
        with machine.tollbell(binary, folder, args.key, rules, text) as (_, public, private):
            count = EVENTS_A_SECOND * SECONDS
            driver = Driver(args.driver, public, mix="notify", connections=64, count=count, rate=EVENTS_A_SECOND)
            driver.go()
            figures = driver.figures()
            machine.await_judged(private)
            machine.await_true("all messages", lambda: seen[receivers.REQUESTS] >= count // 100, 0.2)
        with sqlite3.connect(folder / "tollbell.db") as db:
            received = dict(db.execute("SELECT id, received_at FROM inbox"))
        waits = [
            (at - received[event] / 1e6) * 1000 for event, at in seen.arrivals().items() if event in received
        ]
        return waits, figures


def beside_bad(args, binary, bad):
    """Figures of good requests at a fixed rate, with and without bad ones beside them."""
    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        folder = pathlib.Path(folder)
        server = ', trusted_proxies: ["127.0.0.1/32"]'
        rules = machine.shipped_rules()
        receiver = ""
        with machine.tollbell(binary, folder, args.key, rules, receiver, server) as (_, public, private):
            good = Driver(args.driver, public, mix="received", connections=64, count=500 * SECONDS, rate=500)
            noise = None
            if bad:
                noise = Driver(
                    args.driver, public, mix="received", connections=64, count=bad * SECONDS, rate=bad, bad=True
                )
                noise.go()
            good.go()
            figures = good.figures()
            refused = noise.figures() if noise else {}
            return figures, refused


def run(args):
    for name, binary in args.binaries.items():
        print(f"\n{name}: {EVENTS_A_SECOND} events a second, of which one in a hundred notifies, {SECONDS} s")
        for _ in range(args.rounds):
            waits, figures = receipt_to_slack(args, binary)
            print(
                f"receipt to Slack: p50 {percentile(waits, 0.5):.1f} ms, p99 {percentile(waits, 0.99):.1f} ms of "
                f"{len(waits)}; ack p99 {figures['p99_us'] / 1000:.1f} ms, latest start {figures['late_max_us'] / 1000:.1f} ms",
                flush=True,
            )
        print(f"\n{name}: good requests at 500/s, beside {BAD_A_SECOND} bad signatures a second, and without")
        ratios = []
        for _ in range(args.rounds):
            quiet, _ = beside_bad(args, binary, 0)
            loud, refused = beside_bad(args, binary, BAD_A_SECOND)
            ratios.append(loud["p99_us"] / quiet["p99_us"])
            print(
                f"p99 {quiet['p99_us'] / 1000:.1f} ms without, {loud['p99_us'] / 1000:.1f} ms beside "
                f"{refused['answers'] / refused['seconds']:.0f}/s: {refused['statuses']}; ratio {ratios[-1]:.2f}",
                flush=True,
            )
        print(f"ratio of p99: {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
