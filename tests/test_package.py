"""The package: public names, its version, and how little an import does."""

import ast
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import foreshock

HEAVY = {
    "torch",
    "numpy",
    "sklearn",
    "rich",
    "cyclopts",
    "pandas",
    "matplotlib",
    "aeon",
    "mlflow",
    "tensorboard",
}


def modules_after(code: str) -> set[str]:
    code += "; import sys, json; print(json.dumps([*sys.modules]))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(out.stdout))


@pytest.mark.parametrize("name", foreshock.__all__)
def test_a_public_name_is_there_and_says_what_it_is(name: str) -> None:
    thing = getattr(foreshock, name)
    if callable(thing):
        assert thing.__module__.startswith("foreshock.")
        assert thing.__doc__


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert not modules_after("import foreshock") & HEAVY


def test_the_scores_are_there_without_torch() -> None:
    assert "torch" not in modules_after("from foreshock import score, load, Run")


def test_public_names_are_listed_by_dir() -> None:
    assert set(foreshock.__all__) <= set(dir(foreshock))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="No foreshock attribute trian"):
        foreshock.trian  # noqa: B018


def test_the_names_stand_in_the_stub_once() -> None:
    stub = Path(foreshock.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    names = [
        alias.name
        for node in ast.parse(stub).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert sorted(names) == sorted(foreshock.__all__)
    assert len(names) == 48


def test_the_version_is_the_distributions() -> None:
    assert foreshock.__version__ == version("foreshock")


@pytest.mark.slow
def test_importing_the_package_takes_a_few_milliseconds() -> None:
    code = "from time import process_time as t; a = t(); import foreshock; print(t() - a)"
    times = [
        float(subprocess.check_output([sys.executable, "-c", code], text=True)) for _ in range(7)
    ]
    assert sorted(times)[3] < 0.03
