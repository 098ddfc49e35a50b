"""What the files of a run hold, checked and decoded once into types; no model is loaded."""

import csv
import io
import typing
import zipfile
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from foreshock._json import decode, flatten
from foreshock.metrics import ACTIVITY
from foreshock.metrics.calibration import Calibration
from foreshock.metrics.intervals import Estimate
from foreshock.metrics.scores import Scores, always_name, place
from foreshock.problems.problem import Card
from foreshock.problems.rule import Rule
from foreshock.reporting.figures import Losses
from foreshock.run import Run, RunError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
S = TypeVar("S", bound=Scores)

# scores.json


@dataclass(frozen=True, kw_only=True)
class Sets:
    """Sets of classes that are meant to hold the true one of a share of cases."""

    coverage: float
    """The share that is meant."""

    covered: Estimate
    """The share of the test cases whose set holds their class."""

    mean_size: float
    """Classes of a set, on average."""

    empty: int
    """How many sets have none."""


@dataclass(frozen=True, kw_only=True)
class PartScores(Scores):
    """Scores on the test part."""

    sets: Sets | None = None
    """What sets of classes came to, where the model is calibrated."""


@dataclass(frozen=True, kw_only=True)
class HeldOutScores:
    """Scores on cases that were not trained on, other than the test part."""

    source: Literal["out of fold", "valid"]
    """Those that each member left out, or the valid part."""

    scores: Scores

    @property
    def where(self) -> str:
        """What such cases are called."""
        return self.source.replace(" ", "-")


@dataclass(frozen=True, kw_only=True)
class AlarmPoint:
    """What a threshold would give."""

    threshold: float
    alarm_rate: float = field(metadata={"was": "alarms_per_year"})
    false_alarm_rate: float = field(metadata={"was": "false_alarms_per_year"})
    recall: float | None
    """Share of events warned of; None where there are no events."""
    precision: float | None
    """Share of alarms that an event followed; None where there are no alarms."""


@dataclass(frozen=True, kw_only=True)
class EpisodeScores:
    """Events and alarms as stretches of time, neighbours taken together; see `Episodes`."""

    events: int
    detected: int
    alarms: int
    false_alarms: int
    sensitivity: float | None
    precision: float | None


@dataclass(frozen=True, kw_only=True)
class AlarmScores:
    """What alarms would have come of forecasting all of the test part's time."""

    threshold: float
    policy: str
    """By what rule the threshold was chosen."""
    start: str
    """The first target; `from` in scores.json."""
    until: str
    """The last one."""
    span: float = field(metadata={"was": "years"})
    """Time of targets whose windows the rule admits, in what `per` says."""
    span_forecast: float = field(metadata={"was": "years_forecast"})
    """The same of all targets."""
    n_forecasts: int
    n_outside: int
    """Forecasts left out, since the rule makes no case of their windows."""
    events: int
    warned: int
    recall: Estimate | None
    alarms: int
    false_alarms: int
    precision: Estimate | None
    alarm_rate: float = field(metadata={"was": "alarms_per_year"})
    """Alarms by what `per` says."""
    false_alarm_rate: float = field(metadata={"was": "false_alarms_per_year"})
    """Those of them that no event followed."""
    leads: tuple[float, float, float] | None = field(metadata={"was": "lead_hours"})
    """Quartiles of the time from alarm to event."""
    curve: tuple[AlarmPoint, ...]
    """Falling thresholds."""
    baseline: str = ACTIVITY
    """The best of the baselines."""
    baseline_curve: tuple[AlarmPoint, ...] | None = field(
        default=None, metadata={"was": "activity_curve"}
    )
    """The same of that one."""
    per: str = "year"
    """What alarms are counted by."""
    lead_unit: str = "hours"
    """What the leads are in."""
    units: int | None = None
    """Units that were watched, where there are several."""
    episodes: EpisodeScores | None = None
    """The same by stretches of alarms."""

    @property
    def each(self) -> str:
        """What alarms are counted by, as a sentence has it: a year."""
        return {"year": "a year", "day": "a day", "hour": "an hour"}.get(
            self.per, f"per {self.per}"
        )

    def time(self, amount: float) -> str:
        """Write an amount of what alarms are counted by: 1.2 years."""
        return f"{amount:.1f} {_AMOUNTS.get(self.per, f'{self.per}s')}"


