"""How far a score of few cases may lie from the true one: 95 % intervals, and tests of differences.

Proportions have Wilson's interval, the mean of several the one that is put together of theirs, the
AUROC DeLong's, all else a bootstrap. All of them treat cases as independent of each other, unless
blocks are given: cases of a block share readings, a time or a machine, and are drawn together.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock._text import number

LEVEL = 0.95
"""Share of the intervals that hold the true value."""
FEWEST = 10
"""Fewest cases of each class by which two rankings are tested."""
_FEWEST_BLOCKS = 5
"""Fewest blocks with cases of each class by which two rankings are tested."""
_MOST_BLOCKS, _MOST_LEVELS = 256, 4096
"""Of more blocks, neighbours are joined; of more levels of a ranking, too."""
_RESAMPLES, _SUBSETS = 1000, 10
_MOST, _VALUES = 2**14, 2**18


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval."""

    value: float
    """What was measured."""

    low: float | None = None
    """Where the interval begins; None where there are too few cases for one."""

    high: float | None = None
    """Where it ends."""


def span(estimate: Estimate | None, digits: int = 3) -> str:
    """Write the interval of an estimate, if it has one that is wider than a point."""
    if estimate is None or estimate.low is None or estimate.high in (None, estimate.low):
        return ""
    return f"{number(estimate.low, digits)} to {number(estimate.high, digits)}"


def percent_span(estimate: Estimate | None) -> str:
    """Write the interval of a share, if it has one."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    return f"95\N{NO-BREAK SPACE}% interval {estimate.low:.1%} to {estimate.high:.1%}"


def interval_text(estimate: Estimate, digits: int = 3) -> str:
    """Write an estimate: 0.763 (0.686 to 0.826)."""
    text = f"{estimate.value:.{digits}f}"
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"


def proportion(hits: int, n: int) -> Estimate:
    """Estimate a proportion: Wilson's interval (1927)."""
    from scipy.stats import binomtest

    interval = binomtest(hits, n).proportion_ci(LEVEL, method="wilson")
    return Estimate(hits / n, float(interval.low), float(interval.high))


def mean_proportion(hits: NDArray[np.int64], n: NDArray[np.int64]) -> Estimate:
    """Estimate the mean of independent proportions from their Wilson intervals.

    How far each reaches down, and up, is added in squares (Zou and Donner 2008).
    """
    each = [proportion(int(h), int(m)) for h, m in zip(hits, n, strict=True)]
    value = float(np.mean([e.value for e in each]))
    down = np.array([e.value - (e.low or 0.0) for e in each])
    up = np.array([(e.high or 0.0) - e.value for e in each])
    reach = [float(np.sqrt((side**2).sum()) / len(each)) for side in (down, up)]
    return Estimate(value, max(0.0, value - reach[0]), min(1.0, value + reach[1]))


def auroc(y: NDArray[np.bool_], ranking: NDArray[np.floating]) -> Estimate:
    """Estimate the area under the ROC curve, averaged over the columns of a ranking.

    Parameters
    ----------
    y : ndarray of shape (n_cases, n_rankings)
        Whether each case is one of those that a ranking should put first.
    ranking : ndarray of shape (n_cases, n_rankings)
        Higher for those.

    Returns
    -------
    Estimate
        Without an interval where a ranking has less than two cases of either kind.

    Notes
    -----
    DeLong, DeLong and Clarke-Pearson 1988, by ranks as in Sun and Xu 2014; for the mean of several
    rankings of the same cases, what a case does to each is added up before it is squared. On the
    logit scale an interval stays within 0 and 1 (Pepe 2003). Where all is ranked apart there is no
    variance to go by: the interval then reaches to the rule of three's bound.
    """
    from scipy.stats import norm

    areas, shifts = _placements(y, ranking)
    value = float(areas.mean())
    smaller = np.minimum(y.sum(axis=0), (~y).sum(axis=0))
    if smaller.min() < 2:
        return Estimate(value)
    if not 0 < value < 1:
        far = float(np.where(smaller > 3, 1 - 3 / smaller, 0.0).mean())
        return Estimate(value, far, 1.0) if value == 1 else Estimate(value, 0.0, 1 - far)
    error = float(np.sqrt((shifts.mean(axis=1) ** 2).sum()))
    return _on_logits(value, float(norm.ppf(0.5 + LEVEL / 2)) * error)


