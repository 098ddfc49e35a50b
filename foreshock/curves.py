"""Pictures of what probabilities are worth: numbers in, SVG out; in words what is on them, too."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock.svg import BLUE, COLORS, GRAY, INK, ORANGE, draw, plain_ticks, thin

Floats = NDArray[np.floating]


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
        axes.plot([0, 1], [0, 1], color=INK, alpha=0.7, linewidth=1.2, linestyle=":")
        for color, each in zip(COLORS, rankings, strict=False):
            hits, false = _counts(each)
            x, y = _spread(false / max(1, false[-1]), hits / max(1, hits[-1]))
            axes.plot(x, y, color=color, label=each.name)
            area = float(np.trapezoid(hits, false) / max(1, hits[-1] * false[-1]))
            half = float(np.interp(0.1, x, y))
            said.append(f"{each.name}: AUROC {area:.3f}, {half:.0%} found at 10 % false alarms")
        _square(axes, "false alarms among the others", "found among its cases")
        _legend(figure, rankings)
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
            axes.axhline(share, color=color, linewidth=1.2, linestyle=":")
            average = float(np.diff(hits) @ precision / max(1, hits[-1]))
            said.append(f"{each.name}: average precision {average:.3f}, prevalence {share:.3f}")
        _square(axes, "recall: found among its cases", "precision: right among the found")
        _legend(figure, rankings)
        return f"Precision over recall. {'; '.join(said)} (dotted)."

    return draw(paint, 340, width=360)


def _spread(x: Floats, y: Floats, most: int = 1000) -> tuple[Floats, Floats]:
    """Keep points of a curve that lie evenly along it."""
    if len(x) <= most:
        return x, y
    length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    rows = np.unique(np.searchsorted(length, np.linspace(0, length[-1], most)).clip(0, len(x) - 1))
    return x[rows], y[rows]


def _legend(figure: Any, rankings: Sequence[Ranking]) -> None:
    if len(rankings) > 1:
        columns = 1 if max(len(each.name) for each in rankings) > 14 else 2
        figure.legend(loc="outside upper left", ncols=columns)


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
        top.plot([0, 1], [0, 1], color=INK, alpha=0.7, linewidth=1.2, linestyle=":")
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
        plain_ticks(axes.xaxis)
        axes.set_xlim(left=0)
        axes.set_ylim(-0.02, 1.03)
        axes.set_xlabel("alarms a year (from 1 on, each step is tenfold)")
        axes.set_ylabel("events warned of")
        figure.legend(loc="outside upper left", ncols=2)
        marks = [m for m in (1, 10, 100) if per_year.min() <= m <= per_year.max()]
        points = (f"{recall[per_year <= m].max():.2f} at {m} a year" for m in marks)
        return f"Recall over alarms a year: {', '.join(points) or 'see the table'}.{said}"

    return draw(paint, 270)


def forecasts(
    time: NDArray[np.datetime64], proba: Floats, event: NDArray[np.bool_], threshold: float | None
) -> str:
    """Draw the probabilities of a long stretch, NaN for a gap, and when the events were."""

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
            f"Probability in {int((~np.isnan(proba)).sum())} forecasts from {str(time[0])[:10]} to"
            f" {str(time[-1])[:10]}: {np.nanmin(proba):.2f} to {np.nanmax(proba):.2f}, median"
            f" {np.nanmedian(proba):.2f}; {int(event.sum())} events are marked below."
        )

    return draw(paint, 230)
