"""JSON: documents that state their format and cannot be changed unnoticed, and configurations."""

import hashlib
import json
import sys
import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar

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


T = TypeVar("T")


def decode(kind: type[T], values: dict[str, Any], where: str) -> T:
    """Make a configuration from what JSON gave of it.

    Parameters
    ----------
    kind : type
        A dataclass.
    values : dict
        Its fields, by the name that the metadata of a field calls `was`, too; nested dataclasses as
        dicts, tuples as lists. Missing ones take what the metadata calls `before`, or else the
        default.
    where : str
        What an error names.

    Raises
    ------
    ValueError
        If a field is unknown or missing, or its value refused.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{where} must be a JSON object, got {values!r:.80}.")
    hints = typing.get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    renamed = {f.metadata["was"]: name for name, f in known.items() if "was" in f.metadata}
    values = {renamed.get(name, name): value for name, value in values.items()}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"{where} has no field {unknown[0]!r}; it has {', '.join(sorted(known))}.")
    out = {}
    for name, field in known.items():
        if name not in values:
            if "before" in field.metadata:  # what configurations meant that do not know the field
                out[name] = field.metadata["before"]
                continue
            if field.default is MISSING and field.default_factory is MISSING:
                raise ValueError(f"{where} lacks the field {name!r}.")
            continue
        value = values[name]
        nested = _dataclass_of(hints[name])
        if nested is not None and typing.get_origin(hints[name]) is dict:
            entries = value.items() if isinstance(value, dict) else ()
            value = {k: decode(nested, v, f"{where}.{name}.{k}") for k, v in entries}
        elif nested is not None and not (value is None and nested is not hints[name]):
            value = decode(nested, value, f"{where}.{name}")
        elif isinstance(value, list):
            value = _tuples(value)
        if not _fits(value, hints[name]):
            raise ValueError(f"{where}.{name} cannot be {values[name]!r:.80}.")
        out[name] = value
    try:
        return kind(**out)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _tuples(value: object) -> object:
    """Make tuples of lists, and of the lists in them."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def flatten(values: dict[str, Any], prefix: str = "", separator: str = ".") -> dict[str, Any]:
    """Return each value of nested dicts by its path, `fit.epochs`."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        nested = isinstance(value, dict)
        path = f"{prefix}{name}"
        out |= flatten(value, path + separator, separator) if nested else {path: value}
    return out


def _dataclass_of(hint: Any) -> type | None:
    """Give the dataclass that a field holds, perhaps or None; or None."""
    kinds = [kind for kind in (hint, *typing.get_args(hint)) if is_dataclass(kind)]
    return typing.cast(type, kinds[0]) if kinds else None


def _fits(value: object, hint: Any) -> bool:
    """Tell whether a plain JSON value is one of a field's type."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        return value in typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, part) for part in typing.get_args(hint))
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        kinds = typing.get_args(hint)
        kinds = kinds[:1] * len(value) if kinds[-1] is ... else kinds
        return len(value) == len(kinds) and all(map(_fits, value, kinds))
    if hint is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and abs(typing.cast(float, value)) <= sys.float_info.max
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint) if isinstance(hint, type) else True
