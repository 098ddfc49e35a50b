"""What a model is and says, besides its weights: forecasts and predictions, and as CSV and JSON."""

import csv
import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock.events.baselines import ActivityModel, Baselines, Regression
from foreshock.metrics.calibration import Calibration
from foreshock.nn.model import NetworkCard
from foreshock.problems.rule import Rule
from foreshock.readings.config import SourceConfig
from foreshock.readings.series import tell_time


@dataclass(frozen=True, kw_only=True)
class ModelCard(NetworkCard):
    """What a forecast needs to know besides the weights: the content of model.json."""

    unequal: bool
    """Whether it was trained on series of unequal length, so that shorter ones are welcome."""

    majority: str
    """The class most training cases have."""

    choice: str
    """Which weights these are and by what rule they were chosen."""

    versions: tuple[str, ...]
    """The software that trained it."""

    warned: tuple[str, ...] = ()
    """Classes that alarms are for, together; the last where none are named."""

    prior: tuple[float, ...] = ()
    """Share of each class among the training cases."""

    calibration: Calibration | None = None
    """What was learnt of its probabilities from cases that it was not trained on."""

    activity: ActivityModel | None = None
    """The baseline on counts of active readings, of catalogues."""

    baselines: dict[str, Regression] = field(default_factory=dict)
    """Regressions that the model stands beside, by name."""

    rule: Rule | None = None
    """By what rule its cases were cut from readings."""

    step: str | None = None
    """Time from one reading to the next, where it is known; see `Problem`."""

    source: SourceConfig | None = None
    """How files became those readings."""

    offset: tuple[float, ...] = ()
    """What is taken off each channel before it is float32; empty for nothing."""

    @property
    def fitted(self) -> Baselines:
        """Return the baselines that are kept with the model."""
        return Baselines(activity=self.activity, regressions=self.baselines)

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

    rule: Rule
    """What an event is, and by what windows the model was trained."""

    fitting: tuple[str, ...] | None = None
    """The classes that a calibrated model does not rule out; none may fit."""

    alarm: bool | None = None
    """Whether the probability of an event reaches the threshold, where one was chosen; never where
    the rule would have made no case of the window, since such alarms were not counted."""

    outside: tuple[str, ...] = ()
    """Why the rule would have made no case of the window, where it would not."""

    unit: str | None = None
    """Whose readings follow, where there are several units."""

    counted: bool = False
    """Whether readings are numbered, and `time` stands for a number; see `Readings`."""


@dataclass(frozen=True, eq=False)
class PredictedCases:
    """What a model says of cases."""

    proba: NDArray[np.float32]
    """Class probabilities, (n_cases, n_classes)."""

    conformity: NDArray[np.float64] | None
    """How usual it would be for each class to be the true one (n_cases, n_classes), where that was
    learnt; see `calibration.conformity`."""

    alarm: NDArray[np.bool_] | None
    """Whether the probability of the classes that alarms are for reaches the threshold (n_cases,),
    where one was chosen."""

    def sets(self, coverage: float = 0.9) -> NDArray[np.bool_] | None:
        """Return the sets of classes (n_cases, n_classes) that mostly hold the true one.

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
    """Return the names of the classes in one row of a set."""
    return tuple(name for name, fit in zip(classes, fits, strict=True) if fit)


NONE_FITS = "none fits"
"""What stands for an empty set of classes: the model is less sure of each than it was of the true
class of nine in ten known cases."""


def set_text(classes: Sequence[str]) -> str:
    """Write a set of classes: no|yes; a bar in a name is escaped."""
    return "|".join(name.replace("|", "\\|") for name in classes) or NONE_FITS


def forecast_csv(*forecasts: Forecast) -> str:
    """Return forecasts as CSV: from when to when, the most probable class, probabilities."""
    first = forecasts[0]
    head = ["unit"] * (first.unit is not None)
    head += ["from", "until", "predicted", *(f"proba_{name}" for name in first.proba)]
    head += ["set"] * (first.fitting is not None)
    head += ["alarm"] * (first.alarm is not None)
    rows: list[list[Any]] = [[*head, "outside_rule"]]
    for forecast in forecasts:
        begin, end = _span(forecast)
        row: list[Any] = [] if forecast.unit is None else [forecast.unit]
        row += [begin, end, max(forecast.proba, key=forecast.proba.__getitem__)]
        row += forecast.proba.values()
        if forecast.fitting is not None:
            row.append(set_text(forecast.fitting))
        if forecast.alarm is not None:
            row.append(_yes(forecast.alarm))
        rows.append([*row, "; ".join(forecast.outside)])
    return _csv(rows)


def forecast_json(forecast: Forecast) -> dict[str, Any]:
    """Return a forecast, and its rule, as JSON."""
    begin, end = _span(forecast)
    return ({} if forecast.unit is None else {"unit": forecast.unit}) | {
        "from": begin,
        "until": end,
        "proba": forecast.proba,
        "set": forecast.fitting,
        "alarm": forecast.alarm,
        "outside_rule": forecast.outside,
        "rule": dataclasses.asdict(forecast.rule),
    }


def _span(forecast: Forecast) -> tuple[str, str]:
    begin, end = (
        tell_time(time, counted=forecast.counted) for time in (forecast.time, forecast.until)
    )
    return begin, end


def predictions_csv(
    predictions: PredictedCases,
    classes: tuple[str, ...],
    *,
    cases: NDArray[np.int64] | None = None,
    labels: Sequence[str] | None = None,
    coverage: float = 0.9,
    members: NDArray[np.int64] | None = None,
) -> str:
    """Return predictions as CSV: case, label if known, the most probable class, probabilities.

    Parameters
    ----------
    predictions : PredictedCases
        Of n_cases cases.
    classes : tuple of str
        Names of the classes.
    cases : ndarray of shape (n_cases,), optional
        Positions of the cases; by default from 0.
    labels : sequence of str, optional
        The true classes.
    coverage : float, default=0.9
        Share of cases whose true class is to be in the sets.
    members : ndarray of shape (n_cases,), optional
        Which member predicted each case.
    """
    sets = predictions.sets(coverage)
    head = ["case"]
    head += ["label"] * (labels is not None)
    head += ["predicted", *(f"proba_{name}" for name in classes)]
    head += ["set"] * (sets is not None)
    head += ["alarm"] * (predictions.alarm is not None)
    head += ["member"] * (members is not None)
    rows: list[list[Any]] = [head]
    for i, proba in enumerate(predictions.proba):
        row = [i if cases is None else cases[i]]
        if labels is not None:
            row.append(labels[i])
        row += [classes[proba.argmax()], *(str(p) for p in proba)]
        if sets is not None:
            row.append(set_text(named(classes, sets[i])))
        if predictions.alarm is not None:
            row.append(_yes(predictions.alarm[i]))
        if members is not None:
            row.append(members[i])
        rows.append(row)
    return _csv(rows)


def predictions_json(
    predictions: PredictedCases, classes: tuple[str, ...], coverage: float = 0.9
) -> dict[str, Any]:
    """Return predictions as JSON."""
    sets = predictions.sets(coverage)
    return {
        "classes": classes,
        "proba": predictions.proba.tolist(),
        "sets": None if sets is None else [named(classes, row) for row in sets],
        "alarm": None if predictions.alarm is None else predictions.alarm.tolist(),
    }


def _yes(flag: bool | np.bool_) -> str:
    return "yes" if flag else "no"


def _csv(rows: list[list[Any]]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
