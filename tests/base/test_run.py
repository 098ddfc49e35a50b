"""run: a folder that is whole, checked to the byte, and never executed."""

import hashlib
import json
import os
import pickle
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from safetensors.numpy import save

from foreshock import _json
from foreshock._json import decode
from foreshock.inference.forecaster import Forecaster
from foreshock.nn.config import ModelConfig
from foreshock.problems.problem import Problem
from foreshock.run import Checkpoint, Run, RunError
from foreshock.training.config import FitConfig, TrainConfig
from foreshock.training.pipeline import train

HASHED = [
    *("config.json", "environment.json", "problem.json", "history.jsonl", "loss.png"),
    "cases.png",
    *("lr_finder.json", "lr_finder.png", "model.json", "model.safetensors", "predictions.csv"),
    *("held_out.csv", "explanations.npz", "baselines.npz"),
]


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory,
    small_problem: Callable[..., Problem],
    small_config: Callable[..., TrainConfig],
) -> Path:
    """The folder of a training that ended, with every file that there can be."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    config = small_config(find_lr=True, valid=0.25)
    train(small_problem(), config, folder=folder, source="small.npz")
    (folder / "report.html").write_text("made later")
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Run:
    """A copy of it to be damaged."""
    return Run(Path(shutil.copytree(finished, tmp_path / "run")))


def new_run(folder: Path) -> Run:
    return Run.create(folder, {"config": {}, "problem": {}})


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def check(run: Run) -> None:
    """Do what every user of a run does: open it, check it, load its model."""
    Run(run.folder).verify()
    Forecaster.load(run)


def flip(path: Path, position: int, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a document as somebody would who knows how digests are made."""
    values = json.loads(path.read_bytes())
    del values["digest"]
    change(values)
    path.write_bytes(_json.encode_document(values, digest=True))


