"""What a benchmark came to: tables as CSV, one HTML page, one JSON document, lines to print."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from foreshock._text import counted, listed, number, shown
from foreshock._version import __version__
from foreshock.benchmarking.results import ResultError, Results
from foreshock.reporting import figures
from foreshock.reporting.html import (
    Block,
    Cell,
    Items,
    Page,
    Picture,
    Pictures,
    Section,
    Table,
    Text,
    render,
)
from foreshock.reporting.standings import (
    Result,
    Standings,
    accuracies,
    means_and_ranks,
    means_of_own,
    one_against_the_other,
    sentence,
    stand,
)


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
    """Return standings as JSON."""
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
    """Write the page of a benchmark."""
    s = standings
    sections = [
        means_and_ranks(s),
        one_against_the_other(s),
        _time(s),
        accuracies(s, results),
        _made(s, results),
    ]
    if failed:
        texts = [f"{shown(name)}: {shown(why, 400)}" for name, why in failed.items()]
        sections.append(Section("Not there", [Items(texts)]))
    return Page(
        title="Benchmark",
        above=f"foreshock benchmark: {counted(len(results), 'result')} on"
        f" {counted(len(s.problems), 'problem')}",
        sentence=sentence(s),
        figures=means_of_own(s),
        sections=sections,
        foot=f"Made by foreshock {__version__}. Every result was as its digest says. This page"
        " loads nothing and runs nothing.",
    )


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
        svg = figures.speeds(np.maximum(seconds, 1e-3).tolist(), accuracy.tolist(), own)
        blocks.append(Pictures([Picture(svg, caption)]))
    except ImportError as error:
        blocks.append(Text(f"No picture: {error}.", quiet=True))
    return Section("Accuracy and time", blocks)


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
