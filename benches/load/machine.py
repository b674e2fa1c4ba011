"""What all measurements share: processes and what they cost, ports, scrapes, the driver, tollbell itself."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess

from notify import Trouble, await_true, free_ports, metrics, status

ROOT = pathlib.Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count()


def cpu_seconds(pid):
    """User and system time of a process and of its children that have ended."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / TICKS


def busy_seconds():
    """What all cores together have spent on anything."""
    fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / TICKS


def rss_mib(pid, key="VmHWM"):
    return int(status(pathlib.Path(f"/proc/{pid}"), key)) / 1024


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextlib.contextmanager
def process(command, folder, environment=None, ready=None):
    """A process that runs until the end of the block, killed with SIGTERM first; its id."""
    with (folder / "log").open("ab") as log:
        child = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, env={**os.environ, **(environment or {})}
        )
    try:
        if ready:
            await_true(f"{command[0]} listens", lambda: child.poll() is not None or ready(), 0.01)
        if child.poll() is not None:
            raise Trouble(f"{command[0]} ended:\n" + (folder / "log").read_text()[-2000:])
        yield child.pid
    finally:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(60)
        if child.poll() is None:
            child.kill()
            child.wait()


class Driver:
    """The client of benches/load/driver, its requests signed and ready to go."""

    def __init__(self, binary, port, path="/webhooks/telnyx", **options):
        command = [binary, "drive", f"http://127.0.0.1:{port}{path}"]
        for name, value in options.items():
            if value is True:
                command += [f"--{name}"]
            elif value:
                command += [f"--{name}", str(value)]
        pipe = subprocess.PIPE
        self.child = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        if self.child.stdout.readline().strip() != "ready":
            raise Trouble(f"the driver is not ready: {command}")

    def go(self):
        self.child.stdin.write("\n")
        self.child.stdin.flush()
        self.cpu = cpu_seconds(self.child.pid)

    def figures(self):
        """Waits for its end."""
        line = self.child.stdout.readline()
        self.child.stdin.close()
        with contextlib.suppress(OSError):
            self.cpu = cpu_seconds(self.child.pid) - self.cpu
        self.child.wait()
        try:
            return json.loads(line)
        except ValueError:
            raise Trouble(f"the driver says: {line}") from None


# tollbell, with a configuration and rules.

# Where the rules that ship are; `--rules` names those of an older revision, which may not know all words of these.
RULES = [ROOT / "config/rules"]

SPEND_LIMIT_RULES = """
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


def unrelated_rules(count):
    """Rules that name no kind of any mix."""
    rules = (
        f"      - {{alert: Fax{n}, on: [fax.failed], when: 'payload.failure_reason == \"r{n}\"', active_for: 1h}}\n"
        for n in range(count)
    )
    return "groups:\n  - name: unrelated\n    rules:\n" + "".join(rules)


def config(folder, key, ports, rules, receiver, server="", more=""):
    public, private = ports
    lines = [
        f'server: {{listen: "127.0.0.1:{public}", private_listen: "127.0.0.1:{private}"{server}}}',
        f'accounts:\n  - {{name: default, public_keys: ["{key}"], currency: USD}}',
        f'store: {{url: "sqlite:{folder}/tollbell.db"}}',
        "rule_files: [" + ", ".join(f'"{file}"' for file in rules) + "]",
        "route: {receiver: ops, group_by: ['...'], group_wait: 0s}",
        f"receivers:\n  - name: ops\n{receiver}",
        more,
    ]
    file = folder / "tollbell.yaml"
    file.write_text("\n".join(lines))
    return file


def shipped_rules():
    return sorted(RULES[0].glob("*.yaml"))


@contextlib.contextmanager
def tollbell(binary, folder, key, rules=(), receiver="", server="", more=""):
    """Its id and ports, once it is ready."""
    public, private = free_ports(2)
    file = config(folder, key, (public, private), rules, receiver, server, more)
    ready = lambda: listens(public) and listens(private) and metrics(private)
    with process([binary, "serve", "--config", file], folder, ready=ready) as pid:
        yield pid, public, private


def inbox_lag(private):
    """Events that are stored and not yet judged, and the seconds since the oldest of them came."""
    found = metrics(private)
    return found.get("tollbell_inbox_lag_events"), found.get("tollbell_inbox_lag_seconds")


def await_judged(private):
    await_true("all events to be judged", lambda: inbox_lag(private)[0] == 0, 0.1)
