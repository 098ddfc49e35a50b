"""Readings out of files: sensor logs, arrays, earthquake catalogues, one file or several."""

import dataclasses
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from foreshock.catalogs import TEXT, from_frame, is_catalog, join_catalogs, to_readings
from foreshock.clocks import format_duration, format_time, parse_duration, parse_time
from foreshock.extras import optional
from foreshock.frames import csv_frame, header_of, naming, read_frame, read_text, utc_times
from foreshock.readings import Readings, join
from foreshock.sources import LogConfig, SourceConfig
from foreshock.store import load_array
from foreshock.tables import is_number, listed

logger = logging.getLogger(__name__)

SUFFIXES = (".csv", ".txt", ".parquet", ".npy")
"""Endings of the files that can be read; those of text may have .gz behind them."""
TIMES = ("time", "timestamp", "datetime", "date")
"""Columns that hold times where none is named, the preferred ones first."""
DEFAULT = SourceConfig()


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
    logs, catalogs = [], []
    for path in map(Path, paths):
        with naming(path):
            frame = _frame(path, config.log)
            if isinstance(frame, Readings):
                logs.append(frame)
            elif is_catalog(list(map(str, frame.columns))):
                catalogs.append(from_frame(frame))
            else:
                logs.append(_from_log(frame, config.log))
    if logs and catalogs:
        raise ValueError("some of these files are catalogues and some are not; give one kind.")
    _check_used(config, "catalog" if catalogs else "log")
    if catalogs:
        return to_readings(
            join_catalogs(catalogs) if len(catalogs) > 1 else catalogs[0], config.catalog
        )
    whole = join(logs) if len(logs) > 1 else logs[0]
    return replace(whole, source=SourceConfig(log=replace(config.log, start=None)))


def kind_of(path: Path, time: str | None = None) -> Literal["log", "catalog"] | None:
    """Tell sensor logs, arrays among them, and catalogues from files of cases, which are None.

    Logs have a column with times: the one named, or one that is called as such usually are.
    """
    if not path.is_file():
        return None
    if path.suffix.lower() == ".npy":
        return "log"
    if path.suffix.lower() == ".parquet":
        columns = list(map(str, optional("pyarrow.parquet", "tables").read_schema(path).names))
    elif {suffix.lower() for suffix in path.suffixes[-2:]} & {".csv", ".txt"}:
        with naming(path):
            columns = header_of(read_text(path), ",;\t|")
    else:
        return None
    if is_catalog(columns):
        return "catalog"
    names = {column.lower() for column in columns}
    timed = names & set(TIMES) if time is None else time in columns
    return "log" if timed and "case" not in names else None


