"""The learning-rate finder."""

import copy
import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from foreshock.learner import DivergedError, Fitting
from foreshock.nn.distributed import Devices
from foreshock.nn.predict import Cases
from foreshock.recipe import FitConfig


@dataclass(frozen=True)
class LearningRates:
    """What the learning-rate finder saw: a loss for each rate, and the rate it suggests."""

    rates: list[float]
    losses: list[float]
    suggestion: float


def find_learning_rate(
    model: nn.Module,
    X: Cases,
    y: NDArray[np.int64],
    config: FitConfig,
    *,
    seed: int,
    devices: Devices,
    n_steps: int = 100,
) -> LearningRates:
    """Raise the learning rate from 1e-6 to 1 over some steps and see where the loss is lowest.

    The range test of Smith 2017 (arXiv 1506.01186), on a copy of the model; losses are smoothed
    and the test ends when they have grown to four times their best. The suggestion is a tenth of
    the rate of the lowest smoothed loss.

    Parameters
    ----------
    model, X, y, config, seed, devices
        As in `learner.fit`; training cases only.
    n_steps : int, default=100
        Rates to try.
    """
    config = dataclasses.replace(config, choice="last", patience=None)  # there is no choice here
    fitting = Fitting(copy.deepcopy(model), X, y, config, seed=seed, devices=devices)
    fitting.model.train()
    rates, losses, mean = [], [], 0.0
    for step in range(n_steps):
        rate = 10 ** (-6 + 6 * step / (n_steps - 1))
        indices = fitting.batches(*divmod(step, fitting.n_batches))
        try:
            loss = fitting.train_step(indices, rate)
        except DivergedError:
            break
        fitting.step += 1
        mean = 0.9 * mean + 0.1 * loss
        smooth = mean / (1 - 0.9 ** (step + 1))
        rates.append(rate)
        losses.append(smooth)
        if smooth > 4 * min(losses):
            break
    if not rates:
        raise DivergedError("the first loss is not finite: look for extreme values in the series.")
    return LearningRates(rates, losses, max(rates[int(np.argmin(losses))] / 10, rates[0]))
