"""The ten and more questions of users: each answer is short, runs, and is true."""

import csv
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pages import ROOT, run_blocks

import foreshock

SETUP, *QUESTIONS = re.split(r"^## ", (ROOT / "docs" / "questions.md").read_text(), flags=re.M)
TITLES = [question.splitlines()[0] for question in QUESTIONS]


class Answers:
    """What each answer printed and what it left behind, all run in the page's order."""

    def __init__(self) -> None:
        self.printed: dict[str, str] = {}
        self.names: dict[str, dict[str, Any]] = {}

    def __call__(self, words: str) -> tuple[str, dict[str, Any]]:
        (title,) = [title for title in TITLES if words in title]
        return self.printed[title], self.names[title]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    found, namespace = Answers(), {}
    capture = pytest.MonkeyPatch()
    capture.chdir(tmp_path_factory.mktemp("questions"))
    capture.delenv("FORESHOCK_DATA", raising=False)
    capture.setitem(sys.modules, "matplotlib.figure", None)  # no answer shows a picture
    run_blocks(SETUP, namespace)
    for title, question in zip(TITLES, QUESTIONS, strict=True):
        printed = Path("printed")
        with printed.open("w") as file, pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdout", file)
            run_blocks(question, namespace, title)
        found.printed[title], found.names[title] = printed.read_text(), dict(namespace)
    yield found
    capture.undo()


@pytest.mark.parametrize("question", QUESTIONS, ids=TITLES)
def test_an_answer_is_a_command_or_at_most_three_lines(question):
    ((language, block),) = re.findall(r"^```(\w+)\n(.*?)^```", question, re.M | re.S)
    if language == "console":
        assert block.count("$ ") == 1
    else:
        assert sum(bool(line) for line in block.splitlines()) <= 3


def test_nothing_is_chosen_by_the_test_part(answers):
    printed, _ = answers("test part used")
    assert "none was picked by its score" in printed


def test_the_papers_network_is_trained_as_theirs(answers):
    answers("papers trained")
    config = json.loads(Path("runs/paper/config.json").read_text())["config"]
    assert config["model"]["mixed"] == []
    assert config["model"]["hard_sigmoid"]
    assert config["fit"]["choice"] == "best-train"
    assert config["fit"]["schedule"] == "plateau"


def test_the_recurrent_branch_takes_one_step_over_the_whole_series(answers):
    assert answers("one step")[1]["items"].shape == (4, 1, 150)


def test_attention_weighs_eight_stretches_of_time(answers):
    weights = answers("attention")[1]["weights"]
    assert weights.shape == (4, 8, 8)
    assert torch.allclose(weights.sum(dim=2), torch.ones(4, 8))


def test_a_loaded_model_says_the_same_and_takes_one_case(answers):
    _, names = answers("loaded model")
    with Path("runs/gun/predictions.csv").open() as file:
        stored = [float(row["proba_1"]) for row in csv.DictReader(file)]
    proba = names["forecaster"].predict_proba(names["X"])
    assert names["alone"].shape == (1, 2)
    assert np.allclose(names["alone"], proba[:1], atol=1e-6)
    assert np.allclose(proba[:, 0], stored, atol=1e-6)


def test_a_saved_model_forecasts_from_its_folder(answers):
    answers("save a model")
    assert len(Path("forecasts.csv").read_text().splitlines()) == 201


def test_forked_processes_say_what_the_model_says(answers):
    _, names = answers("several processes")
    assert np.allclose(names["proba"], names["forecaster"].predict_proba(names["X"]), atol=1e-6)


def test_forecasting_imports_little(answers, capfd):
    run_blocks(QUESTIONS[TITLES.index("How slow is the import?")], {})
    assert capfd.readouterr().out == "set()\n"


def test_training_stops_early_by_the_valid_part(answers):
    answers("stop early")
    run = foreshock.Run(Path("runs/early"))
    losses = [line["valid_loss"] for line in run.history() if "valid_loss" in line]
    best = int(np.argmin(losses))
    assert len(losses) == min(4, best + 2)
    assert "valid part" in run.read("scores")["choice"]


def test_series_of_unequal_length_are_trained_on_and_forecast(answers):
    proba = answers("unequal")[1]["proba"]
    assert proba.shape == (2, 9)
    assert np.allclose(proba.sum(axis=1), 1, atol=1e-5)


def test_rare_classes_weigh_as_much_and_are_scored_as_much(answers):
    answers("rare")
    run = foreshock.Run(Path("runs/weighted"))
    assert run.read("config")["config"]["fit"]["class_weights"]
    prior = run.read("scores")["scores"]["baselines"]["class prior"]
    assert prior["balanced_accuracy"]["value"] == 0.5


def test_an_explanation_has_a_value_for_each_timepoint(answers):
    maps = answers("say so")[1]["found"].maps
    assert maps.shape == (5, 2, 150)
    assert np.isfinite(maps).all()


def test_readings_stay_on_disk(answers):
    assert answers("larger than memory")[0] == "memmap\n"


def test_what_needs_no_network_is_listed(answers):
    printed, _ = answers("download")
    assert "GunPoint" in printed
    assert "bundled" in printed


def test_it_says_where_it_was_trained(answers):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    assert answers("on a GPU")[0].split()[0].startswith(device)


def test_a_benchmark_keeps_a_file_for_each_result(answers):
    assert "2 of 2 problems have all" in answers("whole benchmark")[0]
    found = Path("runs/many/results").glob("*.json")
    assert len(list(found)) == 2


def test_a_model_begins_with_another(answers):
    printed, _ = answers("begin with a model")
    assert "the convolutions began as those of" in printed
    about = foreshock.Run("runs/begun").read("problem")["from"]
    assert (about["problem"], about["n_trained_on"]) == ("GunPoint", 0)
