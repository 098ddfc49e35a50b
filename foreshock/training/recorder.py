"""What a training shows and writes as it goes: progress, history, checkpoints, pictures.

The line of progress is silent where nobody watches a terminal.
"""

import dataclasses
import json
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from foreshock._arrays import sample
from foreshock._terminal import Terminal
from foreshock.nn.model import LSTMFCN
from foreshock.problems.problem import Problem
from foreshock.reporting import figures
from foreshock.reporting.run_data import read_history
from foreshock.run import Checkpoint, Picture, Run, RunError
from foreshock.training.loop import Batch, Epoch, Fitting, LearningRates, Snapshot
from foreshock.training.tracking import Tracker

logger = logging.getLogger(__name__)

_DONE = "done."
_SHOWN, _CLASSES, _SEARCHED = 3, 4, 10**6
"""Cases drawn of a class, classes drawn, cases that they are looked for in."""


class ProgressLine:
    """A bar with batches done, the time left, loss, learning rate and batches per second.

    Parameters
    ----------
    shown : bool or None
        Whether to draw; by default where standard error is a terminal.
    """

    def __init__(self, shown: bool | None = None) -> None:
        if shown is None:
            shown = sys.stderr.isatty()
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[n_epochs]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn(
                "loss {task.fields[loss]:.4f}  lr {task.fields[rate]:.1e}  "
                "{task.fields[speed]:.0f} batches/s"
            ),
            console=Terminal(stderr=True),
            transient=True,
            disable=not shown,
        )
        self.task = self.bar.add_task(
            "",
            total=None,
            visible=False,
            epoch=0,
            n_epochs=0,
            loss=float("nan"),
            rate=0.0,
            speed=0.0,
        )
        self.smooth = float("nan")

    def __enter__(self) -> "ProgressLine":
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.bar.stop()

    def update(
        self, *, step: int, n_steps: int, epoch: int, n_epochs: int, loss: float, rate: float
    ) -> None:
        """Update the line after a batch."""
        if self.bar.disable:
            return
        self.smooth = loss if self.smooth != self.smooth else 0.95 * self.smooth + 0.05 * loss
        self.bar.update(
            self.task,
            completed=step,
            total=n_steps,
            visible=True,
            epoch=epoch,
            n_epochs=n_epochs,
            loss=self.smooth,
            rate=rate,
            speed=self.bar.tasks[0].speed or 0.0,
        )


@dataclass(frozen=True, eq=False)
class Member:
    """A trained network."""

    model: LSTMFCN
    """The network, on the CPU."""

    choice: str
    """Which of its weights are kept and by what rule."""

    best_step: int | None
    """The batch after which they stood, if they were chosen."""

    logits: NDArray[np.float32]
    """What it says of the cases held out that it was asked about, (n_held, n_classes)."""


class Recorder:
    """Writes the history, hands it on and, at most every so many seconds, writes a checkpoint."""

    def __init__(
        self,
        run: Run,
        history: int,
        seconds: float,
        interrupted: threading.Event,
        progress: bool | None,
        trained: Sequence[Member],
        n_members: int,
        tracker: Tracker,
    ) -> None:
        self.run, self.seconds, self.interrupted = run, seconds, interrupted
        self.trained, self.n_members = list(trained), n_members
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

    @property
    def member(self) -> int:
        """The number of the member in training."""
        return len(self.trained)

    def batch(self, fitting: Fitting, batch: Batch) -> None:
        """Record a batch; save when it is time; stop when asked to."""
        self.write(dataclasses.asdict(batch))
        self.line.update(
            step=batch.step + self.member * fitting.n_steps,
            n_steps=fitting.n_steps * self.n_members,
            epoch=batch.epoch,
            n_epochs=fitting.n_epochs,
            loss=batch.loss,
            rate=batch.learning_rate,
        )
        if batch.step < fitting.step:  # the state is not that of this batch
            return
        interrupted = self.interrupted.is_set()
        if interrupted or time.monotonic() - self.saved >= self.seconds:
            self.save(self.member, fitting.snapshot())
        if interrupted:
            raise KeyboardInterrupt

    def epoch(self, fitting: Fitting, epoch: Epoch) -> None:
        """Record an epoch."""
        now = time.monotonic()
        self.write(dataclasses.asdict(epoch) | {"seconds": round(now - self.epoch_started, 4)})
        self.epoch_started = now

    def write(self, values: dict[str, Any]) -> None:
        """Add a line to the history."""
        if self.n_members > 1:
            values = {"member": self.member} | values
        self.file.write(json.dumps(values, allow_nan=False) + "\n")
        self.tracker.take(values)

    def end_member(self, member: Member) -> None:
        """Record that the member in training is trained; the next begins anew."""
        self.trained.append(member)
        self.save(self.member - 1, Snapshot({}, {}))

    def save(self, member: int, state: Snapshot) -> None:
        """Write all trained members and a member's state, after the history that belongs to it."""
        self.file.flush()
        os.fsync(self.file.fileno())
        size = os.fstat(self.file.fileno()).st_size
        tensors = dict(state.tensors)
        for k, each in enumerate(self.trained):
            tensors[f"{_DONE}{k}.logits"] = each.logits
            tensors[f"{_DONE}{k}.best_step"] = np.array(each.best_step or 0)
            weights = each.model.state_dict().items()
            tensors |= {f"{_DONE}{k}.model.{name}": tensor.numpy() for name, tensor in weights}
        choices = [each.choice for each in self.trained]
        values = state.values | {"choices": choices, "member": member}
        self.run.write_checkpoint(Checkpoint(tensors, values, size))
        self.saved = time.monotonic()


