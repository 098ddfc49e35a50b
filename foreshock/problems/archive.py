"""Archive problems by name: from one's own folder, bundled with aeon, the cache, or a download.

Nothing that comes over the network is believed: sizes, times and names are bounded, an archive is
checked before any of it is kept, and its checksum must be that of the first download.
"""

import difflib
import importlib.util
import itertools
import json
import os
import re
import shutil
import stat
import struct
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from foreshock._files import make_folder, new_folder, write_atomic, writing
from foreshock._optional import optional

URL = "https://timeseriesclassification.com/aeon-toolkit"
"""Where NAME.zip is fetched, unless FORESHOCK_ARCHIVE_URL names another place."""
MAX_DOWNLOAD = 2 * 2**30
"""Most bytes of an archive."""
MAX_SECONDS = 3600.0
"""Longest time for one download, in seconds."""
MAX_MEMBERS = 1000
"""Most members of an archive."""
MAX_UNPACKED = 4 * 2**30
"""Most bytes that an archive may unpack to."""
MAX_RATIO = 500
"""Most bytes unpacked for one packed byte: deflate ends at 1032, and series seldom pass 20."""

_NAME = re.compile(r"[A-Za-z0-9_-]+")


class ArchiveError(ValueError):
    """There is no such archive problem; the text says what else to do."""


class DownloadError(RuntimeError):
    """An archive problem cannot be downloaded; the text says why and what else to do."""


def find(name: str) -> Path:
    """Find the folder of an archive problem, downloading it where nothing nearer has it.

    Parameters
    ----------
    name
        The problem's name in the archive, such as ``GunPoint``.

    Returns
    -------
    Path
        A folder with NAME_TRAIN.ts and, as a rule, NAME_TEST.ts.

    Raises
    ------
    ArchiveError
        There is no such problem.
    DownloadError
        It cannot be downloaded.
    """
    if not _NAME.fullmatch(name):
        raise ArchiveError(
            f"there is no file or folder {name!r}, and an archive name has only letters, digits, _"
            " and -: check the path."
        )
    found = _local().get(name)
    return found[1] if found else download(name)


def available() -> dict[str, str]:
    """Map the names that load without a network to where they stand.

    Returns
    -------
    dict of str
        ``FORESHOCK_DATA``, ``bundled`` or ``cache`` for each name, in the order of the names.
    """
    return {name: where for name, (where, _) in sorted(_local().items())}


def download(name: str) -> Path:
    """Download a problem into the cache.

    Parameters
    ----------
    name
        The problem's name in the archive.

    Returns
    -------
    Path
        The new folder in the cache.

    Raises
    ------
    ArchiveError
        There is no such problem.
    DownloadError
        Whatever else goes wrong; nothing of a failed download is kept.
    """
    if not _NAME.fullmatch(name):
        raise ArchiveError(f"an archive name has only letters, digits, _ and -, got {name!r}.")
    known = {*_known(), *available()}
    close = _close(name, known)
    if close and name not in known:
        raise ArchiveError(f"the archive has no {name}; did you mean {' or '.join(close)}?")
    cache = cache_folder()
    try:
        make_folder(cache)
        checksums = cache / "checksums.json"
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=cache) as work:
            packed = Path(work) / f"{name}.zip"
            checksum = _fetch(packed, checksums)
            try:
                with new_folder(cache / name) as folder:
                    _unpack(packed, folder)
            except OSError:
                if not (cache / name / f"{name}_TRAIN.ts").is_file():
                    raise  # else another process was faster
            _record(checksums, name, checksum)
    except (OSError, ValueError) as error:
        reason = str(error).rstrip(".")
        if isinstance(error, OSError):
            reason = f"{error.strerror or reason} (FORESHOCK_CACHE moves the cache, {cache})"
        raise DownloadError(
            f"cannot download {name} from {_url(name)}: {reason}. Without a network these load:"
            f" {', '.join(available())}. Or put {name}_TRAIN.ts and {name}_TEST.ts into"
            f" FOLDER/ucr/{name} and set FORESHOCK_DATA=FOLDER."
        ) from error
    return cache / name


