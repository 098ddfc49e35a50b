"""Packages that an extra brings: imported where they are used, and named where they are missing."""

import importlib
from typing import Any


class MissingExtraError(ImportError, ValueError):
    """A package of an extra cannot be imported; the text has the command that installs it."""


def optional(module: str, extra: str) -> Any:
    """Import a module that an extra brings.

    Raises
    ------
    MissingExtraError
        If it cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(f"{error}; run {pip_install(extra)}") from error


def pip_install(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install 'foreshock[{extra}]'"
