"""How many cores there are, who else uses them, and what is decided by that."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from foreshock import _machine
from foreshock._machine import cores, settle_threads, taken


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Be a process without torch, on four cores, in whose environment nothing is decided."""
    for name in _machine._CHOSEN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(_machine, "_CGROUP", tmp_path)
    monkeypatch.setattr(_machine, "_STATISTICS", tmp_path / "stat")
    monkeypatch.setattr(_machine, "_own", lambda: {0, 1, 2, 3})
    monkeypatch.setattr(time, "sleep", lambda _: None)
    return tmp_path


def play(monkeypatch: pytest.MonkeyPatch, *busy: int) -> None:
    """Have each core be busy for so many hundredths of the ten that are watched."""
    asked = []

    def read(path: Path) -> str:
        if path.name != "stat":
            return ""
        later = len(asked)
        asked.append(path)
        lines = [
            f"cpu{i} {100 + later * n} 0 0 {900 + later * (10 - n)} 0 0 0 0 50 0"
            for i, n in enumerate(busy)
        ]
        return "\n".join(["cpu  1 2 3 4 5 6 7 8", *lines, "intr 5", ""])

    monkeypatch.setattr(_machine, "_read", read)


def test_what_others_use_is_seen(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play(monkeypatch, 10, 5, 0, 1, 10, 10)  # the last two are not this process's
    assert taken() == pytest.approx(1.6)


@pytest.mark.parametrize("content", ["", "cpu0 x\n", "cpu0 1 2\n", "cpuX 1 2 3 4 5\n\ncpu\n"])
def test_where_the_system_does_not_tell_nobody_uses_a_core(fresh: Path, content: str) -> None:
    (fresh / "stat").write_text(content, encoding="ascii")
    assert taken() == 0
    assert settle_threads() is None


def test_threads_sleep_where_the_machine_is_busy(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, 10, 0, 2, 0)
    monkeypatch.setenv("OMP_WAIT_POLICY", "")  # so that it is taken back at the end
    monkeypatch.delenv("OMP_WAIT_POLICY")
    assert settle_threads() == "others use 1.2 of 4 cores: threads sleep while they wait"
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
    assert "OMP_NUM_THREADS" not in os.environ


def test_threads_spin_where_nobody_else_computes(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, 1, 0, 2, 0)
    assert settle_threads() is None
    assert "OMP_WAIT_POLICY" not in os.environ


@pytest.mark.parametrize(("quota", "threads"), [("250000", "2"), ("50000", "1")])
def test_there_are_no_more_threads_than_a_quota_allows(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, quota: str, threads: str
) -> None:
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    (fresh / "cpu.max").write_text(f"{quota} 100000\n", encoding="ascii")
    decided = settle_threads()
    assert decided is not None
    assert decided.startswith(f"computing on {threads} of 4 cores, since a quota allows ")
    assert os.environ["OMP_NUM_THREADS"] == threads
    assert os.environ["OMP_WAIT_POLICY"] == "passive"


@pytest.mark.parametrize("name", _machine._CHOSEN)
def test_what_a_user_has_decided_stays(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    play(monkeypatch, 10, 10, 10, 10)
    monkeypatch.setenv(name, "3")
    before = dict(os.environ)
    assert settle_threads() is None
    assert dict(os.environ) == before


def test_nothing_is_decided_once_torch_is_there(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, 10, 10, 10, 10)
    monkeypatch.setitem(sys.modules, "torch", object())
    assert settle_threads() is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what each core does")
def test_a_real_program_beside_it_is_seen() -> None:
    own = sorted(os.sched_getaffinity(0))
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in own]
    try:
        assert any(taken() > 0.8 * len(own) for _ in range(20))
    finally:
        for other in others:
            other.kill()
            other.wait()
    assert 0 < cores() <= len(own)


@pytest.mark.parametrize(("command", "policy"), [("train", "passive"), ("predict", None)])
def test_a_training_decides_before_torch_is_there(
    tmp_path: Path, command: str, policy: str | None
) -> None:
    code = (
        "import os, sys; from foreshock import _machine; from foreshock.cli import app\n"
        "_machine._own = lambda: {0, 1}; _machine.cores = lambda: 2.0\n"
        "_machine.taken = lambda: 2.0\n"
        "app.run(sys.argv[1:]); print(os.environ.get('OMP_WAIT_POLICY'))"
    )
    environment = {k: v for k, v in os.environ.items() if k not in _machine._CHOSEN}
    words = [command, *["nowhere.csv"] * (1 + (command == "predict"))]
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"{policy}\n"


def test_importing_the_package_changes_nobodys_environment() -> None:
    code = (
        "import os; before = dict(os.environ); import foreshock; foreshock.LSTMFCNClassifier;"
        "print([n for n in os.environ if n.startswith(('OMP', 'GOMP'))"
        " and os.environ[n] != before.get(n)])"
    )
    environment = {k: v for k, v in os.environ.items() if k not in _machine._CHOSEN}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
