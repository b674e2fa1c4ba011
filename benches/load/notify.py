"""What a notification costs: CPU of the whole process for each event that ends as a delivered Slack message.

    scripts/tools.sh
    .tools/venv/bin/python benches/load/notify.py [--events 2000] [--rounds 5] BINARY [BINARY...]

Give two binaries to compare them, or one of them twice to see how far two equal ones differ: the rounds alternate
(A B A B ...), so whatever else the machine does meets both, and the ratio is taken of each pair. Each round starts
`tollbell serve` afresh in an empty folder, posts all events at once, and waits until the peer has got a message for each
and tollbell shows each as delivered. A trustworthy round is `ok`; one that is not ends the run.

A machine that does something else meanwhile makes every event dearer, sometimes by half. So look at the least, too: it is
what an event costs when hardly anybody disturbs. In two runs of one binary against itself on a busy machine (6 and 8
rounds) the CPU of pairs went from 0.81 to 1.22, and that of the least was 0.98 and 1.00. Wall time and memory were no
steadier by it. A saving of less than a tenth needs a quiet machine or many rounds.

    cpu us/ev   user and system time of the process, from before the first webhook until the last row is settled
    wall s      from the first webhook to the last message at the peer
    acks s      from the first webhook to the last 200
    rss MiB     the most memory that was resident
    commits/ev  transactions of the store, by its own count
    switches    voluntary context switches of the threads that are there at the end, for each event

`--by-thread` adds the CPU of each thread by name. `--attach 'COMMAND {pid}'` runs a profiler or tracer beside the load and
interrupts it at the end; what the round then costs is no figure. `--firing N` lets so many alerts fire before what is
measured, and `--inhibit` adds inhibition rules like those of the sample configuration; both show whether an event costs
more the more alerts fire. The folder that holds the database should be on a real disk, for commits wait for it: `--dir`.

Everything is on this machine's loopback, and the key that signs is known to everyone.
"""

import argparse
import asyncio
import base64
import collections
import contextlib
import json
import multiprocessing
import os
import pathlib
import shlex
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid

from nacl.signing import SigningKey

KEY = SigningKey(b"tollbell load test, known to all")
# Below what a signature may be old, with room for a slow machine.
EVENTS_MAX = 20_000
PATIENCE = 240
# How often tollbell is asked: each scrape is CPU of the process that is measured.
SCRAPE_EVERY = 0.5
REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nok"

RULES = """
groups:
  - name: load
    rules:
      - alert: Each
        on: [messaging-profile.spend-limit-reached]
        by: {event_id: event.id}
        max_series: 100000
        active_for: 6h
        labels: {severity: critical, team: messaging}
        annotations:
          summary: "Messaging profile {{ labels.event_id }} reached its limit"
          description: "It spent {{ event.fields.current_cost }} of {{ event.fields.configured_limit }}."
"""

CONFIG = """
server: {{listen: "127.0.0.1:{public}", private_listen: "127.0.0.1:{private}"}}
accounts:
  - {{name: default, public_keys: ["{key}"]}}
store: {{url: "sqlite:{folder}/tollbell.db"}}
rule_files: [rules.yaml]
route: {{receiver: ops, group_by: ['...'], group_wait: 0s}}
receivers:
  - name: ops
    slack_configs:
      - {{api_url: "http://127.0.0.1:{sink}/slack", rate_limit: {{per_second: 1000, burst: 1000}}}}
"""

INHIBIT = """
inhibit_rules:
  - {source_matchers: ['percent="100"'], target_matchers: ['percent=~"50|80"'], equal: [account, currency, budget]}
  - {source_matchers: ['percent="80"'], target_matchers: ['percent="50"'], equal: [account, currency, budget]}
"""

Sample = collections.namedtuple("Sample", "cpu wall acks rss commits switches threads")


class Trouble(Exception):
    """The round says nothing."""


# The peer that is notified, in a process of its own.


class Peer(asyncio.Protocol):
    """Answers each request on a connection that stays, head and body in one segment."""

    def __init__(self, seen):
        self.seen, self.rest, self.transport = seen, b"", None

    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data):
        self.rest += data
        while (end := self.rest.find(b"\r\n\r\n")) >= 0:
            head = self.rest[:end].lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            whole = end + 4 + int(length or 0)
            if len(self.rest) < whole:
                return
            self.rest = self.rest[whole:]
            self.transport.write(REPLY)
            self.seen[0] += 1
            self.seen[1] = time.monotonic()


