"""Train a model on a problem: open the run, fit the members, score the test part once.

This is the only module of training that predicts the test part; the audit and `transfer` only look
for its cases among others.
"""

import dataclasses
import logging
import os
import platform
import re
import shlex
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from foreshock._arrays import Arrays, count_codes
from foreshock._files import is_empty
from foreshock._json import decode, flatten
from foreshock._version import __version__
from foreshock.events import alarms
from foreshock.events.alarms import Timeline
from foreshock.events.backtest import Backtest, Forecasts, as_cases, backtest, is_time
from foreshock.events.baselines import Baselines, fit_baselines
from foreshock.events.blocks import blocks_of
from foreshock.events.cut import rankings
from foreshock.events.episodes import EpisodeConfig
from foreshock.inference import explain
from foreshock.inference.forecaster import Forecaster
from foreshock.inference.outputs import ModelCard, PredictedCases, predictions_csv
from foreshock.metrics import SUMMARY
from foreshock.metrics.calibration import Calibration, calibrate, tempered
from foreshock.metrics.intervals import Estimate, share_by_blocks
from foreshock.metrics.scores import Scores, score
from foreshock.nn.distributed import (
    Precision,
    is_main_process,
    launched,
    own_settings,
    resolve_precision,
    this_device,
)
from foreshock.nn.model import LSTMFCN
from foreshock.problems import Part
from foreshock.problems.audit import audit
from foreshock.problems.fingerprints import case_hashes, digest, stretches_of
from foreshock.problems.problem import Problem, card
from foreshock.problems.splits import make_parts
from foreshock.reporting.model_card import model_card
from foreshock.reporting.run_data import read_model, read_outcome, read_problem
from foreshock.run import Document, Run, RunError
from foreshock.training.batches import PartCases
from foreshock.training.config import PRESETS, TrainConfig, option_name
from foreshock.training.ensemble import Plan, divide, fit_members
from foreshock.training.recorder import Member, draw_cases, draw_loss
from foreshock.training.tracking import Tracker
from foreshock.training.transfer import (
    Pretrained,
    adopt,
    called,
    check_unchanged,
    doubts,
    load_pretrained,
    origin,
)

logger = logging.getLogger(__name__)

_ANYWAY = 0.5
"""The threshold whose alarms are counted where none was asked for."""


def open_run(
    problem: Problem,
    config: TrainConfig,
    pretrained: Pretrained | None,
    folder: Path | None,
    source: str | None,
    *,
    resume: bool,
) -> Run:
    """Make the run's folder, or open the one to go on with after checking that it is this run."""
    settings = dataclasses.asdict(config)
    if resume and folder is not None and folder.exists() and not is_empty(folder):
        run = Run(folder)
        stored = decode(TrainConfig, run.read("config").get("config", {}), "config.json")
        config = dataclasses.replace(
            config, checkpoint_seconds=stored.checkpoint_seconds, log=stored.log
        )
        if stored != config:
            raise ValueError(
                f"the run in {folder} was started with {_differences(stored, config)}: leave that "
                "option out to resume, or start a new run."
            )
        if run.read("problem").get("digest") != digest(problem):
            raise ValueError(
                f"{problem.name} is not the problem that the run in {folder} was started on: "
                "its cases or parts have changed."
            )
        if not run.complete:
            check_unchanged(pretrained, run.read("problem").get("from"))
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
    parts: list[Part] = ["train"]
    chosen_by = config.valid is not None or config.fit.choice == "best-valid"
    if problem.count("valid") and (chosen_by or config.members == 1):  # or calibrated by
        parts.append("valid")
    found, begun = audit(problem), origin(pretrained, problem, config)
    for doubt in doubts(begun):
        logger.warning("%s: their score is no test.", doubt)
    documents: dict[Document, dict[str, Any]] = {
        "config": {"problem": source, "config": settings},
        "environment": environment(config.fit.precision, config.devices),
        "problem": {
            "digest": digest(problem),
            "card": dataclasses.asdict(card(problem)),
            "audit": dataclasses.asdict(found) | {"findings": found.findings() + doubts(begun)},
            "from": begun,
            "n_trained_on": sum(map(problem.count, parts)),
            "stretches": stretches_of(problem, parts),
            "trained_on": [
                case
                for cases in (PartCases(problem.X, problem.rows(part)) for part in parts)
                for case in case_hashes(cases.__getitem__, len(cases))
            ],
        },
    }
    if folder is not None:
        return Run.create(folder, documents)
    name = re.sub(r"[^\w.-]+", "_", problem.name).strip(".")[:80]  # a file gave it
    name = name.encode()[:200].decode(errors="ignore") or "run"
    number = 1
    while True:  # another process may take the same number in the meantime
        folder = Path("runs") / f"{name}-{number}"
        try:
            return Run.create(folder, documents)
        except OSError:
            if not folder.exists():
                raise
            number += 1


