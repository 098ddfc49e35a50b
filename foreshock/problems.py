"""Problem: labelled series and their parts; loaded from names and files, saved, described."""

import hashlib
import json
import os
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foreshock import archive, formats, splits
from foreshock.cards import (
    Card,
    PartCard,
    canonical,
    count_missing,
    find_duplicates,
    is_z_normalised,
)
from foreshock.files import sync_folder
from foreshock.tables import PARTS, Part, check_series, chunks, join, ordered, unnamed_channels


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """Cases, their labels and their parts.

    Raises
    ------
    ValueError
        An array has the wrong shape, type or content; with the position of the fault.
    """

    name: str
    """What the problem is called."""
    X: NDArray[np.float32]
    """Series, (n_cases, n_channels, n_timepoints); NaN is missing, and a shorter series ends in NaN
    in every channel."""
    y: NDArray[np.int64]
    """Index of each case's class, (n_cases,); all -1 where no case has a label."""
    part: NDArray[np.uint8]
    """Code of each case's part, a position in ``PARTS``, (n_cases,)."""
    classes: tuple[str, ...]
    """Labels as text; in numerical order where all are numbers."""
    channels: tuple[str, ...]
    """Names of the channels."""
    group: NDArray[np.str_] | None = None
    """What each case belongs to (a person, a machine), (n_cases,)."""
    ends: NDArray[np.datetime64] | None = None
    """Time of each case's last reading, (n_cases,) datetime64[s], UTC."""

    def __post_init__(self) -> None:
        try:
            self._check()
        except ValueError as error:
            raise ValueError(f"problem {self.name!r}: {str(error).rstrip('.')}.") from None

    def _check(self) -> None:
        for field, kind in (("X", "float32"), ("y", "int64"), ("part", "uint8")):
            dtype = getattr(getattr(self, field), "dtype", "no array")
            if dtype != kind:
                raise ValueError(f"{field} must be {kind}, got {dtype}; convert with astype")
        check_series(self.X)
        for field in ("y", "part", "group", "ends"):
            array = getattr(self, field)
            if array is not None and array.shape != (self.n_cases,):
                raise ValueError(
                    f"{field} must have the shape ({self.n_cases},), got {array.shape}"
                )
        if self.group is not None and self.group.dtype.kind != "U":
            raise ValueError(f"group must be text, got {self.group.dtype}")
        if self.ends is not None and self.ends.dtype != "datetime64[s]":
            raise ValueError(f"ends must be datetime64[s], got {self.ends.dtype}")
        if self.ends is not None and np.isnat(self.ends).any():
            raise ValueError(f"ends has no time for case {int(np.isnat(self.ends).argmax())}")
        if int(self.part.max()) >= len(PARTS):
            raise ValueError(f"part codes are 0, 1 and 2, got {int(self.part.max())}")
        lowest, highest = (0, self.n_classes - 1) if self.classes else (-1, -1)
        if self.y.min() < lowest or self.y.max() > highest:
            raise ValueError(
                f"y must lie in {lowest}..{highest} for {self.n_classes} classes, got"
                f" {self.y.min()}..{self.y.max()}"
            )
        for field, names in (("classes", self.classes), ("channels", self.channels)):
            if len(set(names)) != len(names):
                raise ValueError(f"{field} must differ from each other, got {', '.join(names)}")
        if len(self.channels) != self.n_channels:
            raise ValueError(f"X has {self.n_channels} channels, got {len(self.channels)} names")

    @property
    def n_cases(self) -> int:
        """Number of cases."""
        return int(self.X.shape[0])

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return int(self.X.shape[1])

    @property
    def n_timepoints(self) -> int:
        """Length of the longest series."""
        return int(self.X.shape[2])

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Length of each series, (n_cases,): one past the last timepoint with a value."""
        lengths = np.empty(self.n_cases, dtype=np.int64)
        for start, chunk in chunks(self.X):
            seen = ~np.isnan(np.fmin.reduce(chunk, axis=1))  # (cases, timepoints)
            lengths[start : start + len(chunk)] = self.n_timepoints - seen[:, ::-1].argmax(axis=1)
        return lengths

    def select(self, part: Part) -> NDArray[np.int64]:
        """Return the positions of a part's cases, (n_part,)."""
        return np.flatnonzero(self.part == PARTS.index(part))


