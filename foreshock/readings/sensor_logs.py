"""Readings out of files: sensor logs, arrays, earthquake catalogues, one file or several."""

import contextlib
import dataclasses
import json
import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from foreshock._arrays import load_array
from foreshock._optional import optional
from foreshock._text import counted as count_of
from foreshock._text import listed
from foreshock._time import parse_duration, parse_time
from foreshock.readings.catalog import (
    TEXT,
    Catalog,
    from_frame,
    is_catalog,
    join_catalogs,
    to_readings,
)
from foreshock.readings.columns import (
    COUNTS,
    LINE,
    MOST_TEXTS,
    TIMES,
    AmbiguousDatesError,
    Dates,
    Texts,
    order_of_dates,
    row_numbers,
    text_or_numbers,
    time_names,
    times_in,
    unit_names,
    utc_times,
)
from foreshock.readings.config import DEFAULT, LogConfig, SourceConfig
from foreshock.readings.frames import (
    csv_frame,
    header_of,
    naming,
    parquet_header,
    read_frame,
    read_text,
)
from foreshock.readings.resampling import (
    APART,
    Rows,
    by_unit,
    describe_filled,
    fill,
    most_filled,
    numbered,
    regular,
    warn_of_gaps,
)
from foreshock.readings.series import Readings, Units, join
from foreshock.run import is_run

logger = logging.getLogger(__name__)

SUFFIXES = (".csv", ".txt", ".tsv", ".dat", ".log", ".parquet", ".npy")
"""Endings of the files that can be read; those of text may have .gz behind them."""
_TEXT_FILES = SUFFIXES[:-2]
_SECOND = np.timedelta64(1, "s")
_MANY = 200
"""Fewest rows of a list of events that may be a log by mistake."""
_ROWS = "rows"
"""What --log.time is for files without times."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Array:
    """An array of one unit or several, as precise as the file has it."""

    values: NDArray[Any]
    """Float64, or float32 of an array that has such, (n_channels, n_timepoints)."""
    start: np.datetime64
    step: np.timedelta64
    channels: tuple[str, ...]
    path: Path
    n_units: int | None = None
    """How many units of equal length lie one after the other; None where there are none."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Table:
    """The rows of one file."""

    path: Path
    times: NDArray[np.datetime64] | None
    """(n_rows,); None where the rows are to be numbered."""
    unit: Texts | None
    """Each row's unit, where a column names it."""
    columns: dict[str, NDArray[np.float64] | Texts]
    """What channels are made of, (n_rows,) each."""
    lines: NDArray[np.int64] | None
    """Each row's line, where that is known."""
    dates: Dates | None
    """What comes first in its dates, if not the year."""


def load_readings(*paths: str | Path, config: SourceConfig = DEFAULT) -> Readings:
    """Load readings from a file, or from several: of one recording, or each of its own unit.

    Parameters
    ----------
    *paths
        Sensor logs (.csv, .txt, .tsv, .dat, .log, .parquet; text packed by gzip or not), folders of
        them, arrays (.npy), or earthquake catalogues: CSV of USGS ComCat or NCEDC, text of FDSN
        event services, or Parquet. Files that have columns for magnitude and place are catalogues.
        An array of float32 stays on disk, memory-mapped; it is (n_channels, n_timepoints), or
        (n_channels, n_units, n_timepoints).
    config
        How rows become readings.

    Returns
    -------
    Readings
        Time steps for which the files have nothing are NaN. Units are in the order in which the
        files have them.

    Raises
    ------
    ValueError
        A file cannot be read, or its clock is irregular and no rule says what to do; with what
        is wrong, how often, and what to do.
    """
    if not paths:
        raise ValueError("name at least one file of readings.")
    log = config.log
    files = [file for path in paths for file in files_in(Path(path))]
    parts: dict[int, _Array | _Table | Catalog] = {}
    undated: list[int] = []
    for k, path in enumerate(files):
        with naming(path):
            try:
                parts[k] = _part(path, log)
            except AmbiguousDatesError:
                if len(files) == 1:
                    raise
                undated.append(k)
                continue
        log = replace(log, dates=log.dates or getattr(parts[k], "dates", None))
    for k in undated:  # another file may have told what comes first
        with naming(files[k]):
            parts[k] = _part(files[k], log)
    every = [parts[k] for k in range(len(files))]
    arrays = [part for part in every if isinstance(part, _Array)]
    tables = [part for part in every if isinstance(part, _Table)]
    catalogs = [part for part in every if isinstance(part, Catalog)]
    if sum(map(bool, (arrays, tables, catalogs))) > 1:
        what = "catalogues" if catalogs else "arrays"
        raise ValueError(
            f"some of these files are {what} and some are not; give files of one kind."
        )
    _check_used(config, "catalog" if catalogs else "log")
    if catalogs:
        return to_readings(
            join_catalogs(catalogs) if len(catalogs) > 1 else catalogs[0], config.catalog
        )
    with _naming(files):
        readings = _of_arrays(arrays, log) if arrays else _of_tables(tables, log)
    return replace(readings, source=SourceConfig(log=replace(log, start=None)))


