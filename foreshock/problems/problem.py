"""Problem: labelled series and their parts; loaded from names and files, saved, described."""

import dataclasses
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock._arrays import (
    Arrays,
    as_lists,
    as_numbers,
    chunks,
    count_codes,
    is_masked,
    is_uneven,
    padded,
    reduce_series,
    sample,
    to_float32,
    warn_of_layout,
)
from foreshock._json import decode
from foreshock._text import alike
from foreshock._time import format_duration, parse_duration, parse_time, plain_step
from foreshock.problems import PARTS, Part, formats, store
from foreshock.problems.formats import check_series, join, ordered, unnamed_channels
from foreshock.problems.rule import Candidates, Rule
from foreshock.readings.config import SourceConfig
from foreshock.readings.series import Readings, Series, Units, Windows, tell_time

logger = logging.getLogger(__name__)

NO_FOLD = 255
"""Fold of a case that is in none."""


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
    X: Series
    """Series, (n_cases, n_channels, n_timepoints); NaN is missing, and a shorter series ends in NaN
    in every channel. Kept as float32, less the `offset`; any array of numbers may be given, and
    what is masked in it is missing. Windows over readings where the problem was cut from them."""
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
    """Time of each case's last reading, (n_cases,) datetime64[us], UTC."""
    step: str | None = None
    """Time from one reading to the next, where it is known: a duration (1min), or a number (0.5)
    where times are numbers. Of windows over readings it is that of the readings."""
    fold: NDArray[np.uint8] | None = None
    """Fold of each train case, (n_cases,), a stretch of time; `NO_FOLD` for cases of other parts
    and for those too near to another fold to be told apart from it."""
    rule: Rule | None = None
    """By what rule the cases were cut from readings."""
    events: NDArray[np.datetime64] | None = None
    """Times of the events, (n_events,) datetime64[us], UTC, ascending in each unit, where they were
    listed and not read from a channel by the rule."""
    event_unit: NDArray[np.int32] | None = None
    """Position of each event's unit, (n_events,), ascending, where the readings are of several."""
    candidates: Candidates | None = None
    """What became of all the cases that there might have been."""
    chance: NDArray[np.float32] | None = None
    """True probability of the last class, (n_cases,), where a simulation knows it."""
    offset: NDArray[np.float64] | None = None
    """What was taken off each channel, (n_channels,), because float32 would not tell its values
    apart. Chosen, by the train part, where X is given in another type; None where it is 0."""

    def __post_init__(self) -> None:
        if self.ends is not None and self.ends.dtype.kind == "M":
            object.__setattr__(self, "ends", self.ends.astype("datetime64[us]", copy=False))
        try:
            self._take_series()
            if isinstance(self.X, Windows):
                object.__setattr__(self, "step", self.X.readings.step_text)
            elif self.step is not None:
                object.__setattr__(self, "step", plain_step(self.step))
            self._check()
        except ValueError as error:
            raise ValueError(f"problem {self.name!r}: {str(error).rstrip('.')}.") from None
        if not isinstance(self.X, Windows):
            warn_of_layout(self.X, f"problem {self.name!r}")

    def _take_series(self) -> None:
        """Keep the series as float32."""
        if isinstance(self.X, Windows):
            object.__setattr__(self, "offset", self.X.offset)
            return
        X: Any = as_lists(self.X)
        X = padded(X) if is_uneven(X) else as_numbers(X, "X")
        if X.ndim != 3 or self.offset is not None:
            X = X.astype(np.float32, copy=False)
        elif X.dtype != np.float32:
            part = np.asarray(self.part)
            known = part == PARTS.index("train") if part.shape == X.shape[:1] else slice(None)
            X, offset = reduce_series(X, known, self.channels)
            object.__setattr__(self, "offset", offset)
        object.__setattr__(self, "X", X)

    def _check(self) -> None:
        for field in ("y", "part", "group", "ends", "fold"):
            if is_masked(getattr(self, field)):
                raise ValueError(f"{field} is masked for some cases; leave these out")
        if self.offset is not None and (
            getattr(self.offset, "dtype", None) != np.float64
            or self.offset.shape != self.X.shape[1:2]
            or not np.isfinite(self.offset).all()
        ):
            raise ValueError(f"offset must be float64 (n_channels,), got {self.offset!r:.40}")
        for field, kind in (("X", "float32"), ("y", "int64"), ("part", "uint8")):
            dtype = getattr(getattr(self, field), "dtype", "no array")
            if dtype != kind:
                raise ValueError(f"{field} must be {kind}, got {dtype}; convert with astype")
        if isinstance(self.X, Windows):
            self.X.check()
        else:
            check_series(self.X)
        for field in ("y", "part", "group", "ends", "fold", "chance"):
            array = getattr(self, field)
            if array is not None and array.shape != (self.n_cases,):
                raise ValueError(
                    f"{field} must have the shape ({self.n_cases},), got {array.shape}"
                )
        if self.group is not None and self.group.dtype.kind != "U":
            raise ValueError(f"group must be text, got {self.group.dtype}")
        if self.ends is not None and self.ends.dtype != "datetime64[us]":
            raise ValueError(f"ends must be datetime64, got {self.ends.dtype}")
        if self.ends is not None and np.isnat(self.ends).any():
            raise ValueError(f"ends has no time for case {int(np.isnat(self.ends).argmax())}")
        if self.events is not None:
            back = self.events[1:] < self.events[:-1]
            if self.event_unit is not None:
                back &= self.event_unit[1:] == self.event_unit[:-1]
            if self.events.dtype != "datetime64[us]" or back.any():
                raise ValueError("events must be datetime64[us], in the order of time")
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

    def less(self, offset: NDArray[np.float64] | None) -> "Problem":
        """Return the same problem with another offset (n_channels,); None is 0."""
        if isinstance(self.X, Windows):
            return replace(self, X=self.X.less(offset))
        ours = np.zeros(self.n_channels) if self.offset is None else self.offset
        if np.array_equal(ours, np.zeros(self.n_channels) if offset is None else offset):
            return self
        return replace(self, X=to_float32(self.X + ours[:, None], offset), offset=offset)

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
        if isinstance(self.X, Windows):  # what is missing at a window's end is a gap, no padding
            return np.broadcast_to(np.int64(self.n_timepoints), self.n_cases)
        lengths = np.empty(self.n_cases, dtype=np.int64)
        for start, chunk in chunks(self.X):
            seen = ~np.isnan(np.fmin.reduce(chunk, axis=1))  # (cases, timepoints)
            lengths[start : start + len(chunk)] = self.n_timepoints - seen[:, ::-1].argmax(axis=1)
        return lengths

    @property
    def readings(self) -> Readings | None:
        """What the cases were cut from, if they were."""
        return self.X.readings if isinstance(self.X, Windows) else None

    @property
    def warned(self) -> tuple[int, ...]:
        """Classes that alarms are for: the second of two, or the states that the rule names."""
        if self.rule is not None and self.rule.ask != "event":
            return tuple(self.classes.index(state) for state in self.rule.event_state)
        return (1,) if self.n_classes == 2 else ()

    @property
    def unit(self) -> NDArray[np.integer[Any]] | None:
        """Position of the unit that each case is of, (n_cases,), where there are several."""
        return self.X.unit if isinstance(self.X, Windows) else None

    @property
    def counted(self) -> bool:
        """Whether the cases were cut from numbered readings, without a clock."""
        return self.readings is not None and self.readings.counted

    def select(self, part: Part) -> NDArray[np.int64]:
        """Return the positions of a part's cases, (n_part,)."""
        return np.flatnonzero(self.part == PARTS.index(part))

    def count(self, part: Part) -> int:
        """Return the number of a part's cases."""
        return int(np.count_nonzero(self.part == PARTS.index(part)))

    def rows(self, part: Part) -> slice | NDArray[np.int64]:
        """Return what picks a part's cases out of arrays: a slice where they lie side by side."""
        inside = self.part == PARTS.index(part)
        size, first = int(np.count_nonzero(inside)), int(inside.argmax())
        if inside[first : first + size].all():
            return slice(first, first + size)
        return np.flatnonzero(inside)

    def series(self, part: Part) -> Series:
        """Return a part's series, (n_part, n_channels, n_timepoints), as lazy as `X` is."""
        rows = self.rows(part)
        return self.X.take(rows) if isinstance(self.X, Windows) else self.X[rows]


