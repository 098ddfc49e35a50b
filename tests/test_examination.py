"""doctor: what it warns of, and what it lets pass."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from foreshock.examination import examine_machine, examine_problem
from foreshock.problems import Problem


def test_a_sound_problem_gives_no_trouble(small_problem: Callable[..., Problem]) -> None:
    random = np.random.default_rng(0)
    X = random.normal(size=(200, 2, 16)).astype(np.float32)
    part = np.repeat([0, 2], 100).astype(np.uint8)
    assert examine_problem(small_problem(2, X=X, y=np.arange(200) % 2, part=part)) == []


def test_each_trouble_is_named_with_what_to_do(small_problem: Callable[..., Problem]) -> None:
    random = np.random.default_rng(0)
    X = random.normal(size=(40, 2, 5001)).astype(np.float32)
    X[:, 1] = 3
    X[0, 0, 5] = np.nan
    problem = small_problem(2, n_classes=3, X=X, y=np.r_[np.arange(39) % 2, 2],
                            part=np.repeat([0, 2], [30, 10]).astype(np.uint8))  # fmt: skip
    text = "\n".join(examine_problem(problem))
    for trouble in (
        "the train part has fewer than 10 cases of 1 of 3 classes ('c' for one)",
        "the test part has cases of classes that train lacks ('c' for one)",
        "3% of the train part's cases have missing values",
        "channels that never vary: channel 1",
        "series of 5001 timepoints: training is slow",
        "only 30 train cases: expect scores that vary with the seed",
    ):
        assert trouble in text
    alone = small_problem(part=np.zeros(24, np.uint8))
    assert "there is no test part: make one with --test 0.25" in examine_problem(alone)


def test_a_rare_class_is_told(small_problem: Callable[..., Problem]) -> None:
    X = np.random.default_rng(0).normal(size=(1200, 1, 8)).astype(np.float32)
    y = (np.arange(1200) % 60 == 0).astype(np.int64)
    problem = small_problem(X=X, y=y, part=np.zeros(1200, np.uint8))
    assert "a class has 1.7% of the train part" in "\n".join(examine_problem(problem))


def test_the_machine_is_described(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = examine_machine()
    assert lines[0].startswith("foreshock ")
    assert "cores" in lines[1]
    monkeypatch.setenv("FORESHOCK_DATA", str(tmp_path / "none"))
    assert any(
        "none, which is no folder: correct or unset it" in line for line in examine_machine()
    )


def test_a_missing_extra_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    missing = ("pyarrow", "mlflow")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in missing else find(name)
    )
    lines = examine_machine()
    assert "without pyarrow: pip install 'foreshock[tables]' brings them" in lines
    assert "without mlflow: pip install 'foreshock[tracking]' brings them" in lines
    assert any("bf16" in line or "float32" in line for line in lines)
