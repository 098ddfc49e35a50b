"""The command that trains a model, and the defaults of its options: a preset or a stored run."""

import dataclasses
import json
import shlex
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, ArgumentCollection, Parameter
from cyclopts.config import Dict

from foreshock._json import decode, flatten
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
from foreshock.training.config import PRESETS, TrainConfig, merge, option_name
from foreshock.training.pipeline import train as train_run

_Options = Parameter(name="*", name_transform=option_name)
Given = Annotated[tuple[str, ...], Parameter(show=False)]
"""Which options of the training were given; `note_given` says it."""


def train(
    problem: str | None = None,
    /,
    *,
    run: Path | None = None,
    preset: Literal["fast", "best", "paper"] | None = None,
    config_file: Annotated[Path | None, Parameter(name="--config")] = None,
    resume: Flag = False,
    json: Json = False,
    config: Annotated[TrainConfig, _Options] = PRESETS["fast"],
    given: Given = (),
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
        networks, averaged and calibrated. paper: layers and training of the papers. Default: fast,
        or the values of the run that is repeated or resumed.
    config_file
        Run to repeat, or its config.json: take its options, and its problem if none is given.
    resume
        Continue the run in --run with its own options, or start it if there is none.
    json
        Print the scores as one JSON document.
    """
    if preset is not None and config_file is not None:
        raise ValueError("give either --preset or --config, not both.")
    source, stored = problem, config_file
    if stored is None and resume and run is not None and (run / "config.json").exists():
        stored = run
    if stored is not None:
        values = _stored(stored)
        source = values["problem"] if source is None else source
    if stored is None or preset is not None:
        base = PRESETS[preset or "fast"]
    else:
        base = decode(TrainConfig, values["config"], str(stored))
    config = merge(base, config, given)
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


def note_given(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Note which options of the training were given: a preset or a run has the others."""
    paths = {option_name(path): path for path in flatten(dataclasses.asdict(TrainConfig()))}
    given: dict[str, None] = {}
    for argument in arguments:
        name = argument.name.removeprefix("--")
        for token in argument.tokens:
            if name == "given":
                raise ValueError("Unknown option: --given.")
            names = [name]
            if token.value.startswith("{"):  # as JSON: --fit '{"epochs": 60}'
                with suppress(ValueError):  # cyclopts will refuse it
                    names = [f"{name}.{option_name(each)}" for each in json.loads(token.value)]
            given |= dict.fromkeys(paths[each] for each in names if each in paths)
    Dict({"given": list(given)}, use_commands_as_keys=False)(app, commands, arguments)


def _stored(path: Path) -> dict[str, Any]:
    if path.name != "config.json" and not path.is_dir():
        raise ValueError(f"--config must be a run folder or its config.json, got {path}.")
    values = Run(path if path.is_dir() else path.parent).read("config")
    config, problem = values.get("config"), values.get("problem")
    if not isinstance(config, dict) or not isinstance(problem, str | None):
        raise ValueError(f"{path} is damaged: it contains no configuration.")
    return {"config": config, "problem": problem}
