"""training: from a problem to a complete run, and what may and may not change its weights."""

import csv
import json
import logging
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foreshock.inference.forecaster import Forecaster
from foreshock.metrics.scores import score
from foreshock.problems.problem import Problem
from foreshock.reporting import figures
from foreshock.run import Run, RunError
from foreshock.training.config import PRESETS, TrainConfig
from foreshock.training.loop import DivergedError
from foreshock.training.pipeline import train

Problems = Callable[..., Problem]
Configs = Callable[..., TrainConfig]
Trained = Callable[..., Run]
pytestmark = pytest.mark.usefixtures("no_pictures")
TRAIN, VALID, TEST = 0, 1, 2


def weights(run: Run) -> bytes:
    return (run.folder / "model.safetensors").read_bytes()


def parts(*sizes: int) -> np.ndarray[Any, Any]:
    return np.repeat(np.arange(3, dtype=np.uint8), sizes)


def is_png(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


# what a run holds


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory, small_problem: Problems, small_config: Configs
) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "run"
    return train(small_problem(), small_config(), folder=folder, source="small.npz")


def test_a_training_leaves_a_complete_and_sound_run(run: Run) -> None:
    assert run.complete
    run.verify()
    assert is_png(run.folder / "loss.png")
    assert run.read("scores")["part"] == "test"


def test_the_configuration_and_the_problem_are_kept(run: Run, small_config: Configs) -> None:
    config = run.read("config")
    assert config["problem"] == "small.npz"
    assert config["config"]["fit"]["epochs"] == small_config().fit.epochs
    problem = run.read("problem")
    assert problem["card"]["parts"]["train"]["cases"] == len(problem["trained_on"]) == 16
    assert run.read("environment")["threads"] == 1


def test_the_history_holds_every_batch_and_every_epoch_once(run: Run) -> None:
    history = run.history()
    steps = [line for line in history if "step" in line]
    epochs = [line for line in history if "train_loss" in line]
    assert len(history) == len(steps) + len(epochs)
    assert [line["step"] for line in steps] == list(range(1, 10))  # 16 cases in batches of 6
    assert [line["epoch"] for line in steps] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert [line["epoch"] for line in epochs] == [1, 2, 3]
    assert set(steps[0]) == {"step", "epoch", "loss", "learning_rate"}
    first = [line["loss"] for line in steps[:3]]
    assert epochs[0]["train_loss"] == pytest.approx(np.average(first, weights=[6, 5, 5]))


def test_the_scores_are_those_of_the_predictions_and_of_the_saved_model(
    run: Run, small_problem: Problems
) -> None:
    problem = small_problem()
    test = problem.select("test")
    table = list(csv.DictReader((run.folder / "predictions.csv").read_text().splitlines()))
    assert [int(row["case"]) for row in table] == test.tolist()
    assert [row["label"] for row in table] == [problem.classes[i] for i in problem.y[test]]
    proba = np.array([[row["proba_a"], row["proba_b"]] for row in table], np.float32)
    np.testing.assert_array_equal(proba, Forecaster.load(run).predict_proba(problem.X[test]))
    expected = score(problem.y[test], proba, problem.classes, prior=np.array([0.5, 0.5]))
    log_loss = run.read("scores")["scores"]["model"]["log_loss"]
    assert log_loss["value"] == expected.model.log_loss.value


@pytest.mark.usefixtures("pictures")
def test_a_picture_that_cannot_be_drawn_does_not_cost_the_scores(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, trained: Trained
) -> None:
    def fail(*_: object, **__: object) -> bytes:
        raise RuntimeError("no\nfont")

    monkeypatch.setattr(figures, "loss_curve", fail)
    run = trained()
    assert run.complete
    assert "no loss.png, drawing it failed: no font" in caplog.text
    assert not (run.folder / "loss.png").exists()