@contextlib.contextmanager
def _naming(files: Sequence[Path]) -> Iterator[None]:
    """Turn what goes wrong with files together into one ValueError that names them."""
    more = len(files) - 1
    with naming(f"{files[0]} and {count_of(more, 'other file')}" if more else files[0]):
        yield


def files_in(path: Path) -> list[Path]:
    """List the files that a path stands for: itself, or those of a folder in their natural order.

    Of a folder, also one that is divided into others (unit=3/part-0.parquet), the Parquet files are
    meant, or else those of text with the first ending that any has: .csv, .txt, .tsv, .dat, .log.

    Raises
    ------
    ValueError
        A folder has none, or is that of a run or of a problem.
    """
    if not path.is_dir():
        return [path]
    if is_run(path):
        raise ValueError(
            f"{path} is the folder of a run, not readings: name a log. For a forecast by the run's"
            f" model: foreshock predict {path} READINGS."
        )
    if (path / "problem.json").is_file():
        raise ValueError(
            f"{path} is the folder of a problem, not readings: foreshock train {path} takes it as"
            " it is; to cut it in another way, name the log that it was cut from."
        )
    inside = [each for each in path.rglob("*") if each.is_file() and not _is_hidden(each, path)]
    kinds = (".parquet", *_TEXT_FILES)
    for kind in kinds:
        found = [each for each in inside if _kind(each) == kind]
        if found:
            return sorted(found, key=_natural)
    raise ValueError(f"the folder {path} has no file ending in {', '.join(kinds)}.")


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Return a key that sorts 2 before 10."""
    parts = re.split(r"([0-9]+)", str(path))
    return [(int(part), "") if k % 2 else (0, part) for k, part in enumerate(parts)]


def _kind(path: Path) -> str:
    """Return the ending of a file's name that tells its format."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    packed = suffixes[-1:] == [".gz"] and len(suffixes) > 1
    return suffixes[-2] if packed else path.suffix.lower()


def kind_of(path: Path, config: LogConfig = DEFAULT.log) -> Literal["log", "catalog"] | None:
    """Return whether files are sensor logs, arrays among them, or catalogues; None for cases.

    Logs have a column with times: the one named, or one that is called as such usually are.
    """
    if path.is_dir():
        try:
            path = files_in(path)[0]
        except ValueError:
            return None
    if not path.is_file():
        return None
    if path.suffix.lower() == ".npy":
        return "log"
    index = None
    if path.suffix.lower() == ".parquet":
        columns, index = parquet_header(path)
    elif {suffix.lower() for suffix in path.suffixes[-2:]} & set(_TEXT_FILES):
        with naming(path):
            columns = header_of(read_text(path), names=config.names)
    else:
        return None
    if is_catalog(columns):
        return "catalog"
    timed = _time_names(columns, config, index) or config.time == _ROWS
    of_cases = {"case"} | ({"label"} if config.time == _ROWS else set())
    return "log" if timed and not of_cases & set(map(str.lower, columns)) else None


def _check_used(config: SourceConfig, kind: Literal["log", "catalog"]) -> None:
    """Refuse options for the other kind of file, which would have no effect."""
    ours, theirs = "sensor log", "--catalog"
    given, usual = dataclasses.asdict(config.catalog), dataclasses.asdict(DEFAULT.catalog)
    if kind == "catalog":
        ours, theirs = "catalogue", "--log"
        given, usual = dataclasses.asdict(config.log), dataclasses.asdict(DEFAULT.log)
        for name in ("time", "time_unit", "timezone", "dates"):  # they may be for a list of events
            del given[name]
    for name, value in given.items():
        if value != usual[name]:
            raise ValueError(
                f"{theirs}.{name.replace('_', '-')} does not apply to a {ours}: leave it out."
            )


def read_times(path: Path, config: LogConfig = DEFAULT.log) -> NDArray[np.datetime64]:
    """Read a list of times, such as a log of failures; as `read_events`."""
    return read_events(path, config)[0]


