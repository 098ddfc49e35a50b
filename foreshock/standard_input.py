"""Standard input, or another pipe, in place of a file, for commands that are given - ."""

import contextlib
import re
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from foreshock.readings.columns import are_in_order, is_number
from foreshock.readings.frames import MAX_UNPACKED

NAMES = ("-", "/dev/stdin")
"""What standard input is called."""
_BLOCK = 2**20
_GZIP, _BINARY = b"\x1f\x8b", {b"PAR1": ".parquet", b"PK\x03\x04": ".npz"}
"""How files that are no plain text begin."""


@contextlib.contextmanager
def file_of(source: str | Path) -> Iterator[str | Path]:
    """Give a source as it is, or for - a file with what standard input holds.

    It holds CSV, or .ts, .arff, .tsv, .parquet or .npz, as it begins, and text may be packed. That
    file is gone after the block, in which all of it is to be read. So it is with other pipes, as
    <(command) makes them.

    Raises
    ------
    ValueError
        Standard input is a terminal, empty or too long; or something in the block is wrong.
    """
    piped = str(source) not in NAMES
    if piped and not Path(source).is_fifo():
        yield source
        return
    if piped:
        with Path(source).open("rb") as stream, _file(stream, str(source)) as path:
            yield path
        return
    if sys.stdin is None or sys.stdin.isatty():
        raise ValueError(
            "- is standard input, and nothing is piped into it: end the command with < FILE, put"
            " another before it with |, or name a file."
        )
    with _file(sys.stdin.buffer, "standard input") as path:
        yield path


@contextlib.contextmanager
def _file(stream: BinaryIO, name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="foreshock-") as folder:
        path = _spooled(stream, Path(folder) / "stdin", name)
        try:
            yield path
        except ValueError as error:
            error.args = (str(error).replace(str(path), name),)
            raise


def _spooled(stream: BinaryIO, path: Path, name: str) -> Path:
    """Write a stream to a file that is named by what it holds."""
    start, size = b"", 0
    with path.open("xb") as file:
        while block := stream.read(_BLOCK):
            start, size = start or block, size + len(block)
            if size > MAX_UNPACKED:
                raise ValueError(
                    f"{name} holds more than {MAX_UNPACKED // 2**30} GiB; name a file."
                )
            file.write(block)
    if not size:
        raise ValueError(
            f"{name} is empty: did the command before it fail? Pipe CSV into it, or name a file."
        )
    return path.rename(path.with_name(f"{path.name}{_ending(start)}"))


def _ending(start: bytes) -> str:
    """Tell a file's format by how it begins."""
    if start.startswith(_GZIP):
        with contextlib.suppress(zlib.error):  # the reader says what is wrong
            return f"{_ending(zlib.decompressobj(31).decompress(start, _BLOCK))}.gz"
    for magic, ending in _BINARY.items():
        if start.startswith(magic):
            return ending
    if re.search(rb"(?im)^@data\b", start):
        return ".arff" if re.search(rb"(?im)^@attribute\b", start) else ".ts"
    values = start.lstrip().partition(b"\n")[0].decode("latin-1").split()[1:]
    rows = len(values) > 1 and all(map(is_number, values))  # a label and then values, as UCR has
    return ".csv" if not rows or are_in_order(values) else ".tsv"
