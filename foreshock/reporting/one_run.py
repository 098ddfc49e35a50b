"""What a report says of one run: its scores, its problem, how it was trained, how to repeat it."""

import json
import shlex
from typing import Any

import numpy as np

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
from foreshock.metrics.calibration import COOLEST, HOTTEST
from foreshock.metrics.intervals import proportion
from foreshock.metrics.scores import NAMES, always_name
from foreshock.problems import PARTS
from foreshock.reporting import figures as charts
from foreshock.reporting import figures as curves
from foreshock.reporting.figures import Bin, Floats, Losses, Ranking, balance
from foreshock.reporting.html import (
    Block,
    Cell,
    Code,
    Figure,
    Heading,
    Items,
    Picture,
    Pictures,
    Section,
    Table,
    Text,
    estimated,
)
from foreshock.reporting.run_data import Arrays, Gathered

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


_NO_TEST = Text("No test part, so there are no predictions: --test 0.25 makes one.", quiet=True)
_CLASSES, _CURVES, _LISTED, _BINS = 12, 5, 10, 10
_RATES = (1, 2, 5, 10, 20, 50, 100)


def confusion(run: Gathered) -> Section:
    """Count the cases by class and predicted class."""
    scores = run.scores["scores"]
    if scores is None:
        return Section("Errors", [_NO_TEST])
    counts = np.array(scores["confusion"], np.int64)
    classes = scores["classes"]
    if counts.shape != (len(classes), len(classes)):
        raise ValueError("the confusion matrix is not of these classes")
    found = counts.diagonal() / np.maximum(1, counts.sum(axis=1))
    if len(classes) <= _CLASSES:
        rows: list[list[Cell | str]] = []
        for k, line in enumerate(counts):
            cells = [_shaded(int(n), int(line.sum()), right=k == j) for j, n in enumerate(line)]
            total = Cell(f"{line[k]:,} of {line.sum():,}", f"{found[k]:.0%}")
            rows.append([shown(classes[k], 30), *cells, total])
        head = ["class", *(f"said {shown(name, 20)}" for name in classes), "found"]
        caption = "Test cases by class (rows) and predicted class; darker: a larger share"
        return Section("Errors", [Table(caption, head, rows)])
    caption = "Cases by class (rows) and predicted class (columns), numbered from 0. Blue: right."
    wrong = counts - np.diag(counts.diagonal())
    pairs = np.argsort(-wrong, axis=None, kind="stable")[:_LISTED]
    mistakes: list[list[Cell | str]] = []
    for i, j in zip(*np.unravel_index(pairs, wrong.shape), strict=True):
        if wrong[i, j]:
            of = f"{wrong[i, j]:,} of {counts[i].sum():,}"
            said = f"{j}: {shown(classes[j], 30)}"
            mistakes.append([f"{i}: {shown(classes[i], 30)}", said, of])
    present = np.flatnonzero(counts.sum(axis=1))
    worst = present[np.argsort(found[present], kind="stable")][:_LISTED]
    hardest: list[list[Cell | str]] = [
        [f"{k}: {shown(classes[k], 30)}", Cell(f"{counts[k, k]:,} of {counts[k].sum():,}")]
        for k in worst
    ]
    blocks: list[Block] = [
        Pictures([Picture(charts.confusion_map(counts), caption)]),
        Table("The commonest mistakes", ["class", "taken for", "cases"], mistakes),
        Table("The classes found least", ["class", "found"], hardest),
    ]
    return Section("Errors", blocks)


def _shaded(n: int, of: int, *, right: bool) -> Cell:
    shade = int(np.ceil(10 * n / of)) if of else 0
    return Cell(f"{n:,}", shade=shade if right else -shade)


