#!/usr/bin/env python3
"""Compares src/event/kinds.tsv with the kinds of events in Telnyx's SDK.

  scripts/kinds.py                        with the newest `telnyx` that pip finds
  scripts/kinds.py --version 4.189.0      with that one
  scripts/kinds.py --sdk DIRECTORY        with one that is unpacked already (the directory that holds `telnyx`)

Prints one line for each difference, `+` for a kind that the table lacks and `-` for a row marked `sdk` that the SDK has no
more, and exits with 1 if there is a `+`. A kind that is gone from the SDK may still be sent, so its row is only told of.
"""

import argparse
import ast
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

TABLE = pathlib.Path(__file__).resolve().parent.parent / "src/event/kinds.tsv"
# Where kinds of webhooks stand below telnyx/types: the union of all with what it imports, and three lists beside it.
UNION = "unwrap_webhook_event"
LISTS = ["email_domains/email_webhook_event", "porting/event_list_params", "portouts/event_list_params"]
# Kinds that can be listed and are never sent. The SDK has their shapes in this module.
UNSENT = "porting/porting_event_without_webhook"
KIND = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+")


def download(version):
    wanted = "telnyx" if version is None else f"telnyx=={version}"
    directory = pathlib.Path(tempfile.mkdtemp(prefix="telnyx-sdk-"))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*command, "--dest", str(directory), wanted], check=True)
    [wheel] = directory.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(directory)
    return directory


def literals(node):
    """The texts of every `Literal[...]` below a node."""
    for part in ast.walk(node):
        if isinstance(part, ast.Subscript) and ast.unparse(part.value).split(".")[-1] == "Literal":
            for text in ast.walk(part.slice):
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    yield text.value


def is_kind(text):
    return KIND.fullmatch(text) is not None


def kinds_of(types):
    """What the union's shapes give to `event_type` or `event`, and every kind of the lists."""
    found, seen, waiting = set(), set(), [types / f"{UNION}.py"]
    while waiting:
        path = waiting.pop()
        if path in seen or not path.is_file() or types not in path.parents:
            continue
        seen.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level > 0 and node.module:
                waiting.append(path.parents[node.level - 1] / (node.module.replace(".", "/") + ".py"))
            is_field = isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
            if is_field and node.target.id in ("event_type", "event"):
                found.update(filter(is_kind, literals(node.annotation)))
    for name in LISTS:
        tree = ast.parse((types / f"{name}.py").read_text(encoding="utf-8"))
        found.update(filter(is_kind, literals(tree)))
    unsent = ast.parse((types / f"{UNSENT}.py").read_text(encoding="utf-8"))
    return found - set(filter(is_kind, literals(unsent)))


def table():
    rows = [line.split("\t") for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    return {name: source for name, _product, _money, source in rows if not name.endswith(".*")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sdk", type=pathlib.Path)
    parser.add_argument("--version")
    options = parser.parse_args()
    types = (options.sdk or download(options.version)) / "telnyx" / "types"
    if not (types / f"{UNION}.py").is_file():
        sys.exit(f"no SDK: {types} has no {UNION}.py")
    sdk, known = kinds_of(types), table()
    missing = sorted(sdk - known.keys())
    gone = sorted(name for name, source in known.items() if source == "sdk" and name not in sdk)
    for name in missing:
        print(f"+ {name}")
    for name in gone:
        print(f"- {name}")
    print(f"{len(sdk)} kinds in the SDK, {len(missing)} of them not in the table, {len(gone)} rows that it has no more", file=sys.stderr)
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main()
