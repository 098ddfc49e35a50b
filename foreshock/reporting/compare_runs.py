"""Which of several runs differ by more than chance explains, and how methods rank over problems."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foreshock._text import NONE, counted, listed, number, p_value, shown, signed
from foreshock.metrics.intervals import Estimate, compare_auroc, mcnemar, percent_span, span
from foreshock.metrics.significance import holm, paired_difference
from foreshock.reporting import figures, standings
from foreshock.reporting.figures import Ranking
from foreshock.reporting.html import (
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
from foreshock.reporting.run_data import Predictions, RunData
from foreshock.reporting.standings import Result

NOT_OF_METHOD = standings.BOOKKEEPING | {"seed"}
"""Options that make no other method of a training."""


@dataclass(frozen=True)
class Pair:
    """Two runs on the same cases."""

    first: int
    """Position of the one."""

    second: int
    """Position of the other."""

    n_cases: int
    """How many cases both were judged on."""

    won: int
    """Cases that only the first has right."""

    lost: int
    """Cases that only the second has right."""

    accuracy: Estimate
    """How much larger the first's accuracy is."""

    p: float
    """Of McNemar's exact test, corrected for the number of pairs."""

    auroc: Estimate | None
    """How much larger the first's AUROC is, for two classes."""

    auroc_p: float | None
    """Of DeLong's paired test, corrected for the number of pairs."""


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
        if not same_cases(a, b):
            raise ValueError("runs are compared on the same cases only.")
        won, lost = int((a.right & ~b.right).sum()), int((b.right & ~a.right).sum())
        area, area_p = None, None
        if a.proba.shape[1] == 2 and 0 < a.y.sum() < len(a.y):
            area, area_p = compare_auroc(a.y, a.proba[:, 1], b.proba[:, 1])
        gain = paired_difference(won, lost, len(a.y))
        p = mcnemar(a.right, b.right)
        found.append(Pair(i, j, len(a.y), won, lost, gain, p, area, area_p))
    corrected = holm([pair.p for pair in found])
    known = [pair.auroc_p for pair in found if pair.auroc_p is not None]
    areas = iter(holm(known))
    return [
        Pair(
            *(pair.first, pair.second, pair.n_cases, pair.won, pair.lost, pair.accuracy, p),
            pair.auroc,
            None if pair.auroc_p is None else next(areas),
        )
        for pair, p in zip(found, corrected, strict=True)
    ]


def choose_pairs(n: int, most: int = 10) -> list[tuple[int, int]]:
    """Return all pairs of runs or, where they are too many, each against the first."""
    every = list(itertools.combinations(range(n), 2))
    return every if len(every) <= most else [(0, other) for other in range(1, n)]


def same_cases(a: Predictions, b: Predictions) -> bool:
    """Check whether two tables of predictions are of the same cases."""
    return np.array_equal(a.case, b.case) and np.array_equal(a.y, b.y)


@dataclass(frozen=True)
class Spread:
    """A number over seeds."""

    n: int
    mean: float
    deviation: float | None
    """Between seeds, with n - 1; None for one."""
    lowest: float
    highest: float


def spread(values: Sequence[float]) -> Spread:
    """Return the mean and the range of a number over seeds."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(len(values), float(np.mean(values)), deviation, min(values), max(values))


def methods(options: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Gather the runs that are the same but for the seed, by their positions."""
    groups: dict[str, list[int]] = {}
    for position, values in enumerate(options):
        key = repr(sorted((k, repr(v)) for k, v in values.items() if k not in NOT_OF_METHOD))
        groups.setdefault(key, []).append(position)
    return list(groups.values())


