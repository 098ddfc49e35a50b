"""Forecasts from a run folder: raw series in, class probabilities out."""

import csv
import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from foreshock import learner
from foreshock.clocks import format_duration, format_time
from foreshock.configs import decode
from foreshock.devices import Precision, this_device
from foreshock.judging import objections
from foreshock.models import LSTMFCN, ModelConfig
from foreshock.problems import Problem
from foreshock.readings import Readings
from foreshock.rules import EventRule
from foreshock.run import Run, RunError
from foreshock.sources import SourceConfig
from foreshock.tables import unnamed_channels
from foreshock.windows import Series, Windows

ALL = slice(None)


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

    rule: EventRule | None = None
    """By what rule its cases were cut from readings."""

    step: str | None = None
    """Time from one of those readings to the next."""

    source: SourceConfig | None = None
    """How files became those readings."""


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

    outside: tuple[str, ...] = ()
    """Why the rule would have made no case of the window, where it would not."""


class Forecaster:
    """A trained model that takes raw series.

    Parameters
    ----------
    model : LSTMFCN
        The network with its weights.
    card : ModelCard
        What it knows of the data.

    Examples
    --------
    >>> from foreshock import Forecaster
    >>> forecaster = Forecaster.load("runs/GunPoint-1")     # doctest: +SKIP
    >>> forecaster.predict_proba(X)                         # doctest: +SKIP
    """

    def __init__(self, model: LSTMFCN, card: ModelCard) -> None:
        self.model = model.eval()
        self.card = card

    @classmethod
    def load(cls, run: str | Path | Run) -> "Forecaster":
        """Load the model of a run folder, every byte of it checked.

        Raises
        ------
        RunError
            If the folder is not a run's, the training did not end, or a file is damaged.
        """
        run = run if isinstance(run, Run) else Run(Path(run))
        values, weights = run.read_model()
        known = {field.name for field in dataclasses.fields(ModelCard)}
        card = decode(ModelCard, {k: v for k, v in values.items() if k in known}, "model.json")
        model = LSTMFCN(
            card.model,
            n_channels=len(card.channels),
            n_timepoints=card.n_timepoints,
            n_classes=len(card.classes),
        )
        try:
            model.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
        except RuntimeError as error:
            raise RunError(f"the weights in {run.folder} do not fit its model.json.") from error
        return cls(model, card)

    def save(self, run: Run) -> None:
        """Write what `load` reads."""
        weights = {k: v.cpu().contiguous().numpy() for k, v in self.model.state_dict().items()}
        run.write_model(dataclasses.asdict(self.card), weights)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.card.classes

    def predict_proba(
        self, X: ArrayLike | Sequence[ArrayLike] | Windows, *, precision: Precision = "float32"
    ) -> NDArray[np.float32]:
        """Give class probabilities.

        Parameters
        ----------
        X : array or list of arrays
            Raw series, NaN where there is no reading: (n_cases, n_channels, n_timepoints); or
            (n_cases, n_timepoints) if the model has one channel; or one case, of shape
            (n_channels, n_timepoints) or, with one channel, (n_timepoints,); or a list of cases,
            which may differ in length if the model was trained so; or windows over readings.
        precision : {"float32", "bf16", "auto"}, default="float32"
            Arithmetic; auto takes bf16 where the processor has it.

        Returns
        -------
        ndarray of shape (n_cases, n_classes)

        Raises
        ------
        ValueError
            If channels or lengths are not those of the training, or a value is infinite.
        """
        if precision not in get_args(Precision):
            choices = ", ".join(get_args(Precision))
            raise ValueError(f"precision must be one of {choices}, got {precision!r}.")
        cases = X if isinstance(X, Windows) else self.cases(X)
        if isinstance(X, Windows):
            self._check(X.shape[1:], "the windows have")
        if not len(cases):
            return np.empty((0, len(self.classes)), np.float32)
        device = this_device()
        logits = learner.predict(
            self.model.to(device.device), cases, devices=device, precision=precision
        )
        on_device = torch.from_numpy(logits).to(device.device)
        return self.model.proba(on_device).cpu().numpy()

    def forecast(self, readings: Readings) -> Forecast:
        """Tell what follows the last reading.

        Parameters
        ----------
        readings : Readings
            With the step and the channels of those that the model was trained on; at least a
            window of them.

        Raises
        ------
        ValueError
            If the model was not trained on windows of readings, or these are others.
        """
        rule, window = self.card.rule, self.card.n_timepoints
        if rule is None:
            raise ValueError(
                "the model was trained on cases, not on windows of readings: it cannot tell what"
                " follows them. Give it series."
            )
        if format_duration(readings.step) != self.card.step:
            raise ValueError(
                f"the model was trained on readings every {self.card.step}, got one every"
                f" {format_duration(readings.step)}: resample them."
            )
        missing = set(self.card.channels) - set(readings.channels)
        if missing:
            raise ValueError(
                f"the model needs the channels {', '.join(self.card.channels)}, got"
                f" {', '.join(readings.channels)}."
            )
        if readings.n_timepoints < window:
            raise ValueError(
                f"the model needs the last {window} readings, got {readings.n_timepoints}; give a"
                " longer stretch."
            )
        rows = [readings.channels.index(name) for name in self.card.channels]
        last = readings.values[rows, -window:]
        if np.isnan(last).mean() > rule.max_missing:
            raise ValueError(
                f"of the last {window} readings {np.isnan(last).any(axis=0).sum()} are missing,"
                f" more than the rule's share of {rule.max_missing:g}: no forecast."
            )
        proba = self.predict_proba(last[None])[0]
        start = readings.times(readings.n_timepoints + rule.lead)
        return Forecast(
            time=start,
            until=start + rule.horizon * readings.step,
            proba=dict(zip(self.classes, proba.tolist(), strict=True)),
            rule=rule,
            outside=objections(readings, rule),
        )

    def predict(self, X: ArrayLike | Sequence[ArrayLike]) -> NDArray[np.str_]:
        """Give the most probable class of each case, (n_cases,); X as in `predict_proba`."""
        labels: NDArray[np.str_] = np.array(self.classes)[self.predict_proba(X).argmax(axis=1)]
        return labels

    def cases(self, X: ArrayLike | Sequence[ArrayLike]) -> NDArray[np.float32]:
        """Check series and bring them into shape (n_cases, n_channels, n_timepoints)."""
        n_channels, n_timepoints = len(self.card.channels), self.card.n_timepoints
        least = 1 if n_channels == 1 else 2  # dimensions of a case
        if isinstance(X, list | tuple) and (not len(X) or _numbers(X[0], "case 0").ndim >= least):
            cases = np.full((len(X), n_channels, n_timepoints), np.nan, np.float32)
            for i, x in enumerate(X):
                one = self._one(x, i)
                cases[i, :, : one.shape[1]] = one
        else:
            values = _numbers(X, "the series")
            if values.ndim == 1:
                values = values[None, None]
            elif values.ndim == 2:
                values = values[:, None] if n_channels == 1 else values[None]
            if values.ndim != 3:
                raise ValueError(
                    "series are (n_cases, n_channels, n_timepoints), got an array of "
                    f"{values.ndim} dimensions."
                )
            self._check(values.shape[1:], "the series have")
            cases = values
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

    def series(self, problem: Problem, rows: slice | NDArray[np.int64] = ALL) -> Series:
        """Give a problem's series with its channels in the model's order, where names tell it.

        Windows are given as windows where the order is theirs.

        Raises
        ------
        ValueError
            If both name their channels, and not alike.
        """
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
        if order != sorted(order):
            return problem.X[rows][:, order]
        return problem.X.take(rows) if isinstance(problem.X, Windows) else problem.X[rows]

    def _one(self, x: ArrayLike, position: int) -> NDArray[np.float32]:
        values = _numbers(x, f"case {position}")
        if values.ndim == 1:
            values = values[None]
        if values.ndim != 2:
            raise ValueError(
                f"case {position} must be (n_channels, n_timepoints), got shape {values.shape}."
            )
        self._check(values.shape, f"case {position} has")
        return values

    def _check(self, shape: tuple[int, ...], who: str) -> None:
        n_channels, n_timepoints = shape
        expected = len(self.card.channels)
        if n_channels != expected:
            raise ValueError(
                f"{who} {n_channels} channels; the model was trained on {expected} "
                f"({', '.join(self.card.channels)})."
            )
        longest = self.card.n_timepoints
        if n_timepoints > longest:
            raise ValueError(
                f"{who} {n_timepoints} timepoints; the model takes at most {longest}: "
                f"give the {longest} that matter."
            )
        if n_timepoints < longest and not self.card.unequal:
            raise ValueError(
                f"{who} {n_timepoints} timepoints; the model was trained on series of exactly "
                f"{longest}. Give that many, NaN where a reading is missing."
            )
        if n_timepoints == 0:
            raise ValueError(f"{who} no timepoints.")


