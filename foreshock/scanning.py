"""Logits of many overlapping windows of one stretch of readings, at a fraction of the cost of each.

Where nothing is fitted to a window alone (its series is scaled by the training cases or not at all,
and there is no squeeze-and-excite), the convolutions give a timepoint the same in every window,
except near the window's ends, where they see what is beyond as zeros. So a stretch is convolved
once, features are averaged as differences of running sums, and only the ends are done for each
window. The recurrent branch knows positions and reads every window anew.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from foreshock import learner
from foreshock.devices import Devices
from foreshock.layers import Block
from foreshock.models import LSTMFCN

_STRETCH = 4096
"""Readings in which the windows that are done together end, or two windows' length if more."""
_BATCH = 2**22
"""Values of the widest block's features that are held for a batch of windows."""


class _Windows:
    """Windows by index, cut when asked for."""

    def __init__(self, values: NDArray[np.float32], ends: NDArray[np.int64], n: int) -> None:
        self.views = np.lib.stride_tricks.sliding_window_view(values, n, axis=1).transpose(1, 0, 2)
        self.starts = ends - (n - 1)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        windows: NDArray[np.float32] = self.views[self.starts[indices]]
        return windows


def scan(
    model: LSTMFCN, values: NDArray[np.float32], ends: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Give the logits of windows of one stretch of readings, as `learner.predict` would of each.

    Parameters
    ----------
    model : LSTMFCN
        On the device where it is to be used; windows have its `n_timepoints`.
    values : ndarray of shape (n_channels, n_readings)
        Raw readings, finite, or NaN where there is none; may be a memory map, of which a stretch
        is read at a time.
    ends : ndarray of shape (n_windows,)
        Position of each window's last reading, ascending.

    Returns
    -------
    ndarray of shape (n_windows, n_classes)

    Raises
    ------
    ValueError
        If a window reaches beyond the readings, or the ends do not ascend.
    """
    n = model.n_timepoints
    if len(ends) and (ends[0] < n - 1 or ends[-1] >= values.shape[1] or (np.diff(ends) < 0).any()):
        raise ValueError(
            f"ends must ascend from {n - 1} at least, where the first window of {n} readings ends,"
            f" to {values.shape[1] - 1} at most, got {ends.min()} to {ends.max()}."
        )
    device = Devices(model.head.weight.device)
    logits = np.empty((len(ends), model.n_classes), np.float32)
    for windows in _neighbours(ends, max(_STRETCH, 2 * n)):
        first = int(ends[windows][0]) - n + 1
        last = ends[windows] - first
        stretch = np.array(values[:, first : first + int(last[-1]) + 1])
        if _edge(model) * len(last) + stretch.shape[1] < n * len(last):
            logits[windows] = _together(model.eval(), stretch, last)
        else:
            logits[windows] = learner.predict(model, _Windows(stretch, last, n), devices=device)
    return logits


def _neighbours(ends: NDArray[np.int64], size: int) -> Iterator[slice]:
    """Divide windows into those that end within the same `size` readings."""
    borders = np.flatnonzero(np.diff(ends // size, prepend=-1, append=-1))
    return (slice(a, b) for a, b in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True))


def _reach(model: LSTMFCN) -> tuple[int, int]:
    """Give how many timepoints before and after its own a feature depends on, at least 1 each."""
    before, after = zip(*(block.padding for block in model.blocks), strict=True)
    return max(1, sum(before)), max(1, sum(after))


def _edge(model: LSTMFCN) -> float:
    """Give how many timepoints must be convolved for each window alone, however many share."""
    if model.config.squeeze_excite or model.views.normalize == "series":
        return np.inf
    before, after = _reach(model)
    return 2 * (before + after) + model.config.difference


@torch.inference_mode()
def _together(
    model: LSTMFCN, stretch: NDArray[np.float32], last: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Give the logits of windows that end at the positions `last` of a stretch."""
    n, views, device = model.n_timepoints, model.views, model.head.weight.device
    before, after = _reach(model)
    start = before + model.config.difference  # the first timepoints that see a window's beginning
    x = torch.from_numpy(stretch).to(device)[None]  # (1, n_channels, readings)
    seen = ~torch.isnan(x)
    masked = views.mask and not bool(seen.all())
    x = views.scale(x)
    series, mask = views.convolutional(x, seen, masked)  # (1, channels, readings)
    sums = _running_sums(_convolve(model, series, mask))  # (filters, readings + 1)
    counts = _running_sums(torch.ones_like(x[:, :1]) if mask is None else mask)

    logits = []
    size = max(1, _BATCH // max(max(model.config.filters) * (start + after), len(stretch) * n))
    for ends in torch.split(torch.from_numpy(last).to(device), size):
        starts = ends - (n - 1)
        windows, where = (_cut(of, starts, n) for of in (x, seen))
        recurrent, _ = model.recurrent(*views.recurrent(windows, where, masked))
        total = sums[:, ends + 1 - after] - sums[:, starts + start]  # (filters, batch)
        opening, where = windows[:, :, : start + after], where[:, :, : start + after]
        features = _convolve(model, *views.convolutional(opening, where, masked), ends="first")
        total += features[:, :, :start].sum(dim=2).T
        closing = (ends + 1 - before - after, before + after)
        closing_mask = None if mask is None else _cut(mask, *closing)
        features = _convolve(model, _cut(series, *closing), closing_mask, ends="last")
        total += features[:, :, -after:].sum(dim=2).T
        pooled = total / (counts[:, ends + 1] - counts[:, starts]).clamp_min(1)
        logits.append(model.classify(recurrent, pooled.T))  # (batch, n_classes)
    return torch.cat(logits).cpu().numpy()


def _convolve(
    model: LSTMFCN,
    series: Tensor,
    mask: Tensor | None,
    ends: Literal["both", "first", "last"] = "both",
) -> Tensor:
    """Map a series (batch, channels, timepoints) to features (batch, filters, timepoints).

    Where it has only the first end of a window, or the last, it goes on at the other, and features
    that depend on how are left out.
    """
    for block in model.blocks:
        assert isinstance(block, Block)
        before, after = block.padding
        if ends == "first":
            after = 0
        elif ends == "last":
            before = 0
        n = series.shape[2] + before + after - sum(block.padding)
        if mask is not None:
            mask = mask[:, :, :n] if ends == "first" else mask[:, :, mask.shape[2] - n :]
        series = block.convolve(series, mask, (before, after))
    return series


def _running_sums(x: Tensor) -> Tensor:
    """Sum x (1, rows, n) up to each position, exactly enough: (rows, n + 1)."""
    return F.pad(x[0].double().cumsum(dim=1), (1, 0))


def _cut(x: Tensor, starts: Tensor, size: int) -> Tensor:
    """Cut stretches (batch, rows, size) out of x (1, rows, n)."""
    return x[0].unfold(1, size, 1)[:, starts].transpose(0, 1)
