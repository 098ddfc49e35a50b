"""Files that are whole or not there."""

import contextlib
import logging
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


logger = logging.getLogger(__name__)


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a crash at any moment leaves the old one or the new one.

    Parameters
    ----------
    path : Path
        The file; its folder exists.
    data : bytes
        All of its content.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def check_new(path: Path) -> None:
    """Refuse a path that something stands at, or whose folder is not there.

    Raises
    ------
    FileExistsError, FileNotFoundError
        With what to do.
    """
    if path.exists():
        raise FileExistsError(
            f"{path} exists already and is never overwritten: choose another name."
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}; make it first.")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"nothing can be written into {path.parent}; choose another folder.")


def sync_folder(folder: Path) -> None:
    """Make renames in a folder last, where the system can."""
    with contextlib.suppress(OSError):  # Windows and some network drives cannot
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes that call this from a file, where the system can.

    Raises
    ------
    BlockingIOError
        If another process holds it.
    """
    if fcntl is None:
        yield
        return
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(
                f"another process is at work in {path.parent}: wait until it ends."
            ) from None
        except OSError as error:
            logger.debug("%s cannot be locked: %s", path, error)  # some network drives
        yield
