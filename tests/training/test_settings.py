"""What the caller's code stands in changes nothing of what comes out."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import pytest
import torch

from foreshock.inference.explain import explain
from foreshock.inference.forecaster import Forecaster
from foreshock.problems.problem import Problem
from foreshock.run import Run
from foreshock.training.config import TrainConfig
from foreshock.training.pipeline import learn


@contextmanager
def default_dtype() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


SETTINGS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "default dtype float64": default_dtype,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "default device": lambda: torch.device("meta"),
    "numpy.seterr": lambda: np.errstate(all="raise"),
}


@pytest.mark.parametrize("lower", [torch.bfloat16, torch.float16])
def test_training_in_bf16_gives_what_it_gives_without_a_callers_autocast(
    small_problem: Callable[..., Problem],
    small_config: Callable[..., TrainConfig],
    lower: torch.dtype,
) -> None:
    problem, config = small_problem(n_channels=2), small_config({"precision": "bf16"})
    expected = learn(problem, config).predict_proba(problem.X)
    with torch.autocast("cpu", lower):
        found = learn(problem, config).predict_proba(problem.X)
    np.testing.assert_array_equal(found, expected)


@pytest.fixture(scope="module")
def usual(
    small_problem: Callable[..., Problem], small_config: Callable[..., TrainConfig]
) -> tuple[Problem, TrainConfig, Forecaster]:
    X = small_problem(n_channels=2).X.copy()
    X[3, 1, 4:9] = np.nan
    problem = small_problem(n_channels=2, X=X)
    model = {"attention": True, "squeeze_excite": True, "random_features": 200}
    config = small_config({"steps": 3, "focal": 1.0}, model, members=2)
    return problem, config, learn(problem, config)


@pytest.mark.parametrize("setting", SETTINGS)
def test_training_and_predicting_give_what_they_give_without(
    usual: tuple[Problem, TrainConfig, Forecaster], setting: str
) -> None:
    problem, config, expected = usual
    with SETTINGS[setting]():
        found = learn(problem, config)
        proba, explanation = found.predict_proba(problem.X), explain(found.members, problem.X)
    for ours, theirs in zip(found.members, expected.members, strict=True):
        for name, tensor in theirs.state_dict().items():
            assert ours.state_dict()[name].dtype == tensor.dtype
            torch.testing.assert_close(ours.state_dict()[name], tensor, rtol=0, atol=0)
    np.testing.assert_array_equal(proba, expected.predict_proba(problem.X))
    np.testing.assert_array_equal(explanation.maps, explain(expected.members, problem.X).maps)


def test_training_in_bf16_gives_the_same_within_autocast(
    small_problem: Callable[..., Problem], small_config: Callable[..., TrainConfig]
) -> None:
    problem, config = small_problem(), small_config({"steps": 4, "precision": "bf16"})
    expected = learn(problem, config).predict_proba(problem.X)
    with torch.autocast("cpu", torch.bfloat16):
        found = learn(problem, config).predict_proba(problem.X)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("setting", ["default dtype float64", "inference_mode", "autocast"])
def test_a_model_that_is_loaded_in_them_is_the_same(small_run: Run, setting: str) -> None:
    X = np.random.default_rng(0).normal(size=(5, 1, 32))
    with SETTINGS[setting]():
        found = Forecaster.load(small_run)
    np.testing.assert_array_equal(
        found.predict_proba(X), Forecaster.load(small_run).predict_proba(X)
    )
