"""Files that are whole or not there."""

import contextlib
import hashlib
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


def write_atomic(path: Path, data: bytes, *, new: bool = False) -> None:
    """Write a file so that a crash at any moment leaves the old one or the new one.

    Parameters
    ----------
    path : Path
        The file; its folder exists.
    data : bytes
        All of its content.
    new : bool, default=False
        Refuse to overwrite.

    Raises
    ------
    FileExistsError
        It is to be new and is there.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if new:
            place(temporary, path)
        else:
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def place(temporary: Path, path: Path) -> None:
    """Give a file its name, unless another has it, even if that came only now."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        check_new(path)
        raise
    except OSError:  # a file system without links
        check_new(path)
        temporary.replace(path)


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


def file_hash(path: Path) -> str:
    """Hash a file's bytes, as the text of a sha256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