def read_events(
    path: Path, config: LogConfig = DEFAULT.log, *, log: Path | None = None
) -> tuple[NDArray[np.datetime64], NDArray[np.str_] | None]:
    """Read a list of events, such as a log of failures, from a text, Parquet or JSON file.

    What the configuration says of a log holds where it fits: the columns that it names may be
    missing, and its unit is for numbers. Where readings are numbered, events have their numbers.

    JSON is a list of times, or of pairs of begin and end, whose begins are the events; or such
    lists by the names of logs, as the Numenta Anomaly Benchmark has them.

    Parameters
    ----------
    path
        The file.
    config
        How the log is read that the events are of.
    log
        The file of that log, whose name tells its list in a JSON file of several.

    Returns
    -------
    times : ndarray
        (n_rows,) datetime64[us], UTC, in the order of the rows.
    units : ndarray or None
        The name of each event's unit, (n_rows,); None where no column has them.

    Raises
    ------
    ValueError
        The file cannot be read or a time in it, or it is a log; with the reason.
    """
    with naming(path):
        if path.suffix.lower() == ".npy":
            raise ValueError("an array has no column of times; give a CSV file")
        with_units = config.unit_column is not None or config.files == "units"
        names = [config.unit_column, "unit"] if with_units else []
        if path.suffix.lower() == ".json":
            frame = optional("pandas", "tables").DataFrame({"time": _listed_in(path, log)})
        else:
            frame = _frame(path, replace(config, names=()), kept=[name for name in names if name])
        assert not isinstance(frame, _Array)
        _check_rows(frame)
        known = {name.lower(): name for name in reversed(list(map(str, frame.columns)))}
        unit = next((known[name.lower()] for name in names if name and name.lower() in known), None)
        counted = is_counted(config)
        if config.time == _ROWS:  # an event has the number of its row in a column
            config = replace(config, time=None, time_unit="count")
        columns = [name for name in map(str, frame.columns) if name != unit]
        if config.time is not None and not time_names(columns, config.time):
            config = replace(config, time=None)
        if counted and config.time is None and not _time_names(columns, config):
            numbers = [name for name in ("row", "rows", "number", "count", "1") if name in known]
            config = replace(config, time=known[numbers[0]] if numbers else None)
        elif (
            config.time is None and len(columns) == 1 and frame[columns[0]].dtype.kind not in "iuf"
        ):
            config = replace(config, time=columns[0])
        wanted = next(iter(_time_names(columns, config)), None) if counted else config.time
        column, used = times_in(frame, wanted, config.time_unit)
        if column is None:
            raise ValueError(
                f"it has no column {'cycle' if counted else 'time'}; its columns are"
                f" {listed(map(str, frame.columns))}: call the one with the"
                f" {'numbers of the readings' if counted else 'times'} of events so, or as in the"
                " log (--log.time)"
            )
        numeric = optional("pandas", "tables").api.types.is_numeric_dtype(column.dtype)
        scale = config.time_unit if numeric else None
        if counted and not numeric:
            raise ValueError(
                f"readings are numbered (--log.time-unit count), but its {column.name!r} has"
                f" {str(column.iloc[0])[:40]!r}; give the numbers of the readings"
            )
        whose = None if unit is None else unit_names(frame[unit])
        times = utc_times(
            column,
            unit=scale,
            timezone=config.timezone,
            dates=config.dates,
            whose=None if whose is None else whose.codes,
        )
        _check_events(frame, times, whose, {*used, unit})
        return times, None if whose is None else np.array(whose.values)[whose.codes]


def _listed_in(path: Path, log: Path | None) -> list[str]:
    """Read times out of JSON: a list of them, or that of a log among those of several."""
    try:
        lists = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON of times: {error}") from error
    if isinstance(lists, dict):
        name = None if log is None else log.name.removesuffix(".gz")
        own = [key for key in lists if key.split("/")[-1] == name]
        if log is not None and len(own) > 1:  # the folder tells
            place = log.resolve().as_posix().removesuffix(".gz")
            own = [key for key in own if place.endswith(f"/{key}")] or own
        if len(own) != 1:
            which = f"{len(own)} lists" if own else "no list"
            raise ValueError(
                f"it has {which} for the log {name or '(of several files)'}; its lists are"
                f" {listed(own or lists)}: give the one log by its name there, or write its times"
                " as a CSV file with a column time"
            )
        lists = lists[own[0]]
    if not isinstance(lists, list):
        raise ValueError(f"it has {lists!r:.40} for a list of times")
    times = [each[0] if isinstance(each, list) and len(each) == 2 else each for each in lists]
    strange = next((each for each in times if not isinstance(each, str)), None)
    if strange is not None:
        raise ValueError(f"it has {strange!r:.40} for a time, or for a pair of begin and end")
    if not times:
        raise ValueError("its list is empty: there is no event to learn from")
    return times


