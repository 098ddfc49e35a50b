"""The terminal: how large it is, whatever the environment and the system say of it."""

import os
from typing import Any

from rich.console import Console, ConsoleDimensions

_USUAL = (80, 25)
_SMALLEST, _LARGEST = (20, 5), (1000, 1000)


class Terminal(Console):
    """A console of a sane size: a table takes time and memory by its width, and for ever at none.

    Parameters
    ----------
    **options
        Of rich's Console.
    """

    def __init__(self, **options: Any) -> None:
        width, height = _USUAL  # else it believes COLUMNS and LINES
        super().__init__(width=width, height=height, **options)

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError where the reader of a pipe has left; rich would exit."""
        raise BrokenPipeError

    @property  # type: ignore[misc]  # nobody sets it
    def size(self) -> ConsoleDimensions:
        """Columns and lines as they are now."""
        width, height = terminal_size()
        return ConsoleDimensions(width - self.legacy_windows, height)


def terminal_size() -> tuple[int, int]:
    """Return columns and lines.

    COLUMNS and LINES count if they are numbers above 0, else the terminal's own size does, which
    may be 0 in a container, else 80 by 25; from 20 by 5 to 1000 by 1000.
    """
    given = [_number(os.environ.get(name, "")) for name in ("COLUMNS", "LINES")]
    sizes = zip(given, _own_size(), _USUAL, _SMALLEST, _LARGEST, strict=True)
    width, height = (
        max(smallest, min(wanted or own or usual, largest))
        for wanted, own, usual, smallest, largest in sizes
    )
    return width, height


def _number(text: str) -> int:
    try:
        return max(0, int(text))
    except ValueError:
        return 0


def _own_size() -> tuple[int, int]:
    for descriptor in (0, 1, 2):
        try:
            size = os.get_terminal_size(descriptor)
        except OSError:  # no terminal
            continue
        return size.columns, size.lines
    return 0, 0
