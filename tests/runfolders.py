"""Run folders with every file that a report can show, made without training; for tests only."""

import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from foreshock.metrics.intervals import auroc, mcnemar, proportion
from foreshock.run import Run

FLAT = {"low": None, "high": None}


def estimate(value: float, reach: float = 0.05) -> dict[str, float]:
    return {"value": value, "low": max(0.0, value - reach), "high": min(1.0, value + reach)}


def metrics(y: np.ndarray[Any, Any], proba: np.ndarray[Any, Any]) -> dict[str, Any]:
    right = proba.argmax(axis=1) == y
    found: dict[str, Any] = {
        "accuracy": dataclasses.asdict(proportion(int(right.sum()), len(y))),
        "balanced_accuracy": estimate(0.55),
        "macro_f1": estimate(0.54),
        "mcc": estimate(0.1),
        "auroc": None,
        "average_precision": estimate(0.3),
        "log_loss": {"value": 0.56, "low": 0.48, "high": 0.63},
        "brier": estimate(0.18),
        "calibration_error": estimate(0.04),
    }
    if proba.shape[1] == 2 and 0 < y.sum() < len(y):
        area = auroc((y == 1)[:, None], proba[:, 1:])
        found["auroc"] = dataclasses.asdict(area)
    return found


def scores(
    y: np.ndarray[Any, Any], proba: np.ndarray[Any, Any], classes: tuple[str, ...], *, event: bool
) -> dict[str, Any]:
    n = len(classes)
    guess, majority = proba.argmax(axis=1), int(np.bincount(y).argmax())
    always = np.eye(n)[np.full(len(y), majority)]
    p = mcnemar(guess == y, y == majority)
    tests: dict[str, Any] = {
        "majority": {
            "verdict": "not distinguishable" if p > 0.05 else "better",
            "p": p,
            "difference": float((guess == y).mean() - (y == majority).mean()),
        }
    }
    if n == 2:
        tests["chance"] = {"verdict": "not distinguishable", "p": None, "difference": 0.04}
    baselines = {f"always '{classes[majority]}'": metrics(y, always)}
    baselines["class prior"] = metrics(
        y, np.tile(np.bincount(y, minlength=n) / len(y), (len(y), 1))
    )
    if event:
        baselines["activity counts"] = metrics(y, proba[::-1])
        tests["activity counts"] = {"verdict": "better", "p": 0.03, "difference": 0.1}
    return {
        "n_cases": len(y),
        "classes": list(classes),
        "majority": classes[majority],
        "sentence": f"Not distinguishable from always '{classes[majority]}': accuracy"
        f" {(guess == y).mean():.3f} beside {(y == majority).mean():.3f} on {len(y)} cases.",
        "tests": tests,
        "model": metrics(y, proba),
        "baselines": baselines,
        "rankings": {"true probability": estimate(0.63, 0.1)} if event else {},
        "confusion": np.bincount(y * n + guess, minlength=n * n).reshape(n, n).tolist(),
    }


