"""aeon's MiniROCKET, MultiROCKET-Hydra and QUANT on the windows of `sensors.py`.

OMP_NUM_THREADS=1 python benchmarks/sensor_peers.py [--problems beijing ...] [--methods quant ...]

aeon comes with foreshock's extra `archive`, and the data lie where `sensors.py` has them. aeon's
defaults, on one thread, but:

- aeon takes no missing values: a gap is filled with the channel's last reading in the window, else
  with the next, else with its train mean.
- MiniROCKET and Hydra add channels up, so that those of large numbers would drown the others: each
  is scaled by its mean and deviation over the train windows. A constant channel becomes 0.
- Memory and time of the ridge regression behind the two grow with the square and cube of the cases,
  so it is fitted to `--most-ridge` train windows, QUANT's trees to `--most-trees`: as `fast` thins
  them, even over time and as balanced as there are.
- The ridge regressions know no probability: their score is the decision function.
- With `--most-test`, so many test targets are scored, `sample` of them evenly over time.

Scores are kept as OUT/PROBLEM-METHOD.npz with y, score and blocks, and the table is that of all
files in OUT.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from aeon.classification.convolution_based import MiniRocketClassifier, MultiRocketHydraClassifier
from aeon.classification.interval_based import QUANTClassifier
from numpy.typing import NDArray
from sensors import PROBLEMS, Result, blocks, pooled

from foreshock import Problem
from foreshock._arrays import sample
from foreshock.training.stacking import thinned

CHUNK = 2000
FIVE = [name for name in PROBLEMS if name != "cmapss-official"]

Windows = NDArray[np.float32]
Scores = Callable[[Windows], NDArray[np.float64]]


# The windows.


def filled(x: Windows) -> Windows:
    """Fill gaps with the last reading, before the first with the next; NaN where there is none."""
    seen, at = ~np.isnan(x), np.arange(x.shape[2])
    last = np.maximum.accumulate(np.where(seen, at, -1), axis=2)
    first = seen.argmax(axis=2)[:, :, None]
    return np.take_along_axis(x, np.where(last < 0, first, last), axis=2)


def scaling(x: Windows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the deviation of each channel; the deviation of a constant one is 1."""
    of_channel = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1).astype(np.float64)
    mean, deviation = (f(of_channel, axis=1, keepdims=True) for f in (np.nanmean, np.nanstd))
    varies = np.nanmax(of_channel, axis=1) > np.nanmin(of_channel, axis=1)
    return mean, np.where(varies[:, None], deviation, 1)


# The methods: each is fitted and returns what scores windows.


def minirocket(X: Windows, y: NDArray[np.int64], seed: int) -> Scores:
    fitted = MiniRocketClassifier(random_state=seed).fit(X, y)
    score: Scores = fitted.pipeline_.decision_function
    return score


def multirocket_hydra(X: Windows, y: NDArray[np.int64], seed: int) -> Scores:
    """Its `_predict` with the decision function in place of the class."""
    fitted = MultiRocketHydraClassifier(random_state=seed).fit(X, y)

    def score(x: Windows) -> NDArray[np.float64]:
        hydra = fitted._scale_hydra.transform(fitted._transform_hydra.transform(x))
        rocket = fitted._scale_multirocket.transform(fitted._transform_multirocket.transform(x))
        found: NDArray[np.float64] = fitted.classifier.decision_function(
            np.concatenate((hydra, rocket), axis=1)
        )
        return found

    return score


def quant(X: Windows, y: NDArray[np.int64], seed: int) -> Scores:
    fitted = QUANTClassifier(random_state=seed).fit(X, y)
    return lambda x: fitted.predict_proba(x)[:, 1]


METHODS = {"minirocket": minirocket, "multirocket-hydra": multirocket_hydra, "quant": quant}


# The comparison.


def of_peer(method: str, problem: Problem, seed: int, most: int, most_test: int) -> Result:
    train, test = problem.select("train"), problem.select("test")
    train = train[thinned(problem.y[train], most)]
    test = test[sample(len(test), most_test)]
    mean, deviation = scaling(problem.X[train])

    def windows(cases: NDArray[np.int64]) -> Windows:
        scaled = (filled(problem.X[cases]) - mean) / deviation
        return np.nan_to_num(scaled).astype(np.float32)

    X, begun = windows(train), time.monotonic()
    score = METHODS[method](X, problem.y[train], seed)
    seconds, begun = time.monotonic() - begun, time.monotonic()
    chunks = np.split(test, range(CHUNK, len(test), CHUNK))
    found = np.concatenate([score(windows(some)) for some in chunks])
    print(f"    {problem.name} {method}: {seconds:.0f} s to fit {len(train)} windows,"
          f" {time.monotonic() - begun:.0f} s to score {len(test)}", flush=True)  # fmt: skip
    return Result(problem.y[test], found, seconds, blocks(problem, test))


def table(out: Path) -> None:
    """Print what lies in a folder, and means of the methods that know all five problems."""
    for method in METHODS:
        of_method = []
        for name in FIVE:
            if not (file := out / f"{name}-{method}.npz").is_file():
                continue
            kept = np.load(file)
            result = Result(kept["y"], kept["score"], float(kept["seconds"]), kept["blocks"])
            of_method.append((result.auroc, result.precision))
            print(f"{name:10} {method:18} AUROC {result.auroc:.4f}  AP {result.precision:.4f}"
                  f"  {result.seconds:.0f} s  at most {kept['most']} train windows,"
                  f" {len(result.y)} targets")  # fmt: skip
        if len(of_method) == len(FIVE):
            auroc, precision = np.mean(of_method, axis=0)
            print(f"{'mean':10} {method:18} AUROC {auroc:.4f}  AP {precision:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", nargs="*", default=FIVE, choices=FIVE)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most-ridge", type=int, default=8192)
    parser.add_argument("--most-trees", type=int, default=32768)
    parser.add_argument("--most-test", type=int, default=2**31)
    parser.add_argument("--out", type=Path, default=Path("/tmp/peers"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(exist_ok=True)
    for name in options.problems:
        every = [make() for make in PROBLEMS[name]]
        for method in options.methods:
            most = options.most_trees if method == "quant" else options.most_ridge
            result = pooled([of_peer(method, p, options.seed, most, options.most_test)
                             for p in every])  # fmt: skip
            np.savez(options.out / f"{name}-{method}.npz", y=result.y, score=result.proba,
                     blocks=result.blocks, seconds=result.seconds, most=most)  # fmt: skip
    table(options.out)


if __name__ == "__main__":
    main()
