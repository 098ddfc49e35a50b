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
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import foreshock
from foreshock.problems.problem import NO_FOLD, Problem
from foreshock.problems.rule import EventRule
from foreshock.readings.series import Readings, Windows
from foreshock.training.config import PRESETS, TrainConfig
from foreshock.training.pipeline import learn

DATA = Path(os.environ.get("FORESHOCK_DATA", "../shared/data")).resolve()
CACHE = Path("/tmp/sensors")
TRAIN, TEST = 0, 2
SUMMARIES = ("last", "mean", "min", "max", "std", "trend")


# The problems. To be replaced by `foreshock.cut` as soon as it knows units.


def cases(
    name: str,
    values: NDArray[np.float32],
    channels: tuple[str, ...],
    last: NDArray[np.int64],
    y: NDArray[np.int64],
    test: NDArray[np.bool_],
    fold: NDArray[np.int64],
    *,
    window: int,
    lead: int = 0,
    horizon: int = 1,
    step: str = "h",
) -> Problem:
    """Make a problem of windows that end at readings; fold -1 is near two of them."""
    readings = Readings(
        values=values,
        start=np.datetime64("2000-01-01"),
        step=np.timedelta64(1, step),
        channels=channels,
    )
    order = np.lexsort([last, test])  # train first
    last, y, test, fold = (each[order] for each in (last, y, test, fold))
    ends = readings.times(last)
    folds = np.where(test | (fold < 0), NO_FOLD, fold)
    return Problem(
        name=name,
        X=Windows(readings, ends, window),
        y=y.astype(np.int64),
        part=np.where(test, TEST, TRAIN).astype(np.uint8),
        classes=("no", "yes"),
        channels=channels,
        ends=ends,
        fold=folds.astype(np.uint8),
        rule=EventRule(
            window=window,
            lead=lead,
            horizon=horizon,
            overlap=True,
            max_missing=0.5,
            min_active=0,
            quiet=0,
            calm_below=None,
        ),
    )


def by_time(last: NDArray[np.int64], test: NDArray[np.bool_], apart: int) -> NDArray[np.int64]:
    """Number five stretches of the train part with as many cases each, a gap between them."""
    fold = np.full(len(last), -1)
    train = np.flatnonzero(~test)
    for code, rows in enumerate(np.array_split(train, 5)):
        fold[rows[(last[rows] >= last[rows[0]] + (apart if code else 0))]] = code
    return fold


