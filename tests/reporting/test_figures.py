"""figures: SVG that says what is on it and PNG files, whatever the numbers and names are."""

import functools
import io
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from matplotlib.image import imread

from foreshock.metrics.intervals import Estimate
from foreshock.reporting import figures
from foreshock.reporting.figures import Bin, Losses, Ranking

HOSTILE = [
    "<script>alert(1)</script>", '"></svg><b onload="x">', "$\\frac{$", "a\0b\x1b[31m",
    "\u202egnp.exe", "long " * 60, "caf\udce9", "中文 😀", ' id="x" url(#y)', "{{ 7*7 }}",
]  # fmt: skip
BIN = Bin(0.1, Estimate(0.2, 0.1, 0.4), 7)


def noise(n: int, seed: int = 0) -> list[float]:
    return np.random.default_rng(seed).random(n).tolist()


def training(
    batches: Sequence[float], name: str = "member 0", valid: Sequence[tuple[int, float]] = ()
) -> Losses:
    rates = [1e-3] * len(batches)
    return Losses(name=name, batches=list(batches), rates=rates, valid=list(valid), per_epoch=10)


def loss(n: int = 50, name: str = "member 0", level: float = 1.0, valid: bool = True) -> Losses:
    each = [(k, 0.5) for k in range(10, n, 10)] if valid else []
    return training((level * np.exp(-np.arange(n) / 20)).tolist(), name, each)


def ranking(name: str = "yes", n: int = 60) -> Ranking:
    random = np.random.default_rng(1)
    y = np.arange(n) % 3 == 0
    return Ranking(name, y, y + random.normal(size=n))


def likely(name: str = "model") -> Ranking:
    found = ranking(name)
    return Ranking(name, found.y, 1 / (1 + np.exp(-found.score)))


def series(names: list[str], n: int = 40) -> str:
    random = np.random.default_rng(2)
    X = random.normal(size=(len(names), n))
    return figures.series(X, np.sin(np.arange(n) / 5), 1.0, names)


PICTURES: dict[str, Callable[[], str]] = {
    "losses": lambda: figures.losses([loss()]),
    "members": lambda: figures.losses([loss(name=f"member {k}") for k in range(8)]),
    "one batch": lambda: figures.losses([loss(1, valid=False)]),
    "no loss": lambda: figures.losses([loss(level=0.0)]),
    "ten decades": lambda: figures.losses([loss(500)]),
    "finder": lambda: figures.finder(np.logspace(-6, 0, 40).tolist(), noise(40), 1e-3),
    "finder that stopped": lambda: figures.finder([1e-6], [0.7], 1e-6),
    "confusion": lambda: figures.confusion_map(np.arange(400).reshape(20, 20)),
    "confusion of nothing": lambda: figures.confusion_map(np.zeros((20, 20), np.int64)),
    "costs": lambda: figures.costs([likely(), likely("other")]),
    "roc": lambda: figures.roc([ranking(), ranking("other")]),
    "precision": lambda: figures.precision_recall([ranking()]),
    "reliability": lambda: figures.reliability([BIN], "probability"),
    "alarms": lambda: figures.alarms(np.arange(50.0), np.linspace(0, 1, 50), (4.0, 0.1)),
    "forecasts": lambda: figures.forecasts(
        np.datetime64("2001-01-01", "us") + np.arange(3000) * np.timedelta64(1, "h"),
        np.array(noise(3000)), np.arange(3000) % 500 == 0, 0.5,
    ),
    "series": lambda: series(["x"]),
    "channels": lambda: series(list("abcdefg")),
}  # fmt: skip


@functools.cache
def drawn(name: str) -> str:
    return PICTURES[name]()


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_svg_that_says_what_is_on_it_and_loads_nothing(name: str) -> None:
    text = drawn(name)
    root = ET.fromstring(text)
    assert root.tag == "svg" and root.get("role") == "img"
    label = root.get("aria-label") or ""
    assert len(label) > 20 and re.search(r"\d", label)
    assert not re.search(r"<(style|script|image|metadata)|style=|http|NaN|\bnan\b", text)
    assert 300 < float(root.get("width", "0")) < 520


@pytest.mark.parametrize("name", PICTURES)
def test_the_same_numbers_give_the_same_picture(name: str) -> None:
    assert PICTURES[name]() == drawn(name)


@pytest.mark.parametrize("name", PICTURES)
def test_what_a_picture_refers_to_is_in_it_once(name: str) -> None:
    text = drawn(name)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))
    assert sorted(re.findall(r' id="([^"]+)"', text)) == sorted(used)


def test_pictures_on_one_page_have_no_name_in_common() -> None:
    names = [set(re.findall(r' id="([^"]+)"', drawn(name))) for name in PICTURES]
    assert sum(map(len, names)) == len(set().union(*names))