class Canary:
    """What a pickle runs when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


# the folder


def test_a_run_folder_has_these_files(finished: Path) -> None:
    files = {path.name for path in finished.iterdir()}
    assert files == {*HASHED, "scores.json", "report.html", "README.md", "checkpoint"}
    assert names_in(finished / "checkpoint") == ["state.safetensors"]
    hashes = json.loads((finished / "scores.json").read_bytes())["sha256"]
    assert set(hashes) == set(HASHED)
    for name, expected in hashes.items():
        assert hashlib.sha256((finished / name).read_bytes()).hexdigest() == expected


def test_every_document_states_its_format(finished: Path) -> None:
    for path in finished.glob("*.json"):
        assert json.loads(path.read_bytes())["format"] == 1
        assert path.read_text().startswith('{\n  "format": 1')


@pytest.mark.parametrize("content", [{"config.json": "{}"}, {"notes.txt": "mine"}])
def test_a_folder_with_anything_in_it_is_never_overwritten(
    tmp_path: Path, content: dict[str, str]
) -> None:
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(FileExistsError, match=r"exists already and is never overwritten: choose"):
        new_run(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == content


def test_a_file_in_the_way_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(FileExistsError, match="never overwritten"):
        new_run(tmp_path / "run")
    assert (tmp_path / "run").read_text() == "mine"


def test_an_empty_folder_and_missing_parents_are_fine(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "a" / "b" / "run"):
        assert new_run(folder).read("config") == {"format": 1}


def test_an_empty_folder_keeps_its_permissions_and_what_fails_leaves_it_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    folder.chmod(0o710)
    free = iter([True, True])  # for a file, and its name in the folder

    def full(descriptor: int) -> None:
        if not next(free, False):
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            new_run(folder)
    assert names_in(folder) == []
    new_run(folder)
    assert folder.stat().st_mode & 0o777 == 0o710


@pytest.mark.parametrize("there", ["empty", "not yet", "several not yet"])
def test_a_run_goes_to_where_a_link_points_and_the_link_stays(tmp_path: Path, there: str) -> None:
    target = tmp_path / ("a/b/target" if there == "several not yet" else "target")
    (tmp_path / "link").symlink_to("chain")
    (tmp_path / "chain").symlink_to(target)
    if there == "empty":
        target.mkdir()
    run = new_run(tmp_path / "link")
    assert run.folder == tmp_path / "link"
    assert run.folder.is_symlink() and run.folder.readlink() == Path("chain")
    assert sorted(names_in(target)) == ["config.json", "problem.json"]
    assert not [name for name in names_in(target.parent) if name.startswith(".")]


def test_a_link_to_what_is_no_empty_folder_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    for name in ("file", "full"):
        (tmp_path / f"to-{name}").symlink_to(name)
        with pytest.raises(FileExistsError, match=f"/to-{name} exists already and is never overw"):
            new_run(tmp_path / f"to-{name}")
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(OSError, match=r"Too many levels of symbolic links: '.*/circle'"):
        new_run(tmp_path / "circle")
    with pytest.raises(
        FileExistsError, match=r"cannot create the folder .*/to-file: there is a file"
    ):
        new_run(tmp_path / "to-file" / "run")
    assert sorted(names_in(tmp_path)) == ["circle", "file", "full", "to-file", "to-full"]


def test_a_folder_that_cannot_be_made_whole_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        new_run(tmp_path / "run")
    assert names_in(tmp_path) == []


def test_of_two_that_make_the_same_folder_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(size: int) -> str:
        monkeypatch.undo()
        new_run(tmp_path / "run")  # the other one is quicker
        return "a" * size

    monkeypatch.setattr(secrets, "token_hex", slow)
    with pytest.raises(OSError, match=r"not empty: '.*/run'"):
        new_run(tmp_path / "run")
    assert names_in(tmp_path) == ["run"]


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run folder at .*nowhere: give the folder that train"):
        Run(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"is not a run folder: it has no config\.json"):
        Run(tmp_path)


def test_a_file_name_that_is_no_unicode_is_kept(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xc3\xa9.csv")
    run = Run.create(tmp_path / "run", {"config": {"problem": name}})
    assert run.read("config")["problem"] == name
    run.finish({"choice": name})
    assert run.read("scores")["choice"] == name


# damage


def test_a_finished_run_is_sound_wherever_it_is_copied(run: Run) -> None:
    check(run)


@pytest.mark.parametrize("name", [*HASHED, "scores.json"])
def test_a_flipped_bit_is_refused_by_the_name_of_its_file(run: Run, name: str) -> None:
    path = run.folder / name
    good = path.read_bytes()
    random = np.random.default_rng(0)
    for position in {0, len(good) - 1, *random.integers(len(good), size=10).tolist()}:
        flip(path, position, int(random.integers(8)))
        with pytest.raises(RunError, match=rf"run/{name} "):
            check(run)
        path.write_bytes(good)
    check(run)


@pytest.mark.parametrize("document", ["model", "scores"])
def test_no_byte_of_a_document_with_a_digest_can_change(
    run: Run, document: Literal["model", "scores"]
) -> None:
    path = run.folder / f"{document}.json"
    good = path.read_bytes()
    for position in range(0, len(good), 5):
        flip(path, position, position % 8)
        with pytest.raises(RunError, match=f"{document}.json"):
            run.read(document)
        path.write_bytes(good)


@pytest.mark.parametrize(("number", "same"), [("1e-05", "1E-05"), ("0.1", "0.10"), ("1", "1 ")])
def test_not_even_the_spelling_of_a_number_can_change(run: Run, number: str, same: str) -> None:
    run.write("scores", {"sha256": {}, "loss": json.loads(number)})
    path = run.folder / "scores.json"
    run.read("scores")
    path.write_text(path.read_text().replace(f'"loss": {number}', f'"loss": {same}'))
    with pytest.raises(RunError, match="its digest does not match its content"):
        run.read("scores")


@pytest.mark.parametrize("name", [*HASHED, "scores.json"])
def test_a_missing_file_is_named(run: Run, name: str) -> None:
    (run.folder / name).unlink()
    with pytest.raises(RunError, match=name):
        check(run)


@pytest.mark.parametrize("name", ["report.html", "checkpoint"])
def test_neither_the_report_nor_the_checkpoint_is_part_of_what_is_checked(
    run: Run, name: str
) -> None:
    path = run.folder / name
    path.unlink() if path.is_file() else shutil.rmtree(path)
    check(run)


def test_a_forecast_reads_only_two_files(run: Run) -> None:
    for path in run.folder.iterdir():
        if path.is_file() and path.name not in ("config.json", "model.json", "model.safetensors"):
            path.unlink()
    Forecaster.load(run)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"format": 1, "choice": "wei',
        b"\x80\x04\x95",
        b'{"format": 1, "choice": "\xff"}',
        b"[1, 2]",
        b'"text"',
        b"null",
        b"{}",
        b'{"format": "1"}',
        b'{"format": true}',
        b'{"format": NaN}',
        b'{"format": 1, "loss": Infinity}',
        b'{"format": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"format": 1, "deep": ' + b'{"a": ' * 50_000 + b"1" + b"}" * 50_001,
    ],
    ids=lambda content: content[:24].decode(errors="replace"),
)
@pytest.mark.parametrize("document", ["config", "scores"])
def test_what_is_no_document_is_damaged(
    run: Run, document: Literal["config", "scores"], content: bytes
) -> None:
    (run.folder / f"{document}.json").write_bytes(content)
    with pytest.raises(RunError, match=rf"run/{document}\.json is damaged: "):
        run.read(document)


@pytest.mark.parametrize("content", [b'{"format": 1, "x": 1e999}', b'{"format": 1}'])
def test_a_document_without_its_digest_is_damaged(run: Run, content: bytes) -> None:
    (run.folder / "model.json").write_bytes(content)
    with pytest.raises(RunError, match="its digest does not match its content"):
        run.read("model")


def test_nesting_that_can_be_read_but_not_written_is_damaged(run: Run) -> None:
    deep = b'{"a": ' * 300 + b"1" + b"}" * 300
    (run.folder / "model.json").write_bytes(b'{"format": 1, "deep": ' + deep + b"}")
    with pytest.raises(RunError, match="its digest does not match its content"):
        run.read("model")


def test_a_model_changed_by_hand_is_refused(run: Run) -> None:
    path = run.folder / "model.json"
    path.write_text(path.read_text().replace('"majority": "a"', '"majority": "b"'))
    with pytest.raises(RunError, match=r"model\.json is damaged: its digest does not match"):
        Forecaster.load(run)


def test_weights_of_another_model_are_refused(run: Run) -> None:
    _, weights = run.read_model()
    weights["head.bias"] = weights["head.bias"] + 1
    (run.folder / "model.safetensors").write_bytes(save(weights))
    with pytest.raises(RunError, match=r"model\.safetensors is not the file that was written"):
        Forecaster.load(run)


def test_a_training_that_did_not_end_has_no_model_yet(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    for read in (lambda: run.read("scores"), run.read_model, run.verify):
        with pytest.raises(RunError, match=r"continue with foreshock train --run .*run --resume"):
            read()
    with pytest.raises(RunError, match=r"environment\.json is missing. Restore it"):
        run.read("environment")


# formats


def test_a_newer_format_is_refused_and_the_upgrade_named(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_json, "FORMAT", 2)
    newer = new_run(run.folder.parent / "newer")
    newer.write("model", {})
    newer.write_checkpoint(Checkpoint({}, {}, 0))
    monkeypatch.undo()
    for read in (lambda: newer.read("config"), newer.read_model, newer.read_checkpoint):
        with pytest.raises(RunError, match=r"has format 2, newer than .*pip install -U foreshock"):
            read()


def test_an_older_format_is_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_json, "FORMAT", 2)
    check(run)
    assert run.read_checkpoint() is not None


# hostile folders


@pytest.mark.parametrize("name", ["model.safetensors", "checkpoint/state.safetensors"])
@pytest.mark.parametrize("hashed", [False, True])
def test_a_pickle_is_never_opened(run: Run, tmp_path: Path, name: str, hashed: bool) -> None:
    canary = pickle.dumps(Canary(tmp_path / "executed"))
    (run.folder / name).write_bytes(canary)
    if hashed:
        digest = hashlib.sha256(canary).hexdigest()
        rewrite(run.folder / "model.json", lambda v: v["sha256"].update({name: digest}))
    read = run.read_model if name == "model.safetensors" else run.read_checkpoint
    with pytest.raises(RunError, match=name):
        read()
    (run.folder / "history.jsonl").write_bytes(canary)
    with pytest.raises(RunError, match=r"history\.jsonl is damaged"):
        run.history()
    assert not (tmp_path / "executed").exists()
    pickle.loads(canary)  # it does bite
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "..", "a/b", "", ".", "./config.json"]
)
@pytest.mark.parametrize("document", ["scores", "model"])
def test_only_files_of_the_folder_are_checked(
    run: Run, document: Literal["scores", "model"], name: str
) -> None:
    (run.folder.parent / "secret").write_bytes(b"")
    rewrite(run.folder / f"{document}.json", lambda v: v["sha256"].update({name: "0"}))
    with pytest.raises(RunError, match=rf"{document}\.json is damaged: .* is not a file of a run"):
        run.read(document)


@pytest.mark.parametrize("hashes", [None, [], "text", {"model.safetensors": 1}])
def test_hashes_of_another_shape_are_damage(run: Run, hashes: object) -> None:
    rewrite(run.folder / "model.json", lambda values: values.update(sha256=hashes))
    with pytest.raises(RunError, match=r"model\.json is damaged: it lists no hashes"):
        Forecaster.load(run)


def test_weights_whose_hash_is_not_stated_are_refused(run: Run) -> None:
    rewrite(run.folder / "model.json", lambda values: values["sha256"].clear())
    with pytest.raises(RunError, match=r"model\.safetensors is not the file that was written"):
        Forecaster.load(run)


def test_weights_of_a_type_that_numpy_lacks_are_refused(run: Run) -> None:
    header = b'{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'
    data = len(header).to_bytes(8, "little") + header + b"\0\0"
    (run.folder / "model.safetensors").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    rewrite(run.folder / "model.json", lambda v: v["sha256"].update({"model.safetensors": digest}))
    with pytest.raises(RunError, match=r"model\.safetensors contains no weights"):
        Forecaster.load(run)


# history and checkpoint


def test_the_history_is_cut_back_to_the_checkpoint(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    with run.open_history(0) as file:
        file.write('{"step": 1}\n{"step": 2}\n{"st')
    with run.open_history(len('{"step": 1}\n')) as file:
        file.write('{"step": 3}\n')
    assert run.history() == [{"step": 1}, {"step": 3}]


def test_a_history_shorter_than_the_checkpoint_says_is_refused(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    with pytest.raises(RunError, match=r"history\.jsonl is shorter than the checkpoint says"):
        run.open_history(1)


@pytest.mark.parametrize("line", [b"1\n", b'{"step": \n', b"\xff\n", b'{"loss": NaN}\n'])
def test_damage_of_the_history_is_told_before_training_goes_on(tmp_path: Path, line: bytes) -> None:
    run = new_run(tmp_path / "run")
    (run.folder / "history.jsonl").write_bytes(b'{"step": 1}\n' + line)
    with pytest.raises(RunError, match=r"history\.jsonl is damaged"):
        run.open_history(12 + len(line))


def test_a_missing_history_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"history\.jsonl is missing"):
        new_run(tmp_path / "run").history()


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    assert run.read_checkpoint() is None
    tensors: dict[str, np.ndarray[Any, Any]] = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.array(7, dtype=np.int64),
        "c": np.zeros((0, 2), np.float32),
    }
    run.write_checkpoint(Checkpoint(tensors, {"epoch": 1, "loss_sum": 0.1 + 0.2}, 5))
    checkpoint = run.read_checkpoint()
    assert checkpoint.values == {"epoch": 1, "loss_sum": 0.1 + 0.2} and checkpoint.history == 5
    assert set(checkpoint.tensors) == set(tensors)
    for name, array in tensors.items():
        assert checkpoint.tensors[name].dtype == array.dtype
        np.testing.assert_array_equal(checkpoint.tensors[name], array)


def test_a_damaged_checkpoint_is_refused(run: Run) -> None:
    path = run.folder / "checkpoint" / "state.safetensors"
    good = path.read_bytes()
    random = np.random.default_rng(0)
    cuts = [good[:n] for n in (0, 7, 8, 100, len(good) // 2, len(good) - 1)]
    for damaged in [*cuts, good + b"\0", b"\0" * len(good), random.bytes(len(good))]:
        path.write_bytes(damaged)
        with pytest.raises(RunError, match=r"state\.safetensors is damaged"):
            run.read_checkpoint()
    length = int.from_bytes(good[:8], "little") + 8
    for position in [*random.integers(length, size=60), *random.integers(length, len(good), 60)]:
        path.write_bytes(good)
        flip(path, int(position), int(random.integers(8)))
        with pytest.raises(RunError, match=r"state\.safetensors is damaged"):
            run.read_checkpoint()
    path.write_bytes(good)
    assert run.read_checkpoint() is not None


def test_what_killed_writings_left_neither_matters_nor_stays(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    run.write_checkpoint(Checkpoint({}, {}, 0))
    for name in (".model.json.01234567.tmp", "checkpoint/.state.safetensors.01234567.tmp"):
        (run.folder / name).write_bytes(b"half")
    assert run.read_checkpoint() == Checkpoint({}, {}, 0)
    run.finish({})
    run.read("scores")
    assert not list(run.folder.rglob("*.tmp"))


# configurations


@dataclass(frozen=True, kw_only=True)
class Inner:
    sizes: tuple[int, int] = (1, 2)
    names: tuple[str, ...] = ()
    rate: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Outer:
    kind: Literal["a", "b"]
    inner: Inner = Inner()
    count: int = 1
    flag: bool = False
    limit: float | None = None

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count must be at least 1, got {self.count}.")


def test_a_configuration_survives_json() -> None:
    values = {"kind": "b", "inner": {"sizes": [3, 4], "names": ["x"], "rate": 1}, "limit": 2.5}
    expected = Outer(kind="b", inner=Inner(sizes=(3, 4), names=("x",), rate=1), limit=2.5)
    assert decode(Outer, values, "config") == expected
    assert decode(Outer, {"kind": "a"}, "config") == Outer(kind="a")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "config lacks the field 'kind'."),
        ({"kind": "a", "cuont": 1}, "config has no field 'cuont'; it has count, flag, inner"),
        ({"kind": "a", "inner": {"size": 1}}, "config.inner has no field 'size'; it has names"),
        ({"kind": "c"}, "config.kind cannot be 'c'."),
        ({"kind": ["a"]}, "config.kind cannot be ['a']."),
        ({"kind": None}, "config.kind cannot be None."),
        ({"kind": "a", "count": True}, "config.count cannot be True."),
        ({"kind": "a", "count": 1.0}, "config.count cannot be 1.0."),
        ({"kind": "a", "count": [1]}, "config.count cannot be [1]."),
        ({"kind": "a", "count": None}, "config.count cannot be None."),
        ({"kind": "a", "flag": 1}, "config.flag cannot be 1."),
        ({"kind": "a", "limit": "1"}, "config.limit cannot be '1'."),
        ({"kind": "a", "limit": False}, "config.limit cannot be False."),
        ({"kind": "a", "limit": float("inf")}, "config.limit cannot be inf."),
        ({"kind": "a", "limit": 10**400}, "config.limit cannot be 1000"),
        ({"kind": "a", "inner": 5}, "config.inner must be a JSON object, got 5."),
        ({"kind": "a", "inner": [["rate", 1]]}, "config.inner must be a JSON object"),
        ({"kind": "a", "inner": {"sizes": [1]}}, "config.inner.sizes cannot be [1]."),
        ({"kind": "a", "inner": {"sizes": [1, "2"]}}, "config.inner.sizes[1] cannot be '2'."),
        ({"kind": "a", "inner": {"sizes": 1}}, "config.inner.sizes cannot be 1."),
        ({"kind": "a", "inner": {"names": "ab"}}, "config.inner.names cannot be 'ab'."),
        ({"kind": "a", "count": 0}, "config: count must be at least 1, got 0."),
        ([], "config must be a JSON object, got []."),
        (None, "config must be a JSON object, got None."),
    ],
)
def test_a_wrong_configuration_is_refused_and_the_place_named(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"^config") as caught:
        decode(Outer, values, "config")
    assert str(caught.value).startswith(message)


def test_a_model_of_an_early_version_is_refused_in_a_line() -> None:
    message = "model has no exact: an earlier version of foreshock wrote it, which this one cannot"
    with pytest.raises(ValueError, match=f"^{message} read. Train again.$"):
        decode(ModelConfig, {"cells": 8}, "model")


def test_an_enormous_value_is_not_repeated_in_full() -> None:
    with pytest.raises(ValueError, match="learning_rate cannot be") as caught:
        decode(FitConfig, {"learning_rate": "x" * 10_000}, "config")
    assert len(str(caught.value)) < 200
