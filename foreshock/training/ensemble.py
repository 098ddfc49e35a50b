"""Train the members of an ensemble, one after the other, each without the fold it leaves out.

A model of one member is trained on the whole train part and leaves out none.
"""

import logging
import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from foreshock._arrays import balance, sample
from foreshock.inference.forecaster import predict_logits
from foreshock.nn.config import ModelConfig
from foreshock.nn.distributed import Devices, resolve_precision
from foreshock.nn.model import LSTMFCN
from foreshock.nn.random_convolutions import MOST_CASES, RandomBranch
from foreshock.problems import PARTS
from foreshock.problems.problem import Problem
from foreshock.problems.splits import member_folds, trained_by
from foreshock.readings.series import Windows
from foreshock.run import Run
from foreshock.training import loop
from foreshock.training.batches import PartCases, mix
from foreshock.training.config import Recipe, TrainConfig, resolve
from foreshock.training.loop import Fitting, find_learning_rate
from foreshock.training.recorder import (
    Member,
    Recorder,
    interruptible,
    keep_finding,
    read_finding,
    restored,
)
from foreshock.training.stacking import (
    MOST,
    fit_summary,
    gate,
    independent,
    inner_folds,
    judge,
    represented,
    summaries,
    thinned,
)
from foreshock.training.tracking import Tracker
from foreshock.training.transfer import Pretrained, lend

logger = logging.getLogger(__name__)

_HELD = 100_000
"""Most cases that a member predicts of those it left out."""
_OF_WINDOWS = (32, 64, 32)
"""Filters for windows of readings, by default: a step takes a third to a ninth of the time."""
_TREES = 64
"""Trees on the summary of windows, by default."""
_LONG = 2**19
"""Values of these from which on fitting takes so long that it is announced."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Which cases a member is trained on, and which it is then asked about."""

    rows: slice | NDArray[np.int64]
    """Positions of those it is trained on."""

    left_out: NDArray[np.int64]
    """Positions of those that it left out: its fold, or, of a single one, the valid part."""

    recipe: Recipe
    """How it is fitted to them."""

    @property
    def held(self) -> NDArray[np.int64]:
        """Those of them that it is asked about; of very many some that lie evenly among them."""
        return self.left_out[sample(len(self.left_out), _HELD)]


def divide(problem: Problem, config: TrainConfig) -> list[Plan]:
    """Divide the train part among the members, and resolve how each is fitted to its own.

    Raises
    ------
    ValueError
        It cannot be divided or fitted so.
    """
    parts: list[tuple[slice | NDArray[np.int64], NDArray[np.int64]]]
    if config.members == 1:
        parts = [(problem.rows("train"), problem.select("valid"))]
    else:
        fold = member_folds(problem, config.members, config.seed)
        train = problem.select("train")
        parts = [
            (trained_by(fold, train, k), np.flatnonzero(fold == k)) for k in range(config.members)
        ]
    plans = []
    for rows, left_out in parts:
        n_cases, asked = len(PartCases(problem.X, rows)), config.valid is not None
        if windows := problem.rule is not None:
            n_cases = min(n_cases, MOST)
        recipe = resolve(config.fit, n_cases, problem.n_classes, valid_asked=asked, windows=windows)
        plans.append(Plan(rows, left_out, recipe))
    return plans


