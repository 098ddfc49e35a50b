"""What a model is, besides its weights, and what it says: of cases, and of what comes next."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foreshock.events.baselines import ActivityModel
from foreshock.metrics.calibration import Calibration
from foreshock.nn.config import ModelConfig
from foreshock.problems.rule import EventRule
from foreshock.readings.config import SourceConfig


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a forecast needs to know besides the weights: the content of model.json."""

    model: ModelConfig
    """What the network is."""

    n_timepoints: int
    """Length of the longest series it takes."""

    unequal: bool
    """Whether it was trained on series of unequal length, so that shorter ones are welcome."""

    classes: tuple[str, ...]
    """Names of the classes, in the order of the probabilities."""

    channels: tuple[str, ...]
    """Names of the channels, in their order."""

    majority: str
    """The class most training cases have."""

    choice: str
    """Which weights these are and by what rule they were chosen."""

    versions: tuple[str, ...]
    """The software that trained it."""

    members: int = 1
    """Networks of which it consists; their probabilities are averaged."""

    prior: tuple[float, ...] = ()
    """Share of each class among the training cases."""

    calibration: Calibration | None = None
    """What was learnt of its probabilities from cases that it was not trained on."""

    activity: ActivityModel | None = None
    """The baseline of event problems."""

    rule: EventRule | None = None
    """By what rule its cases were cut from readings."""

    step: str | None = None
    """Time from one reading to the next, where it is known; see `Problem`."""

    source: SourceConfig | None = None
    """How files became those readings."""

    offset: tuple[float, ...] = ()
    """What is taken off each channel before it is float32; empty for nothing."""

    @property
    def levels(self) -> NDArray[np.float64] | None:
        """The offset as an array (n_channels,), None where nothing is taken off."""
        return np.array(self.offset) if self.offset else None


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Probabilities of what follows the last reading."""

    time: np.datetime64
    """When the stretch that is asked about begins, datetime64[us], UTC."""

    until: np.datetime64
    """When it ends."""

    proba: dict[str, float]
    """Probability of each class."""

    rule: EventRule
    """What an event is, and by what windows the model was trained."""

    fitting: tuple[str, ...] | None = None
    """The classes that a calibrated model does not rule out; none may fit."""

    alarm: bool | None = None
    """Whether the probability of an event reaches the threshold, where one was chosen; never where
    the rule would have made no case of the window, since such alarms were not counted."""

    outside: tuple[str, ...] = ()
    """Why the rule would have made no case of the window, where it would not."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of cases."""

    proba: NDArray[np.float32]
    """Class probabilities, (n_cases, n_classes)."""

    conformity: NDArray[np.float64] | None
    """How usual it would be for each class to be the true one (n_cases, n_classes), where that was
    learnt; see `calibration.conformity`."""

    alarm: NDArray[np.bool_] | None
    """Whether the probability of the last class reaches the threshold (n_cases,), where one was
    chosen."""

    def sets(self, coverage: float = 0.9) -> NDArray[np.bool_] | None:
        """Say which classes fit (n_cases, n_classes), so that the true one mostly does.

        Parameters
        ----------
        coverage : float, default=0.9
            Share of cases whose true class is to fit.

        Raises
        ------
        ValueError
            The share is not between 0 and 1.
        """
        if not 0 < coverage < 1:
            raise ValueError(f"coverage must be between 0 and 1, got {coverage}.")
        return None if self.conformity is None else self.conformity > 1 - coverage


def named(classes: tuple[str, ...], fits: NDArray[np.bool_]) -> tuple[str, ...]:
    """Name the classes of one row of a set."""
    return tuple(name for name, fit in zip(classes, fits, strict=True) if fit)
