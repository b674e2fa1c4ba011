"""What the service does at its bounds: a small memory, a clock that is set, rules that vanish, many silences, a sweep.

    scripts/tools.sh
    .tools/venv/bin/python benches/load/bounds.py [--only memory,clock,rules,silences,sweep,firing] BINARY [BINARY...]

Give two binaries to compare them. Each row starts `tollbell serve` afresh in an empty folder, does one thing to it, and
prints what came of it. Rows that need what this machine has not (a memory cgroup of version 1, libfaketime) say so and count
as failed. Nothing here is a test of the speed of anything: times are beside whatever else the machine does.

    memory    256 MiB and a supervisor that restarts: 1,000 alerts at once to one mail entry with 100 recipients
    clock     the wall clock is set by -10 min, -1 h, -3 d, +3 d and back: 60 alerts fire after each
    rules     the folder of rules is moved away and back while an alert fires; an event comes meanwhile
    silences  1,000 active silences with regular expressions: 300 alerts, an acknowledgement, one `silence add`
    sweep     600,000 events past the retention: how long acknowledgements take while they are deleted
    firing    10,000 alerts fire: memory above idle

Everything is on this machine's loopback.
"""

import argparse
import asyncio
import base64
import contextlib
import os
import pathlib
import re
import signal
import sqlite3
import statistics
import subprocess
import tempfile
import threading
import time

import notify

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
CGROUP = pathlib.Path("/sys/fs/cgroup/memory")
MEMORY_MAX = 256 << 20
DAY = 86_400

RULES = notify.RULES

CONFIG = """
server: {{listen: "127.0.0.1:{public}", private_listen: "127.0.0.1:{private}", ready_delay: 0s}}
accounts:
  - {{name: default, public_keys: ["{key}"]}}
store: {{url: "sqlite:{folder}/tollbell.db", retention: 30d}}
rule_files: ["rules/*.yaml"]
route: {{receiver: ops, group_by: ['...'], group_wait: 0s, group_interval: 1s}}
receivers:
  - name: ops
{receiver}
"""
SLACK = """    slack_configs:
      - {{api_url: "http://127.0.0.1:{sink}/slack", rate_limit: {{per_second: 1000, burst: 1000}}}}"""
MAIL = """    email_configs:
      - {{to: [{to}], from: tollbell@example.com, smarthost: "127.0.0.1:{sink}", tls: none,
         rate_limit: {{per_second: 1000, burst: 1000}}}}"""


