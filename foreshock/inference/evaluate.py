"""Scores of a saved model on labelled cases it has not seen."""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from foreshock._text import match_labels
from foreshock.events.blocks import blocks_of
from foreshock.events.cut import rankings
from foreshock.inference.forecaster import Forecaster
from foreshock.inference.outputs import ModelCard
from foreshock.metrics import ACTIVITY, AGE, BOOSTING, SUMMARY
from foreshock.metrics.scores import Scores, score
from foreshock.nn.distributed import own_settings
from foreshock.problems import Part
from foreshock.problems.fingerprints import count_known
from foreshock.problems.problem import Problem
from foreshock.problems.rule import EventRule
from foreshock.run import Run


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A saved model's scores on labelled cases."""

    scores: Scores
    """Scores beside those of the baselines."""

    part: Part | None
    """The part scored; None for all cases."""

    n_trained_on: int
    """How many of the cases the model was trained on, or chosen or calibrated by, or share readings
    with such; above 0 this is no test."""

    n_compared: int
    """Of how many: of more than a hundred thousand cases without readings some are compared."""

    choice: str
    """Which weights these are and by what rule they were chosen."""

    other_rule: tuple[str, ...] = ()
    """In what the rule by which the cases were cut differs from that of the training."""

    lacking: dict[str, str] = field(default_factory=dict)
    """Baselines of the training that the model is not compared with here, and why not."""


@own_settings()
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
        If there are no such cases, a label is none of the model's classes (whatever its form: 1 is
        1.0), or the series do not fit the model.
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
    known = forecaster.classes
    names = [problem.classes[k] for k in np.unique(problem.y[cases])]
    same = match_labels(names, known)
    strange = sorted(set(names) - set(same))
    if strange:
        raise ValueError(
            f"{problem.name} has cases of class {strange[0]!r}, which the model does not know; it"
            f" knows {', '.join(known)}."
        )
    index = np.array([known.index(same.get(name, known[0])) for name in problem.classes])
    X = forecaster.series(problem, cases)
    stored = run.read("problem")
    trained_on, compared = count_known(
        problem,
        cases,
        lambda some: forecaster.cases(forecaster.series(problem, cases[some])),
        stored,
    )
    beside = forecaster.card.fitted.forecast(problem, cases, forecaster.card.channels)
    scores = score(
        index[problem.y[cases]],
        forecaster.predict_proba(X),
        forecaster.classes,
        prior=np.array(forecaster.card.prior or _prior(forecaster.card, stored)),
        baselines=beside,
        blocks=blocks_of(problem, cases),
        rankings=rankings(problem, cases) if len(known) == 2 else None,
    )
    return Evaluation(
        scores=scores,
        part=part,
        n_trained_on=trained_on,
        n_compared=compared,
        choice=forecaster.card.choice,
        other_rule=_differences(forecaster.card.rule, problem.rule),
        lacking=_lacking(forecaster.card, set(beside)),
    )


_WHY = {
    ACTIVITY: "these cases are not cut from readings",
    AGE: "these cases are not of units",
    BOOSTING: "a run keeps only what it forecast in training, see foreshock report RUN",
}


def _lacking(card: ModelCard, given: set[str]) -> dict[str, str]:
    """Return which baselines of the training have no forecasts, and why."""
    fitted = set(card.baselines) | ({ACTIVITY} if card.activity is not None else set())
    if card.rule is not None and SUMMARY in fitted:
        fitted.add(BOOSTING)
    return {name: _WHY[name] for name in sorted(fitted - given)}


def _prior(card: ModelCard, stored: dict[str, Any]) -> list[float]:
    """Read the classes' shares from the card of the problem, for runs whose model has none."""
    counts = stored["card"]["parts"]["train"]["class_counts"]
    return [counts[name] / sum(counts.values()) for name in card.classes]


def _differences(trained: EventRule | None, cut: EventRule | None) -> tuple[str, ...]:
    if trained is None or cut is None:
        return ()
    pairs = ((f.name, getattr(trained, f.name), getattr(cut, f.name)) for f in fields(EventRule))
    return tuple(f"{name} {now}, not {then}" for name, then, now in pairs if now != then)
