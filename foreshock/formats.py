"""Files of time series to arrays: .ts, .tsv, .txt, .arff and .csv, packed or not, .parquet, .npz.

Every file that cannot be read ends in one ValueError that names the file, the fault and what to do.
"""

import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock._arrays import as_numbers, load_npz
from foreshock._optional import optional
from foreshock._text import class_names, decoded, id_text, listed
from foreshock.readings.columns import MISSING, TEXT_COLUMNS, is_number, label_texts
from foreshock.readings.frames import naming, read_frame, read_text
from foreshock.tables import LAYOUTS, PARTS, Table, check_series, from_frame, part_codes

_PART_IN_STEM = re.compile(r"(?:^|[^A-Za-z]|(?<=[a-z])(?=[A-Z]))((?i:train|valid|test))$")


def read(path: Path, *, labelled: bool = True) -> Table:
    """Read one file.

    Parameters
    ----------
    path
        A file whose ending is one of ``SUFFIXES``.
    labelled
        Whether a file without labels is refused; where it is not and any label is missing,
        no label is kept.

    Raises
    ------
    ValueError
        The file is unreadable, malformed, empty, or holds what a problem cannot; with the reason.
    """
    with naming(path):
        reader = _READERS.get(ending(path))
        if reader is None:
            raise ValueError(
                f"its ending is {path.suffix or 'missing'!r}, expected one of {', '.join(SUFFIXES)}"
                " (.gz may follow those of text)"
            )
        table = reader(path)
        check_series(table.X)
        if table.labels is not None and not (table.labels != "").all():
            if labelled:
                at = int(np.flatnonzero(table.labels == "")[0])
                raise ValueError(f"case {at} (counted from 0) has no label; give it one")
            table = replace(table, labels=None, classes=None)
        if table.labels is None and labelled:
            seen = f"; its columns are {listed(list(table.columns))}, expected {LAYOUTS}"
            raise ValueError(f"it has no labels{seen if table.columns else ', give each case one'}")
        if table.group is not None and (table.group == "").any():
            at = int((table.group == "").argmax())
            raise ValueError(f"case {at} (counted from 0) has no group; give it one")
    return table


def ending(path: Path) -> str:
    """Give the ending that tells a file's format, in small letters: .ts of A.TS and a.ts.gz."""
    inner = Path(path.stem).suffix.lower()
    return inner if path.suffix.lower() == ".gz" and inner in _TEXT else path.suffix.lower()


def _stem(path: Path) -> str:
    """Give a file's name without the ending, and without .gz behind it."""
    return path.stem if ending(path) == path.suffix.lower() else Path(path.stem).stem


def problem_of(path: Path) -> tuple[str, str | None]:
    """Split a file's name into the problem's name and the part it names, if it names one.

    ``Coffee_TRAIN.ts`` is ``("Coffee", "TRAIN")``, ``latest.csv`` is ``("latest", None)``.
    """
    stem = _stem(path)
    found = _PART_IN_STEM.search(stem)
    if found is None:
        return stem, None
    name = stem[: found.start(1)].rstrip("_-. ")
    return name or path.resolve().parent.name, found[1]


def files_of(path: Path) -> dict[Path, str | None]:
    """List the files that a file or folder stands for, each with the part that its name gives.

    A file that is named as a train part brings its valid and test partners along (same ending,
    but for .gz, same case); a folder stands for the one problem in it, or the one that is named
    like the folder, in the first format of ``SUFFIXES``.

    Raises
    ------
    ValueError
        The folder holds no problem, or several.
    """
    if path.is_dir():
        path = _main_file(path)
    _, word = problem_of(path)
    if word is None or word.lower() != "train":
        return {path: word and word.lower()}
    found: dict[Path, str | None] = {}
    stem = _stem(path)
    own = path.name[len(stem) :]
    endings = (own, own[:-3] if own.lower().endswith(".gz") else f"{own}.gz")
    for part in PARTS:
        styled = next(f(part) for f in (str.upper, str.lower, str.title) if f("train") == word)
        partners = [path.with_name(stem[: -len(word)] + styled + each) for each in endings]
        partners = [path] if part == "train" else [each for each in partners if each.is_file()]
        if partners:
            found[partners[0]] = part
    return found


