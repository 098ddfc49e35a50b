"""fdsn: catalogues from a real event service on 127.0.0.1 that misbehaves on command."""

import contextlib
import csv
import email.utils
import gzip
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshock import __version__
from foreshock._files import locked
from foreshock.readings import fdsn
from foreshock.readings.catalog import Catalog, read_catalog
from foreshock.readings.fdsn import Query, ServiceError, download

EPOCH = datetime(1969, 12, 31, tzinfo=UTC)
TEXT = (
    "#EventID|Time|Latitude|Longitude|Depth/km|Author|Catalog|Contributor|ContributorID|MagType|"
    "Magnitude|MagAuthor|EventLocationName|EventType"
)
CSV = "time,latitude,longitude,depth,mag,magType,nst,id,updated,place,type"
Trick = Callable[["Handler", bytes], None]


@dataclass(frozen=True)
class Event:
    """An event of the service; its time in seconds since the end of 1969."""

    id: str
    seconds: float
    mag: str = "2.5"
    place: str = "5 km N of Parkfield, CA"
    kind: str = "eq"

    @property
    def time(self) -> datetime:
        return EPOCH + timedelta(seconds=self.seconds)


def many(n: int, gap: float = 60.0) -> list[Event]:
    """Make events, some closer to each other than the slack of a second."""
    rng = random.Random(7)
    moments = sorted(round(rng.uniform(0, n * gap), 3) for _ in range(n - 3))
    return [Event(f"nc{i}", t) for i, t in enumerate([*moments[:1] * 3, *moments])]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    service: "Service"

    def do_GET(self) -> None:
        with contextlib.suppress(ConnectionError):
            self.service.answer(self)

    def log_message(self, *_: object) -> None:
        pass

    def send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if status != 204:
            self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # else the client has had enough
            super().handle_error(request, client_address)


class Service:
    """An event service over a list of events."""

    def __init__(self) -> None:
        self.http = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"service": self}))
        self.root = f"http://127.0.0.1:{self.http.server_port}"
        self.url = f"{self.root}/fdsnws/event/1"
        self.limit: Callable[[str, object], None]
        """Set a limit of the client, for this test."""
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()
        self.reset([])

    def reset(self, events: Sequence[Event]) -> None:
        self.events = list(events)
        self.cap = 10**9
        self.over = "silent"
        """What becomes of more events than the cap: silent, 413, 400, 400 whatever the limit."""
        self.newest_first = False
        self.unsupported: tuple[str, ...] = ()
        self.nothing: Trick = lambda handler, _: handler.send(b"", 204)
        self.tricks: dict[int, Trick] = {}
        """What becomes of the answer to a request of this number, from 1; of 0, to all others."""
        self.change: Callable[[int], None] = lambda _: None
        self.delay = 0.0
        self.written: Callable[[Event], str] = text_row
        self.header = TEXT
        self.last = ""
        self.asked: list[dict[str, str]] = []
        self.agents: list[str] = []
        self.released = threading.Event()

    def answer(self, handler: Handler) -> None:
        parts = urlsplit(handler.path)
        if not parts.path.endswith("/fdsnws/event/1/query"):
            handler.send(b"<html>no such page</html>", 404, Content_Type="text/html")
            return
        asked = dict(parse_qsl(parts.query))
        self.asked.append(asked)
        self.agents.append(handler.headers["User-Agent"])
        number = len(self.asked)
        self.change(number)
        time.sleep(self.delay)
        status, body = self.select(asked)
        trick = self.tricks.get(number, self.tricks.get(0))
        if trick is not None:
            trick(handler, body)
        elif status == 204:
            self.nothing(handler, body)
        else:
            handler.send(body, status)

    def select(self, asked: dict[str, str]) -> tuple[int, bytes]:
        for name in self.unsupported:
            if name in asked:
                return 400, problem(f'"{name}" is not supported', asked)
        low, high = (
            datetime.fromisoformat(asked[name]).replace(tzinfo=UTC)
            for name in ("starttime", "endtime")
        )
        chosen = [event for event in self.events if low <= event.time <= high]
        newest_first = self.newest_first or asked.get("orderby") != "time-asc"
        chosen.sort(key=lambda event: event.time, reverse=newest_first)
        limit = int(asked.get("limit", 10**9))
        if self.over == "400 whatever the limit" and len(chosen) > self.cap:
            words = f"{len(chosen)} matching events exceeds search limit of {self.cap}."
            return 400, problem(words, asked)
        chosen = chosen[int(asked.get("offset", 1)) - 1 :][:limit]
        if len(chosen) > self.cap and self.over != "silent":
            return int(self.over), problem(f"More than the maximum of {self.cap}", asked)
        if not chosen:
            return 204, b""
        rows = [self.header, *map(self.written, chosen[: self.cap])]
        return 200, ("\n".join(rows) + "\n" + self.last).encode()


