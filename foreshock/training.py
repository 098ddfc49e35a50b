"""From a labelled problem to a run: the one place that sees the test part, once, at the end."""

import dataclasses
import logging
import math
import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock import learner
from foreshock.cards import case_digests
from foreshock.configs import decode
from foreshock.devices import (
    Devices,
    is_main_process,
    launched,
)
from foreshock.finder import find_learning_rate
from foreshock.learner import Fitting, Snapshot
from foreshock.metrics import score
from foreshock.models import LSTMFCN, PAPER, ModelConfig
from foreshock.predict import Forecaster, ModelCard, predictions_csv
from foreshock.problems import Problem, card, digest, make_parts
from foreshock.recipe import FitConfig, resolve
from foreshock.recorder import (
    Recorder,
    announce,
    draw_loss,
    environment,
    interruptible,
    keep_finding,
    versions,
)
from foreshock.run import Document, Run

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything a training is asked for."""

    model: ModelConfig = field(default_factory=ModelConfig)
    """What the network is."""

    fit: FitConfig = field(default_factory=FitConfig)
    """How to fit it."""

    seed: int = 0
    """Seed of parts, initial weights, order of the cases and every draw."""

    test: float | None = None
    """Share of the cases to make a test part of, where the problem has none: by group or by time
    where the problem knows them, else stratified."""

    valid: float | None = None
    """Share of the training cases to make a valid part of, in the same way. Unless --fit.choice or
    the preset says otherwise, the weights kept are those of its best loss."""

    find_lr: bool = False
    """Find the learning rate first, on training cases, and train with what is found."""

    devices: int = 1
    """GPUs, or where there are none processes on the CPU; the batch size is their total."""

    checkpoint_seconds: float = 10.0
    """Least time between two checkpoints."""

    def __post_init__(self) -> None:
        for name in ("test", "valid"):
            share = getattr(self, name)
            if share is not None and not 0 < share < 1:
                raise ValueError(f"{name} must be between 0 and 1, got {share}.")
        if self.devices < 1:
            raise ValueError(f"devices must be at least 1, got {self.devices}.")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be between 0 and {2**32 - 1}, got {self.seed}.")
        if not 0 <= self.checkpoint_seconds < math.inf:
            raise ValueError(
                f"checkpoint_seconds must be at least 0, got {self.checkpoint_seconds}."
            )


PRESETS = {
    "fast": TrainConfig(),
    "paper": TrainConfig(
        model=PAPER,
        fit=FitConfig(
            epochs=2000,
            batch_size=128,
            optimizer="adam",
            schedule="plateau",
            loss="cross-entropy",
            choice="best-train",
            precision="float32",
        ),
    ),
}
"""fast: each branch fed what it can use, one cycle of AdamW. paper: the authors' layers and
training (arXiv 1709.05206, 1801.04503)."""


def train(
    problem: Problem,
    config: TrainConfig = PRESETS["fast"],
    *,
    folder: Path | None = None,
    source: str | None = None,
    resume: bool = False,
    progress: bool | None = None,
) -> Run:
    """Train a model on a problem's train part and score it once on its test part.

    Parameters
    ----------
    problem : Problem
        The cases; without a test part there is no test score.
    config : TrainConfig
        What to do; `PRESETS` has good starts.
    folder : Path, optional
        Where the run goes; by default a new folder in `runs/`.
    source : str, optional
        Where the problem came from, kept so that the run can be repeated.
    resume : bool, default=False
        Go on with the run in `folder` if there is one. The weights come out as if it had never
        stopped, bit for bit at the same number of threads.
    progress : bool, optional
        Whether to draw a progress line; by default where standard error is a terminal.

    Returns
    -------
    Run
        The run's folder, complete.

    Raises
    ------
    ValueError
        If the configuration does not go with the problem.
    FileExistsError
        If `folder` exists and `resume` is false.
    DivergedError
        If the loss becomes infinite or NaN.
    KeyboardInterrupt
        After Ctrl-C or SIGTERM; it says how to go on.
    """
    if resume and folder is None:
        raise ValueError("resume needs the run folder to go on with: give --run DIR.")
    problem = make_parts(problem, test=config.test, valid=config.valid, seed=config.seed)
    _check_classes(problem)
    fit = resolve(
        config.fit,
        len(problem.select("train")),
        problem.n_classes,
        valid_asked=config.valid is not None,
    )
    if fit.choice == "best-valid" and not len(problem.select("valid")):
        raise ValueError("choice best-valid needs a valid part: ask for one with --valid 0.2.")
    run = None
    if is_main_process():  # before further processes start
        run = _open_run(problem, config, folder, source, resume=resume)
    try:
        with (
            run.locked() if run is not None else nullcontext(),
            launched(config.devices) as devices,
        ):
            where: Path = devices.same(run.folder if run is not None else Path())
            complete = devices.same(run is not None and run.complete)
            if not complete:
                _train(run, problem, config, fit, devices, progress)
            devices.wait()
    except (KeyboardInterrupt, OSError) as error:
        if run is None or isinstance(error, BlockingIOError):
            raise
        command = ["foreshock", "train", source or "PROBLEM", "--run", str(run.folder), "--resume"]
        hint = f"go on with: {shlex.join(command)}"
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(hint) from None
        logger.error("When there is a remedy, %s", hint)
        raise
    run = run or Run(where)
    run.verify()
    return run


def _train(
    run: Run | None,
    problem: Problem,
    config: TrainConfig,
    fit: FitConfig,
    devices: Devices,
    progress: bool | None,
) -> None:
    """Do all that is left to do; `run` is where rank 0 writes."""
    training, valid = problem.select("train"), problem.select("valid")
    cases, y = _Part(problem.X, training), problem.y[training]
    model = LSTMFCN(
        config.model,
        n_channels=problem.n_channels,
        n_timepoints=problem.n_timepoints,
        n_classes=problem.n_classes,
        logit_scale=0.5 if fit.loss == "bce" and problem.n_classes == 2 else 1.0,
        seed=config.seed,
    )
    model.fit_views(cases)
    if config.find_lr:
        found = find_learning_rate(model, cases, y, fit, seed=config.seed, devices=devices)
        fit = dataclasses.replace(fit, learning_rate=found.suggestion)
        if run is not None:
            keep_finding(run, found)
    if run is not None:
        announce(problem, model, fit, devices)
    checkpoint = devices.same(None if run is None else run.read_checkpoint())
    with interruptible() as interrupted, ExitStack() as stack:
        recorder = None
        if run is not None:
            size = 0 if checkpoint is None else checkpoint.history
            recorder = stack.enter_context(
                Recorder(run, size, config.checkpoint_seconds, interrupted, progress)
            )
        fitting = learner.fit(
            model,
            cases,
            y,
            fit,
            seed=config.seed,
            devices=devices,
            valid=(_Part(problem.X, valid), problem.y[valid]) if len(valid) else None,
            watch=recorder,
            resume=None if checkpoint is None else Snapshot(checkpoint.tensors, checkpoint.values),
        )
        if recorder is not None:
            recorder.checkpoint(fitting)
    if run is not None:
        _finish(run, model.cpu(), problem, fitting)


def _finish(run: Run, model: LSTMFCN, problem: Problem, fitting: Fitting) -> None:
    """Write the model, read it back, and score the test part with what was read."""
    training, test = problem.select("train"), problem.select("test")
    majority = int(np.bincount(problem.y[training]).argmax())
    choice = _choice(fitting)
    model_card = ModelCard(
        model=model.config,
        n_timepoints=problem.n_timepoints,
        unequal=bool((problem.lengths[training] < problem.n_timepoints).any()),
        classes=problem.classes,
        channels=problem.channels,
        majority=problem.classes[majority],
        choice=choice,
        versions=versions(),
    )
    Forecaster(model, model_card).save(run)
    scores = None
    if len(test):
        proba = Forecaster.load(run).predict_proba(problem.X[test])
        labels = [problem.classes[label] for label in problem.y[test]]
        run.write_predictions(predictions_csv(proba, problem.classes, cases=test, labels=labels))
        scores = dataclasses.asdict(
            score(problem.y[test], proba, problem.classes, majority=majority)
        )
    draw_loss(run, problem.name, choice, fitting)
    run.finish({"part": "test" if len(test) else None, "choice": choice, "scores": scores})


def _choice(fitting: Fitting) -> str:
    """Say which weights are kept, and by what rule."""
    epochs = "1 epoch" if fitting.epoch == 1 else f"{fitting.epoch} epochs"
    if fitting.stopped:
        epochs += f" (stopped early, of {fitting.n_epochs})"
    if fitting.config.choice == "last":
        return f"weights after the last of {epochs}; none was picked by its score"
    judge = "the training cases" if fitting.config.choice == "best-train" else "the valid part"
    return f"weights after epoch {fitting.best_epoch} of {epochs}, the best loss on {judge}"


def _check_classes(problem: Problem) -> None:
    if not problem.classes:
        raise ValueError(f"{problem.name} has no labels: there is nothing to learn.")
    counts = np.bincount(problem.y[problem.select("train")], minlength=problem.n_classes)
    missing = [name for name, n in zip(problem.classes, counts, strict=True) if n == 0]
    if not counts.sum():
        raise ValueError(f"{problem.name} has no train part: there is nothing to learn from.")
    if missing:
        raise ValueError(
            f"{problem.name} has cases of class {missing[0]!r}, but none of them in the train "
            "part: a model cannot know it. Leave those cases out or move some to the train part."
        )
    if problem.n_classes < 2:
        raise ValueError(
            f"{problem.name} has only the class {problem.classes[0]!r}: there is nothing to tell "
            "apart."
        )


def _open_run(
    problem: Problem, config: TrainConfig, folder: Path | None, source: str | None, *, resume: bool
) -> Run:
    """Make the run's folder, or open the one to go on with after checking that it is this run."""
    settings = dataclasses.asdict(config)
    if resume and folder is not None and folder.exists():
        run = Run(folder)
        stored = decode(TrainConfig, run.read("config").get("config", {}), "config.json")
        config = dataclasses.replace(config, checkpoint_seconds=stored.checkpoint_seconds)
        if stored != config:
            raise ValueError(
                f"the run in {folder} was started with {_differences(stored, config)}: leave it "
                "out to go on, or start a new run."
            )
        if run.read("problem").get("digest") != digest(problem):
            raise ValueError(
                f"{problem.name} is not the problem that the run in {folder} was started on: "
                "its cases or parts have changed."
            )
        then, now = run.read("environment"), environment(config.fit.precision, config.devices)
        for name in ("threads", "precision", "device"):
            if then.get(name) != now[name]:
                logger.warning(
                    "%s is %s, no longer %s: weights will not be equal bit for bit.",
                    name,
                    now[name],
                    then.get(name),
                )
        return run
    known = problem.select("train")
    if config.valid is not None or config.fit.choice == "best-valid":
        known = np.concatenate([known, problem.select("valid")])
    documents: dict[Document, dict[str, Any]] = {
        "config": {"problem": source, "config": settings},
        "environment": environment(config.fit.precision, config.devices),
        "problem": {
            "digest": digest(problem),
            "card": dataclasses.asdict(card(problem)),
            "trained_on": [f"{case:016x}" for case in case_digests(problem.X[known])],
        },
    }
    if folder is not None:
        return Run.create(folder, documents)
    name = re.sub(r"[^\w.-]+", "_", problem.name).strip(".")[:80] or "run"  # a file gave it
    number = 1
    while True:  # another process may take the same number in the meantime
        folder = Path("runs") / f"{name}-{number}"
        try:
            return Run.create(folder, documents)
        except OSError:
            if not folder.exists():
                raise
            number += 1


def _differences(stored: TrainConfig, given: TrainConfig) -> str:
    """Name the first field in which two configurations differ."""
    old, new = _flat(dataclasses.asdict(stored)), _flat(dataclasses.asdict(given))
    name = next(name for name in old if old[name] != new[name])
    return f"--{name.replace('_', '-')} {old[name]}, not {new[name]}"


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in values.items():
        out |= (
            _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
        )
    return out


class _Part:
    """The cases of one part, read from the problem when asked; iterates over chunks of them."""

    def __init__(self, X: NDArray[np.float32], indices: NDArray[np.int64]) -> None:
        self.X, self.indices = X, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        return self.X[self.indices[positions]]

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(self.indices), 1024):
            yield self.X[self.indices[start : start + 1024]]