_AMOUNTS = {"1,000 readings": "thousand readings"}


@dataclass(frozen=True, kw_only=True)
class OcclusionTest:
    """How far the predicted class's probability falls when a tenth of timepoints is deleted."""

    n_cases: int
    top: Estimate
    """The tenth that the map names."""
    random: Estimate
    """A random tenth."""
    difference: Estimate


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a training came to: scores.json without its hashes."""

    part: Literal["test"] | None
    choice: str
    """Which weights were kept, and by what rule."""
    scores: PartScores | None
    held_out: HeldOutScores | None
    alarms: AlarmScores | None
    occlusion: OcclusionTest | None


# the other documents, of which a report needs some fields


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What the leak audit found."""

    findings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ProblemFile:
    """What problem.json says of the cases."""

    digest: str
    card: Card
    audit: Findings


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """What model.json says of the model."""

    classes: tuple[str, ...]
    channels: tuple[str, ...]
    n_timepoints: int
    unequal: bool
    step: str | None
    members: int
    rule: Rule | None
    calibration: Calibration | None
    versions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where and with what a run was made: environment.json."""

    versions: tuple[str, ...]
    platform: str
    cores: int | None
    threads: int
    device: str
    devices: int
    precision: str
    started: str
    command: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Finder:
    """What the learning-rate finder saw: lr_finder.json."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float


@dataclass(frozen=True, kw_only=True)
class Training(Losses):
    """The training of one member, as history.jsonl has it."""

    epochs: int
    last_loss: float | None
    """Mean loss of the last epoch."""
    seconds: float
    """Seconds of all epochs."""


# tables and arrays


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Forecasts:
    """Forecasts of every target of the test part's time, (n_targets,) each."""

    time: NDArray[np.datetime64]
    proba: NDArray[np.floating]
    event: NDArray[np.bool_]
    outside: NDArray[np.bool_]
    """Whether the rule makes no case of the window."""

    def __post_init__(self) -> None:
        _check_shapes(self, len(self.time))


@dataclass(frozen=True, kw_only=True, eq=False)
class Explanations:
    """Cases with what spoke for the predicted class."""

    case: NDArray[np.integer]
    kind: NDArray[np.str_]
    """Whether it is an example or an error."""
    label: NDArray[np.str_]
    predicted: NDArray[np.str_]
    proba: NDArray[np.floating]
    X: NDArray[np.floating]
    """Series, (n_cases, n_channels, n_timepoints)."""
    map: NDArray[np.floating]
    """Class activation maps, (n_cases, n_timepoints)."""
    convolutional: NDArray[np.floating]
    recurrent: NDArray[np.floating]
    random: NDArray[np.floating]
    """Log odds that each branch gives, (n_cases, n_classes)."""
    bias: NDArray[np.floating]
    """What is given whatever the case, (n_classes,)."""
    summary: NDArray[np.floating] = field(default_factory=lambda: np.empty(0))
    """Log odds that the window's summary gives, (n_cases, n_classes); 0 in runs that have none."""

    def __post_init__(self) -> None:
        if self.proba.ndim != 2 or self.X.ndim != 3:
            raise ValueError("arrays have other shapes than cases")
        if not self.summary.size:
            object.__setattr__(self, "summary", np.zeros_like(self.proba))
        (n, _, timepoints), k = self.X.shape, self.proba.shape[1]
        names = ("proba", "convolutional", "recurrent", "random", "summary")
        branches = dict.fromkeys(names, (n, k))
        _check_shapes(self, n, X=self.X.shape, map=(n, timepoints), bias=(k,), **branches)


