"""What a training gains that begins with the convolutions of another (`--from`).

    FORESHOCK_DATA=FOLDER python benchmarks/transfer.py

Accuracy and log loss by five folds of the train part, the network alone; no test part is opened.
"""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from foreshock import FitConfig, ModelConfig, Problem, TrainConfig, load, train

# pairs that share no case; many of PhalangesOutlinesCorrect stand in others of its family
PAIRS = (
    ("GunPointMaleVersusFemale", "GunPoint"),
    ("ECGFiveDays", "TwoLeadECG"),
    ("CricketY", "MedicalImages"),
)
STEPS = (30, 100, 300)
NETWORK = ModelConfig(random_features=0)


def train_part(name: str) -> Problem:
    """Load a problem without its test part."""
    problem = load(name)
    rows = problem.select("train")
    part = np.zeros(len(rows), np.uint8)  # all of them for training
    return replace(problem, X=problem.X[rows], y=problem.y[rows], part=part)


def main() -> None:
    print("source, target (cases), batches: anew; begun with the source's convolutions")
    with tempfile.TemporaryDirectory() as folder:
        for source, target in PAIRS:
            base = Path(folder) / source
            if not base.exists():
                train(train_part(source), TrainConfig(model=NETWORK), folder=base)
            problem = train_part(target)  # --from refuses a pair that shares a training case
            for steps in STEPS:
                found = []
                for start in (None, str(base)):
                    config = TrainConfig(
                        model=NETWORK, fit=FitConfig(steps=steps), members=5, from_run=start
                    )
                    began = time.perf_counter()
                    run = train(problem, config, folder=Path(folder) / f"{time.time_ns()}")
                    seconds = time.perf_counter() - began
                    model = run.read("scores")["held_out"]["scores"]["model"]
                    found.append(
                        f"{model['accuracy']['value']:.3f}, {model['log_loss']['value']:.3f}"
                        f" ({seconds:.0f} s)"
                    )
                print(
                    f"{source}, {target} ({problem.n_cases}), {steps}: {'; '.join(found)}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
