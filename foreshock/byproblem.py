"""What a report says of runs of several problems, beside what others published."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foreshock import charts
from foreshock._text import NONE, counted, number, shown, span
from foreshock.comparison import differing, methods
from foreshock.gathering import Gathered
from foreshock.metrics.scores import always_name
from foreshock.metrics.significance import cliques, mean_ranks, pairwise_wilcoxon
from foreshock.pages import Block, Cell, Figure, Page, Picture, Pictures, Section, Table, Text
from foreshock.published import PEERS, Published

_METHODS, _PROBLEMS = 10, 3


@dataclass(frozen=True)
class _Grid:
    """Accuracies by problem and method of one's own."""

    problems: list[str]
    """Names as they are shown."""

    keys: list[str]
    """Names as published."""

    methods: list[str]
    cells: dict[tuple[int, int], list[Gathered]]
    """Runs by positions of problem and method."""

    def accuracy(self, problem: int, method: int) -> float | None:
        """Give the mean accuracy over seeds."""
        runs = self.cells.get((problem, method), [])
        values = [
            run.scores["scores"]["model"]["accuracy"]["value"]
            for run in runs
            if run.scores["scores"] is not None
        ]
        return float(np.mean(values)) if values else None


def page(runs: list[Gathered], published: Published | None, foot: str) -> Page:
    """Lay out runs of several problems."""
    grid = _grid(runs)
    peers = choose_peers(grid.keys, published or {})
    sections = [_table(grid, peers, published), _ranks(grid, peers, published or {})]
    scored = [s for every in grid.cells.values() for run in every if (s := run.scores["scores"])]
    better = sum(s["tests"].get("majority", {}).get("verdict") == "better" for s in scored)
    n = len(grid.problems)
    sentence = (
        f"Of {counted(len(scored), 'run')} with a test part on {counted(n, 'problem')}, {better}"
        f" {'is' if better == 1 else 'are'} better than always giving the commonest class."
    )
    figures: list[Figure] = []
    for k, name in enumerate(grid.methods):
        values = [a for p in range(n) if (a := grid.accuracy(p, k)) is not None]
        if values and len(figures) < 3:
            what = f"mean accuracy of {name} on {counted(len(values), 'problem')}"
            interval = f"from {min(values):.1%} to {max(values):.1%}" if len(values) > 1 else ""
            figures.append(Figure(f"{np.mean(values):.1%}", interval, what))
    above = f"foreshock report: {len(runs)} runs of {n} problems"
    return Page("Accuracy by problem", above, sentence, figures, sections, foot)


def _grid(runs: list[Gathered]) -> _Grid:
    digests = list(dict.fromkeys(run.problem["digest"] for run in runs))
    names = {run.problem["digest"]: run.name for run in runs}
    alike = len(set(names.values())) < len(digests)
    groups = methods([run.options for run in runs])
    differ = differing([run.options for run in (runs[group[0]] for group in groups)])
    differ.pop("seed", None)
    titles = []
    for g in range(len(groups)):
        said = ", ".join(f"{name} {shown(values[g], 20)}" for name, values in differ.items())
        titles.append("foreshock" if len(groups) == 1 else shown(f"foreshock: {said}", 60))
    cells: dict[tuple[int, int], list[Gathered]] = {}
    for g, group in enumerate(groups):
        for k in group:
            cells.setdefault((digests.index(runs[k].problem["digest"]), g), []).append(runs[k])
    return _Grid(
        problems=[shown(names[d], 40) + (f" ({shown(d, 7)})" if alike else "") for d in digests],
        keys=[names[d] for d in digests],
        methods=titles,
        cells=cells,
    )


def choose_peers(problems: list[str], published: Published) -> list[str]:
    """Choose published methods to stand beside: those of `PEERS`, or the best without holes."""
    wanted = [name for name in problems if any(name == dataset for dataset, _ in published)]
    every = dict.fromkeys(method for dataset, method in published if dataset in wanted)
    whole = [m for m in every if all((name, m) in published for name in wanted)]
    known = [method for method in PEERS if method in whole]
    if known or not wanted:
        return known
    mean = {m: float(np.mean([published[name, m] for name in wanted])) for m in whole}
    return sorted(whole, key=lambda m: (-mean[m], m))[: _METHODS - 3]