def at_risk(
    event: NDArray[np.bool_],
    missing: NDArray[np.bool_],
    gaps: NDArray[np.floating],
    *,
    window: int,
    horizon: int,
    quiet: int,
    most: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where windows end whose target is judged, and whether an event is in it."""

    def over(x: NDArray[Any], size: int) -> NDArray[np.float64]:
        sums = np.concatenate([[0.0], np.cumsum(x, dtype=np.float64)])
        return sums[size:] - sums[:-size]  # of x[i : i + size]

    n = len(event)
    last = np.arange(max(window, quiet) - 1, n - horizon)
    y = over(event, horizon)[last + 1] > 0
    kept = over(gaps, window)[last + 1 - window] <= most * window
    kept &= y | (over(missing, horizon)[last + 1] <= most * horizon)
    if quiet:
        before = last + 1 - quiet
        kept &= (over(event, quiet)[before] == 0) & (over(missing, quiet)[before] <= most * quiet)
    return last[kept], y[kept].astype(np.int64)


def beijing() -> Problem:
    frame = pd.read_csv(DATA / "sensors/beijing_pm25_2010_2014.csv.gz")
    wind = pd.get_dummies(frame["cbwd"], prefix="cbwd").astype(np.float32)
    numbers = frame[["pm2.5", "DEWP", "TEMP", "PRES", "Iws", "Is", "Ir"]]
    table = pd.concat([numbers, wind], axis=1)
    values = table.to_numpy(np.float32).T.copy()
    window = 72
    border = 24 * int((np.datetime64("2013-08-01") - np.datetime64("2010-01-01")).astype(int))
    pm = values[0]
    last, y = at_risk(
        pm >= 300, np.isnan(pm), np.isnan(pm), window=window, horizon=24, quiet=24, most=0.2
    )
    test = last + 1 >= border
    kept = test | (last + 24 < border - window)
    last, y, test = last[kept], y[kept], test[kept]
    fold = by_time(last, test, window + 24)
    return cases("beijing", values, tuple(table), last, y, test, fold, window=window, horizon=24)


def _fd001(which: str) -> pd.DataFrame:
    names = ["unit", "cycle", *(f"setting{k}" for k in (1, 2, 3)), *(f"s{k}" for k in range(1, 22))]
    path = DATA / f"sensors/cmapss/{which}_FD001.txt.gz"
    return pd.read_csv(path, sep=r"\s+", header=None, names=names)


def cmapss(*, official: bool = False) -> Problem:
    """FD001: engines 81 to 100 are the test part, or the official ones at their last reading."""
    frame, window = _fd001("train"), 30
    frame["left"] = frame.groupby("unit").cycle.transform("max") - frame.cycle
    if official:
        rest = _fd001("test")
        rul = pd.read_csv(DATA / "sensors/cmapss/RUL_FD001.txt.gz", header=None)[0].to_numpy()
        rest["left"] = rest.groupby("unit").cycle.transform("max") - rest.cycle
        rest["left"] += rul[rest.unit - 1]
        rest["unit"] += 100
        frame = pd.concat([frame, rest], ignore_index=True)
    channels = tuple(frame.columns[2:-1])
    unit, age, left = (frame[k].to_numpy() for k in ("unit", "cycle", "left"))
    usable = (age >= window) & ((left >= 1) | (unit > 100))
    if official:
        usable &= (unit <= 100) | np.append(unit[1:] != unit[:-1], True)
    last = np.flatnonzero(usable)
    unit, y = unit[last], (left[last] <= 30).astype(np.int64)
    test = unit > (100 if official else 80)
    number = np.minimum((unit - 1) // (20 if official else 16), 4)
    values = frame[list(channels)].to_numpy(np.float32).T.copy()
    name = "cmapss-official" if official else "cmapss"
    return cases(name, values, channels, last, y, test, number, window=window, horizon=30)


def skab(group: int) -> Problem:
    """Valve 1, four of the sixteen experiments left out; the others are three folds."""
    parts, units, flags = [], [], []
    for k in range(16):
        frame = pd.read_csv(DATA / f"sensors/skab_valve1/{k}.csv.gz", sep=";", parse_dates=[0])
        frame = frame.drop_duplicates("datetime").set_index("datetime").asfreq("s").ffill(limit=5)
        flags.append(frame.pop("anomaly").to_numpy())
        parts.append(frame.drop(columns="changepoint"))
        units += [k] * len(frame)
    table, flag, unit = pd.concat(parts), np.concatenate(flags), np.array(units)
    last = np.arange(59, len(table) - 30)
    kept = (unit[last - 59] == unit[last]) & (unit[last + 30] == unit[last])
    kept &= ~np.isnan(flag[last + 30])
    last = last[kept]
    y, four = flag[last + 30].astype(np.int64), unit[last] // 4
    fold = (four - group - 1) % 4
    values = table.to_numpy(np.float32).T.copy()
    return cases(
        f"skab-{group}", values, tuple(table), last, y, four == group, fold,
        window=60, lead=29, horizon=1, step="s",
    )  # fmt: skip


def ncsn() -> Problem:
    readings = foreshock.load_readings(DATA / "catalogs/ncsn_1967_2003.csv.gz")
    values = readings.values
    window, x = 512, readings.values[0]
    gaps = np.isnan(x)
    last, y = at_risk(x >= 4, gaps, gaps, window=window, horizon=24, quiet=0, most=0.0)
    border = np.flatnonzero(~gaps)[int(0.7 * (~gaps).sum())]
    test = last + 1 >= border
    kept = test | (last + 24 < border - window)
    last, y, test = last[kept], y[kept], test[kept]
    fold = by_time(last, test, window + 24)
    return cases("ncsn", values, ("maximum",), last, y, test, fold, window=window, horizon=24)


def pump() -> Problem:
    """The simulated pump of examples/own_data.ipynb, by README's rule."""
    rng, n_hours, window = np.random.default_rng(0), 2 * 8760, 48
    trips = np.cumsum(rng.integers(180, 260, size=100))
    trips = trips[: np.searchsorted(trips, n_hours)]
    end = trips[-1] - 5
    left = trips[np.searchsorted(trips, np.arange(end))] - np.arange(end)
    vibration = 2 + 0.02 * np.clip(48 - left, 0, 48) + rng.normal(0, 0.7, end)
    vibration[left == 0] = 8
    temperature = 40 + 5 * np.sin(2 * np.pi * np.arange(end) / 24) + rng.normal(0, 1, end)
    values = np.stack([vibration.round(2), temperature.round(2)]).astype(np.float32)
    values[:, [700, 701, 4000]] = np.nan
    x, gaps = values[0], np.isnan(values).any(axis=0)
    last, y = at_risk(x >= 7, gaps, gaps, window=window, horizon=12, quiet=48, most=0.05)
    border = int(0.7 * end)
    test = last + 1 >= border
    kept = test | (last + 12 < border - window)
    last, y, test = last[kept], y[kept], test[kept]
    fold = by_time(last, test, window + 12)
    names = ("vibration", "temperature")
    return cases("pump", values, names, last, y, test, fold, window=window, horizon=12)


PROBLEMS: dict[str, list[Callable[[], Problem]]] = {
    "beijing": [beijing],
    "cmapss": [cmapss],
    "cmapss-official": [lambda: cmapss(official=True)],
    "skab": [lambda group=group: skab(group) for group in range(4)],  # type: ignore[misc]
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
        """Count the tenths of cases whose share of events lies within its binomial interval."""
        order = np.argsort(self.proba, kind="stable")
        inside = 0
        for rows in np.array_split(order, 10):
            low, high = binom.interval(0.95, len(rows), self.proba[rows].mean())
            inside += bool(low <= self.y[rows].sum() <= high)
        return inside, 10


def pooled(parts: list[Result]) -> Result:
    y, proba = (np.concatenate([getattr(p, k) for p in parts]) for k in ("y", "proba"))
    return Result(y, proba, sum(p.seconds for p in parts))


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
    return Result(problem.y[test], proba, seconds)


def of_baseline(name: str, problem: Problem) -> Result:
    make, classifier = BASELINES[name]
    Z, test = of_windows(make, problem), problem.select("test")
    train = problem.select("train")
    begun = time.monotonic()
    fitted = classifier().fit(Z[train], problem.y[train])
    seconds = time.monotonic() - begun
    return Result(problem.y[test], fitted.predict_proba(Z[test])[:, 1], seconds)


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
    listed = lambda values: {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}  # noqa: E731
    base = dataclasses.replace(
        base,
        scan=False,
        model=dataclasses.replace(base.model, **listed(options.model)),
        fit=dataclasses.replace(base.fit, **listed(options.fit)),
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


if __name__ == "__main__":
    main()
