"""Pictures of runs and of methods, drawn with matplotlib.

On a page they are SVG in its text and colours that loads nothing, and each says in words and
numbers what can be seen on it. The losses, the learning-rate finder and the training cases are
also, or only, PNG files of the run folder.
"""

import functools
import hashlib
import io
import math
import re
import textwrap
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Concatenate, ParamSpec

import numpy as np
from numpy.typing import NDArray

from foreshock._optional import optional
from foreshock._text import printable
from foreshock.metrics.intervals import Estimate

Floats = NDArray[np.floating]
P = ParamSpec("P")
Paint = Callable[[Any], str]
"""Draws on the figure that it is given, and says in words and numbers what can be seen."""

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
_DPI = 72
"""At which matplotlib's points are CSS pixels."""

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
    "figure.titlesize": 12,
    "figure.labelsize": 12,
    "savefig.facecolor": "none",
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "path.simplify": False,
}
_DROPPED = {"font", "font-family", "font-style", "font-variant", "font-stretch", "white-space"}


def _on_page(
    height: int, width: int = WIDTH
) -> Callable[[Callable[Concatenate[Any, P], str]], Callable[P, str]]:
    """Make of a function that draws on a figure, its first argument, one that returns SVG."""

    def decorate(paint: Callable[Concatenate[Any, P], str]) -> Callable[P, str]:
        @functools.wraps(paint)
        def picture(*args: P.args, **options: P.kwargs) -> str:
            return _svg(lambda figure: paint(figure, *args, **options), height, width)

        return picture

    return decorate


@dataclass(frozen=True)
class Ranking:
    """Cases by how much they look like those of a class."""

    name: str
    """The class or the run."""

    y: NDArray[np.bool_]
    """Whether each case is of the class."""

    score: Floats
    """The higher, the more it looks like it."""


@dataclass(frozen=True)
class Bin:
    """Predictions of about the same probability."""

    said: float
    """Mean probability that was given."""

    share: Estimate
    """Share in which it was so, with its 95 % interval."""

    n: int
    """How many they are."""


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

    per_epoch: int
    """Batches of an epoch."""


@_on_page(340, 360)
def roc(figure: Any, rankings: Sequence[Ranking]) -> str:
    """Draw the share of hits over the share of false alarms."""
    axes, said = figure.subplots(), []
    axes.plot([0, 1], [0, 1], color=INK, alpha=0.7, linewidth=1.2, linestyle=":")
    for color, each in zip(COLORS, rankings, strict=False):
        hits, false = _counts(each)
        x, y = _spread(false / max(1, false[-1]), hits / max(1, hits[-1]))
        axes.plot(x, y, color=color, label=each.name)
        area = float(np.trapezoid(hits, false) / max(1, hits[-1] * false[-1]))
        half = float(np.interp(0.1, x, y))
        said.append(f"{each.name}: AUROC {area:.3f}, {half:.0%} found at 10 % false alarms")
    _square(axes, "false alarms among the others", "found among its cases", rankings)
    return f"ROC curve. {'; '.join(said)}. The dotted line is chance, 0.5."


@_on_page(340, 360)
def precision_recall(figure: Any, rankings: Sequence[Ranking]) -> str:
    """Draw precision over recall, and the prevalence, which is the precision of chance."""
    axes, said = figure.subplots(), []
    for color, each in zip(COLORS, rankings, strict=False):
        hits, false = _counts(each)
        share = float(each.y.mean())
        precision = hits[1:] / np.maximum(1, hits[1:] + false[1:])
        x, y = _spread(hits[1:] / max(1, hits[-1]), precision)
        axes.plot(x, y, color=color, label=each.name)
        axes.axhline(share, color=color, linewidth=1.2, linestyle=":")
        average = float(np.diff(hits) @ precision / max(1, hits[-1]))
        said.append(f"{each.name}: average precision {average:.3f}, prevalence {share:.3f}")
    _square(axes, "recall: found among its cases", "precision: right among the found", rankings)
    return f"Precision over recall. {'; '.join(said)} (dotted)."