@pytest.mark.parametrize(
    ("fit", "said"),
    [
        ({}, r"weights after the last of 3 epochs; none was picked by its score"),
        ({"batch_size": 4, "steps": 6}, r"weights after the last of 6 batches; none was picked"),
        ({"choice": "best-train"}, r"weights after epoch \d of 3 epochs, the best loss on the tr"),
        ({"choice": "best-valid"}, r"weights after epoch \d of 3 epochs, the best loss on the va"),
        (
            {"choice": "best-valid", "patience": 1, "epochs": 40, "learning_rate": 0.1},
            r"weights after epoch \d+ of \d+ epochs \(stopped early, of 40\), the best loss on",
        ),
    ],
)
def test_the_rule_of_choice_stands_with_the_model_and_with_the_scores(
    tmp_path: Path,
    small_problem: Problems,
    small_config: Configs,
    fit: dict[str, object],
    said: str,
) -> None:
    config = small_config(fit=fit, valid=0.25)
    if "choice" not in fit:
        config = small_config(fit=fit)
    run = train(small_problem(), config, folder=tmp_path / "run")
    assert re.match(said, run.read("scores")["choice"])
    assert run.read("model")["choice"] == run.read("scores")["choice"]


@pytest.mark.parametrize(
    "fields",
    [
        {"n_channels": 3},
        {"n_classes": 4},
        {"n_timepoints": 9},
        {"channels": ("pressure / Pa",), "classes": ("größer", "")},
    ],
)
def test_any_problem_is_trained_on(
    small_problem: Problems, fields: dict[str, Any], trained: Trained
) -> None:
    problem = small_problem(**fields)
    run = trained(problem, fit={"epochs": 1})
    assert Forecaster.load(run).classes == problem.classes
    assert Forecaster.load(run).card.channels == problem.channels


def test_series_of_unequal_length_are_trained_on(small_problem: Problems, trained: Trained) -> None:
    problem = small_problem()
    for i in range(24):
        problem.X[i, :, 12 + i % 7 * 3 :] = np.nan
    run = trained(problem, fit={"epochs": 1})
    assert run.read("model")["unequal"]


def test_training_works_outside_the_main_thread(
    tmp_path: Path, small_problem: Problems, small_config: Configs
) -> None:
    config = small_config(fit={"epochs": 1})
    thread = threading.Thread(
        target=train, args=(small_problem(), config), kwargs={"folder": tmp_path / "run"}
    )
    thread.start()
    thread.join()
    Run(tmp_path / "run").verify()


# what may and may not change the weights


def test_the_test_part_changes_no_weight(
    tmp_path: Path, small_problem: Problems, small_config: Configs
) -> None:
    config = small_config(valid=0.25, find_lr=True, model={"normalize": "train"})
    problem = small_problem()
    first = train(problem, config, folder=tmp_path / "first")
    test = problem.select("test")
    problem.X[test] = 1000 - 7 * problem.X[test]
    problem.y[test] = 1 - problem.y[test]
    second = train(problem, config, folder=tmp_path / "second")
    assert weights(first) == weights(second)
    assert first.read("lr_finder") == second.read("lr_finder")
    assert first.read("scores")["scores"] != second.read("scores")["scores"]


def test_a_stored_valid_part_is_never_trained_on(
    tmp_path: Path, small_problem: Problems, small_config: Configs
) -> None:
    config = small_config(find_lr=True, model={"normalize": "train"})
    problem = small_problem(part=parts(12, 4, 8))
    first = train(problem, config, folder=tmp_path / "first")
    valid = problem.select("valid")
    problem.X[valid] = 1000 - 7 * problem.X[valid]
    problem.y[valid] = 1 - problem.y[valid]
    second = train(problem, config, folder=tmp_path / "second")
    assert weights(first) == weights(second)
    assert len(first.read("problem")["trained_on"]) == 16  # calibrated by 4
    losses = [[e["valid_loss"] for e in r.history() if "train_loss" in e] for r in (first, second)]
    assert losses[0] != losses[1]


