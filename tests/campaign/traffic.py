"""The world around tollbell, in one thread of this process: Telnyx that posts, peers that are notified, probes.

Everything that was answered, and everything that arrived, is kept by the event's id; `truth.py` and `run.py` read it.
"""

import asyncio
import base64
import collections
import contextlib
import itertools
import json
import re
import socket
import threading
import time

from nacl.signing import SigningKey

KEY = SigningKey(b"tollbell load test, known to all")
PUBLIC_KEY = base64.b64encode(bytes(KEY.verify_key)).decode()
# How long an answer is waited for, in seconds: longer than any operation of the store may take.
POST_TIMEOUT, PROBE_TIMEOUT = 8, 2
PROBE_EVERY = 0.1
# Requests without an answer, of one replica at most; beyond it the load waits.
IN_FLIGHT_MAX = 500
# Events that were not acknowledged and are to be sent again.
AGAIN_MAX = 5000
# How long a peer thinks, so that a crash cuts sends off.
PEER_TAKES = 0.003
# How long a peer takes to refuse, as one that has too much to do: so several sends fail together.
REFUSAL_TAKES = 0.5
EVENT_ID = re.compile(rb"event (c[0-9]+-[0-9]+) end")

Post = collections.namedtuple("Post", "begin end event status")
Probe = collections.namedtuple("Probe", "begin end status why")
Arrival = collections.namedtuple("Arrival", "at kind key")


