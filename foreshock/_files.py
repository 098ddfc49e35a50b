"""Files and folders that are whole or not there, with the permissions that the umask gives."""

import contextlib
import errno
import hashlib
import logging
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

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
        Refuse to overwrite, and follow a link to where nothing is yet.

    Raises
    ------
    FileExistsError
        It is to be new and is there.
    """
    with writing(path, new=new) as file:
        file.write(data)


@contextlib.contextmanager
def writing(path: Path, *, new: bool) -> Iterator[IO[bytes]]:
    """Yield a file to fill, which takes its name at the end if nothing goes wrong.

    Arguments and errors are those of `write_atomic`.
    """
    target = followed(path) if new else path
    temporary = _beside(target)
    with _renamed(temporary, path):
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if new:
                _place(temporary, target, path)
            else:
                temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    sync_folder(target.parent)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to fill, which takes its name at the end if nothing goes wrong.

    A link is followed, to where nothing is yet or an empty folder, which keeps its permissions.
    """
    target = followed(path)
    target = Path(os.path.realpath(target.parent)) / target.name  # a/../b, where no a is
    temporary = _beside(target)
    with _renamed(temporary, path):
        try:
            temporary.mkdir()
            yield temporary
            if target.is_dir():
                temporary.chmod(stat.S_IMODE(target.stat().st_mode))
            temporary.replace(target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    sync_folder(target.parent)


def followed(path: Path) -> Path:
    """Return where a path leads: a link is the user's, so what it points at is what is made.

    Raises
    ------
    OSError
        If it is a link that leads in a circle.
    """
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return target


def make_folder(path: Path) -> None:
    """Make a folder and those it lies in, unless it is there; a link is followed.

    Raises
    ------
    FileExistsError
        If something else is in the way.
    """
    try:
        Path(os.path.realpath(path)).mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise FileExistsError(
            f"cannot create the folder {path}: there is a file of that name; choose another name."
        ) from None
    except PermissionError:
        raise PermissionError(
            f"cannot create the folder {path}: permission denied; choose another."
        ) from None
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _beside(path: Path) -> Path:
    """Return a temporary name beside a file or a folder, however long its own name is."""
    return path.with_name(f".foreshock-{secrets.token_hex(8)}.tmp")


@contextlib.contextmanager
def _renamed(temporary: Path, path: Path) -> Iterator[None]:
    """Have errors name a file as the user does."""
    try:
        yield
    except OSError as error:
        name = str(temporary) if error.filename is None else str(error.filename)
        if error.errno is None or not name.startswith(str(temporary)):
            raise
        known = name.replace(str(temporary), str(path), 1)
        raise OSError(error.errno, error.strerror, known) from error


def _place(temporary: Path, target: Path, path: Path) -> None:
    """Rename a file, unless another has its name, even if that came only now."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        check_new(path)
        raise
    except OSError:  # a file system without links
        check_new(path)
        temporary.replace(target)


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
    folder = followed(path).parent
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; make it first.")
    if not os.access(folder, os.W_OK):
        raise PermissionError(
            f"cannot write to {folder}: permission denied; choose another folder."
        )


def is_empty(path: Path) -> bool:
    """Return whether a path is a folder with nothing in it."""
    return path.is_dir() and not any(path.iterdir())


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
                f"another process is using {path.parent}: wait until it ends."
            ) from None
        except OSError as error:
            logger.debug("%s cannot be locked: %s", path, error)  # some network drives
        yield


def file_hash(path: Path) -> str:
    """Hash a file's bytes, as the text of a sha256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
