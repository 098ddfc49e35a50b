"""What several test modules use: a small problem and a small training."""

import csv
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from toys import without_pictures

from foreshock.nn.config import ModelConfig
from foreshock.problems.problem import Problem
from foreshock.run import Run
from foreshock.training.config import FitConfig, TrainConfig
from foreshock.training.pipeline import train

SHARED = [HealthCheck.function_scoped_fixture]  # a folder, say, that all examples of a test share
for profile, n in (("quick", 100), ("all", 1000)):
    settings.register_profile(profile, max_examples=n, deadline=None, suppress_health_check=SHARED)


LONGEST = (
    *("test_benchmark", "test_export", "test_app", "test_report", "test_resume", "test_scores"),
    *("test_questions", "test_notebooks", "test_sklearn", "test_tracking", "test_report_browser"),
    *("test_data", "test_docs", "test_figures", "test_site"),
)
"""The files that take longest, in that order: at the end, one would keep the other workers idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files; `--no-loadscope-reorder` keeps the order among workers."""
    rank = {name: k for k, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


def pytest_configure(config: pytest.Config) -> None:
    """Draw ten times as many examples where the slow tests run, too."""
    settings.load_profile("all" if config.option.markexpr == "slow or not slow" else "quick")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _no_wait_for_the_disk() -> Iterator[None]:
    """Write without waiting for the disk, which a training does 26 times, for 4 ms each.

    Only what a power cut leaves depends on it; the processes that tests start do wait.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)  # which still refuses what is no open file
        yield


@pytest.fixture(params=["077", "022", "002"])
def mode(request: pytest.FixtureRequest) -> Iterator[Callable[[Path], bool]]:
    """Set a umask, and tell whether a path and all that is in it have the permissions it gives."""
    umask = int(request.param, 8)
    before = os.umask(umask)
    yield lambda root: all(
        path.stat().st_mode & 0o777 == (0o777 if path.is_dir() else 0o666) & ~umask
        for path in (root, *root.rglob("*"))
    )
    os.umask(before)


@pytest.fixture
def notes(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What is logged, down to what is only noted."""
    caplog.set_level("INFO")
    return caplog


@pytest.fixture
def no_pictures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Train without drawing, which takes longer; a test that looks at a picture has `pictures`."""
    with nullcontext() if "pictures" in request.fixturenames else without_pictures():
        yield


@pytest.fixture
def pictures() -> None:
    """Draw, whatever the tests of the module do."""


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C raises, even where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def small_problem() -> Callable[..., Problem]:
    """Make a problem that is learnt in a second: 16 train cases, 8 test cases."""

    def make(
        n_channels: int = 1, n_timepoints: int = 32, n_classes: int = 2, **fields: object
    ) -> Problem:
        random = np.random.default_rng(1)
        y = np.arange(24) % n_classes
        X = random.normal(size=(24, n_channels, n_timepoints))
        X += np.sin(np.arange(n_timepoints) * (1 + y[:, None, None]) / 4)
        values: dict[str, object] = {
            "name": "small",
            "X": X.astype(np.float32),
            "y": y,
            "part": np.repeat([0, 2], [16, 8]).astype(np.uint8),
            "classes": tuple("abcdef"[:n_classes]),
            "channels": tuple(f"channel {i}" for i in range(n_channels)),
            **fields,
        }
        return Problem(**values)

    return make


@pytest.fixture(scope="session")
def small_config() -> Callable[..., TrainConfig]:
    """Make the configuration of a small training; options of `fit` by name, others as they are."""

    def make(
        fit: dict[str, object] | None = None,
        model: dict[str, object] | None = None,
        **fields: object,
    ) -> TrainConfig:
        sizes = {"filters": (16, 32, 16), "cells": 8, "random_features": 300, **(model or {})}
        steps = {"epochs": 3, "batch_size": 6, **(fit or {})}
        return TrainConfig(
            model=ModelConfig(**sizes),
            fit=FitConfig(**steps),
            **fields,
        )

    return make


@pytest.fixture(scope="session")
def small_run(
    tmp_path_factory: pytest.TempPathFactory,
    small_problem: Callable[..., Problem],
    small_config: Callable[..., TrainConfig],
) -> Run:
    """Train on the small problem; a test that changes the run copies it first."""
    return train(small_problem(), small_config(), folder=tmp_path_factory.mktemp("run") / "small")


@pytest.fixture
def copied(small_run: Run, tmp_path: Path) -> Run:
    """A copy of the small run, to be changed."""
    return Run(Path(shutil.copytree(small_run.folder, tmp_path / "copied")))


@pytest.fixture(scope="session")
def write_csv() -> Callable[..., Path]:
    """Write a problem of one channel as CSV, one row per case."""

    def write(path: Path, problem: Problem, *, labels: bool = True, parts: bool = True) -> Path:
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            known = ["label"] * labels + ["part"] * parts
            table.writerow([*known, *range(problem.n_timepoints)])
            for series, label, part in zip(problem.X, problem.y, problem.part, strict=True):
                row = [problem.classes[label]] * labels + [("train", "valid", "test")[part]] * parts
                table.writerow([*row, *series[0].tolist()])
        return path

    return write
