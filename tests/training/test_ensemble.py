"""--members: each leaves out a fold, and what it says of that fold is an honest forecast."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from toys import without_pictures

from foreshock.events.alarms import AlarmConfig
from foreshock.inference.evaluate import evaluate
from foreshock.inference.forecaster import Forecaster
from foreshock.problems.problem import NO_FOLD, Problem
from foreshock.problems.splits import member_folds
from foreshock.run import Run
from foreshock.training.config import TrainConfig
from foreshock.training.pipeline import train

Problems = Callable[..., Problem]
Configs = Callable[..., TrainConfig]
Trained = Callable[..., Run]
pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory, small_problem: Problems, small_config: Configs
) -> Run:
    folder = tmp_path_factory.mktemp("members") / "run"
    with without_pictures():
        return train(small_problem(), small_config(members=3), folder=folder)


def table(run: Run, name: str) -> list[dict[str, str]]:
    with (run.folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


def probabilities(rows: list[dict[str, str]]) -> NDArray[np.float64]:
    return np.array([[row["proba_a"], row["proba_b"]] for row in rows], np.float64)


def weights(run: Run, member: int) -> dict[str, NDArray[Any]]:
    tensors = run.read_model()[1]
    return {k: v for k, v in tensors.items() if k.startswith(f"{member}.")}


def same(first: dict[str, NDArray[Any]], second: dict[str, NDArray[Any]]) -> bool:
    assert first.keys() == second.keys()
    return all(np.array_equal(first[name], second[name]) for name in first)


def test_each_train_case_is_forecast_by_the_member_that_left_it_out(
    run: Run, small_problem: Problems
) -> None:
    problem, rows = small_problem(), table(run, "held_out.csv")
    cases = np.array([int(row["case"]) for row in rows])
    assert sorted(cases) == problem.select("train").tolist()
    assert [row["label"] for row in rows] == [problem.classes[y] for y in problem.y[cases]]
    fold = member_folds(problem, 3, seed=0)
    assert [int(row["member"]) for row in rows] == fold[cases].tolist()
    forecaster = Forecaster.load(run)
    for k in range(3):
        mine = fold[cases] == k
        alone = forecaster.member(k).predict_proba(problem.X[cases[mine]])
        np.testing.assert_allclose(probabilities(rows)[mine], alone, atol=1e-6)


def test_the_whole_forecasts_the_mean_of_its_members(run: Run, small_problem: Problems) -> None:
    X, forecaster = small_problem().X, Forecaster.load(run)
    each = [forecaster.member(k).predict_proba(X) for k in range(3)]
    np.testing.assert_allclose(forecaster.predict_proba(X), np.mean(each, axis=0), atol=1e-6)
    assert not np.allclose(each[0], each[1], atol=1e-3)


def test_a_member_knows_nothing_of_the_fold_it_left_out(
    run: Run, small_problem: Problems, trained: Trained
) -> None:
    problem = small_problem()
    left_out = member_folds(problem, 3, seed=0) == 1
    problem.X[left_out] = 1000 - 7 * problem.X[left_out]
    other = trained(problem, name="other", members=3)
    assert same(weights(run, 1), weights(other, 1))
    assert not same(weights(run, 0), weights(other, 0))
    assert not same(weights(run, 2), weights(other, 2))


def test_the_test_part_changes_nothing_of_the_model(
    run: Run, small_problem: Problems, trained: Trained
) -> None:
    runs = []
    for name in ("first", "second"):
        problem = small_problem()
        test = problem.select("test")
        if name == "second":
            problem.X[test] = 1000 - 7 * problem.X[test]
            problem.y[test] = 1 - problem.y[test]
        runs.append(trained(problem, name=name, members=3, alarm=AlarmConfig(recall=0.8)))
    for file in ("model.json", "model.safetensors", "held_out.csv"):
        assert (runs[0].folder / file).read_bytes() == (runs[1].folder / file).read_bytes()
    scores = [run.read("scores") for run in runs]
    assert scores[0]["held_out"] == scores[1]["held_out"]
    assert scores[0]["scores"]["model"] != scores[1]["scores"]["model"]
    assert Forecaster.load(runs[0]).card.calibration is not None


def test_history_and_rule_of_choice_tell_of_members(run: Run) -> None:
    history = run.history()
    assert [line["member"] for line in history if "train_loss" in line] == [0] * 3 + [1] * 3 + [
        2
    ] * 3
    assert run.read("scores")["choice"] == (
        "mean of 3 members; weights after the last of 3 epochs; none was picked by its score"
    )


def test_members_that_kept_other_epochs_each_say_so(trained: Trained) -> None:
    choice = trained(
        members=2, valid=0.25, fit={"epochs": 8, "patience": 2, "learning_rate": 0.05}
    ).read("scores")["choice"]
    assert choice.startswith("mean of 2 members; ")
    assert choice.count("the best loss on the valid part") in (1, 2)


def test_an_ensemble_is_evaluated_like_any_model(run: Run, small_problem: Problems) -> None:
    found = evaluate(run, small_problem())
    assert found.n_trained_on == 0
    stored = run.read("scores")["scores"]["model"]["log_loss"]["value"]
    assert found.scores.model.log_loss.value == pytest.approx(stored)


def test_predictions_name_the_classes_that_fit_and_alarms_where_asked_for(trained: Trained) -> None:
    run = trained(members=3, alarm=AlarmConfig(cost=3.0))
    rows = table(run, "predictions.csv")
    assert list(rows[0]) == ["case", "label", "predicted", "proba_a", "proba_b", "set", "alarm"]
    calibration = Forecaster.load(run).card.calibration
    assert calibration.policy == "least cost, a missed event costing as much as 3 false alarms"
    assert calibration.threshold is not None
    raised = probabilities(rows)[:, 1] >= calibration.threshold
    assert [row["alarm"] for row in rows] == ["yes" if alarm else "no" for alarm in raised]
    assert {row["set"] for row in rows} <= {"a", "b", "a|b", "none fits"}
    covered = np.mean([row["label"] in row["set"].split("|") for row in rows])
    sets = run.read("scores")["scores"]["sets"]
    assert sets["covered"]["value"] == covered


def test_the_valid_part_calibrates_a_model_of_one_member(
    small_problem: Problems, trained: Trained
) -> None:
    part = np.repeat([0, 1, 2], [10, 6, 8]).astype(np.uint8)
    run = trained(small_problem(part=part))
    held = run.read("scores")["held_out"]
    assert held["source"] == "valid"
    assert held["scores"]["n_cases"] == 6
    assert [int(row["case"]) for row in table(run, "held_out.csv")] == list(range(10, 16))
    alone = trained(name="alone")
    assert alone.read("scores")["held_out"] is None
    assert alone.read("model")["calibration"] is None
    assert not (alone.folder / "held_out.csv").exists()


@pytest.mark.parametrize("counts", [(1, 15), (1, 1)])
def test_where_a_class_has_a_single_case_every_member_is_trained_on_it(
    small_problem: Problems, counts: tuple[int, int], trained: Trained
) -> None:
    part = np.repeat([0, 2], [sum(counts), 24 - sum(counts)]).astype(np.uint8)
    y = np.append(np.repeat([0, 1], counts), np.arange(24 - sum(counts)) % 2)
    problem = small_problem(y=y, part=part)
    run = trained(problem, members=3)
    others = sum(counts) - counts.count(1)
    held_out = run.read("scores")["held_out"]
    assert held_out is None if not others else held_out["scores"]["n_cases"] == others
    assert Forecaster.load(run).predict_proba(problem.X).shape == (24, 2)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"members": 0}, "members must be from 1 to 50, got 0"),
        ({"members": 51}, "members must be from 1 to 50, got 51"),
        ({"members": 17}, "too few for 17 members: ask for fewer"),
        ({"alarm": {"cost": 2.0}}, "were not trained on: add --members 5, or make a valid part"),
        ({"members": 2, "alarm": {"budget": 2.0}}, "--alarm.budget needs a problem cut from"),
        ({"alarm": {"cost": 2.0, "recall": 0.5}}, "give one of --alarm.cost, --alarm.budget and"),
    ],
)
def test_what_cannot_be_is_refused_before_training(
    tmp_path: Path, small_problem: Problems, small_config: Configs, fields: dict[str, Any],
    reason: str,
) -> None:  # fmt: skip
    def asked() -> TrainConfig:
        alarm = AlarmConfig(**fields.get("alarm", {}))
        return small_config(**(fields | {"alarm": alarm}))

    with pytest.raises(ValueError, match=reason):
        train(small_problem(), asked(), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_alarms_are_of_two_classes(small_problem: Problems, trained: Trained) -> None:
    with pytest.raises(ValueError, match=r"alarms need two classes or states .*; small has 3"):
        trained(small_problem(n_classes=3), members=2, alarm=AlarmConfig(cost=2.0))


def test_train_cases_of_no_fold_are_those_of_other_parts(small_problem: Problems) -> None:
    problem = small_problem()
    fold = member_folds(problem, 4, seed=0)
    assert (fold[problem.select("test")] == NO_FOLD).all()
    assert np.bincount(fold[problem.select("train")]).tolist() == [4, 4, 4, 4]
