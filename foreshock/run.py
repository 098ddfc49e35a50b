"""A run: one training and its folder. The only module that knows the folder's file names.

    config.json  environment.json  problem.json    what was asked for, where, on which cases
    history.jsonl  loss.png                        each batch and each epoch; their picture
    cases.png                                      a few training cases of each class
    lr_finder.json  lr_finder.png                  what the learning-rate finder saw, if asked
    model.json  model.safetensors                  all that forecasting reads
    held_out.csv                                   what was said of cases that were not trained on
    predictions.csv  forecasts.npz                 of the test part, and of all of its time
    baselines.npz                                  what the baselines say of all these
    explanations.npz                               why some of its cases are predicted so
    scores.json                                    written last
    README.md                                      the model card, anybody's to edit
    mlflow.json  tensorboard/                      what --log keeps here, unhashed
    checkpoint/state.safetensors                   where an interrupted training goes on

model.json has the sha256 of the weights and a digest of itself; scores.json that of every other
file but checkpoint/, report.html, README.md and what --log keeps. Nothing in a run folder is ever
unpickled.
"""

import hashlib
import io
import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from foreshock import _json
from foreshock._files import (
    file_hash,
    followed,
    is_empty,
    locked,
    make_folder,
    new_folder,
    write_atomic,
)
from foreshock._json import decode_document, encode_document, parse

Document = Literal["config", "environment", "problem", "model", "scores", "lr_finder", "mlflow"]
Picture = Literal["loss", "cases", "lr_finder"]
_UNHASHED = {"scores.json", "report.html", "README.md"}
_WRITTEN = (
    *("config.json", "environment.json", "problem.json", "lr_finder.json", "model.json"),
    *("scores.json", "model.safetensors", "history.jsonl", "held_out.csv", "predictions.csv"),
    *(
        "forecasts.npz",
        "baselines.npz",
        "explanations.npz",
        "loss.png",
        "cases.png",
        "lr_finder.png",
    ),
    *("README.md", "report.html"),
)
"""What a run may have written that goes where the run goes."""
_FETCHED = ("config.json", "model.json", "model.safetensors", "problem.json")
"""What is taken from the Hub: what forecasting reads, and which cases were trained on."""


class RunError(RuntimeError):
    """A run folder is not what it should be: incomplete, damaged or of a newer format."""


@dataclass(frozen=True)
class Checkpoint:
    """Where an interrupted training goes on."""

    tensors: dict[str, NDArray[Any]]
    values: dict[str, Any]
    history: int
    """Bytes of the history that belong to it."""


def is_run(folder: Path) -> bool:
    """Check whether a folder is a run's."""
    return all((folder / f"{name}.json").is_file() for name in ("config", "environment"))