def available() -> dict[str, str]:
    """Map the names that load without a network to where they stand.

    Returns
    -------
    dict of str
        ``FORESHOCK_DATA``, ``bundled`` or ``cache`` for each name, in the order of the names.
    """
    return archive.available()


def load(source: str | Path, *, labelled: bool = True) -> Problem:
    """Load a problem.

    Parameters
    ----------
    source
        An existing file or folder, or else a name in the archive. A file whose name ends in
        ``train`` brings its ``valid`` and ``test`` partners along; a file that says nothing
        of parts is all train.
    labelled
        Whether labels are required. Where they are not and any is missing, the problem has
        no classes and its y is -1.

    Returns
    -------
    Problem
        The cases in the order of the files, train first.

    Raises
    ------
    ValueError
        There is no such source, or it holds no valid problem; with the reason.
    DownloadError
        It is an archive name that has to be downloaded and cannot be.
    """
    path = Path(source)
    if not str(source):
        raise ValueError("the name of the problem is empty; give a name, a file or a folder.")
    if not path.exists():
        if path.suffix.lower() in formats.SUFFIXES:
            raise ValueError(f"there is no file {source}; check its name.")
        path = archive.find(str(source)) / f"{source}_TRAIN.ts"
    files = formats.files_of(path)
    tables = []
    for file, part in files.items():
        table = formats.read(file, labelled=labelled)
        if table.part is None:
            codes = np.full(len(table.X), PARTS.index(part or "train"), dtype=np.uint8)
            table = replace(table, part=codes)
        elif len(files) > 1:
            raise ValueError(
                f"the name of {file} gives its part, and so do its cases; leave their part out, or"
                " put all cases into one file."
            )
        tables.append(table)
    try:
        whole = join(tables)
    except ValueError as error:
        raise ValueError(f"cannot load {source}: {error}; make them alike.") from None
    assert whole.part is not None
    n_cases, n_channels, _ = whole.X.shape
    classes: tuple[str, ...] = ()
    y = np.full(n_cases, -1, dtype=np.int64)
    if whole.labels is not None:
        classes = whole.classes or ordered(whole.labels)
        index = {label: i for i, label in enumerate(classes)}
        y = np.array([index[label] for label in whole.labels.tolist()], dtype=np.int64)
    return Problem(
        name=whole.name or formats.problem_of(next(iter(files)))[0],
        X=whole.X,
        y=y,
        part=whole.part,
        classes=classes,
        channels=whole.channels or unnamed_channels(n_channels),
        group=whole.group,
        ends=whole.ends,
    )


def save(problem: Problem, path: Path) -> None:
    """Save a problem as one .npz file, from which ``load`` makes an equal one.

    Parameters
    ----------
    problem
        What to save.
    path
        A new file ending in .npz; it appears complete or not at all.

    Raises
    ------
    ValueError
        The name does not end in .npz.
    FileExistsError
        There is such a file already; nothing is overwritten.
    """
    if path.suffix != ".npz":
        raise ValueError(f"a problem is saved as .npz, got {path.name}; end the name in .npz.")
    if path.exists():
        raise FileExistsError(f"{path} exists already; delete it or choose another name.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}; make it first.")
    arrays = {
        "name": np.array(problem.name),
        "X": problem.X,
        "y": problem.y,
        "part": problem.part,
        "classes": np.array(problem.classes, dtype=np.str_),
        "channels": np.array(problem.channels, dtype=np.str_),
        "group": problem.group,
        "ends": problem.ends,
    }
    kept = {key: array for key, array in arrays.items() if array is not None}
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        with (Path(folder) / path.name).open("xb") as file:
            np.savez(file, allow_pickle=False, **kept)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(path)
    sync_folder(path.parent)


