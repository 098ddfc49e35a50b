"""What a few numbers say of a window: the third branch, a logistic regression on its summary.

Convolutions whose averages over time are all that counts, and kernels that sum to zero, see little
of where a sensor stands and of where it is heading. A regression on the last reading and on mean,
extremes, deviation and trend does, and on many sensors little else is to be known. Trees on the
same numbers see what no weighted sum of them says.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foreshock.nn.trees import Trees

_PARTS = (1, 2, 4, 8)
"""What shares of a window, its latest, are summarised: the whole, its last half, ..."""
_SHORTEST = 4
"""Fewest timepoints of such a share."""
_NUMBERS = 5
"""Mean, least, largest, deviation and trend of a channel in each of them."""
_FARTHEST = 3.0
"""Deviations from the mean beyond which a number counts as no farther."""
_KNOTS, _NARROWEST = 11, 0.05
"""Quantiles that ranks are read off between, and their least distance in deviations."""
_SPAN = 12**0.5
"""What makes the deviation of ranks from 0 to 1 one."""
_LEAST = 1e-4
"""Deviation, in those of the channel's readings, up to which a number is constant."""
_SURE = 1e-3
"""Least probability that trees give a class."""


class WindowSummary(nn.Module):
    """Numbers that summarise a window, and heads on them whose logits are of a softmax.

    Of each channel: its latest reading, the share of timepoints with one, and of the whole window,
    its last half, quarter and eighth the mean, least and largest reading, deviation and trend. A
    number is seen in two ways: standardised by the training cases, as at most three deviations; and
    by its rank among theirs, to which outliers and skew are nothing. Both are 0 where a channel has
    no reading. A linear head sees both, trees the first.

    Parameters
    ----------
    n_channels, n_timepoints, n_classes : int
        What the data decides.
    n_trees : int, default=0
        How many trees there are.

    Attributes
    ----------
    n_features : int
        How many numbers there are.
    weight, bias : Tensor of shape (n_classes, 2 n_features) and (n_classes,)
        The linear head, levels before ranks: 0 until it is set.
    trees : Trees or None
        The other head.
    share : Tensor
        What the logits of the trees, the logs of their probabilities, count; 0 until it is set.
    """

    mean: Tensor
    deviation: Tensor
    knots: Tensor
    weight: Tensor
    bias: Tensor
    share: Tensor

    def __init__(
        self, n_channels: int, n_timepoints: int, n_classes: int, n_trees: int = 0
    ) -> None:
        super().__init__()
        sizes = {n_timepoints // part for part in _PARTS if n_timepoints // part >= _SHORTEST}
        self.sizes = sorted(sizes | {n_timepoints}, reverse=True)
        self.n_features = n_channels * (2 + _NUMBERS * len(self.sizes))
        for name, shape in (
            ("mean", (self.n_features,)),
            ("deviation", (self.n_features,)),
            ("knots", (self.n_features, _KNOTS)),
            ("weight", (n_classes, 2 * self.n_features)),
            ("bias", (n_classes,)),
        ):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float32))
        self.trees: Trees | None = None
        if n_trees:
            self.trees = Trees(n_trees, n_classes)
            self.register_buffer("share", torch.zeros((), dtype=torch.float32))

    @torch.no_grad()
    def fit_scale(self, numbers: Tensor) -> None:
        """Fit by what numbers are seen to those of training cases, (n_cases, n_features)."""
        seen = ~torch.isnan(numbers)
        count = seen.sum(dim=0).clamp_min(1)
        values = numbers.double()
        mean = values.where(seen, 0.0).sum(dim=0) / count  # (n_features,)
        square = (values - mean).where(seen, 0.0).square().sum(dim=0) / count
        self.mean.copy_(mean)
        deviation = square.sqrt()
        self.deviation.copy_(deviation.where(deviation > _LEAST, 0.0))
        at = torch.linspace(0, 1, _KNOTS, dtype=numbers.dtype, device=numbers.device)
        for knots, column in zip(self.knots, self._standardised(numbers).T, strict=True):
            knots.copy_(column.quantile(at))  # at most 16 million cases

    def forward(self, x: Tensor) -> Tensor:
        """Map scaled series (batch, n_channels, n_timepoints), NaN for none, to logits."""
        with torch.autocast(x.device.type, enabled=False):
            return self.logits(self.numbers(x))

    def logits(self, numbers: Tensor) -> Tensor:
        """Map numbers (batch, n_features) to logits (batch, n_classes)."""
        features = self.features(numbers)
        logits = F.linear(features, self.weight, self.bias)
        if self.trees is None:
            return logits
        return logits + self.share * log_odds(self.trees(features[:, : self.n_features]))

    def features(self, numbers: Tensor) -> Tensor:
        """Return levels and ranks (batch, 2 n_features) of numbers (batch, n_features)."""
        z = self._standardised(numbers)
        low, width = self.knots[:, :-1], self.knots.diff(dim=1).clamp_min(_NARROWEST)
        ramps = ((z[:, :, None] - low) / width).clamp(0.0, 1.0)  # (batch, n_features, knots - 1)
        centre = ((0.0 - low) / width).clamp(0.0, 1.0)  # where the mean is
        ranks = (ramps - centre).mean(dim=2) * _SPAN
        return torch.cat([z.clamp(-_FARTHEST, _FARTHEST), ranks], dim=1)

    def _standardised(self, numbers: Tensor) -> Tensor:
        divisor = self.deviation.where(self.deviation > 0, math.inf)  # a constant says nothing
        return ((numbers - self.mean) / divisor).nan_to_num(0.0)

    def numbers(self, x: Tensor) -> Tensor:
        """Summarise scaled series (batch, n_channels, n_timepoints): (batch, n_features).

        NaN where a channel has no reading.
        """
        x = x.float()
        seen = ~torch.isnan(x)
        at = torch.arange(1, x.shape[2] + 1, dtype=x.dtype, device=x.device)
        latest = (seen * at).amax(dim=2, keepdim=True)  # (batch, n_channels, 1)
        newest = x.where(seen & (at == latest), 0.0).sum(dim=2)  # (batch, n_channels)
        found = [newest.where(latest[:, :, 0] > 0, math.nan), seen.to(x.dtype).mean(dim=2)]
        for size in self.sizes:
            found += _moments(x[:, :, -size:], seen[:, :, -size:])
        return torch.cat(found, dim=1)


def log_odds(proba: Tensor) -> Tensor:
    """Return the logits of what trees say, none of which is surer than 999 to 1."""
    return proba.clamp_min(_SURE).log()


def _moments(x: Tensor, seen: Tensor) -> list[Tensor]:
    """Return mean, extremes, deviation and trend of series, (batch, n_channels) each."""
    count = seen.sum(dim=2, keepdim=True)  # (batch, n_channels, 1)
    some, n = count[:, :, 0] > 0, count.clamp_min(1)
    mean = x.where(seen, 0.0).sum(dim=2, keepdim=True) / n
    centred = (x - mean).where(seen, 0.0)
    at = torch.linspace(-0.5, 0.5, x.shape[2], dtype=x.dtype, device=x.device).expand_as(x)
    when = (at - at.where(seen, 0.0).sum(dim=2, keepdim=True) / n).where(seen, 0.0)
    slope = (when * centred).sum(dim=2) / when.square().sum(dim=2).clamp_min(1e-9)
    found = [
        mean[:, :, 0],
        x.where(seen, math.inf).amin(dim=2),
        x.where(seen, -math.inf).amax(dim=2),
        (centred.square().sum(dim=2) / n[:, :, 0]).sqrt(),
        slope,
    ]
    return [each.where(some, math.nan) for each in found]