def restored(
    checkpoint: Checkpoint | None, network: Callable[[int], LSTMFCN]
) -> tuple[list[Member], Snapshot | None]:
    """Return the trained members of a checkpoint, and the state of the one in training if it began.

    Parameters
    ----------
    checkpoint : Checkpoint or None
        As `Recorder.save` writes it.
    network : callable
        Returns a member's network, by its number, to load the weights into.
    """
    if checkpoint is None:
        return [], None
    members, tensors, values = [], dict(checkpoint.tensors), dict(checkpoint.values)
    choices, member = values.pop("choices"), values.pop("member")
    for k, choice in enumerate(choices):
        prefix, model = f"{_DONE}{k}.model.", network(k)
        model.random = model.new_random()
        names = [name for name in tensors if name.startswith(prefix)]
        model.load_state_dict(
            {name.removeprefix(prefix): torch.from_numpy(tensors.pop(name)) for name in names}
        )
        best_step = int(tensors.pop(f"{_DONE}{k}.best_step")) or None
        members.append(Member(model, choice, best_step, tensors.pop(f"{_DONE}{k}.logits")))
    # the state may be that of a member that is trained
    return members, None if member < len(choices) else Snapshot(tensors, values)


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


def keep_finding(run: Run, found: LearningRates) -> None:
    """Write what the learning-rate finder saw."""
    logger.info("learning rate found: %.2g", found.suggestion)
    _draw(
        run,
        "lr_finder",
        lambda: figures.learning_rates(found.rates, found.losses, found.suggestion),
    )
    run.write("lr_finder", dataclasses.asdict(found))


def read_finding(run: Run) -> float | None:
    """Read the learning rate that was found before a training was interrupted, if it was."""
    if not run.has("lr_finder"):
        return None
    rate = run.read("lr_finder").get("suggestion")
    if not isinstance(rate, float) or not 0 < rate < math.inf:
        raise RunError(f"the lr_finder.json of {run.folder} is damaged: it suggests no rate.")
    return rate


def draw_loss(run: Run, name: str, choice: str, *, best_step: int | None) -> None:
    """Draw the history of a training that ended, each member of it."""
    found = read_history(run.history())
    title = f"{name}: {choice}"
    _draw(run, "loss", lambda: figures.loss_curve(title, found, best_step=best_step))


def draw_cases(run: Run, problem: Problem) -> None:
    """Draw a few training cases of each class."""
    rows = problem.rows("train")
    y = problem.y[rows]
    first = rows.start if isinstance(rows, slice) else 0
    shown: dict[str, list[NDArray[np.floating[Any]]]] = {}
    for label in np.unique(y[sample(len(y), _SEARCHED)])[:_CLASSES].tolist():
        of_class = np.flatnonzero(y[:_SEARCHED] == label)
        chosen = of_class[sample(len(of_class), _SHOWN)]
        cases = chosen + first if isinstance(rows, slice) else rows[chosen]
        series = problem.X[cases]
        off = problem.offset
        shown[problem.classes[label]] = list(series if off is None else series + off[:, None])
    before = None
    if problem.readings is not None and problem.rule is not None:
        before = problem.rule.lead + 1, problem.readings.step_text
    _draw(run, "cases", lambda: figures.cases(problem.name, shown, problem.channels, before=before))


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
