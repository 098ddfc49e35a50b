"""Numbers and names as text, for pages, tables, errors and pictures."""

from collections.abc import Iterable
from typing import Any

NONE = "–"
_MINUS = "\N{MINUS SIGN}"
INTERVAL = "95\N{NO-BREAK SPACE}% interval"
_LONGEST = 60


def printable(text: str) -> str:
    """Escape what does not print, but for line breaks."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def one_line(text: str) -> str:
    """Escape what does not print and line breaks."""
    return printable(text).replace("\n", "\\n")


def shown(name: object, longest: int = _LONGEST) -> str:
    """Write a name that anybody may have given: what does not print escaped, and not too long."""
    text = one_line(str(name)[: 4 * longest])
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def listed(names: Iterable[object], most: int = 8) -> str:
    """Write names one after the other, and how many more there are."""
    every = list(names)
    text = ", ".join(shown(name) for name in every[:most])
    return text if len(every) <= most else f"{text} and {len(every) - most:,} more"


def number(value: float | None, digits: int = 3) -> str:
    """Write a number, or a dash."""
    return NONE if value is None else f"{value:.{digits}f}".replace("-", _MINUS)


def signed(value: float, digits: int = 3) -> str:
    """Write a number with its sign."""
    return f"{value:+.{digits}f}".replace("-", _MINUS)


def span(estimate: dict[str, Any] | None, digits: int = 3) -> str:
    """Write the interval of an estimate, if it has one."""
    if estimate is None or estimate["low"] is None or estimate["high"] is None:
        return ""
    if estimate["low"] == estimate["high"]:
        return ""  # of what cannot be otherwise
    return f"{number(estimate['low'], digits)} to {number(estimate['high'], digits)}"


def percent_span(estimate: dict[str, Any] | None) -> str:
    """Write the interval of a share, if it has one."""
    if estimate is None or estimate["low"] is None or estimate["high"] is None:
        return ""
    return f"{INTERVAL} {estimate['low']:.1%} to {estimate['high']:.1%}"


def p_value(p: float | None) -> str:
    """Write a p-value."""
    if p is None:
        return NONE
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def counted(n: int, thing: str) -> str:
    """Write how many of a thing there are."""
    return f"{n:,} {thing if n == 1 else f'{thing}s'}"
