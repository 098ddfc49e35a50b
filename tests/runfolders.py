"""Run folders with every file that a report can show, made without training; for tests only."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from toys import quake_rule

from foreshock.metrics import ACTIVITY
from foreshock.metrics.calibration import Calibration
from foreshock.metrics.intervals import Estimate, auroc, mcnemar, proportion
from foreshock.metrics.scores import Comparison, Metrics, always_name
from foreshock.problems.problem import Card, PartCard
from foreshock.reporting.run_data import (
    AlarmPoint,
    AlarmScores,
    Environment,
    Explanations,
    Finder,
    Findings,
    Forecasts,
    HeldOutScores,
    ModelFile,
    OcclusionTest,
    Outcome,
    PartScores,
    ProblemFile,
    Sets,
)
from foreshock.run import Run

Array = np.ndarray[Any, Any]
CURVE = [
    AlarmPoint(
        threshold=1 - k / 200,
        alarm_rate=(k / 10) ** 2,
        false_alarm_rate=(k / 10) ** 2 * 0.9,
        recall=min(1.0, (k / 200) ** 0.7),
        precision=None if k == 0 else 0.3 - k / 1000,
    )
    for k in range(200)
]


def estimate(value: float, reach: float = 0.05) -> Estimate:
    return Estimate(value, max(0.0, value - reach), min(1.0, value + reach))


def metrics(y: Array, proba: Array) -> Metrics:
    right, two = proba.argmax(axis=1) == y, proba.shape[1] == 2 and 0 < y.sum() < len(y)
    return Metrics(
        accuracy=proportion(int(right.sum()), len(y)),
        balanced_accuracy=estimate(0.55),
        macro_f1=estimate(0.54),
        mcc=estimate(0.1),
        auroc=auroc((y == 1)[:, None], proba[:, 1:]) if two else None,
        average_precision=estimate(0.3),
        log_loss=Estimate(0.56, 0.48, 0.63),
        brier=estimate(0.18),
        calibration_error=estimate(0.04),
    )


def scores(
    y: Array, proba: Array, classes: tuple[str, ...], *, event: bool, sets: Sets | None = None
) -> PartScores:
    n, right = len(classes), proba.argmax(axis=1) == y
    share = np.bincount(y, minlength=n) / len(y)
    majority = int(share.argmax())
    p, gain = mcnemar(right, y == majority), float(right.mean() - share[majority])
    tests = {"majority": Comparison("not distinguishable" if p > 0.05 else "better", gain, p)}
    always = always_name(classes[majority])
    said = {
        always: np.eye(n)[np.full(len(y), majority)],
        "class prior": np.tile(share, (len(y), 1)),
    }
    if n == 2:
        tests["chance"] = Comparison("not distinguishable", 0.04, None)
    if event:
        said[ACTIVITY] = proba[::-1]
        tests[ACTIVITY] = Comparison("better", 0.1, 0.03)
    counts = np.bincount(y * n + proba.argmax(axis=1), minlength=n * n).reshape(n, n)
    return PartScores(
        n_cases=len(y),
        classes=classes,
        majority=classes[majority],
        sentence=f"Not distinguishable from {always}: accuracy {right.mean():.3f} beside"
        f" {share[majority]:.3f} on {len(y)} cases.",
        tests=tests,
        model=metrics(y, proba),
        baselines={name: metrics(y, each) for name, each in said.items()},
        rankings={"true probability": estimate(0.63, 0.1)} if event else {},
        confusion=tuple(map(tuple, counts.tolist())),
        best=ACTIVITY if event else None,
        sets=sets,
    )


def table(
    cases: Array,
    y: Array,
    proba: Array,
    classes: tuple[str, ...],
    member: Array | None = None,
) -> str:
    out = io.StringIO()
    rows = csv.writer(out)
    head = ["case", "label", "predicted", *(f"proba_{name}" for name in classes)]
    rows.writerow(head + ["member"] * (member is not None))
    for k, case in enumerate(cases):
        row = [case, classes[y[k]], classes[int(proba[k].argmax())], *proba[k].tolist()]
        rows.writerow(row + ([] if member is None else [member[k]]))
    return out.getvalue()


def publish(
    folder: Path,
    problems: Sequence[str],
    methods: dict[str, Sequence[float]],
    split: str = "default split",
) -> Path:
    """Add accuracies of methods on problems to the file of published ones, which may be new."""
    path = folder / "accuracies.csv"
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8", errors="replace") as file:
        rows = csv.writer(file)
        rows.writerows([["dataset", "method", "accuracy", "split"]] * new)
        for method, values in methods.items():
            for problem, value in zip(problems, values, strict=False):
                rows.writerow([problem, method, f"{value:.6f}", split])
    return path


def make_run(
    folder: Path,
    *,
    name: str = "quakes",
    classes: tuple[str, ...] = ("no", "yes"),
    channels: tuple[str, ...] = ("magnitude",),
    n_test: int = 139,
    n_timepoints: int = 128,
    members: int = 3,
    event: bool = True,
    test: bool = True,
    held_out: bool = True,
    explained: bool = True,
    finder: bool = True,
    seed: int = 0,
    skill: float = 0.7,
    digest: str = "d" * 64,
    source: str = "quakes.npz",
    options: dict[str, Any] | None = None,
    cases_seed: int = 7,
) -> Path:
    """Make the folder of a run as train writes it, from what a report decodes; without weights."""
    random = np.random.default_rng(seed)
    n = len(classes)

    def part(count: int) -> tuple[Array, Array]:
        drawn = np.random.default_rng(cases_seed)
        share = np.array([0.75, 0.25]) if n == 2 else np.full(n, 1 / n)
        y = drawn.choice(n, count, p=share)
        y[:n] = np.arange(n)[:count]
        logits = random.normal(size=(count, n)) + skill * np.eye(n)[y] + np.log(share)
        proba = np.exp(logits)
        return y, proba / proba.sum(axis=1, keepdims=True)

    counts = {label: 20 + k for k, label in enumerate(classes)}
    part_card = PartCard(
        cases=sum(counts.values()),
        length_min=n_timepoints,
        length_median=float(n_timepoints),
        length_max=n_timepoints,
        class_counts=counts,
        missing_values=3,
        cases_with_missing=2,
        labels_not_in_train=(),
        first="1967-12-01T00:00Z" if event else None,
        last="1993-01-01T00:00Z" if event else None,
    )
    problem = ProblemFile(
        digest=digest,
        card=Card(
            name=name,
            n_channels=len(channels),
            channels=channels,
            n_timepoints=n_timepoints,
            z_normalised=False,
            parts={"train": part_card} | ({"test": part_card} if test else {}),
            step="1h" if event else None,
        ),
        audit=Findings(findings=("12 test cases share readings with train (such as 1 and 2)",)),
    )
    config = {"seed": seed, "members": members, "test": None, "fit.epochs": 20, **(options or {})}
    nested: dict[str, Any] = {}
    for key, value in config.items():
        group, _, field = key.rpartition(".")
        (nested.setdefault(group, {}) if group else nested)[field] = value
    environment = Environment(
        started="2026-11-26T18:16:35+00:00",
        command=("/opt/venv/bin/foreshock", "train", source, "--seed", str(seed)),
        versions=("foreshock 0.1.0", "Python 3.11.7", "torch 2.13.0"),
        platform="Linux",
        cores=2,
        threads=2,
        device="cpu",
        devices=1,
        precision="bf16",
    )
    run = Run.create(
        folder,
        {
            "config": {"problem": source, "config": nested},
            "environment": asdict(environment),
            "problem": asdict(problem),
        },
    )
    with run.open_history(0) as file:
        for member in range(members):
            which = {"member": member} if members > 1 else {}
            for epoch in range(1, 21):
                for step in range(10 * (epoch - 1) + 1, 10 * epoch + 1):
                    loss = 0.7 * np.exp(-step / 150) + 0.1 * random.random()
                    rate = 1e-3 * np.sin(np.pi * step / 201)
                    line = {"step": step, "epoch": epoch, "loss": loss, "learning_rate": rate}
                    file.write(json.dumps(line | which) + "\n")
                end = {"epoch": epoch, "train_loss": loss, "valid_loss": loss + 0.1, "seconds": 0.5}
                file.write(json.dumps(end | which) + "\n")
    if finder:
        rates = np.logspace(-6, 0, 80)
        losses = 0.7 - 0.2 * np.exp(-((np.log10(rates) + 2.5) ** 2)) + rates
        found = Finder(rates=tuple(rates), losses=tuple(losses), suggestion=1.6e-3)
        run.write("lr_finder", asdict(found))
    model = ModelFile(
        classes=classes,
        channels=channels,
        n_timepoints=n_timepoints,
        unequal=False,
        step="1h" if event else None,
        members=members,
        rule=quake_rule(window=n_timepoints, quiet=0, channel=channels[0]) if event else None,
        calibration=Calibration(
            source="out of fold", n_cases=200, temperature=1.4, conformity=(), n_conformity=(),
            threshold=0.3, policy="at most 10 false alarms per year",
        ) if held_out else None,
        versions=environment.versions,
    )  # fmt: skip
    run.write_model(asdict(model), {"head.bias": np.zeros(n, np.float32)})
    on_test, on_held_out, alarms, occlusion = None, None, None, None
    if test:
        y, proba = part(n_test)
        run.write_predictions(table(np.arange(n_test) + 200, y, proba, classes))
        sets = Sets(coverage=0.9, covered=estimate(0.88), mean_size=1.4, empty=2)
        if event:
            run.write_baselines({f"test/{ACTIVITY}": proba[::-1].astype(np.float32)})
        on_test = scores(y, proba, classes, event=event, sets=sets if held_out else None)
    if held_out:
        y, proba = part(200)
        run.write_held_out(table(np.arange(200), y, proba, classes, np.arange(200) % members))
        on_held_out = HeldOutScores(
            source="out of fold", scores=scores(y, proba, classes, event=event)
        )
    if event and test:
        forecasts = _forecasts(random)
        run.write_forecasts(vars(forecasts))
        alarms = _alarms(forecasts)
    if explained and test:
        found = vars(_explain(classes, len(channels), n_timepoints, random))
        if event:
            found["summary"] = 4 * (found["recurrent"] + found["convolutional"])
        else:  # as earlier versions wrote them
            del found["summary"]
        run.write_explanations(found)
        occlusion = OcclusionTest(
            n_cases=n_test, top=estimate(0.21), random=estimate(0.04), difference=estimate(0.17)
        )
    outcome = Outcome(
        part="test" if test else None,
        choice="weights after the last of 20 epochs; none was picked by its score",
        scores=on_test,
        held_out=on_held_out,
        alarms=alarms,
        occlusion=occlusion,
    )
    values = asdict(outcome)
    if alarms is not None:
        values["alarms"]["from"] = values["alarms"].pop("start")
    if on_held_out is not None:
        del values["held_out"]["scores"]["sets"]
    run.finish(values)
    return folder


def _forecasts(random: np.random.Generator) -> Forecasts:
    n = 94_000
    event = np.zeros(n, np.bool_)
    proba = np.clip(0.2 + 0.1 * np.sin(np.arange(n) / 900) + random.normal(0, 0.05, n), 0, 1)
    event[random.choice(n, 30, replace=False)] = True
    return Forecasts(
        time=np.datetime64("1993-01-01T00:00", "us") + np.arange(n) * np.timedelta64(1, "h"),
        proba=proba.astype(np.float32),
        event=event,
        outside=random.random(n) < 0.01,
    )


def _alarms(forecasts: Forecasts) -> AlarmScores:
    return AlarmScores(
        threshold=0.5,
        policy="at most 10 false alarms per year",
        start="1993-01-01T00:00Z",
        until="2003-11-30T23:00Z",
        span=10.8,
        span_forecast=10.8,
        n_forecasts=len(forecasts.time),
        n_outside=int(forecasts.outside.sum()),
        events=30,
        warned=12,
        recall=estimate(0.4, 0.16),
        alarms=80,
        false_alarms=68,
        precision=estimate(0.15, 0.07),
        alarm_rate=7.4,
        false_alarm_rate=6.3,
        leads=(3.0, 9.5, 31.0),
        curve=tuple(CURVE),
        baseline_curve=tuple(replace(p, recall=(p.recall or 0) ** 2) for p in CURVE),
    )


def _explain(
    classes: Sequence[str], n_channels: int, n_timepoints: int, random: np.random.Generator
) -> Explanations:
    n, K = 10, len(classes)
    logits = random.normal(size=(n, K))
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    bell = np.exp(-(((np.arange(n_timepoints) - random.uniform(20, 100, (n, 1))) / 12) ** 2))
    X = random.normal(size=(n, n_channels, n_timepoints)).cumsum(axis=2).astype(np.float32)
    X[0, 0, 30:40] = np.nan
    return Explanations(
        case=np.arange(n) + 200,
        kind=np.array(["example"] * 6 + ["error"] * 4),
        label=np.array([classes[k % K] for k in range(n)]),
        predicted=np.array([classes[int(k)] for k in proba.argmax(axis=1)]),
        proba=proba.astype(np.float32),
        X=X,
        map=(bell - 0.3 * bell[::-1]).astype(np.float32),
        recurrent=random.normal(size=(n, K)).astype(np.float32),
        convolutional=random.normal(size=(n, K)).astype(np.float32),
        random=np.zeros((n, K), np.float32),
        bias=np.zeros(K, np.float32),
    )
