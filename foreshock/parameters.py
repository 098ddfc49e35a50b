"""What an estimator is asked for: parameters by path, and the training that follows from them."""

import dataclasses
import time
from contextlib import suppress
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from foreshock._arrays import offset_for
from foreshock._text import listed
from foreshock._time import parse_duration
from foreshock.inference.forecaster import Forecaster
from foreshock.problems.problem import Problem
from foreshock.training.config import PRESETS, TrainConfig
from foreshock.training.pipeline import learn

_USED = 0.95
"""Share of a time limit that training plans with: the rest is for what comes after."""


class Configured:
    """Parameters by path, `config__fit__epochs`, and the training that follows from them."""

    def __init__(
        self,
        preset: str = "fast",
        config: TrainConfig | None = None,
        random_state: int | np.random.RandomState | None = None,
        time_limit: str | float | None = None,
        warm_start: bool = False,
    ) -> None:
        self.preset = preset
        self.config = config
        self.random_state = random_state
        self.time_limit = time_limit
        self.warm_start = warm_start
        super().__init__()

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Give the parameters; `deep`, every field of the configuration by its path, too."""
        params: dict[str, Any] = super().get_params(deep=False)  # type: ignore[misc]
        if deep:
            with suppress(ValueError):  # what is wrong is said by fit
                params |= _paths("config", self._configuration())
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters, fields of the configuration by their path.

        Where `config` is None they are fields of the preset, which `config` then holds with the
        change.

        Raises
        ------
        ValueError
            A parameter is unknown, or refused; or `preset` is set where `config` has replaced it.
        """
        fields = {name: value for name, value in params.items() if name.startswith("config__")}
        own = {name: value for name, value in params.items() if name not in fields}
        if "config" not in own and self.config is not None and "preset" in own:
            raise ValueError(
                "preset says nothing where there is a config: set config=None with it, or fields of"
                " config instead."
            )
        super().set_params(**own)  # type: ignore[misc]
        if fields:
            changes = {name.removeprefix("config__"): value for name, value in fields.items()}
            self.config = _changed(self._configuration(), changes, "config")
        return self

    def _configuration(self) -> TrainConfig:
        """Give what is asked for, by `config` or else by `preset`."""
        if self.config is None:
            if self.preset not in list(PRESETS):
                names = listed([*PRESETS])
                raise ValueError(f"preset must be one of {names}, got {self.preset!r}.")
            return PRESETS[self.preset]
        if not isinstance(self.config, TrainConfig):
            raise ValueError(f"config must be a TrainConfig or None, got {self.config!r:.80}.")
        return self.config

    def _learn(
        self,
        problem: Problem,
        *,
        weights: NDArray[np.float32] | None = None,
        previous: Forecaster | None = None,
    ) -> Forecaster:
        """Train on a problem; with a forecaster, from its weights on."""
        began = time.monotonic()
        config = self._configuration()
        for name, instead in (
            ("test", "keep cases aside before fit"),
            ("log", "use foreshock.train"),
        ):
            if getattr(config, name):
                raise ValueError(f"an estimator has no use for config.{name}: {instead}.")
        if config.devices > 1:
            raise ValueError("an estimator trains in one process: set config.devices to 1.")
        if self.random_state is not None:
            config = dataclasses.replace(config, seed=_seed(self.random_state))
        if problem.count("valid") and config.fit.choice == "auto":
            fit = dataclasses.replace(config.fit, choice="best-valid")
            config = dataclasses.replace(config, fit=fit)
        deadline = None
        if self.time_limit is not None:
            deadline = began + _USED * _seconds(self.time_limit)
        if weights is not None:  # those of the valid part say nothing
            weights = np.pad(weights, (0, problem.n_cases - len(weights)), constant_values=1)
        if previous is not None:
            own, card = problem.offset, previous.card
            X = problem.X[:] if own is None else problem.X[:] + own[:, None]
            matters = card.model.scaling(problem.n_channels) != "series"
            problem = problem.less(offset_for(X, own, card.levels, level_matters=matters))
        start = () if previous is None else previous.members
        return learn(problem, config, weights=weights, deadline=deadline, start=start)


def _seed(random_state: int | np.random.RandomState) -> int:
    """Give the seed that a random state stands for; an integer is its own."""
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))


def _seconds(time_limit: str | float) -> float:
    if isinstance(time_limit, str):
        return float(parse_duration(time_limit) / np.timedelta64(1, "s"))
    if not time_limit > 0:
        raise ValueError(f"time_limit must be above 0 seconds, got {time_limit}.")
    return float(time_limit)


def _paths(path: str, config: Any) -> dict[str, Any]:
    """Give each field of nested configurations by its path."""
    out: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        out[f"{path}__{field.name}"] = value
        if dataclasses.is_dataclass(value):
            out |= _paths(f"{path}__{field.name}", value)
    return out


def _changed(config: Any, values: dict[str, Any], path: str) -> Any:
    """Change fields of nested configurations, all of a level at once: they are checked together."""
    own: dict[str, Any] = {}
    inner: dict[str, dict[str, Any]] = {}
    known = [field.name for field in dataclasses.fields(config)]
    for key, value in values.items():
        name, _, rest = key.partition("__")
        if name not in known or (rest and not dataclasses.is_dataclass(getattr(config, name))):
            raise ValueError(
                f"invalid parameter {path}__{key}: {path} has the fields {', '.join(known)}."
            )
        if rest:
            inner.setdefault(name, {})[rest] = value
        else:
            own[name] = value
    for name, changes in inner.items():
        start = own.get(name, getattr(config, name))
        own[name] = _changed(start, changes, f"{path}__{name}")
    return dataclasses.replace(config, **own)
