"""Interrupted trainings: whatever ends one, going on gives the weights of one that never ended."""

import multiprocessing
import os
import random
import resource
import shlex
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foreshock.cli import app
from foreshock.problems import problem as problems
from foreshock.problems.problem import Problem
from foreshock.run import Run, RunError
from foreshock.training import ensemble, loop
from foreshock.training.config import TrainConfig
from foreshock.training.loop import Batch, Epoch, Fitting, Snapshot
from foreshock.training.pipeline import train
from foreshock.training.recorder import Recorder, interruptible

Problems = Callable[..., Problem]
Configs = Callable[..., TrainConfig]
Trained = Callable[..., Run]
Stop = Callable[..., None]
pytestmark = pytest.mark.usefixtures("ctrl_c", "no_pictures")


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Stop:
    """Press Ctrl-C while a batch, or the end of an epoch, is being recorded."""

    def at(*, step: int | None = None, epoch: int | None = None, member: int = 0) -> None:
        class Interrupted(Recorder):
            def batch(self, fitting: Fitting, batch: Batch) -> None:
                if batch.step == step and self.member == member:
                    signal.raise_signal(signal.SIGINT)
                super().batch(fitting, batch)

            def epoch(self, fitting: Fitting, ended: Epoch) -> None:
                if ended.epoch == epoch:
                    signal.raise_signal(signal.SIGINT)
                super().epoch(fitting, ended)

        monkeypatch.setattr(ensemble, "Recorder", Interrupted)

    return at


@pytest.fixture
def stop(interrupt: Stop, trained: Trained) -> Stop:
    """Train until Ctrl-C, and let the next training go on."""

    def at(problem: Problem | None = None, *, step: int, member: int = 0, **options: Any) -> None:
        interrupt(step=step, member=member)
        with pytest.raises(KeyboardInterrupt, match="continue with"):
            trained(problem, resume=True, **options)
        interrupt()

    return at


def outcome(run: Run) -> dict[str, Any]:
    """Return all that must not depend on whether a training was interrupted."""
    run.verify()
    history = run.history()
    for line in history:
        line.pop("seconds", None)
    files = ("model.safetensors", "model.json", "predictions.csv")
    found = {name: (run.folder / name).read_bytes() for name in files}
    scores = run.read("scores")
    kept = {name: scores[name] for name in ("scores", "held_out", "occlusion")}
    return found | {"history": history} | kept


LAST: dict[str, Any] = {
    "fit": {"epochs": 3, "precision": "float32", "sampling": "weighted"},
    "model": {"dropout": 0.8},
}
BEST_VALID = {
    "fit": {
        "epochs": 8,
        "batch_size": 4,
        "precision": "bf16",
        "choice": "best-valid",
        "patience": 2,
        "learning_rate": 0.03,
        "schedule": "cosine",
    },
    "valid": 0.25,
}
BEST_TRAIN = {
    "fit": {
        "epochs": 3,
        "precision": "bf16",
        "choice": "best-train",
        "optimizer": "adam",
        "schedule": "plateau",
        "clip": 1.0,
    },
    "model": {"attention": True, "squeeze_excite": True},
}
MEMBERS = {"fit": {"epochs": 2, "precision": "float32"}, "members": 3}
FINDER = {"fit": {"epochs": 2, "precision": "float32"}, "find_lr": True}
KINDS = {"last": LAST, "best-valid": BEST_VALID, "best-train": BEST_TRAIN}


# exactness


@pytest.mark.parametrize("batches", [(1, 4), pytest.param((2, 3), marks=pytest.mark.slow)])
def test_after_ctrl_c_at_any_batch_of_any_member_the_outcome_is_that_of_no_interruption(
    batches: tuple[int, int], stop: Stop, trained: Trained
) -> None:
    whole = outcome(trained(name="whole", **MEMBERS))
    steps = [(line["member"], line["step"]) for line in whole["history"] if "step" in line]
    assert [member for member, _ in steps] == [0] * 4 + [1] * 4 + [2] * 4
    for member, step in [(member, step) for member, step in steps if step in batches]:
        name = f"{member}-{step}"
        stop(step=step, member=member, name=name, **MEMBERS)
        assert outcome(trained(name=name, resume=True, **MEMBERS)) == whole


