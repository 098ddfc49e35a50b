"""A problem of noise, readings, and a model of which every weight matters, for many modules."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from foreshock.nn.model import LSTMFCN
from foreshock.problems.problem import Problem
from foreshock.problems.rule import EventRule, Rule, resolve
from foreshock.readings.series import Readings


def toy_problem(n_cases: int = 40, n_classes: int = 2, **fields: object) -> Problem:
    random = np.random.default_rng(0)
    values: dict[str, object] = {
        "name": "toy",
        "X": random.normal(size=(n_cases, 2, 8)).astype(np.float32),
        "y": np.arange(n_cases) % n_classes,
        "part": np.zeros(n_cases, np.uint8),
        "classes": tuple("abcdefgh"[:n_classes]),
        "channels": ("x", "z"),
        **fields,
    }
    return Problem(**values)


def hourly(values: np.ndarray, channels: tuple[str, ...] | None = None) -> Readings:
    """Make readings of every hour since 2001, of channels a, b and so on unless they have names."""
    return Readings(
        values=values,
        start=np.datetime64("2001-01-01"),
        step=np.timedelta64(1, "h"),
        channels=channels or tuple("abcdefgh"[: len(values)]),
    )


def quake_rule(**fields: object) -> Rule:
    """Return the rule of UCR Earthquakes with other values, for readings of any channel."""
    return replace(resolve(EventRule(), hourly(np.zeros((1, 1)), ("maximum",))), **QUAKES | fields)


QUAKES: dict[str, object] = {"channel": None, "inputs": ()}


def stir(model: LSTMFCN, seed: int = 9) -> LSTMFCN:
    """Set every weight and statistic to a value that matters: attention starts at zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            noise = torch.rand(tensor.shape, generator=generator)
            if name.endswith(("running_var", "deviation")):
                tensor.copy_(0.5 + noise)
            elif name == "summary.trees.feature" and model.summary is not None:
                tensor.copy_(noise * model.summary.n_features)
            elif name != "logit_scale":
                tensor.add_(0.4 * (noise - 0.5))
    return model


@contextmanager
def without_pictures() -> Iterator[None]:
    """Train as where matplotlib is not installed: drawing takes longer than a small training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib.figure", None)
        yield