@_on_page(270)
def costs(figure: Any, rankings: Sequence[Ranking]) -> str:
    """Draw what warning costs per event, by how many false alarms one missed event is worth.

    Each ranking holds probabilities; with a missed event worth r false alarms it warns from a
    probability of 1 / (1 + r) on, which costs least if the probabilities are right. Costs are in
    missed events: (missed + false / r) / events; to warn never costs 1.
    """
    axes, said = figure.subplots(), []
    ratios = np.geomspace(1, 1000, 61)
    y = rankings[0].y
    n_events = max(1, int(y.sum()))
    always = (~y).sum() / ratios / n_events
    axes.plot(ratios, np.minimum(always, 1), color=INK, linewidth=1.2, linestyle=":",
              label="the cheaper of always, never")  # fmt: skip
    for color, each in zip((BLUE, GRAY), rankings, strict=False):
        warned = each.score[:, None] >= 1 / (1 + ratios)  # (cases, ratios)
        cost = (~warned & y[:, None]).sum(axis=0) + (warned & ~y[:, None]).sum(axis=0) / ratios
        cost = cost / n_events
        axes.plot(ratios, cost, color=color, label=each.name)
        some = [f"{np.interp(r, ratios, cost):.2f} at {r}" for r in (10, 100)]
        said.append(f"{each.name}: {', '.join(some)}")
    axes.set_xscale("log")
    _plain_ticks(axes.xaxis)
    axes.set(ylim=(0, 1.25), ylabel="cost per event")
    axes.set_xlabel("false alarms that a missed event costs as much as")
    figure.legend(loc="outside upper left", ncols=2)
    return (
        f"Cost per event, in missed events, by what one is worth: {'; '.join(said)} false alarms."
    )


@_on_page(330)
def reliability(figure: Any, bins: Sequence[Bin], what: str) -> str:
    """Draw how often a thing was so over the probability it was given, and how many they are."""
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    top.plot([0, 1], [0, 1], color=INK, alpha=0.7, linewidth=1.2, linestyle=":")
    for each in bins:
        top.plot([each.said] * 2, [each.share.low, each.share.high], color=BLUE, linewidth=1.2)
    at = [each.said for each in bins]
    top.plot(at, [each.share.value for each in bins], "o", color=BLUE)
    top.set(xlim=(-0.02, 1.02), ylim=(-0.03, 1.03), ylabel="how often it was so")
    bottom.bar(at, [each.n for each in bins], width=0.03, color=GRAY)
    bottom.set(xlabel=what, ylabel="cases")
    said = (f"at {b.said:.2f} it was so in {b.share.value:.2f} of {b.n} cases" for b in bins)
    return f"Reliability diagram: {'; '.join(said)}."


@_on_page(270)
def alarms(
    figure: Any,
    rate: Floats,
    recall: Floats,
    chosen: tuple[float, float] | None,
    other: tuple[Floats, Floats] | None = None,
    name: str = "",
    each: str = "a year",
) -> str:
    """Draw the share of events that are warned of over the alarms in a year.

    Parameters
    ----------
    rate, recall : ndarray
        The curve, by falling threshold.
    chosen : (float, float), optional
        Alarms per year and recall at the chosen threshold.
    other : (ndarray, ndarray), optional
        The same curve of the best baseline.
    name : str
        What that is called.
    each : str
        What alarms are counted by.
    """
    axes = figure.subplots()
    axes.plot(*_spread(rate, recall), color=BLUE, label="model", drawstyle="steps-post")
    if other is not None:
        axes.plot(*_spread(*other), color=GRAY, label=name, ls="--")
    said = ""
    if chosen is not None:
        axes.plot(*chosen, "o", color=ORANGE, markersize=8, label="chosen threshold")
        said = f" Chosen: recall {chosen[1]:.2f} at {chosen[0]:.3g} alarms {each}."
    axes.set_xscale("symlog", linthresh=1)
    _plain_ticks(axes.xaxis)
    axes.set_xlim(left=0)
    axes.set(ylim=(-0.02, 1.03), ylabel="events warned of")
    axes.set_xlabel(f"alarms {each} (from 1 on, each step is tenfold)")
    figure.legend(loc="outside upper left", ncols=2)
    marks = [m for m in (1, 10, 100) if rate.min() <= m <= rate.max()]
    points = (f"{recall[rate <= m].max():.2f} at {m} {each}" for m in marks)
    return f"Recall over alarms {each}: {', '.join(points) or 'see the table'}.{said}"


