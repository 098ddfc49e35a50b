"""From trained members to one forecaster, and to a complete run: calibrate, save, score once."""

import logging
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock._arrays import count_codes
from foreshock.ensembles import Member
from foreshock.events import alarms
from foreshock.events.alarms import Watch
from foreshock.events.backtest import Forecasts, Watched, by_activity, watch
from foreshock.events.baselines import fit_activity
from foreshock.events.cut import rankings
from foreshock.inference import explain
from foreshock.inference.forecaster import Forecaster
from foreshock.inference.outputs import ModelCard, Predictions, predictions_csv
from foreshock.metrics.calibration import Calibration, calibrate, tempered
from foreshock.metrics.intervals import Estimate, proportion
from foreshock.metrics.scores import score
from foreshock.presets import TrainConfig
from foreshock.problems.problem import Problem
from foreshock.recorder import draw_cases, draw_loss, versions
from foreshock.reporting.model_card import model_card
from foreshock.run import Run
from foreshock.transfer import called

logger = logging.getLogger(__name__)

_ANYWAY = 0.5
"""The threshold whose alarms are counted where none was asked for."""


def assemble(problem: Problem, config: TrainConfig, members: list[Member]) -> Forecaster:
    """Make one forecaster of trained members, calibrated by cases that they were not trained on."""
    choices = list(dict.fromkeys(member.choice for member in members))
    choice = choices[0] if len(choices) == 1 else f"of each member: {'; '.join(choices)}"
    if len(members) > 1:
        choice = f"mean of {len(members)} members; {choice}"
    if config.from_run is not None:
        choice = f"{choice}; the convolutions began as those of {called(config.from_run)}"
    forecaster = Forecaster([member.model for member in members], _card(problem, members, choice))
    calibration = calibrate(
        [(member.logits, problem.y[member.plan.held]) for member in members],
        "out of fold" if len(members) > 1 else "valid",
    )
    if calibration is None:
        return forecaster
    forecaster.card = replace(forecaster.card, calibration=calibration)
    if config.alarm.policy is not None:
        try:
            watches = _watches(problem, config, forecaster, members)
            threshold = alarms.choose(watches, config.alarm)
        except ValueError as error:  # it must not cost the model
            logger.warning("No threshold is chosen: %s", error)
        else:
            calibration = replace(calibration, threshold=threshold, policy=config.alarm.policy)
            forecaster.card = replace(forecaster.card, calibration=calibration)
    return forecaster


def finish(run: Run, problem: Problem, config: TrainConfig, members: list[Member]) -> None:
    """Write the model, read it back, and score the test part with what was read."""
    draft = assemble(problem, config, members)
    held_out = _hold_out(run, problem, draft.card, members)
    draft.save(run)
    forecaster = Forecaster.load(run)
    scores, rest = _test(run, problem, config, forecaster)
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
    run.write_card(model_card(run.read("problem"), run.read("model"), document))
    run.finish(document)


def _card(problem: Problem, members: list[Member], choice: str) -> ModelCard:
    """Say what a forecast has to know, all of it by the training cases."""
    training = problem.rows("train")
    counts = count_codes(problem.y[training], problem.n_classes)
    return ModelCard(
        model=members[0].model.config,
        n_timepoints=problem.n_timepoints,
        unequal=bool(problem.lengths[training].min() < problem.n_timepoints),
        classes=problem.classes,
        channels=problem.channels,
        majority=problem.classes[int(counts.argmax())],
        choice=choice,
        versions=versions(),
        members=len(members),
        prior=tuple((counts / counts.sum()).tolist()),
        activity=None if problem.rule is None else fit_activity(problem, training),
        rule=problem.rule,
        step=problem.step,
        source=None if problem.readings is None else problem.readings.source,
        offset=() if problem.offset is None else tuple(problem.offset.tolist()),
    )


def _hold_out(
    run: Run, problem: Problem, card: ModelCard, members: list[Member]
) -> dict[str, Any] | None:
    """Estimate the model's score by cases that its members were not trained on."""
    calibration = card.calibration
    if calibration is None:
        return None
    labels = [problem.y[member.plan.held] for member in members]
    proba = np.concatenate(
        [np.exp(tempered(member.logits, calibration.temperature)) for member in members]
    ).astype(np.float32)
    held, y = np.concatenate([member.plan.held for member in members]), np.concatenate(labels)
    scores = _scores(problem, card, held, y, proba, _by_activity(problem, members))
    run.write_held_out(
        predictions_csv(
            Predictions(proba, None, None),
            problem.classes,
            cases=held,
            labels=[problem.classes[label] for label in y],
            members=np.repeat(np.arange(len(members)), [len(each) for each in labels]),
        )
    )
    return {"source": calibration.source, "scores": scores}


