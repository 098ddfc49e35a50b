"""From a file to a trained model, its forecasts and its scores, as a user goes."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import foreshock
from foreshock import cli
from foreshock.problems import Problem

SMALL = ["--model.filters", "16", "32", "16", "--model.cells", "8", "--fit.epochs", "2"]


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

    assert cli.run(["train", "pumps.csv", *SMALL]) == 0
    said = capsys.readouterr().out
    assert "Run: runs/pumps-1 (loss.png, predictions.csv, scores.json)" in said
    run = foreshock.Run(Path("runs/pumps-1"))
    run.verify()
    for name in ("loss.png", "predictions.csv", "scores.json"):
        assert (run.folder / name).is_file()

    assert cli.run(["predict", "runs/pumps-1", "new.csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    proba = np.float32([[row["proba_a"], row["proba_b"]] for row in rows])
    forecaster = foreshock.Forecaster.load(run)
    np.testing.assert_allclose(proba, forecaster.predict_proba(problem.X), atol=1e-6)
    assert [row["predicted"] for row in rows] == forecaster.predict(problem.X).tolist()

    assert cli.run(["evaluate", "runs/pumps-1", "pumps.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"] == run.read("scores")["scores"]

    assert cli.run(["train", "pumps.csv", *SMALL]) == 0
    assert "Run: runs/pumps-2" in capsys.readouterr().out


def test_a_problem_of_the_archive_is_trained_on_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORESHOCK_DATA", raising=False)
    assert cli.run(["train", "GunPoint", *SMALL, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["run"] == "runs/GunPoint-1"
    assert said["scores"]["n_cases"] == 150
    assert said["scores"]["majority_accuracy"] == pytest.approx(0.4933, abs=1e-4)


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
    assert run.read("scores")["scores"]["accuracy"] >= 27 / 28
