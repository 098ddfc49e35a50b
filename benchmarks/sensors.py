"""Early warnings on five sensor problems: simple baselines beside the model, on every test target.

python benchmarks/sensors.py [--problems beijing ...] [--seeds 0 1] [--preset fast] [--folds]

Data lie in ../shared/data (FORESHOCK_DATA). Without bf16, as on any machine:
ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2. With --folds the test part is left alone: each
fold of the train part is predicted by what was fitted to the others, which is what choices are made
by.
"""

import argparse
import dataclasses
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import foreshock
from foreshock import EventRule, LogConfig, PartsConfig, Problem, Readings, SourceConfig, cut
from foreshock.events.blocks import blocks_of
from foreshock.metrics.intervals import compare_by_blocks
from foreshock.metrics.scores import deciles
from foreshock.problems.problem import NO_FOLD
from foreshock.training.config import PRESETS, TrainConfig
from foreshock.training.pipeline import learn

DATA = Path(os.environ.get("FORESHOCK_DATA", "../shared/data")).resolve()
CACHE = Path("/tmp/sensors-cut")
TRAIN, TEST = 0, 2
SUMMARIES = ("last", "mean", "min", "max", "std", "trend")


# The problems, each from one call of `cut`, as docs/sensors.md has them.


def beijing() -> Problem:
    readings = foreshock.load_readings(DATA / "sensors/beijing_pm25_2010_2014.csv.gz")
    rule = EventRule(channel="pm2.5", event_above=300, window="3d", horizon="24h", quiet="24h")
    return cut(readings, rule, PartsConfig(test_from="2013-08-01"), name="beijing")


def fd001(which: str) -> Readings:
    log = LogConfig(unit_column="1", time="2", time_unit="count")
    path = DATA / f"sensors/cmapss/{which}_FD001.txt.gz"
    return foreshock.load_readings(path, config=SourceConfig(log=log))


def cmapss(*, official: bool = False) -> Problem:
    """FD001: engines 81 to 100 are the test part, or the official ones at their last reading."""
    readings, rule = fd001("train"), EventRule(window=30, horizon=30)
    if not official:
        parts = PartsConfig(test_units=tuple(map(str, range(81, 101))))
        return cut(readings, rule, parts, events="end", name="cmapss")
    rest = fd001("test")
    rul = pd.read_csv(DATA / "sensors/cmapss/RUL_FD001.txt.gz", header=None)[0].to_numpy()
    both = {f"{w} {n}": of.unit(k) for w, of in (("train", readings), ("test", rest))
            for k, n in enumerate(of.units.names.tolist())}  # fmt: skip
    whole = foreshock.stack(both)
    sizes = np.diff(whole.bounds)
    ends = sizes + np.append(np.zeros(readings.n_units, int), rul)
    tested = tuple(name for name in both if name.startswith("test"))
    problem = cut(whole, rule, PartsConfig(test_units=tested), events=ends,
                  event_units=whole.units.names, name="cmapss-official")  # fmt: skip
    latest = problem.X.last() == whole.bounds[problem.unit + 1] - 1
    return chosen(problem, (problem.part == TRAIN) | latest)


def chosen(problem: Problem, kept: NDArray[np.bool_]) -> Problem:
    """Leave out cases."""
    X, rows = problem.X.take(kept), ("y", "part", "ends", "fold")
    return dataclasses.replace(problem, X=X, **{n: getattr(problem, n)[kept] for n in rows})


def skab(group: int) -> Problem:
    """Valve 1, four of the sixteen experiments left out."""
    files = [DATA / f"sensors/skab_valve1/{k}.csv.gz" for k in range(16)]
    log = LogConfig(files="units", fill="5s")
    readings = foreshock.load_readings(*files, config=SourceConfig(log=log))
    rule = EventRule(channel="anomaly", event_state=("1",), window=60, lead=29)
    units = tuple(str(k) for k in range(4 * group, 4 * group + 4))
    return cut(readings, rule, PartsConfig(test_units=units), name=f"skab-{group}")


def ncsn() -> Problem:
    readings = foreshock.load_readings(DATA / "catalogs/ncsn_1967_2003.csv.gz")
    rule = EventRule(horizon=24, event_above=4, quiet=0, quiet_binds="all", min_active=0,
                     overlap=True)  # fmt: skip
    return cut(readings, rule, name="ncsn")


