"""Make a folder of HTML pages from the chapters: `python .ci/docs.py OUT`.

README, CONTRIBUTING, CHANGELOG, `examples/*.md` and the cards of the models become a page each, and
the files that they link to are copied. A link that leads nowhere is an error, in the pages and on
GitHub alike.
"""

import os
import re
import shutil
import sys
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
table { display: block; overflow: auto; border-collapse: collapse } td, th { padding: .3rem; border: 1px solid #ccc }"""


def anchor(heading: str) -> str:
    """The name that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def named(tokens: list[Token]) -> set[str]:
    """Give each heading its anchor, and return all of them."""
    found = set()
    for heading, inline in pairwise(tokens):
        if heading.type == "heading_open":
            heading.attrSet("id", anchor(inline.content))
            found.add(anchor(inline.content))
    return found


def main(out: Path) -> None:
    markdown = MarkdownIt().enable("table")
    parsed = {page: markdown.parse(page.read_text(encoding="utf-8")) for page in PAGES}
    anchors, dead = {page: named(tokens) for page, tokens in parsed.items()}, []
    for page, tokens in parsed.items():
        for token in (child for block in tokens for child in block.children or []):
            attribute = {"link_open": "href", "image": "src"}.get(token.type, "")
            link = str(token.attrGet(attribute) or "")
            if not link or ":" in link:
                continue
            name, _, fragment = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            if not target.is_file() or (fragment and fragment not in anchors.get(target, ())):
                dead.append(f"{page.relative_to(ROOT)} links to {link}, which is not there")
            elif target in parsed:
                token.attrSet(attribute, link.replace(".md", ".html"))
            else:
                copy = out / target.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(target, copy)
        path = out / page.relative_to(ROOT).with_suffix(".html")
        path.parent.mkdir(parents=True, exist_ok=True)
        title, body = tokens[1].content, markdown.renderer.render(tokens, markdown.options, {})
        home = f"<p><a href='{os.path.relpath(out / 'README.html', path.parent)}'>lnfgen</a></p>"
        head = f"<meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>{title}</title>"
        path.write_text(
            f"<!doctype html>\n{head}\n<style>{STYLE}</style>\n{home}\n{body}", encoding="utf-8"
        )
    if dead:
        raise SystemExit("\n".join(dead))
    print(f"{len(PAGES)} pages, from {out / 'README.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
