"""The page on one run: its scores, problem, training, errors, curves, alarms, how to repeat it."""

import json
import shlex
from collections.abc import Sequence

import numpy as np

from foreshock._text import NONE, counted, listed, number, p_value, shown, signed
from foreshock._time import one_every
from foreshock.metrics.calibration import COOLEST, HOTTEST
from foreshock.metrics.intervals import percent_span, proportion, span
from foreshock.metrics.scores import (
    NAMES,
    RARE,
    Comparison,
    Metrics,
    Scores,
    always_name,
    place,
)
from foreshock.problems import PARTS
from foreshock.problems.problem import PartCard
from foreshock.reporting import figures
from foreshock.reporting.figures import Bin, Floats, Ranking
from foreshock.reporting.html import (
    Block,
    Cell,
    Code,
    Figure,
    Heading,
    Items,
    Page,
    Picture,
    Pictures,
    Row,
    Section,
    Table,
    Text,
    estimated,
    hint,
)
from foreshock.reporting.run_data import (
    AlarmPoint,
    Explanations,
    Forecasts,
    OcclusionTest,
    RunData,
    Sets,
)

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
_TESTED = {
    "majority": ("always the commonest class", "accuracy, McNemar's exact test"),
    "chance": ("chance, an AUROC of 0.5", "AUROC, Mann-Whitney test"),
}
_NO_TEST = hint("No test part, so there are no predictions: --test 0.25 makes one.")
_CLASSES, _CURVES, _LISTED, _BINS = 12, 5, 10, 10
"""Most classes in a table, curves in a picture and errors in a list; bins of probabilities."""
_RATES = (1, 2, 5, 10, 20, 50, 100)
"""Rates of alarms that other thresholds are shown for."""


def page_of_run(run: RunData, foot: str) -> Page:
    """Write the page on one run."""
    sentence, numbers = _headline(run)
    sections = [
        _scores(run),
        _problem(run),
        _training(run),
        _errors(run),
        _rankings(run),
        _calibration(run),
        _alarms(run),
        _reasons(run),
        _members(run),
        _environment(run),
        _again(run),
    ]
    return Page(
        title=shown(run.name),
        above=f"foreshock report: {shown(run.folder.resolve().name)}, trained"
        f" {shown(run.environment.started[:10])}",
        sentence=sentence,
        figures=numbers,
        sections=[section for section in sections if section is not None],
        foot=foot,
    )


def _headline(run: RunData) -> tuple[str, list[Figure]]:
    """Return the sentence and the numbers that the page begins with."""
    held_out = run.outcome.held_out
    if run.scores is not None:
        found: Scores = run.scores
        where, sentence = "test", found.sentence
    elif held_out is not None:
        found, where = held_out.scores, held_out.where
        sentence = f"There is no test part; on {where} cases: {found.sentence}"
    else:
        return "There is no test part, so nothing is known of what this model is worth.", []
    accuracy, always, n = found.model.accuracy, found.always.accuracy.value, found.n_cases
    numbers = []
    if len(found.classes) != 2 or always <= 1 - RARE:
        numbers.append(
            Figure(
                f"{accuracy.value:.1%}",
                percent_span(accuracy),
                f"{round(accuracy.value * n):,} of {counted(n, f'{where} case')} given their class;"
                f" always '{shown(found.majority, 20)}' is right in {round(always * n):,}"
                f" ({always:.0%})",
            )
        )
    area = found.model.auroc
    if area is not None:
        what = "AUROC: how well cases are ranked; 0.5 is chance, 1 is perfect"
        other = None if found.best is None else found.baselines[found.best].auroc
        if other is not None and len(found.classes) == 2:
            what += f"; the best baseline, {shown(found.best)}, has {number(other.value)}"
        interval = f"95\N{NO-BREAK SPACE}% interval {span(area)}" if span(area) else ""
        first = 0 if len(found.classes) == 2 and found.best is not None else len(numbers)
        numbers.insert(first, Figure(number(area.value), interval, what))
    alarms = run.outcome.alarms
    if alarms is not None:
        what = f"events warned of, at {alarms.alarm_rate:.1f} alarms {alarms.each}"
        value = f"{alarms.warned:,} of {alarms.events:,}"
        numbers.append(Figure(value, percent_span(alarms.recall), what))
    return shown(sentence, 1000), numbers


