"""standings, scoreboard: ranks, duels, and a page of them, of results that are made up."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from runfolders import publish as publish_accuracies
from scipy.stats import wilcoxon
from test_report import HOSTILE, check

from foreshock._text import shown
from foreshock.benchmarking.page import document, write_scoreboard
from foreshock.benchmarking.results import ResultError, Results
from foreshock.cli import app
from foreshock.metrics.intervals import Estimate
from foreshock.metrics.significance import holm
from foreshock.reporting.standings import Result, stand

HEAD = "dataset,method,accuracy,split\n"
PROBLEMS = [f"P{k:02d}" for k in range(14)]


@pytest.fixture(autouse=True)
def _no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORESHOCK_DATA", raising=False)


def result(problem: str, accuracy: float, **fields: object) -> Result:
    values: dict[str, object] = {
        "problem": problem,
        "method": "fast",
        "seed": 0,
        "resample": 0,
        "accuracy": Estimate(accuracy, accuracy - 0.05, accuracy + 0.05),
        "balanced_accuracy": Estimate(accuracy, None, None),
        "auroc": None,
        "log_loss": Estimate(0.4, 0.3, 0.5),
        "majority_accuracy": 0.5,
        "fit_seconds": 9.0,
        "seconds": 11.0,
        "threads": 1,
        "device": "cpu",
        "precision": "bf16",
        "n_train": 20,
        "n_valid": 0,
        "n_test": 20,
        "n_classes": 2,
        "n_channels": 1,
        "n_timepoints": 50,
        "versions": ("foreshock 0.1.0",),
        "started": "2026-11-26T18:16:35+00:00",
        "config": {"fit": {"epochs": 2}},
        "config_digest": "c" * 64,
        "data_digest": "d" * 64,
        **fields,
    }
    return Result(**values)


def publish(folder: Path, methods: dict[str, list[float]], split: str = "default split") -> Path:
    return publish_accuracies(folder, PROBLEMS, methods, split)


def fill(folder: Path, results: list[Result]) -> Path:
    kept = Results(folder)
    for each in results:
        kept.write(each)
    return folder


# the numbers


def test_duels_are_wilcoxons_tests_on_the_problems_that_both_have_corrected_by_holm(
    tmp_path: Path,
) -> None:
    random = np.random.default_rng(0)
    own = random.uniform(0.6, 0.9, 14).round(3)
    fcn, rocket = (own - random.uniform(0.01, 0.1, 14)).round(3), own[:8].copy()
    rocket[:3] += 0.02
    path = publish(tmp_path, {"FCN": fcn.tolist(), "ROCKET": rocket.tolist()})
    found = stand([result(p, a) for p, a in zip(PROBLEMS, own, strict=True)], published=path)
    first, second = found.duels
    assert (first.against, first.n_problems, first.won, first.lost) == ("FCN", 14, 14, 0)
    assert (second.against, second.n_problems) == ("ROCKET", 8)
    assert (second.won, second.drawn, second.lost) == (0, 5, 3)
    alone = [
        wilcoxon((own - fcn).round(3)).pvalue,
        wilcoxon((own[:8] - rocket).round(3), zero_method="pratt").pvalue,
    ]
    assert [d.p for d in found.duels] == pytest.approx(alone)
    assert [d.p_corrected for d in found.duels] == pytest.approx(holm(alone))
    assert first.difference == pytest.approx((own - fcn).mean())


def test_means_and_ranks_are_over_the_problems_that_all_have(tmp_path: Path) -> None:
    path = publish(tmp_path, {"FCN": [0.5, 0.9, 0.7], "HC2": [0.8, 0.8]})
    found = stand([result(p, 0.7) for p in PROBLEMS[:3]], published=path)
    assert found.methods == ("fast", "FCN", "HC2") and found.whole.tolist() == [0, 1]
    assert found.means().tolist() == pytest.approx([0.7, 0.7, 0.8])
    assert found.ranks.tolist() == [2.5, 2.0, 1.5]


def test_an_accuracy_that_was_rounded_when_published_is_a_draw(tmp_path: Path) -> None:
    path = publish(tmp_path, {"FCN": [0.667, 0.666667]})
    found = stand([result(p, 2 / 3) for p in PROBLEMS[:2]], published=path)
    assert (found.duels[0].drawn, found.duels[0].p) == (2, 1.0)
    assert found.ranks.tolist() == [1.5, 1.5]


def test_several_seeds_count_as_their_mean(tmp_path: Path) -> None:
    found = stand([result("P00", a, seed=k) for k, a in enumerate([0.6, 0.7, 0.8])])
    assert found.accuracy[0, 0] == pytest.approx(0.7)
    assert found.deviation[0, 0] == pytest.approx(0.1) and found.count.tolist() == [[3]]


def test_resamples_stand_beside_means_over_resamples(tmp_path: Path) -> None:
    publish(tmp_path, {"FCN": [0.9]}, "mean of resamples")
    path = publish(tmp_path, {"FCN": [0.1]})
    one = result("P00", 0.8)
    assert stand([one], published=path).accuracy.tolist() == [[0.8, 0.1]]
    found = stand([one, result("P00", 0.6, resample=1)], published=path)
    assert found.split == "mean of resamples"
    assert found.accuracy.tolist() == [[pytest.approx(0.7), 0.9]]


def test_peers_are_those_asked_for_or_the_best_known(tmp_path: Path) -> None:
    path = publish(tmp_path, {"mine": [0.9, 0.8], "HC2": [0.8, 0.7], "FCN": [0.5, 0.4]})
    results = [result(p, 0.7) for p in PROBLEMS[:2]]
    assert stand(results, published=path).methods == ("fast", "FCN", "HC2")
    assert stand(results, published=path, peers=["mine"]).methods == ("fast", "mine")
    with pytest.raises(ValueError, match=r"no published accuracies of 'HC3' \(default split\)"):
        stand(results, published=path, peers=["HC3"])
    with pytest.raises(ValueError, match="give --published FILE"):
        stand(results, peers=["FCN"])


def test_a_peer_that_has_few_of_the_problems_is_not_taken_unasked(tmp_path: Path) -> None:
    path = publish(tmp_path, {"HC2": [0.9] * 6, "FCN": [0.9] * 2})
    assert stand([result(p, 0.7) for p in PROBLEMS], published=path).methods == ("fast", "HC2")


def test_one_result_alone_has_nothing_beside_it() -> None:
    found = stand([result("P00", 0.7)])
    assert found.duels == () and np.isnan(found.ranks).all() and not found.published


# the files


def test_the_page_says_what_is_compared_and_each_figure_in_words(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    base = random.uniform(0.5, 0.8, 14)
    path = publish(tmp_path, {"FCN": (base + 0.1).tolist(), "HC2": (base + 0.15).tolist()})
    results = [result(p, a) for p, a in zip(PROBLEMS, base, strict=True)]
    results += [
        result(p, a + 0.101, method="best", fit_seconds=90.0)
        for p, a in zip(PROBLEMS, base, strict=True)
    ]
    folder = fill(tmp_path / "b", results)
    write_scoreboard(folder, published=path, failed={"Wine, fast, seed 0": "<b>no"})
    page = check(folder / "index.html")
    assert list(page.sections)[1:] == [
        *("means-and-ranks", "one-against-the-other", "accuracy-and-time", "accuracy"),
        *("how-it-was-made", "not-there"),
    ]
    assert "best is better than fast and FCN; worse than HC2." in page.sections[""]
    assert "fast is worse than FCN and HC2." in page.sections[""]
    assert "over the 14 problems that all methods have" in page.sections["means-and-ranks"]
    assert "Every pair differs significantly" in page.sections["means-and-ranks"]
    assert "for the 5 comparisons of this table" in page.sections["one-against-the-other"]
    assert "on the default split" in page.sections["accuracy"]
    assert "Wine, fast, seed 0: <b>no" in page.sections["not-there"]
    labels = [s["aria-label"] for s in page.all("svg")]
    assert "Critical difference diagram of 4 methods on 14 problems" in labels[0]
    assert "HC2 1.00" in labels[0] and "No significant difference: none" in labels[0]
    assert "over mean training time" in labels[1] and "in 90 s" in labels[1]


def test_the_tables_have_a_row_for_each_result_and_for_each_problem(tmp_path: Path) -> None:
    results = [result(p, 0.7, seed=s) for p in PROBLEMS[:2] for s in (0, 1)]
    folder = fill(tmp_path / "b", results)
    write_scoreboard(folder, published=publish(tmp_path, {"FCN": [0.9]}))
    rows = list(csv.DictReader((folder / "results.csv").read_text().splitlines()))
    assert [(row["problem"], row["seed"]) for row in rows] == [
        *(("P00", "0"), ("P00", "1"), ("P01", "0"), ("P01", "1")),
    ]
    assert rows[0]["accuracy"] == "0.7" and rows[0]["accuracy_low"] == "0.6499999999999999"
    assert rows[0]["run"] == "runs/P00.fast.seed0.resample0" and rows[0]["n_test"] == "20"
    assert list(csv.reader((folder / "table.csv").read_text().splitlines())) == [
        ["problem", "fast", "FCN", "commonest class"],
        ["P00", "0.7", "0.9", "0.5"],
        ["P01", "0.7", "", "0.5"],
    ]


def test_hostile_names_stay_text_and_in_their_folder(tmp_path: Path) -> None:
    names = [*HOSTILE, "../../x"]
    folder = fill(tmp_path / "b", [result(name, 0.7) for name in names])
    methods = [name.encode(errors="replace").decode() for name in HOSTILE]
    path = publish_accuracies(tmp_path, names, {name: [0.5] * len(names) for name in methods})
    write_scoreboard(folder, published=path, peers=methods)
    page = check(folder / "index.html")
    assert len(page.all("h1")) == 1 and "owned" not in page.raw
    assert all(shown(name, 40) in page.sections["accuracy"] for name in names)
    assert all(shown(name, 30) in page.sections["accuracy"] for name in methods)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["accuracies.csv", "b"]


def test_a_folder_without_results_says_so(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="has no results yet: give problems to train on"):
        write_scoreboard(tmp_path / "b")


def test_the_document_is_json_without_nan(tmp_path: Path) -> None:
    found = stand([result("P00", 0.7), result("P01", 0.7, method="best")])
    text = json.dumps(document(found), allow_nan=False)
    assert json.loads(text)["accuracy"] == [[0.7, None], [None, 0.7]]


def test_tables_are_made_anew_without_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fill(tmp_path / "b", [result(p, 0.7) for p in PROBLEMS])
    path = publish(tmp_path, {"FCN": [0.6] * 14})
    line = ["benchmark", "-o", str(folder), "--published", str(path), "--peer", "FCN"]
    assert app.run(line) == 0
    said = capsys.readouterr().out
    assert "14 of 14 problems have all" in said and "14/0/0" in said
    assert "fast is better than FCN." in said
    assert app.run([*line, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["duels"][0]["won"] == 14 and said["mean_rank"] == [1.0, 2.0]


# damaged files


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:200], "is damaged"),
        (lambda text: text.replace('"value": 0.7', '"value": 0.9'), "its digest does not match"),
        (lambda text: text.replace('"format": 1', '"format": 9'), "newer than this foreshock"),
        (lambda text: "[]", "holds no JSON object"),
    ],
)
def test_a_damaged_result_is_named(tmp_path: Path, change: object, message: str) -> None:
    folder = fill(tmp_path / "b", [result("P00", 0.7)])
    path = folder / "results" / "P00.fast.seed0.resample0.json"
    path.write_text(change(path.read_text()))
    with pytest.raises(ResultError, match=message) as caught:
        write_scoreboard(folder)
    assert path.name in str(caught.value)


def test_a_result_under_another_name_is_refused(tmp_path: Path) -> None:
    folder = fill(tmp_path / "b", [result("P00", 0.7)])
    path = folder / "results" / "P00.fast.seed0.resample0.json"
    path.rename(path.with_name("P01.fast.seed0.resample0.json"))
    with pytest.raises(ResultError, match=r"contains the result P00.fast.seed0.resample0"):
        write_scoreboard(folder)


def test_a_hostile_published_file_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fill(tmp_path / "b", [result("P00", 0.7)])
    path = tmp_path / "a.csv"
    for data in (b"\xff\xfe\x00", HEAD.encode() + b"P00,FCN,inf,default split\n", b""):
        path.write_bytes(data)
        assert app.run(["benchmark", "-o", str(folder), "--published", str(path)]) == 2
        said = capsys.readouterr().err
        assert "has no published accuracies" in said and said.count("\n") == 1
