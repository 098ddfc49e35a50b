"""Earthquake catalogues: lists of events, read from files and turned into readings.

Understood are the CSV files of USGS ComCat and NCEDC and the text files of FDSN event services
(https://www.fdsn.org/webservices/), whatever the order of their columns.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from foreshock.clocks import format_time, parse_duration, parse_time
from foreshock.columns import numbers, utc_times
from foreshock.extras import optional
from foreshock.files import check_new, write_atomic
from foreshock.frames import naming, read_frame
from foreshock.readings import Readings
from foreshock.sources import CatalogConfig, SourceConfig
from foreshock.tables import listed

logger = logging.getLogger(__name__)

MAX_TIMEPOINTS = 2**31
DEFAULT = CatalogConfig()
_RADIUS = 6371.0
_COLUMNS = {
    "time": ("time", "datetime", "origintime", "origin time"),
    "magnitude": ("mag", "magnitude"),
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon", "long", "longtitude"),
    "depth": ("depth", "depth/km", "depth_km"),
    "kind": ("type", "eventtype", "event type", "et"),
    "id": ("id", "eventid", "event id", "#eventid"),
}
TEXT = frozenset(name for field in ("time", "kind", "id") for name in _COLUMNS[field])
"""Columns, in small letters, that are text."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Catalog:
    """Events in the order of time; every array is (n_events,)."""

    time: NDArray[np.datetime64]
    """Origin times, datetime64[us], UTC, ascending."""
    magnitude: NDArray[np.float64]
    """Magnitudes; NaN where there is none."""
    latitude: NDArray[np.float64]
    """Degrees north; NaN where there is none."""
    longitude: NDArray[np.float64]
    """Degrees east; NaN where there is none."""
    depth: NDArray[np.float64]
    """Kilometres; NaN where there is none."""
    kind: NDArray[np.str_]
    """Types of the events: eq, earthquake, quarry blast; empty where there is none."""
    id: NDArray[np.str_]
    """Names of the events; empty where there is none."""

    def __len__(self) -> int:
        return len(self.time)

    def take(self, chosen: NDArray[Any]) -> "Catalog":
        """Give the events at positions, or where a mask is true."""
        return Catalog(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


def is_catalog(columns: Sequence[str]) -> bool:
    """Tell a catalogue by the names of its columns: a time, a magnitude and a place or a name."""
    known = {name.strip().lower() for name in columns}
    return all(known & set(_COLUMNS[field]) for field in ("time", "magnitude")) and any(
        known & set(_COLUMNS[field]) for field in ("latitude", "id")
    )


def read_catalog(path: Path) -> Catalog:
    """Read a catalogue from a CSV, FDSN text or Parquet file, packed by gzip or not.

    Raises
    ------
    ValueError
        It cannot be read, with the reason.
    """
    with naming(path):
        return from_frame(read_frame(path, text=TEXT, separators=",;\t|"))


def from_frame(frame: Any) -> Catalog:
    """Make a catalogue of a data frame with the columns of ComCat, NCEDC or an FDSN service."""
    known = {name.strip().lower(): name for name in map(str, frame.columns)}
    columns = {
        field: next((known[name] for name in names if name in known), None)
        for field, names in _COLUMNS.items()
    }
    if not is_catalog(list(known)) or not len(frame):
        raise ValueError(
            f"it is no catalogue or an empty one, with the columns {listed(list(known.values()))}"
            f" and {len(frame)} rows; expected time, latitude, longitude, mag and a row for each"
            " event"
        )
    times = utc_times(frame[columns["time"]])
    order = np.argsort(times, kind="stable")
    arrays: dict[str, Any] = {
        field: _numbers(frame[name], len(frame)) if (name := columns[field]) else _none(len(frame))
        for field in ("magnitude", "latitude", "longitude", "depth")
    }
    for field, limit in (("magnitude", 12.0), ("latitude", 90.0), ("longitude", 360.0)):
        beyond = np.abs(arrays[field]) > limit
        if beyond.any():
            at = int(beyond.argmax())
            raise ValueError(
                f"row {at + 1} has the {field} {arrays[field][at]:g}, beyond {limit:g}; is the"
                " column the right one?"
            )
    for field in ("kind", "id"):
        name = columns[field]
        texts = frame[name].fillna("").astype(str).str.strip() if name else [""] * len(frame)
        arrays[field] = np.array(texts, dtype=np.str_)
    return Catalog(time=times, **arrays).take(order)


def join_catalogs(parts: Sequence[Catalog]) -> Catalog:
    """Put catalogues together; of events of one name, the first is kept."""
    whole = Catalog(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(Catalog)
        }
    )
    _, first = np.unique(whole.id, return_index=True)
    kept = (whole.id == "") | np.isin(np.arange(len(whole)), first)
    if not kept.all():
        logger.info("%d events stand in several catalogues: kept once.", int((~kept).sum()))
    whole = whole.take(kept)
    return whole.take(np.argsort(whole.time, kind="stable"))


