"""How files become readings: the configuration of sensor logs and of earthquake catalogues."""

import shlex
from dataclasses import dataclass, field, fields
from typing import Literal, get_args

import numpy as np

from foreshock._time import parse_duration, parse_time
from foreshock.readings.columns import Dates, Unit

Resample = Literal["refuse", "mean", "max", "min", "sum", "first", "last", "nearest"]
Quantity = Literal["maximum", "count", "mean", "energy"]
EARTHQUAKES = ("eq", "earthquake", "ke", "se", "")
"""What catalogues call an earthquake, ISC a known or a suspected one; some say nothing of it."""


@dataclass(frozen=True, kw_only=True)
class LogConfig:
    """How a sensor log (CSV, Parquet, .npy) becomes readings."""

    time: str | None = None
    """Column of the times, or columns of their parts: Day+Clock, Y+M+D+H. Default: time, timestamp,
    datetime or date; date and time; or year, month, day and hour. rows: there is none, number the
    rows."""

    time_unit: Unit | None = field(default=None, metadata={"was": "unit"})
    """Unit of times that are numbers, counted from 1970-01-01T00:00:00Z. count: they number the
    readings, as cycles do, and there is no clock."""

    unit_column: str | None = None
    """Column that names the unit (machine, patient, station) of each row."""

    files: Literal["continue", "units"] = "continue"
    """What several files are. continue: one recording, in any order. units: each is a unit of its
    own, named as the file."""

    timezone: str | None = None
    """Time zone of timestamps without a UTC offset, or with the two of summer and winter time, such
    as Europe/Paris. Default: UTC."""

    dates: Dates | None = None
    """Order of dates that do not start with the year. Default: inferred from days above 12."""

    step: str | None = None
    """Time between readings, such as 1h, 10min or 2.5ms. Default: the most common."""

    start: str | None = None
    """Time of the first reading of an .npy file, which contains no times."""

    channels: tuple[str, ...] = ()
    """Columns to read, or names for the rows of an .npy file. Of text, the column (cbwd) or one of
    its values (cbwd=NW). Default: all columns except times, units and row numbers."""

    names: tuple[str, ...] = ()
    """Names for the columns of a text file without a header. Default: 1, 2, and so on."""

    resample: Resample = "refuse"
    """What to do with rows that are out of order, at the same time or between two steps. refuse:
    stop. mean, max, min, sum, first, last: combine the rows of each step. nearest: take each
    channel's value nearest to the start of the step, for clocks that jitter."""

    fill: str | None = None
    """Longest time that the last reading of a channel stands for those missing behind it, such as
    5s; 5: for so many readings."""

    def __post_init__(self) -> None:
        if self.step is not None:
            parse_duration(self.step)
        if self.start is not None:
            parse_time(self.start)
        if self.fill is not None and not _is_count(self.fill):
            try:
                parse_duration(self.fill)
            except ValueError:
                raise ValueError(
                    "fill must be a time, such as 5s, or a number of readings above 0, such as 5,"
                    f" got {self.fill[:40]!r}."
                ) from None
        if self.step is not None and self.time_unit == "count":
            raise ValueError("numbered readings have no step (time_unit count): leave it out.")
        for what, names in (("channels", self.channels), ("names", self.names)):
            if len(set(names)) < len(names):
                raise ValueError(f"{what} must differ, got {', '.join(names)}.")


def options_text(config: "LogConfig | CatalogConfig") -> str:
    """Write what differs from the defaults as options of the command line."""
    group, found = "log" if isinstance(config, LogConfig) else "catalog", []
    for each in fields(config):
        value = getattr(config, each.name)
        if value != each.default:
            values = value if isinstance(value, tuple) else (value,)
            texts = (shlex.quote(str(text)) for text in values)
            found += [f"--{group}.{each.name.replace('_', '-')}", *texts]
    return " ".join(found)


def _is_count(text: str) -> bool:
    return text.isdecimal() and text.isascii() and int(text) > 0


@dataclass(frozen=True, kw_only=True)
class CatalogConfig:
    """How an earthquake catalogue becomes readings."""

    step: str = "1h"
    """Time between readings, such as 1h, 10min or 1d."""

    channels: tuple[Quantity, ...] = ("maximum",)
    """What to compute for each step: maximum or mean magnitude, count of events, or energy: log10
    of the joules released (1.5 M + 4.8 each). A step without events is 0."""

    min_magnitude: float = 2.0
    """Smallest magnitude to include."""

    kinds: tuple[str, ...] = EARTHQUAKES
    """Types of events to include, in upper or lower case; "" stands for no type."""

    box: tuple[float, float, float, float] | None = None
    """South, west, north and east of the area to include, in degrees."""

    circle: tuple[float, float, float] | None = None
    """Circle to include: latitude and longitude of its centre in degrees, radius in kilometres."""

    max_silence: str = "30d"
    """Longest time without any event; a longer one is a gap in the catalogue. Events of all types,
    sizes and places count."""

    since: str | None = None
    """Time of the first reading. Default: the first event."""

    until: str | None = None
    """Time at which the last reading ends. Default: the end of the step with the last event."""

    def __post_init__(self) -> None:
        parse_duration(self.step)
        parse_duration(self.max_silence)
        for time in (self.since, self.until):
            if time is not None:
                parse_time(time)
        known = get_args(Quantity)
        different = len(set(self.channels)) == len(self.channels) > 0
        if not different or not set(self.channels) <= set(known):
            raise ValueError(
                f"channels must be one or more of {', '.join(known)}, each once, got"
                f" {', '.join(self.channels) or 'none'}."
            )
        if not np.isfinite(self.min_magnitude):
            raise ValueError(f"min_magnitude must be a number, got {self.min_magnitude}.")
        check_place(self.box, self.circle)


def check_place(
    box: tuple[float, float, float, float] | None, circle: tuple[float, float, float] | None
) -> None:
    """Refuse a box or a circle that is none on the globe."""
    if box is not None:
        south, west, north, east = box
        if not (-90 <= south < north <= 90 and -180 <= west <= 180 and -180 <= east <= 180):
            raise ValueError(
                "box must be south, west, north, east in degrees, with south below north, got"
                f" {box}."
            )
    if circle is not None:
        latitude, longitude, radius = circle
        if not (abs(latitude) <= 90 and abs(longitude) <= 180 and 0 < radius < np.inf):
            raise ValueError(
                "circle must be latitude and longitude in degrees and a radius above 0 in"
                f" kilometres, got {circle}."
            )


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """How files become readings."""

    log: LogConfig = field(default_factory=LogConfig)
    """Sensor logs."""

    catalog: CatalogConfig = field(default_factory=CatalogConfig)
    """Earthquake catalogues."""


DEFAULT = SourceConfig()
