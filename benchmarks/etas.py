"""Simulated earthquakes beside Northern California's, and how well the true probability ranks.

python benchmarks/etas.py ../shared/data/catalogs/ncsn_1967_2003.csv.gz [--seeds 16] [--fit]

Everything is read from hourly readings of M >= 2, as `foreshock cut` would, each quantity from the
real catalogue, then its mean over the seeds and its standard deviation from one to the next. The
true probability of the simulated catalogues is only the model's of the real one. Under the
Earthquakes rule no window with an M >= 5 can be a positive, so the best score is 0 there. --fit
looks for parameters of the simulation that bring the means to the real quantities, starting from
the defaults; it takes some ten minutes.
"""

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score

from foreshock.readings.catalog import Catalog, read_catalog, to_readings
from foreshock.readings.config import CatalogConfig
from foreshock.readings.etas import EtasConfig, probability, simulate

WINDOW = 512
AFTER = (1, 6, 24, 72, 240, 720, 2400)
"""Hours after a mainshock, from one of which to the next aftershocks are counted."""
HOURLY = CatalogConfig(channels=("maximum", "count"))


def active(maximum: NDArray[np.float32]) -> NDArray[np.float64]:
    """Count the active hours of the window before each hour; NaN where it is not whole."""
    sums = np.cumsum(np.concatenate([[0.0], np.nan_to_num(maximum) > 0]))
    gaps = np.cumsum(np.concatenate([[0.0], np.isnan(maximum)]))
    counts = np.full(len(maximum), np.nan)
    whole = gaps[WINDOW:-1] == gaps[: -WINDOW - 1]
    counts[WINDOW:][whole] = (sums[WINDOW:-1] - sums[: -WINDOW - 1])[whole]
    return counts


def mainshocks(maximum: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the hours with M >= 5 that have no other in the window before them."""
    large = np.flatnonzero(maximum >= 5)
    return large[np.diff(large, prepend=-WINDOW - 1) > WINDOW]


def measure(catalog: Catalog) -> dict[str, float]:
    """Return the quantities by which catalogues are compared."""
    maximum, count = to_readings(catalog, HOURLY).values
    years = float((~np.isnan(maximum)).sum()) / 24 / 365.25
    counted = catalog.magnitude[np.isin(catalog.kind, HOURLY.kinds)]
    out = {f"M >= {m}, per year": float((counted >= m).sum()) / years for m in (2, 3, 4, 5)}
    out["empty hours"] = float(np.nanmean(np.where(np.isnan(maximum), np.nan, maximum == 0)))
    shocks = mainshocks(maximum)
    out["mainshocks, per year"] = len(shocks) / years
    padded = np.pad(count, AFTER[-1], constant_values=np.nan)
    mean = np.nanmean(count)
    stretches = [(-24, 0), *itertools.pairwise(AFTER)]
    for begin, end in stretches:
        around = padded[shocks[:, None] + AFTER[-1] + np.arange(begin, end)]
        around = around[~np.isnan(around).any(axis=1)].mean(axis=1)
        around = np.minimum(around, np.quantile(around, 0.9))  # or a few sequences decide
        out[f"rate at {begin} to {end} h"] = float(around.mean() / mean)
    counts = active(maximum)
    for share in (0.1, 0.5, 0.9):
        out[f"active hours, {share:.0%}"] = float(np.nanquantile(counts, share))
    return out


def areas(catalog: Catalog, config: EtasConfig) -> dict[str, float]:
    """AUROCs of M >= 5 in an hour; an event in the window excludes positives, not others."""
    readings = to_readings(catalog, HOURLY)
    maximum = readings.values[0]
    counts = active(maximum)
    positive = np.zeros(len(maximum), dtype=np.bool_)
    positive[mainshocks(maximum)] = True
    cases = np.flatnonzero((counts >= 20) & (positive | (maximum < 4)))
    large = np.cumsum(np.concatenate([[0], maximum >= 5]))
    quiet = (large[cases] == large[cases - WINDOW]).astype(np.float64)
    chance = probability(
        catalog.take(np.isin(catalog.kind, HOURLY.kinds) & (catalog.magnitude >= 2)),
        config,
        readings.times(cases),
        step=readings.step,
        lead=0,
        horizon=1,
        event_above=5.0,
    )
    scores = {
        "probability": chance,
        "the same, 0 unless quiet": chance * quiet,
        "active hours": counts[cases],
        "the same, 0 unless quiet ": counts[cases] * quiet,
    }
    return {name: float(roc_auc_score(positive[cases], score)) for name, score in scores.items()}


def fit(real: dict[str, float], seeds: Sequence[int]) -> EtasConfig:
    """Match the means of the quantities over some seeds, each on the scale of its scatter."""
    names = ("background", "branching_ratio", "alpha", "c", "p", "b", "b_small")
    scale = dict.fromkeys(real, 0.2)
    scale |= {"empty hours": 0.03, "active hours, 50%": 0.1, "M >= 2, per year": 0.1}

    def config(point: NDArray[np.float64]) -> EtasConfig:
        background, ratio, alpha, c, p, b, small = point.tolist()
        return EtasConfig(
            background=float(np.exp(background)),
            branching_ratio=float(1 / (1 + np.exp(-ratio))),
            alpha=alpha,
            c=float(np.exp(c)),
            p=float(1 + np.exp(p)),
            b=b,
            b_small=small,
        )

    def loss(point: NDArray[np.float64]) -> float:
        try:
            measured = [measure(simulate(replace(config(point), seed=seed))) for seed in seeds]
        except ValueError:  # beyond what a configuration may be
            return 1e6
        mean = {name: np.mean([m[name] for m in measured]) for name in real}
        return float(sum((np.log(mean[n] / real[n]) / scale[n]) ** 2 for n in real))

    first = EtasConfig()
    odds = first.branching_ratio / (1 - first.branching_ratio)
    start = [*np.log([first.background, odds]), first.alpha, *np.log([first.c, first.p - 1])]
    start += [first.b, first.b_small]
    sizes = np.diag([0.1, 0.2, 0.05, 0.3, 0.2, 0.03, 0.03])
    corners = np.array(start) + np.vstack([np.zeros(7), sizes])
    found = minimize(
        loss, start, method="Nelder-Mead", options={"maxfev": 300, "initial_simplex": corners}
    )
    best = config(found.x)
    print(f"misfit {loss(np.array(start)):.2f} of the defaults, {found.fun:.2f} of the best:")
    print(", ".join(f"{name} {getattr(best, name):.3g}" for name in names))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("catalog", type=Path)
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    catalog = read_catalog(options.catalog)
    real = measure(catalog)
    config = fit(real, range(1000, 1016)) if options.fit else EtasConfig()
    configs = [replace(config, seed=seed) for seed in range(options.seeds)]
    simulated = [simulate(config) for config in configs]
    print(f"{'hourly readings':28}{'real':>10}{'simulated':>10}{'+-':>8}")
    show(real, [measure(each) for each in simulated])
    print("\nAUROC, M >= 5 in the next hour")
    ranked = [areas(*pair) for pair in zip(simulated, configs, strict=True)]
    show(areas(catalog, config), ranked)


def show(real: dict[str, float], simulated: list[dict[str, float]]) -> None:
    """Print each quantity with its mean and standard deviation over the seeds."""
    for name, value in real.items():
        values = [each[name] for each in simulated]
        print(f"{name:28}{value:10.3f}{np.mean(values):10.3f}{np.std(values):8.3f}")


if __name__ == "__main__":
    main()