def fit_members(
    run: Run | None,
    problem: Problem,
    config: TrainConfig,
    plans: list[Plan],
    devices: Devices,
    *,
    progress: bool | None = None,
    tracker: Tracker | None = None,
    weights: NDArray[np.float32] | None = None,
    deadline: float | None = None,
    start: Sequence[LSTMFCN] = (),
    pretrained: Pretrained | None = None,
) -> list[Member]:
    """Train all that is not trained yet; `run` is where rank 0 writes.

    Cases may have weights (n_cases,), training a time by which to end, of `time.monotonic`, and
    members networks, one for each, whose weights they go on from.
    """
    if start and len(start) != config.members:
        raise ValueError(
            f"start must have {config.members} networks, one for each member, got {len(start)}."
        )
    lent = [] if pretrained is None else pretrained.forecaster.members
    if config.find_lr:
        rate = devices.same(None if run is None else read_finding(run))
        if rate is None:
            cases = PartCases(problem.X, plans[0].rows)
            found = find_learning_rate(
                _untrained(problem, config, plans[0], 0, cases, start, lent),
                cases,
                problem.y[plans[0].rows],
                plans[0].recipe,
                seed=config.seed,
                devices=devices,
            )
            rate = found.suggestion
            if run is not None:
                keep_finding(run, found)
        plans = [replace(plan, recipe=replace(plan.recipe, learning_rate=rate)) for plan in plans]
    checkpoint = devices.same(None if run is None else run.read_checkpoint())
    members, snapshot = restored(checkpoint, lambda k: _network(problem, config, plans[k], k))
    first = len(members)
    if checkpoint is not None:
        step = 0 if snapshot is None else snapshot.values["step"]
        of = f" of member {first + 1}" * (config.members > 1)
        logger.info(
            "continuing %s",
            f"after batch {step:,}{of}" if first < config.members else "after the last batch",
        )
    valid = problem.rows("valid")
    validation = (PartCases(problem.X, valid), problem.y[valid]) if problem.count("valid") else None
    with ExitStack() as stack:
        recorder = None
        if run is not None or devices.world > 1:  # else there is no state to save: stop at once
            interrupted = stack.enter_context(interruptible())
        if run is not None:
            recorder = stack.enter_context(
                Recorder(
                    run,
                    0 if checkpoint is None else checkpoint.history,
                    config.checkpoint_seconds,
                    interrupted,
                    progress,
                    members,
                    config.members,
                    tracker or Tracker(()),
                )
            )
        for k in range(first, config.members):
            cases, y = PartCases(problem.X, plans[k].rows), problem.y[plans[k].rows]
            heavy = None if weights is None else weights[plans[k].rows]
            recipe = plans[k].recipe
            model = _untrained(problem, config, plans[k], k, cases, start, lent).to(devices.device)
            if run is not None and k == first:
                _announce(problem, model, recipe, devices, len(cases), config.members)
            began = time.monotonic()
            # before the network, so that what is left of the time is known
            random = _fit_random(model, cases, y, recipe, heavy, devices)
            lesson = _lesson(problem, model, plans[k], heavy)
            seconds = None
            if deadline is not None:  # an equal share of what is left
                share = (deadline - began) / (config.members - k)
                seconds = max(0.0, began + share - time.monotonic())
            fitting = loop.fit(
                model,
                PartCases(problem.X, lesson.rows),
                problem.y[lesson.rows],
                recipe,
                seed=_seed(config, k),
                devices=devices,
                valid=validation,
                callback=recorder,
                resume=snapshot,
                weights=lesson.weights,
                offset=lesson.offset,
                seconds=seconds,
            )
            if lesson.judges is not None:
                model.scale_head(_gate(problem, model, lesson.judges, devices))
            model.random = random
            snapshot = None
            members.append(_trained(fitting, problem, plans[k], devices))
            if recorder is not None:
                recorder.end_member(members[k])
    return members


def _trained(fitting: Fitting, problem: Problem, plan: Plan, devices: Devices) -> Member:
    """Return the member whose training has ended, with what it says of the cases it left out."""
    logits = np.empty((0, problem.n_classes), np.float32)
    if len(plan.held):
        logits = predict_logits(fitting.model, PartCases(problem.X, plan.held), devices)
    best = min(fitting.best_epoch * fitting.n_batches, fitting.step) or None
    return Member(fitting.model.cpu(), _choice(fitting), best, logits)


@dataclass(frozen=True, eq=False)
class _Judges:
    """Cases by which a network is believed or not."""

    rows: NDArray[np.int64]
    """Their positions."""

    offset: NDArray[np.float32]
    """What a regression that was not fitted to them says of them, (n_cases, n_classes)."""

    weights: NDArray[np.float32]
    """What each of them counts."""


