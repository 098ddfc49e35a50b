"""plots: PNGs of the right size, whatever the training was like, and no global state."""

import struct
import subprocess
import sys

import numpy as np
import pytest

from foreshock.reporting.figures import cases, learning_rates, loss_curve, smooth


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def curve(losses: list[float], **options: object) -> bytes:
    values: dict[str, object] = {
        "valid": [],
        "batches_per_epoch": 10,
        "best_step": None,
        "title": "toy",
        **options,
    }
    title = str(values.pop("title"))
    return loss_curve(title, losses, [1e-3] * len(losses), **values)


@pytest.mark.parametrize("n_batches", [1, 10, 20_000])
def test_any_number_of_batches_is_drawn(n_batches: int) -> None:
    losses = np.random.default_rng(0).random(n_batches).tolist()
    assert size(curve(losses)) == (960, 600)


@pytest.mark.parametrize("loss", [0.0, 0.5, 1e-30, 1e30])
def test_a_constant_loss_is_drawn(loss: float) -> None:
    assert size(curve([loss] * 50)) == (960, 600)


def test_a_loss_over_ten_decades_is_drawn_with_the_valid_part_and_the_choice() -> None:
    losses = [10.0 ** (3 - i / 30) for i in range(300)]
    valid = [(30 * i, 10.0 ** (3 - i)) for i in range(1, 11)]
    drawn = curve(losses, valid=valid, best_step=300)
    assert size(drawn) == (960, 600)
    assert drawn != curve(losses)


def test_a_valid_part_after_each_of_many_epochs_is_drawn() -> None:
    valid = [(i, 1 / i) for i in range(1, 2001)]
    assert size(curve([1.0] * 2000, valid=valid)) == (960, 600)


@pytest.mark.parametrize(
    "title", ["$\\frac{$", "a $b$", "中文 😀", "long name " * 30, "<b>&{}%s", "caf\udce9"]
)
def test_a_problem_of_any_name_is_drawn(title: str) -> None:
    assert size(curve([1.0, 0.5], title=title)) == (960, 600)


@pytest.mark.parametrize("names", [("p_{$x^$",), ("$T_{$", "caf\udce9"), ("a $b$", "long " * 30)])
def test_channels_and_classes_of_any_name_are_drawn(names: tuple[str, ...]) -> None:
    series = np.random.default_rng(0).normal(size=(2, len(names), 30)).astype(np.float32)
    shown = {name: list(series) for name in names}
    assert size(cases("toy", shown, names, before=(1, "1h")))[0] == 888


def test_the_smoothed_line_of_a_constant_is_that_constant() -> None:
    assert smooth([0.25] * 7) == pytest.approx([0.25] * 7)


def test_the_smoothed_line_neither_leads_nor_lags() -> None:
    values = np.linspace(1, 0, 301).tolist()
    assert smooth(values)[150] == pytest.approx(0.5)
    assert smooth(values)[100] == pytest.approx(values[100], abs=0.005)


def test_the_finder_is_drawn() -> None:
    rates = np.logspace(-6, 0, 100).tolist()
    assert size(learning_rates(rates, np.linspace(0.7, 3, 100).tolist(), 1e-3)) == (840, 480)


def test_a_finder_that_stopped_at_once_is_drawn() -> None:
    assert size(learning_rates([1e-6], [0.7], 1e-6)) == (840, 480)


def test_drawing_touches_neither_pyplot_nor_torch() -> None:
    code = (
        "import sys; from foreshock.reporting.figures import loss_curve;"
        "loss_curve('x', [1.0], [1.0], valid=[], batches_per_epoch=1, best_step=None);"
        "print(*({'torch', 'matplotlib.pyplot'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == ""