def _main_file(folder: Path) -> Path:
    files = [
        file
        for file in sorted(folder.iterdir())
        if ending(file) in SUFFIXES
        and file.is_file()
        and not file.name.startswith(".")
        and _stem(file).lower() not in ("readme", "license")
    ]
    if any(problem_of(file)[1] for file in files):  # beside parts, a .txt is a description
        files = [f for f in files if problem_of(f)[1] or ending(f) != ".txt"]
    names = sorted({problem_of(file)[0] for file in files})
    if not files:
        raise ValueError(
            f"the folder {folder} holds no problem; expected NAME_TRAIN and NAME_TEST files, or one"
            f" file, ending in one of {', '.join(SUFFIXES)}."
        )
    wanted = folder.resolve().name
    if len(names) > 1 and wanted not in names:
        raise ValueError(
            f"the folder {folder} holds several problems: {', '.join(names)}; name one file of the"
            " one to load."
        )
    files = [file for file in files if problem_of(file)[0] == (wanted if names[1:] else names[0])]

    def rank(file: Path) -> tuple[int, int, int]:
        part = (problem_of(file)[1] or "train").lower()
        return SUFFIXES.index(ending(file)), PARTS.index(part), len(file.name)

    return min(files, key=rank)


def _read_ts(path: Path) -> Table:
    lines = _lines(path)
    start = next((i for i, line in enumerate(lines) if line.lower() == "@data"), None)
    if start is None:
        raise ValueError("it has no @data line, so it is no .ts file; fetch it again")
    words = [line.lower().split() for line in lines[:start] if line.startswith("@")]
    flags = {word[0]: word[1] for word in words if len(word) > 1}
    if flags.get("@targetlabel") == "true":
        raise ValueError("it is a regression problem (@targetLabel true); foreshock classifies")
    if flags.get("@timestamps") == "true":
        raise ValueError("its values carry time stamps; write the values alone, or a .csv")
    rows = [(n, line) for n, line in enumerate(lines[start + 1 :], start + 2) if line]
    labels = None
    if flags.get("@classlabel") != "false":
        labels = [line.rpartition(":")[2].strip() for _, line in rows]
        for (n, line), label in zip(rows, labels, strict=True):
            if ":" not in line or "," in label:
                raise ValueError(f"line {n} does not end in ':' and a label")
    X = _through_aeon("load_from_ts_file", lines[: start + 1], rows, separators="[,:]")
    return Table(X=X, labels=None if labels is None else label_texts(labels))


def _read_arff(path: Path) -> Table:
    lines = _lines(path)
    start = next((i for i, line in enumerate(lines) if line.lower().startswith("@data")), None)
    if start is None:
        raise ValueError("it has no @data line, so it is no .arff file; fetch it again")
    header = [line for line in lines[: start + 1] if not line.startswith("%")]
    attributes = [line for line in header if line.lower().startswith("@attribute")]
    if not attributes or not attributes[-1].endswith("}"):
        raise ValueError(
            "its last attribute is no list of classes {a,b}; foreshock classifies, and the label"
            " must come last"
        )
    several = any("relational" in line.lower() for line in attributes)
    rows = [
        (n, line)
        for n, line in enumerate(lines[start + 1 :], start + 2)
        if line and not line.startswith("%")
    ]
    labels, sizes = [], set()
    for n, line in rows:
        series, separator, label = line.rpartition("'," if several else ",")
        labels.append(label.strip().strip("'\""))
        sizes.add(tuple(channel.count(",") for channel in series.split("\\n")))
        if not separator or len(sizes) > 1:
            raise ValueError(f"line {n} has no label, or another number of values than the first")
    X = _through_aeon("load_from_arff_file", header, rows, separators=r",|'|\\n")
    return Table(X=X, labels=label_texts(labels))


def _through_aeon(
    function: str, header: list[str], rows: list[tuple[int, str]], *, separators: str
) -> NDArray[np.floating[Any]]:
    """Have aeon read the series of a file, from a clean copy: UTF-8 and no empty lines."""
    if not rows:
        raise ValueError("it has no case after @data; fetch it again")
    for n, line in rows:
        if "_" in line or not line.isascii():  # which Python takes for digits
            _check_values(n, re.split(separators, line)[:-1])
    reader = getattr(optional("aeon.datasets", "archive"), function)
    with tempfile.TemporaryDirectory(prefix="foreshock-") as folder:
        copy = Path(folder) / "copy.ts"
        copy.write_text("\n".join([*header, *(line for _, line in rows)]), encoding="utf-8")
        try:
            series, _ = reader(str(copy))
        except (OSError, ValueError, IndexError) as error:
            raise ValueError(_fault(rows, separators, error)) from error
    if isinstance(series, np.ndarray):
        return as_numbers(series, "its series")
    X = np.full((len(series), len(series[0]), max(s.shape[1] for s in series)), np.nan)
    for case, values in enumerate(series):
        X[case, :, : values.shape[1]] = values
    return X


def _check_values(n: int, values: list[str]) -> None:
    """Refuse what is no number in line n."""
    for value in values:
        if not is_number(value):
            raise ValueError(
                f"line {n} has {value[:40]!r} where a number is expected; correct that line"
            )


