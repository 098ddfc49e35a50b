"""Accuracy of a preset on archive problems beside published accuracies, on the default split.

FORESHOCK_DATA=../shared/data python benchmarks/accuracy.py Coffee OliveOil [--preset fast]

Each problem is trained once, as `foreshock train` does it; test parts are opened for this table
only. Published accuracies are read from FORESHOCK_DATA/published/accuracies.csv.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import foreshock
from foreshock.published import PEERS, find_published, read_published


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problems", nargs="+")
    parser.add_argument("--preset", default="fast", choices=list(foreshock.PRESETS))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    path = find_published()
    if path is None:
        parser.error("set FORESHOCK_DATA to a folder with published/accuracies.csv in it.")
    known = read_published(path)
    config = replace(foreshock.PRESETS[options.preset], seed=options.seed)
    print("problem", "seconds", "majority", options.preset, *PEERS, sep="\t")
    rows = []
    for name in options.problems:
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            run = foreshock.train(foreshock.load(name), config, folder=Path(folder) / "run")
            scores = run.read("scores")["scores"]
        always = scores["baselines"][f"always '{scores['majority']}'"]["accuracy"]
        row = [time.monotonic() - started, always["value"], scores["model"]["accuracy"]["value"]]
        row += [known.get((name, peer), float("nan")) for peer in PEERS]
        rows.append(row)
        print(name, f"{row[0]:.0f}", *(f"{value:.3f}" for value in row[1:]), sep="\t", flush=True)
    means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    print("mean", f"{means[0]:.0f}", *(f"{value:.3f}" for value in means[1:]), sep="\t")


if __name__ == "__main__":
    main()
