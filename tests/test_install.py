"""What is built, what is installed, and what a shell completes."""

import os
import re
import shlex
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from blocking import without

import foreshock
from foreshock._optional import MissingExtraError, optional
from foreshock.cli import app

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
Said = pytest.CaptureFixture[str]


# completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_each_shell_has_a_script_that_knows_every_command(shell: str, capsys: Said) -> None:
    assert app.run(["completion", shell]) == 0
    script = capsys.readouterr().out
    for name in ("train", "predict", "doctor", "cut", "completion"):
        assert re.search(rf"\b{name}\b", script)
    assert "fit.epochs" in script


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "foreshock"
    code = "from foreshock.cli.app import main; main(['completion', 'bash'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    path.write_bytes(done.stdout)
    return path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("foreshock tr", {"train"}),
        ("foreshock doctor --js", {"--json"}),
        ("foreshock train --fit.ep", {"--fit.epochs"}),
        ("foreshock train --preset ", {"fast", "best", "paper"}),
    ],
)
def test_bash_completes(script: Path, line: str, expected: set[str]) -> None:
    words = ["", *line.split(" ")][1:]
    code = (
        f"source {shlex.quote(str(script))}; COMP_WORDS=({shlex.join(words)});"
        f"COMP_CWORD={len(words) - 1}; _foreshock; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert expected <= set(done.stdout.split())
    assert done.stderr == ""


def test_bash_completes_files_where_a_problem_may_be_one(script: Path) -> None:
    code = f"source {shlex.quote(str(script))}; complete -p foreshock"
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "complete -o default -F _foreshock foreshock\n"


# extras


def test_a_missing_package_is_an_error_of_both_kinds_with_its_command() -> None:
    with pytest.raises(MissingExtraError, match=r"'none'; run pip install 'foreshock\[tables\]'$"):
        optional("none", "tables")
    assert issubclass(MissingExtraError, ImportError) and issubclass(MissingExtraError, ValueError)


def test_all_has_every_extra_that_users_may_want() -> None:
    extras = PROJECT["optional-dependencies"]
    (everything,) = extras["all"]
    named = set(re.findall(r"[\w-]+", everything.partition("[")[2]))
    assert named == set(extras) - {"all", "dev", "notebook"}


@pytest.mark.parametrize(
    ("package", "extra", "code"),
    [
        ("aeon", "archive", "foreshock.load('Nowhere')"),
        ("pandas", "tables", "foreshock.load('a.csv')"),
        ("pyarrow", "tables", "foreshock.load('a.parquet')"),
        ("onnxscript", "onnx", "from foreshock.inference.export import _onnx; _onnx(None, '')"),
        ("jinja2", "report", "from foreshock.reporting.html import render; render(None)"),
        ("matplotlib", "report", "from foreshock.reporting.figures import _figure; _figure(1, 1)"),
        ("tensorboard", "tracking", "import foreshock.training.tracking as t; t.EventFiles()"),
        ("mlflow", "tracking", "from foreshock.training.tracking import MLRun; MLRun()"),
    ],
)  # fmt: skip
def test_each_extra_that_is_missing_is_named(
    tmp_path: Path, package: str, extra: str, code: str
) -> None:
    (tmp_path / "a.csv").write_text("label,0,1\na,1,2\n", encoding="utf-8")
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    program = (
        without(package)
        + f"import foreshock\ntry:\n    {code}\nexcept Exception as error:\n    print(error)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "FORESHOCK_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert f"pip install 'foreshock[{extra}]'" in done.stdout, done.stdout + done.stderr


# what is built


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build the wheel and the sdist as `python -m build` does, with the backend that is here."""
    folder = tmp_path_factory.mktemp("dist")
    code = (
        "import sys; from hatchling import build;"
        "print(build.build_wheel(sys.argv[1])); print(build.build_sdist(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT,
                          capture_output=True, text=True, check=True)  # fmt: skip
    wheel, sdist = done.stdout.split()
    return folder / wheel, folder / sdist


def test_the_wheel_has_the_package_and_nothing_else(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        names = {n for n in wheel.namelist() if ".dist-info/" not in n}
    there = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "foreshock").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == there
    assert {
        "foreshock/__init__.pyi",
        "foreshock/py.typed",
        "foreshock/reporting/page.css",
        "foreshock/reporting/page.html.jinja",
    } <= names
    assert built[0].stat().st_size < 10**6


def test_the_sdist_has_what_it_takes_to_test_it(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    for name in ("foreshock/py.typed", "tests/conftest.py", "docs/design.md", "pyproject.toml",
                 "LICENSE", "README.md", "constraints.txt", "Makefile"):  # fmt: skip
        assert name in names
    assert not any("__pycache__" in name or name.startswith(("runs", ".venv")) for name in names)
    assert built[1].stat().st_size < 2 * 10**6


def test_the_metadata_is_whole(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        name = next(n for n in wheel.namelist() if n.endswith("/METADATA"))
        metadata = message_from_bytes(wheel.read(name))
        (entry,) = (n for n in wheel.namelist() if n.endswith("/entry_points.txt"))
        assert "foreshock = foreshock.cli.app:main" in wheel.read(entry).decode()
    assert metadata["Name"] == "foreshock"
    assert metadata["Version"] == foreshock.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert set(metadata.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])
    assert str(metadata.get_payload()).startswith("# foreshock")
