"""Explain some cases for a report: a few of each class, the worst errors, and whether maps hold."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock._arrays import sample
from foreshock.explain import Occlusion, explain, occlusion
from foreshock.predict import Forecaster
from foreshock.problems.problem import Problem

_CLASSES, _OF_EACH, _ERRORS = 6, 2, 6
"""Classes of which cases are explained, how many of each, and how many errors."""
_TIMEPOINTS = 2**16
_FEWEST, _MOST = 20, 200
"""Cases by which maps are tested: as many as have so many timepoints, within these bounds."""


def explanations(
    forecaster: Forecaster,
    problem: Problem,
    cases: NDArray[np.int64],
    proba: NDArray[np.float32],
) -> dict[str, NDArray[Any]]:
    """Explain a few cases of each class that are predicted right, and the worst errors.

    Parameters
    ----------
    forecaster : Forecaster
        The model.
    problem : Problem
        Whose cases they are.
    cases : ndarray of shape (n_cases,)
        Their positions.
    proba : ndarray of shape (n_cases, n_classes)
        What the model says of them.

    Returns
    -------
    dict of arrays
        A row for each case that is explained; the map is that of the predicted class.
    """
    y, predicted = problem.y[cases], proba.argmax(axis=1)
    chosen: list[int] = []
    for label in np.unique(y)[:_CLASSES]:
        right = np.flatnonzero((y == label) & (predicted == label))
        chosen += right[sample(len(right), _OF_EACH)].tolist()
    examples = len(chosen)
    wrong = np.flatnonzero(predicted != y)
    chosen += wrong[np.argsort(proba[wrong, y[wrong]], kind="stable")[:_ERRORS]].tolist()
    at = np.array(chosen, np.int64)
    if not len(at):
        return {}
    X = forecaster.cases(forecaster.series(problem, cases[at]))
    found, scale = explain(forecaster.members, X), _scale(forecaster)
    names = np.array(forecaster.classes)
    arrays = {
        "case": cases[at],
        "kind": np.repeat(["example", "error"], [examples, len(at) - examples]),
        "label": np.array(problem.classes)[y[at]],
        "predicted": names[predicted[at]],
        "proba": proba[at],
        "X": X if forecaster.card.levels is None else X + forecaster.card.levels[:, None],
        "map": found.maps[np.arange(len(at)), predicted[at]] * scale,
        "recurrent": found.recurrent * scale,
        "convolutional": found.convolutional * scale,
        "random": found.random * scale,
        "bias": found.bias * scale,
    }
    if found.attention is not None:
        arrays["attention"] = found.attention
    return arrays | {f"gates_{i}": gates for i, gates in enumerate(found.gates, 1)}


def _scale(forecaster: Forecaster) -> np.float32:
    """Give what logits are multiplied by before the softmax, so that shares are of log-odds."""
    calibration = forecaster.card.calibration
    temperature = 1.0 if calibration is None else calibration.temperature
    return np.float32(forecaster.members[0].logit_scale.item() / temperature)


def try_maps(
    forecaster: Forecaster, problem: Problem, cases: NDArray[np.int64], seed: int
) -> Occlusion:
    """Say how much it matters to the model what the maps of some cases name."""
    most = min(max(_TIMEPOINTS // problem.n_timepoints, _FEWEST), _MOST)
    some = cases[sample(len(cases), most)]
    X = forecaster.cases(forecaster.series(problem, some))
    maps = explain(forecaster.members, X).maps
    return occlusion(lambda x: forecaster.predictions_of(x).proba, X, maps, seed)
