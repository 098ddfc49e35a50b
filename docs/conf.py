"""How these pages become a site: `make docs`. The pages themselves are plain Markdown."""

import dataclasses
import re
from pathlib import Path

from numpy.typing import ArrayLike
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.typing import stringify_annotation

import foreshock

PUBLIC = Path(foreshock.__file__).with_suffix(".pyi")
project = "foreshock"
author = "the foreshock developers"
version = release = foreshock.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = ["docs/**.md", "README.md", "CHANGELOG.md"]  # so that they link to each other
exclude_patterns = [".*", "build", "runs"]
html_theme = "furo"
html_title = f"foreshock {version}"
html_show_copyright = False
html_copy_source = False
myst_heading_anchors = 3
default_role = "literal"  # `name` in a docstring
napoleon_use_param = napoleon_use_rtype = False  # types are words here, nothing to link to
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # annotations name types of torch, NumPy and inner modules


def add_pages(_app: Sphinx, page: str, source: list[str]) -> None:
    """Add a table of contents to the pages that list others, and its entries to the API."""
    if page in (root_doc, "docs/log"):
        pages = re.findall(r"\]\(([^):]+)\.md\)", source[0])
        source[0] += "\n```{toctree}\n:hidden:\n\n" + "\n".join(pages) + "\n```\n"
    if page == "docs/api":
        source[0] += "".join(f"\n## {title}\n{text}" for title, text in entries().items())


def entries() -> dict[str, str]:
    """Give the directives of all public names by kind."""
    found = dict.fromkeys(("Functions", "Classes", "Configuration", "Errors", "Constants"), "")
    for name in sorted(foreshock.__all__, key=str.lower):
        thing = getattr(foreshock, name)
        text = ""
        if not isinstance(thing, type) and not callable(thing):
            kind, directive = "Constants", "py:data"
            module = re.search(rf"from \.(\S+) import {name} as", PUBLIC.read_text())[1]
            home = ModuleAnalyzer.for_module(f"foreshock.{module}")
            text = "\n\n   " + "\n   ".join(home.find_attr_docs()["", name])
        elif not isinstance(thing, type):
            kind, directive = "Functions", "autofunction"
        elif issubclass(thing, Exception):
            kind, directive = "Errors", "autoexception"
        else:
            configures = dataclasses.is_dataclass(thing) and name.endswith(("Config", "Rule"))
            kind, directive = "Configuration" if configures else "Classes", "autoclass"
        found[kind] += f"\n```{{eval-rst}}\n.. {directive}:: foreshock.{name}{text}\n```\n"
    return found


def skip(
    _app: Sphinx, _what: str, _name: str, thing: object, skipped: bool, _options: object
) -> bool:
    """Leave out the methods that other packages put into our classes."""
    home = getattr(thing, "__module__", None) or "foreshock"
    return skipped or (callable(thing) and not home.startswith("foreshock"))


def keep_colons(
    _app: Sphinx, what: str, _name: str, _thing: object, _options: object, lines: list[str]
) -> None:
    """Begin an attribute's text with an empty comment: else napoleon takes "word: text" apart."""
    if what in ("attribute", "property"):
        lines[:0] = ["..", ""]


def name_types(_app: Sphinx, *given: object) -> tuple[str | None, ...]:
    """Write NumPy's aliases in a signature, and in what it returns, as the code does."""
    array = stringify_annotation(ArrayLike, "smart")
    ndarray = r"~numpy\.ndarray\[tuple\[~typing\.Any, \.\.\.\], ~numpy\.dtype\[(.*?)\]\]"
    return tuple(
        re.sub(ndarray, r"NDArray[\1]", text.replace(array, "ArrayLike"))
        if isinstance(text, str)
        else None
        for text in given[-2:]
    )


def redirect(app: Sphinx, _error: Exception | None) -> None:
    """Let the folder's first page lead to that of the documentation."""
    page = f'<meta http-equiv="refresh" content="0; url={root_doc}.html">'
    (Path(app.outdir) / "index.html").write_text(f"<!doctype html><title>foreshock</title>{page}")


def setup(app: Sphinx) -> None:
    """Say when each of these is asked."""
    app.connect("build-finished", redirect)
    app.connect("source-read", add_pages)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-docstring", keep_colons, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", name_types)
