"""A run on an MLflow server. The only module that imports MLflow, when asked."""

import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from foreshock import entries
from foreshock._optional import optional
from foreshock._text import printable
from foreshock.run import Run

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


class MLRun:
    """A run on the server that MLFLOW_TRACKING_URI names; MLflow's other variables hold as well."""

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
        """Go on with the run that the folder names where it is still there, else make one."""
        self.run, self.taken, self.due = run, 0, 0.0
        self.waiting: list[list[Any]] = []  # metrics of each line
        with _patience():
            there = self._find() or self._create()
            self.id, self.finished = there.info.run_id, there.info.status == "FINISHED"
            if there.info.status in ("KILLED", "FAILED"):
                self.client.update_run(self.id, status="RUNNING")
        self.sent = int(there.data.tags.get(_COUNT, 0))

    def take(self, line: entries.Line) -> None:
        """Note a line; send all that wait, now and then."""
        self.taken += 1
        if self.taken <= self.sent + len(self.waiting):  # known from before it was resumed
            return
        member = "" if line.get("member") is None else f"member-{line['member']}/"
        values = {member + name: value for name, value in entries.metrics(line).items()}
        self.waiting.append(self._entities(values, entries.step(line)))
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
                values = self._entities(entries.scores(scores), 0)
                for start in range(0, len(values), _METRICS):
                    self._log(metrics=values[start : start + _METRICS])
                self.client.set_tag(
                    self.id, "mlflow.note.content", entries.sentence(scores)[:_TEXT]
                )
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
        tags = {"versions": versions, "command": entries.command(self.run)[:_TEXT]}
        name = printable(self.run.folder.resolve().name)
        made = self.client.create_run(self.experiment, run_name=name, tags=tags)
        self.id = made.info.run_id
        self.run.write("mlflow", {"tracking_uri": self.where, "run_id": self.id})
        settings = entries.settings(self.run).items()
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
