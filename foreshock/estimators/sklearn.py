"""LSTMFCNClassifier: the classifier as an estimator by scikit-learn's conventions."""

import contextlib
import dataclasses
import logging
import time
from contextlib import suppress
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_is_fitted, validate_data

from foreshock._arrays import (
    as_lists,
    as_numbers,
    is_masked,
    is_uneven,
    offset_for,
    padded,
    to_float32,
    unmasked,
)
from foreshock._text import alike, class_names, listed
from foreshock._time import parse_duration
from foreshock.inference.forecaster import Forecaster
from foreshock.problems import PARTS
from foreshock.problems.formats import unnamed_channels
from foreshock.problems.problem import Problem
from foreshock.training.config import PRESETS, TrainConfig
from foreshock.training.pipeline import learn

_USED = 0.95
"""Share of a time limit that training plans with: the rest is for what comes after."""


class Configured:
    """Parameters by path, `config__fit__epochs`, and the training that follows from them.

    A mixin: the estimator that it is mixed into has the methods that `super` calls.
    """

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
        """Return the parameters; `deep`, every field of the configuration by its path, too."""
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
                "preset has no effect if config is given: set config=None, or change fields of"
                " config."
            )
        super().set_params(**own)  # type: ignore[misc]
        if fields:
            changes = {name.removeprefix("config__"): value for name, value in fields.items()}
            self.config = _changed(self._configuration(), changes, "config")
        return self

    def _configuration(self) -> TrainConfig:
        """Return the configuration, by `config` or else by `preset`."""
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
                raise ValueError(f"estimators do not support config.{name}: {instead}.")
        if config.devices > 1:
            raise ValueError("estimators train in one process: set config.devices to 1.")
        if self.random_state is not None:
            config = dataclasses.replace(config, seed=seed_of(self.random_state))
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


def seed_of(random_state: int | np.random.RandomState) -> int:
    """Return the seed that a random state stands for; an integer is its own."""
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
    """Return each field of nested configurations by its path."""
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


logger = logging.getLogger(__name__)

_TRAIN, _VALID = PARTS.index("train"), PARTS.index("valid")


class LSTMFCNClassifier(Configured, ClassifierMixin, BaseEstimator):
    """Classify series with an LSTM-FCN, by scikit-learn's conventions.

    Parameters
    ----------
    preset : {"fast", "best", "paper"}, default="fast"
        What to train, where `config` is None; "best" is the calibrated mean of five.
    config : TrainConfig, optional
        What to train instead. Its fields are parameters as well, `config__fit__epochs` or
        `config__model__cells`, of the preset where it is None.
    random_state : int or RandomState, optional
        Seed of everything; by default that of the configuration, which is 0: the same data give
        the same model.
    time_limit : str or float, optional
        Time for a fit, such as "5min", "90s" or seconds. The learning rate's course is then made
        in the time there is, so that what comes out depends on the machine. The head in closed
        form is part of it, but fitted whole (`config__model__random_features=0` leaves it out).
    warm_start : bool, default=False
        Whether a further fit goes on from the weights of the one before. Views of the input stay;
        the shape of the series, the classes and `config.model` must.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    forecaster_ : Forecaster
        The trained model.
    n_features_in_ : int
        Number of timepoints, where X had two dimensions.
    feature_names_in_ : ndarray of str
        Names of the timepoints, where X was a data frame with such names.

    Examples
    --------
    >>> from foreshock import LSTMFCNClassifier
    >>> LSTMFCNClassifier(time_limit="5min").fit(X, y).predict(X)     # doctest: +SKIP
    """

    classes_: NDArray[Any]
    forecaster_: Forecaster

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        X_valid: Any = None,
        y_valid: ArrayLike | None = None,
    ) -> Self:
        """Train on labelled series.

        Parameters
        ----------
        X : array, data frame or list
            Series, NaN where there is no reading: (n_cases, n_timepoints), a row for each, or
            (n_cases, n_channels, n_timepoints), or a list of series (n_timepoints,) or
            (n_channels, n_timepoints) whose lengths may differ.
        y : array of shape (n_cases,)
            Their labels: text, numbers or truth values.
        sample_weight : array of shape (n_cases,), optional
            What the errors on each case count, for both heads; a case of weight 0 is left out.
        groups : array of shape (n_cases,), optional
            What each case belongs to. Cases of a group stay together where the members of an
            ensemble leave out a fold, and where `config.valid` draws a part.
        X_valid, y_valid : like X and y, optional
            The cases by whose loss the best epoch is chosen and stopped early, and which calibrate
            a single network.

        Raises
        ------
        ValueError
            What is given is no labelled series, or the configuration does not go with it.
        """
        if (X_valid is None) != (y_valid is None):
            raise ValueError("X_valid and y_valid go together: give both, or none.")
        series = series_for(self, X, reset=True)
        labels = _labels(y, series)
        weights = None if sample_weight is None else _weights(sample_weight, len(series))
        if groups is not None:
            if is_masked(groups):
                raise ValueError("groups is masked for some cases: give every case a group.")
            check_consistent_length(series, groups)
        if weights is not None:
            kept = weights > 0
            series, labels, weights = series[kept], labels[kept], weights[kept]
            groups = None if groups is None else np.asarray(groups)[kept]
        classes, codes = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"y has only one class, {classes[0]}: give cases of at least two classes."
            )
        previous = self.forecaster_ if self.warm_start and hasattr(self, "forecaster_") else None
        if previous is not None and not np.array_equal(classes, self.classes_):
            raise ValueError(
                "warm_start needs the same classes as before,"
                f" {listed([*map(str, self.classes_)])}, got {listed([*map(str, classes)])}."
            )
        valid = None
        if X_valid is not None:
            held = series_for(self, X_valid, reset=False)
            valid = held, _codes(_labels(y_valid, held), classes)
        problem = make_problem(series, codes, classes, groups=groups, valid=valid)
        self.forecaster_ = self._learn(problem, weights=weights, previous=previous)
        self.classes_ = classes
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Return class probabilities (n_cases, n_classes), in the order of `classes_`.

        X is as in `fit`, with its channels and, where those were all of one length, its
        timepoints; shorter series are welcome where the lengths differed.
        """
        check_is_fitted(self)
        return self.forecaster_.predict_proba(series_for(self, X, reset=False))

    def predict_log_proba(self, X: Any) -> NDArray[np.float32]:
        """Return the logarithms of `predict_proba`; of a probability of 0 it is minus infinity."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable label of each case, (n_cases,); X as in `predict_proba`."""
        proba = self.predict_proba(X)
        labels: NDArray[Any] = self.classes_[proba.argmax(axis=1)]
        return labels

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags


