"""Problems cut from readings, as files: one .npz, or a folder of .npy files that are memory-mapped.

A header in JSON says what the arrays are and has the sha256 of each; reading checks them all.
Nothing is unpickled.
"""

import contextlib
import hashlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock._arrays import Arrays, load_array, load_npz
from foreshock._files import check_new, is_empty, new_folder, write_atomic, writing
from foreshock._json import decode_document, encode_document

HEADER = "problem.json"
_HEADER_KEY = "header"
_MAX_HEADER = 2**24
_BLOCK = 2**22


class Builder:
    """A folder that is being filled, which appears under its name when it is whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def allocate(self, name: str, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
        """Make an array that lies in the folder, memory-mapped."""
        if 0 in shape:
            return np.empty(shape, dtype)
        array: NDArray[Any] = np.lib.format.open_memmap(
            self.folder / f"{name}.npy", mode="w+", dtype=np.dtype(dtype), shape=shape
        )
        return array

    def finish(self, arrays: Arrays, header: dict[str, Any]) -> None:
        """Write the header, and the arrays that are not in the folder yet.

        An array that is memory-mapped from an .npy file elsewhere is not copied but named.
        """
        elsewhere: dict[str, str] = {}
        for name, array in arrays.items():
            path = self.folder / f"{name}.npy"
            source = _file_of(array)
            if isinstance(array, np.memmap) and source and source.resolve() == path.resolve():
                array.flush()
            elif source is not None and name == "values":
                elsewhere[name] = _from(self.folder.resolve(), source.resolve())
            else:
                with path.open("xb") as file:
                    np.save(file, array, allow_pickle=False)
            if name not in elsewhere:
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
        content = header | {"elsewhere": elsewhere, "sha256": _hashes(arrays)}
        write_atomic(self.folder / HEADER, encode_document(content, digest=True))


@contextlib.contextmanager
def building(path: Path) -> Iterator[Builder]:
    """Yield a folder to fill, which becomes `path` at the end if nothing goes wrong."""
    if not is_empty(path):
        check_new(path)
    with new_folder(path) as folder:
        yield Builder(folder)


def write_npz(path: Path, arrays: Arrays, header: dict[str, Any] | None = None) -> None:
    """Write arrays as one .npz file, whole or not at all, with a header that has their hashes."""
    check_new(path)
    kept = dict(arrays)
    if header is not None:
        text = encode_document(header | {"sha256": _hashes(arrays)}, digest=True)
        kept[_HEADER_KEY] = np.frombuffer(text, dtype=np.uint8)
    with writing(path, new=True) as file:
        np.savez(file, allow_pickle=False, **kept)


def is_stored(path: Path) -> bool:
    """Check whether a path is a problem that was cut from readings."""
    if path.is_dir():
        return (path / HEADER).is_file()
    if path.suffix.lower() != ".npz" or not path.is_file():
        return False
    try:
        with zipfile.ZipFile(path) as file:
            return f"{_HEADER_KEY}.npy" in file.namelist()
    except (zipfile.BadZipFile, OSError):
        return False  # whoever reads it will say what is wrong


def read(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """Read the arrays and the header of a stored problem, and check them against their hashes.

    Returns
    -------
    arrays : dict of ndarray
        From a folder, memory-mapped.
    header : dict
        As it was written.

    Raises
    ------
    ValueError
        Something is missing, damaged or of a newer format; it is named.
    """
    arrays, header = _from_folder(path) if path.is_dir() else _from_npz(path)
    hashes = header.get("sha256")
    if not isinstance(hashes, dict) or set(hashes) != set(arrays):
        raise ValueError(f"{path} is damaged: its header does not list its arrays.")
    for name, array in arrays.items():
        if content_hash(array) != hashes[name]:
            raise ValueError(
                f"{path} is damaged: its {name} have changed since it was written; restore them"
                " from a copy, or cut the problem again."
            )
    return arrays, header


def content_hash(array: NDArray[Any]) -> str:
    """Hash the type, shape and bytes of an array, block by block."""
    content = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    for row in array if array.ndim > 1 else [array]:
        for start in range(0, len(row), _BLOCK):
            block = np.ascontiguousarray(row[start : start + _BLOCK])
            content.update(block.view(np.uint8).data)
    return content.hexdigest()


def _from_folder(path: Path) -> tuple[Arrays, dict[str, Any]]:
    with (path / HEADER).open("rb") as file:
        data = file.read(_MAX_HEADER)
    if not (path / "ends.npy").exists() and (path / "environment.json").exists():
        raise ValueError(
            f"{path} is the folder of a run, not a problem; its config.json names the problem that"
            " it was trained on."
        )
    header = decode_document(data, path / HEADER, sealed=True, error=ValueError)
    elsewhere = header.get("elsewhere")
    hashes = header.get("sha256")
    if not isinstance(hashes, dict) or not isinstance(elsewhere, dict):
        raise ValueError(f"{path / HEADER} is damaged: it does not list the problem's arrays.")
    arrays = {}
    for name in hashes:
        if Path(name).name != name:
            raise ValueError(f"{path / HEADER} is damaged: {name!r} is not the name of an array.")
        place = path / str(elsewhere.get(name, f"{name}.npy"))
        if not place.is_file():
            raise ValueError(
                f"{path} needs {place}, which is missing: restore it, or cut the problem again."
            )
        try:
            arrays[name] = load_array(place, mapped=place.stat().st_size > 2**20)
        except (ValueError, OSError) as error:
            raise ValueError(f"{place} is damaged: {error}.") from error
    return arrays, header


def _from_npz(path: Path) -> tuple[Arrays, dict[str, Any]]:
    try:
        arrays = load_npz(path)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} is damaged: {error}.") from error
    header = arrays.pop(_HEADER_KEY)
    data = header.tobytes() if header.dtype == np.uint8 else b""
    return arrays, decode_document(data, path, sealed=True, error=ValueError)


def _hashes(arrays: Arrays) -> dict[str, str]:
    return {name: content_hash(array) for name, array in arrays.items()}


def _file_of(array: NDArray[Any]) -> Path | None:
    """Return the .npy file that an array is all of, memory-mapped; or None."""
    if not isinstance(array, np.memmap) or array.filename is None or array.offset == 0:
        return None
    path = Path(array.filename)
    if path.suffix != ".npy":
        return None
    whole = np.load(path, mmap_mode="r", allow_pickle=False)
    same = whole.shape == array.shape and whole.dtype == array.dtype
    return path if same and whole.offset == array.offset else None


def _from(folder: Path, file: Path) -> str:
    """Return a file's path from a folder if it lies near by, so that both can move together."""
    near = file.is_relative_to(folder.parent)
    return os.path.relpath(file, folder) if near else str(file)
