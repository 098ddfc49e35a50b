"""benchmark: many trainings that are done once, whoever does them and however often they stop."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toys import toy_problem

from foreshock._files import locked
from foreshock.benchmarking.benchmark import benchmark
from foreshock.benchmarking.pool import Job, do
from foreshock.benchmarking.results import ResultError, Results
from foreshock.cli import app
from foreshock.problems.problem import load, save
from foreshock.reporting.run_data import read_run
from foreshock.run import Run
from foreshock.training.config import PRESETS, FitConfig, TrainConfig

FORESHOCK = [sys.executable, "-c", "from foreshock.cli.app import main; main()"]
SMALL = ["--fit.steps", "2", "--model.filters", "8", "8", "8", "--model.cells", "4"]
SMALL += ["--model.random-features", "300"]
Make = Callable[..., TrainConfig]
pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with two problems, and one of a single class."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORESHOCK_DATA", raising=False)
    part = np.tile(np.array([0, 0, 2, 2], np.uint8), 10)
    save(toy_problem(name="one", part=part), tmp_path / "one.npz")
    save(toy_problem(name="two", n_classes=3, part=part[:39], n_cases=39), tmp_path / "two.npz")
    save(toy_problem(name="flat", n_classes=1, part=part), tmp_path / "flat.npz")
    return tmp_path


@pytest.fixture
def config(small_config: Make) -> TrainConfig:
    return small_config({"epochs": None, "steps": 2})


def job(source: str, config: TrainConfig, **fields: object) -> Job:
    from foreshock.problems.fingerprints import digest

    problem = load(source)
    values: dict[str, object] = {
        "problem": problem.name,
        "source": source,
        "data_digest": digest(problem),
        "method": "fast",
        "config": config,
        "resample": 0,
        "cost": 1.0,
        **fields,
    }
    return Job(**values)


def stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "results").iterdir()}


# one job


def test_a_job_leaves_a_result_with_all_that_a_row_needs(here: Path, config: TrainConfig) -> None:
    result = do(job("one.npz", replace(config, seed=3)), Results(here / "b"))
    assert (result.problem, result.method, result.seed, result.resample) == ("one", "fast", 3, 0)
    assert (result.n_train, result.n_valid, result.n_test) == (20, 0, 20)
    assert 0 < result.fit_seconds < result.seconds
    assert result.accuracy.low is not None and result.auroc is not None
    assert result.majority_accuracy == 0.5 and result.threads == 1
    assert any(version.startswith("torch") for version in result.versions)
    assert Results(here / "b").all() == [result]
    run = read_run(here / "b" / "runs" / result.name)
    assert run.scores is not None and run.scores.model.accuracy == result.accuracy
    assert run.predictions is not None and len(run.predictions.y) == 20
    assert not (run.folder / "checkpoint").exists()


def test_a_job_survives_the_way_to_another_process(here: Path, config: TrainConfig) -> None:
    given = job("one.npz", replace(config, valid=0.2))
    assert Job.decode(given.encode()) == given


def test_a_resample_is_trained_on_and_is_not_what_the_problem_has(
    here: Path, config: TrainConfig
) -> None:
    results = Results(here / "b")
    first, second = (do(job("one.npz", config, resample=k), results) for k in (0, 1))
    digests = [Run(results.run(each.name)).read("problem")["digest"] for each in (first, second)]
    assert digests[0] != digests[1] and first.data_digest == second.data_digest
    assert (second.n_train, second.n_test) == (20, 20)
    assert Run(results.run(second.name)).read("config")["problem"] is None


def test_a_job_that_another_process_is_at_work_on_is_left_to_it(
    here: Path, config: TrainConfig
) -> None:
    results, given = Results(here / "b"), job("one.npz", config)
    with (
        locked(results.folder / "claims" / given.name),
        pytest.raises(BlockingIOError, match="another process is using"),
    ):
        do(given, results)
    do(given, results)
    assert not list((here / "b" / "claims").iterdir())


def test_a_job_that_is_done_in_the_meantime_is_not_done_again(
    here: Path, config: TrainConfig
) -> None:
    results, given = Results(here / "b"), job("one.npz", config)
    do(given, results)
    before = stamps(results.folder)
    assert do(given, results) == results.read(given.name)
    assert stamps(results.folder) == before


def test_a_run_whose_result_was_not_written_is_not_trained_again(
    here: Path, config: TrainConfig
) -> None:
    results, given = Results(here / "b"), job("one.npz", config)
    result = do(given, results)
    path = results.folder / "results" / f"{result.name}.json"
    history = (results.run(result.name) / "history.jsonl").stat().st_mtime_ns
    path.unlink()
    assert do(given, results).accuracy == result.accuracy
    assert (results.run(result.name) / "history.jsonl").stat().st_mtime_ns == history


@pytest.mark.parametrize("what", ["result", "run"])
def test_another_configuration_is_refused_and_named(
    here: Path, config: TrainConfig, what: str
) -> None:
    results = Results(here / "b")
    result = do(job("one.npz", config), results)
    if what == "run":  # it was begun, and stopped
        (results.folder / "results" / f"{result.name}.json").unlink()
    other = replace(config, fit=replace(config.fit, batch_size=5))
    with pytest.raises(ResultError, match=r"with --fit.batch-size 6, not 5: choose another folder"):
        do(job("one.npz", other), results)
    kept = replace(config, checkpoint_seconds=3.0)  # which makes no other result
    do(job("one.npz", kept), results)


def test_other_cases_under_the_same_name_are_refused(here: Path, config: TrainConfig) -> None:
    results = Results(here / "b")
    do(job("one.npz", config), results)
    part = np.tile(np.array([0, 2, 2, 0], np.uint8), 10)
    save(toy_problem(name="one", part=part), here / "new.npz")
    with pytest.raises(ResultError, match=r"made on other cases than new.npz has now: choose"):
        do(job("new.npz", config), results)


# all of them


def test_every_problem_method_and_seed_is_trained_once_and_no_second_time(
    here: Path, config: TrainConfig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "foreshock")
    methods = {"a": config, "b": replace(config, fit=FitConfig(steps=1))}
    given = ["one.npz", "two.npz"], methods, here / "b"
    first = benchmark(*given, processes=2)
    assert (first.done, first.kept, first.failed) == (4, 0, {})
    assert "4 trainings in 2 processes of 1 threads." in caplog.text
    assert "that was the last" in caplog.text and "3 remain, about" in caplog.text
    before = stamps(here / "b")
    second = benchmark(*given, seeds=(0, 1), processes=1, threads=1)
    assert (second.done, second.kept) == (4, 4)
    assert stamps(here / "b").items() >= before.items()
    assert {(r.threads, r.seed) for r in Results(here / "b").all()} == {(1, 0), (1, 1)}


def test_problems_that_fail_are_told_and_the_others_done(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "bad.csv").write_text("nonsense")
    line = ["benchmark", "bad.csv", "flat.npz", "one.npz", "-o", "b", "--processes", "1"]
    assert app.run([*line, *SMALL, "--json"]) == 1
    said = capsys.readouterr()
    values = json.loads(said.out)
    assert values["problems"] == ["one"] and values["new"] == 1
    assert "cannot read" in values["failed"]["bad.csv"]
    assert "has only the class 'a'" in values["failed"]["flat, fast, seed 0"]
    assert said.err.splitlines()[-1].startswith("foreshock: 2 trainings failed. bad.csv: ")
    assert "has only the class" in (here / "b" / "index.html").read_text()


def test_a_preset_loses_only_the_options_that_were_given(here: Path) -> None:
    line = ["benchmark", "one.npz", "-o", "b", "--preset", "paper", "--model.no-hard-sigmoid"]
    line += ["--processes", "1", "--fit.epochs", "1", "--fit.optimizer", "adamw"]
    line += ["--model.filters", "16", "16", "16"]
    assert app.run(line) == 0
    (result,) = Results(here / "b").all()
    paper = PRESETS["paper"]
    assert result.config["fit"]["optimizer"] == "adamw" != paper.fit.optimizer  # the default
    assert result.config["fit"]["schedule"] == paper.fit.schedule
    assert result.config["model"]["cells"] == paper.model.cells
    assert result.config["model"]["filters"] == [16, 16, 16]
    assert result.config["fit"]["epochs"] == 1
    assert result.config["model"]["hard_sigmoid"] is False is not paper.model.hard_sigmoid


def test_a_folder_of_problems_stands_for_all_in_it(
    here: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        folder = here / "data" / "mine" / name
        folder.mkdir(parents=True)
        (here / f"{name}.npz").rename(folder / f"{name}.npz")
    (here / "data" / "mine" / "notes").mkdir()
    for name in ("one", "two"):  # here, which is quicker than in processes
        do(job(f"data/mine/{name}", config, method="a"), Results(here / "b"))
    assert benchmark(["data/mine"], {"a": config}, here / "b").kept == 2
    monkeypatch.setenv("FORESHOCK_DATA", str(here / "data"))
    monkeypatch.chdir("/")
    assert benchmark(["mine"], {"a": config}, here / "b").kept == 2


def test_two_problems_of_one_name_are_refused(here: Path, config: TrainConfig) -> None:
    save(toy_problem(name="one"), here / "again.npz")
    with pytest.raises(ValueError, match=r"again.npz are both called one: results go by that name"):
        benchmark(["one.npz", "again.npz"], {"a": config}, here / "b")


def test_resamples_of_groups_are_not_drawn(here: Path, config: TrainConfig) -> None:
    group = np.array([f"patient {k // 4}" for k in range(40)])
    part = np.repeat(np.array([0, 2], np.uint8), 20)
    save(toy_problem(name="patients", group=group, part=part), here / "patients.npz")
    found = benchmark(["patients.npz"], {"a": config}, here / "b", resamples=2)
    assert "groups, which a resample would mix" in found.failed["patients.npz"]


def test_a_folder_of_something_else_is_never_written_into(here: Path, config: TrainConfig) -> None:
    with pytest.raises(FileExistsError, match="is not a benchmark folder"):
        benchmark(["one.npz"], {"a": config}, here)


# stopped, killed, shared


@pytest.fixture
def slow(here: Path) -> list[str]:
    """A command whose trainings take minutes unless they are stopped."""
    long = ["--fit.epochs", "100000", "--model.filters", "8", "8", "8", "--model.cells", "4"]
    return [*FORESHOCK, "benchmark", "one.npz", "two.npz", "-o", "b", "--processes", "2", *long]


def until_training(folder: Path, process: "subprocess.Popen[str]", n_runs: int = 2) -> None:
    """Wait until so many trainings have gone on for some batches."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        paths = list(folder.glob("runs/*/history.jsonl"))
        if sum(path.stat().st_size > 2000 for path in paths) >= n_runs:
            return
        time.sleep(0.05)
    process.kill()
    raise AssertionError("no training began within two minutes")


def claims_are_free(folder: Path) -> bool:
    for path in (folder / "claims").iterdir():
        try:
            with locked(path):
                pass
        except BlockingIOError:
            return False
    return True


def test_control_c_ends_it_says_how_to_go_on_and_nothing_is_half(
    slow: list[str], here: Path
) -> None:
    with subprocess.Popen(
        slow,
        stderr=subprocess.PIPE,
        text=True,
        # it is ignored where tests run in the background
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        until_training(here / "b", process)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert said.endswith("interrupted; 0 new results are in b: continue with the same command\n")
    assert "Traceback" not in said
    assert claims_are_free(here / "b")
    assert not list((here / "b" / "results").iterdir())
    assert len(list((here / "b").glob("runs/*/checkpoint/state.safetensors"))) == 2


