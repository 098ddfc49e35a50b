"""The commands that make problems: what they say, what they refuse, what they leave behind."""

import gzip
import io
import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from foreshock.cli import app, data
from foreshock.problems.fingerprints import digest
from foreshock.problems.problem import load
from foreshock.run import Run

Said = pytest.CaptureFixture[str]
Tell = Callable[[str], str]
Document = Callable[[str], Any]
pytestmark = pytest.mark.usefixtures("no_pictures")
SMALL = "--model.filters 16 32 16 --model.cells 8 --fit.steps 2"
RULE = (
    "--rule.event-above 5 --rule.window 8 --rule.quiet 4 --rule.quiet-binds positives"
    " --rule.min-active 1 --rule.max-missing 0 --rule.no-overlap"
)
OVERLAP = RULE.replace("--rule.no-overlap", "--rule.overlap")


def run(line: str) -> int:
    return app.run(shlex.split(line))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with two sensor logs in which something happens now and then."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORESHOCK_DATA", raising=False)
    random = np.random.default_rng(0)
    values = random.uniform(1, 4, 1500)
    values[random.choice(1500, 60, replace=False)] = 6
    times = pd.date_range("2001-01-01", periods=1500, freq="h")
    frame = pd.DataFrame({"time": times.strftime("%Y-%m-%dT%H:%M:%SZ"), "x": values.round(3)})
    frame.to_csv("pump.csv", index=False)
    np.save("sensor.npy", np.resize(np.float32([1, 2, 3, 6, 1, 2, 1, 2, 3, 2]), (1, 3000)))
    return tmp_path


def test_a_sensor_log_becomes_a_problem_and_all_is_accounted_for(here: Path, told: Tell) -> None:
    said = told(f"cut pump.csv -o pump.npz {RULE}")
    problem = load("pump.npz")
    n_positive, n_negative = problem.candidates.counts["case"]
    for line in (
        "1,500 readings of 1h from 2001-01-01T00:00Z to 2001-03-04T11:00Z; channels: x; 0.0% miss",
        f"{n_positive:>9,} became cases",
        f"{n_negative:>9,} became cases",
        "with another event in the 4 readings before",
        "leak audit:",
        "Problem: pump.npz (what became of each candidate: pump.candidates.csv)",
    ):
        assert line in said
    table = pd.read_csv("pump.candidates.csv")
    assert len(table) == 1500
    assert table["outcome"].value_counts()["case"] == n_positive + n_negative
    assert load("pump.npz").name == "pump"


def test_json_is_one_document(here: Path, document: Document) -> None:
    said = document(f"cut pump.csv -o pump.npz --name toy {RULE}")
    assert (said["problem"], said["name"]) == ("pump.npz", "toy")
    assert said["rule"]["window"] == 8
    assert sum(said["candidates"]["case"]) == sum(p["cases"] for p in said["parts"].values())
    assert said["audit"]["findings"]
    assert document("problems pump.npz") == {k: v for k, v in said.items() if k != "problem"}
    assert set(document("doctor pump.npz")) == {"machine", "problem"}


def test_a_failure_log_stands_in_for_the_threshold(here: Path) -> None:
    times = pd.date_range("2001-01-02", periods=50, freq="29h").strftime("%Y-%m-%d %H:%M")
    pd.DataFrame({"time": times, "what": "broke"}).to_csv("failures.csv", index=False)
    assert run(f"cut pump.csv --events failures.csv -o pump.npz --rule.lead 2 {RULE}") == 0
    problem = load("pump.npz")
    assert problem.rule.event_above is None
    assert int(problem.y.sum()) > 40


def test_labels_of_a_benchmark_are_events_of_the_log_that_they_name(here: Path) -> None:
    times = pd.date_range("2001-01-02", periods=50, freq="29h").strftime("%Y-%m-%d %H:%M:%S")
    labels = {"real/pump.csv": times.tolist(), "real/fan.csv": ["2001-01-03 00:00:00"]}
    Path("combined_labels.json").write_text(json.dumps(labels))
    assert run(f"cut pump.csv --events combined_labels.json -o pump.npz {RULE}") == 0
    assert len(load("pump.npz").events) == 50


