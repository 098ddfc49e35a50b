"""Sharing: a run folder goes to the Hugging Face Hub and comes back as the same model."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fakehub import FakeHub, serving
from huggingface_hub import ModelCard
from runfolders import make_run

from foreshock._hub import HubError
from foreshock.cli import app
from foreshock.inference.forecaster import Forecaster
from foreshock.nn.model import LSTMFCN, NetworkCard, restore
from foreshock.problems.problem import Problem
from foreshock.reporting.model_card import model_card
from foreshock.reporting.run_data import read_run
from foreshock.run import Run, RunError
from foreshock.training.config import TrainConfig
from foreshock.training.pipeline import train

NAME = "me/small"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with serving(tmp_path, monkeypatch) as served:
        yield served


def test_a_run_comes_back_as_the_model_that_it_was(
    hub: FakeHub, small_run: Run, small_problem: Callable[..., Problem]
) -> None:
    address = small_run.push_to_hub(NAME, token="hf_good")
    assert address == f"https://huggingface.co/{NAME}/commit/{'1' * 40}"
    assert hub.private[NAME]
    assert hub.models[NAME] == {path.name: path.read_bytes() for path in small_run.files()}
    assert {"README.md", "model.safetensors", "scores.json"} <= hub.models[NAME].keys()
    X = small_problem().X
    there = Forecaster.from_pretrained(NAME).predict_proba(X)
    assert np.array_equal(there, Forecaster.load(small_run).predict_proba(X))


def test_only_what_is_read_is_fetched(hub: FakeHub, small_run: Run) -> None:
    small_run.push_to_hub(NAME, token="hf_good")
    hub.models[NAME]["evil.py"] = hub.models[NAME]["model.pkl"] = b"import os"
    folder = Run.find(NAME).folder
    fetched = {"config.json", "model.json", "model.safetensors", "problem.json"}
    assert {path.name for path in folder.iterdir()} == fetched


def test_what_was_fetched_before_needs_no_network(hub: FakeHub, small_run: Run) -> None:
    small_run.push_to_hub(NAME, token="hf_good")
    Run.find(NAME)
    hub.models.clear()
    assert Forecaster.from_pretrained(NAME, local_files_only=True).classes == ("a", "b")


def test_a_model_that_was_changed_on_the_way_is_refused(hub: FakeHub, small_run: Run) -> None:
    small_run.push_to_hub(NAME, token="hf_good")
    data = bytearray(hub.models[NAME]["model.safetensors"])
    data[-1] ^= 1
    hub.models[NAME]["model.safetensors"] = bytes(data)
    with pytest.raises(RunError, match="not the file that was written"):
        Forecaster.from_pretrained(NAME)


def test_a_network_is_loaded_alone(
    small_run: Run, small_problem: Callable[..., Problem], small_config: Callable[..., TrainConfig],
    tmp_path: Path,
) -> None:  # fmt: skip
    import torch

    X = small_problem().X
    network = LSTMFCN.from_pretrained(small_run.folder)
    with torch.no_grad():
        alone = network.proba(network(torch.from_numpy(X))).numpy()
    np.testing.assert_allclose(alone, Forecaster.load(small_run).predict_proba(X), atol=1e-6)
    run = train(small_problem(), small_config(members=2), folder=tmp_path / "two")
    first, second = (LSTMFCN.from_pretrained(run.folder, member=k) for k in range(2))
    assert not torch.equal(first.head.weight, second.head.weight)
    with pytest.raises(ValueError, match="members 0 to 1, got 2"):
        LSTMFCN.from_pretrained(run.folder, member=2)


@pytest.mark.parametrize(
    "name", ["nowhere", "a/b/c", "../me/small", "me/", "https://hub/me/small", "foreshock/typo"]
)
def test_what_is_neither_a_folder_nor_a_name_is_not_asked_for(
    hub: FakeHub, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "foreshock").mkdir()  # a folder of runs, so what is in it has no owner's name
    with pytest.raises(HubError, match=r"there is no folder .* give OWNER/NAME"):
        Forecaster.from_pretrained(name)
    assert not hub.asked


def test_what_the_hub_does_not_have_or_take_is_one_line(hub: FakeHub, small_run: Run) -> None:
    with pytest.raises(
        HubError, match="there is no folder me/other, and the Hub returned no model"
    ):
        Forecaster.from_pretrained("me/other")
    with pytest.raises(HubError, match=r"the Hub refused me/small: .*401") as refused:
        small_run.push_to_hub(NAME, token="hf_bad")
    assert "\n" not in str(refused.value)
    with pytest.raises(HubError, match="the Hub refused bad name!"):
        small_run.push_to_hub("bad name!", token="hf_good")
    assert not hub.models


def test_a_folder_on_the_hub_that_is_no_run_is_refused(hub: FakeHub) -> None:
    hub.models[NAME] = {"config.json": b"[]", "pytorch_model.bin": b"\x80"}
    with pytest.raises(RunError, match=r"model\.json is missing"):
        Forecaster.from_pretrained(NAME)
    hub.models["me/empty"] = {}
    with pytest.raises((RunError, HubError)):
        Forecaster.from_pretrained("me/empty")


def test_a_run_that_was_changed_or_is_not_complete_is_not_pushed(hub: FakeHub, copied: Run) -> None:
    with (copied.folder / "history.jsonl").open("a") as file:
        file.write("{}\n")
    with pytest.raises(RunError, match=r"history\.jsonl is not the file"):
        copied.push_to_hub(NAME, token="hf_good")
    (copied.folder / "scores.json").unlink()
    with pytest.raises(RunError, match="training did not end"):
        copied.push_to_hub(NAME, token="hf_good")
    assert not hub.models


def test_only_what_was_written_is_pushed_and_what_is_gone_is_deleted(
    hub: FakeHub, copied: Run, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    (copied.folder / "mine.csv").write_text("mine")
    (copied.folder / "report.html").symlink_to(tmp_path / "secret")
    hub.models[NAME] = {"held_out.csv": b"of a run before", "notes.txt": b"theirs"}
    copied.push_to_hub(NAME, token="hf_good")
    there = hub.models[NAME]
    assert not {"mine.csv", "report.html", "held_out.csv"} & there.keys()
    assert there["notes.txt"] == b"theirs"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_timepoints", 10**9),
        ("n_timepoints", -1),
        ("n_timepoints", 10**400),
        ("members", 0),
        ("members", 10**9),
        ("classes", []),
        ("filters", [10**6, 10**6, 10**6]),
        ("cells", 10**9),
        ("random_features", 10**12),
        ("dilations", [1, 10**12, 1]),
    ],
)
def test_sizes_that_the_weights_do_not_have_are_refused_before_anything_is_built(
    small_run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    values, weights = small_run.read_model()
    into = values if name in values else values["model"]
    into[name] = value
    monkeypatch.setattr(LSTMFCN, "__init__", None)  # nothing is to be built
    with pytest.raises(RunError, match=r"do not fit its model\.json"):
        restore(small_run, NetworkCard.read(values), weights)


def test_the_command_pushes(
    hub: FakeHub, small_run: Run, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    assert app.run(["push", str(small_run.folder), NAME, "--public", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["commit"].startswith(
        f"https://huggingface.co/{NAME}/commit/"
    )
    assert not hub.private[NAME]
    assert app.run(["push", str(small_run.folder), NAME]) == 0  # again, to what is there
    assert "Commit: https://huggingface.co/" in capsys.readouterr().out
    hub.token = "hf_other"
    assert app.run(["push", str(small_run.folder), NAME]) == app.FAILED
    error = capsys.readouterr().err
    assert error.startswith("foreshock: the Hub refused me/small: ")
    assert error.count("\n") == 1


def test_without_huggingface_hub_the_error_has_the_command(
    small_run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert app.run(["push", str(small_run.folder), NAME]) == app.FAILED
    assert "pip install 'foreshock[hub]'" in capsys.readouterr().err
    assert Forecaster.from_pretrained(small_run.folder).classes == ("a", "b")  # a folder needs none


def test_the_card_says_what_the_scores_say(small_run: Run) -> None:
    card = ModelCard.load(small_run.folder / "README.md")
    scores = small_run.read("scores")["scores"]
    assert card.data.library_name == "foreshock"
    results = {each.metric_type: each.metric_value for each in card.data.eval_results}
    assert results["accuracy"] == pytest.approx(scores["model"]["accuracy"]["value"], abs=1e-4)
    assert results["roc_auc"] == pytest.approx(scores["model"]["auroc"]["value"], abs=1e-4)
    own = scores["model"]["log_loss"]
    row = f"| log loss | {own['value']:.3f} | {own['low']:.3f} to {own['high']:.3f} |"
    assert row in card.text
    assert scores["sentence"].split(":")[0] in card.text
    assert "8 of a, 8 of b" in card.text


def test_the_card_of_alarms_says_what_they_were_worth(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "run"))
    text = model_card(run.problem, run.model, run.outcome)
    assert "an event (a reading of magnitude above 5) follows a window of 128 readings" in text
    assert "chosen for this: at most 10 false alarms per year" in text
    assert "it warned of 12 of 30 events, with 6.3 false alarms a year" in text


def test_the_card_may_be_edited(copied: Run) -> None:
    (copied.folder / "README.md").write_text("Mine.")
    copied.verify()


def test_names_that_anybody_gave_stay_text(tmp_path: Path) -> None:
    bad = '\N{BUG} "]\n---\n# <img src=x onerror=alert(1)> | [a](javascript:b) `c` $d$'
    folder = make_run(tmp_path / "run", name=bad, classes=(bad, "b\x1b[31m"), channels=(bad,))
    run = read_run(folder)
    (tmp_path / "README.md").write_text(model_card(run.problem, run.model, run.outcome))
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.eval_results[0].dataset_name == bad  # line breaks and all
    assert "<img" not in card.text
    assert "[a](" not in card.text
    assert "\x1b" not in card.text
    assert card.text.count("\n# ") == 1  # the title is the only one, on one line


@pytest.mark.parametrize("held_out", [False, True])
def test_without_a_test_part_the_card_claims_no_more_than_it_knows(
    tmp_path: Path, held_out: bool
) -> None:
    run = read_run(make_run(tmp_path / "run", test=False, held_out=held_out, event=False))
    (tmp_path / "README.md").write_text(model_card(run.problem, run.model, run.outcome))
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.eval_results is None
    assert ("200 held-out cases" in card.text) == held_out
    assert ("nothing is known" in card.text) != held_out
    assert "opened" not in card.text