def series_for(estimator: BaseEstimator, X: Any, *, reset: bool) -> NDArray[np.floating[Any]]:
    """Make series (n_cases, n_channels, n_timepoints) of what users have; `reset` where it fits."""
    series = as_series(X)
    if series.ndim == 3:
        if reset:  # what scikit-learn calls features are the columns of two dimensions
            for name in ("n_features_in_", "feature_names_in_"):
                if hasattr(estimator, name):
                    delattr(estimator, name)
        return series
    try:
        validate_data(estimator, X, reset=reset, skip_check_array=True)
    except ValueError as error:
        raise ValueError(
            f"{error}\nA feature is a timepoint: give as many as in fit, with NaN for missing"
            " readings."
        ) from error
    return series[:, None]


def make_problem(
    X: NDArray[np.floating[Any]],
    y: NDArray[np.int64],
    classes: NDArray[Any],
    *,
    groups: ArrayLike | None = None,
    valid: tuple[NDArray[np.floating[Any]], NDArray[np.int64]] | None = None,
) -> Problem:
    """Make a problem of series (n_cases, n_channels, n_timepoints) and positions in `classes`.

    Cases of the valid part, if any, come last.
    """
    n_train, n_channels, n_timepoints = X.shape
    group = None if groups is None else np.asarray(groups).astype(np.str_)
    if valid is not None:
        X_valid, y_valid = valid
        if X_valid.shape[1] != n_channels or X_valid.shape[2] > n_timepoints:
            raise ValueError(
                f"X_valid has {X_valid.shape[1]} channels and up to {X_valid.shape[2]} timepoints,"
                f" X has {n_channels} and {n_timepoints}: they must match."
            )
        padding = ((0, 0), (0, 0), (0, n_timepoints - X_valid.shape[2]))
        X = np.concatenate([X, np.pad(X_valid, padding, constant_values=np.nan)])
        y = np.concatenate([y, y_valid])
        if group is not None:
            group = np.concatenate([group, np.full(len(y_valid), "")])
    part = np.full(len(X), _VALID, np.uint8)
    part[:n_train] = _TRAIN
    names = class_names(classes.tolist())
    if note := alike(names):
        logger.warning("%s.", note)
    return Problem(
        name="X",
        X=X,
        y=y.astype(np.int64),
        part=part,
        classes=names,
        channels=unnamed_channels(n_channels),
        group=group,
    )


def as_series(X: Any) -> NDArray[np.floating[Any]]:
    """Make an array of two or three dimensions; the shorter of a list end in NaN.

    So does what is masked become NaN.
    """
    X = unmasked(as_lists(X))
    if is_uneven(X):
        X = padded(X)
    elif isinstance(X, np.ndarray) and X.dtype.kind in "iu":
        X = as_numbers(X, "X")
    elif isinstance(X, np.ndarray) and X.dtype == object:
        with contextlib.suppress(ValueError):  # check_array says it as scikit-learn does
            X = as_numbers(X, "X")
    array: NDArray[np.floating[Any]] = check_array(
        X,
        dtype=[np.float64, np.float32],  # float32 as it is, all else with all its digits
        order="C",  # the layout of a frame must not change the last digits
        ensure_all_finite="allow-nan",
        allow_nd=True,
        input_name="X",
    )
    assert_all_finite(to_float32(array), allow_nan=True, input_name="X")
    if array.ndim > 3:
        raise ValueError(
            f"X has {array.ndim} dimensions, expected (n_cases, n_timepoints) or"
            " (n_cases, n_channels, n_timepoints)."
        )
    return array


def _labels(y: Any, series: NDArray[np.floating[Any]]) -> NDArray[Any]:
    if is_masked(y):
        raise ValueError("y is masked for some cases: leave them out.")
    labels: NDArray[Any] = column_or_1d(y, warn=True)
    assert_all_finite(labels, input_name="y")
    check_classification_targets(labels)
    check_consistent_length(series, labels)
    return labels


def _codes(labels: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.int64]:
    """Return the position of each label in `classes`, which are sorted."""
    unknown = labels[~np.isin(labels, classes)]
    if len(unknown):
        raise ValueError(f"y_valid contains class {unknown[0]}, which is not in y: leave it out.")
    codes: NDArray[np.int64] = np.searchsorted(classes, labels)
    return codes


def _weights(sample_weight: ArrayLike, n_cases: int) -> NDArray[np.float32]:
    if is_masked(sample_weight):
        raise ValueError("sample_weight is masked for some cases: give them 0.")
    weights = np.asarray(sample_weight, dtype=np.float32)
    if weights.shape != (n_cases,):
        raise ValueError(f"sample_weight must have the shape ({n_cases},), got {weights.shape}.")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("sample_weight must be finite numbers of at least 0.")
    if not weights.any():
        raise ValueError("sample_weight is zero for every case: give one a weight above 0.")
    return weights
