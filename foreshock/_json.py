"""JSON: documents that state their format and cannot be changed unnoticed, and configurations."""

import hashlib
import json
import sys
import types
import typing
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

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
        raise error(f"{path} is damaged: it has no format number.")
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


T = TypeVar("T", bound="DataclassInstance")


def decode(kind: type[T], values: dict[str, Any], where: str) -> T:
    """Make a dataclass from what JSON gave of it.

    Parameters
    ----------
    kind : type
        A dataclass.
    values : dict
        Its fields, by the name that the metadata of a field calls `was`, too; nested dataclasses as
        dicts, tuples as lists. Missing ones take the default, unless the metadata calls them
        `always` written.
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
    known = {field.name: field for field in fields(kind)}
    renamed = {f.metadata["was"]: name for name, f in known.items() if "was" in f.metadata}
    values = {renamed.get(name, name): value for name, value in values.items()}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"{where} has no field {unknown[0]!r}; it has {', '.join(sorted(known))}.")
    out = {}
    for name, field in known.items():
        if name not in values:
            if field.metadata.get("always"):
                raise ValueError(
                    f"{where} has no {name}: an earlier version of foreshock wrote it, which this "
                    "one cannot read. Train again."
                )
            if field.default is MISSING and field.default_factory is MISSING:
                raise ValueError(f"{where} lacks the field {name!r}.")
            continue
        out[name] = _value(hints[name], values[name], f"{where}.{name}")
    try:
        return kind(**out)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    """Return what a field's type asks for, made of plain JSON; raise ValueError if it is not."""
    origin, kinds = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if is_dataclass(hint):
        return decode(typing.cast(type, hint), value, where)
    if origin in (typing.Union, types.UnionType):
        others = [kind for kind in kinds if kind is not types.NoneType]
        if value is None and len(others) < len(kinds):
            return None
        if len(others) == 1:
            return _value(others[0], value, where)
        for kind in others:
            with suppress(ValueError):
                return _value(kind, value, where)
    elif origin is dict and isinstance(value, dict):
        return {k: _value(kinds[1], v, f"{where}.{k}") for k, v in value.items()}
    elif origin is tuple and isinstance(value, list | tuple):
        each = kinds[:1] * len(value) if kinds[-1] is ... else kinds
        if len(each) == len(value):
            named = zip(each, value, range(len(value)), strict=True)
            return tuple(_value(kind, v, f"{where}[{k}]") for kind, v, k in named)
    elif origin is Literal and value in kinds:
        return value
    elif hint in (int, float):
        kind = int if hint is int else int | float
        finite = hint is int or (isinstance(value, kind) and abs(value) <= sys.float_info.max)
        if isinstance(value, kind) and not isinstance(value, bool) and finite:
            return value
    elif isinstance(hint, type) and isinstance(value, hint):
        return value
    raise ValueError(f"{where} cannot be {value!r:.80}.")


def flatten(values: dict[str, Any], prefix: str = "", separator: str = ".") -> dict[str, Any]:
    """Return each value of nested dicts by its path, `fit.epochs`."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        nested = isinstance(value, dict)
        path = f"{prefix}{name}"
        out |= flatten(value, path + separator, separator) if nested else {path: value}
    return out
