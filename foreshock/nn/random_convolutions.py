"""Random convolutions with a head in closed form: what the network's third branch sees and says.

Nothing in them is trained by steps. Competing kernels are the idea of Hydra (Dempster et al. 2023,
arXiv 2203.13652), shares above a threshold that of ROCKET and MiniROCKET (Dempster et al. 2020,
arXiv 1910.13051; 2021, arXiv 2012.08791). Both are written anew here, for channels and missing
readings, as a torch module whose kernels, thresholds and head are buffers.
"""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foreshock.nn.preprocessing import difference

_LENGTH, _RIVALS = 9, 8
"""Timepoints that a kernel weighs; kernels of a group, of which one wins at each timepoint."""
_TRIPLES = tuple(itertools.combinations(range(_LENGTH), 3))
_GOLDEN = (5**0.5 - 1) / 2
_VALUES = 2**19
"""Values of convolved series that are held at a time: what a processor's cache takes."""
_TIE = 1e-5
"""Responses this near are equal, as all are, but for rounding, where a series is constant."""
_LEAST = 1e-3
"""What is added to a feature's deviation, so that rounding is not taken for a difference."""
MOST_CASES = 4096
"""Most cases that the closed form is fitted to."""
_PENALTIES = np.logspace(0, 5, 11)
_SCALES = np.logspace(-0.3, 0.7, 21)


class RandomBranch(nn.Module):
    """Random convolutions, roots of their averages over time, and a head on these.

    A root of an average is the average of what is divided by that root, so what the head adds to a
    logit has a map over time, as the convolutional branch has.

    Parameters
    ----------
    n_channels, n_timepoints, n_classes : int
        What the data decides.
    n_features : int
        How many numbers to make of a series, about.
    rng : torch.Generator
        Where kernels are drawn from.
    exact : bool, default=True
        Whether to convolve in double.
    """

    def __init__(
        self,
        n_channels: int,
        n_timepoints: int,
        n_classes: int,
        *,
        n_features: int,
        rng: torch.Generator,
        exact: bool = True,
    ) -> None:
        super().__init__()
        self.responses = Responses(
            n_channels, n_timepoints, n_features=n_features, rng=rng, exact=exact
        )
        self.head = RidgeHead(self.responses.n_features, n_classes)

    def fit(self, x: Tensor, y: Tensor, weights: Tensor | None = None) -> None:
        """Fit to scaled training cases (n_cases, n_channels, n_timepoints), classes (n_cases,).

        What each case weighs (n_cases,) is the same for all by default.
        """
        self.responses.fit(x)
        self.head.fit(self.responses.features(x), y, weights)

    def forward(self, x: Tensor) -> Tensor:
        """Map scaled series (batch, n_channels, n_timepoints), NaN for none, to logits."""
        with torch.autocast(x.device.type, enabled=False):
            logits: Tensor = self.head(self.responses.features(x))
        return logits

    def maps(self, x: Tensor) -> Tensor:
        """Return what each timepoint does for the logits, (batch, n_classes, n_timepoints).

        Their averages over the timepoints with a reading are the logits less their `level`.
        """
        with torch.autocast(x.device.type, enabled=False):
            return torch.cat([self._maps(part) for part in self.responses.portions(x)])

    def traced(self, x: Tensor) -> Tensor:
        """Do what `forward` does in steps that do not depend on the readings or their number."""
        seen = ~torch.isnan(x).all(dim=1, keepdim=True)
        weight = seen.to(x.dtype) / seen.sum(dim=2, keepdim=True).clamp_min(1)  # (batch, 1, ...)
        logits: Tensor = self.head(self.responses.averages(x, weight).clamp_min(0.0).sqrt())
        return logits

    def _maps(self, x: Tensor) -> Tensor:
        weight, start = _weight(x), 0
        maps = -(self.head.weight @ self.head.mean)[:, None].expand(len(x), -1, x.shape[2])
        for each in self.responses(x):
            stop = start + each.shape[1]
            root = _average(each, weight).sqrt()  # (batch, some)
            divisor = root.where(root > 0, math.inf)[:, None]
            maps = maps + (self.head.weight[:, start:stop] / divisor) @ each
            start = stop
        return maps if weight is None else maps * (weight > 0)


