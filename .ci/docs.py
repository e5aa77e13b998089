"""Make a folder of HTML pages from the chapters: `python .ci/docs.py OUT`.

README, CONTRIBUTING, CHANGELOG, `examples/*.md` and the cards of the models become a page each, and
the files that they link to are copied. A link that leads nowhere is an error, in the pages and on
GitHub alike.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
CHAPTERS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES = [
    *CHAPTERS,
    *sorted(ROOT.glob("examples/*.md")),
    *sorted(ROOT.glob("lnfgen/pretrained/*/card.md")),
]
STYLE = """body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 sans-serif }
pre { overflow: auto; padding: .7rem; background: #f4f4f4 } img { max-width: 100% }
table { display: block; overflow: auto; border-collapse: collapse }
td, th { padding: .3rem; border: 1px solid #ccc }"""
LINKS = {"link_open": "href", "image": "src"}
"""The attribute with the address, by the kind of token that has one."""


def anchor(heading: str) -> str:
    """The name that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def set_anchors(tokens: list[Token]) -> set[str]:
    """Give each heading its anchor, and return all of them."""
    found: set[str] = set()
    for heading, inline in pairwise(tokens):
        if heading.type == "heading_open":
            name = anchor(inline.content)
            heading.attrSet("id", name)
            found.add(name)
    return found


def links_of(tokens: list[Token]) -> Iterator[tuple[Token, str, str]]:
    """The tokens with links into this folder: each token, its attribute, the address in it."""
    for block in tokens:
        for token in block.children or []:
            attribute = LINKS.get(token.type, "")
            link = str(token.attrGet(attribute) or "")
            if link and ":" not in link:
                yield token, attribute, link


def document(title: str, body: str, path: Path, out: Path) -> str:
    """The HTML of a page at a path, with a link to README ahead of it."""
    home = os.path.relpath(out / "README.html", path.parent)
    return "\n".join(
        [
            "<!doctype html>",
            "<meta charset='utf-8'>",
            f"<meta name='viewport' content='width=device-width'><title>{title}</title>",
            f"<style>{STYLE}</style>",
            f"<p><a href='{home}'>lnfgen</a></p>",
            body,
        ]
    )


def main(out: Path) -> None:
    markdown = MarkdownIt().enable("table")
    parsed = {page: markdown.parse(page.read_text(encoding="utf-8")) for page in PAGES}
    anchors = {page: set_anchors(tokens) for page, tokens in parsed.items()}
    dead: list[str] = []
    for page, tokens in parsed.items():
        for token, attribute, link in links_of(tokens):
            name, _, fragment = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            is_dead = not target.is_file()
            if fragment and fragment not in anchors.get(target, ()):
                is_dead = True
            if is_dead:
                dead.append(f"{page.relative_to(ROOT)} links to {link}, which is not there")
            elif target in parsed:
                token.attrSet(attribute, link.replace(".md", ".html"))
            else:
                copy = out / target.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(target, copy)
        title = tokens[1].content
        body = markdown.renderer.render(tokens, markdown.options, {})
        path = out / page.relative_to(ROOT).with_suffix(".html")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document(title, body, path, out), encoding="utf-8")
    if dead:
        raise SystemExit("\n".join(dead))
    print(f"{len(PAGES)} pages, from {out / 'README.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
