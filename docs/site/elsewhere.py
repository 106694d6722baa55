"""Pages that live outside docs/, and links to them, which on the site lead to their copies."""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

PAGES = {
    "../config/README.md": "config-keys.md",
    "../CONTRIBUTING.md": "contributing.md",
    "../CHANGELOG.md": "changelog.md",
    "../profiles/README.md": "profiles.md",
}
"""Where a page is, seen from docs/, and what the site calls it."""


def fetched(app: Sphinx, name: str, source: list[str]) -> None:
    """Text of a page: its original where it lives elsewhere, and its links led to the copies."""
    docs = Path(app.srcdir)
    original = next((path for path, page in PAGES.items() if page == f"{name}.md"), None)
    if original is not None:
        here = Path(original).parent
        source[0] = (docs / original).read_text()
        source[0] = re.sub(
            r"\]\((?!https?:|#)([^)\s]+)\)", lambda m: f"]({_seen(docs, here, m[1])})", source[0]
        )
    for path, page in PAGES.items():
        source[0] = source[0].replace(f"]({path}", f"]({page}")


def _seen(docs: Path, here: Path, link: str) -> str:
    """A link of a page in ``here``, as a page in docs/ would write it."""
    path, mark, anchor = link.partition("#")
    return f"{os.path.relpath(docs / here / path, docs)}{mark}{anchor}"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("source-read", fetched)
    return {"parallel_read_safe": True}
