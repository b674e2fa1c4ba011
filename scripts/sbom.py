#!/usr/bin/env python3
"""The parts that the binary is built of, as CycloneDX 1.5 (JSON), from Cargo's own resolution.

    scripts/sbom.py > tollbell.cdx.json

Only what is linked or runs at build time on this platform: no dev-dependencies. Checksums are those of Cargo.lock, which
cargo checks each download against. The same tree gives the same document.
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent


def cargo(*args: str) -> str:
    return subprocess.run(["cargo", *args], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def main() -> None:
    host = re.search(r"^host: (\S+)$", subprocess.check_output(["rustc", "-vV"], text=True), re.M)[1]
    metadata = json.loads(cargo("metadata", "--locked", "--format-version", "1", "--filter-platform", host))
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    sums = {(it["name"], it["version"]): it.get("checksum") for it in lock["package"]}
    packages = {it["id"]: it for it in metadata["packages"]}
    edges = {}
    for node in metadata["resolve"]["nodes"]:
        wanted = [dep["pkg"] for dep in node["deps"] if any(kind["kind"] != "dev" for kind in dep["dep_kinds"])]
        edges[node["id"]] = wanted
    root = metadata["resolve"]["root"]
    reached, todo = set(), [root]
    while todo:
        package = todo.pop()
        if package not in reached:
            reached.add(package)
            todo.extend(edges[package])

    def purl(package: str) -> str:
        return f"pkg:cargo/{packages[package]['name']}@{packages[package]['version']}"

    def component(package: str, kind: str) -> dict:
        found = packages[package]
        part = {"type": kind, "bom-ref": purl(package), "name": found["name"], "version": found["version"], "purl": purl(package)}
        if found["license"]:
            part["licenses"] = [{"expression": found["license"].replace("/", " OR ")}]
        if checksum := sums.get((found["name"], found["version"])):
            part["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        return part

    others = sorted(reached - {root}, key=purl)
    components = [component(package, "library") for package in others]
    text = json.dumps(components, sort_keys=True)
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, text)}",
        "version": 1,
        "metadata": {"component": component(root, "application")},
        "components": components,
        "dependencies": [
            {"ref": purl(package), "dependsOn": sorted({purl(dep) for dep in edges[package]})}
            for package in sorted(reached, key=purl)
        ],
    }
    json.dump(document, sys.stdout, indent=2)
    print()


main()