def environment(precision: Precision, devices: int) -> dict[str, Any]:
    """Return where and with what a training runs."""
    device = this_device().device
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "versions": versions(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": device.type,
        "devices": devices,
        "precision": resolve_precision(precision, device),
    }


def versions() -> tuple[str, ...]:
    """Return the versions of the software that trains."""
    return (
        f"foreshock {__version__}",
        f"Python {platform.python_version()}",
        f"torch {torch.__version__}",
        f"numpy {np.__version__}",
    )


def _differences(stored: TrainConfig, given: TrainConfig) -> str:
    """Return the first option in which two configurations differ, with both values."""
    old, new = flatten(dataclasses.asdict(stored)), flatten(dataclasses.asdict(given))
    name = next(name for name in old if old[name] != new[name])
    return f"--{option_name(name)} {old[name]}, not {new[name]}"


def assemble(
    problem: Problem, config: TrainConfig, plans: list[Plan], members: list[Member]
) -> Forecaster:
    """Make one forecaster of trained members, calibrated by cases that they were not trained on."""
    choices = list(dict.fromkeys(member.choice for member in members))
    choice = choices[0] if len(choices) == 1 else f"of each member: {'; '.join(choices)}"
    if len(members) > 1:
        choice = f"mean of {len(members)} members; {choice}"
    if config.from_run is not None:
        choice = f"{choice}; the convolutions began as those of {called(config.from_run)}"
    forecaster = Forecaster([member.model for member in members], _card(problem, members, choice))
    calibration = calibrate(
        [(m.logits, problem.y[plan.held]) for plan, m in zip(plans, members, strict=True)],
        "out of fold" if len(members) > 1 else "valid",
    )
    if calibration is None:
        return forecaster
    forecaster.card = replace(forecaster.card, calibration=calibration)
    if config.alarm.policy is not None:
        try:
            timelines = _timelines(problem, config, forecaster, plans, members)
            threshold = alarms.choose(timelines, config.alarm)
        except ValueError as error:  # it must not cost the model
            logger.warning("No threshold is chosen: %s", error)
        else:
            calibration = replace(calibration, threshold=threshold, policy=config.alarm.policy)
            forecaster.card = replace(forecaster.card, calibration=calibration)
    return forecaster


def finish(
    run: Run, problem: Problem, config: TrainConfig, plans: list[Plan], members: list[Member]
) -> None:
    """Write the model, read it back, and score the test part with what was read."""
    draft = assemble(problem, config, plans, members)
    fitted = fit_baselines(problem, problem.rows("train"))
    draft.card = replace(draft.card, activity=fitted.activity, baselines=dict(fitted.regressions))
    held_out, beside = _hold_out(run, problem, draft.card, plans, members)
    draft.save(run)
    forecaster = Forecaster.load(run)
    simplest = SUMMARY if held_out is None else held_out["scores"]["best"]
    scores, rest, more = _test(run, problem, config, forecaster, fitted, simplest)
    if beside or more:
        run.write_baselines(beside | more)
    best_step = members[0].best_step if len(members) == 1 else None
    draw_loss(run, problem.name, draft.card.choice, best_step=best_step)
    draw_cases(run, problem)
    document = {
        "part": None if scores is None else "test",
        "choice": draft.card.choice,
        "scores": scores,
        "held_out": held_out,
        **rest,
    }
    about = read_problem(run.read("problem")), read_model(run.read("model"))
    run.write_card(model_card(*about, read_outcome(document)))
    run.finish(document)