def _on_logits(value: float, reach: float) -> Estimate:
    """Return a share between 0 and 1 with an interval that reaches so far, on the logit scale."""
    logit, reach = np.log(value / (1 - value)), reach / (value * (1 - value))
    low, high = 1 / (1 + np.exp(-np.clip(logit + np.array([-reach, reach]), -700, 700)))
    return Estimate(value, float(low), float(high))


def compare_auroc(
    y: NDArray[np.int64], first: NDArray[np.floating], second: NDArray[np.floating]
) -> tuple[Estimate, float | None]:
    """Compare two rankings of the same cases by their AUROC (DeLong's paired test).

    Parameters
    ----------
    y : ndarray of shape (n_cases,)
        0 or 1.
    first, second : ndarray of shape (n_cases,)
        Higher for 1.

    Returns
    -------
    Estimate
        How much larger the first's is.
    float or None
        The two-sided p-value; None where there are less than ten cases of a class, of which the
        test finds differences too often.
    """
    from scipy.stats import norm

    pair = np.stack([first, second], axis=1).astype(np.float64)
    truth = np.stack([y == 1] * 2, axis=1)
    areas, shifts = _placements(truth, pair)
    difference = float(areas[0] - areas[1])
    if min((y == 1).sum(), (y != 1).sum()) < 2:
        return Estimate(difference), None
    error = float(np.sqrt(((shifts[:, 0] - shifts[:, 1]) ** 2).sum()))
    reach = float(norm.ppf(0.5 + LEVEL / 2)) * error
    interval = Estimate(difference, max(-1.0, difference - reach), min(1.0, difference + reach))
    if min((y == 1).sum(), (y != 1).sum()) < FEWEST:
        return interval, None
    if not error:
        return interval, 1.0 if not difference else 0.0
    return interval, float(2 * norm.sf(abs(difference) / error))


