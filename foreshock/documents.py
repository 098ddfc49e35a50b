"""JSON documents that state their format and, where sealed, cannot be changed unnoticed."""

import hashlib
import json
from pathlib import Path
from typing import Any, NoReturn

FORMAT = 1


def encode_document(values: dict[str, Any], *, digest: bool) -> bytes:
    """Write a document, with a digest of itself or without."""
    values = {"format": FORMAT} | values
    # through JSON once, so that what is hashed is what will be read
    values = json.loads(_canonical(values))
    values = {"format": values.pop("format")} | values
    if digest:
        values["digest"] = hashlib.sha256(_canonical(values)).hexdigest()
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode(errors="backslashreplace")  # a file name may be no Unicode


def decode_document(
    data: str | bytes, path: Path, *, sealed: bool, error: type[Exception]
) -> dict[str, Any]:
    """Read a document, whatever somebody put into the file.

    Parameters
    ----------
    data
        Content of the file.
    path
        What an error names.
    sealed
        Whether it must have a digest, and be to the byte what was written.
    error
        What is raised if it is damaged or of a newer format.
    """
    values = parse(data, path, error)
    number = values.get("format")
    if type(number) is not int:
        raise error(f"{path} is damaged: it states no format.")
    if number > FORMAT:
        raise error(
            f"{path} has format {number}, newer than this foreshock reads ({FORMAT}): "
            "upgrade with pip install -U foreshock."
        )
    if sealed and not _is_intact(values, data):
        raise error(f"{path} is damaged: its digest does not match its content.")
    return values


def parse(data: str | bytes, path: Path, error: type[Exception]) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        values = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as fault:
        raise error(f"{path} is damaged: {fault}.") from fault
    if not isinstance(values, dict):
        raise error(f"{path} is damaged: it holds no JSON object.")
    return values


def _is_intact(values: dict[str, Any], data: str | bytes) -> bool:
    content = {k: v for k, v in values.items() if k != "digest"}
    try:
        written = encode_document(content, digest=True)
    except (ValueError, RecursionError):
        return False
    return written == (data.encode(errors="backslashreplace") if isinstance(data, str) else data)


def _canonical(values: dict[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