@_on_page(230)
def forecasts(
    figure: Any,
    time: NDArray[np.datetime64],
    proba: Floats,
    event: NDArray[np.bool_],
    threshold: float | None,
) -> str:
    """Draw the probabilities of a long stretch, NaN for a gap, and when the events were."""
    axes = figure.subplots()
    axes.plot(*thin(time, proba.astype(np.float64)), color=BLUE, linewidth=0.7)
    when = time[event]
    rows = np.linspace(0, len(when) - 1, min(len(when), 500)).astype(int)
    axes.plot(when[rows], np.full(len(rows), -0.06), "|", color=ORANGE, markersize=9)
    if threshold is not None:
        axes.axhline(threshold, color=INK, linewidth=1, linestyle="--")
    axes.set(ylim=(-0.12, 1.03), ylabel="probability")
    axes.tick_params(axis="x", rotation=30)
    return (
        f"Probability in {int((~np.isnan(proba)).sum())} forecasts from {str(time[0])[:10]} to"
        f" {str(time[-1])[:10]}: {np.nanmin(proba):.2f} to {np.nanmax(proba):.2f}, median"
        f" {np.nanmedian(proba):.2f}; {int(event.sum())} events are marked below."
    )


def losses(trainings: Sequence[Losses]) -> str:
    """Draw the loss over batches, smoothed, and the learning rate below."""
    return _svg(lambda figure: _losses(figure, trainings), 300)


def loss_curve(title: str, trainings: Sequence[Losses], *, best_step: int | None) -> bytes:
    """Draw the same as a PNG file, with the batch after which the kept weights stood, if chosen."""
    return _png(lambda figure: _losses(figure, trainings, best_step), title, 640, 400)


def finder(rates: Sequence[float], values: Sequence[float], suggestion: float) -> str:
    """Draw the smoothed loss over the learning rate, and the suggestion."""
    return _svg(lambda figure: _finder(figure, rates, values, suggestion), 230)


def learning_rates(rates: Sequence[float], values: Sequence[float], suggestion: float) -> bytes:
    """Draw the same as a PNG file."""
    title = f"Learning-rate finder: {suggestion:.1e} was taken"
    return _png(lambda figure: _finder(figure, rates, values, suggestion), title, 560, 320)


def cases(
    title: str,
    shown: dict[str, list[NDArray[np.floating[Any]]]],
    channels: tuple[str, ...],
    *,
    before: tuple[int, str] | None = None,
) -> bytes:
    """Draw series, a row of them for each class, as a PNG file.

    Parameters
    ----------
    title : str
        What stands above.
    shown : dict of lists of arrays
        Series (n_channels, n_timepoints) of each class; NaN is a gap.
    channels : tuple of str
        Names of the channels; of more than four the first four are drawn, each scaled by its own
        mean and deviation where there is more than one.
    before : (int, str), optional
        For windows before a target: how many steps before it the last reading is, and how long a
        step is.
    """
    columns, several = max(map(len, shown.values())), len(channels) > 1
    every = np.stack([series for row in shown.values() for series in row])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RuntimeWarning)  # a channel that is all gaps
        mean = np.nanmean(every, axis=(0, 2)) if several else np.zeros(1)
        deviation = np.nanstd(every, axis=(0, 2)) if several else np.ones(1)
    at, what = np.arange(every.shape[2]), "timepoint"
    title = f"{title}: training cases of each class"
    width, height = 176 + 208 * columns, 96 + 120 * len(shown)
    if before is not None:
        at, what = at - at[-1] - before[0], f"steps of {before[1]} before the target"

    def paint(figure: Any) -> str:
        # what matplotlib's engine would find takes half of the time that a small training takes
        figure.set_layout_engine(None)
        top = 18 + 16 * len(_wrapped(title, width).splitlines())
        figure.subplots_adjust(
            left=88 / width, right=1 - 12 / width, bottom=(72 if several else 48) / height,
            top=1 - top / height, wspace=0.06, hspace=0.12,
        )  # fmt: skip
        axes = figure.subplots(len(shown), columns, sharex=True, sharey=True, squeeze=False)
        for line, (label, series) in zip(axes, shown.items(), strict=True):
            for cell, values in zip(line, series, strict=False):
                for channel, name in enumerate(channels[:4]):
                    scaled = (values[channel] - mean[channel]) / (deviation[channel] or 1)
                    cell.plot(at, scaled, linewidth=0.8, color=COLORS[channel], label=name)
            for cell in line[len(series) :]:
                cell.axis("off")
            line[0].set_ylabel(textwrap.shorten(printable(label), 20))
        for cell in axes.flat:
            cell.grid(alpha=0.25)
        figure.supxlabel(what, y=(28 if several else 6) / height)
        figure.supylabel(
            "deviations from the channel's mean"
            if several
            else textwrap.shorten(printable(channels[0]), 30),
            x=4 / width,
        )
        if several:
            legend = axes[0, 0].get_legend_handles_labels()
            figure.legend(*legend, loc="lower right", ncols=4, borderaxespad=0.5)
        return what

    return _png(paint, title, width, height)


