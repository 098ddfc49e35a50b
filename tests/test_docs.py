"""What the documentation shows is run as it stands, and its links lead somewhere."""

import dataclasses
import re

import pytest
from pages import PAGES, ROOT, anchors, run_blocks, without_blocks

from foreshock.nn.config import PAPER, ModelConfig
from foreshock.training.config import PRESETS, FitConfig


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.stem != "questions"], ids=lambda page: page.name
)
def test_what_a_page_shows_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_blocks(page.read_text(), {}, str(page))


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
