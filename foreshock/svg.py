"""Matplotlib figures as SVG that stands in a page: its text, its colours, nothing loaded."""

import hashlib
import html
import io
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock._optional import optional
from foreshock._text import printable

INK = "#010203"
"""Stands for the colour of the text around a picture, dark on light or light on dark."""
BLUE, ORANGE, GREEN, PURPLE, PINK, GRAY = (
    *("#2f80c0", "#cf6a1c", "#1c9270"),
    *("#9469c6", "#c9548d", "#788189"),
)
COLORS = (BLUE, ORANGE, GREEN, PURPLE, PINK, GRAY)
"""Told apart by colour-blind people, and from white and black."""
WIDTH = 400
"""How wide a picture is: as wide as a phone, so that its letters stay legible there."""
_MOST = 1000
"""Points that a line has at most."""

_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "foreshock",
    "text.parse_math": False,
    "text.color": INK,
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that sizes are the same everywhere
    "font.size": 12,
    "axes.labelsize": 12,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.xmargin": 0.02,
    "axes.unicode_minus": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.frameon": False,
    "legend.fontsize": 11,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "path.simplify": False,
}
_DROPPED = {"font", "font-family", "font-style", "font-variant", "font-stretch", "white-space"}


def draw(paint: Callable[[Any], str], height: int, *, width: int = WIDTH) -> str:
    """Draw a figure and give it as SVG.

    Parameters
    ----------
    paint : callable
        Draws on the figure that it is given, and says in words and numbers what can be seen.
    height, width : int
        Size in CSS pixels.
    """
    matplotlib = optional("matplotlib", "report")
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
        return inline(figure, paint(figure))


def inline(figure: Any, label: str) -> str:
    """Give a figure as SVG to stand in a page.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    label : str
        What can be seen on it, for those who cannot.
    """
    import matplotlib
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
        text.set_text(printable(text.get_text()))
    buffer = io.StringIO()
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the browser has fonts of its own
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing)
    return _adapt(buffer.getvalue(), printable(label))


def thin(
    x: NDArray[Any], y: NDArray[np.floating], most: int = _MOST
) -> tuple[NDArray[Any], NDArray[np.floating]]:
    """Keep the lowest and the highest point of each of so many stretches that a line has."""
    if len(y) <= most:
        return x, y
    kept = []
    for stretch in np.array_split(np.arange(len(y)), most // 2):
        values = y[stretch]
        if np.isnan(values).all():
            kept.append(stretch[:1])
            continue
        kept.append(np.unique(stretch[[np.nanargmin(values), np.nanargmax(values)]]))
    rows = np.concatenate(kept)
    return x[rows], y[rows]


def plain_ticks(axis: Any) -> None:
    """Write 0.001 where matplotlib would typeset a power of ten."""
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(lambda value, _: "")


def strip(
    value: float,
    low: float | None,
    high: float | None,
    *,
    ends: tuple[float, float] = (0.0, 1.0),
    mark: float | None = None,
) -> str:
    """Draw an estimate and its interval on a line as long as a table's cell, and a mark."""

    def at(number: float) -> str:
        share = (number - ends[0]) / ((ends[1] - ends[0]) or 1.0)
        return f"{3 + 114 * min(1.0, max(0.0, share)):.1f}"

    parts = ['<path d="M3 8H117" stroke="currentColor" stroke-opacity="0.2"/>']
    if mark is not None:
        parts.append(f'<path d="M{at(mark)} 1V15" stroke="currentColor" stroke-dasharray="2 2"/>')
    if low is not None and high is not None:
        parts.append(f'<path d="M{at(low)} 8H{at(high)}" stroke="{BLUE}" stroke-width="3"/>')
    parts.append(f'<circle cx="{at(value)}" cy="8" r="4" fill="{BLUE}"/>')
    return f'<svg class="strip" viewBox="0 0 120 16" aria-hidden="true">{"".join(parts)}</svg>'


def balance(value: float, most: float) -> str:
    """Draw a number as a bar to the left of the middle, or to the right, of a table's cell."""
    length = 56 * min(1.0, abs(value) / (most or 1.0))
    color, begin = (ORANGE, 60.0) if value >= 0 else (BLUE, 60 - length)
    return (
        '<svg class="strip" viewBox="0 0 120 16" aria-hidden="true">'
        '<path d="M60 0V16" stroke="currentColor" stroke-opacity="0.5"/>'
        f'<path d="M{begin:.1f} 8h{length:.1f}" stroke="{color}" stroke-width="8"/></svg>'
    )


def _adapt(text: str, label: str) -> str:
    """Take out what belongs to a file; put styles into attributes, which need no permission."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.S)
    used = set(re.findall(r'<[^>]*?(?:url\(#|href="#)([^)"]+)', text))
    salt = hashlib.sha256((text + label).encode()).hexdigest()[:10]
    names = {name: f"f{salt}-{number}" for number, name in enumerate(sorted(used))}
    text = re.sub(r"<[^>]+>", lambda tag: _tag(tag[0], names), text)
    text = re.sub(r"<defs>\s*</defs>", "", text)
    text = re.sub(r"\s*\n\s*", "\n", text)
    head = re.match(r'<svg[^>]*viewBox="0 0 ([\d.]+) ([\d.]+)"[^>]*>', text)
    assert head is not None
    start = (
        f'<svg class="chart" viewBox="0 0 {head[1]} {head[2]}" width="{head[1]}"'
        f' height="{head[2]}" fill="currentColor" role="img"'
        f' aria-label="{html.escape(label)}">'
    )
    return start + text[head.end() :].strip()


def _tag(tag: str, names: dict[str, str]) -> str:
    """Adapt a tag; the text between tags is anybody's, and stays as it is."""
    tag = re.sub(r' xmlns(:\w+)?="[^"]*"| transform="rotate\(-0 [^"]*"', "", tag)
    tag = re.sub(r' style="([^"]*)"', _attributes, tag.replace("xlink:href", "href"))
    if re.match(r'<path [^>]*fill="none"/>$', tag) and "stroke" not in tag:
        return ""  # a background that is not there
    tag = re.sub(r' id="([^"]*)"', lambda m: f' id="{names[m[1]]}"' if m[1] in names else "", tag)
    tag = re.sub(r'(url\(#|href="#)([^)"]+)', lambda m: m[1] + names[m[2]], tag)
    tag = re.sub(r'"(#010203|#000000|black)"', '"currentColor"', tag)
    return re.sub(r"(\d+\.\d\d)\d+", r"\1", re.sub(r"\s*\n", " ", tag))


def _attributes(match: re.Match[str]) -> str:
    out = []
    for declaration in match[1].split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name == "font":
            size = re.search(r"([\d.]+)px", value)
            if size is not None:
                out.append(f' font-size="{size[1]}"')
            if value.startswith(("bold", "700")):
                out.append(' font-weight="bold"')
        elif name == "font-size":
            out.append(f' font-size="{value.removesuffix("px")}"')
        elif name and name not in _DROPPED:
            out.append(f' {name}="{value}"')
    return "".join(out)
