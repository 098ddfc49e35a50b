"""Earthquake catalogues from FDSN event services (https://www.fdsn.org/webservices/).

Services cap their answers, some silently, and catalogues change while they are read. So no page is
asked for by its number: each answer narrows the time still to be asked for, down to its last event,
which must come again with the next, until asking for the rest brings nothing new. `Service` asks
for one window of time until the answer can be believed; `_Walk` finds the windows.
"""

import hashlib
import json
import logging
import math
import re
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from email.utils import mktime_tz, parsedate_tz
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from foreshock._files import check_new, followed, locked, make_folder, write_atomic
from foreshock._optional import optional
from foreshock._time import parse_time
from foreshock._version import __version__
from foreshock.readings.catalog import (
    TEXT,
    Catalog,
    check_target,
    columns_of,
    event_ids,
    from_frame,
    is_catalog,
    write_catalog,
)
from foreshock.readings.columns import utc_times
from foreshock.readings.config import check_place
from foreshock.readings.frames import csv_frame

logger = logging.getLogger(__name__)

SERVICES = {
    "ncedc": "https://service.ncedc.org/fdsnws/event/1",
    "usgs": "https://earthquake.usgs.gov/fdsnws/event/1",
    "scedc": "https://service.scedc.caltech.edu/fdsnws/event/1",
    "emsc": "https://www.seismicportal.eu/fdsnws/event/1",
    "ingv": "https://webservices.ingv.it/fdsnws/event/1",
    "isc": "https://www.isc.ac.uk/fdsnws/event/1",
}
MAX_BYTES = 64 * 2**20
"""Most bytes of an answer."""
MAX_SECONDS = 600.0
"""Longest time for an answer, and longest wait that a service may ask for, in seconds."""
TIMEOUT = (10.0, 120.0)
"""Longest silence of a service while it is called and while it answers, in seconds."""
ATTEMPTS = 7
"""How often to ask for one thing before giving up."""
BACKOFF = 1.0
"""Seconds before something is asked for again; doubled each time."""
PAUSE = 0.6
"""Seconds before each request, as ComCat's own client waits."""
LIMIT = 10_000
"""Most events to ask for at once; ComCat and EMSC give 20,000, GeoNet 10,000."""
SMALL = 100
"""Events to ask for at once where more are called too much; doubled until they are again."""
MAX_EVENTS = 5_000_000
"""Most events of a catalogue."""
SECOND = 10**6
"""Microseconds of a second."""

_MUCH = re.compile(r"\blimit|exceed|too (many|much|large)|fewer|maximum", re.I)
_UNKNOWN = re.compile(r"not (supported|implemented|allowed)|un(known|supported|recognized)", re.I)
_NOTHING = re.compile(r"\bno (matching )?(data|events)|deleted", re.I)


