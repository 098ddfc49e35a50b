"""Time the scoring of many predictions, with intervals, tests and baselines.

python benchmarks/scoring.py [cases] [classes]
"""

import sys
import time

import numpy as np

import foreshock


def main(n: int = 1_000_000, n_classes: int = 2) -> None:
    random = np.random.default_rng(0)
    y = random.integers(n_classes, size=n)
    logits = random.normal(size=(n, n_classes)).astype(np.float32)
    logits[np.arange(n), y] += 1
    proba = np.exp(logits)
    proba /= proba.sum(axis=1, keepdims=True)
    names = tuple(f"class {k}" for k in range(n_classes))
    begun = time.perf_counter()
    scores = foreshock.score(
        y,
        proba,
        names,
        prior=np.full(n_classes, 1 / n_classes),
        baselines={"coin": random.dirichlet(np.ones(n_classes), n)},
    )
    print(f"{n:,} predictions of {n_classes} classes: {time.perf_counter() - begun:.1f} s")
    print(scores.sentence)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
