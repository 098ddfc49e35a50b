"""From a labelled problem to a run: the one place that sees the test part, once, at the end."""

import dataclasses
import logging
import shlex
from contextlib import ExitStack, nullcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foreshock import learner
from foreshock.clocks import format_duration
from foreshock.counts import count_codes
from foreshock.devices import (
    Devices,
    is_main_process,
    launched,
)
from foreshock.events import rankings
from foreshock.finder import find_learning_rate
from foreshock.learner import Fitting, Snapshot
from foreshock.metrics import score
from foreshock.models import LSTMFCN, ModelConfig
from foreshock.opening import PartCases, open_run
from foreshock.predict import Forecaster, ModelCard, predictions_csv
from foreshock.presets import PRESETS, TrainConfig
from foreshock.problems import Problem
from foreshock.recipe import FitConfig, resolve
from foreshock.recorder import (
    Recorder,
    announce,
    draw_cases,
    draw_loss,
    interruptible,
    keep_finding,
    versions,
)
from foreshock.run import Run
from foreshock.splits import make_parts
from foreshock.tables import Part
from foreshock.tracking import Tracker

logger = logging.getLogger(__name__)


def train(
    problem: Problem,
    config: TrainConfig = PRESETS["fast"],
    *,
    folder: str | Path | None = None,
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
    ImportError, ConnectionError
        If a service that `config.log` names cannot be used; nothing is written then.
    FileExistsError
        If `folder` exists and `resume` is false.
    DivergedError
        If the loss becomes infinite or NaN.
    KeyboardInterrupt
        After Ctrl-C or SIGTERM; it says how to go on.
    """
    folder = None if folder is None else Path(folder)
    if resume and folder is None:
        raise ValueError("resume needs the run folder to go on with: give --run DIR.")
    problem = make_parts(problem, test=config.test, valid=config.valid, seed=config.seed)
    _check_classes(problem)
    fit = resolve(
        config.fit,
        problem.count("train"),
        problem.n_classes,
        valid_asked=config.valid is not None,
    )
    if fit.choice == "best-valid" and not problem.count("valid"):
        raise ValueError("choice best-valid needs a valid part: ask for one with --valid 0.2.")
    tracker = Tracker(config.log if is_main_process() else ())
    run = None
    if is_main_process():  # before further processes start
        run = open_run(problem, config, folder, source, resume=resume)
    try:
        with (
            run.locked() if run is not None else nullcontext(),
            tracker.following(run),
            launched(config.devices) as devices,
        ):
            where: Path = devices.same(run.folder if run is not None else Path())
            complete = devices.same(run is not None and run.complete)
            if not complete:
                _train(run, problem, config, fit, devices, progress, tracker)
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
    tracker: Tracker,
) -> None:
    """Do all that is left to do; `run` is where rank 0 writes."""
    (cases, y), valid = _part(problem, "train"), _part(problem, "valid")
    model = LSTMFCN(
        _for_readings(config.model) if problem.rule is not None else config.model,
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
                Recorder(run, size, config.checkpoint_seconds, interrupted, progress, tracker)
            )
        fitting = learner.fit(
            model,
            cases,
            y,
            fit,
            seed=config.seed,
            devices=devices,
            valid=valid if len(valid[1]) else None,
            watch=recorder,
            resume=None if checkpoint is None else Snapshot(checkpoint.tensors, checkpoint.values),
        )
        if recorder is not None:
            recorder.checkpoint(fitting)
    if run is not None:
        _finish(run, model.cpu(), problem, fitting)


def _finish(run: Run, model: LSTMFCN, problem: Problem, fitting: Fitting) -> None:
    """Write the model, read it back, and score the test part with what was read."""
    training, test = problem.rows("train"), problem.select("test")
    majority = int(count_codes(problem.y[training], problem.n_classes).argmax())
    choice = _choice(fitting)
    model_card = ModelCard(
        model=model.config,
        n_timepoints=problem.n_timepoints,
        unequal=bool(problem.lengths[training].min() < problem.n_timepoints),
        classes=problem.classes,
        channels=problem.channels,
        majority=problem.classes[majority],
        rule=problem.rule,
        step=None if problem.readings is None else format_duration(problem.readings.step),
        source=None if problem.readings is None else problem.readings.source,
        choice=choice,
        versions=versions(),
    )
    Forecaster(model, model_card).save(run)
    scores = None
    if len(test):
        proba = Forecaster.load(run).predict_proba(problem.series("test"))
        labels = [problem.classes[label] for label in problem.y[test]]
        run.write_predictions(predictions_csv(proba, problem.classes, cases=test, labels=labels))
        scores = dataclasses.asdict(
            score(
                problem.y[test],
                proba,
                problem.classes,
                majority=majority,
                rankings=rankings(problem, test),
            )
        )
    draw_loss(run, problem.name, choice, fitting)
    draw_cases(run, problem)
    run.finish({"part": "test" if len(test) else None, "choice": choice, "scores": scores})


def _choice(fitting: Fitting) -> str:
    """Say which weights are kept, and by what rule."""
    epochs = "1 epoch" if fitting.epoch == 1 else f"{fitting.epoch} epochs"
    if fitting.stopped:
        epochs += f" (stopped early, of {fitting.n_epochs})"
    elif fitting.step % fitting.n_batches:
        epochs += " (the last cut short)"
    if fitting.config.choice == "last" and fitting.step % fitting.n_batches:
        return f"weights after the last of {fitting.step:,} batches; none was picked by its score"
    if fitting.config.choice == "last":
        return f"weights after the last of {epochs}; none was picked by its score"
    judge = "the training cases" if fitting.config.choice == "best-train" else "the valid part"
    return f"weights after epoch {fitting.best_epoch} of {epochs}, the best loss on {judge}"


def _check_classes(problem: Problem) -> None:
    if not problem.classes:
        raise ValueError(f"{problem.name} has no labels: there is nothing to learn.")
    counts = count_codes(problem.y[problem.rows("train")], problem.n_classes)
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


def _part(problem: Problem, part: Part) -> tuple[PartCases, NDArray[np.int64]]:
    rows = problem.rows(part)
    return PartCases(problem.X, rows), problem.y[rows]


def _for_readings(model: ModelConfig) -> ModelConfig:
    """Keep the level of windows: how much happens is half of what they say."""
    return dataclasses.replace(model, normalize="train") if model.normalize == "auto" else model