def test_the_rule_travels_with_the_problem_the_model_and_its_forecasts(
    here: Path, told: Tell, refused: Tell, document: Document
) -> None:
    assert run(f"cut pump.csv -o pump.npz {RULE} --rule.lead 2 --rule.horizon 3") == 0
    said = told(f"train pump.npz --run run {SMALL}")
    assert {"last reading", "window summary", "gradient boosting"} <= {
        line.partition("  ")[0] for line in said.splitlines()
    }
    stored = Run(here / "run").read("model")
    assert (stored["rule"]["lead"], stored["step"]) == (2, "1h")
    assert stored["model"]["normalize"] == "train"
    forecast = document("predict run pump.csv")
    assert (forecast["from"], forecast["until"]) == ("2001-03-04T14:00Z", "2001-03-04T17:00Z")
    assert forecast["rule"] == stored["rule"]
    assert sum(forecast["proba"].values()) == pytest.approx(1, abs=1e-6)
    header, row = told("predict run pump.csv").splitlines()
    assert header == "from,until,predicted,proba_no,proba_yes,outside_rule"
    assert row.startswith("2001-03-04T14:00Z,2001-03-04T17:00Z,")
    earlier = document("predict run pump.csv --until 2001-02-20T05:30")
    assert earlier["from"] == "2001-02-20T07:00Z"
    said = refused("predict run pump.csv --until 2002 --json")
    assert "the readings are from 2001-01-01T00:00Z to 2001-03-04T12:00Z" in said
    scores = document("evaluate run pump.npz")["scores"]
    kept = Run(here / "run").read("scores")["scores"]
    assert scores["model"] == kept["model"]
    del kept["baselines"]["gradient boosting"]  # of which nothing is saved
    assert scores["baselines"] == kept["baselines"]


