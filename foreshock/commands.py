"""What each command does: one call of the API, and its result for a person or as JSON."""

import dataclasses
import json as jsonlib
import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, ArgumentCollection, Parameter
from cyclopts.config import Dict
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from foreshock import problems as data
from foreshock.cards import Card
from foreshock.configs import decode
from foreshock.devices import is_main_process
from foreshock.files import write_atomic
from foreshock.metrics import Scores
from foreshock.predict import Forecaster, predictions_csv
from foreshock.predict import evaluate as evaluate_run
from foreshock.run import Run
from foreshock.tables import Part
from foreshock.training import PRESETS, TrainConfig
from foreshock.training import train as train_run

logger = logging.getLogger(__name__)

Json = Annotated[bool, Parameter(name="--json", negative="", show_default=False)]
Flag = Annotated[bool, Parameter(negative="", show_default=False)]


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
        Where options that are not given come from. The defaults below are those of fast; paper has
        the layers and the training of the papers.
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
    loaded = data.load(source)
    if Path(source).exists():
        source = str(Path(source).resolve())
    done = train_run(loaded, config, folder=run, source=source, resume=resume)
    if not is_main_process():
        return
    scores = done.read("scores")
    if json:
        _print_json({"run": str(done.folder)} | scores)
        return
    if scores["scores"] is None:
        _say(
            f"{_plain(loaded.name)} has no test part, so there is no test score: make one with "
            "--test 0.25."
        )
        files = ["loss.png", "history.jsonl"]
    else:
        _print_scores(Scores(**scores["scores"]), "test cases")
        files = ["loss.png", "predictions.csv", "scores.json"]
    _say(f"Model: {scores['choice']}.")
    there = ", ".join(name for name in files if (done.folder / name).exists())
    _say(f"Run: {done.folder} ({there})")


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
    _print_scores(result.scores, f"{result.part} cases" if result.part else "cases")
    _say(f"Model: {result.choice}.")
    if result.n_trained_on:
        _say(f"{result.n_trained_on} of these cases were trained on: this is no test of the model.")


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
        Print one JSON document instead of CSV.
    """
    if output is not None and output.exists():
        raise FileExistsError(f"{output} exists already and is never overwritten: choose another.")
    if output is not None and not output.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {output.parent}; make it first.")
    forecaster = Forecaster.load(run)
    X = forecaster.series(data.load(series, labelled=False))
    proba = forecaster.predict_proba(X, precision=precision)
    table = predictions_csv(proba, forecaster.classes)
    if output is not None:
        write_atomic(output, table.encode())
        logger.info("%d predictions are in %s.", len(proba), output)
    if json:
        _print_json({"classes": forecaster.classes, "proba": proba.tolist()})
    elif output is None:
        sys.stdout.write(table)


def problems(name: str | None = None, /, *, json: Json = False) -> None:
    """List the problems that can be loaded, or describe one.

    Parameters
    ----------
    name
        An archive name, a file or a folder; without it, all that loads without a network.
    json
        Print one JSON document.
    """
    if name is None:
        names = data.available()
        if json:
            _print_json(names)
            return
        for place in dict.fromkeys(names.values()):
            here = ", ".join(n for n, where in names.items() if where == place)
            _console().print(f"{place}: {here}")
        _say(
            "Others of the UCR and UEA archives are downloaded when first named; a file or a "
            "folder of your own works as well."
        )
        return
    card = data.card(data.load(name))
    if json:
        _print_json(dataclasses.asdict(card))
    else:
        _print_card(card)


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
        raise ValueError(f"--config takes a run folder or its config.json, got {path}.")
    values = Run(path if path.is_dir() else path.parent).read("config")
    config, problem = values.get("config"), values.get("problem")
    if not isinstance(config, dict) or not isinstance(problem, str | None):
        raise ValueError(f"{path} is damaged: it holds no configuration.")
    return {"config": config, "problem": problem}


def _print_scores(scores: Scores, what: str) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column(f"{scores.n_cases} {what}", no_wrap=True)
    for name in ("model", f"always '{_short(scores.majority_class)}'"):
        table.add_column(name, justify="right", no_wrap=True, min_width=6)
    table.add_row("accuracy", f"{scores.accuracy:.4f}", f"{scores.majority_accuracy:.4f}")
    table.add_row("balanced accuracy", f"{scores.balanced_accuracy:.4f}")
    table.add_row("macro F1", f"{scores.macro_f1:.4f}")
    table.add_row("log loss", f"{scores.log_loss:.4f}")
    for name, value in (("AUROC", scores.auroc), ("average precision", scores.average_precision)):
        table.add_row(name, "-" if value is None else f"{value:.4f}")
    console = _console()
    console.print(table)
    if scores.auroc is None:
        _say("AUROC and average precision need cases of every class.")
    console.print()
    rows = [["class \\ predicted", *map(_short, scores.classes)]]
    for name, counts in zip(scores.classes, scores.confusion, strict=True):
        rows.append([_short(name), *map(str, counts)])
    if sum(max(map(cell_len, column)) + 2 for column in zip(*rows, strict=True)) <= console.width:
        confusion = Table(box=None, pad_edge=False)
        for i, name in enumerate(rows[0]):
            confusion.add_column(name, justify="right" if i else "left", no_wrap=True)
        for row in rows[1:]:
            confusion.add_row(*row)
        console.print(confusion)
    else:
        _say(f"The confusion matrix of {len(scores.classes)} classes is too wide: see --json.")
    console.print()


def _print_card(card: Card) -> None:
    channels = "1 channel" if card.n_channels == 1 else f"{card.n_channels} channels"
    _say(f"{_plain(card.name)}: {channels}, series of up to {card.n_timepoints} timepoints")
    if card.n_channels > 1:
        _say(f"channels: {_listed(card.channels)}")
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
            rows.setdefault(f"class {_plain(label)}", []).append(share)
    for row, values in rows.items():
        table.add_row(row, *values)
    _console().print(table)
    _say(f"each series z-normalised: {'yes' if card.z_normalised else 'no'}")
    for twins in card.duplicates:
        first, second = twins.parts
        where = f"within {first}" if first == second else f"in both {first} and {second}"
        pairs = ", ".join(f"{a} and {b}" for a, b in twins.examples)
        _say(f"identical series {where}: {twins.cases} cases (such as {pairs})")
    if card.groups_across_parts:
        _say(f"groups in more than one part: {_listed(card.groups_across_parts)}")
    for name, part in card.parts.items():
        if part.labels_not_in_train:
            _say(f"classes of {name} that train lacks: {_listed(part.labels_not_in_train)}")


def _console() -> Console:
    """Give standard output, with text taken as it is: names may look like markup."""
    return Console(markup=False, highlight=False, emoji=False)


def _say(text: str) -> None:
    _console().print(text, soft_wrap=True)


def _plain(name: str) -> str:
    """Show what does not print, such as a newline, by its escape."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)


def _short(name: str) -> str:
    text = _plain(name)
    return text if len(text) <= 20 else f"{text[:19]}…"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(_plain, names))


def _print_json(values: object) -> None:
    sys.stdout.write(jsonlib.dumps(values, indent=2, allow_nan=False) + "\n")
