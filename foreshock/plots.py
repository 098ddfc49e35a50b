"""Pictures: numbers in, PNG out. The only module that imports matplotlib."""

import io
import textwrap
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock._optional import optional
from foreshock._text import printable


def _figure(width: float, height: float) -> Any:
    return optional("matplotlib.figure", "report").Figure(
        figsize=(width, height), dpi=120, layout="constrained"
    )


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the font lacks a letter of the problem's name
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def loss_curve(
    title: str,
    losses: list[float],
    rates: list[float],
    *,
    valid: list[tuple[int, float]],
    batches_per_epoch: int,
    best_step: int | None,
) -> bytes:
    """Draw the loss over batches with a smoothed line, and the learning rate below.

    Parameters
    ----------
    title : str
        What stands above.
    losses, rates : list of float
        Loss and learning rate of each batch.
    valid : list of (step, loss)
        Losses on the valid part, at the last batch of each epoch.
    batches_per_epoch : int
        Batches in an epoch.
    best_step : int or None
        The batch after which the kept weights stood, where they were chosen.

    Returns
    -------
    bytes
        A PNG file.
    """
    figure = _figure(8, 5)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    steps = np.arange(1, len(losses) + 1)
    top.plot(steps, losses, color="#9ecae1", linewidth=0.8, label="each batch")
    dot = "." if len(losses) == 1 else None
    top.plot(steps, smooth(losses), color="#08519c", linewidth=1.8, marker=dot, label="smoothed")
    if valid:
        at, values = zip(*valid, strict=True)
        marker = "." if len(at) <= 100 else None
        top.plot(
            at, values, color="#d95f02", linewidth=1.5, marker=marker, label="valid, each epoch"
        )
    if best_step is not None:
        top.axvline(best_step, color="#555555", linestyle=":", label="weights kept")
    positive = [value for value in losses if value > 0]
    if positive and max(positive) > 50 * min(smooth(losses)):
        top.set_yscale("log")
    else:
        top.set_ylim(bottom=0)
    top.set_ylabel("loss")
    top.set_title(textwrap.fill(printable(title), 78), loc="left", parse_math=False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    bottom.plot(steps, rates, color="#555555", linewidth=1.2)
    bottom.set_ylim(bottom=0)
    bottom.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    bottom.set_ylabel("learning rate")
    bottom.set_xlabel(f"batch ({batches_per_epoch} make an epoch)")
    for axes in (top, bottom):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.01)
    return _png(figure)


def cases(
    title: str,
    shown: dict[str, list[NDArray[np.floating[Any]]]],
    channels: tuple[str, ...],
    *,
    before: tuple[int, str] | None = None,
) -> bytes:
    """Draw series, a row of them for each class.

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

    Returns
    -------
    bytes
        A PNG file.
    """
    columns = max(map(len, shown.values()))
    figure = _figure(2.2 + 2.6 * columns, 1.2 + 1.5 * len(shown))
    axes = figure.subplots(len(shown), columns, sharex=True, sharey=True, squeeze=False)
    every = np.stack([series for row in shown.values() for series in row])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RuntimeWarning)  # a channel that is all gaps
        mean = np.nanmean(every, axis=(0, 2)) if len(channels) > 1 else np.zeros(1)
        deviation = np.nanstd(every, axis=(0, 2)) if len(channels) > 1 else np.ones(1)
    n_timepoints = every.shape[2]
    at = np.arange(n_timepoints)
    if before is not None:
        at = at - (n_timepoints - 1) - before[0]
    for line, (label, series) in zip(axes, shown.items(), strict=True):
        for cell, values in zip(line, series, strict=False):
            for channel, name in enumerate(channels[:4]):
                scaled = (values[channel] - mean[channel]) / (deviation[channel] or 1)
                cell.plot(at, scaled, linewidth=0.8, color=f"C{channel}", label=printable(name))
        for cell in line[len(series) :]:
            cell.axis("off")
        line[0].set_ylabel(textwrap.shorten(printable(label), 20), parse_math=False)
    for cell in axes.flat:
        cell.grid(alpha=0.25)
        cell.spines[["top", "right"]].set_visible(False)
        cell.margins(x=0.01)
    figure.suptitle(
        textwrap.fill(printable(f"{title}: training cases of each class"), 60), x=0.01, ha="left",
        fontsize="medium", parse_math=False,
    )  # fmt: skip
    what = "timepoint" if before is None else f"steps of {before[1]} before the target"
    figure.supxlabel(what, fontsize="medium")
    if len(channels) == 1:
        name = textwrap.shorten(printable(channels[0]), 30)
        figure.supylabel(name, fontsize="medium", parse_math=False)
    if len(channels) > 1:
        figure.supylabel("deviations from the channel's mean", fontsize="medium")
        handles, names = axes[0, 0].get_legend_handles_labels()
        legend = figure.legend(handles, names, loc="outside lower right", ncols=4, frameon=False)
        for text in legend.get_texts():
            text.set_parse_math(False)
    return _png(figure)


def learning_rates(rates: list[float], losses: list[float], suggestion: float) -> bytes:
    """Draw the smoothed loss over the learning rate, and the suggestion; give a PNG file."""
    figure = _figure(7, 4)
    axes = figure.subplots()
    axes.plot(rates, losses, color="#08519c", linewidth=1.8)
    axes.axvline(suggestion, color="#d95f02", linestyle="--", label=f"suggested: {suggestion:.1e}")
    axes.set_xlim(rates[0] / 2, rates[-1] * 2)
    axes.set_xscale("log")
    axes.set_ylim(top=min(max(losses), 2 * losses[0]) * 1.05)
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss, smoothed")
    axes.set_title("Learning-rate finder", loc="left")
    axes.legend(frameon=False)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return _png(figure)


def smooth(values: list[float]) -> list[float]:
    """Average values with weights that fall off exponentially to both sides.

    They reach about a thirtieth of all values far, and at the ends to one side only.
    """
    keep = 1 - 1 / max(2.0, len(values) / 30)

    def one_side(values: list[float]) -> list[tuple[float, float]]:
        total, weight, out = 0.0, 0.0, []
        for value in values:
            total, weight = keep * total + value, keep * weight + 1
            out.append((total, weight))
        return out

    sides = zip(values, one_side(values), one_side(values[::-1])[::-1], strict=True)
    return [(a[0] + b[0] - value) / (a[1] + b[1] - 1) for value, a, b in sides]
