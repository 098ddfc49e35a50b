"""Where people keep their runs: TensorBoard and MLflow get what the run folder gets, as it comes.

The history in the run folder is the truth: a line is known by its place in it, so that no step is
there twice after a training was resumed, and what a service missed is made up for at the end.
"""

import logging
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from foreshock.entries import Line
from foreshock.eventfiles import EventFiles
from foreshock.mlruns import MLRun
from foreshock.run import Run, RunError

logger = logging.getLogger(__name__)


class Service(Protocol):
    """Where a run is kept; making one imports what it needs."""

    name: str
    errors: tuple[type[Exception], ...]
    """What goes wrong there."""

    taken: int
    """Lines of the history, since it was opened."""

    def reach(self) -> None:
        """See that it is there."""

    def open(self, run: Run) -> None:
        """Make the run there, or find it."""

    def take(self, line: Line) -> None:
        """Take the next line of the history."""

    def close(self, status: str) -> None:
        """End the run there: FINISHED, with all that its folder has, KILLED or FAILED."""


class Tracker:
    """Hands a run on to the services asked for; what fails there costs no training and no score.

    Parameters
    ----------
    log : tuple of {"tensorboard", "mlflow"}
        The services.

    Raises
    ------
    ImportError
        If a package is missing.
    ConnectionError
        If a service cannot be reached.
    """

    def __init__(self, log: tuple[str, ...]) -> None:
        services: dict[str, type[Service]] = {"tensorboard": EventFiles, "mlflow": MLRun}
        self.services = [services[name]() for name in log]
        self.failed: list[Service] = []
        for service in self.services:
            with _needed(service):
                service.reach()

    @contextmanager
    def following(self, run: Run | None) -> Iterator[None]:
        """Hand on what is written, and how it ends; `run` is None where another process writes.

        Raises
        ------
        ConnectionError
            If a service cannot be reached at the start.
        """
        if run is None or not self.services:
            yield
            return
        for service in self.services:
            with _needed(service):
                service.open(run)
        try:
            yield
        except BaseException as error:
            self._close(run, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
            raise
        self._close(run, "FINISHED")

    def catch_up(self, history: list[Line]) -> None:
        """Hand on those lines of the whole history that were not yet."""
        for service in self.services:
            self._hand_on(service, history[service.taken :])

    def take(self, line: Line) -> None:
        """Hand on a line as it is written."""
        for service in self.services:
            self._hand_on(service, [line])

    def _hand_on(self, service: Service, lines: list[Line]) -> None:
        if service in self.failed:
            return
        try:
            for line in lines:
                service.take(line)
        except service.errors as error:
            self.failed.append(service)
            text = "%s fails (%s): the training goes on, and it is tried once more at the end."
            logger.warning(text, service.name, _short(error))

    def _close(self, run: Run, status: str) -> None:
        try:
            history = run.history()
        except RunError:  # it was stopped before there was one
            history = []
        for service in self.services:
            try:
                if service in self.failed:
                    service.open(run)
                for line in history[service.taken :]:
                    service.take(line)
                service.close(status)
            except service.errors as error:
                source = run.read("config").get("problem") or "PROBLEM"
                command = ["foreshock", "train", source, "--run", str(run.folder), "--resume"]
                logger.warning(
                    "%s has not got all of this run (%s); what it lacks it gets with: %s",
                    service.name,
                    _short(error),
                    shlex.join([*command, "--log", service.name]),
                )


@contextmanager
def _needed(service: Service) -> Iterator[None]:
    """Say what a service's error at the start means."""
    try:
        yield
    except service.errors as error:
        raise ConnectionError(
            f"{service.name} cannot be used ({_short(error)}): set it right, or leave it out of "
            "--log."
        ) from error


def _short(error: Exception) -> str:
    """Give an error's text, or that of its cause where it quotes one, with no password in it."""
    text = re.sub(r".*Caused by \w+\((.*?)\)*$", r"\1", " ".join(str(error).split()))
    text = re.sub(r"//[^/@\s]*@", "//", text.strip('"'))
    return text[:300] or type(error).__name__