def _scores(run: RunData) -> Section:
    """Show the scores beside those of the baselines and of the held-out cases."""
    found, held_out = run.scores, run.outcome.held_out
    blocks: list[Block] = []
    columns: dict[str, Metrics] = {}
    cases = []
    if found is not None:
        columns["model"] = found.model
        cases.append(counted(found.n_cases, "test case"))
    if held_out is not None:
        columns[f"model, {held_out.where}"] = held_out.scores.model
        cases.append(counted(held_out.scores.n_cases, f"{held_out.where} case"))
    beside = found if held_out is None else found or held_out.scores
    if beside is not None:
        columns |= {shown(name, 30): values for name, values in beside.baselines.items()}
        rows: list[Row] = []
        for name, title in NAMES.items():
            estimates = [getattr(values, name) for values in columns.values()]
            ranked = list(beside.rankings.values())
            estimates += ranked if name == "auroc" else [None] * len(ranked)
            if any(estimate is not None for estimate in estimates):
                rows.append([Cell(title, _GLOSSES[name]), *map(estimated, estimates)])
        gains = [scores.information_gain() for scores in _scored(run)]
        gains += [
            None if name == always_name(beside.majority) else beside.information_gain(name)
            for name in beside.baselines
        ]
        if any(gain is not None for gain in gains):
            cell = Cell("information gain", "bits per event over the class prior")
            row = [signed(gain, 2) if gain is not None else NONE for gain in gains]
            rows.append([cell, *row, *[NONE] * len(beside.rankings)])
        head = ["measure", *columns, *(f"by {shown(name, 30)}" for name in beside.rankings)]
        caption = f"Scores on {' and '.join(cases)}, with 95 % intervals"
        blocks.append(Table(caption, head, rows))
    if found is None:
        blocks.append(hint("No test part: train with --test 0.25 to make one."))
    else:
        blocks.append(_tests(found.tests))
        if found.n_cases < 100:
            text = (
                f"{counted(found.n_cases, 'case')} say little: one more or less that is right"
                f" moves the accuracy by {1 / found.n_cases:.1%}."
            )
            blocks.append(Text(text))
    if held_out is None:
        text = "No estimate from training cases: it needs --members 3, or a valid part."
        blocks.append(hint(text))
    return Section("Scores", [*blocks, hint(f"Model: {shown(run.outcome.choice, 300)}.")])


def _scored(run: RunData) -> list[Scores]:
    """Return the scores of the model: on the test part and the held-out cases, as there are."""
    held_out = run.outcome.held_out
    found = [run.scores, None if held_out is None else held_out.scores]
    return [scores for scores in found if scores is not None]


def _tests(tests: dict[str, Comparison]) -> Table:
    rows: list[Row] = []
    for name in sorted(tests, key=lambda name: ([*_TESTED, name].index(name), place(name))):
        test = tests[name]
        against, how = _TESTED.get(name, (shown(name), "AUROC, DeLong's paired test"))
        rows.append(
            [Cell(against, test.how or how), signed(test.difference), p_value(test.p), test.verdict]
        )
    caption = "Is the model better than something simpler? On the same cases, at 5 %"
    return Table(caption, ["against", "difference", "p", "the model is"], rows)


def _problem(run: RunData) -> Section:
    """Describe the cases, and what was found to be wrong with them."""
    card, found = run.problem.card, run.problem.audit.findings
    names = [name for name in PARTS if name in card.parts]
    parts = [card.parts[name] for name in names]
    rows: list[Row] = [
        ["cases", *(f"{part.cases:,}" for part in parts)],
        ["length", *map(_length, parts)],
        ["missing values", *(f"{part.missing_values:,}" for part in parts)],
    ]
    if len(run.classes) > _CLASSES:
        counts = [part.class_counts.values() for part in parts]
        rows.append(["cases of a class", *(f"{min(c):,} to {max(c):,}" for c in counts)])
    else:
        rows += [
            [f"class {shown(label, 40)}", *(_of_class(part, label) for part in parts)]
            for label in run.classes
        ]
    for name, ends in (("from", [p.first for p in parts]), ("to", [p.last for p in parts])):
        if any(ends):
            rows.append([name, *(shown(end or NONE) for end in ends)])
    shape = (
        f"{counted(card.n_channels, 'channel')} ({listed(card.channels)}), series of up to"
        f" {card.n_timepoints:,} timepoints"
        + (f", {shown(one_every(card.step))}" if card.step else "")
        + f"; {len(run.classes):,} classes."
    )
    blocks: list[Block] = [Text(shape), Table("The parts of the problem", ["part", *names], rows)]
    if found:
        text = "The leak audit found what can make scores better than the model is:"
        blocks += [Text(text), Items([shown(each, 500) for each in found])]
    else:
        blocks.append(Text("Leak audit: nothing found."))
    return Section("Problem", blocks)


