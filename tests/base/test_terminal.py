"""terminal: widths from outside, however odd, cost neither time nor memory."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshock._terminal import Terminal, terminal_size
from foreshock.problems.problem import Problem
from foreshock.training.recorder import ProgressLine

Make = Callable[..., Problem]


@pytest.fixture
def screen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A terminal of the given lines and columns, which is asked for its size."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *request.param, 0, 0))
    size, known = os.get_terminal_size, {0: theirs}
    monkeypatch.setattr("os.get_terminal_size", lambda which: size(known.get(which, -1)))
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    yield theirs
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("columns", ["", "0", "-1", "abc", "8e1", "80.0", "²", "9" * 5000])
@pytest.mark.parametrize("screen", [(50, 120)], indirect=True)
def test_what_is_no_number_above_zero_is_as_if_it_were_not_set(
    screen: int, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("LINES", columns)
    assert terminal_size() == (120, 50)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", (20, 5)), ("7", (20, 7)), ("40", (40, 40)), ("1000000000", (1000, 1000))],
)
@pytest.mark.parametrize("screen", [(50, 120)], indirect=True)
def test_columns_and_lines_count_within_bounds(
    screen: int, text: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", text)
    monkeypatch.setenv("LINES", text)
    assert terminal_size() == size


@pytest.mark.parametrize(
    ("screen", "size"),
    [
        ((0, 0), (80, 25)),  # as in a container
        ((1, 1), (20, 5)),
        ((0, 100), (100, 25)),
        ((65535, 65535), (1000, 1000)),
    ],
    indirect=["screen"],
)
def test_so_does_the_size_of_the_terminal(screen: int, size: tuple[int, int]) -> None:
    assert terminal_size() == size
    assert Terminal().size == size


@pytest.mark.parametrize("screen", [(50, 120)], indirect=True)
def test_a_terminal_that_is_resized_is_seen_to_be(screen: int) -> None:
    console = Terminal()
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 60, 0, 0))
    assert console.width == 60


NUMBERLIKE = st.text("0123456789-+_. ex²٤", max_size=30)


@given(NUMBERLIKE, NUMBERLIKE)
def test_any_text_gives_a_sane_size(columns: str, lines: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, text in (("COLUMNS", columns), ("LINES", lines)):
            patch.setenv(name, text)
        width, height = terminal_size()
    assert 20 <= width <= 1000
    assert 5 <= height <= 1000


@pytest.mark.parametrize("columns", ["0", "1", "²", "1000000000"])
def test_the_progress_line_takes_any_width(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    with ProgressLine(shown=True) as line:
        line.update(step=1, n_steps=2, epoch=1, n_epochs=1, loss=0.5, rate=0.1)


PROGRAM = """
import contextlib, io, os, resource, signal, sys
resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
signal.alarm(60)
from foreshock.cli.app import app, run

helps = [["--help"], *([name, "--help"] for name in app if not name.startswith("-"))]
tables = [["train", "--help"], ["problems", sys.argv[1]], ["doctor"]]
for columns, asked in ("0", tables), ("1", helps), ("1", tables), ("1000000000", helps + tables):
    os.environ["COLUMNS"] = os.environ["LINES"] = columns
    for tokens in asked:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            code = run(tokens)
        lines = said.getvalue().splitlines()
        assert code == 0 and len(lines) > 3, (columns, tokens, code, lines)
        assert "--help" not in tokens or max(map(len, lines)) <= 1000, tokens
"""


@pytest.mark.parametrize("screen", [(0, 0)], indirect=True)
def test_every_command_takes_any_width_in_little_time_and_memory(
    screen: int, tmp_path: Path, small_problem: Make, write_csv: Callable[..., Path]
) -> None:
    path = write_csv(tmp_path / "small.csv", small_problem())
    command = [sys.executable, "-c", PROGRAM, str(path)]
    done = subprocess.run(command, stdin=screen, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
