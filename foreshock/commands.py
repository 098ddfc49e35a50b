"""What each command does: one call of the API, and its result for a person or as JSON."""

import dataclasses
import json as jsonlib
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, ArgumentCollection, Parameter
from cyclopts.config import Dict
from rich.console import Console
from rich.table import Table
from rich.text import Text

from foreshock import problems as data
from foreshock.cards import Card
from foreshock.devices import is_main_process
from foreshock.files import write_atomic
from foreshock.metrics import Scores
from foreshock.predict import Forecaster, predictions_csv
from foreshock.predict import evaluate as evaluate_run
from foreshock.run import Run, decode
from foreshock.training import PRESETS, TrainConfig
from foreshock.training import train as train_run

Json = Annotated[bool, Parameter(name="--json", negative="")]
Flag = Annotated[bool, Parameter(negative="")]


def train(
    problem: str | None = None,
    /,
    *,
    run: Path | None = None,
    preset: Literal["fast", "paper"] = "fast",
    config_file: Annotated[Path | None, Parameter(name="--config")] = None,
    resume: Flag = False,
    json: Json = False,
    config: Annotated[TrainConfig, Parameter(name="*")] = PRESETS["fast"],
) -> None:
    """Train a model on a problem and score it once on its test part.

    Parameters
    ----------
    problem
        An archive name (GunPoint), a file (.ts, .tsv, .txt, .arff, .csv, .parquet, .npz) or a
        folder.
    run
        Where the run goes; by default a new folder in runs/.
    preset
        Where options that are not given come from.
    config_file
        The config.json of a run to repeat: its options, and its problem if none is given.
    resume
        Go on with the run in --run DIR, if there is one, with the options it was started with.
    json
        Print the scores as one JSON document.
    """
    source = problem
    if source is None and config_file is not None:
        source = _stored(config_file).get("problem")
    if source is None and resume and run is not None and (run / "config.json").exists():
        source = Run(run).read("config").get("problem")
    if source is None:
        raise ValueError("give a PROBLEM: an archive name, a file or a folder.")
    if Path(source).exists():
        source = str(Path(source).resolve())
    loaded = data.load(source)
    try:
        done = train_run(loaded, config, folder=run, source=source, resume=resume)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(*stop.args) from None
    if not is_main_process():
        return
    scores = done.read("scores")
    if json:
        _print_json({"run": str(done.folder)} | scores)
        return
    console = Console()
    if scores["scores"] is None:
        console.print(
            f"{loaded.name} has no test part, so there is no test score: make one with --test 0.25."
        )
    else:
        _print_scores(console, Scores(**scores["scores"]), "test part")
    console.print(f"Model: {scores['choice']}.", highlight=False)
    console.print(f"Run: {done.folder}  (loss.png, predictions.csv, scores.json)", highlight=False)


def evaluate(
    run: Path,
    problem: str,
    /,
    *,
    part: Literal["train", "valid", "test"] | None = None,
    json: Json = False,
) -> None:
    """Score a saved model on labelled cases.

    Parameters
    ----------
    run
        The folder that train made.
    problem
        An archive name, a file or a folder.
    part
        Whose cases to score; by default the test part's where there is one, else all.
    json
        Print the scores as one JSON document.
    """
    result = evaluate_run(Run(run), data.load(problem), part)
    if json:
        _print_json(dataclasses.asdict(result))
        return
    console = Console()
    _print_scores(console, result.scores, f"{result.part} part" if result.part else "all cases")
    console.print(f"Model: {result.choice}.", highlight=False)
    if result.n_trained_on:
        console.print(
            f"{result.n_trained_on} of these cases were trained on: this is no test of the model."
        )


def predict(
    run: Path,
    series: str,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    precision: Literal["float32", "bf16", "auto"] = "float32",
    json: Json = False,
) -> None:
    """Give class probabilities for series, as CSV.

    Parameters
    ----------
    run
        The folder that train made.
    series
        A file of series, with or without labels, or anything a problem is loaded from.
    output
        The CSV file to write; by default it goes to standard output.
    precision
        Arithmetic; auto takes bf16 where the processor has it.
    json
        Print one JSON document instead.
    """
    if output is not None and output.exists():
        raise FileExistsError(f"{output} exists already and is never overwritten: choose another.")
    forecaster = Forecaster.load(run)
    proba = forecaster.predict_proba(data.load(series, labelled=False).X, precision=precision)
    if json:
        _print_json({"classes": forecaster.classes, "proba": proba.tolist()})
        return
    table = predictions_csv(proba, forecaster.classes)
    if output is None:
        sys.stdout.write(table)
    else:
        write_atomic(output, table.encode())