def _placements(
    y: NDArray[np.bool_], ranking: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the AUROC of each column, and what each case adds to its error (n_cases, n_rankings).

    The squares of the latter add up to DeLong's variance.
    """
    from scipy.stats import rankdata

    areas, shifts = np.empty(y.shape[1]), np.empty(y.shape)
    for k in range(y.shape[1]):
        positive, negative = ranking[y[:, k], k], ranking[~y[:, k], k]
        m, n = len(positive), len(negative)
        together = rankdata(np.concatenate([positive, negative]))
        above = (together[:m] - rankdata(positive)) / n  # for each positive, negatives below it
        below = 1 - (together[m:] - rankdata(negative)) / m
        areas[k] = above.mean()
        shifts[y[:, k], k] = (above - areas[k]) / np.sqrt(m * max(1, m - 1))
        shifts[~y[:, k], k] = (below - areas[k]) / np.sqrt(n * max(1, n - 1))
    return areas, shifts


def ranked_by_chance(y: NDArray[np.bool_], ranking: NDArray[np.floating]) -> float:
    """Return the two-sided p-value of the Mann-Whitney test that a ranking tells nothing of y.

    Parameters
    ----------
    y, ranking : ndarray of shape (n_cases,)
        At least one case of either kind.
    """
    from scipy.stats import mannwhitneyu

    if (ranking == ranking[0]).all():
        return 1.0
    return float(mannwhitneyu(ranking[y], ranking[~y]).pvalue)


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the two-sided p-value of McNemar's exact test that two are right equally often.

    Parameters
    ----------
    first, second : ndarray of shape (n_cases,)
        Whether each was right on each case.
    """
    from scipy.stats import binomtest

    won, lost = int((first & ~second).sum()), int((second & ~first).sum())
    return float(binomtest(won, won + lost).pvalue) if won + lost else 1.0


@dataclass(frozen=True)
class Difference:
    """A difference, and whether it may be chance."""

    difference: Estimate
    """How much larger the first's score is."""

    p: float | None
    """The two-sided p-value; None where there are too few cases or blocks for one."""


def number_blocks(blocks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of blocks from 0, (n_cases,); of very many, neighbours become one."""
    names, numbers = np.unique(blocks, return_inverse=True)
    if len(names) > _MOST_BLOCKS:
        numbers = numbers * _MOST_BLOCKS // len(names)
    return np.asarray(numbers, np.int64)


class BlockRanking:
    """A ranking of cases of two classes, for many weightings of the blocks that they lie in.

    Parameters
    ----------
    y : ndarray of shape (n_cases,)
        Whether each case is one of those that the ranking should put first.
    ranking : ndarray of shape (n_cases,)
        Higher for those.
    blocks : ndarray of shape (n_cases,)
        Block of each case, from 0.

    Notes
    -----
    The cases are counted by block and level of the ranking. Cases of the other class between two
    levels that hold one of the first are a level, which changes neither score. Above some four
    thousand levels neighbours are joined, as if they were tied.
    """

    def __init__(
        self, y: NDArray[np.bool_], ranking: NDArray[np.floating], blocks: NDArray[np.int64]
    ) -> None:
        _, falling = np.unique(-ranking, return_inverse=True)
        holds = np.bincount(falling, y) > 0
        level = np.cumsum(holds | np.insert(holds[:-1], 0, True)) - 1
        size = int(level[-1]) + 1
        if size > _MOST_LEVELS:
            level, size = level * _MOST_LEVELS // size, _MOST_LEVELS
        n_blocks = int(blocks.max()) + 1
        cell = blocks * size + level[falling]
        count = np.bincount(cell, minlength=n_blocks * size)
        first = np.bincount(cell, y, minlength=n_blocks * size)
        self.first = first.reshape(n_blocks, size)
        self.rest = count.reshape(n_blocks, size) - self.first
        self.n_blocks = min(int((of.sum(axis=1) > 0).sum()) for of in (self.first, self.rest))

    def scores(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """Return AUROC and average precision, (2, n_weightings), NaN where a class has no case.

        Weights are (n_weightings, n_blocks).
        """
        found = []
        size = max(1, _VALUES * 4 // self.first.shape[1])
        for start in range(0, len(weights), size):
            some = weights[start : start + size].astype(np.float64)
            first, rest = some @ self.first, some @ self.rest  # (weightings, levels)
            above, others = np.cumsum(first, axis=1), np.cumsum(rest, axis=1)
            seen = above + others
            with np.errstate(invalid="ignore", divide="ignore"):
                below = others[:, -1:] - others + rest / 2
                area = (first * below).sum(axis=1) / (above[:, -1] * others[:, -1])
                precision = (np.where(seen > 0, above / seen, 0) * first).sum(axis=1)
                found.append(np.stack([area, precision / above[:, -1]]))
        return np.concatenate(found, axis=1)


def draw_blocks(n_blocks: int, seed: int) -> NDArray[np.int64]:
    """Draw blocks with replacement, a thousand times: how often each, (n_draws, n_blocks)."""
    random = np.random.default_rng(seed)
    return random.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=_RESAMPLES)


def auroc_by_blocks(
    y: NDArray[np.bool_], ranking: NDArray[np.floating], blocks: NDArray[np.int64], seed: int = 0
) -> tuple[Estimate, float | None]:
    """Estimate the area under the ROC curve where cases are alike within blocks.

    Parameters
    ----------
    y, ranking : ndarray of shape (n_cases, n_rankings)
        As of `auroc`.
    blocks : ndarray of shape (n_cases,)
        Block of each case.
    seed : int
        Seed of the draws.

    Returns
    -------
    Estimate
        On the logit scale, its standard error from draws of whole blocks. DeLong's, as if cases
        were independent, where less than five blocks have cases of a class.
    float or None
        The two-sided p-value that it is a half, None where there are so few.
    """
    blocks = number_blocks(blocks)
    draws = draw_blocks(int(blocks.max()) + 1, seed)
    columns = [BlockRanking(y[:, k], ranking[:, k], blocks) for k in range(y.shape[1])]
    plain, fewest = auroc(y, ranking), min(column.n_blocks for column in columns)
    if fewest < _FEWEST_BLOCKS:
        return plain, None
    error = _deviation(np.mean([column.scores(draws)[0] for column in columns], axis=0), fewest)
    p = _p_value(plain.value - 0.5, error, fewest)
    if not 0 < plain.value < 1:  # the rule of three, of blocks
        far = max(0.0, 1 - 3 / fewest)
        return (Estimate(1.0, far, 1.0) if plain.value == 1 else Estimate(0.0, 0.0, 1 - far)), p
    return _on_logits(plain.value, _quantile(fewest) * error), p


def share_by_blocks(hits: NDArray[np.bool_], blocks: NDArray[np.int64] | None) -> Estimate:
    """Estimate a proportion where cases are alike within blocks.

    Parameters
    ----------
    hits : ndarray of shape (n_cases,)
        At least one case.
    blocks : ndarray of shape (n_cases,), optional
        Block of each case; None where cases are independent: then it is Wilson's interval.

    Notes
    -----
    The standard error is that of a ratio of sums over clusters (Cochran 1977, section 3.12),
    Student's quantile that of as many degrees of freedom as there are blocks, less one, on the
    logit scale. A share of 0 or 1 has the rule of three's bound, of blocks.
    """
    plain = proportion(int(hits.sum()), len(hits))
    if blocks is None:
        return plain
    blocks = number_blocks(blocks)
    n_blocks, value = int(blocks.max()) + 1, plain.value
    if n_blocks < 2:
        return Estimate(value, 0.0, 1.0)
    if value in (0.0, 1.0):
        far = min(1.0, 3 / n_blocks)
        return Estimate(value, 0.0, far) if value == 0 else Estimate(value, 1 - far, 1.0)
    off = np.bincount(blocks, hits - value, minlength=n_blocks)
    error = float(np.sqrt(n_blocks / (n_blocks - 1) * (off**2).sum())) / len(hits)
    return _on_logits(value, _quantile(n_blocks) * error)


def compare_by_blocks(
    y: NDArray[np.int64],
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    blocks: NDArray[np.int64],
    seed: int = 0,
) -> dict[str, Difference]:
    """Compare two rankings of the same cases, which are alike within blocks.

    Parameters
    ----------
    y : ndarray of shape (n_cases,)
        0 or 1.
    first, second : ndarray of shape (n_cases,)
        Higher for 1.
    blocks : ndarray of shape (n_cases,)
        Block of each case: what shares readings, a time or a machine.
    seed : int
        Seed of the draws.

    Returns
    -------
    dict of Difference
        How much larger the first's `auroc` and `average_precision` are.

    Notes
    -----
    Paired bootstrap of whole blocks: the standard error is that of the difference in a thousand
    draws, the p-value that of Student's t, with as many degrees of freedom as blocks have cases of
    the rarer class, less one.
    """
    blocks = number_blocks(blocks)
    draws = draw_blocks(int(blocks.max()) + 1, seed)
    each = [BlockRanking(y == 1, ranking, blocks) for ranking in (first, second)]
    whole = [ranking.scores(np.ones((1, draws.shape[1])))[:, 0] for ranking in each]
    gaps = np.subtract(*(ranking.scores(draws) for ranking in each))
    fewest, enough = each[0].n_blocks, min((y == 1).sum(), (y != 1).sum()) >= FEWEST
    found = {}
    for k, name in enumerate(("auroc", "average_precision")):
        difference = float(whole[0][k] - whole[1][k])
        if fewest < _FEWEST_BLOCKS or not enough:
            found[name] = Difference(Estimate(difference), None)
            continue
        error = _deviation(gaps[k], fewest)
        reach = _quantile(fewest) * error
        interval = max(-1.0, difference - reach), min(1.0, difference + reach)
        found[name] = Difference(
            Estimate(difference, *interval), _p_value(difference, error, fewest)
        )
    return found


def compare_means_by_blocks(
    first: NDArray[Any], second: NDArray[Any], blocks: NDArray[np.int64]
) -> Difference:
    """Compare what two have on average on the same cases, (n_cases,), alike within blocks.

    The standard error is that of a mean of blocks of unequal size, linearised.
    """
    numbers = number_blocks(blocks)
    gap = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    difference, n = float(gap.mean()), int(numbers.max()) + 1
    if n < _FEWEST_BLOCKS:
        return Difference(Estimate(difference), None)
    off = np.bincount(numbers, gap - difference)
    error = float(np.sqrt(n / (n - 1) * (off**2).sum()) / len(gap))
    reach = _quantile(n) * error
    return Difference(
        Estimate(difference, difference - reach, difference + reach),
        _p_value(difference, error, n),
    )


def _deviation(draws: NDArray[np.float64], n_blocks: int) -> float:
    """Return the standard error from draws of blocks, of which some hold no case of a class."""
    known = draws[~np.isnan(draws)]
    return float(known.std() * np.sqrt(n_blocks / (n_blocks - 1))) if len(known) else 0.0


def _quantile(n_blocks: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.5 + LEVEL / 2, n_blocks - 1))


def _p_value(difference: float, error: float, n_blocks: int) -> float:
    from scipy.stats import t

    if error < 1e-12:
        return 1.0 if abs(difference) < 1e-12 else 0.0
    return float(2 * t.sf(abs(difference) / error, n_blocks - 1))


Statistics = Callable[[NDArray[np.int64], NDArray[np.float32]], dict[str, NDArray[np.float64]]]


@dataclass(frozen=True)
class Shift:
    """How far a statistic of resamples lies from what it is of that which they were drawn from."""

    low: float
    """The quantile at which an interval begins."""

    high: float
    """The quantile at which it ends."""

    bias: float
    """The mean."""


def bootstrap(
    counts: NDArray[np.int64], width: int, seed: int, statistics: Statistics
) -> dict[str, Shift]:
    """Return how far statistics of resamples lie from those of all cases.

    Parameters
    ----------
    counts : ndarray of shape (n_kinds,)
        Cases of each kind; where they all differ, each is a kind of its own.
    width : int
        Values per case that a statistic holds at a time, for the memory.
    seed : int
        Seed of the draws.
    statistics : callable
        Given the positions of kinds (n,) and weights (n_resamples, n) of theirs, how often each is
        drawn, gives each statistic's values, (n_resamples,).

    Notes
    -----
    Of more than some ten thousand kinds, as many are drawn, ten times, and weighted up to the
    number of all cases: the bag of little bootstraps of Kleiner et al. 2014.
    """
    found: dict[str, list[NDArray[np.float64]]] = {}
    for rows, weights in _resamples(counts, width, seed):
        whole = statistics(rows, counts[None, rows].astype(np.float32))
        block = max(1, _VALUES * 64 // (len(rows) * width))
        parts = [
            statistics(rows, weights[start : start + block])
            for start in range(0, len(weights), block)
        ]
        for name in whole:
            shift = np.concatenate([part[name] for part in parts]) - whole[name]
            shift = shift[~np.isnan(shift)]  # of resamples for which it is defined
            ends = np.quantile(shift, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2]) if len(shift) else [0, 0]
            bias = shift.mean() if len(shift) else 0.0
            found.setdefault(name, []).append(np.append(ends, bias))
    return {name: Shift(*np.mean(all_of, axis=0).tolist()) for name, all_of in found.items()}


def _resamples(
    counts: NDArray[np.int64], width: int, seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    random = np.random.default_rng(seed)
    most = max(2048, min(_MOST, _VALUES // width))
    n_cases = int(counts.sum())
    if len(counts) <= most:
        draws = random.multinomial(n_cases, counts / n_cases, size=_RESAMPLES)
        yield np.arange(len(counts)), draws.astype(np.float32)
        return
    for _ in range(_SUBSETS):
        rows = np.sort(random.choice(len(counts), most, replace=False))
        shares = counts[rows] / counts[rows].sum()
        draws = random.multinomial(n_cases, shares, size=_RESAMPLES // _SUBSETS)
        yield rows, draws.astype(np.float32)
