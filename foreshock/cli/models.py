"""The commands that use a trained model; `predict` imports nothing of training."""

import dataclasses
import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter

from foreshock._files import check_new, write_atomic
from foreshock._time import parse_time
from foreshock.cli.console import Flag, Json, file_of, print_json, print_scores, say
from foreshock.inference.forecaster import Forecaster
from foreshock.inference.outputs import (
    ModelCard,
    forecast_csv,
    forecast_json,
    predictions_csv,
    predictions_json,
)
from foreshock.problems import Part
from foreshock.readings.config import DEFAULT, LogConfig, SourceConfig
from foreshock.readings.series import Readings
from foreshock.run import Run

if TYPE_CHECKING:
    from foreshock.problems.problem import Problem

logger = logging.getLogger(__name__)

_COVERAGE = 0.9


def evaluate(
    run: Path,
    problem: str,
    /,
    *,
    part: Part | None = None,
    json: Json = False,
) -> None:
    """Score a saved model on labelled cases.

    ```
    $ foreshock evaluate runs/quakes quakes.npz
    ```

    Scores come with confidence intervals and baselines.

    Parameters
    ----------
    run
        Run folder written by train.
    problem
        Archive name, file, folder, or - for standard input.
    part
        Part to score. Default: test if there is one, else all cases.
    json
        Print the scores as one JSON document.
    """
    from foreshock.inference.evaluate import evaluate as evaluate_run
    from foreshock.problems.problem import load

    with file_of(problem) as opened:
        loaded = load(opened)
    result = evaluate_run(Run(run), loaded, part)
    if json:
        print_json(dataclasses.asdict(result))
        return
    what = f"{result.part} cases" if result.part else "cases"
    print_scores(result.scores, what, result.lacking)
    say(f"Model: {result.choice}.")
    if result.other_rule:
        say(
            "These cases were cut with another rule than the training cases:"
            f" {result.other_rule[0]}."
        )
    if result.n_trained_on:
        of = "these cases"
        if result.n_compared < result.scores.n_cases:
            of = f"{result.n_compared:,} of these cases that were compared"
        say(
            f"{result.n_trained_on:,} of {of} were used to train, choose or calibrate the model:"
            " this is not a test of it."
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
    """Compute class probabilities.

    ```
    $ foreshock predict runs/quakes catalog.csv
    $ foreshock predict runs/GunPoint new.csv -o predictions.csv
    ```

    For series: a row per series. For readings: the forecast of what follows the last reading, for
    each unit.

    Parameters
    ----------
    run
        Run folder written by train.
    series
        File of series, with or without labels, or any problem. For a model of a problem cut from
        readings: readings of the same kind. - for standard input.
    output
        CSV file to write. Default: standard output.
    precision
        Arithmetic of the network. auto: bf16 if the hardware supports it, else float32.
    coverage
        Share of prediction sets that contain the true class; needs a model trained with --members
        or a valid part.
    crop
        Crop longer series to the training length: keep the latest timepoints for a problem cut
        from readings, else the first.
    until
        Time at which the last reading ends, or its number where readings are numbered: forecast
        what followed. Default: the end of the log, or
        the step of the last event in a catalogue.
    log
        How to read sensor logs. Default: as in training.
    json
        Print one JSON document instead of CSV.
    """
    if output is not None:
        check_new(output)
    forecaster = Forecaster.load(run)
    with file_of(series) as opened:
        given = _given(opened, forecaster.card, log, until, crop=crop)
    if isinstance(given, Readings):
        forecasts = forecaster.forecasts(given, coverage)
        reasons = [reason for forecast in forecasts for reason in forecast.outside]
        for reason in dict.fromkeys(reasons):
            which = "this window"
            if len(forecasts) > 1:
                which = f"{reasons.count(reason):,} of {len(forecasts):,} windows"
            logger.warning("The rule would make no case of %s, %s.", which, reason)
        table = forecast_csv(*forecasts)
        each = [forecast_json(forecast) for forecast in forecasts]
        document = each[0] if given.units is None else {"forecasts": each}
    else:
        predictions = forecaster.predictions(
            forecaster.series(given), precision=precision, crop=crop
        )
        if predictions.conformity is None and coverage != _COVERAGE:
            logger.warning("The model is not calibrated, so --coverage has no effect.")
        table = predictions_csv(predictions, forecaster.classes, coverage=coverage)
        document = predictions_json(predictions, forecaster.classes, coverage)
    if output is not None:
        write_atomic(output, table.encode(), new=True)
        logger.info("%d predictions are in %s.", table.count("\n") - 1, output)
    if json:
        print_json(document)
    elif output is None:
        sys.stdout.write(table)


def _given(
    series: str | Path, card: ModelCard, log: LogConfig, until: str | None, *, crop: bool
) -> "Readings | Problem":
    """Read the input: readings if the model forecasts readings, else cases."""
    path, source = Path(series), card.source or SourceConfig()
    kind = None
    if card.rule is not None and path.suffix.lower() != ".npz":
        from foreshock.readings.sensor_logs import kind_of

        kind = kind_of(path, replace(source.log, **_options(log)))
    if kind is None:
        if until is not None or log != DEFAULT.log:
            raise ValueError("--until and --log apply to readings, not to series; leave them out.")
        from foreshock.problems.problem import load

        return load(series, labelled=False)
    if crop:
        raise ValueError(
            "--crop applies to series; a forecast from readings uses the last window: leave it out."
        )
    return _readings(path, kind, card, log, until)


def _options(log: LogConfig) -> dict[str, Any]:
    """Return the options that were given."""
    values = {field.name: getattr(log, field.name) for field in dataclasses.fields(log)}
    return {name: v for name, v in values.items() if v != getattr(DEFAULT.log, name)}


def _readings(
    path: Path,
    kind: Literal["log", "catalog"],
    card: ModelCard,
    log: LogConfig,
    until: str | None,
) -> Readings:
    """Read the readings to forecast from, as in training."""
    from foreshock.readings.sensor_logs import is_counted, load_readings

    source = card.source or SourceConfig()
    if kind == "catalog":
        config = SourceConfig(log=log, catalog=replace(source.catalog, until=until))
        return load_readings(path, config=config)
    usual = replace(source.log, channels=card.channels)
    asked = replace(usual, **_options(log))
    if not is_counted(asked):
        asked = replace(asked, step=asked.step or card.step)
    readings = _with_events(path, asked, card) or load_readings(
        path, config=SourceConfig(log=asked)
    )
    if until is None:
        return readings
    if readings.counted and until.isdecimal():  # up to the reading of that number
        return readings.until(np.datetime64(int(until) + 1, "s"))
    return readings.until(parse_time(until))


def _with_events(path: Path, log: LogConfig, card: ModelCard) -> Readings | None:
    """Read the channel that tells of events, too, where the model does not see it.

    By it a forecast knows whether an event came just before. None where it is not needed, or not
    in the file.
    """
    from foreshock.readings.sensor_logs import load_readings

    rule = card.rule
    if rule is None or not rule.quiet or not rule.defines_events or rule.channel is None:
        return None
    names = tuple(f"{rule.channel}={state}" for state in rule.event_state)
    if {rule.channel, *names} & set(card.channels):
        return None
    for more in ((rule.channel,), names):
        try:
            both = replace(log, channels=(*log.channels, *more))
            return load_readings(path, config=SourceConfig(log=both))
        except ValueError:
            continue
    logger.warning(
        "The log has no %s: whether an event came in the %d readings before is not known.",
        rule.channel,
        rule.quiet,
    )
    return None


def export(
    run: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    json: Json = False,
) -> None:
    """Write a model as one file that runs without foreshock.

    ```
    $ foreshock export runs/quakes -o quakes.onnx
    ```

    The file takes raw series and returns calibrated probabilities: normalisation is inside. Its
    outputs are compared with the model's before it is written.

    Parameters
    ----------
    run
        Run folder written by train.
    output
        New file to write: .onnx runs with NumPy and ONNX Runtime, .pt2 (torch.export) with PyTorch.
    json
        Print one JSON document.
    """
    from foreshock.inference.export import export_model

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
    """Upload a run to the Hugging Face Hub.

    ```
    $ foreshock push runs/quakes my-name/quakes
    ```

    Log in first with `hf auth login`. One commit holds the checked files of the run, without
    checkpoints. Note that predictions, explanations and figures show cases of your data.

    Parameters
    ----------
    run
        Run folder written by train.
    name
        OWNER/NAME on the Hub. A new repository is private.
    public
        Make a new repository public.
    branch
        Branch to commit to. Default: main.
    json
        Print one JSON document.
    """
    address = Run(run).push_to_hub(name, private=not public, branch=branch)
    if json:
        print_json({"commit": address})
    else:
        say(f"Commit: {address}")
