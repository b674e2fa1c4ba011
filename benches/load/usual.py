"""What the starter rules without a number cost a service: CPU of the whole process for each webhook.

    scripts/tools.sh
    .tools/venv/bin/python benches/load/usual.py [--events 10000] [--rounds 4] BINARY

Rounds alternate between the starter rules that compare with what is usual and those with a number, which they stand in
for; the ratio is taken of each pair. Each round starts `tollbell serve` on a database with a call every ten minutes for
three weeks, waits until they are taken in, posts calls, and waits until all are judged. No alert fires. Look at the least,
too: see notify.py.

Everything is on this machine's loopback, and the key that signs is known to everyone.
"""

import argparse
import asyncio
import base64
import json
import pathlib
import re
import sqlite3
import statistics
import subprocess
import tempfile
import time
import uuid

import notify

RULES = pathlib.Path(__file__).parents[2] / "config" / "rules"
REPLACED = ["SpendSpike", "CallSpendToCountry", "TelnyxSilent"]
WEEKS, EVERY = 3, 600
CONNECTIONS = 16

CONFIG = """
server: {{listen: "127.0.0.1:{public}", private_listen: "127.0.0.1:{private}"}}
accounts:
  - {{name: default, public_keys: ["{key}"], currency: USD}}
store: {{url: "sqlite:{folder}/tollbell.db"}}
rule_files: ["rules/*.yaml"]
route: {{receiver: ops}}
receivers:
  - name: ops
    slack_configs:
      - {{api_url: "http://127.0.0.1:{sink}/slack"}}
"""


def rules(is_usual):
    """The starter rules by file: those with a number, or those without in their place."""
    texts = {path.name: path.read_text() for path in RULES.glob("*.yaml")}
    if is_usual:
        for name in REPLACED:
            of = re.compile(rf"(- alert: {name}\n\s+on: )\[[^]]*\]")
            found = [file for file, text in texts.items() if of.search(text)]
            if len(found) != 1:
                raise notify.Trouble(f"{name} is not in one file: {found}")
            texts[found[0]] = of.sub(r"\1[never.seen]", texts[found[0]])
        texts["usual.yaml"] = (RULES / "usual" / "rules.yaml").read_text()
    return texts


def calls(count, port, cost):
    for number in range(count):
        event = {
            "record_type": "event",
            "event_type": "call.cost",
            "id": str(uuid.uuid4()),
            "occurred_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "payload": {
                "call_leg_id": str(uuid.uuid4()),
                "connection_id": "2400000000000000007",
                "status": "success",
                "billed_duration_secs": 60,
                "total_cost": cost,
            },
        }
        yield notify.signed({"data": event}, port)


class Service:
    """A folder with the starter rules, and a process that may be started in it again."""

    def __init__(self, binary, folder, sink, is_usual):
        self.binary, self.folder = binary, folder
        (folder / "rules").mkdir()
        for name, text in rules(is_usual).items():
            (folder / "rules" / name).write_text(text)
        self.public, self.private = notify.free_ports(2)
        key = base64.b64encode(bytes(notify.KEY.verify_key)).decode()
        text = CONFIG.format(public=self.public, private=self.private, key=key, folder=folder, sink=sink)
        (folder / "tollbell.yaml").write_text(text)

    def __enter__(self):
        self.process = subprocess.Popen(
            [self.binary, "serve", "--config", self.folder / "tollbell.yaml"],
            stdout=(self.folder / "log").open("ab"),
            stderr=subprocess.STDOUT,
            cwd=self.folder,
        )
        notify.await_true("a first scrape", lambda: notify.metrics(self.private), 0.05)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)

    def post(self, requests):
        asyncio.run(notify.post_all(list(requests), self.public, CONNECTIONS))
        judged = lambda: notify.metrics(self.private).get("tollbell_inbox_lag_events", 1) == 0
        notify.await_true("every event is judged", judged, notify.SCRAPE_EVERY)


def fill(path):
    """Copies the one event of a database: as often as there was a call in the weeks before, all judged."""
    db = sqlite3.connect(path)
    columns = [row[1] for row in db.execute("PRAGMA table_info(inbox)") if row[1] not in ("seq", "id", "received_at", "occurred_at")]
    count, now = WEEKS * 7 * 86_400 // EVERY, int(time.time()) * 1_000_000
    db.execute("UPDATE inbox SET seq = seq + ?", (count,))
    db.execute("UPDATE dedupe SET seq = seq + ?", (count,))
    db.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)"
        f" INSERT INTO inbox (seq, id, received_at, occurred_at, {', '.join(columns)})"
        f" SELECT i, 'old-' || i, ?2 + i * ?3, ?2 + i * ?3, {', '.join(columns)} FROM n, inbox WHERE inbox.seq = ?1 + 1",
        (count, now - count * EVERY * 1_000_000, EVERY * 1_000_000),
    )
    db.execute("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'inbox'", (count,))
    db.execute("UPDATE meta SET value = value + ? WHERE key = 'cursor'", (count,))
    # What a rule took in so far ends with the one event: it begins anew.
    db.execute("DELETE FROM state WHERE space = 'engine' AND key LIKE 'usual/fill/%'")
    db.commit()
    db.close()


def is_filled(path):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        rows = [json.loads(value) for (value,) in db.execute("SELECT value FROM state WHERE space = 'engine' AND key LIKE 'usual/fill/%'")]
    return bool(rows) and all(row["after"] >= row["until"] for row in rows)


def measure(binary, is_usual, events):
    """Microseconds of CPU for each event."""
    with tempfile.TemporaryDirectory() as name, notify.peer() as (sink, seen):
        folder = pathlib.Path(name)
        service = Service(binary, folder, sink, is_usual)
        with service:
            service.post(calls(1, service.public, "5.00"))
        fill(folder / "tollbell.db")
        with service:
            if is_usual:
                notify.await_true("the history is taken in", lambda: is_filled(folder / "tollbell.db"), 0.2)
            service.post(calls(200, service.public, "0.0001"))
            requests = list(calls(events, service.public, "0.0001"))
            begin = notify.cpu_seconds(service.process.pid)
            service.post(requests)
            spent = notify.cpu_seconds(service.process.pid) - begin
            fires = sum(value for series, value in notify.metrics(service.private).items() if series.startswith("tollbell_alerts{") and 'state="firing"' in series)
        if fires or seen[0]:
            raise notify.Trouble(f"{fires:.0f} alerts fire, {seen[0]:.0f} messages came")
        return spent * 1e6 / events


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("binary", type=pathlib.Path)
    args = parser.parse_args()
    usual, fixed = [], []
    for number in range(args.rounds):
        for is_usual, times in ((True, usual), (False, fixed)):
            times.append(measure(args.binary.resolve(), is_usual, args.events))
        print(f"round {number + 1}: {usual[-1]:.0f} us/ev without a number, {fixed[-1]:.0f} with", flush=True)
    ratios = [one / other for one, other in zip(usual, fixed)]
    print(f"ratio {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}), of the least {min(usual) / min(fixed):.3f}")


if __name__ == "__main__":
    main()