def _by_activity(problem: Problem, members: list[Member]) -> NDArray[np.float64] | None:
    """Give what counts of active readings say of the cases held out, fitted without them."""
    if problem.rule is None:
        return None
    found = []
    for member in members:
        model = fit_activity(problem, member.plan.rows)
        if model is None:
            return None
        found.append(model.forecast(problem, member.plan.held))
    return np.concatenate(found)


def _watches(
    problem: Problem, config: TrainConfig, draft: Forecaster, members: list[Member]
) -> list[Watch]:
    """Give what to choose a threshold by: times, or else cases, that were not trained on."""
    if config.scan and problem.rule is not None:
        found = [
            watch(problem, member.plan.left_out, _likely(draft.member(k), problem))
            for k, member in enumerate(members)
        ]
        if all(each is not None for each in found):
            return [each.watch for each in found if each is not None]
    calibration = draft.card.calibration
    assert calibration is not None
    return [_cases(problem, member, calibration) for member in members]


def _likely(forecaster: Forecaster, problem: Problem) -> Forecasts:
    readings = problem.readings
    assert readings is not None
    return lambda last: forecaster.scan(readings, last)[:, -1]


def _cases(problem: Problem, member: Member, calibration: Calibration) -> Watch:
    """Take cases for targets, each by itself."""
    proba = np.exp(tempered(member.logits, calibration.temperature))[:, -1].astype(np.float32)
    targets = 2 * np.arange(len(member.plan.held))
    return Watch(
        targets=targets,
        proba=proba,
        events=targets[problem.y[member.plan.held] == problem.n_classes - 1],
        stride=1,
        horizon=1,
        lead=0,
        step=None,
    )


def _test(
    run: Run, problem: Problem, config: TrainConfig, forecaster: Forecaster
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Score the test part, count the alarms in its time, explain some: the one place to see it."""
    test, card = problem.select("test"), forecaster.card
    if not len(test):
        return None, {"alarms": None, "occlusion": None}
    predictions = forecaster.predictions(forecaster.series(problem, problem.rows("test")))
    labels = [problem.classes[label] for label in problem.y[test]]
    run.write_predictions(predictions_csv(predictions, problem.classes, cases=test, labels=labels))
    activity = None if card.activity is None else card.activity.forecast(problem, test)
    scores = _scores(problem, card, test, problem.y[test], predictions.proba, activity)
    sets = predictions.sets()
    if sets is not None:
        scores["sets"] = {
            "coverage": 0.9,
            "covered": asdict(_covered(sets, problem.y[test])),
            "mean_size": float(sets.sum(axis=1).mean()),
            "empty": int((~sets.any(axis=1)).sum()),
        }
    found = None
    if problem.rule is not None and config.scan:
        watched = watch(problem, test, _likely(forecaster, problem))
        if watched is not None:
            run.write_forecasts(watched.arrays(problem))
            found = _count(problem, card, watched) if len(watched.watch.targets) else None
    explained = explain.explanations(forecaster, problem, test, predictions.proba)
    if explained:
        run.write_explanations(explained)
    held = explain.try_maps(forecaster, problem, test, config.seed)
    return scores, {"alarms": found, "occlusion": asdict(held)}


def _covered(sets: NDArray[np.bool_], y: NDArray[np.int64]) -> Estimate:
    return proportion(int(sets[np.arange(len(y)), y].sum()), len(y))


def _count(problem: Problem, card: ModelCard, watched: Watched) -> dict[str, Any]:
    """Count the alarms of a stretch of time."""
    calibration = card.calibration
    threshold, policy = _ANYWAY, "none was asked for: one half"
    if calibration is not None and calibration.threshold is not None:
        threshold, policy = calibration.threshold, calibration.policy or policy
    found = alarms.describe(watched.watch, threshold, policy)
    if card.activity is not None:
        simple = by_activity(watched, problem, card.activity)
        found["activity_curve"] = alarms.points(simple)
    made = watched.survey.usable
    return found | {
        "from": watched.span[0],
        "until": watched.span[1],
        "n_forecasts": int(made.sum()),
        "years_forecast": replace(watched.watch, targets=watched.survey.targets[made]).years,
        "n_outside": int((made & watched.survey.outside).sum()),
    }


def _scores(
    problem: Problem,
    card: ModelCard,
    cases: NDArray[np.int64],
    y: NDArray[np.int64],
    proba: NDArray[np.float32],
    activity: NDArray[np.float64] | None,
) -> dict[str, Any]:
    """Score predictions beside the baselines."""
    scores = score(
        y,
        proba,
        problem.classes,
        prior=np.array(card.prior),
        activity=activity,
        rankings=rankings(problem, cases),
    )
    return asdict(scores)
