"""Pictures of a report: numbers in, SVG out. What is on them is said in words, too."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock.plots import smooth
from foreshock.svg import BLUE, COLORS, GRAY, INK, ORANGE, draw, inline, thin

Floats = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Losses:
    """The losses of one training."""

    name: str
    """Whose they are."""

    batches: list[float]
    """Loss of each batch."""

    rates: list[float]
    """Learning rate of each batch."""

    valid: list[tuple[int, float]]
    """Losses on the valid part, each at the last batch of its epoch."""


def losses(trainings: Sequence[Losses]) -> str:
    """Draw the loss over batches, smoothed, and the learning rate below."""
    one = len(trainings) == 1

    def paint(figure: Any) -> str:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        said, low, high = [], np.inf, 0.0
        for number, each in enumerate(trainings):
            color = COLORS[number % 5]
            at = np.arange(1, len(each.batches) + 1)
            line = np.array(smooth(each.batches))
            if one:
                every = thin(at, np.array(each.batches))
                top.plot(*every, color=GRAY, linewidth=0.6, alpha=0.7, label="each batch")
            name = "smoothed" if one else each.name
            dot = "." if len(at) == 1 else None
            label = name if number < 6 else None
            top.plot(*thin(at, line), color=color, label=label, marker=dot)
            low, high = min(low, float(line.min())), max(high, *each.batches)
            if each.valid:
                steps, values = zip(*each.valid, strict=True)
                points = thin(np.array(steps), np.array(values, np.float64))
                label = "valid part" if number == 0 else None
                shade = ORANGE if one else color
                top.plot(*points, color=shade, linestyle="--", label=label)
            if one or number < 3:
                said.append(f"{each.name}: from {line[0]:.3g} to {line[-1]:.3g}")
        if 0 < 50 * low < high:
            top.set_yscale("log")
        else:
            top.set_ylim(bottom=0)
        top.set_ylabel("loss")
        rates = trainings[0].rates
        bottom.plot(*thin(np.arange(1, len(rates) + 1), np.array(rates)), color=GRAY)
        bottom.set_ylim(bottom=0)
        bottom.set_ylabel("rate")
        bottom.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
        bottom.set_xlabel("batch")
        figure.legend(loc="outside upper left", ncols=3)
        more = "" if len(trainings) <= 3 else f", and {len(trainings) - 3} further members"
        return f"Smoothed loss over {len(rates)} batches; {'; '.join(said)}{more}."

    return draw(paint, 300)


def finder(rates: list[float], values: list[float], suggestion: float) -> str:
    """Draw the smoothed loss over the learning rate, and the suggestion."""

    def paint(figure: Any) -> str:
        axes = figure.subplots()
        axes.plot(*thin(np.array(rates), np.array(values)), color=BLUE)
        axes.axvline(suggestion, color=ORANGE, linestyle="--")
        axes.set_xscale("log")
        axes.set_ylim(top=min(max(values), 2 * values[0]) * 1.05)
        axes.set_xlabel("learning rate (dashed: what was taken)")
        axes.set_ylabel("loss, smoothed")
        return (
            f"Loss over learning rates from {rates[0]:.1e} to {rates[-1]:.1e}; "
            f"{suggestion:.1e} was taken."
        )

    return draw(paint, 230)


def confusion_map(counts: NDArray[np.int64]) -> str:
    """Draw the counts of many classes as squares, the darker the larger their share of a row."""
    n = len(counts)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))

    def paint(figure: Any) -> str:
        from matplotlib.collections import PolyCollection

        axes = figure.subplots()
        rows, columns = np.nonzero(counts)
        size = 0.5
        corners = np.array([(-size, -size), (size, -size), (size, size), (-size, size)])
        middles = np.stack([columns, rows], axis=1)[:, None] + corners
        for right, color in ((True, BLUE), (False, ORANGE)):
            some = (rows == columns) == right
            steps = np.ceil(shares[rows[some], columns[some]] * 8) / 8
            for step in np.unique(steps):
                squares = PolyCollection(
                    list(middles[some][steps == step]), facecolor=color, alpha=0.15 + 0.8 * step,
                    linewidth=0,
                )  # fmt: skip
                axes.add_collection(squares)
        axes.set_xlim(-0.5, n - 0.5)
        axes.set_ylim(n - 0.5, -0.5)
        axes.set_aspect("equal")
        axes.set_xlabel("predicted class, by number")
        axes.set_ylabel("class, by number")
        right = int(np.trace(counts))
        return (
            f"Confusion matrix of {n} classes: {right} of {counts.sum()} cases are on the diagonal,"
            f" {counts.sum() - right} off it."
        )

    return draw(paint, 380)


@dataclass(frozen=True)
class Ranking:
    """Cases by how much they look like those of a class."""

    name: str
    """The class or the run."""

    y: NDArray[np.bool_]
    """Whether each case is of the class."""

    score: Floats
    """The higher, the more it looks like it."""


def _counts(ranking: Ranking) -> tuple[Floats, Floats]:
    """Count hits and false alarms above each threshold, from none to all."""
    order = np.argsort(-ranking.score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(ranking.score[order])), len(order) - 1)
    hits = np.cumsum(ranking.y[order])[last]
    return np.concatenate([[0.0], hits]), np.concatenate([[0.0], last + 1 - hits])


def roc(rankings: Sequence[Ranking]) -> str:
    """Draw the share of hits over the share of false alarms."""

    def paint(figure: Any) -> str:
        axes, said = figure.subplots(), []
        axes.plot([0, 1], [0, 1], color=INK, alpha=0.5, linewidth=1, linestyle=":")
        for color, each in zip(COLORS, rankings, strict=False):
            hits, false = _counts(each)
            x, y = _spread(false / max(1, false[-1]), hits / max(1, hits[-1]))
            axes.plot(x, y, color=color, label=each.name)
            area = float(np.trapezoid(hits, false) / max(1, hits[-1] * false[-1]))
            half = float(np.interp(0.1, x, y))
            said.append(f"{each.name}: AUROC {area:.3f}, {half:.0%} found at 10 % false alarms")
        _square(axes, "false alarms among the others", "found among its cases")
        if len(rankings) > 1:
            axes.legend(loc="lower right")
        return f"ROC curve. {'; '.join(said)}. The dotted line is chance, 0.5."

    return draw(paint, 340, width=360)


def precision_recall(rankings: Sequence[Ranking]) -> str:
    """Draw precision over recall, and the prevalence, which is the precision of chance."""

    def paint(figure: Any) -> str:
        axes, said = figure.subplots(), []
        for color, each in zip(COLORS, rankings, strict=False):
            hits, false = _counts(each)
            share = float(each.y.mean())
            precision = hits[1:] / np.maximum(1, hits[1:] + false[1:])
            x, y = _spread(hits[1:] / max(1, hits[-1]), precision)
            axes.plot(x, y, color=color, label=each.name)
            axes.axhline(share, color=color, linewidth=1, linestyle=":")
            average = float(np.diff(hits) @ precision / max(1, hits[-1]))
            said.append(f"{each.name}: average precision {average:.3f}, prevalence {share:.3f}")
        _square(axes, "recall: found among its cases", "precision: right among the found")
        if len(rankings) > 1:
            axes.legend(loc="upper right")
        return f"Precision over recall. {'; '.join(said)} (dotted)."

    return draw(paint, 340, width=360)


def _spread(x: Floats, y: Floats, most: int = 1000) -> tuple[Floats, Floats]:
    """Keep points of a curve that lie evenly along it."""
    if len(x) <= most:
        return x, y
    length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    rows = np.unique(np.searchsorted(length, np.linspace(0, length[-1], most)).clip(0, len(x) - 1))
    return x[rows], y[rows]


def _square(axes: Any, x: str, y: str) -> None:
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.03)
    axes.set_aspect("equal")
    axes.set_xlabel(x)
    axes.set_ylabel(y)


@dataclass(frozen=True)
class Bin:
    """Predictions of about the same probability."""

    said: float
    """Mean probability that was given."""

    happened: float
    """Share in which it was so."""

    low: float
    """Where the 95 % interval of that share begins."""

    high: float
    """Where it ends."""

    n: int
    """How many they are."""


def reliability(bins: Sequence[Bin], what: str) -> str:
    """Draw how often a thing was so over the probability it was given, and how many they are."""

    def paint(figure: Any) -> str:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        top.plot([0, 1], [0, 1], color=INK, alpha=0.5, linewidth=1, linestyle=":")
        for each in bins:
            top.plot([each.said] * 2, [each.low, each.high], color=BLUE, linewidth=1.2)
        at = [each.said for each in bins]
        top.plot(at, [each.happened for each in bins], "o", color=BLUE)
        top.set_ylim(-0.03, 1.03)
        top.set_xlim(-0.02, 1.02)
        top.set_ylabel("how often it was so")
        bottom.bar(at, [each.n for each in bins], width=0.03, color=GRAY)
        bottom.set_ylabel("cases")
        bottom.set_xlabel(what)
        said = (f"at {b.said:.2f} it was so in {b.happened:.2f} of {b.n} cases" for b in bins)
        return f"Reliability diagram: {'; '.join(said)}."

    return draw(paint, 330)


def alarms(
    per_year: Floats,
    recall: Floats,
    chosen: tuple[float, float] | None,
    other: tuple[Floats, Floats] | None = None,
) -> str:
    """Draw the share of events that are warned of over the alarms in a year.

    Parameters
    ----------
    per_year, recall : ndarray
        The curve, by falling threshold.
    chosen : (float, float), optional
        Alarms per year and recall at the chosen threshold.
    other : (ndarray, ndarray), optional
        The same curve of the simplest forecast.
    """

    def paint(figure: Any) -> str:
        axes = figure.subplots()
        axes.plot(*_spread(per_year, recall), color=BLUE, label="model", drawstyle="steps-post")
        if other is not None:
            axes.plot(*_spread(*other), color=GRAY, label="counts of active readings", ls="--")
        said = ""
        if chosen is not None:
            axes.plot(*chosen, "o", color=ORANGE, markersize=8, label="chosen threshold")
            said = f" Chosen: recall {chosen[1]:.2f} at {chosen[0]:.3g} alarms a year."
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(left=0)
        axes.set_ylim(-0.02, 1.03)
        axes.set_xlabel("alarms a year (from 1 on, each step is tenfold)")
        axes.set_ylabel("events warned of")
        figure.legend(loc="outside upper left", ncols=3)
        marks = [m for m in (1, 10, 100) if per_year.min() <= m <= per_year.max()]
        points = (f"{recall[per_year <= m].max():.2f} at {m} a year" for m in marks)
        return f"Recall over alarms a year: {', '.join(points) or 'see the table'}.{said}"

    return draw(paint, 270)


def forecasts(
    time: NDArray[np.datetime64], proba: Floats, event: NDArray[np.bool_], threshold: float | None
) -> str:
    """Draw the probabilities of a long stretch of forecasts, and when the events were."""

    def paint(figure: Any) -> str:
        axes = figure.subplots()
        axes.plot(*thin(time, proba.astype(np.float64)), color=BLUE, linewidth=0.7)
        when = time[event]
        rows = np.linspace(0, len(when) - 1, min(len(when), 500)).astype(int)
        axes.plot(when[rows], np.full(len(rows), -0.06), "|", color=ORANGE, markersize=9)
        if threshold is not None:
            axes.axhline(threshold, color=INK, linewidth=1, linestyle="--")
        axes.set_ylim(-0.12, 1.03)
        axes.set_ylabel("probability")
        axes.tick_params(axis="x", rotation=30)
        return (
            f"Probability in {len(time)} forecasts from {str(time[0])[:10]} to"
            f" {str(time[-1])[:10]}: {proba.min():.2f} to {proba.max():.2f}, median"
            f" {np.median(proba):.2f}; {int(event.sum())} events are marked below."
        )

    return draw(paint, 230)


def series(
    values: NDArray[np.floating], weights: Floats, most: float, channels: Sequence[str]
) -> str:
    """Draw a series on bands that show what spoke for the predicted class, and what against it.

    Parameters
    ----------
    values : ndarray of shape (n_channels, n_timepoints)
        The series; of more than four channels the first four are drawn.
    weights : ndarray of shape (n_timepoints,)
        The class activation map.
    most : float
        The size of weight that is drawn darkest.
    channels : sequence of str
        Their names.
    """
    shown = values[:4]

    def paint(figure: Any) -> str:
        lanes = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
        at = np.arange(values.shape[1])
        for lane, line, name in zip(lanes, shown, channels, strict=False):
            for begin, end, level in _bands(weights, most):
                color = ORANGE if level > 0 else BLUE
                lane.axvspan(begin, end, color=color, alpha=0.09 * abs(level), linewidth=0)
            lane.plot(*thin(at, line.astype(np.float64)), color=INK, linewidth=0.9)
            lane.set_xlim(-0.5, len(at) - 0.5)
            lane.locator_params(axis="y", nbins=3)
            if len(shown) > 1:
                lane.set_ylabel(name[:14], fontsize=9, rotation=0, ha="right", va="center")
        lanes[-1].set_xlabel("timepoint")
        peak, trough = int(np.argmax(weights)), int(np.argmin(weights))
        text = f"A series of {len(at)} timepoints; timepoint {peak} speaks most for its class"
        return text + (f", {trough} most against it." if weights[trough] < 0 else ".")

    return draw(paint, 130 if len(shown) == 1 else 60 + 55 * len(shown))


def _bands(weights: Floats, most: float, levels: int = 6) -> list[tuple[float, float, int]]:
    """Give stretches of about the same weight, with their level from -6 to 6, where not 0."""
    width = max(1, int(np.ceil(len(weights) / 250)))
    bands: list[tuple[float, float, int]] = []
    for start in range(0, len(weights), width):
        mean = float(np.mean(weights[start : start + width]))
        level = round(levels * max(-1.0, min(1.0, mean / (most or 1.0))))
        end = min(start + width, len(weights)) - 0.5
        if bands and bands[-1][2] == level and bands[-1][1] == start - 0.5:
            bands[-1] = (bands[-1][0], end, level)
        elif level:
            bands.append((start - 0.5, end, level))
    return bands


def critical_difference(ranked: NDArray[np.float64], methods: Sequence[str]) -> str:
    """Draw mean ranks, and bars over methods that the tests do not tell apart.

    Parameters
    ----------
    ranked : ndarray of shape (n_problems, n_methods)
        Accuracies.
    methods : sequence of str
        Their names.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what aeon imports
            from aeon.visualisation import plot_critical_difference
    except ImportError:
        raise ImportError("the diagram needs aeon: pip install 'foreshock[archive]'") from None
    import matplotlib
    from matplotlib import pyplot

    before = matplotlib.get_backend()
    pyplot.switch_backend("agg")
    with matplotlib.rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Wilcoxon's test where few problems differ
        figure, _ = plot_critical_difference(ranked, list(methods), alpha=0.05)
    try:
        text = inline(
            figure,
            f"Critical difference diagram of {len(methods)} methods on {len(ranked)} problems;"
            " the mean ranks are in the table.",
        )
    finally:
        pyplot.close(figure)
        pyplot.switch_backend(before)
    return text
