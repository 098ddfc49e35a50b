"""What the files of a run say, checked, as a report needs it; no model is loaded."""

import csv
import io
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock._json import flatten
from foreshock.metrics.scores import score
from foreshock.run import Run, RunError

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Predictions:
    """A table of predictions."""

    case: NDArray[np.int64]
    """Positions of the cases in the problem."""

    y: NDArray[np.int64]
    """Their classes as indices."""

    proba: NDArray[np.float64]
    """Probabilities, (n_cases, n_classes)."""

    member: NDArray[np.int64] | None
    """Which member predicted, where there are several."""

    @property
    def guess(self) -> NDArray[np.int64]:
        """The most probable class of each case."""
        return np.asarray(self.proba.argmax(axis=1), np.int64)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether that is the case's."""
        return np.asarray(self.guess == self.y)


@dataclass(frozen=True)
class Gathered:
    """A complete run."""

    folder: Path
    """Its folder."""

    name: str
    """Name of the problem."""

    classes: tuple[str, ...]
    """Names of the classes."""

    options: dict[str, Any]
    """Every option of the training, nested ones with a dot."""

    config: dict[str, Any]
    environment: dict[str, Any]
    problem: dict[str, Any]
    model: dict[str, Any]
    scores: dict[str, Any]
    """Its documents."""

    history: list[dict[str, Any]]
    """The lines of its history."""

    finder: dict[str, Any] | None
    """What the learning-rate finder saw."""

    predictions: Predictions | None
    """Of the test part."""

    held_out: Predictions | None
    """Of training cases by members that did not see them, or of the valid part."""

    forecasts: Arrays | None
    """Of the test part's whole stretch."""

    explanations: Arrays | None
    """Examples and errors with what they were told by."""


def gather(folder: Path) -> Gathered:
    """Read a run, every file checked against its hash.

    Raises
    ------
    RunError
        If it is no run, not complete, damaged or of a newer format.
    """
    run = Run(folder)
    scores = run.read("scores")
    run.verify()
    model, problem, config = run.read("model"), run.read("problem"), run.read("config")
    hashed = scores["sha256"]
    try:
        classes = tuple(map(str, model["classes"]))
        gathered = Gathered(
            folder=run.folder,
            name=str(problem["card"]["name"]),
            classes=classes,
            options=flatten(config["config"]),
            config=config,
            environment=run.read("environment"),
            problem=problem,
            model=model,
            scores=scores,
            history=run.history(),
            finder=run.read("lr_finder") if "lr_finder.json" in hashed else None,
            predictions=_predictions(run, "predictions.csv", hashed, classes),
            held_out=_predictions(run, "held_out.csv", hashed, classes),
            forecasts=_arrays(run, "forecasts.npz", hashed),
            explanations=_arrays(run, "explanations.npz", hashed),
        )
        if scores["scores"] is not None and "model" not in scores["scores"]:
            scores["scores"] = _scored_anew(gathered)
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{folder} is damaged: a document lacks {error}.") from error
    return gathered


def _scored_anew(run: Gathered) -> dict[str, Any]:
    """Score the predictions of a run whose scores have no intervals, being older."""
    if run.predictions is None:
        raise KeyError("predictions.csv")
    counts = run.problem["card"]["parts"]["train"]["class_counts"]
    prior = np.array([counts[name] for name in run.classes], np.float64)
    seen = run.predictions
    found = score(seen.y, seen.proba, run.classes, prior=prior / prior.sum())
    old = run.scores["scores"]["rankings"]
    rankings = {name: {"value": value, "low": None, "high": None} for name, value in old.items()}
    return asdict(found) | {"rankings": rankings}


def _predictions(
    run: Run, name: str, hashed: dict[str, str], classes: tuple[str, ...]
) -> Predictions | None:
    if name not in hashed:
        return None
    path = run.folder / name
    try:
        rows = list(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))
        head, rows = rows[0], rows[1:]
        index = {label: k for k, label in enumerate(classes)}
        where = [head.index(f"proba_{label}") for label in classes]
        proba = np.array([[float(row[k]) for k in where] for row in rows])
        if not np.isfinite(proba).all() or not len(rows):
            raise ValueError("it has no probabilities")
        member = head.index("member") if "member" in head else None
        return Predictions(
            case=np.array([int(row[head.index("case")]) for row in rows]),
            y=np.array([index[row[head.index("label")]] for row in rows]),
            proba=proba,
            member=None if member is None else np.array([int(row[member]) for row in rows]),
        )
    except (ValueError, IndexError, KeyError, csv.Error) as error:
        raise RunError(f"{path} is damaged: {error}.") from error


def _arrays(run: Run, name: str, hashed: dict[str, str]) -> Arrays | None:
    if name not in hashed:
        return None
    path = run.folder / name
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} is damaged: {error}.") from error
