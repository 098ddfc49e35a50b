"""Run commands and see what they say."""

import json
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from foreshock.cli import app


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """Run a command that succeeds, and return what it prints."""

    def run(line: str) -> str:
        capsys.readouterr()
        assert app.run(shlex.split(line)) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture
def document(told: Callable[[str], str]) -> Callable[[str], Any]:
    """Run a command with --json, and return the one document that it prints."""
    return lambda line: json.loads(told(f"{line} --json"))


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """Run a command that is wrong, and return what it says of that."""

    def run(line: str) -> str:
        capsys.readouterr()
        assert app.run(shlex.split(line)) == 2
        return capsys.readouterr().err

    return run
