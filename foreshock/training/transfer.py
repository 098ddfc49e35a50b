"""Begin with the convolutions of a model that was trained on another problem."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock.inference.forecaster import Forecaster
from foreshock.nn.config import ModelConfig
from foreshock.nn.model import LSTMFCN
from foreshock.problems import Part
from foreshock.problems.fingerprints import count_known
from foreshock.problems.formats import unnamed_channels
from foreshock.problems.problem import Problem
from foreshock.run import Run, RunError
from foreshock.training.config import TrainConfig

logger = logging.getLogger(__name__)

_BRANCH = (
    "squeeze_excite",
    "filters",
    "kernels",
    "mixed",
    "dilations",
    "difference",
    "norm_eps",
)
"""The fields of a network's configuration that its convolutions depend on."""


@dataclass(frozen=True, eq=False)
class Pretrained:
    """The run that a training begins from."""

    name: str
    """As it was given."""

    run: Run
    """Its folder, or that of the Hub's cache."""

    forecaster: Forecaster
    """Its networks."""


def load_pretrained(config: TrainConfig) -> Pretrained | None:
    """Load the run that a training is to begin from, if any.

    Raises
    ------
    RunError, ConnectionError, ImportError
        If there is no such model.
    """
    if config.from_run is None:
        return None
    run = Run.find(config.from_run)
    return Pretrained(config.from_run, run, Forecaster.load(run))


def adopt(config: TrainConfig, problem: Problem, pretrained: Pretrained | None) -> TrainConfig:
    """Return the configuration with convolutions of the form of those that they begin with.

    Raises
    ------
    ValueError
        If those are of other channels, or another form was asked for.
    """
    if pretrained is None:
        return config
    lender = pretrained.forecaster.card
    theirs, unnamed = lender.channels, unnamed_channels(problem.n_channels)
    named = unnamed not in (theirs, problem.channels)
    if len(theirs) != problem.n_channels or (named and theirs != problem.channels):
        raise ValueError(
            f"{problem.name} has the channels {', '.join(problem.channels)}; {config.from_run} was"
            f" trained on {', '.join(theirs)}, in that order: its convolutions cannot be reused."
        )
    usual = ModelConfig()
    for name in _BRANCH:
        asked, there = getattr(config.model, name), getattr(lender.model, name)
        if asked not in (getattr(usual, name), there):
            raise ValueError(
                f"the convolutions of {config.from_run} have {name} {there}, not {asked}: leave"
                f" --model.{name.replace('_', '-')}, or the preset that sets it, out."
            )
    form = {name: getattr(lender.model, name) for name in _BRANCH}
    return replace(config, model=replace(config.model, **form))


def lend(lender: LSTMFCN, model: LSTMFCN) -> None:
    """Begin a network with the convolutions of another."""
    model.blocks.load_state_dict(lender.blocks.state_dict())


def called(name: str) -> str:
    """Return a run's name without the folders it lies in, which are private."""
    return Path(name).name if Path(name).exists() else name


def origin(
    pretrained: Pretrained | None, problem: Problem, config: TrainConfig
) -> dict[str, Any] | None:
    """Return from which run a training begins, and how many of its test cases that has seen.

    Raises
    ------
    ValueError
        If it has seen cases that are to judge what is trained before the test: a valid part, or
        those that members leave out.
    RunError
        If the run's problem.json is damaged.
    """
    if pretrained is None:
        return None
    name, card = pretrained.name, pretrained.forecaster.card
    stored, n_timepoints = pretrained.run.read("problem"), card.n_timepoints
    problem = problem.less(np.array(card.offset) if card.offset else None)  # as that run saw them
    judges: list[Part] = ["valid"] if problem.count("valid") else []
    judges += ["train"] if config.members > 1 else []
    try:
        for part in judges:
            n_seen, _ = _seen(problem, part, n_timepoints, stored)
            if n_seen:
                raise ValueError(
                    f"{name} was trained on {n_seen:,} cases of the {part} part, so their"
                    " scores would be too good: train one network without a valid part, or give"
                    " another run to --from."
                )
        n_seen, n_compared = _seen(problem, "test", n_timepoints, stored)
        about = str(stored["card"]["name"])
        known = {key: stored[key] for key in ("trained_on", "stretches", "from")}
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise RunError(f"the problem.json of {name} is damaged: {error!r}.") from error
    logger.info("the convolutions begin as those of %s, trained on %s", name, about)
    return {
        "run": called(name),
        "problem": about,
        "sha256": pretrained.run.read("model")["sha256"],
        "n_trained_on": n_seen,
        "n_compared": n_compared,
        **known,
    }


def check_unchanged(pretrained: Pretrained | None, begun: dict[str, Any] | None) -> None:
    """Refuse to go on with a training if the run that it began from is another now.

    Raises
    ------
    ValueError
        If it is.
    """
    if pretrained is None or begun is None:
        return
    if pretrained.run.read("model")["sha256"] != begun["sha256"]:
        raise ValueError(
            f"{pretrained.name} has changed since this training began with its convolutions: start"
            " a new run."
        )


def doubts(begun: dict[str, Any] | None) -> list[str]:
    """Return why, by what `origin` found, a score may be no test."""
    if begun is None or not begun["n_trained_on"]:
        return []
    return [
        f"{begun['n_trained_on']:,} of {begun['n_compared']:,} test cases were trained on by"
        f" {begun['run']}, from which this training begins"
    ]


def _seen(
    problem: Problem, part: Part, n_timepoints: int, stored: dict[str, Any]
) -> tuple[int, int]:
    """Count the cases of a part that a run has seen; longer ones than its it has not."""
    rows = problem.select(part)
    rows = rows[problem.lengths[rows] <= n_timepoints]

    def take(some: NDArray[np.int64]) -> NDArray[np.float32]:
        X = problem.X[rows[some]][:, :, :n_timepoints]
        ends = [(0, 0), (0, 0), (0, n_timepoints - X.shape[2])]
        return np.pad(X, ends, constant_values=np.nan)

    return count_known(problem, rows, take, stored)
