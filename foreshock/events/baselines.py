"""What a model stands beside: the simplest forecasts, and a simulation's truth.

A baseline is fitted on the training cases alone. Regressions are numbers, which stand in model.json
and forecast with numpy; of gradient boosting nothing is kept but what it forecast.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foreshock._arrays import sample
from foreshock.metrics import ACTIVITY, AGE, BOOSTING, LAST, SERIES, SUMMARY
from foreshock.problems.rule import Rule

if TYPE_CHECKING:  # a forecast needs the regressions only
    from foreshock.problems.problem import Problem
    from foreshock.readings.catalog import Catalog
    from foreshock.readings.etas import EtasConfig

logger = logging.getLogger(__name__)

_FITTED = 2**17
"""Most cases that a baseline is fitted on."""
_BOOSTED = 2**15
"""Most cases that gradient boosting is fitted on."""
_NUMBERS, _PRODUCTS = 2**14, 2**27
"""Most weights of a regression; most products of them with the cases it is fitted on."""
_VALUES = 2**20
"""Values of series that are summarised at a time."""
_FAR = 10.0
"""Standard deviations beyond which a value counts as so many."""
_KNOTS = 16
"""Knots of a curve, of all cases and of those of a class."""
_NEVER = -20.0
"""Log-odds of a class that no case it was fitted on has."""
STATISTICS = ("last", "mean", "min", "max", "deviation", "trend")
"""What the summary has of each channel; the values of a channel that has none are missing."""
_LEVELS = 4
"""Those of them, from the first, that an offset moves."""


@dataclass(frozen=True, kw_only=True)
class ActivityModel:
    """A logistic regression on how many readings are active: in a window, and at its end.

    It takes log(1 + count) of both.
    """

    intercept: float
    """Log-odds where nothing is active."""

    whole: float
    """Weight of the count in the window."""

    recent: float
    """Weight of the count in its last twentieth."""

    def proba(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the probability of an event (n,) from counts (n, 2), whole and recent."""
        whole, recent = np.log1p(counts).T
        logit = self.intercept + self.whole * whole + self.recent * recent
        out: NDArray[np.float64] = 1 / (1 + np.exp(-logit))
        return out

    def forecast(self, problem: "Problem", cases: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the probability of an event in the targets of some cases, (len(cases),)."""
        return self.proba(count_active(problem, cases))


@dataclass(frozen=True, kw_only=True)
class Regression:
    """A logistic regression on features of a case, of two classes or more.

    It takes each feature less its centre, over its scale, 0 where it is missing; then for some
    features whether they are missing. With knots it takes one feature and is linear between them.
    """

    centre: tuple[float, ...]
    """Mean of each feature, (n_features,)."""

    scale: tuple[float, ...]
    """Standard deviation of each, (n_features,)."""

    absent: tuple[int, ...] = ()
    """Features that may be missing."""

    knots: tuple[float, ...] = ()
    """Values of the one feature between which it is linear."""

    weights: tuple[tuple[float, ...], ...]
    """Weights of the inputs for each class, (n_classes, n_inputs)."""

    intercept: tuple[float, ...]
    """Log-odds of each class where all inputs are 0, (n_classes,)."""

    def proba(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return class probabilities (n, n_classes) from features (n, n_features)."""
        logits = self.inputs(features) @ np.array(self.weights).T + np.array(self.intercept)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        out: NDArray[np.float64] = odds / odds.sum(axis=1, keepdims=True)
        return out

    def inputs(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what is weighted, (n, n_inputs)."""
        if self.knots:
            hats = np.eye(len(self.knots))
            each = [np.interp(features[:, 0], self.knots, hat) for hat in hats]
            return np.stack(each, axis=1)
        scaled = np.clip((features - np.array(self.centre)) / np.array(self.scale), -_FAR, _FAR)
        missing = np.isnan(features[:, list(self.absent)])
        return np.concatenate([np.nan_to_num(scaled), missing], axis=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Baselines:
    """The fitted baselines of a problem."""

    activity: ActivityModel | None = None
    """On counts of active readings, of catalogues."""

    regressions: Mapping[str, Regression] = field(default_factory=dict)
    """On the last reading, the summary and the age, by name."""

    boosting: Any = None
    """Gradient boosting on the summary, while it is there: it is not saved."""

    def forecast(
        self, problem: "Problem", cases: NDArray[np.int64], channels: Sequence[str]
    ) -> dict[str, NDArray[np.float64]]:
        """Return the class probabilities of some cases, (len(cases), n_classes), by baseline.

        Without those for which the problem has nothing to go by.

        Parameters
        ----------
        problem, cases
            The problem, and positions of its cases.
        channels
            Names of the channels in the order of those that the baselines were fitted on.
        """
        found = {}
        if self.activity is not None and problem.rule is not None:
            likely = self.activity.forecast(problem, cases)
            found[ACTIVITY] = np.stack([1 - likely, likely], axis=1)
        ages = ages_of(problem, cases)
        if AGE in self.regressions and ages is not None:
            found[AGE] = self.regressions[AGE].proba(ages[:, None].astype(np.float64))
        summaries = {LAST, SUMMARY, SERIES} & set(self.regressions)
        if summaries or self.boosting is not None:
            features = summarise(problem, cases, channels)
            for name in sorted(summaries):
                size = len(self.regressions[name].centre)  # those of the last reading come first
                found[name] = self.regressions[name].proba(features[:, :size])
            if self.boosting is not None:
                found[BOOSTING] = _every_class(
                    self.boosting.predict_proba(features), self.boosting.classes_, problem.n_classes
                )
        return found


def fit_baselines(
    problem: "Problem", rows: slice | NDArray[np.int64], *, boosting: bool = True
) -> Baselines:
    """Fit the baselines that a problem has on some of its cases, training ones.

    Labelled series have the summary alone; problems that are cut from readings also the last
    reading and gradient boosting, the age where they have several units, and the counts where
    they are made of a catalogue. Of very many cases, some that lie evenly among them are taken.
    None is fitted where the cases are all of one class, or fewer than two of a class on average.
    """
    cases = _sampled(rows, _FITTED)
    y, K = problem.y[cases], problem.n_classes
    if not 2 <= len(np.unique(y)) <= len(y) // 2:
        return Baselines()
    kind = SERIES if problem.rule is None else SUMMARY
    size = problem.n_channels * (len(STATISTICS) + 1) * K
    if size > _NUMBERS:
        logger.info(
            "No %s to compare with: %s channels and %s classes make it too large.",
            kind,
            f"{problem.n_channels:,}",
            f"{K:,}",
        )
        return Baselines(activity=fit_activity(problem, rows))
    if len(cases) * size > _PRODUCTS:
        cases = cases[sample(len(cases), max(1, _PRODUCTS // size))]
        y = problem.y[cases]
    features = summarise(problem, cases, problem.channels)
    regressions = {kind: fit_regression(features, y, K)}
    if problem.rule is None:
        return Baselines(regressions=regressions)
    regressions[LAST] = fit_regression(features[:, : problem.n_channels], y, K)
    ages = ages_of(problem, cases)
    if ages is not None:
        regressions[AGE] = fit_curve(ages.astype(np.float64), y, K)
    some = sample(len(cases), _BOOSTED)
    return Baselines(
        activity=fit_activity(problem, rows),
        regressions=regressions,
        boosting=_boost(features[some], y[some]) if boosting else None,
    )


def fit_regression(
    features: NDArray[np.float64], y: NDArray[np.int64], n_classes: int
) -> Regression:
    """Fit a logistic regression on features (n, n_features), NaN where one is missing."""
    seen = ~np.isnan(features)
    n = np.maximum(seen.sum(axis=0), 1)
    centre = np.where(seen, features, 0).sum(axis=0) / n
    spread = np.sqrt((np.where(seen, features - centre, 0) ** 2).sum(axis=0) / n)
    varies = spread > 1e-9 * np.maximum(np.abs(centre), 1e-300)
    gaps = np.flatnonzero(
        ~seen.all(axis=0)
    )  # a channel's statistics are missing together: one says so
    _, first = np.unique(seen[:, gaps], axis=1, return_index=True)
    draft = Regression(
        centre=tuple(centre.tolist()),
        scale=tuple(np.where(varies, spread, 1.0).tolist()),
        absent=tuple(np.sort(gaps[first]).tolist()),
        weights=(),
        intercept=(),
    )
    return _fitted(draft, features, y, n_classes)


def fit_curve(values: NDArray[np.float64], y: NDArray[np.int64], n_classes: int) -> Regression:
    """Fit a regression on one feature (n,) that may rise and fall, linear between knots.

    Half of the knots are quantiles of all cases, half of those of each class but the commonest,
    where more happens.
    """
    common = np.bincount(y, minlength=n_classes).argmax()
    shares = np.linspace(0, 1, _KNOTS)
    knots = np.quantile(values, shares)
    for k in np.unique(y[y != common]):
        knots = np.append(knots, np.quantile(values[y == k], shares))
    draft = Regression(
        centre=(0.0,), scale=(1.0,), knots=tuple(np.unique(knots).tolist()), weights=(),
        intercept=(),
    )  # fmt: skip
    return _fitted(draft, values[:, None], y, n_classes)


def _fitted(
    draft: Regression, features: NDArray[np.float64], y: NDArray[np.int64], n_classes: int
) -> Regression:
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(max_iter=1000).fit(draft.inputs(features), y)
    weights, intercept = fitted.coef_, fitted.intercept_
    if len(fitted.classes_) == 2:
        weights, intercept = (np.concatenate([0 * each, each]) for each in (weights, intercept))
    every = np.zeros((n_classes, weights.shape[1]))
    every[fitted.classes_] = weights
    levels = np.full(n_classes, _NEVER)
    levels[fitted.classes_] = intercept
    return dataclasses.replace(
        draft, weights=tuple(map(tuple, every.tolist())), intercept=tuple(levels.tolist())
    )


def _boost(features: NDArray[np.float64], y: NDArray[np.int64]) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(random_state=0).fit(features, y)


def _every_class(
    proba: NDArray[np.float64], classes: NDArray[np.int64], n_classes: int
) -> NDArray[np.float64]:
    """Return probabilities (n, n_classes) from those of some of the classes."""
    every = np.zeros((len(proba), n_classes))
    every[:, classes] = proba
    return every


def _sampled(rows: slice | NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return the positions of rows, or of so many that lie evenly among them."""
    if isinstance(rows, slice):
        return np.asarray(rows.start + sample(rows.stop - rows.start, most))
    return rows[sample(len(rows), most)]


def summarise(
    problem: "Problem", cases: NDArray[np.int64], channels: Sequence[str]
) -> NDArray[np.float64]:
    """Return the summary of some cases, (len(cases), 6 n_channels): all channels' last values, ...

    Of the values that are there: the last, mean, least, greatest, their standard deviation, and the
    slope of a line through them; NaN where a channel has none. Levels are as they were measured,
    with the offset of the problem put back.

    Parameters
    ----------
    problem, cases
        The problem, and positions of its cases.
    channels
        Names of the channels in the order wanted; where the problem has others, its order stays.
    """
    order = list(range(problem.n_channels))
    if sorted(problem.channels) == sorted(channels):
        order = [problem.channels.index(name) for name in channels]
    found = np.empty((len(cases), len(STATISTICS) * problem.n_channels))
    size = max(1, _VALUES // (problem.n_channels * problem.n_timepoints))
    for start in range(0, len(cases), size):
        X = problem.X[cases[start : start + size]][:, order]
        found[start : start + len(X)] = _statistics(X.astype(np.float64))
    if problem.offset is not None:
        found[:, : _LEVELS * problem.n_channels] += np.tile(problem.offset[order], _LEVELS)
    return found


def _statistics(X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the statistics (n_cases, 6 n_channels) of series (n_cases, n_channels, any)."""
    seen = ~np.isnan(X)
    n = seen.sum(axis=2)  # (cases, channels)
    last = X.shape[2] - 1 - seen[:, :, ::-1].argmax(axis=2)
    time = np.arange(X.shape[2]) - X.shape[2] / 2
    whole = seen.all()
    some = np.maximum(n, 1)
    mean = (X if whole else np.where(seen, X, 0)).sum(axis=2) / some
    off = X - mean[:, :, None]
    if not whole:
        off = np.where(seen, off, 0)
    squares = np.einsum("nct,nct->nc", off, off)
    along = seen @ time
    spread = np.maximum(seen @ time**2 - along**2 / some, 1e-9)
    slope = np.where(n > 1, off @ time / spread, 0)
    parts = [
        np.take_along_axis(X, last[:, :, None], axis=2)[:, :, 0],
        mean,
        np.fmin.reduce(X, axis=2),
        np.fmax.reduce(X, axis=2),
        np.sqrt(squares / some),
        slope,
    ]
    return np.where(np.tile(n, len(parts)) > 0, np.concatenate(parts, axis=1), np.nan)


def fit_activity(problem: "Problem", rows: slice | NDArray[np.int64]) -> ActivityModel | None:
    """Fit the baseline on some cases of a problem that is cut from readings, training ones.

    None where these are all of one class, where the rule watches no channel of a catalogue, and
    where the counts are all the same. Of very many, some that lie evenly among them are taken.
    """
    from sklearn.linear_model import LogisticRegression

    if problem.rule is None or not problem.rule.counts_activity:
        return None
    cases = _sampled(rows, _FITTED)
    y = problem.y[cases]
    if problem.n_classes != 2 or len(np.unique(y)) < 2:
        return None
    counts = count_active(problem, cases)
    if (counts == counts[0]).all():
        return None
    fitted = LogisticRegression().fit(np.log1p(counts), y)
    whole, recent = fitted.coef_[0].tolist()
    return ActivityModel(intercept=float(fitted.intercept_[0]), whole=whole, recent=recent)


def units_of(problem: "Problem", cases: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return the number of the unit of some cases, (len(cases),); None where there is one."""
    return None if problem.unit is None else np.asarray(problem.unit[cases], np.int64)


def ages_of(problem: "Problem", cases: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return how many readings some cases' units have by the end of their windows, (len(cases),).

    None where there is one unit.
    """
    from foreshock.readings.series import Windows

    if problem.unit is None:
        return None
    assert isinstance(problem.X, Windows)
    return problem.X.ages(cases)


def windows_at(problem: "Problem", last: NDArray[np.int64]) -> "Problem":
    """Return the windows that end with the readings at some positions, as cases of the rule.

    Their classes are not known: all are the first.
    """
    from foreshock.readings.series import Windows

    readings, n = problem.readings, len(last)
    assert readings is not None
    unit = None if readings.units is None else readings.unit_at(last).astype(np.int32)
    ends = readings.times(last, unit)
    return dataclasses.replace(
        problem,
        X=Windows(readings, ends, problem.n_timepoints, unit, problem.channels),
        y=np.zeros(n, np.int64),
        part=np.zeros(n, np.uint8),
        ends=ends,
        fold=None,
        chance=None,
    )


def count_active(problem: "Problem", cases: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the active readings in the windows of some cases, (len(cases), 2).

    First those of the whole window, then those of its last twentieth.
    """
    rule = problem.rule
    assert rule is not None
    rule, channel = rule.less(problem.offset, problem.channels), rule.watched(problem.channels)
    assert channel is not None
    counts = np.empty((len(cases), 2), np.int64)
    for start in range(0, len(cases), 1024):
        some = cases[start : start + 1024]
        active = problem.X[some][:, channel] > np.float32(rule.active_above)
        counts[start : start + len(some), 0] = active.sum(axis=1)
        counts[start : start + len(some), 1] = active[:, -recent(rule) :].sum(axis=1)
    return counts


def recent(rule: Rule) -> int:
    """Return the length of a window's last twentieth."""
    return max(1, rule.window // 20)


def add_chance(problem: "Problem", catalog: "Catalog", config: "EtasConfig") -> "Problem":
    """Add the true probability of each case to a problem, where the simulation knows it.

    It is the probability, given all that happened before, of an event in the target; and 0 where
    the rule lets no positive be, because the quiet stretch before the target holds an event by the
    end of the window. No model can rank the cases better, but by chance, as far as the rule's
    choice among the others has nothing to do with what a window holds.

    Parameters
    ----------
    problem
        Cut from the readings of the catalogue.
    catalog, config
        What was simulated, and how.
    """
    from foreshock.readings.etas import probability

    rule, readings = problem.rule, problem.readings
    assert rule is not None and readings is not None and problem.ends is not None
    source = readings.source
    if rule.lead and rule.quiet:
        logger.warning("Where quiet reaches over a lead, true probabilities are not known.")
        return problem
    if rule.event_above is None or rule.channel != "maximum" or source is None:
        return problem  # the simulation knows of other events
    event_above = max(rule.event_above, source.catalog.min_magnitude)
    chance = probability(
        catalog,
        config,
        problem.ends + readings.step,
        step=readings.step,
        lead=rule.lead,
        horizon=rule.horizon,
        event_above=event_above,
    )
    events = np.flatnonzero(rule.occurs(readings))
    last = readings.positions(problem.ends)
    first = last + 1 - rule.quiet
    disturbed = np.searchsorted(events, last, side="right") > np.searchsorted(events, first)
    chance[disturbed & (first <= last)] = 0
    return dataclasses.replace(problem, chance=chance.astype(np.float32))
