"""Standard input in place of a file, for commands that are given - ."""

import contextlib
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from foreshock.frames import MAX_UNPACKED

NAMES = ("-", "/dev/stdin")
"""What standard input is called."""
_BLOCK = 2**20
_PACKED = {b"PAR1": ".parquet", b"PK\x03\x04": ".npz", b"\x1f\x8b": ".csv.gz"}
"""How files that are no plain text begin."""


@contextlib.contextmanager
def file_of(source: str | Path) -> Iterator[str | Path]:
    """Give a source as it is, or for - a file with what standard input holds.

    It holds CSV, or .ts, .arff, .parquet, .npz or packed CSV, as it begins. That file is gone
    after the block, in which all of it is to be read.

    Raises
    ------
    ValueError
        Standard input is a terminal, empty or too long; or something in the block is wrong.
    """
    if str(source) not in NAMES:
        yield source
        return
    if sys.stdin is None or sys.stdin.isatty():
        raise ValueError(
            "- is standard input, and nothing is piped into it: end the command with < FILE, put"
            " another before it with |, or name a file."
        )
    with tempfile.TemporaryDirectory(prefix="foreshock-") as folder:
        path = _spooled(sys.stdin.buffer, Path(folder) / "stdin")
        try:
            yield path
        except ValueError as error:
            error.args = (str(error).replace(str(path), "standard input"),)
            raise


def _spooled(stream: BinaryIO, path: Path) -> Path:
    """Write a stream to a file that is named by what it holds."""
    start, size = b"", 0
    with path.open("xb") as file:
        while block := stream.read(_BLOCK):
            start, size = start or block, size + len(block)
            if size > MAX_UNPACKED:
                raise ValueError(
                    f"standard input holds more than {MAX_UNPACKED // 2**30} GiB; name a file."
                )
            file.write(block)
    if not size:
        raise ValueError(
            "standard input is empty: did the command before it fail? Pipe CSV into it, or name a"
            " file."
        )
    ending = ".csv"
    if re.search(rb"(?im)^@data\b", start):
        ending = ".arff" if re.search(rb"(?im)^@attribute\b", start) else ".ts"
    for magic, packed in _PACKED.items():
        ending = packed if start.startswith(magic) else ending
    return path.rename(path.with_name(f"{path.name}{ending}"))