class Target:
    """Where a replica listens. `make_socket` makes a socket that reaches it, for one in a network namespace of its own."""

    def __init__(self, public, private, make_socket=None):
        self.public, self.private = public, private
        self.make_socket = make_socket or (lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        self.shift = 0  # seconds by which its clock, and so its senders' clock, is off
        self.idle, self.in_flight, self.probing = [], 0, 0
        self.posts, self.probes = [], []


class Peer(asyncio.Protocol):
    """A webhook and a Slack receiver: answers after a while, or refuses."""

    def __init__(self, world):
        self.world, self.rest, self.transport = world, b"", None

    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data):
        self.rest += data
        while (end := self.rest.find(b"\r\n\r\n")) >= 0:
            head = self.rest[:end]
            lower = head.lower()
            length = int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            if len(self.rest) < end + 4 + length:
                return
            body, self.rest = self.rest[end + 4 : end + 4 + length], self.rest[end + 4 + length :]
            self.request(head, lower, body)

    def request(self, head, lower, body):
        kind = head[6:].partition(b" ")[0].decode()
        if kind in self.world.refusing:
            self.world.refused += 1
            refusal = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
            asyncio.get_running_loop().call_later(REFUSAL_TAKES, self.answer, refusal)
            return
        key = lower.partition(b"idempotency-key:")[2].partition(b"\r\n")[0].strip().decode()
        for event in set(EVENT_ID.findall(body)):
            self.world.arrived[event.decode()].append(Arrival(time.monotonic(), kind, key))
        asyncio.get_running_loop().call_later(PEER_TAKES, self.answer)

    def answer(self, answer=b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nok"):
        if not self.transport.is_closing():
            self.transport.write(answer)


def profile_of(event):
    """Whom the event notifies; those of `grouped` share one group, whose messages name again what they named before."""
    number = int(event.rpartition("-")[2])
    return "grouped" if number % 50 == 9 else "slack" if number % 2 else "hook"


def webhook(event, profile, now):
    """A whole request with this event, signed at this time."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    payload = {"profile_id": profile, "configured_limit": "10.00", "current_cost": "10.02"}
    data = {
        "record_type": "event",
        "event_type": "messaging-profile.spend-limit-reached",
        "id": event,
        "occurred_at": at,
        "payload": payload,
    }
    meta = {"attempt": 1, "delivered_to": "https://hooks.example.com/webhooks/telnyx"}
    body = json.dumps({"data": data, "meta": meta}).encode()
    timestamp = str(int(now))
    signature = base64.b64encode(KEY.sign(timestamp.encode() + b"|" + body).signature).decode()
    head = (
        "POST /webhooks/telnyx HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"telnyx-timestamp: {timestamp}\r\ntelnyx-signature-ed25519: {signature}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class World:
    """The peers, which stay, and the load of one row at a time."""

    rows = itertools.count()

    def __init__(self):
        self.arrived = collections.defaultdict(list)
        self.refusing, self.refused = set(), 0
        self.begin_row([], 0)
        self.loop, self.ports = asyncio.new_event_loop(), {}
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def begin_row(self, targets, rate):
        self.targets, self.rate, self.number = targets, rate, itertools.count()
        self.row = next(World.rows)
        self.arrived.clear()
        self.refusing.clear()
        self.refused = 0
        self.acknowledged, self.unanswered = {}, 0
        self.again = collections.deque(maxlen=AGAIN_MAX)
        self.running, self.tasks = None, set()

    def call(self, coroutine, timeout=60):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)

    def peer(self, host="127.0.0.1"):
        """The port at which both peers listen."""
        if host not in self.ports:
            made = self.call(self.listen(host))
            self.ports[host] = made.sockets[0].getsockname()[1]
        return self.ports[host]

    async def listen(self, host):
        return await self.loop.create_server(lambda: Peer(self), host, 0, backlog=512)

    # The load.

    def start(self):
        async def begin():
            self.running = [asyncio.ensure_future(self.post_all()), asyncio.ensure_future(self.probe_all())]

        self.call(begin())

    def pause(self):
        """Posts no more, and waits for what was posted; probes go on."""

        async def end():
            self.running[0].cancel()
            while any(target.in_flight for target in self.targets):
                await asyncio.sleep(0.02)

        self.call(end())

    def resume(self):
        async def begin():
            self.running[0] = asyncio.ensure_future(self.post_all())

        self.call(begin())

    def stop(self):
        """Ends probes, too."""

        async def end():
            for task in self.running or []:
                task.cancel()
            for target in self.targets:
                while target.idle:
                    target.idle.pop()[1].close()

        self.call(end())

    def spawn(self, coroutine):
        task = asyncio.ensure_future(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def post_all(self):
        begin = time.monotonic()
        for tick in itertools.count():
            await asyncio.sleep(max(0, begin + tick / self.rate - time.monotonic()))
            # What was not acknowledged is sent again, as Telnyx does, at a bounded rate; often to another replica.
            event = self.again.popleft() if self.again and tick % 3 else f"c{self.row}-{next(self.number)}"
            target = self.targets[tick % len(self.targets)]
            if target.in_flight < IN_FLIGHT_MAX:
                self.spawn(self.post(event, target))

    async def post(self, event, target):
        begin, status = time.monotonic(), None
        target.in_flight += 1
        try:
            async with asyncio.timeout(POST_TIMEOUT):
                status = await self.exchange(event, target)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            self.unanswered += 1
        finally:
            target.in_flight -= 1
        end = time.monotonic()
        target.posts.append(Post(begin, end, event, status))
        if status == 200:
            self.acknowledged.setdefault(event, end)
        else:
            self.again.append(event)

    async def connect(self, target, port):
        sock = target.make_socket()
        sock.setblocking(False)
        try:
            await self.loop.sock_connect(sock, ("127.0.0.1", port))
        except BaseException:
            sock.close()
            raise
        return await asyncio.open_connection(sock=sock)

    async def exchange(self, event, target):
        profile = profile_of(event)
        stream = target.idle.pop() if target.idle else await self.connect(target, target.public)
        reader, writer = stream
        try:
            writer.write(webhook(event, profile, time.time() + target.shift))
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
        except BaseException:
            writer.close()
            raise
        target.idle.append(stream)
        return int(head.split(b" ", 2)[1])

    # Probes.

    async def probe_all(self):
        while True:
            for target in self.targets:
                if target.probing < 40:
                    self.spawn(self.probe(target))
            await asyncio.sleep(PROBE_EVERY)

    async def probe(self, target):
        begin, status, why = time.monotonic(), None, "no answer"
        target.probing += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            async with asyncio.timeout(PROBE_TIMEOUT):
                status, why = await self.get(target, "/readyz")
        target.probing -= 1
        target.probes.append(Probe(begin, time.monotonic(), status, why.strip()))

    async def get(self, target, path, method="GET"):
        reader, writer = await self.connect(target, target.private)
        try:
            writer.write(f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            if not head:
                raise ConnectionResetError("no answer")
            return int(head.split(b" ", 2)[1]), body.decode(errors="replace")
        finally:
            writer.close()

    def ask(self, target, path, method="GET", timeout=5):
        """Status and body that the private listener answers; a status of `None` without an answer."""

        async def one():
            async with asyncio.timeout(timeout):
                return await self.get(target, path, method)

        try:
            return self.call(one(), timeout + 5)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            return None, ""

    def metrics(self, target):
        _, text = self.ask(target, "/metrics")
        lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {series: float(value) for series, _, value in lines if series}