def _card(problem: Problem, members: list[Member], choice: str) -> ModelCard:
    """Return what a forecast has to know, all of it from the training cases."""
    training = problem.rows("train")
    counts = count_codes(problem.y[training], problem.n_classes)
    return ModelCard(
        model=members[0].model.config,
        n_timepoints=problem.n_timepoints,
        unequal=bool(problem.lengths[training].min() < problem.n_timepoints),
        classes=problem.classes,
        channels=problem.channels,
        majority=problem.classes[int(counts.argmax())],
        warned=tuple(problem.classes[k] for k in problem.warned),
        choice=choice,
        versions=versions(),
        members=len(members),
        prior=tuple((counts / counts.sum()).tolist()),
        rule=problem.rule,
        step=problem.step,
        source=None if problem.readings is None else problem.readings.source,
        offset=() if problem.offset is None else tuple(problem.offset.tolist()),
    )


def _hold_out(
    run: Run, problem: Problem, card: ModelCard, plans: list[Plan], members: list[Member]
) -> tuple[dict[str, Any] | None, Arrays]:
    """Estimate the model's score by cases that its members were not trained on."""
    calibration = card.calibration
    if calibration is None:
        return None, {}
    proba = np.concatenate(
        [np.exp(tempered(member.logits, calibration.temperature)) for member in members]
    ).astype(np.float32)
    held = np.concatenate([plan.held for plan in plans])
    beside = _beside(problem, plans)
    scores = _scores(problem, card, held, proba, beside)
    run.write_held_out(
        predictions_csv(
            PredictedCases(proba, None, None),
            problem.classes,
            cases=held,
            labels=[problem.classes[label] for label in problem.y[held]],
            members=np.repeat(np.arange(len(members)), [len(plan.held) for plan in plans]),
        )
    )
    return {"source": calibration.source, "scores": asdict(scores)}, _kept("held_out", beside)


def _beside(problem: Problem, plans: list[Plan]) -> dict[str, NDArray[np.float64]]:
    """Return what the baselines forecast for held-out cases, fitted without them."""
    found = [
        fit_baselines(problem, plan.rows).forecast(problem, plan.held, problem.channels)
        for plan in plans
    ]
    everywhere = [name for name in found[0] if all(name in each for each in found)]
    return {name: np.concatenate([each[name] for each in found]) for name in everywhere}


def _kept(of: str, given: dict[str, NDArray[np.float64]]) -> Arrays:
    """Name the probabilities that baselines gave, for the run's file."""
    return {f"{of}/{name}": proba.astype(np.float32) for name, proba in given.items()}


def _timelines(
    problem: Problem,
    config: TrainConfig,
    draft: Forecaster,
    plans: list[Plan],
    members: list[Member],
) -> list[Timeline]:
    """Return what to choose a threshold by: times, or else cases, that were not trained on."""
    if config.scan and problem.rule is not None:
        found = [
            backtest(problem, plan.left_out, _likely(draft.member(k), problem))
            for k, plan in enumerate(plans)
        ]
        if all(each is not None for each in found):
            return [each.timeline for each in found if each is not None]
    calibration = draft.card.calibration
    assert calibration is not None
    return [
        _cases(problem, plan, member, calibration)
        for plan, member in zip(plans, members, strict=True)
    ]


def _likely(forecaster: Forecaster, problem: Problem) -> Forecasts:
    readings = problem.readings
    assert readings is not None
    return lambda last: forecaster.scan(readings, last)[:, list(problem.warned)].sum(axis=1)


def _cases(problem: Problem, plan: Plan, member: Member, calibration: Calibration) -> Timeline:
    """Take cases for targets, each by itself."""
    each = np.exp(tempered(member.logits, calibration.temperature))
    proba = each[:, list(problem.warned)].sum(axis=1).astype(np.float32)
    targets = 2 * np.arange(len(plan.held))
    return Timeline(
        targets=targets,
        proba=proba,
        events=targets[np.isin(problem.y[plan.held], problem.warned)],
        stride=1,
        horizon=1,
        lead=0,
        step=None,
    )


