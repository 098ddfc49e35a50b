"""What a report says of one run: its scores, its problem, how it was trained, how to repeat it."""

import json
import shlex
from typing import Any

from foreshock import charts
from foreshock._text import (
    INTERVAL,
    NONE,
    counted,
    listed,
    number,
    p_value,
    percent_span,
    shown,
    signed,
    span,
)
from foreshock._time import one_every
from foreshock.charts import Losses
from foreshock.gathering import Gathered
from foreshock.metrics.scores import NAMES, always_name
from foreshock.pages import (
    Block,
    Cell,
    Code,
    Figure,
    Items,
    Picture,
    Pictures,
    Section,
    Table,
    Text,
    estimated,
)
from foreshock.problems.formats import PARTS

_GLOSSES = {
    "accuracy": "share of cases given their class",
    "balanced_accuracy": "mean over classes of the share found",
    "macro_f1": "finding and being right, mean over classes",
    "mcc": "correlation of class and prediction; 0 is chance",
    "auroc": "chance that a case ranks above one of another class; 0.5 is chance",
    "average_precision": "mean precision over all thresholds",
    "log_loss": "lower is better; punishes confident errors",
    "brier": "lower is better; squared error of probabilities",
    "calibration_error": "lower is better; mean gap of stated and observed",
}
_CLASSES = 12
_TESTED = {
    "majority": ("always the commonest class", "accuracy, McNemar's exact test"),
    "chance": ("chance, an AUROC of 0.5", "AUROC, Mann-Whitney test"),
}


def headline(run: Gathered) -> tuple[str, list[Figure]]:
    """Give the sentence and the numbers that a report begins with."""
    scores = run.scores["scores"]
    where = "test"
    if scores is None and run.scores.get("held_out") is not None:
        held_out = run.scores["held_out"]
        scores, where = held_out["scores"], _source(held_out)
        sentence = f"There is no test part; on {where} cases: {scores['sentence']}"
    elif scores is None:
        return "There is no test part, so nothing is known of what this model is worth.", []
    else:
        sentence = scores["sentence"]
    accuracy, n = scores["model"]["accuracy"], scores["n_cases"]
    right = round(accuracy["value"] * n)
    majority = scores["baselines"].get(always_name(scores["majority"]), {}).get("accuracy")
    beside = (
        f"; always '{shown(scores['majority'], 20)}' is right in"
        f" {round(majority['value'] * n):,} ({majority['value']:.0%})"
        if majority
        else ""
    )
    figures = [
        Figure(
            f"{accuracy['value']:.1%}",
            percent_span(accuracy),
            f"{right:,} of {counted(n, f'{where} case')} given their class{beside}",
        )
    ]
    area = scores["model"].get("auroc")
    if area is not None:
        what = "AUROC: how well cases are ranked; 0.5 is chance, 1 is perfect"
        interval = f"{INTERVAL} {span(area)}" if span(area) else ""
        figures.append(Figure(number(area["value"]), interval, what))
    alarms = run.scores.get("alarms")
    if alarms is not None:
        what = f"events warned of, at {alarms['alarms_per_year']:.1f} alarms a year"
        value = f"{alarms['warned']:,} of {alarms['events']:,}"
        figures.append(Figure(value, percent_span(alarms["recall"]), what))
    return shown(sentence, 1000), figures


def _ordered(baselines: dict[str, Any]) -> list[tuple[str, Any]]:
    """Put the commonest class first; JSON has lost the order."""
    return sorted(baselines.items(), key=lambda item: (not item[0].startswith("always"), item[0]))


def _source(held_out: dict[str, Any]) -> str:
    return {"out of fold": "out-of-fold", "valid": "valid"}.get(held_out["source"], "held-out")