class Responses(nn.Module):
    """What random kernels respond to each timepoint of a series and of its difference.

    At each dilation, groups of eight random kernels compete: one response of a kernel is its value
    where it is the largest of its group, another 1 where it is the smallest, else 0. Beside them
    stand the 84 kernels of MiniROCKET: a response is 1 where one is above a threshold, a quantile
    of what it gives for a training case.

    Parameters
    ----------
    n_channels, n_timepoints, n_features, rng, exact
        As in `RandomBranch`; at most a third of the features are by competition.
    """

    competing: Tensor
    mixes: Tensor
    fixed: Tensor
    thresholds: Tensor

    def __init__(
        self,
        n_channels: int,
        n_timepoints: int,
        *,
        n_features: int,
        rng: torch.Generator,
        exact: bool = True,
    ) -> None:
        super().__init__()
        self.exact = exact
        longest = int(math.log2(max(1.0, (n_timepoints - 1) / (_LENGTH - 1))))
        self.dilations = tuple(2**i for i in range(longest + 1))
        n_dilations = len(self.dilations)
        half = max(1, min(32, round(n_features / 3 / (4 * _RIVALS * n_dilations))))
        rest = n_features - 4 * half * _RIVALS * n_dilations
        each = max(1, round(rest / (2 * len(_TRIPLES) * n_dilations)))
        self.widest = max(half * _RIVALS, len(_TRIPLES))
        self.seed = int(torch.randint(2**31, (), generator=rng))
        shape = n_dilations, 2, half * _RIVALS, 1, _LENGTH
        kernels = torch.randn(shape, generator=rng, dtype=torch.float32)
        kernels -= kernels.mean(dim=-1, keepdim=True)
        kernels /= kernels.abs().sum(dim=-1, keepdim=True)
        self.register_buffer("competing", kernels)
        self.register_buffer("mixes", _mixes((n_dilations, 2, half), n_channels, rng))
        triples = torch.full((len(_TRIPLES), 1, _LENGTH), -1.0, dtype=torch.float32)
        for kernel, places in zip(triples, _TRIPLES, strict=True):
            kernel[0, list(places)] = 2.0
        mix = _mixes((n_dilations, 2, len(_TRIPLES)), n_channels, rng)
        self.register_buffer("fixed", triples * mix)
        thresholds = torch.zeros(n_dilations, 2, len(_TRIPLES), each, dtype=torch.float32)
        self.register_buffer("thresholds", thresholds)

    @property
    def n_features(self) -> int:
        """How many responses a timepoint has."""
        return 2 * self.competing[..., 0, 0].numel() + self.thresholds.numel()

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Draw thresholds from scaled training cases (n_cases, n_channels, n_timepoints)."""
        x = x[~torch.isnan(x).all(dim=2).all(dim=1)]  # a case without a reading has no quantile
        rng = torch.Generator().manual_seed(self.seed)
        n_dilations, _, n_kernels, _ = self.thresholds.shape
        # multiples of the golden ratio lie evenly between 0 and 1, however many are taken
        counted = torch.arange(1, self.thresholds.numel() + 1, dtype=torch.float64)
        places = (_GOLDEN * counted % 1).float().reshape(self.thresholds.shape).to(x.device)
        for i, which in itertools.product(range(n_dilations), range(2)):
            drawn = x[torch.randint(len(x), (n_kernels,), generator=rng).to(x.device)]
            seen = ~torch.isnan(drawn).all(dim=1)  # (kernels, timepoints): a case for each kernel
            values = self._fixed(self._view(drawn, which), i, which).diagonal().T
            for kernel in range(n_kernels):
                there = values[kernel, seen[kernel]]
                self.thresholds[i, which, kernel] = there.quantile(
                    places[i, which, kernel],
                    interpolation="midpoint",  # not on a value: rounding
                )

    def forward(self, x: Tensor) -> Iterator[Tensor]:
        """Return the responses to scaled series in turn, (batch, some, timepoints) each."""
        for which in range(2):
            series = self._view(x, which)
            for i in range(len(self.dilations)):
                yield from self._competition(series, i, which)
                values = self._fixed(series, i, which)  # (batch, 84, timepoints)
                for threshold in self.thresholds[i, which].T:
                    yield torch.gt(values, threshold[:, None], out=torch.empty_like(values))

    def features(self, x: Tensor) -> Tensor:
        """Return the roots of the averages over time of what `forward` gives, (batch, n_features).

        Of a series without a reading they are 0.
        """
        with torch.autocast(x.device.type, enabled=False):
            return torch.cat([self._roots(portion) for portion in self.portions(x)])

    def portions(self, x: Tensor) -> tuple[Tensor, ...]:
        """Divide series into as many at a time as a processor's cache takes."""
        return torch.split(x.float(), max(1, _VALUES // (self.widest * x.shape[2])))

    def _roots(self, x: Tensor) -> Tensor:
        weight = _weight(x)
        return torch.cat([_average(each, weight).sqrt() for each in self(x)], dim=1)

    def averages(self, x: Tensor, weight: Tensor) -> Tensor:
        """Average what `forward` gives, in its order, over time, weighed (batch, 1, timepoints).

        In fewer and larger steps, whatever memory they take: for an export.
        """
        averages = []
        for which in range(2):
            series = self._view(x, which)
            for i in range(len(self.dilations)):
                for each in self._competition(series, i, which):
                    averages.append((each * weight).sum(dim=2))
                values = self._fixed(series, i, which)  # (batch, 84, timepoints)
                levels = self.thresholds[i, which].T[:, :, None]  # (each, 84, 1)
                above = (values[:, None] > levels).to(x.dtype)  # (batch, each, 84, timepoints)
                averages.append((above @ weight[:, None, 0, :, None]).flatten(1))
        return torch.cat(averages, dim=1)

    def _competition(self, series: Tensor, i: int, which: int) -> Iterator[Tensor]:
        mix = self.mixes[i, which, ..., 0]  # (groups, n_channels), or of one channel (groups, 1)
        mixed = series if series.shape[1] == 1 else mix.to(series.dtype) @ series
        values = self._convolved(mixed, self.competing[i, which], i)
        rivals = values.reshape(series.shape[0], -1, _RIVALS, series.shape[2])
        ahead = torch.ge(rivals, rivals.amax(2, keepdim=True) - _TIE, out=torch.empty_like(rivals))
        yield (ahead * rivals).flatten(1, 2)
        behind = torch.le(rivals, rivals.amin(2, keepdim=True) + _TIE, out=ahead)
        yield behind.flatten(1, 2)

    def _fixed(self, series: Tensor, i: int, which: int) -> Tensor:
        return self._convolved(series, self.fixed[i, which], i)  # (batch, 84, timepoints)

    def _view(self, x: Tensor, which: int) -> Tensor:
        """Return a series, or its difference, 0 where there is none."""
        series = (difference(x) if which else x).nan_to_num(0.0)
        return series.double() if self.exact else series

    def _convolved(self, series: Tensor, kernels: Tensor, i: int) -> Tensor:
        """Convolve series (batch, n_in, timepoints) with kernels (n_out, n_in / groups, taps).

        In double, where the sum of some float32 values, whole numbers of times each, is exact: what
        cancels is 0 and what is equal ties, in whatever order a library adds.
        """
        each, dilation = kernels.shape[1], self.dilations[i]
        reach, groups = _LENGTH // 2 * dilation, series.shape[1] // each
        if not self.exact:
            return F.conv1d(series, kernels, padding=reach, dilation=dilation, groups=groups)
        padded, size = F.pad(series, (reach, reach)), series.shape[2]
        taps = padded.unfold(2, size, dilation)  # (batch, n_in, taps, timepoints)
        taps = taps.reshape(series.shape[0], groups, each * _LENGTH, size)
        values = kernels.to(series.dtype).reshape(groups, -1, each * _LENGTH) @ taps
        return values.flatten(1, 2).float()  # (batch, n_out, timepoints)


class RidgeHead(nn.Module):
    """Ridge regression on one-hot classes in closed form, turned into logits.

    Penalty and scale are chosen by what each case would be given were it left out, which ridge
    regression tells without a second fit (Allen 1974).
    """

    weight: Tensor
    mean: Tensor
    level: Tensor

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(n_classes, n_features, dtype=torch.float32))
        self.register_buffer("mean", torch.zeros(n_features, dtype=torch.float32))
        # the average logits
        self.register_buffer("level", torch.zeros(n_classes, dtype=torch.float32))

    def forward(self, z: Tensor) -> Tensor:
        """Map features (batch, n_features) to logits (batch, n_classes)."""
        return F.linear(z - self.mean, self.weight, self.level)

    @torch.no_grad()
    def fit(self, z: Tensor, y: Tensor, weights: Tensor | None = None) -> None:
        """Fit to features (n_cases, n_features) and classes as indices (n_cases,).

        Errors count as often as the weights (n_cases,) say, by default all alike.
        """
        weights = z.new_ones(len(z)) if weights is None else weights / weights.mean()
        share = weights / len(z)
        mean, deviation = share @ z, z.std(dim=0, correction=0) + _LEAST
        root = weights.double().sqrt()[:, None]
        z = root * ((z - mean) / deviation).double()
        targets = 2.0 * F.one_hot(y, len(self.level)).double() - 1  # (n_cases, n_classes)
        level = share.double() @ targets
        inner = z @ z.T
        # centred, nothing lies along the roots: made the longest axis, it is left out
        spread, axes = torch.linalg.eigh(inner + (inner.trace() + 1.0) * (root @ root.T))
        spread, axes = spread[:-1].clamp_min(0.0), axes[:, :-1]
        along = axes.T @ (root * (targets - level))
        best = (math.inf, torch.zeros_like(targets), targets)
        for penalty in _PENALTIES.tolist():
            shrunk = 1 / (spread + penalty)
            dual = axes @ (shrunk[:, None] * along)  # (n_cases, n_classes)
            left_out = targets - dual / (axes.square() @ shrunk)[:, None] / root
            error = (root * (targets - left_out)).square().mean().item()
            if error < best[0]:
                best = error, dual, left_out
        _, dual, left_out = best
        losses = [
            (share.double() @ F.cross_entropy(scale * left_out, y, reduction="none")).item()
            for scale in _SCALES.tolist()
        ]
        scale = float(_SCALES[int(np.argmin(losses))])
        weight = scale * (dual.T @ z) / deviation
        self.weight.copy_(weight)
        self.mean.copy_(mean)
        self.level.copy_(scale * level)


def _mixes(shape: tuple[int, ...], n_channels: int, rng: torch.Generator) -> Tensor:
    """Draw which channels each kernel sums: 0 or 1, (*shape, n_channels, 1), few of many."""
    if n_channels == 1:
        return torch.ones(*shape, 1, 1, dtype=torch.float32)
    most = math.log2(min(n_channels, _LENGTH) + 1)
    share = torch.rand(*shape, generator=rng, dtype=torch.float32)
    count = (2 ** (share * most)).long().clamp(1, n_channels)
    order = torch.rand(*shape, n_channels, generator=rng, dtype=torch.float32).argsort(dim=-1)
    place = order.argsort(dim=-1)
    return (place < count[..., None]).float()[..., None]


def _weight(x: Tensor) -> Tensor | None:
    """Weigh the timepoints that have a reading, (batch, 1, timepoints); None where all have."""
    seen = ~torch.isnan(x).all(dim=1, keepdim=True)
    if bool(seen.all()):
        return None
    return seen.to(x.dtype) / seen.sum(dim=2, keepdim=True).clamp_min(1)


def _average(responses: Tensor, weight: Tensor | None) -> Tensor:
    """Average responses (batch, some, timepoints), at least 0, over time."""
    average = responses.mean(dim=2) if weight is None else (responses * weight).sum(dim=2)
    return average.clamp_min(0.0)