# a checkpoint after each of 12 batches, and at the ends of 3 members: the 5th, 10th and 15th
@pytest.mark.parametrize(
    "checkpoints",
    [(1, 4, 5, 6, 10, 15), pytest.param((2, 3, 7, 8, 9, 11, 12, 13, 14), marks=pytest.mark.slow)],
)
def test_after_a_kill_right_after_any_checkpoint_the_outcome_is_that_of_no_kill(
    monkeypatch: pytest.MonkeyPatch, checkpoints: tuple[int, ...], trained: Trained
) -> None:
    config: dict[str, Any] = {**MEMBERS, "checkpoint_seconds": 0.0}
    whole = outcome(trained(name="whole", **config))
    for n in checkpoints:
        left = [n]

        class Killed(Recorder):
            def save(self, member: int, state: Snapshot, left: list[int] = left) -> None:
                super().save(member, state)
                left[0] -= 1
                if not left[0]:
                    raise EOFError("killed")

        monkeypatch.setattr(ensemble, "Recorder", Killed)
        with pytest.raises(EOFError):
            trained(name=str(n), **config)
        monkeypatch.setattr(ensemble, "Recorder", Recorder)
        assert outcome(trained(name=str(n), resume=True, **config)) == whole


@pytest.mark.parametrize("kind", KINDS)
def test_after_ctrl_c_at_any_batch_the_outcome_is_that_of_no_interruption(
    tmp_path: Path, small_problem: Problems, kind: str, stop: Stop, trained: Trained
) -> None:
    problem = small_problem(n_channels=2)
    whole = outcome(trained(problem, name="whole", **KINDS[kind]))
    n_steps = sum("step" in line for line in whole["history"])
    assert n_steps >= 8
    for step in range(1, n_steps + 1):
        stop(problem, step=step, name=str(step), **KINDS[kind])
        checkpoint = Run(tmp_path / str(step)).read_checkpoint()
        assert checkpoint is not None and checkpoint.values["step"] == step
        assert outcome(trained(problem, name=str(step), resume=True, **KINDS[kind])) == whole


@pytest.mark.parametrize("kind", KINDS)
def test_after_an_interruption_at_each_batch_the_outcome_is_that_of_none(
    kind: str, stop: Stop, trained: Trained
) -> None:
    whole = outcome(trained(name="whole", **KINDS[kind]))
    for step in range(1, sum("step" in line for line in whole["history"]) + 1):
        stop(step=step, **KINDS[kind])
    assert outcome(trained(resume=True, **KINDS[kind])) == whole


def test_losses_that_are_read_later_are_neither_lost_nor_doubled_by_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: Stop, trained: Trained
) -> None:
    config = {"fit": {"epochs": 2, "batch_size": 2, "precision": "float32"}}
    whole = outcome(trained(name="whole", **config))
    monkeypatch.setitem(loop.READ_EVERY, "cpu", 5)
    # eight in an epoch; a signal is heeded when the losses that are there have all been told
    for step, read in {1: 5, 7: 8, 13: 13}.items():
        stop(step=step, name=str(step), **config)
        checkpoint = Run(tmp_path / str(step)).read_checkpoint()
        assert checkpoint is not None and checkpoint.values["step"] == read
        assert outcome(trained(name=str(step), resume=True, **config)) == whole


def test_the_plateau_goes_on_where_it_was(
    small_problem: Problems, stop: Stop, trained: Trained
) -> None:
    fit = {"schedule": "plateau", "choice": "best-train", "epochs": 120, "batch_size": 16}
    model = {"dropout": 0.9, "mixed": (), "dilations": (1, 1, 1)}
    problem = small_problem(n_timepoints=8)
    config: dict[str, Any] = {"fit": fit | {"learning_rate": 1e-12}, "model": model, "seed": 3}
    whole = outcome(trained(problem, name="whole", **config))
    rates = [line["learning_rate"] for line in whole["history"] if "step" in line]
    slower = [step for step in range(2, 121) if rates[step - 1] < rates[step - 2]]
    assert slower, "the schedule has not acted"
    for step in (50, slower[0] - 1, slower[0]):
        stop(problem, step=step, **config)
    assert outcome(trained(problem, resume=True, **config)) == whole


