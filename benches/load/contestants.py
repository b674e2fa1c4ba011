"""Who is measured: how each is started, what it keeps, and what it does not do."""

import contextlib
import dataclasses
import json
import shutil
import subprocess

import machine
import receivers
from machine import ROOT, Trouble

HERE = ROOT / "benches/load"
TOOLS = ROOT / ".tools/load"


@dataclasses.dataclass
class Server:
    """What is loaded. `private`: where tollbell is asked how far it has come."""

    pid: int
    port: int
    path: str = "/webhooks/telnyx"
    private: int | None = None
    seen: object = None


@dataclasses.dataclass
class Contestant:
    name: str
    lacks: str
    start: object
    # How many requests are worth sending for a second of load.
    per_second: int = 15_000
    is_tollbell: bool = False


@contextlib.contextmanager
def floor(driver, what, folder, key):
    [port] = machine.free_ports(1)
    command = [driver, "floor", what, f"127.0.0.1:{port}"]
    with machine.process(command, folder, ready=lambda: machine.listens(port)) as pid:
        yield Server(pid, port)


@contextlib.contextmanager
def tollbell(binary, folder, key, unrelated=0, hung=False):
    rules = machine.shipped_rules()
    (folder / "load.yaml").write_text(machine.SPEND_LIMIT_RULES)
    rules.append(folder / "load.yaml")
    if unrelated:
        (folder / "unrelated.yaml").write_text(machine.unrelated_rules(unrelated))
        rules.append(folder / "unrelated.yaml")
    with receivers.receiver(None if hung else 0.0) as (slack, seen):
        text = receivers.slack(slack)
        with machine.tollbell(binary, folder, key, rules, text) as (pid, public, private):
            yield Server(pid, public, private=private, seen=seen)


@contextlib.contextmanager
def express(folder, key):
    modules = TOOLS / "express"
    if not (modules / "node_modules/better-sqlite3").is_dir():
        modules.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "server.js"):
            shutil.copy(HERE / "peers/express" / name, modules / name)
        install(["npm", "install", "--no-audit", "--no-fund"], modules)
    shutil.copy(HERE / "peers/express/server.js", modules / "server.js")
    [port] = machine.free_ports(1)
    command = ["node", modules / "server.js", str(port), folder / "express.db"]
    environment = {"PUBLIC_KEY": key, "NODE_ENV": "production"}
    with machine.process(command, folder, environment, lambda: machine.listens(port)) as pid:
        yield Server(pid, port)


@contextlib.contextmanager
def fastapi(folder, key):
    venv = TOOLS / "fastapi"
    if not (venv / "bin/uvicorn").exists():
        install(["python3", "-m", "venv", venv], ROOT)
        install([venv / "bin/pip", "install", "--quiet", "-r", HERE / "peers/fastapi/requirements.txt"], ROOT)
    [port] = machine.free_ports(1)
    command = [venv / "bin/uvicorn", "app:app", "--app-dir", HERE / "peers/fastapi", "--port", str(port)]
    command += ["--log-level", "warning", "--no-access-log"]
    environment = {"PUBLIC_KEY": key, "FILE": str(folder / "fastapi.db")}
    with machine.process(command, folder, environment, lambda: machine.listens(port)) as pid:
        yield Server(pid, port)


@contextlib.contextmanager
def qhook(folder, key):
    program = TOOLS / "qhook/bin/qhook"
    if not program.exists():
        install(["cargo", "install", "qhook", "--version", "0.6.1", "--locked", "--root", TOOLS / "qhook"], ROOT)
    with receivers.receiver(0.0) as (sink, seen):
        [port] = machine.free_ports(1)
        (folder / "qhook.yaml").write_text(
            f"database: {{driver: sqlite, url: 'sqlite:{folder}/qhook.db?mode=rwc'}}\n"
            f"server: {{port: {port}, allow_private_urls: true}}\n"
            "sources: {telnyx: {type: webhook, skip_verify: true}}\n"
            f"handlers: {{all: {{source: telnyx, events: ['*'], url: 'http://127.0.0.1:{sink}/hook'}}}}\n"
        )
        command = [program, "start", "-c", folder / "qhook.yaml"]
        with machine.process(command, folder, ready=lambda: machine.listens(port)) as pid:
            yield Server(pid, port, "/webhooks/telnyx", seen=seen)


@contextlib.contextmanager
def webhook(folder, key):
    program = shutil.which("webhook") or TOOLS / "webhook/usr/bin/webhook"
    if not shutil.which(str(program)):
        (TOOLS / "webhook").mkdir(parents=True, exist_ok=True)
        install(["sh", "-c", "apt-get -qq download webhook && dpkg-deb -x webhook_*.deb ."], TOOLS / "webhook")
    [port] = machine.free_ports(1)
    (folder / "hooks.json").write_text(json.dumps([{"id": "telnyx", "execute-command": "/bin/true"}]))
    command = [program, "-hooks", folder / "hooks.json", "-ip", "127.0.0.1", "-port", str(port)]
    command += ["-urlprefix", "webhooks"]
    with machine.process(command, folder, ready=lambda: machine.listens(port)) as pid:
        yield Server(pid, port)


def install(command, folder):
    print("installing:", *command, flush=True)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise Trouble(f"{command[0]}: {done.stderr[-1000:]}")


def all_of(driver, binaries):
    """The contestants by their words. `binaries`: tollbell's, by the name to show; the first is the one of this folder."""
    found = [
        Contestant("floor-read", "verifies nothing, keeps nothing", lambda f, k: floor(driver, "read", f, k), 40_000),
        Contestant("floor-verify", "keeps nothing", lambda f, k: floor(driver, "verify", f, k), 25_000),
    ]
    for name, binary in binaries.items():
        start = lambda f, k, binary=binary, **how: tollbell(binary, f, k, **how)
        found += [
            Contestant(name, "", start, is_tollbell=True),
            Contestant(f"{name}+1000-rules", "", lambda f, k, s=start: s(f, k, unrelated=1000), is_tollbell=True),
            Contestant(f"{name}+10000-rules", "", lambda f, k, s=start: s(f, k, unrelated=10_000), is_tollbell=True),
            Contestant(f"{name}+slack-hung", "", lambda f, k, s=start: s(f, k, hung=True), is_tollbell=True),
        ]
    no_rules = "no rules, no notifications, no dedupe beyond the id, no metrics"
    found += [
        Contestant("express", f"{no_rules}; one process", express, 3000),
        Contestant("fastapi", f"{no_rules}; one process", fastapi, 2000),
        Contestant("qhook", "verifies no Ed25519: checking is off; no rules, no grouping; one delivery each", qhook, 1000),
        Contestant("webhook", "verifies no Ed25519, keeps nothing, answers before its command ran", webhook, 6000),
    ]
    return {one.name: one for one in found}
