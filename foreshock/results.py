"""A benchmark's folder: a file for each result. The only module that knows the folder's file names.

    results/NAME.json                     what one training came to
    runs/NAME/                            the run: its predictions, its model, its history
    claims/NAME                           locked by the process that is at work on it
    results.csv  table.csv  index.html    what all of them come to

NAME is PROBLEM.METHOD.SEED.RESAMPLE. A result is whole or not there, and has a digest of itself.
"""

import csv
import hashlib
import io
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from foreshock._files import is_empty, locked, make_folder, write_atomic
from foreshock._json import decode, decode_document, encode_document, flatten
from foreshock.metrics.intervals import Estimate

BOOKKEEPING = frozenset({"checkpoint_seconds", "devices", "log"})
"""Options that make no other result."""
_MARKS = ("format", "digest")


class ResultError(RuntimeError):
    """A result is damaged, or of something else than was asked for."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one training on one problem came to."""

    problem: str
    """Name of the problem."""

    method: str
    """Name of the configuration: a preset."""

    seed: int
    """Seed of the training."""

    resample: int
    """Which parts: 0 are the problem's own, others are drawn with this as their seed."""

    accuracy: Estimate
    """Of the test part, with its 95 % interval; so are the next three."""

    balanced_accuracy: Estimate
    auroc: Estimate | None
    log_loss: Estimate

    majority_accuracy: float
    """Accuracy of always giving the class that most training cases have."""

    fit_seconds: float
    """Seconds of all epochs."""

    seconds: float
    """Seconds of everything: loading, fitting, scoring, saving."""

    threads: int
    """Threads that it had."""

    device: str
    """Where it was trained: cpu or cuda."""

    precision: str
    """Arithmetic of the training: float32 or bf16."""

    n_train: int
    n_valid: int
    n_test: int
    n_classes: int
    n_channels: int
    n_timepoints: int
    """Sizes of the problem."""

    versions: tuple[str, ...]
    """Software that trained."""

    started: str
    """When, UTC."""

    config: dict[str, Any]
    """Every option of the training."""

    config_digest: str
    """Hash of the options."""

    data_digest: str
    """Hash of the cases, their labels and their own parts."""

    @property
    def name(self) -> str:
        """What its files are called."""
        return name_of(self.problem, self.method, self.seed, self.resample)


class Results:
    """A benchmark's folder, which is made where there is none.

    Parameters
    ----------
    folder : Path
        The folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if folder.exists() and not self._results.is_dir() and not is_empty(folder):
            raise FileExistsError(
                f"{folder} exists already and is no folder of a benchmark: choose another name."
            )
        for each in (self._results, self._runs, self._claims):
            make_folder(each)

    @contextmanager
    def claimed(self, name: str) -> Iterator[None]:
        """Keep other processes from a result; the claim of a process ends with it.

        Raises
        ------
        BlockingIOError
            If another process is at work on it.
        """
        path = self._claims / name
        with locked(path):
            yield
            if self.has(name):  # whoever locks the file from now on finds the result
                path.unlink(missing_ok=True)

    def has(self, name: str) -> bool:
        """Tell whether a result is there."""
        return self._path(name).is_file()

    def read(self, name: str) -> Result:
        """Read a result.

        Raises
        ------
        ResultError
            If it is damaged or of a newer format.
        """
        path = self._path(name)
        values = decode_document(path.read_bytes(), path, sealed=True, error=ResultError)
        try:
            values = {k: v for k, v in values.items() if k not in _MARKS}
            result = decode(Result, values, path.name)
        except ValueError as error:
            raise ResultError(f"{path} is damaged: {error} Delete it to have it made anew.") from (
                error
            )
        if result.name != name:
            raise ResultError(f"{path} is the result {result.name}: give it its name back.")
        return result

    def all(self) -> list[Result]:
        """Read every result, in the order of their names."""
        paths = sorted(self._results.glob("*.json"))
        return [self.read(path.stem) for path in paths if not path.name.startswith(".")]

    def write(self, result: Result) -> None:
        """Write a result, and drop what only an interrupted training needs."""
        write_atomic(self._path(result.name), encode_document(asdict(result), digest=True))
        shutil.rmtree(self.run(result.name) / "checkpoint", ignore_errors=True)

    def run(self, name: str) -> Path:
        """Give the folder of a result's run."""
        return self._runs / name

    def write_results(self, results: Sequence[Result]) -> Path:
        """Write a row for each result."""
        rows = [_row(result) for result in results]
        head = list(dict.fromkeys(column for row in rows for column in row))
        return self.write_table(
            "results.csv", [head, *([row.get(c) for c in head] for row in rows)]
        )

    def write_table(self, name: str, rows: Sequence[Sequence[object]]) -> Path:
        """Write a table as CSV."""
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        write_atomic(self.folder / name, text.getvalue().encode(errors="backslashreplace"))
        return self.folder / name

    def write_page(self, html: str) -> Path:
        """Write the page of all results."""
        path = self.folder / "index.html"
        write_atomic(path, html.encode())
        return path

    def _path(self, name: str) -> Path:
        return self._results / f"{name}.json"

    @property
    def _results(self) -> Path:
        return self.folder / "results"

    @property
    def _runs(self) -> Path:
        return self.folder / "runs"

    @property
    def _claims(self) -> Path:
        return self.folder / "claims"


def name_of(problem: str, method: str, seed: int, resample: int) -> str:
    """Name the files of a result, whatever the problem and the method are called."""
    return f"{_clean(problem)}.{_clean(method)}.seed{seed}.resample{resample}"


def _clean(name: str) -> str:
    """Keep a plain name; make others plain, with a hash that tells them apart."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:60]
    if plain == name:
        return name
    return f"{plain}-{hashlib.sha256(name.encode(errors='backslashreplace')).hexdigest()[:8]}"


def _row(result: Result) -> dict[str, Any]:
    values = flatten({k: v for k, v in asdict(result).items() if k not in ("config", "versions")})
    row = {name.removesuffix(".value").replace(".", "_"): v for name, v in values.items()}
    return row | {"versions": "; ".join(result.versions), "run": f"runs/{result.name}"}