def test_lines_of_text_are_of_the_pages_colour_and_the_others_are_seen_on_both() -> None:
    for name in PICTURES:
        colors = set(re.findall(r'(?:fill|stroke)="([^"]+)"', drawn(name)))
        assert colors <= {"none", "currentColor", *figures.COLORS}
    for color in figures.COLORS:
        for ground in ("#ffffff", "#15181b"):
            assert contrast(color, ground) >= 3, (color, ground)


def contrast(a: str, b: str) -> float:
    """WCAG 2.2: 3 is what graphics need, 4.5 what text needs."""

    def luminance(color: str) -> float:
        channels = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)]) / 255
        linear = np.where(
            channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4
        )
        return float(linear @ [0.2126, 0.7152, 0.0722])

    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("names", [HOSTILE[k::4] for k in range(4)], ids=range(4))
def test_any_name_is_text_and_nothing_else(names: list[str]) -> None:
    pictures = [
        series(names),
        figures.roc([ranking(name[:22]) for name in names]),
        figures.losses([loss(name=name) for name in [*names, "b"]]),
        *(figures.reliability([BIN], name[:30]) for name in names),
    ]
    for text in pictures:
        root = ET.fromstring(text)
        assert {element.tag for element in root.iter()} <= {
            "svg", "g", "path", "use", "defs", "text", "tspan", "clipPath", "rect",
        }  # fmt: skip
        shown = "".join(root.itertext()) + (root.get("aria-label") or "")
        assert all(c.isprintable() or c == "\n" for c in shown)
        text.encode()


def test_a_name_is_drawn_as_it_is_and_not_as_an_attribute() -> None:
    text = figures.roc([ranking(' style="a: b" #000000'), ranking("b")])
    assert ' style="a: b" #000000' in "".join(ET.fromstring(text).itertext())


def test_a_long_line_keeps_its_extremes() -> None:
    y = np.array(noise(50_000))
    y[12_345], y[40_000], y[100:200] = 9.0, -9.0, np.nan
    x, thinned = figures.thin(np.arange(len(y)), y)
    assert len(thinned) <= 1000
    assert thinned[x == 12_345] == 9.0 and thinned[x == 40_000] == -9.0
    np.testing.assert_array_equal(thinned, y[x])
    assert (np.diff(x) > 0).all()


def test_a_long_training_makes_no_large_picture() -> None:
    text = figures.losses([loss(20_000, name=f"member {k}") for k in range(3)])
    assert len(text) < 100_000


def test_a_gap_is_a_gap() -> None:
    X = np.sin(np.arange(60.0))[None]
    X[0, 20:30] = np.nan
    text = figures.series(X, np.zeros(60), 1.0, ["x"])
    line = max(re.findall(r'<path d="([^"]+)"', text), key=len)
    assert line.count("M") == 2


def test_a_stretch_that_speaks_for_the_class_is_told_from_one_against_it() -> None:
    weights = np.zeros(60)
    weights[10:20] = 1
    assert figures.ORANGE in figures.series(np.zeros((1, 60)), weights, 1.0, ["x"])
    assert figures.BLUE in figures.series(np.zeros((1, 60)), -weights, 1.0, ["x"])


def test_the_label_of_a_curve_has_its_area() -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    each = ranking()
    assert f"AUROC {roc_auc_score(each.y, each.score):.3f}" in figures.roc([each])
    average = average_precision_score(each.y, each.score)
    assert f"average precision {average:.3f}" in figures.precision_recall([each])


def test_a_curve_of_many_cases_is_thinned_and_keeps_its_shape() -> None:
    random = np.random.default_rng(0)
    y = random.random(100_000) < 0.3
    text = figures.roc([Ranking("yes", y, y + random.normal(size=len(y)))])
    assert len(text) < 60_000


def test_methods_of_any_name_are_ranked_and_the_diagram_fits() -> None:
    names = ["<script>", "$x_{$", "a" * 24, "b & c", "\0"]
    ranked = [1.5, 2.25, 3.0, 3.75, 4.5], names, [[0, 1], [1, 2, 3]], 6
    text = figures.critical_difference(*ranked)
    assert text == figures.critical_difference(*ranked)
    shown = "".join(ET.fromstring(text).itertext())
    assert "<script>" in shown and "\\x00" in shown and "a" * 24 in shown


def test_a_number_and_its_interval_stay_within_their_strip() -> None:
    for value, low, high in ((0.5, 0.4, 0.6), (2.0, -1.0, 3.0), (0.0, None, None)):
        root = ET.fromstring(figures.strip(Estimate(value, low, high), mark=0.5))
        circle = root.find("circle")
        assert circle is not None and 3 <= float(circle.get("cx", "-1")) <= 117
    assert figures.ORANGE in figures.balance(1.0, 2.0) and figures.BLUE in figures.balance(
        -1.0, 2.0
    )
    ET.fromstring(figures.balance(0.0, 0.0))


