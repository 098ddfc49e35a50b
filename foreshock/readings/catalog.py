"""Earthquake catalogues: lists of events, read from files and turned into readings.

Understood are the CSV files of USGS ComCat and NCEDC, the text files of FDSN event services
(https://www.fdsn.org/webservices/) and tables of other agencies, whatever the order of their
columns and the units in their names. An event that stands several times counts once.
"""

import logging
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from foreshock._arrays import as_numbers, is_masked
from foreshock._files import check_new, followed, write_atomic
from foreshock._optional import optional
from foreshock._text import id_text, listed
from foreshock._time import format_time, parse_duration, parse_time
from foreshock.readings.columns import MISSING, column_texts, numbers, row_of, times_in, utc_times
from foreshock.readings.config import CatalogConfig, SourceConfig
from foreshock.readings.frames import naming, read_frame
from foreshock.readings.series import Readings

logger = logging.getLogger(__name__)

MAX_TIMEPOINTS = 2**31
DEFAULT = CatalogConfig()
_RADIUS = 6371.0
_FAR = 300.0
"""Most kilometres between two rows of one event."""
_FEW = 0.05
"""Largest share of repeated ids that may be those of several events by mistake."""
_COLUMNS = {
    "time": (
        "time", "datetime", "origintime", "eventtime", "oluszamani", "ot", "timeofday", "fechahora",
        "fechayhora", "datahora", "dataora", "dateheure",
    ),
    "date": (
        "date", "origindate", "eventdate", "olustarihi", "tgl", "tanggal", "fecha", "data",
    ),
    "year": ("year", "yr", "a\xf1o", "anno", "ano", "ann\xe9e", "tahun"),
    "month": ("month", "mo", "mes", "m\xeas", "mese", "mois", "bulan"),
    "day": ("day", "dy", "d\xeda", "dia", "giorno", "jour", "hari"),
    "hour": ("hour", "hr", "hora", "ora", "heure", "jam"),
    "minute": ("minute", "min", "minuto", "menit"),
    "second": ("second", "seconds", "sec", "segundo", "secondo", "seconde", "detik"),
    "magnitude": ("mag", "magnitude", "magnitud", "magnitudine", "magnitudo"),
    "latitude": ("latitude", "lat", "enlem", "latitud", "latitudine", "lintang"),
    "longitude": (
        "longitude", "lon", "long", "lng", "longtitude", "boylam", "longitud", "longitudine",
        "bujur",
    ),
    "depth": (
        "depth", "der", "derinlik", "profundidad", "profundidade", "prof", "profondit\xe0",
        "profondita", "profondeur", "kedalaman",
    ),
    "kind": ("type", "eventtype", "et", "tip"),
    "id": ("id", "eventid", "publicid", "evid", "eqid", "irisid", "depremkodu"),
    "updated": ("updated", "modificationtime", "updatetime", "lastupdate", "lastmodified"),
}  # fmt: skip
"""Names of columns as `_plain_name` writes them, the preferred ones first; in English, Turkish,
Indonesian, Spanish, Portuguese, Italian and French."""
_NAMELESS = frozenset([*map(str.casefold, MISSING), "unknown", "0", "-1"])
"""What stands in a column of ids, in any case, for an event that has no name."""
_SCALES = ("mw", "ml", "xm", "md", "mb", "ms")
"""Columns of magnitudes on several scales, the preferred ones first; xM is the largest of them."""
_NORTH_EAST, _SOUTH_WEST = ("north", "east"), ("south", "west")
_WORDS = frozenset(
    ["utc", "gmt", "ut", "km", "deg", "degree", "degrees", *_NORTH_EAST, *_SOUTH_WEST]
)
"""Words of a column's name that name no more than its unit or its clock."""
_SENSOR = re.compile(r"[(\[]\s*[pnu\u03bcmk]?(t|tesla|g|gauss|v|a|db|hz)\s*[)\]]")
"""A unit that a magnetometer, or another sensor, has behind mag and an earthquake has not."""
_UTC = re.compile(
    r"utc|gmt|ut1?|zulu|universal|coordinated|time|iso|(iso)?8601|0{1,4}|24h?"
    r"|(yyyy|yy|mmm?|dd|hh(24)?|mi|ss+|f+|(?<=d)t(?=h)|(?<=s)z)+|[ymdhsftz]"
)
"""Words in brackets behind the name of a column of times that is in UTC: it, or how it is written,
such as ISO 8601 or yyyy-mm-dd hh:mm:ss."""
_BRACKETS = r"[(\[]([^)\]]*)[)\]]"
_DAY_PARTS, _CLOCK = ("year", "month", "day"), ("hour", "minute", "second")
_DATED = r"\d+[-/]\d|\d{8}|\d\d?\.\d\d?\.\d{4}|\d{4}\."
"""How times begin that have a date."""
_TIMED = r"(?:0 days )?\d\d?:\d\d(?::\d\d(?:[.,]\d*)?)?\s*(?:[AaPp]\.?[Mm]\.?|Z)?"
"""Times of day as nothing else is written."""
_SECOND, _DAY = 10**6, 86_400 * 10**6


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", name).casefold())