def _length(part: PartCard) -> str:
    low, high = part.length_min, part.length_max
    return f"{high:,}" if low == high else f"{low:,} to {high:,}"


def _of_class(part: PartCard, label: str) -> Cell:
    count = part.class_counts.get(label, 0)
    return Cell(f"{count:,}", f"{count / max(1, part.cases):.0%}")


def _training(run: RunData) -> Section:
    """Draw the loss of each member, and what the learning-rate finder saw."""
    found, seen = run.trainings, run.finder
    if not found:
        return Section("Training", [hint("The history has no batches.")])
    caption = f"Loss over {len(found[0].batches):,} batches (above) and the learning rate (below)."
    if len(found) > 1:
        caption = f"Loss of {len(found)} members, smoothed (above), and the learning rate (below)."
    pictures = [Picture(figures.losses(found), caption)]
    if seen is None:
        text = "No learning-rate finder: --find-lr looks for the rate first."
        return Section("Training", [Pictures(pictures), hint(text)])
    svg = figures.finder(seen.rates, seen.losses, seen.suggestion)
    pictures.append(Picture(svg, f"The learning-rate finder: {seen.suggestion:.1e} was taken."))
    return Section("Training", [Pictures(pictures)])


def _errors(run: RunData) -> Section:
    """Count the cases by class and predicted class."""
    if run.scores is None:
        return Section("Errors", [_NO_TEST])
    counts, classes = np.array(run.scores.confusion, np.int64), run.scores.classes
    found = counts.diagonal() / np.maximum(1, counts.sum(axis=1))
    rows: list[Row] = []
    if len(classes) <= _CLASSES:
        for k, line in enumerate(counts):
            cells = [_shaded(int(n), int(line.sum()), right=k == j) for j, n in enumerate(line)]
            total = Cell(f"{line[k]:,} of {line.sum():,}", f"{found[k]:.0%}")
            rows.append([shown(classes[k], 30), *cells, total])
        head = ["class", *(f"said {shown(name, 20)}" for name in classes), "found"]
        caption = "Test cases by class (rows) and predicted class; darker: a larger share"
        return Section("Errors", [Table(caption, head, rows)])
    caption = "Cases by class (rows) and predicted class (columns), numbered from 0. Blue: right."
    names = [f"{k}: {shown(name, 30)}" for k, name in enumerate(classes)]
    wrong = counts - np.diag(counts.diagonal())
    pairs = np.argsort(-wrong, axis=None, kind="stable")[:_LISTED]
    for i, j in zip(*np.unravel_index(pairs, wrong.shape), strict=True):
        if wrong[i, j]:
            rows.append([names[i], names[j], f"{wrong[i, j]:,} of {counts[i].sum():,}"])
    present = np.flatnonzero(counts.sum(axis=1))
    worst = present[np.argsort(found[present], kind="stable")][:_LISTED]
    hardest: list[Row] = [[names[k], f"{counts[k, k]:,} of {counts[k].sum():,}"] for k in worst]
    blocks: list[Block] = [
        Pictures([Picture(figures.confusion_map(counts), caption)]),
        Table("The commonest mistakes", ["class", "taken for", "cases"], rows),
        Table("The classes found least", ["class", "found"], hardest),
    ]
    return Section("Errors", blocks)


def _shaded(n: int, of: int, *, right: bool) -> Cell:
    shade = int(np.ceil(10 * n / of)) if of else 0
    return Cell(f"{n:,}", shade=shade if right else -shade)


