"""The LSTM-FCN family: one class with flags, its views of the input inside it.

The networks are those of Karim et al. 2017 (arXiv 1709.05206: LSTM-FCN, ALSTM-FCN) and 2018
(arXiv 1801.04503: MLSTM-FCN, MALSTM-FCN). `PAPER` reproduces the authors' layers; each field of
`ModelConfig` that departs from it by default says why.
"""

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foreshock.features import RandomBranch
from foreshock.layers import (
    REDUCTION,
    Block,
    Dropout,
    Recurrent,
    hard_sigmoid,
    linear,
    mean_over_time,
    reach,
)
from foreshock.views import Views

_RANDOM_FEATURES = 20_000


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What the network is. The members of the family are the first two flags.

    LSTM-FCN has neither, ALSTM-FCN `attention`, MLSTM-FCN `squeeze_excite`, MALSTM-FCN both.
    """

    attention: bool = False
    """Let each step of the recurrent branch attend to all steps of its input."""

    squeeze_excite: bool = False
    """Rescale the filters of the first two blocks by what the whole series shows."""

    cells: int = 64
    """Cells of the recurrent branch; the papers choose among 8, 64 and 128."""

    dropout: float = 0.5
    """Share of the recurrent branch's outputs dropped while training (papers: 0.8)."""

    filters: tuple[int, int, int] = (128, 256, 128)
    """Filters of the three convolutional blocks."""

    kernels: tuple[int, int, int] = (8, 5, 3)
    """Timepoints each block's filters see."""

    mixed: tuple[int, ...] = field(default=(8, 16, 32, 64), metadata={"before": ()})
    """Timepoints that the first block's filters see instead of `kernels[0]`, an equal share of them
    each; none, as in the papers, for all alike."""

    dilations: tuple[int, int, int] = field(default=(1, 2, 4), metadata={"before": (1, 1, 1)})
    """Distance between the timepoints that a filter of each block sees (papers: 1)."""

    padding: Literal["auto", "same", "valid"] = "auto"
    """What the convolutions see beyond the ends of a series: zeros, so that each timepoint has a
    feature (same), or nothing, so that those near the ends have none (valid) and windows that
    overlap share all of theirs. auto: valid with windows of readings of which at least half keep
    theirs, else same."""

    normalize: Literal["auto", "series", "train", "none", "paper"] = "auto"
    """How a series is scaled: by its own mean and deviation (series), by those of each channel over
    the training cases (train), or as stored (none). auto: series with one channel, train with
    several or with windows of readings; paper: series with one channel, none with several."""

    standardize: bool = True
    """Give the recurrent branch each timepoint standardised over the training cases, because it
    knows positions and the convolutional branch does not (papers: no)."""

    difference: bool = True
    """Give the convolutional branch the first difference as further channels (papers: no)."""

    random_features: int | None = field(default=None, metadata={"before": 0})
    """Numbers, about, that random convolutions make of a series, for a second head that is fitted
    in closed form; 0, as in the papers, for none. By default 20,000, and none for windows of
    readings, of which forecasts are made by the hundred thousand."""

    mask: bool = True
    """Leave timepoints without a reading, padding above all, out of every sum (papers: zeros)."""

    shuffle: Literal["longer", "always"] = "longer"
    """When the recurrent branch's steps are the channels, each a whole series: when a series has
    more timepoints than channels, as the papers say, or always, as their code does."""

    patches: int = 8
    """Stretches of time that stand in for channels where attention has only one channel to attend
    to; 0, as in the papers' code, leaves it one item and so nothing to choose from."""

    hard_sigmoid: bool = False
    """Gates clip(0.2 x + 0.5, 0, 1), as in the Keras of the papers, instead of the sigmoid."""

    norm_momentum: float = 0.1
    """Weight of the newest batch in batch norm's running statistics (papers: 0.01)."""

    norm_eps: float = 1e-3
    """What batch norm adds to a variance."""

    def __post_init__(self) -> None:
        if self.cells < 1:
            raise ValueError(f"cells must be at least 1, got {self.cells}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}.")
        if self.patches < 0:
            raise ValueError(f"patches must be at least 0, got {self.patches}.")
        if self.random_features is not None and self.random_features < 0:
            raise ValueError(f"random_features must be at least 0, got {self.random_features}.")
        if not 0 < self.norm_momentum <= 1:
            raise ValueError(f"norm_momentum must be above 0, at most 1, got {self.norm_momentum}.")
        if not self.norm_eps > 0:
            raise ValueError(f"norm_eps must be above 0, got {self.norm_eps}.")
        for name in ("filters", "kernels", "dilations"):
            values = getattr(self, name)
            if len(values) != 3 or min(values) < 1:
                raise ValueError(f"{name} must be three numbers of at least 1, got {values}.")
        if self.mixed and (min(self.mixed) < 1 or len(self.mixed) > self.filters[0]):
            raise ValueError(
                f"mixed must be numbers of at least 1, no more than the {self.filters[0]} filters "
                f"of the first block, got {self.mixed}."
            )
        if self.squeeze_excite and min(self.filters[:2]) < REDUCTION:
            raise ValueError(
                f"squeeze_excite needs at least {REDUCTION} filters in the first two blocks, "
                f"got {self.filters}."
            )

    @property
    def first(self) -> tuple[int, ...]:
        """Sizes that the first block's filters are divided among."""
        return self.mixed or self.kernels[:1]

    @property
    def reach(self) -> tuple[int, int]:
        """How many timepoints before and after its own a feature depends on."""
        longest = (max(self.first), *self.kernels[1:])
        before, after = zip(*map(reach, longest, self.dilations), strict=True)
        return sum(before) + self.difference, sum(after)

    def margins(self, n_timepoints: int) -> tuple[int, int]:
        """Give how many timepoints at the beginning and the end of a series have no feature.

        Raises
        ------
        ValueError
            If none of them would have one.
        """
        if self.padding != "valid":
            return 0, 0
        if n_timepoints <= sum(self.reach):
            raise ValueError(
                f"padding valid needs series of at least {sum(self.reach) + 1} timepoints, got "
                f"{n_timepoints}: give --model.padding same."
            )
        return self.reach