def test_readings_may_come_from_standard_input(
    here: Path, told: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = (here / "pump.csv").read_bytes()

    def said(line: str, content: bytes = log) -> str:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        return told(line)

    said(f"cut pump.csv -o pump.npz {RULE}")
    said(f"cut - -o piped.npz {RULE}")
    assert digest(load("pump.npz")) == digest(load("piped.npz"))
    said("train pump.npz --run run --model.filters 16 32 16 --model.cells 8 --fit.epochs 2")
    for line in ("predict run {} --json", "predict run {} --until 2001-02-20T05:30"):
        assert said(line.format("-")) == said(line.format("pump.csv"))
    assert said("predict run -", gzip.compress(log)) == said("predict run pump.csv")
    cases = load("pump.npz")
    frame = pd.DataFrame(cases.X[:3, 0], columns=[f"t{i}" for i in range(cases.n_timepoints)])
    frame.to_csv("cases.csv", index=False)  # cases are told from readings as in files
    assert said("predict run -", (here / "cases.csv").read_bytes()).count("\n") == 4


def test_a_forecast_says_where_the_rule_would_make_no_case(
    here: Path, caplog: pytest.LogCaptureFixture, document: Document
) -> None:
    frame = pd.read_csv("pump.csv")
    assert run(f"cut pump.csv -o pump.npz {RULE} --rule.lead 1") == 0
    assert run(f"train pump.npz --run run {SMALL}") == 0

    def outside(last: list[float]) -> list[str]:
        frame.iloc[-8:, 1] = last
        frame.to_csv("new.csv", index=False)
        caplog.clear()
        found: list[str] = document("predict run new.csv")["outside_rule"]
        assert ("The rule would make no case of this window" in caplog.text) == bool(found)
        return found

    assert outside([1, 1, 1, 1, 6, 1, 1, 1]) == []  # the event is before the quiet stretch
    assert outside([1, 1, 1, 1, 1, 6, 1, 1]) == [
        "with another event in the 4 readings before, which no case with an event has"
    ]
    assert outside([0, 0, 0, 0, 0, 0, 0, 0]) == ["with fewer than 1 active readings in the window"]
    late = frame.assign(time=pd.to_datetime(frame["time"]) + pd.Timedelta("2min"), what="text")
    late.to_csv("late.csv", index=False)
    assert run("predict run late.csv --log.resample nearest") == 0  # the text is no channel of it


@pytest.mark.parametrize(
    ("step", "line"),
    [
        ("write_parameters", "simulate -o quakes.csv --years 1"),
        ("save", f"cut pump.csv -o pump.npz {RULE}"),
    ],
)
def test_what_is_interrupted_at_its_last_step_leaves_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch, step: str, line: str
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(data, step, interrupt)
    before = sorted(here.iterdir())
    assert run(line) == 130
    assert sorted(here.iterdir()) == before


def test_what_is_said_of_the_other_kind_of_file_is_refused(here: Path, refused: Tell) -> None:
    said = refused(f"cut pump.csv -o a.npz {RULE} --catalog.min-magnitude 3")
    assert "--catalog.min-magnitude does not apply to a sensor log" in said
    assert run("simulate -o quakes.csv --years 1") == 0
    said = refused(f"cut quakes.csv -o a.npz {RULE} --log.step 10min")
    assert "--log.step does not apply to a catalogue" in said


def test_cases_of_another_step_than_the_models_are_refused(
    here: Path, refused: Tell, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="foreshock")
    for name, step in (("minutes", 1), ("hours", 60)):
        times = pd.date_range("2001-01-01", periods=24 * 12, freq=f"{step}min", tz="UTC")
        frame = pd.DataFrame({"case": np.arange(288) // 12, "time": times, "x": np.arange(288) % 7})
        frame["label"] = np.where(frame["case"] % 2, "u", "v")
        frame.drop(index=[3, 4, 77]).to_csv(f"{name}.csv", index=False)
    assert run(f"train minutes.csv --run run {SMALL} --test 0.25") == 0
    assert "3 readings are missing within 2 of 24 cases: they are NaN." in caplog.text
    assert json.loads(Path("run/model.json").read_text())["step"] == "1min"
    assert "Series of 12 timepoints, one every 1min, raw" in Path("run/README.md").read_text()
    assert run("predict run minutes.csv") == 0
    for command in ("predict", "evaluate"):
        said = refused(f"{command} run hours.csv")
        assert "hours has readings every 1h; the model was trained on readings every 1min." in said
        assert "Traceback" not in said


def test_a_log_of_a_spreadsheet_is_cut_and_forecast_alike(
    here: Path, refused: Tell, caplog: pytest.LogCaptureFixture, document: Document
) -> None:
    caplog.set_level("INFO", logger="foreshock")
    frame = pd.read_csv("pump.csv", parse_dates=["time"])
    frame.insert(0, "Date", frame["time"].dt.strftime("%d.%m.%Y"))
    frame.insert(1, "Time", frame.pop("time").dt.strftime("%H:%M"))
    frame.to_csv("sheet.csv", index=False, sep=";", decimal=",")
    assert run(f"cut pump.csv -o pump.npz {RULE}") == 0
    assert run(f"cut sheet.csv -o sheet.npz {RULE}") == 0
    assert "Its decimals have commas: " in caplog.text
    assert "Its dates are day-first, as '13.01.2001 00:00' in line 290 tells." in caplog.text
    np.testing.assert_array_equal(load("sheet.npz").X[:], load("pump.npz").X[:])
    frame.tail(40).to_csv("today.csv", index=False, sep=";", decimal=",")
    assert run(f"train sheet.npz --run run {SMALL}") == 0
    forecast = document("predict run today.csv")  # days come first, as in training
    assert forecast["from"] == "2001-03-04T12:00Z"
    said = refused(f"cut today.csv -o today.npz {RULE}")
    assert "its dates are ambiguous, '02.03.2001 20:00' in line 2" in said


def test_a_run_is_no_problem_and_a_log_is_none_yet(here: Path, refused: Tell) -> None:
    assert run(f"cut pump.csv -o pump.npz {RULE}") == 0
    assert run(f"train pump.npz --run run {SMALL}") == 0
    for command in ("problems run", "doctor run", "train run", "evaluate run run"):
        assert "run is the folder of a run, not a problem" in refused(command)
    for command in ("cut run", f"cut run -o a.npz {RULE}"):
        said = refused(command)
        assert "run is the folder of a run, not readings: name a log. For a forecast" in said
        assert said.strip().endswith("foreshock predict run READINGS.")
    assert "with foreshock cut" in refused("train pump.csv")


def test_a_folder_of_a_problem_is_not_cut_again(here: Path, refused: Tell) -> None:
    options = "--log.start 2001-01-01 --log.step 1h"
    assert run(f"cut sensor.npy {options} -o mapped {OVERLAP}") == 0
    said = refused(f"cut mapped {options}")
    assert "mapped is the folder of a problem, not readings: foreshock train mapped takes" in said


def test_the_events_file_may_be_of_another_form_than_the_log(
    here: Path, document: Document
) -> None:
    frame = pd.read_csv("pump.csv").rename(columns={"time": "stamp"})
    frame["stamp"] = [int(pd.Timestamp(stamp).timestamp()) for stamp in frame["stamp"]]
    frame["y"], frame["words"] = 1.0, "text"
    frame.to_csv("log.csv", index=False)
    times = pd.date_range("2001-01-02", periods=50, freq="29h").strftime("%Y-%m-%dT%H:%MZ")
    pd.DataFrame({"time": times}).to_csv("failures.csv", index=False)
    options = "--log.time stamp --log.time-unit s --log.channels x y"
    assert run(f"cut log.csv --events failures.csv -o pump.npz {RULE} {options}") == 0
    assert int(load("pump.npz").y.sum()) > 40
    assert run(f"train pump.npz --run run {SMALL}") == 0
    forecast = document("predict run log.csv")  # read as the training's log was
    assert forecast["from"] == "2001-03-04T12:00Z"


def test_cases_cut_by_another_rule_are_scored_and_told(here: Path, told: Tell) -> None:
    assert run(f"cut pump.csv -o pump.npz {RULE}") == 0
    assert run(f"cut pump.csv -o later.npz {RULE} --rule.lead 3") == 0
    assert run(f"train pump.npz --run run {SMALL}") == 0
    said = told("evaluate run later.npz")
    assert "These cases were cut with another rule than the training cases: lead 3, not 0." in said
    assert "were used to train" not in said
    said = told("evaluate run later.npz --part train")
    problem, later = load("pump.npz"), load("later.npz")
    known = problem.ends[problem.rows("train")]
    near = np.abs(later.ends[later.rows("train")][:, None] - known).min(axis=1)
    shared = int((near < 8 * np.timedelta64(1, "h")).sum())
    assert f"{shared} of these cases were used to train" in said


def test_readings_of_another_step_are_no_test_of_a_model(here: Path, refused: Tell) -> None:
    assert run(f"cut pump.csv -o pump.npz {RULE}") == 0
    assert run(f"cut pump.csv -o slow.npz {RULE} --log.step 2h --log.resample max") == 0
    assert run(f"train pump.npz --run run {SMALL}") == 0
    said = refused("evaluate run slow.npz")
    assert "slow has readings every 2h; the model was trained on readings every 1h" in said
    frame = pd.read_csv("pump.csv").iloc[::2]
    frame.to_csv("slow.csv", index=False)
    Path("series.csv").write_text("a,b\n1,2\n")
    assert "--until and --log apply to readings" in refused("predict run series.csv --until 2002")
    said = refused("predict run slow.csv --crop")
    crop = "--crop applies to series; a forecast from readings uses the last window: leave it out."
    assert crop in said


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda f: f.iloc[:5], "the model needs the last 8 readings, got 5"),
        (lambda f: f.rename(columns={"x": "y"}), "it has no channel 'x'; its columns are time, y"),
        (lambda f: f.iloc[::2], "4 of the last 8 readings are missing"),
        (lambda f: f.assign(x=f["x"].where(f.index < 1495)), "5 of the last 8 readings are miss"),
    ],
)
def test_readings_that_do_not_fit_the_model_get_no_forecast(
    here: Path, refused: Tell, change: object, reason: str
) -> None:
    assert run(f"cut pump.csv -o pump.npz {RULE}") == 0
    assert run(f"train pump.npz --run run {SMALL}") == 0
    change(pd.read_csv("pump.csv")).to_csv("new.csv", index=False)
    assert reason in refused("predict run new.csv")