def pixels(png: bytes) -> np.ndarray:
    """Return the pixels of a PNG file, (height, width, 3), from 0 to 255."""
    return (imread(io.BytesIO(png))[:, :, :3] * 255).round().astype(int)


def curve(
    *trainings: Losses, title: str = "toy: weights of the last batch", best_step: int | None = None
) -> np.ndarray:
    found = pixels(figures.loss_curve(title, trainings, best_step=best_step))
    assert found.shape == (600, 960, 3)
    return found


def has(found: np.ndarray, color: str) -> bool:
    """Check whether a line of a colour, which may be half white at its edges, is in a picture."""
    ink = 255 - np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)])
    share = (255 - found) @ ink / (ink @ ink)
    near = np.abs(255 - found - share[:, :, None] * ink).max(axis=2) < 5
    return bool((near & (share > 0.5)).sum() > 200)


@pytest.mark.parametrize(
    "each",
    [
        *(training(noise(n)) for n in (1, 10, 20_000)),
        *(training([level] * 50) for level in (0.0, 0.5, 1e-30, 1e30)),
        training([1.0] * 2000, valid=[(k, 1 / k) for k in range(1, 2001)]),
    ],
    ids=range(8),
)
def test_the_file_of_any_training_is_drawn(each: Losses) -> None:
    curve(each)


def test_the_file_of_ten_decades_shows_the_valid_part_and_the_choice() -> None:
    batches = [10.0 ** (3 - i / 30) for i in range(300)]
    valid = [(30 * i, 10.0 ** (3 - i)) for i in range(1, 11)]
    alone, whole = curve(training(batches)), curve(training(batches, valid=valid))
    assert has(whole, figures.ORANGE) and not has(alone, figures.ORANGE)
    assert (curve(training(batches, valid=valid), best_step=200) != whole).any()


def test_the_file_of_several_members_shows_each_of_them() -> None:
    members = [training([k + 1.0] * 50, f"member {k}") for k in range(4)]
    for n in (2, 3, 4):
        found = curve(*members[:n])
        assert [has(found, color) for color in figures.COLORS[:4]] == [k < n for k in range(4)]


@pytest.mark.parametrize(
    "title", ["$\\frac{$", "a $b$", "中文 😀", "long name " * 30, "<b>&{}%s", "caf\udce9"]
)
def test_the_file_of_a_problem_of_any_name_is_drawn(title: str) -> None:
    curve(training([1.0, 0.5]), title=title)


@pytest.mark.parametrize("names", [("p_{$x^$",), ("$T_{$", "caf\udce9"), ("a $b$", "long " * 30)])
def test_channels_and_classes_of_any_name_are_drawn(names: tuple[str, ...]) -> None:
    series = np.random.default_rng(0).normal(size=(2, len(names), 30))
    shown = {name: list(series) for name in names}
    assert pixels(figures.cases("toy", shown, names, before=(1, "1h"))).shape[1] == 888


@pytest.mark.parametrize("n", [1, 100])
def test_the_file_of_a_finder_is_drawn_even_if_it_stopped_at_once(n: int) -> None:
    rates, values = np.logspace(-6, 0, n).tolist(), np.linspace(0.7, 3, n).tolist()
    assert pixels(figures.learning_rates(rates, values, 1e-6)).shape == (480, 840, 3)


def test_the_smoothed_line_of_a_constant_is_that_constant() -> None:
    assert figures.smooth([0.25] * 7) == pytest.approx([0.25] * 7)


def test_the_smoothed_line_neither_leads_nor_lags() -> None:
    values = np.linspace(1, 0, 301).tolist()
    assert figures.smooth(values)[150] == pytest.approx(0.5)
    assert figures.smooth(values)[100] == pytest.approx(values[100], abs=0.005)


def test_drawing_touches_neither_pyplot_nor_torch_nor_global_settings() -> None:
    code = (
        "import sys, matplotlib; names = ('font.size', 'svg.fonttype', 'text.color');"
        "before = [matplotlib.rcParams[name] for name in names];"
        "from foreshock.reporting import figures; from foreshock.reporting.figures import Losses;"
        "found = Losses(name='a', batches=[1.0], rates=[1.0], valid=[], per_epoch=1);"
        "figures.losses([found]); figures.loss_curve('x', [found], best_step=None);"
        "assert before == [matplotlib.rcParams[name] for name in names];"
        "print(*({'torch', 'matplotlib.pyplot'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == ""


def test_costs_are_those_of_a_plain_count() -> None:
    each = likely()
    warned = each.score >= 1 / 11
    missed, false = (~warned & each.y).sum(), (warned & ~each.y).sum()
    expected = (missed + false / 10) / each.y.sum()
    assert f"model: {expected:.2f} at 10" in figures.costs([each])
