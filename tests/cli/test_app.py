"""The command line: what it says, where, and with which exit code."""

import csv
import gzip
import io
import itertools
import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import quake_rule

from foreshock.cli import app, console, models
from foreshock.events.alarms import AlarmConfig
from foreshock.events.episodes import EpisodeConfig
from foreshock.inference.forecaster import Forecaster
from foreshock.nn.config import PAPER, ModelConfig
from foreshock.problems.problem import Problem, load, save
from foreshock.run import Run
from foreshock.training.config import PRESETS, FitConfig, TrainConfig, option_name

FORESHOCK = [sys.executable, "-c", "from foreshock.cli.app import main; main()"]
SMALL = "--model.filters 16 32 16 --model.cells 8 --model.random-features 300 --fit.epochs 2"
COMMANDS = [name for name in app.app if not name.startswith("-")]
Make = Callable[..., Problem]
Said = pytest.CaptureFixture[str]
Tell = Callable[[str], str]
Document = Callable[[str], Any]
pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def here(
    tmp_path: Path,
    small_run: Run,
    small_problem: Make,
    write_csv: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Work in a folder with labelled and unlabelled series and a run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORESHOCK_DATA", raising=False)
    write_csv(tmp_path / "small.csv", small_problem())
    write_csv(tmp_path / "new.csv", small_problem(), labels=False, parts=False)
    shutil.copytree(small_run.folder, tmp_path / "run")
    return tmp_path


def run(line: str) -> int:
    return app.run(shlex.split(line))


def settings(folder: str) -> dict[str, dict[str, object]]:
    config: dict[str, dict[str, object]] = Run(Path(folder)).read("config")["config"]
    return config


def process(line: str, **options: object) -> subprocess.CompletedProcess[str]:
    values: dict[str, object] = {"capture_output": True, "text": True, **options}
    return subprocess.run([*FORESHOCK, *shlex.split(line)], **values)


def one_line(capsys: Said) -> str:
    """Return the one line of an error, after which nothing else was said."""
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(r"foreshock: .*\n", said.err)
    return said.err


# help


def test_help_imports_no_torch_no_numpy_and_no_extra() -> None:
    code = (
        "import sys; from foreshock.cli.app import run; run(['--help']);"
        "print(*{m.partition('.')[0] for m in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage: foreshock COMMAND" in done.stdout
    slow = {
        "torch",
        "numpy",
        "sklearn",
        "safetensors",
        "aeon",
        "pandas",
        "matplotlib",
        "markdown_it",
    }
    assert not slow & set(done.stderr.split())


@pytest.mark.parametrize("line", ["predict run new.csv", "predict readings log.csv"])
def test_predict_imports_nothing_of_training_and_reports(here: Path, line: str) -> None:
    forecaster = Forecaster.load("run")
    rule = quake_rule(window=32, quiet=0, min_active=0)
    forecaster.card = replace(forecaster.card, rule=rule, step="1d")
    shutil.copytree("run", "readings")
    forecaster.save(Run(Path("readings")))
    days = np.arange("2024-01", "2024-03", dtype="M8[D]")
    rows = [f"{day},{k % 5}" for k, day in enumerate(days)]
    (here / "log.csv").write_text("\n".join(["time,channel 0", *rows, ""]))
    code = (
        f"import sys; from foreshock.cli.app import run; code = run({line.split()!r});"
        "print(*sys.modules, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "proba_a,proba_b" in done.stdout
    modules = done.stderr.splitlines()[-1].split()
    own = {name for name in modules if name.startswith("foreshock.")}
    packages = {name.rpartition(".")[0] for name in own}
    assert len(own - packages) <= 30, own
    assert not packages & {"foreshock.training", "foreshock.reporting", "foreshock.benchmarking"}
    assert not {"mlflow", "tensorboard", "matplotlib", "jinja2", "aeon"} & set(modules)


@pytest.mark.slow
def test_help_answers_within_three_tenths_of_a_second() -> None:
    times = []
    for _ in range(9):
        before = os.times()
        process("--help", check=True)
        after = os.times()  # the processor's time: other processes do not count
        times.append(
            after.children_user
            - before.children_user
            + after.children_system
            - before.children_system
        )
    assert statistics.median(times) < 0.3


def test_help_lists_the_commands_in_the_order_of_work(told: Tell) -> None:
    said = told("--help")
    places = [said.index(f"│ {name} ") for name in ("problems", "train", "evaluate", "predict")]
    assert places == sorted(places)


def test_no_command_is_help(told: Tell) -> None:
    assert "Usage: foreshock COMMAND" in told("")


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("problems", "[OPTIONS] [NAME]"),
        ("train", "[OPTIONS] PROBLEM"),
        ("evaluate", "[OPTIONS] RUN PROBLEM"),
        ("predict", "[OPTIONS] RUN SERIES|READINGS"),
        ("benchmark", "[OPTIONS] PROBLEM ... -o DIR"),
    ],
)
def test_each_command_says_how_it_is_used(command: str, usage: str, told: Tell) -> None:
    said = told(f"{command} --help")
    assert said.startswith(f"Usage: foreshock {command} {usage}\n")
    assert "Parameters\n" not in said


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command_begins_with_its_summary_and_examples_that_parse(
    command: str, told: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    listed = re.search(rf"│ {command} +(.*?\.) +│", told("--help"))
    _, summary, *rest = filter(None, map(str.strip, told(f"{command} --help").splitlines()))
    assert summary == listed[1]
    examples = list(itertools.takewhile(lambda line: line.startswith("$ "), rest))
    assert 1 <= len(examples) <= 2
    for example in examples:
        words = shlex.split(example.removeprefix("$ foreshock").partition(" > ")[0])
        function, *_ = app.app.parse_args(words, print_error=False, exit_on_error=False)
        assert function.__name__ == words[0] == command


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_five_common_options_first_where_there_are_more_than_ten(
    command: str, told: Tell
) -> None:
    said = told(f"{command} --help")
    options = re.findall(r"^│[ *]+(--\S+)", said, re.MULTILINE)
    _, found, panel = said.partition("╭─ Common options ─")
    assert bool(found) == (len(options) > 10)
    if found:
        first = re.findall(r"^│[ *]+(--\S+)", panel.partition("╰")[0], re.MULTILINE)
        assert tuple(first) == app.COMMON[command]
        assert len(first) == 5


def test_help_of_train_lists_every_field_with_its_docstring(
    told: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    said = " ".join(re.sub("[│╭╮╰╯─]", " ", told("train --help")).split())
    kinds = ((ModelConfig, "model."), (FitConfig, "fit."), (AlarmConfig, "alarm."),
             (EpisodeConfig, "episodes."))  # fmt: skip
    for kind, prefix in (*kinds, (TrainConfig, "")):
        for field in fields(kind):
            if field.name not in ("model", "fit", "alarm", "episodes"):
                option = f"--{prefix}{option_name(field.name)}"
                assert re.search(rf"{option} .*?[a-z]", said), option
    assert "Peak step size of the optimizer. [default: 0.003]" in said
    assert "[choices: adam, adamw] [default: adamw]" in said
    assert "--model.empty-filters" not in said


def test_help_of_train_has_the_network_and_the_fit_in_panels_of_their_own(told: Tell) -> None:
    titles = re.findall(r"╭─ ([\w ]+) ─", told("train --help"))
    assert titles == ["Arguments", "Common options", "Options", "Network", "Fitting", "Alarms"]


def test_the_package_is_a_command_too() -> None:
    words = [sys.executable, "-m", "foreshock", "train"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "foreshock: give a PROBLEM: an archive name, a file or a folder.\n"


def test_version_is_the_packages(told: Tell) -> None:
    from foreshock import __version__

    assert told("--version") == f"{__version__}\n"


# wrong usage


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("trian small.csv", 'Unknown command "trian". Did you mean "train"?'),
        ("train small.csv --fit.epoch 2", "option: --fit.epoch. Did you mean --fit.epochs?"),
        ("train small.csv --epochs 2", "Unknown option: --epochs. Did you mean --fit.epochs?"),
        ("train small.csv --fit.epochs two", '--fit.epochs: unable to convert "two" into int'),
        ("train small.csv --fit.epochs 0", "epochs must be at least 1, got 0."),
        ("train small.csv --model.cells 0", "cells must be at least 1, got 0."),
        ("train small.csv --model.dropout nan", "dropout must be at least 0 and below 1, got nan."),
        ("train small.csv --seed -1", "seed must be between 0 and 4294967295, got -1."),
        ("train small.csv --valid 2", "valid must be a share between 0 and 1, got 2.0;"),
        ("train small.csv --valid 0.01 --test 0.5", "small has a test part of 8 cases already"),
        ("train small.csv --model.filters 16 32", "filters requires 3 positional arguments"),
        ("train small.csv --fit.optimizer sgd", 'Choose from: "adam", "adamw".'),
        ("train small.csv --preset papr", 'Did you mean "paper"?'),
        ("train small.csv --fit.epochs", "--fit.epochs requires an argument."),
        ("train small.csv other.csv", "Unused Tokens: ['other.csv']."),
        ("train small.csv --resume", "give --run DIR."),
        ("train small.csv --run run", "run exists already and is never overwritten"),
        ("train small.csv --fit.patience 3", "make a valid part with --valid 0.2"),
        ("train", "give a PROBLEM: an archive name, a file or a folder."),
        ("train ''", "the name of the problem is empty"),
        ("train no.csv", "there is no file no.csv; check its name."),
        ("train /", "the folder / contains no problem"),
        ("train --config run --preset paper", "give either --preset or --config, not both."),
        ("train --config small.csv", "a run folder or its config.json, got small.csv."),
        ("train new.csv", "cannot read new.csv: it has no labels"),
        ("problems no.csv", "there is no file no.csv; check its name."),
        ("predict run log.csv --log.unit s", "--log.unit is now called --log.time-unit."),
        ("cut log.csv -o a.npz --log.unit=s", "--log.unit is now called --log.time-unit."),
        ("predict run", "parameter SERIES requires an argument."),
        ("predict run no.csv", "there is no file no.csv; check its name."),
        ("predict run new.csv -o new.csv", "new.csv exists already and is never overwritten"),
        ("predict run new.csv -o no/new.csv", "there is no folder no; make it first."),
        ("predict run new.csv --precision half", 'Invalid value "half" for --precision.'),
        ("evaluate run new.csv", "cannot read new.csv: it has no labels"),
        ("evaluate run small.csv --part valid", "small has no valid part to score."),
        ("benchmark small.csv", "--output requires an argument."),
        ("benchmark -o b", "give at least one PROBLEM: there is no folder b with results yet."),
        ("benchmark small.csv -o run", "run already exists and is not a benchmark folder"),
        ("benchmark small.csv -o b --preset papr", "preset must be one of fast, best, paper, got"),
        ("benchmark small.csv -o b --seed 1.5", "--seed must be a whole number, got 1.5."),
        ("benchmark small.csv -o b --seed 1 1", "give each seed once, got 1, 1."),
        ("benchmark small.csv -o b --resamples 0", "resamples must be at least 1, got 0."),
        ("benchmark small.csv -o b --threads 0", "threads must be at least 1, got 0."),
        ("benchmark small.csv -o b --fit.epochs 0", "epochs must be at least 1, got 0."),
        ("benchmark small.csv -o b --given fit", "Unknown option: --given."),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_and_exit_code_2(
    here: Path, line: str, message: str, capsys: Said
) -> None:
    assert run(line) == 2
    assert message in one_line(capsys)
    assert not (here / "runs").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("predict no new.csv", "no run folder at no: give the folder that train printed."),
        ("predict . new.csv", ". is not a run folder: it has no config.json."),
        ("train --config no", "--config must be a run folder or its config.json, got no."),
        ("train small.csv --model.filters 100000 100000 100000", "allocate"),
        ("train small.csv --run new.csv/run", "new.csv"),
    ],
)
def test_what_cannot_be_done_is_one_line(here: Path, line: str, message: str, capsys: Said) -> None:
    assert run(line) in (1, 2)
    assert message in one_line(capsys)


@pytest.mark.parametrize(
    "name", ["a.csv", "a.ts", "a.tsv", "a.txt", "a.arff", "a.npz", "a.parquet"]
)
@pytest.mark.parametrize(
    "content",
    [b"", b"\x00\xff\xfe\x80" * 300, b"label\n", b"\xef\xbb\xbf", b"{'a': [\x1b[31m"],
    ids=["empty", "binary", "header", "mark", "escape"],
)
@pytest.mark.parametrize("command", ["train", "predict run"])
def test_a_damaged_file_is_one_line_and_never_a_traceback(
    here: Path, command: str, name: str, content: bytes, capsys: Said
) -> None:
    (here / name).write_bytes(content)
    assert run(f"{command} {name}") == 2
    assert name in one_line(capsys)


@pytest.mark.parametrize("name", ["model.json", "config.json", "problem.json", "model.safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\x00\xff", b"{}", b'{"format": 1}', b'{"format": "x"}']
)
def test_a_damaged_run_is_one_line_that_names_the_file(
    here: Path, name: str, content: bytes, capsys: Said
) -> None:
    (here / "run" / name).write_bytes(content)
    command = "train --config run" if name == "config.json" else "evaluate run small.csv"
    assert run(command) in (1, 2)
    said = one_line(capsys)
    assert name in said or "run is damaged" in said


@pytest.mark.parametrize(
    "change", [{"config": 5}, {"config": []}, {"problem": 5}, {"config": {"fit": 5}}]
)
def test_a_configuration_changed_by_hand_is_refused(
    here: Path, change: dict[str, object], refused: Tell
) -> None:
    path = here / "run" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert re.fullmatch(r"foreshock: .*\n", refused("train small.csv --config run"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_one_line(here: Path, capsys: Said) -> None:
    (here / "small.csv").chmod(0)
    assert run("train small.csv") == 1
    assert "small.csv: Permission denied" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foreshock.problems.problem.available", lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        run("problems")


# presets, stored configurations, resuming


def test_a_preset_loses_only_the_fields_that_were_given(here: Path) -> None:
    line = "--preset paper --fit.epochs 1 --model.cells 64 --model.filters 16 32 16"
    assert run(f"train small.csv {line} --run new") == 0
    expected = asdict(PRESETS["paper"])
    expected["fit"]["epochs"] = 1
    expected["log"] = []
    expected["model"] |= {"cells": 64, "filters": [16, 32, 16], "kernels": [8, 5, 3]}
    expected["model"] |= {"mixed": [], "dilations": [1, 1, 1]}
    assert settings("new") == expected


def test_a_flag_of_a_preset_can_be_switched_back(here: Path) -> None:
    line = f"--preset paper {SMALL} --model.mask --model.no-hard-sigmoid"
    assert run(f"train small.csv {line} --run new") == 0
    assert settings("new")["model"]["mask"] is True
    assert settings("new")["model"]["hard_sigmoid"] is False
    assert settings("new")["model"]["standardize"] is PAPER.standardize


@pytest.mark.parametrize("stored", ["first", "first/config.json"])
def test_a_stored_configuration_repeats_the_run_to_the_same_weights(
    here: Path, stored: str
) -> None:
    assert run(f"train small.csv {SMALL} --preset paper --seed 3 --run first") == 0
    assert run(f"train --config {stored} --run second") == 0
    first, second = Run(Path("first")), Run(Path("second"))
    assert first.read("config") == second.read("config")
    assert first.read_model()[0]["sha256"] == second.read_model()[0]["sha256"]


def test_a_stored_configuration_loses_only_the_fields_that_were_given(here: Path) -> None:
    assert run("train small.csv --config run --seed 7 --run new") == 0
    assert settings("new") == settings("run") | {"seed": 7}


def test_resuming_takes_the_stored_options(here: Path, told: Tell) -> None:
    first = told(f"train small.csv {SMALL} --seed 5 --run new")
    assert told("train --run new --resume") == first


def test_the_same_command_with_resume_may_run_any_number_of_times(here: Path) -> None:
    line = f"train small.csv --preset paper {SMALL} --run new --resume"
    assert run(line) == 0
    assert run(line) == 0


def test_a_run_in_an_empty_folder_begins_and_goes_on_through_a_link(here: Path) -> None:
    (here / "empty").mkdir()
    (here / "link").symlink_to("empty")
    line = f"train small.csv {SMALL} --run link --resume"
    assert run(line) == 0
    assert run(line) == 0
    assert (here / "link").is_symlink()
    assert Run(here / "empty").complete


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize("mode", ["077"], indirect=True)
def test_all_that_commands_write_has_the_permissions_of_the_umask(
    here: Path, mode: Callable[[Path], bool]
) -> None:
    (here / "new").mkdir()
    for line in (
        f"train small.csv {SMALL} --run new/a/run --log tensorboard --checkpoint-seconds 0.001",
        "report new/a/run",
        "report new/a/run -o new/page.html",
        "predict new/a/run small.csv -o new/predictions.csv",
    ):
        assert run(line) == 0
    assert mode(here / "new")


def test_a_file_that_came_while_forecasts_were_made_is_not_overwritten(
    here: Path, monkeypatch: pytest.MonkeyPatch, refused: Tell
) -> None:
    load = models.Forecaster.load
    monkeypatch.setattr(
        models.Forecaster, "load", lambda name: (here / "a.csv").write_text("mine") and load(name)
    )
    said = refused("predict run small.csv -o a.csv")
    assert "a.csv exists already and is never overwritten" in said
    assert (here / "a.csv").read_text() == "mine"


def test_resuming_with_another_option_is_refused(here: Path, refused: Tell) -> None:
    said = refused("train small.csv --run run --resume --fit.epochs 5")
    assert "was started with --fit.epochs 3, not 5" in said


# standard input


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Write content to standard input."""

    def put(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return put


def test_minus_is_standard_input_wherever_cases_are_read(
    here: Path, small_problem: Make, pipe: Callable[[bytes], None], capsys: Said
) -> None:
    labelled = (here / "small.csv").read_bytes()
    save(small_problem(), here / "small.npz")
    for line, content in (
        ("predict run new.csv", (here / "new.csv").read_bytes()),
        ("predict run small.csv", gzip.compress(labelled)),
        ("predict run small.csv --json", (here / "small.npz").read_bytes()),
        ("evaluate run small.csv", labelled),
        ("evaluate run small.csv --json", labelled),
        ("problems small.csv", labelled),
        ("doctor small.csv", labelled),
    ):
        name = re.search(r"\w+\.csv", line)
        said = []
        for source in (name[0], "-"):
            pipe(content)
            assert run(line.replace(name[0], source)) in (0, 1)
            said.append(re.sub(r"(?m)^(small|stdin):", "x:", capsys.readouterr().out))
        if not line.startswith("doctor"):  # it measures the machine
            assert said[0] == said[1] != ""
    pipe(labelled)
    assert run(f"train - {SMALL} --run new") == 0
    assert Run(here / "new").read("config")["problem"] == "-"
    assert run(f"train small.csv {SMALL} --run other") == 0
    new, other = (Run(here / name).read("problem")["digest"] for name in ("new", "other"))
    assert new == other
    pipe(labelled)
    assert run("train --run new --resume") == 0


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("suffix", [".ts", ".arff", ".tsv", ".txt", ".csv"])
def test_any_text_may_be_piped_and_packed(
    here: Path, pipe: Callable[[bytes], None], suffix: str, packed: bool
) -> None:
    rows = [f"{a!r},{1 - a!r},{a * a!r}" for a in (0.5, 0.25, 0.125, 0.75)]
    labels = "uvuv"
    heads = {
        ".ts": "@problemName x\n@classLabel true u v\n@data\n",
        ".arff": "@relation x\n" + "@attribute a numeric\n" * 3 + "@attribute t {u,v}\n@data\n",
        ".csv": "0,1,2,label\n",
    }
    pattern = {".ts": "{1}:{0}", ".arff": "{1},{0}", ".csv": "{1},{0}"}.get(suffix, "{0},{1}")
    lines = [pattern.format(label, row) for label, row in zip(labels, rows, strict=True)]
    text = heads.get(suffix, "") + "\n".join(lines) + "\n"
    if suffix in (".tsv", ".txt"):
        text = text.replace(",", "\t" if suffix == ".tsv" else "  ")
    content = gzip.compress(text.encode()) if packed else text.encode()
    pipe(content)
    with console.file_of("-") as path:
        problem = load(path)
    np.testing.assert_array_equal(problem.X[3, 0], np.float32([0.75, 0.25, 0.5625]))
    assert problem.y.tolist() == [0, 1, 0, 1]


def test_a_pipe_that_has_a_name_is_read_as_standard_input_is(here: Path, told: Tell) -> None:
    os.mkfifo(here / "pipe")
    writer = threading.Thread(
        target=lambda: (here / "pipe").write_bytes((here / "new.csv").read_bytes())
    )
    writer.start()
    piped = told("predict run pipe")
    writer.join()
    assert piped == told("predict run new.csv") != ""


def test_a_ts_file_may_be_piped(here: Path, pipe: Callable[[bytes], None], told: Tell) -> None:
    pipe(b"@problemName x\n@classLabel true a b\n@data\n1,2:a\n3,4:b\n")
    assert "stdin: 1 channel, series of up to 2 timepoints" in told("problems -")


@pytest.mark.parametrize(
    ("line", "content", "reason"),
    [
        ("predict run -", b"", "standard input is empty: did the command before it fail?"),
        ("problems -", b"label,x\n", "cannot read standard input: no case or no values"),
        ("problems -", b"label,x\na,b\n", "cannot read standard input: the column 'x' is not"),
        ("problems -", b"PAR1 nonsense", "cannot read standard input: "),
        ("predict run -", b"0,1\n1,2\n", "the series have 2 timepoints; the model was trained on"),
        ("train - --devices 2", b"label,x\na,1\n", "several devices cannot share standard input"),
        ("cut - -o new.npz", b"x,y\n1,2\n", "cannot read standard input: it has no column time"),
    ],
)
def test_what_is_wrong_with_standard_input_is_one_line(
    here: Path, pipe: Callable[[bytes], None], line: str, content: bytes, reason: str, capsys: Said
) -> None:
    pipe(content)
    assert run(line) == 2
    said = one_line(capsys)
    assert reason in said
    assert "/tmp" not in said
    assert not (here / "new.npz").exists()


def test_more_than_memory_should_hold_is_not_taken_from_standard_input(
    here: Path, pipe: Callable[[bytes], None], monkeypatch: pytest.MonkeyPatch, refused: Tell
) -> None:
    monkeypatch.setattr(console, "MAX_UNPACKED", 10)
    pipe(b"label,x\n" + b"a,1\n" * 100)
    assert "standard input is larger than 0 GiB; name a file." in refused("problems -")


def test_a_terminal_is_no_standard_input(
    here: Path, monkeypatch: pytest.MonkeyPatch, refused: Tell
) -> None:
    leader, follower = pty.openpty()
    with os.fdopen(follower, "r") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        for line in ("predict run -", "evaluate run -", "problems -"):
            assert "nothing is piped into standard input (-)" in refused(line)
    os.close(leader)


# what is printed


@pytest.mark.usefixtures("pictures")
def test_train_prints_the_scores_beside_the_majority_the_rule_and_where_to_look(
    here: Path, told: Tell
) -> None:
    said = told(f"train small.csv {SMALL} --run new")
    scores = Run(Path("new")).read("scores")["scores"]
    assert said.startswith(scores["sentence"])
    accuracy = scores["model"]["accuracy"]
    span = f"{accuracy['low']:.3f}–{accuracy['high']:.3f}"
    assert re.search(r"^8 test cases +model +95 % interval *$", said, re.M)
    assert re.search(rf"^accuracy +{accuracy['value']:.4f} +{span} *$", said, re.M)
    for name in ("always 'a'", "class prior"):
        assert re.search(rf"^{name} +0.5000 +0.5000 +0.5000 +0.5000 ", said, re.M)
    summary = scores["baselines"]["series summary"]["accuracy"]["value"]
    assert re.search(rf"^series summary +{summary:.4f} ", said, re.M)
    assert re.search(r"^class \\ predicted +a +b *$", said, re.M)
    assert "Model: weights after the last of 2 epochs; none was picked by its score.\n" in said
    assert said.endswith("Run: new (loss.png, cases.png, predictions.csv, scores.json)\n")


def test_without_a_test_part_train_says_how_to_get_one(
    here: Path, small_problem: Make, write_csv: Callable[..., Path], told: Tell, document: Document
) -> None:
    write_csv(here / "whole.csv", small_problem(), parts=False)
    said = told(f"train whole.csv {SMALL} --run new")
    assert "whole has no test part, so there is no test score: make one with --test 0.25." in said
    assert "predictions.csv" not in said
    scores = document(f"train whole.csv {SMALL} --test 0.25 --run other")["scores"]
    assert scores["n_cases"] == 6


def test_evaluate_tells_of_cases_that_were_trained_on(here: Path, told: Tell) -> None:
    said = told("evaluate run small.csv --part train")
    used = "16 of these cases were used to train, choose or calibrate the model: this is not a test"
    assert f"{used} of it.\n" in said
    assert "trained on" not in told("evaluate run small.csv")


def test_a_missing_class_is_told(
    here: Path, small_problem: Make, write_csv: Callable[..., Path], told: Tell
) -> None:
    problem = small_problem()
    problem.y[:] = 1
    write_csv(here / "one.csv", problem)
    assert "AUROC and average precision need cases of every class." in told("evaluate run one.csv")


def test_problems_lists_what_loads_without_a_network(told: Tell) -> None:
    said = told("problems")
    assert "GunPoint" in said
    assert "a file or a folder of your own works as well" in said


def test_a_problems_card_is_printed(here: Path, told: Tell) -> None:
    said = told("problems small.csv")
    assert said.startswith("small: 1 channel, series of up to 32 timepoints\n")
    assert re.search(r"^class a +8 \(50%\) +4 \(50%\) *$", said, re.M)


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        ("problems", {"GunPoint"}),
        ("problems small.csv", {"name", "parts", "n_timepoints"}),
        (f"train small.csv {SMALL} --find-lr --run new", {"run", "scores", "choice"}),
        ("evaluate run small.csv", {"scores", "n_trained_on", "choice", "other_rule", "lacking"}),
        ("predict run new.csv", {"classes", "proba"}),
        ("predict run new.csv -o new-proba.csv", {"classes", "proba"}),
    ],
)
def test_json_is_one_document_and_all_there_is_on_standard_output(
    here: Path, line: str, keys: set[str], document: Document
) -> None:
    assert keys <= set(document(line))


def test_predictions_go_to_a_file_or_to_standard_output(here: Path, told: Tell) -> None:
    printed = told("predict run new.csv")
    assert told("predict run new.csv -o proba.csv") == ""
    assert (here / "proba.csv").read_text() == printed
    assert [path.name for path in here.iterdir() if ".tmp" in path.name] == []
    assert len(list(csv.DictReader(io.StringIO(printed)))) == 24


NAMES = ("[bold]red[/bold]", "=cmd()", 'q" é😀, x', "new\nline", ":smile:", "x" * 300)


@pytest.fixture
def odd(here: Path, small_problem: Make) -> Path:
    save(small_problem(n_classes=6, classes=NAMES, name="[red]odd"), here / "odd.npz")
    return here


def test_names_that_look_like_markup_are_printed_as_they_are(
    odd: Path, told: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for line in (f"train odd.npz {SMALL} --run new", "problems odd.npz", "evaluate new odd.npz"):
        said = told(line)
        for name in ("[bold]red[/bold]", "=cmd()", 'q" é😀, x', r"new\nline", ":smile:", "x" * 19):
            assert name in said
        assert len([row for row in said.splitlines() if row.startswith("accuracy ")]) <= 1


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize("columns", ["40", "20"])
def test_a_narrow_terminal_breaks_no_number(
    odd: Path, columns: str, told: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    said = told(f"train odd.npz {SMALL} --run new")
    if columns == "40":
        assert re.search(r"^accuracy +0\.\d{4}", said, re.M)
    assert "The confusion matrix of 6 classes is too wide: see --json." in said
    assert "Run: new (loss.png, cases.png, predictions.csv, scores.json)" in said


def test_two_hundred_classes_are_printed(
    here: Path, write_csv: Callable[..., Path], told: Tell
) -> None:
    random = np.random.default_rng(0)
    problem = Problem(
        name="many",
        X=random.normal(size=(400, 1, 16)).astype(np.float32),
        y=np.arange(400) % 200,
        part=np.repeat([0, 2], 200).astype(np.uint8),
        classes=tuple(f"class {i}" for i in range(200)),
        channels=("x",),
    )
    write_csv(here / "many.csv", problem)
    said = told(f"train many.csv {SMALL} --run new")
    assert "The confusion matrix of 200 classes is too wide" in said


# the process


def test_odd_names_reach_a_file_whatever_the_locale(odd: Path) -> None:
    assert run(f"train odd.npz {SMALL} --run new") == 0
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    env["COLUMNS"] = "200"  # the names stand in the confusion matrix
    done = process("evaluate new odd.npz", env=env)
    assert done.returncode == 0, done.stderr
    assert r'q" \xe9\U0001f600, x' in done.stdout
    assert run("predict new odd.npz -o out.csv") == 0
    with (odd / "out.csv").open(newline="", encoding="utf-8") as file:
        assert next(csv.reader(file))[2:] == [f"proba_{name}" for name in NAMES]


def test_nothing_but_the_result_is_said_where_nobody_watches(here: Path) -> None:
    done = process(f"train small.csv {SMALL} --json", stdin=subprocess.DEVNULL)
    assert json.loads(done.stdout)["run"] == "runs/small-1"
    assert "\x1b" not in done.stderr
    assert "batches/s" not in done.stderr


@pytest.mark.parametrize("line", ["predict run new.csv", "problems small.csv", "train --help"])
def test_a_pipe_that_closes_early_is_fine(here: Path, line: str) -> None:
    command = shlex.join([*FORESHOCK, *line.split()])
    script = f"{command} <&- | true; echo ${{PIPESTATUS[0]}}"  # no standard input either
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "0\n"
    assert done.stderr == ""


def test_closed_streams_are_as_good_as_none(here: Path) -> None:
    command = shlex.join([*FORESHOCK, *f"train small.csv {SMALL} --run new".split()])
    done = subprocess.run(["bash", "-c", f"{command} >&- 2>&-"], check=False)
    assert done.returncode == 0
    assert Run(here / "new").read("model")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_standard_output_is_one_line(here: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = process("--version", stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert done.returncode == 1
    assert done.stderr == "foreshock: No space left on device\n"


def watched(line: str, until: str, keys: bytes) -> tuple[int, str]:
    """Run a command in a terminal, type `keys` once `until` is seen; give exit code and screen."""
    child, terminal = pty.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # it is ignored where tests run in background
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": "100"}
        os.execvp(FORESHOCK[0], [*FORESHOCK, *shlex.split(line)])
    seen, typed, end = "", False, time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                part = os.read(terminal, 65536)
            except OSError:  # Linux's end of a terminal
                break
            if not part:
                break
            seen += part.decode(errors="replace")
        if until in seen and not typed:
            os.write(terminal, keys)
            typed = True
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), seen


def test_control_c_clears_the_line_and_says_how_to_go_on(here: Path) -> None:
    line = "train small.csv --model.filters 16 32 16 --fit.epochs 100000 --run new"
    code, seen = watched(line, until="batches/s", keys=b"\x03")
    assert code == 130
    assert "Traceback" not in seen
    last = seen.rpartition("\x1b[2K")[2]
    path = here / "small.csv"
    assert last == f"\rinterrupted; continue with: foreshock train {path} --run new --resume\r\n"


@pytest.mark.slow
def test_a_terminal_sees_the_progress_line_and_then_only_the_scores(here: Path) -> None:
    code, seen = watched(f"train small.csv {SMALL} --run new", until="never", keys=b"")
    assert code == 0
    assert "epoch 2/2" in seen
    after = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.rpartition("\x1b[2K")[2])
    assert after.startswith("Not better than always 'a': accuracy 0.500")


@pytest.mark.filterwarnings("default")
def test_a_warning_is_one_line_without_a_place_in_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    caplog.set_level("INFO", "foreshock")  # as main does; the level before comes back with the end
    X = np.random.default_rng(0).normal(size=(6, 60, 3)).cumsum(axis=1)
    np.savez(tmp_path / "swapped.npz", X=X, y=np.arange(6) % 2)
    with pytest.raises(SystemExit):
        app.main(["problems", str(tmp_path / "swapped.npz")])
    (said,) = [record.getMessage() for record in caplog.records if "60 channels" in record.message]
    assert said.startswith(
        "problem 'swapped' has 60 channels and 3 timepoints: series are (n_cases"
    )