def _test(
    run: Run,
    problem: Problem,
    config: TrainConfig,
    forecaster: Forecaster,
    fitted: Baselines,
    simplest: str | None,
) -> tuple[dict[str, Any] | None, dict[str, Any], Arrays]:
    """Score the test part, count the alarms in its time, explain some: the one place to see it."""
    test, card = problem.select("test"), forecaster.card
    if not len(test):
        return None, {"alarms": None, "occlusion": None}, {}
    predictions = forecaster.predictions(forecaster.series(problem, problem.rows("test")))
    labels = [problem.classes[label] for label in problem.y[test]]
    run.write_predictions(predictions_csv(predictions, problem.classes, cases=test, labels=labels))
    beside = fitted.forecast(problem, test, problem.channels)
    scores = asdict(_scores(problem, card, test, predictions.proba, beside))
    kept = _kept("test", beside)
    sets = predictions.sets()
    if sets is not None:
        scores["sets"] = {
            "coverage": 0.9,
            "covered": asdict(_covered(sets, problem, test)),
            "mean_size": float(sets.sum(axis=1).mean()),
            "empty": int((~sets.any(axis=1)).sum()),
        }
    found = None
    if problem.rule is not None and config.scan and problem.warned:
        past = backtest(problem, test, _likely(forecaster, problem))
        if past is not None:
            run.write_forecasts(past.arrays(problem))
            if len(past.timeline.targets):
                windows = as_cases(past, problem)
                simple = fitted.forecast(windows, np.arange(windows.n_cases), problem.channels)
                found = _count(problem, card, past, simple, simplest, config.episodes)
                kept |= _kept("targets", simple)
    explained = explain.explanations(forecaster, problem, test, predictions.proba)
    if explained:
        run.write_explanations(explained)
    held = explain.try_maps(forecaster, problem, test, config.seed)
    return scores, {"alarms": found, "occlusion": asdict(held)}, kept


def _covered(sets: NDArray[np.bool_], problem: Problem, cases: NDArray[np.int64]) -> Estimate:
    hits = sets[np.arange(len(cases)), problem.y[cases]]
    return share_by_blocks(hits, blocks_of(problem, cases))


def _count(
    problem: Problem,
    card: ModelCard,
    past: Backtest,
    simple: dict[str, NDArray[np.float64]],
    simplest: str | None,
    episodes: EpisodeConfig,
) -> dict[str, Any]:
    """Count the alarms of a stretch of time, and those of the best baseline."""
    calibration = card.calibration
    threshold, policy = _ANYWAY, "the default; --alarm.budget chooses one"
    if calibration is not None and calibration.threshold is not None:
        threshold, policy = calibration.threshold, calibration.policy or policy
    found = alarms.describe(past.timeline, threshold, policy, episodes)
    made = past.survey.usable
    if simplest in simple:
        inside = simple[simplest][~past.survey.outside[made]]
        proba = inside[:, list(problem.warned)].sum(axis=1).astype(np.float32)
        found["baseline"] = simplest
        found["baseline_curve"] = alarms.points(replace(past.timeline, proba=proba))
    return found | {
        "from": past.span[0],
        "until": past.span[1],
        "n_forecasts": int(made.sum()),
        "span_forecast": replace(past.timeline, targets=past.survey.targets[made]).watched(
            found["per"]
        ),
        "n_outside": int((made & past.survey.outside).sum()),
    }


