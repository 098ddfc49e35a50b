"""What is said and written while a model trains: history, now and then a checkpoint, pictures."""

import dataclasses
import json
import logging
import math
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType, TracebackType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from foreshock import __version__, plots
from foreshock.clocks import format_duration
from foreshock.devices import Devices, Precision, resolve_precision, this_device
from foreshock.finder import LearningRates
from foreshock.learner import Batch, Epoch, Fitting
from foreshock.models import LSTMFCN
from foreshock.problems import Problem
from foreshock.progress import ProgressLine
from foreshock.recipe import FitConfig
from foreshock.run import Checkpoint, Picture, Run
from foreshock.tables import PARTS, sample
from foreshock.tracking import Tracker

logger = logging.getLogger(__name__)

_SHOWN, _CLASSES, _SEARCHED = 3, 4, 10**6
"""Cases drawn of a class, classes drawn, cases that they are looked for in."""


class Recorder:
    """Writes the history, hands it on and, at most every so many seconds, writes a checkpoint."""

    def __init__(
        self,
        run: Run,
        history: int,
        seconds: float,
        interrupted: threading.Event,
        progress: bool | None,
        tracker: Tracker,
    ) -> None:
        self.run, self.seconds, self.interrupted = run, seconds, interrupted
        self.file, self.tracker = run.open_history(history), tracker
        tracker.catch_up(run.history())
        self.line = ProgressLine(progress)
        self.saved = self.epoch_started = time.monotonic()

    def __enter__(self) -> "Recorder":
        self.line.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.line.__exit__(kind, error, traceback)
        self.file.close()

    def batch(self, fitting: Fitting, batch: Batch) -> None:
        """Record a batch; save when it is time; stop when asked to."""
        self.write(dataclasses.asdict(batch))
        self.line.update(
            step=batch.step,
            n_steps=fitting.n_steps,
            epoch=batch.epoch,
            n_epochs=fitting.n_epochs,
            loss=batch.loss,
            rate=batch.learning_rate,
        )
        interrupted = self.interrupted.is_set()
        if interrupted or time.monotonic() - self.saved >= self.seconds:
            self.checkpoint(fitting)
        if interrupted:
            raise KeyboardInterrupt

    def epoch(self, fitting: Fitting, epoch: Epoch) -> None:
        """Record an epoch."""
        now = time.monotonic()
        self.write(dataclasses.asdict(epoch) | {"seconds": round(now - self.epoch_started, 4)})
        self.epoch_started = now

    def write(self, values: dict[str, Any]) -> None:
        """Add a line to the history."""
        self.file.write(json.dumps(values, allow_nan=False) + "\n")
        self.tracker.take(values)

    def checkpoint(self, fitting: Fitting) -> None:
        """Save the state, after the history that belongs to it."""
        self.file.flush()
        os.fsync(self.file.fileno())
        snapshot = fitting.snapshot()
        size = os.fstat(self.file.fileno()).st_size
        self.run.write_checkpoint(Checkpoint(snapshot.tensors, snapshot.values, size))
        self.saved = time.monotonic()


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C or SIGTERM into an event, so that a batch is not torn in two.

    A second one acts at once, as without this. One that came after the last batch is raised at
    the end. Outside the main thread, and for a signal that is ignored, nothing is changed.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {n: handler for n, handler in before.items() if handler not in (signal.SIG_IGN, None)}

    def note(number: int, frame: FrameType | None) -> None:
        event.set()
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if event.is_set():
        raise KeyboardInterrupt


def environment(precision: Precision, devices: int) -> dict[str, Any]:
    """Say where and with what a training runs."""
    device = this_device().device
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "versions": versions(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": device.type,
        "devices": devices,
        "precision": resolve_precision(precision, device),
    }


def versions() -> tuple[str, ...]:
    """Name the software that trains."""
    return (
        f"foreshock {__version__}",
        f"Python {platform.python_version()}",
        f"torch {torch.__version__}",
        f"numpy {np.__version__}",
    )


def announce(problem: Problem, model: LSTMFCN, fit: FitConfig, devices: Devices) -> None:
    """Say what will be trained on what."""
    cases = [f"{problem.count(part)} {part}" for part in PARTS]
    member = "M" * model.config.squeeze_excite + "A" * model.config.attention + "LSTM-FCN"
    size = sum(p.numel() for p in model.parameters())
    assert fit.steps is not None and fit.batch_size is not None  # resolved
    batches = math.ceil(problem.count("train") / fit.batch_size)
    epochs, rest = divmod(fit.steps, batches)
    length = (
        f"{fit.steps:,} batches, of {batches:,} in an epoch,"
        if rest
        else f"{epochs} {'epoch' if epochs == 1 else 'epochs'} of {batches} batches"
    )
    logger.info(
        "%s: %s cases; classes: %d, channels: %d, timepoints: %d",
        problem.name,
        ", ".join(each for each in cases if not each.startswith("0 ")),
        problem.n_classes,
        problem.n_channels,
        problem.n_timepoints,
    )
    logger.info(
        "%s, %s parameters: %s on the %s in %s",
        member,
        f"{size:,}",
        length,
        devices.device.type.upper(),
        resolve_precision(fit.precision, devices.device),
    )


def keep_finding(run: Run, found: LearningRates) -> None:
    """Write what the learning-rate finder saw."""
    logger.info("learning rate found: %.2g", found.suggestion)
    run.write("lr_finder", dataclasses.asdict(found))
    _draw(
        run,
        "lr_finder",
        lambda: plots.learning_rates(found.rates, found.losses, found.suggestion),
    )


def draw_loss(run: Run, name: str, choice: str, fitting: Fitting) -> None:
    """Draw the history of a training that ended."""
    history = run.history()
    batches = [line for line in history if "step" in line]
    n = fitting.n_batches
    _draw(
        run,
        "loss",
        lambda: plots.loss_curve(
            f"{name}: {choice}",
            [line["loss"] for line in batches],
            [line["learning_rate"] for line in batches],
            valid=[
                (min(line["epoch"] * n, fitting.step), line["valid_loss"])
                for line in history
                if line.get("valid_loss") is not None
            ],
            batches_per_epoch=n,
            best_step=min(fitting.best_epoch * n, fitting.step) or None,
        ),
    )


def draw_cases(run: Run, problem: Problem) -> None:
    """Draw a few training cases of each class."""
    rows = problem.rows("train")
    y = problem.y[rows]
    first = rows.start if isinstance(rows, slice) else 0
    shown: dict[str, list[NDArray[np.float32]]] = {}
    for label in np.unique(y[sample(len(y), _SEARCHED)])[:_CLASSES].tolist():
        of_class = np.flatnonzero(y[:_SEARCHED] == label)
        chosen = of_class[sample(len(of_class), _SHOWN)]
        cases = chosen + first if isinstance(rows, slice) else rows[chosen]
        shown[problem.classes[label]] = list(problem.X[cases])
    before = None
    if problem.readings is not None and problem.rule is not None:
        before = problem.rule.lead + 1, format_duration(problem.readings.step)
    _draw(run, "cases", lambda: plots.cases(problem.name, shown, problem.channels, before=before))


def _draw(run: Run, name: Picture, draw: Callable[[], bytes]) -> None:
    """Write a picture, or say why there is none: it must not cost the scores."""
    try:
        picture = draw()
    except ImportError as error:
        logger.warning("no %s.png: %s", name, error)
    except (ValueError, RuntimeError, MemoryError) as error:
        logger.warning("no %s.png, drawing it failed: %s", name, " ".join(str(error).split()))
    else:
        run.write_picture(name, picture)
