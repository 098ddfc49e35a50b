"""What the documentation shows is run as it stands, and its links lead somewhere."""

import dataclasses
import re

import numpy as np
import pytest
from pages import PAGES, ROOT, anchors, run_blocks, without_blocks

import foreshock
from foreshock.nn.config import PAPER, ModelConfig
from foreshock.training.config import PRESETS, FitConfig, TrainConfig

QUICK = TrainConfig(
    model=ModelConfig(filters=(16, 32, 16), random_features=500), fit=FitConfig(steps=20)
)
README = ROOT / "README.md"


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.stem not in ("questions", "own-data")],
    ids=lambda page: page.name,
)
def test_what_a_page_shows_runs(page, tmp_path, monkeypatch):
    train = foreshock.train
    # what a page trains with the defaults is trained for a moment here, in full in a slow test
    monkeypatch.setattr(foreshock, "train", lambda problem, config=QUICK: train(problem, config))
    monkeypatch.chdir(tmp_path)
    run_blocks(page.read_text(), {}, str(page))


@pytest.mark.slow
def test_the_three_lines_of_readme_print_what_it_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_blocks(README.read_text(), {}, str(README))
    shown = re.findall(r"^```python.*?^```text\n(.*?)^```", README.read_text(), re.M | re.S)
    without_numbers = [
        re.sub(r"\d\.\d+", "0.0", " ".join(text.split()))
        for text in (*shown, capsys.readouterr().out)
    ]
    assert without_numbers[0] == without_numbers[1]


@pytest.fixture(scope="module")
def own_data(tmp_path_factory):
    """Run the page on one's own data; give its folder and what it printed."""
    folder = tmp_path_factory.mktemp("own-data")
    printed = folder / "printed"
    with pytest.MonkeyPatch.context() as patch, printed.open("w") as file:
        patch.chdir(folder)
        patch.setattr("sys.stdout", file)
        run_blocks((ROOT / "docs" / "own-data.md").read_text(), {}, "own-data")
    return folder, printed.read_text()


def test_own_series_are_trained_on_and_scored(own_data):
    folder, _ = own_data
    scores = foreshock.Run(folder / "runs/pumps").read("scores")["scores"]
    assert scores["n_cases"] == 12
    assert scores["classes"] == ["fine", "worn"]


def test_windows_of_a_log_are_labelled_by_the_failures_that_follow(own_data):
    folder, printed = own_data
    problem = foreshock.load(folder / "sensor.npz")
    assert "possible targets with an event" in printed
    assert problem.X.shape[1:] == (2, 48)
    warm = np.nanmean(problem.X[:][:, 0, -6:], axis=1) > 22.5  # a failure is less than a day away
    assert warm[problem.y == 1].all()


def test_the_failure_that_is_due_after_a_log_is_foreseen(own_data):
    forecast = own_data[1].splitlines()[-1]
    assert forecast.startswith("2026-12-30T12:00Z,2026-12-31T00:00Z,yes,")


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_the_links_of_a_page_lead_somewhere(page):
    for target in re.findall(r"\]\(\s*(?!https?:)([^)]+)\)", without_blocks(page.read_text())):
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def test_every_departure_of_the_default_from_the_papers_stands_in_the_table():
    text = (ROOT / "docs" / "models.md").read_text()
    first_cells = re.findall(r"^\| (`(?:model|fit)\..*?) \|", text, re.M)
    listed = {name for cell in first_cells for name in re.findall(r"`(.*?)`", cell)}
    fast, paper = PRESETS["fast"], PRESETS["paper"]
    departs = {
        f"{kind}.{field.name}"
        for kind, config in (("model", ModelConfig), ("fit", FitConfig))
        for field in dataclasses.fields(config)
        if getattr(getattr(fast, kind), field.name) != getattr(getattr(paper, kind), field.name)
    }
    assert paper.model == PAPER
    assert listed == departs
