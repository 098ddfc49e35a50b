"""Series as sensors give them on their worst days, for comparing one computation with another."""

import numpy as np
from numpy.typing import NDArray

KINDS = (
    "as usual",
    "flat",
    "one channel flat",
    "one reading",
    "steps",
    "stairs",
    "stands still from some time on",
    "in a tiny or a huge unit",
    "far from zero",
    "gap in all channels",
    "gap in one channel",
)


def draw_odd_series(
    n: int,
    n_channels: int,
    n_timepoints: int,
    *,
    seed: int = 0,
    mean: float | NDArray[np.floating] = 0.0,
    deviation: float | NDArray[np.floating] = 1.0,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draw series (n, n_channels, n_timepoints) and what each of them is, a position in KINDS.

    Mean and deviation, (n_channels, 1), are those of the readings that a model knows.
    """
    random = np.random.default_rng(seed)
    kinds = random.integers(len(KINDS), size=n)
    X = np.empty((n, n_channels, n_timepoints))
    time = np.arange(n_timepoints)
    for i, kind in enumerate(kinds):
        x = random.normal(size=(n_channels, n_timepoints))
        if i % 3 == 1:
            x = x.cumsum(axis=1) / np.sqrt(n_timepoints)
        elif i % 3 == 2:
            pace = random.uniform(0.01, 2, (n_channels, 1))
            x = np.sin(time * pace + random.uniform(0, 6, (n_channels, 1))) + 0.1 * x
        name, at = KINDS[kind], int(random.integers(n_timepoints))
        if name == "flat":
            x[:] = random.choice([0.0, 1.0, 20.5, 1e-3]) * random.normal(size=(n_channels, 1))
        elif name == "one channel flat":
            x[random.integers(n_channels)] = random.choice([0.0, 20.5, -3.7])
        elif name == "steps":
            x = (2 * x).round() / 2
        elif name == "stairs":
            x = x[:, time // 10 * 10]
        elif name == "stands still from some time on":
            x = x[:, np.minimum(time, at)]
        elif name == "in a tiny or a huge unit":
            x = x * 10 ** random.uniform(-12, 12)
        elif name == "far from zero":
            x = x + random.choice([-1, 1]) * 10 ** random.uniform(0, 9)
        x = x * deviation + mean
        if name == "one reading":
            x[:, time != at] = np.nan
        elif name == "gap in all channels":
            x[:, at : at + 1 + random.integers(n_timepoints)] = np.nan
        elif name == "gap in one channel":
            x[random.integers(n_channels), at : at + 1 + random.integers(n_timepoints)] = np.nan
        if np.isnan(x).all():
            x[0, 0] = 1.0
        X[i] = x
    return X.astype(np.float32), kinds