def _scores(
    problem: Problem,
    card: ModelCard,
    cases: NDArray[np.int64],
    proba: NDArray[np.float32],
    beside: dict[str, NDArray[np.float64]],
) -> Scores:
    """Score predictions beside the baselines."""
    return score(
        problem.y[cases],
        proba,
        problem.classes,
        prior=np.array(card.prior),
        baselines=beside,
        blocks=blocks_of(problem, cases),
        rankings=rankings(problem, cases),
    )


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
        raise ValueError("--resume needs the run folder: give --run DIR.")
    pretrained = None
    try:
        pretrained = load_pretrained(config)
    except (RunError, ConnectionError):  # a run that is complete no longer needs it
        begun = resume and folder is not None and folder.is_dir() and not is_empty(folder)
        if not (begun and folder is not None and Run(folder).complete):
            raise
    config = adopt(config, problem, pretrained)
    problem, plans = _prepare(problem, config)
    tracker = Tracker(config.log if is_main_process() else ())
    run = None
    if is_main_process():  # before further processes start
        run = open_run(problem, config, pretrained, folder, source, resume=resume)
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
                    run,
                    problem,
                    config,
                    plans,
                    devices,
                    progress=progress,
                    tracker=tracker,
                    pretrained=pretrained,
                )
                if run is not None:
                    finish(run, problem, config, plans, members)
            devices.wait()
    except (KeyboardInterrupt, OSError) as error:
        if run is None or isinstance(error, BlockingIOError):
            raise
        command = ["foreshock", "train", source or "PROBLEM", "--run", str(run.folder), "--resume"]
        hint = f"continue with: {shlex.join(command)}"
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(hint) from None
        logger.error("After mending the cause, %s", hint)
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
    pretrained = load_pretrained(config)
    config = adopt(config, problem, pretrained)
    problem, plans = _prepare(problem, config)
    origin(pretrained, problem, config)  # refuses cases that are to judge but were seen
    members = fit_members(
        None,
        problem,
        config,
        plans,
        this_device(),
        weights=weights,
        deadline=deadline,
        start=start,
        pretrained=pretrained,
    )
    return assemble(problem, config, plans, members)


def _prepare(problem: Problem, config: TrainConfig) -> tuple[Problem, list[Plan]]:
    """Draw the parts that are asked for, divide the cases, and refuse what cannot be trained."""
    problem = make_parts(problem, test=config.test, valid=config.valid, seed=config.seed)
    _check_classes(problem)
    _check_alarm(problem, config)
    config.model.margins(problem.n_timepoints)  # refuses series that are too short
    plans = divide(problem, config)
    if plans[0].recipe.choice == "best-valid" and not problem.count("valid"):
        raise ValueError("choice best-valid needs a valid part: ask for one with --valid 0.2.")
    if config.alarm.budget is not None and not all(is_time(problem, p.left_out) for p in plans):
        raise ValueError(
            "--alarm.budget needs a problem cut from readings whose parts or folds are stretches of"
            " time: cut it with --parts.order time, or give --alarm.cost or --alarm.recall."
        )
    return problem, plans


def _check_classes(problem: Problem) -> None:
    if not problem.classes:
        raise ValueError(f"{problem.name} has no labels to learn.")
    counts = count_codes(problem.y[problem.rows("train")], problem.n_classes)
    missing = [name for name, n in zip(problem.classes, counts, strict=True) if n == 0]
    if not counts.sum():
        raise ValueError(f"{problem.name} has no train part.")
    if missing:
        raise ValueError(
            f"{problem.name} has cases of class {missing[0]!r}, but none of them in the train "
            "part. Leave these cases out, or move some to the train part."
        )
    if problem.n_classes < 2:
        raise ValueError(
            f"{problem.name} has only the class {problem.classes[0]!r}; a classifier needs two "
            "or more."
        )


def _check_alarm(problem: Problem, config: TrainConfig) -> None:
    """Refuse a threshold that there is nothing to choose by."""
    if config.alarm.policy is None:
        return
    if not problem.warned:
        raise ValueError(
            f"alarms need two classes or states to warn of (--rule.event-state of cut);"
            f" {problem.name} has {problem.n_classes}: leave the --alarm"
            " options out."
        )
    valid = problem.y[problem.rows("valid")]
    if config.members == 1 and not np.isin(valid, problem.warned).any():
        wanted = problem.classes[problem.warned[0]]
        raise ValueError(
            f"alarms need cases of class {wanted!r} that were not trained on: add --members 5, or"
            " make a valid part."
        )
    if config.alarm.budget is not None and not config.scan:
        raise ValueError("--alarm.budget cannot be used with --no-scan.")