def _check_events(
    frame: Any, times: NDArray[np.datetime64], whose: Texts | None, used: set[str | None]
) -> None:
    """Refuse a log that is given for a list of events: measurements, many, one every so long."""
    if len(times) < _MANY:
        return
    measured = [name for name in frame.columns if name not in used]
    measured = [
        name
        for name in measured
        if frame[name].dtype.kind in "iuf" and frame[name].nunique() > MOST_TEXTS
    ]
    unit = np.zeros(len(times), np.int64) if whose is None else whose.codes
    order = np.lexsort([times, unit])
    steps = np.diff(times[order])[np.diff(unit[order]) == 0]
    different, counts = np.unique(steps, return_counts=True)
    if measured and len(steps) and different[0] >= 0 and counts.max() > 0.9 * len(steps):
        raise ValueError(
            f"it looks like a log, not like a list of events: {len(times):,} rows at a regular"
            f" step, with measurements ({listed(measured, 3)}). Give a file with a row for each"
            " event, or let a channel tell them (--rule.event-above)"
        )


def is_counted(config: LogConfig) -> bool:
    """Check whether readings are numbered and have no clock."""
    return config.time_unit == "count" or config.time == _ROWS


def _part(path: Path, config: LogConfig) -> _Array | _Table | Catalog:
    """Read one file."""
    frame = _frame(path, config, kept=[config.unit_column] if config.unit_column else [])
    if isinstance(frame, _Array):
        return frame
    if is_catalog(list(frame.columns)):
        return from_frame(frame)
    return _table(path, frame, config)


def _frame(path: Path, config: LogConfig, kept: Sequence[str] = ()) -> Any:
    """Read a file as a data frame, with some columns as text; or as an array if it has one."""
    kind = _kind(path)
    if kind not in SUFFIXES and path.exists():
        raise ValueError(
            f"its name ends in {path.suffix or 'nothing'}, expected {', '.join(SUFFIXES)}"
        )
    if kind == ".npy":
        return _from_array(path, config)
    text = [name.lower() for name in kept]
    if kind == ".parquet":
        frame = read_frame(path, text=(*TEXT, *text))
        for name, value in re.findall(r"([^/\\=]+)=([^/\\]+)[/\\]", path.as_posix()):
            if name not in frame.columns:  # the folder has it, as of partitioned tables
                frame[name] = value
        return frame
    content = read_text(path)
    catalog = is_catalog(header_of(content, names=config.names or ()))
    return csv_frame(content, text=TEXT if catalog else text, names=config.names)


def _from_array(path: Path, config: LogConfig) -> _Array:
    counted = is_counted(config)
    if counted and (config.start is not None or config.step is not None):
        raise ValueError("numbered readings have no start and no step: leave them out")
    if not counted and (config.start is None or config.step is None):
        raise ValueError(
            "an array has no times; give the time of the first reading (--log.start"
            " 2003-12-31T22:57:01Z) and the step (--log.step 1s), or number the readings"
            " (--log.time rows)"
        )
    if config.unit_column is not None:
        raise ValueError(
            "an array has no columns: leave out --log.unit-column; one of several units is"
            " (n_channels, n_units, n_timepoints)"
        )
    try:
        values = load_array(path, mapped=True)
    except ValueError as error:
        raise ValueError(
            f"it is not an array of numbers: {error}; save it with numpy.save"
        ) from error
    if values.dtype.kind not in "biuf" or values.ndim not in (1, 2, 3) or values.size == 0:
        raise ValueError(
            f"it contains {values.dtype} of shape {values.shape}, expected numbers (n_channels,"
            " n_timepoints), or (n_channels, n_units, n_timepoints)"
        )
    values = values[None] if values.ndim == 1 else values
    n_units = None
    if values.ndim == 3:
        n_channels, n_units, n_timepoints = values.shape
        if n_channels > n_timepoints or (n_channels > n_units and not config.channels):
            raise ValueError(
                f"it has shape {values.shape}, which would be {n_channels} channels of {n_units}"
                f" units and {n_timepoints} timepoints; transpose it to (n_channels, n_units,"
                " n_timepoints), or, if it is that, name the channels (--log.channels)"
            )
        values = values.reshape(n_channels, -1)  # a view, if it is mapped as well
    if len(values) > values.shape[1]:
        raise ValueError(
            f"it has shape {values.shape}, more channels than timepoints; transpose it to"
            " (n_channels, n_timepoints)"
        )
    if values.dtype != np.float32:
        logger.info("%s is %s: it is converted in memory.", path, values.dtype)
        values = values.astype(np.float64)
    return _Array(
        values=values,
        start=np.datetime64(1, "s") if config.start is None else parse_time(config.start),
        step=_SECOND if config.step is None else parse_duration(config.step),
        channels=config.channels or tuple(f"channel {i}" for i in range(len(values))),
        path=path,
        n_units=n_units,
    )