def rankings(run: Gathered) -> Section:
    """Draw ROC and precision over recall."""
    seen, title = run.predictions, "Ranking"
    if seen is None:
        return Section(title, [_NO_TEST])
    n = len(run.classes)
    columns = [1] if n == 2 else list(range(n))
    support = [int((seen.y == k).sum()) for k in columns]
    if n > _CURVES:
        text = f"Curves of one class against the rest are drawn for up to {_CURVES} classes."
        return Section(title, [Text(text, quiet=True)])
    usable = [k for k, m in zip(columns, support, strict=True) if 0 < m < len(seen.y)]
    if not usable:
        return Section(title, [Text("The test part has cases of one class only.", quiet=True)])
    drawn = [Ranking(shown(run.classes[k], 16), seen.y == k, seen.proba[:, k]) for k in usable]
    against = "" if n == 2 else " (each class against the rest)"
    name = shown(run.classes[1], 30) if n == 2 else ""
    positives = int((seen.y == usable[0]).sum())
    base = (
        f"Of {len(seen.y):,} cases {positives:,} are '{name}': the dotted line is the precision"
        " of alarms at random."
        if n == 2
        else "Dotted: the precision of drawing cases at random."
    )
    pictures = [
        Picture(
            curves.roc(drawn),
            f"ROC{against}: what is found, over the false alarms it costs. Dotted: by chance.",
        ),
        Picture(curves.precision_recall(drawn), f"Precision over recall{against}. {base}"),
    ]
    blocks: list[Block] = [Pictures(pictures)]
    if min(support) < 30:
        few = f"With {counted(min(support), 'case')} of a class, each step of a curve is one case."
        blocks.append(Text(few, quiet=True))
    return Section(title, blocks)


def calibration(run: Gathered) -> Section:
    """Draw how often things were so over their probability."""
    seen, title = run.predictions, "Calibration"
    blocks: list[Block] = [Text(_calibrated(run))]
    if seen is None:
        return Section(title, [*blocks, _NO_TEST])
    two = len(run.classes) == 2
    said = seen.proba[:, 1] if two else seen.proba.max(axis=1)
    so = seen.y == 1 if two else seen.right
    bins = []
    for k in range(_BINS):
        inside = np.minimum((said * _BINS).astype(int), _BINS - 1) == k
        if inside.any():
            share = proportion(int(so[inside].sum()), int(inside.sum()))
            low, high = share.low or 0.0, 1.0 if share.high is None else share.high
            mean = float(said[inside].mean())
            bins.append(Bin(mean, share.value, low, high, int(inside.sum())))
    what = (
        f"probability given to '{shown(run.classes[1], 20)}'"
        if two
        else "probability of the predicted class"
    )
    caption = (
        f"How often it was so, with 95 % intervals, over the {what}. On the dotted line,"
        " probabilities are what they say. Below: how many cases."
    )
    svg = curves.reliability(bins, what)
    sets = run.scores["scores"].get("sets")
    if sets is not None:
        blocks.append(Text(_sets(sets)))
    return Section(title, [Pictures([Picture(svg, caption)]), *blocks])


def _calibrated(run: Gathered) -> str:
    """Say whether and how the probabilities were calibrated."""
    known = run.model.get("calibration")
    if known is None:
        return (
            "The probabilities are as the network gives them: calibration needs cases that were"
            " held out (--members 3, or --valid 0.2)."
        )
    temperature = known["temperature"]
    effect = "less sure than the network was" if temperature > 1 else "surer than the network was"
    cases = counted(known["n_cases"], "case")
    at_bound = np.isclose(temperature, (COOLEST, HOTTEST), rtol=1e-3).any()
    bound = ", as far as is allowed: look at the picture, they may still be off" if at_bound else ""
    return (
        f"Calibrated on {cases} ({shown(known['source'])}) by a temperature of"
        f" {temperature:.3g}: {'unchanged' if np.isclose(temperature, 1) else effect}{bound}."
    )


def _sets(sets: dict[str, Any]) -> str:
    """Say whether the sets of classes hold what they are meant to hold."""
    covered = sets["covered"]
    return (
        f"Sets of classes that are meant to hold the true one in {sets['coverage']:.0%} of cases"
        f" held it in {covered['value']:.1%} ({percent_span(covered)}). They have"
        f" {number(sets['mean_size'], 2)} classes on average; {sets['empty']:,} are empty: there"
        " the model is less sure of every class than it mostly was of the true one."
    )


