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
from foreshock.cards import case_digests
from foreshock.configs import decode
from foreshock.devices import Precision, this_device
from foreshock.metrics import Scores, score
from foreshock.models import LSTMFCN, ModelConfig
from foreshock.problems import Problem
from foreshock.run import Run, RunError
from foreshock.tables import Part, unnamed_channels


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
        self, X: ArrayLike | Sequence[ArrayLike], *, precision: Precision = "float32"
    ) -> NDArray[np.float32]:
        """Give class probabilities.

        Parameters
        ----------
        X : array or list of arrays
            Raw series, NaN where there is no reading: (n_cases, n_channels, n_timepoints); or
            (n_cases, n_timepoints) if the model has one channel; or one case, of shape
            (n_channels, n_timepoints) or, with one channel, (n_timepoints,); or a list of cases,
            which may differ in length if the model was trained so.
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
        cases = self.cases(X)
        if not len(cases):
            return np.empty((0, len(self.classes)), np.float32)
        device = this_device()
        logits = learner.predict(
            self.model.to(device.device), cases, devices=device, precision=precision
        )
        on_device = torch.from_numpy(logits).to(device.device)
        return self.model.proba(on_device).cpu().numpy()

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

    def series(self, problem: Problem) -> NDArray[np.float32]:
        """Give a problem's series with its channels in the model's order, where names tell it.

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
            return problem.X
        order = [theirs.index(name) for name in ours]
        return problem.X if order == sorted(order) else problem.X[:, order]

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


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A saved model's scores on labelled cases."""

    scores: Scores
    """Point scores."""

    part: Part | None
    """The part scored; None for all cases."""

    n_trained_on: int
    """How many of the cases the model was trained on; above 0 this is no test."""

    choice: str
    """Which weights these are and by what rule they were chosen."""


def evaluate(run: Run, problem: Problem, part: Part | None = None) -> Evaluation:
    """Score a saved model on labelled cases.

    Parameters
    ----------
    run : Run
        A trained model's run.
    problem : Problem
        Labelled cases.
    part : {"train", "valid", "test"}, optional
        Whose cases to score; by default the test part's where there is one, else all.

    Raises
    ------
    ValueError
        If there are no such cases, a label is none of the model's classes, or the series do not
        fit the model.
    """
    run.verify()
    forecaster = Forecaster.load(run)
    if part is None and len(problem.select("test")):
        part = "test"
    cases = np.arange(problem.n_cases) if part is None else problem.select(part)
    if not len(cases):
        raise ValueError(f"{problem.name} has no {part} part to score.")
    if not problem.classes:
        raise ValueError(f"{problem.name} has no labels to score against.")
    known = {name: i for i, name in enumerate(forecaster.classes)}
    names = [problem.classes[label] for label in problem.y[cases]]
    strange = sorted(set(names) - set(known))
    if strange:
        raise ValueError(
            f"{problem.name} has cases of class {strange[0]!r}, which the model was not trained "
            f"on; it knows {', '.join(known)}."
        )
    X = forecaster.series(problem)[cases]
    seen = {int(case, 16) for case in run.read("problem")["trained_on"]}
    scores = score(
        np.array([known[name] for name in names]),
        forecaster.predict_proba(X),
        forecaster.classes,
        majority=known[forecaster.card.majority],
    )
    return Evaluation(
        scores=scores,
        part=part,
        n_trained_on=sum(int(case) in seen for case in case_digests(forecaster.cases(X))),
        choice=forecaster.card.choice,
    )


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
    buffer = io.StringIO(newline="")
    table = csv.writer(buffer, lineterminator="\n")
    known = [] if labels is None else ["label"]
    table.writerow(["case", *known, "predicted", *(f"proba_{name}" for name in classes)])
    for i, row in enumerate(proba):
        case = i if cases is None else cases[i]
        label = [] if labels is None else [labels[i]]
        table.writerow([case, *label, classes[row.argmax()], *(str(p) for p in row)])
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
