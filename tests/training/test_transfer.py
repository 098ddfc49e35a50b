"""--from: a training begins with the convolutions of another, whatever its classes and lengths."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foreshock.cli import app
from foreshock.inference.evaluate import evaluate
from foreshock.nn.model import LSTMFCN
from foreshock.problems.problem import Problem
from foreshock.run import Run, RunError
from foreshock.training.config import TrainConfig
from foreshock.training.pipeline import learn, train

Problems = Callable[..., Problem]
Configs = Callable[..., TrainConfig]
Trained = Callable[..., Run]
Patch = pytest.MonkeyPatch
pytestmark = pytest.mark.usefixtures("no_pictures")


def test_other_classes_and_lengths_begin_with_the_same_convolutions(
    small_run: Run, small_problem: Problems, small_config: Configs, monkeypatch: Patch
) -> None:
    problem = small_problem(n_timepoints=50, n_classes=3)
    begun = []

    def fit(model: LSTMFCN, *rest: object, **options: object) -> None:
        begun.append({k: v.clone() for k, v in model.state_dict().items()})
        raise InterruptedError  # before the first step

    monkeypatch.setattr("foreshock.training.loop.fit", fit)
    for start in (str(small_run.folder), None):
        with pytest.raises(InterruptedError):
            learn(problem, small_config(from_run=start))
    there = LSTMFCN.from_pretrained(small_run.folder).blocks.state_dict()
    lent, new = begun
    assert there
    for name, weights in there.items():
        assert lent[f"blocks.{name}"].equal(weights)
    assert not lent["blocks.1.conv.weight"].equal(new["blocks.1.conv.weight"])
    for name in new:  # all else begins as it does without
        if not name.startswith("blocks."):
            assert lent[name].equal(new[name]), name


def test_the_form_of_the_convolutions_is_that_of_the_run(
    small_problem: Problems, small_config: Configs, tmp_path: Path, trained: Trained
) -> None:
    form = {"squeeze_excite": True, "mixed": (3, 8), "dilations": (1, 1, 2), "difference": False}
    first = trained(name="first", model=form)
    config = TrainConfig(fit=small_config().fit, from_run=str(first.folder))
    second = train(small_problem(n_classes=3), config, folder=tmp_path / "second")
    model = second.read("model")["model"]
    expected = {**form, "filters": (16, 32, 16)}
    assert {name: model[name] for name in expected} == {
        k: list(v) if isinstance(v, tuple) else v for k, v in expected.items()
    }
    assert second.read("config")["config"]["model"]["squeeze_excite"]
    said = "the convolutions began as those of first"  # the folder's name, not where it lies
    assert str(tmp_path) not in json.dumps(second.read("model"))
    assert said in second.read("model")["choice"]
    assert said in second.read("scores")["choice"]


def test_members_begin_with_those_of_the_run_in_turn(
    small_problem: Problems, small_config: Configs, trained: Trained, monkeypatch: Patch
) -> None:
    two = trained(name="two", members=2)
    asked, loaded, read = [], [], Run.read_model
    monkeypatch.setattr(Run, "read_model", lambda run: loaded.append(run) or read(run))
    monkeypatch.setattr(
        "foreshock.training.ensemble.lend",
        lambda lender, model: asked.append(lender.head.weight.clone()),
    )
    learn(small_problem(n_timepoints=40), small_config(members=3, from_run=str(two.folder)))
    assert len(loaded) == 1
    own = [LSTMFCN.from_pretrained(two.folder, member=k).head.weight for k in (0, 1, 0)]
    assert len(asked) == 3
    assert all(a.equal(b) for a, b in zip(asked, own, strict=True))


def test_a_training_that_was_stopped_goes_on_bit_for_bit(
    small_run: Run, small_problem: Problems, small_config: Configs, tmp_path: Path,
    monkeypatch: Patch,
) -> None:  # fmt: skip
    problem = small_problem(n_classes=3)
    problem = replace(problem, X=-problem.X)  # cases that the run has not seen
    config = small_config(members=2, from_run=str(small_run.folder), checkpoint_seconds=0.0)
    whole = train(problem, config, folder=tmp_path / "whole")
    calls = 0

    def stopped(*arguments: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    from foreshock.training import loop

    real = loop.fit
    monkeypatch.setattr("foreshock.training.loop.fit", stopped)
    with pytest.raises(KeyboardInterrupt, match="--resume"):
        train(problem, config, folder=tmp_path / "part")
    monkeypatch.undo()
    part = train(problem, config, folder=tmp_path / "part", resume=True)
    expected, found = whole.read_model()[1], part.read_model()[1]
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


@pytest.mark.parametrize(
    ("fields", "model", "error"),
    [
        ({"n_channels": 3}, {}, r"has the channels .* was trained on channel 0, in that order"),
        ({}, {"filters": (8, 16, 8)}, r"have filters \(16, 32, 16\), not \(8, 16, 8\): leave"),
        ({}, {"squeeze_excite": True}, r"have squeeze_excite False, not True: leave --model\.sq"),
    ],
)
def test_what_does_not_go_together_is_refused_before_a_folder_is_made(
    small_run: Run, small_problem: Problems, tmp_path: Path, trained: Trained,
    fields: dict[str, int], model: dict[str, object], error: str,
) -> None:  # fmt: skip
    with pytest.raises(ValueError, match=error):
        trained(small_problem(**fields), model=model, from_run=str(small_run.folder))
    assert not (tmp_path / "run").exists()


def test_test_cases_that_the_run_was_trained_on_are_counted_and_told(
    small_run: Run, small_problem: Problems, small_config: Configs, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    part = np.repeat([2, 0], [5, 19]).astype(np.uint8)  # five test cases, in train before
    config = small_config(from_run=str(small_run.folder))
    run = train(small_problem(part=part), config, folder=tmp_path / "run")
    problem = run.read("problem")
    assert problem["from"]["n_trained_on"] == problem["from"]["n_compared"] == 5
    assert problem["from"]["problem"] == "small"
    said = "5 of 5 test cases were trained on by small"
    assert any(said in finding for finding in problem["audit"]["findings"])
    assert said in caplog.text
    assert said in (run.folder / "README.md").read_text()
    clean = train(small_problem(), config, folder=tmp_path / "clean")
    assert clean.read("problem")["from"]["n_trained_on"] == 0
    assert not any("trained on" in text for text in clean.read("problem")["audit"]["findings"])


def test_cases_that_were_padded_are_known_again(
    small_run: Run, small_problem: Problems, trained: Trained
) -> None:
    problem = small_problem()
    ends = [(0, 0), (0, 0), (0, 8)]
    padded = np.pad(problem.X, ends, constant_values=np.nan)
    padded[20] = 1.0  # a test case that is longer than all of the run's
    part = np.repeat([2, 0], [5, 19]).astype(np.uint8)
    part[20] = 2
    run = trained(small_problem(X=padded, part=part), from_run=str(small_run.folder))
    assert run.read("problem")["from"]["n_trained_on"] == 5
    assert run.read("problem")["from"]["n_compared"] == 5


def test_what_the_run_of_the_run_was_trained_on_is_known_too(
    small_run: Run, small_problem: Problems, trained: Trained
) -> None:
    other = small_problem()
    other = replace(other, X=-other.X)
    between = trained(other, name="b", from_run=str(small_run.folder))
    assert between.read("problem")["from"]["n_trained_on"] == 0
    swapped = small_problem(part=np.repeat([2, 0], [8, 16]).astype(np.uint8))
    last = trained(swapped, name="c", from_run=str(between.folder))
    assert last.read("problem")["from"]["n_trained_on"] == 8
    assert evaluate(between, swapped, "test").n_trained_on == 8


@pytest.mark.parametrize("options", [{"members": 2}, {"valid": 0.25}])
def test_cases_that_are_to_judge_must_be_new_to_the_run(
    small_run: Run, small_problem: Problems, small_config: Configs, tmp_path: Path,
    options: dict[str, Any],
) -> None:  # fmt: skip
    config = small_config(from_run=str(small_run.folder), **options)
    with pytest.raises(ValueError, match=r"was trained on .* would be too good"):
        train(small_problem(), config, folder=tmp_path / "run")
    with pytest.raises(ValueError, match=r"was trained on .* would be too good"):
        learn(small_problem(), config)
    assert not (tmp_path / "run").exists()


def test_it_does_not_go_on_from_a_run_that_is_another_now(
    small_run: Run, small_problem: Problems, small_config: Configs, tmp_path: Path
) -> None:
    base = Path(shutil.copytree(small_run.folder, tmp_path / "base"))
    config = small_config(from_run=str(base))
    problem = small_problem(n_classes=3)
    done = train(problem, config, folder=tmp_path / "done")
    part = Path(shutil.copytree(done.folder, tmp_path / "part"))
    (part / "scores.json").unlink()
    shutil.rmtree(base)
    assert train(problem, config, folder=done.folder, resume=True).complete
    train(small_problem(), small_config(seed=1), folder=base)
    with pytest.raises(ValueError, match="has changed since this training began"):
        train(problem, config, folder=part, resume=True)


@pytest.mark.parametrize("damage", [{"trained_on": 3}, {"card": []}, {"from": 1}])
def test_a_damaged_problem_card_is_one_line(
    copied: Run, damage: dict[str, Any], trained: Trained
) -> None:
    copied.write("problem", {**copied.read("problem"), **damage})
    with pytest.raises(RunError, match=r"problem\.json of .* is damaged"):
        trained(from_run=str(copied.folder))


def test_a_damaged_or_unfinished_run_is_refused(
    copied: Run, small_problem: Problems, small_config: Configs, tmp_path: Path
) -> None:
    data = bytearray((copied.folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (copied.folder / "model.safetensors").write_bytes(bytes(data))
    config = small_config(from_run=str(copied.folder))
    with pytest.raises(RunError, match="not the file that was written"):
        train(small_problem(), config, folder=tmp_path / "run")
    (copied.folder / "model.json").unlink()
    with pytest.raises(RunError, match=r"model\.json is missing"):
        train(small_problem(), config, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_command_and_its_repetition(
    small_run: Run, small_problem: Problems, write_csv: Callable[..., Path], tmp_path: Path,
    monkeypatch: Patch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "other.csv", small_problem(n_timepoints=40, n_classes=3))
    shutil.copytree(small_run.folder, "base")
    quick = ["--fit.epochs", "1", "--model.random-features", "0"]
    assert app.run(["train", "other.csv", "--from", "base", "--run", "one", *quick]) == 0
    assert "the convolutions began as those of" in capsys.readouterr().out
    monkeypatch.chdir("/")
    one, two = tmp_path / "one", tmp_path / "two"
    assert app.run(["train", "--config", str(one), "--run", str(two)]) == 0
    assert Run(two).read("config") == Run(one).read("config")
    first, second = Run(one).read_model()[1], Run(two).read_model()[1]
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert app.run(["train", str(tmp_path / "other.csv"), "--from", "nowhere"]) == app.FAILED
    assert "there is no folder nowhere" in capsys.readouterr().err