def _table(grid: _Grid, peers: list[str], published: Published | None) -> Section:
    rows: list[list[Cell | str]] = []
    for p, name in enumerate(grid.problems):
        every = [run for g in range(len(grid.methods)) for run in grid.cells.get((p, g), [])]
        scores = next((s for run in every if (s := run.scores["scores"]) is not None), None)
        if scores is None:
            rows.append(
                [Cell(name, "no test part"), *[NONE] * (1 + len(grid.methods) + len(peers))]
            )
            continue
        always = scores["baselines"].get(always_name(scores["majority"]))
        row: list[Cell | str] = [Cell(name, counted(scores["n_cases"], "test case"))]
        row += [_own(grid, p, g) for g in range(len(grid.methods))]
        row.append(NONE if always is None else number(always["accuracy"]["value"]))
        row += [number((published or {}).get((grid.keys[p], peer))) for peer in peers]
        rows.append(row)
    head = ["problem", *grid.methods, "commonest class", *(shown(peer, 30) for peer in peers)]
    blocks: list[Block] = [
        Table("Test accuracy with 95 % intervals; of several seeds, the mean", head, rows)
    ]
    if peers:
        text = (
            "Published accuracies are others': taken from a file, not run here, one number each on"
            " the default split, without intervals."
        )
        blocks.append(Text(text))
    elif published is None:
        hint = (
            "No published accuracies: give --published FILE, or a folder FORESHOCK_DATA with"
            " published/accuracies.csv in it."
        )
        blocks.append(Text(hint, quiet=True))
    else:
        hint = "The file of published accuracies has no method that covers these problems."
        blocks.append(Text(hint, quiet=True))
    return Section("Accuracy", blocks)


def _own(grid: _Grid, problem: int, method: int) -> Cell | str:
    runs = [run for run in grid.cells.get((problem, method), []) if run.scores["scores"]]
    mean = grid.accuracy(problem, method)
    if mean is None:
        return NONE
    if len(runs) == 1:
        return Cell(number(mean), span(runs[0].scores["scores"]["model"]["accuracy"]), strong=True)
    return Cell(number(mean), f"{len(runs)} seeds", strong=True)


def whole(
    grid: _Grid, peers: list[str], published: Published
) -> tuple[list[int], list[str], NDArray[np.float64]]:
    """Keep the problems on which every method has an accuracy; give them, methods, accuracies."""
    kept, table = [], []
    for p, key in enumerate(grid.keys):
        own = [grid.accuracy(p, g) for g in range(len(grid.methods))]
        row = own + [published.get((key, peer)) for peer in peers]
        if all(value is not None for value in row):
            kept.append(p)
            table.append(row)
    names = [*grid.methods, *peers]
    return kept, names, np.array(table, np.float64).reshape(len(kept), len(names))


def _ranks(grid: _Grid, peers: list[str], published: Published) -> Section:
    kept, names, table = whole(grid, peers, published)
    title = "Ranks"
    if len(names) < 2 or len(kept) < 2:
        hint = (
            "Ranks need two methods and two problems on which both have an accuracy; here are"
            f" {counted(len(names), 'method')} and {counted(len(kept), 'such problem')}."
        )
        return Section(title, [Text(hint, quiet=True)])
    ranks, means = mean_ranks(table), table.mean(axis=0)
    rows: list[list[Cell | str]] = [
        [
            Cell(shown(names[k], 60), strong=k < len(grid.methods)),
            number(ranks[k], 2),
            number(means[k]),
        ]
        for k in np.argsort(ranks, kind="stable")
    ]
    blocks: list[Block] = [
        Table(
            f"Mean ranks (1 is best) over the {len(kept)} problems without holes",
            ["method", "mean rank", "mean accuracy"],
            rows,
        )
    ]
    left = len(grid.problems) - len(kept)
    if left:
        text = f"{counted(left, 'problem')} left out: some method has no accuracy there."
        blocks.append(Text(text, quiet=True))
    blocks += diagram(names, table)
    return Section(title, blocks)


def diagram(names: list[str], table: NDArray[np.float64]) -> list[Block]:
    """Draw the critical difference diagram of methods, where there is enough to draw it of.

    Parameters
    ----------
    names : list of str
        The methods.
    table : ndarray of shape (n_problems, n_methods)
        Their accuracies, without holes.
    """
    if len(table) < _PROBLEMS or len(names) < 3:
        hint = f"A critical difference diagram needs three methods and {_PROBLEMS} problems."
        return [Text(hint, quiet=True)]
    ranks, titles = mean_ranks(table), [shown(name, 24) for name in names]
    groups = cliques(ranks, pairwise_wilcoxon(table))
    try:
        svg = charts.critical_difference(ranks.tolist(), titles, groups, len(table))
    except ImportError as error:
        return [Text(f"No critical difference diagram: {error}.", quiet=True)]
    caption = (
        f"Mean ranks on {len(table)} problems, the best to the right; a bar joins methods that"
        " Wilcoxon's signed-rank tests of all pairs do not tell apart at 5 %, corrected for their"
        " number (Holm)."
    )
    blocks: list[Block] = [Pictures([Picture(svg, caption, wide=True)])]
    words = [" and ".join(shown(names[k], 60) for k in group) for group in groups]
    said = f"Not told apart: {'; '.join(words)}." if words else "Every pair is told apart."
    blocks.append(Text(said, quiet=True))
    if len(table) < 10:
        few = f"With {len(table)} problems such tests can hardly tell anything apart."
        blocks.append(Text(few, quiet=True))
    return blocks
