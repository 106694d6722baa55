"""Long names in tables may be broken, so that the text beside them stays in view."""

import re

from sphinx.application import Sphinx

LONG = 24
"""Names up to this many characters stay whole."""

SUFFIX = r"(?:csv|gz|h5|json|mat|md|npy|npz|png|pt|py|smk|txt|xlsx|yaml|zarr)\b"


def breakable(body: str) -> str:
    """HTML of a page, with places where a browser may break the code in its tables."""
    return re.sub(r"<td\b.*?</td>", lambda cell: _cell(cell[0]), body, flags=re.S)


def _cell(html: str) -> str:
    return re.sub(
        r'(<span class="pre">)([^<]+)(?=</span>)', lambda code: code[1] + _name(code[2]), html
    )


def _name(name: str) -> str:
    """Breaks after dots and slashes and before brackets; what is still long, at underscores."""
    if len(name) <= LONG:
        return name
    parts = re.split(rf"(?<=[./])(?=\w)(?!{SUFFIX})|(?=\()", name)
    short = [re.sub(r"([_=])(?=\w)", r"\1<wbr>", p) if len(p) > LONG + 4 else p for p in parts]
    return "<wbr>".join(short)


def _page(app: Sphinx, page: str, template: str, context: dict, tree: object) -> None:
    if "body" in context:
        context["body"] = breakable(context["body"])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("html-page-context", _page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
