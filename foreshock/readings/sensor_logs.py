"""Readings out of files: sensor logs, arrays, earthquake catalogues, one file or several."""

import dataclasses
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from foreshock._arrays import load_array
from foreshock._optional import optional
from foreshock._text import listed
from foreshock._time import commonest, format_duration, format_time, parse_duration, parse_time
from foreshock.readings.catalog import (
    TEXT,
    Catalog,
    from_frame,
    is_catalog,
    join_catalogs,
    to_readings,
)
from foreshock.readings.columns import (
    LINE,
    TIMES,
    AmbiguousDatesError,
    Dates,
    numbers_in,
    order_of_dates,
    row_numbers,
    time_names,
    times_in,
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
from foreshock.readings.series import Readings, blank, join

logger = logging.getLogger(__name__)

SUFFIXES = (".csv", ".txt", ".parquet", ".npy")
"""Endings of the files that can be read; those of text may have .gz behind them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Log:
    """What becomes readings, as precise as the file has it."""

    values: NDArray[Any]
    """Float64, or float32 of an array that has such, (n_channels, n_timepoints)."""
    start: np.datetime64
    step: np.timedelta64
    channels: tuple[str, ...]
    dates: Dates | None = None
    """What comes first in its dates, if not the year."""


def load_readings(*paths: str | Path, config: SourceConfig = DEFAULT) -> Readings:
    """Load readings from a file, or from several that continue each other.

    Parameters
    ----------
    *paths
        Sensor logs (.csv, .txt, .parquet, text packed by gzip or not; or .npy), or earthquake
        catalogues: CSV of USGS ComCat or NCEDC, text of FDSN event services, or Parquet. Files
        that have columns for magnitude and place are catalogues. An .npy file of float32 stays
        on disk, memory-mapped.
    config
        How rows become readings.

    Returns
    -------
    Readings
        Time steps for which the files have nothing are NaN.

    Raises
    ------
    ValueError
        A file cannot be read, or its clock is irregular and no rule says what to do; with what
        is wrong, how often, and what to do.
    """
    if not paths:
        raise ValueError("name at least one file of readings.")
    log = config.log
    parts: list[_Log | Catalog] = []
    undated: list[Path] = []
    for path in map(Path, paths):
        with naming(path):
            try:
                parts.append(_part(path, log))
            except AmbiguousDatesError:
                if len(paths) == 1:
                    raise
                undated.append(path)
                continue
        log = replace(log, dates=log.dates or getattr(parts[-1], "dates", None))
    for path in undated:  # another file may have told what comes first
        with naming(path):
            parts.append(_part(path, log))
    logs = [part for part in parts if isinstance(part, _Log)]
    catalogs = [part for part in parts if isinstance(part, Catalog)]
    if logs and catalogs:
        raise ValueError(
            "some of these files are catalogues and some are not; give files of one kind."
        )
    _check_used(config, "catalog" if catalogs else "log")
    if catalogs:
        return to_readings(
            join_catalogs(catalogs) if len(catalogs) > 1 else catalogs[0], config.catalog
        )
    whole = join(logs) if len(logs) > 1 else logs[0]
    return Readings(
        values=whole.values,
        start=whole.start,
        step=whole.step,
        channels=whole.channels,
        source=SourceConfig(log=replace(log, start=None)),
    )


def kind_of(path: Path, time: str | None = None) -> Literal["log", "catalog"] | None:
    """Return whether files are sensor logs, arrays among them, or catalogues; None for cases.

    Logs have a column with times: the one named, or one that is called as such usually are.
    """
    if not path.is_file():
        return None
    if path.suffix.lower() == ".npy":
        return "log"
    index = None
    if path.suffix.lower() == ".parquet":
        columns, index = parquet_header(path)
    elif {suffix.lower() for suffix in path.suffixes[-2:]} & {".csv", ".txt"}:
        with naming(path):
            columns = header_of(read_text(path))
    else:
        return None
    if is_catalog(columns):
        return "catalog"
    timed = time_names(columns, time, index)
    return "log" if timed and "case" not in map(str.lower, columns) else None


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
    """Read a list of times, such as a log of failures, from a CSV or Parquet file.

    What the configuration says of times holds where it fits: the column it names may be missing,
    and its unit is for numbers.

    Returns
    -------
    ndarray
        Times, (n_rows,) datetime64[us], UTC, in the order of the rows.

    Raises
    ------
    ValueError
        The file cannot be read or a time in it; with the reason.
    """
    with naming(path):
        if path.suffix.lower() == ".npy":
            raise ValueError("an array has no column of times; give a CSV file")
        frame = _frame(path, config)
        if not time_names(list(frame.columns), config.time):
            config = replace(config, time=None)
        column, _ = _times(frame, config)
        numeric = optional("pandas", "tables").api.types.is_numeric_dtype(column.dtype)
        unit = config.time_unit if numeric else None
        return utc_times(column, unit=unit, timezone=config.timezone, dates=config.dates)


def _part(path: Path, config: LogConfig) -> _Log | Catalog:
    """Read one file."""
    frame = _frame(path, config)
    if isinstance(frame, _Log):
        return frame
    return from_frame(frame) if is_catalog(list(frame.columns)) else _from_log(frame, config)


def _frame(path: Path, config: LogConfig) -> Any:
    """Read a file as a data frame, or as what becomes readings where it is an array."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    kind = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else path.suffix.lower()
    if kind not in SUFFIXES and path.exists():
        raise ValueError(
            f"its name ends in {path.suffix or 'nothing'}, expected {', '.join(SUFFIXES)}"
        )
    if kind == ".npy":
        return _from_array(path, config)
    if kind == ".parquet":
        return read_frame(path, text=TEXT)
    content = read_text(path)
    return csv_frame(content, text=TEXT if is_catalog(header_of(content)) else ())


def _from_array(path: Path, config: LogConfig) -> _Log:
    if config.start is None or config.step is None:
        raise ValueError(
            "an array has no times; give the time of the first reading (--log.start"
            " 2003-12-31T22:57:01Z) and the step (--log.step 1s)"
        )
    try:
        values = load_array(path, mapped=True)
    except ValueError as error:
        raise ValueError(
            f"it is not an array of numbers: {error}; save it with numpy.save"
        ) from error
    if values.dtype.kind not in "biuf" or values.ndim not in (1, 2) or values.size == 0:
        raise ValueError(
            f"it contains {values.dtype} of shape {values.shape}, expected numbers (n_channels,"
            " n_timepoints)"
        )
    values = values[None] if values.ndim == 1 else values
    if len(values) > values.shape[1]:
        raise ValueError(
            f"it has shape {values.shape}, more channels than timepoints; transpose it to"
            " (n_channels, n_timepoints)"
        )
    if values.dtype != np.float32:
        logger.info("%s is %s: it is converted in memory.", path, values.dtype)
        values = values.astype(np.float64)
    return _Log(
        values=values,
        start=parse_time(config.start),
        step=parse_duration(config.step),
        channels=config.channels or tuple(f"channel {i}" for i in range(len(values))),
    )


def _from_log(frame: Any, config: LogConfig) -> _Log:
    column, used = _times(frame, config)
    dates = config.dates or order_of_dates(column)
    times = utc_times(
        column, unit=config.time_unit, timezone=config.timezone, dates=dates
    )  # (n_rows,)
    channels = config.channels or tuple(str(c) for c in frame.columns if c not in used)
    missing = [channel for channel in channels if channel not in frame.columns]
    if missing or not channels:
        raise ValueError(
            f"it has no {f'channel {missing[0]!r}' if missing else 'channels besides its times'};"
            f" its columns are {listed(list(map(str, frame.columns)))}"
        )
    advice = "name those to read (--log.channels), or make it numbers"
    values = numbers_in(frame, channels, advice)  # (n_rows, n_channels)
    kept = _once(times, values, resampled=config.resample != "refuse")
    times, values, rows = times[kept], values[kept], frame.index[kept]
    if not config.channels:
        numbering = row_numbers(channels, values)
        if numbering:
            logger.info(
                "Left out, since it only numbers the rows: %s (--log.channels names what to read).",
                listed(numbering),
            )
            values = values[:, [name not in numbering for name in channels]]
            channels = tuple(name for name in channels if name not in numbering)
    steps = np.diff(np.sort(times))
    step = commonest(steps) if config.step is None else parse_duration(config.step)
    if step is None:
        raise ValueError(
            "all its rows have the same time, so its step is unknown; give it (--log.step)"
        )
    if config.resample == "refuse":
        return replace(_regular(times, values, step, channels, rows), dates=dates)
    if config.step is None and (steps == step).mean() < 0.5:
        raise ValueError(
            f"its rows have no common step ({format_duration(step)} is only the most common); give"
            " one (--log.step 1h)"
        )
    return replace(_resampled(times, values, step, channels, config), dates=dates)


def _times(frame: Any, config: LogConfig) -> tuple[Any, tuple[str, ...]]:
    """Find the times of a log, and the columns where they stand."""
    columns = list(map(str, frame.columns))
    if not len(frame):
        raise ValueError(f"it has no rows below its columns {listed(columns)}")
    column, used = times_in(frame, config.time, config.time_unit)
    if column is None:
        usual = " or ".join(name for name in TIMES if name.isalpha())
        wanted = usual if config.time is None else config.time
        raise ValueError(
            f"it has no column {wanted}; its columns are {listed(columns)}: name the column with"
            " the times (--log.time), or those with the date and the time of day (--log.time"
            " day+clock)"
        )
    return column, used


def _once(
    times: NDArray[np.datetime64], values: NDArray[np.float64], *, resampled: bool
) -> NDArray[np.bool_]:
    """Return which rows to keep of exact repetitions, as overlapping downloads have them.

    Where rows of one step are to be made one reading, equal ones are taken for different readings
    unless the times went back between them: clocks may be coarser than the readings.
    """
    pandas = optional("pandas", "tables")
    kept, never = np.ones(len(times), dtype=np.bool_), np.timedelta64(0, "us")
    steps = np.diff(times)
    if (steps > never).all() or (resampled and (steps >= never).all()):
        return kept
    shared = pandas.Series(times).duplicated(keep=False).to_numpy()
    piece = np.cumsum(np.append(False, steps < never))
    rows = pandas.DataFrame(values[shared]).assign(time=times[shared])
    if resampled:
        same = [pandas.Series(piece[shared]), *(rows[name] for name in rows.columns)]
        rows["which"] = rows.groupby(same, dropna=False, sort=False).cumcount()
    kept[shared] = ~rows.duplicated().to_numpy()
    n_repeated = len(kept) - int(kept.sum())
    if n_repeated:
        logger.info("%s rows repeat another one exactly and are taken once.", f"{n_repeated:,}")
    return kept


def _regular(
    times: NDArray[np.datetime64],
    values: NDArray[np.float64],
    step: np.timedelta64,
    channels: tuple[str, ...],
    rows: Any,
) -> _Log:
    """Place rows on the clock of the first; refuse them, with counts, where they do not fit."""
    start, never = times.min(), np.timedelta64(0, "us")
    back = np.append(False, np.diff(times) < never)
    order = np.argsort(times, kind="stable")
    again = np.zeros(len(times), dtype=np.bool_)
    again[order[1:]] = np.diff(times[order]) == never
    faults = {
        "out of order": back,
        "at the same time as another": again,
        f"off the clock of {format_duration(step)} from {format_time(start)}": (
            (times - start) % step != never
        ),
    }
    found = [f"{fault.sum():,} {what}" for what, fault in faults.items() if fault.any()]
    if found:
        local = again.any() and np.ptp(times) > np.timedelta64(90, "D")
        first = rows[np.any(list(faults.values()), axis=0)][0]
        raise ValueError(
            f"of its {len(times):,} rows are {', '.join(found)}; correct them, or combine the rows"
            " of each step (--log.resample mean, max, min, sum, first, last or nearest)"
            + (", or give the time zone, for summer time (--log.timezone)" if local else "")
            + (f"; the first is in line {first}" if rows.name == LINE else "")
        )
    at = (times - start) // step
    whole = blank(len(channels), int(at.max()) + 1, len(times), step)
    whole[:, at] = values.T
    return _Log(values=whole, start=start, step=step, channels=channels)


def _resampled(
    times: NDArray[np.datetime64],
    values: NDArray[np.float64],
    step: np.timedelta64,
    channels: tuple[str, ...],
    config: LogConfig,
) -> _Log:
    """Make one reading of the rows of each step; steps begin at multiples of it since 1970."""
    pandas = optional("pandas", "tables")
    micro = times.astype(np.int64)
    length = int(step.astype(np.int64))
    if config.resample == "nearest":
        ticks = (micro + length // 2) // length
        order = np.lexsort([micro, np.abs(micro - ticks * length)])
    else:
        ticks, order = micro // length, np.argsort(times, kind="stable")
    grouped = pandas.DataFrame(values[order]).groupby(ticks[order])
    if config.resample == "sum":
        rows = grouped.sum(min_count=1)
    elif config.resample == "nearest":
        rows = grouped.first()
    else:
        rows = getattr(grouped, config.resample)()
    first = int(rows.index[0])
    at = rows.index.to_numpy() - first
    whole = blank(len(channels), int(at[-1]) + 1, len(times), step)
    whole[:, at] = rows.to_numpy().T
    logger.info(
        "%s rows became %s readings of %s (and %s gaps) by %s.",
        f"{len(times):,}",
        f"{len(at):,}",
        format_duration(step),
        f"{whole.shape[1] - len(at):,}",
        config.resample,
    )
    start = np.datetime64(0, "us") + first * step
    return _Log(values=whole, start=start, step=step, channels=channels)
