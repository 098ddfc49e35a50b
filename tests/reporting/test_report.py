"""report: one page of what runs are worth, of whatever they have, that loads nothing."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runfolders import make_run, publish

from foreshock import _json, write_report
from foreshock.cli import app
from foreshock.problems.problem import Problem
from foreshock.run import Run, RunError

VOID = {"meta", "link", "br", "img", "input", "hr", "base", "source", "col", "wbr"}
HOSTILE = [
    "<script>alert(1)</script>",
    "</svg></style></title><img src=x onerror=alert(1)>",
    "'\"><b onmouseover=alert(1) x=",
    "a\0b\x1b[31m\r\n\u2028",
    "\u202egnp.exe\u2066",
    "x" * 300,
    "caf\udce9",
    "{{ 7*7 }}{% raw %}",
    "=cmd|' /C calc'!A0",
    "url(https://example.com/a.png)",
]


class Reader(HTMLParser):
    """Reads a page as a browser does: elements with their attributes, and the text of each."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.raw = path.read_bytes().decode()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.sections: dict[str, str] = {}
        self.section = ""
        self.feed(self.raw)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        assert len(values) == len(attrs)
        self.elements.append((tag, values))
        if tag == "section":
            self.section = values["id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "section":
            self.section = ""

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))
        before = self.sections.get(self.section, "")
        self.sections[self.section] = f"{before} {data.strip()}" if data.strip() else before

    @property
    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}

    @property
    def text(self) -> str:
        whole = " ".join(data for tag, data in self.texts if tag != "style")
        return re.sub(r"\s+", " ", whole)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def of_file(name: str) -> str:
    """Write a name as a file can hold it, which must be Unicode."""
    return name.encode("utf-8", "backslashreplace").decode()


