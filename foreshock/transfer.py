"""Begin with the convolutions of a model that was trained on another problem."""

import logging
from dataclasses import replace
from typing import Any

from foreshock.architecture import ModelConfig
from foreshock.fingerprints import count_known
from foreshock.models import LSTMFCN, restore
from foreshock.presets import TrainConfig
from foreshock.problems import Problem
from foreshock.run import Run

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


def adopt(config: TrainConfig, problem: Problem) -> TrainConfig:
    """Give the convolutions of a configuration the form of those that they begin with.

    Raises
    ------
    ValueError
        If those are of other channels, or another form was asked for.
    RunError, ConnectionError, ImportError
        If there is no such model.
    """
    if config.from_run is None:
        return config
    lender = lenders(config.from_run)[0]
    if lender.n_channels != problem.n_channels:
        raise ValueError(
            f"{problem.name} has {problem.n_channels} channels, {config.from_run} was trained on"
            f" {lender.n_channels}: its convolutions cannot be reused."
        )
    usual = ModelConfig()
    for name in _BRANCH:
        asked, there = getattr(config.model, name), getattr(lender.config, name)
        if asked not in (getattr(usual, name), there):
            raise ValueError(
                f"the convolutions of {config.from_run} have {name} {there}, not {asked}: leave"
                f" --model.{name.replace('_', '-')} out, or train anew."
            )
    form = {name: getattr(lender.config, name) for name in _BRANCH}
    return replace(config, model=replace(config.model, **form))


def lenders(name: str) -> list[LSTMFCN]:
    """Load the networks of a run, or of a model on the Hub."""
    run = Run.find(name)
    return restore(run, *run.read_model())


def lend(lender: LSTMFCN, model: LSTMFCN) -> None:
    """Begin a network with the convolutions of another."""
    model.blocks.load_state_dict(lender.blocks.state_dict())


def origin(config: TrainConfig, problem: Problem) -> dict[str, Any] | None:
    """Tell from which run a training begins, and how many of its test cases that has seen."""
    if config.from_run is None:
        return None
    run = Run.find(config.from_run)
    stored, test = run.read("problem"), problem.select("test")
    n_seen, n_compared = count_known(problem, test, lambda some: problem.X[test[some]], stored)
    about = stored["card"]
    logger.info(
        "the convolutions begin as those of %s, trained on %s", config.from_run, about["name"]
    )
    return {
        "run": config.from_run,
        "problem": about["name"],
        "sha256": run.read("model")["sha256"],
        "n_trained_on": n_seen,
        "n_compared": n_compared,
    }


def doubts(begun: dict[str, Any] | None) -> list[str]:
    """Say, of what `origin` gave, why a score may be no test."""
    if begun is None or not begun["n_trained_on"]:
        return []
    return [
        f"{begun['n_trained_on']:,} of {begun['n_compared']:,} test cases were trained on by"
        f" {begun['run']}, from which this training begins"
    ]