@_on_page(380)
def confusion_map(figure: Any, counts: NDArray[np.int64]) -> str:
    """Draw the counts of many classes as squares, the darker the larger their share of a row."""
    from matplotlib.collections import PolyCollection

    n, axes = len(counts), figure.subplots()
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    rows, columns = np.nonzero(counts)
    size = 0.5
    corners = np.array([(-size, -size), (size, -size), (size, size), (-size, size)])
    middles = np.stack([columns, rows], axis=1)[:, None] + corners
    for some, color in ((rows == columns, BLUE), (rows != columns, ORANGE)):
        steps = np.ceil(shares[rows[some], columns[some]] * 8) / 8
        for step in np.unique(steps):
            squares = PolyCollection(
                list(middles[some][steps == step]), facecolor=color, alpha=0.15 + 0.8 * step,
                linewidth=0,
            )  # fmt: skip
            axes.add_collection(squares)
    axes.set(xlim=(-0.5, n - 0.5), ylim=(n - 0.5, -0.5), aspect="equal")
    axes.set(xlabel="predicted class, by number", ylabel="class, by number")
    right = int(np.trace(counts))
    return (
        f"Confusion matrix of {n} classes: {right} of {counts.sum()} cases are on the diagonal,"
        f" {counts.sum() - right} off it."
    )


