"""The documentation site: Sphinx reads these pages and the docstrings of the library."""

import sys
from importlib import import_module, metadata
from operator import attrgetter
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent / "site"))

project = "ngpipe"
author = "the ngpipe developers"
copyright = author  # noqa: A001
version = release = metadata.version("ngpipe")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx-mathjax-offline",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "elsewhere",
    "breaks",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["site", "_build"]
root_doc = "index"

myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence", "html_image"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]

templates_path = ["site/templates"]
autosummary_generate = True
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
add_module_names = False

html_theme = "furo"
html_title = f"ngpipe {version}"
html_static_path = ["site/static"]
html_css_files = ["wide.css"]
html_theme_options = {"navigation_with_keys": True}
html_show_sourcelink = False
copybutton_exclude = ".linenos, .gp, .go"


def whole_sentences(
    app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """Keep napoleon from reading the words before a colon as the type of an attribute."""
    if what in ("attribute", "data", "property"):
        lines.insert(0, "")


def where_it_stands(app: Sphinx, module: str, name: str) -> str | None:
    """The source of an alias such as ``tuple[...]`` is its module, not that of ``tuple``."""
    try:
        of = attrgetter(name)(import_module(module)).__module__
    except AttributeError:
        return None
    return module if of == "builtins" else None


def setup(app: Sphinx) -> None:
    """Before napoleon, whose priority is 500."""
    app.connect("autodoc-process-docstring", whole_sentences, priority=400)
    app.connect("viewcode-follow-imported", where_it_stands)