def _plain_name(name: str) -> str:
    """Write a column's name in small letters, without unit, clock, spaces, dots and underscores."""
    name = unicodedata.normalize("NFKC", name)
    words = _words(re.sub(_BRACKETS, " ", name))
    return "".join([word for word in words if word not in _WORDS] or words)


class _Names(frozenset[str]):
    """Names of columns, which hold any that is plainly the same."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(_plain_name(str(name)))


TEXT = _Names(
    n for field in ("time", "date", "hour", "kind", "id", "updated") for n in _COLUMNS[field]
)
"""Columns that are text, however their names are written."""


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
    updated: NDArray[np.datetime64] | None = None
    """When each event was last changed, datetime64[us], UTC, NaT where that is unknown; None where
    the catalogue does not say."""

    def __post_init__(self) -> None:
        for name in ("magnitude", "latitude", "longitude", "depth"):
            values = as_numbers(getattr(self, name), name).astype(np.float64, copy=False)
            object.__setattr__(self, name, values)  # what is masked is missing
        if is_masked([self.time, self.kind, self.id]):
            raise ValueError("time, kind or id is masked for some events: leave these out.")

    def __len__(self) -> int:
        return len(self.time)

    def take(self, chosen: NDArray[Any]) -> "Catalog":
        """Return the events at positions, or where a mask is true."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        taken: dict[str, Any] = {k: None if a is None else a[chosen] for k, a in arrays.items()}
        return Catalog(**taken)


def columns_of(columns: Sequence[str]) -> dict[str, str]:
    """Find the columns of a catalogue among names: of time, latitude, id and so on, if there.

    Of several columns that are called alike, such as Fecha and Fecha UTC, it is the one in UTC.
    """
    plain: dict[str, str] = {}
    for name in sorted(columns, key=lambda name: {"utc", "gmt"}.isdisjoint(_words(name))):
        plain.setdefault(_plain_name(name), name)
    found = {
        field: next((plain[name] for name in names if name in plain), None)
        for field, names in _COLUMNS.items()
    }
    return {field: name for field, name in found.items() if name is not None}


def _scales(columns: Sequence[str]) -> list[str]:
    """Find the columns of magnitudes, the preferred ones first."""
    plain = {_plain_name(name): name for name in reversed(columns)}
    names = [plain[name] for name in (*_COLUMNS["magnitude"], *_SCALES) if name in plain]
    return [name for name in names if not _SENSOR.search(name.casefold())]


