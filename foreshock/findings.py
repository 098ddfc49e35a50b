"""What a report shows of one run's predictions: errors, rankings, calibration, alarms, reasons."""

from typing import Any

import numpy as np

from foreshock import charts, curves
from foreshock._text import NONE, counted, number, percent_span, shown, signed, span
from foreshock.curves import Bin, Floats, Ranking
from foreshock.gathering import Arrays, Gathered
from foreshock.metrics.calibration import COOLEST, HOTTEST
from foreshock.metrics.intervals import proportion
from foreshock.pages import Block, Cell, Heading, Picture, Pictures, Section, Table, Text
from foreshock.svg import balance

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
