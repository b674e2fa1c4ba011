"""A network namespace for a replica: one cable to the database, which can be cut, and one to the peers, which stays."""

import concurrent.futures
import contextlib
import ctypes
import json
import os
import socket
import subprocess

from service import Trouble

CLONE_NEWNET = 0x40000000
# Of the networks that are for benchmarks (RFC 2544): where the database and the peers are, the same for each replica.
DATABASE, PEERS = "198.18.255.1", "198.19.255.1"


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        raise Trouble(f"network namespaces do not work here: ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


@contextlib.contextmanager
def addresses():
    """On this machine's loopback, for as long as the row takes."""
    try:
        for address in (DATABASE, PEERS):
            ip("addr", "add", f"{address}/32", "dev", "lo")
        yield
    finally:
        for address in (DATABASE, PEERS):
            subprocess.run(["ip", "addr", "del", f"{address}/32", "dev", "lo"], capture_output=True)


class Network:
    def __init__(self, number):
        self.name = f"tb{os.getpid()}n{number}"
        self.database, self.thread = f"{self.name}d", None
        ip("netns", "add", self.name)
        ip("-n", self.name, "link", "set", "lo", "up")
        self.cable(self.database, "database", f"198.18.{number}", DATABASE)
        self.cable(f"{self.name}p", "peers", f"198.19.{number}", PEERS)
        # Only the thread that enters the namespace is in it; its sockets stay there.
        self.thread = concurrent.futures.ThreadPoolExecutor(1)
        self.thread.submit(self.enter).result()

    def cable(self, near, far, net, address):
        ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", self.name)
        ip("addr", "add", f"{net}.1/30", "dev", near)
        ip("link", "set", near, "up")
        ip("-n", self.name, "addr", "add", f"{net}.2/30", "dev", far)
        ip("-n", self.name, "link", "set", far, "up")
        ip("-n", self.name, "route", "add", f"{address}/32", "via", f"{net}.1")
        # Known for ever: else the replica's side would learn at once that nobody is there any more.
        hardware = json.loads(ip("-json", "link", "show", near))[0]["address"]
        ip("-n", self.name, "neigh", "replace", f"{net}.1", "lladdr", hardware, "dev", far, "nud", "permanent")

    def enter(self):
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/var/run/netns/{self.name}") as namespace:
            if libc.setns(namespace.fileno(), CLONE_NEWNET):
                raise Trouble(f"setns: {os.strerror(ctypes.get_errno())}")

    def make_socket(self):
        return self.thread.submit(socket.socket, socket.AF_INET, socket.SOCK_STREAM).result()

    def inside(self):
        """What runs a command in it."""
        return ["ip", "netns", "exec", self.name]

    def cut(self):
        """What is sent on the cable is lost without a word, either way."""
        ip("link", "set", self.database, "down")

    def mend(self):
        ip("link", "set", self.database, "up")

    def remove(self):
        if self.thread:
            self.thread.shutdown()
        for cable in (self.database, f"{self.name}p"):
            subprocess.run(["ip", "link", "del", cable], capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)