def _fault(rows: list[tuple[int, str]], separators: str, error: Exception) -> str:
    for n, line in rows:
        _check_values(n, re.split(separators, line)[:-1])
    return re.sub(r"Error loading <.*?>\.\s*", "", str(error)) + "; correct the file or its header"


def _read_rows(path: Path) -> Table:
    """Read rows of a label and then values, as the UCR archive writes .tsv and .txt."""
    lines = [(n, line) for n, line in enumerate(_lines(path), 1) if line]
    if not lines:
        raise ValueError("it is empty; expected rows of a label and then values")
    separator = next((s for s in "\t," if s in lines[0][1]), None)
    fields = [[field.strip() for field in line.split(separator)] for _, line in lines]
    X = np.empty((len(fields), 1, max(1, len(fields[0]) - 1)))
    for (n, _), row, target in zip(lines, fields, X, strict=True):
        if len(fields[0]) < 2:
            raise ValueError(f"line {n} has no values, expected a label and then values in each")
        if len(row) != len(fields[0]):
            raise ValueError(
                f"line {n} has {len(row) - 1} values, the first has {len(fields[0]) - 1}; end"
                " shorter series with NaN"
            )
        if any("_" in value or not value.isascii() for value in row[1:]):  # digits to Python
            _check_values(n, row[1:])
        try:
            target[0] = ["nan" if v in MISSING else v for v in row[1:]]
        except ValueError:
            _check_values(n, row[1:])
            raise
    return Table(X=X, labels=label_texts([row[0] for row in fields]))


def _read_frame(path: Path) -> Table:
    optional("pandas", "tables")
    frame = read_frame(path, text=TEXT_COLUMNS)
    return from_frame(frame, list(map(str, frame.columns)))


def _read_npz(path: Path) -> Table:
    try:
        data = load_npz(path)
    except ValueError as error:
        if "allow_pickle" in str(error) or "pickled" in str(error):
            error = ValueError(
                "it holds pickled objects, which are never opened; save X as numbers and text as"
                " unicode arrays"
            )
        raise ValueError(f"{error}; write it again with numpy.savez") from error
    if "X" not in data or data["X"].dtype.kind not in "biuf" or data["X"].ndim not in (2, 3):
        raise ValueError("it needs an array X of numbers, (cases, timepoints) or (cases, channels,"
                         f" timepoints); its arrays are {listed(list(data))}")  # fmt: skip
    X = data["X"] if data["X"].ndim == 3 else data["X"][:, None, :]
    for key in ("y", "part", "group", "ends"):
        if key in data and data[key].shape != X.shape[:1]:
            raise ValueError(f"{key} has the shape {data[key].shape}, expected {X.shape[:1]}")
    classes = class_names(data["classes"]) if "classes" in data else None
    labels = data.get("y")
    if labels is not None and classes is not None:
        if labels.dtype.kind not in "iu" or not ((labels >= -1) & (labels < len(classes))).all():
            raise ValueError(f"y must be indices into the {len(classes)} classes")
        labels = np.array([*classes, ""])[labels]  # -1 is no label
    elif labels is not None:
        labels = label_texts(labels)
    part = data.get("part")
    if part is not None and part.dtype.kind in "US":
        part = part_codes(label_texts(part))
    elif part is not None and (part.dtype.kind not in "iu" or not np.isin(part, (0, 1, 2)).all()):
        raise ValueError(f"part must be one of {', '.join(PARTS)}, or their codes 0, 1 and 2")
    if "ends" in data and data["ends"].dtype.kind != "M":
        raise ValueError(f"ends must be datetime64, got {data['ends'].dtype}")
    return Table(
        X=as_numbers(X, "X"),
        labels=labels,
        classes=classes,
        part=None if part is None else part.astype(np.uint8),
        group=label_texts(data["group"], id_text) if "group" in data else None,
        ends=data["ends"].astype("datetime64[us]") if "ends" in data else None,
        channels=tuple(decoded(c) for c in data["channels"]) if "channels" in data else None,
        name=decoded(data["name"][()]) if "name" in data else None,
        offset=data.get("offset"),
        step=decoded(data["step"][()]) if "step" in data else None,
    )


def _lines(path: Path) -> list[str]:
    """Read the stripped lines of a text file."""
    return [line.strip(" ") for line in read_text(path).split("\n")]


_READERS: dict[str, Callable[[Path], Table]] = {
    ".ts": _read_ts,
    ".tsv": _read_rows,
    ".arff": _read_arff,
    ".txt": _read_rows,
    ".csv": _read_frame,
    ".parquet": _read_frame,
    ".npz": _read_npz,
}
SUFFIXES = tuple(_READERS)
"""Endings of the files that can be read, the preferred ones first; those of text may have .gz
behind them."""
_TEXT = tuple(suffix for suffix in SUFFIXES if suffix not in (".parquet", ".npz"))
