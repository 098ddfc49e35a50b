"""Problems of unequal length or with missing readings: the default preset beside 1-NN DTW.

python benchmarks/gaps.py FOLDER [NAMES ...]

Trains `fast`, seed 0, on each problem, the cheapest first, and prints a line for each that is done.
The runs are kept in FOLDER, where the same command goes on if it was stopped.

1-NN DTW is measured here, on series of their own lengths whose missing readings are interpolated,
all channels warped alike: on series as they are stored; the same within a band, whose width
leave-one-out on the train part chooses; and with each channel of a series standardised. Needs
FORESHOCK_DATA and the extra `archive`.
"""

import sys
from pathlib import Path

import numpy as np
from aeon.distances import pairwise_distance

import foreshock
from foreshock import PRESETS, Problem
from foreshock.benchmarking.results import Results

NAMES = (
    "JapaneseVowels",
    "DodgerLoopGame",
    "PickupGestureWiimoteZ",
    "MelbournePedestrian",
    "GesturePebbleZ1",
    "GestureMidAirD1",
    "AllGestureWiimoteX",
)
BANDS = (0.02, 0.05, 0.1, 0.2, 0.4, None)
"""Widths as a share of the series, None for all of it."""


def whole(x: np.ndarray, length: int, *, standardize: bool) -> np.ndarray:
    """Cut a series (n_channels, n_timepoints) to its length and fill gaps along straight lines."""
    x, at = x[:, :length].astype(np.float64), np.arange(length)
    for channel in x:
        seen = ~np.isnan(channel)
        channel[:] = np.interp(at, at[seen], channel[seen]) if seen.any() else 0.0
    if standardize:
        x = (x - x.mean(axis=1, keepdims=True)) / (x.std(axis=1, keepdims=True) + 1e-8)
    return x


def series(problem: Problem, part: str, *, standardize: bool = False) -> list[np.ndarray]:
    rows = problem.select(part)
    each = zip(problem.X[rows], problem.lengths[rows].tolist(), strict=True)
    return [whole(x, length, standardize=standardize) for x, length in each]


def neighbour_accuracy(distance: np.ndarray, nearest_of: np.ndarray, y: np.ndarray) -> float:
    return float((nearest_of[distance.argmin(axis=1)] == y).mean())


def dtw(problem: Problem) -> dict[str, float]:
    """Return the test accuracies of 1-NN DTW."""
    train_y, test_y = (problem.y[problem.select(part)] for part in ("train", "test"))
    train, test = series(problem, "train"), series(problem, "test")
    inner = {}
    for band in BANDS:
        distance = pairwise_distance(train, method="dtw", window=band)
        np.fill_diagonal(distance, np.inf)
        inner[band] = neighbour_accuracy(distance, train_y, train_y)
    best = max(BANDS, key=lambda band: inner[band])  # the narrowest of equals
    found = {}
    for name, band in (("DTW", None), ("DTW in a band", best)):
        distance = pairwise_distance(test, train, method="dtw", window=band)
        found[name] = neighbour_accuracy(distance, train_y, test_y)
    flat = [series(problem, part, standardize=True) for part in ("test", "train")]
    distance = pairwise_distance(*flat, method="dtw")
    return found | {"DTW, standardised": neighbour_accuracy(distance, train_y, test_y)}


def main(folder: str, *names: str) -> None:
    rows = []
    print("problem\tcases\tlengths\tmissing\tmajority\tfast\tDTW\tDTW in a band\tDTW, standardised")
    for name in names or NAMES:
        problem = foreshock.load(name)
        inside = np.arange(problem.n_timepoints) < problem.lengths[:, None]
        missing = np.isnan(problem.X).any(axis=1)[inside].mean()
        neighbours = dtw(problem)
        foreshock.benchmark([name], {"fast": PRESETS["fast"]}, folder, processes=1, threads=1)
        (result,) = (r for r in Results(Path(folder)).all() if r.problem == name)
        accuracies = [result.majority_accuracy, result.accuracy.value, *neighbours.values()]
        rows.append(accuracies)
        cells = (
            name,
            f"{problem.count('train')} + {problem.count('test')}",
            f"{problem.lengths.min()} to {problem.lengths.max()}",
            f"{missing:.1%}",
            *(f"{value:.3f}" for value in accuracies),
        )
        print("\t".join(cells), flush=True)
    print("\t".join(("mean", "", "", "", *(f"{value:.3f}" for value in np.mean(rows, axis=0)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
