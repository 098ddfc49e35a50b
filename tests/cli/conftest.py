"""Run commands and see what they say."""

import json
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from foreshock.cli import app


def _said(capsys: pytest.CaptureFixture[str], line: str, code: int) -> tuple[str, str]:
    """Run a command that ends with a code; return what it prints and what it says beside."""
    capsys.readouterr()
    assert app.run(shlex.split(line)) == code
    return capsys.readouterr()


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """Run a command that succeeds, and return what it prints."""
    return lambda line: _said(capsys, line, 0)[0]


@pytest.fixture
def document(told: Callable[[str], str]) -> Callable[[str], Any]:
    """Run a command with --json, and return the one document that it prints."""
    return lambda line: json.loads(told(f"{line} --json"))


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """Run a command that is wrong, and return what it says of that."""
    return lambda line: _said(capsys, line, 2)[1]
