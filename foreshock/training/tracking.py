"""What `--log` does: hand a run on to TensorBoard or MLflow while it trains.

The history of the run folder is the truth. A service takes it line by line, knows how many lines it
has taken, and gets those that it lacks at the end, or when the training is resumed.
"""

import logging
import os
import re
import shlex
import shutil
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from foreshock._json import flatten
from foreshock._optional import optional
from foreshock._text import printable
from foreshock.run import Run, RunError

logger = logging.getLogger(__name__)

Line = dict[str, Any]

_SECONDS, _SHARE = 5.0, 20
"""Least time between two requests: seconds, and in multiples of the time that the last one took."""
_LINES, _METRICS, _PARAMS, _TEXT = 200, 900, 90, 5000
"""Most in a request, and of a text; MLflow takes 1,000 metrics, 100 parameters, 6,000 letters."""
_COUNT = "foreshock.lines"
"""The tag that says how many lines of the history a run in MLflow has."""
_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",  # seconds; of its own, two minutes and seven retries
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT": "30",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output is for results
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class Service:
    """Where a run is kept; making one imports what it needs."""

    name: str
    errors: tuple[type[Exception], ...] = (OSError,)
    """What goes wrong there."""

    run: Run
    taken: int
    """Lines of the history, since it was opened."""

    def reach(self) -> None:
        """Check that it is there."""

    def open(self, run: Run) -> None:
        """Make the run there, or find it."""
        self.run, self.taken = run, 0

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
        """Pass on what is written, and how it ends; `run` is None where another process writes.

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
        """Pass on the lines of the whole history that were not passed on yet."""
        for service in self.services:
            self._hand_on(service, history[service.taken :])

    def take(self, line: Line) -> None:
        """Pass on a line as it is written."""
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
    """Raise what a service's error at the start means."""
    try:
        yield
    except service.errors as error:
        raise ConnectionError(
            f"{service.name} cannot be used ({_short(error)}): set it right, or leave it out of "
            "--log."
        ) from error


def _short(error: Exception) -> str:
    """Return an error's text, or that of its cause where it quotes one, with no password in it."""
    text = re.sub(r".*Caused by \w+\((.*?)\)*$", r"\1", " ".join(str(error).split()))
    text = re.sub(r"//[^/@\s]*@", "//", text.strip('"'))
    return text[:300] or type(error).__name__


class EventFiles(Service):
    """Event files in the run folder; each of several members has a folder there."""

    name = "tensorboard"

    def __init__(self) -> None:
        # add_hparams makes numbers of True and False, and add_image packs the pictures anew
        self.hparams = optional("tensorboard.plugins.hparams.summary_v2", "tracking").hparams_pb
        self.summary = optional("tensorboard.compat.proto.summary_pb2", "tracking").Summary
        self.new_writer = optional("torch.utils.tensorboard", "tracking").SummaryWriter

    def open(self, run: Run) -> None:
        """Begin anew: all that was there comes again, from the history."""
        super().open(run)
        self.writers: dict[str, Any] = {}
        shutil.rmtree(run.tensorboard, ignore_errors=True)

    def take(self, line: Line) -> None:
        """Write a line; steps are batches, or epochs for what is known of an epoch."""
        self.taken += 1
        member, step, metrics = _read(line)
        for tag, value in metrics.items():
            self._writer(member).add_scalar(tag, value, step)

    def close(self, status: str) -> None:
        """Write the scores, options and pictures of a finished run."""
        if status == "FINISHED":
            writer, scores = self._writer(), self.run.read("scores")
            for tag, value in numbers_of(scores).items():
                writer.add_scalar(tag, value, 0)
            writer.add_text("command", command_of(self.run), 0)
            writer.add_text("result", summary_of(scores), 0)
            settings = {
                name: value if isinstance(value, int | float) else printable(str(value))
                for name, value in settings_of(self.run).items()
            }
            writer.file_writer.add_summary(self.hparams(settings), 0)
            for name, png in self.run.pictures().items():
                width, height = struct.unpack(">II", png[16:24])
                image = self.summary.Image(encoded_image_string=png, width=width, height=height)
                # TensorBoard shows one kind of thing of a tag, and "loss" is a scalar
                value = self.summary.Value(tag=f"pictures/{name}", image=image)
                writer.file_writer.add_summary(self.summary(value=[value]), 0)
        for writer in self.writers.values():
            writer.close()

    def _writer(self, member: str = "") -> Any:
        if member not in self.writers:
            folder = str(self.run.tensorboard / member)
            self.writers[member] = self.new_writer(folder, max_queue=1000, flush_secs=5)
        return self.writers[member]


