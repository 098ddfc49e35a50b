"""Pictures of trainings, cases and ranks: numbers in, SVG out; in words what is on them, too."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock.plots import smooth
from foreshock.svg import BLUE, COLORS, GRAY, INK, ORANGE, draw, plain_ticks, thin

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
            plain_ticks(top.yaxis)
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
        axes.set_xlim(rates[0] / 2, rates[-1] * 2)
        axes.set_xscale("log")
        plain_ticks(axes.xaxis)
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
        for some, color in ((rows == columns, BLUE), (rows != columns, ORANGE)):
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


def critical_difference(
    ranks: Sequence[float], methods: Sequence[str], groups: Sequence[Sequence[int]], n_problems: int
) -> str:
    """Draw mean ranks on a line, and bars over methods that tests do not tell apart.

    Parameters
    ----------
    ranks : sequence of float
        Mean rank of each method.
    methods : sequence of str
        Their names.
    groups : sequence of sequence of int
        Positions of methods that are not told apart.
    n_problems : int
        On how many problems.
    """
    order = sorted(range(len(ranks)), key=lambda k: ranks[k])
    right, left = order[: (len(order) + 1) // 2], order[: (len(order) - 1) // 2 : -1]
    best, worst = math.floor(min(ranks)), math.ceil(max(ranks))
    worst += worst == best
    bars, step = 0.22 * len(groups), 0.34

    def paint(figure: Any) -> str:
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
            f" Not told apart: {together or 'none'}."
        )

    return draw(paint, round(60 + 70 * bars + 24 * len(right)), width=620)


def speeds(seconds: Sequence[float], accuracies: Sequence[float], methods: Sequence[str]) -> str:
    """Draw the accuracy of methods over their training time, whose axis is logarithmic."""

    def paint(figure: Any) -> str:
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
        plain_ticks(axes.xaxis)
        axes.margins(y=0.2)
        axes.set_xlabel("seconds of training, mean over problems")
        axes.set_ylabel("mean accuracy")
        return f"Mean accuracy over mean training time: {'; '.join(said)}."

    return draw(paint, 260)