def warnings(run: Gathered) -> Section | None:
    """Draw what alarms would have come of forecasting the whole stretch of the test part."""
    alarms, title = run.scores.get("alarms"), "Alarms"
    if alarms is None:
        if run.model.get("rule") is None:
            return None
        return Section(title, [Text(f"No alarms: {_unwatched(run)}.", quiet=True)])
    threshold = alarms["threshold"]
    whole = alarms.get("years_forecast", alarms["years"])
    text = (
        f"If the model had forecast every target from {shown(alarms['from'])} to"
        f" {shown(alarms['until'])} ({whole:.1f} years,"
        f" {counted(alarms['n_forecasts'], 'forecast')}; {alarms['years']:.1f} years of them with"
        f" windows that the rule admits), with an alarm at"
        f" {number(threshold)} and above ({shown(alarms['policy'], 300)}):"
    )
    lead = alarms.get("lead_hours")
    rows: list[list[Cell | str]] = [
        [
            "events warned of",
            f"{alarms['warned']:,} of {alarms['events']:,}",
            span(alarms["recall"]) or NONE,
        ],
        [
            "alarms that an event followed",
            f"{alarms['alarms'] - alarms['false_alarms']:,} of {alarms['alarms']:,}",
            span(alarms["precision"]) or NONE,
        ],
        ["alarms a year", f"{alarms['alarms_per_year']:.1f}", NONE],
        ["false alarms a year", f"{alarms['false_alarms_per_year']:.1f}", NONE],
    ]
    blocks: list[Block] = [
        Text(text),
        Table("At the chosen threshold", ["measure", "value", "95 % interval"], rows),
    ]
    if lead is not None:
        low, median, high = (f"{hours:.3g}" for hours in lead)
        warning = f"The events warned of had an alarm {median} hours ahead."
        if low != high:
            warning = (
                f"Of the events warned of, half had an alarm {median} hours ahead or more, the"
                f" middle half {low} to {high} hours."
            )
        blocks.append(Text(warning))
    curve = alarms["curve"] if alarms["events"] else []
    if curve:
        chosen = alarms["alarms_per_year"], alarms["recall"]["value"]
        pictures = [_curve(curve, chosen, alarms.get("activity_curve"))]
        if run.forecasts is not None and len(run.forecasts["time"]):
            pictures.append(_stretch(run.forecasts, threshold))
        blocks.append(Pictures(pictures))
        blocks.append(_choices(curve))
    if alarms["n_outside"]:
        hint = (
            f"{counted(alarms['n_outside'], 'forecast')} are left out of all this: the rule makes"
            " no case of such a window."
        )
        blocks.append(Text(hint, quiet=True))
    return Section(title, blocks)


def _unwatched(run: Gathered) -> str:
    """Say why the alarms of a run were not counted."""
    if run.options.get("scan") is False:
        return "the run was trained with --no-scan"
    if run.predictions is None:
        return "there is no test part"
    return "the run is older, or no time has its test part alone, with windows that the rule admits"


def _curve(
    curve: list[dict[str, Any]],
    chosen: tuple[float, float] | None,
    baseline: list[dict[str, Any]] | None,
) -> Picture:
    def columns(points: list[dict[str, Any]]) -> tuple[Floats, Floats]:
        per_year, recall = ([p[k] for p in points] for k in ("alarms_per_year", "recall"))
        return np.array(per_year), np.array(recall)

    other = columns(baseline) if baseline else None
    caption = "Share of events warned of, over the alarms that this costs, at every threshold."
    return Picture(curves.alarms(*columns(curve), chosen, other), caption)


def _stretch(seen: Arrays, threshold: float | None) -> Picture:
    inside = ~seen["outside"]
    proba = np.where(inside, seen["proba"], np.nan)  # the line breaks where none is counted
    svg = curves.forecasts(seen["time"], proba, seen["event"] & inside, threshold)
    caption = "The forecasts that count; dashed: the threshold; marks below: the events."
    return Picture(svg, caption)


def _choices(curve: list[dict[str, Any]]) -> Table:
    rows: list[list[Cell | str]] = []
    shown_already: list[dict[str, Any]] = []  # a higher rate may be of no use
    for rate in _RATES:
        within = [point for point in curve if point["alarms_per_year"] <= rate]
        point = max(within, key=lambda p: p["recall"], default=None)
        if point is not None and point not in shown_already:
            shown_already.append(point)
            values = (point["threshold"], point["alarms_per_year"], point["recall"])
            cells = [number(value, 2) for value in values]
            rows.append([f"at most {rate} a year", *cells, number(point["precision"], 2)])
    head = ["alarms", "threshold", "alarms a year", "events warned of", "right among alarms"]
    return Table("What other thresholds would give", head, rows)