def serve_peer(seen, port):
    async def serve():
        server = await asyncio.get_running_loop().create_server(lambda: Peer(seen), "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(serve())


@contextlib.contextmanager
def peer():
    """Its port, and what it has seen: how many requests, and when the last one came."""
    seen = multiprocessing.Array("d", 2, lock=False)
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve_peer, args=(seen, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv(), seen
    finally:
        process.terminate()
        process.join()


# The sender.


def requests(count, port):
    """Whole requests, each with an event of its own, signed now."""
    made = []
    for number in range(count):
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        payload = {
            "profile_id": str(uuid.uuid4()),
            "configured_limit": "10.00",
            "current_cost": f"{10 + number / 100:.2f}",
        }
        event = {
            "record_type": "event",
            "event_type": "messaging-profile.spend-limit-reached",
            "id": str(uuid.uuid4()),
            "occurred_at": at,
            "payload": payload,
        }
        meta = {"attempt": 1, "delivered_to": "https://hooks.example.com/webhooks/telnyx"}
        made.append(signed({"data": event, "meta": meta}, port))
    return made


def signed(webhook, port):
    """A whole request, signed now."""
    body = json.dumps(webhook).encode()
    timestamp = str(int(time.time()))
    signature = KEY.sign(timestamp.encode() + b"|" + body).signature
    head = [
        "POST /webhooks/telnyx HTTP/1.1",
        f"host: 127.0.0.1:{port}",
        "content-type: application/json",
        f"telnyx-timestamp: {timestamp}",
        f"telnyx-signature-ed25519: {base64.b64encode(signature).decode()}",
        f"content-length: {len(body)}",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


async def post(made, port):
    """Posts requests on one connection, one after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in made:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise Trouble(f"a webhook was answered {head[:40]!r}")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length or 0))
    writer.close()


async def post_all(made, port, connections):
    await asyncio.gather(*(post(made[first::connections], port) for first in range(connections)))


# The process that is measured.


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def threads(pid):
    """Seconds of CPU and voluntary context switches, by the names of the threads."""
    found = collections.defaultdict(lambda: [0.0, 0])
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it ended meanwhile
            name = (task / "comm").read_text().strip()
            found[name][0] += int((task / "schedstat").read_text().split()[0]) / 1e9
            found[name][1] += int(status(task, "voluntary_ctxt_switches"))
    return found


def status(folder, key):
    lines = (folder / "status").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{key}:")).split()[1]


def metrics(port):
    """The values of a scrape by series; none while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except (urllib.error.URLError, ConnectionError):
        return {}
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {series: float(value) for series, _, value in lines}


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def await_true(what, ask, every):
    until = time.monotonic() + PATIENCE
    while not ask():
        if time.monotonic() > until:
            raise Trouble(f"not within {PATIENCE} s: {what}")
        time.sleep(every)


@contextlib.contextmanager
def tollbell(binary, folder, sink, inhibit):
    """The id of a process that is ready, and its ports."""
    public, private = free_ports(2)
    key = base64.b64encode(bytes(KEY.verify_key)).decode()
    config = CONFIG.format(public=public, private=private, key=key, folder=folder, sink=sink)
    (folder / "rules.yaml").write_text(RULES)
    (folder / "tollbell.yaml").write_text(config + (INHIBIT if inhibit else ""))
    with (folder / "log").open("wb") as log:
        command = [binary, "serve", "--config", folder / "tollbell.yaml"]
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        await_true("a first scrape", lambda: process.poll() is not None or metrics(private), 0.05)
        if process.poll() is not None:
            raise Trouble("tollbell ended:\n" + (folder / "log").read_text()[-2000:])
        yield process.pid, public, private
    finally:
        process.terminate()
        process.wait(60)


@contextlib.contextmanager
def attached(command, pid):
    if not command:
        yield
        return
    beside = subprocess.Popen(shlex.split(command.format(pid=pid)))
    time.sleep(1)  # until it has attached
    try:
        yield
    finally:
        beside.send_signal(signal.SIGINT)
        beside.wait(300)


def load(args, count, process, seen):
    """Posts events and waits until all that was ever posted is delivered; when the first left and the last 200 came."""
    _, public, private = process
    made = requests(count, public)
    whole = seen[0] + count
    begin = time.monotonic()
    try:
        asyncio.run(post_all(made, public, args.connections))
    except (OSError, asyncio.IncompleteReadError) as error:
        raise Trouble(f"a webhook got no answer: {error}") from error
    acks = time.monotonic() - begin
    await_true(f"{whole:.0f} messages at the peer", lambda: seen[0] >= whole, 0.02)

    def settled():
        return metrics(private).get('tollbell_deliveries{state="delivered"}') == whole

    await_true(f"{whole:.0f} deliveries shown as delivered", settled, SCRAPE_EVERY)
    if seen[0] != whole:
        raise Trouble(f"the peer got {seen[0]:.0f} messages for {whole:.0f} events")
    return begin, acks


def measure(args, binary):
    with (
        tempfile.TemporaryDirectory(dir=args.dir) as folder,
        peer() as (sink, seen),
        tollbell(binary, pathlib.Path(folder), sink, args.inhibit) as process,
    ):
        pid, _, private = process
        if args.firing:
            load(args, args.firing, process, seen)
        with attached(args.attach, pid):
            before, commits = threads(pid), metrics(private)
            cpu = cpu_seconds(pid)
            begin, acks = load(args, args.events, process, seen)
            cpu = cpu_seconds(pid) - cpu
        after, now = threads(pid), metrics(private)
        counted = "tollbell_store_commit_duration_seconds_count"
        shares = {
            name: [spent - before[name][0], switches - before[name][1]]
            for name, (spent, switches) in after.items()
        }
        return Sample(
            cpu=cpu / args.events * 1e6,
            wall=seen[1] - begin,
            acks=acks,
            rss=int(status(pathlib.Path(f"/proc/{pid}"), "VmHWM")) / 1024,
            commits=(now[counted] - commits[counted]) / args.events,
            switches=sum(switches for _, switches in shares.values()) / args.events,
            threads={name: spent / args.events * 1e6 for name, (spent, _) in shares.items()},
        )


# The table.


def spread(values, digits):
    middle = statistics.median(values)
    return f"{middle:.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def report(names, samples, by_thread):
    print(
        f"\nmedian (min-max)\n{'':<3}{'cpu us/ev':>20}{'wall s':>22}{'acks s':>20}"
        f"{'rss MiB':>20}{'commits/ev':>20}{'switches':>20}"
    )
    for name, of in zip(names, samples):
        columns = zip(*(sample[:6] for sample in of))
        cells = [spread(column, digits) for column, digits in zip(columns, (0, 2, 2, 1, 2, 1))]
        print(f"{name:<3}{cells[0]:>20}{cells[1]:>22}" + "".join(f"{cell:>20}" for cell in cells[2:]))
        if by_thread:
            known = {thread for sample in of for thread in sample.threads}
            spent = {
                thread: statistics.median(sample.threads.get(thread, 0) for sample in of)
                for thread in known
            }
            for thread in sorted(known, key=spent.get, reverse=True):
                print(f"   {spent[thread]:>12.0f} us/ev  {thread}")
    for name, of in zip(names[1:], samples[1:]):
        for what in ("cpu", "wall", "rss"):
            pairs = [getattr(b, what) / getattr(a, what) for a, b in zip(samples[0], of)]
            least = min(getattr(b, what) for b in of) / min(getattr(a, what) for a in samples[0])
            print(
                f"{name}/{names[0]} {what:<5}{spread(pairs, 3):>22}   of {len(pairs)} pairs;"
                f" {least:.3f} of the least"
            )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--firing", type=int, default=0)
    parser.add_argument("--inhibit", action="store_true")
    parser.add_argument("--by-thread", action="store_true")
    parser.add_argument("--attach")
    parser.add_argument("--dir")
    parser.add_argument("binaries", type=pathlib.Path, nargs="+")
    args = parser.parse_args()
    if max(args.events, args.firing) > EVENTS_MAX:
        parser.error(f"{EVENTS_MAX} events at most: the signatures must stay fresh")
    names = [chr(ord("A") + place) for place in range(len(args.binaries))]
    for name, binary in zip(names, args.binaries):
        print(f"{name} = {binary}")
    samples = [[] for _ in names]
    for number in range(args.rounds):
        for name, binary, of in zip(names, args.binaries, samples):
            try:
                sample = measure(args, binary.resolve())
            except Trouble as trouble:
                raise SystemExit(f"round {number + 1} of {name}: {trouble}")
            of.append(sample)
            print(
                f"round {number + 1} {name}: {sample.cpu:.0f} us/ev, {sample.wall:.2f} s, "
                f"{sample.rss:.1f} MiB  ok",
                flush=True,
            )
    report(names, samples, args.by_thread)


if __name__ == "__main__":
    main()