class MLRun(Service):
    """A run on the server that MLFLOW_TRACKING_URI names; MLflow's other variables hold as well.

    Lines are sent in their order and counted by a tag. MLflow's own asynchronous logging goes on
    after a batch that failed, so that no count could say what is missing.
    """

    name = "mlflow"

    def __init__(self) -> None:
        with _patience():
            mlflow = optional("mlflow", "tracking")
            exceptions = optional("mlflow.exceptions", "tracking")
            parsing = optional("google.protobuf.json_format", "tracking")
        # the later ones where what answers is no MLflow, or files go to a cloud without its client
        self.errors: tuple[type[Exception], ...] = (
            exceptions.MlflowException,
            OSError,
            parsing.ParseError,
            ValueError,
            KeyError,
            ImportError,
        )
        self.new_client, self.entities = mlflow.MlflowClient, mlflow.entities

    def reach(self) -> None:
        """Find the experiment, or make it."""
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "foreshock"
        with _patience():
            self.client = self.new_client()
            self.where = _without_password(self.client.tracking_uri)
            found = self.client.get_experiment_by_name(name)
            try:
                self.experiment = (
                    found.experiment_id if found else self.client.create_experiment(name)
                )
            except self.errors:  # another training may have made it in the meantime
                found = self.client.get_experiment_by_name(name)
                if found is None:
                    raise
                self.experiment = found.experiment_id

    def open(self, run: Run) -> None:
        """Resume the run that the folder names if it still exists, else create one."""
        super().open(run)
        self.due = 0.0
        self.waiting: list[list[Any]] = []  # metrics of each line
        with _patience():
            there = self._find() or self._create()
            self.id, self.finished = there.info.run_id, there.info.status == "FINISHED"
            if there.info.status in ("KILLED", "FAILED"):
                self.client.update_run(self.id, status="RUNNING")
        self.sent = int(there.data.tags.get(_COUNT, 0))

    def take(self, line: Line) -> None:
        """Note a line; send all that wait, now and then."""
        self.taken += 1
        if self.taken <= self.sent + len(self.waiting):  # known from before it was resumed
            return
        member, step, metrics = _read(line)
        values = {member + name: value for name, value in metrics.items()}
        self.waiting.append(self._entities(values, step))
        if time.monotonic() >= self.due:
            self._send()

    def close(self, status: str) -> None:
        """Send what is left; of a finished run also its files and scores."""
        if self.finished:
            return
        self._send()
        with _patience():
            if status == "FINISHED":
                for path in self.run.files():
                    self.client.log_artifact(self.id, str(path), "run")
                scores = self.run.read("scores")
                values = self._entities(numbers_of(scores), 0)
                for start in range(0, len(values), _METRICS):
                    self._log(metrics=values[start : start + _METRICS])
                self.client.set_tag(self.id, "mlflow.note.content", summary_of(scores)[:_TEXT])
            self.client.set_terminated(self.id, status)

    def _send(self) -> None:
        started = time.monotonic()
        with _patience():
            while self.waiting:
                lines = self.waiting[:_LINES]
                count = self.entities.RunTag(_COUNT, str(self.sent + len(lines)))
                metrics = [metric for line in lines for metric in line]
                self._log(metrics=metrics, tags=[count])
                self.sent += len(lines)
                del self.waiting[: len(lines)]
        now = time.monotonic()
        self.due = now + max(_SECONDS, _SHARE * (now - started))

    def _find(self) -> Any:
        known = self.run.read("mlflow") if self.run.has("mlflow") else {}
        if known.get("tracking_uri") != self.where:
            return None
        try:
            there = self.client.get_run(known.get("run_id", ""))
        except self.errors as error:
            if getattr(error, "error_code", None) != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return there if there.info.lifecycle_stage == "active" else None

    def _create(self) -> Any:
        versions = ", ".join(self.run.read("environment")["versions"])
        tags = {"versions": versions, "command": command_of(self.run)[:_TEXT]}
        name = printable(self.run.folder.resolve().name)
        made = self.client.create_run(self.experiment, run_name=name, tags=tags)
        self.id = made.info.run_id
        self.run.write("mlflow", {"tracking_uri": self.where, "run_id": self.id})
        settings = settings_of(self.run).items()
        params = [self.entities.Param(name, printable(str(v))[:_TEXT]) for name, v in settings]
        for start in range(0, len(params), _PARAMS):
            self._log(params=params[start : start + _PARAMS])
        return made

    def _log(self, **values: list[Any]) -> None:
        self.client.log_batch(self.id, **values, synchronous=True)

    def _entities(self, values: dict[str, float], step: int) -> list[Any]:
        now = int(1000 * time.time())
        names = {re.sub(r"[^\w. /-]", "", name)[:250]: value for name, value in values.items()}
        return [self.entities.Metric(name, value, now, step) for name, value in names.items()]


