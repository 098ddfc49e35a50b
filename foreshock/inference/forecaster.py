"""Forecasts from a run folder: raw series in, class probabilities out."""

import dataclasses
import logging
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

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
from foreshock._time import one_every, same_step
from foreshock.inference.outputs import Forecast, ModelCard, PredictedCases, named
from foreshock.metrics.calibration import conformity, tempered
from foreshock.nn.distributed import Devices, Precision, memory_kept, own_settings, this_device
from foreshock.nn.model import LSTMFCN, Cases, predict, restore, saved
from foreshock.readings.series import Readings, Series, Windows
from foreshock.run import Run

if TYPE_CHECKING:
    from foreshock.problems.problem import Problem

logger = logging.getLogger(__name__)


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
                f"series must be (n_cases, n_channels, n_timepoints), got an array of {raw.ndim}"
                " dimensions."
            )
        cases = values = _fitted(_kept(raw, card), card, "the series have", crop)
        if values.shape[2] < n_timepoints:
            cases = np.full((len(values), n_channels, n_timepoints), np.nan, np.float32)
            cases[:, :, : values.shape[2]] = values
    if np.isinf(cases).any():
        where = int(np.argwhere(np.isinf(cases))[0][0])
        raise ValueError(f"case {where} contains an infinite value; mark missing readings as NaN.")
    empty = np.isnan(cases).all(axis=(1, 2))
    if empty.any():
        raise ValueError(f"case {int(empty.argmax())} has no readings.")
    return cases


def to_windows(X: Windows, card: ModelCard, *, crop: bool = False) -> Windows:
    """Check windows; crop longer ones to their latest readings where that is asked for."""
    _, n_channels, n_timepoints = X.shape
    if crop and n_timepoints > card.n_timepoints:
        return to_windows(X.over(X.readings, card.n_timepoints), card)
    _check(n_channels, n_timepoints, card, "the windows have")
    if X.offset is None and card.levels is None:
        return X
    X = X.over(X.readings.only(X.channels))
    return X.over(own_readings(X.readings, card))


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
            f"{who} {n_timepoints} timepoints; the model takes at most {longest}: give fewer, or"
            " let predict crop them (--crop, crop=True)."
        )
    if n_timepoints < longest and not card.unequal:
        raise ValueError(
            f"{who} {n_timepoints} timepoints; the model was trained on series of exactly"
            f" {longest}. Give that many, with NaN for missing readings."
        )
    if n_timepoints == 0:
        raise ValueError(f"{who} no timepoints.")


ALL = slice(None)
_MANY = 100
"""Cases for which it pays to keep memory from batch to batch."""


