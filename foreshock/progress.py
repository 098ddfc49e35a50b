"""One line that says how far training is; silent where nobody watches a terminal."""

import sys
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from foreshock._terminal import Terminal


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
        """Tell of a batch."""
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