def table(
    cases: np.ndarray[Any, Any],
    y: np.ndarray[Any, Any],
    proba: np.ndarray[Any, Any],
    classes: tuple[str, ...],
    member: np.ndarray[Any, Any] | None = None,
) -> str:
    out = io.StringIO()
    rows = csv.writer(out)
    head = ["case", "label", "predicted", *(f"proba_{name}" for name in classes)]
    rows.writerow(head + ["member"] * (member is not None))
    for k, case in enumerate(cases):
        row = [case, classes[y[k]], classes[int(proba[k].argmax())], *proba[k].tolist()]
        rows.writerow(row + ([] if member is None else [member[k]]))
    return out.getvalue()


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
    """Make the folder of a run as train writes it; the model's weights are none."""
    random = np.random.default_rng(seed)
    n = len(classes)

    def part(count: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        drawn = np.random.default_rng(cases_seed)
        share = np.array([0.75, 0.25]) if n == 2 else np.full(n, 1 / n)
        y = drawn.choice(n, count, p=share)
        y[:n] = np.arange(n)[:count]
        logits = random.normal(size=(count, n)) + skill * np.eye(n)[y] + np.log(share)
        proba = np.exp(logits)
        return y, proba / proba.sum(axis=1, keepdims=True)

    counts = {label: 20 + k for k, label in enumerate(classes)}
    described = {
        "cases": sum(counts.values()),
        "length_min": n_timepoints,
        "length_median": float(n_timepoints),
        "length_max": n_timepoints,
        "class_counts": counts,
        "missing_values": 3,
        "cases_with_missing": 2,
        "labels_not_in_train": [],
        "first": "1967-12-01T00:00Z" if event else None,
        "last": "1993-01-01T00:00Z" if event else None,
    }
    problem = {
        "digest": digest,
        "card": {
            "name": name,
            "n_channels": len(channels),
            "channels": channels,
            "n_timepoints": n_timepoints,
            "z_normalised": False,
            "parts": {"train": described, **({"test": described} if test else {})},
            "step": "1h" if event else None,
        },
        "audit": {"findings": ["12 test cases share readings with train (such as 1 and 2)"]},
        "n_trained_on": 200,
        "stretches": None,
        "trained_on": [],
    }
    config = {"seed": seed, "members": members, "test": None, "fit.epochs": 20, **(options or {})}
    nested: dict[str, Any] = {}
    for key, value in config.items():
        group, _, field = key.rpartition(".")
        (nested.setdefault(group, {}) if group else nested)[field] = value
    environment = {
        "started": "2026-11-26T18:16:35+00:00",
        "command": ["/opt/venv/bin/foreshock", "train", source, "--seed", str(seed)],
        "versions": ["foreshock 0.1.0", "Python 3.11.7", "torch 2.13.0"],
        "platform": "Linux",
        "cores": 2,
        "threads": 2,
        "device": "cpu",
        "devices": 1,
        "precision": "bf16",
    }
    run = Run.create(
        folder,
        {
            "config": {"problem": source, "config": nested},
            "environment": environment,
            "problem": problem,
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
        values = (0.7 - 0.2 * np.exp(-((np.log10(rates) + 2.5) ** 2)) + rates).tolist()
        found = {"rates": rates.tolist(), "losses": values, "suggestion": 1.6e-3}
        run.write("lr_finder", found)
    calibration = {"source": "out of fold", "n_cases": 200, "temperature": 1.4, "threshold": 0.3}
    calibration["policy"] = "at most 10 false alarms per year"
    model = {
        "classes": classes,
        "channels": channels,
        "rule": {"window": 512} if event else None,
        "members": members,
        "calibration": calibration if held_out else None,
    }
    run.write_model(model, {"head.bias": np.zeros(n, np.float32)})
    document: dict[str, Any] = {
        "part": "test" if test else None,
        "choice": "weights after the last of 20 epochs; none was picked by its score",
        "scores": None,
        "held_out": None,
        "alarms": None,
        "occlusion": None,
    }
    if test:
        y, proba = part(n_test)
        run.write_predictions(table(np.arange(n_test) + 200, y, proba, classes))
        document["scores"] = scores(y, proba, classes, event=event)
        if held_out:
            covered = {"coverage": 0.9, "covered": estimate(0.88), "mean_size": 1.4, "empty": 2}
            document["scores"]["sets"] = covered
    if held_out:
        y, proba = part(200)
        text = table(np.arange(200), y, proba, classes, np.arange(200) % members)
        (folder / "held_out.csv").write_bytes(text.encode())
        document["held_out"] = {
            "source": "out of fold",
            "scores": scores(y, proba, classes, event=event),
        }
    if event and test:
        document["alarms"] = _alarms(folder, random)
    if explained and test:
        _explain(folder, classes, channels, n_timepoints, random)
        document["occlusion"] = {
            "n_cases": n_test,
            "top": estimate(0.21),
            "random": estimate(0.04),
            "difference": estimate(0.17),
        }
    run.finish(document)
    return folder


def _alarms(folder: Path, random: np.random.Generator) -> dict[str, Any]:
    n = 94_000
    time = np.datetime64("1993-01-01T00:00", "us") + np.arange(n) * np.timedelta64(1, "h")
    proba = np.clip(0.2 + 0.1 * np.sin(np.arange(n) / 900) + random.normal(0, 0.05, n), 0, 1)
    event = np.zeros(n, np.bool_)
    event[random.choice(n, 30, replace=False)] = True
    outside = random.random(n) < 0.01
    np.savez_compressed(
        folder / "forecasts.npz",
        time=time.astype("datetime64[us]"), proba=proba.astype(np.float32), event=event,
        outside=outside,
    )  # fmt: skip
    curve = [
        {
            "threshold": 1 - k / 200,
            "alarms_per_year": (k / 10) ** 2,
            "false_alarms_per_year": (k / 10) ** 2 * 0.9,
            "recall": min(1.0, (k / 200) ** 0.7),
            "precision": None if k == 0 else 0.3 - k / 1000,
        }
        for k in range(200)
    ]
    return {
        "threshold": 0.5,
        "policy": "at most 10 false alarms per year",
        "from": "1993-01-01T00:00Z",
        "until": "2003-11-30T23:00Z",
        "years": 10.8,
        "n_forecasts": n,
        "n_outside": int(outside.sum()),
        "events": 30,
        "warned": 12,
        "recall": estimate(0.4, 0.16),
        "alarms": 80,
        "false_alarms": 68,
        "precision": estimate(0.15, 0.07),
        "alarms_per_year": 7.4,
        "false_alarms_per_year": 6.3,
        "lead_hours": [3.0, 9.5, 31.0],
        "curve": curve,
        "activity_curve": [point | {"recall": point["recall"] ** 2} for point in curve],
    }


def _explain(
    folder: Path,
    classes: tuple[str, ...],
    channels: tuple[str, ...],
    n_timepoints: int,
    random: np.random.Generator,
) -> None:
    n, K = 10, len(classes)
    logits = random.normal(size=(n, K))
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    bell = np.exp(-(((np.arange(n_timepoints) - random.uniform(20, 100, (n, 1))) / 12) ** 2))
    X = random.normal(size=(n, len(channels), n_timepoints)).cumsum(axis=2).astype(np.float32)
    X[0, 0, 30:40] = np.nan
    np.savez_compressed(
        folder / "explanations.npz",
        case=np.arange(n) + 200,
        kind=np.array(["example"] * 6 + ["error"] * 4),
        label=np.array([classes[k % K] for k in range(n)]),
        predicted=np.array([classes[int(k)] for k in proba.argmax(axis=1)]),
        proba=proba.astype(np.float32),
        X=X,
        map=(bell - 0.3 * bell[::-1]).astype(np.float32),
        recurrent=random.normal(size=(n, K)).astype(np.float32),
        convolutional=random.normal(size=(n, K)).astype(np.float32),
        bias=np.zeros(K, np.float32),
    )