def problem(words: str, asked: dict[str, str]) -> bytes:
    """Write an error as the standard says, with the request, which has the word limit in it."""
    return (
        f"Error 400: Bad Request\n\n{words}\n\nUsage details are available from /fdsnws/event/1\n\n"
        f"Request:\n/fdsnws/event/1/query?{asked}\n\nRequest Submitted:\n2026-11-26T10:30:00\n"
    ).encode()


def text_row(event: Event) -> str:
    moment = event.time.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    where = "36.43333|-121.099|5.252|NC|NCSS|NC"
    return f"{event.id}|{moment}|{where}|{event.id}|d|{event.mag}|NC|{event.place}|{event.kind}"


def csv_row(event: Event) -> str:
    moment = event.time.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    row = [moment, 36.4, -121.1, 5.2, event.mag, "d", 9, event.id, moment, event.place, event.kind]
    file = io.StringIO()
    csv.writer(file).writerow(row)
    return file.getvalue().strip()


@pytest.fixture(scope="module")
def running() -> Iterator[Service]:
    service = Service()
    yield service
    service.http.shutdown()
    service.http.server_close()


@pytest.fixture
def service(running: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(fdsn, "PAUSE", 0.0)
    monkeypatch.setattr(fdsn, "BACKOFF", 0.001)
    running.reset(many(20))
    running.limit = partial(monkeypatch.setattr, fdsn)
    yield running
    running.released.set()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.csv"


def query(service: Service, /, **fields: object) -> Query:
    values = {"since": "1969-12-31", "until": "1970-01-01", "service": service.url, **fields}
    return Query(**values)


def assert_same(catalog: Catalog, events: Sequence[Event]) -> None:
    expected = sorted((event.time, event.id, event.mag) for event in events)
    times = [t.replace(tzinfo=UTC) for t in catalog.time.tolist()]
    got = zip(times, catalog.id.tolist(), [f"{m:g}" for m in catalog.magnitude], strict=True)
    assert sorted(got) == expected


def assert_whole(service: Service, path: Path) -> None:
    """Download, and find each event of the service in the file, and nothing else beside it."""
    assert download(query(service), path) == len(service.events)
    assert_same(read_catalog(path), service.events)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def refusal(service: Service, path: Path, kind: type[Exception] = ServiceError) -> str:
    with pytest.raises(kind) as caught:
        download(query(service), path)
    assert not path.exists()
    text = str(caught.value)
    assert "\n" not in text
    return text


# what services do


def test_a_catalogue_longer_than_a_page_comes_whole(service: Service, path: Path) -> None:
    service.limit("LIMIT", 8)
    assert_whole(service, path)
    assert len(service.asked) == 4  # and the last to see that nothing is left
    assert path.read_text().splitlines()[0] == "time,latitude,longitude,depth,mag,type,id"
    assert service.asked[0] == {
        "starttime": "1969-12-31T00:00:00",
        "endtime": "1970-01-02T00:00:00",
        "orderby": "time-asc",
        "limit": "8",
        "format": "text",
    }
    assert set(service.agents) == {f"foreshock/{__version__}"}


@pytest.mark.parametrize("over", ["silent", "413", "400", "400 whatever the limit"])
@pytest.mark.parametrize("cap", [4, 19])
def test_a_cap_is_got_round_however_it_is_told(
    service: Service, path: Path, over: str, cap: int
) -> None:
    service.limit("SMALL", 2)
    service.cap, service.over = cap, over
    assert_whole(service, path)


def test_after_a_refusal_pages_grow_again(service: Service, path: Path) -> None:
    service.limit("LIMIT", 16)
    service.limit("SMALL", 3)
    service.cap, service.over = 12, "413"
    assert_whole(service, path)
    assert [asked["limit"] for asked in service.asked][:5] == ["16", "3", "6", "8", "8"]


@pytest.mark.parametrize("cap", [5, 10**9])
def test_a_service_that_gives_the_newest_first_is_walked_backwards(
    service: Service, path: Path, cap: int
) -> None:
    service.newest_first, service.cap = True, cap
    assert_whole(service, path)


@pytest.mark.parametrize("names", [("limit",), ("orderby",), ("limit", "orderby", "offset")])
@pytest.mark.parametrize("n_events", [1, 20])
def test_options_that_a_service_does_not_have_are_done_without(
    service: Service, path: Path, names: tuple[str, ...], n_events: int
) -> None:
    service.unsupported, service.cap, service.over = names, 9, "413"
    del service.events[n_events:]
    assert_whole(service, path)


def test_a_refused_place_is_an_error_in_the_words_of_the_service(
    service: Service, path: Path
) -> None:
    service.unsupported = ("maxradius",)
    with pytest.raises(
        ServiceError, match=r'answers 400 Error 400: .*"maxradius" is not supported'
    ):
        download(query(service, circle=(36, -120, 50)), path)
    assert len(service.asked) == 1


def test_events_that_come_and_change_meanwhile_are_kept_as_they_came_last(
    service: Service, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service.limit("LIMIT", 10)
    caplog.set_level("INFO", "foreshock")

    def change(number: int) -> None:
        last = service.events[-1].seconds
        if number == 2:
            moved = service.events.pop(5)
            service.events.append(replace(moved, seconds=last + 5, mag="3.1"))
            service.events.append(Event("new", last + 9))

    service.change = change
    assert_whole(service, path)
    assert "21 events came in 4 answers, 1 of which changed meanwhile." in caplog.text


def test_of_rows_of_an_event_the_one_that_was_updated_last_is_kept(
    service: Service, path: Path
) -> None:
    service.limit("LIMIT", 10)

    def row(event: Event) -> str:
        fields = csv_row(event).split(",")
        stale = len(service.asked) > 1  # from a copy that lags behind
        fields[4], year = ("9", 2003) if stale else ("3", 2005)
        fields[8] = f"{year}-01-01T00:00:00Z"
        return ",".join(fields)

    service.header, service.written = CSV, row
    download(query(service), path)
    catalog = read_catalog(path)
    first = np.isin(catalog.id, [event.id for event in service.events[:10]])
    assert set(catalog.magnitude[first]) == {3}
    assert set(catalog.magnitude[~first]) == {9}


def test_an_event_withdrawn_meanwhile_ends_no_download_early(service: Service, path: Path) -> None:
    service.limit("LIMIT", 10)
    before = list(service.events)
    in_order = sorted(before, key=lambda event: event.time)
    service.change = lambda n: service.events.remove(in_order[9]) if n == 2 else None
    assert download(query(service), path) == 20
    assert_same(read_catalog(path), before)


def test_columns_that_change_meanwhile_are_refused(service: Service, path: Path) -> None:
    service.limit("LIMIT", 8)

    def change(number: int) -> None:
        if number == 2:
            service.header, service.written = CSV, csv_row

    service.change = change
    text = refusal(service, path)
    assert f"its columns changed to {CSV.lower()}; delete {path}.part first" in text


def test_pages_that_repeat_their_rows_count_each_event_once(service: Service, path: Path) -> None:
    def twice(handler: Handler, body: bytes) -> None:
        header, *rows = body.decode().splitlines()
        handler.send("\n".join([header, *[row for row in rows for _ in (1, 2)], ""]).encode())

    service.tricks[1] = twice
    assert_whole(service, path)


@pytest.mark.parametrize("silent", [False, True])
def test_more_events_within_a_second_than_a_page_holds_are_counted_through(
    service: Service, path: Path, silent: bool
) -> None:
    service.limit("LIMIT", 10**4 if silent else 4)
    service.cap = 4
    busy = service.events[10].seconds
    service.events += [Event(f"swarm{i}", busy + i % 3 * 0.3) for i in range(17)]
    service.events += [Event(f"last{i}", 5000.0) for i in range(6)]
    assert_whole(service, path)


@pytest.mark.parametrize(
    ("over", "reason"),
    [
        ("silent", "more events than it gives at once fall into two seconds"),
        ("400 whatever the limit", "even for one second it answers 400 Error 400: Bad Request 17"),
    ],
)
def test_a_busy_second_that_cannot_be_counted_through_is_an_error(
    service: Service, path: Path, over: str, reason: str
) -> None:
    service.limit("LIMIT", 4)
    service.limit("SMALL", 4)
    service.unsupported, service.cap, service.over = ("offset",), 16, over
    service.events += [Event(f"swarm{i}", 5000.0) for i in range(17)]
    assert reason in refusal(service, path)


def test_rows_in_no_order_are_refused(service: Service, path: Path) -> None:
    def shuffled(handler: Handler, body: bytes) -> None:
        header, *rows = body.decode().splitlines()
        random.Random(1).shuffle(rows)
        handler.send("\n".join([header, *rows, ""]).encode())

    service.tricks[0] = shuffled
    assert "its events are not in order of time, so gaps would go unnoticed" in refusal(
        service, path
    )


def test_rows_ordered_by_finer_times_than_they_show_are_believed(
    service: Service, path: Path
) -> None:
    service.written = lambda event: text_row(replace(event, seconds=round(event.seconds)))
    service.cap = 6
    assert download(query(service), path) == 20


# how services write


@pytest.mark.parametrize(
    "written",
    [
        lambda t: t.strftime("%Y-%m-%dT%H:%M:%S.%f"),
        lambda t: t.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        lambda t: t.strftime("%Y-%m-%d %H:%M:%S.%f"),
        lambda t: t.strftime("%Y/%m/%d %H:%M:%S.%f")[:-2],
    ],
)
def test_times_are_read_as_services_write_them(
    service: Service, path: Path, written: Callable[[datetime], str]
) -> None:
    def row(event: Event) -> str:
        name, _, *rest = text_row(event).split("|")
        return "|".join([name, written(event.time), *rest])

    service.written, service.cap = row, 30
    assert_whole(service, path)


def test_microseconds_are_kept(service: Service, path: Path) -> None:
    service.written = lambda event: text_row(event).replace("|36.4", "456|36.4", 1)
    download(query(service), path)
    assert all(time.item().microsecond % 1000 == 456 for time in read_catalog(path).time)


def test_comcat_s_csv_is_asked_for_and_read(service: Service, path: Path) -> None:
    service.events = [replace(event, place='7 km "NE", CA') for event in service.events]
    service.header, service.written = CSV, csv_row
    asked = query(service, service=f"{service.root}/earthquake.usgs.gov/fdsnws/event/1")
    assert download(asked, path) == 20
    assert service.asked[0]["format"] == "csv"
    assert_same(read_catalog(path), service.events)


def test_names_of_places_may_hold_bars_quotes_and_latin_1(service: Service, path: Path) -> None:
    service.events = [
        replace(event, place=['5 km N of "A|B|C', "Köln", "a|b"][i % 3])
        for i, event in enumerate(service.events)
    ]
    service.tricks[0] = lambda handler, body: handler.send(body.decode().encode("latin-1"))
    assert_whole(service, path)
    assert set(read_catalog(path).kind) == {"eq"}


def test_magnitudes_and_types_may_be_missing(service: Service, path: Path) -> None:
    service.events = [replace(event, mag="", kind="") for event in service.events]
    download(query(service), path)
    catalog = read_catalog(path)
    assert np.isnan(catalog.magnitude).all() and set(catalog.kind) == {""}


def test_what_isc_and_scedc_add_is_understood(service: Service, path: Path) -> None:
    service.last = "?\n# thanks to the agencies\n\n"
    service.header = TEXT.replace("Longitude", "Longtitude").replace("EventType", "ET")
    service.header = service.header.replace("#", "").replace("|", " | ")
    assert_whole(service, path)
    assert set(read_catalog(path).kind) == {"eq"}


def test_windows_line_ends_and_a_missing_last_one_do_no_harm(service: Service, path: Path) -> None:
    service.tricks[0] = lambda handler, body: handler.send(
        body.strip().replace(b"\n", b"\r\n"), 200 if body else 204
    )
    assert_whole(service, path)


# trouble on the way


def status(number: int, body: bytes = b"", **headers: str) -> Trick:
    return lambda handler, _: handler.send(body, number, **headers)


def short_of_length(handler: Handler, body: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.close_connection = True


def short_of_chunks(handler: Handler, body: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(f"{len(body):x}\r\n".encode() + body[: len(body) // 2])
    handler.close_connection = True


def unframed(cut: Callable[[bytes], bytes]) -> Trick:
    def send(handler: Handler, body: bytes) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(cut(body))
        handler.close_connection = True

    return send


def hang_up(handler: Handler, _: bytes) -> None:
    handler.close_connection = True


MISHAPS = {
    "a 500": status(500),
    "a 503": status(503, Retry_After="0"),
    "a 429": status(429),
    "a 429 with nonsense": status(429, Retry_After="soon"),
    "no answer": hang_up,
    "less than its length": short_of_length,
    "less than its chunks": short_of_chunks,
    "half a line": unframed(lambda body: body[:-40]),
    "half the lines": unframed(lambda body: b"".join(body.splitlines(keepends=True)[:9])),
    "the header alone": unframed(lambda body: body[: body.index(b"\n") + 1]),
    "no byte": unframed(lambda body: b""),
    "no gzip": status(200, b"no gzip", Content_Encoding="gzip"),
    "a page of the proxy": status(200, b"<html>try again</html>"),
}


@pytest.mark.parametrize("mishap", MISHAPS)
@pytest.mark.parametrize("number", [1, 3])
def test_what_goes_wrong_once_is_asked_for_again(
    service: Service, path: Path, mishap: str, number: int
) -> None:
    service.limit("LIMIT", 8)
    service.tricks[number] = MISHAPS[mishap]
    assert_whole(service, path)


def test_a_service_that_never_tells_lengths_is_asked_twice_for_all(
    service: Service, path: Path
) -> None:
    service.limit("LIMIT", 8)
    service.tricks[0] = unframed(lambda body: body)
    assert_whole(service, path)
    assert service.asked[0::2] == service.asked[1::2]


def test_a_service_that_is_silent_is_asked_again(service: Service, path: Path) -> None:
    service.limit("TIMEOUT", (1.0, 0.1))
    service.tricks[1] = lambda handler, body: service.released.wait(5) and None
    assert_whole(service, path)


@pytest.mark.parametrize("number", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_service_is_left_alone_as_long_as_it_asks(
    service: Service,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int,
    form: str,
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(fdsn.time, "sleep", slept.append)
    caplog.set_level("INFO", "foreshock")
    date = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    service.tricks[1] = status(number, Retry_After="30" if form == "seconds" else date)
    assert_whole(service, path)
    assert 28 < max(slept) <= 30
    assert f"it answers {number}: asking again in" in caplog.text


def test_too_long_a_wait_is_left_to_the_user(service: Service, path: Path) -> None:
    service.tricks[1] = status(429, Retry_After="86400")
    text = refusal(service, path)
    assert "it asks to wait 86,400 seconds; try again then" in text


@pytest.mark.parametrize("mishap", ["a 500", "no answer", "less than its length", "no gzip"])
def test_what_goes_wrong_all_the_time_ends_with_an_error_and_goes_on_later(
    service: Service, path: Path, mishap: str
) -> None:
    service.limit("LIMIT", 8)
    service.tricks |= dict.fromkeys(range(3, 10), MISHAPS[mishap])
    text = refusal(service, path)
    assert text.startswith(f"cannot download from {service.url}: ")
    assert "7 times in a row; the same command goes on from what is in" in text
    assert text.endswith(f" {path}.part.")
    assert len(service.asked) == 9
    assert_whole(service, path)
    assert len(service.asked) == 11


def test_no_service_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(fdsn, "PAUSE", 0.0)
    monkeypatch.setattr(fdsn, "BACKOFF", 0.0)
    with pytest.raises(ServiceError, match="cannot connect; check the network"):
        download(Query(since="2000", until="2001", service="http://127.0.0.1:1/x"), path)


# answers that are not believed


def without(field: str, value: str) -> Trick:
    at = TEXT.split("|").index(field)

    def send(handler: Handler, body: bytes) -> None:
        lines = [line.split("|") for line in body.decode().splitlines()]
        lines[2][at] = value
        handler.send("\n".join("|".join(line) for line in [*lines, [""]]).encode())

    return send


def replaced(old: bytes, new: bytes) -> Trick:
    return lambda handler, body: handler.send(body.replace(old, new))


def around(handler: Handler, _: bytes) -> None:
    handler.send(b"", 302, Location=handler.path)


@pytest.mark.parametrize(
    ("trick", "reason"),
    [
        (
            status(200, b"<!doctype html><html>", Content_Type="text/html"),
            "not a list of events, it",
        ),
        (
            status(200, b'{"error": "none"}'),
            'not a list of events, it begins \'{"error": "none"}\'',
        ),
        (status(200, bytes(range(256)) * 9), "not a list of events"),
        (status(200, b"#EventID|Time|Magnitude\0\n"), "not a list of events"),
        (replaced(b"|5.252", b""), "line 2 has 13 fields, the header has 14"),
        (without("Time", ""), "row 2 (line 3) has no time"),
        (without("Time", "yesterday"), "row 2 has the time 'yesterday'"),
        (without("Time", "1999-01-01T00:00:00"), "events outside the requested time"),
        (without("#EventID", " "), "an event without a name"),
        (without("Latitude", "91"), "row 2 has the latitude 91, beyond 90"),
        (without("Longitude", "1e400"), "row 2 has the longitude inf"),
        (without("Magnitude", "99"), "row 2 has the magnitude 99, beyond 12"),
        (without("Magnitude", "big"), "has 'big', expected numbers"),
        (status(404, b"<html>none</html>"), "it answers 404 none"),
        (status(401), "it answers 401"),
        (status(400, b"Bad starttime value"), "it answers 400 Bad starttime value"),
        (status(302, Location="file:///etc/passwd"), "No connection adapters were found"),
        (around, "the connection failed (TooManyRedirects), 7 times in a row"),
    ],
)
def test_an_answer_that_cannot_be_right_is_refused_in_one_line(
    service: Service, path: Path, trick: Trick, reason: str
) -> None:
    service.tricks[0] = trick
    assert reason in refusal(service, path)


def test_an_endless_answer_is_cut_off(service: Service, path: Path) -> None:
    service.limit("MAX_BYTES", 2**20)

    def endless(handler: Handler, body: bytes) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not service.released.is_set():
            handler.wfile.write(body)

    service.tricks[0] = endless
    assert "its answer exceeds 1,048,576 bytes or 600 seconds" in refusal(service, path)


def test_a_slow_answer_is_cut_off(service: Service, path: Path) -> None:
    service.limit("MAX_SECONDS", 0.2)

    def slow(handler: Handler, _: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        while not service.released.wait(0.02):
            handler.wfile.write(b"1\r\nx\r\n")
            handler.wfile.flush()

    service.tricks[0] = slow
    assert "its answer exceeds" in refusal(service, path)


def test_a_gzip_bomb_is_stopped_while_it_unpacks(service: Service, path: Path) -> None:
    service.limit("MAX_BYTES", 2**20)
    service.tricks[0] = status(200, gzip.compress(bytes(2**26)), Content_Encoding="gzip")
    assert "exceeds 1,048,576 bytes" in refusal(service, path)


def test_packed_answers_are_unpacked(service: Service, path: Path) -> None:
    service.tricks[0] = lambda handler, body: handler.send(
        gzip.compress(body), Content_Encoding="gzip"
    )
    assert_whole(service, path)


def test_an_endless_catalogue_is_cut_off(service: Service, path: Path) -> None:
    service.limit("MAX_EVENTS", 10)
    assert "it has more than 10 such events; ask for fewer" in refusal(service, path)


def test_a_redirect_to_the_web_is_followed(service: Service, path: Path) -> None:
    service.tricks[1] = lambda handler, _: handler.send(
        b"", 301, Location=f"{service.root}/new{handler.path}"
    )
    assert_whole(service, path)


@pytest.mark.parametrize(
    "nothing",
    [
        status(204),
        status(404, b"Error 404: Not Found\n\nNo matching events found\n"),
        status(409, b"The requested event has been deleted."),
        status(200, f"{TEXT}\n".encode()),
        status(200),
    ],
)
def test_no_events_are_an_error_where_none_come_and_an_end_where_some_came(
    service: Service, path: Path, nothing: Trick
) -> None:
    service.limit("LIMIT", 4)
    service.cap, service.nothing = 4, nothing
    assert_whole(service, path)
    path.unlink()
    service.events.clear()
    text = refusal(service, path, ValueError)
    assert text == f"{service.url} has no such events; try a longer time or a larger area."
    assert not list(path.parent.iterdir())


# files


def test_a_file_that_exists_is_never_overwritten(service: Service, path: Path) -> None:
    path.write_text("mine")
    with pytest.raises(FileExistsError, match=r"events\.csv exists already and is never overwri"):
        download(query(service), path)
    assert not service.asked

    path.unlink()
    service.change = lambda _: path.write_text("mine") and None
    with pytest.raises(FileExistsError):
        download(query(service), path)
    assert path.read_text() == "mine"
    service.change = lambda _: None
    path.unlink()
    assert_whole(service, path)


def test_only_csv_files_in_folders_that_exist_are_written(service: Service, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a catalogue must end in \.csv, got events\.csv\.gz"):
        download(query(service), tmp_path / "events.csv.gz")
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*none; make it first"):
        download(query(service), tmp_path / "none" / "events.csv")


def interrupted(service: Service, path: Path) -> None:
    """Leave two pages of a download behind."""
    service.limit("LIMIT", 8)
    service.tricks[3] = status(400, b"Bad value")
    refusal(service, path)
    service.tricks.clear()
    service.asked.clear()


def test_what_was_kept_is_not_asked_for_again(service: Service, path: Path) -> None:
    interrupted(service, path)
    assert_whole(service, path)
    assert len(service.asked) == 2


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_before_anything_new_came_keeps_what_was_kept(service: Service, path: Path) -> None:
    interrupted(service, path)
    folder = Path(f"{path}.part")
    (folder / "000001.answer").write_bytes(b"damaged")
    kept = (folder / "000002.answer").read_bytes()
    service.delay = 0.2
    service.change = lambda _: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="the same command goes on from what is in"):
        download(query(service), path)
    assert (folder / "000002.answer").read_bytes() == kept


def test_refusals_are_kept_as_well(service: Service, path: Path) -> None:
    service.limit("SMALL", 2)
    service.cap, service.over = 9, "400 whatever the limit"
    assert_whole(service, path)
    at_once = list(service.asked)
    path.unlink()
    service.asked.clear()
    service.tricks[len(at_once)] = status(401)
    refusal(service, path)
    service.tricks.clear()
    assert_whole(service, path)
    assert service.asked == [*at_once, at_once[-1]]


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied", "deleted"])
def test_a_damaged_page_is_noticed_and_asked_for_again(
    service: Service, path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    interrupted(service, path)
    page = Path(f"{path}.part") / "000001.answer"
    data = bytearray(page.read_bytes())
    data[len(data) // 2] ^= 1
    page.write_bytes({"flipped": data, "cut": data[:-9]}.get(damage, b""))
    if damage == "deleted":
        page.unlink()
    assert_whole(service, path)
    assert len(service.asked) == 3
    assert (f"{page} is damaged: its events are asked for again" in caplog.text) == (
        damage != "deleted"
    )


def test_another_query_does_not_go_on_with_the_pages_of_the_first(
    service: Service, path: Path
) -> None:
    interrupted(service, path)
    with pytest.raises(ValueError, match="contains the answers to another query") as caught:
        download(query(service, min_magnitude=2.0), path)
    assert '"min_magnitude": null' in str(caught.value)
    assert "repeat that query, choose another file, or delete the folder." in str(caught.value)
    assert not service.asked
    shutil.rmtree(f"{path}.part")
    assert download(query(service, min_magnitude=2.0), path) == 20


def test_a_query_that_brought_nothing_may_be_corrected(service: Service, path: Path) -> None:
    wrong = query(service, service=f"{service.root}/fdsnws/events/1")
    with pytest.raises(ServiceError, match=r"it answers 404 no such page; nothing has come yet\.$"):
        download(wrong, path)
    assert not list(path.parent.iterdir())
    assert_whole(service, path)


def test_two_processes_do_not_download_into_the_same_file(service: Service, path: Path) -> None:
    folder = Path(f"{path}.part")
    folder.mkdir()
    with (
        locked(folder / "lock"),
        pytest.raises(BlockingIOError, match=r"another process is using .*events\.csv\.part"),
    ):
        download(query(service), path)
    assert_whole(service, path)


def test_a_link_in_the_place_of_the_pages_or_of_the_file_is_followed_and_stays(
    service: Service, path: Path
) -> None:
    folder = Path(f"{path}.part")
    folder.symlink_to("pages")
    path.symlink_to("catalogue")
    assert download(query(service), path) == len(service.events)
    assert_same(read_catalog(path.parent / "catalogue"), service.events)
    assert path.is_symlink() and folder.is_symlink()
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "catalogue", path.name, folder.name,
    ]  # fmt: skip


def test_pages_and_catalogue_have_the_permissions_of_the_umask(
    service: Service, path: Path, mode: Callable[[Path], bool]
) -> None:
    interrupted(service, path)
    assert mode(Path(f"{path}.part"))
    assert_whole(service, path)
    assert mode(path)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_keeps_what_came_and_says_how_to_go_on(service: Service, path: Path) -> None:
    service.limit("LIMIT", 8)
    service.delay = 0.2
    service.change = lambda n: os.kill(os.getpid(), signal.SIGINT) if n == 3 else None
    with pytest.raises(KeyboardInterrupt, match=r"the same command goes on from what is in "):
        download(query(service), path)
    service.delay = 0.0
    service.change = lambda _: None
    assert_whole(service, path)
    assert len(service.asked) == 5


KILLED = """
import sys
from pathlib import Path
from foreshock.readings import fdsn
import pandas, pyarrow.csv, requests, rich.progress  # else they take most of the time
fdsn.PAUSE, fdsn.BACKOFF, fdsn.LIMIT = 0.0, 0.001, 4
print("ready", flush=True)
fdsn.download(fdsn.Query(since="1969-12-31", until="1970-01-01", service=sys.argv[1]),
              Path(sys.argv[2]))
"""


def kill_and_go_on(service: Service, tmp_path: Path, n_kills: int) -> None:
    whole, path = tmp_path / "whole.csv", tmp_path / "killed.csv"
    download(query(service), whole)
    service.delay = 0.05
    rng = random.Random(n_kills)
    killed = 0
    while not path.exists():
        command = [sys.executable, "-c", KILLED, service.url, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            if killed < n_kills:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(rng.uniform(0.05, 0.25))
                killed += process.poll() is None
                process.kill()
            else:
                assert process.wait(60) == 0
    assert killed
    assert path.read_bytes() == whole.read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["killed.csv", "whole.csv"]


def test_a_killed_download_goes_on_to_the_same_file_byte_for_byte(
    service: Service, tmp_path: Path
) -> None:
    kill_and_go_on(service, tmp_path, 2)


@pytest.mark.slow
def test_a_download_killed_often_goes_on_to_the_same_file_byte_for_byte(
    service: Service, tmp_path: Path
) -> None:
    service.reset(many(400))
    kill_and_go_on(service, tmp_path, 15)


# any events, any cap


any_service = given(
    seconds=st.lists(st.integers(0, 60).map(lambda n: n / 2), max_size=14),
    cap=st.integers(1, 8),
    limit=st.integers(1, 8),
    over=st.sampled_from(["silent", "silent", "413", "400 whatever the limit"]),
    newest_first=st.booleans(),
)


def check(
    service: Service, seconds: list[float], cap: int, limit: int, over: str, newest_first: bool
) -> None:
    service.reset([Event(f"e{i}", t) for i, t in enumerate(seconds)])
    service.cap, service.over, service.newest_first = cap, over, newest_first
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(fdsn, "LIMIT", limit)
        patch.setattr(fdsn, "SMALL", 1)
        path = Path(folder) / "events.csv"
        busiest = max((sum(abs(t - other) <= 1 for other in seconds) for t in seconds), default=0)
        if not seconds:
            assert "has no such events" in refusal(service, path, ValueError)
        elif over == "400 whatever the limit" and busiest > cap:
            with contextlib.suppress(ServiceError):
                assert_whole(service, path)
        else:
            assert_whole(service, path)


@settings(max_examples=8)
@any_service
def test_any_events_come_whole_through_any_cap(service: Service, **any_values: Any) -> None:
    check(service, **any_values)


@pytest.mark.slow
@settings(max_examples=500)
@any_service
def test_many_events_come_whole_through_many_caps(service: Service, **any_values: Any) -> None:
    check(service, **any_values)


# queries


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"since": "tomorrow"}, "a time must look like"),
        ({"until": "1969-12-30"}, "until must not come before since, got 1969-12-31 to 1969-12-30"),
        ({"service": "iris"}, "service must be one of ncedc, usgs, .* got 'iris'"),
        ({"service": "file:///etc/passwd"}, "service must be one of"),
        ({"min_magnitude": float("nan")}, "min_magnitude must be a number, got nan"),
        ({"box": (40, -120, 35, -110)}, "box must be south, west, north, east"),
        ({"circle": (35, -120, 0)}, "circle must be latitude and longitude"),
        ({"box": (35, -120, 40, -110), "circle": (35, -120, 9)}, "give a box or a circle"),
    ],
)
def test_a_query_that_cannot_be_meant_is_refused(fields: dict[str, object], reason: str) -> None:
    values = {"since": "1969-12-31", "until": "1970-01-01", **fields}
    with pytest.raises(ValueError, match=reason):
        Query(**values)


@pytest.mark.parametrize(
    ("until", "last"),
    [
        ("2003-12-31", "2003-12-31T23:59:59.999999"),
        ("2004-02", "2004-02-29T23:59:59.999999"),
        ("2003", "2003-12-31T23:59:59.999999"),
        ("2003-12-31T12:00Z", "2003-12-31T12:00:00.000000"),
    ],
)
def test_a_date_includes_all_of_its_day(until: str, last: str) -> None:
    assert str(Query(since="1967-12-01", until=until).span[1]) == last


def test_only_events_between_since_and_until_are_kept(service: Service, path: Path) -> None:
    service.events = [Event("before", 99.4), Event("first", 99.5), Event("in", 100.0)]
    service.events += [Event("last", 110.5), Event("after", 110.501)]
    since, until = "1969-12-31T00:01:39.5", "1969-12-31T00:01:50.5Z"
    assert download(query(service, since=since, until=until), path) == 3
    assert read_catalog(path).id.tolist() == ["first", "in", "last"]
    assert service.asked[0]["starttime"] == "1969-12-31T00:01:39"
    assert service.asked[0]["endtime"] == "1969-12-31T00:01:51"


def test_places_are_asked_for_in_degrees_and_without_exponents() -> None:
    query = Query(since="2000", until="2001", circle=(36.5, -120.0, 111.2), min_magnitude=-1e-5)
    assert query.parameters == {
        "format": "text",
        "minmagnitude": "-0.00001",
        "latitude": "36.5",
        "longitude": "-120",
        "maxradius": "1.0001",
    }
    assert query.url == "https://service.ncedc.org/fdsnws/event/1"


@pytest.mark.parametrize(("service", "east"), [("usgs", "190"), ("emsc", "190"), ("ingv", "-170")])
def test_a_box_over_the_date_line_is_written_as_the_service_reads_it(
    service: str, east: str
) -> None:
    query = Query(since="2000", until="2001", service=service, box=(-20, 170, 5, -170))
    names = ("minlatitude", "minlongitude", "maxlatitude", "maxlongitude")
    assert [query.parameters[name] for name in names] == ["-20", "170", "5", east]


def test_missing_extras_are_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "requests", None)
    with pytest.raises(ValueError, match=r"run pip install 'foreshock\[archive\]'"):
        download(Query(since="2000", until="2001"), path)
    assert not list(path.parent.iterdir())


def test_progress_is_drawn_where_it_is_asked_for(
    service: Service,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, to rich
    download(query(service), path, progress=True)
    assert "20 events" in capsys.readouterr().err
    path.unlink()
    download(query(service), path)
    assert capsys.readouterr() == ("", "")


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, foreshock.readings.fdsn;"
        " print({'requests', 'pandas', 'rich'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_kept_pages_are_plain_json(service: Service, path: Path) -> None:
    interrupted(service, path)
    folder = Path(f"{path}.part")
    _, _, content = (folder / "000002.answer").read_bytes().partition(b"\n")
    asked, refused, text = json.loads(content)
    assert asked[4] == {"limit": 8, "orderby": "time-asc"}
    assert not refused and text.startswith("#EventID")