def _rankings(run: RunData) -> Section:
    """Draw ROC and precision over recall."""
    seen, title, n = run.predictions, "Ranking", len(run.classes)
    if seen is None:
        return Section(title, [_NO_TEST])
    if n > _CURVES:
        text = f"Curves of one class against the rest are drawn for up to {_CURVES} classes."
        return Section(title, [hint(text)])
    support = {k: int((seen.y == k).sum()) for k in ([1] if n == 2 else range(n))}
    usable = [k for k, m in support.items() if 0 < m < len(seen.y)]
    if not usable:
        return Section(title, [hint("The test part has cases of one class only.")])
    drawn = [Ranking(shown(run.classes[k], 16), seen.y == k, seen.proba[:, k]) for k in usable]
    best = None if run.scores is None or run.scores.best is None else run.scores.best
    if n == 2 and best in run.simple:
        drawn = [
            Ranking("model", seen.y == 1, seen.proba[:, 1]),
            Ranking(shown(best, 20), seen.y == 1, run.simple[best][:, 1]),
        ]
    against = " (each class against the rest)"
    base = "Dotted: the precision of drawing cases at random."
    if n == 2:
        against = ""
        base = (
            f"Of {len(seen.y):,} cases {support[1]:,} are '{shown(run.classes[1], 30)}': the dotted"
            " line is the precision of alarms at random."
        )
    pictures = [
        Picture(
            figures.roc(drawn),
            f"ROC{against}: what is found, over the false alarms it costs. Dotted: by chance.",
        ),
        Picture(figures.precision_recall(drawn), f"Precision over recall{against}. {base}"),
    ]
    if n == 2 and run.model.rule is not None:
        caption = (
            "What warning costs per event, in missed events, where one is worth so many false"
            " alarms: below the dotted line, the probabilities are of use."
        )
        pictures.append(Picture(figures.costs(drawn), caption))
    blocks: list[Block] = [Pictures(pictures)]
    fewest = min(support.values())
    if fewest < 30:
        text = f"With {counted(fewest, 'case')} of a class, each step of a curve is one case."
        blocks.append(hint(text))
    return Section(title, blocks)


def _calibration(run: RunData) -> Section:
    """Draw how often things were so over their probability."""
    seen, title = run.predictions, "Calibration"
    blocks: list[Block] = [Text(_calibrated(run))]
    if seen is None:
        return Section(title, [*blocks, _NO_TEST])
    two = len(run.classes) == 2
    said = seen.proba[:, 1] if two else seen.proba.max(axis=1)
    so = seen.y == 1 if two else seen.right
    bins = []
    deciles = run.scores.deciles if run.scores is not None else ()
    for each in deciles:
        bins.append(Bin(each.said, each.share, each.n))
    for k in range(0 if deciles else _BINS):
        inside = np.minimum((said * _BINS).astype(int), _BINS - 1) == k
        if inside.any():
            share = proportion(int(so[inside].sum()), int(inside.sum()))
            bins.append(Bin(float(said[inside].mean()), share, int(inside.sum())))
    what = "probability of the predicted class"
    if two:
        what = f"probability given to '{shown(run.classes[1], 20)}'"
    caption = (
        f"How often it was so, with 95 % intervals, over the {what}. On the dotted line,"
        " probabilities are what they say. Below: how many cases."
    )
    held = None if run.scores is None else run.scores.calibrated
    if held is not None:
        blocks.append(
            Text(
                f"In {held[0]} of {held[1]} bins with as many cases each, the predicted frequency"
                " lies within the interval of the observed one."
            )
        )
    if run.scores is not None and run.scores.sets is not None:
        blocks.append(Text(_sets(run.scores.sets)))
    return Section(title, [Pictures([Picture(figures.reliability(bins, what), caption)]), *blocks])


def _calibrated(run: RunData) -> str:
    """Return whether and how the probabilities were calibrated."""
    known = run.model.calibration
    if known is None:
        return (
            "The probabilities are as the network gives them: calibration needs cases that were"
            " held out (--members 3, or a valid part)."
        )
    temperature = known.temperature
    effect = "less sure than the network was" if temperature > 1 else "surer than the network was"
    cases = counted(known.n_cases, "case")
    at_bound = np.isclose(temperature, (COOLEST, HOTTEST), rtol=1e-3).any()
    bound = ", as far as is allowed: look at the picture, they may still be off" if at_bound else ""
    return (
        f"Calibrated on {cases} ({shown(known.source)}) by a temperature of"
        f" {temperature:.3g}: {'unchanged' if np.isclose(temperature, 1) else effect}{bound}."
    )