def check(path: Path) -> Reader:
    """Check what holds of every page, and give it."""
    page = Reader(path)
    assert path.stat().st_size < 3 * 2**20
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "image", "base"}
    assert len(page.all("h1")) == 1 and page.all("h2")
    (policy,) = [m for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy["content"].startswith("default-src 'none'; style-src 'sha256-")
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on") and name not in ("style", "src", "srcset"), tag
            assert name != "href" or value.startswith("#"), (tag, value)
            assert "url(" not in value or value.startswith("url(#f") or name == "aria-label"
        if tag == "svg":
            known = attributes.get("role") == "img" and len(attributes["aria-label"]) > 20
            assert known or attributes.get("aria-hidden") == "true"
    style = "".join(data for tag, data in page.texts if tag == "style")
    assert "url(" not in style and "@import" not in style
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {a["href"][1:] for tag, a in page.elements if tag in ("a", "use")}
    assert links <= set(ids)
    assert all(c.isprintable() or c in "\n" for c in page.raw if c != "\N{NO-BREAK SPACE}")
    return page


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with all that there can be; tests that change it copy it."""
    return make_run(tmp_path_factory.mktemp("runs") / "full")


@pytest.fixture(scope="module")
def page(full: Path) -> Reader:
    return check(write_report(full, output=full.parent / "full.html"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose page has few pictures and is soon made."""
    folder = tmp_path_factory.mktemp("runs") / "plain"
    return make_run(folder, members=1, event=False, explained=False, finder=False)


@pytest.fixture
def run(full: Path, tmp_path: Path) -> Path:
    """A copy of the full run, to change."""
    return Path(shutil.copytree(full, tmp_path / "run"))


def rewrite(folder: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a document as somebody would who knows how digests and hashes are made."""
    values = json.loads((folder / name).read_bytes())
    sealed = "digest" in values and name in ("model.json", "scores.json")
    if sealed:
        del values["digest"]
    change(values)
    (folder / name).write_bytes(_json.encode_document(values, digest=sealed))
    if name != "scores.json":
        hashed = Run(folder)
        scores = json.loads((folder / "scores.json").read_bytes())
        del scores["digest"], scores["sha256"]
        hashed.finish(scores)


# one run


def test_the_page_begins_with_the_sentence_and_the_number(page: Reader) -> None:
    head = page.sections[""]
    assert "quakes" in head
    sentence = head.index("Not distinguishable from always 'no': accuracy 0.741 beside 0.741")
    assert sentence < head.index("103 of 139 test cases given their class") < head.index("Ranking")
    assert "74.1%" in head and "12 of 30" in head and "7.4 alarms a year" in head


def test_a_run_from_before_there_were_several_baselines_is_reported(tmp_path: Path) -> None:
    old = make_run(tmp_path / "old")
    (old / "baselines.npz").unlink()

    def to_old(values: dict[str, Any]) -> None:
        alarms = values["alarms"]
        alarms["activity_curve"] = alarms.pop("baseline_curve")
        del alarms["baseline"]
        for part in (values["scores"], values["held_out"]["scores"]):
            del part["best"], part["n_blocks"]
            for test in part["tests"].values():
                del test["how"]

    rewrite(old, "scores.json", to_old)
    values = json.loads((old / "scores.json").read_bytes())
    del values["digest"], values["sha256"]
    Run(old).finish(values)
    page = check(write_report(old))
    assert "activity counts" in page.sections["scores"]
    assert "DeLong's paired test" in page.sections["scores"]
    assert "events warned of" in page.sections["alarms"]


def test_the_number_of_the_best_baseline_stands_beside_the_models(page: Reader) -> None:
    assert "the best baseline, activity counts, has 0." in page.sections[""]


def test_the_sections_stand_in_their_order(page: Reader) -> None:
    assert list(page.sections)[1:] == [
        *("scores", "problem", "training", "errors", "ranking", "calibration", "alarms"),
        *("what-it-looks-at", "members", "environment", "how-to-do-it-again"),
    ]


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("scores", "Scores on 139 test cases and 200 out-of-fold cases, with 95 % intervals"),
        ("scores", "always 'no'"),
        ("scores", "by true probability"),
        ("scores", "0.662 to 0.807"),
        ("scores", "DeLong's paired test"),
        ("scores", "bits per event over the class prior"),
        ("ranking", "What warning costs per event"),
        ("problem", "12 test cases share readings with train"),
        ("problem", "one every 1h"),
        ("training", "1.6e-03 was taken"),
        ("errors", "91 of 103"),
        ("ranking", "Of 139 cases 36 are 'yes'"),
        ("calibration", "by a temperature of 1.4: less sure than the network was"),
        ("calibration", "held it in 88.0%"),
        ("alarms", "at most 10 false alarms per year"),
        ("alarms", "12 of 80"),
        ("alarms", "at most 100 a year"),
        ("alarms", "half had an alarm 9.5 hours ahead or more, the middle half 3 to 31 hours"),
        ("alarms", "1,0"),
        ("what-it-looks-at", "Of what speaks for or against the predicted class in these 10 cases"),
        ("what-it-looks-at", "80% comes from the window's summary and 20% from"),
        ("what-it-looks-at", "Neither the recurrent branch nor the window's summary has such"),
        ("what-it-looks-at", "recurrent branch summary branch bias"),
        ("what-it-looks-at", "Case 200: yes at 94%, wrongly: it is no."),
        ("what-it-looks-at", "The worst errors"),
        ("what-it-looks-at", "The difference is 0.170 (0.120 to 0.220), so the maps do show"),
        ("members", "54 of 67"),
        ("environment", "torch 2.13.0"),
        ("how-to-do-it-again", "config.json --run NEW_RUN"),
        ("how-to-do-it-again", "foreshock train quakes.npz --seed 0"),
    ],
)
def test_a_section_says_what_it_is_for(page: Reader, section: str, said: str) -> None:
    assert said in page.sections[section]


def test_each_picture_says_in_numbers_what_is_on_it(page: Reader) -> None:
    labels = [svg["aria-label"] for svg in page.all("svg") if "aria-label" in svg]
    assert len(labels) == 18
    assert all(re.search(r"\d", label) for label in labels)
    assert len(page.all("figcaption")) == len(labels)


def test_every_table_has_a_caption_and_heads_of_rows_and_columns(page: Reader) -> None:
    assert len(page.all("caption")) == len(page.all("table")) >= 8
    assert {th["scope"] for th in page.all("th")} == {"row", "col"}


def test_the_hash_of_the_style_is_the_one_that_the_policy_allows(page: Reader) -> None:
    import base64
    import hashlib

    style = "".join(data for tag, data in page.texts if tag == "style")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page.raw


def test_the_same_run_gives_the_same_page(full: Path, page: Reader, tmp_path: Path) -> None:
    again = write_report(full, output=tmp_path / "a.html")
    assert again.read_bytes() == page.raw.encode()


def test_a_run_without_anything_that_can_be_left_out_says_how_to_get_it(tmp_path: Path) -> None:
    run = make_run(
        tmp_path / "bare", members=1, event=False, test=False, held_out=False, explained=False,
        finder=False,
    )  # fmt: skip
    page = check(write_report(run))
    assert "There is no test part, so nothing is known" in page.sections[""]
    assert "train with --test 0.25" in page.sections["scores"]
    assert "--members 3" in page.sections["scores"]
    assert "--find-lr" in page.sections["training"]
    assert "--test 0.25 makes one" in page.sections["ranking"]
    assert "calibration needs cases that were held out" in page.sections["calibration"]
    assert "No explanations" in page.sections["what-it-looks-at"]
    assert "alarms" not in page.sections


def test_a_model_without_a_summary_is_not_said_to_have_one(tmp_path: Path) -> None:
    page = check(write_report(make_run(tmp_path / "run", event=False)))
    assert "recurrent branch bias" in page.sections["what-it-looks-at"]
    assert "summary" not in page.sections["what-it-looks-at"]


def test_a_network_that_adds_nothing_to_the_summary_is_said_to(full: Path, tmp_path: Path) -> None:
    run = Run(Path(shutil.copytree(full, tmp_path / "run")))
    with np.load(run.folder / "explanations.npz") as file:
        found = dict(file)
    nothing = {name: 0 * found[name] for name in ("recurrent", "convolutional")}
    run.write_explanations(found | nothing)
    run.finish({k: v for k, v in run.read("scores").items() if k not in ("sha256", "digest")})
    page = check(write_report(run.folder))
    said = "All of what speaks for or against the predicted class in these 10 cases comes from the"
    assert said in page.sections["what-it-looks-at"]


def test_a_run_without_a_test_part_begins_with_what_was_held_out(tmp_path: Path) -> None:
    page = check(write_report(make_run(tmp_path / "run", test=False)))
    assert "There is no test part; on out-of-fold cases: Not distin" in page.sections[""]
    assert "of 200 out-of-fold cases given their class" in page.sections[""]
    assert "No alarms" in page.sections["alarms"]


def test_a_run_of_many_classes_fits(tmp_path: Path) -> None:
    names = tuple(f"word {k}" for k in range(60))
    run = make_run(tmp_path / "run", classes=names, n_test=600, event=False, skill=4)
    page = check(write_report(run))
    assert "20 to 79" in page.sections["problem"]
    assert "The commonest mistakes" in page.sections["errors"]
    assert "drawn for up to 5 classes" in page.sections["ranking"]
    assert max(sum(tag == "th" for tag, _ in page.elements), 1) < 200


def test_three_classes_have_a_curve_each(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", classes=("a", "b", "c"), event=False)
    page = check(write_report(run))
    (label,) = [s["aria-label"] for s in page.all("svg") if "ROC" in s.get("aria-label", "")]
    assert all(f"{name}: AUROC" in label for name in "abc")


def test_a_test_part_of_one_class_has_no_curves(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", event=False, n_test=1)
    page = check(write_report(run))
    assert "cases of one class only" in page.sections["ranking"]
    assert "1 case say" in page.sections["scores"]


def test_a_rule_without_events_has_no_curve(run: Path) -> None:
    def change(values: dict[str, Any]) -> None:
        values["alarms"] |= {"events": 0, "warned": 0, "recall": None, "leads": None}
        values["alarms"] |= {"alarms": 0, "false_alarms": 0, "precision": None}
        for point in values["alarms"]["curve"]:
            point["recall"] = None

    rewrite(run, "scores.json", change)
    page = check(write_report(run))
    assert "0 of 0" in page.sections["alarms"]
    assert "other thresholds" not in page.sections["alarms"]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_is_text_and_nothing_else(page: Reader, name: str, tmp_path: Path) -> None:
    run = make_run(
        tmp_path / "run",
        name=name, classes=(of_file(name), f"{of_file(name)} "), channels=(name, "b"), source=name,
        members=1, event=False, explained=False, finder=False,
    )  # fmt: skip
    rewrite(run, "environment.json", lambda v: v.update(platform=name, versions=[name]))
    rewrite(run, "problem.json", lambda v: v["audit"].update(findings=[name]))
    rewrite(run, "scores.json", lambda v: v.update(choice=name))
    assert check(write_report(run)).tags <= page.tags


@pytest.mark.parametrize("order", [1, -1])
def test_many_hostile_names_are_text_and_nothing_else(
    page: Reader, order: int, tmp_path: Path
) -> None:
    names = tuple(map(of_file, HOSTILE[::order]))
    run = make_run(
        tmp_path / "run", classes=names, channels=names, members=1, event=False, finder=False
    )
    assert check(write_report(run)).tags <= page.tags


def test_a_folder_of_any_name_is_reported(plain: Path, tmp_path: Path) -> None:
    folder = tmp_path / "<b>a & 'b'\n\u202e{{ x }}"
    shutil.copytree(plain, folder)
    page = check(write_report(folder))
    assert (folder / "report.html").is_file()
    assert "<b>a & 'b'\\n\\u202e{{ x }}" in page.text


@pytest.mark.parametrize("file", ["predictions.csv", "held_out.csv", "model.json", "problem.json",
    "explanations.npz", "forecasts.npz", "history.jsonl", "model.safetensors"])  # fmt: skip
def test_a_run_that_is_not_whole_is_one_line(run: Path, file: str) -> None:
    data = (run / file).read_bytes()
    (run / file).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(RunError, match=re.escape(file)) as caught:
        write_report(run)
    assert "\n" not in str(caught.value) and not (run / "report.html").exists()
    (run / file).unlink()
    with pytest.raises(RunError, match=rf"{re.escape(file)} is missing"):
        write_report(run)


def test_a_training_that_did_not_end_is_one_line(run: Path, tmp_path: Path) -> None:
    (run / "scores.json").unlink()
    with pytest.raises(RunError, match=r"continue with foreshock train --run .*run --resume"):
        write_report(run)
    with pytest.raises(RunError, match="is not a run folder"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("predictions.csv", "case,label\n1,no\n"),
        ("predictions.csv", ""),
        ("predictions.csv", "case,label,predicted,proba_no,proba_yes\n1,other,no,0.5,0.5\n"),
        ("predictions.csv", "case,label,predicted,proba_no,proba_yes\n1,no,no,nan,0.5\n"),
        ("predictions.csv", "case,label,predicted,proba_no,proba_yes\nx,no,no,1,0\n"),
        ("held_out.csv", "\xff\xfe"),
        ("explanations.npz", "PK\x03\x04"),
        ("forecasts.npz", "\x93NUMPY"),
    ],
)
def test_a_forged_file_is_one_line(run: Path, file: str, text: str) -> None:
    (run / file).write_bytes(text.encode("latin-1"))
    rewrite(run, "problem.json", lambda v: None)  # hashes it anew
    with pytest.raises(RunError, match=f"{file} is damaged"):
        write_report(run)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v["scores"].pop("model"),
        lambda v: v["scores"]["model"].update(accuracy=None),
        lambda v: v["scores"].update(confusion=[[1]]),
        lambda v: v["scores"].update(tests=[1]),
        lambda v: v.update(alarms=[1]),
        lambda v: v.update(occlusion={}),
        lambda v: v.update(scores="good"),
        lambda v: v["scores"]["baselines"].pop("always 'no'"),
        lambda v: v["alarms"].pop("span_forecast"),
    ],
    ids=range(9),
)
def test_forged_scores_are_one_line(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    rewrite(run, "scores.json", change)
    with pytest.raises(RunError, match=r"run is damaged") as caught:
        write_report(run)
    assert "\n" not in str(caught.value)


def test_pickled_arrays_are_never_opened(run: Path) -> None:
    np.savez(run / "explanations.npz", case=np.array([{}], dtype=object))
    rewrite(run, "problem.json", lambda v: None)
    with pytest.raises(RunError, match=r"explanations\.npz is damaged: .*allow_pickle"):
        write_report(run)


# where it is written


def test_one_run_has_its_report_and_a_new_one_takes_its_place(plain: Path) -> None:
    assert write_report(plain) == plain / "report.html"
    (plain / "report.html").write_text("an earlier one")
    assert "</html>" in write_report(plain).read_text()
    Run(plain).verify()


def test_no_other_file_is_ever_overwritten(full: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.html").write_text("mine")
    with pytest.raises(FileExistsError, match=r"notes\.html exists already"):
        write_report(full, output=tmp_path / "notes.html")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        write_report(full, output=tmp_path / "none" / "a.html")
    assert (tmp_path / "notes.html").read_text() == "mine"


def test_several_runs_have_theirs_in_the_working_directory_if_it_is_new(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    other = make_run(tmp_path / "other", seed=1)
    assert write_report([full, other]) == Path("report.html")
    with pytest.raises(FileExistsError, match=r"report\.html exists already"):
        write_report([full, other])


def test_a_run_is_named_once(full: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(full)
    with pytest.raises(ValueError, match="is named twice"):
        write_report([full, link], output=tmp_path / "a.html")
    with pytest.raises(ValueError, match="at least one run"):
        write_report([])


# several runs of one problem


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    base = tmp_path_factory.mktemp("several")
    seeds = [make_run(base / f"seed-{k}", seed=k, event=False) for k in range(3)]
    better = {"seed": 5, "skill": 2.5, "options": {"fit.epochs": 60}}
    return [*seeds, make_run(base / "better", event=False, **better)]


def test_runs_of_one_problem_are_told_apart_on_the_same_cases(
    several: list[Path], tmp_path: Path
) -> None:
    page = check(write_report(several, output=tmp_path / "a.html"))
    assert "'better' is more often right than 'seed-0' on the same 139 test cases" in page.text
    assert "the clearest of 3 such pairs of 6" in page.text
    assert "corrected for the number of pairs (Holm)" in page.sections["differences"]
    assert "seed-0, seed-1, seed-2 3 0.751 sd 0.008" in page.sections["seeds"]
    assert "fit.epochs 20 20 20 60" in page.sections["options"]
    assert "picks by the test part" in page.sections["scores"]


def test_runs_that_do_not_differ_are_said_not_to(several: list[Path], tmp_path: Path) -> None:
    page = check(write_report(several[:2], output=tmp_path / "a.html"))
    assert "no difference in accuracy between the two runs is larger than chance" in page.text


def test_runs_without_a_test_part_are_told_apart_by_what_was_held_out(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / f"run-{k}", seed=k, test=False, event=False) for k in range(2)]
    page = check(write_report(runs, output=tmp_path / "a.html"))
    assert "On 200 held-out cases no difference" in page.text


def test_runs_that_predict_other_cases_are_not_tested(tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / f"run-{k}", seed=k, n_test=100 + k, held_out=False, event=False)
        for k in range(2)
    ]
    page = check(write_report(runs, output=tmp_path / "a.html"))
    assert "no predictions of the same cases" in page.text and "differences" not in page.sections


# runs of several problems


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    base = tmp_path_factory.mktemp("problems")
    names = ["Coffee", "Wine", "Plane", HOSTILE[0]]
    return [
        make_run(base / f"run-{k}", name=name, digest=str(k) * 64, cases_seed=k, skill=3, seed=k,
                 event=False)
        for k, name in enumerate(names)
    ]  # fmt: skip


def publish_some(folder: Path) -> Path:
    names = ("Coffee", "Wine", "Plane")
    methods = ["FCN", "ResNet", "HC2", "</td><script>"]
    publish(folder, names, {method: [0.123] * 3 for method in methods}, "mean of resamples")
    return publish(folder, names, {m: [0.9 + k / 100] * 3 for k, m in enumerate(methods)})


def test_runs_of_several_problems_stand_beside_published_accuracies(
    problems: list[Path], tmp_path: Path
) -> None:
    page = check(
        write_report(problems, output=tmp_path / "a.html", published=publish_some(tmp_path))
    )
    assert "Published accuracies are others'" in page.sections["accuracy"]
    assert "default split" in page.sections["accuracy"]
    assert "0.910" in page.sections["accuracy"] and "0.123" not in page.text
    ranks = page.sections["means-and-ranks"]
    assert "over the 3 problems that all methods have" in ranks and "1 problem left out" in ranks
    assert "for the 3 comparisons of this table" in page.sections["one-against-the-other"]
    (label,) = [s["aria-label"] for s in page.all("svg") if "Critical" in s.get("aria-label", "")]
    assert "4 methods on 3 problems" in label
    assert "are too few for such tests" in ranks


def test_without_published_accuracies_the_page_says_so(
    problems: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("FORESHOCK_DATA", raising=False)
    page = check(write_report(problems, output=tmp_path / "a.html"))
    assert "give --published FILE" in page.sections["accuracy"]
    assert "nothing to compare with" in page.sections["one-against-the-other"]


def test_published_accuracies_are_found_in_the_data_folder(
    problems: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "published").mkdir()
    publish_some(tmp_path / "published")
    monkeypatch.setenv("FORESHOCK_DATA", str(tmp_path))
    page = check(write_report(problems[:2], output=tmp_path / "a.html"))
    assert "ResNet" in page.sections["accuracy"]
    assert "needs three methods and 3 problems" in page.sections["means-and-ranks"]


def test_a_file_without_known_methods_gives_its_best(problems: list[Path], tmp_path: Path) -> None:
    methods = {f"mine {k}": [k / 10 + 0.05] * 2 for k in range(10)}
    path = publish(tmp_path, ("Coffee", "Wine"), methods)
    page = check(write_report(problems[:2], output=tmp_path / "a.html", published=path))
    assert "mine 9" in page.sections["accuracy"] and "mine 2" not in page.sections["accuracy"]


def test_several_seeds_of_several_problems_are_one_method(
    problems: list[Path], tmp_path: Path
) -> None:
    again = make_run(
        tmp_path / "again", name="Coffee", digest="0" * 64, cases_seed=0, skill=3, seed=9,
        event=False,
    )  # fmt: skip
    page = check(write_report([*problems, again], output=tmp_path / "a.html"))
    assert "2 results" in page.sections["accuracy"]


def test_runs_without_a_test_part_are_named_beside_the_others(
    problems: list[Path], tmp_path: Path
) -> None:
    bare = make_run(tmp_path / "bare", digest="e" * 64, test=False, event=False)
    page = check(write_report([*problems, bare], output=tmp_path / "a.html"))
    assert "Of 4 runs with a test part on 5 problems" in page.sections[""]
    assert "Runs without a test part: bare." in page.sections["no-test-part"]
    other = make_run(tmp_path / "other", digest="f" * 64, test=False, event=False)
    page = check(write_report([bare, other], output=tmp_path / "b.html"))
    assert list(page.sections)[1:] == ["no-test-part"]


def test_other_options_are_another_method(problems: list[Path], tmp_path: Path) -> None:
    again = make_run(
        tmp_path / "again", name="Coffee", digest="0" * 64, cases_seed=0, event=False,
        options={"fit.epochs": 99},
    )  # fmt: skip
    page = check(write_report([*problems, again], output=tmp_path / "a.html"))
    assert "foreshock: fit.epochs 99" in page.sections["accuracy"]


# the command


def test_the_command_says_where_the_page_is(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.html"
    assert app.run(["report", str(plain), "-o", str(path)]) == 0
    assert f"Report: {path}" in capsys.readouterr().out
    path.unlink()
    assert app.run(["report", str(plain), "-o", str(path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"report": str(path), "bytes": path.stat().st_size}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{tmp}/none"], 1, "no run folder at"),
        (["{full}", "-o", "{full}/scores.json"], 2, "exists already and is never overwritten"),
        (["{full}", "--published", "{full}/scores.json"], 2, "has no published accuracies"),
        (["{full}", "{full}", "-o", "{tmp}/a.html"], 2, "is named twice"),
        ([], 2, "at least one run"),
    ],
    ids=range(5),
)
def test_what_goes_wrong_is_one_line(
    full: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    arguments: list[str], code: int, message: str,
) -> None:  # fmt: skip
    given = [each.format(full=full, tmp=tmp_path) for each in arguments]
    assert app.run(["report", *given]) == code
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_a_report_imports_no_torch(plain: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from foreshock.cli.app import run;"
        f"assert run(['report', {str(plain)!r}, '-o', {str(tmp_path / 'a.html')!r}]) == 0;"
        "print('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("module", ["jinja2", "matplotlib"])
def test_what_is_missing_is_named(plain: Path, tmp_path: Path, module: str) -> None:
    code = (
        f"import sys; sys.modules[{module!r}] = None; from foreshock.cli.app import run;"
        f"sys.exit(run(['report', {str(plain)!r}, '-o', {str(tmp_path / 'a.html')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert module in done.stderr and "run pip install 'foreshock[report]'" in done.stderr
    assert done.stderr.count("\n") == 1 and not (tmp_path / "a.html").exists()


def test_the_package_has_the_template_and_the_style() -> None:
    from importlib.resources import files

    for name in ("page.html.jinja", "page.css"):
        assert files("foreshock.reporting").joinpath(name).is_file()


# real trainings


def test_a_real_run_is_reported(small_run: Run, tmp_path: Path) -> None:
    page = check(write_report(small_run.folder, output=tmp_path / "a.html"))
    assert "of 8 test cases given their class" in page.sections[""]
    assert "8 cases say little" in page.sections["scores"]


def test_a_real_run_with_all_there_is_is_reported(
    small_problem: Callable[..., Problem], small_config: Callable[..., Any], tmp_path: Path
) -> None:
    from foreshock.training.pipeline import train

    run = train(small_problem(n_classes=3), small_config(find_lr=True, valid=0.25),
                folder=tmp_path / "run")  # fmt: skip
    page = check(write_report(run.folder))
    assert "was taken" in page.sections["training"]
    assert (run.folder / "report.html").stat().st_size < 200_000


def test_a_real_run_of_several_members_is_reported(
    small_problem: Callable[..., Problem], small_config: Callable[..., Any], tmp_path: Path
) -> None:
    from foreshock.training.pipeline import train

    run = train(small_problem(), small_config(members=2), folder=tmp_path / "run")
    page = check(write_report(run.folder))
    assert "member 1" in page.sections["members"]
    assert "model, out-of-fold" in page.sections["scores"]