def forecast_csv(forecast: Forecast) -> str:
    """Give a forecast as CSV: from when to when, the most probable class, probabilities."""
    names = [f"proba_{name}" for name in forecast.proba]
    best = max(forecast.proba, key=forecast.proba.__getitem__)
    row = [format_time(forecast.time), format_time(forecast.until), best, *forecast.proba.values()]
    outside = "; ".join(forecast.outside)
    return _csv([["from", "until", "predicted", *names, "outside_rule"], [*row, outside]])


def forecast_json(forecast: Forecast) -> dict[str, Any]:
    """Give a forecast, and the rule it was made by, as JSON has it."""
    return {
        "from": format_time(forecast.time),
        "until": format_time(forecast.until),
        "proba": forecast.proba,
        "outside_rule": forecast.outside,
        "rule": dataclasses.asdict(forecast.rule),
    }


def predictions_csv(
    proba: NDArray[np.float32],
    classes: tuple[str, ...],
    *,
    cases: NDArray[np.int64] | None = None,
    labels: Sequence[str] | None = None,
) -> str:
    """Give predictions as CSV: case, label if known, the most probable class, probabilities.

    Parameters
    ----------
    proba : ndarray of shape (n_cases, n_classes)
        Class probabilities.
    classes : tuple of str
        Names of the classes.
    cases : ndarray of shape (n_cases,), optional
        Positions of the cases; by default from 0.
    labels : sequence of str, optional
        The true classes.
    """
    known = [] if labels is None else ["label"]
    rows: list[list[Any]] = [["case", *known, "predicted", *(f"proba_{name}" for name in classes)]]
    for i, row in enumerate(proba):
        case = i if cases is None else cases[i]
        label = [] if labels is None else [labels[i]]
        rows.append([case, *label, classes[row.argmax()], *(str(p) for p in row)])
    return _csv(rows)


def _csv(rows: list[list[Any]]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def _numbers(x: Any, what: str) -> NDArray[np.float32]:
    try:
        values = np.asarray(x)
        if values.dtype.kind not in "biufO":
            raise ValueError(f"got {values.dtype}")
        with np.errstate(over="ignore"):  # an overflow is infinite, and refused as such
            return values.astype(np.float32, copy=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} must be numbers of one shape: {error}.") from error
