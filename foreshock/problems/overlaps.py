"""Cases that hold the same readings: windows that overlap, and copies that differ a little."""

from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement, islice
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from foreshock._arrays import sample

_EXAMPLES = 5
_SHORTEST, _LONGEST = 16, 64  # timepoints of a fingerprint
_PROJECTIONS, _QUANTUM = 4, 1 / 64
_PAST, _MOST_PREDICTED = 64, 512  # timepoints
_UNEXPLAINED, _DIFFERENCE, _ROUNDING = 0.005, 0.03, 1e-5  # of the standard deviation
_FALSE_ALARMS = 1e-3  # expected per problem
_NEIGHBOURS, _FEWEST_KNOWN = 4, 10
_MOST_VALUES, _MOST_FITTED, _AT_ONCE = 2**24, 2**25, 2**18  # values
_MOST_KNOWN, _MOST_FINGERPRINTS, _MOST_REFUTED = 2**13, 2**21, 2**7


@dataclass(frozen=True, kw_only=True)
class Matches:
    """Cases that hold the same readings, within a part or across two."""

    parts: tuple[str, str]
    """The parts; one of them twice for matches within it."""
    examined: tuple[int, int]
    """Number of cases of each part that were compared; of a large problem not all are."""
    pairs: int
    """Number of pairs that match; of near duplicates only the nearest of each case."""
    cases: int
    """Number of cases of the second part that match one of the first."""
    examples: tuple[tuple[int, int, int], ...]
    """Positions in the problem of up to five pairs, and the number of timepoints they share."""


