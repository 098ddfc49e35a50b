"""The progress line: a line on a terminal, nothing anywhere else."""

import io
import re

import pytest

from foreshock.training.recorder import ProgressLine


class Terminal(io.StringIO):
    """Standard error as a terminal is."""

    def isatty(self) -> bool:
        return True


def run_line(shown: bool | None = None) -> None:
    with ProgressLine(shown) as line:
        for step in range(1, 9):
            line.update(
                step=step, n_steps=8, epoch=(step + 1) // 2, n_epochs=4, loss=0.5, rate=1e-3
            )
        line.bar.refresh()


def terminal(monkeypatch: pytest.MonkeyPatch, columns: int = 100) -> Terminal:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)  # here: between fixture and test pytest sets its own
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", str(columns))
    return screen


def test_a_terminal_sees_epoch_batches_loss_and_learning_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = terminal(monkeypatch)
    run_line()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert "epoch 4/4" in text
    assert "8/8" in text
    assert "loss 0.5000" in text
    assert "lr 1.0e-03" in text
    assert "batches/s" in text


def test_nothing_is_drawn_before_the_first_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    with ProgressLine():
        pass
    assert "epoch" not in screen.getvalue()
    assert "nan" not in screen.getvalue()


def test_the_line_is_cleared_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    run_line()
    assert screen.getvalue().endswith("\x1b[1A\x1b[2K")


def test_the_line_is_cleared_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    line = ProgressLine()
    line.__enter__()
    line.update(step=1, n_steps=2, epoch=1, n_epochs=1, loss=0.5, rate=0.1)
    line.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert screen.getvalue().endswith("\x1b[1A\x1b[2K")


def test_a_narrow_terminal_keeps_it_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch, columns=40)
    run_line()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert all(len(part) <= 40 for part in re.split(r"[\r\n]+", text))
    assert "\x1b[2A" not in screen.getvalue()  # never two lines up


def test_nothing_is_written_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    run_line()
    assert capsys.readouterr() == ("", "")


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    run_line(shown=False)
    assert screen.getvalue() == ""
