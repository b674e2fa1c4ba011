"""A network namespace for a replica: one cable to the database, which can be cut, and one to the peers, which stays."""

import concurrent.futures
import ctypes
import os
import socket
import subprocess

from service import Trouble

CLONE_NEWNET = 0x40000000
# Of the networks that are for benchmarks (RFC 2544): .1 is this side, .2 the replica's.
DATABASE, PEERS = "198.18.{}", "198.19.{}"


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        raise Trouble(f"network namespaces do not work here: ip {' '.join(words)}: {done.stderr.strip()}")


class Network:
    def __init__(self, number):
        self.name = f"tb{os.getpid()}n{number}"
        self.database, self.peers = f"{self.name}d", f"{self.name}p"
        self.database_host, self.peer_host = (f"{net.format(number)}.1" for net in (DATABASE, PEERS))
        self.thread = None
        ip("netns", "add", self.name)
        ip("-n", self.name, "link", "set", "lo", "up")
        for cable, host in ((self.database, self.database_host), (self.peers, self.peer_host)):
            ip("link", "add", cable, "type", "veth", "peer", "name", "far", "netns", self.name)
            ip("addr", "add", f"{host}/30", "dev", cable)
            ip("link", "set", cable, "up")
            inside = "database" if cable == self.database else "peers"
            ip("-n", self.name, "link", "set", "far", "name", inside)
            ip("-n", self.name, "addr", "add", f"{host[:-1]}2/30", "dev", inside)
            ip("-n", self.name, "link", "set", inside, "up")
        # Only the thread that enters the namespace is in it; its sockets stay there.
        self.thread = concurrent.futures.ThreadPoolExecutor(1)
        self.thread.submit(self.enter).result()

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
        subprocess.run(["ip", "link", "del", self.database], capture_output=True)
        subprocess.run(["ip", "link", "del", self.peers], capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)
