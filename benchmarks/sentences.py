"""Is a report's first sentence right where the truth is known? On simulated readings, by seeds.

python benchmarks/sentences.py [--problems shuffled moved last] [--seeds 20]

Two problems whose answers no model can know better than a simple forecast: of a pump whose targets
were shuffled, or moved by a third of a part or more, nothing is to be known; of switches that only
the last reading decides, a logistic regression on it knows all. To say "better" is wrong there.
"""

import argparse
import collections
import dataclasses
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sensors import pump

import foreshock
from foreshock import EventRule, Problem, Readings, cut
from foreshock.training.config import PRESETS


def shuffled(seed: int) -> Problem:
    return _moved(pump(seed), np.random.default_rng(seed).permutation)


def moved(seed: int) -> Problem:
    share = np.random.default_rng(seed).uniform(1 / 3, 2 / 3)
    return _moved(pump(seed), lambda n: np.roll(np.arange(n), round(share * n)))


def _moved(problem: Problem, order: Callable[[int], np.ndarray]) -> Problem:
    """Give each part's targets to other windows of it."""
    y = problem.y.copy()
    for part in np.unique(problem.part):
        rows = np.flatnonzero(problem.part == part)
        y[rows] = y[rows][order(len(rows))]
    return dataclasses.replace(problem, y=y)


def by_last_reading(seed: int, n_hours: int = 8760) -> Problem:
    rng = np.random.default_rng(seed)
    pressure, noise = rng.normal(size=(2, n_hours))
    odds = 1.5 * np.concatenate([[0.0], pressure[:-1]]) - 2
    trip = rng.random(n_hours) < 1 / (1 + np.exp(-odds))
    readings = Readings(
        values=np.stack([pressure, noise, trip]).astype(np.float32),
        start=np.datetime64("2024-01-01"),
        step=np.timedelta64(1, "h"),
        channels=("pressure", "noise", "trip"),
    )
    rule = EventRule(channel="trip", event_above=0.5, window=24, horizon=1,
                     inputs=("pressure", "noise"))  # fmt: skip
    return cut(readings, rule, name="by-last-reading")


PROBLEMS = {"shuffled": shuffled, "moved": moved, "last": by_last_reading}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", nargs="*", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    logging.disable(logging.INFO)
    for name in options.problems:
        counts: collections.Counter[str] = collections.Counter()
        for seed in range(options.seeds):
            config = dataclasses.replace(PRESETS["fast"], seed=seed)
            with tempfile.TemporaryDirectory() as folder:
                run = foreshock.train(
                    PROBLEMS[name](seed), config, folder=Path(folder) / "run", progress=False
                )
                sentence = run.read("scores")["scores"]["sentence"]
            counts[sentence.split(":")[0]] += 1
            print(f"{name:9} {seed:3} {sentence}", flush=True)
        print(f"{name:9} {dict(counts)}", flush=True)


if __name__ == "__main__":
    main()
