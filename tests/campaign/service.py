"""The real binary: replicas, each in a folder of its own, and who starts them again when they end by themselves."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benches/load"))

from notify import Trouble, await_true, free_ports  # noqa: E402
from traffic import PUBLIC_KEY, Target  # noqa: E402

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
START_WITHIN = 60
STOP_WITHIN = 60

# Padding, so that the file takes a while to be written in place.
RULES = """# {padding}
groups:
  - name: campaign
    rules:
      - alert: Each
        on: [messaging-profile.spend-limit-reached]
        by: {{event_id: event.id, profile: payload.profile_id}}
        max_series: 100000
        active_for: {active_for}
        annotations:
          summary: "event {{{{ labels.event_id }}}} end"
          description: "{word}"
"""

CONFIG = """
server: {{listen: "127.0.0.1:{public}", private_listen: "127.0.0.1:{private}"}}
accounts:
  - {{name: default, public_keys: ["{key}"]}}
store: {{{store}}}
rule_files: [rules.yaml]
route:
  receiver: hook
  group_by: ['...']
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 366d
  routes:
    - {{matchers: ['profile="slack"'], receiver: slack}}
    - {{matchers: ['profile="grouped"'], receiver: grouped, group_by: [alertname], group_wait: 1s}}
receivers:
  - name: grouped
    webhook_configs:
      - {{url: "http://{peer}/grouped", max_alerts: 10000, {fast}}}
  - name: hook
    webhook_configs:
      - {{url: "http://{peer}/hook", {fast}}}
  - name: slack
    slack_configs:
      - {{api_url: "http://{peer}/slack", concurrency: 4, {fast}}}
"""
FAST = "rate_limit: {per_second: 1000, burst: 1000}, retry: {initial_backoff: 50ms, max_backoff: 500ms}"


def rules(active_for="10m", word="first"):
    return RULES.format(padding="p" * 65536, active_for=active_for, word=word)


class Replica:
    """A folder with a configuration, and a process that may be started in it again and again."""

    def __init__(self, binary, folder, store, peer, active_for, network=None):
        self.binary, self.folder, self.network, self.process = binary, folder, network, None
        folder.mkdir(parents=True)
        public, private = free_ports(2)
        self.target = Target(public, private, network and network.make_socket)
        # Whether it should be running; what runs is started again when it ends by itself.
        self.wanted, self.lock, self.exits = False, threading.Lock(), 0
        (folder / "rules.yaml").write_text(rules(active_for))
        config = CONFIG.format(public=public, private=private, key=PUBLIC_KEY, store=store, peer=peer, fast=FAST)
        (folder / "tollbell.yaml").write_text(config)
        self.env = dict(os.environ)

    def fake_clock(self):
        if not pathlib.Path(FAKETIME).exists():
            raise Trouble("no libfaketime here: apt-get install faketime")
        self.shift = self.folder / "shift"
        self.shift.write_text("+0\n")
        self.env |= {
            "LD_PRELOAD": FAKETIME,
            "FAKETIME_TIMESTAMP_FILE": str(self.shift),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, seconds):
        """Sets its clock, and that of whoever posts to it: else it would refuse what does not come in time."""
        self.shift.with_suffix(".new").write_text(f"{seconds:+d}\n")
        self.shift.with_suffix(".new").rename(self.shift)
        self.target.shift = seconds

    def command(self, *words):
        inside = self.network.inside() if self.network else []
        return [*inside, self.binary, *words, "--config", self.folder / "tollbell.yaml"]

    def spawn(self):
        with self.lock:
            self.wanted = True
            self.begun_at = self.log_bytes()
            with (self.folder / "log").open("ab") as log:
                self.process = subprocess.Popen(
                    self.command("serve"), stdout=log, stderr=log, cwd=self.folder, env=self.env
                )

    def kill(self):
        with self.lock:
            self.wanted = False
            self.process.kill()
            self.process.wait()

    def signal(self, number):
        self.process.send_signal(number)

    def supervise(self):
        with self.lock:
            ended = self.wanted and self.process.poll() is not None
        if ended:
            self.exits += 1
            self.spawn()

    def stop(self):
        """Its exit code after SIGTERM."""
        with self.lock:
            self.wanted = False
            if self.process is None or self.process.poll() is not None:
                return None
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                return self.process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                return "SIGKILL"

    def run(self, *words):
        return subprocess.run(self.command(*words), capture_output=True, text=True, cwd=self.folder)

    def log_bytes(self):
        file = self.folder / "log"
        return file.stat().st_size if file.exists() else 0

    def log_since_start(self):
        with (self.folder / "log").open(errors="replace") as log:
            log.seek(self.begun_at)
            return log.read()

    def log(self):
        return (self.folder / "log").read_text(errors="replace")


class Site:
    """The replicas of one row, and the load on them."""

    def __init__(self, world, folder, rate):
        self.world, self.folder, self.rate, self.replicas, self.notes = world, folder, rate, [], []
        self.ending = threading.Event()
        self.guard = threading.Thread(target=self.supervise, daemon=True)

    def supervise(self):
        while not self.ending.wait(0.1):
            for replica in self.replicas:
                replica.supervise()

    def begin(self, replicas):
        """Load first: what is not up yet answers nobody."""
        self.replicas = replicas
        self.world.begin_row([replica.target for replica in replicas], self.rate)
        for replica in replicas:
            replica.spawn()
        self.guard.start()
        for replica in replicas:
            self.ready(replica)
        self.world.start()
        return self

    def ready(self, replica, within=START_WITHIN):
        begin = time.monotonic()
        while self.world.ask(replica.target, "/readyz")[0] != 200:
            if time.monotonic() - begin > within:
                raise Trouble(f"not ready within {within} s:\n" + replica.log()[-1500:])
            time.sleep(0.05)
        return time.monotonic() - begin

    def judge(self):
        """The replica that judges; none while nobody does."""
        for replica in self.replicas:
            if self.judges(replica):
                return replica
        return None

    def judges(self, replica):
        return self.world.metrics(replica.target).get("tollbell_judges") == 1.0

    def other(self, replica):
        return next((other for other in self.replicas if other is not replica), None)

    def takeover(self, replica, begin, within=30):
        """Waits until it judges; how long after `begin`."""
        while not self.judges(replica):
            if time.monotonic() - begin > within:
                raise Trouble(f"nobody took over within {within} s")
            time.sleep(0.05)
        return time.monotonic() - begin

    def note(self, text):
        self.notes.append(text)

    def flows(self, count=50, within=60):
        """Waits until so many more are acknowledged: the fault is over for whoever posts."""
        before, begin = len(self.world.acknowledged), time.monotonic()
        while len(self.world.acknowledged) < before + count:
            if time.monotonic() - begin > within:
                raise Trouble(f"no {count} acknowledgements within {within} s after the fault")
            time.sleep(0.02)


@contextlib.contextmanager
def folder(keep):
    """A folder that everybody may enter, since PostgreSQL runs as another user. Kept where `keep` says so at the end."""
    made = pathlib.Path(tempfile.mkdtemp(prefix="tollbell-campaign-"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        if not keep():
            shutil.rmtree(made, ignore_errors=True)
