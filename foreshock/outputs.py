"""Forecasts and predictions as CSV and as JSON has them."""

import csv
import dataclasses
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock._time import format_time
from foreshock.forecasts import Forecast, Predictions, named

NONE_FITS = "none fits"
"""What stands for an empty set of classes: the model is less sure of each than it was of the true
class of nine in ten known cases."""


def set_text(classes: Sequence[str]) -> str:
    """Write a set of classes: no|yes; a bar in a name is escaped."""
    return "|".join(name.replace("|", "\\|") for name in classes) or NONE_FITS


def forecast_csv(forecast: Forecast) -> str:
    """Give a forecast as CSV: from when to when, the most probable class, probabilities."""
    names = [f"proba_{name}" for name in forecast.proba]
    best = max(forecast.proba, key=forecast.proba.__getitem__)
    row = [format_time(forecast.time), format_time(forecast.until), best, *forecast.proba.values()]
    head = ["from", "until", "predicted", *names]
    if forecast.fitting is not None:
        head, row = [*head, "set"], [*row, set_text(forecast.fitting)]
    if forecast.alarm is not None:
        head, row = [*head, "alarm"], [*row, _yes(forecast.alarm)]
    return _csv([[*head, "outside_rule"], [*row, "; ".join(forecast.outside)]])


def forecast_json(forecast: Forecast) -> dict[str, Any]:
    """Give a forecast, and the rule it was made by, as JSON has it."""
    return {
        "from": format_time(forecast.time),
        "until": format_time(forecast.until),
        "proba": forecast.proba,
        "set": forecast.fitting,
        "alarm": forecast.alarm,
        "outside_rule": forecast.outside,
        "rule": dataclasses.asdict(forecast.rule),
    }


def predictions_csv(
    predictions: Predictions,
    classes: tuple[str, ...],
    *,
    cases: NDArray[np.int64] | None = None,
    labels: Sequence[str] | None = None,
    coverage: float = 0.9,
    members: NDArray[np.int64] | None = None,
) -> str:
    """Give predictions as CSV: case, label if known, the most probable class, probabilities.

    Parameters
    ----------
    predictions : Predictions
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
    predictions: Predictions, classes: tuple[str, ...], coverage: float = 0.9
) -> dict[str, Any]:
    """Give predictions as JSON has them."""
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
