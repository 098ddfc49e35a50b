"""What the network is: its configuration, and that of the papers.

Each field of `ModelConfig` that departs from the papers by default says why; `PAPER` reproduces
their layers.
"""

from dataclasses import dataclass, field
from typing import Literal

from foreshock.nn.layers import REDUCTION, reach

RANDOM_FEATURES = 20_000
"""How many random features a network has unless it says otherwise."""


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

    mixed: tuple[int, ...] = (8, 16, 32, 64)
    """Timepoints that the first block's filters see instead of `kernels[0]`, an equal share of them
    each; none, as in the papers, for all alike."""

    dilations: tuple[int, int, int] = (1, 2, 4)
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
    """Feed the recurrent branch each timepoint standardised over the training cases, because it
    knows positions and the convolutional branch does not (papers: no)."""

    difference: bool = True
    """Feed the convolutional branch the first difference as further channels (papers: no)."""

    random_features: int | None = None
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

    exact: bool = field(default=True, metadata={"always": True})
    """Scale a series by its deviation alone, however small its unit makes that, and convolve with
    random kernels in double, so that where a series stands still a sum of values that cancel is 0
    in every library."""

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

    def scaling(self, n_channels: int) -> Literal["series", "train", "none"]:
        """Return how series of so many channels are scaled."""
        if self.normalize in ("series", "train", "none"):
            return self.normalize
        if n_channels == 1:
            return "series"
        return "train" if self.normalize == "auto" else "none"

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
