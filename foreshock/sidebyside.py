"""What a report says of several runs of one problem."""

from typing import Any

from foreshock import curves
from foreshock._text import NONE, counted, number, p_value, percent_span, shown, signed, span
from foreshock.comparison import (
    BOOKKEEPING,
    Pair,
    choose_pairs,
    compare,
    differing,
    methods,
    same_cases,
    spread,
)
from foreshock.curves import Ranking
from foreshock.gathering import Gathered, Predictions
from foreshock.metrics.intervals import Estimate
from foreshock.metrics.scores import always_name
from foreshock.pages import (
    Block,
    Cell,
    Figure,
    Page,
    Picture,
    Pictures,
    Section,
    Table,
    Text,
    estimated,
)
from foreshock.svg import strip

_LEVEL = 0.05


def labels(runs: list[Gathered]) -> list[str]:
    """Name runs by their folders; by the whole paths where those are alike."""
    names = [run.folder.resolve().name for run in runs]
    if len(set(names)) < len(names):
        names = [str(run.folder) for run in runs]
    return [shown(name, 40) for name in names]


def judged(runs: list[Gathered]) -> tuple[str, list[Predictions]] | None:
    """Give predictions of the same cases by every run: of the test part, or held out."""
    for where, of in (
        ("test", [run.predictions for run in runs]),
        ("held-out", [run.held_out for run in runs]),
    ):
        have = [each for each in of if each is not None]
        if len(have) == len(runs) and all(same_cases(have[0], each) for each in have):
            return where, have
    return None


def page(runs: list[Gathered], foot: str) -> Page:
    """Lay out a comparison of runs of one problem."""
    names = labels(runs)
    seen = judged(runs)
    pairs = compare(seen[1], choose_pairs(len(runs))) if seen else []
    sections = [_table(runs, names, seen)]
    if seen is not None:
        sections.append(_differences(names, pairs, seen[0]))
        if len(runs[0].classes) == 2 and 0 < seen[1][0].y.sum() < len(seen[1][0].y):
            sections.append(_curves(names, seen))
    sections += [_seeds(runs, names), _options(runs, names)]
    return Page(
        title=shown(runs[0].name),
        above=f"foreshock report: {len(runs)} runs of one problem",
        sentence=_sentence(names, pairs, seen),
        figures=_figures(runs, names),
        sections=sections,
        foot=foot,
    )


def _scores(run: Gathered) -> dict[str, Any] | None:
    found: dict[str, Any] | None = run.scores["scores"]
    return found


def _figures(runs: list[Gathered], names: list[str]) -> list[Figure]:
    found = [(name, s) for name, run in zip(names, runs, strict=True) if (s := _scores(run))]
    if not found:
        return []
    if len(found) <= 3:
        return [
            Figure(
                f"{s['model']['accuracy']['value']:.1%}",
                percent_span(s["model"]["accuracy"]),
                f"accuracy of {name} on {counted(s['n_cases'], 'test case')}",
            )
            for name, s in found
        ]
    values = [s["model"]["accuracy"]["value"] for _, s in found]
    what = f"accuracies of {len(values)} runs on {counted(found[0][1]['n_cases'], 'test case')}"
    return [Figure(f"{min(values):.0%} to {max(values):.0%}", "", what)]


def _sentence(names: list[str], pairs: list[Pair], seen: tuple[str, Any] | None) -> str:
    if seen is None:
        return "The runs have no predictions of the same cases, so no test can tell them apart."
    cases = counted(pairs[0].n_cases, f"{seen[0]} case")
    apart = [pair for pair in pairs if pair.p < _LEVEL]
    some = "the two runs" if len(names) == 2 else f"any of {counted(len(pairs), 'pair')} of runs"
    if not apart:
        return (
            f"On {cases} no difference in accuracy between {some} is larger than chance explains"
            f" (smallest p = {p_value(min(pair.p for pair in pairs))}, McNemar's exact test)."
        )
    pair = min(apart, key=lambda each: each.p)
    better, worse = (pair.first, pair.second) if pair.won > pair.lost else (pair.second, pair.first)
    gain = abs(pair.accuracy.value)
    more = f", the clearest of {len(apart)} such pairs of {len(pairs)}" if len(apart) > 1 else ""
    p = p_value(pair.p)
    return (
        f"'{names[better]}' is more often right than '{names[worse]}' on the same {cases}, by"
        f" {gain:.1%} (p {p if p.startswith('<') else f'= {p}'}, McNemar's exact test){more}."
    )