def test_the_learning_rate_found_is_read_and_not_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: Stop, trained: Trained
) -> None:
    whole = trained(name="whole", **FINDER)
    stop(step=4, **FINDER)
    monkeypatch.setattr(ensemble, "find_learning_rate", None)
    damaged = Run(Path(shutil.copytree(tmp_path / "run", tmp_path / "damaged")))
    damaged.write("lr_finder", {"suggestion": "fast"})
    with pytest.raises(RunError, match=r"lr_finder\.json of .* is damaged"):
        trained(name="damaged", resume=True, **FINDER)
    run = trained(resume=True, **FINDER)
    assert run.read("lr_finder") == whole.read("lr_finder")
    assert outcome(run) == outcome(whole)


@pytest.mark.parametrize("kind", KINDS)
def test_after_ctrl_c_while_the_run_is_finished_the_outcome_is_the_same(
    monkeypatch: pytest.MonkeyPatch, kind: str, trained: Trained
) -> None:
    whole = outcome(trained(name="whole", **KINDS[kind]))
    for method in ("write_model", "write_predictions", "finish"):

        def stop(*arguments: object) -> None:
            signal.raise_signal(signal.SIGINT)

        with monkeypatch.context() as patch:
            patch.setattr(Run, method, stop)
            with pytest.raises(KeyboardInterrupt, match="continue with"):
                trained(name=method, **KINDS[kind])
        assert outcome(trained(name=method, resume=True, **KINDS[kind])) == whole


def test_without_a_checkpoint_training_starts_again(
    tmp_path: Path, stop: Stop, trained: Trained
) -> None:
    whole = outcome(trained(name="whole", **LAST))
    stop(step=4, **LAST)
    (tmp_path / "run" / "checkpoint" / "state.safetensors").unlink()
    assert outcome(trained(resume=True, **LAST)) == whole


def test_what_a_killed_writing_left_does_not_matter(
    tmp_path: Path, stop: Stop, trained: Trained
) -> None:
    whole = outcome(trained(name="whole", **LAST))
    stop(step=4, **LAST)
    for name in ("checkpoint/.state.safetensors.0123abcd.tmp", ".model.json.0123abcd.tmp"):
        (tmp_path / "run" / name).write_bytes(b"half")
    with (tmp_path / "run" / "history.jsonl").open("a") as file:
        file.write('{"step": 5, "epoch": 2, "lo')
    run = trained(resume=True, **LAST)
    assert outcome(run) == whole
    assert not list(run.folder.rglob("*.tmp"))


# what resume takes and refuses


def test_a_resumed_training_says_where_it_continues(
    tmp_path: Path,
    small_problem: Problems,
    small_config: Configs,
    interrupt: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "foreshock")
    interrupt(step=4)
    with pytest.raises(KeyboardInterrupt):
        train(small_problem(), small_config(**LAST), folder=tmp_path / "run")
    assert "continuing" not in caplog.text
    interrupt()
    train(small_problem(), small_config(**LAST), folder=tmp_path / "run", resume=True)
    assert "continuing after batch 4" in caplog.messages


def test_resume_without_a_folder_is_refused(small_problem: Problems) -> None:
    with pytest.raises(ValueError, match="--resume needs the run folder: give --run"):
        train(small_problem(), resume=True)


def test_resume_with_no_run_yet_starts_one(trained: Trained) -> None:
    trained(name="new", resume=True, **LAST).verify()


def test_resume_of_a_folder_that_is_no_run_is_refused(
    tmp_path: Path, small_problem: Problems, small_config: Configs
) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(RunError, match=r"is not a run folder: it has no config\.json"):
        train(small_problem(), small_config(), folder=tmp_path, resume=True)


def test_resume_of_a_complete_run_changes_no_file(tmp_path: Path, trained: Trained) -> None:
    def state() -> dict[Path, tuple[int, bytes]]:
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    trained(**LAST)
    before = state()
    run = trained(resume=True, **LAST)
    assert run.complete
    assert state() == before