def is_catalog(columns: Sequence[str]) -> bool:
    """Check whether columns are a catalogue's: a time, a magnitude and a place or a name.

    Where the magnitude has but the name of a scale (Mw, ML), which a sensor's log may have too, the
    place must have both of its coordinates.
    """
    found = columns_of(columns)
    scales = [_plain_name(name) for name in _scales(columns)]
    timed = bool(found.keys() & {"time", "date"}) or set(_DAY_PARTS) <= found.keys()
    if not timed or not scales:
        return False
    if scales[0] in _COLUMNS["magnitude"]:
        return bool(found.keys() & {"latitude", "id"})
    return scales[0] in ("mw", "ml") and {"latitude", "longitude"} <= found.keys()


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
    """Make a catalogue of a data frame with the columns of an agency; each event counts once."""
    names = list(map(str, frame.columns))
    frame = frame.set_axis(names, axis=1)
    columns = columns_of(names)
    if not is_catalog(names) or not len(frame):
        raise ValueError(
            f"it is not a catalogue or it is empty: it has the columns {listed(names)} and"
            f" {len(frame)} rows; expected time, latitude, longitude, mag and a row for each event"
        )
    arrays: dict[str, Any] = {
        field: _numbers(frame[columns[field]], len(frame))
        if field in columns
        else _none(len(frame))
        for field in ("latitude", "longitude", "depth")
    }
    for field in ("latitude", "longitude"):
        if field in columns and _is_reversed(columns[field]):
            arrays[field] = _turned(arrays[field], frame[columns[field]])
    if re.search(r"[(\[/]\s*m\b", columns.get("depth", "")):
        arrays["depth"] = arrays["depth"] / 1000  # metres
    arrays["magnitude"] = _magnitudes(frame, _scales(names))
    for field, limit in (("magnitude", 12.0), ("latitude", 90.0), ("longitude", 360.0)):
        beyond = np.abs(arrays[field]) > limit
        if beyond.any():
            at = int(beyond.argmax())
            raise ValueError(
                f"row {at + 1} has the {field} {arrays[field][at]:g}, beyond {limit:g}; is the"
                " column the right one?"
            )
    for field, texts in (("kind", column_texts), ("id", event_ids)):
        none = np.full(len(frame), "")
        arrays[field] = texts(frame[columns[field]]) if field in columns else none
    if "updated" in columns:
        arrays["updated"] = _updated(frame[columns["updated"]])
    whole = Catalog(time=_times(frame, columns), **arrays)
    moves = np.sign(np.diff(whole.time).astype(np.int64))
    back = moves * (1 if moves.sum() >= 0 else -1) < 0  # some catalogues begin with the latest
    return _once(whole, np.cumsum(np.append(False, back)))


def event_ids(column: Any) -> NDArray[np.str_]:
    """Read the names of events; empty where an event has none, whatever stands there for it."""
    return column_texts(column, _id_text)


def _id_text(value: object) -> str:
    text = id_text(value)
    return "" if text.casefold() in _NAMELESS else text


def join_catalogs(parts: Sequence[Catalog]) -> Catalog:
    """Join catalogues; of an event in several, the latest version is kept."""
    arrays: dict[str, Any] = {}
    for field in fields(Catalog):
        each = [getattr(part, field.name) for part in parts]
        if any(array is not None for array in each):
            unknown = [np.full(len(part), "NaT", "datetime64[us]") for part in parts]
            pairs = zip(each, unknown, strict=True)
            arrays[field.name] = np.concatenate([b if a is None else a for a, b in pairs])
    return _once(Catalog(**arrays), np.repeat(np.arange(len(parts)), [len(p) for p in parts]))