class Forecaster:
    """A trained model that takes raw series.

    Parameters
    ----------
    members : sequence of LSTMFCN
        The network, or the networks, with their weights, of which the first forecast makes copies.
    card : ModelCard
        What it knows of the data.

    Examples
    --------
    >>> from foreshock import Forecaster
    >>> forecaster = Forecaster.load("runs/GunPoint-1")     # doctest: +SKIP
    >>> forecaster.predict_proba(X)                         # doctest: +SKIP
    """

    _copies: list[LSTMFCN] | None = None

    def __init__(self, members: Sequence[LSTMFCN], card: ModelCard) -> None:
        self.members = [model.eval() for model in members]
        self.card = card

    def __getstate__(self) -> dict[str, Any]:
        """Leave what only predicts faster, and where, behind when copied or pickled."""
        return {"members": self.members, "card": self.card}

    @classmethod
    @own_settings()
    def load(cls, run: str | Path | Run) -> "Forecaster":
        """Load the model of a run folder, every byte of it checked.

        Raises
        ------
        RunError
            If the folder is not a run's, the training did not end, or a file is damaged.
        """
        run = run if isinstance(run, Run) else Run(Path(run))
        values, weights = run.read_model()
        card = ModelCard.read(values)
        return cls(restore(run, card, weights), card)

    @classmethod
    def from_pretrained(cls, name: str | Path, **options: Any) -> "Forecaster":
        """Load the model of a run folder, or else of that name on the Hugging Face Hub.

        Parameters
        ----------
        name : str or Path
            The folder, or owner/name on the Hub.
        **options
            As of `Run.find`.

        Raises
        ------
        RunError
            As of `load`.
        ConnectionError, ImportError
            If it is no folder, and the Hub does not give it, or huggingface_hub is missing.
        """
        return cls.load(Run.find(name, **options))

    def save(self, run: Run) -> None:
        """Write what `load` reads."""
        run.write_model(dataclasses.asdict(self.card), saved(self.members))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.card.classes

    def predict_proba(
        self,
        X: ArrayLike | Sequence[ArrayLike] | Windows,
        *,
        precision: Precision = "float32",
        crop: bool = False,
    ) -> NDArray[np.float32]:
        """Return class probabilities.

        Parameters
        ----------
        X : array or list of arrays
            Raw series, NaN where there is no reading: (n_cases, n_channels, n_timepoints); or
            (n_cases, n_timepoints) if the model has one channel; or one case, of shape
            (n_channels, n_timepoints) or, with one channel, (n_timepoints,); or a list of cases,
            which may differ in length if the model was trained so; or windows over readings.
            Timepoints without any reading at the end, up to the trained length or beyond, change
            nothing.
        precision : {"float32", "bf16", "auto"}, default="float32"
            Arithmetic; auto takes bf16 where the processor has it.
        crop : bool, default=False
            Take of a series that is longer than the trained ones as many timepoints: the latest if
            the model was trained on windows of readings, else the first.

        Returns
        -------
        ndarray of shape (n_cases, n_classes)

        Raises
        ------
        ValueError
            If channels or lengths are not those of the training, or a value is infinite.
        """
        return self.predictions(X, precision=precision, crop=crop).proba

    def predict_log_proba(
        self,
        X: ArrayLike | Sequence[ArrayLike] | Windows,
        *,
        precision: Precision = "float32",
        crop: bool = False,
    ) -> NDArray[np.float32]:
        """Return the logarithms of `predict_proba`; of a probability of 0 it is minus infinity."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X, precision=precision, crop=crop))

    @own_settings()
    def predictions(
        self,
        X: ArrayLike | Sequence[ArrayLike] | Windows,
        *,
        precision: Precision = "float32",
        crop: bool = False,
    ) -> PredictedCases:
        """Return probabilities, sets and doubts of cases; arguments as in `predict_proba`."""
        if precision not in get_args(Precision):
            choices = ", ".join(get_args(Precision))
            raise ValueError(f"precision must be one of {choices}, got {precision!r}.")
        if isinstance(X, Windows):
            cases: Series = to_windows(X, self.card, crop=crop)
        else:
            cases = self.cases(X, crop=crop)
        return self.predictions_of(cases, precision=precision)

    @own_settings()
    def predictions_of(self, cases: Series, *, precision: Precision = "float32") -> PredictedCases:
        """Predict cases that are as `cases` gives them, or windows with the model's offset.

        Raises
        ------
        ValueError
            If the model gives a case no probability.
        """
        if not len(cases):
            logits = [np.empty((0, len(self.classes)), np.float32)] * len(self.members)
        else:
            logits = [_logits(model, cases, self._devices, precision) for model in self._folded]
        return self.judge(logits)

    def member(self, k: int) -> "Forecaster":
        """Return one member alone, as calibrated as the whole is."""
        calibration = self.card.calibration
        if calibration is not None:
            calibration = dataclasses.replace(
                calibration,
                conformity=calibration.conformity[k : k + 1],
                n_conformity=calibration.n_conformity[k : k + 1],
            )
        card = dataclasses.replace(self.card, members=1, calibration=calibration)
        return Forecaster(self.members[k : k + 1], card)

    @own_settings()
    def scan(self, readings: Readings, last: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return class probabilities for many windows of one long stretch of readings.

        Parameters
        ----------
        readings : Readings
            With the step and the channels of those that the model was trained on.
        last : ndarray of shape (n_windows,)
            Position of each window's last reading, ascending.

        Returns
        -------
        ndarray of shape (n_windows, n_classes)
            NaN where the model gives no probability, or the window has no reading: no forecast,
            and never "no alarm".
        """
        from foreshock.inference.sliding import scan

        values = self._own(readings).values
        logits = [scan(model, values, last) * _scale(model) for model in self._folded]
        proba = np.full((len(last), len(self.classes)), np.nan, np.float32)
        seen = np.append(0, np.cumsum(~np.isnan(values).all(axis=0)))
        given = ~_lacking(logits) & (seen[last + 1] > seen[last + 1 - self.card.n_timepoints])
        proba[given] = self.judge([each[given] for each in logits]).proba
        return proba

    def judge(self, logits: Sequence[NDArray[np.floating]]) -> PredictedCases:
        """Make predictions of the logits (n_cases, n_classes) that each member gives.

        Raises
        ------
        ValueError
            If a logit is no number: there is no forecast, so it must not pass for one.
        """
        _check_given(logits)
        calibration = self.card.calibration
        temperature = 1.0 if calibration is None else calibration.temperature
        each = [np.exp(tempered(member, temperature)) for member in logits]
        proba = np.mean(each, axis=0).astype(np.float32)
        usual = alarm = None
        if calibration is not None:
            usual = conformity(logits, calibration)
            if calibration.threshold is not None:
                names = self.card.warned or self.classes[-1:]
                likely = proba[:, [self.classes.index(name) for name in names]].sum(axis=1)
                alarm = likely >= np.float32(calibration.threshold)
        return PredictedCases(proba, usual, alarm)

    def forecast(self, readings: Readings, coverage: float = 0.9) -> Forecast:
        """Forecast what follows the last reading.

        Parameters
        ----------
        readings : Readings
            With the step and the channels of those that the model was trained on; at least a
            window of them.
        coverage : float, default=0.9
            Share of forecasts whose true class is to be among those that fit.

        Raises
        ------
        ValueError
            If the model was not trained on windows of readings, or these are others.
        """
        rule, window = self.card.rule, self.card.n_timepoints
        if rule is None:
            raise ValueError(
                "the model was trained on series, not on windows of readings, and cannot forecast"
                " what follows readings: give it series."
            )
        if readings.step_text != self.card.step:
            raise ValueError(
                f"the model was trained on readings {one_every(str(self.card.step))}, got"
                f" {one_every(readings.step_text)}: resample them."
            )
        if readings.units is not None:
            raise ValueError(f"got readings of {readings.n_units} units: `forecasts` takes these.")
        own = self._own(readings.latest(window))
        if readings.n_timepoints < window:
            raise ValueError(
                f"the model needs the last {window} readings, got {readings.n_timepoints}; give a"
                " longer stretch."
            )
        last = own.values
        if np.isnan(last).mean() > rule.max_missing:
            raise ValueError(
                f"{np.isnan(last).any(axis=0).sum()} of the last {window} readings are missing,"
                f" more than the share of {rule.max_missing:g} that the rule allows: no forecast."
            )
        found, outside = self.predictions_of(last[None]), rule.objections(readings)
        sets = found.sets(coverage)
        start = readings.times(readings.n_timepoints + rule.lead)
        return Forecast(
            time=start,
            until=start + rule.horizon * readings.step,
            proba=dict(zip(self.classes, found.proba[0].tolist(), strict=True)),
            rule=rule,
            fitting=None if sets is None else named(self.classes, sets[0]),
            alarm=None if found.alarm is None else bool(found.alarm[0]) and not outside,
            outside=outside,
            counted=readings.counted,
        )

    def forecasts(self, readings: Readings, coverage: float = 0.9) -> list[Forecast]:
        """Forecast what follows the last reading of each unit; arguments as in `forecast`.

        Units without enough readings for a forecast are left out, with a warning.

        Raises
        ------
        ValueError
            As of `forecast`; or no unit has enough readings.
        """
        if readings.units is None:
            return [self.forecast(readings, coverage)]
        found, failed = [], {}
        for k, name in enumerate(readings.units.names.tolist()):
            try:
                found.append(replace(self.forecast(readings.unit(k), coverage), unit=name))
            except ValueError as error:
                failed[name] = error
        if not found:
            raise next(iter(failed.values()))
        if failed:
            name, why = next(iter(failed.items()))
            logger.warning(
                "No forecast for %d of %d units, such as %s: %s",
                len(failed), readings.n_units, name, why,
            )  # fmt: skip
        return found

    def predict(
        self, X: ArrayLike | Sequence[ArrayLike] | Windows, *, crop: bool = False
    ) -> NDArray[np.str_]:
        """Return the most probable class of each case, (n_cases,); as `predict_proba`."""
        best = self.predict_proba(X, crop=crop).argmax(axis=1)
        labels: NDArray[np.str_] = np.array(self.classes)[best]
        return labels

    def cases(
        self, X: ArrayLike | Sequence[ArrayLike] | Windows, *, crop: bool = False
    ) -> NDArray[np.float32]:
        """Check series and bring them into shape (n_cases, n_channels, n_timepoints)."""
        if isinstance(X, Windows):
            return to_windows(X, self.card, crop=crop)[:]
        return to_cases(X, self.card, crop=crop)

    def series(
        self, problem: "Problem", rows: slice | NDArray[np.int64] = ALL
    ) -> NDArray[np.floating] | Windows:
        """Return a problem's series with its channels in the model's order, by their names.

        As `predict_proba` takes them, so with the problem's offset put back. Windows are given as
        windows where the order is theirs.

        Raises
        ------
        ValueError
            If both name their channels, and not alike; or both know their step, and it differs.
        """
        from foreshock.problems.formats import unnamed_channels

        here, there = problem.step, self.card.step
        if here is not None and there is not None and not same_step(here, there):
            raise ValueError(
                f"{problem.name} has readings every {problem.step}; the model was trained on"
                f" readings every {self.card.step}."
            )
        theirs, ours = problem.channels, self.card.channels
        if sorted(theirs) != sorted(ours):
            unnamed = unnamed_channels(len(ours))
            if len(theirs) == len(ours) and unnamed not in (theirs, ours):
                raise ValueError(
                    f"{problem.name} has the channels {', '.join(theirs)}; the model was trained "
                    f"on {', '.join(ours)}."
                )
            order = list(range(len(theirs)))
        else:
            order = [theirs.index(name) for name in ours]
        if order == sorted(order) and isinstance(problem.X, Windows):
            return problem.X.take(rows)
        X = problem.X[rows] if order == sorted(order) else problem.X[rows][:, order]
        return X if problem.offset is None else X + problem.offset[order, None]

    @property
    def _devices(self) -> Devices:
        return this_device()

    @property
    def _folded(self) -> list[LSTMFCN]:
        """Make the copies once; by cached_property's lock a process forked meanwhile would wait."""
        if self._copies is None:
            self._copies = [model.folded().to(self._devices.device) for model in self.members]
        return self._copies

    def _own(self, readings: Readings) -> Readings:
        """Return readings of the model's channels, in its order, less its offset."""
        if set(self.card.channels) - set(readings.channels):
            raise ValueError(
                f"the model needs the channels {', '.join(self.card.channels)}, got"
                f" {', '.join(readings.channels)}."
            )
        return own_readings(readings.only(self.card.channels), self.card)


