"""What a benchmark came to: tables as CSV, one HTML page, one JSON document, lines to print."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from foreshock._text import NONE, counted, listed, number, p_value, shown, signed
from foreshock._version import __version__
from foreshock.benchmarking.results import ResultError, Results
from foreshock.reporting import figures as charts
from foreshock.reporting.compare_runs import diagram
from foreshock.reporting.html import (
    Block,
    Cell,
    Figure,
    Items,
    Page,
    Picture,
    Pictures,
    Section,
    Table,
    Text,
    render,
)
from foreshock.reporting.standings import DIGITS, Result, Standings, stand

_LONGEST = 40


def write_scoreboard(
    folder: str | Path,
    *,
    published: str | Path | None = None,
    peers: Sequence[str] = (),
    failed: Mapping[str, str] | None = None,
) -> Standings:
    """Write what all results in a benchmark's folder come to: two tables and a page.

    Parameters
    ----------
    folder : Path
        A benchmark's folder; results.csv, table.csv and index.html in it are replaced.
    published : Path, optional
        A CSV file of published accuracies (columns dataset, method, accuracy, split); by default
        published/accuracies.csv in the folder that FORESHOCK_DATA names, if it is there.
    peers : sequence of str, optional
        Its methods to compare with; by default the best known.
    failed : mapping of str to str, optional
        What is not there and why, to stand on the page.

    Returns
    -------
    Standings
        The numbers.

    Raises
    ------
    ResultError
        If there is no result, or one is damaged.
    ValueError
        If the file of published accuracies is none, or lacks a peer.
    """
    results = Results(Path(folder))
    every = results.all()
    if not every:
        raise ResultError(f"{folder} has no results yet: give problems to train on.")
    found = stand(every, published=None if published is None else Path(published), peers=peers)
    results.write_results(every)
    results.write_table("table.csv", _rows(found))
    results.write_page(render(page(found, every, failed or {})))
    return found


def document(standings: Standings) -> dict[str, Any]:
    """Give standings as JSON has them."""
    s = standings
    return {
        "problems": s.problems,
        "own": s.methods[: s.n_own],
        "published": s.methods[s.n_own :],
        "published_split": s.split,
        "accuracy": _listed(s.accuracy),
        "results": s.count.tolist(),
        "majority": s.majority.tolist(),
        "seconds": _listed(s.seconds),
        "problems_that_all_have": [s.problems[p] for p in s.whole],
        "mean_accuracy": _listed(s.means()),
        "mean_rank": _listed(s.ranks),
        "not_told_apart": [[s.methods[k] for k in group] for group in s.groups],
        "duels": [asdict(duel) for duel in s.duels],
    }


def page(standings: Standings, results: Sequence[Result], failed: Mapping[str, str]) -> Page:
    """Lay out what a benchmark came to."""
    s = standings
    sections = [_means(s), _duels(s), _time(s), _table(s), _made(s, results)]
    if failed:
        texts = [f"{shown(name)}: {shown(why, 400)}" for name, why in failed.items()]
        sections.append(Section("Not there", [Items(texts)]))
    figures = []
    for m, name in enumerate(s.methods[: s.n_own][:3]):
        values = s.accuracy[~np.isnan(s.accuracy[:, m]), m]
        what = f"mean accuracy of {shown(name)} on {counted(len(values), 'problem')}"
        interval = f"from {values.min():.1%} to {values.max():.1%}" if len(values) > 1 else ""
        figures.append(Figure(f"{values.mean():.1%}", interval, what))
    return Page(
        title="Benchmark",
        above=f"foreshock benchmark: {counted(len(results), 'result')} on"
        f" {counted(len(s.problems), 'problem')}",
        sentence=sentence(s),
        figures=figures,
        sections=sections,
        foot=f"Made by foreshock {__version__}. Every result was as its digest says. This page"
        " loads nothing and runs nothing.",
    )


def sentence(standings: Standings) -> str:
    """Say from which methods one's own are told apart, and from which not."""
    s = standings
    if not s.duels:
        mean = f"{np.nanmean(s.accuracy[:, 0]):.3f}"
        return f"{shown(s.methods[0])} has a mean accuracy of {mean}; there is nothing beside it."
    texts = []
    for method in s.methods[: s.n_own]:
        duels = [d for d in s.duels if d.method == method]
        verdicts: dict[str, list[str]] = {
            "better than": [],
            "worse than": [],
            "not told apart from": [],
        }
        for duel in duels:
            better = duel.won > duel.lost or (duel.won == duel.lost and duel.difference > 0)
            verdict = "better than" if better else "worse than"
            key = verdict if duel.p_corrected < 0.05 else "not told apart from"
            verdicts[key].append(shown(duel.against, _LONGEST))
        said = [f"{key} {_and(names)}" for key, names in verdicts.items() if names]
        if said:
            texts.append(f"{shown(method, _LONGEST)} is {'; '.join(said)}.")
    return " ".join(texts)


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _means(s: Standings) -> Section:
    means = s.means()
    blocks: list[Block] = []
    if len(s.whole):
        order = np.argsort(s.ranks if not np.isnan(s.ranks).any() else -means, kind="stable")
        rows: list[list[Cell | str]] = [
            [
                Cell(shown(s.methods[k]), strong=k < s.n_own),
                number(means[k]),
                NONE if np.isnan(s.ranks[k]) else number(s.ranks[k], 2),
                "here" if k < s.n_own else "published",
            ]
            for k in order
        ]
        caption = f"Means over the {counted(len(s.whole), 'problem')} that all methods have"
        blocks.append(
            Table(caption, ["method", "mean accuracy", "mean rank (1 is best)", "whose"], rows)
        )
        left = len(s.problems) - len(s.whole)
        if left:
            text = f"{counted(left, 'problem')} left out: some method has no accuracy there."
            blocks.append(Text(text, quiet=True))
        blocks += diagram(list(s.methods), s.accuracy[s.whole].round(DIGITS))
    else:
        blocks.append(Text("There is no problem on which every method has an accuracy."))
    return Section("Means and ranks", blocks)