@pytest.fixture
def stopped(tmp_path: Path, stop: Stop) -> Run:
    """A run interrupted after four batches."""
    stop(step=4, **LAST)
    return Run(tmp_path / "run")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"seed": 1},
            "was started with --seed 0, not 1: leave that option out to resume, or start a new",
        ),
        ({"fit": {**LAST["fit"], "epochs": 5}}, "--fit.epochs 3, not 5"),
        ({"fit": {**LAST["fit"], "learning_rate": 0.1}}, "--fit.learning-rate 0.003, not 0.1"),
        ({"model": {"dropout": 0.8, "kernels": (8, 5, 4)}}, r"--model.kernels \(8, 5, 3\), not"),
    ],
)
def test_another_configuration_is_refused_and_the_option_named(
    stopped: Run, change: dict[str, Any], message: str, trained: Trained
) -> None:
    with pytest.raises(ValueError, match=message):
        trained(resume=True, **LAST | change)


@pytest.mark.parametrize("field", ["X", "y", "part", "classes"])
def test_another_problem_is_refused(
    stopped: Run, small_problem: Problems, field: str, trained: Trained
) -> None:
    problem = small_problem()
    changed = {
        "X": problem.X + np.float32(1e-6),
        "y": np.roll(problem.y, 1),
        "part": np.repeat([0, 2], [15, 9]).astype(np.uint8),
        "classes": ("b", "a"),
    }
    with pytest.raises(ValueError, match=r"small is not the problem that the run in .* was"):
        trained(small_problem(**{field: changed[field]}), resume=True, **LAST)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("checkpoint/state.safetensors", b"", r"state\.safetensors is damaged"),
        ("history.jsonl", b"", r"history\.jsonl is shorter than the checkpoint says"),
        ("history.jsonl", b"\0" * 10_000, r"history\.jsonl is damaged"),
        ("config.json", b"", r"config\.json is damaged"),
        ("config.json", b'{"format": 1}', r"the run in .* was started with --"),
        ("config.json", b'{"format": 1, "config": 1}', r"config\.json must be a JSON object"),
        ("config.json", b'{"format": 1, "config": {"x": 1}}', r"config\.json has no field 'x'"),
        ("problem.json", b'{"format": 1}', r"is not the problem"),
        ("scores.json", b"{}", r"scores\.json is damaged"),
    ],
)
def test_a_damaged_file_is_named(
    stopped: Run, name: str, content: bytes, message: str, trained: Trained
) -> None:
    (stopped.folder / name).write_bytes(content)
    with pytest.raises((RunError, ValueError), match=message):
        trained(resume=True, **LAST)


# signals


def test_the_first_signal_is_noted_and_the_second_acts_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), interruptible() as interrupted:  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        assert interrupted.is_set()
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the second signal did not act")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_after_the_last_batch_is_not_lost(
    tmp_path: Path, interrupt: Stop, trained: Trained
) -> None:
    interrupt(epoch=3)
    with pytest.raises(KeyboardInterrupt, match="continue with"):
        trained(**LAST)
    assert not Run(tmp_path / "run").complete


def test_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for what runs in the background
    with interruptible() as interrupted:
        signal.raise_signal(signal.SIGINT)
        assert not interrupted.is_set()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    handlers = []

    def look() -> None:
        with interruptible():
            handlers.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert handlers == [before]


# processes


IMPORTED = [
    *("foreshock.cli.training", "torch._dynamo", "sklearn.metrics"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg"),
]


class Training:
    """`foreshock train` in processes of its own, forked from one that has imported torch."""

    def __init__(self, folder: Path, problem: Problem, config: TrainConfig) -> None:
        self.folder, self.run = folder, folder / "a run"
        self.source, self.errors = folder / "problem.npz", folder / "errors"
        problems.save(problem, self.source)
        self.whole = outcome(
            train(problems.load(self.source), config, folder=folder / "whole", source="x")
        )
        self.process: multiprocessing.process.BaseProcess | None = None

    @property
    def arguments(self) -> list[str]:
        stored = str(self.folder / "whole" / "config.json")
        run = str(self.run)
        return ["train", str(self.source), "--run", run, "--resume", "--config", stored]

    def start(self, *, max_bytes: int | None = None) -> multiprocessing.process.BaseProcess:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(IMPORTED)
        self.process = context.Process(
            target=_command, args=(self.arguments, self.errors, max_bytes)
        )
        self.process.start()
        return self.process

    def wait_for_batches(self, n: int) -> None:
        assert self.process is not None
        history = self.run / "history.jsonl"
        while not history.exists() or history.read_bytes().count(b'"step"') < n:
            assert self.process.is_alive(), self.errors.read_text()
            time.sleep(0.002)

    @property
    def stage(self) -> str:
        """Return how far a process came."""
        files = ("history.jsonl", "model.json", "scores.json")
        n = sum((self.run / name).exists() for name in files)
        return ("before training", "training", "finishing", "after the end")[n]

    def finish(self) -> dict[str, Any]:
        process = self.start()
        process.join()
        assert process.exitcode == 0, self.errors.read_text()
        return outcome(Run(self.run))


def _command(arguments: list[str], errors: Path, max_bytes: int | None) -> None:
    import torch

    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    with errors.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if max_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, max_bytes))
    sys.stdout = sys.stderr = open(2, "w", buffering=1)  # noqa: SIM115
    app.main(arguments)


