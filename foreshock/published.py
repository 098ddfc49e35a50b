"""Accuracies that others published, read from a file."""

import csv
import io
import math
import os
from pathlib import Path
from typing import Literal

PEERS = ("1NN-DTW", "FCN", "ResNet", "InceptionTime", "ROCKET", "MR-Hydra", "HC2")
"""Methods to stand beside, where a file has them: the simplest, the nearest and the best."""

Published = dict[tuple[str, str], float]
"""Accuracies by problem and method."""
Split = Literal["default split", "mean of resamples"]
"""Of which parts an accuracy is."""

_COLUMNS = ("dataset", "method", "accuracy", "split")


def find_published() -> Path | None:
    """Find the file in the folder that FORESHOCK_DATA names, if it is there."""
    data = os.environ.get("FORESHOCK_DATA")
    path = None if data is None else Path(data) / "published" / "accuracies.csv"
    return path if path is not None and path.is_file() else None


def read_published(path: Path, split: Split = "default split") -> Published:
    """Read published accuracies, by problem and method.

    Parameters
    ----------
    path : Path
        A CSV file with the columns dataset, method, accuracy and split.
    split : {"default split", "mean of resamples"}
        How the split has to begin for an accuracy to count.

    Raises
    ------
    ValueError
        If it is no such file; the line is named.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}: --published names a CSV file.")
    try:
        table = csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""))
        missing = [name for name in _COLUMNS if name not in (table.fieldnames or ())]
        if missing:
            raise ValueError(f"it has no column {missing[0]!r}; it needs {', '.join(_COLUMNS)}")
        rows = [_row(row, table.line_num) for row in table]
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path} holds no published accuracies: {error}.") from error
    wanted = [row for row in rows if row[3].startswith(split)]
    # sources differ; where there are several, the archive's own table (resample 0) counts
    wanted.sort(key=lambda row: "resample 0" in row[3])
    return {(dataset, method): accuracy for dataset, method, accuracy, _ in wanted}


def _row(row: dict[str, str], line: int) -> tuple[str, str, float, str]:
    dataset, method, text, split = (row[name] for name in _COLUMNS)
    if not dataset or not method or text is None or split is None:
        raise ValueError(f"line {line} is not whole")
    try:
        accuracy = float(text)
    except ValueError:
        accuracy = math.nan
    if not 0 <= accuracy <= 1:
        raise ValueError(f"line {line} has the accuracy {text[:20]!r}, not one from 0 to 1")
    return dataset, method, accuracy, split
