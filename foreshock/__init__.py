"""foreshock turns sensor readings into early warnings, and labelled series into classifiers.

>>> import foreshock
>>> run = foreshock.train(foreshock.load("GunPoint"))       # doctest: +SKIP
>>> forecaster = foreshock.Forecaster.load(run)             # doctest: +SKIP
>>> forecaster.predict_proba(X)                             # doctest: +SKIP
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"


def _compute_alone() -> None:
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    # The threads that compute stay behind when a process is forked, by gunicorn --preload say: a
    # child that shares work out among several waits for them for ever. One needs no others.
    os.register_at_fork(after_in_child=_compute_alone)

if TYPE_CHECKING:
    from foreshock.aeon_estimator import AeonLSTMFCNClassifier
    from foreshock.architecture import PAPER, ModelConfig
    from foreshock.benchmarking import benchmark
    from foreshock.cards import card
    from foreshock.catalogs import Catalog, read_catalog, to_readings, write_catalog
    from foreshock.dividing import PartsConfig
    from foreshock.estimator import LSTMFCNClassifier
    from foreshock.etas import EtasConfig, simulate
    from foreshock.evaluation import Evaluation, evaluate
    from foreshock.events import cut
    from foreshock.export import export_model
    from foreshock.forecasts import Forecast
    from foreshock.leaks import Audit, audit
    from foreshock.learner import DivergedError
    from foreshock.metrics import Scores, score
    from foreshock.models import LSTMFCN
    from foreshock.predict import Forecaster
    from foreshock.presets import PRESETS, TrainConfig
    from foreshock.problems import Problem, available, load, save
    from foreshock.readings import Readings
    from foreshock.recipe import FitConfig
    from foreshock.recordings import load_readings
    from foreshock.report import write_report
    from foreshock.rules import EventRule
    from foreshock.run import Run, RunError
    from foreshock.scoreboard import write_scoreboard
    from foreshock.sources import CatalogConfig, LogConfig, SourceConfig
    from foreshock.splits import make_parts
    from foreshock.training import train

_HOME = {
    "aeon_estimator": ["AeonLSTMFCNClassifier"],
    "benchmarking": ["benchmark"],
    "cards": ["card"],
    "catalogs": ["Catalog", "read_catalog", "to_readings", "write_catalog"],
    "dividing": ["PartsConfig"],
    "estimator": ["LSTMFCNClassifier"],
    "etas": ["EtasConfig", "simulate"],
    "events": ["cut"],
    "leaks": ["Audit", "audit"],
    "learner": ["DivergedError"],
    "metrics": ["Scores", "score"],
    "architecture": ["PAPER", "ModelConfig"],
    "models": ["LSTMFCN"],
    "evaluation": ["Evaluation", "evaluate"],
    "export": ["export_model"],
    "forecasts": ["Forecast"],
    "predict": ["Forecaster"],
    "presets": ["PRESETS", "TrainConfig"],
    "problems": ["Problem", "available", "load", "save"],
    "readings": ["Readings"],
    "recipe": ["FitConfig"],
    "recordings": ["load_readings"],
    "report": ["write_report"],
    "rules": ["EventRule"],
    "run": ["Run", "RunError"],
    "scoreboard": ["write_scoreboard"],
    "sources": ["CatalogConfig", "LogConfig", "SourceConfig"],
    "splits": ["make_parts"],
    "training": ["train"],
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "LSTMFCN",
    "PAPER",
    "PRESETS",
    "AeonLSTMFCNClassifier",
    "Audit",
    "Catalog",
    "CatalogConfig",
    "DivergedError",
    "EtasConfig",
    "Evaluation",
    "EventRule",
    "FitConfig",
    "Forecast",
    "Forecaster",
    "LSTMFCNClassifier",
    "LogConfig",
    "ModelConfig",
    "PartsConfig",
    "Problem",
    "Readings",
    "Run",
    "RunError",
    "Scores",
    "SourceConfig",
    "TrainConfig",
    "audit",
    "available",
    "benchmark",
    "card",
    "cut",
    "evaluate",
    "export_model",
    "load",
    "load_readings",
    "make_parts",
    "read_catalog",
    "save",
    "score",
    "simulate",
    "to_readings",
    "train",
    "write_catalog",
    "write_report",
    "write_scoreboard",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: torch takes more than a second."""
    if name not in _MODULE:
        raise AttributeError(f"module 'foreshock' has no attribute {name!r}")
    return getattr(import_module(f"foreshock.{_MODULE[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