@_on_page(130)
def series(
    figure: Any, values: NDArray[np.floating], weights: Floats, most: float, channels: Sequence[str]
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
    if len(shown) > 1:
        figure.set_figheight((60 + 55 * len(shown)) / _DPI)
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


@_on_page(60, 620)
def critical_difference(
    figure: Any,
    ranks: Sequence[float],
    methods: Sequence[str],
    groups: Sequence[Sequence[int]],
    n_problems: int,
) -> str:
    """Draw mean ranks on a line, and bars over methods without a significant difference.

    Parameters
    ----------
    ranks : sequence of float
        Mean rank of each method.
    methods : sequence of str
        Their names.
    groups : sequence of sequence of int
        Positions of methods without a significant difference.
    n_problems : int
        On how many problems.
    """
    order = sorted(range(len(ranks)), key=lambda k: ranks[k])
    right, left = order[: (len(order) + 1) // 2], order[: (len(order) - 1) // 2 : -1]
    best, worst = math.floor(min(ranks)), math.ceil(max(ranks))
    worst += worst == best
    bars, step = 0.22 * len(groups), 0.34
    figure.set_figheight(round(60 + 70 * bars + 24 * len(right)) / _DPI)
    axes = figure.subplots()
    reach = 0.62 * (worst - best)
    axes.set_xlim(worst + reach, best - reach)  # the best to the right
    axes.set_ylim(-0.5 - bars - step * len(right), 0.55)
    axes.axis("off")
    axes.plot([best, worst], [0, 0], color=INK, linewidth=1)
    for rank in range(best, worst + 1):
        axes.plot([rank, rank], [0, 0.12], color=INK, linewidth=1)
        axes.text(rank, 0.2, f"{rank}", ha="center", va="bottom", fontsize=11)
    for side, edge, align in ((right, best, "left"), (left, worst, "right")):
        for place, k in enumerate(side):
            depth = -0.3 - bars - step * (place + 0.5)
            end = edge - 0.04 * reach if align == "left" else edge + 0.04 * reach
            axes.plot([ranks[k], ranks[k], end], [0, depth, depth], color=GRAY, linewidth=0.8)
            name = f" {methods[k]}  {ranks[k]:.2f}"
            name = name if align == "left" else f"{ranks[k]:.2f}  {methods[k]} "
            axes.text(end, depth, name, ha=align, va="center", fontsize=10)
    for place, group in enumerate(groups):
        ends = [min(ranks[k] for k in group), max(ranks[k] for k in group)]
        over = 0.008 * (worst - best)
        height = -0.16 - 0.22 * place
        axes.plot([ends[0] - over, ends[1] + over], [height, height], color=BLUE, linewidth=4)
    together = "; ".join(" and ".join(methods[k] for k in group) for group in groups)
    return (
        f"Critical difference diagram of {len(methods)} methods on {n_problems} problems, mean"
        f" ranks: {', '.join(f'{methods[k]} {ranks[k]:.2f}' for k in order)}."
        f" No significant difference: {together or 'none'}."
    )


@_on_page(260)
def speeds(
    figure: Any, seconds: Sequence[float], accuracies: Sequence[float], methods: Sequence[str]
) -> str:
    """Draw the accuracy of methods over their training time, whose axis is logarithmic."""
    axes = figure.subplots()
    said = []
    for k, (x, y, name) in enumerate(zip(seconds, accuracies, methods, strict=True)):
        axes.plot([x], [y], marker="o", linestyle="none", color=COLORS[k % 5])
        axes.annotate(
            name, (x, y), (6, 4), textcoords="offset points", fontsize=10, annotation_clip=False
        )
        said.append(f"{name} {y:.3f} in {x:.3g} s")
    axes.set_xscale("log")
    low, high = min(seconds), max(seconds)
    axes.set_xlim(low / 2, high * 3)
    _plain_ticks(axes.xaxis)
    axes.margins(y=0.2)
    axes.set(xlabel="seconds of training, mean over problems", ylabel="mean accuracy")
    return f"Mean accuracy over mean training time: {'; '.join(said)}."


def strip(share: Estimate, *, mark: float) -> str:
    """Draw a share and its interval on a line as long as a table's cell, and a mark."""

    def at(number: float) -> str:
        return f"{3 + 114 * min(1.0, max(0.0, number)):.1f}"

    parts = [
        '<path d="M3 8H117" stroke="currentColor" stroke-opacity="0.2"/>',
        f'<path d="M{at(mark)} 1V15" stroke="currentColor" stroke-dasharray="2 2"/>',
    ]
    if share.low is not None and share.high is not None:
        ends = f"M{at(share.low)} 8H{at(share.high)}"
        parts.append(f'<path d="{ends}" stroke="{BLUE}" stroke-width="3"/>')
    parts.append(f'<circle cx="{at(share.value)}" cy="8" r="4" fill="{BLUE}"/>')
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


def smooth(values: Sequence[float]) -> Floats:
    """Average values with weights that fall off exponentially to both sides.

    They reach about a thirtieth of all values far, and at the ends to one side only.
    """
    keep = 1 - 1 / max(2.0, len(values) / 30)

    def both_sides(values: Floats) -> Floats:
        before, after = (
            np.array([*accumulate(side, lambda total, value: keep * total + value)])
            for side in (values, values[::-1])
        )
        return np.asarray(before + after[::-1] - values)

    return both_sides(np.array(values)) / both_sides(np.ones(len(values)))


def _losses(figure: Any, trainings: Sequence[Losses], best_step: int | None = None) -> str:
    one = len(trainings) == 1
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    said, low, high = [], np.inf, 0.0
    for number, each in enumerate(trainings):
        color = COLORS[number % 5]
        at = np.arange(1, len(each.batches) + 1)
        line = smooth(each.batches)
        if one:
            every = thin(at, np.array(each.batches))
            top.plot(*every, color=GRAY, linewidth=0.6, alpha=0.7, label="each batch")
        name = "smoothed" if one else each.name
        look = {"marker": "." if len(at) == 1 else None, "linewidth": 1.6 if one else 1}
        label = name if number < 6 else None
        top.plot(*thin(at, line), color=color, label=label, **look)
        low, high = min(low, float(line.min())), max(high, *each.batches)
        if each.valid:
            steps, values = zip(*each.valid, strict=True)
            points = thin(np.array(steps), np.array(values, np.float64))
            label = "valid part" if each is trainings[-1] else None
            shade = ORANGE if one else color
            look["marker"] = "." if len(steps) == 1 else None
            top.plot(*points, color=shade, linestyle="--", label=label, **look)
        if one or number < 3:
            said.append(f"{each.name}: from {line[0]:.3g} to {line[-1]:.3g}")
    if best_step is not None:
        top.axvline(best_step, color=INK, linewidth=1.2, linestyle=":", label="weights kept")
    if 0 < 50 * low < high:
        top.set_yscale("log")
        _plain_ticks(top.yaxis)
    else:
        top.set_ylim(bottom=0)
    top.set_ylabel("loss")
    rates = trainings[0].rates
    bottom.plot(*thin(np.arange(1, len(rates) + 1), np.array(rates)), color=GRAY)
    bottom.set_ylim(bottom=0)
    bottom.set_ylabel("rate")
    bottom.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    bottom.set_xlabel(f"batch ({trainings[0].per_epoch:,} make an epoch)")
    figure.legend(loc="outside lower left", ncols=3)
    more = "" if len(trainings) <= 3 else f", and {len(trainings) - 3} further members"
    return f"Smoothed loss over {len(rates)} batches; {'; '.join(said)}{more}."


def _finder(figure: Any, rates: Sequence[float], values: Sequence[float], suggestion: float) -> str:
    axes = figure.subplots()
    axes.plot(*thin(np.array(rates), np.array(values)), color=BLUE)
    axes.axvline(suggestion, color=ORANGE, linestyle="--")
    axes.set_xlim(rates[0] / 2, rates[-1] * 2)
    axes.set_xscale("log")
    _plain_ticks(axes.xaxis)
    axes.set_ylim(top=min(max(values), 2 * values[0]) * 1.05)
    axes.set(xlabel="learning rate (dashed: what was taken)", ylabel="loss, smoothed")
    return (
        f"Loss over learning rates from {rates[0]:.1e} to {rates[-1]:.1e}; "
        f"{suggestion:.1e} was taken."
    )


def _counts(ranking: Ranking) -> tuple[Floats, Floats]:
    """Count hits and false alarms above each threshold, from none to all."""
    order = np.argsort(-ranking.score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(ranking.score[order])), len(order) - 1)
    hits = np.cumsum(ranking.y[order])[last]
    return np.concatenate([[0.0], hits]), np.concatenate([[0.0], last + 1 - hits])


def _spread(x: Floats, y: Floats, most: int = 1000) -> tuple[Floats, Floats]:
    """Keep points of a curve that lie evenly along it."""
    if len(x) <= most:
        return x, y
    length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    rows = np.unique(np.searchsorted(length, np.linspace(0, length[-1], most)).clip(0, len(x) - 1))
    return x[rows], y[rows]


def _square(axes: Any, x: str, y: str, rankings: Sequence[Ranking]) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.03), aspect="equal", xlabel=x, ylabel=y)
    if len(rankings) > 1:
        columns = 1 if max(len(each.name) for each in rankings) > 14 else 2
        axes.figure.legend(loc="outside upper left", ncols=columns)