def make_parts(
    problem: Problem, *, test: float | None = None, valid: float | None = None, seed: int = 0
) -> Problem:
    """Draw a missing test or valid part out of the train part.

    The cases of a group stay together. Where the cases have times, the latest become the new
    part (of groups, those that end last); else it is drawn at random with the balance of the
    classes kept.

    Parameters
    ----------
    problem
        A labelled problem.
    test
        Share of the train cases that becomes the test part; None leaves the part alone.
    valid
        Share of the train cases that then become the valid part; None leaves the part alone.
    seed
        Seed of the draw.

    Raises
    ------
    ValueError
        The part exists, the share is not between 0 and 1, or a class would be left out.
    """
    if test is not None:
        problem = _draw_part(problem, "test", test, seed)
    if valid is not None:
        problem = _draw_part(problem, "valid", valid, seed)
    return problem


def _draw_part(problem: Problem, name: Part, share: float, seed: int) -> Problem:
    existing = len(problem.select(name))
    if existing:
        raise ValueError(
            f"{problem.name} has a {name} part of {existing} cases already; leave --{name} out."
        )
    if not 0 < share < 1:
        raise ValueError(f"--{name} is a share of the train cases between 0 and 1, got {share}.")
    train = problem.select("train")
    if not problem.classes or len(train) < 2:
        raise ValueError(f"a {name} part needs two labelled train cases, {problem.name} has fewer.")
    group = None if problem.group is None else problem.group[train]
    ends = None if problem.ends is None else problem.ends[train]
    try:
        chosen = splits.draw(problem.y[train], share, group=group, ends=ends, seed=seed)
    except ValueError as error:
        raise ValueError(f"no {name} part can be drawn from {problem.name}: {error}.") from error
    part = problem.part.copy()
    part[train[chosen]] = PARTS.index(name)
    return replace(problem, part=part)


def card(problem: Problem) -> Card:
    """Describe a problem: sizes, balance, gaps, and what would make a score too good."""
    missing = count_missing(problem.X, problem.lengths)
    train = problem.y[problem.part == PARTS.index("train")]
    parts: dict[str, PartCard] = {}
    for code, name in enumerate(PARTS):
        inside = problem.part == code
        if not inside.any():
            continue
        lengths, y = problem.lengths[inside], problem.y[inside]
        counts = np.bincount(y[y >= 0], minlength=problem.n_classes).tolist()
        unknown = np.setdiff1d(y[y >= 0], train).tolist()
        parts[name] = PartCard(
            cases=len(y),
            length_min=int(lengths.min()),
            length_median=float(np.median(lengths)),
            length_max=int(lengths.max()),
            class_counts=dict(zip(problem.classes, counts, strict=True)) if problem.classes else {},
            missing_values=int(missing[inside].sum()),
            cases_with_missing=int(np.count_nonzero(missing[inside])),
            labels_not_in_train=tuple(problem.classes[k] for k in unknown),
        )
    across: list[str] = []
    if problem.group is not None:
        pairs = set(zip(problem.group.tolist(), problem.part.tolist(), strict=True))
        counted = Counter(group for group, _ in pairs)
        across = sorted(group for group, parts_of in counted.items() if parts_of > 1)
    return Card(
        name=problem.name,
        n_channels=problem.n_channels,
        channels=problem.channels,
        n_timepoints=problem.n_timepoints,
        z_normalised=is_z_normalised(problem.X),
        parts=parts,
        duplicates=find_duplicates(problem.X, problem.part, PARTS),
        groups_across_parts=tuple(across),
    )


def digest(problem: Problem) -> str:
    """Hash what a problem holds, whatever its name, as the text of a sha256."""
    head = [problem.X.shape, problem.classes, problem.channels]
    result = hashlib.sha256(json.dumps(head).encode())
    for _, chunk in chunks(problem.X):
        result.update(canonical(chunk).tobytes())
    result.update(problem.y.astype("<i8").tobytes())
    result.update(problem.part.tobytes())
    return str(result.hexdigest())
