"""--log: what TensorBoard and a real MLflow server get, and that they cost no training."""

import csv
import json
import os
import pickletools
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as Entry
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

import foreshock
from foreshock.cli import app
from foreshock.inference.forecaster import Forecaster
from foreshock.problems.problem import Problem
from foreshock.run import Run
from foreshock.training import ensemble, pipeline, tracking
from foreshock.training.config import TrainConfig
from foreshock.training.loop import Batch, DivergedError, Fitting
from foreshock.training.recorder import Recorder
from foreshock.training.tracking import Tracker

Problems = Callable[..., Problem]
Configs = Callable[..., TrainConfig]
Trained = Callable[..., Run]
During = Callable[[int, Callable[[], None]], None]
pytestmark = pytest.mark.usefixtures("ctrl_c", "no_pictures")


class Server:
    """A real MLflow server: a database and its own folder of artifacts."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{port}"
        self.client = MlflowClient(self.uri)
        self.command = [
            sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
            "--artifacts-destination", str(folder / "artifacts"),
        ]  # fmt: skip
        self.log = folder / "log.txt"
        self.start()

    def start(self) -> None:
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        end = time.monotonic() + 120
        while time.monotonic() < end and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=5).close()
            except OSError:
                time.sleep(0.2)
            else:
                return
        pytest.fail(self.log.read_text())

    def signal(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
            self.process.wait()

    def run(self) -> Entry:
        """Return the only run of the experiment that the environment names."""
        found = self.client.get_experiment_by_name(os.environ["MLFLOW_EXPERIMENT_NAME"])
        (run,) = self.client.search_runs([found.experiment_id])
        return run

    def steps(self, run: Entry, name: str) -> list[int]:
        return [m.step for m in self.client.get_metric_history(run.info.run_id, name)]


@pytest.fixture(autouse=True)
def _quick_to_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("server"))
    yield started
    started.kill()


@pytest.fixture
def server(
    shared: Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Server]:
    """Use the module's server, with an experiment of the test's own."""
    if shared.process.poll() is not None:
        shared.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", shared.uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", request.node.name)
    yield shared
    if shared.process.poll() is None:
        shared.signal(signal.SIGCONT)


@pytest.fixture
def during(monkeypatch: pytest.MonkeyPatch) -> During:
    """Do something while the batch of a step is being recorded, and send line by line."""
    monkeypatch.setattr(tracking, "_SECONDS", 0.0)
    monkeypatch.setattr(tracking, "_SHARE", 0)

    def at(step: int, do: Callable[[], None]) -> None:
        class Disturbed(Recorder):
            def batch(self, fitting: Fitting, batch: Batch) -> None:
                if batch.step == step:
                    do()
                super().batch(fitting, batch)

        monkeypatch.setattr(ensemble, "Recorder", Disturbed)

    return at


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def events(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    return found.Reload()


def points(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events(folder).Scalars(tag)]


def lines(run: Run, name: str, *, batches: bool) -> list[tuple[int, float]]:
    """Return (step or epoch, value) of the history, as float32, which is what event files have."""
    index = "step" if batches else "epoch"
    history = [line for line in run.history() if ("step" in line) == batches]
    return [(line[index], float(np.float32(line[name]))) for line in history]


# TensorBoard


@pytest.mark.usefixtures("pictures")
def test_tensorboard_has_the_history_the_scores_the_options_and_the_pictures(
    trained: Trained,
) -> None:
    run = trained(log=("tensorboard",), valid=0.25, find_lr=True)
    found = events(run.tensorboard)
    for name in ("loss", "learning_rate"):
        assert points(run.tensorboard, name) == lines(run, name, batches=True)
    for name in ("train_loss", "valid_loss", "seconds"):
        assert points(run.tensorboard, name) == lines(run, name, batches=False)
    scores = tracking.numbers_of(run.read("scores"))
    assert any("accuracy" in name for name in scores)
    for name, value in scores.items():
        assert points(run.tensorboard, name) == [(0, float(np.float32(value)))]
    assert set(found.Tags()["images"]) == {
        "pictures/loss", "pictures/cases", "pictures/lr_finder"
    }  # fmt: skip
    assert not set(found.Tags()["images"]) & set(found.Tags()["scalars"])
    for name in ("loss", "cases", "lr_finder"):
        (image,) = found.Images(f"pictures/{name}")
        assert image.encoded_image_string == (run.folder / f"{name}.png").read_bytes()
        assert image.width > 100
        assert image.height > 100
    texts = {
        name: found.Tensors(f"{name}/text_summary")[0].tensor_proto.string_val
        for name in ("command", "result")
    }
    assert b"Model: weights after epoch" in texts["result"][0]
    assert Path(sys.argv[0]).name.encode() in texts["command"][0]
    content = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    options = HParamsPluginData.FromString(content).session_start_info.hparams
    assert options["fit.epochs"].number_value == 3
    assert options["find_lr"].bool_value
    assert options["problem.name"].string_value == "small"


@pytest.mark.usefixtures("pictures")
def test_tensorboard_shows_every_kind_of_thing_of_a_run(tmp_path: Path, trained: Trained) -> None:
    run = trained(log=("tensorboard",), name="mine")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["-m", "tensorboard.main", "--logdir", str(tmp_path), "--port", str(port)]
    there = f"http://127.0.0.1:{port}/data/plugin"
    where = "run=mine/tensorboard&tag="
    end = time.monotonic() + 40
    shown = subprocess.Popen([sys.executable, *command], stderr=subprocess.DEVNULL)
    found: dict[str, Any] = {}
    try:
        while not found or not all(found.values()):
            assert time.monotonic() < end, found
            for kind, path in {
                "loss": f"scalars/scalars?{where}loss",
                "picture": f"images/images?{where}pictures/loss&sample=0",
                "text": f"text/text?{where}result/text_summary",
            }.items():
                try:
                    with urllib.request.urlopen(f"{there}/{path}", timeout=5) as answer:
                        found[kind] = json.load(answer)
                except OSError:
                    found[kind] = None
            time.sleep(0.3)
    finally:
        shown.terminate()
        shown.wait()
    expected = lines(run, "loss", batches=True)
    assert [step for _, step, _ in found["loss"]] == [step for step, _ in expected]
    assert "Model: weights" in found["text"][0]["text"]


def test_event_files_are_written_while_training_goes_on(
    tmp_path: Path, during: During, trained: Trained
) -> None:
    seen = []

    def wait() -> None:
        end = time.monotonic() + 30
        while not seen and time.monotonic() < end:
            if "loss" in events(tmp_path / "run" / "tensorboard").Tags()["scalars"]:
                seen.append(points(tmp_path / "run" / "tensorboard", "loss"))
            time.sleep(0.2)

    during(5, wait)
    run = trained(log=("tensorboard",))
    assert seen[0]
    assert seen[0] == lines(run, "loss", batches=True)[: len(seen[0])]


def test_a_resumed_training_has_no_step_twice_in_event_files(
    tmp_path: Path, during: During, trained: Trained
) -> None:
    during(5, interrupt)
    with pytest.raises(KeyboardInterrupt):
        trained(log=("tensorboard",))
    assert [step for step, _ in points(tmp_path / "run" / "tensorboard", "loss")] == [1, 2, 3, 4, 5]
    run = trained(log=("tensorboard",), resume=True)
    assert points(run.tensorboard, "loss") == lines(run, "loss", batches=True)
    assert points(run.tensorboard, "train_loss") == lines(run, "train_loss", batches=False)


@pytest.mark.usefixtures("pictures")
def test_log_may_be_added_and_left_out_when_a_training_is_resumed(
    tmp_path: Path, during: During, trained: Trained
) -> None:
    during(5, interrupt)
    with pytest.raises(KeyboardInterrupt):
        trained()
    during(7, interrupt)
    with pytest.raises(KeyboardInterrupt):
        trained(log=("tensorboard",), resume=True)
    assert len(points(tmp_path / "run" / "tensorboard", "loss")) == 7
    run = trained(resume=True)
    assert len(points(run.tensorboard, "loss")) == 7
    trained(log=("tensorboard",), resume=True)  # it is complete already
    assert points(run.tensorboard, "loss") == lines(run, "loss", batches=True)
    assert len(events(run.tensorboard).Tags()["images"]) == 2


def test_each_member_has_event_files_of_its_own(copied: Run) -> None:
    tracker = Tracker(("tensorboard",))
    history = [line | {"member": member} for member in range(3) for line in copied.history()]
    with tracker.following(copied):
        tracker.catch_up(history[:5])
        tracker.catch_up(history[:7])
        for line in history[7:]:
            tracker.take(line)
    for member in range(3):
        found = points(copied.tensorboard / f"member-{member}", "loss")
        assert found == lines(copied, "loss", batches=True)


def test_scores_are_found_however_deep_they_are() -> None:
    document = {
        "format": 1,
        "choice": "weights",
        "scores": {
            "n_cases": 139,
            "sentence": "Better than chance.",
            "tests": {"majority": {"verdict": "better", "p": 0.01}},
            "model": {"accuracy": {"value": 0.75, "low": 0.5, "high": 0.9}, "auroc": None},
            "confusion": [[1, 2], [3, 4]],
        },
        "alarms": {"events": 3, "curve": [{"threshold": 0.5}], "warned": True},
        "sha256": {"config.json": "ab"},
    }
    assert tracking.numbers_of(document) == {
        "scores/n_cases": 139.0,
        "scores/tests/majority/p": 0.01,
        "scores/model/accuracy": 0.75,
        "scores/model/accuracy_low": 0.5,
        "scores/model/accuracy_high": 0.9,
        "alarms/events": 3.0,
    }
    assert tracking.summary_of(document) == "Better than chance.\n\nModel: weights."


# MLflow


def test_mlflow_has_the_history_the_scores_the_options_and_the_run_folder(
    server: Server, trained: Trained
) -> None:
    run = trained(log=("mlflow",), valid=0.25, name="mine")
    found = server.run()
    assert (found.info.status, found.info.run_name) == ("FINISHED", "mine")
    assert found.data.params["fit.epochs"] == "3"
    assert found.data.params["model.filters"] == "[16, 32, 16]"
    assert found.data.params["problem.name"] == "small"
    assert found.data.params["problem.digest"] == run.read("problem")["digest"]
    assert foreshock.__version__ in found.data.tags["versions"]
    assert Path(sys.argv[0]).name in found.data.tags["command"]
    assert "Model: weights after epoch" in found.data.tags["mlflow.note.content"]
    for name in ("loss", "learning_rate", "train_loss", "valid_loss"):
        history = server.client.get_metric_history(found.info.run_id, name)
        values = [(m.step, float(np.float32(m.value))) for m in history]
        assert values == lines(run, name, batches=name in ("loss", "learning_rate"))
        assert all(abs(m.timestamp / 1000 - time.time()) < 600 for m in history)
    for name, value in tracking.numbers_of(run.read("scores")).items():
        assert found.data.metrics[name.replace("'", "")] == value


def test_the_folder_that_mlflow_has_forecasts_and_has_no_pickle(
    tmp_path: Path, server: Server, small_problem: Problems, trained: Trained
) -> None:
    problem = small_problem()
    run = trained(problem, name="mine", log=("mlflow", "tensorboard"))
    found = server.run()
    (tmp_path / "there").mkdir()
    server.client.download_artifacts(found.info.run_id, "", str(tmp_path / "there"))
    files = [path for path in (tmp_path / "there").rglob("*") if path.is_file()]
    assert {path.relative_to(tmp_path / "there" / "run").name for path in files} == {
        path.name for path in run.folder.iterdir() if path.is_file() and path.name != "mlflow.json"
    }
    for path in files:
        with (
            warnings.catch_warnings(action="ignore", category=DeprecationWarning),  # of escapes
            pytest.raises((ValueError, IndexError, KeyError, UnicodeDecodeError)),
        ):
            list(pickletools.genops(path.read_bytes()))
    again = Run(tmp_path / "there" / "run")
    again.verify()
    proba = Forecaster.load(again).predict_proba(problem.series("test"))
    with (run.folder / "predictions.csv").open() as table:
        stored = [float(row["proba_a"]) for row in csv.DictReader(table)]
    np.testing.assert_allclose(proba[:, 0], stored, atol=1e-6)


def test_a_resumed_training_goes_on_with_its_mlflow_run_and_has_no_step_twice(
    tmp_path: Path,
    server: Server,
    during: During,
    monkeypatch: pytest.MonkeyPatch,
    trained: Trained,
) -> None:
    save = Recorder.save
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "save", lambda *_: None)  # as one that is killed outright
        during(7, interrupt)
        with pytest.raises(KeyboardInterrupt):
            trained(log=("mlflow",), checkpoint_seconds=1000)
    assert Recorder.save is save
    found = server.run()
    assert found.info.status == "KILLED"
    assert server.steps(found, "loss") == [1, 2, 3, 4, 5, 6, 7]
    assert json.loads((tmp_path / "run" / "mlflow.json").read_text())["run_id"] == found.info.run_id

    statuses = []
    during(9, lambda: statuses.append(server.client.get_run(found.info.run_id).info.status))
    run = trained(log=("mlflow",), checkpoint_seconds=1000, resume=True)
    assert statuses == ["RUNNING"]
    run.verify()
    found = server.run()
    assert found.info.status == "FINISHED"
    assert server.steps(found, "loss") == [step for step, _ in lines(run, "loss", batches=True)]
    assert server.steps(found, "train_loss") == [1, 2, 3]
    trained(log=("mlflow",), checkpoint_seconds=1000, resume=True)
    name = next(iter(tracking.numbers_of(run.read("scores"))))
    assert server.steps(found, name) == [0]


def test_each_member_has_metrics_of_its_own_in_mlflow(
    copied: Run, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "_LINES", 4)
    tracker = Tracker(("mlflow",))
    history = [line | {"member": member} for member in range(3) for line in copied.history()]
    with tracker.following(copied):
        tracker.catch_up(history)
    found = server.run()
    for member in range(3):
        assert server.steps(found, f"member-{member}/loss") == [*range(1, 10)]


def test_a_diverged_training_is_a_failed_run(server: Server, trained: Trained) -> None:
    with pytest.raises(DivergedError):
        trained(log=("mlflow",), fit={"learning_rate": 1e30, "precision": "float32"})
    assert server.run().info.status == "FAILED"


def test_standard_output_is_only_the_json(
    tmp_path: Path,
    server: Server,
    small_problem: Problems,
    write_csv: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = write_csv(tmp_path / "small.csv", small_problem())
    options = ["--run", str(tmp_path / "run"), "--fit.epochs", "1", "--json"]
    assert app.run(["train", str(source), *options, "--log", "mlflow", "tensorboard"]) == 0
    assert json.loads(capsys.readouterr().out)["run"] == str(tmp_path / "run")
    assert server.run().info.status == "FINISHED"
    assert not [name for name in os.environ if name.startswith("MLFLOW_SUPPRESS")]


# a server that is away


def test_a_server_that_is_down_at_the_start_is_an_error_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: Trained
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{port}")
    with pytest.raises(ConnectionError, match=r"^mlflow cannot be used .*leave it out") as error:
        trained(log=("mlflow",))
    assert "secret" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_server_that_never_answers_is_an_error_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: Trained
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        with pytest.raises(ConnectionError, match=r"^mlflow cannot be used .*timed? ?out"):
            trained(log=("mlflow",))
        assert time.monotonic() - started < 15
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("answer", ["<html>", "[1]", '{"experiment": 5, "run": [1]}'])
def test_a_server_that_is_no_mlflow_is_an_error(
    monkeypatch: pytest.MonkeyPatch, copied: Run, answer: str
) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer.encode())

        do_POST = do_PUT = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as stranger:
        threading.Thread(target=stranger.serve_forever).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{stranger.server_port}")
        try:
            with (
                pytest.raises(ConnectionError, match="mlflow cannot be used"),
                Tracker(("mlflow",)).following(copied),
            ):
                pass
        finally:
            stranger.shutdown()


def test_a_server_that_is_killed_costs_a_warning_and_is_made_up_for_at_the_end(
    server: Server,
    during: During,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    trained: Trained,
) -> None:
    draw = pipeline.draw_cases

    def start_again(*arguments: Any) -> None:
        server.start()
        draw(*arguments)

    monkeypatch.setattr(pipeline, "draw_cases", start_again)
    during(4, server.kill)
    run = trained(log=("mlflow",))
    (warning,) = [text for text in caplog.messages if text.startswith("mlflow")]
    assert "): the training goes on, and it is tried once more at the end." in warning
    found = server.run()
    assert found.info.status == "FINISHED"
    assert server.steps(found, "loss") == [step for step, _ in lines(run, "loss", batches=True)]


def test_a_server_that_hangs_costs_seconds_and_gets_the_run_later(
    server: Server,
    small_run: Run,
    during: During,
    caplog: pytest.LogCaptureFixture,
    trained: Trained,
) -> None:
    during(4, lambda: server.signal(signal.SIGSTOP))
    started = time.monotonic()
    run = trained(log=("mlflow", "tensorboard"))
    assert time.monotonic() - started < 30
    run.verify()
    assert run.read("scores")["scores"] == small_run.read("scores")["scores"]
    warnings = [text for text in caplog.messages if text.startswith("mlflow")]
    assert len(warnings) == 2
    assert f"--run {run.folder} --resume --log mlflow" in warnings[1]
    assert points(run.tensorboard, "loss") == lines(run, "loss", batches=True)

    server.signal(signal.SIGCONT)
    trained(log=("mlflow", "tensorboard"), resume=True)
    found = server.run()
    assert found.info.status == "FINISHED"
    assert Counter(server.steps(found, "loss")) == Counter(range(1, 10))
    assert "run/scores.json" in {
        file.path for file in server.client.list_artifacts(found.info.run_id, "run")
    }


def test_a_full_disk_costs_the_event_files_only(
    tmp_path: Path, during: During, caplog: pytest.LogCaptureFixture, trained: Trained
) -> None:
    (tmp_path / "run").mkdir()

    def spoil() -> None:
        shutil.rmtree(tmp_path / "run" / "tensorboard", ignore_errors=True)
        (tmp_path / "run" / "tensorboard").write_text("no folder")

    during(1, spoil)
    run = trained(log=("tensorboard",))
    assert run.complete
    assert sum(text.startswith("tensorboard ") for text in caplog.messages) == 2


# options


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_missing_package_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, trained: Trained
) -> None:
    for module in [each for each in sys.modules if each.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    text = rf"{name}.*; run pip install 'foreshock\[tracking\]'"
    with pytest.raises(ImportError, match=text):
        trained(log=(name,))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("log", [("mlflow", "mlflow"), ("wandb",)])
def test_a_service_is_known_and_named_once(log: Any, small_config: Configs) -> None:
    with pytest.raises(ValueError, match="log takes tensorboard and mlflow, each at most once"):
        small_config(log=log)


def test_the_help_names_the_services(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["train", "--help"]) == 0
    text = capsys.readouterr().out
    assert "tensorboard, mlflow" in text
    assert "Sensor logs" not in text


def test_a_resumed_command_keeps_the_services_unless_log_is_given(
    tmp_path: Path,
    small_problem: Problems,
    write_csv: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = write_csv(tmp_path / "small.csv", small_problem())
    run = tmp_path / "run"
    options = ["train", str(source), "--run", str(run), "--fit.epochs", "1"]
    assert app.run([*options, "--log", "tensorboard"]) == 0
    shutil.rmtree(run / "tensorboard")
    assert app.run(["train", "--run", str(run), "--resume", "--log"]) == 0
    assert not (run / "tensorboard").exists()
    assert app.run(["train", "--run", str(run), "--resume"]) == 0
    assert (run / "tensorboard").exists()


def test_neither_is_imported_unless_asked_for() -> None:
    code = (
        "import sys; from foreshock.cli import app as cli; import foreshock.training.pipeline;"
        "cli.run(['train', '--help']);"
        "sys.exit(any(m.partition('.')[0] in ('mlflow', 'tensorboard') for m in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