def test_one_that_is_killed_leaves_no_process_behind_and_goes_on_where_it_was(
    slow: list[str], here: Path, config: TrainConfig
) -> None:
    given = ["one.npz", "two.npz"], {"a": config}, here / "b"
    for source in given[0]:
        do(job(source, config, method="a"), Results(here / "b"))
    before = stamps(here / "b")
    with subprocess.Popen(slow, stderr=subprocess.DEVNULL) as process:
        until_training(here / "b", process)
        process.kill()
    end = time.monotonic() + 60
    while not claims_are_free(here / "b") and time.monotonic() < end:
        time.sleep(0.1)
    assert claims_are_free(here / "b")
    assert stamps(here / "b") == before
    assert benchmark(*given, processes=1).kept == 2


def test_a_training_that_was_stopped_goes_on_where_it_was(here: Path, config: TrainConfig) -> None:
    """Its first batches are not trained again, and the weights are as if it had not stopped."""
    long = replace(config, fit=replace(config.fit, steps=120), checkpoint_seconds=0.0)
    given, results = job("one.npz", long), Results(here / "b")
    code = (
        "import sys; from foreshock.benchmarking.pool import Job, do;"
        " from foreshock.benchmarking.results import Results;"
        "from pathlib import Path; import torch; torch.set_num_threads(1);"
        "do(Job.decode(sys.stdin.readline()), Results(Path('b')))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True) as other:
        other.stdin.write(given.encode() + "\n")
        other.stdin.flush()
        until_training(here / "b", other, 1)
        other.kill()
    assert not results.has(given.name)
    state = results.run(given.name) / "checkpoint" / "state.safetensors"
    assert state.exists()
    gone_on = do(given, results)
    whole = do(replace(given, method="whole"), results)
    files = [results.run(each.name) / "model.safetensors" for each in (gone_on, whole)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert gone_on.accuracy == whole.accuracy


def test_a_process_that_dies_costs_its_job_alone(
    here: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies = here / "dies"
    dies.mkdir()
    (dies / "sitecustomize.py").write_text(
        "import foreshock.benchmarking.pool as pool, os\n"
        "do = pool.do\n"
        "def do_or_die(job, results):\n"
        "    os._exit(7) if job.problem == 'two' else None\n"
        "    return do(job, results)\n"
        "pool.do = do_or_die\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(dies), *sys.path]))
    found = benchmark(["one.npz", "two.npz"], {"a": config}, here / "b", processes=1)
    assert found.done == 1
    assert found.failed == {"two, a, seed 0": "its process ended (exit code 7)"}


def test_two_executors_share_the_work_and_do_nothing_twice(here: Path) -> None:
    seeds = ["--seed", "0", "1"]
    line = [*FORESHOCK, "benchmark", "one.npz", "two.npz", "-o", "b", "--processes", "1"]
    started = [
        subprocess.Popen([*line, *SMALL, *seeds, "--json"], stdout=subprocess.PIPE, text=True,
                         stderr=subprocess.PIPE)
        for _ in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert all(np.shape(json.loads(out)["accuracy"]) == (2, 1) for out, _ in said)
    assert len(Results(here / "b").all()) == 4
    for folder in (here / "b" / "runs").iterdir():
        steps = [line["step"] for line in Run(folder).history() if "loss" in line]
        assert steps == [1, 2]
