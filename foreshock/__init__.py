"""foreshock turns sensor readings into early warnings, and labelled series into classifiers.

>>> import foreshock
>>> run = foreshock.train(foreshock.load("GunPoint"))       # doctest: +SKIP
>>> forecaster = foreshock.Forecaster.load(run)             # doctest: +SKIP
>>> forecaster.predict_proba(X)                             # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from foreshock.learner import DivergedError
    from foreshock.metrics import Scores, score
    from foreshock.models import LSTMFCN, PAPER, ModelConfig
    from foreshock.predict import Evaluation, Forecaster, evaluate
    from foreshock.problems import Problem, available, card, load, make_parts, save
    from foreshock.recipe import FitConfig
    from foreshock.run import Run, RunError
    from foreshock.training import PRESETS, TrainConfig, train

_HOME = {
    "learner": ["DivergedError"],
    "metrics": ["Scores", "score"],
    "models": ["LSTMFCN", "PAPER", "ModelConfig"],
    "predict": ["Evaluation", "Forecaster", "evaluate"],
    "problems": ["Problem", "available", "card", "load", "make_parts", "save"],
    "recipe": ["FitConfig"],
    "run": ["Run", "RunError"],
    "training": ["PRESETS", "TrainConfig", "train"],
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "LSTMFCN",
    "PAPER",
    "PRESETS",
    "DivergedError",
    "Evaluation",
    "FitConfig",
    "Forecaster",
    "ModelConfig",
    "Problem",
    "Run",
    "RunError",
    "Scores",
    "TrainConfig",
    "available",
    "card",
    "evaluate",
    "load",
    "make_parts",
    "save",
    "score",
    "train",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: torch takes more than a second."""
    if name not in _MODULE:
        raise AttributeError(f"module 'foreshock' has no attribute {name!r}")
    return getattr(import_module(f"foreshock.{_MODULE[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