class Smtp(asyncio.Protocol):
    """Takes every mail: enough of RFC 5321 for a client without TLS."""

    seen = None

    def connection_made(self, transport):
        self.transport, self.rest, self.is_data = transport, b"", False
        transport.write(b"220 sink\r\n")

    def data_received(self, data):
        self.rest += data
        while True:
            if self.is_data:
                end = self.rest.find(b"\r\n.\r\n")
                if end < 0:
                    return
                self.rest, self.is_data = self.rest[end + 5 :], False
                self.seen[0] += 1
                self.transport.write(b"250 taken\r\n")
                continue
            line, sep, rest = self.rest.partition(b"\r\n")
            if not sep:
                return
            self.rest = rest
            word = line[:4].upper()
            if word == b"EHLO":
                self.transport.write(b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
            elif word == b"DATA":
                self.is_data = True
                self.transport.write(b"354 go on\r\n")
            elif word == b"QUIT":
                self.transport.write(b"221 bye\r\n")
                self.transport.close()
                return
            else:
                self.transport.write(b"250 ok\r\n")


def serve_smtp(seen, port):
    async def serve():
        Smtp.seen = seen
        server = await asyncio.get_running_loop().create_server(Smtp, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(serve())


@contextlib.contextmanager
def mail_peer():
    seen = notify.multiprocessing.Array("d", 2, lock=False)
    ours, theirs = notify.multiprocessing.Pipe()
    process = notify.multiprocessing.Process(target=serve_smtp, args=(seen, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv(), seen
    finally:
        process.terminate()
        process.join()


class Service:
    """A folder with a configuration, and a process that may be started in it again and again."""

    def __init__(self, binary, folder, receiver):
        self.binary, self.folder, self.process = binary, folder, None
        self.public, self.private = notify.free_ports(2)
        (folder / "rules").mkdir()
        (folder / "rules" / "rules.yaml").write_text(RULES)
        key = base64.b64encode(bytes(notify.KEY.verify_key)).decode()
        config = CONFIG.format(
            public=self.public, private=self.private, key=key, folder=folder, receiver=receiver
        ).replace(", ready_delay: 0s", "")
        (folder / "tollbell.yaml").write_text(config)
        self.env = dict(os.environ)
        self.preexec = None

    def spawn(self):
        self.process = subprocess.Popen(
            [self.binary, "serve", "--config", self.folder / "tollbell.yaml"],
            stdout=(self.folder / "log").open("ab"),
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            env=self.env,
            preexec_fn=self.preexec,
        )

    def start(self):
        self.spawn()
        notify.await_true("a first scrape", self.is_up, 0.05)
        return self

    def is_up(self):
        if self.process.poll() is not None:
            raise notify.Trouble("tollbell ended:\n" + (self.folder / "log").read_text()[-1500:])
        return bool(notify.metrics(self.private))

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)

    def rss(self, which="VmRSS"):
        return int(notify.status(pathlib.Path(f"/proc/{self.process.pid}"), which)) / 1024

    def post(self, count, connections=16):
        asyncio.run(notify.post_all(notify.requests(count, self.public), self.public, connections))

    def run(self, *words):
        command = [self.binary, *words, "--config", self.folder / "tollbell.yaml"]
        return subprocess.run(command, capture_output=True, text=True, cwd=self.folder, env=self.env)


@contextlib.contextmanager
def service(binary, receiver, before=lambda service: None):
    with tempfile.TemporaryDirectory() as folder:
        made = Service(binary, pathlib.Path(folder), receiver)
        before(made)
        try:
            yield made
        finally:
            made.stop()


def within(seconds, ask, every=0.1):
    """After how many seconds it was so; none when it was not."""
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        if ask():
            return time.monotonic() - begin
        time.sleep(every)
    return None


def said(seconds):
    return "never" if seconds is None else f"{seconds:.1f} s"


# The rows.


def memory(binary):
    if not CGROUP.is_dir():
        return "failed: no memory cgroup of version 1 here"
    group = CGROUP / f"bounds{os.getpid()}"
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text(str(MEMORY_MAX))
    kills, end = 0, threading.Event()
    recipients = ", ".join(f"r{number}@example.com" for number in range(100))

    def before(made):
        made.preexec = lambda: (group / "cgroup.procs").write_text(str(os.getpid()))

    def supervise(made):
        nonlocal kills
        while not end.is_set():
            if made.process.poll() is not None:
                kills += 1
                made.spawn()
            time.sleep(0.2)

    try:
        with mail_peer() as (sink, seen), service(binary, MAIL.format(to=recipients, sink=sink), before) as made:
            made.start()
            guard = threading.Thread(target=supervise, args=(made,))
            guard.start()
            try:
                begin = time.monotonic()
                made.post(1000)
                judged = within(240, lambda: notify.metrics(made.private).get("tollbell_inbox_lag_events", 1) == 0, 0.5)
                arrived = within(600, lambda: seen[0] >= 100_000, 0.5)
                whole = time.monotonic() - begin
                peak = int((group / "memory.max_usage_in_bytes").read_text()) / (1 << 20)
            finally:
                end.set()
                guard.join()
        return (
            f"{kills} kills, judged after {said(judged)}, {seen[0]:.0f} of 100000 mails after {whole:.0f} s"
            f"{'' if arrived is not None else ' (gave up)'}, the group's memory at most {peak:.0f} MiB"
        )
    finally:
        within(10, lambda: not (group / "cgroup.procs").read_text().strip())
        group.rmdir()


def clock(binary):
    if not pathlib.Path(FAKETIME).exists():
        return "failed: no libfaketime"
    rows = []
    with notify.peer() as (sink, seen):

        def before(made):
            made.shift = made.folder / "shift"
            made.shift.write_text("+0\n")
            made.env |= {
                "LD_PRELOAD": FAKETIME,
                "FAKETIME_TIMESTAMP_FILE": str(made.shift),
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "DONT_FAKE_MONOTONIC": "1",
            }

        with service(binary, SLACK.format(sink=sink), before) as made:
            made.start()
            made.post(5)
            notify.await_true("5 messages", lambda: seen[0] >= 5, 0.05)
            for name, shift in [
                ("-10min", -600), ("-1h", -3600), ("-3d", -3 * DAY), ("+3d", 3 * DAY), ("back", 0)
            ]:
                made.shift.write_text(f"{shift:+d}\n")
                time.sleep(1)
                real, before_step = time.time, seen[0]
                # The sender's clock is Telnyx's, which is right; a receiver whose clock is wrong refuses what looks
                # old. So the events carry the time that tollbell has.
                notify.time.time = lambda: real() + shift
                gmtime = time.gmtime
                notify.time.gmtime = lambda: gmtime(real() + shift)
                try:
                    made.post(60)
                finally:
                    notify.time.time, notify.time.gmtime = real, gmtime
                took = within(60, lambda: seen[0] >= before_step + 60)
                rows.append(f"{name}: {seen[0] - before_step:.0f} of 60 after {said(took)}")
    return "; ".join(rows)


def rules(binary):
    with notify.peer() as (sink, seen), service(binary, SLACK.format(sink=sink)) as made:
        made.start()
        made.post(1)
        notify.await_true("a message", lambda: seen[0] >= 1, 0.05)
        (made.folder / "rules").rename(made.folder / "rulesX")
        time.sleep(8)  # two looks at the files, 3 s apart
        reload = notify.metrics(made.private).get("tollbell_config_last_reload_successful")
        firing = made.run("alerts").stdout.count("Each")
        made.post(1)
        meanwhile = within(5, lambda: seen[0] >= 2)
        (made.folder / "rulesX").rename(made.folder / "rules")
        time.sleep(8)
        after = within(5, lambda: seen[0] >= 2)
        return (
            f"reload successful: {reload:.0f}, alerts that fire: {firing} of 1, the event that came meanwhile was"
            f" notified: {'yes' if meanwhile is not None else 'late' if after is not None else 'no'}"
        )


def silences(binary):
    rows = []
    for count in (0, 1000):
        with notify.peer() as (sink, seen), service(binary, SLACK.format(sink=sink)) as made:
            made.start()
            at = int(time.time() * 1e6)
            if count:
                made.run("silence", "add", 'event_id=~"never-.*"', "--for", "6h", "--comment", "one")
                made.stop()
                db = sqlite3.connect(made.folder / "tollbell.db")
                db.row_factory = sqlite3.Row
                one = dict(db.execute("SELECT * FROM silences").fetchone())
                for number in range(count - 1):
                    row = {
                        key: value.replace("never-", f"never-{number}-") if isinstance(value, str) else value
                        for key, value in one.items()
                    }
                    row["id"] = re.sub(r"[0-9a-f]{6}$", f"{number:06x}", one["id"])
                    db.execute(
                        f"INSERT INTO silences ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
                        list(row.values()),
                    )
                db.commit()
                db.close()
                made.start()
            begin = time.monotonic()
            made.post(300)
            acks = time.monotonic() - begin
            took = within(60, lambda: seen[0] >= 300, 0.02)
            begin = time.monotonic()
            made.run("silence", "add", 'event_id="x"', "--for", "6h", "--comment", "one")
            add = time.monotonic() - begin
            cpu = notify.cpu_seconds(made.process.pid)
            rows.append(
                f"{count} silences: {seen[0]:.0f} of 300 notified after {said(took)}, acks {acks:.2f} s,"
                f" silence add {add:.2f} s, CPU {cpu:.2f} s"
            )
    return "; ".join(rows)


def sweep(binary):
    rows = []
    for old in (0, 600_000):
        with notify.peer() as (sink, _), service(binary, SLACK.format(sink=sink)) as made:
            made.start()
            made.post(1)
            time.sleep(2)
            made.stop()
            if old:
                multiply(made.folder / "tollbell.db", old)
            made.start()
            times = asyncio.run(paced(made, 3000, 150))
            left = events(made.folder / "tollbell.db")
            times.sort()
            rows.append(
                f"{old} old events: p50 {statistics.median(times) * 1e3:.1f} ms,"
                f" p99 {times[int(len(times) * 0.99)] * 1e3:.1f} ms, most {times[-1] * 1e3:.0f} ms"
                + (f", {old + 3001 - left} deleted meanwhile" if old else "")
            )
    return "; ".join(rows)


def multiply(path, count):
    """Copies the one event of a database: `count` judged ones, 60 days old."""
    db = sqlite3.connect(path)
    columns = [row[1] for row in db.execute("PRAGMA table_info(inbox)") if row[1] not in ("seq", "id", "received_at")]
    at = int((time.time() - 60 * DAY) * 1e6)
    (top,) = db.execute("SELECT max(seq) FROM inbox").fetchone()
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) "
    # Before the one that is there: judged is what lies at or before the engine's cursor.
    db.execute("UPDATE inbox SET seq = seq + ?", (count,))
    db.execute("UPDATE dedupe SET seq = seq + ?", (count,))
    db.execute(
        f"{numbers} INSERT INTO inbox (seq, id, received_at, {', '.join(columns)})"
        f" SELECT i, 'old-' || i, ?2 + i, {', '.join(columns)} FROM n, inbox WHERE inbox.seq = ?3",
        (count, at, top + count),
    )
    db.execute(
        f"{numbers} INSERT INTO dedupe (id, account, seq, until)"
        " SELECT 'old-' || i, 'default', i, ?2 FROM n", (count, at + 90 * DAY * 1_000_000),
    )
    db.execute("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'inbox'", (count,))
    moved = db.execute("UPDATE meta SET value = value + ? WHERE key = 'cursor'", (count,)).rowcount
    if moved != 1:
        raise notify.Trouble("the engine's cursor is elsewhere in this database")
    db.commit()
    db.close()


def events(path):
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    (count,) = db.execute("SELECT count(*) FROM inbox").fetchone()
    return count


async def paced(made, count, per_second):
    """How long each acknowledgement took, from when it was to be sent."""
    requests = notify.requests(count, made.public)
    begin, times = time.monotonic(), [0.0] * count
    lanes = 16

    async def lane(first):
        reader, writer = await asyncio.open_connection("127.0.0.1", made.public)
        for number in range(first, count, lanes):
            due = begin + number / per_second
            await asyncio.sleep(max(0, due - time.monotonic()))
            writer.write(requests[number])
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise notify.Trouble(f"a webhook was answered {head[:40]!r}")
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
            times[number] = time.monotonic() - due
        writer.close()

    await asyncio.gather(*(lane(first) for first in range(lanes)))
    return times


def firing(binary):
    with notify.peer() as (sink, seen), service(binary, SLACK.format(sink=sink)) as made:
        made.start()
        time.sleep(1)
        idle = made.rss()
        made.post(10_000, 32)
        took = within(240, lambda: seen[0] >= 10_000, 0.5)
        return (
            f"{seen[0]:.0f} of 10000 notified after {said(took)}, idle {idle:.0f} MiB, afterwards {made.rss():.0f} MiB,"
            f" most {made.rss('VmHWM'):.0f} MiB"
        )


ROWS = {row.__name__: row for row in (memory, clock, rules, silences, sweep, firing)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default=",".join(ROWS))
    parser.add_argument("binaries", type=pathlib.Path, nargs="+")
    args = parser.parse_args()
    for name in args.only.split(","):
        for binary in args.binaries:
            try:
                result = ROWS[name](binary.resolve())
            except (notify.Trouble, OSError, asyncio.IncompleteReadError) as trouble:
                result = f"failed: {trouble}"
            print(f"{name:<9} {binary.name:<16} {result}", flush=True)


if __name__ == "__main__":
    main()