def _sets(sets: Sets) -> str:
    """Return whether the sets of classes cover what they should."""
    return (
        f"Sets of classes that are meant to hold the true one in {sets.coverage:.0%} of cases"
        f" held it in {sets.covered.value:.1%} ({percent_span(sets.covered)}). They have"
        f" {number(sets.mean_size, 2)} classes on average; {sets.empty:,} are empty: there"
        " the model is less sure of every class than it mostly was of the true one."
    )


def _alarms(run: RunData) -> Section | None:
    """Show what alarms would have come of forecasting the whole stretch of the test part."""
    alarms, title = run.outcome.alarms, "Alarms"
    if alarms is None:
        if run.model.rule is None:
            return None
        return Section(title, [hint(f"No alarms: {_unwatched(run)}.")])
    text = (
        f"If the model had forecast every target from {shown(alarms.start)} to"
        f" {shown(alarms.until)} ({alarms.time(alarms.span_forecast)},"
        f" {counted(alarms.n_forecasts, 'forecast')}; {alarms.time(alarms.span)} of them"
        f" with windows that the rule admits), with an alarm at"
        f" {number(alarms.threshold)} and above ({shown(alarms.policy, 300)}):"
    )
    right = alarms.alarms - alarms.false_alarms
    warned, followed = (span(share) or NONE for share in (alarms.recall, alarms.precision))
    rows: list[Row] = [
        ["events warned of", f"{alarms.warned:,} of {alarms.events:,}", warned],
        ["alarms that an event followed", f"{right:,} of {alarms.alarms:,}", followed],
        [f"alarms {alarms.each}", f"{alarms.alarm_rate:.1f}", NONE],
        [f"false alarms {alarms.each}", f"{alarms.false_alarm_rate:.1f}", NONE],
    ]
    if alarms.units is not None:
        each = alarms.false_alarms / alarms.units
        rows.append(["false alarms per unit", f"{each:.2g} ({alarms.units:,} units)", NONE])
    if alarms.episodes is not None:
        found = alarms.episodes
        said = f"{found.detected:,} of {found.events:,}"
        rows.append(["events, neighbours as one, with an alarm", said, NONE])
        said = f"{found.false_alarms:,} of {found.alarms:,}"
        rows.append(["stretches of alarms that were false", said, NONE])
    blocks: list[Block] = [
        Text(text),
        Table("At the chosen threshold", ["measure", "value", "95 % interval"], rows),
    ]
    if alarms.leads is not None:
        low, median, high = (f"{lead:.3g}" for lead in alarms.leads)
        warning = f"The events warned of had an alarm {median} {alarms.lead_unit} ahead."
        if low != high:
            warning = (
                f"Of the events warned of, half had an alarm {median} {alarms.lead_unit} ahead or"
                f" more, the middle half {low} to {high} {alarms.lead_unit}."
            )
        blocks.append(Text(warning))
    if alarms.curve and alarms.recall is not None:
        svg = figures.alarms(
            *_columns(alarms.curve),
            (alarms.alarm_rate, alarms.recall.value),
            _columns(alarms.baseline_curve) if alarms.baseline_curve else None,
            shown(alarms.baseline, 30),
            alarms.each,
        )
        caption = "Share of events warned of, over the alarms that this costs, at every threshold."
        pictures = [Picture(svg, caption)]
        if run.forecasts is not None and len(run.forecasts.time):
            pictures.append(_stretch(run.forecasts, alarms.threshold))
        blocks += [Pictures(pictures), _choices(alarms.curve, alarms.each)]
    if alarms.n_outside:
        text = (
            f"{counted(alarms.n_outside, 'forecast')} are left out of all this: the rule makes"
            " no case of such a window."
        )
        blocks.append(hint(text))
    return Section(title, blocks)


def _unwatched(run: RunData) -> str:
    """Return why the alarms of a run were not counted."""
    if run.options.get("scan") is False:
        return "the run was trained with --no-scan"
    if run.predictions is None:
        return "there is no test part"
    return "no time has its test part alone, with windows that the rule admits"


def _columns(curve: Sequence[AlarmPoint]) -> tuple[Floats, Floats]:
    recall = np.array([np.nan if point.recall is None else point.recall for point in curve])
    return np.array([point.alarm_rate for point in curve]), recall


def _stretch(seen: Forecasts, threshold: float) -> Picture:
    inside = ~seen.outside
    proba = np.where(inside, seen.proba, np.nan)  # the line breaks where none is counted
    svg = figures.forecasts(seen.time, proba, seen.event & inside, threshold)
    caption = "The forecasts that count; dashed: the threshold; marks below: the events."
    return Picture(svg, caption)


