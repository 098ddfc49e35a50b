"""A page of sections, tables and pictures, as one HTML file that asks nobody for anything."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files

from foreshock._optional import optional
from foreshock._text import NONE, number
from foreshock.metrics.intervals import Estimate, span


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    quiet: bool = False
    """Whether it only says what is not there, or how to read what is."""


@dataclass(frozen=True)
class Items:
    """Sentences below each other."""

    texts: Sequence[str]


@dataclass(frozen=True)
class Code:
    """Lines to be copied."""

    text: str
    summary: str | None = None
    """What stands for them until they are asked for."""


@dataclass(frozen=True)
class Picture:
    """An SVG and what stands below it."""

    svg: str
    caption: str
    wide: bool = False
    """Whether it is too wide for a phone, and scrolls there."""


@dataclass(frozen=True)
class Pictures:
    """Pictures, side by side where there is room."""

    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Cell:
    """A cell of a table that has more than text."""

    text: str
    below: str = ""
    """What stands under it, smaller."""
    svg: str = ""
    shade: int = 0
    """How dark it is, from 0 to 10; below 0 for what is wrong."""
    strong: bool = False


Row = list[Cell | str]


@dataclass(frozen=True)
class Table:
    """Rows under a head; the first column names the rows."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Row]
    words: bool = False
    """Whether its cells are words, which stand to the left, rather than numbers."""


Block = Heading | Text | Items | Code | Pictures | Table


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: list[Block] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """What a link to it names."""
        return "".join(c if c.isascii() and c.isalnum() else "-" for c in self.title.lower())


@dataclass(frozen=True)
class Figure:
    """A number to be seen from afar."""

    value: str
    interval: str
    what: str


@dataclass(frozen=True)
class Page:
    """All of it."""

    title: str
    above: str
    """A line above the title: what kind of page it is, and of what."""
    sentence: str
    figures: Sequence[Figure]
    sections: Sequence[Section]
    foot: str


def hint(text: str) -> Text:
    """Return a paragraph on what is not there, or on how to read what is."""
    return Text(text, quiet=True)


def estimated(estimate: Estimate | None) -> Cell | str:
    """Return a cell with an estimate and its interval below."""
    return NONE if estimate is None else Cell(number(estimate.value), span(estimate))


def render(page: Page) -> str:
    """Write a page as HTML, whatever the names on it are."""
    jinja2 = optional("jinja2", "report")
    folder = files("foreshock.reporting")
    style = folder.joinpath("page.css").read_text(encoding="utf-8").strip()
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.tests["kind"] = lambda block, name: type(block).__name__ == name
    template = environment.from_string(
        folder.joinpath("page.html.jinja").read_text(encoding="utf-8")
    )
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    html: str = template.render(page=page, style=style, style_hash=f"sha256-{digest}")
    return html