@dataclass(frozen=True, eq=False)
class _Lesson:
    """What a network is trained on."""

    rows: slice | NDArray[np.int64]
    """Positions of the cases."""

    weights: NDArray[np.float32] | None
    """What each of them counts."""

    offset: NDArray[np.float32] | None = None
    """What regressions that were not fitted to them say of them, (n_cases, n_classes)."""

    judges: _Judges | None = None
    """What it leaves out; None without a summary, or where nothing can be left out."""


def _lesson(
    problem: Problem, model: LSTMFCN, plan: Plan, weights: NDArray[np.float32] | None
) -> _Lesson:
    """Fit the summary where there is one, and divide the cases into those to learn from and others.

    The network is judged by what its member leaves out; where that is nothing, by the last fold.
    """
    if model.summary is None:
        return _Lesson(plan.rows, weights)
    every = np.arange(problem.n_cases)[plan.rows]
    some = thinned(problem.y[every])
    each = represented(problem.y[every], some)
    if weights is not None:
        each = each * weights[some]
    rows = every[some]
    y, fold = problem.y[rows], inner_folds(problem, rows)
    trees = " and trees" * (model.summary.trees is not None)
    logger.info("fitting regressions%s on a summary of %s windows", trees, f"{len(rows):,}")
    found = fit_summary(model, PartCases(problem.X, rows), y, fold, each)
    logger.info(
        "the summary's regressions have C %.3g and %.3g, ranks count %.1f, trees %.1f",
        *found.penalties,
        found.ranks,
        found.trees,
    )
    if len(plan.left_out):
        asked = thinned(problem.y[plan.left_out])
        left = plan.left_out[asked]
        numbers = summaries(model, PartCases(problem.X, left))
        offset = model.summary.logits(numbers).cpu().numpy()
        counts = represented(problem.y[plan.left_out], asked)
        return _Lesson(rows, each, found.left_out, _Judges(left, offset, counts))
    last = judge(y, fold)
    if last is None:
        return _Lesson(rows, each, found.left_out)
    held, kept = fold == last, trained_by(fold, np.arange(len(rows)), last)
    judges = _Judges(rows[held], found.left_out[held], each[held])
    return _Lesson(rows[kept], each[kept], found.left_out[kept], judges)


def _gate(problem: Problem, model: LSTMFCN, judges: _Judges, devices: Devices) -> float:
    """Return how much of a trained network to believe."""
    assert model.summary is not None and problem.rule is not None
    cases, y = PartCases(problem.X, judges.rows), problem.y[judges.rows]
    beside = model.summary.logits(summaries(model, cases)).cpu().numpy()
    network = predict_logits(model, cases, devices) - beside
    worth = float(len(y))
    if isinstance(problem.X, Windows):
        worth = independent(problem.X.last(judges.rows), problem.rule.stretch)
    found = gate(judges.offset, network, y, judges.weights, worth)
    logger.info("weight of the network beside the summary: %.2f", found)
    return found


def _fit_random(
    model: LSTMFCN,
    cases: PartCases,
    y: NDArray[np.int64],
    recipe: Recipe,
    weights: NDArray[np.float32] | None,
    devices: Devices,
) -> RandomBranch | None:
    """Return the branch with a head in closed form, fitted to classes as balanced as the rest's."""
    if not model.config.random_features:
        return None
    of_class = balance(y) ** (recipe.class_weights + (recipe.sampling == "weighted"))
    some = sample(len(y), MOST_CASES)
    X, y = cases[some], y[some]
    if X.size > _LONG:
        logger.info("fitting random convolutions to %s cases", f"{len(some):,}")
    each = of_class[y]
    if weights is not None:
        each = each * weights[some]
    device = devices.device
    return model.fit_random(*(torch.from_numpy(a).to(device) for a in (X, y, each)))


