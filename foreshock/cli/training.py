"""The command that trains a model, and the defaults of its options: a preset or a stored run."""

import dataclasses
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, ArgumentCollection, Parameter
from cyclopts.config import Dict

from foreshock._json import decode
from foreshock._text import one_line
from foreshock.cli.console import (
    PIPES,
    Flag,
    Json,
    file_of,
    print_json,
    print_outcome,
    print_scores,
    say,
)
from foreshock.nn.distributed import is_main_process
from foreshock.problems.problem import load
from foreshock.reporting.run_data import read_model, read_outcome
from foreshock.run import Run
from foreshock.training.config import PRESETS, TrainConfig, option_name
from foreshock.training.pipeline import train as train_run

_Options = Parameter(name="*", name_transform=option_name)


def train(
    problem: str | None = None,
    /,
    *,
    run: Path | None = None,
    preset: Literal["fast", "best", "paper"] = "fast",
    config_file: Annotated[Path | None, Parameter(name="--config")] = None,
    resume: Flag = False,
    json: Json = False,
    config: Annotated[TrainConfig, _Options] = PRESETS["fast"],
) -> None:
    """Train a model and score it on the test part.

    ```
    $ foreshock train GunPoint
    $ foreshock train quakes.npz --run runs/quakes --preset best
    ```

    The run is a folder with the weights, scores, predictions and figures.

    Parameters
    ----------
    problem
        Archive name (GunPoint), file (.ts, .tsv, .txt, .arff, .csv, .parquet, .npz; text files may
        end in .gz), folder, or - for standard input.
    run
        Folder to write the run to. Default: a new folder in runs/.
    preset
        Values of all options that you do not give. fast: the defaults shown below. best: five
        networks, averaged and calibrated. paper: layers and training of the papers.
    config_file
        Run to repeat, or its config.json: take its options, and its problem if none is given.
    resume
        Continue the run in --run with its own options, or start it if there is none.
    json
        Print the scores as one JSON document.
    """
    source = problem
    if source is None and config_file is not None:
        source = _stored(config_file)["problem"]
    if source is None and resume and run is not None and (run / "config.json").exists():
        source = _stored(run)["problem"]
    if source is None:
        raise ValueError("give a PROBLEM: an archive name, a file or a folder.")
    piped = source in PIPES
    if piped and config.devices > 1:
        raise ValueError("several devices cannot share standard input: give a file instead of -.")
    with file_of(source) as opened:
        loaded = load(opened)
    if piped or Path(source).exists():
        source = "-" if piped else str(Path(source).resolve())
    if config.from_run is not None and Path(config.from_run).exists():
        config = replace(config, from_run=str(Path(config.from_run).resolve()))
    done = train_run(loaded, config, folder=run, source=source, resume=resume)
    if not is_main_process():
        return
    scores = done.read("scores")
    if json:
        print_json({"run": str(done.folder)} | scores)
        return
    outcome = read_outcome(scores)
    if outcome.scores is None:
        say(
            f"{one_line(loaded.name)} has no test part, so there is no test score: make one with "
            "--test 0.25."
        )
        files = ["loss.png", "cases.png", "history.jsonl"]
    else:
        print_scores(outcome.scores, "test cases")
        files = ["loss.png", "cases.png", "predictions.csv", "scores.json"]
    print_outcome(outcome)
    calibration = read_model(done.read("model")).calibration
    if calibration is not None and calibration.threshold is not None and outcome.alarms is None:
        threshold, policy = calibration.threshold, calibration.policy
        event = one_line(loaded.classes[-1])
        say(f"Alarms: from a probability of '{event}' of {threshold:.3g} on ({policy}).")
    say(f"Model: {outcome.choice}.")
    say(f"A page of all this: foreshock report {shlex.quote(str(done.folder))}")
    there = ", ".join(name for name in files if (done.folder / name).exists())
    say(f"Run: {done.folder} ({there})")


def base_config(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Fill in options that were not given, from a preset, a stored run or a run to resume."""
    given = {argument.name: argument.tokens[-1].value for argument in arguments if argument.tokens}
    if "--preset" in given and "--config" in given:
        raise ValueError("give either --preset or --config, not both.")
    base = PRESETS.get(given.get("--preset", "fast"), PRESETS["fast"])
    stored = given.get("--config")
    resumed = given.get("--run") if "--resume" in given and "--preset" not in given else None
    if stored is None and resumed is not None and (Path(resumed) / "config.json").exists():
        stored = resumed
    if stored is not None:
        base = decode(TrainConfig, _stored(Path(stored))["config"], stored)
    values = _changes(dataclasses.asdict(base), dataclasses.asdict(TrainConfig()))
    values = {option_name(name): value for name, value in values.items()}
    Dict(values, use_commands_as_keys=False)(app, commands, arguments)


def _changes(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Keep the values that are not the defaults."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            out[name] = _changes(value, defaults[name])
        elif value != defaults[name]:
            out[name] = list(value) if isinstance(value, tuple) else value
    return out


def _stored(path: Path) -> dict[str, Any]:
    if path.name != "config.json" and not path.is_dir():
        raise ValueError(f"--config must be a run folder or its config.json, got {path}.")
    values = Run(path if path.is_dir() else path.parent).read("config")
    config, problem = values.get("config"), values.get("problem")
    if not isinstance(config, dict) or not isinstance(problem, str | None):
        raise ValueError(f"{path} is damaged: it contains no configuration.")
    return {"config": config, "problem": problem}
