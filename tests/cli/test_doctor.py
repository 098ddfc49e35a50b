"""doctor: what it warns of, what it calls a problem, and what it lets pass."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from blocking import without

from foreshock import _machine
from foreshock.cli import app, doctor
from foreshock.cli import doctor as examination
from foreshock.cli.doctor import Finding, examine_machine, examine_problem
from foreshock.problems.problem import Problem, save

ROOT = Path(__file__).parents[2]
Make = Callable[..., Problem]
Said = pytest.CaptureFixture[str]


def texts(findings: list[Finding], grade: str) -> str:
    return "\n".join(finding.text for finding in findings if finding.grade == grade)


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """What is installed, as a test has it; None is missing."""
    changed: dict[str, str | None] = {}
    true = importlib.metadata.version

    def version(name: str) -> str:
        found = changed[name] if name in changed else true(name)
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(importlib.metadata, "version", version)
    return changed


# the machine


def test_the_machine_is_described_and_has_no_problem(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORESHOCK_DATA", raising=False)
    found = examine_machine()
    assert texts(found, "problem") == ""
    everything = "\n".join(finding.text for finding in found)
    for words in ("Python 3.", f"torch {torch.__version__}", "trains in ", "threads", "of memory",
                  "on the disk of runs", "problems load without a network"):  # fmt: skip
        assert words in everything


def test_what_is_called_tested_is_what_is_pinned() -> None:
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert f"\ntorch=={doctor.TORCH}." in pins
    assert f"python{doctor.PYTHON}\n" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_another_python_and_another_torch_are_called_untested(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("platform.python_version", lambda: "3.19.2")
    monkeypatch.setattr(torch, "__version__", "2.99.0")
    notes = texts(examine_machine(), "note")
    assert "Python 3.19.2: tested on Python 3.11 only" in notes
    assert "torch 2.99.0: tested with 2.13 only" in notes


def test_bf16_that_is_native_or_not_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = "no bf16 in hardware: training takes about twice as long"
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False})
    assert slow in texts(examine_machine(), "note")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert slow not in texts(examine_machine(), "note")


def test_without_torch_it_says_so_and_looks_at_the_rest(
    tmp_path: Path, small_problem: Make
) -> None:
    save(small_problem(), tmp_path / "small.npz")
    code = (
        without("torch") + "from foreshock.cli.app import run\n"
        "sys.exit(run(['doctor', 'small.npz', '--json']))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "foreshock: 1 check failed: see above.\n"
    said = json.loads(done.stdout)
    problems = [each["text"] for each in said["machine"] if each["grade"] == "problem"]
    assert len(problems) == 1
    assert problems[0].startswith("torch cannot be imported (")
    assert "pip install torch==2.13.*" in problems[0]
    assert said["problem"][0]["text"].startswith("16 train, 8 test cases")


def test_a_gpu_that_torch_cannot_use_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n", encoding="utf-8")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "seems to have an NVIDIA GPU" in texts(examine_machine(), "note")


def test_the_limits_of_a_container_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000\n", encoding="ascii")
    (tmp_path / "memory.max").write_text(f"{2**30}\n", encoding="ascii")
    (tmp_path / "memory.current").write_text(f"{2**29}\n", encoding="ascii")
    monkeypatch.setattr(_machine, "_CGROUP", tmp_path)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert _machine.cores() == 0.5
    notes = texts(examine_machine(), "note")
    assert "4 threads on 0.5 cores get in each other's way: set OMP_NUM_THREADS=1" in notes
    assert "only 512 MiB of memory are free" in notes
    (tmp_path / "cpu.max").write_text("max 100000\n", encoding="ascii")
    assert _machine.cores() >= 1


def test_programs_beside_it_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _machine._CHOSEN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(_machine, "taken", lambda: 1.5)
    assert "others use 1.5 of the cores: foreshock train lets" in texts(examine_machine(), "note")
    monkeypatch.setattr(_machine, "taken", lambda: 0.2)
    assert "others use" not in texts(examine_machine(), "note")


def test_where_the_system_does_not_tell_the_machines_cores_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_machine, "_CGROUP", tmp_path)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert _machine.cores() == os.cpu_count()


def test_a_full_disk_and_a_folder_that_cannot_be_written_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 2**29}))
    assert "only 512 MiB are free on this disk" in texts(examine_machine(), "note")
    access = os.access
    monkeypatch.setattr(os, "access", lambda p, m: m != os.W_OK and access(p, m))
    assert f"{tmp_path / 'runs'} cannot be written" in texts(examine_machine(), "problem")
    monkeypatch.setenv("FORESHOCK_CACHE", str(tmp_path / "cache"))
    assert "set FORESHOCK_CACHE to another" in texts(examine_machine(), "note")


def test_each_missing_extra_is_named_with_its_command(versions: dict[str, str | None]) -> None:
    versions |= {"pyarrow": None, "aeon": "0.1"}
    notes = texts(examine_machine(), "note")
    assert "extra tables: without pyarrow; pip install 'foreshock[tables]'" in notes
    assert re.search(
        r"extra archive: without aeon \S+ or newer \(there is 0.1\);"
        r" pip install 'foreshock\[archive\]'",
        notes,
    )


def test_a_dependency_that_is_too_old_is_a_problem(versions: dict[str, str | None]) -> None:
    versions["safetensors"] = "0.1"
    assert "without safetensors" in texts(examine_machine(), "problem")


def test_a_folder_that_was_never_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    assert "foreshock is not installed here" in texts(examine_machine(), "note")


def test_known_troublemakers_are_named(versions: dict[str, str | None]) -> None:
    versions |= {"lightning": "2.6.2", "torchvision": "0.28"}
    found = examine_machine()
    assert "lightning 2.6.2 is malicious: pip uninstall lightning" in texts(found, "problem")
    assert "torchvision is installed" in texts(found, "note")
    versions["lightning"] = "2.6.4"
    assert "lightning" not in texts(examine_machine(), "problem")


def test_a_wrong_folder_of_data_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FORESHOCK_DATA", str(tmp_path / "none"))
    text = "none, which is not a folder: correct or unset it"
    assert text in texts(examine_machine(), "problem")
    monkeypatch.setenv("FORESHOCK_DATA", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda p, _: p != str(tmp_path))
    assert "which cannot be read" in texts(examine_machine(), "problem")


def test_without_the_archive_there_is_no_cache_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORESHOCK_CACHE", raising=False)
    monkeypatch.delenv("FORESHOCK_DATA", raising=False)
    monkeypatch.setattr("foreshock.problems.archive._has_cache", lambda: False)
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    assert not any("downloads" in finding.text for finding in examine_machine())


# the data


def test_a_sound_problem_gives_no_trouble(small_problem: Make) -> None:
    X = np.random.default_rng(0).normal(size=(200, 2, 16)).astype(np.float32)
    part = np.repeat([0, 2], 100).astype(np.uint8)
    found = examine_problem(small_problem(2, X=X, y=np.arange(200) % 2, part=part))
    assert {finding.grade for finding in found} == {"ok"}
    assert "100 train, 100 test cases; classes: 2, channels: 2, timepoints: 16" in found[0].text
    assert re.search(r"foreshock train takes 600 steps, about [\d,]+ \w+ on this", found[-1].text)


def test_each_trouble_is_named_with_what_to_do(small_problem: Make) -> None:
    X = np.random.default_rng(0).normal(size=(40, 3, 5001)).astype(np.float32)
    X[:, 1] = 3
    X[0, 0, 5], X[1, 0, 6], X[:, 2, :] = np.nan, -99999, np.nan
    X[:3, :, 4000:] = np.nan
    y = np.r_[np.arange(39) % 2, 2]
    part = np.repeat([0, 2], [30, 10]).astype(np.uint8)
    found = examine_problem(small_problem(3, n_classes=3, X=X, y=y, part=part))
    notes = texts(found, "note")
    for trouble in (
        "the train part has fewer than 10 cases of 1 of 3 classes (such as 'c')",
        "of the train part's cases have missing values",
        "series of the train part have 4000 to 5001 timepoints",
        "channels that never vary: channel 1, channel 2",
        "channel channel 0 has the value -99999, where nine of ten are from -1",
        "series of 5001 timepoints: training is slow",
        "only 30 train cases: expect scores that vary with the seed",
    ):
        assert trouble in notes
    assert "no train case is of class c: leave" in texts(found, "problem")


def test_classes_that_differ_by_form_alone_are_told(small_problem: Make) -> None:
    found = examine_problem(small_problem(classes=("Walk", "walk")))
    assert texts(found, "note").startswith(
        "classes differ by form alone (capitals, spaces, dashes, width or script of digits):"
        " 'Walk' and 'walk'; write those alike that are one"
    )


def test_what_training_refuses_is_a_problem(small_problem: Make) -> None:
    one = small_problem(y=np.zeros(24, np.int64), classes=("a",))
    assert "every case is of class 'a'" in texts(examine_problem(one), "problem")
    judged = small_problem(part=np.full(24, 2, np.uint8))
    assert "there is no train part" in texts(examine_problem(judged), "problem")
    unknown = small_problem(y=np.full(24, -1), classes=())
    assert "the cases have no labels" in texts(examine_problem(unknown), "problem")
    alone = small_problem(part=np.zeros(24, np.uint8))
    assert "there is no test part: make one with --test 0.25" in texts(
        examine_problem(alone), "note"
    )


@pytest.mark.parametrize(
    ("every", "text"),
    [(60, "a class has 1.7% of the train part"), (10, "always 'a' is right in 90.0% of the train")],
)
def test_a_rare_class_is_told(small_problem: Make, every: int, text: str) -> None:
    X = np.random.default_rng(0).normal(size=(1200, 1, 8)).astype(np.float32)
    y = (np.arange(1200) % every == 0).astype(np.int64)
    problem = small_problem(X=X, y=y, part=np.zeros(1200, np.uint8))
    assert text in texts(examine_problem(problem), "note")


def test_a_batch_that_memory_cannot_hold_is_a_problem(
    small_problem: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "memory_free", lambda: 2**20)
    found = texts(examine_problem(small_problem(n_timepoints=512)), "problem")
    assert "a batch of 8 cases needs about 48 MiB of memory, and 1 MiB are free" in found
    assert "--fit.batch-size 1" in found


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 seconds"), (600, "10 minutes"), (10**5, "28 hours"),
                          (10**6, "12 days")]
)  # fmt: skip
def test_a_duration_is_as_rough_as_it_is_long(seconds: float, text: str) -> None:
    assert examination._duration(seconds) == text


# the command


def test_the_command_says_each_thing_on_a_line_and_exits_with_0(
    tmp_path: Path, small_problem: Make, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORESHOCK_DATA", raising=False)
    save(small_problem(), tmp_path / "small.npz")
    assert app.run(["doctor", "small.npz"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^machine:\n  (ok|note)  +foreshock ", said, re.MULTILINE)
    assert re.search(r"^problem:\n  ok  +16 train, 8 test cases", said, re.MULTILINE)
    assert "note     only 16 train cases" in " ".join(said.split("\n"))


def test_the_command_exits_with_1_where_something_would_fail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Said
) -> None:
    monkeypatch.setenv("FORESHOCK_DATA", str(tmp_path / "none"))
    assert app.run(["doctor"]) == 1
    said = capsys.readouterr()
    assert "problem  FORESHOCK_DATA" in said.out
    assert said.err == "foreshock: 1 check failed: see above.\n"