def _check_shapes(arrays: Any, n: int, **shapes: tuple[int, ...]) -> None:
    for each in fields(arrays):
        array, hint = getattr(arrays, each.name), typing.get_args(each.type)[1]
        if array.shape != shapes.get(each.name, (n,)):
            raise ValueError(f"{each.name} has the shape {array.shape}")
        if not np.issubdtype(array.dtype, typing.get_args(hint)[0]):
            raise ValueError(f"{each.name} has the type {array.dtype}")


# all of them


@dataclass(frozen=True, kw_only=True, eq=False)
class RunData:
    """A complete run."""

    folder: Path
    source: str | None
    """What the problem was loaded from, where that is known."""
    config: dict[str, Any]
    """Every option of the training, as config.json has them."""
    outcome: Outcome
    hashes: dict[str, str]
    """The sha256 of each file."""
    digest: str
    """Of scores.json itself."""
    problem: ProblemFile
    model: ModelFile
    environment: Environment
    trainings: tuple[Training, ...]
    """One for each member."""
    finder: Finder | None
    predictions: Predictions | None
    """Of the test part."""
    simple: dict[str, NDArray[np.floating]]
    """What baselines gave the test cases, by name: probabilities (n_cases, n_classes)."""
    held_out: Predictions | None
    """Of training cases by members that did not see them, or of the valid part."""
    forecasts: Forecasts | None
    explanations: Explanations | None

    @property
    def name(self) -> str:
        """Name of the problem."""
        return self.problem.card.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.model.classes

    @property
    def scores(self) -> PartScores | None:
        """Scores on the test part."""
        return self.outcome.scores

    @property
    def options(self) -> dict[str, Any]:
        """Every option of the training, nested ones with a dot."""
        return flatten(self.config)


def read_run(folder: Path) -> RunData:
    """Read a run, every file checked against its hash.

    Raises
    ------
    RunError
        If it is no run, not complete, damaged or of another format.
    """
    run = Run(folder)
    scores = run.read("scores")
    run.verify()
    config, hashes = run.read("config"), scores["sha256"]
    try:
        model = read_model(run.read("model"))
        finder = run.read("lr_finder") if "lr_finder.json" in hashes else None
        return RunData(
            folder=run.folder,
            source=config["problem"],
            config=config["config"],
            outcome=read_outcome(scores),
            hashes=hashes,
            digest=scores["digest"],
            problem=read_problem(run.read("problem")),
            model=model,
            environment=_some(Environment, run.read("environment"), "environment.json"),
            trainings=read_history(run.history()),
            finder=None if finder is None else _some(Finder, finder, "lr_finder.json"),
            predictions=_predictions(run, "predictions.csv", hashes, model.classes),
            simple=_simple(run, hashes),
            held_out=_predictions(run, "held_out.csv", hashes, model.classes),
            forecasts=_arrays(Forecasts, run, "forecasts.npz", hashes),
            explanations=_arrays(Explanations, run, "explanations.npz", hashes),
        )
    except (ValueError, KeyError, TypeError) as error:
        fault = f"it lacks {error}." if isinstance(error, KeyError) else str(error)
        raise RunError(
            f"{folder} is damaged, or of a version of foreshock that this one cannot read: {fault}"
            " Restore it from a copy, or train again."
        ) from error


def read_outcome(values: dict[str, Any]) -> Outcome:
    """Decode the content of scores.json.

    Raises
    ------
    ValueError
        If it is not as written.
    """
    if isinstance(values.get("alarms"), dict):
        alarms = {"start" if key == "from" else key: v for key, v in values["alarms"].items()}
        values = values | {"alarms": alarms}
    outcome = _some(Outcome, values, "scores.json")
    held_out = outcome.held_out
    return replace(
        outcome,
        scores=outcome.scores and _checked(outcome.scores),
        held_out=held_out and replace(held_out, scores=_checked(held_out.scores)),
    )


