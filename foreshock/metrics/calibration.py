"""Probabilities that mean what they say: temperature, and sets of classes that hold the true one.

Both are fitted on cases that the weights in question were not trained on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

COOLEST, HOTTEST = 0.5, 5.0
"""Bounds of a temperature."""
_SHRINK = 4.0
"""How much a temperature away from 1 costs: as much as so many cases whose log loss changes by half
the square of its logarithm."""
_KEPT = 1000
"""Most conformity scores that are kept of each member."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What was learnt of a model's probabilities from cases that it was not trained on."""

    source: Literal["out of fold", "valid"]
    """Which cases: those that each member left out, or the valid part."""

    n_cases: int
    """How many there were."""

    temperature: float
    """What the logits are divided by."""

    conformity: tuple[tuple[float, ...], ...]
    """-log of the probability that each member gave to the true class of cases it was not trained
    on, ascending; evenly spaced ones of more than a thousand."""

    n_conformity: tuple[int, ...]
    """How many cases these stand for."""

    threshold: float | None = None
    """Least probability of the last class that raises an alarm."""

    policy: str | None = None
    """By what rule the threshold was chosen."""


def fit_temperature(log_proba: NDArray[np.floating], y: NDArray[np.int64]) -> float:
    """Find by what to divide logits so that their log loss is least, shrunk towards 1.

    Parameters
    ----------
    log_proba : ndarray of shape (n_cases, n_classes)
        Logits, or logarithms of probabilities, of cases that were not trained on.
    y : ndarray of shape (n_cases,)
        Their classes as indices.

    Notes
    -----
    Temperature scaling (Guo et al. 2017, arXiv 1706.04599). The square of the temperature's
    logarithm is added to the sum of losses, as of a prior, because few cases that are all right say
    "be certain" and are wrong in that.
    """
    from scipy.optimize import minimize_scalar

    def cost(log_temperature: float) -> float:
        given = tempered(log_proba, math.exp(log_temperature))[np.arange(len(y)), y]
        return float(-given.sum() + _SHRINK / 2 * log_temperature**2)

    bounds = math.log(COOLEST), math.log(HOTTEST)
    return float(np.exp(minimize_scalar(cost, bounds=bounds, method="bounded").x))


def tempered(log_proba: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Return logarithms of probabilities (n_cases, n_classes) at a temperature."""
    scaled = log_proba.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    out: NDArray[np.float64] = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    return out


def calibrate(
    members: Sequence[tuple[NDArray[np.floating], NDArray[np.int64]]],
    source: Literal["out of fold", "valid"],
) -> Calibration | None:
    """Learn what there is to learn of a model's probabilities.

    Parameters
    ----------
    members : sequence of (log_proba, y)
        Of each member, logits (n_cases, n_classes) of cases that it was not trained on, and their
        classes (n_cases,).
    source : {"out of fold", "valid"}
        Which cases these are.
    """
    n_cases = sum(len(y) for _, y in members)
    if not n_cases:
        return None
    everything = np.concatenate([log_proba for log_proba, _ in members])
    temperature = fit_temperature(everything, np.concatenate([y for _, y in members]))
    scores = [
        np.sort(-tempered(log_proba, temperature)[np.arange(len(y)), y]) for log_proba, y in members
    ]
    kept = [
        each[np.linspace(0, len(each) - 1, min(len(each), _KEPT)).astype(int)] for each in scores
    ]
    return Calibration(
        source=source,
        n_cases=n_cases,
        temperature=temperature,
        conformity=tuple(tuple(each.tolist()) for each in kept),
        n_conformity=tuple(map(len, scores)),
    )


def conformity(
    log_probas: Sequence[NDArray[np.floating]], calibration: Calibration
) -> NDArray[np.float64]:
    """Return the conformal p-value of each class, (n_cases, n_classes).

    Parameters
    ----------
    log_probas : sequence of ndarray of shape (n_cases, n_classes)
        Logits of each member.
    calibration : Calibration
        What the members gave to true classes.

    Returns
    -------
    ndarray
        The share of known cases to whose true class a member gave no more than it gives to this
        one here: a p-value. The classes where it is above 1 - c are a set that holds the true class
        of about a share c of cases.

    Notes
    -----
    Split-conformal prediction (Vovk et al. 2005) where there is one model and a valid part;
    with members cross-conformal (Vovk 2015; CV+ of Romano et al. 2020): each is compared with the
    cases that it itself left out, since a mean of members is not as sure as any one of them. What
    is guaranteed is 2c - 1, what is seen about c.
    """
    first = log_probas[0]
    usual = np.zeros(first.shape)
    for log_proba, kept, n in zip(
        log_probas, calibration.conformity, calibration.n_conformity, strict=True
    ):
        strange = -tempered(log_proba, calibration.temperature)
        above = len(kept) - np.searchsorted(np.array(kept), strange, side="left")
        usual += above * (n / max(1, len(kept)))
    out: NDArray[np.float64] = (usual + 1) / (sum(calibration.n_conformity) + 1)
    return out
