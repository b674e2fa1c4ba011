#!/usr/bin/env python3
"""What mdbook does not do for the book of the documents.

  book.py supports html    mdbook asks so whether this is a preprocessor for its output
  book.py                  the preprocessor: a link that leaves docs/ gets a page in the book, with the file that it names
                           (of a folder its README, else each of its files)
  book.py check FOLDER     whether each link of the pages in FOLDER leads to a file there, and to a place in it

Exit code of the check: 0: all do; 1: those that do not are printed.
"""

import html.parser
import json
import pathlib
import posixpath
import re
import sys
import urllib.parse

LINK = re.compile(r"\]\(([^)\s]+)\)")
# Code, fenced or in a line, holds no links.
CODE = re.compile(r"(^ *```.*?^ *```|`[^`\n]*`)", re.M | re.S)
LANGUAGES = {".rs": "rust", ".json": "json", ".sh": "sh", ".toml": "toml", ".yaml": "yaml"}
# The folder of the book that has the pages of files outside docs/.
OUTSIDE = "sources"


class Sources:
    """The pages of what is linked outside docs/, as they are asked for."""

    def __init__(self, root):
        self.root = root
        # Path from the root of the sources -> path of its page in the book.
        self.pages = {}
        self.waiting = []

    def page(self, path):
        if path not in self.pages:
            self.pages[path] = f"{OUTSIDE}/{path.removesuffix('.md')}.md"
            self.waiting.append(path)
        return self.pages[path]

    def linked(self, text, source, page):
        """The text with the links of a file `source` as its page in the book needs them."""

        def there(found):
            target, hash_mark, heading = found[1].partition("#")
            if not target or ":" in target:
                return found[0]
            path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
            if path.startswith("docs/"):
                to = path.removeprefix("docs/")
            elif (self.root / path).exists():
                to = self.page(path)
            else:
                sys.exit(f"book.py: {source} links to {found[1]}, which is not there")
            return f"]({posixpath.relpath(to, posixpath.dirname(page))}{hash_mark}{heading})"

        parts = CODE.split(text)
        # A link's own text may be code: so code is put back before links are looked for, with its brackets hidden.
        kept = []
        for at in range(1, len(parts), 2):
            kept.append(parts[at])
            parts[at] = f"\0{len(kept) - 1}\0"
        text = LINK.sub(there, "".join(parts))
        return re.sub("\0(\\d+)\0", lambda found: kept[int(found[1])], text)

    def text(self, path):
        """What the page of a path shows."""
        there, page = self.root / path, self.pages[path]
        if there.is_dir() and (there / "README.md").exists():
            path, there = f"{path}/README.md", there / "README.md"
        if there.suffix == ".md":
            return self.linked(there.read_text(), path, page)
        files = sorted(it for it in there.iterdir() if it.is_file()) if there.is_dir() else [there]
        shown = [f"# {path}\n"]
        for file in files:
            heading = f"## {file.name}\n\n" if there.is_dir() else ""
            shown.append(f"{heading}~~~~{LANGUAGES.get(file.suffix, 'text')}\n{file.read_text()}\n~~~~\n")
        return "\n".join(shown)


def chapters(items):
    for item in items:
        if "Chapter" in item:
            yield item["Chapter"]
            yield from chapters(item["Chapter"]["sub_items"])


def preprocess():
    context, book = json.load(sys.stdin)
    sources = Sources(pathlib.Path(context["root"]))
    for chapter in chapters(book["items"]):
        path = chapter["source_path"]
        chapter["content"] = sources.linked(chapter["content"], f"docs/{path}", path)
    added = []
    while sources.waiting:
        path = sources.waiting.pop(0)
        page = sources.pages[path]
        added.append((path, {
            "name": path, "content": sources.text(path), "number": None, "sub_items": [], "path": page, "source_path": None,
            "parent_names": [],
        }))
    added = [{"Chapter": chapter} for _, chapter in sorted(added, key=lambda it: it[0])]
    book["items"] += [{"PartTitle": "From the sources"}, *added] if added else []
    json.dump(book, sys.stdout)


class Page(html.parser.HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.update(filter(None, (attributes.get("id"), attributes.get("name") if tag == "a" else None)))
        self.links += filter(None, (attributes.get("href"), attributes.get("src")))


def check(folder):
    pages = {path: Page(path.read_text()) for path in folder.rglob("*.html")}
    broken, seen = [], 0
    for path, page in pages.items():
        # Its links are to be right at any depth, since it is shown for what is not there.
        if path.name == "404.html":
            continue
        for link in page.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            seen += 1
            to = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[to].anchors if to in pages else None
            lost = parts.fragment and anchors is not None and urllib.parse.unquote(parts.fragment) not in anchors
            if not to.is_file() or lost:
                broken.append(f"{path.relative_to(folder)}: {link}")
    print("\n".join(broken + [f"{len(pages)} pages, {seen} links, {len(broken)} broken"]))
    return 1 if broken or not seen else 0


def main():
    match sys.argv[1:]:
        case ["supports", output]:
            return 0 if output == "html" else 1
        case ["check", folder]:
            return check(pathlib.Path(folder).resolve())
        case []:
            return preprocess()
    sys.exit(__doc__)


if __name__ == "__main__":
    sys.exit(main())