def _duels(s: Standings) -> Section:
    title = "One against the other"
    if not s.duels:
        return Section(title, [Text("There is nothing to compare with.", quiet=True)])
    rows: list[list[Cell | str]] = [
        [
            f"{shown(d.method, _LONGEST)} against {shown(d.against, _LONGEST)}",
            f"{d.n_problems}",
            f"{d.won}",
            f"{d.drawn}",
            f"{d.lost}",
            signed(d.difference),
            p_value(d.p),
            Cell(p_value(d.p_corrected), strong=d.p_corrected < 0.05),
        ]
        for d in s.duels
    ]
    head = ["methods", "problems", "won", "drawn", "lost", "difference", "p", "p, corrected"]
    text = (
        "On the problems that both have. Accuracies are compared to three decimals; p is of"
        " Wilcoxon's signed-rank test over problems, two-sided, and is corrected by Holm's method"
        f" for the {counted(len(s.duels), 'comparison')} of this table."
    )
    return Section(title, [Table("Problems won, drawn and lost", head, rows), Text(text)])


def _time(s: Standings) -> Section:
    everywhere = np.flatnonzero(~np.isnan(s.seconds).any(axis=1))
    if not len(everywhere):
        hint = "There is no problem that each of the methods was trained on here."
        return Section("Accuracy and time", [Text(hint, quiet=True)])
    own = list(map(shown, s.methods[: s.n_own]))
    seconds, accuracy = (
        values[everywhere, : s.n_own].mean(axis=0) for values in (s.seconds, s.accuracy)
    )
    rows: list[list[Cell | str]] = [
        [name, number(accuracy[k]), f"{seconds[k]:.3g}"] for k, name in enumerate(own)
    ]
    caption = (
        f"On the {counted(len(everywhere), 'problem')} that each method was trained on here. The"
        " time axis is logarithmic. Published methods have no times that could stand beside."
    )
    head = ["method", "mean accuracy", "seconds"]
    blocks: list[Block] = [Table("Seconds of training, mean over problems", head, rows)]
    try:
        svg = charts.speeds(np.maximum(seconds, 1e-3).tolist(), accuracy.tolist(), own)
        blocks.append(Pictures([Picture(svg, caption)]))
    except ImportError as error:
        blocks.append(Text(f"No picture: {error}.", quiet=True))
    return Section("Accuracy and time", blocks)


def _table(s: Standings) -> Section:
    rows: list[list[Cell | str]] = []
    for p, problem in enumerate(s.problems):
        row: list[Cell | str] = [shown(problem, _LONGEST)]
        for m in range(len(s.methods)):
            value = s.accuracy[p, m]
            if np.isnan(value):
                row.append(NONE)
            elif m >= s.n_own:
                row.append(number(value))
            else:
                n, spread = int(s.count[p, m]), s.deviation[p, m]
                below = "" if np.isnan(spread) else f"± {number(spread)}, {n} results"
                row.append(Cell(number(value), below, strong=True))
        rows.append([*row, number(s.majority[p])])
    head = ["problem", *(shown(name, 30) for name in s.methods), "commonest class"]
    caption = "Test accuracy; of several results the mean, and the deviation between them"
    blocks: list[Block] = [Table(caption, head, rows)]
    if s.n_own < len(s.methods):
        which = (
            "means over the resamples of their authors, beside means over the resamples drawn here"
            if s.split == "mean of resamples"
            else "on the default split, one number each"
        )
        blocks.append(Text(f"Published accuracies are others': taken from a file, {which}."))
    else:
        hint = (
            f"The file of published accuracies has no method that covers these ({s.split})."
            if s.published
            else "No published accuracies: give --published FILE, or a folder FORESHOCK_DATA with"
            " published/accuracies.csv in it."
        )
        blocks.append(Text(hint, quiet=True))
    return Section("Accuracy", blocks)


def _made(s: Standings, results: Sequence[Result]) -> Section:
    rows: list[list[Cell | str]] = []
    for method in s.methods[: s.n_own]:
        some = [r for r in results if r.method == method]
        rows.append(
            [
                shown(method),
                f"{len(some)}",
                _each({r.seed for r in some}),
                _each({r.resample for r in some}),
                _each({r.threads for r in some}),
                _each({f"{r.device}, {r.precision}" for r in some}),
                _each({r.versions[0] for r in some if r.versions}),
            ]
        )
    head = ["method", "results", "seeds", "resamples", "threads", "on", "by"]
    return Section("How it was made", [Table("Results by method", head, rows, words=True)])


def _each(values: set[Any]) -> str:
    return listed(sorted(values), 6)


def _rows(s: Standings) -> list[list[object]]:
    rows: list[list[object]] = [["problem", *s.methods, "commonest class"]]
    for p, problem in enumerate(s.problems):
        values = ["" if np.isnan(v) else round(float(v), 6) for v in s.accuracy[p]]
        rows.append([problem, *values, round(float(s.majority[p]), 6)])
    return rows


def _listed(values: Any) -> Any:
    """Make lists of an array, None for NaN."""
    if values.ndim > 1:
        return [_listed(row) for row in values]
    return [None if np.isnan(v) else float(v) for v in values]