class Run:
    """A run folder, opened for reading and writing.

    Parameters
    ----------
    folder : Path
        The run's folder.

    Raises
    ------
    RunError
        If the folder is not a run's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise RunError(f"no run folder at {self.folder}: give the folder that train printed.")
        if not self._path("config").is_file():
            raise RunError(f"{self.folder} is not a run folder: it has no config.json.")

    @classmethod
    def create(cls, folder: Path, documents: dict[Document, dict[str, Any]]) -> "Run":
        """Make a run folder with its first documents; it appears whole or not at all.

        A folder that is there and empty is filled; a link is followed and stays.

        Raises
        ------
        FileExistsError
            If something stands there already.
        """
        make_folder(followed(folder).parent)
        if folder.exists() and not is_empty(folder):
            raise FileExistsError(
                f"{folder} exists already and is never overwritten: choose another --run, "
                "or continue it with --resume."
            )
        # an empty folder is the user's, with its permissions: it is filled, by config.json at last
        with nullcontext(folder) if folder.exists() else new_folder(folder) as place:
            made: list[Path] = []
            try:
                for name in sorted(documents, key=lambda name: name == "config"):
                    path = place / f"{name}.json"
                    write_atomic(path, encode_document(documents[name], digest=False), new=True)
                    made.append(path)
            except BaseException:
                for path in made:
                    path.unlink()
                raise
        return cls(folder)

    @classmethod
    def find(cls, name: str | Path, **options: Any) -> "Run":
        """Open a run folder, or else the model of that name on the Hugging Face Hub.

        Parameters
        ----------
        name : str or Path
            The folder, or owner/name on the Hub.
        **options
            Of ``huggingface_hub.snapshot_download``: revision, token, cache_dir, force_download,
            local_files_only.

        Raises
        ------
        RunError
            If the folder is not a run's.
        ConnectionError
            If there is no folder, and the Hub has no such model or cannot be reached.
        ImportError
            If it takes huggingface_hub, which is not installed.
        """
        if not str(name):
            raise RunError("give a run folder or the name of a model: it is empty.")
        folder = Path(name)
        if not folder.exists():
            from foreshock._hub import pull

            folder = pull(str(name), _FETCHED, **options)
        return cls(folder)

    def push_to_hub(self, name: str, *, private: bool = True, **options: Any) -> str:
        """Upload the folder of a complete run to the Hugging Face Hub, checked, as one commit.

        What train and report wrote goes, without the checkpoint and what `--log` keeps; files of a
        run that was there before are deleted there. Some show cases of the data: predictions,
        explanations, pictures.

        Parameters
        ----------
        name : str
            What to call the model there, owner/name; it is made if it is not there.
        private : bool, default=True
            Whether only its owner sees a model that is made.
        **options
            As of huggingface_hub's mixin: token, branch, create_pr, commit_message.

        Returns
        -------
        str
            Address of the commit.

        Raises
        ------
        RunError
            If the run is not complete, or a file is missing or changed.
        ConnectionError
            If the Hub refuses or cannot be reached.
        ImportError
            If huggingface_hub is not installed.
        """
        from foreshock._hub import push

        self.verify()
        files = [p.name for p in self.files() if p.name in _WRITTEN and not p.is_symlink()]
        return push(self.folder, files, name, instead=_WRITTEN, private=private, **options)

    def locked(self) -> AbstractContextManager[None]:
        """Keep other processes from training in the folder."""
        return locked(self._path("config"))

    @property
    def complete(self) -> bool:
        """Whether training ended and its scores are written."""
        return self._path("scores").exists()

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard's event files."""
        return self.folder / "tensorboard"

    def has(self, name: Document) -> bool:
        """Check whether one of the JSON documents exists."""
        return self._path(name).is_file()

    def read(self, name: Document) -> dict[str, Any]:
        """Read one of the JSON documents, checked against its digest where it has one.

        Raises
        ------
        RunError
            If it is missing, damaged or of a newer format.
        """
        path = self._path(name)
        if not path.is_file():
            hint = "Restore it from a copy, or train again."
            if name in ("model", "scores") and not self.complete:
                command = f"foreshock train --run {self.folder} --resume"
                hint = f"The training did not end: continue with {command}."
            raise RunError(f"{path} is missing. {hint}")
        data = path.read_bytes()
        sealed = name in ("model", "scores")
        values = decode_document(data, path, sealed=sealed, error=RunError)
        if sealed:
            _check_hash_list(values.get("sha256"), path)
        return values

    def write(self, name: Document, values: dict[str, Any]) -> None:
        """Write one of the JSON documents."""
        write_atomic(self._path(name), encode_document(values, digest=name in ("model", "scores")))

    def write_picture(self, name: Picture, png: bytes) -> None:
        """Write a picture."""
        write_atomic(self.folder / f"{name}.png", png)

    def pictures(self) -> dict[str, bytes]:
        """Read every picture, by name."""
        return {path.stem: path.read_bytes() for path in self.files() if path.suffix == ".png"}

    def files(self) -> list[Path]:
        """List all that goes where the run goes: no checkpoint, nothing that `--log` keeps."""
        files = [p for p in self.folder.iterdir() if p.is_file() and not p.name.startswith(".")]
        return sorted(path for path in files if path != self._path("mlflow"))

    def open_history(self, size: int) -> IO[str]:
        """Open the history for appending, cut back to its first `size` bytes."""
        path = self.folder / "history.jsonl"
        data = path.read_bytes() if path.exists() else b""
        if len(data) < size:
            raise RunError(f"{path} is shorter than the checkpoint says: it was changed.")
        write_atomic(path, data[:size])
        self.history()  # damage is told now, not when training has ended
        return path.open("a", encoding="utf-8", newline="\n")

    def history(self) -> list[dict[str, Any]]:
        """Read the history: a dict per batch, and one per epoch with `train_loss`."""
        path = self.folder / "history.jsonl"
        if not path.is_file():
            raise RunError(f"{path} is missing. Restore it from a copy, or train again.")
        return [parse(line, path, RunError) for line in path.read_bytes().splitlines()]

    def write_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint."""
        from safetensors.numpy import save

        values = {
            "format": _json.FORMAT,
            "values": checkpoint.values,
            "history": checkpoint.history,
        }
        header = json.dumps(values, sort_keys=True)
        metadata = {"state": header, "sha256": _content_hash(checkpoint.tensors, header)}
        path = self._checkpoint()
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, save(checkpoint.tensors, metadata))

    def read_checkpoint(self) -> Checkpoint | None:
        """Read the checkpoint, if training had come to one.

        Raises
        ------
        RunError
            If it is damaged or of a newer format.
        """
        from safetensors import SafetensorError, safe_open

        path = self._checkpoint()
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, ValueError) as error:
            raise RunError(f"{path} is damaged: {error}.") from error
        header = metadata.get("state", "")
        if metadata.get("sha256") != _content_hash(tensors, header):
            raise RunError(f"{path} is damaged: its content does not match its hash.")
        state = decode_document(header, path, sealed=False, error=RunError)
        return Checkpoint(tensors, state["values"], state["history"])

    def write_model(self, values: dict[str, Any], weights: dict[str, NDArray[Any]]) -> None:
        """Write all that forecasting reads."""
        from safetensors.numpy import save

        data = save(weights)
        write_atomic(self._weights(), data)
        hashes = {self._weights().name: hashlib.sha256(data).hexdigest()}
        self.write("model", values | {"sha256": hashes})

    def read_model(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Read what `write_model` wrote.

        Raises
        ------
        RunError
            If a file is missing or not the one that was written.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        values = self.read("model")
        path = self._weights()
        data = path.read_bytes() if path.is_file() else None
        _check(path, data and hashlib.sha256(data).hexdigest(), values["sha256"].get(path.name))
        try:
            return values, load(data or b"")
        except (SafetensorError, KeyError) as error:  # KeyError: a type numpy does not have
            raise RunError(f"{path} contains no weights: {error}.") from error

    def write_card(self, text: str) -> None:
        """Write the model card."""
        write_atomic(self.folder / "README.md", text.encode())

    def write_predictions(self, table: str) -> None:
        """Write the predictions of the test part, as CSV."""
        write_atomic(self.folder / "predictions.csv", table.encode())

    def write_held_out(self, table: str) -> None:
        """Write the predictions of cases that were not trained on, as CSV."""
        write_atomic(self.folder / "held_out.csv", table.encode())

    def write_forecasts(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Write the forecasts of every target of the test part's time."""
        self._write_arrays("forecasts.npz", arrays)

    def write_baselines(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Write what baselines forecast for held-out cases, the test part and all of its time."""
        self._write_arrays("baselines.npz", arrays)

    def write_explanations(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Write why some cases are predicted as they are."""
        self._write_arrays("explanations.npz", arrays)

    def _write_arrays(self, name: str, arrays: dict[str, NDArray[Any]]) -> None:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        write_atomic(self.folder / name, buffer.getvalue())

    def finish(self, values: dict[str, Any]) -> None:
        """Write scores.json with the hash of every other file: the run is complete."""
        for leftover in self.folder.rglob(".*.tmp"):  # of a writing that was killed
            leftover.unlink()
        hashes = {p.name: file_hash(p) for p in self.files() if p.name not in _UNHASHED}
        self.write("scores", values | {"sha256": hashes})

    def verify(self) -> None:
        """Check every file of a complete run against its hash.

        Raises
        ------
        RunError
            If the run is not complete, or a file is missing or changed; it is named.
        """
        self._check_hashes(self.read("scores")["sha256"])
        self._check_hashes(self.read("model")["sha256"])

    def _check_hashes(self, hashes: dict[str, str]) -> None:
        for name, expected in hashes.items():
            path = self.folder / name
            _check(path, file_hash(path) if path.is_file() else None, expected)

    def _path(self, name: Document) -> Path:
        return self.folder / f"{name}.json"

    def _weights(self) -> Path:
        return self.folder / "model.safetensors"

    def _checkpoint(self) -> Path:
        return self.folder / "checkpoint" / "state.safetensors"


def _check_hash_list(hashes: object, path: Path) -> None:
    if not isinstance(hashes, dict) or not all(isinstance(h, str) for h in hashes.values()):
        raise RunError(f"{path} is damaged: it lists no hashes.")
    for name in hashes:
        if Path(name).name != name or name in ("", ".."):
            raise RunError(f"{path} is damaged: {name!r} is not a file of a run folder.")


def _check(path: Path, actual: str | bytes | None, expected: str | None) -> None:
    if actual is None:
        raise RunError(f"{path} is missing: restore it from a copy, or train again.")
    if actual != expected:
        raise RunError(
            f"{path} is not the file that was written: restore it from a copy, or train again."
        )


def _content_hash(tensors: dict[str, NDArray[Any]], header: str) -> str:
    content = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        content.update(f"{name}{array.dtype}{array.shape}".encode())
        content.update(array.tobytes())
    return content.hexdigest()