def scores(run: Gathered) -> Section:
    """Give the table of scores beside those of the baselines and of the held-out cases."""
    found, held_out = run.scores["scores"], run.scores.get("held_out")
    blocks: list[Block] = []
    columns: dict[str, dict[str, Any]] = {}
    if found is not None:
        columns["model"] = found["model"]
    if held_out is not None:
        columns[f"model, {_source(held_out)}"] = held_out["scores"]["model"]
    for of in (found, held_out["scores"] if found is None and held_out else None):
        if of is not None:
            columns |= {shown(name, 30): values for name, values in _ordered(of["baselines"])}
            columns |= {
                f"by {shown(k, 30)}": {"auroc": value} for k, value in of["rankings"].items()
            }
    if columns:
        rows = [
            [
                Cell(title, _GLOSSES.get(name, "")),
                *(estimated(v.get(name)) for v in columns.values()),
            ]
            for name, title in NAMES.items()
            if any(values.get(name) is not None for values in columns.values())
        ]
        cases = []
        if found is not None:
            cases.append(counted(found["n_cases"], "test case"))
        if held_out is not None:
            cases.append(counted(held_out["scores"]["n_cases"], f"{_source(held_out)} case"))
        caption = f"Scores on {' and '.join(cases)}, with 95 % intervals"
        blocks.append(Table(caption, ["measure", *columns], rows))
    if found is not None and found["tests"]:
        blocks.append(_tests(found["tests"]))
    if found is not None and found["n_cases"] < 100:
        blocks.append(
            Text(
                f"{counted(found['n_cases'], 'case')} say little: one more or less that is right"
                f" moves the accuracy by {1 / found['n_cases']:.1%}."
            )
        )
    if found is None:
        blocks.append(Text("No test part: train with --test 0.25 to make one.", quiet=True))
    if held_out is None:
        hint = "No estimate from training cases: train with --members 3, or --valid 0.2, for one."
        blocks.append(Text(hint, quiet=True))
    blocks.append(Text(f"Model: {shown(run.scores['choice'], 300)}.", quiet=True))
    return Section("Scores", blocks)


def _tests(tests: dict[str, Any]) -> Table:
    rows = []
    for name in sorted(tests, key=lambda name: [*_TESTED, name].index(name)):
        test = tests[name]
        against, how = _TESTED.get(name, (shown(name), "AUROC, DeLong's paired test"))
        rows.append(
            [Cell(against, how), signed(test["difference"]), p_value(test["p"]), test["verdict"]]
        )
    caption = "Is the model better than something simpler? On the same cases, at 5 %"
    return Table(caption, ["against", "difference", "p", "the model is"], rows)


def problem(run: Gathered) -> Section:
    """Describe the cases, and what was found to be wrong with them."""
    card, found = run.problem["card"], run.problem["audit"].get("findings", [])
    parts = {name: card["parts"][name] for name in PARTS if name in card["parts"]}
    rows: list[list[Cell | str]] = [
        ["cases", *(f"{part['cases']:,}" for part in parts.values())],
        ["length", *(_length(part) for part in parts.values())],
        ["missing values", *(f"{part['missing_values']:,}" for part in parts.values())],
    ]
    if len(run.classes) > _CLASSES:
        counts = [list(part["class_counts"].values()) for part in parts.values()]
        rows.append(["cases of a class", *(f"{min(c):,} to {max(c):,}" for c in counts)])
    for label in run.classes if len(run.classes) <= _CLASSES else ():
        row: list[Cell | str] = [f"class {shown(label, 40)}"]
        for part in parts.values():
            count = part["class_counts"].get(label, 0)
            row.append(Cell(f"{count:,}", f"{count / max(1, part['cases']):.0%}"))
        rows.append(row)
    for end, name in (("first", "from"), ("last", "to")):
        if any(part.get(end) for part in parts.values()):
            rows.append([name, *(shown(part.get(end) or NONE) for part in parts.values())])
    shape = (
        f"{counted(card['n_channels'], 'channel')} ({listed(card['channels'])}), series of up to"
        f" {card['n_timepoints']:,} timepoints"
        + (f", {shown(one_every(card['step']))}" if card.get("step") else "")
        + f"; {len(run.classes):,} classes."
    )
    blocks: list[Block] = [Text(shape), Table("The parts of the problem", ["part", *parts], rows)]
    if found:
        text = "The leak audit found what can make scores better than the model is:"
        blocks += [Text(text), Items([shown(each, 500) for each in found])]
    else:
        blocks.append(Text("Leak audit: nothing found."))
    return Section("Problem", blocks)


def _length(part: dict[str, Any]) -> str:
    low, high = part["length_min"], part["length_max"]
    return f"{high:,}" if low == high else f"{low:,} to {high:,}"


def trainings(run: Gathered) -> dict[int, Losses]:
    """Give what the history has of each member."""
    found = {}
    for member in sorted({line.get("member", 0) for line in run.history}):
        lines = [line for line in run.history if line.get("member", 0) == member]
        batches = [line for line in lines if "step" in line]
        last = {line["epoch"]: line["step"] for line in batches}
        valid = [
            (last[line["epoch"]], line["valid_loss"])
            for line in lines
            if line.get("valid_loss") is not None and line["epoch"] in last
        ]
        if batches:
            found[member] = Losses(
                name=f"member {member}",
                batches=[line["loss"] for line in batches],
                rates=[line["learning_rate"] for line in batches],
                valid=valid,
            )
    return found