def _bands(weights: Floats, most: float, levels: int = 6) -> list[tuple[float, float, int]]:
    """Return stretches of about the same weight, with their level from -6 to 6, where not 0."""
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


def _plain_ticks(axis: Any) -> None:
    """Write 0.001 where matplotlib would typeset a power of ten."""
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(lambda value, _: "")


def _svg(paint: Paint, height: int, width: int = WIDTH) -> str:
    """Draw a picture of so many CSS pixels as SVG to stand in a page."""
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    data, label = _save(paint, "", width, height, format="svg", metadata=nothing)
    return _adapt(data.decode(), label)


def _png(paint: Paint, title: str, width: int, height: int) -> bytes:
    """Draw a picture as a PNG file on white, half as large again, with a title."""
    look = {"dpi": 1.5 * _DPI, "facecolor": "white", "metadata": {"Software": None}}
    return _save(paint, title, width, height, format="png", **look)[0]


def _save(paint: Paint, title: str, width: int, height: int, **options: Any) -> tuple[bytes, str]:
    """Draw a figure; return the file, and what can be seen on it."""
    matplotlib, buffer = optional("matplotlib", "report"), io.BytesIO()
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the font lacks a letter; browsers have others
        figure = _figure(width, height)
        label = printable(paint(figure))
        if title:
            figure.suptitle(_wrapped(title, width), x=0.01, ha="left")
        for text in figure.findobj(optional("matplotlib.text", "report").Text):
            text.set_text(printable(text.get_text()))
        figure.savefig(buffer, **options)
    return buffer.getvalue(), label