def _choices(curve: Sequence[AlarmPoint], each: str) -> Table:
    rows: list[Row] = []
    shown_already: list[AlarmPoint] = []  # a higher rate may be of no use
    for rate in _RATES:
        within = [point for point in curve if point.alarm_rate <= rate]
        point = max(within, key=lambda p: p.recall or 0.0, default=None)
        if point is not None and point not in shown_already:
            shown_already.append(point)
            values = (point.threshold, point.alarm_rate, point.recall, point.precision)
            rows.append([f"at most {rate} {each}", *(number(value, 2) for value in values)])
    head = ["alarms", "threshold", f"alarms {each}", "events warned of", "right among alarms"]
    return Table("What other thresholds would give", head, rows)


def _reasons(run: RunData) -> Section:
    """Draw cases of each class and the worst errors, on what spoke for the predicted class."""
    seen, title = run.explanations, "What it looks at"
    if seen is None:
        return Section(title, [hint("No explanations: there is no test part.")])
    most = float(np.quantile(np.abs(np.nan_to_num(seen.map)), 0.99))
    mapless = "The recurrent branch has no such map"
    if seen.summary.any():
        mapless = "Neither the recurrent branch nor the window's summary has such a map"
    text = (
        "Orange stretches spoke for the predicted class, blue ones against it: the class activation"
        f" map of the convolutional branch. {mapless}; the table says how much each branch had to"
        " say."
    )
    blocks: list[Block] = [Text(text)]
    if seen.summary.any():
        blocks.insert(0, Text(_by_summary(seen)))
    for kind, heading in (("example", "Examples"), ("error", "The worst errors")):
        rows = np.flatnonzero(seen.kind == kind).tolist()
        if rows:
            pictures = [_reason(run, seen, row, most) for row in rows]
            blocks += [Heading(heading), Pictures(pictures), _shares(run, seen, rows, heading)]
    if run.outcome.occlusion is not None:
        blocks.append(Text(_occlusion(run.outcome.occlusion)))
    return Section(title, blocks)


def _by_summary(seen: Explanations) -> str:
    """Return how much of the forecasts the window's summary makes."""
    rows = np.arange(len(seen.case))
    first, second = np.argsort(-seen.proba, axis=1)[:, :2].T
    network = seen.convolutional + seen.recurrent + seen.random
    known, rest = (
        float(np.abs(each[rows, first] - each[rows, second]).mean())
        for each in (seen.summary, network)
    )
    of = f"what speaks for or against the predicted class in these {counted(len(rows), 'case')}"
    if not rest:
        return f"All of {of} comes from the window's summary: the network adds nothing to it."
    share = known / (known + rest)
    return (
        f"Of {of}, {share:.0%} comes from the window's summary and {1 - share:.0%} from the"
        " network."
    )


def _reason(run: RunData, seen: Explanations, row: int, most: float) -> Picture:
    channels = [shown(name, 14) for name in run.model.channels]
    svg = figures.series(seen.X[row], np.nan_to_num(seen.map[row]), most, channels)
    label, said = str(seen.label[row]), str(seen.predicted[row])
    proba = float(seen.proba[row].max())
    verdict = "rightly" if label == said else f"wrongly: it is {shown(label, 40)}"
    more = max(0, len(channels) - 4)
    rest = f" {counted(more, 'further channel')} not drawn." if more else ""
    caption = f"Case {int(seen.case[row])}: {shown(said, 40)} at {proba:.0%}, {verdict}.{rest}"
    return Picture(svg, caption)


def _shares(run: RunData, seen: Explanations, rows: list[int], heading: str) -> Table:
    """Show how much each branch speaks for the predicted class over the next likely one."""
    branches = {"convolutional": seen.convolutional, "recurrent": seen.recurrent}
    branches |= {
        name: each
        for name, each in (("random", seen.random), ("summary", seen.summary))
        if each.any()
    }
    names, shares, biases = [], [], []
    for row in rows:
        first, second = np.argsort(-seen.proba[row])[:2].tolist()
        over = f"{shown(run.classes[first], 20)} over {shown(run.classes[second], 20)}"
        names.append(Cell(f"case {int(seen.case[row])}", over))
        shares.append([float(each[row][first] - each[row][second]) for each in branches.values()])
        biases.append(signed(float(seen.bias[first] - seen.bias[second]), 2))
    most = float(np.abs(shares).max())
    table: list[Row] = [
        [name, *(Cell(signed(s, 2), svg=figures.balance(s, most)) for s in line), bias]
        for name, line, bias in zip(names, shares, biases, strict=True)
    ]
    caption = f"{heading}: how much spoke for the predicted class over the next (log odds)"
    return Table(caption, ["case", *(f"{name} branch" for name in branches), "bias"], table)


