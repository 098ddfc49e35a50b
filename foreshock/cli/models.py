"""What each command does: one call of the API, and its result for a person or as JSON."""

import dataclasses
import logging
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, ArgumentCollection, Parameter
from cyclopts.config import Dict

from foreshock._files import check_new, write_atomic
from foreshock._json import decode
from foreshock._text import one_line
from foreshock._time import parse_time
from foreshock.cli.console import PIPES, Json, file_of, print_json, print_others, print_scores, say
from foreshock.inference.evaluate import evaluate as evaluate_run
from foreshock.inference.export import export_model
from foreshock.inference.forecaster import Forecaster
from foreshock.inference.outputs import (
    ModelCard,
    forecast_csv,
    forecast_json,
    predictions_csv,
    predictions_json,
)
from foreshock.metrics.scores import Scores
from foreshock.nn.distributed import is_main_process
from foreshock.problems import problem as data
from foreshock.problems.formats import Part
from foreshock.problems.store import is_stored
from foreshock.readings.config import LogConfig, SourceConfig
from foreshock.readings.sensor_logs import DEFAULT, kind_of, load_readings
from foreshock.readings.series import Readings
from foreshock.run import Run
from foreshock.training.config import PRESETS, TrainConfig, option_name
from foreshock.training.pipeline import train as train_run

logger = logging.getLogger(__name__)

