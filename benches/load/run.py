"""Measures tollbell beside others, on this machine's loopback.

    scripts/tools.sh
    cargo build --release --locked --bin tollbell && cargo build --release --locked --example load
    .tools/venv/bin/python benches/load/run.py compare [--only a,b] [--mix received] [--connections 64] [--rate 0] [--rounds 5]
    .tools/venv/bin/python benches/load/run.py drain    what one webhook receiver that takes 100 ms is sent, by `concurrency`
    .tools/venv/bin/python benches/load/run.py latency  from receipt to the request at Slack; good requests beside bad ones
    .tools/venv/bin/python benches/load/run.py flat     with more rules, more events in the store, more that fires
    .tools/venv/bin/python benches/load/notify.py       what a notification costs
    .tools/venv/bin/python benches/load/bounds.py       what the service does at its bounds

`--against REVISION|FILE` measures another tollbell in the same rounds: a revision of git is built first. Rounds alternate
(A B A B …), so whatever else the machine does meets everybody, and ratios are taken within each round; a table of medians
with least and greatest stands at the end. A round in which a request was not answered with 200 counts as failed and is
shown as such. `others` is the share of the machine that neither the server nor the client took: where it is more than a
tenth, believe the ratios and not the figures.

    req/s      answered with 200 in each second; for tollbell, Express, FastAPI and qhook that means durable
    cpu us     user and system time of the server for each request, while the requests ran
    judged us  the same until all events were judged, for tollbell
    p50 p99 max   milliseconds until the answer; at a `--rate` counted from when the request was due
    lag s      the greatest age of the oldest event that was not judged, looked at twice a second
    rss MiB    the most memory that was resident
"""

import argparse
import contextlib
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import contestants
import drain
import flat
import latency
import machine
from machine import ROOT, Driver, Trouble

REQUESTS_MAX = 200_000
COLUMNS = {
    "req/s": 0, "cpu us": 0, "judged us": 0, "p50": 1, "p99": 1, "max": 0, "lag s": 1, "rss MiB": 1, "others": 2,
}


class Watch(threading.Thread):
    """Looks at the inbox twice a second; each look is CPU of the process that is measured."""

    def __init__(self, private):
        super().__init__(daemon=True)
        self.private, self.most, self.over = private, 0.0, threading.Event()

    def run(self):
        while not self.over.wait(0.5):
            self.most = max(self.most, machine.inbox_lag(self.private)[1] or 0.0)

    def end(self):
        self.over.set()
        self.join()
        return self.most


def measure(contestant, args, mix, connections, rate):
    """One round of one contestant: the columns, by name."""
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(dir=args.dir)))
        server = stack.enter_context(contestant.start(folder, args.key))
        # One connection waits for the disk each time; it needs no more than this.
        per_second = rate or min(contestant.per_second, 4000 * connections)
        count = min(round(per_second * args.seconds), REQUESTS_MAX)
        options = {"mix": mix, "connections": connections, "rate": rate, "seconds": args.seconds}
        # What is warm in a process that has run for a while is warm before it is measured.
        warm = Driver(args.driver, server.port, server.path, mix=mix, connections=4, count=200)
        warm.go()
        warm.figures()
        driver = Driver(args.driver, server.port, server.path, count=count, **options)
        watch = server.private and Watch(server.private)
        before, busy, begin = machine.cpu_seconds(server.pid), machine.busy_seconds(), time.monotonic()
        driver.go()
        if watch:
            watch.start()
        figures = driver.figures()
        took = time.monotonic() - begin
        cpu = machine.cpu_seconds(server.pid) - before
        others = machine.busy_seconds() - busy - cpu - driver.cpu
        good = figures["statuses"].get("200", 0)
        if not good or good != figures["answers"] or figures["unanswered"]:
            raise Trouble(f"{contestant.name}: {figures}")
        judged = lag = float("nan")
        if server.private:
            machine.await_judged(server.private)
            judged, lag = machine.cpu_seconds(server.pid) - before, watch.end()
        return {
            "req/s": good / figures["seconds"],
            "cpu us": cpu / good * 1e6,
            "judged us": judged / good * 1e6,
            "p50": figures["p50_us"] / 1000,
            "p99": figures["p99_us"] / 1000,
            "max": figures["max_us"] / 1000,
            "lag s": lag,
            "rss MiB": machine.rss_mib(server.pid),
            "others": others / took / machine.CORES,
        }


