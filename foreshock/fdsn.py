"""Earthquake catalogues from FDSN event services (https://www.fdsn.org/webservices/).

Services cap their answers, some silently, and catalogues change while they are read. So no page is
asked for by its number: each answer narrows the time still to be asked for, down to its last event,
which must come again with the next, until asking for the rest brings nothing new.
"""

import hashlib
import json
import logging
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from foreshock._files import check_new, followed, locked, make_folder, write_atomic
from foreshock.catalogs import TEXT, Catalog, check_target, from_frame, write_catalog
from foreshock.frames import csv_frame
from foreshock.services import SECOND, Page, Query, Service, Window, read_page

logger = logging.getLogger(__name__)

LIMIT = 10_000
"""Most events to ask for at once; ComCat and EMSC give 20,000, GeoNet 10,000."""
SMALL = 100
"""Events to ask for at once where more are called too much; doubled until they are again."""
MAX_EVENTS = 5_000_000
"""Most events of a catalogue."""


class ServiceError(RuntimeError):
    """A catalogue cannot be downloaded; the text says why, and what was kept."""


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
        raise ValueError(f"{query.url} has no such events; ask for a longer time or a wider place.")
    changed = f", {len(walk.changed):,} of which changed meanwhile" if walk.changed else ""
    logger.info("%s events came in %d answers%s.", f"{len(catalog):,}", walk.number, changed)
    return len(catalog)


def _claim(folder: Path, query: Query) -> None:
    """Refuse a folder with answers to another query."""
    file, wanted = folder / "query.json", json.dumps(asdict(query)).encode()
    if any(folder.glob("*.answer")) and file.read_bytes() != wanted:
        raise ValueError(
            f"{folder} keeps the answers to another query, {file.read_text(errors='replace')}:"
            " repeat that one, choose another file, or delete the folder."
        )
    write_atomic(file, wanted)


class _Walk:
    """The way through a catalogue: what is still to be asked for follows from what has come."""

    def __init__(self, service: "Service", folder: Path) -> None:
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
        """Ask for a window and give what is left of it, the next to ask for last."""
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
        """Give what to ask for instead of what was refused."""
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

    def outcome(self, window: Window) -> "tuple[str, Page | None]":
        """Give why a window was refused, or its events; what is kept is not asked for again."""
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
        """Put together what has come."""
        if not self.events:
            return None
        text = "\n".join([self.header, *self.changed, *self.events.values()])
        catalog = from_frame(csv_frame(text, text=TEXT, separators="|,"))
        first, last = self.service.query.span
        return catalog.take((catalog.time >= first) & (catalog.time <= last))
