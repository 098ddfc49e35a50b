"""How files become readings: the configuration of sensor logs and of earthquake catalogues."""

from dataclasses import dataclass, field
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
    """Column with the times, or those with the date and the time of day: Day+Clock; by default the
    one called time, timestamp, datetime or date, date and time, or year, month, day and hour."""

    time_unit: Unit | None = field(default=None, metadata={"was": "unit"})
    """Unit of times that are numbers counted from 1970-01-01T00:00:00Z."""

    timezone: str | None = None
    """Where clocks stand whose times name no offset from UTC, or that of winter and of summer,
    such as Europe/Paris; by default times without an offset are UTC."""

    dates: Dates | None = None
    """What comes first in dates that do not begin with the year; by default what days above 12
    tell."""

    step: str | None = None
    """Time from one reading to the next, such as 1h, 10min or 2.5ms; by default the commonest."""

    start: str | None = None
    """Time of the first reading of an .npy file, which has none."""

    channels: tuple[str, ...] = ()
    """Columns to read, or the names of an .npy file's rows; by default all columns but those of
    the time and one that numbers the rows."""

    resample: Resample = "refuse"
    """What becomes of rows that are out of order, of one time, or off the clock: refuse them, or
    make the mean (max, min, sum, first, last) of the rows of each step its reading, or of each
    channel the value that is nearest to the step's beginning, for clocks that jitter."""

    def __post_init__(self) -> None:
        if self.step is not None:
            parse_duration(self.step)
        if self.start is not None:
            parse_time(self.start)
        if len(set(self.channels)) < len(self.channels):
            raise ValueError(f"channels must differ, got {', '.join(self.channels)}.")


@dataclass(frozen=True, kw_only=True)
class CatalogConfig:
    """How an earthquake catalogue becomes readings."""

    step: str = "1h"
    """Time from one reading to the next: 1h, 10min, 1d."""

    channels: tuple[Quantity, ...] = ("maximum",)
    """What is read in each step: maximum or mean magnitude, count of the events, or energy, the
    decimal logarithm of the joules they released (1.5 M + 4.8 each). All are 0 where none is."""

    min_magnitude: float = 2.0
    """Smallest magnitude that counts."""

    kinds: tuple[str, ...] = EARTHQUAKES
    """Types of events that count, in small letters or large ones; "" is one without a type."""

    box: tuple[float, float, float, float] | None = None
    """South, west, north and east of the events that count, in degrees."""

    circle: tuple[float, float, float] | None = None
    """Latitude and longitude in degrees of a place, and how far from it, in kilometres, events
    count."""

    max_silence: str = "30d"
    """Longest time without any event, of whatever type, size or place, that is believed; longer
    ones are gaps in the catalogue."""

    since: str | None = None
    """Time of the first reading; by default that of the first event."""

    until: str | None = None
    """Time at which the last reading ends; by default the step of the last event is the last."""

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
                f"channels must be different ones of {', '.join(known)}, got"
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
                f"box must be south, west, north, east in degrees, south below north, got {box}."
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
