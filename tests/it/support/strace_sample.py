"""Makes strace_sample.txt, which the tests of strace.rs read: run it in an empty folder under the command that
strace.rs builds, and keep the lines of the WAL, of TCP and of `noise`. Prints the clients' ports, which the test
names.

A small receiver on SQLite (WAL): it answers one request after the commit, one before it, and one after a commit
that syncs nothing, while a second thread writes, so that calls overlap in the trace.
"""

import os
import socket
import sqlite3
import threading

db = sqlite3.connect("inbox.db", isolation_level=None, check_same_thread=False)
db.execute("PRAGMA page_size=512")
db.execute("PRAGMA journal_mode=WAL")
db.execute("PRAGMA synchronous=FULL")
db.execute("CREATE TABLE inbox (id TEXT)")


def serve(listener, early):
    connection, _ = listener.accept()
    request = connection.recv(4096).decode()
    if early:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    db.execute("INSERT INTO inbox VALUES (?)", (request,))
    if not early:
        connection.sendmsg([b"HTTP/1.1 200 OK\r\n", b"\r\n"])
    connection.close()


def noise(stop, out):
    while not stop.wait(0.00005):
        os.write(out, b"noise")


for event, early, synchronous in [
    ("event-good", False, "FULL"),
    ("event-early", True, "FULL"),
    ("event-unsynced", False, "OFF"),
]:
    db.execute(f"PRAGMA synchronous={synchronous}")
    listener = socket.create_server(("127.0.0.1", 0))
    stop, out = threading.Event(), os.open("noise", os.O_WRONLY | os.O_CREAT)
    threads = [
        threading.Thread(target=serve, args=(listener, early)),
        threading.Thread(target=noise, args=(stop, out)),
    ]
    for thread in threads:
        thread.start()
    client = socket.create_connection(listener.getsockname())
    print(event, client.getsockname()[1], flush=True)
    client.sendall(event.encode())
    threads[0].join()
    stop.set()