def available() -> dict[str, str]:
    """Map the names that load without a network to where they stand.

    Returns
    -------
    dict of str
        ``FORESHOCK_DATA``, ``bundled`` or ``cache`` for each name, in the order of the names.
    """
    from foreshock.problems import archive

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
    if store.is_stored(path):
        return _from_store(*store.read(path), path)
    if not path.exists():
        if formats.ending(path) in (*formats.SUFFIXES, ".gz"):
            raise ValueError(f"there is no file {source}; check its name.")
        from foreshock.problems import archive

        path = archive.find(str(source)) / f"{source}_TRAIN.ts"
        path = path if path.is_file() else path.with_name(f"{path.name}.gz")
    files = formats.files_of(path)
    tables = []
    for file, part in files.items():
        table = formats.read(file, labelled=labelled)
        if table.part is None:
            codes = np.full(len(table.X), PARTS.index(part or "train"), dtype=np.uint8)
            table = replace(table, part=codes)
        elif len(files) > 1:
            raise ValueError(
                f"the name of {file} gives its part, and so do its cases; remove their part, or put"
                " all cases into one file."
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
    name = whole.name or formats.problem_of(next(iter(files)))[0]
    if note := alike(classes):
        logger.warning("%s: %s.", name, note)
    return Problem(
        name=name,
        X=whole.X,
        y=y,
        part=whole.part,
        classes=classes,
        channels=whole.channels or unnamed_channels(n_channels),
        group=whole.group,
        ends=whole.ends,
        offset=whole.offset,
        step=whole.step,
    )


def save(problem: Problem, path: str | Path) -> None:
    """Save a problem, from which ``load`` makes an equal one.

    Parameters
    ----------
    problem
        What to save.
    path
        A new file ending in .npz; or, for a problem that is cut from readings, also a new folder,
        from which it is memory-mapped. It appears complete or not at all.

    Raises
    ------
    ValueError
        The name fits neither, or the problem has what the file would not hold.
    FileExistsError
        There is something of that name already; nothing is overwritten.
    """
    path = Path(path)
    cut = isinstance(problem.X, Windows)
    lost = ("group",) if cut else ("fold", "rule", "candidates", "chance", "events")
    for field in lost:
        if getattr(problem, field) is not None:
            kind = "windows over readings" if cut else "series that are not windows"
            raise ValueError(f"a problem of {kind} cannot be saved with {field}: set it to None.")
    if path.suffix != ".npz" and (path.suffix or not cut):
        kinds = ".npz, or as a folder, whose name has no ending" if cut else ".npz"
        raise ValueError(f"a problem must be saved as {kinds}, got {path.name}.")
    if isinstance(problem.X, Windows):
        if path.suffix:
            store.write_npz(path, *to_store(problem))
        else:
            with store.building(path) as folder:
                folder.finish(*to_store(problem))
        return
    arrays: dict[str, NDArray[Any] | None] = {
        "name": np.array(problem.name),
        "X": problem.X,
        "y": problem.y,
        "part": problem.part,
        "classes": np.array(problem.classes, dtype=np.str_),
        "channels": np.array(problem.channels, dtype=np.str_),
        "group": problem.group,
        "ends": problem.ends,
        "offset": problem.offset,
        "step": None if problem.step is None else np.array(problem.step),
    }
    store.write_npz(path, {key: array for key, array in arrays.items() if array is not None})


def to_store(problem: Problem) -> tuple[Arrays, dict[str, Any]]:
    """Return the arrays and the header of which a problem cut from readings is made again."""
    assert isinstance(problem.X, Windows) and problem.rule is not None
    readings, candidates = problem.X.readings, problem.candidates
    arrays = {
        "values": readings.values,
        "ends": problem.ends,
        "y": problem.y,
        "part": problem.part,
        "fold": problem.fold,
        "chance": problem.chance,
        "events": problem.events,
        "event_unit": problem.event_unit,
        "unit": problem.unit,
        "unit_names": None if readings.units is None else readings.units.names,
        "unit_starts": None if readings.units is None else readings.units.starts,
        "unit_firsts": None if readings.units is None else readings.units.firsts,
        "candidate_times": None if candidates is None else candidates.times,
        "candidate_outcomes": None if candidates is None else candidates.outcomes,
        "candidate_unit": None if candidates is None else candidates.unit,
    }
    header: dict[str, Any] = {
        "name": problem.name,
        "classes": problem.classes,
        "channels": readings.channels,
        "start": str(readings.start),
        "step": format_duration(readings.step),
        "rule": dataclasses.asdict(problem.rule),
        "source": None if readings.source is None else dataclasses.asdict(readings.source),
        "counts": None if candidates is None else candidates.counts,
    }
    if readings.offset is not None:
        header["offset"] = readings.offset.tolist()
    if readings.counted:
        header["counted"] = True
    return {name: array for name, array in arrays.items() if array is not None}, header


def _from_store(arrays: Arrays, header: dict[str, Any], path: Path) -> Problem:
    try:
        source = header["source"]
        readings = Readings(
            values=arrays["values"],
            start=parse_time(header["start"]),
            step=parse_duration(header["step"]),
            channels=tuple(header["channels"]),
            offset=None if "offset" not in header else np.array(header["offset"], np.float64),
            source=None if source is None else decode(SourceConfig, source, "source"),
            units=_units(arrays),
            counted=header.get("counted", False),
        )
        rule = decode(Rule, header["rule"], "rule")
        candidates = None
        if header["counts"] is not None:
            candidates = Candidates(
                times=arrays["candidate_times"],
                outcomes=arrays["candidate_outcomes"],
                counts={name: (events, rest) for name, (events, rest) in header["counts"].items()},
                unit=arrays.get("candidate_unit"),
            )
        return Problem(
            name=header["name"],
            X=Windows(
                readings, arrays["ends"], rule.window, arrays.get("unit"), rule.inputs or None
            ),
            y=arrays["y"],
            part=arrays["part"],
            classes=tuple(header["classes"]),
            channels=rule.inputs or readings.channels,
            ends=arrays["ends"],
            fold=arrays.get("fold"),
            rule=rule,
            events=arrays.get("events"),
            event_unit=arrays.get("event_unit"),
            candidates=candidates,
            chance=arrays.get("chance"),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: it lacks {error}.") from error


def _units(arrays: Arrays) -> Units | None:
    """Return the units of stored readings."""
    if "unit_names" not in arrays:
        return None
    names, starts, firsts = (arrays[f"unit_{field}"] for field in ("names", "starts", "firsts"))
    return Units(names=names, starts=starts, firsts=firsts)


_TOLERANCE = 1e-2
_CHECKED = 4096


@dataclass(frozen=True, kw_only=True)
class PartCard:
    """One part of a problem."""

    cases: int
    """Number of cases."""
    length_min: int
    """Length of the shortest series."""
    length_median: float
    """Median length of the series."""
    length_max: int
    """Length of the longest series."""
    class_counts: dict[str, int]
    """Number of cases of each class, in the order of the classes."""
    missing_values: int
    """Number of values missing before the ends of the series."""
    cases_with_missing: int
    """Number of cases with such a value."""
    labels_not_in_train: tuple[str, ...]
    """Classes here of which the train part has no case."""
    first: str | None = None
    """Time of the first reading of the first case, where cases have times; of the cases' ends
    where only those are known."""
    last: str | None = None
    """Time of the last reading of the last case."""
    units: int | None = None
    """Number of units that the cases are of, where there are several."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a problem holds, as numbers and text that JSON can write."""

    name: str
    """Name of the problem."""
    n_channels: int
    """Number of channels."""
    channels: tuple[str, ...]
    """Names of the channels."""
    n_timepoints: int
    """Length of the longest series."""
    z_normalised: bool
    """Whether every series has mean 0 and standard deviation 1; constant ones do not count."""
    parts: dict[str, PartCard]
    """The parts that have cases."""
    step: str | None = None
    """Time from one reading to the next, where it is known."""
    alike: str | None = None
    """Which classes differ by form alone, where any do."""


def card(problem: Problem) -> Card:
    """Describe a problem: sizes, lengths, balance, gaps."""
    parts: dict[str, PartCard] = {}
    missing, gappy = _count_missing(problem)
    train = count_codes(_labels(problem, "train"), problem.n_classes)
    for code, name in enumerate(PARTS):
        if not problem.count(name):
            continue
        rows = problem.rows(name)
        counts = count_codes(_labels(problem, name), problem.n_classes)
        lengths = problem.lengths[rows]
        first, last = _span(problem, rows)
        parts[name] = PartCard(
            cases=len(lengths),
            length_min=int(lengths.min()),
            length_median=float(np.median(lengths[sample(len(lengths), 10**6)])),
            length_max=int(lengths.max()),
            class_counts=dict(zip(problem.classes, counts.tolist(), strict=True)),
            missing_values=int(missing[code]),
            cases_with_missing=int(gappy[code]),
            labels_not_in_train=tuple(
                problem.classes[k] for k in np.flatnonzero((counts > 0) & (train == 0))
            ),
            first=first,
            last=last,
            units=None if problem.unit is None else len(np.unique(problem.unit[rows])),
        )
    return Card(
        name=problem.name,
        n_channels=problem.n_channels,
        channels=problem.channels,
        n_timepoints=problem.n_timepoints,
        z_normalised=is_z_normalised(problem.X),
        parts=parts,
        step=problem.step,
        alike=alike(problem.classes),
    )


def _labels(problem: Problem, part: Part) -> NDArray[np.int64]:
    if not problem.classes:
        return np.zeros(0, np.int64)
    return problem.y[problem.rows(part)]


def _span(problem: Problem, rows: slice | NDArray[np.int64]) -> tuple[str | None, str | None]:
    """Return the times of the first and the last reading of some cases."""
    if problem.ends is None:
        return None, None
    ends = problem.ends[rows]
    first, last = ends.min(), ends.max()
    if problem.readings is not None:
        first = first - (problem.n_timepoints - 1) * problem.readings.step
    first, last = (tell_time(time, counted=problem.counted) for time in (first, last))
    return first, last


def _count_missing(problem: Problem) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count missing values before the ends of the series, and cases with any, of each part."""
    values, cases = np.zeros((2, len(PARTS)), np.int64)
    for start, missing in _missing(problem):
        part = problem.part[start : start + len(missing)]
        values += np.bincount(part, missing, len(PARTS)).astype(np.int64)
        cases += np.bincount(part, missing > 0, len(PARTS)).astype(np.int64)
    return values, cases


def _missing(problem: Problem) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Count the missing values of each case, stretch by stretch of cases."""
    X = problem.X
    if isinstance(X, Windows):
        yield from X.missing()
        return
    for start, chunk in chunks(X):
        ends = problem.lengths[start : start + len(chunk)]
        missing = np.isnan(chunk).sum(axis=(1, 2))
        yield start, missing - (problem.n_timepoints - ends) * problem.n_channels


def is_z_normalised(X: Series) -> bool:
    """Check whether every series that varies has mean 0 and standard deviation 1.

    Either divisor of the variance, n or n - 1, will do.
    """
    varying = False
    if isinstance(X, Windows):
        X = X.take(sample(len(X), _CHECKED))
    for _, chunk in chunks(X):
        seen = ~np.isnan(chunk)
        n = seen.sum(axis=2)  # (cases, channels)
        values = np.where(seen, chunk, 0).astype(np.float64)
        mean = values.sum(axis=2) / np.maximum(n, 1)
        squares = (np.where(seen, values - mean[:, :, None], 0) ** 2).sum(axis=2)
        varies = squares > 1e-12 * np.maximum(1, mean**2)
        mean, squares, n = mean[varies], squares[varies], n[varies]
        near = np.abs(np.sqrt(squares / n) - 1) < _TOLERANCE
        near |= np.abs(np.sqrt(squares / (n - 1)) - 1) < _TOLERANCE
        if not (near & (np.abs(mean) < _TOLERANCE)).all():
            return False
        varying |= bool(varies.any())
    return varying