PAPER = ModelConfig(
    cells=8,
    dropout=0.8,
    mixed=(),
    dilations=(1, 1, 1),
    padding="same",
    normalize="paper",
    standardize=False,
    difference=False,
    random_features=0,
    mask=False,
    shuffle="always",
    patches=0,
    hard_sigmoid=True,
    norm_momentum=0.01,
)
"""The authors' layers as they coded them (cells: 8, 64 or 128, by the problem)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Dissection:
    """What the network makes of series on the way to its logits."""

    recurrent: Tensor
    """Last state of the recurrent branch, (batch, cells)."""

    features: Tensor
    """The convolutional branch before its average, (batch, filters, timepoints); 0 where masked.
    Timepoint for timepoint those of the series without its margins (`LSTMFCN.margins`)."""

    mask: Tensor | None
    """1 where a feature counts, else 0, (batch, 1, timepoints) like them; None where all do."""

    pooled: Tensor
    """Average of the features over the timepoints that count, (batch, filters)."""

    attention: Tensor | None
    """Weight of each item in each step of the recurrent branch, (batch, steps, items); None
    without attention."""

    item_mask: Tensor | None
    """Which items, and steps, are not skipped, (batch, items); None where none is."""

    random: Tensor | None
    """Logits of the random convolutions, (batch, n_classes), whose softmax is probabilities; None
    where there are none."""

    gates: tuple[Tensor, ...]
    """What squeeze-and-excite scaled the filters of the first blocks by, (batch, filters) each;
    empty without it."""


class LSTMFCN(nn.Module):
    """A recurrent and a convolutional branch over the same series, and one linear head.

    Parameters
    ----------
    config : ModelConfig
        What the network is.
    n_channels, n_timepoints, n_classes : int
        What the data decides. Shorter series end in NaN.
    logit_scale : float, default=1.0
        What logits are multiplied by before the softmax. Two one-hot outputs trained by binary
        cross entropy carry the log-odds twice and need 0.5.
    seed : int, default=0
        Seed of the initial weights.

    Attributes
    ----------
    margins : tuple of two int
        How many timepoints at the beginning and the end of a series have no feature.

    Raises
    ------
    ValueError
        If series are too short for convolutions without padding.

    Notes
    -----
    With one channel the recurrent branch takes a single step over the whole series, so its
    recurrent weights and forget gate never act. That is the papers' "dimension shuffle", and
    what makes the branch a position-sensitive counterpart of the convolutions.
    """

    logit_scale: Tensor

    def __init__(
        self,
        config: ModelConfig,
        *,
        n_channels: int,
        n_timepoints: int,
        n_classes: int,
        logit_scale: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.config = config
        self.n_channels, self.n_timepoints, self.n_classes = n_channels, n_timepoints, n_classes
        self.seed = seed
        self.margins = config.margins(n_timepoints)
        valid = config.padding == "valid"
        generator = torch.Generator().manual_seed(seed)
        self.views = Views(
            n_channels,
            n_timepoints,
            normalize=config.normalize,
            standardize=config.standardize,
            difference=config.difference,
            drop_first=config.difference and valid,
            mask=config.mask,
            shuffled=config.shuffle == "always" or n_timepoints > n_channels,
            n_patches=config.patches if config.attention and n_channels == 1 else 0,
        )
        self.recurrent = Recurrent(
            self.views.item_size,
            config.cells,
            attention=config.attention,
            gate=hard_sigmoid if config.hard_sigmoid else torch.sigmoid,
            rng=generator,
        )
        self.dropout = Dropout(config.dropout)
        widths = (n_channels * (2 if config.difference else 1), *config.filters)
        self.blocks = nn.ModuleList(
            Block(
                widths[i],
                widths[i + 1],
                config.kernels[i : i + 1] if i else config.first,
                dilation=config.dilations[i],
                valid=valid,
                excite=config.squeeze_excite and i < 2,
                norm_momentum=config.norm_momentum,
                norm_eps=config.norm_eps,
                rng=generator,
            )
            for i in range(3)
        )
        self.head = linear(config.cells + config.filters[2], n_classes, bias=True)
        nn.init.xavier_uniform_(self.head.weight, generator=generator)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("logit_scale", torch.tensor(logit_scale))
        self.random: RandomBranch | None = None

    @property
    def n_random(self) -> int:
        """How many random features the configuration asks for."""
        asked = self.config.random_features
        return _RANDOM_FEATURES if asked is None else asked

    def add_random(self) -> None:
        """Give the network its random convolutions, as yet without a head that says anything."""
        if self.n_random:
            rng = torch.Generator().manual_seed(self.seed)
            shape = self.n_channels, self.n_timepoints, self.n_classes
            self.random = RandomBranch(*shape, n_features=self.n_random, rng=rng)
            self.random.to(self.head.weight.device)

    @torch.no_grad()
    def fit_random(self, x: Tensor, y: Tensor) -> None:
        """Add random convolutions and fit their head, once the rest is trained.

        Parameters
        ----------
        x : Tensor of shape (n_cases, n_channels, n_timepoints)
            Training cases, raw, a few thousand at most.
        y : Tensor of shape (n_cases,)
            Their classes as indices.
        """
        self.add_random()
        if self.random is not None:
            self.random.fit(self.views.scale(x), y)

    def fit_views(self, X: Iterable[NDArray[np.float32]]) -> None:
        """Fit what the views know of the data. Give training cases only.

        Parameters
        ----------
        X : iterable of arrays, each (n_cases, n_channels, n_timepoints)
            The training cases, in chunks.
        """
        self.views.fit(X)

    def forward(self, x: Tensor) -> Tensor:
        """Give a logit per class.

        Parameters
        ----------
        x : Tensor of shape (batch, n_channels, n_timepoints)
            Raw series, NaN where there is no reading.

        Returns
        -------
        Tensor of shape (batch, n_classes)
        """
        if x.shape[1:] != (self.n_channels, self.n_timepoints):
            raise ValueError(
                f"the model takes series of shape (n_channels={self.n_channels}, "
                f"n_timepoints={self.n_timepoints}), got {tuple(x.shape[1:])}."
            )
        parts = self.dissect(x)
        return self.classify(parts.recurrent, parts.pooled, parts.random)

    def dissect(self, x: Tensor) -> Dissection:
        """Give what the head is about to see of series as in `forward`, and what led to it."""
        items, item_mask, series, mask = self.views(x)
        last, attention = self.recurrent(items, item_mask)  # (batch, cells)
        features, mask, gates = self.convolve(series, mask)
        return Dissection(
            recurrent=self.dropout(last),
            features=features,
            mask=mask,
            pooled=mean_over_time(features, mask),  # (batch, filters)
            attention=attention,
            item_mask=item_mask,
            random=None if self.random is None else self.random(self.views.scale(x)),
            gates=gates,
        )

    def convolve(
        self, series: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None, tuple[Tensor, ...]]:
        """Give features, mask and gates, as in `Dissection`, of what the views make of series.

        Without squeeze-and-excite a series may be of any length that leaves a feature.
        """
        gates = []
        for block in self.blocks:
            series, mask, gate = block(series, mask)  # (batch, filters, timepoints)
            if gate is not None:
                gates.append(gate)
        return series, mask, tuple(gates)

    def folded(self) -> "LSTMFCN":
        """Give a copy that only predicts, faster: its convolutions do the batch norm, too."""
        model = copy.deepcopy(self).eval().requires_grad_(False)
        for block in model.blocks:
            assert isinstance(block, Block)
            block.fold()
        return model

    def classify(self, recurrent: Tensor, pooled: Tensor, random: Tensor | None = None) -> Tensor:
        """Give logits (batch, n_classes): the head's first inputs are the recurrent branch's.

        With logits of the random convolutions, too, the probabilities are the mean of both heads'.
        """
        logits: Tensor = self.head(torch.cat([recurrent, pooled.to(recurrent.dtype)], dim=1))
        if random is None:
            return logits
        each = [(logits.float() * self.logit_scale).log_softmax(1), random.log_softmax(1)]
        return (torch.logaddexp(*each) - math.log(2)) / self.logit_scale

    def head_parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Give the head's bias (n_classes,) and its weights for the recurrent branch and the other.

        The weights are of shape (n_classes, cells) and (n_classes, filters).
        """
        weight, cells = self.head.weight, self.config.cells
        return self.head.bias, weight[:, :cells], weight[:, cells:]

    def proba(self, logits: Tensor) -> Tensor:
        """Turn logits (batch, n_classes) into class probabilities of the same shape."""
        return (logits.float() * self.logit_scale).softmax(dim=1)