def test_the_valid_part_decides_only_which_weights_are_kept(
    small_problem: Problems, trained: Trained
) -> None:
    fit = {"choice": "best-valid", "learning_rate": 0.03, "epochs": 6}
    problem = small_problem(part=parts(12, 4, 8))
    runs = []
    for name in ("first", "second"):
        runs.append(trained(problem, name=name, fit=fit))
        valid = problem.select("valid")
        problem.y[valid] = 1 - problem.y[valid]
    losses = [[e["train_loss"] for e in r.history() if "train_loss" in e] for r in runs]
    assert losses[0] == losses[1]
    assert weights(runs[0]) != weights(runs[1])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(trained: Trained) -> None:
    runs = {
        name: weights(trained(name=name, seed=seed))
        for name, seed in [("first", 5), ("second", 5), ("other", 6), ("last", 2**32 - 1)]
    }
    assert runs["first"] == runs["second"]
    assert len(set(runs.values())) == 3


@pytest.mark.parametrize(
    ("fit", "balanced"),
    [({}, False), ({"class_weights": True}, True), ({"sampling": "weighted"}, True)],
)
def test_classes_are_balanced_for_the_head_in_closed_form_where_they_are_for_the_network(
    small_problem: Problems, fit: dict[str, Any], balanced: bool, trained: Trained
) -> None:
    y = np.array([0, 0, 0, 1, 0, 0, 1, 1] * 3)  # of the 16 training cases 10 are of class a
    run = trained(small_problem(y=y), fit=fit)
    level = run.read_model()[1]["random.head.level"]
    assert (level == pytest.approx([0.0, 0.0], abs=1e-5)) == balanced


def test_how_often_a_checkpoint_is_written_changes_no_weight(trained: Trained) -> None:
    first, second = (trained(name=str(s), checkpoint_seconds=s) for s in (0, 1000))
    assert weights(first) == weights(second)


# the test part


def test_without_a_test_part_there_is_no_test_score(
    small_problem: Problems, trained: Trained
) -> None:
    run = trained(small_problem(part=parts(24, 0, 0)))
    assert run.read("scores")["scores"] is None
    assert run.read("scores")["part"] is None
    assert not (run.folder / "predictions.csv").exists()
    run.verify()


def test_a_test_part_can_be_made(small_problem: Problems, trained: Trained) -> None:
    problem = small_problem(part=parts(24, 0, 0))
    run = trained(problem, test=0.25, valid=0.25)
    assert run.read("scores")["scores"]["n_cases"] == 6
    # 13 cases to train on, and the 5 whose loss chose the weights
    assert len(run.read("problem")["trained_on"]) == 18


# what is refused


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"y": np.repeat([0, 1, 2], [8, 8, 8]), "classes": ("a", "b", "new")},
            "small has cases of class 'new', but none of them in the train part. Leave",
        ),
        (
            {"y": np.zeros(24, np.int64), "classes": ("a",)},
            "small has only the class 'a'; a classifier needs two or more.",
        ),
        (
            {"part": parts(0, 8, 16)},
            "small has no train part.",
        ),
        (
            {"y": np.full(24, -1), "classes": ()},
            "small has no labels to learn.",
        ),
    ],
)
def test_a_problem_that_cannot_be_learnt_is_refused_before_a_folder_is_made(
    tmp_path: Path, small_problem: Problems, fields: dict[str, Any], message: str, trained: Trained
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        trained(small_problem(**fields))
    assert not (tmp_path / "run").exists()


def test_series_too_short_to_go_without_padding_are_refused_before_a_folder_is_made(
    tmp_path: Path, small_problem: Problems, trained: Trained
) -> None:
    model = {"padding": "valid", "mixed": (), "dilations": (1, 1, 1)}
    with pytest.raises(ValueError, match=r"at least 15 timepoints, got 14: give --model\.padding"):
        trained(small_problem(n_timepoints=14), model=model)
    assert not (tmp_path / "run").exists()


def test_a_choice_on_valid_needs_a_valid_part(trained: Trained) -> None:
    with pytest.raises(ValueError, match="best-valid needs a valid part: ask for one with --val"):
        trained(fit={"choice": "best-valid"})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"test": 0.0}, "test must be a share between 0 and 1, got 0.0; a quarter is 0.25."),
        ({"valid": 1.0}, "valid must be a share between 0 and 1, got 1.0; a quarter is 0.25."),
        (
            {"valid": float("nan")},
            "valid must be a share between 0 and 1, got nan;",
        ),
        ({"devices": 0}, "devices must be at least 1, got 0."),
        ({"seed": -1}, "seed must be between 0 and 4294967295, got -1."),
        ({"seed": 2**32}, "seed must be between 0 and 4294967295, got 4294967296."),
        ({"checkpoint_seconds": -1.0}, "checkpoint_seconds must be at least 0, got -1.0."),
        ({"checkpoint_seconds": float("inf")}, "checkpoint_seconds must be at least 0, got inf."),
        ({"checkpoint_seconds": float("nan")}, "checkpoint_seconds must be at least 0, got nan."),
    ],
)
def test_a_wrong_configuration_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        TrainConfig(**fields)