def problems(name: str | None = None, /, *, json: Json = False) -> None:
    """List the problems that can be loaded, or describe one.

    Parameters
    ----------
    name
        An archive name, a file or a folder; without it, all that loads without a network.
    json
        Print one JSON document.
    """
    console = Console()
    if name is None:
        names = data.available()
        if json:
            _print_json(names)
            return
        for place in dict.fromkeys(names.values()):
            console.print(f"[bold]{place}[/bold]")
            console.print("  " + ", ".join(n for n, where in names.items() if where == place))
        console.print(
            "Others of the UCR and UEA archives are downloaded when first named; a file or a "
            "folder of your own works as well."
        )
        return
    card = data.card(data.load(name))
    if json:
        _print_json(dataclasses.asdict(card))
    else:
        _print_card(console, card)


def base_config(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Fill in options that were not given, from a preset, a stored run or a run to resume."""
    given = {argument.name: argument.tokens[-1].value for argument in arguments if argument.tokens}
    base = PRESETS["fast"]
    stored = given.get("--config")
    folder = given.get("--run")
    if "--resume" in given and folder and (Path(folder) / "config.json").exists():
        stored = str(Path(folder) / "config.json")
    if stored is not None:
        if "--preset" in given:
            raise ValueError("give either --preset or a stored configuration, not both.")
        base = decode(TrainConfig, _stored(Path(stored))["config"], stored)
    elif given.get("--preset") in PRESETS:
        base = PRESETS[given["--preset"]]
    values = _changes(dataclasses.asdict(base), dataclasses.asdict(TrainConfig()))
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
    if path.name != "config.json":
        raise ValueError(f"--config takes the config.json of a run folder, got {path}.")
    return Run(path.parent).read("config")


def _print_scores(console: Console, scores: Scores, what: str) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column(f"{what}, {scores.n_cases} cases")
    table.add_column("model", justify="right")
    table.add_column(f"always '{scores.majority_class}'", justify="right")
    table.add_row("accuracy", f"{scores.accuracy:.4f}", f"{scores.majority_accuracy:.4f}")
    table.add_row("balanced accuracy", f"{scores.balanced_accuracy:.4f}")
    table.add_row("macro F1", f"{scores.macro_f1:.4f}")
    table.add_row("log loss", f"{scores.log_loss:.4f}")
    for name, value in (("AUROC", scores.auroc), ("average precision", scores.average_precision)):
        table.add_row(name, "a class is absent" if value is None else f"{value:.4f}")
    console.print(table, highlight=False)
    if len(scores.classes) <= 10:
        confusion = Table(box=None, pad_edge=False)
        confusion.add_column("class \\ predicted")
        for name in scores.classes:
            confusion.add_column(name, justify="right")
        for name, row in zip(scores.classes, scores.confusion, strict=True):
            confusion.add_row(name, *map(str, row))
        console.print(confusion, highlight=False)


def _print_card(console: Console, card: Card) -> None:
    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False)

    channels = "1 channel" if card.n_channels == 1 else f"{card.n_channels} channels"
    say(f"{card.name}: {channels}, series of up to {card.n_timepoints} timepoints")
    if card.n_channels > 1:
        say(f"channels: {', '.join(card.channels)}")
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in card.parts:
        table.add_column(name, justify="right")
    rows: dict[str, list[str]] = {"cases": [], "length": [], "missing values": []}
    for part in card.parts.values():
        rows["cases"].append(str(part.cases))
        equal = part.length_min == part.length_max
        span = f"{part.length_min}-{part.length_max}, median {part.length_median:g}"
        rows["length"].append(str(part.length_max) if equal else span)
        missing = f"{part.missing_values} in {part.cases_with_missing} cases"
        rows["missing values"].append(missing if part.missing_values else "0")
        for label, count in part.class_counts.items():
            share = f"{count} ({count / part.cases:.0%})"
            rows.setdefault(f"class {label}", []).append(share)
    for row, values in rows.items():
        table.add_row(Text(row), *values)
    console.print(table, highlight=False)
    say(f"each series z-normalised: {'yes' if card.z_normalised else 'no'}")
    for twins in card.duplicates:
        first, second = twins.parts
        where = f"within {first}" if first == second else f"in both {first} and {second}"
        pairs = ", ".join(f"{a} and {b}" for a, b in twins.examples)
        say(f"identical series {where}: {twins.cases} cases (such as {pairs})")
    if card.groups_across_parts:
        say(f"groups in more than one part: {', '.join(card.groups_across_parts)}")
    for name, part in card.parts.items():
        if part.labels_not_in_train:
            say(f"classes of {name} that train lacks: {', '.join(part.labels_not_in_train)}")


def _print_json(values: object) -> None:
    sys.stdout.write(jsonlib.dumps(values, indent=2, allow_nan=False) + "\n")