@contextmanager
def _patience() -> Iterator[None]:
    """Bound how long MLflow waits and tries again, but for what the user has set."""
    added = {name: value for name, value in _PATIENCE.items() if name not in os.environ}
    requests = logging.getLogger("urllib3.connectionpool")  # tells of each second try
    level = requests.level
    os.environ.update(added)
    requests.setLevel(logging.ERROR)
    try:
        yield
    finally:
        requests.setLevel(level)
        for name in added:
            os.environ.pop(name, None)


def _without_password(uri: str) -> str:
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _read(line: Line) -> tuple[str, int, dict[str, float]]:
    """Return a line's member as a prefix, its batch or else its epoch, and what was measured.

    The learning rate stands in the lines of batches and of epochs, and is taken from the former.
    """
    member = "" if line.get("member") is None else f"member-{line['member']}/"
    index = {"step", "epoch", "member"} | (set() if "step" in line else {"learning_rate"})
    values = {k: v for k, v in line.items() if k not in index and isinstance(v, int | float)}
    return member, int(line["step"] if "step" in line else line["epoch"]), values


def numbers_of(document: dict[str, Any]) -> dict[str, float]:
    """Return each number of the scores by its path; the ends of an interval as _low and _high."""
    sections = {name: values for name, values in document.items() if isinstance(values, dict)}
    return {
        re.sub("/(low|high)$", r"_\1", path.removesuffix("/value")): float(value)
        for path, value in flatten(sections, separator="/").items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def summary_of(document: dict[str, Any]) -> str:
    """Return what the scores come to, where they say it, and which weights were kept."""
    parts = [document.get("scores"), (document.get("held_out") or {}).get("scores")]
    said = [part["sentence"] for part in parts if part and part.get("sentence")]
    return printable("\n\n".join([*said[:1], f"Model: {document['choice']}."]))


def settings_of(run: Run) -> dict[str, Any]:
    """Return each option of the run by its path, and the problem's name and digest."""
    config, problem = run.read("config")["config"], run.read("problem")
    names = {"problem.name": problem["card"]["name"], "problem.digest": problem["digest"]}
    return flatten(config) | names


def command_of(run: Run) -> str:
    """Return the command that started the training."""
    return printable(shlex.join(run.read("environment")["command"]))