def read_problem(values: dict[str, Any]) -> ProblemFile:
    """Decode the content of problem.json, as `read_outcome` does."""
    audit = _some(Findings, values["audit"], "problem.json.audit")
    found = decode(
        ProblemFile,
        {"digest": values["digest"], "card": values["card"], "audit": {"findings": audit.findings}},
        "problem.json",
    )
    if "train" not in found.card.parts:
        raise ValueError("problem.json has no train part.")
    return found


def read_model(values: dict[str, Any]) -> ModelFile:
    """Decode the content of model.json, as `read_outcome` does."""
    return _some(ModelFile, values, "model.json")


def read_history(lines: Sequence[dict[str, Any]]) -> tuple[Training, ...]:
    """Sort the lines of history.jsonl by member, of those that trained a batch."""
    found = []
    for member in sorted({line.get("member", 0) for line in lines}):
        mine = [line for line in lines if line.get("member", 0) == member]
        batches = [line for line in mine if "step" in line]
        epochs = [line for line in mine if "train_loss" in line]
        last = {line["epoch"]: line["step"] for line in batches}
        valid = [
            (last[line["epoch"]], line["valid_loss"])
            for line in epochs
            if line["valid_loss"] is not None and line["epoch"] in last
        ]
        if batches:
            found.append(
                Training(
                    name=f"member {member}",
                    batches=[line["loss"] for line in batches],
                    rates=[line["learning_rate"] for line in batches],
                    valid=valid,
                    per_epoch=sum(line["epoch"] == 1 for line in batches),
                    epochs=len(epochs),
                    last_loss=epochs[-1]["train_loss"] if epochs else None,
                    seconds=sum(line["seconds"] for line in epochs),
                )
            )
    return tuple(found)


def _some(kind: type[T], values: dict[str, Any], where: str) -> T:
    """Decode the fields that a type has, whatever else a document has."""
    known = [field.name for field in fields(kind)]
    return decode(kind, {name: values[name] for name in known if name in values}, where)


def _checked(scores: S) -> S:
    """Check that scores are of their classes, and put the baselines in order, simplest first."""
    shape = (len(scores.classes),) * 2
    if always_name(scores.majority) not in scores.baselines:
        raise ValueError("scores.json has no scores of the most common class.")
    if [len(row) for row in scores.confusion] != [shape[1]] * shape[0]:
        raise ValueError("scores.json has a confusion matrix of other classes.")
    order = sorted(scores.baselines, key=place)
    return replace(scores, baselines={name: scores.baselines[name] for name in order})


def _predictions(
    run: Run, name: str, hashes: dict[str, str], classes: tuple[str, ...]
) -> Predictions | None:
    if name not in hashes:
        return None
    path = run.folder / name
    try:
        index = {label: k for k, label in enumerate(classes)}
        rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))
        proba = np.array([[float(row[f"proba_{label}"]) for label in classes] for row in rows])
        if not np.isfinite(proba).all() or not len(rows):
            raise ValueError("it has no probabilities")
        members = [int(row["member"]) for row in rows if "member" in row]
        return Predictions(
            case=np.array([int(row["case"]) for row in rows]),
            y=np.array([index[row["label"]] for row in rows]),
            proba=proba,
            member=np.array(members) if members else None,
        )
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise RunError(f"{path} is damaged: {error}.") from error


def _simple(run: Run, hashes: dict[str, str]) -> dict[str, NDArray[np.floating]]:
    """Read what baselines gave the test cases; nothing of runs that have no such file."""
    if "baselines.npz" not in hashes:
        return {}
    path, found = run.folder / "baselines.npz", {}
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            for key in file.files:
                of, _, name = key.partition("/")
                if of == "test":
                    found[name] = file[key]
    except (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} is damaged: {error}.") from error
    return found


def _arrays(kind: type[T], run: Run, name: str, hashes: dict[str, str]) -> T | None:
    if name not in hashes:
        return None
    path = run.folder / name
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            names = [f.name for f in fields(kind) if f.default_factory is MISSING or f.name in file]
            return kind(**{name: file[name] for name in names})
    except (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} is damaged: {error}.") from error