def _local() -> dict[str, tuple[str, Path]]:
    """Map each name at hand to where it stands and its folder; the nearest place wins."""
    found: dict[str, tuple[str, Path]] = {}
    for where, folders in (
        ("cache", _folders(cache_folder(), "*") if _has_cache() else ()),
        ("bundled", _bundled()),
        ("FORESHOCK_DATA", _own()),
    ):
        found.update((folder.name, (where, folder)) for folder in folders)
    return found


def _folders(root: Path, *patterns: str) -> Iterator[Path]:
    """Yield the folders NAME below a root that hold a NAME_TRAIN.ts, packed by gzip or not."""
    for pattern in patterns:
        for folder in root.glob(pattern):
            files = (folder / f"{folder.name}_TRAIN.ts{packed}" for packed in ("", ".gz"))
            if _NAME.fullmatch(folder.name) and any(file.is_file() for file in files):
                yield folder


def _own() -> Iterator[Path]:
    data = os.environ.get("FORESHOCK_DATA")
    if not data:
        return iter(())
    if not Path(data).is_dir():
        raise ArchiveError(
            f"FORESHOCK_DATA is {data!r}, which is not a folder; correct or unset it."
        )
    return _folders(Path(data), "*/*", "*")


def _bundled() -> Iterator[Path]:
    """Yield the folders of the classification problems that come with aeon, not importing it."""
    aeon = importlib.util.find_spec("aeon")
    if aeon is None or aeon.origin is None:
        return
    for folder in _folders(Path(aeon.origin).parent / "datasets" / "data", "*"):
        with (folder / f"{folder.name}_TRAIN.ts").open(encoding="utf-8") as file:
            header = list(itertools.takewhile(lambda line: not line.startswith("@data"), file))
        if "@classlabel true" in "".join(header).lower() and folder.name != "UnitTest":
            yield folder


def cache_folder() -> Path:
    """Return the folder in which downloads are kept; FORESHOCK_CACHE names another."""
    chosen = os.environ.get("FORESHOCK_CACHE")
    return Path(chosen or optional("platformdirs", "archive").user_cache_dir("foreshock"))


def _has_cache() -> bool:
    return "FORESHOCK_CACHE" in os.environ or importlib.util.find_spec("platformdirs") is not None


def _known() -> set[str]:
    """Return the names of the archive's problems, as aeon lists them."""
    lists = optional("aeon.datasets.tsc_datasets", "archive")
    return {
        *lists.tsc_zenodo,
        *lists.univariate_equal_length,
        *lists.univariate_variable_length,
        *lists.univariate_missing_values,
        *lists.multivariate_equal_length,
        *lists.multivariate_unequal_length,
    }


def _close(name: str, known: set[str]) -> list[str]:
    """Find the names most like this one, whatever their case."""
    lower = {other.lower(): other for other in known}
    return [lower[match] for match in difflib.get_close_matches(name.lower(), lower, n=3)]


def _url(name: str) -> str:
    return f"{os.environ.get('FORESHOCK_ARCHIVE_URL', URL).rstrip('/')}/{name}.zip"


