"""Logits of many overlapping windows of one stretch of readings, at a fraction of the cost of each.

Where nothing is fitted to a window alone (its series is scaled by the training cases or not at all,
and there is no squeeze-and-excite) and convolutions are not padded, a timepoint has the same
features in every window. So a stretch is convolved once, and averages over windows are differences
of running sums. The recurrent branch knows positions and reads every window anew, as the summary
does, which costs far less.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from foreshock.nn.distributed import Devices
from foreshock.nn.model import LSTMFCN
from foreshock.nn.model import predict as predict_logits

_STRETCH = 8192
"""Readings in which the windows that are done together end, or two windows' length if more."""
_BATCH = 2**19
"""Values of the windows that the recurrent branch reads at a time."""


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
    """Return the logits of overlapping windows, equal to `nn.model.predict` of each window.

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
            f"ends must ascend from at least {n - 1}, where the first window of {n} readings ends,"
            f" to at most {values.shape[1] - 1}, got {ends.min()} to {ends.max()}."
        )
    device = Devices(model.head.weight.device)
    shared = _shares(model)
    logits = np.empty((len(ends), model.n_classes), np.float32)
    for windows in _neighbours(ends, max(_STRETCH, 2 * n)):
        first = int(ends[windows][0]) - n + 1
        last = ends[windows] - first
        stretch = np.array(values[:, first : first + int(last[-1]) + 1])
        if shared and stretch.shape[1] < n * len(last):
            logits[windows] = _together(model.eval(), stretch, last)
        else:
            logits[windows] = predict_logits(model, _Windows(stretch, last, n), devices=device)
    return logits


def _neighbours(ends: NDArray[np.int64], size: int) -> Iterator[slice]:
    """Divide windows into those that end within the same `size` readings."""
    borders = np.flatnonzero(np.diff(ends // size, prepend=-1, append=-1))
    return (slice(a, b) for a, b in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True))


def _shares(model: LSTMFCN) -> bool:
    """Check whether a timepoint has the same features in all windows that hold it."""
    config = model.config
    whole_series = config.squeeze_excite or model.views.normalize == "series"
    return config.padding == "valid" and not whole_series and model.random is None


@torch.inference_mode()
def _together(
    model: LSTMFCN, stretch: NDArray[np.float32], last: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the logits of windows that end at the positions `last` of a stretch."""
    n, views = model.n_timepoints, model.views
    bias, for_recurrent, for_features = model.head_parts()
    x = torch.from_numpy(stretch).to(bias.device)[None]  # (1, n_channels, readings)
    seen = ~torch.isnan(x)
    masked = views.mask and not bool(seen.all())
    x = views.scale(x)
    features, mask, _ = model.convolve(*views.convolutional(x, seen, masked))
    # features begin where those of the first window do, and end where those of the last do
    sums = _running_sums(for_features @ features[0])  # (n_classes, features + 1)
    counts = _running_sums(torch.ones_like(features[0, :1]) if mask is None else mask[0])

    logits, size = [], max(1, _BATCH // (len(stretch) * n))
    for ends in torch.split(torch.from_numpy(last).to(bias.device), size):
        starts = ends - (n - 1)
        windows, where = (_cut(of, starts, n) for of in (x, seen))
        recurrent, _ = model.recurrent(*views.recurrent(windows, where, masked))
        stops = ends + 1 - sum(model.margins)
        total, count = (of[:, stops] - of[:, starts] for of in (sums, counts))
        shares = (total / count.clamp_min(1)).float().T  # (batch, n_classes)
        if model.summary is not None:
            shares = shares + model.summary(windows) / model.logit_scale
        logits.append(recurrent @ for_recurrent.T + shares + bias)
    return torch.cat(logits).cpu().numpy()


def _running_sums(x: Tensor) -> Tensor:
    """Sum x (rows, n) up to each position, exactly enough: (rows, n + 1)."""
    return F.pad(x.double().cumsum(dim=1), (1, 0))


def _cut(x: Tensor, starts: Tensor, size: int) -> Tensor:
    """Cut windows (batch, rows, size) out of x (1, rows, n)."""
    return x[0].unfold(1, size, 1)[:, starts].transpose(0, 1)