def predict_logits(
    model: LSTMFCN, cases: Cases, devices: Devices, precision: Precision = "float32"
) -> NDArray[np.float32]:
    """Return the logits (n_cases, n_classes) of which a softmax makes a network's probabilities.

    Raises
    ------
    ValueError
        If one is no number.
    """
    logits = _logits(model.folded(), cases, devices, precision)
    _check_given([logits])
    return logits


def _logits(
    model: LSTMFCN, cases: Cases, devices: Devices, precision: Precision
) -> NDArray[np.float32]:
    with memory_kept() if len(cases) > _MANY else nullcontext():
        logits = predict(model, cases, devices=devices, precision=precision)
    return logits * _scale(model)


def _lacking(logits: Sequence[NDArray[np.floating]]) -> NDArray[np.bool_]:
    """Return for which cases (n_cases,) some member's logits are no numbers."""
    lacking: NDArray[np.bool_] = ~np.all([np.isfinite(each).all(axis=1) for each in logits], axis=0)
    return lacking


def _check_given(logits: Sequence[NDArray[np.floating]]) -> None:
    lacking = _lacking(logits)
    if lacking.any():
        raise ValueError(
            f"the model returns no probability for {int(lacking.sum())} of {len(lacking)} cases,"
            f" such as case {int(lacking.argmax())} (counted from 0): their values are too far from"
            " the training data for float32. Write NaN where a value stands for a missing reading."
        )


def _scale(model: LSTMFCN) -> np.float32:
    return np.float32(model.logit_scale.item())