def check_target(path: Path) -> None:
    """Refuse a name under which no catalogue can be written.

    Raises
    ------
    ValueError, FileExistsError, FileNotFoundError
        With what to do.
    """
    if path.suffix.lower() != ".csv":
        raise ValueError(
            f"a catalogue is written as CSV, got {path.name}: name a file ending in .csv, not"
            f" {path}."
        )
    check_new(path)


def write_catalog(catalog: Catalog, path: Path) -> None:
    """Write a catalogue as CSV with ComCat's columns; it appears whole or not at all."""
    pandas = optional("pandas", "tables")
    unit: Literal["us", "ms"] = "us" if (catalog.time.astype(np.int64) % 1000).any() else "ms"
    frame = pandas.DataFrame(
        {
            "time": np.char.add(np.datetime_as_string(catalog.time, unit=unit), "Z"),
            "latitude": catalog.latitude,
            "longitude": catalog.longitude,
            "depth": catalog.depth,
            "mag": catalog.magnitude,
            "type": catalog.kind,
            "id": catalog.id,
        }
    )
    write_atomic(path, frame.to_csv(index=False, lineterminator="\n").encode())


def to_readings(catalog: Catalog, config: CatalogConfig = DEFAULT) -> Readings:
    """Turn a catalogue into readings at each step of the clock, from its first event to its last.

    Parameters
    ----------
    catalog
        The events; all of them, also those that do not count, tell where the catalogue is silent.
    config
        What is read, and of which events.

    Returns
    -------
    Readings
        (len(config.channels), n_timepoints). Steps begin at multiples of `step` since
        1970-01-01T00:00:00Z: hours on the hour. A step without an event that counts is 0, one in
        a silence longer than `max_silence` is NaN.

    Raises
    ------
    ValueError
        No event counts, or the steps are too many.
    """
    if not len(catalog):
        raise ValueError("the catalogue has no events; nothing can be read from it.")
    step = parse_duration(config.step)
    since = catalog.time[0] if config.since is None else parse_time(config.since)
    until = catalog.time[-1] + 1 if config.until is None else parse_time(config.until)
    first, end = _tick(since, step), _tick(until - 1, step) + 1
    n_timepoints = end - first
    if not 0 < n_timepoints <= MAX_TIMEPOINTS:
        raise ValueError(
            f"from {format_time(since)} to {format_time(until)} are {n_timepoints:,} steps of"
            f" {config.step}; is a time wrong, or the step too short?"
        )
    ticks = catalog.time.astype(np.int64) // step.astype(np.int64) - first
    counted = _counted(catalog, config) & (ticks >= 0) & (ticks < n_timepoints)
    values = np.zeros((len(config.channels), n_timepoints), dtype=np.float64)
    at, magnitude = ticks[counted], catalog.magnitude[counted]
    for channel, target in zip(config.channels, values, strict=True):
        if channel == "maximum":
            highest = np.full(n_timepoints, -np.inf)
            np.maximum.at(highest, at, magnitude)
            np.copyto(target, highest, where=np.isfinite(highest))
            continue
        number = np.bincount(at, minlength=n_timepoints)
        if channel == "count":
            target[:] = number
        elif channel == "mean":
            target[:] = np.bincount(at, magnitude, n_timepoints) / np.maximum(number, 1)
        else:
            joules = np.bincount(at, 10 ** (1.5 * magnitude + 4.8), n_timepoints)
            np.log10(joules, out=target, where=number > 0)
    known = np.concatenate([[since], catalog.time, [until]])
    silent = np.flatnonzero(np.diff(known) > parse_duration(config.max_silence))
    for before, after in zip(known[silent], known[silent + 1], strict=True):
        start, stop = _tick(before, step) + 1 - first, _tick(after, step) - first
        values[:, max(0, start) : max(0, stop)] = np.nan
    if len(silent):
        spans = zip(known[silent], known[silent + 1], strict=True)
        logger.info(
            "%d silences of more than %s are gaps: %s.",
            len(silent),
            config.max_silence,
            listed([f"{str(a)[:10]} to {str(b)[:10]}" for a, b in spans]),
        )
    return Readings(
        values=values.astype(np.float32),
        start=np.datetime64(0, "us") + first * step,
        step=step,
        channels=config.channels,
        source=SourceConfig(catalog=replace(config, since=None, until=None)),
    )


