"""A run as TensorBoard's event files. The only module that imports it, when asked."""

import shutil
import struct
import time
from typing import Any

from foreshock import entries
from foreshock._optional import optional
from foreshock._text import printable
from foreshock.run import Run


class EventFiles:
    """Event files in the run folder; each of several members has a folder there."""

    name = "tensorboard"
    errors: tuple[type[Exception], ...] = (OSError,)

    def __init__(self) -> None:
        writing = optional("tensorboard.summary.writer.event_file_writer", "tracking")
        self.writer = writing.EventFileWriter
        self.event = optional("tensorboard.compat.proto.event_pb2", "tracking")
        self.summary = optional("tensorboard.compat.proto.summary_pb2", "tracking")

    def reach(self) -> None:
        """Nothing is to be reached: the files are the run folder's."""

    def open(self, run: Run) -> None:
        """Begin anew: all that was there comes again, from the history."""
        self.run, self.taken = run, 0
        self.writers: dict[str, Any] = {}
        shutil.rmtree(run.tensorboard, ignore_errors=True)

    def take(self, line: entries.Line) -> None:
        """Write a line; steps are batches, or epochs for what is known of an epoch."""
        self.taken += 1
        folder = "" if line.get("member") is None else f"member-{line['member']}"
        values = [
            {"tag": tag, "simple_value": value} for tag, value in entries.metrics(line).items()
        ]
        self._add(values, step=entries.step(line), folder=folder)

    def close(self, status: str) -> None:
        """Write the scores, options and pictures of a finished run."""
        if status == "FINISHED":
            scores = self.run.read("scores")
            values = [{"tag": tag, "simple_value": v} for tag, v in entries.scores(scores).items()]
            values.append(self._text("command", entries.command(self.run)))
            values.append(self._text("result", entries.sentence(scores)))
            values.append(self._hyperparameters(entries.settings(self.run)))
            for name, png in self.run.pictures().items():
                width, height = struct.unpack(">II", png[16:24])
                image = {"encoded_image_string": png, "width": width, "height": height}
                # TensorBoard shows one kind of thing of a tag, and "loss" is a scalar
                value = self.summary.Summary.Image(**image)
                values.append({"tag": f"pictures/{name}", "image": value})
            self._add(values, step=0)
        for writer in self.writers.values():
            writer.close()

    def _add(self, values: list[dict[str, Any]], *, step: int, folder: str = "") -> None:
        if folder not in self.writers:
            path = str(self.run.tensorboard / folder)
            self.writers[folder] = self.writer(path, max_queue_size=1000, flush_secs=5)
        summary = self.summary.Summary(value=[self.summary.Summary.Value(**v) for v in values])
        event = self.event.Event(wall_time=time.time(), step=step, summary=summary)
        self.writers[folder].add_event(event)

    def _text(self, tag: str, text: str) -> dict[str, Any]:
        from tensorboard.compat.proto.tensor_pb2 import TensorProto

        tensor = TensorProto(dtype="DT_STRING", string_val=[text.encode(errors="replace")])
        return {"tag": tag, "tensor": tensor, "metadata": self._metadata("text")}

    def _hyperparameters(self, settings: dict[str, Any]) -> dict[str, Any]:
        from tensorboard.plugins.hparams import metadata
        from tensorboard.plugins.hparams import plugin_data_pb2 as plugin

        start = plugin.SessionStartInfo(start_time_secs=time.time())
        for name, value in settings.items():
            if isinstance(value, bool):
                start.hparams[name].bool_value = value
            elif isinstance(value, int | float):
                start.hparams[name].number_value = value
            else:
                start.hparams[name].string_value = printable(str(value))
        version = metadata.PLUGIN_DATA_VERSION
        content = plugin.HParamsPluginData(session_start_info=start, version=version)
        described = self._metadata(metadata.PLUGIN_NAME, content.SerializeToString())
        return {"tag": metadata.SESSION_START_INFO_TAG, "metadata": described}

    def _metadata(self, plugin: str, content: bytes = b"") -> Any:
        kind = self.summary.SummaryMetadata
        return kind(plugin_data=kind.PluginData(plugin_name=plugin, content=content))