def pump(seed: int = 0) -> Problem:
    """The simulated pump of examples/own_data.ipynb, by README's rule."""
    rng, n_hours = np.random.default_rng(seed), 2 * 8760
    trips = np.cumsum(rng.integers(180, 260, size=100))
    trips = trips[: np.searchsorted(trips, n_hours)]
    end = trips[-1] - 5
    left = trips[np.searchsorted(trips, np.arange(end))] - np.arange(end)
    vibration = 2 + 0.02 * np.clip(48 - left, 0, 48) + rng.normal(0, 0.7, end)
    vibration[left == 0] = 8
    temperature = 40 + 5 * np.sin(2 * np.pi * np.arange(end) / 24) + rng.normal(0, 1, end)
    values = np.stack([vibration.round(2), temperature.round(2)]).astype(np.float32)
    values[:, [700, 701, 4000]] = np.nan
    readings = Readings(
        values=values,
        start=np.datetime64("2024-01-01"),
        step=np.timedelta64(1, "h"),
        channels=("vibration", "temperature"),
    )
    rule = EventRule(channel="vibration", event_above=7, window=48, horizon=12, quiet=48)
    return cut(readings, rule, name="pump")


PROBLEMS: dict[str, list[Callable[[], Problem]]] = {
    "beijing": [beijing],
    "cmapss": [cmapss],
    "cmapss-official": [partial(cmapss, official=True)],
    "skab": [partial(skab, group) for group in range(4)],
    "ncsn": [ncsn],
    "pump": [pump],
}


# The baselines.


