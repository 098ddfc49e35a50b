"""What of a run is handed on to where people keep their runs: numbers, settings, a sentence."""

import shlex
from typing import Any

from foreshock._json import flatten
from foreshock._text import printable
from foreshock.run import Run

Line = dict[str, Any]


def metrics(line: Line) -> dict[str, float]:
    """Give what is measured in a line; the learning rate once, by batch."""
    index = {"step", "epoch", "member"} | (set() if "step" in line else {"learning_rate"})
    return {k: v for k, v in line.items() if k not in index and isinstance(v, int | float)}


def step(line: Line) -> int:
    """Give the batch of a line, or else its epoch."""
    return int(line["step"] if "step" in line else line["epoch"])


def scores(document: dict[str, Any]) -> dict[str, float]:
    """Give each number of the scores by its path; the ends of an interval as _low and _high."""
    out: dict[str, float] = {}

    def walk(values: dict[str, Any], path: str) -> None:
        for name, value in values.items():
            here = {"value": path, "low": f"{path}_low", "high": f"{path}_high"}.get(
                name, f"{path}/{name}"
            )
            if isinstance(value, dict):
                walk(value, here)
            elif isinstance(value, int | float) and not isinstance(value, bool):
                out[here] = float(value)

    for section, values in document.items():
        if isinstance(values, dict):
            walk(values, section)
    return out


def sentence(document: dict[str, Any]) -> str:
    """Say what the scores come to, where they say it, and which weights were kept."""
    parts = [document.get("scores"), (document.get("held_out") or {}).get("scores")]
    said = [part["sentence"] for part in parts if part and part.get("sentence")]
    return printable("\n\n".join([*said[:1], f"Model: {document['choice']}."]))


def settings(run: Run) -> dict[str, Any]:
    """Give each option of the run by its path, and the problem's name and digest."""
    config, problem = run.read("config")["config"], run.read("problem")
    names = {"problem.name": problem["card"]["name"], "problem.digest": problem["digest"]}
    return flatten(config) | names


def command(run: Run) -> str:
    """Give the command that started the training."""
    return printable(shlex.join(run.read("environment")["command"]))
