"""What calibration out of fold is worth: coverage of conformal sets, log loss at the temperature.

FORESHOCK_DATA=../shared/data python benchmarks/calibration.py [PROBLEM ...] [--members 5] [--runs DIR]

Trains each problem once, with members, as `foreshock train` does, and prints for its test part how
many of the sets that are meant to hold the true class of 90 % of cases do, how large they are, and
the log loss with the temperature and without. Test parts are opened for this table only. Runs that
are in DIR already are not trained again.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np

import foreshock

PROBLEMS = [
    *("GunPointMaleVersusFemale", "ECGFiveDays", "CBF", "SyntheticControl", "Plane", "Trace"),
    *("FacesUCR", "MedicalImages", "ProximalPhalanxTW", "Lightning7"),
]


def log_loss(forecaster: foreshock.Forecaster, X: np.ndarray, y: np.ndarray) -> float:
    proba = forecaster.predict_proba(X)[np.arange(len(y)), y].astype(np.float64)
    return float(-np.log(np.maximum(proba, 1e-15)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problems", nargs="*", default=PROBLEMS)
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--runs", type=Path, default=Path("runs/calibration"))
    options = parser.parse_args()
    config = dataclasses.replace(foreshock.PRESETS["fast"], members=options.members)
    columns = (
        "temperature",
        "coverage",
        "set size",
        "none fits",
        "log loss",
        "without",
        "accuracy",
    )
    print("problem", "cases", *columns, sep="\t")
    rows = []
    for name in options.problems:
        problem = foreshock.load(name)
        run = foreshock.train(problem, config, folder=options.runs / name, resume=True)
        forecaster = foreshock.Forecaster.load(run)
        X, y = problem.series("test"), problem.y[problem.rows("test")]
        found = forecaster.predictions(X)
        sets = found.sets(0.9)
        with_it = log_loss(forecaster, X, y)
        calibration = forecaster.card.calibration
        plain = dataclasses.replace(calibration, temperature=1.0)
        forecaster.card = dataclasses.replace(forecaster.card, calibration=plain)
        row = [
            calibration.temperature,
            sets[np.arange(len(y)), y].mean(),
            sets.sum(axis=1).mean(),
            (~sets.any(axis=1)).mean(),
            with_it,
            log_loss(forecaster, X, y),
            (found.proba.argmax(axis=1) == y).mean(),
        ]
        rows.append(row)
        print(name, len(y), *(f"{value:.3f}" for value in row), sep="\t", flush=True)
    print("mean", "", *(f"{value:.3f}" for value in np.mean(rows, axis=0)), sep="\t")


if __name__ == "__main__":
    main()
