"""Series as people have them, checked and brought to the shape that a model was trained on."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foreshock._arrays import (
    as_lists,
    as_numbers,
    is_coarse,
    offset_for,
    stretches,
    to_float32,
    without_levels,
)
from foreshock.forecasts import ModelCard
from foreshock.readings.series import Readings, Windows


def to_cases(
    X: ArrayLike | Sequence[ArrayLike], card: ModelCard, *, crop: bool = False
) -> NDArray[np.float32]:
    """Make cases (n_cases, n_channels, n_timepoints) of series, the shorter ones ending in NaN.

    Parameters
    ----------
    X : array or list of arrays
        As in `Forecaster.predict_proba`.
    card : ModelCard
        What the model was trained on.
    crop : bool, default=False
        Crop series that are longer: to their latest timepoints if the model was trained on windows
        of readings, else to their first.

    Raises
    ------
    ValueError
        If channels or lengths are not those of the training, a value is infinite, or a case has no
        reading.
    """
    n_channels, n_timepoints = len(card.channels), card.n_timepoints
    least = 1 if n_channels == 1 else 2  # dimensions of a case
    X = as_lists(X)
    if isinstance(X, list | tuple) and (not len(X) or as_numbers(X[0], "case 0").ndim >= least):
        cases = np.full((len(X), n_channels, n_timepoints), np.nan, np.float32)
        for i, x in enumerate(X):
            one = _fitted(_kept(_one(x, i), card), card, f"case {i} has", crop)[0]
            cases[i, :, : one.shape[1]] = one
    else:
        raw = as_numbers(X, "the series")
        if raw.ndim == 1:
            raw = raw[None, None]
        elif raw.ndim == 2:
            raw = raw[:, None] if n_channels == 1 else raw[None]
        if raw.ndim != 3:
            raise ValueError(
                "series are (n_cases, n_channels, n_timepoints), got an array of "
                f"{raw.ndim} dimensions."
            )
        cases = values = _fitted(_kept(raw, card), card, "the series have", crop)
        if values.shape[2] < n_timepoints:
            cases = np.full((len(values), n_channels, n_timepoints), np.nan, np.float32)
            cases[:, :, : values.shape[2]] = values
    if np.isinf(cases).any():
        where = int(np.argwhere(np.isinf(cases))[0][0])
        raise ValueError(f"case {where} holds an infinite value; mark missing readings as NaN.")
    empty = np.isnan(cases).all(axis=(1, 2))
    if empty.any():
        raise ValueError(f"case {int(empty.argmax())} has no reading at all.")
    return cases


def to_windows(X: Windows, card: ModelCard, *, crop: bool = False) -> Windows:
    """Check windows; crop longer ones to their latest readings where that is asked for."""
    _, n_channels, n_timepoints = X.shape
    if crop and n_timepoints > card.n_timepoints:
        return to_windows(Windows(X.readings, X.ends, card.n_timepoints), card)
    _check(n_channels, n_timepoints, card, "the windows have")
    readings = own_readings(X.readings, card)
    return X if readings is X.readings else Windows(readings, X.ends, n_timepoints)


def own_readings(readings: Readings, card: ModelCard) -> Readings:
    """Return readings as the model has them, less what it takes off.

    A model to which the level of a series says nothing takes them less their own offset where
    float32 would else lose their digits.
    """
    kept = readings.less(card.levels)
    if kept is readings or card.model.scaling(readings.n_channels) != "series":
        return kept
    some = stretches(readings.true_values())
    own = offset_for(some, readings.offset, card.levels, level_matters=False)
    return readings if own is readings.offset else kept


def _kept(values: NDArray[np.floating[Any]], card: ModelCard) -> NDArray[np.float32]:
    """Return series (n_cases, n_channels, any) as the model has them, less what it takes off."""
    if values.shape[1] != len(card.channels):
        return to_float32(values)  # about to be refused
    moved = card.levels is not None and values.dtype == np.float32
    if moved and is_coarse(values[:, card.levels != 0]):
        warnings.warn(
            "the series are float32 and lie so far from zero that it has too few digits for them;"
            " the model takes an offset off them first: give them as float64, or as whole numbers.",
            UserWarning,
            stacklevel=2,
        )
    less = values if card.levels is None else values - card.levels[:, None]
    if card.model.scaling(len(card.channels)) == "series" and less.dtype == np.float64:
        less = without_levels(less)
    return to_float32(less)


def _one(x: Any, position: int) -> NDArray[np.floating[Any]]:
    """Return one case of a list, (1, n_channels, n_timepoints)."""
    values = as_numbers(x, f"case {position}")
    if values.ndim == 1:
        values = values[None]
    if values.ndim != 2:
        raise ValueError(
            f"case {position} must be (n_channels, n_timepoints), got shape {values.shape}."
        )
    return values[None]


def _fitted(
    values: NDArray[np.float32], card: ModelCard, who: str, crop: bool
) -> NDArray[np.float32]:
    """Check series (n_cases, n_channels, any) and shorten them to the trained length."""
    n_channels, width, longest = *values.shape[1:], card.n_timepoints
    if width <= longest:
        _check(n_channels, width, card, who)
        return values
    seen = ~np.isnan(values).all(axis=1)  # (n_cases, any)
    lengths = (seen * np.arange(1, width + 1)).max(axis=1).clip(longest)  # NaN beyond is padding
    _check(n_channels, longest if crop else lengths.max(initial=longest), card, who)
    starts = lengths - longest if card.rule is not None else np.zeros_like(lengths)
    at = starts[:, None] + np.arange(longest)  # (n_cases, n_timepoints)
    return np.take_along_axis(values, at[:, None], axis=2)


def _check(n_channels: int, n_timepoints: int, card: ModelCard, who: str) -> None:
    expected, longest = len(card.channels), card.n_timepoints
    if n_channels != expected:
        swapped = n_timepoints == expected
        raise ValueError(
            f"{who} {n_channels} channels; the model was trained on {expected} "
            f"({', '.join(card.channels)})."
            + (
                " They seem to be (n_cases, n_timepoints, n_channels): swap the axes,"
                " X.transpose(0, 2, 1)."
                if swapped
                else ""
            )
        )
    if n_timepoints > longest:
        raise ValueError(
            f"{who} {n_timepoints} timepoints; the model takes at most {longest}: give the "
            f"{longest} that matter, or have predict crop them (--crop, crop=True)."
        )
    if n_timepoints < longest and not card.unequal:
        raise ValueError(
            f"{who} {n_timepoints} timepoints; the model was trained on series of exactly "
            f"{longest}. Give that many, NaN where a reading is missing."
        )
    if n_timepoints == 0:
        raise ValueError(f"{who} no timepoints.")
