"""How fast a receiver that takes its time is sent to what waits for it, by `concurrency`."""

import pathlib
import tempfile

import machine
import receivers
from machine import Driver

TAKES = 0.1
GROUPS = 1000
CONCURRENCY = (1, 4, 16, 64)
# Long enough for all events to come.
PAUSE = 20


def one(args, binary, concurrency, groups, has_key=True):
    """Deliveries a second, in parts of what so many places allow; the most in flight."""
    with tempfile.TemporaryDirectory(dir=args.dir) as folder, receivers.receiver(TAKES) as (port, seen):
        folder = pathlib.Path(folder)
        (folder / "rules.yaml").write_text(machine.SPEND_LIMIT_RULES)
        keys = f", concurrency: {concurrency}" if has_key else ""
        text = receivers.webhook(port, keys)
        with machine.tollbell(binary, folder, args.key, [folder / "rules.yaml"], text) as (pid, public, private):
            seen.pause(PAUSE)
            driver = Driver(args.driver, public, mix="unique", connections=16, count=groups)
            driver.go()
            driver.figures()
            machine.await_judged(private)
            waits = lambda: machine.metrics(private).get('tollbell_deliveries{state="pending"}', 0)
            machine.await_true("all to wait", lambda: waits() == groups and not seen[receivers.REQUESTS], 0.1)
            commits = "tollbell_store_commit_duration_seconds_count"
            before, cpu = machine.metrics(private)[commits], machine.cpu_seconds(pid)
            machine.await_true("all to be sent", lambda: seen[receivers.REQUESTS] >= groups, 0.2)
            delivered = 'tollbell_deliveries{state="delivered"}'
            machine.await_true("all to be recorded", lambda: machine.metrics(private).get(delivered) == groups, 0.2)
            took = seen[receivers.LAST_AT] - seen[receivers.FIRST_AT] + TAKES
            return {
                "a second": groups / took,
                "of ideal": groups / took / (concurrency / TAKES),
                "most in flight": seen[receivers.MOST],
                "commits": (machine.metrics(private)[commits] - before) / groups,
                "cpu us": (machine.cpu_seconds(pid) - cpu) / groups * 1e6,
            }


def run(args):
    print(f"{GROUPS} groups wait for a webhook receiver that takes {TAKES * 1000:.0f} ms\n")
    print("| | concurrency | a second | of concurrency / 100 ms | most in flight | commits each | cpu us each |")
    print("|---|---|---|---|---|---|---|")
    for name, binary in args.binaries.items():
        for concurrency in CONCURRENCY:
            # One at a time takes its time.
            groups = min(GROUPS, concurrency * 100)
            found = one(args, binary, concurrency, groups)
            cells = [f"{value:.{digits}f}" for value, digits in zip(found.values(), (1, 3, 0, 2, 0))]
            print(f"| {name} | {concurrency} | " + " | ".join(cells) + " |", flush=True)
