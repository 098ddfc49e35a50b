"""How soon the default is as accurate as plain LSTM-FCN after the papers' training of 300 epochs.

FORESHOCK_DATA=../shared/data python benchmarks/sooner.py [PROBLEM ...] [--threads N]

Plain is the network as tutorials write it, in float32 with a DataLoader, on z-normalised series:
Adam at 0.001, batches of 128, dropout 0.8, the weights of the best training loss. The default is
trained afresh for each number of batches, so each has its whole schedule; its time is that of
views, batches and the head in closed form. Accuracies are those of test parts, opened for this
table only.
"""

import argparse
import copy
import time

import numpy as np
import torch
from peers import Plain, plain_steps
from torch import nn
from torch.utils.data import TensorDataset

import foreshock
from foreshock.inference.forecaster import predict_logits
from foreshock.nn.distributed import this_device
from foreshock.nn.model import LSTMFCN
from foreshock.training import loop
from foreshock.training.config import FitConfig, resolve

PROBLEMS = [
    *("SonyAIBORobotSurface1", "MoteStrain", "TwoLeadECG", "ECGFiveDays", "CBF"),
    *("DiatomSizeReduction", "Coffee", "ArrowHead", "ShapeletSim", "BeetleFly"),
]
"""Those with the fewest training values in ../shared/data/ucr, of equal length, without gaps."""
EPOCHS, BATCH = 300, 128
BUDGETS = (10, 30, 100, None)
"""Batches of the default; None for as many as it takes by itself."""


def plain(X: np.ndarray, y: np.ndarray, n_classes: int) -> nn.Module:
    model = Plain(X.shape[2], squeeze_excite=False, n_classes=n_classes, dropout=0.8)
    data = TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    steps, n_batches = plain_steps(model, data, BATCH, 0.0), -(-len(y) // BATCH)
    best, kept = np.inf, model.state_dict()
    for _ in range(EPOCHS):
        loss = np.mean([next(steps) for _ in range(n_batches)])
        if loss < best:
            best, kept = loss, copy.deepcopy(model.state_dict())
    model.load_state_dict(kept)
    return model.eval()


def ours(X: np.ndarray, y: np.ndarray, n_classes: int, n_steps: int | None) -> LSTMFCN:
    _, n_channels, n_timepoints = X.shape
    model = LSTMFCN(
        foreshock.ModelConfig(),
        n_channels=n_channels,
        n_timepoints=n_timepoints,
        n_classes=n_classes,
        logit_scale=0.5 if n_classes == 2 else 1.0,
    )
    model.fit_views([X])
    recipe = resolve(FitConfig(steps=n_steps), len(y), n_classes, valid_asked=False)
    loop.fit(model, X, y, recipe, seed=0, devices=this_device())
    model.random = model.fit_random(torch.from_numpy(X), torch.from_numpy(y))
    return model.eval()


def normalised(X: np.ndarray) -> np.ndarray:
    return (X - X.mean(axis=2, keepdims=True)) / (X.std(axis=2, keepdims=True) + 1e-8)


def compare(name: str) -> tuple[list[float], list[float]]:
    """Return the accuracies and the seconds of plain and of each number of batches.

    Seconds of one thread are processor time, which other work disturbs less.
    """
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    problem = foreshock.load(name)
    X, y = problem.series("train"), problem.y[problem.rows("train")]
    test, labels = problem.series("test"), problem.y[problem.rows("test")]
    accuracies, seconds = [], []
    begun = clock()
    model = plain(normalised(X), y, problem.n_classes)
    seconds.append(clock() - begun)
    with torch.inference_mode():
        said = torch.cat(
            [model(part) for part in torch.from_numpy(normalised(test)).split(64)]
        ).numpy()
    accuracies.append((said.argmax(axis=1) == labels).mean())
    for n_steps in BUDGETS:
        begun = clock()
        trained = ours(X, y, problem.n_classes, n_steps)
        seconds.append(clock() - begun)
        said = predict_logits(trained, test, this_device())
        accuracies.append((said.argmax(axis=1) == labels).mean())
    return accuracies, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problems", nargs="*", default=PROBLEMS)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    names = ["plain", *(f"{n} batches" if n else "default" for n in BUDGETS)]
    print("problem", *(f"{name}: accuracy, seconds" for name in names), sep="\t")
    accuracies, seconds = [], []
    for name in options.problems:
        accuracy, second = compare(name)
        accuracies.append(accuracy)
        seconds.append(second)
        cells = [f"{a:.3f} {s:.1f}" for a, s in zip(accuracy, second, strict=True)]
        print(name, *cells, sep="\t", flush=True)
    accuracy, second = np.mean(accuracies, axis=0), np.mean(seconds, axis=0)
    print("mean", *(f"{a:.3f} {s:.1f}" for a, s in zip(accuracy, second, strict=True)), sep="\t")
    enough = np.flatnonzero(accuracy[1:] >= accuracy[0])
    if len(enough):
        first = enough[0] + 1
        print(f"as accurate after {names[first]}: {second[first] / second[0]:.3f} of plain's time")
    else:
        print("never as accurate")


if __name__ == "__main__":
    main()
