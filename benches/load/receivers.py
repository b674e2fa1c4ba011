"""The receivers that are notified, in a process of their own: they answer at once, after a while, or never."""

import asyncio
import contextlib
import multiprocessing
import re
import signal
import socket
import time

REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nok"
PAUSE = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: %d\r\ncontent-length: 0\r\n\r\n"
EVENT_ID = re.compile(rb"Messaging profile ([0-9a-f-]{36}) reached")
SEEN_MAX = 100_000

# What the process and the measurement share, by place.
REQUESTS, FIRST_AT, LAST_AT, IN_FLIGHT, MOST, PAUSED_UNTIL = range(6)


class Receiver(asyncio.Protocol):
    """Answers each request of a connection that stays, head and body in one segment."""

    def __init__(self, takes, seen, times, ids):
        self.takes, self.seen, self.times, self.ids, self.rest = takes, seen, times, ids, b""

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
            body, self.rest = self.rest[end + 4 : whole], self.rest[whole:]
            self.request(body)

    def request(self, body):
        seen, now = self.seen, time.monotonic()
        if now < seen[PAUSED_UNTIL]:
            self.transport.write(PAUSE % (1 + int(seen[PAUSED_UNTIL] - now)))
            return
        if found := EVENT_ID.search(body):
            place = int(seen[REQUESTS]) % SEEN_MAX
            self.times[place] = time.time()
            self.ids[place * 36 : place * 36 + 36] = found[1]
        seen[REQUESTS] += 1
        seen[FIRST_AT] = seen[FIRST_AT] or now
        seen[LAST_AT] = now
        seen[IN_FLIGHT] += 1
        seen[MOST] = max(seen[MOST], seen[IN_FLIGHT])
        if self.takes is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(self.takes, self.answer) if self.takes else self.answer()

    def answer(self):
        self.seen[IN_FLIGHT] -= 1
        self.transport.write(REPLY)


def serve(takes, seen, times, ids, port):
    async def run():
        loop = asyncio.get_running_loop()
        make = lambda: Receiver(takes, seen, times, ids)
        server = await loop.create_server(make, "127.0.0.1", 0, backlog=1024)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(run())


class Seen:
    def __init__(self):
        self.numbers = multiprocessing.Array("d", 6, lock=False)
        self.times = multiprocessing.Array("d", SEEN_MAX, lock=False)
        self.ids = multiprocessing.Array("c", SEEN_MAX * 36, lock=False)

    def __getitem__(self, place):
        return self.numbers[place]

    def pause(self, seconds):
        """Requests are answered with 429, and when to come again, for so long."""
        self.numbers[PAUSED_UNTIL] = time.monotonic() + seconds

    def arrivals(self):
        """When a message about an event arrived, by the event's id, in seconds since 1970."""
        count = min(int(self.numbers[REQUESTS]), SEEN_MAX)
        ids = self.ids.raw
        return {ids[n * 36 : n * 36 + 36].decode(): self.times[n] for n in range(count)}


@contextlib.contextmanager
def receiver(takes=0.0):
    """Its port and what it has seen. `takes`: seconds until it answers; `None` for never."""
    seen = Seen()
    ours, theirs = multiprocessing.Pipe()
    arguments = (takes, seen.numbers, seen.times, seen.ids, theirs)
    child = multiprocessing.Process(target=serve, args=arguments, daemon=True)
    child.start()
    try:
        yield ours.recv(), seen
    finally:
        child.terminate()
        child.join()


def slack(port):
    return f'    slack_configs:\n      - {{api_url: "http://127.0.0.1:{port}/slack", rate_limit: {{per_second: 1000, burst: 1000}}}}\n'


def webhook(port, keys=""):
    fast = "rate_limit: {per_second: 1000, burst: 1000}"
    return f'    webhook_configs:\n      - {{url: "http://127.0.0.1:{port}/hook", {fast}{keys}}}\n'
