"""From a labelled problem to a run, or to a forecaster in memory."""

import logging
import shlex
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foreshock._arrays import count_codes
from foreshock._files import is_empty
from foreshock.ensembles import Plan, fit_members, plan
from foreshock.events.backtest import is_time
from foreshock.finishing import assemble, finish
from foreshock.inference.forecaster import Forecaster
from foreshock.nn.distributed import is_main_process, launched, own_settings, this_device
from foreshock.nn.model import LSTMFCN
from foreshock.opening import named_as_begun, open_run
from foreshock.presets import PRESETS, TrainConfig
from foreshock.problems.problem import Problem
from foreshock.problems.splits import make_parts
from foreshock.recipe import resolve
from foreshock.run import Run, RunError
from foreshock.tracking import Tracker
from foreshock.transfer import adopt, origin

logger = logging.getLogger(__name__)


@own_settings()
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
    try:
        config = adopt(config, problem)
    except (RunError, ConnectionError):  # a run that is complete no longer needs it
        begun = resume and folder is not None and folder.is_dir() and not is_empty(folder)
        if not (begun and folder is not None and Run(folder).complete):
            raise
    if resume and folder is not None:
        problem = named_as_begun(problem, folder)
    problem, plans = _prepare(problem, config)
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
                members = fit_members(
                    run, problem, config, plans, devices, progress=progress, tracker=tracker
                )
                if run is not None:
                    finish(run, problem, config, members)
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


@own_settings()
def learn(
    problem: Problem,
    config: TrainConfig,
    *,
    weights: NDArray[np.float32] | None = None,
    deadline: float | None = None,
    start: Sequence[LSTMFCN] = (),
) -> Forecaster:
    """Train a model on a problem's train part in memory, without a run folder.

    Parameters
    ----------
    problem : Problem
        The cases; a test part is left alone.
    config : TrainConfig
        As in `train`, for one process.
    weights : ndarray of shape (n_cases,), optional
        What each case's errors count, above 0; by default all count the same.
    deadline : float, optional
        When to have finished, by `time.monotonic`.
    start : sequence of LSTMFCN, optional
        Networks, one for each member, whose weights to go on from.

    Raises
    ------
    ValueError
        If the configuration does not go with the problem.
    DivergedError
        If the loss becomes infinite or NaN.
    """
    config = adopt(config, problem)
    problem, plans = _prepare(problem, config)
    origin(config, problem)  # refuses cases that are to judge but were seen
    members = fit_members(
        None,
        problem,
        config,
        plans,
        this_device(),
        weights=weights,
        deadline=deadline,
        start=start,
    )
    return assemble(problem, config, members)


def _prepare(problem: Problem, config: TrainConfig) -> tuple[Problem, list[Plan]]:
    """Draw the parts that are asked for, divide the cases, and refuse what cannot be trained."""
    problem = make_parts(problem, test=config.test, valid=config.valid, seed=config.seed)
    _check_classes(problem)
    _check_alarm(problem, config)
    config.model.margins(problem.n_timepoints)  # refuses series that are too short
    fit = resolve(
        config.fit,
        problem.count("train"),
        problem.n_classes,
        valid_asked=config.valid is not None,
    )
    if fit.choice == "best-valid" and not problem.count("valid"):
        raise ValueError("choice best-valid needs a valid part: ask for one with --valid 0.2.")
    plans = plan(problem, config)
    if config.alarm.budget is not None and not all(is_time(problem, p.left_out) for p in plans):
        raise ValueError(
            "a budget of false alarms per year needs readings and parts or folds that are stretches"
            " of time: cut the problem with --parts.order time, or give --alarm.cost or"
            " --alarm.recall."
        )
    return problem, plans


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


def _check_alarm(problem: Problem, config: TrainConfig) -> None:
    """Refuse a threshold that there is nothing to choose by."""
    if config.alarm.policy is None:
        return
    if problem.n_classes != 2:
        raise ValueError(
            f"alarms are for problems of two classes, {problem.name} has {problem.n_classes}: leave"
            " --alarm out."
        )
    valid = problem.y[problem.rows("valid")]
    if config.members == 1 and not (valid == 1).any():
        raise ValueError(
            f"a threshold is chosen by cases of class {problem.classes[1]!r} that were not trained"
            " on: ask for --members 5, or for a valid part."
        )
    if config.alarm.budget is not None and not config.scan:
        raise ValueError("a budget of false alarms per year needs --scan.")
