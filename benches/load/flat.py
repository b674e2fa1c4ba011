"""Whether tollbell becomes slower with what it holds: events in the store, alerts that fire, rules."""

import pathlib
import shutil
import sqlite3
import statistics
import subprocess
import tempfile
import time

import machine
from machine import Driver, Trouble

# Events that are posted; the rest of a large store is copies of them.
POSTED = 20_000
FEW, MANY = 10, 100_000
# A run of signatures stays fresh for less than five minutes.
POSTED_MAX = 20_000
DISK_GIB_MAX = 6


def start(args, binary, folder, rules):
    """tollbell on a folder whose receiver has no integration: groups are kept, nobody is sent anything."""
    return machine.tollbell(binary, folder, args.key, rules)


def post(args, public, mix, count, rate=0):
    driver = Driver(args.driver, public, mix=mix, connections=64, count=count, rate=rate)
    driver.go()
    figures = driver.figures()
    if figures["statuses"].get("200", 0) != count:
        raise Trouble(f"not all were taken: {figures}")
    return figures


def grow(file, events):
    """Copies the events that are there, with what was made of them, until there are so many. All of them are judged."""
    db = sqlite3.connect(file)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = OFF")
    there = db.execute("SELECT count(*) FROM inbox").fetchone()[0]
    replaced = {
        "inbox": {"seq": "seq + :by", "id": "id || '-' || :by"},
        "dedupe": {"seq": "seq + :by", "id": "id || '-' || :by"},
        "judgements": {"seq": "seq + :by"},
        "ledger": {"key": "key || '-' || :by"},
    }
    copies = []
    for table, other in replaced.items():
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        values = ", ".join(other.get(column, column) for column in columns)
        db.execute(f"CREATE TEMP TABLE first_{table} AS SELECT * FROM {table}")
        copies.append(f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM temp.first_{table}")
    for copy in range(1, events // there):
        with db:
            for sql in copies:
                db.execute(sql, {"by": copy * there})
        used = sum(one.stat().st_size for one in file.parent.glob("tollbell.db*"))
        if used > DISK_GIB_MAX << 30:
            break
    with db:
        db.execute("UPDATE meta SET value = (SELECT max(seq) FROM inbox) WHERE key = 'cursor'")
    count = db.execute("SELECT count(*) FROM inbox").fetchone()[0]
    event = db.execute("SELECT id FROM inbox ORDER BY seq DESC LIMIT 1").fetchone()[0]
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return count, event


def timed(command):
    begin = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Trouble(f"{command}: {done.stderr[-500:]}")
    return (time.monotonic() - begin) * 1000


def look(args, binary, folder, rules):
    """How long a start takes, and then acks, judging and the commands."""
    begin = time.monotonic()
    with start(args, binary, folder, rules) as (pid, public, private):
        ready = (time.monotonic() - begin) * 1000
        idle = machine.rss_mib(pid, "VmRSS")
        post(args, public, "mixed", 500)
        machine.await_judged(private)
        paced = post(args, public, "mixed", 4000, rate=400)
        machine.await_judged(private)
        cpu, begin = machine.cpu_seconds(pid), time.monotonic()
        post(args, public, "mixed", POSTED_MAX)
        machine.await_judged(private)
        took, cpu = time.monotonic() - begin, machine.cpu_seconds(pid) - cpu
        with sqlite3.connect(folder / "tollbell.db") as db:
            event = db.execute("SELECT id FROM inbox ORDER BY seq DESC LIMIT 1").fetchone()[0]
        file = folder / "tollbell.yaml"
        lists = {
            "events list": ["events", "list", "--config", file],
            "events list --kind": ["events", "list", "--kind", "fax.*", "--config", file],
            "alerts": ["alerts", "--config", file],
            "deliveries list": ["deliveries", "list", "--config", file],
            "explain": ["explain", event, "--config", file],
        }
        looks = {}
        for name, words in lists.items():
            looks[name] = statistics.median(timed([binary, *words]) for _ in range(5))
        scrape = statistics.median(scraped(private) for _ in range(5))
        return {
            "start to ready, ms": ready,
            "RSS at start, MiB": idle,
            "ack p99 at 400/s, ms": paced["p99_us"] / 1000,
            "judged a second": POSTED_MAX / took,
            "cpu us an event": cpu / POSTED_MAX * 1e6,
            "scrape, ms": scrape,
            **{f"{name}, ms": took for name, took in looks.items()},
        }


def scraped(private):
    begin = time.monotonic()
    if not machine.metrics(private):
        raise Trouble("no scrape")
    return (time.monotonic() - begin) * 1000


def show(title, before, after, names):
    print(f"\n## {title}\n\n| | {names[0]} | {names[1]} | ratio |\n|---|---|---|---|")
    for what, value in before.items():
        ratio = after[what] / value if value else float("nan")
        print(f"| {what} | {value:.1f} | {after[what]:.1f} | {ratio:.2f} |")


def events(args, binary):
    """An empty store, and one with many events."""
    rules = machine.shipped_rules()
    with tempfile.TemporaryDirectory(dir=args.dir) as empty, tempfile.TemporaryDirectory(dir=args.dir) as full:
        empty, full = pathlib.Path(empty), pathlib.Path(full)
        with start(args, binary, full, rules) as (_, public, private):
            post(args, public, "mixed", POSTED)
            machine.await_judged(private)
        free = shutil.disk_usage(full).free
        if free < (DISK_GIB_MAX + 2) << 30:
            raise Trouble(f"only {free >> 30} GiB are free at {full}")
        count, _ = grow(full / "tollbell.db", args.events)
        size = (full / "tollbell.db").stat().st_size / (1 << 30)
        before, after = look(args, binary, empty, rules), look(args, binary, full, rules)
        show(f"Events in the store ({size:.1f} GiB)", before, after, ("none", f"{count}"))


def firing(args, binary):
    """A few alerts that fire, and many: each is one of a series of its own, in a group of its own."""
    found = []
    for many in (FEW, args.firing):
        with tempfile.TemporaryDirectory(dir=args.dir) as folder:
            folder = pathlib.Path(folder)
            (folder / "rules.yaml").write_text(machine.SPEND_LIMIT_RULES)
            rules = [*machine.shipped_rules(), folder / "rules.yaml"]
            with start(args, binary, folder, rules) as (pid, public, private):
                left = many
                while left:
                    posted = min(left, POSTED_MAX)
                    post(args, public, "unique", posted)
                    left -= posted
                machine.await_judged(private)
                costs = {}
                for name, mix in (("events that touch no alert", "mixed"), ("events that fire", "unique")):
                    cpu = machine.cpu_seconds(pid)
                    post(args, public, mix, 3000)
                    machine.await_judged(private)
                    costs[f"cpu us of {name}"] = (machine.cpu_seconds(pid) - cpu) / 3000 * 1e6
                cpu = machine.cpu_seconds(pid)
                time.sleep(20)
                idle = (machine.cpu_seconds(pid) - cpu) / 20 * 1000
                scrape = statistics.median(scraped(private) for _ in range(5))
                rss = machine.rss_mib(pid, "VmRSS")
                found.append({**costs, "cpu ms a second, idle": idle, "scrape, ms": scrape, "RSS, MiB": rss})
            begin = time.monotonic()
            with start(args, binary, folder, rules):
                found[-1]["start to ready, ms"] = (time.monotonic() - begin) * 1000
    show("Alerts that fire", *found, (f"{FEW}", f"{args.firing}"))


def run(args):
    for name, binary in args.binaries.items():
        print(f"\n# {name}")
        for part in args.only.split(",") if args.only else ("events", "firing"):
            {"events": events, "firing": firing}[part](args, binary)