def _occlusion(tried: OcclusionTest) -> str:
    found = tried.difference
    verdict = (
        "so the maps do show what the model goes by"
        if found.low is not None and found.low > 0
        else "so it is not shown that the maps tell what the model goes by"
    )
    interval = "" if found.low is None else f" ({number(found.low)} to {number(found.high)})"
    return (
        f"Occlusion test on {counted(tried.n_cases, 'case')}: without the tenth of timepoints"
        " that the map names, the probability of the predicted class falls by"
        f" {number(tried.top.value)}; without a random tenth by {number(tried.random.value)}. The"
        f" difference is {number(found.value)}{interval}, {verdict}."
    )


def _members(run: RunData) -> Section:
    """Show what each member came to."""
    found, held_out = run.trainings, run.held_out
    rows: list[Row] = []
    for member, each in enumerate(found):
        right: Cell | str = NONE
        if held_out is not None and held_out.member is not None:
            mine = held_out.right[held_out.member == member]
            if len(mine):
                right = Cell(f"{mine.sum():,} of {len(mine):,}", f"{mine.mean():.1%}")
        losses = each.last_loss, each.valid[-1][1] if each.valid else None
        rows.append(
            [
                *(each.name, f"{len(each.batches):,}", f"{each.epochs:,}"),
                *(number(loss, 4) for loss in losses),
                *(right, f"{each.seconds:,.0f}"),
            ]
        )
    head = [
        *("member", "batches", "epochs", "last loss", "last valid loss", "held-out right"),
        "seconds",
    ]
    seed = run.options.get("seed")
    text = f"{len(found)} members, drawn from seed {seed}; their probabilities are averaged."
    if len(found) == 1:
        text = (
            f"One member, seed {seed}. --members 3 trains three, which are scored on the"
            " cases that each left out."
        )
    return Section("Members", [Table("What each member came to", head, rows), hint(text)])


def _environment(run: RunData) -> Section:
    """Show where and with what the run was made."""
    made = run.environment
    rows: list[Row] = [
        ["software", listed(made.versions)],
        ["system", shown(made.platform, 120)],
        ["cores", NONE if made.cores is None else f"{made.cores}"],
        ["threads", f"{made.threads}"],
        ["device", shown(made.device)],
        ["devices", f"{made.devices}"],
        ["arithmetic", shown(made.precision)],
        ["started", shown(made.started)],
    ]
    table = Table("Where it was trained", ["setting", "value"], rows, words=True)
    return Section("Environment", [table])


def _again(run: RunData) -> Section:
    """Show how to repeat the run, and the hashes of its parts."""
    here = shown(shlex.quote(str(run.folder)), 300)
    name = "PROBLEM" if run.source is None else shown(shlex.quote(run.source), 300)
    drawn = run.options.get("test") is not None  # by the training: the source has no test part
    lines = [
        f"foreshock train {name} --config {here}/config.json --run NEW_RUN",
        *([] if drawn else [f"foreshock evaluate {here} {name}"]),
        f"foreshock report {here} NEW_RUN -o comparison.html",
    ]
    command = shown(shlex.join(run.environment.command), 600)
    options = json.dumps(run.config, indent=2, ensure_ascii=False).splitlines()
    hashes = {"problem (digest of its cases)": run.problem.digest}
    hashes |= dict(sorted(run.hashes.items()))
    hashes["scores.json (digest)"] = run.digest
    blocks: list[Block] = [
        Text(f"Train it again, {'' if drawn else 'score it again, '}compare the two:"),
        Code("\n".join(lines)),
        hint(f"It was started as: {command}"),
        Code("\n".join(shown(line, 400) for line in options), "Every option (config.json)"),
        Code(
            "\n".join(f"{value}  {shown(name)}" for name, value in hashes.items()),
            "sha256 of each file; all of them matched when this page was made",
        ),
    ]
    return Section("How to do it again", blocks)