def training(run: Gathered) -> Section:
    """Draw the loss of each member, and what the learning-rate finder saw."""
    found = trainings(run)
    if not found:
        return Section("Training", [Text("The history has no batches.", quiet=True)])
    first = next(iter(found.values()))
    n = len(first.batches)
    caption = f"Loss over {n:,} batches (above) and the learning rate (below)."
    if len(found) > 1:
        caption = f"Loss of {len(found)} members, smoothed (above), and the learning rate (below)."
    pictures = [Picture(charts.losses(list(found.values())), caption)]
    blocks: list[Block] = []
    if run.finder is not None:
        seen = run.finder
        svg = charts.finder(seen["rates"], seen["losses"], seen["suggestion"])
        caption = f"The learning-rate finder: {seen['suggestion']:.1e} was taken."
        pictures.append(Picture(svg, caption))
    else:
        hint = "No learning-rate finder: --find-lr looks for the rate first."
        blocks.append(Text(hint, quiet=True))
    return Section("Training", [Pictures(pictures), *blocks])


def members(run: Gathered) -> Section:
    """Tell the members apart."""
    found, held_out = trainings(run), run.held_out
    rows: list[list[Cell | str]] = []
    for member, each in found.items():
        epochs = [
            line for line in run.history if "train_loss" in line and line.get("member", 0) == member
        ]
        row: list[Cell | str] = [each.name, f"{len(each.batches):,}", f"{len(epochs):,}"]
        row.append(number(epochs[-1]["train_loss"], 4) if epochs else NONE)
        row.append(number(each.valid[-1][1], 4) if each.valid else NONE)
        if held_out is not None and held_out.member is not None:
            mine = held_out.member == member
            right = int(held_out.right[mine].sum())
            n = int(mine.sum())
            row.append(Cell(f"{right:,} of {n:,}", f"{right / n:.1%}") if n else NONE)
        else:
            row.append(NONE)
        row.append(f"{sum(line.get('seconds', 0) for line in epochs):,.0f}")
        rows.append(row)
    head = [
        "member",
        "batches",
        "epochs",
        "last loss",
        "last valid loss",
        "held-out right",
        "seconds",
    ]
    blocks: list[Block] = [Table("What each member came to", head, rows)]
    seed = run.options.get("seed")
    if len(found) == 1:
        text = f"One member, seed {seed}. --members 3 trains three, which judge themselves"
        blocks.append(Text(f"{text} on cases that each did not see.", quiet=True))
    else:
        text = f"{len(found)} members, drawn from seed {seed}; their probabilities are averaged."
        blocks.append(Text(text, quiet=True))
    return Section("Members", blocks)


def environment(run: Gathered) -> Section:
    """Say where and with what the run was made."""
    names = {"versions": "software", "platform": "system", "cores": "cores", "threads": "threads"}
    names |= {"device": "device", "devices": "devices", "precision": "arithmetic"}
    names |= {"started": "started"}
    rows: list[list[Cell | str]] = []
    for key, name in names.items():
        value = run.environment.get(key)
        if value is not None:
            rows.append([name, listed(value) if isinstance(value, list) else shown(value, 120)])
    return Section(
        "Environment", [Table("Where it was trained", ["setting", "value"], rows, words=True)]
    )


def again(run: Gathered) -> Section:
    """Say how to repeat the run, and by what hashes its parts are known."""
    source = run.config.get("problem")
    here = shown(shlex.quote(str(run.folder)), 300)
    name = "PROBLEM" if source is None else shown(shlex.quote(source), 300)
    drawn = run.options.get("test") is not None  # by the training: the source has no test part
    lines = [
        f"foreshock train {name} --config {here}/config.json --run NEW_RUN",
        *([] if drawn else [f"foreshock evaluate {here} {name}"]),
        f"foreshock report {here} NEW_RUN -o comparison.html",
    ]
    command = run.environment.get("command")
    blocks: list[Block] = [
        Text(f"Train it again, {'' if drawn else 'score it again, '}compare the two:")
    ]
    blocks.append(Code("\n".join(lines)))
    if isinstance(command, list):
        blocks.append(
            Text(f"It was started as: {shown(shlex.join(map(str, command)), 600)}", quiet=True)
        )
    hashes = {"problem (digest of its cases)": run.problem["digest"]}
    hashes |= dict(sorted(run.scores["sha256"].items()))
    hashes["scores.json (digest)"] = run.scores["digest"]
    text = "\n".join(f"{value}  {shown(name)}" for name, value in hashes.items())
    options = json.dumps(run.config["config"], indent=2, ensure_ascii=False)
    blocks.append(Code("\n".join(map(_line, options.splitlines())), "Every option (config.json)"))
    blocks.append(Code(text, "sha256 of each file; all of them matched when this page was made"))
    return Section("How to do it again", blocks)


def _line(text: str) -> str:
    return shown(text, 400)