def test_an_existing_run_is_never_overwritten(
    run: Run, small_problem: Problems, small_config: Configs
) -> None:
    before = {path: path.read_bytes() for path in run.folder.iterdir() if path.is_file()}
    with pytest.raises(FileExistsError, match="never overwritten: choose another --run, or conti"):
        train(small_problem(), small_config(), folder=run.folder)
    assert {path: path.read_bytes() for path in before} == before


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path: Path, trained: Trained) -> None:
    with pytest.raises(DivergedError, match=r"the loss became \w+ in epoch \d at learning rate"):
        trained(fit={"learning_rate": 1e30, "precision": "float32"})
    assert not Run(tmp_path / "run").complete
    with pytest.raises(RunError, match="did not end"):
        Forecaster.load(tmp_path / "run")


# where the folder goes


def test_runs_are_numbered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_problem: Problems, small_config: Configs
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "small-2").mkdir(parents=True)
    (tmp_path / "runs" / "small-2" / "mine.txt").touch()
    config = small_config(fit={"epochs": 1})
    folders = [train(small_problem(), config).folder for _ in range(2)]
    assert folders == [Path("runs/small-1"), Path("runs/small-3")]


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("../../elsewhere", "_.._elsewhere-1"),
        ("/etc/x", "_etc_x-1"),
        ("a b\0c", "a_b_c-1"),
        ("..", "run-1"),
        ("x" * 300, "x" * 80 + "-1"),
        ("\U0001d49c" * 300, "\U0001d49c" * 50 + "-1"),  # of four bytes each
    ],
)
def test_no_name_of_a_problem_leads_out_of_the_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    small_problem: Problems,
    small_config: Configs,
    name: str,
    folder: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    run = train(small_problem(name=name), small_config(fit={"epochs": 1}))
    assert run.folder == Path("runs") / folder
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


# pictures and the learning-rate finder


def test_without_matplotlib_a_training_ends_and_names_the_extra(
    caplog: pytest.LogCaptureFixture, trained: Trained
) -> None:
    with caplog.at_level(logging.WARNING):
        run = trained()
    assert "run pip install 'foreshock[report]'" in caplog.text
    assert not (run.folder / "loss.png").exists()
    run.verify()


@pytest.mark.usefixtures("pictures")
def test_a_learning_rate_is_found_kept_drawn_and_used(
    tmp_path: Path, small_problem: Problems, small_config: Configs
) -> None:
    config = small_config(find_lr=True, fit={"schedule": "constant"})
    run = train(small_problem(), config, folder=tmp_path / "run")
    found = run.read("lr_finder")
    assert len(found["rates"]) == len(found["losses"]) > 10
    assert is_png(run.folder / "lr_finder.png")
    used = {line["learning_rate"] for line in run.history()}
    assert used == {found["suggestion"]} != {config.fit.learning_rate}
    assert json.loads((run.folder / "config.json").read_text())["config"]["find_lr"] is True


def test_the_presets_are_configurations_of_their_own() -> None:
    assert PRESETS["fast"] == TrainConfig()
    assert PRESETS["paper"].fit.choice == "best-train" and PRESETS["paper"].fit.epochs == 2000
