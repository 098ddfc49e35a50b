"""The notebooks run anywhere, and what they keep is what they give."""

import os
import re
import tempfile
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from notebooks import NOTEBOOKS, ROOT, execute
from pages import anchors

DATA = Path(os.environ.get("FORESHOCK_DATA") or ROOT.parent / "shared" / "data")
NEEDED = ("ucr/Earthquakes", "catalogs/ncsn_1967_2003.csv.gz")
NOWHERE = "http://127.0.0.1:1"  # nothing listens there
EARTHQUAKES = ROOT / "examples" / "earthquakes.ipynb"
OWN_DATA = ROOT / "examples" / "own_data.ipynb"
SMALLER = {
    "filters=(64, 128, 64)": "filters=(16, 16, 8)",
    "steps=110": "steps=20",
    "foreshock.simulate()": "foreshock.simulate(foreshock.EtasConfig(years=12))",
}
"""What the notebook on earthquakes trains where no figure counts; at full size: test-all."""
FACTS = (
    "train: 322 cases of 512 hours, 58 of class 1; always 0 has an accuracy of 0.820",
    "test : 139 cases of 512 hours, 35 of class 1; always 0 has an accuracy of 0.748",
    "always '0'        0.748 (0.670 to 0.813)    0.500",
    "AUROC of the number of active hours: 0.681",
    "86 became cases",
    "test : 127 cases from 1993-03-02 to 2003-12-22, 29 with an event",
)
"""What the real data give on any machine."""


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def outputs(notebook: NotebookNode) -> list[list[NotebookNode]]:
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def kinds(notebook: NotebookNode) -> list[list[set[str]]]:
    """Return the outputs of each code cell: streams by name, data by type."""
    return [
        [{output["name"]} if "name" in output else set(output["data"]) for output in cell]
        for cell in outputs(notebook)
    ]


def listing(notebook: NotebookNode) -> list[str]:
    """Return what cells print that list files: the same on any machine."""
    cells = [cell for cell in notebook.cells if "iterdir" in cell.source]
    return [output["text"] for cell in cells for output in cell.outputs]


def text_of(notebook: NotebookNode) -> str:
    """Join all that is printed or shown and is no picture."""
    found = []
    for output in (output for cell in outputs(notebook) for output in cell):
        data = output.get("data", {})
        found += [output.get("text", ""), data.get("text/plain", ""), data.get("text/html", "")]
    return "\n".join(found)


def places_in(text: str) -> list[str]:
    """Find what tells on which machine, and whose, a notebook was run."""
    here = {str(Path.home()), str(ROOT), tempfile.gettempdir()} - {"/"}
    return [place for place in (*here, "/home/", "/Users/", "/tmp/", ":\\") if place in text]


def run(
    path: Path, folder: Path, sizes: dict[str, str] | None = None, **environment: str | None
) -> str:
    """Run a notebook, compare the kinds of what it gives and keeps, and give what it says."""
    own = {"FORESHOCK_CACHE": str(folder / ".cache"), "FORESHOCK_ARCHIVE_URL": NOWHERE}
    assert all(size in path.read_text() for size in sizes or {})
    fresh = execute(path, folder, sizes, OMP_NUM_THREADS="1", **own, **environment)
    assert kinds(fresh) == kinds(read(path))
    assert listing(fresh) == listing(read(path))
    assert {left.name for left in folder.iterdir()} <= {".jupyter", ".cache"}
    assert not places_in(text_of(fresh))
    return text_of(fresh)


@pytest.mark.slow
def test_the_earthquakes_are_the_archives_and_the_catalogues_where_these_are(tmp_path):
    if missing := [name for name in NEEDED if not (DATA / name).exists()]:
        pytest.skip(f"{DATA} has no {' and no '.join(missing)}: set FORESHOCK_DATA")
    said = run(EARTHQUAKES, tmp_path, FORESHOCK_DATA=str(DATA))
    for fact in FACTS:
        assert fact in said
    assert "stands in" not in said


def test_the_earthquakes_are_simulated_where_there_is_no_data_and_no_network(tmp_path):
    said = run(EARTHQUAKES, tmp_path, SMALLER, FORESHOCK_DATA=None)
    assert "Earthquakes cannot be had here: a simulated catalogue, cut likewise, stands in." in said
    assert "no catalogue in FORESHOCK_DATA: a simulated one, of 36 years, stands in" in said
    assert re.search(r"the hour from \S+ UTC: probability of a major event 0\.\d\d", said)


def test_own_data_are_learnt_and_forecast(tmp_path):
    said = run(OWN_DATA, tmp_path, FORESHOCK_DATA=None)
    assert len(re.findall("is better than chance|^Better than chance", said, re.M)) == 3
    kept = text_of(read(OWN_DATA))
    # the network stands aside there (its gate is 0), and a regression is the same anywhere
    for figure in (
        r"(\d+) of 23 trips were warned of",
        r"alarms a year: +(\d+)",
        r"false ones: +(\d+)",
        r"UTC: probability of a trip (.*)",
    ):
        found, shown = (float(re.search(figure, text)[1]) for text in (said, kept))
        assert found == pytest.approx(shown, rel=0.1), figure


def test_the_kept_outputs_are_of_the_real_data():
    said = text_of(read(EARTHQUAKES))
    for fact in FACTS:
        assert fact in said


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_kept_notebook_is_run_in_order_small_and_of_no_machine(path):
    notebook = read(path)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert cell.outputs or not re.search(r"\bprint\(|plt\.show\(\)", cell.source), cell.source
    assert not any({"stderr"} in cell for cell in kinds(notebook))
    assert not any(cell.metadata for cell in notebook.cells)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert path.stat().st_size < 400_000
    said = text_of(notebook) + "".join(cell.source for cell in notebook.cells)
    assert not places_in(said)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_links_of_a_notebook_lead_somewhere(path):
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    targets = re.findall(r"\]\((?!https?:)([^)#]+)(?:#([^)]+))?\)", text)
    assert targets
    for target, anchor in targets:
        there = path.parent / target
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), (target, anchor)
