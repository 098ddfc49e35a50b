"""Accuracy of a preset on archive problems beside published accuracies, on the default split.

FORESHOCK_DATA=../shared/data python benchmarks/accuracy.py Coffee OliveOil [--preset fast]

Each problem is trained once, as `foreshock train` does it; test parts are opened for this table
only. Published accuracies are read from FORESHOCK_DATA/published/accuracies.csv.
"""

import argparse
import csv
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import foreshock

PEERS = ["1NN-DTW", "FCN", "ResNet", "InceptionTime", "ROCKET", "MR-Hydra", "HC2"]


def published() -> dict[tuple[str, str], float]:
    """Give published accuracies on the default split by problem and method."""
    path = Path(os.environ["FORESHOCK_DATA"]) / "published" / "accuracies.csv"
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"].startswith("default split")]
    # sources differ; where there are several, the archive's own table (resample 0) counts
    rows.sort(key=lambda row: "resample 0" in row["split"])
    return {(row["dataset"], row["method"]): float(row["accuracy"]) for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problems", nargs="+")
    parser.add_argument("--preset", default="fast", choices=list(foreshock.PRESETS))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    known = published()
    config = replace(foreshock.PRESETS[options.preset], seed=options.seed)
    print("problem", "seconds", "majority", options.preset, *PEERS, sep="\t")
    rows = []
    for name in options.problems:
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            run = foreshock.train(foreshock.load(name), config, folder=Path(folder) / "run")
            scores = run.read("scores")["scores"]
        row = [time.monotonic() - started, scores["majority_accuracy"], scores["accuracy"]]
        row += [known.get((name, peer), float("nan")) for peer in PEERS]
        rows.append(row)
        print(name, f"{row[0]:.0f}", *(f"{value:.3f}" for value in row[1:]), sep="\t", flush=True)
    means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    print("mean", f"{means[0]:.0f}", *(f"{value:.3f}" for value in means[1:]), sep="\t")


if __name__ == "__main__":
    main()
