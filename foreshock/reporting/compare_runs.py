"""Pages on several runs: which differ by more than chance explains, and how methods rank."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from foreshock._text import NONE, counted, listed, number, p_value, shown, signed
from foreshock.metrics.intervals import Estimate, compare_auroc, mcnemar, percent_span, span
from foreshock.metrics.significance import SIGNIFICANT, holm, paired_difference
from foreshock.reporting import figures, standings
from foreshock.reporting.figures import Ranking
from foreshock.reporting.html import (
    Block,
    Cell,
    Figure,
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
from foreshock.reporting.run_data import Predictions, RunData
from foreshock.reporting.standings import Result

_NOT_OF_METHOD = standings.BOOKKEEPING | {"seed"}
"""Options that make no other method of a training."""


@dataclass(frozen=True)
class Pair:
    """Two runs on the same cases."""

    first: int
    second: int
    """Positions of the runs."""

    n_cases: int
    """How many cases both were judged on."""

    won: int
    lost: int
    """Cases that only the first has right, and that only the second has."""

    accuracy: Estimate
    """How much larger the first's accuracy is."""

    p: float
    """Of McNemar's exact test, corrected for the number of pairs."""

    auroc: Estimate | None
    """How much larger the first's AUROC is, for two classes."""

    auroc_p: float | None
    """Of DeLong's paired test, corrected for the number of pairs."""


def page_of_runs(runs: list[RunData], foot: str) -> Page:
    """Write the comparison of runs of one problem."""
    names = _labels(runs)
    where, seen = _judged(runs)
    pairs = compare(seen, choose_pairs(len(runs))) if seen else []
    sections = [_table(runs, names)]
    if seen:
        sections.append(_differences(names, pairs, where))
        if len(runs[0].classes) == 2 and 0 < seen[0].y.sum() < len(seen[0].y):
            sections.append(_curves(names, seen))
    sections += [_seeds(runs, names), _options(runs, names)]
    return Page(
        title=shown(runs[0].name),
        above=f"foreshock report: {len(runs)} runs of one problem",
        sentence=_sentence(names, pairs, where),
        figures=_figures(runs, names),
        sections=sections,
        foot=foot,
    )


def page_of_problems(runs: list[RunData], published: Path | None, foot: str) -> Page:
    """Write runs of several problems, as results of methods beside published ones."""
    scored = [run for run in runs if run.scores is not None]
    better = sum(run.scores.tests["majority"].verdict == "better" for run in scored if run.scores)
    n = len({run.problem.digest for run in runs})
    sentence = (
        f"Of {counted(len(scored), 'run')} with a test part on {counted(n, 'problem')}, {better}"
        f" {'is' if better == 1 else 'are'} better than always giving the commonest class."
    )
    sections, numbers = [], list[Figure]()
    if scored:
        results = _results(scored)
        found = standings.stand(results, published=published)
        sections = [
            standings.accuracies(found, results),
            standings.means_and_ranks(found),
            standings.one_against_the_other(found),
        ]
        numbers = standings.means_of_own(found)
    if len(scored) < len(runs):
        names = listed(_labels([run for run in runs if run.scores is None]))
        sections.append(Section("No test part", [Text(f"Runs without a test part: {names}.")]))
    above = f"foreshock report: {len(runs)} runs of {n} problems"
    return Page("Accuracy by problem", above, sentence, numbers, sections, foot)


def compare(runs: Sequence[Predictions], pairs: Sequence[tuple[int, int]]) -> list[Pair]:
    """Compare pairs of runs that predicted the same cases.

    Parameters
    ----------
    runs : sequence of Predictions
        What each predicted.
    pairs : sequence of (int, int)
        Which to compare.

    Returns
    -------
    list of Pair
        With p-values corrected by Holm's method (1979), those of accuracy and those of AUROC each
        among themselves.
    """
    found = []
    for i, j in pairs:
        a, b = runs[i], runs[j]
        if not _same_cases(a, b):
            raise ValueError("runs are compared on the same cases only.")
        won, lost = int((a.right & ~b.right).sum()), int((b.right & ~a.right).sum())
        area, area_p = None, None
        if a.proba.shape[1] == 2 and 0 < a.y.sum() < len(a.y):
            area, area_p = compare_auroc(a.y, a.proba[:, 1], b.proba[:, 1])
        gain = paired_difference(won, lost, len(a.y))
        p = mcnemar(a.right, b.right)
        found.append(Pair(i, j, len(a.y), won, lost, gain, p, area, area_p))
    corrected = holm([pair.p for pair in found])
    areas = iter(holm([pair.auroc_p for pair in found if pair.auroc_p is not None]))
    return [
        replace(pair, p=p, auroc_p=None if pair.auroc_p is None else next(areas))
        for pair, p in zip(found, corrected, strict=True)
    ]


