"""What each branch of the network sees of a series."""

import math
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F


class Views(nn.Module):
    """What each branch sees of a series; its statistics are buffers and travel with the weights."""

    mean: Tensor
    deviation: Tensor
    timepoint_mean: Tensor
    timepoint_deviation: Tensor
    difference_deviation: Tensor

    def __init__(
        self,
        n_channels: int,
        n_timepoints: int,
        *,
        normalize: Literal["series", "train", "none"],
        standardize: bool,
        difference: bool,
        drop_first: bool,
        mask: bool,
        shuffled: bool,
        n_patches: int,
        exact: bool = True,
    ) -> None:
        super().__init__()
        self.normalize = normalize
        self.standardize, self.difference, self.mask = standardize, difference, mask
        self.drop_first, self.exact = drop_first, exact
        self.shuffled, self.n_patches = shuffled, n_patches
        if n_patches:
            self.item_size = math.ceil(n_timepoints / n_patches)
            self.n_patches = math.ceil(n_timepoints / self.item_size)  # none beyond the end
        else:
            self.item_size = n_timepoints if shuffled else n_channels
        self.register_buffer("mean", torch.zeros(n_channels, 1, dtype=torch.float32))
        self.register_buffer("deviation", torch.ones(n_channels, 1, dtype=torch.float32))
        self.register_buffer(
            "timepoint_mean", torch.zeros(n_channels, n_timepoints, dtype=torch.float32)
        )
        self.register_buffer(
            "timepoint_deviation", torch.ones(n_channels, n_timepoints, dtype=torch.float32)
        )
        self.register_buffer("difference_deviation", torch.ones(n_channels, 1, dtype=torch.float32))

    @property
    def statistics(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Mean and deviation of channels (n_channels, 1) and, once scaled, of each timepoint."""
        of_channels = self.mean, self.deviation
        return *of_channels, self.timepoint_mean, self.timepoint_deviation

    def forward(
        self, x: Tensor, whole: bool | None = None
    ) -> tuple[Tensor, Tensor | None, Tensor, Tensor | None]:
        """Return the recurrent branch's items and mask, the convolutions' series and mask.

        A mask is None where everything counts. `whole` is whether all readings are there, where the
        caller knows: to look on a GPU is to wait for it.
        """
        told = whole is not None
        if whole is None:
            whole = bool(x.isfinite().all())
        seen = None if whole else ~torch.isnan(x)
        masked = self.mask and seen is not None and (told or not bool(seen.all()))
        x = self.scale(x, whole=seen is None)
        return (*self.recurrent(x, seen, masked), *self.convolutional(x, seen, masked))

    def recurrent(
        self, x: Tensor, seen: Tensor | None, masked: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Return scaled windows as items, and their mask; None where no reading is missing."""
        mask = None
        if masked:
            assert seen is not None
            mask = self.items(seen.to(x.dtype)).any(dim=2)  # (batch, items)
        if self.standardize:
            x = (x - self.timepoint_mean) / self.timepoint_deviation
        return self.items(_zeroed(x, seen)), mask  # (batch, items, item_size)

    def convolutional(
        self, x: Tensor, seen: Tensor | None, masked: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Return the convolutions' series and its mask, of scaled stretches of any length."""
        mask = None
        if masked:
            assert seen is not None
            mask = seen.any(dim=1, keepdim=True).to(x.dtype)  # (batch, 1, ...)
        series = _zeroed(x, seen)
        if self.difference:
            change = difference(x).nan_to_num(0.0) / self.difference_deviation
            series = torch.cat([series, change], dim=1)  # (batch, 2 n_channels, n_timepoints)
        if self.drop_first:  # its change depends on where the window begins
            series, mask = series[:, :, 1:], None if mask is None else mask[:, :, 1:]
        return series, mask

    def scale(self, x: Tensor, *, whole: bool = False) -> Tensor:
        """Scale series (batch, n_channels, n_timepoints); NaN stays NaN. `whole`: there is none."""
        if self.normalize == "none":
            return x
        if self.normalize == "train":
            return (x - self.mean) / self.deviation
        seen = None if whole else ~torch.isnan(x)
        count = x.shape[2] if seen is None else seen.sum(dim=2, keepdim=True).clamp_min(1)
        values = x.double()  # so that a large mean costs no digits
        if self.exact:  # from one of its values, so that a series that stands still is 0 throughout
            first = x if seen is None else x.where(seen, math.inf)
            values = values - first.amin(dim=2, keepdim=True)
        centred = values - _zeroed(values, seen).sum(dim=2, keepdim=True) / count
        deviation = (_zeroed(centred, seen).square().sum(dim=2, keepdim=True) / count).sqrt()
        if self.exact:
            divisor = deviation.where(deviation > 0, 1.0)
        else:  # an optimizer of ONNX takes a plain 1e-8 for 0, and leaves it out
            divisor = deviation + torch.full_like(deviation, 1e-8).where(deviation >= 0, 1.0)
        return (centred / divisor).to(x.dtype)

    def items(self, x: Tensor) -> Tensor:
        """Cut series (batch, n_channels, n_timepoints) into steps (batch, items, item_size)."""
        if self.n_patches:
            missing = self.n_patches * self.item_size - x.shape[2]
            return F.pad(x, (0, missing)).reshape(x.shape[0], self.n_patches, self.item_size)
        return x if self.shuffled else x.transpose(1, 2)

    @torch.no_grad()
    def fit(self, X: Iterable[NDArray[np.floating[Any]]]) -> None:
        """Fit the statistics on training cases, given in chunks that can be read again."""

        def read() -> Iterator[Tensor]:
            return (torch.from_numpy(x).to(self.mean.device) for x in X)

        if self.normalize == "train":
            mean, deviation = _moments(read(), axes=(0, 2))
            self.mean.copy_(mean)
            self.deviation.copy_(_usable(mean, deviation))
        if self.standardize:
            mean, deviation = _moments(map(self.scale, read()), axes=(0,))
            self.timepoint_mean.copy_(mean[0])
            self.timepoint_deviation.copy_(_usable(mean[0], deviation[0]))
        if self.difference:
            mean, deviation = _moments((difference(self.scale(x)) for x in read()), axes=(0, 2))
            self.difference_deviation.copy_(_usable(mean, deviation))


def difference(x: Tensor) -> Tensor:
    """Return the change since the timepoint before, 0 at the first; the shape of x stays."""
    return torch.diff(x, dim=2, prepend=x[:, :, :1])


def _zeroed(x: Tensor, seen: Tensor | None) -> Tensor:
    return x if seen is None else x.where(seen, 0.0)


def _moments(chunks: Iterable[Tensor], axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return mean and deviation over axes of all chunks (n_cases, ...), keeping dims, NaN left out.

    Merged chunk by chunk in double (Chan et al. 1983), so that a large mean costs no digits.
    """
    count = mean = square = torch.zeros((), dtype=torch.float64)
    for chunk in chunks:
        values = chunk.double()
        seen = ~torch.isnan(values)
        n = seen.sum(dim=axes, keepdim=True).double()
        here = values.where(seen, 0.0).sum(dim=axes, keepdim=True) / n.clamp_min(1.0)
        spread = (values - here).where(seen, 0.0).square().sum(dim=axes, keepdim=True)
        total = (count + n).clamp_min(1.0)
        shift = here - mean
        square = square + spread + shift.square() * count * n / total
        mean = mean + shift * n / total
        count = count + n
    deviation = (square / count.clamp_min(1.0)).sqrt()
    if 2 in axes:
        mean, deviation = mean[0], deviation[0]
    return mean, deviation


def _usable(mean: Tensor, deviation: Tensor) -> Tensor:
    """Replace deviations that are zero up to float32's rounding of the channel by 1."""
    size = (mean.square() + deviation.square()).mean(dim=1, keepdim=True).sqrt()  # (n_channels, 1)
    return torch.where(deviation > 1e-7 * size, deviation, 1.0)