def test_a_simulated_catalogue_brings_the_true_probability_along(
    here: Path, told: Tell, document: Document
) -> None:
    assert "events of magnitude 2 to" in told("simulate -o sim.csv --years 8 --seed 1")
    rule = "--rule.window 48 --rule.quiet 48 --rule.event-above 4 --rule.calm-below 3.5"
    assert run(f"cut sim.csv -o sim.npz {rule} --rule.min-active 1") == 0
    assert load("sim.npz").chance is not None
    scores = document(f"train sim.npz {SMALL}")["scores"]
    assert scores["rankings"]["true probability"]["value"] > 0.6
    assert set(scores["rankings"]) == {"true probability"}
    assert set(scores["baselines"]) == {
        *("always 'no'", "class prior", "activity counts"),
        *("last reading", "window summary", "gradient boosting"),
    }


def test_readings_larger_than_memory_become_a_folder(here: Path) -> None:
    clock = "--log.start 2001-01-01 --log.step 10ms"
    assert run(f"cut sensor.npy -o pump {clock} {OVERLAP}") == 0
    assert not (here / "pump" / "values.npy").exists()
    problem = load("pump")
    assert problem.n_cases > 500
    assert str(problem.readings.step) == "10000 microseconds"


def test_a_link_to_what_is_not_there_is_followed_and_stays(here: Path, refused: Tell) -> None:
    for name in ("a.csv", "a.npz", "a"):
        (here / name).symlink_to(f"far/{name}")
    lines = (
        "simulate -o a.csv --years 1",
        f"cut pump.csv -o a.npz {RULE}",
        f"cut sensor.npy -o a {OVERLAP} --log.start 2001-01-01 --log.step 10ms",
    )
    assert f"there is no folder {here / 'far'}; make it first." in refused(lines[0])
    (here / "far").mkdir()
    for line in lines:
        assert run(line) == 0
        (here / "a.candidates.csv").unlink(missing_ok=True)
    assert sorted(path.name for path in (here / "far").iterdir()) == ["a", "a.csv", "a.npz"]
    assert all((here / name).is_symlink() for name in ("a.csv", "a.npz", "a"))
    assert load("a").n_cases > 500
    for line in lines:
        assert "exists already and is never overwritten" in refused(line)