def _wrapped(title: str, width: int) -> str:
    return textwrap.fill(printable(title), width // 8)


def _figure(width: float, height: float) -> Any:
    return optional("matplotlib.figure", "report").Figure(
        figsize=(width / _DPI, height / _DPI), dpi=_DPI, layout="constrained"
    )


def _adapt(text: str, label: str) -> str:
    """Make of an SVG file what can stand in a page, whose text and colours it takes."""
    root = ET.fromstring(text)  # noqa: S314 (matplotlib wrote it)
    _clean(root, f"f{hashlib.sha256((text + label).encode()).hexdigest()[:8]}-")
    width, height = root.attrib["viewBox"].split()[2:]
    root.attrib = {
        "class": "chart",
        "viewBox": f"0 0 {width} {height}",
        "width": width,
        "height": height,
        "fill": "currentColor",
        "role": "img",
        "aria-label": label,
    }
    return ET.tostring(root, encoding="unicode").strip()


def _clean(element: ET.Element, prefix: str) -> None:
    """Leave out what belongs to a file or is not seen, and put styles into attributes.

    Attributes need no permission of the page's policy, as styles do. The prefix is for the ids, of
    which those of markers and clips are referred to.
    """
    element.tag = element.tag.partition("}")[2]
    element.tail = "\n"
    if not (element.text or "").strip():
        element.text = None
    attributes = {name.partition("}")[2] or name: value for name, value in element.items()}
    attributes |= _declared(attributes.pop("style", ""))
    if element.tag not in ("path", "clipPath"):
        attributes.pop("id", None)
    if attributes.get("transform", "").startswith("rotate(-0 "):
        del attributes["transform"]
    for name, value in attributes.items():
        if name == "id":
            attributes[name] = prefix + value
        elif name == "href" or value.startswith("url("):
            attributes[name] = value.replace("#", f"#{prefix}")
        elif value in (INK, "#000000", "black"):
            attributes[name] = "currentColor"
        else:
            attributes[name] = re.sub(r"(\d+\.\d\d)\d+", r"\1", " ".join(value.split()))
    element.attrib = attributes
    for child in list(element):
        _clean(child, prefix)
        empty = child.tag == "defs" and not len(child)
        unseen = child.attrib.get("fill") == "none" and "stroke" not in child.attrib
        if child.tag in ("metadata", "style") or empty or (child.tag == "path" and unseen):
            element.remove(child)


def _declared(style: str) -> dict[str, str]:
    """Return what a style declares; of a font its size alone, as the page has its own."""
    declared = dict(re.findall(r"([\w-]+): *([^;]+)", style))
    size = re.search(r"([\d.]+)px", style)
    if size is not None:
        declared["font-size"] = size[1]
    return {name: value for name, value in declared.items() if name not in _DROPPED}