def _once(catalog: Catalog, download: NDArray[np.int64]) -> Catalog:
    """Keep each event once, in the order of time.

    Of several rows of one event the latest is kept: the one that was updated last, where that is
    known of all of them, else the last.

    Parameters
    ----------
    catalog
        Rows in the order of the files.
    download
        Which of the catalogues that were put together each row is from.
    """
    events, n_rows = _events(catalog, download), len(catalog)
    n_events = int(events.max(initial=-1)) + 1
    dates = np.full(n_rows, "NaT", "datetime64[us]") if catalog.updated is None else catalog.updated
    undated = np.bincount(events, np.isnat(dates), n_events) > 0
    rank = np.where(undated[events], 0, dates.astype(np.int64))
    order = np.lexsort((np.arange(n_rows), rank, events))
    latest = order[np.append(np.diff(events[order]) > 0, True)]  # (n_events,)
    if n_events < n_rows:
        other = np.zeros(n_rows, np.bool_)
        for name in ("time", "magnitude", "latitude", "longitude", "depth", "kind"):
            then = getattr(catalog, name)
            now = then[latest[events]]
            unknown = np.isnan(then) & np.isnan(now) if then.dtype.kind == "f" else False
            other |= (then != now) & ~np.asarray(unknown)
        logger.info(
            "%s rows repeat an event: each is kept once, the latest of it; %s of them had changed.",
            f"{n_rows - n_events:,}",
            f"{len(np.unique(events[other])):,}",
        )
        names = np.full(n_events, "", catalog.id.dtype)
        named = catalog.id != ""
        names[events[named]] = catalog.id[named]  # the latest row of an event may lack its name
        catalog = replace(catalog, id=names[events])
    return catalog.take(latest[np.argsort(catalog.time[latest], kind="stable")])