def find_overlaps(
    X: NDArray[np.float32], part: NDArray[np.uint8], names: tuple[str, ...]
) -> tuple[Matches, ...]:
    """Find cases that are windows over the same readings, shifted against each other.

    Two windows match if, where they overlap, one is the other up to an offset and a positive
    scale of each channel (each may have been z-normalised on its own) and 0.5 % of the standard
    deviation, and if what they share is too hard to predict from its own past for chance to be
    the reason. Patterns that repeat within a case are no evidence. Candidates have fingerprints
    in common, of stretches without gaps of an eighth of the timepoints but 16 at least and 64 at
    most; overlaps that are hardly longer, or smooth and stored with few digits, may be missed.

    Parameters
    ----------
    X
        Series, (n_cases, n_channels, n_timepoints); NaN is missing.
    part
        Code of each case's part, a position in ``names``, (n_cases,).
    names
        Names of the parts.

    Returns
    -------
    tuple of Matches
        One for each part that has cases, and for each two. Windows that both match a third are
        counted if they must then overlap; those that begin at the same reading are not.
    """
    rows = sample(len(X), 1 + _MOST_VALUES // X[0].size)
    X, part = (X, part) if len(rows) == len(X) else (X[rows], part[rows])
    n_cases, _, n_timepoints = X.shape
    # cases of a group stand on one axis, where windows over the same readings overlap
    group, begin = np.arange(n_cases), np.zeros(n_cases, dtype=np.int64)
    # chance must not explain a match at any of the shifts of any pair
    needed = np.log2(n_cases**2 * n_timepoints / _FALSE_ALARMS)
    members: dict[int, list[int]] = {}
    refuted = 0
    for i, j, shift in _fit(X, _candidates(X)).tolist() if n_timepoints > _SHORTEST else ():
        if group[i] != group[j] and refuted < _MOST_REFUTED:
            if sum(map(_surprise, X[i, :, shift:], X[j, :, : n_timepoints - shift])) < needed:
                refuted += 1
                continue
            move = begin[i] + shift - begin[j]  # of j's group, or the other way of i's
            large, small = int(group[i]), int(group[j])
            if len(members.get(large, ())) < len(members.get(small, ())):
                large, small, move = small, large, -move
            moved = members.pop(small, [small])
            begin[moved] += move
            group[moved] = large
            members.setdefault(large, [large]).extend(moved)
    begin += group * (int(np.ptp(begin)) + n_timepoints)  # groups do not overlap
    ended = np.isnan(np.fmin.reduce(X, axis=1))[:, ::-1]  # (cases, timepoints), the last one first
    end = begin + n_timepoints - ended.argmin(axis=1)
    found = []
    for a, b in combinations_with_replacement(np.unique(part).tolist(), 2):
        first, second = np.flatnonzero(part == a), np.flatnonzero(part == b)
        begins, ends, at = np.sort(begin[first]), np.sort(end[first]), begin[second]
        partners = np.searchsorted(begins, end[second]) - np.searchsorted(begins, at, "right")
        partners += np.searchsorted(begins, at) - np.searchsorted(ends, at, "right")
        examples = (
            (int(rows[i]), int(rows[j]), int(min(end[i], end[j]) - max(begin[i], begin[j])))
            for j in second[partners > 0]
            for i in first[(begin[first] < end[j]) & (end[first] > begin[j])]
            if begin[i] != begin[j] and (a != b or i < j)
        )
        found.append(
            Matches(
                parts=(names[a], names[b]),
                examined=(len(first), len(second)),
                pairs=int(partners.sum()) // (2 if a == b else 1),
                cases=int((partners > 0).sum()),
                examples=tuple(islice(examples, _EXAMPLES)),
            )
        )
    return tuple(found)


def find_near_duplicates(
    X: NDArray[np.float32], part: NDArray[np.uint8], names: tuple[str, ...]
) -> tuple[Matches, ...]:
    """Find cases of one part that are nearly, but not exactly, a case of another.

    A case is flagged if it differs from its nearest neighbour, both z-normalised by channel, by
    less than 3 % of its standard deviation and is far closer than the crowd explains: where
    cases lie evenly in D dimensions, the distance to the nearest is below x times that to the
    k-th nearest with a probability of at most (k - 1) x^D (after Facco et al. 2017,
    https://doi.org/10.1038/s41598-017-11873-y). D makes this law agree with the median within
    the first part; one false alarm in 1,000 problems is expected. So where all cases resemble
    each other, noise hides a copy, unless it is rounding: a difference below 1e-5 always counts.

    Takes what ``find_overlaps`` takes. Returns matches for each two parts of which the first has
    at least ten cases; the closest pairs are the examples.
    """
    most = 1 + min(_MOST_KNOWN, _MOST_VALUES // (2 * X[0].size))
    found = []
    for a, b in combinations(np.unique(part).tolist(), 2):
        known, asked = np.flatnonzero(part == a), np.flatnonzero(part == b)
        known, asked = known[sample(len(known), most)], asked[sample(len(asked), most)]
        if len(known) < _FEWEST_KNOWN:
            continue
        shapes, queries = _standardise(X[known]), _standardise(X[asked])
        distance = _nearest(shapes[sample(len(shapes), 512)], shapes, 1 + _NEIGHBOURS)[0][:, 1:]
        typical = np.clip(np.median(distance[:, 0] / distance[:, -1]), 1e-9, 0.99)
        dimension = np.log(1 - 0.5 ** (1 / (_NEIGHBOURS - 1))) / np.log(typical)
        distance, nearest = _nearest(queries, shapes, _NEIGHBOURS)
        chance = (_NEIGHBOURS - 1) * (distance[:, 0] / distance[:, -1]) ** dimension
        norm = np.linalg.norm(queries, axis=1)
        flagged = (distance[:, 0] < _DIFFERENCE * norm) & (chance * len(asked) < _FALSE_ALARMS)
        flagged |= distance[:, 0] < _ROUNDING * norm
        pairs = [
            (int(known[nearest[q, 0]]), int(asked[q]), X.shape[2])
            for q in np.argsort(distance[:, 0], kind="stable")
            if flagged[q] and not _holds(X[known[nearest[q]]], X[asked[q]])
        ]
        found.append(
            Matches(
                parts=(names[a], names[b]),
                examined=(len(known), len(asked)),
                pairs=len(pairs),
                cases=len(pairs),
                examples=tuple(pairs[:_EXAMPLES]),
            )
        )
    return tuple(found)


def _candidates(X: NDArray[np.float32]) -> NDArray[np.int64]:
    """Find i, j, t > 0, (n_pairs, 3): case i from timepoint t on may be case j; likely first."""
    n_cases, _, n_timepoints = X.shape
    table = _fingerprints(X)
    table = table[:, np.argsort(table[0], kind="stable")]
    # what a case repeats within itself does not tell where it belongs
    again = np.zeros(table.shape[1] + 1, dtype=bool)
    again[1:-1] = (table[:2, 1:] == table[:2, :-1]).all(axis=0)
    prints, case, timepoint = table[:, ~(again[1:] | again[:-1])]
    keys = []
    for step in (1, 2, 3):  # a chain joins any number of cases in linear time
        a = np.flatnonzero(prints[step:] == prints[:-step])
        shift = timepoint[a] - timepoint[a + step]
        i, j = np.where(shift > 0, (case[a], case[a + step]), (case[a + step], case[a]))
        keys.append(((i * n_cases + j) * n_timepoints + np.abs(shift))[shift != 0])
    unique, votes = np.unique(np.concatenate(keys), return_counts=True)
    order = np.argsort(-votes, kind="stable")[: np.count_nonzero(votes > 1)]
    pair, shift = np.divmod(unique[order[: 1 + _MOST_FITTED // X[0].size]], n_timepoints)
    return np.stack([pair // n_cases, pair % n_cases, shift], axis=1)


def _fingerprints(X: NDArray[np.float32]) -> NDArray[np.int64]:
    """Hash stretches of the series so that their offset and positive scale do not matter.

    A fingerprint is the product of a stretch with fixed random vectors of mean 0, divided by
    the stretch's standard deviation, in steps of a quantum. Channels are added up; one that is
    flat or has a gap there adds nothing. Returned are the hash, the case and the first timepoint,
    (3, n_fingerprints); the hash alone decides which are kept, so equal stretches are kept alike.
    """
    n_cases, n_channels, n_timepoints = X.shape
    length = max(_SHORTEST, min(_LONGEST, n_timepoints // 8))
    n_positions = n_timepoints - length + 1
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((n_channels, _PROJECTIONS, length))
    vectors -= vectors.mean(axis=2, keepdims=True)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True) * np.sqrt(n_channels)
    spectra = np.fft.rfft(vectors, n_timepoints).conj()
    factors = generator.integers(2**63, size=(_PROJECTIONS, 1), dtype=np.uint64) * 2 + 1
    every = np.uint64(1 + n_cases * n_positions // _MOST_FINGERPRINTS)
    kept = []
    size = 1 + _AT_ONCE // X[0].size
    for start in range(0, n_cases, size):
        chunk = X[start : start + size]
        series, _, floor = _centre(chunk)
        sums = np.cumsum(np.stack([series, series**2, np.isnan(chunk)]), axis=3)
        sums = np.pad(sums, ((0, 0), (0, 0), (0, 0), (1, 0)))
        mean, square, gaps = (sums[..., length:] - sums[..., :-length]) / length
        deviation = np.sqrt(np.maximum(square - mean**2, 0))  # (cases, channels, positions)
        telling = (gaps == 0) & (deviation > floor)
        spectrum = np.fft.rfft(series)[:, :, None] * spectra
        product = np.fft.irfft(spectrum, n_timepoints)[..., :n_positions]
        product /= np.where(telling, deviation, np.inf)[:, :, None]
        cells = np.floor(product.sum(axis=1) / _QUANTUM).astype(np.int64).view(np.uint64)
        prints = (cells * factors).sum(axis=1)  # (cases, positions)
        # where a series changes slowly, one fingerprint stands for a run of equal ones
        keep = telling.any(axis=1) & ((prints >> np.uint64(32)) % every == 0)
        keep[:, 1:] &= (prints[:, 1:] != prints[:, :-1]) | ~telling.any(axis=1)[:, :-1]
        case, timepoint = np.nonzero(keep)
        kept.append(np.stack([prints[keep].view(np.int64), case + start, timepoint]))
    return np.concatenate(kept, axis=1)


def _fit(X: NDArray[np.float32], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Keep the pairs that are one up to offset and scale where they overlap; the best first."""
    n_timepoints = X.shape[2]
    correlation = np.empty(len(pairs))  # of the worst channel
    size = 1 + _AT_ONCE // X[0].size
    for start in range(0, len(pairs), size):
        i, j, shift = pairs[start : start + size].T
        at = (shift[:, None] + np.arange(n_timepoints))[:, None]  # (pairs, 1, timepoints)
        a = np.take_along_axis(X[i], np.minimum(at, n_timepoints - 1), axis=2)
        gone = (at >= n_timepoints) | np.isnan(a) | np.isnan(X[j])
        first, deviation_a, floor_a = _centre(np.where(gone, np.nan, a))
        second, deviation_b, floor_b = _centre(np.where(gone, np.nan, X[j]))
        product = (first * second).sum(axis=2, keepdims=True)
        product /= np.maximum((~gone).sum(axis=2, keepdims=True), 1)
        product /= np.maximum(deviation_a * deviation_b, 1e-300)
        product[(deviation_a <= floor_a) & (deviation_b <= floor_b)] = 1  # both are flat
        correlation[start : start + size] = product.min(axis=(1, 2))
    good = np.count_nonzero(correlation > np.sqrt(1 - _UNEXPLAINED**2))
    best: NDArray[np.int64] = pairs[np.argsort(-correlation, kind="stable")[:good]]
    return best


def _surprise(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Measure by how many bits series a, (n,), tells series b, (n,), better than its past does.

    It is the sum over time of log2(error of a prediction / error of the fit to a). The prediction
    is linear or what followed the most similar past, whichever is better, so neither waves nor
    patterns surprise; nor does a step say more than its rarity.
    """
    a, b = a[:_MOST_PREDICTED], b[:_MOST_PREDICTED]
    seen = ~(np.isnan(a) | np.isnan(b))
    stretches = np.where(seen, b, np.nan).astype(np.float64)
    stretches = sliding_window_view(stretches, 1 + min(_PAST, int(seen.sum()) // 4))
    stretches = stretches[~np.isnan(stretches).any(axis=1)]
    if len(stretches) < _SHORTEST // 2 or not np.ptp(stretches):
        return 0.0
    error = np.abs(_residual(a[seen, None], b[seen])).max()
    error = 2 * max(error, 1e-7 * np.abs(b[seen]).max()) / stretches.std()
    stretches = (stretches - stretches.mean()) / stretches.std()
    past, now = stretches[:, :-1], stretches[:, -1]
    rough = past.astype(np.float32)
    distance = (rough**2).sum(axis=1) - 2 * (rough @ rough.T)  # but for what a row has in common
    np.fill_diagonal(distance, np.inf)
    followed = now[distance.argmin(axis=1)]
    surprise = np.minimum(np.abs(now - followed), np.abs(_residual(past, now)))
    steps = np.round((now - past[:, -1]) / error)
    _, step, counts = np.unique(steps, return_inverse=True, return_counts=True)
    rarity = np.log2(len(now) / counts[step])
    return float(np.minimum(np.log2(np.maximum(surprise / error, 1)), rarity).sum())


def _residual(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    """Return what a linear regression of y, (n,), on x, (n, k), does not explain, (n,)."""
    x, y = (np.asarray(values, dtype=np.float64) for values in (x, y))
    x, y = x - x.mean(axis=0), y - y.mean()
    # in place of a decomposition, which waits for its threads where others compute; the ridge
    # lets go what is below float32 rounding, and makes an answer of nothing out of nothing
    ridge = (1e-14 * (x**2).sum() + 1e-300) * np.eye(x.shape[1])
    residual: NDArray[np.float64] = y - x @ np.linalg.solve(x.T @ x + ridge, x.T @ y)
    return residual


def _centre(X: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Subtract each series' mean; missing values become 0.

    Returned with their standard deviation, (n_cases, n_channels, 1), and that below which a
    stretch of them is flat or drowns in float32 rounding, (n_cases, n_channels, 1).
    """
    seen = ~np.isnan(X)
    n = np.maximum(seen.sum(axis=2, keepdims=True), 1)
    series = np.where(seen, X, 0).astype(np.float64)
    largest = np.abs(series).max(axis=2, keepdims=True)
    series = np.where(seen, series - series.sum(axis=2, keepdims=True) / n, 0)
    deviation = np.sqrt((series**2).sum(axis=2, keepdims=True) / n)
    return series, deviation, np.maximum(1e-3 * deviation, 1e-5 * largest)


def _standardise(X: NDArray[np.float32]) -> NDArray[np.float32]:
    """Z-normalise by channel, (n_cases, n_channels * n_timepoints); gaps become 0."""
    series, deviation, floor = _centre(X)
    series /= np.where(deviation > floor, deviation, np.inf)
    return series.reshape(len(X), -1).astype(np.float32)


def _holds(X: NDArray[np.float32], case: NDArray[np.float32]) -> bool:
    return bool(((case == X) | (np.isnan(X) & np.isnan(case))).all(axis=(1, 2)).any())


def _nearest(
    queries: NDArray[np.float32], shapes: NDArray[np.float32], k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Find the k nearest shapes of each query: distances above 0, ascending, and positions."""
    distance = np.empty((len(queries), k))
    nearest = np.empty((len(queries), k), dtype=np.int64)
    square = (shapes**2).sum(axis=1)
    size = 1 + 4 * _AT_ONCE // max(len(shapes), k * shapes.shape[1])
    for start in range(0, len(queries), size):
        rows = slice(start, start + size)
        rough = square - 2 * queries[rows] @ shapes.T  # (rows, shapes)
        some = np.argpartition(rough, k, axis=1)[:, :k]
        # small differences of large products are rounding; the difference itself is exact
        exact = np.linalg.norm(queries[rows, None] - shapes[some], axis=2)
        order = np.argsort(exact, axis=1, kind="stable")
        nearest[rows] = np.take_along_axis(some, order, axis=1)
        distance[rows] = np.take_along_axis(exact, order, axis=1)
    return np.maximum(distance, 1e-12), nearest