def _of_arrays(arrays: Sequence[_Array], config: LogConfig) -> Readings:
    """Put arrays together; one alone stays where it is."""
    first = arrays[0]
    apart = config.files == "units"
    if len(arrays) > 1 and not apart and all(array.n_units is None for array in arrays):
        try:
            first, arrays = join(arrays), ()
        except ValueError as error:
            raise ValueError(f"{str(error).rstrip('.')}; or, {APART}") from None
    files = _file_names([array.path for array in arrays]) if apart else [""] * len(arrays)
    names, sizes = [], []
    for array, file in zip(arrays, files, strict=True):
        inner = [""] if array.n_units is None else list(map(str, range(array.n_units)))
        names += [_unit_name(file, name) for name in inner]
        sizes += [array.values.shape[1] // len(inner)] * len(inner)
        if array.channels != first.channels:
            raise ValueError(f"{array.path} has other channels than {first.path}")
    values = first.values
    if len(arrays) > 1:
        values = np.concatenate([array.values for array in arrays], axis=1)
    units = None
    firsts = np.cumsum([0, *sizes[:-1]])
    if apart or any(array.n_units is not None for array in arrays):
        _check_different(names)
        starts = np.full(len(names), first.start)
        units = Units(names=np.array(names), starts=starts, firsts=firsts)
    counted = is_counted(config)
    if config.fill is not None:
        logger.info("Filling converts an array in memory.")
        values = np.array(values)
        values = _filled(values, firsts, first.step, config)
    return Readings(
        values=values,
        start=first.start,
        step=first.step,
        channels=first.channels,
        units=units,
        counted=counted,
    )


def _filled(
    values: NDArray[Any], firsts: NDArray[np.int64], step: np.timedelta64, config: LogConfig
) -> NDArray[Any]:
    """Fill gaps in place as the configuration says, and say how many values that were."""
    if config.fill is not None:
        most = most_filled(config.fill, step, counted=is_counted(config))
        logger.info("%s", describe_filled(fill(values, firsts, most), values.size, config.fill))
    return values


def _labels(paths: Sequence[Path]) -> tuple[str, ...]:
    """Name files in messages, by their paths where their names are not different."""
    names = tuple(path.name for path in paths)
    return tuple(map(str, paths)) if len(set(names)) < len(names) else names


def _unit_name(file: str, name: str) -> str:
    return "/".join(filter(None, (file, name)))


def _check_different(names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        raise ValueError("several arrays of units have the same units: add --log.files units")


def _file_names(paths: Sequence[Path]) -> list[str]:
    """Name files by their stems; those with the same by their folders, too."""
    parts = [(*path.absolute().parent.parts, _stem(path)) for path in paths]
    twice, n_times = Counter(parts).most_common(1)[0]
    if n_times > 1:
        raise ValueError(f"{paths[parts.index(twice)]} is named twice; name it once")
    depths = [1] * len(parts)
    while True:
        names = ["/".join(part[-depth:]) for part, depth in zip(parts, depths, strict=True)]
        again = {name for name, n in Counter(names).items() if n > 1}
        if not again:
            return names
        depths = [d + (name in again) for d, name in zip(depths, names, strict=True)]


def _stem(path: Path) -> str:
    name = path.name[: -len(".gz")] if path.suffix.lower() == ".gz" else path.name
    return name[: -len(Path(name).suffix)] if Path(name).suffix else name


def _table(path: Path, frame: Any, config: LogConfig) -> _Table:
    """Read the times, units and values of a log."""
    columns = list(map(str, frame.columns))
    unit, used = None, set()
    if config.unit_column is not None:
        if config.unit_column not in columns:
            raise ValueError(
                f"it has no column {config.unit_column!r} with the names of units"
                f" (--log.unit-column); its columns are {listed(columns)}"
            )
        _check_rows(frame)
        unit, used = unit_names(frame[config.unit_column]), {config.unit_column}
    times, dates = None, None
    if config.time == _ROWS and _ROWS not in columns:
        if config.resample != "refuse" or config.step is not None:
            raise ValueError(
                "rows that are numbered (--log.time rows) have no step and are not resampled: leave"
                " out --log.step and --log.resample"
            )
        _check_rows(frame)
        used |= set(time_names(columns))
    else:
        column, names = _times(frame, config)
        used |= set(names)
        dates = config.dates or order_of_dates(column)
        times = utc_times(
            column,
            unit=config.time_unit,
            timezone=config.timezone,
            dates=dates,
            whose=None if unit is None else unit.codes,
        )
    return _Table(
        path=path,
        times=times,
        unit=unit,
        columns=_columns(frame, used, config),
        lines=frame.index.to_numpy(np.int64) if frame.index.name == LINE else None,
        dates=dates,
    )


def _check_rows(frame: Any) -> None:
    if not len(frame):
        raise ValueError(f"it has no rows below its columns {listed(map(str, frame.columns))}")


def _columns(frame: Any, used: set[str], config: LogConfig) -> dict[str, NDArray[Any] | Texts]:
    """Read what the channels are made of."""
    names = list(map(str, frame.columns))
    wanted = {name: False for name in names if name not in used}  # whether only as text
    if config.channels:
        wanted = {}
        for channel in config.channels:
            column = channel if channel in names else _column_of(channel, names)
            if column is None:
                raise ValueError(f"it has no channel {channel!r}; its columns are {listed(names)}")
            wanted[column] = wanted.get(column, True) and column != channel
    if not wanted:
        raise ValueError(
            f"it has no channels besides its times{' and units' * bool(config.unit_column)}; its"
            f" columns are {listed(names)}"
        )
    numeric = [name for name in wanted if frame[name].dtype.kind in "iuf"]
    advice = "name those to read (--log.channels), or make it numbers"
    read = {
        name: text_or_numbers(frame[name], advice, as_text=as_text)
        for name, as_text in wanted.items()
    }
    for name, values in read.items():
        if not config.channels and isinstance(values, Texts) and len(values.values) > MOST_TEXTS:
            raise ValueError(_too_many(name, values, numeric))
    return read


def _column_of(channel: str, columns: Sequence[str]) -> str | None:
    """Return the column of text that a channel is of: of cbwd=NW, cbwd."""
    ends = [k for k, letter in enumerate(channel) if letter == "="]
    return next((channel[:end] for end in ends if channel[:end] in columns), None)


def _too_many(name: str, texts: Texts, others: Sequence[str]) -> str:
    """Write why a column of text cannot become channels, and what to do."""
    example = " and ".join(repr(value[:20]) for value in texts.values[:2])
    others = [_quoted(other) for other in others[:4]] or ["x y"]
    text = (
        f"the column {name!r} is not numeric, it has {len(texts.values):,} different texts, such as"
        f" {example}, and a text becomes a channel where a column has at most {MOST_TEXTS}, each"
        f" repeated; name those to read (--log.channels {' '.join(others)})"
    )
    if len(texts.values) <= 0.5 * len(texts.codes):
        text += f", or, if it names machines or places, add --log.unit-column {_quoted(name)}"
    return text


def _quoted(name: str) -> str:
    """Quote a name as a shell wants it."""
    return name if re.fullmatch(r"[\w.+@%/:=-]+", name) else f"'{name}'"


def _times(frame: Any, config: LogConfig) -> tuple[Any, tuple[str, ...]]:
    """Find the times of a log, and the columns where they stand."""
    columns = list(map(str, frame.columns))
    _check_rows(frame)
    wanted = config.time
    if wanted is None and config.time_unit == "count":
        wanted = next(iter(_time_names(columns, config)), None)
    column, used = times_in(frame, wanted, config.time_unit)
    if column is None:
        usual = " or ".join(name for name in TIMES if name.isalpha())
        raise ValueError(
            f"it has no column {usual if config.time is None else config.time}; its columns are"
            f" {listed(columns)}: name the column with the times (--log.time), or those with the"
            f" date and the time of day (--log.time day+clock); {_without_times(frame, config)}"
        )
    return column, used


def _time_names(
    columns: Sequence[str], config: LogConfig, index: str | None = None
) -> tuple[str, ...]:
    """Choose the columns that hold the times, or the numbers of readings, by their names."""
    if config.time is None and config.time_unit == "count":
        known = {name.strip().lower(): name for name in reversed(columns)}
        found = next((known[name] for name in COUNTS if name in known), None)
        if found is not None:
            return (found,)
    return time_names(columns, config.time, index)


def _without_times(frame: Any, config: LogConfig) -> str:
    """Write what to do with a log that has no column of times."""
    rows = "or, if there are none, number the rows (--log.time rows)"
    whole = [name for name in frame.columns if frame[name].dtype.kind in "iu"]
    for name in whole:
        values = frame[name].to_numpy()
        new = np.diff(values) != 1
        if config.unit_column is not None and name != config.unit_column and new.mean() < 0.5:
            return (
                f"or, if {name} numbers them, add --log.time-unit count --log.time {_quoted(name)}"
            )
        if not len(new) or new.mean() >= 0.5:
            continue
        line = f"--log.time-unit count --log.time {_quoted(name)}"
        if not new.any():
            return f"or, if {name} numbers them, add {line}"
        for other in frame.columns:
            changes = (frame[other].shift() != frame[other]).to_numpy()[1:]
            if other != name and (changes == new).all():
                unit = f"--log.unit-column {_quoted(str(other))}"
                return f"or, if {name} numbers the readings of each {other}, add {unit} {line}"
    return rows


def _of_tables(tables: Sequence[_Table], config: LogConfig) -> Readings:
    """Put the rows of all files on the clocks of their units."""
    unit, names = _units(tables, config)
    timed = [table.times for table in tables if table.times is not None]
    times = np.concatenate(timed) if timed else numbered(unit)
    channels, values = _values(tables, config)
    sizes = [len(next(iter(table.columns.values()))) for table in tables]
    lines = [table.lines for table in tables if table.lines is not None]
    counted = is_counted(config)
    rows = by_unit(
        Rows(
            times=times,
            values=values,
            unit=unit,
            file=np.repeat(np.arange(len(tables)), sizes),
            line=np.concatenate(lines) if len(lines) == len(tables) else None,
            names=names,
            files=_labels([table.path for table in tables]),
            counted=counted,
        )
    )
    if not config.channels:
        follow = rows.follow() & (rows.file[1:] == rows.file[:-1])
        numbering = row_numbers(channels, rows.values, follow)
        if numbering:
            logger.info(
                "Left out, since it only numbers the rows: %s (--log.channels names what to read).",
                listed(numbering),
            )
            kept = [name not in numbering for name in channels]
            rows = replace(rows, values=rows.values[:, kept])
            channels = tuple(name for name in channels if name not in numbering)
    found = regular(rows, config, lambda: _unit_advice(tables, times, config))
    warn_of_gaps(rows, found.step)
    first = found.starts[0]
    units = None
    if names is not None:
        units = Units(names=np.array(names), starts=found.starts, firsts=found.firsts)
    return Readings(
        values=_filled(found.values, found.firsts, found.step, config),
        start=first,
        step=found.step,
        channels=channels,
        units=units,
        counted=counted,
    )


def _units(
    tables: Sequence[_Table], config: LogConfig
) -> tuple[NDArray[np.int64], tuple[str, ...] | None]:
    """Return the position of each row's unit (n_rows,), and the units' names; None without any."""
    apart = config.files == "units"
    files = _file_names([table.path for table in tables]) if apart else [""] * len(tables)
    at: dict[str, int] = {}
    codes = []
    for table, file in zip(tables, files, strict=True):
        inner = ("",) if table.unit is None else table.unit.values
        places = [at.setdefault(_unit_name(file, name), len(at)) for name in inner]
        n_rows = len(next(iter(table.columns.values())))
        own = np.zeros(n_rows, np.int64) if table.unit is None else table.unit.codes
        codes.append(np.array(places, np.int64)[own])
    named = apart or config.unit_column is not None
    return np.concatenate(codes), tuple(at) if named else None


def _values(
    tables: Sequence[_Table], config: LogConfig
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return channels and their values (n_rows, n_channels), of all files."""
    first = tables[0]
    for table in tables[1:]:
        lacking = [name for name in first.columns if name not in table.columns]
        more = [name for name in table.columns if name not in first.columns]
        if lacking or more:
            less = table.path if lacking else first.path
            raise ValueError(
                f"the files differ in their columns: {less.name} has no {(lacking or more)[0]!r};"
                " name those to read that all of them have (--log.channels)"
            )
    columns = {
        name: _together([(table.path, table.columns[name]) for table in tables], name)
        for name in first.columns
    }
    wanted: list[tuple[str, str, str | None]] = []
    for channel in config.channels or tuple(columns):
        column = channel if channel in columns else _column_of(channel, tuple(columns))
        assert column is not None
        read = columns[column]
        if column != channel:
            wanted.append((channel, column, channel[len(column) + 1 :]))
        elif isinstance(read, Texts):
            values = _channel_values(column, read, columns, config)
            wanted += [(f"{column}={value}", column, value) for value in values]
        else:
            wanted.append((channel, column, None))
    if not wanted:
        raise ValueError(f"it has no channels but texts that never change: {listed(columns)}")
    if len({channel for channel, _, _ in wanted}) < len(wanted):
        raise ValueError("two channels have one name: name those to read (--log.channels)")
    n_rows = len(next(iter(columns.values())))
    whole = np.empty((n_rows, len(wanted)))
    for k, (_, column, value) in enumerate(wanted):
        read = columns[column]
        if isinstance(read, Texts):
            at = read.values.index(value) if value in read.values else len(read.values)
            whole[:, k] = np.where(read.codes < 0, np.nan, read.codes == at)
        else:
            whole[:, k] = read
    asked: dict[str, set[str | None]] = {}
    for _, column, value in wanted:
        asked.setdefault(column, set()).add(value)
    for column in (name for name in columns if name in asked):
        read = columns[column]
        if isinstance(read, Texts):
            _warn_of_others(column, read, asked[column])
    return tuple(channel for channel, _, _ in wanted), whole


def _together(parts: Sequence[tuple[Path, Any]], name: str) -> Any:
    """Put the values of one column of several files one after the other."""
    texts = [(path, part) for path, part in parts if isinstance(part, Texts)]
    if not texts:
        arrays = [part for _, part in parts]
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    values = sorted({value for _, part in texts for value in part.values})
    at = {value: k for k, value in enumerate(values)}
    codes = []
    for path, part in parts:
        if isinstance(part, Texts):
            codes.append(np.array([*(at[v] for v in part.values), -1], np.int64)[part.codes])
        elif np.isnan(part).all():
            codes.append(np.full(len(part), -1, np.int64))
        else:
            raise ValueError(
                f"the column {name!r} has numbers in {path.name} and text in {texts[0][0].name},"
                f" such as {texts[0][1].values[0]!r}; name those to read (--log.channels)"
            )
    return Texts(tuple(values), np.concatenate(codes))


def _channel_values(
    column: str, texts: Texts, columns: dict[str, Any], config: LogConfig
) -> tuple[str, ...]:
    """Return the texts of a column that become a channel each."""
    n_given = int((texts.codes >= 0).sum())
    if len(texts.values) == 1 and not config.channels:
        logger.info("Left out, since it is the same in every row: %s.", column)
        return ()
    if len(texts.values) > MOST_TEXTS or 2 * len(texts.values) > n_given > 1:
        others = [name for name, each in columns.items() if not isinstance(each, Texts)]
        raise ValueError(_too_many(column, texts, others))
    logger.info(
        "Text of %s became %s: %s.",
        column,
        count_of(len(texts.values), "channel"),
        listed(f"{column}={value}" for value in texts.values),
    )
    return texts.values


def _warn_of_others(column: str, texts: Texts, asked: set[str | None]) -> None:
    """Warn of texts for which there is no channel."""
    others = [value for value in texts.values if value not in asked]
    if others:
        counts = np.bincount(texts.codes[texts.codes >= 0], minlength=len(texts.values))
        n_rows = sum(int(counts[texts.values.index(value)]) for value in others)
        logger.warning(
            "%s has %s in %s, for which there is no channel: the channels of %s are 0 there.",
            column,
            listed(others),
            count_of(n_rows, "row"),
            column,
        )


def _unit_advice(tables: Sequence[_Table], times: NDArray[np.datetime64], config: LogConfig) -> str:
    """Write which column seems to tell the rows apart that have the same time."""
    if config.unit_column is not None:
        return ""
    for name in tables[0].columns:
        column = _together([(table.path, table.columns[name]) for table in tables], name)
        codes = column.codes if isinstance(column, Texts) else column
        if codes.dtype.kind == "f" and (np.isnan(codes) | (codes != np.rint(codes))).any():
            continue
        n_different = len(np.unique(codes))
        order = np.lexsort([times, codes])
        same = (np.diff(times[order]) == 0) & (np.diff(codes[order]) == 0)
        if 1 < n_different <= 0.5 * len(codes) and not same.any():
            line = f"add --log.unit-column {_quoted(name)}"
            return f", or, if {name} names machines or places, {line}"
    return ""