_COVERAGE = 0.9
_Options = Parameter(name="*", name_transform=option_name)
Flag = Annotated[bool, Parameter(negative="", show_default=False)]


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
    """Train a model on a problem and score it once on its test part.

    Parameters
    ----------
    problem
        An archive name (GunPoint), a file (.ts, .tsv, .txt, .arff, .csv, .parquet, .npz; those of
        text may have .gz behind), a folder, or - for standard input.
    run
        Where the run goes; by default a new folder in runs/.
    preset
        Where options that are not given come from. The defaults below are those of fast; best is
        the mean of five, calibrated; paper has the layers and the training of the papers.
    config_file
        A run to repeat, or its config.json: its options, and its problem if none is given.
    resume
        Go on with the run in --run DIR, if there is one, with the options it was started with.
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
        raise ValueError("each of several devices reads the problem: give a file, not -.")
    with file_of(source) as opened:
        loaded = data.load(opened)
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
    if scores["scores"] is None:
        say(
            f"{one_line(loaded.name)} has no test part, so there is no test score: make one with "
            "--test 0.25."
        )
        files = ["loss.png", "cases.png", "history.jsonl"]
    elif "model" not in scores["scores"]:
        say("Its scores are in an earlier form: see them, with intervals, in the page below.")
        files = ["loss.png", "predictions.csv", "scores.json"]
    else:
        print_scores(decode(Scores, _known(scores["scores"]), "scores.json"), "test cases")
        files = ["loss.png", "cases.png", "predictions.csv", "scores.json"]
    print_others(scores)
    calibration = done.read("model").get("calibration") or {}
    if calibration.get("threshold") is not None and not scores.get("alarms"):
        threshold, policy = calibration["threshold"], calibration["policy"]
        event = one_line(loaded.classes[-1])
        say(f"Alarms: from a probability of '{event}' of {threshold:.3g} on ({policy}).")
    say(f"Model: {scores['choice']}.")
    say(f"A page of all this: foreshock report {shlex.quote(str(done.folder))}")
    there = ", ".join(name for name in files if (done.folder / name).exists())
    say(f"Run: {done.folder} ({there})")


def evaluate(
    run: Path,
    problem: str,
    /,
    *,
    part: Part | None = None,
    json: Json = False,
) -> None:
    """Score a saved model on labelled cases.

    Parameters
    ----------
    run
        The folder that train made.
    problem
        An archive name, a file, a folder, or - for standard input.
    part
        Whose cases to score; by default the test part's where there is one, else all.
    json
        Print the scores as one JSON document.
    """
    with file_of(problem) as opened:
        loaded = data.load(opened)
    result = evaluate_run(Run(run), loaded, part)
    if json:
        print_json(dataclasses.asdict(result))
        return
    print_scores(result.scores, f"{result.part} cases" if result.part else "cases")
    say(f"Model: {result.choice}.")
    if result.other_rule:
        say(f"These cases were cut by another rule than those trained on: {result.other_rule[0]}.")
    if result.n_trained_on:
        of = (
            "these cases"
            if result.n_compared == result.scores.n_cases
            else (f"{result.n_compared:,} of these cases that were compared")
        )
        say(
            f"{result.n_trained_on:,} of {of} were trained on, or served to choose or calibrate:"
            " this is no test of the model."
        )


def predict(
    run: Path,
    series: str,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    precision: Literal["float32", "bf16", "auto"] = "float32",
    coverage: float = _COVERAGE,
    crop: Flag = False,
    until: str | None = None,
    log: LogConfig = DEFAULT.log,
    json: Json = False,
) -> None:
    """Give class probabilities as CSV, for series or for what follows the last reading.

    Parameters
    ----------
    run
        The folder that train made.
    series
        A file of series, with or without labels, or anything a problem is loaded from; or, for
        a model of a problem that was cut from readings, readings of the same kind. - is standard
        input.
    output
        The CSV file to write; by default it goes to standard output.
    precision
        Arithmetic; auto takes bf16 where the processor has it.
    coverage
        Share of cases whose true class is to be in the set of those that fit, which a model gives
        that was trained with --members or a valid part.
    crop
        Take of series that are longer than those of the training as many timepoints: the latest
        if the model is of a problem that was cut from readings, else the first.
    until
        Time at which the last reading ends, to forecast what followed it; by default that of a
        sensor log is its last, and that of a catalogue has its last event.
    log
        Sensor logs are read as those of the training were, but for what is said here.
    json
        Print one JSON document instead of CSV.
    """
    if output is not None:
        check_new(output)
    forecaster = Forecaster.load(run)
    with file_of(series) as opened:
        given = _given(opened, forecaster.card, log, until, crop=crop)
    if isinstance(given, Readings):
        forecast = forecaster.forecast(given, coverage)
        for reason in forecast.outside:
            logger.warning("The rule would make no case of this window, %s.", reason)
        table, document = forecast_csv(forecast), forecast_json(forecast)
    else:
        predictions = forecaster.predictions(
            forecaster.series(given), precision=precision, crop=crop
        )
        if predictions.conformity is None and coverage != _COVERAGE:
            logger.warning("The model was not calibrated, so --coverage has no sets to give.")
        table = predictions_csv(predictions, forecaster.classes, coverage=coverage)
        document = predictions_json(predictions, forecaster.classes, coverage)
    if output is not None:
        write_atomic(output, table.encode(), new=True)
        logger.info("%d predictions are in %s.", table.count("\n") - 1, output)
    if json:
        print_json(document)
    elif output is None:
        sys.stdout.write(table)


def export(
    run: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    json: Json = False,
) -> None:
    """Write a model as one file that forecasts without foreshock.

    Raw series go in, calibrated probabilities come out; what the model was trained with,
    normalisation above all, is inside. The file is compared with the model before it is there.

    Parameters
    ----------
    run
        The folder that train made.
    output
        The file to write, which must be new: .onnx for ONNX, which NumPy and ONNX Runtime are
        enough for, or .pt2 for torch.export, which PyTorch is.
    json
        Print one JSON document.
    """
    exported = export_model(run, output)
    if json:
        print_json({"file": str(output), **dataclasses.asdict(exported)})
        return
    say(f"Model: {output} ({exported.bytes / 2**20:,.1f} MiB), {exported.checked}.")


def push(
    run: Path,
    name: str,
    /,
    *,
    public: Flag = False,
    branch: str | None = None,
    json: Json = False,
) -> None:
    """Upload a run to the Hugging Face Hub, as one commit, to be loaded by its name there.

    What train and report wrote goes, after it was checked, without checkpoints. Predictions,
    explanations and pictures show cases of the data. The token is that of `hf auth login`.

    Parameters
    ----------
    run
        The folder that train made.
    name
        What to call it there, OWNER/NAME; it is made, private, if it is not there.
    public
        Make it public, if it is made.
    branch
        Branch to commit to, by default main.
    json
        Print one JSON document.
    """
    address = Run(run).push_to_hub(name, private=not public, branch=branch)
    if json:
        print_json({"commit": address})
    else:
        say(f"Commit: {address}")


def _given(
    series: str | Path, card: ModelCard, log: LogConfig, until: str | None, *, crop: bool
) -> Readings | data.Problem:
    """Read what is to be forecast: readings, if the model is of such, or cases."""
    path, source = Path(series), card.source or SourceConfig()
    kind = None
    if card.rule is not None and not is_stored(path):
        kind = kind_of(path, log.time or source.log.time)
    if kind is None:
        if until is not None or log != DEFAULT.log:
            raise ValueError("--until and --log are for readings; leave them out.")
        return data.load(series, labelled=False)
    if crop:
        raise ValueError("of readings the last window is taken anyway; leave --crop out.")
    return _readings(path, kind, card, log, until)


def _readings(
    path: Path,
    kind: Literal["log", "catalog"],
    card: ModelCard,
    log: LogConfig,
    until: str | None,
) -> Readings:
    """Read what the model is to tell the future of, as its training readings were read."""
    source = card.source or SourceConfig()
    if kind == "catalog":
        config = SourceConfig(log=log, catalog=replace(source.catalog, until=until))
        return load_readings(path, config=config)
    usual = replace(source.log, step=source.log.step or card.step, channels=card.channels)
    given = _changes(dataclasses.asdict(log), dataclasses.asdict(DEFAULT.log))
    values = dataclasses.asdict(usual) | given
    readings = load_readings(path, config=SourceConfig(log=decode(LogConfig, values, "--log")))
    return readings if until is None else readings.until(parse_time(until))


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


def _known(values: dict[str, Any]) -> dict[str, Any]:
    """Keep what `Scores` has."""
    return {field.name: values[field.name] for field in dataclasses.fields(Scores)}


def _stored(path: Path) -> dict[str, Any]:
    if path.name != "config.json" and not path.is_dir():
        raise ValueError(f"--config takes a run folder or its config.json, got {path}.")
    values = Run(path if path.is_dir() else path.parent).read("config")
    config, problem = values.get("config"), values.get("problem")
    if not isinstance(config, dict) or not isinstance(problem, str | None):
        raise ValueError(f"{path} is damaged: it holds no configuration.")
    return {"config": config, "problem": problem}
