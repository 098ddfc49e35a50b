"""Cut problems as files: whole or not there, checked, and nothing unpickled."""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from toys import hourly, quake_rule

from foreshock import _json
from foreshock.events.cut import cut
from foreshock.events.partition import PartsConfig
from foreshock.problems import store
from foreshock.problems.problem import Problem, load, save, to_store
from foreshock.readings.series import Readings


@pytest.fixture(scope="module")
def problem() -> Problem:
    random = np.random.default_rng(0)
    values = random.uniform(1, 4, size=(1, 600)).astype(np.float32)
    values[0, ::37] = 6
    readings = hourly(values)
    return cut(readings, quake_rule(window=8, quiet=4, min_active=1), PartsConfig(folds=2))


@pytest.fixture(params=["pump.npz", "pump"])
def stored(problem: Problem, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path: Path = tmp_path / request.param
    save(problem, path)
    return path


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_nothing_is_overwritten_and_the_folder_must_be_there(
    problem: Problem, stored: Path
) -> None:
    with pytest.raises(FileExistsError, match="exists already and is never overwritten"):
        save(problem, stored)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        save(problem, stored.parent / "none" / stored.name)


@pytest.mark.parametrize("name", ["a.csv", "a.npy"])
def test_a_problem_is_saved_as_npz_or_as_a_folder(
    problem: Problem, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ValueError, match=r"as \.npz, or as a folder, whose name has no ending"):
        save(problem, tmp_path / name)


def test_a_flipped_bit_is_noticed_wherever_it_is(stored: Path, tmp_path: Path) -> None:
    known = to_store(load(stored))
    files = [stored] if stored.is_file() else sorted(stored.iterdir())
    random = np.random.default_rng(0)
    for file in files:
        whole = file.read_bytes()
        positions = {0, len(whole) - 1, *random.integers(len(whole), size=30).tolist()}
        for position in positions:
            flip(file, position)
            try:
                again = load(stored)
            except ValueError:
                pass
            else:  # what differs then is not read, such as a zip's time stamps
                arrays, header = to_store(again)
                assert header == known[1]
                for name, array in known[0].items():
                    np.testing.assert_array_equal(arrays[name], array)
            file.write_bytes(whole)
    load(stored)


def test_a_file_that_is_cut_short_is_refused(stored: Path) -> None:
    files = [stored] if stored.is_file() else sorted(stored.iterdir())
    for file in files:
        whole = file.read_bytes()
        for size in (0, 1, len(whole) // 2, len(whole) - 1):
            file.write_bytes(whole[:size])
            with pytest.raises(ValueError, match=r"pump"):
                load(stored)
        file.write_bytes(whole)


def test_a_missing_array_is_named(stored: Path) -> None:
    if stored.is_dir():
        (stored / "ends.npy").unlink()
        with pytest.raises(ValueError, match=r"needs .*ends.npy, which is missing"):
            load(stored)


def test_a_newer_format_is_refused_and_the_upgrade_named(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_json, "FORMAT", 2)
    save(problem, tmp_path / "new")
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"has format 2, newer than .* pip install -U foreshock"):
        load(tmp_path / "new")


def rewritten(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    """Change a header as somebody would who knows how digests are made."""
    header = json.loads((path / "problem.json").read_bytes())
    del header["digest"]
    change(header)
    (path / "problem.json").write_bytes(_json.encode_document(header, digest=True))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda h: h.update(sha256=None), "does not list the problem's arrays"),
        (lambda h: h.update(elsewhere=[]), "does not list the problem's arrays"),
        (lambda h: h["sha256"].update({"../x": ""}), "'../x' is not the name of an array"),
        (lambda h: h["sha256"].pop("part"), "lacks 'part'"),
        (lambda h: h["rule"].update(window=0), "window must be at least 1"),
        (lambda h: h["rule"].update(window="8"), "rule.window cannot be '8'"),
        (lambda h: h["rule"].update(window=10**9), "cannot be cut from 600 readings"),
        (lambda h: h.pop("rule"), "lacks 'rule'"),
        (lambda h: h.update(classes=["yes"]), "y must lie in 0..0"),
        (lambda h: h.update(step="0s"), "a duration must be a number and a unit"),
        (lambda h: h.update(channels=["a", "b"]), "channels must be 1 different names"),
        (lambda h: h["elsewhere"].update(values="/dev/zero"), "needs /dev/zero, which is missing"),
        (lambda h: h["elsewhere"].update(values="/etc/passwd"), "is damaged"),
    ],
)
def test_a_header_that_somebody_changed_is_refused(
    problem: Problem, tmp_path: Path, change: Callable[[dict[str, object]], object], reason: str
) -> None:
    save(problem, tmp_path / "pump")
    rewritten(tmp_path / "pump", change)
    with pytest.raises(ValueError, match=reason):
        load(tmp_path / "pump")


def test_a_pickle_in_place_of_an_array_is_never_opened(problem: Problem, tmp_path: Path) -> None:
    class Canary:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "canary"),)

    save(problem, tmp_path / "pump")
    np.save(tmp_path / "pump" / "y.npy", np.array([Canary()], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"y.npy is damaged"):
        load(tmp_path / "pump")
    assert not (tmp_path / "canary").exists()


def test_large_arrays_of_a_folder_stay_on_disk(problem: Problem, tmp_path: Path) -> None:
    readings = Readings(
        values=np.resize(np.arange(8, dtype=np.float32) % 7, (1, 2**19)),
        start=np.datetime64("2001-01-01"),
        step=np.timedelta64(1, "s"),
        channels=("a",),
    )
    rule = quake_rule(window=4, quiet=4, min_active=1, overlap=True)
    large = cut(readings, rule, folder=tmp_path / "large")
    assert isinstance(large.readings.values, np.memmap)
    assert isinstance(large.ends, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        large.y[0] = 1


def test_of_two_that_save_at_once_only_one_does(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.npz"
    save(problem, path)
    whole = path.read_bytes()
    monkeypatch.setattr(store, "check_new", lambda path: None)  # the other came after the check
    with pytest.raises(FileExistsError, match=r"a\.npz exists already"):
        save(problem, path)
    assert path.read_bytes() == whole
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]


def test_what_a_file_would_not_hold_is_not_lost_in_silence(
    problem: Problem, tmp_path: Path
) -> None:
    copied = dataclasses.replace(problem, X=np.asarray(problem.X))
    with pytest.raises(ValueError, match="series that are not windows cannot be saved with fold"):
        save(copied, tmp_path / "a.npz")
    grouped = dataclasses.replace(problem, group=np.full(problem.n_cases, "a"))
    with pytest.raises(ValueError, match="windows over readings cannot be saved with group"):
        save(grouped, str(tmp_path / "a.npz"))