def choose_pairs(n: int, most: int = 10) -> list[tuple[int, int]]:
    """Return all pairs of runs or, where they are too many, each against the first."""
    every = list(itertools.combinations(range(n), 2))
    return every if len(every) <= most else [(0, other) for other in range(1, n)]


def over_seeds(values: Sequence[float]) -> Cell | str:
    """Return a cell with the mean over seeds, and below it their deviation (n - 1) and range."""
    if not values:
        return NONE
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    below = f"sd {number(deviation)}, {number(min(values))} to {number(max(values))}"
    return Cell(number(float(np.mean(values))), below)


def methods(options: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Gather the runs that are the same but for the seed, by their positions."""
    groups: dict[str, list[int]] = {}
    for position, values in enumerate(options):
        key = repr(sorted((k, repr(v)) for k, v in values.items() if k not in _NOT_OF_METHOD))
        groups.setdefault(key, []).append(position)
    return list(groups.values())


def differing(options: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the options in which configurations differ, with each one's value; None for none."""
    names = dict.fromkeys(name for values in options for name in values)
    every = {name: [values.get(name) for values in options] for name in names}
    return {name: values for name, values in every.items() if len(set(map(repr, values))) > 1}


def _labels(runs: list[RunData]) -> list[str]:
    """Return the folder names of runs; the whole paths where those are alike."""
    names = [run.folder.resolve().name for run in runs]
    if len(set(names)) < len(names):
        names = [str(run.folder) for run in runs]
    return [shown(name, 40) for name in names]


def _judged(runs: list[RunData]) -> tuple[str, list[Predictions]]:
    """Return predictions of the same cases by every run: of the test part, or held out, or none."""
    for where, of in (
        ("test", [run.predictions for run in runs]),
        ("held-out", [run.held_out for run in runs]),
    ):
        have = [each for each in of if each is not None]
        if len(have) == len(runs) and all(_same_cases(have[0], each) for each in have):
            return where, have
    return "", []


def _same_cases(a: Predictions, b: Predictions) -> bool:
    return np.array_equal(a.case, b.case) and np.array_equal(a.y, b.y)


def _sentence(names: list[str], pairs: list[Pair], where: str) -> str:
    if not pairs:
        return "The runs have no predictions of the same cases, so no test can compare them."
    cases = counted(pairs[0].n_cases, f"{where} case")
    apart = [pair for pair in pairs if pair.p < SIGNIFICANT]
    some = "the two runs" if len(names) == 2 else f"any of {counted(len(pairs), 'pair')} of runs"
    if not apart:
        return (
            f"On {cases} no difference in accuracy between {some} is larger than chance explains"
            f" (smallest {p_value(min(pair.p for pair in pairs), named=True)}, McNemar's exact"
            " test)."
        )
    pair = min(apart, key=lambda each: each.p)
    better, worse = (pair.first, pair.second) if pair.won > pair.lost else (pair.second, pair.first)
    gain = abs(pair.accuracy.value)
    more = f", the clearest of {len(apart)} such pairs of {len(pairs)}" if len(apart) > 1 else ""
    return (
        f"'{names[better]}' is more often right than '{names[worse]}' on the same {cases}, by"
        f" {gain:.1%} ({p_value(pair.p, named=True)}, McNemar's exact test){more}."
    )


def _figures(runs: list[RunData], names: list[str]) -> list[Figure]:
    found = [(name, run.scores) for name, run in zip(names, runs, strict=True) if run.scores]
    if not found:
        return []
    cases = counted(found[0][1].n_cases, "test case")
    if len(found) > 3:
        values = [scores.model.accuracy.value for _, scores in found]
        what = f"accuracies of {len(values)} runs on {cases}"
        return [Figure(f"{min(values):.0%} to {max(values):.0%}", "", what)]
    return [
        Figure(
            f"{scores.model.accuracy.value:.1%}",
            percent_span(scores.model.accuracy),
            f"accuracy of {name} on {counted(scores.n_cases, 'test case')}",
        )
        for name, scores in found
    ]


def _table(runs: list[RunData], names: list[str]) -> Section:
    rows: list[Row] = []
    for name, run in zip(names, runs, strict=True):
        scores, held_out = run.scores, run.outcome.held_out
        row: Row = [name, NONE, NONE, NONE, NONE, NONE]
        if scores is not None:
            model, mark = scores.model, scores.always.accuracy.value
            interval = figures.strip(model.accuracy, mark=mark)
            row = [name, estimated(model.accuracy), Cell("", svg=interval)]
            row += map(estimated, (model.balanced_accuracy, model.auroc, model.log_loss))
        rows.append([*row, estimated(held_out.scores.model.accuracy) if held_out else NONE])
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
    rows: list[Row] = []
    for pair in pairs:
        runs = Cell(names[pair.first], f"against {names[pair.second]}")
        row: Row = [runs, f"{pair.won:,} / {pair.lost:,}"]
        for gain, p in ((pair.accuracy, pair.p), (pair.auroc, pair.auroc_p)):
            row.append(NONE if gain is None else Cell(signed(gain.value), span(gain)))
            row.append(NONE if p is None else Cell(p_value(p), strong=p < SIGNIFICANT))
        rows.append(row)
    head = ["runs", "only one right", "accuracy", "p", "AUROC", "p"]
    caption = "Differences, the first run's less the second's, with 95 % intervals"
    against = ""
    if len(pairs) < len(names) * (len(names) - 1) // 2:
        against = " The runs are too many to compare all of them: each is compared with the first."
    several = " and corrected for the number of pairs (Holm)" if len(pairs) > 1 else ""
    text = (
        f"Both runs of a pair predicted the same {where} cases, which is what the tests go by:"
        f" McNemar's exact test for accuracy, DeLong's for AUROC, two-sided{several}. Bold: p"
        f" below {SIGNIFICANT:g}.{against}"
    )
    return Section("Differences", [Table(caption, head, rows), hint(text)])


def _curves(names: list[str], seen: list[Predictions]) -> Section:
    several = list(zip(names, seen, strict=True))[:5]
    drawn = [Ranking(name[:22], each.y == 1, each.proba[:, 1]) for name, each in several]
    pictures = [
        Picture(figures.roc(drawn), "ROC: what is found, over the false alarms it costs."),
        Picture(figures.precision_recall(drawn), "Precision over recall; dotted: at random."),
    ]
    blocks: list[Block] = [Pictures(pictures)]
    if len(names) > 5:
        blocks.append(hint("The first five runs are drawn."))
    return Section("Ranking", blocks)


def _seeds(runs: list[RunData], names: list[str]) -> Section:
    rows: list[Row] = []
    for group in methods([run.options for run in runs]):
        some = [scores.model for k in group if (scores := runs[k].scores) is not None]
        if len(some) > 1:
            row: Row = [shown(", ".join(names[k] for k in group), 120), str(len(some))]
            for measure in ("accuracy", "auroc", "log_loss"):
                estimates = [getattr(model, measure) for model in some]
                row.append(over_seeds([each.value for each in estimates if each is not None]))
            rows.append(row)
    if not rows:
        text = "No two runs are the same but for the seed: train with --seed 1, --seed 2."
        return Section("Seeds", [hint(text)])
    head = ["runs", "seeds", "accuracy", "AUROC", "log loss"]
    text = (
        "The spread over seeds is that of training alone, on one test part; the 95 % intervals"
        " above are that of the cases. A difference that is smaller than either shows nothing."
    )
    caption = "Runs that are the same but for the seed: mean over seeds"
    return Section("Seeds", [Table(caption, head, rows), hint(text)])


def _options(runs: list[RunData], names: list[str]) -> Section:
    differ = differing([run.options for run in runs])
    if not differ:
        return Section("Options", [hint("The runs were trained with the same options.")])
    order = sorted(differ, key=lambda name: (name in _NOT_OF_METHOD, name))
    rows: list[Row] = [
        [name, *(NONE if value is None else shown(value, 40) for value in differ[name])]
        for name in order
    ]
    table = Table("Where the options differ", ["option", *names], rows, words=True)
    return Section("Options", [table])


def _results(runs: list[RunData]) -> list[Result]:
    """Return the problems, and methods named by the options in which they differ."""
    digests = {run.problem.digest: run.name for run in runs}
    alike = len(set(digests.values())) < len(digests)
    groups = methods([run.options for run in runs])
    differ = differing([runs[group[0]].options for group in groups])
    differ.pop("seed", None)
    results = []
    for g, group in enumerate(groups):
        said = ", ".join(f"{name} {values[g]}" for name, values in differ.items())
        method = "foreshock" if len(groups) == 1 else f"foreshock: {said}"
        for run in (runs[k] for k in group):
            problem = f"{run.name} ({run.problem.digest[:7]})" if alike else run.name
            results.append(standings.result_of(run, problem=problem, method=method))
    return results
