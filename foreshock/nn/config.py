"""Configuration of the network, by default and as in the papers.

Each field of `ModelConfig` that departs from the papers by default says why; `PAPER` reproduces
their layers.
"""

from dataclasses import dataclass, field
from typing import Literal

from foreshock.nn.layers import REDUCTION, reach

FILTERS = (128, 256, 128)
"""Default filters, those of the papers."""
RANDOM_FEATURES = 20_000
"""Default number of random features."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Configuration of the network. The first two flags select the member of the family.

    LSTM-FCN has neither, ALSTM-FCN `attention`, MLSTM-FCN `squeeze_excite`, MALSTM-FCN both.
    """

    attention: bool = False
    """Add attention over all steps to the recurrent branch (ALSTM-FCN)."""

    squeeze_excite: bool = False
    """Add squeeze-and-excite to the first two convolutional blocks (MLSTM-FCN)."""

    cells: int = 64
    """Cells of the recurrent branch (papers: 8, 64 or 128, by problem)."""

    dropout: float = 0.5
    """Dropout rate of the recurrent branch's outputs (papers: 0.8)."""

    filters: tuple[int, int, int] | None = None
    """Filters of the three convolutional blocks. Default: 128 256 128 as in the papers, or 32 64 32
    for windows of readings."""

    kernels: tuple[int, int, int] = (8, 5, 3)
    """Kernel size of each convolutional block, in timepoints."""

    mixed: tuple[int, ...] = (8, 16, 32, 64)
    """Kernel sizes of the first block instead of `kernels[0]`, for an equal share of its filters
    each (papers: none)."""

    dilations: tuple[int, int, int] = (1, 2, 4)
    """Dilation of each convolutional block (papers: 1)."""

    padding: Literal["auto", "same", "valid"] = "auto"
    """Padding of the convolutions. same: zeros, so that every timepoint has a feature. valid: none,
    so that timepoints near the ends have no feature and overlapping windows share all of theirs.
    auto: valid for windows of readings if at least half of their timepoints keep a feature, else
    same."""

    normalize: Literal["auto", "series", "train", "none", "paper"] = "auto"
    """How to scale a series. series: by its own mean and deviation. train: by those of each channel
    over the training cases. none: as stored. auto: series for one channel, train for several or for
    windows of readings. paper: series for one channel, none for several."""

    standardize: bool = True
    """Standardise each timepoint over the training cases for the recurrent branch: it knows
    positions, the convolutional branch does not (papers: no)."""

    difference: bool = True
    """Feed the convolutional branch the first difference as extra channels (papers: no)."""

    random_features: int | None = None
    """Approximate number of random convolution features, for a second head that is fitted in closed
    form (papers: 0, no such head). Default: 20,000, or 0 for windows of readings, to forecast many
    of them quickly."""

    summary: bool | None = None
    """Add a branch that sees a summary of each channel (latest reading, means, extremes, deviations
    and trends), with logistic regressions and trees that are fitted first; the rest is trained on
    what they leave unexplained (papers: no). Default: for windows of readings only."""

    summary_trees: int | None = None
    """Number of extremely randomised trees on that summary; 0 leaves them out. Default: 64."""

    mask: bool = True
    """Leave missing readings and padding out of every sum (papers: count them as zeros)."""

    shuffle: Literal["longer", "always"] = "longer"
    """When to feed the recurrent branch one channel per step, each a whole series. longer: if
    series have more timepoints than channels, as in the papers. always: as in their code."""

    patches: int = 8
    """Number of patches of time that attention chooses from if there is one channel; 0, as in the
    papers' code, leaves nothing to choose from."""

    hard_sigmoid: bool = False
    """Use clip(0.2 x + 0.5, 0, 1) for the gates, as in the papers' Keras, instead of the
    sigmoid."""

    exact: bool = field(default=True, metadata={"always": True})
    """Scale a series by its deviation, however small, and compute random convolutions in double
    precision, so that constant stretches yield exactly 0 in every library."""

    norm_momentum: float = 0.1
    """Weight of the newest batch in batch norm's running statistics (papers: 0.01)."""

    norm_eps: float = 1e-3
    """Constant that batch norm adds to a variance."""

    def __post_init__(self) -> None:
        if self.cells < 1:
            raise ValueError(f"cells must be at least 1, got {self.cells}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}.")
        if self.patches < 0:
            raise ValueError(f"patches must be at least 0, got {self.patches}.")
        if self.random_features is not None and self.random_features < 0:
            raise ValueError(f"random_features must be at least 0, got {self.random_features}.")
        if self.summary_trees is not None and self.summary_trees < 0:
            raise ValueError(f"summary_trees must be at least 0, got {self.summary_trees}.")
        if not 0 < self.norm_momentum <= 1:
            raise ValueError(
                f"norm_momentum must be above 0 and at most 1, got {self.norm_momentum}."
            )
        if not self.norm_eps > 0:
            raise ValueError(f"norm_eps must be above 0, got {self.norm_eps}.")
        filters = self.widths
        for name in ("filters", "kernels", "dilations"):
            values = filters if name == "filters" else getattr(self, name)
            if len(values) != 3 or min(values) < 1:
                raise ValueError(f"{name} must be three numbers of at least 1, got {values}.")
        if self.mixed and (min(self.mixed) < 1 or len(self.mixed) > filters[0]):
            raise ValueError(
                f"mixed must be at most {filters[0]} numbers (the filters of the first block)"
                f" of at least 1, got {self.mixed}."
            )
        if self.squeeze_excite and min(filters[:2]) < REDUCTION:
            raise ValueError(
                f"squeeze_excite needs at least {REDUCTION} filters in the first two blocks, "
                f"got {filters}."
            )

    def scaling(self, n_channels: int) -> Literal["series", "train", "none"]:
        """Return how series of so many channels are scaled."""
        if self.normalize in ("series", "train", "none"):
            return self.normalize
        if n_channels == 1:
            return "series"
        return "train" if self.normalize == "auto" else "none"

    @property
    def widths(self) -> tuple[int, int, int]:
        """Filters of the three blocks where they are not windows of readings'."""
        return self.filters or FILTERS

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
        """Return how many timepoints at the beginning and the end of a series have no feature.

        Raises
        ------
        ValueError
            If none of them would have one.
        """
        if self.padding != "valid":
            return 0, 0
        if n_timepoints <= sum(self.reach):
            raise ValueError(
                f"padding valid needs series of at least {sum(self.reach) + 1} timepoints, got"
                f" {n_timepoints}: give --model.padding same."
            )
        return self.reach


PAPER = ModelConfig(
    cells=8,
    dropout=0.8,
    filters=FILTERS,
    mixed=(),
    dilations=(1, 1, 1),
    padding="same",
    normalize="paper",
    standardize=False,
    difference=False,
    random_features=0,
    summary=False,
    mask=False,
    shuffle="always",
    patches=0,
    hard_sigmoid=True,
    norm_momentum=0.01,
)
"""The authors' layers as they coded them (cells: 8, 64 or 128, by the problem)."""