def _fetch(packed: Path, checksums: Path) -> str:
    """Download an archive, which must be that of the first time, and return its checksum."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress")  # pooch's tqdm wants widgets in a notebook
        pooch = optional("pooch", "archive")
    pooch.get_logger().setLevel("WARNING")
    name = packed.stem
    known = _recorded(checksums).get(name)
    try:
        pooch.retrieve(
            _url(name), known_hash=known, fname=packed.name, path=packed.parent, downloader=_stream
        )
    except ValueError as error:
        if "known hash" not in str(error):
            raise
        raise ValueError(
            f"its checksum is not that of the first download; to accept the change, delete the"
            f" entry {name} in {checksums}"
        ) from error
    return str(pooch.file_hash(str(packed)))


def _stream(url: str, target: str, _pooch: object) -> None:
    """Write what a server answers to a file, within bounds of size and time.

    pooch's HTTPDownloader has no such bounds, and leaves the connection open where it is stopped.
    """
    requests = optional("requests", "archive")
    from rich.progress import Progress

    from foreshock._terminal import Terminal

    deadline = time.monotonic() + MAX_SECONDS
    bar = Progress(console=Terminal(stderr=True), disable=not sys.stderr.isatty(), transient=True)
    try:
        with requests.get(url, stream=True, timeout=(10, 30)) as response, bar:
            if response.status_code != 200:
                raise ValueError(f"the server answered {response.status_code} {response.reason}")
            if "html" in response.headers.get("Content-Type", ""):
                raise ValueError("the server answered with a web page, as it does to unknown names")
            announced = int(response.headers.get("Content-Length") or 0)
            task = bar.add_task(f"downloading {Path(url).name}", total=announced or None)
            size = 0
            with Path(target).open("wb") as file:
                for block in response.iter_content(2**16):
                    size += len(block)
                    if size > MAX_DOWNLOAD or time.monotonic() > deadline:
                        raise ValueError(
                            f"the download exceeds {MAX_DOWNLOAD:,} bytes or {MAX_SECONDS:,.0f}"
                            " seconds"
                        )
                    file.write(block)
                    bar.update(task, completed=size)
            if size == 0:
                raise ValueError("the download is empty")
    except requests.exceptions.ChunkedEncodingError as error:
        raise ValueError("the download broke off; try again") from error
    except requests.RequestException as error:
        raise ValueError(f"the connection failed ({type(error).__name__})") from error


def _unpack(packed: Path, folder: Path) -> None:
    """Check an archive as a whole, then unpack its train and test files.

    zipfile reads no more bytes of a member than its header announces.
    """
    name = packed.stem
    left = MAX_UNPACKED
    try:
        with zipfile.ZipFile(packed) as unzipped:
            members = unzipped.infolist()
            _check(members)
            for wanted in (f"{name}_TRAIN.ts", f"{name}_TEST.ts"):
                found = [m for m in members if m.filename.rpartition("/")[2] == wanted]
                if len(found) != 1:
                    raise ValueError(f"the archive has {len(found)} files {wanted}, expected one")
                size, packed_size = found[0].file_size, found[0].compress_size
                left -= size
                if left < 0 or size > 2**20 + MAX_RATIO * packed_size:
                    raise ValueError(f"the archive is too large when unpacked, at {wanted!r}")
                with unzipped.open(found[0]) as source, writing(folder / wanted, new=True) as file:
                    shutil.copyfileobj(source, file)
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, RuntimeError) as error:
        raise ValueError(f"the download is not a valid zip file ({error})") from error


def _check(members: list[zipfile.ZipInfo]) -> None:
    """Refuse an archive with any member that an honest one does not have."""
    if len(members) > MAX_MEMBERS:
        raise ValueError(f"the archive has {len(members)} members, expected at most {MAX_MEMBERS}")
    seen = set()
    for member in members:
        path = member.orig_filename
        if path.startswith("/") or ".." in path.split("/") or set(path) & set("\\:\0"):
            raise ValueError(f"the archive has a member outside its folder, {path!r}")
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ValueError(f"the archive has a link or device, {path!r}")
        if member.flag_bits & 1:
            raise ValueError(f"the archive is encrypted at {path!r}")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"the archive uses an unsupported compression at {path!r}")
        if path.casefold() in seen:
            raise ValueError(f"the archive has two members {path!r}")
        seen.add(path.casefold())


def _recorded(checksums: Path) -> dict[str, str]:
    """Read the checksums of earlier downloads."""
    if not checksums.exists():
        return {}
    try:
        return {str(k): str(v) for k, v in json.loads(checksums.read_bytes()).items()}
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{checksums} is damaged; delete it to start again") from error


def _record(checksums: Path, name: str, checksum: str) -> None:
    """Add a checksum, replacing the file as a whole."""
    text = json.dumps({**_recorded(checksums), name: checksum}, indent=1, sort_keys=True)
    write_atomic(checksums, text.encode())