def _check_used(config: SourceConfig, kind: Literal["log", "catalog"]) -> None:
    """Refuse what was said of the other kind of file, which would have no effect."""
    ours, theirs = "sensor log", "--catalog"
    given, usual = dataclasses.asdict(config.catalog), dataclasses.asdict(DEFAULT.catalog)
    if kind == "catalog":
        ours, theirs = "catalogue", "--log"
        given, usual = dataclasses.asdict(config.log), dataclasses.asdict(DEFAULT.log)
        for name in ("time", "unit", "timezone"):  # they may be for a list of events
            del given[name]
    for name, value in given.items():
        if value != usual[name]:
            raise ValueError(
                f"this is a {ours}, for which {theirs}.{name.replace('_', '-')} says nothing: leave"
                " it out."
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
        if config.time not in list(map(str, frame.columns)):
            config = replace(config, time=None)
        times = frame[_time_column(frame, config)]
        numbers = optional("pandas", "tables").api.types.is_numeric_dtype(times.dtype)
        return utc_times(times, unit=config.unit if numbers else None, timezone=config.timezone)


def _frame(path: Path, config: LogConfig) -> Any:
    """Read a file as a data frame, or as readings where it is an array."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    kind = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else path.suffix.lower()
    if kind not in SUFFIXES and path.exists():
        raise ValueError(
            f"its name ends in {path.suffix or 'nothing'}, expected {', '.join(SUFFIXES)}"
        )
    if kind == ".npy":
        return _from_array(path, config)
    if kind == ".parquet":
        return read_frame(path)
    content = read_text(path)
    columns = header_of(content, ",;\t|")
    return csv_frame(content, text=TEXT if is_catalog(columns) else (), separators=",;\t|")


def _from_array(path: Path, config: LogConfig) -> Readings:
    if config.start is None or config.step is None:
        raise ValueError(
            "an array has no clock; give the first reading's time (--log.start"
            " 2003-12-31T22:57:01Z) and the step (--log.step 1s)"
        )
    try:
        values = load_array(path, mapped=True)
    except ValueError as error:
        raise ValueError(f"it is no array of numbers: {error}; save it with numpy.save") from error
    if values.dtype.kind not in "fiu" or values.ndim not in (1, 2) or values.size == 0:
        raise ValueError(
            f"it holds {values.dtype} of shape {values.shape}, expected numbers (n_channels,"
            " n_timepoints)"
        )
    values = values[None] if values.ndim == 1 else values
    if len(values) > values.shape[1]:
        raise ValueError(
            f"it has the shape {values.shape}, more channels than timepoints; transpose it to"
            " (n_channels, n_timepoints)"
        )
    if values.dtype != np.float32:
        logger.info("%s is %s: it is converted in memory, save it as float32.", path, values.dtype)
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
    return Readings(
        values=values,
        start=parse_time(config.start),
        step=parse_duration(config.step),
        channels=config.channels or tuple(f"channel {i}" for i in range(len(values))),
    )


def _from_log(frame: Any, config: LogConfig) -> Readings:
    name = _time_column(frame, config)
    times = utc_times(frame[name], unit=config.unit, timezone=config.timezone)
    channels = config.channels or tuple(str(c) for c in frame.columns if c != name)
    missing = [channel for channel in channels if channel not in frame.columns]
    if missing or not channels:
        raise ValueError(
            f"it has no channel {missing[0] if missing else 'beside its times'!r}; its columns are"
            f" {listed(list(map(str, frame.columns)))}"
        )
    values = _values(frame, channels)
    steps = np.diff(np.sort(times))
    step = _commonest(steps) if config.step is None else parse_duration(config.step)
    if config.resample == "refuse":
        return _regular(times, values, step, channels)
    if config.step is None and (steps == step).mean() < 0.5:
        raise ValueError(
            f"its rows have no common step, {format_duration(step)} is only the commonest; give one"
            " (--log.step 1h)"
        )
    return _resampled(times, values, step, channels, config)


def _time_column(frame: Any, config: LogConfig) -> Any:
    columns = list(map(str, frame.columns))
    if not len(frame):
        raise ValueError(f"it has no rows below its columns {listed(columns)}")
    wanted = TIMES if config.time is None else (config.time,)
    for name in wanted:
        for column in columns:
            if column == name or (config.time is None and column.lower() == name):
                return column
    raise ValueError(
        f"it has no column {' or '.join(wanted)}; its columns are {listed(columns)}: name the one"
        " with the times (--log.time)"
    )


def _values(frame: Any, channels: tuple[str, ...]) -> NDArray[np.float32]:
    """Give the columns as (n_rows, n_channels); what is too large becomes infinite."""
    pandas = optional("pandas", "tables")
    for channel in channels:
        kind = frame[channel].dtype
        if frame[channel].isna().all():
            continue
        if not pandas.api.types.is_numeric_dtype(kind) or kind in ("bool", "boolean"):
            bad = next((v for v in frame[channel] if not is_number(str(v))), frame[channel].iloc[0])
            raise ValueError(
                f"the column {channel!r} is not numeric, it has {str(bad)[:40]!r}; name those to"
                " read (--log.channels), or make it numbers"
            )
    numbers = [
        pandas.to_numeric(frame[channel]).to_numpy(dtype=np.float64, na_value=np.nan)
        for channel in channels
    ]
    with np.errstate(over="ignore"):
        return np.stack(numbers, axis=1).astype(np.float32)


def _commonest(steps: NDArray[np.timedelta64]) -> np.timedelta64:
    lengths, counts = np.unique(steps[steps > np.timedelta64(0, "us")], return_counts=True)
    if not len(lengths):
        raise ValueError(
            "all of its rows are of one time, so its step is unknown; give it (--log.step)"
        )
    commonest: np.timedelta64 = lengths[counts.argmax()]
    return commonest


def _regular(
    times: NDArray[np.datetime64],
    values: NDArray[np.float32],
    step: np.timedelta64,
    channels: tuple[str, ...],
) -> Readings:
    """Put rows on the clock of the first; refuse them, with counts, where they do not fit."""
    start = times.min()
    faults = {
        "out of order": int((np.diff(times) < np.timedelta64(0, "us")).sum()),
        "of a time that another has": len(times) - len(np.unique(times)),
        f"off the clock of {format_duration(step)} from {format_time(start)}": int(
            ((times - start) % step != np.timedelta64(0, "us")).sum()
        ),
    }
    found = [f"{count:,} {fault}" for fault, count in faults.items() if count]
    if found:
        local = faults["of a time that another has"] and np.ptp(times) > np.timedelta64(90, "D")
        raise ValueError(
            f"of its {len(times):,} rows are {', '.join(found)}; correct them, or choose what"
            " becomes of the rows of one step (--log.resample mean, max, min, sum, first, last or"
            " nearest)"
            + (", or say where summer time begins and ends (--log.timezone)" if local else "")
        )
    at = (times - start) // step
    whole = _empty(len(channels), int(at.max()) + 1, len(times), step)
    whole[:, at] = values.T
    return Readings(values=whole, start=start, step=step, channels=channels)


def _resampled(
    times: NDArray[np.datetime64],
    values: NDArray[np.float32],
    step: np.timedelta64,
    channels: tuple[str, ...],
    config: LogConfig,
) -> Readings:
    """Make one reading of the rows of each step; steps begin at multiples of it since 1970."""
    pandas = optional("pandas", "tables")
    micro = times.astype(np.int64)
    length = int(step.astype(np.int64))
    if config.resample == "nearest":
        ticks = (micro + length // 2) // length
        order = np.lexsort([micro, np.abs(micro - ticks * length)])
    else:
        ticks, order = micro // length, np.argsort(times, kind="stable")
    grouped = pandas.DataFrame(values[order].astype(np.float64)).groupby(ticks[order])
    if config.resample == "sum":
        rows = grouped.sum(min_count=1)
    elif config.resample == "nearest":
        rows = grouped.first()
    else:
        rows = getattr(grouped, config.resample)()
    first = int(rows.index[0])
    at = rows.index.to_numpy() - first
    whole = _empty(len(channels), int(at[-1]) + 1, len(times), step)
    with np.errstate(over="ignore"):
        whole[:, at] = rows.to_numpy().T.astype(np.float32)
    logger.info(
        "%s rows became %s readings of %s (and %s gaps) by %s.",
        f"{len(times):,}",
        f"{len(at):,}",
        format_duration(step),
        f"{whole.shape[1] - len(at):,}",
        config.resample,
    )
    start = np.datetime64(0, "us") + first * step
    return Readings(values=whole, start=start, step=step, channels=channels)


def _empty(
    n_channels: int, n_timepoints: int, n_rows: int, step: np.timedelta64
) -> NDArray[np.float32]:
    if n_timepoints > max(10**6, 1000 * n_rows):
        raise ValueError(
            f"its {n_rows:,} rows span {n_timepoints:,} steps of {format_duration(step)}; is a time"
            " wrong, or the step too short?"
        )
    return np.full((n_channels, n_timepoints), np.nan, dtype=np.float32)