def summary(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Summarise windows (n_cases, n_channels, n_timepoints) as (n_cases, 6 n_channels)."""
    x = x.astype(np.float64)
    seen = ~np.isnan(x)
    n, some = np.maximum(seen.sum(2), 1), seen.any(2)
    at = np.arange(x.shape[2])
    newest = (seen * (at + 1)).max(2).clip(1) - 1
    mean = np.where(seen, x, 0).sum(2) / n
    centred = np.where(seen, x - mean[:, :, None], 0)
    when = np.where(seen, at - ((seen * at).sum(2) / n)[:, :, None], 0)
    square = (when**2).sum(2)
    found = [
        np.take_along_axis(x, newest[:, :, None], 2)[:, :, 0],
        mean,
        np.where(seen, x, np.inf).min(2),
        np.where(seen, x, -np.inf).max(2),
        np.sqrt((centred**2).sum(2) / n),
        (when * centred).sum(2) / np.where(square > 0, square, 1),
    ]
    return np.concatenate([np.where(some, each, np.nan) for each in found], axis=1)


def last_reading(x: NDArray[np.float32]) -> NDArray[np.float64]:
    return x[:, :, -1].astype(np.float64)


def logistic() -> Any:
    return make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(max_iter=2000),
    )


BASELINES: dict[str, tuple[Callable[..., NDArray[np.float64]], Callable[[], Any]]] = {
    "LR last": (last_reading, logistic),
    "LR summary": (summary, logistic),
    "HGB": (summary, lambda: HistGradientBoostingClassifier(random_state=0)),
}


def of_windows(
    make: Callable[[NDArray[np.float32]], NDArray[np.float64]], problem: Problem
) -> NDArray[np.float64]:
    """Compute what is made of every window of a problem, kept for the next time."""
    file = CACHE / f"{problem.name}-{make.__name__}.npy"
    if not file.is_file():
        CACHE.mkdir(exist_ok=True)
        n = len(problem.X)
        chunks = [make(problem.X[np.arange(i, min(i + 2048, n))]) for i in range(0, n, 2048)]
        np.save(file, np.concatenate(chunks))
    found: NDArray[np.float64] = np.load(file)
    return found


# The comparison.


@dataclass(frozen=True)
class Result:
    """What one method says of the test targets of a problem."""

    y: NDArray[np.int64]
    proba: NDArray[np.float64]
    seconds: float
    blocks: NDArray[np.int64]

    @property
    def auroc(self) -> float:
        return float(roc_auc_score(self.y, self.proba))

    @property
    def precision(self) -> float:
        return float(average_precision_score(self.y, self.proba))

    @property
    def loss(self) -> float:
        p = np.clip(self.proba.astype(np.float64), 1e-7, 1 - 1e-7)
        return float(-np.mean(np.where(self.y, np.log(p), np.log1p(-p))))

    def deciles(self) -> tuple[int, int]:
        """Count the tenths of cases whose share of events agrees with what was predicted."""
        found = deciles(self.y, self.proba.astype(np.float64), self.blocks)
        return sum(d.share.low <= d.said <= d.share.high for d in found), len(found)


def pooled(parts: list[Result]) -> Result:
    y, proba = (np.concatenate([getattr(p, k) for p in parts]) for k in ("y", "proba"))
    firsts = np.cumsum([0, *(p.blocks.max() + 1 for p in parts[:-1])])
    blocks = np.concatenate([p.blocks + k for p, k in zip(parts, firsts.tolist(), strict=True)])
    return Result(y, proba, sum(p.seconds for p in parts), blocks)


def blocks(problem: Problem, cases: NDArray[np.int64]) -> NDArray[np.int64]:
    found = blocks_of(problem, cases)
    return np.arange(len(cases)) if found is None else found


def folds_as_tests(problem: Problem) -> Iterator[Problem]:
    """Leave out each fold of the train part in turn; what is near to it is in no part's reach."""
    train = np.flatnonzero((problem.part == TRAIN) & (problem.fold != NO_FOLD))
    for k in np.unique(problem.fold[train]):
        order = np.concatenate([train[problem.fold[train] != k], train[problem.fold[train] == k]])
        fold = np.where(problem.fold[order] == k, NO_FOLD, problem.fold[order])
        _, number = np.unique(fold[fold != NO_FOLD], return_inverse=True)
        fold[fold != NO_FOLD] = number
        yield dataclasses.replace(
            problem,
            X=problem.X.take(order),
            y=problem.y[order],
            ends=problem.ends[order],
            part=np.where(problem.fold[order] == k, TEST, TRAIN).astype(np.uint8),
            fold=fold,
        )


def of_model(problem: Problem, config: TrainConfig) -> Result:
    begun = time.monotonic()
    forecaster = learn(problem, config)
    seconds = time.monotonic() - begun
    test = problem.select("test")
    proba = forecaster.predictions_of(problem.X.take(test)).proba[:, 1]
    return Result(problem.y[test], proba, seconds, blocks(problem, test))


def of_baseline(name: str, problem: Problem) -> Result:
    make, classifier = BASELINES[name]
    Z, test = of_windows(make, problem), problem.select("test")
    train = problem.select("train")
    begun = time.monotonic()
    fitted = classifier().fit(Z[train], problem.y[train])
    seconds = time.monotonic() - begun
    proba = fitted.predict_proba(Z[test])[:, 1]
    return Result(problem.y[test], proba, seconds, blocks(problem, test))


def compare(problem: str, found: dict[str, Result]) -> None:
    """Print how far each model lies above the best baseline, by blocks of time or units."""
    for key, measure in (("auroc", "auroc"), ("precision", "average_precision")):
        best = max(BASELINES, key=lambda name: getattr(found[name], key))
        for method, result in found.items():
            if method in BASELINES:
                continue
            other = found[best]
            by = compare_by_blocks(result.y, result.proba, other.proba, result.blocks)[measure]
            span = by.difference
            lies = f"{span.value:+.4f} ({span.low:+.4f} to {span.high:+.4f})"
            print(f"{problem:16} {method:12} {measure} above {best}: {lies}, p = {by.p:.2g}",
                  flush=True)  # fmt: skip


def fields_of(values: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a configuration that JSON gives: its lists are tuples."""
    return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", nargs="*", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--folds", action="store_true")
    parser.add_argument("--most-folds", type=int, default=5)
    parser.add_argument("--no-baselines", action="store_true")
    parser.add_argument("--model", type=json.loads, default={}, help="fields of ModelConfig")
    parser.add_argument("--fit", type=json.loads, default={}, help="fields of FitConfig")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="    %(message)s")
    base = PRESETS[options.preset]
    base = dataclasses.replace(
        base,
        scan=False,
        model=dataclasses.replace(base.model, **fields_of(options.model)),
        fit=dataclasses.replace(base.fit, **fields_of(options.fit)),
    )
    for name in options.problems:
        every = [make() for make in PROBLEMS[name]]
        found: dict[str, Result] = {}
        if options.folds:
            every = [t for p in every for t in list(folds_as_tests(p))[-options.most_folds :]]
        elif not options.no_baselines:
            found = {b: pooled([of_baseline(b, p) for p in every]) for b in BASELINES}
        for seed in options.seeds:
            config = dataclasses.replace(base, seed=seed)
            each = [of_model(p, config) for p in every]
            if options.folds:
                mean = [np.mean([getattr(r, k) for r in each]) for k in ("auroc", "precision")]
                print(f"{name:16} mean over {len(each)} folds {mean[0]:.4f} {mean[1]:.4f}")
            found[f"{options.preset} {seed}"] = pooled(each)
        for method, result in found.items():
            inside, bins = result.deciles()
            print(
                f"{name:16} {method:12} AUROC {result.auroc:.4f}  AP {result.precision:.4f}"
                f"  log loss {result.loss:.4f}  deciles {inside}/{bins}  {result.seconds:.0f} s",
                flush=True,
            )
        if not options.folds and not options.no_baselines:
            compare(name, found)


if __name__ == "__main__":
    main()