def _untrained(
    problem: Problem,
    config: TrainConfig,
    plan: Plan,
    k: int,
    cases: PartCases,
    start: Sequence[LSTMFCN],
    lent: Sequence[LSTMFCN],
) -> LSTMFCN:
    """Return a network to train: new, with the convolutions of another, or to go on from."""
    model = _network(problem, config, plan, k)
    if not start:
        model.fit_views(cases)
        if lent:
            lend(lent[k % len(lent)], model)
        return model
    shapes = [(each.n_channels, each.n_timepoints, each.n_classes) for each in (start[k], model)]
    if start[k].config != model.config or shapes[0] != shapes[1]:
        raise ValueError(
            "start must have the configuration, channels, timepoints and classes of the network to"
            " train."
        )
    weights = start[k].state_dict().items()
    model.load_state_dict({n: w for n, w in weights if not n.startswith("random.")})
    return model


def _network(problem: Problem, config: TrainConfig, plan: Plan, k: int) -> LSTMFCN:
    return LSTMFCN(
        config.model if problem.rule is None else _for_windows(config.model, problem.n_timepoints),
        n_channels=problem.n_channels,
        n_timepoints=problem.n_timepoints,
        n_classes=problem.n_classes,
        logit_scale=0.5 if plan.recipe.loss == "bce" else 1.0,  # of two classes
        seed=_seed(config, k),
    )


def _seed(config: TrainConfig, k: int) -> int:
    return mix(config.seed, 2, k) if k else config.seed


def _choice(fitting: Fitting) -> str:
    """Return which weights are kept, and by what rule."""
    epochs = "1 epoch" if fitting.epoch == 1 else f"{fitting.epoch} epochs"
    if fitting.stopped:
        epochs += f" (stopped early, of {fitting.n_epochs})"
    elif fitting.step % fitting.n_batches:
        epochs += " (the last cut short)"
    if fitting.recipe.choice == "last" and fitting.step % fitting.n_batches:
        return f"weights after the last of {fitting.step:,} batches; none was picked by its score"
    if fitting.recipe.choice == "last":
        return f"weights after the last of {epochs}; none was picked by its score"
    judge = "the training cases" if fitting.recipe.choice == "best-train" else "the valid part"
    return f"weights after epoch {fitting.best_epoch} of {epochs}, the best loss on {judge}"


def _for_windows(model: ModelConfig, n_timepoints: int) -> ModelConfig:
    """Keep the level of windows, half of what they say, and let those that overlap share."""
    if model.random_features is None:
        model = replace(model, random_features=0)
    if model.filters is None:
        model = replace(model, filters=_OF_WINDOWS)
    if model.normalize == "auto":
        model = replace(model, normalize="train")
    if model.summary is None:
        model = replace(model, summary=True)
    if model.summary_trees is None:
        model = replace(model, summary_trees=_TREES)
    if model.padding == "auto":
        long = 2 * sum(model.reach) <= n_timepoints
        model = replace(model, padding="valid" if long else "same")
    return model


def _announce(
    problem: Problem,
    model: LSTMFCN,
    recipe: Recipe,
    devices: Devices,
    n_cases: int,
    n_members: int,
) -> None:
    """Log what will be trained on what."""
    cases = [f"{problem.count(part)} {part}" for part in PARTS]
    member = f"{n_members} members, each of them " * (n_members > 1)
    member += "M" * model.config.squeeze_excite + "A" * model.config.attention + "LSTM-FCN"
    size = sum(p.numel() for p in model.parameters())
    batches = math.ceil(n_cases / recipe.batch_size)
    epochs, rest = divmod(recipe.steps, batches)
    length = (
        f"{recipe.steps:,} batches, of {batches:,} in an epoch,"
        if rest
        else f"{epochs} {'epoch' if epochs == 1 else 'epochs'} of {batches} batches"
    )
    logger.info(
        "%s: %s cases; classes: %d, channels: %d, timepoints: %d",
        problem.name,
        ", ".join(each for each in cases if not each.startswith("0 ")),
        problem.n_classes,
        problem.n_channels,
        problem.n_timepoints,
    )
    logger.info(
        "%s, %s parameters: %s on the %s in %s",
        member,
        f"{size:,}",
        length,
        devices.device.type.upper(),
        resolve_precision(recipe.precision, devices.device),
    )