def reasons(run: Gathered) -> Section:
    """Draw cases of each class and the worst errors, on what spoke for the predicted class."""
    seen, title = run.explanations, "What it looks at"
    blocks: list[Block] = []
    if seen is None or not len(seen["case"]):
        older = "the run is older" if run.predictions is not None else "there is no test part"
        hint = f"No explanations: {older}."
        return Section(title, [Text(hint, quiet=True)])
    seen = seen | {"map": np.nan_to_num(seen["map"])}
    most = float(np.quantile(np.abs(seen["map"]), 0.99))
    text = (
        "Orange stretches spoke for the predicted class, blue ones against it: the class activation"
        " map of the convolutional branch. The recurrent branch has no such map; the table says how"
        " much each branch had to say."
    )
    blocks.append(Text(text))
    for kind, heading in (("example", "Examples"), ("error", "The worst errors")):
        rows = np.flatnonzero(seen["kind"] == kind)
        if len(rows):
            blocks.append(Heading(heading))
            blocks.append(Pictures([_reason(run, seen, int(row), most) for row in rows]))
            blocks.append(_shares(run, seen, rows.tolist(), heading))
    tried = run.scores.get("occlusion")
    if tried is not None:
        blocks.append(Text(_occlusion(tried)))
    else:
        blocks.append(Text("Whether the maps are right was not tested on this run.", quiet=True))
    return Section(title, blocks)


def _reason(run: Gathered, seen: Arrays, row: int, most: float) -> Picture:
    channels = [shown(name, 14) for name in run.problem["card"]["channels"]]
    svg = charts.series(seen["X"][row], seen["map"][row], most, channels)
    label, said = str(seen["label"][row]), str(seen["predicted"][row])
    proba = float(seen["proba"][row].max())
    verdict = "rightly" if label == said else f"wrongly: it is {shown(label, 40)}"
    more = max(0, len(channels) - 4)
    rest = f" {counted(more, 'further channel')} not drawn." if more else ""
    caption = f"Case {int(seen['case'][row])}: {shown(said, 40)} at {proba:.0%}, {verdict}.{rest}"
    return Picture(svg, caption)


def _shares(run: Gathered, seen: Arrays, rows: list[int], heading: str) -> Table:
    """Give how much each branch speaks for the predicted class over the next likely one."""
    names = ["convolutional", "recurrent"]
    if "random" in seen and seen["random"].any():
        names.append("random")
    cells = []
    for row in rows:
        order = np.argsort(-seen["proba"][row])
        first, second = int(order[0]), int(order[1])
        shares = [float(seen[name][row][first] - seen[name][row][second]) for name in names]
        shares.append(float(seen["bias"][first] - seen["bias"][second]))
        over = f"{shown(run.classes[first], 20)} over {shown(run.classes[second], 20)}"
        cells.append((Cell(f"case {int(seen['case'][row])}", over), shares))
    most = max((abs(s) for _, shares in cells for s in shares[:-1]), default=1.0)
    table: list[list[Cell | str]] = [
        [
            name,
            *(Cell(signed(share, 2), svg=balance(share, most)) for share in shares[:-1]),
            signed(shares[-1], 2),
        ]
        for name, shares in cells
    ]
    caption = f"{heading}: how much spoke for the predicted class over the next (log odds)"
    return Table(caption, ["case", *(f"{name} branch" for name in names), "bias"], table)


def _occlusion(tried: dict[str, Any]) -> str:
    low, high = tried["difference"]["low"], tried["difference"]["high"]
    told = low is not None and low > 0
    verdict = (
        "so the maps do show what the model goes by"
        if told
        else "so it is not shown that the maps tell what the model goes by"
    )
    interval = "" if low is None or high is None else f" ({number(low)} to {number(high)})"
    return (
        f"Occlusion test on {counted(tried['n_cases'], 'case')}: without the tenth of timepoints"
        " that the map names, the probability of the predicted class falls by"
        f" {number(tried['top']['value'])}; without a random tenth by"
        f" {number(tried['random']['value'])}. The difference is"
        f" {number(tried['difference']['value'])}{interval}, {verdict}."
    )