def _events(catalog: Catalog, download: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each row the number of its event, (n_rows,).

    Rows of one event have the same name, or, where it has none, the same time and place. But
    where times are coarser than a second, and one download has rows of different magnitudes at one
    time and place, without names, they are as many events: it would not give one twice. Where
    times are finer, rows that are equal in all that was read are one event, also without a place.
    """
    pandas = optional("pandas", "tables")
    n_rows = len(catalog)
    finest = np.gcd.reduce(catalog.time.astype(np.int64), initial=_DAY)
    if finest <= _SECOND:
        download = np.arange(n_rows)  # no two events are at one place at one such time
    names: NDArray[np.int64] = pandas.factorize(catalog.id)[0]
    named = _named(catalog, names)
    if named.all():
        return names
    rows = pandas.DataFrame(
        {
            "time": catalog.time,
            "latitude": catalog.latitude.round(6),
            "longitude": (catalog.longitude % 360).round(6) % 360,
            "download": np.where(named, -1, download),
            "what": np.where(named, names, pandas.factorize(catalog.magnitude)[0]),
        }
    )[~_placeless(catalog)]
    rows["spot"] = rows.groupby(["time", "latitude", "longitude"], sort=False).ngroup()
    code = rows.groupby(["spot", "download", "what"], sort=False).ngroup()
    turns = rows[~code.duplicated()].groupby(["spot", "download"]).cumcount().to_numpy()
    turn = turns[code]  # 0 for the first that its download has there, and so on
    event = rows.groupby(["spot", turn], sort=False).ngroup().to_numpy()
    placed = rows.index.to_numpy()
    known = named[placed]
    owner = np.full(int(event.max(initial=-1)) + 1, -1)
    owner[event[known]] = names[placed[known]]
    numbers = n_rows + np.arange(n_rows)
    if finest < _SECOND:
        read = {f.name: getattr(catalog, f.name) for f in fields(Catalog) if f.name != "id"}
        whole = pandas.DataFrame({k: array for k, array in read.items() if array is not None})
        equal = whole[~named].groupby(list(whole.columns), sort=False, dropna=False).ngroup()
        numbers[~named] = n_rows + equal.to_numpy()
    numbers[placed] = np.where(owner[event] < 0, 2 * n_rows + event, owner[event])
    numbers[named] = names[named]
    apart = len(np.unique(event[~known & (turn > 0) & (owner[event] < 0)]))
    if apart:
        logger.info(
            "%s events without a name have the time and the place of another, but not its"
            " magnitude: they count.",
            f"{apart:,}",
        )
    result: NDArray[np.int64] = pandas.factorize(numbers)[0]
    return result


def _named(catalog: Catalog, names: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which rows have the name of an event, (n_rows,); row numbers, say, name none.

    The rows of an event are revisions, which move it by minutes and tens of kilometres. An id whose
    rows are further apart names no event. Where such ids are many, none of the catalogue's does.
    """
    named: NDArray[np.bool_] = catalog.id != ""
    n_names = int(names.max(initial=-1)) + 1
    repeated = np.bincount(names[named], minlength=n_names) > 1
    rows = np.flatnonzero(repeated[names])
    if not len(rows):
        return named
    first = np.empty(n_names, np.int64)
    first[names[::-1]] = np.arange(len(catalog))[::-1]
    then = first[names[rows]]
    latitude, longitude = catalog.latitude, catalog.longitude
    away = _distance(latitude[rows], longitude[rows], latitude[then], longitude[then])
    placeless = _placeless(catalog)
    away[placeless[rows] | placeless[then]] = 0
    later = np.abs(catalog.time[rows] - catalog.time[then]).astype(np.int64)
    apart = np.zeros(n_names, np.bool_)
    apart[names[rows[(later > _DAY) | (away > _FAR)]]] = True
    n_apart, n_repeated = int(apart.sum()), int(repeated.sum())
    if n_apart:
        all_of_them = n_apart > max(1, _FEW * n_repeated)
        logger.warning(
            "%s of %s ids that stand several times do so in rows more than a day or %.0f km apart,"
            " as row numbers would: %s events are told by time and place instead.",
            f"{n_apart:,}",
            f"{n_repeated:,}",
            _FAR,
            "all" if all_of_them else "their",
        )
        named &= ~apart[names] & (not all_of_them)
    return named


def check_target(path: Path) -> None:
    """Refuse a name under which no catalogue can be written.

    Raises
    ------
    ValueError, FileExistsError, FileNotFoundError
        With what to do.
    """
    if path.suffix.lower() != ".csv":
        raise ValueError(f"a catalogue must end in .csv, got {path.name}: rename {path}.")
    check_new(path)


def write_catalog(catalog: Catalog, path: Path) -> None:
    """Write a catalogue as CSV with ComCat's columns; it appears whole or not at all."""
    pandas = optional("pandas", "tables")
    unit: Literal["us", "ms"] = "us" if (catalog.time.astype(np.int64) % 1000).any() else "ms"
    columns = {
        "time": np.char.add(np.datetime_as_string(catalog.time, unit=unit), "Z"),
        "latitude": catalog.latitude,
        "longitude": catalog.longitude,
        "depth": catalog.depth,
        "mag": catalog.magnitude,
        "type": catalog.kind,
        "id": catalog.id,
    }
    if catalog.updated is not None:
        texts = np.char.add(np.datetime_as_string(catalog.updated, unit="ms"), "Z")
        columns["updated"] = np.where(np.isnat(catalog.updated), "", texts)
    frame = pandas.DataFrame(columns)
    write_atomic(followed(path), frame.to_csv(index=False, lineterminator="\n").encode())


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
        raise ValueError("the catalogue has no events, so there are no readings.")
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
    """Return which events count, and log why the others do not."""
    conditions = {
        f"of a type that is none of {listed([kind or 'none' for kind in config.kinds])}": ~np.isin(
            np.char.lower(catalog.kind), [kind.lower() for kind in config.kinds]
        ),
        "without a magnitude": np.isnan(catalog.magnitude),
        f"below magnitude {config.min_magnitude:g}": catalog.magnitude < config.min_magnitude,
    }
    latitude, longitude = catalog.latitude, catalog.longitude
    if config.box is not None or config.circle is not None:
        conditions["without a place (or at latitude or longitude 0)"] = _placeless(catalog)
    if config.box is not None:
        south, west, north, east = config.box
        inside = (latitude >= south) & (latitude <= north)
        width = east - west if east > west else east - west + 360  # it may cross the date line
        conditions["outside the box"] = ~(inside & ((longitude - west) % 360 <= width))
    if config.circle is not None:
        away = _distance(latitude, longitude, *config.circle[:2])
        conditions["outside the circle"] = away > config.circle[2]
    counted = np.ones(len(catalog), dtype=np.bool_)
    reasons = []
    for reason, excluded in conditions.items():
        number = int((counted & excluded).sum())
        if number:
            reasons.append(f"{number:,} {reason}")
        counted &= ~excluded
    if not counted.any():
        raise ValueError(
            f"none of the {len(catalog):,} events passes the filters: {', '.join(reasons)}; widen"
            " them."
        )
    but = f"; left out {', '.join(reasons)}" if reasons else ""
    logger.info("%s of %s events count%s.", f"{counted.sum():,}", f"{len(catalog):,}", but)
    return counted


def _distance(
    latitude: NDArray[np.float64], longitude: NDArray[np.float64], there: Any, along: Any
) -> NDArray[np.float64]:
    """Return kilometres along the sphere from places to others, or to one (haversine formula)."""
    phi, there = np.radians(latitude), np.radians(there)
    half = np.sin((phi - there) / 2) ** 2
    half = half + np.cos(phi) * np.cos(there) * np.sin(np.radians(longitude - along) / 2) ** 2
    distance: NDArray[np.float64] = 2 * _RADIUS * np.arcsin(np.sqrt(np.minimum(half, 1)))
    return distance


def _placeless(catalog: Catalog) -> NDArray[np.bool_]:
    """Return which events have no place; some catalogues write 0 there."""
    places = np.stack([catalog.latitude, catalog.longitude])
    placeless: NDArray[np.bool_] = (np.isnan(places) | (places == 0)).any(axis=0)
    return placeless


def _times(frame: Any, columns: dict[str, str]) -> NDArray[np.datetime64]:
    """Read the times of events, whose dates and times of day may have columns of their own."""
    for name in (columns[field] for field in ("time", "date", "hour") if field in columns):
        inside = " ".join(re.findall(_BRACKETS, unicodedata.normalize("NFKC", name)))
        if not all(map(_UTC.fullmatch, _words(inside))):
            plain = re.sub(_BRACKETS, "", name).strip()
            raise ValueError(
                f"the times of the column {name!r} may not be UTC; convert them to UTC and name the"
                f" column {plain} (UTC)"
            )
    date, clock, hour = (columns.get(field) for field in ("date", "time", "hour"))
    dated = date is not None or set(_DAY_PARTS) <= columns.keys()
    if clock is not None and (not dated or frame[clock].astype(str).str.match(_DATED).any()):
        date, clock = clock, None  # the date is there, too
    if clock is None and hour is not None:
        whole = frame[hour].astype(str).str.contains(r":|\d{6}|\d\.\d\d\.\d\d")
        clock = hour if whole.any() else None
    parts = ["time"] if clock is not None else [*takewhile(columns.__contains__, _CLOCK)]
    table = frame[[]].copy()
    if date is not None:
        numeric = parts and frame[date].dtype.kind in "iu"  # 20110311
        times = utc_times(frame[date].astype(str) if numeric else frame[date])
        days = times.astype("datetime64[D]")
        if not parts or (times != days).any():
            _check_clock(frame, times)
            return times
        index = optional("pandas", "tables").DatetimeIndex(days)
        table = table.assign(year=index.year, month=index.month, day=index.day)
    for part in (*_DAY_PARTS, *parts):
        if part not in table and part != "time":
            table[part] = numbers(frame[columns[part]])
    if clock is not None:
        compact = r"^(\d\d)(\d\d)(\d\d)(?=\.|Z?$)"  # 054624.12
        texts = frame[clock].astype(str).str.strip().str.replace(compact, r"\1:\2:\3", regex=True)
        known = texts.notna() & ~texts.isin(MISSING)
        bad = known & ~texts.str.contains(r"^(?:0 days )?\d\d?[:.]\d\d")
        if bad.any():
            at = int(bad.argmax())
            raise ValueError(
                f"{row_of(texts, at)} has the time of day {texts.iloc[at]!r:.40}, expected one like"
                " 05:46:24"
            )
        table["time"] = texts
    column, _ = times_in(table, "+".join((*_DAY_PARTS, *parts)))
    times = utc_times(column)
    if not parts:
        _check_clock(frame, times)
    return times


def _is_reversed(name: str) -> bool:
    """Check whether a column has degrees south or west, by a name that does not say negative."""
    words = {*_words(name)}
    usual = {"n", "e", "neg", "negative", "minus", *_NORTH_EAST}
    signed = re.search(r"-\s*[sw]|[sw]\s*=?\s*-", name.casefold()) is not None
    return bool(words & {"s", "w", *_SOUTH_WEST}) and not words & usual and not signed


def _turned(degrees: NDArray[np.float64], column: Any) -> NDArray[np.float64]:
    """Turn degrees south or west into degrees north or east."""
    if (degrees < 0).any():
        at = int((degrees < 0).argmax())
        raise ValueError(
            f"{row_of(column, at)} has {degrees[at]:g} in the column {column.name!r}, which may be"
            " north or south, east or west; write degrees north and east as positive, the others"
            " as negative, and name the column Latitude or Longitude"
        )
    return 0.0 - degrees


def _check_clock(frame: Any, times: NDArray[np.datetime64]) -> None:
    """Refuse times that are dates alone where another column has times of day."""
    if (times != times.astype("datetime64[D]")).any():
        return
    for name in frame.columns:
        texts = frame[name].dropna().astype(str).str.strip()
        first = texts[~texts.isin(MISSING)].head(1)
        if first.str.fullmatch(_TIMED).any():
            raise ValueError(
                f"its times are only dates, but the column {name!r} has {first.iloc[0]!r}; name it"
                " Time if it contains the times of day in UTC, else remove it"
            )


def _updated(column: Any) -> NDArray[np.datetime64]:
    """Read when rows were last changed; NaT where that is unknown."""
    times = np.full(len(column), "NaT", "datetime64[us]")
    known = column.notna() & (column.astype(str).str.strip() != "")
    try:
        if known.any():
            times[known] = utc_times(column[known])
    except ValueError as error:
        logger.info(
            "which row of an event is the latest is not told by %s: %s.", column.name, error
        )
    return times


def _magnitudes(frame: Any, names: list[str]) -> NDArray[np.float64]:
    """Read magnitudes, of each event from the first column that has one, and say from which."""
    columns = [_numbers(frame[name], len(frame)) for name in names]
    if len(names) == 1:
        return columns[0]
    table = np.stack(columns)  # (n_columns, n_rows)
    scale = np.array([[_plain_name(name) not in _COLUMNS["magnitude"]] for name in names])
    known = ~np.isnan(table)
    known &= ~(scale & (table == 0) & (known & (table != 0)).any(axis=0))  # 0 for an unknown one
    first = known.argmax(axis=0)
    counts = np.bincount(first[known.any(axis=0)], minlength=len(names))
    read = [f"{n:,} of {name}" for n, name in zip(counts, names, strict=True) if n]
    logger.info("magnitudes read: %s.", ", ".join(read) or "none")
    read_from: NDArray[np.float64] = table[first, np.arange(len(frame))]
    return read_from


def _numbers(column: Any, n_rows: int) -> NDArray[np.float64]:
    return numbers(column) if n_rows else _none(n_rows)


def _none(n_rows: int) -> NDArray[np.float64]:
    return np.full(n_rows, np.nan)
