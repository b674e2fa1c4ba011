"""PostgreSQL clusters of the campaign's own, a pooler before one, a standby behind one, and a file system that is small."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from service import Trouble, await_true, free_ports

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNPACKED = ROOT / ".tools/servers/pgbouncer/usr"


def as_other():
    """PostgreSQL and PgBouncer refuse to run as root."""
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.getuid() == 0 else []


def checked(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
    if done.returncode:
        raise Trouble(f"{command[-3:]}: {(done.stderr or done.stdout)[-800:]}")
    return done.stdout


class Cluster:
    """A cluster on a free port; the superuser is tollbell, nobody is asked for a password."""

    def __init__(self, folder, *settings, segment=None, listen="127.0.0.1"):
        found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        if not found:
            raise Trouble("PostgreSQL is missing: run scripts/tools.sh")
        self.bin, self.data, self.log = found[-1], folder / "data", folder / "postgresql.log"
        self.folder, (self.port,) = folder, free_ports(1)
        folder.mkdir(parents=True, exist_ok=True)
        if as_other():
            shutil.chown(folder, "nobody", "nogroup")
        self.settings = [
            f"port = {self.port}", f"listen_addresses = '{listen}'", "unix_socket_directories = ''",
            "max_connections = 300", "shared_buffers = 32MB", *settings,
        ]
        self.segment = segment

    def make(self):
        size = [f"--wal-segsize={self.segment}"] if self.segment else []
        words = ["-U", "tollbell", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-instructions", "--no-sync"]
        checked([*as_other(), self.bin / "initdb", "-D", self.data, *words, *size], cwd=self.folder)
        with (self.data / "pg_hba.conf").open("a") as file:
            file.write("host all all 198.18.0.0/15 trust\n")
        self.configure(*self.settings)
        self.control("start")
        return self

    def configure(self, *settings):
        with (self.data / "postgresql.conf").open("a") as file:
            file.write("\n".join(settings) + "\n")

    def copy_of(self, primary):
        """A streaming standby."""
        command = [primary.bin / "pg_basebackup", "-D", self.data, "-R", "-X", "stream", "--checkpoint=fast"]
        url = f"postgresql://tollbell@127.0.0.1:{primary.port}/postgres?application_name=standby"
        checked([*as_other(), *command, "-d", url], cwd=self.folder)
        self.configure(*self.settings)
        self.control("start")
        return self

    def control(self, *words):
        command = [*as_other(), self.bin / "pg_ctl", "-D", self.data, "-l", self.log, "-t", "60", "-w", *words]
        # Not captured: the server inherits what it is given.
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder)
        if done.returncode:
            raise Trouble(f"pg_ctl {words}: {self.log.read_text()[-800:]}")

    def sql(self, text):
        command = ["psql", "-XAtq", "-h", "127.0.0.1", "-p", str(self.port), "-U", "tollbell", "postgres", "-c", text]
        return checked(command).strip()

    def recovered(self, within=30):
        """Waits until it takes connections again, after a crash of one of its processes."""
        until = time.monotonic() + within
        while True:
            try:
                return self.sql("SELECT 1")
            except Trouble:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def dump(self, schema):
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "tollbell"]
        return checked([self.bin / "pg_dump", *where, "-n", schema, "postgres"])

    def drop_connections(self):
        """How many were dropped."""
        others = "datname = 'postgres' AND pid <> pg_backend_pid()"
        found = self.sql(f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {others}")
        return int(found)

    def url(self):
        return f"postgres://tollbell@127.0.0.1:{self.port}/postgres"

    def stop(self):
        with contextlib.suppress(Trouble):
            if (self.data / "postmaster.pid").exists():
                self.control("stop", "-m", "immediate")


class Pooler:
    """PgBouncer in transaction mode, with fewer connections to the server than its clients have."""

    def __init__(self, folder, cluster):
        (self.port,) = free_ports(1)
        folder.mkdir()
        self.file = folder / "pgbouncer.ini"
        self.file.write_text(
            f"[databases]\npostgres = host=127.0.0.1 port={cluster.port} user=tollbell\n[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\nauth_type = any\n"
            "pool_mode = transaction\ndefault_pool_size = 4\nmax_client_conn = 200\n"
            "server_login_retry = 1\nquery_wait_timeout = 5\n"
        )
        self.child = None

    def start(self):
        binary = UNPACKED / "sbin/pgbouncer"
        if not binary.exists():
            raise Trouble("pgbouncer is missing: run scripts/tools.sh")
        env = {**os.environ, "LD_LIBRARY_PATH": str(UNPACKED / "lib/x86_64-linux-gnu")}
        null = subprocess.DEVNULL
        self.child = subprocess.Popen([*as_other(), binary, self.file], stdout=null, stderr=null, env=env)
        await_true("pgbouncer listens", self.listens, 0.02)
        return self

    def listens(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        if self.child.poll() is not None:
            raise Trouble("pgbouncer ended")
        return False

    def stop(self, number=signal.SIGKILL):
        if self.child and self.child.poll() is None:
            self.child.send_signal(number)
            self.child.wait(30)

    def url(self):
        return f"postgres://tollbell@127.0.0.1:{self.port}/postgres"


@contextlib.contextmanager
def small_disk(megabytes):
    """A file system in memory."""
    at = pathlib.Path(tempfile.mkdtemp(prefix="tollbell-disk-"))
    try:
        try:
            checked(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", at])
        except (Trouble, OSError) as error:
            raise Trouble(f"no tmpfs can be mounted here: {error}") from error
        yield at
    finally:
        subprocess.run(["umount", "--lazy", at], capture_output=True)
        at.rmdir()


class Ballast:
    """Takes all the room there is, and goes on to take what becomes free."""

    def __init__(self, folder):
        self.path = folder / "ballast"

    def fill(self):
        with self.path.open("ab", buffering=0) as file:
            for size in (1 << 20, 65536, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def hold(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.fill()
            time.sleep(0.05)

    def free(self):
        self.path.unlink(missing_ok=True)