class ServiceError(RuntimeError):
    """A catalogue cannot be downloaded; the text says why, and what was kept."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """What to download from an event service."""

    since: str
    """Time of the first event, in UTC: 1967-12-01 or 1967-12-01T12:00:00."""

    until: str
    """Time of the last event; a date includes the whole day."""

    service: str = "ncedc"
    """Service to ask: ncedc, usgs, scedc, emsc, ingv, isc, or a URL ending in /fdsnws/event/1."""

    min_magnitude: float | None = None
    """Smallest magnitude. Default: all events, also those without a magnitude."""

    box: tuple[float, float, float, float] | None = None
    """South, west, north and east of the area, in degrees."""

    circle: tuple[float, float, float] | None = None
    """Latitude and longitude of the centre in degrees, radius in kilometres."""

    def __post_init__(self) -> None:
        first, last = self.span
        if first > last:
            raise ValueError(f"until must not come before since, got {self.since} to {self.until}.")
        if not re.fullmatch(r"https?://[^\s?#]+", self.url):
            raise ValueError(
                f"service must be one of {', '.join(SERVICES)} or begin with https://, got"
                f" {self.service!r}."
            )
        if self.min_magnitude is not None and not math.isfinite(self.min_magnitude):
            raise ValueError(f"min_magnitude must be a number, got {self.min_magnitude}.")
        check_place(self.box, self.circle)
        if self.box is not None and self.circle is not None:
            raise ValueError("give a box or a circle, not both.")

    @property
    def url(self) -> str:
        """Where the service is."""
        return SERVICES.get(self.service, self.service).rstrip("/").removesuffix("/query")

    @property
    def span(self) -> tuple[np.datetime64, np.datetime64]:
        """Times of the first and the last event, datetime64[us]."""
        first, last = parse_time(self.since), parse_time(self.until)
        if ":" not in self.until:  # a day, a month or a year: all of it
            last = (np.datetime64(self.until.removesuffix("Z")) + 1).astype("datetime64[us]") - 1
        return first, last

    @property
    def parameters(self) -> dict[str, str]:
        """What every request says."""
        comcat = "usgs.gov/" in self.url
        numbers: dict[str, float] = {}
        if self.min_magnitude is not None:
            numbers["minmagnitude"] = self.min_magnitude
        if self.box is not None:
            names = ("minlatitude", "minlongitude", "maxlatitude", "maxlongitude")
            numbers |= zip(names, self.box, strict=True)
            if self.box[1] > self.box[3] and (comcat or "seismicportal.eu/" in self.url):
                numbers["maxlongitude"] += 360  # over the date line; SeisComP takes it as it is
        if self.circle is not None:
            degrees = math.ceil(1e4 * math.degrees(self.circle[2] / 6371)) / 1e4
            place = (*self.circle[:2], min(180.0, degrees))
            numbers |= zip(("latitude", "longitude", "maxradius"), place, strict=True)
        return {"format": "csv" if comcat else "text"} | {  # ComCat's text lacks types of events
            name: np.format_float_positional(value, trim="-")  # the standard forbids exponents
            for name, value in numbers.items()
        }


class Window(NamedTuple):
    """A span of time to ask for, in seconds since 1970, both ends included."""

    low: int
    high: int
    offset: int = 1
    """The first of its events to ask for, counted from 1."""
    expected: str | None = None
    """An event that came before and must come again."""


class Page(NamedTuple):
    """The events of an answer: rows and times, in microseconds since 1970, by their names."""

    header: str
    rows: dict[str, str]
    times: dict[str, int]
    size: int
    ascending: bool


def read_page(text: str, window: Window) -> Page | None:
    """Read an answer, and refuse what is no list of events from a window in the order of time.

    ISC ends with lines of thanks and has single question marks; SCEDC has names of its own for two
    columns; names of places may hold bars.
    """
    lines = [line for line in re.split(r"\r?\n", text) if line.strip() not in ("", "?")]
    if not lines:
        return None
    header = re.sub(r"[#\s]", "", lines[0]).lower().replace("longtitude", "longitude")
    header = re.sub(r"\bet$", "type", header)
    names = re.split(r"[|,]", header)
    columns = columns_of(names)
    if "\0" in text or not {"id", "time"} <= columns.keys() or not is_catalog(names):
        raise ValueError(f"its answer is not a list of events, it begins {lines[0][:60]!r}")
    rows = [line for line in lines[1:] if not line.startswith("#")]
    if not rows:
        return None
    if "eventlocationname" in names:
        place = names.index("eventlocationname")
        for number, parts in enumerate(row.split("|") for row in rows):
            if len(parts) > len(names):
                parts[place : place + 1 + len(parts) - len(names)] = [""]
                rows[number] = "|".join(parts)
    frame = csv_frame("\n".join([header, *rows]), text=TEXT, separators="|,")
    from_frame(frame)  # checks every value
    ids = event_ids(frame[columns["id"]]).tolist()
    times = utc_times(frame[columns["time"]]).astype(np.int64)
    if "" in ids:
        raise ValueError("its answer has an event without a name")
    if times.min() < (window.low - 1) * SECOND or times.max() > (window.high + 1) * SECOND:
        raise ValueError("its answer has events outside the requested time")
    back, forth = (int((np.maximum.accumulate(t) - t).max()) for t in (times, -times))
    if min(back, forth) > SECOND:
        raise ValueError("its events are not in order of time, so gaps would go unnoticed")
    return Page(
        header=header,
        rows=dict(zip(ids, rows, strict=True)),
        times=dict(zip(ids, times.tolist(), strict=True)),
        size=len(rows),
        ascending=back < forth,
    )


class Service:
    """A service: one request at a time, repeated until its answer can be believed.

    Answers that break off or make no sense are asked for again as well as errors: urllib3's Retry
    sees the latter only, and inside of this loop it would ask 49 times instead of 7.
    """

    def __init__(self, query: Query) -> None:
        self.requests = optional("requests", "archive")
        optional("pandas", "tables")
        self.query = query
        self.reached = False  # until then more patience would be in vain
        self.session = self.requests.Session()
        self.session.max_redirects = 5
        self.session.headers["User-Agent"] = f"foreshock/{__version__}"
        self.session.headers["Accept-Encoding"] = "gzip"

    def fetch(self, window: Window, options: dict[str, Any]) -> tuple[str, str, Page | None]:
        """Ask for a window: why it was refused, or its events, as they came and read."""
        asked = self.query.parameters | options
        asked["starttime"], asked["endtime"] = (str(np.datetime64(t, "s")) for t in window[:2])
        if window.offset > 1:
            asked["offset"] = window.offset
        previous, failure, delay = None, "", 0.0
        for attempt in range(ATTEMPTS):
            if attempt:
                logger.info("%s: asking again in %.0f seconds.", failure, delay)
            time.sleep(max(PAUSE, delay))
            delay = BACKOFF * 2**attempt
            try:
                status, headers, text = self.get(asked)
            except self.requests.RequestException as error:
                if isinstance(error, ValueError):  # such as a redirect to a file
                    raise
                # urllib3 has a reason where no connection was made
                never = not self.reached and hasattr(next(iter(error.args), None), "reason")
                if attempt and never:
                    raise ValueError(
                        "cannot connect; check the network and the service's name"
                    ) from error
                failure = f"the connection failed ({type(error).__name__})"
                continue
            self.reached = True
            if status == 429 or status >= 500:
                failure = f"it answers {status}"
                delay = max(delay, _wait(headers.get("Retry-After", "")))
                continue
            if status != 200:
                refusal, text = _refusal(status, text, window, options), ""
                if refusal:
                    return refusal, "", None
            whole = "Content-Length" in headers or "Transfer-Encoding" in headers or status != 200
            try:
                page = read_page(text, window)
                came = {None, *(page.rows if page else ())}
                if text == previous or (whole and window.expected in came):
                    return "", text, page
                failure = "its answers break off"
            except ValueError as error:  # a fault on the way, unless it comes twice
                if text == previous:
                    raise
                failure = str(error)
            previous = text
        raise ValueError(f"{failure}, {ATTEMPTS} times in a row")

    def get(self, asked: dict[str, Any]) -> tuple[int, Mapping[str, str], str]:
        """Receive the status, the headers and the text of an answer, within bounds."""
        deadline = time.monotonic() + MAX_SECONDS
        body = bytearray()
        with self.session.get(
            f"{self.query.url}/query", params=asked, stream=True, timeout=TIMEOUT
        ) as response:
            for block in response.iter_content(2**16):
                body += block
                if len(body) > MAX_BYTES or time.monotonic() > deadline:
                    raise ValueError(
                        f"its answer exceeds {MAX_BYTES:,} bytes or {MAX_SECONDS:,.0f} seconds"
                    )
        text = body.decode("utf-8-sig", errors="replace")  # names of places may be in Latin-1
        return response.status_code, response.headers, text


def _wait(retry_after: str) -> float:
    """Read the seconds for which a service wants to be left alone, a number or a date."""
    date = parsedate_tz(retry_after)
    number = float(retry_after) if retry_after.isdecimal() else 0.0
    seconds = mktime_tz(date) - time.time() if date else number
    if seconds > MAX_SECONDS:
        raise ValueError(f"it asks to wait {seconds:,.0f} seconds; try again then")
    return seconds


def _refusal(status: int, text: str, window: Window, options: dict[str, Any]) -> str:
    """Return what another request may avoid: the name of an option, or that this is too much."""
    words = re.split(r"(?i)usage details|request:|request submitted", text)[0]
    words = " ".join(re.sub(r"<[^>]*>", " ", words).split())[:200]
    if status == 204 or (status in (404, 409) and _NOTHING.search(words)):
        return ""  # 409 is ComCat's: all of the events were withdrawn
    said = f"it answers {status} {words}".strip()
    unknown = _UNKNOWN.search(words)
    if status == 413 or (status == 400 and _MUCH.search(words) and not unknown):
        return said
    if status == 400 and window.offset > 1:
        return "offset"
    named = [name for name in options if status == 400 and unknown and name in words.lower()]
    if not named:
        raise ValueError(said)
    return named[0]


class _Walk:
    """The way through a catalogue: what is still to be asked for follows from what has come."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service, self.folder = service, folder
        self.header = ""
        self.events: dict[str, str] = {}
        self.changed: list[str] = []  # rows of which another has come since
        self.number = self.largest = 0
        self.ceiling = LIMIT
        self.options: dict[str, Any] = {"limit": LIMIT, "orderby": "time-asc"}

    def run(self, progress: bool | None) -> None:
        """Ask until nothing is left."""
        from rich.progress import Progress

        from foreshock._terminal import Terminal

        low, high = np.array(self.service.query.span, "datetime64[s]").astype(int).tolist()
        windows = [Window(low, high + 1)]
        hidden = not (sys.stderr.isatty() if progress is None else progress)
        with Progress(console=Terminal(stderr=True), transient=True, disable=hidden) as bar:
            task = bar.add_task("", total=high + 1 - low)
            while windows:
                windows += self.rest(windows.pop())
                done = high + 1 - low - sum(window.high - window.low for window in windows)
                bar.update(task, completed=done, description=f"{len(self.events):,} events")
                if len(self.events) > MAX_EVENTS:
                    raise ValueError(f"it has more than {MAX_EVENTS:,} such events; ask for fewer")

    def rest(self, window: Window) -> list[Window]:
        """Ask for a window and return what is left of it, the next to ask for last."""
        refusal, page = self.outcome(window)
        limit = self.options.get("limit", sys.maxsize)
        if refusal:
            return self.less(window, refusal, limit)
        if limit < self.ceiling:
            self.options["limit"] = min(2 * limit, self.ceiling)
        if page is None:
            return []
        self.header = self.header or page.header
        if page.header != self.header:
            raise ValueError(f"its columns changed to {page.header}; delete {self.folder} first")
        fresh = page.rows.keys() - self.events
        came = ((self.events.get(name, row), row) for name, row in page.rows.items())
        self.changed += [before for before, row in came if before != row]
        self.events |= page.rows
        self.largest = max(self.largest, page.size)
        further = window._replace(offset=window.offset + max(1, page.size - 1), expected=None)
        if not fresh:  # the end, unless a cap hides more events of one second
            capped = page.size >= min(self.largest, limit) and window.offset <= len(self.events)
            return [further] if capped else []
        earliest, latest = (pick(page.times, key=page.times.__getitem__) for pick in (min, max))
        after = max(window.low, page.times[latest] // SECOND - 1)
        rest = [Window(after, window.high, expected=latest)]
        if not page.ascending:
            before = min(window.high, page.times[earliest] // SECOND + 2)
            rest.append(Window(window.low, before, expected=earliest))
        narrower = [w for w in rest if w.high - w.low < window.high - window.low]
        return narrower if len(narrower) == len(rest) else [further, *narrower]

    def less(self, window: Window, refusal: str, limit: int) -> list[Window]:
        """Return what to ask for instead of what was refused."""
        if refusal in self.options:
            del self.options[refusal]
            return [window]
        if refusal == "offset" and window.offset < limit:
            return []
        if SMALL < limit < sys.maxsize and refusal != "offset":
            self.ceiling = limit // 2
            self.options["limit"] = min(SMALL, self.ceiling)
            return [window]
        if window.offset > 1:
            raise ValueError("more events than it gives at once fall into two seconds")
        self.options.pop("limit", None)
        middle = (window.low + window.high) // 2
        if middle == window.low:
            raise ValueError(f"even for one second {refusal}")
        return [Window(middle, window.high), Window(window.low, middle)]

    def outcome(self, window: Window) -> tuple[str, Page | None]:
        """Return why a window was refused, or its events; what is kept is not asked for again."""
        self.number += 1
        file = self.folder / f"{self.number:06d}.answer"
        asked = [*window, self.options]
        if file.exists():
            digest, _, content = file.read_bytes().partition(b"\n")
            if hashlib.sha256(content).hexdigest().encode() != digest:
                logger.warning("%s is damaged: its events are asked for again.", file)
            elif (kept := json.loads(content))[0] == asked:
                return kept[1], read_page(kept[2], window)
        refusal, text, page = self.service.fetch(window, self.options)
        content = json.dumps([asked, refusal, text]).encode()
        write_atomic(file, hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
        return refusal, page

    def catalog(self) -> Catalog | None:
        """Return what has come, put together."""
        if not self.events:
            return None
        text = "\n".join([self.header, *self.changed, *self.events.values()])
        catalog = from_frame(csv_frame(text, text=TEXT, separators="|,"))
        first, last = self.service.query.span
        return catalog.take((catalog.time >= first) & (catalog.time <= last))


def download(query: Query, path: Path, *, progress: bool | None = None) -> int:
    """Download a catalogue into a CSV file.

    What has come is kept in the folder PATH.part until the file is there; after an error, Ctrl-C or
    a crash the same call goes on from it.

    Parameters
    ----------
    query
        The events.
    path
        The file, which ends in .csv; it appears whole or not at all.
    progress
        Whether to draw a progress line; by default where standard error is a terminal.

    Returns
    -------
    int
        Number of events.

    Raises
    ------
    ServiceError
        The service cannot be reached, or what it answers cannot be believed.
    FileExistsError
        The file exists.
    ValueError
        There are no such events, or PATH.part is of another query.
    KeyboardInterrupt
        After Ctrl-C; it says how to go on.
    BlockingIOError
        Another process downloads into the same file.
    """
    check_target(path)
    service, folder = Service(query), path.with_name(f"{path.name}.part")
    make_folder(folder)
    with locked(folder / "lock"):
        check_new(path)  # another process may have been faster
        _claim(folder, query)
        walk = _Walk(service, folder)
        try:
            walk.run(progress)
        except (ValueError, KeyboardInterrupt) as error:
            hint = f"the same command goes on from what is in {folder}"
            if not any(folder.glob("*.answer")):
                hint = "nothing has come yet"
                shutil.rmtree(followed(folder))
            if isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt(hint) from None
            reason = str(error).rstrip(".")
            raise ServiceError(f"cannot download from {query.url}: {reason}; {hint}.") from error
        catalog = walk.catalog()
        if catalog:
            check_new(path)
            write_catalog(catalog, path)
        shutil.rmtree(followed(folder))
    if not catalog:
        raise ValueError(f"{query.url} has no such events; try a longer time or a larger area.")
    changed = f", {len(walk.changed):,} of which changed meanwhile" if walk.changed else ""
    logger.info("%s events came in %d answers%s.", f"{len(catalog):,}", walk.number, changed)
    return len(catalog)


def _claim(folder: Path, query: Query) -> None:
    """Refuse a folder with answers to another query."""
    file, wanted = folder / "query.json", json.dumps(asdict(query)).encode()
    if any(folder.glob("*.answer")) and file.read_bytes() != wanted:
        raise ValueError(
            f"{folder} contains the answers to another query, {file.read_text(errors='replace')}:"
            " repeat that query, choose another file, or delete the folder."
        )
    write_atomic(file, wanted)
