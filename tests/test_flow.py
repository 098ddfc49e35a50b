"""From a file to a trained model, its forecasts and its scores, as a user goes."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import foreshock
from foreshock.cli import app
from foreshock.metrics.scores import auroc_interval
from foreshock.problems.problem import Problem

SMALL = ["--model.filters", "16", "32", "16", "--model.cells", "8", "--fit.epochs", "2"]
SMALL += ["--model.random-features", "300"]


def test_a_csv_is_trained_on_forecast_and_evaluated(
    tmp_path: Path,
    small_problem: Callable[..., Problem],
    write_csv: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    problem = small_problem()
    write_csv(Path("pumps.csv"), problem)
    write_csv(Path("new.csv"), problem, labels=False, parts=False)

    assert app.run(["train", "pumps.csv", *SMALL]) == 0
    said = capsys.readouterr().out
    assert "Run: runs/pumps-1 (loss.png, cases.png, predictions.csv, scores.json)" in said
    run = foreshock.Run(Path("runs/pumps-1"))
    run.verify()
    for name in ("loss.png", "predictions.csv", "scores.json"):
        assert (run.folder / name).is_file()

    assert app.run(["predict", "runs/pumps-1", "new.csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    proba = np.float32([[row["proba_a"], row["proba_b"]] for row in rows])
    forecaster = foreshock.Forecaster.load(run)
    np.testing.assert_allclose(proba, forecaster.predict_proba(problem.X), atol=1e-6)
    assert [row["predicted"] for row in rows] == forecaster.predict(problem.X).tolist()

    assert app.run(["evaluate", "runs/pumps-1", "pumps.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"] == run.read("scores")["scores"]

    assert app.run(["train", "pumps.csv", *SMALL]) == 0
    assert "Run: runs/pumps-2" in capsys.readouterr().out


def test_a_problem_of_the_archive_is_trained_on_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORESHOCK_DATA", raising=False)
    assert app.run(["train", "GunPoint", *SMALL, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["run"] == "runs/GunPoint-1"
    assert said["scores"]["n_cases"] == 150
    always = said["scores"]["baselines"]["always '2'"]["accuracy"]
    assert always["value"] == pytest.approx(0.4933, abs=1e-4)


def test_three_lines_of_python_do_the_same(
    tmp_path: Path, small_problem: Callable[..., Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    foreshock.save(small_problem(), tmp_path / "small.npz")
    config = foreshock.TrainConfig(
        model=foreshock.ModelConfig(filters=(16, 32, 16), cells=8),
        fit=foreshock.FitConfig(epochs=2),
    )
    run = foreshock.train(foreshock.load("small.npz"), config)
    proba = foreshock.Forecaster.load(run).predict_proba(small_problem().X)
    assert proba.shape == (24, 2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_coffee_sorted_by_label_is_learnt_with_one_error_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    data = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not data.is_dir():
        pytest.skip(f"the archive's Coffee is not at {data}")
    monkeypatch.setenv("FORESHOCK_DATA", str(data))
    config = foreshock.TrainConfig(fit=foreshock.FitConfig(epochs=40), seed=seed)
    run = foreshock.train(foreshock.load("Coffee"), config, folder=tmp_path / "run")
    assert run.read("scores")["scores"]["model"]["accuracy"]["value"] >= 27 / 28


def planted(seed: int = 0, n_timepoints: int = 200_000) -> foreshock.Readings:
    """Readings whose activity doubles in the hundred hours before each event."""
    random = np.random.default_rng(seed)
    events = np.cumsum(random.integers(1500, 3000, size=n_timepoints // 1500))
    events = events[events < n_timepoints]
    rate = np.full(n_timepoints, 0.2)
    for event in events:
        rate[max(0, event - 100) : event] = 0.4
    active = random.uniform(size=n_timepoints) < rate
    values = np.where(active, random.uniform(2, 3.9, size=n_timepoints), 0)
    values[events] = 6
    return foreshock.Readings(
        values=values[None].astype(np.float32),
        start=np.datetime64("2001-01-01"),
        step=np.timedelta64(1, "h"),
        channels=("activity",),
    )


@pytest.mark.slow
def test_a_planted_precursor_is_found_and_shuffled_labels_hold_none(tmp_path: Path) -> None:
    problem = foreshock.cut(planted())
    y = problem.y.copy()
    random = np.random.default_rng(1)
    for part in ("train", "test"):
        rows = problem.rows(part)
        y[rows] = random.permutation(y[rows])
    found = {}
    for name, case in (("planted", problem), ("shuffled", replace(problem, y=y))):
        run = foreshock.train(case, folder=tmp_path / name)
        proba = foreshock.Forecaster.load(run).predict_proba(case.series("test"))[:, 1]
        found[name] = auroc_interval(case.y[case.rows("test")], proba)
        print(name, run.read("scores")["scores"]["model"]["auroc"]["value"], found[name])  # noqa: T201
        if name == "planted":
            assert run.read("scores")["scores"]["model"]["auroc"]["value"] > 0.9
    assert found["shuffled"][0] <= 0.5 <= found["shuffled"][1]


def imbalanced(seed: int) -> Problem:
    """A wave in one case of four, of a part as large as that of UCR Earthquakes."""
    random = np.random.default_rng(seed)
    n_train, n_test = 160, 139
    y = (np.arange(n_train + n_test) % 4 == 0).astype(np.int64)
    X = random.normal(size=(len(y), 1, 64))
    X[:, 0] += 1.5 * y[:, None] * np.sin(np.arange(64) / 2)
    return Problem(
        name="imbalanced",
        X=X.astype(np.float32),
        y=y,
        part=np.repeat([0, 2], [n_train, n_test]).astype(np.uint8),
        classes=("no", "yes"),
        channels=("sensor",),
    )


@pytest.mark.slow
def test_the_sentence_is_right_of_the_majority_of_chance_and_of_a_perfect_model(
    tmp_path: Path,
) -> None:
    config = foreshock.TrainConfig(fit=foreshock.FitConfig(epochs=20))
    wrong = {"majority": 0, "shuffled": 0, "perfect": 0}
    for seed in range(20):
        problem, random = imbalanced(seed), np.random.default_rng(seed)
        test = problem.y[problem.rows("test")]
        always = np.tile(np.float32([0.75, 0.25]), (len(test), 1))
        scores = foreshock.score(test, always, problem.classes, prior=np.array([0.75, 0.25]))
        wrong["majority"] += scores.tests["majority"].verdict != "not distinguishable"
        y = problem.y.copy()
        train = problem.rows("train")
        y[train] = random.permutation(y[train])
        for name, case in (("shuffled", replace(problem, y=y)), ("perfect", problem)):
            run = foreshock.train(
                case, replace(config, seed=seed), folder=tmp_path / f"{name}{seed}"
            )
            verdict = run.read("scores")["scores"]["tests"]["majority"]["verdict"]
            wrong[name] += (verdict == "better") != (name == "perfect")
    print(wrong)  # noqa: T201
    assert max(wrong.values()) <= 1