@pytest.mark.parametrize("mode", ["077"], indirect=True)
def test_problems_and_catalogues_have_the_permissions_of_the_umask(
    here: Path, mode: Callable[[Path], bool]
) -> None:
    (here / "new").mkdir()
    clock = "--log.start 2001-01-01 --log.step 10ms"
    assert run("simulate -o new/a.csv --years 1") == 0
    assert run(f"cut pump.csv -o new/b.npz {RULE}") == 0
    assert run(f"cut sensor.npy -o new/c {OVERLAP} {clock}") == 0
    assert mode(here / "new")


def test_what_fails_behind_a_link_leaves_the_link(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for step, line in (
        ("write_parameters", "simulate -o a.csv --years 1"),
        ("save", f"cut pump.csv -o a.npz {RULE}"),
    ):
        monkeypatch.setattr(data, step, interrupt)
        for name in ("a.csv", "a.candidates.csv"):
            (here / name).unlink(missing_ok=True)
            (here / name).symlink_to("target")
        assert run(line) == 130
        assert (here / "a.csv").is_symlink() and (here / "a.candidates.csv").is_symlink()
        assert not (here / "target").exists()


# what is refused


def test_nothing_is_overwritten(here: Path, refused: Tell) -> None:
    for name in ("pump.npz", "pump.candidates.csv", "sim.csv", "sim.etas.json"):
        (here / name).write_text("mine")
    for line in (f"cut pump.csv -o pump.npz {RULE}", "simulate -o sim.csv --years 1",
                 "catalog --from 2001 --to 2002 -o sim.csv"):  # fmt: skip
        assert "exists already and is never overwritten" in refused(line)
    (here / "pump.npz").unlink()
    assert "pump.candidates.csv exists already" in refused(f"cut pump.csv -o pump.npz {RULE}")
    assert not (here / "pump.npz").exists()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("cut -o a.npz", "give at least one file of readings"),
        (
            "cut pump.csv -o a.csv",
            "--output must be a file ending in .npz or a new folder, got a.csv",
        ),
        ("cut pump.csv -o none/a.npz", "there is no folder none; make it first"),
        ("cut pump.csv -o a.npz --rule.window 0", "window must be at least 1"),
        ("cut pump.csv -o a.npz --rule.widow 3", "--rule.widow"),
        ("cut pump.csv -o a.npz --parts.test 1", "test and valid must be at least 0 and together"),
        ("cut pump.csv -o a.npz --rule.window 2000 --rule.event-above 5", "need 2001 readings"),
        ("cut pump.csv -o a.npz --events pump.npy", "an array has no column of times"),
        ("simulate -o a.txt", "a catalogue must end in .csv, got a.txt"),
        ("simulate -o a.csv --branching-ratio 1.2", "branching_ratio"),
        ("cut pump.csv -o .", "--output must be a file ending in .npz or a new folder, got ."),
        (
            "cut pump.csv -o a.npz --rule.horizon 24.5",
            "horizon must be a number of readings, or a time such as 3d",
        ),
        ("catalog --from 2002 --to 2001 -o a.csv", "until must not come before since"),
        ("catalog --from 2001 -o a.csv", "--to"),
        ("doctor none.csv", "there is no file none.csv"),
    ],
)
def test_wrong_usage_is_one_line_and_leaves_nothing(
    here: Path, refused: Tell, line: str, reason: str
) -> None:
    before = sorted(here.iterdir())
    said = refused(line)
    assert reason in said
    assert said.count("\n") == 1
    assert sorted(here.iterdir()) == before


