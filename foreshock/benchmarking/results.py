"""A benchmark's folder: a file for each result. The only module that knows the folder's file names.

    results/NAME.json                     what one training came to
    runs/NAME/                            the run: its predictions, its model, its history
    claims/NAME                           locked by the process that is at work on it
    results.csv  table.csv  index.html    what all of them come to

NAME is PROBLEM.METHOD.SEED.RESAMPLE. A result is whole or not there, and has a digest of itself.
"""

import csv
import io
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from foreshock._files import is_empty, locked, make_folder, write_atomic
from foreshock._json import decode, decode_document, encode_document, flatten
from foreshock.reporting.standings import Result

_MARKS = ("format", "digest")


class ResultError(RuntimeError):
    """A result is damaged, or of something else than was asked for."""


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
                f"{folder} already exists and is not a benchmark folder: choose another name."
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
        """Check whether a result exists."""
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
            raise ResultError(f"{path} is damaged: {error} Delete it and run again.") from (error)
        if result.name != name:
            raise ResultError(f"{path} contains the result {result.name}: rename it.")
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
        """Return the folder of a result's run."""
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


def _row(result: Result) -> dict[str, Any]:
    values = flatten({k: v for k, v in asdict(result).items() if k not in ("config", "versions")})
    row = {name.removesuffix(".value").replace(".", "_"): v for name, v in values.items()}
    return row | {"versions": "; ".join(result.versions), "run": f"runs/{result.name}"}