def differing(options: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the options in which configurations differ, with each one's value; None for none."""
    names = dict.fromkeys(name for values in options for name in values)
    every = {name: [values.get(name) for values in options] for name in names}
    return {name: values for name, values in every.items() if len(set(map(repr, values))) > 1}


_LEVEL = 0.05


def labels(runs: list[RunData]) -> list[str]:
    """Return the folder names of runs; the whole paths where those are alike."""
    names = [run.folder.resolve().name for run in runs]
    if len(set(names)) < len(names):
        names = [str(run.folder) for run in runs]
    return [shown(name, 40) for name in names]


def judged(runs: list[RunData]) -> tuple[str, list[Predictions]] | None:
    """Return predictions of the same cases by every run: of the test part, or held out."""
    for where, of in (
        ("test", [run.predictions for run in runs]),
        ("held-out", [run.held_out for run in runs]),
    ):
        have = [each for each in of if each is not None]
        if len(have) == len(runs) and all(same_cases(have[0], each) for each in have):
            return where, have
    return None


def page_of_runs(runs: list[RunData], foot: str) -> Page:
    """Write the comparison of runs of one problem."""
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


def _figures(runs: list[RunData], names: list[str]) -> list[Figure]:
    found = [(name, run.scores) for name, run in zip(names, runs, strict=True) if run.scores]
    if not found:
        return []
    if len(found) <= 3:
        return [
            Figure(
                f"{s.model.accuracy.value:.1%}",
                percent_span(s.model.accuracy),
                f"accuracy of {name} on {counted(s.n_cases, 'test case')}",
            )
            for name, s in found
        ]
    values = [s.model.accuracy.value for _, s in found]
    what = f"accuracies of {len(values)} runs on {counted(found[0][1].n_cases, 'test case')}"
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


def _table(runs: list[RunData], names: list[str], seen: tuple[str, Any] | None) -> Section:
    rows: list[list[Cell | str]] = []
    for name, run in zip(names, runs, strict=True):
        scores, held_out = run.scores, run.outcome.held_out
        row: list[Cell | str] = [name, NONE, NONE, NONE, NONE, NONE]
        if scores is not None:
            model, mark = scores.model, scores.always.accuracy.value
            interval = figures.strip(model.accuracy, mark=mark)
            row = [name, estimated(model.accuracy), Cell("", svg=interval)]
            row += map(estimated, (model.balanced_accuracy, model.auroc, model.log_loss))
        row.append(estimated(held_out.scores.model.accuracy) if held_out else NONE)
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
            NONE if pair.auroc is None else _difference(pair.auroc),
            NONE if pair.auroc_p is None else _p(pair.auroc_p),
        ]
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
    return Cell(signed(estimate.value), span(estimate))


def _p(p: float) -> Cell:
    return Cell(p_value(p), strong=p < _LEVEL)


def _curves(names: list[str], seen: tuple[str, list[Predictions]]) -> Section:
    several = list(zip(names, seen[1], strict=True))[:5]
    drawn = [Ranking(name[:22], each.y == 1, each.proba[:, 1]) for name, each in several]
    pictures = [
        Picture(figures.roc(drawn), "ROC: what is found, over the false alarms it costs."),
        Picture(figures.precision_recall(drawn), "Precision over recall; dotted: at random."),
    ]
    blocks: list[Block] = [Pictures(pictures)]
    if len(names) > 5:
        blocks.append(Text("The first five runs are drawn.", quiet=True))
    return Section("Ranking", blocks)


def _seeds(runs: list[RunData], names: list[str]) -> Section:
    rows: list[list[Cell | str]] = []
    for group in methods([run.options for run in runs]):
        some = [s.model for k in group if (s := runs[k].scores) is not None]
        if len(some) < 2:
            continue
        who = ", ".join(names[k] for k in group)
        row: list[Cell | str] = [shown(who, 120), str(len(some))]
        for estimates in (
            [model.accuracy for model in some],
            [model.auroc for model in some],
            [model.log_loss for model in some],
        ):
            values = [estimate.value for estimate in estimates if estimate is not None]
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


def _options(runs: list[RunData], names: list[str]) -> Section:
    differ = differing([run.options for run in runs])
    title = "Options"
    if not differ:
        return Section(title, [Text("The runs were trained with the same options.", quiet=True)])
    order = sorted(differ, key=lambda name: (name in NOT_OF_METHOD, name))
    rows: list[list[Cell | str]] = [
        [name, *(NONE if value is None else shown(value, 40) for value in differ[name])]
        for name in order
    ]
    table = Table("Where the options differ", ["option", *names], rows, words=True)
    return Section(title, [table])


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
        names = listed(labels([run for run in runs if run.scores is None]))
        sections.append(Section("No test part", [Text(f"Runs without a test part: {names}.")]))
    above = f"foreshock report: {len(runs)} runs of {n} problems"
    return Page("Accuracy by problem", above, sentence, numbers, sections, foot)


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