@pytest.fixture
def command(tmp_path: Path, small_problem: Problems, small_config: Configs) -> Training:
    fit = {"epochs": 20, "precision": "float32"}
    return Training(tmp_path, small_problem(), small_config(fit=fit, checkpoint_seconds=0.0))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_cleanly_and_it_says_how_to_go_on(
    command: Training, number: signal.Signals
) -> None:
    process = command.start()
    command.wait_for_batches(20)
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join()
    assert process.exitcode == 130
    hint = shlex.join(["foreshock", "train", str(command.source), "--run", str(command.run)])
    *_, said = command.errors.read_text().splitlines()
    assert said.startswith("interrupted") and said.endswith(f"continue with: {hint} --resume")
    assert "Traceback" not in command.errors.read_text()
    n_batches = sum("step" in line for line in Run(command.run).history())
    assert 20 <= n_batches < 60
    assert command.finish() == command.whole


def test_a_full_disk_is_one_line_and_training_goes_on_when_there_is_room(
    command: Training,
) -> None:
    process = command.start(max_bytes=6000)  # the history grows beyond this, the weights at once
    process.join()
    assert process.exitcode == 1
    said = command.errors.read_text().splitlines()[-1]
    assert said == f"foreshock: {command.run / 'checkpoint' / 'state.safetensors'}: File too large"
    assert "Traceback" not in command.errors.read_text()
    assert not list(command.run.rglob("*.tmp"))
    assert command.finish() == command.whole


def test_after_sigkill_the_outcome_is_that_of_no_interruption(command: Training) -> None:
    for n_batches in (1, 20, 40):
        process = command.start()
        command.wait_for_batches(n_batches)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    assert command.finish() == command.whole


@pytest.mark.slow
def test_sigkill_at_twenty_random_moments(
    tmp_path: Path,
    small_problem: Problems,
    small_config: Configs,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Kill while starting, training and finishing; every fourth run twice."""
    config = small_config(fit={"epochs": 60, "precision": "float32"}, checkpoint_seconds=0.0)
    command = Training(tmp_path, small_problem(), config)
    draw = random.Random(0)
    stages: Counter[str] = Counter()

    def killed(stage: str) -> bool:
        process = command.start()
        if stage == "starting":
            time.sleep(draw.uniform(0, 0.5))
        elif stage == "training":
            command.wait_for_batches(draw.randrange(1, 170))
            time.sleep(draw.uniform(0, 0.02))
        else:
            while process.is_alive() and not (command.run / "model.json").exists():
                time.sleep(0.002)
            time.sleep(draw.uniform(0, 0.2))
        process.kill()
        process.join()
        stages[command.stage] += process.exitcode == -signal.SIGKILL
        return process.exitcode == -signal.SIGKILL

    n_equal = 0
    for i, stage in enumerate(["starting"] * 4 + ["training"] * 11 + ["finishing"] * 5):
        command.run = tmp_path / f"run {i}"
        while not killed(stage):  # it was quicker
            command.run = tmp_path / f"{command.run.name} again"
        if i % 4 == 0:
            killed("training")
        n_equal += command.finish() == command.whole
    with capsys.disabled():
        print(f"\nSIGKILL at {stages.total()} moments: {n_equal} of 20 runs equal; {stages}")  # noqa: T201
    assert n_equal == 20
    assert stages.total() >= 20