LOG = "time,x\n2001-01-01T00:00Z,1\n2001-01-01T01:00Z,2\n2001-01-01T02:00Z,3\n"
BAD: dict[str, tuple[str, bytes | str]] = {
    "empty": ("a.csv", ""),
    "only a header": ("a.csv", "time,x\n"),
    "only newlines": ("a.csv", "\n\n\n"),
    "binary": ("a.csv", bytes(range(256)) * 20),
    "a picture": ("a.csv", b"\x89PNG\r\n\x1a\n" + b"\0" * 100),
    "a wrong separator": ("a.csv", LOG.replace(",", "|x|")),
    "spaces for separators": ("a.csv", LOG.replace(",", "  ")),
    "a row too short": ("a.csv", LOG + "2001-01-01T03:00Z\n"),
    "a row too long": ("a.csv", LOG + "2001-01-01T03:00Z,4,5\n"),
    "an open quote": ("a.csv", LOG + '"2001-01-01T03:00Z,4\n'),
    "mixed time zones": ("a.csv", LOG + "2001-01-01T03:00+02:00,4\n"),
    "times with and without zone": ("a.csv", LOG + "2001-01-01T03:00,4\n"),
    "a fold of summer time": (
        "a.csv", "time,x\n2003-10-26 01:00,1\n2003-10-26 02:00,2\n2003-10-26 02:00,3\n"
    ),
    "summer time by name": ("a.csv", "time,x\n2003-10-26 02:00 CEST,1\n2003-10-26 02:00 CET,2\n"),
    "the other order of days": ("a.csv", "time,x\n31/12/2003,1\n01/01/2004,2\n"),
    "a day that is none": ("a.csv", LOG + "2001-02-30T00:00Z,4\n"),
    "a time that is none": ("a.csv", LOG + "yesterday,4\n"),
    "no time in a row": ("a.csv", LOG + ",4\n"),
    "a year too many": ("a.csv", LOG + "9999-01-01T00:00Z,4\n"),
    "1e400": ("a.csv", LOG + "2001-01-01T03:00Z,1e400\n"),
    "infinity": ("a.csv", LOG + "2001-01-01T03:00Z,inf\n"),
    "text for a number": ("a.csv", LOG + "2001-01-01T03:00Z,high\n"),
    "a decimal comma": ("a.csv", 'time,x\n2001-01-01T00:00Z,"1,5"\n2001-01-01T01:00Z,"2,5"\n'),
    "rows out of order": ("a.csv", LOG + "2000-12-31T23:00Z,4\n"),
    "times that stand twice": ("a.csv", LOG + "2001-01-01T02:00Z,4\n"),
    "times off the clock": ("a.csv", LOG + "2001-01-01T03:07Z,4\n"),
    "two columns of one name": ("a.csv", LOG.replace("time,x", "time,time")),
    "no column of times": ("a.csv", LOG.replace("time", "when")),
    "nothing but times": ("a.csv", "time\n2001-01-01T00:00Z\n2001-01-01T01:00Z\n"),
    "all values missing": ("a.csv", "time,x\n" + "".join(
        f"2001-01-{d:02}T{h:02}:00Z,\n" for d in range(1, 9) for h in range(24)
    )),
    "no gzip": ("a.csv.gz", LOG),
    "half a gzip": ("a.csv.gz", gzip.compress(LOG.encode() * 100)[:40]),
    "no parquet": ("a.parquet", LOG),
    "half a parquet": ("a.parquet", b"PAR1" + b"\0" * 50),
    "no array": ("a.npy", LOG),
    "half an array": ("a.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fort"),
    "another ending": ("a.xlsx", "PK"),
    "a catalogue without magnitudes": ("a.csv", "time,latitude,mag\n2001-01-01,1,\n"),
    "a catalogue of places beyond the globe": ("a.csv", "time,latitude,mag\n2001-01-01,99,5\n"),
    "a catalogue of one event": ("a.csv", "time,latitude,mag\n2001-01-01T00:10Z,1,5\n"),
    "a surrogate": ("a.csv", LOG.replace("x", "\\ud800")),
    "markup": ("a.csv", LOG.replace("x", "[bold]x[/bold") + "2001-01-01T03:00Z,[/]\n"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_malformed_file_is_a_line_of_advice_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said, what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    name, content = BAD[what]
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    clock = " --log.start 2001-01-01 --log.step 1h" if name.endswith(".npy") else ""
    assert run(f"cut {name} -o a.npz {RULE}{clock}") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("foreshock: ")
    assert [line for line in said.err.splitlines() if not line.endswith("count.")] == [
        said.err.splitlines()[-1]
    ]
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("what", ["a folder", "no permission", "a broken link", "a device"])
def test_what_is_no_file_is_a_line_of_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Tell, what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("a.csv")
    if what == "a folder":
        path.mkdir()
    elif what == "no permission":
        if os.geteuid() == 0:
            pytest.skip("root may read everything: run as another user to test this")
        path.write_text(LOG)
        path.chmod(0)
    elif what == "a broken link":
        path.symlink_to("nowhere.csv")
    else:
        path.symlink_to("/dev/null")
    said = refused(f"cut a.csv -o a.npz {RULE}")
    assert said.startswith("foreshock: ")
    assert said.count("\n") == 1
    assert "a.csv" in said
    assert not Path("a.npz").exists()


def test_a_huge_number_of_columns_or_rows_is_no_trouble(tmp_path: Path, refused: Tell) -> None:
    columns = ",".join(f"c{i}" for i in range(20_000))
    (tmp_path / "wide.csv").write_text(f"time,{columns}\n2001-01-01,{'1,' * 19_999}1\n")
    said = refused(
        f"cut {tmp_path}/wide.csv -o {tmp_path}/a.npz --log.step 1h {RULE} --rule.channel c1"
    )
    assert "a case and the quiet stretch before it need 9 readings, got 1" in said


@pytest.fixture
def fleet(here: Path) -> Path:
    """Write the cycles of engines that ran until they failed, hotter and hotter."""
    random, rows = np.random.default_rng(0), ["engine,cycle,heat"]
    for engine in range(12):
        n = 60 + 5 * engine
        heat = np.linspace(0, 1, n) ** 4 * 10 + random.normal(0, 0.5, n)
        rows += [f"e{engine},{k + 1},{heat[k]:.3f}" for k in range(n)]
    Path("fleet.csv").write_text("\n".join([*rows, ""]))
    return here


CYCLES = "--log.unit-column engine --log.time cycle --log.time-unit count"


@pytest.mark.usefixtures("pictures")
def test_engines_that_run_to_failure_are_cut_trained_and_forecast_each(
    fleet: Path, told: Tell, refused: Tell
) -> None:
    said = told(f"cut fleet.csv {CYCLES}")
    assert "12 units (e0, e1, e2, e3 and 8 more) of 60 to 115 readings" in said
    line = next(line for line in said.splitlines() if "--events end" in line)
    assert run(line.strip().removeprefix("foreshock ").replace("problem.npz", "try.npz")) == 0
    rule = "--rule.window 10 --rule.horizon 10"
    said = told(f"cut fleet.csv {CYCLES} -o fleet.npz --events end {rule}")
    assert "units" in said and "120 possible targets with an event" in said
    assert "unit,target,event,outcome" in Path("fleet.candidates.csv").read_text()
    said = told(f"train fleet.npz --run fleet {SMALL}")
    assert "alarms per 1,000 readings" in said and "ge alone" in said
    rows = told("predict fleet fleet.csv").splitlines()
    assert rows[0].startswith("unit,from,until,predicted") and len(rows) == 13
    assert rows[1].startswith("e0,61,71,yes")
    early = told("predict fleet fleet.csv --until 30").splitlines()
    assert early[1].startswith("e0,31,41,no")
    assert told("report fleet")
    said = told("evaluate fleet fleet.npz")
    assert "Without gradient boosting: a run keeps only what it forecast in training, see" in said
    assert "Without age" not in said
    cases = load("fleet.npz")
    labels = np.array(cases.classes)[cases.y]
    np.savez("windows.npz", X=cases.X[:], y=labels, channels=cases.channels)
    said = told("evaluate fleet windows.npz")
    assert "Without age: these cases are not of units." in said
    assert "Without gradient boosting" in said
    assert "there is no unit 'e99'" in refused(
        f"cut fleet.csv {CYCLES} -o a.npz --events end {rule} --parts.test-units e99"
    )


def test_failures_are_listed_with_their_units(fleet: Path, told: Tell) -> None:
    rows = ["engine,cycle", *(f"e{k},{60 + 5 * k + 3}" for k in range(12))]
    Path("failures.csv").write_text("\n".join([*rows, ""]))
    said = told(
        f"cut fleet.csv {CYCLES} -o fleet.npz --events failures.csv --rule.window 10"
        " --rule.horizon 10"
    )
    assert "96 possible targets with an event" in said  # three cycles after the last: eight windows


def test_a_log_without_a_rule_is_refused_with_a_line_that_works(
    fleet: Path, refused: Tell, document: Document
) -> None:
    said = refused(f"cut fleet.csv {CYCLES} -o a.npz")
    line = said.partition("it works with: foreshock ")[2].strip()
    assert run(line) == 0 and load("a.npz").n_cases > 100
    found = document(f"cut fleet.csv {CYCLES}")
    assert found["units"] == 12 and found["suggestions"][0]["event"] == "the end of a unit"
    assert not Path("problem.npz").exists()


def test_a_log_comes_with_the_package(here: Path, document: Document) -> None:
    found = document("cut beijing-pm25")
    assert found["readings"] == 43_824 and found["channels"][0]["name"] == "pm2.5"
    assert len(found["suggestions"]) == 3
