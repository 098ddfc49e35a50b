"""Small trainings, each in the folder of its test."""

from collections.abc import Callable
from pathlib import Path

import pytest

from foreshock.problems.problem import Problem
from foreshock.run import Run
from foreshock.training.config import TrainConfig
from foreshock.training.pipeline import train


@pytest.fixture
def trained(
    tmp_path: Path,
    small_problem: Callable[..., Problem],
    small_config: Callable[..., TrainConfig],
) -> Callable[..., Run]:
    """Train on a problem, or on the small one, with fields of the configuration by name."""

    def start(
        problem: Problem | None = None, *, name: str = "run", resume: bool = False, **fields: object
    ) -> Run:
        problem, config = problem or small_problem(), small_config(**fields)
        return train(problem, config, folder=tmp_path / name, resume=resume)

    return start