def spread(values, digits):
    values = [value for value in values if value == value]
    if not values:
        return "-"
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def table(title, rounds, order):
    """Medians, and what each took of the first one's in the same round."""
    print(f"\n## {title}: median (least-greatest) of {len(rounds)} rounds\n")
    print("| | " + " | ".join(COLUMNS) + " |\n" + "|---" * (len(COLUMNS) + 1) + "|")
    for name in order:
        of = [one[name] for one in rounds if name in one]
        cells = [spread([one[column] for one in of], digits) for column, digits in COLUMNS.items()]
        print(f"| {name} | " + " | ".join(cells) + " |")
    for base in [name for name in ("floor-verify", order[0]) if name in order][:1]:
        print(f"\n| ratio to {base} | req/s | cpu | cpu until judged |\n|---|---|---|---|")
        for name in order:
            pairs = [(one[base], one[name]) for one in rounds if base in one and name in one]
            ratio = lambda a, b: spread([it[b] / of[a] for of, it in pairs if of[a] > 0], 2)
            print(f"| {name} | {ratio('req/s', 'req/s')} | {ratio('cpu us', 'cpu us')} | {ratio('cpu us', 'judged us')} |")


def compare(args):
    known = contestants.all_of(args.driver, args.binaries)
    names = args.only.split(",") if args.only else list(known)
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"{unknown} not among {list(known)}")
    for mix in args.mix.split(","):
        for connections in map(int, args.connections.split(",")):
            for rate in map(int, args.rate.split(",")):
                rounds = []
                for number in range(args.rounds):
                    rounds.append({})
                    for name in names:
                        try:
                            found = measure(known[name], args, mix, connections, rate)
                        except Trouble as trouble:
                            print(f"round {number + 1} {name}: FAILED {trouble}", file=sys.stderr, flush=True)
                            continue
                        rounds[-1][name] = found
                        short = ", ".join(f"{key} {found[key]:.{digits}f}" for key, digits in COLUMNS.items())
                        print(f"round {number + 1} {name}: {short}", file=sys.stderr, flush=True)
                loop = f"open loop at {rate}/s" if rate else "closed loop"
                there = [name for name in names if any(name in one for one in rounds)]
                table(f"{mix}, {connections} connections, {loop}", rounds, there)
    print("\nWhat each does not do:")
    for name in names:
        print(f"- {name}: {known[name].lacks or 'verifies, keeps, judges by rules, notifies'}")


def built(revision, target):
    """The binary of a revision of git, or the file itself."""
    if pathlib.Path(revision).is_file():
        return pathlib.Path(revision).resolve()
    tree = ROOT / ".tools/load" / f"tree-{revision}"
    if not tree.exists():
        subprocess.run(["git", "worktree", "add", "--detach", tree, revision], cwd=ROOT, check=True)
    command = ["cargo", "build", "--release", "--locked", "--bin", "tollbell", "--target-dir", tree / "target"]
    subprocess.run(command, cwd=tree, check=True)
    return tree / "target/release/tollbell"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["compare", "drain", "latency", "flat"])
    parser.add_argument("--target", type=pathlib.Path, default=ROOT / "target/release")
    parser.add_argument("--against", action="append", default=[])
    parser.add_argument("--rules", type=pathlib.Path, help="the folder of rules; with --against those of the older one")
    parser.add_argument("--dir", help="where databases are kept meanwhile: a real disk, for commits wait for it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--only")
    parser.add_argument("--mix", default="received,mixed")
    parser.add_argument("--connections", default="1,8,64,256")
    parser.add_argument("--rate", default="0", help="requests a second; 0: as fast as answers come")
    parser.add_argument("--events", type=int, default=1_000_000, help="flat: events in the store")
    parser.add_argument("--firing", type=int, default=100_000, help="flat: alerts that fire")
    args = parser.parse_args()
    machine.RULES[0] = (args.rules or machine.RULES[0]).resolve()
    args.driver = args.target / "examples/load"
    args.binaries = {"tollbell": args.target / "tollbell"}
    args.binaries |= {pathlib.Path(one).name: built(one, args.target) for one in args.against}
    args.key = subprocess.run([args.driver, "key"], check=True, capture_output=True, text=True).stdout.strip()
    what = {"compare": compare, "drain": drain.run, "latency": latency.run, "flat": flat.run}
    try:
        what[args.what](args)
    except Trouble as trouble:
        raise SystemExit(str(trouble))


if __name__ == "__main__":
    main()
