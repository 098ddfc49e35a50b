"""Is a major earthquake about to happen? The default preset on a real catalogue, several seeds.

python benchmarks/earthquakes.py CATALOG [--seeds 5] [--preset fast]

Cuts the catalogue twice, by the default rule (that of UCR Earthquakes) and with the quiet stretch
binding negatives too, divides it in time, trains each seed as `foreshock train` does, and prints
the AUROC on the test part with its 95 % interval (DeLong, logit scale): of each seed, of the mean
of their probabilities, and of the number of active hours alone. Test parts are opened for this
table only.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

import foreshock
from foreshock.events.baselines import count_active
from foreshock.metrics.scores import auroc_interval


def line(name: str, y: np.ndarray, ranking: np.ndarray) -> str:
    from sklearn.metrics import average_precision_score, roc_auc_score

    low, high = auroc_interval(y, ranking)
    auroc, precision = roc_auc_score(y, ranking), average_precision_score(y, ranking)
    return f"{name}\t{auroc:.3f}\t{low:.3f} to {high:.3f}\t{precision:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("catalog")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--preset", default="fast", choices=list(foreshock.PRESETS))
    options = parser.parse_args()
    readings = foreshock.load_readings(options.catalog)
    for binds in ("positives", "all"):
        rule = foreshock.EventRule(quiet_binds=binds)
        problem = foreshock.cut(readings, rule, name=f"quiet binds {binds}")
        for part in ("train", "test"):
            y = problem.y[problem.rows(part)]
            print(f"{problem.name}: {part} {len(y)} cases, {int(y.sum())} with an event")
        y = problem.y[problem.rows("test")]
        print("ranking\tAUROC\t95 % interval\taverage precision")
        print(
            line("active hours", y, count_active(problem, problem.select("test"))[:, 0]), flush=True
        )
        probabilities = []
        for seed in range(options.seeds):
            config = replace(foreshock.PRESETS[options.preset], seed=seed)
            with tempfile.TemporaryDirectory() as folder:
                run = foreshock.train(problem, config, folder=Path(folder) / "run")
                forecaster = foreshock.Forecaster.load(run)
                proba = forecaster.predict_proba(problem.series("test"))[:, 1]
                accuracy = run.read("scores")["scores"]["model"]["accuracy"]["value"]
            probabilities.append(proba)
            print(f"{line(f'seed {seed}', y, proba)}\taccuracy {accuracy:.3f}", flush=True)
        mean = np.mean(probabilities, axis=0)
        print(line(f"mean of {options.seeds} seeds", y, mean))
        print(f"accuracy {np.mean((mean > 0.5) == y):.3f}, always 'no' {1 - y.mean():.3f}\n")


if __name__ == "__main__":
    main()