def _table(runs: list[Gathered], names: list[str], seen: tuple[str, Any] | None) -> Section:
    rows: list[list[Cell | str]] = []
    for name, run in zip(names, runs, strict=True):
        scores, held_out = _scores(run), run.scores.get("held_out")
        if scores is None:
            row: list[Cell | str] = [name, NONE, NONE, NONE, NONE, NONE]
        else:
            model = scores["model"]
            accuracy = model["accuracy"]
            always = scores["baselines"].get(always_name(scores["majority"]))
            mark = always["accuracy"]["value"] if always else None
            ends = (accuracy["value"], accuracy["low"], accuracy["high"])
            row = [name, estimated(accuracy), Cell("", svg=strip(*ends, mark=mark))]
            names_of = ("balanced_accuracy", "auroc", "log_loss")
            row += [estimated(model.get(measure)) for measure in names_of]
        row.append(estimated(held_out["scores"]["model"]["accuracy"]) if held_out else NONE)
        rows.append(row)
    head = [
        *("run", "accuracy", "0 to 1", "balanced accuracy", "AUROC", "log loss"),
        "accuracy, held out",
    ]
    caption = "Scores on the test part with 95 % intervals; dashed: always the commonest class"
    warning = Text(
        "Whoever picks a run by this table picks by the test part, and the picked run's score is"
        " then too good. Choose by the held-out accuracy."
    )
    return Section("Scores", [Table(caption, head, rows), warning])


def _differences(names: list[str], pairs: list[Pair], where: str) -> Section:
    rows: list[list[Cell | str]] = []
    for pair in pairs:
        row: list[Cell | str] = [
            Cell(names[pair.first], f"against {names[pair.second]}"),
            Cell(f"{pair.won:,} / {pair.lost:,}"),
            _difference(pair.accuracy),
            _p(pair.p),
        ]
        row += (
            [NONE, NONE]
            if pair.auroc is None
            else [_difference(pair.auroc), NONE if pair.auroc_p is None else _p(pair.auroc_p)]
        )
        rows.append(row)
    head = ["runs", "only one right", "accuracy", "p", "AUROC", "p"]
    blocks: list[Block] = [
        Table("Differences, the first run's less the second's, with 95 % intervals", head, rows)
    ]
    against = "" if len(pairs) == len(names) * (len(names) - 1) // 2 else (
        " The runs are too many to compare all of them: each is compared with the first."
    )  # fmt: skip
    several = " and corrected for the number of pairs (Holm)" if len(pairs) > 1 else ""
    text = (
        f"Both runs of a pair predicted the same {where} cases, which is what the tests go by:"
        f" McNemar's exact test for accuracy, DeLong's for AUROC, two-sided{several}. Bold: p"
        f" below {_LEVEL}.{against}"
    )
    return Section("Differences", [*blocks, Text(text, quiet=True)])


def _difference(estimate: Estimate) -> Cell:
    ends = {"low": estimate.low, "high": estimate.high}
    return Cell(signed(estimate.value), span(ends))


def _p(p: float) -> Cell:
    return Cell(p_value(p), strong=p < _LEVEL)


def _curves(names: list[str], seen: tuple[str, list[Predictions]]) -> Section:
    several = list(zip(names, seen[1], strict=True))[:5]
    drawn = [Ranking(name[:22], each.y == 1, each.proba[:, 1]) for name, each in several]
    pictures = [
        Picture(curves.roc(drawn), "ROC: what is found, over the false alarms it costs."),
        Picture(curves.precision_recall(drawn), "Precision over recall; dotted: at random."),
    ]
    blocks: list[Block] = [Pictures(pictures)]
    if len(names) > 5:
        blocks.append(Text("The first five runs are drawn.", quiet=True))
    return Section("Ranking", blocks)


def _seeds(runs: list[Gathered], names: list[str]) -> Section:
    rows: list[list[Cell | str]] = []
    for group in methods([run.options for run in runs]):
        some = [s for k in group if (s := _scores(runs[k])) is not None]
        if len(some) < 2:
            continue
        who = ", ".join(names[k] for k in group)
        row: list[Cell | str] = [shown(who, 120), str(len(some))]
        for measure in ("accuracy", "auroc", "log_loss"):
            values = [e["value"] for s in some if (e := s["model"].get(measure)) is not None]
            if not values:
                row.append(NONE)
                continue
            over = spread(values)
            below = f"sd {number(over.deviation)}, {number(over.lowest)} to {number(over.highest)}"
            row.append(Cell(number(over.mean), below))
        rows.append(row)
    title = "Seeds"
    if not rows:
        hint = "No two runs are the same but for the seed: train with --seed 1, --seed 2."
        return Section(title, [Text(hint, quiet=True)])
    head = ["runs", "seeds", "accuracy", "AUROC", "log loss"]
    text = (
        "The spread over seeds is that of training alone, on one test part; the 95 % intervals"
        " above are that of the cases. A difference that is smaller than either shows nothing."
    )
    caption = "Runs that are the same but for the seed: mean over seeds"
    return Section(title, [Table(caption, head, rows), Text(text, quiet=True)])


def _options(runs: list[Gathered], names: list[str]) -> Section:
    differ = differing([run.options for run in runs])
    title = "Options"
    if not differ:
        return Section(title, [Text("The runs were trained with the same options.", quiet=True)])
    order = sorted(differ, key=lambda name: (name in BOOKKEEPING, name))
    rows: list[list[Cell | str]] = [
        [name, *(NONE if value is None else shown(value, 40) for value in differ[name])]
        for name in order
    ]
    table = Table("Where the options differ", ["option", *names], rows, words=True)
    return Section(title, [table])