def _tick(time: np.datetime64, step: np.timedelta64) -> int:
    return int(time.astype(np.int64) // step.astype(np.int64))  # since 1970


def _counted(catalog: Catalog, config: CatalogConfig) -> NDArray[np.bool_]:
    """Tell which events count, and say why the others do not."""
    conditions = {
        f"of a type that is none of {listed([kind or 'none' for kind in config.kinds])}": ~np.isin(
            catalog.kind, config.kinds
        ),
        "without a magnitude": np.isnan(catalog.magnitude),
        f"below magnitude {config.min_magnitude:g}": catalog.magnitude < config.min_magnitude,
    }
    latitude, longitude = catalog.latitude, catalog.longitude
    if config.box is not None or config.circle is not None:
        placeless = np.isnan(latitude) | np.isnan(longitude) | (latitude == 0) | (longitude == 0)
        conditions["without a place (or at latitude or longitude 0)"] = placeless
    if config.box is not None:
        south, west, north, east = config.box
        inside = (latitude >= south) & (latitude <= north)
        width = east - west if east > west else east - west + 360  # it may cross the date line
        conditions["outside the box"] = ~(inside & ((longitude - west) % 360 <= width))
    if config.circle is not None:
        conditions["outside the circle"] = _distance(latitude, longitude, config) > config.circle[2]
    counted = np.ones(len(catalog), dtype=np.bool_)
    reasons = []
    for reason, excluded in conditions.items():
        number = int((counted & excluded).sum())
        if number:
            reasons.append(f"{number:,} {reason}")
        counted &= ~excluded
    if not counted.any():
        raise ValueError(
            f"none of the {len(catalog):,} events counts: {', '.join(reasons)}; widen what counts."
        )
    but = f"; left out {', '.join(reasons)}" if reasons else ""
    logger.info("%s of %s events count%s.", f"{counted.sum():,}", f"{len(catalog):,}", but)
    return counted


def _distance(
    latitude: NDArray[np.float64], longitude: NDArray[np.float64], config: CatalogConfig
) -> NDArray[np.float64]:
    """Give kilometres along the sphere from the circle's centre (haversine formula)."""
    assert config.circle is not None
    here = np.radians(config.circle[:2])
    phi, lam = np.radians(latitude), np.radians(longitude)
    half = np.sin((phi - here[0]) / 2) ** 2
    half = half + np.cos(phi) * np.cos(here[0]) * np.sin((lam - here[1]) / 2) ** 2
    distance: NDArray[np.float64] = 2 * _RADIUS * np.arcsin(np.sqrt(np.minimum(half, 1)))
    return distance


def _numbers(column: Any, n_rows: int) -> NDArray[np.float64]:
    return numbers(column) if n_rows else _none(n_rows)


def _none(n_rows: int) -> NDArray[np.float64]:
    return np.full(n_rows, np.nan)
