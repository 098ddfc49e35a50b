"""How methods stand over problems, beside accuracies that others published, and its sections."""

import csv
import hashlib
import io
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from foreshock._text import NONE, counted, number, p_value, shown, signed
from foreshock.metrics.intervals import Estimate, span
from foreshock.metrics.significance import (
    SIGNIFICANT,
    cliques,
    holm,
    mean_ranks,
    pairwise_wilcoxon,
    wilcoxon,
)
from foreshock.reporting import figures
from foreshock.reporting.html import (
    Block,
    Cell,
    Figure,
    Picture,
    Pictures,
    Row,
    Section,
    Table,
    Text,
    hint,
)
from foreshock.reporting.run_data import RunData

BOOKKEEPING = frozenset({"checkpoint_seconds", "devices", "log"})
"""Options that make no other result."""
PEERS = ("1NN-DTW", "FCN", "ResNet", "InceptionTime", "ROCKET", "MR-Hydra", "HC2")
"""Methods to stand beside, where a file has them: the simplest, the nearest and the best."""
DIGITS = 3
"""Decimals to which accuracies are compared, as published ones are often rounded to."""
_COLUMNS = ("dataset", "method", "accuracy", "split")
_MOST_METHODS, _PROBLEMS, _LONGEST = 7, 3, 40
"""Peers of an unknown file, problems that a diagram needs, letters of a name."""

Published = dict[tuple[str, str], float]
"""Accuracies by problem and method."""
Split = Literal["default split", "mean of resamples"]
"""Of which parts an accuracy is."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one training on one problem came to."""

    problem: str
    """Name of the problem."""

    method: str
    """Name of the configuration: a preset."""

    seed: int
    """Seed of the training."""

    resample: int
    """Which parts: 0 are the problem's own, others are drawn with this as their seed."""

    accuracy: Estimate
    """Of the test part, with its 95 % interval; so are the next three."""

    balanced_accuracy: Estimate
    auroc: Estimate | None
    log_loss: Estimate

    majority_accuracy: float
    """Accuracy of always giving the class that most training cases have."""

    fit_seconds: float
    """Seconds of all epochs."""

    seconds: float
    """Seconds of everything: loading, fitting, scoring, saving."""

    threads: int
    """Threads that it had."""

    device: str
    """Where it was trained: cpu or cuda."""

    precision: str
    """Arithmetic of the training: float32 or bf16."""

    n_train: int
    n_valid: int
    n_test: int
    n_classes: int
    n_channels: int
    n_timepoints: int
    """Sizes of the problem."""

    versions: tuple[str, ...]
    """Software that trained."""

    started: str
    """When, UTC."""

    config: dict[str, Any]
    """Every option of the training."""

    config_digest: str
    """Hash of the options."""

    data_digest: str
    """Hash of the cases, their labels and their own parts."""

    @property
    def name(self) -> str:
        """What its files are called."""
        return name_of(self.problem, self.method, self.seed, self.resample)


@dataclass(frozen=True, kw_only=True)
class Duel:
    """Two methods on the problems that both have."""

    method: str
    """One's own."""

    against: str
    """Another of one's own, or a peer."""

    n_problems: int
    won: int
    drawn: int
    lost: int
    """Problems, accuracies compared to three decimals."""

    difference: float
    """How much larger the first's mean accuracy is."""

    p: float
    """Of Wilcoxon's signed-rank test, two-sided."""

    p_corrected: float
    """Corrected for the number of duels by Holm's method."""

    @property
    def verdict(self) -> str:
        """Whether the one is better than the other, at 5 %."""
        if self.p_corrected >= SIGNIFICANT:
            return "not significantly different from"
        better = self.won > self.lost or (self.won == self.lost and self.difference > 0)
        return "better than" if better else "worse than"


@dataclass(frozen=True, kw_only=True, eq=False)
class Standings:
    """How methods stand."""

    problems: tuple[str, ...]
    methods: tuple[str, ...]
    """One's own first, then the peers."""

    n_own: int
    """How many are one's own."""

    accuracy: NDArray[np.float64]
    """Mean over seeds and resamples, (n_problems, n_methods); NaN where there is none."""

    deviation: NDArray[np.float64]
    """Between one's own results of a problem, (n_problems, n_own); NaN of fewer than two."""

    count: NDArray[np.int64]
    """How many results that mean is of, (n_problems, n_own)."""

    majority: NDArray[np.float64]
    """Accuracy of always giving the commonest class, (n_problems,)."""

    seconds: NDArray[np.float64]
    """Mean seconds of all epochs, (n_problems, n_own); NaN where there is none."""

    whole: NDArray[np.int64]
    """Positions of the problems on which every method has an accuracy."""

    ranks: NDArray[np.float64]
    """Mean ranks on those, (n_methods,); NaN where there are none."""

    groups: tuple[tuple[int, ...], ...]
    """Methods without a significant difference on those, by their positions."""

    duels: tuple[Duel, ...]
    """Each of one's own methods against every other."""

    split: Split
    """Of which parts the published accuracies are."""

    published: bool
    """Whether there is a file of them."""

    def means(self) -> NDArray[np.float64]:
        """Return the mean accuracies over the problems that all have, (n_methods,)."""
        if not len(self.whole):
            return np.full(len(self.methods), np.nan)
        return np.asarray(self.accuracy[self.whole].mean(axis=0), np.float64)


def name_of(problem: str, method: str, seed: int, resample: int) -> str:
    """Return the file names of a result, whatever the problem and the method are called."""
    return f"{_clean(problem)}.{_clean(method)}.seed{seed}.resample{resample}"


def result_of(run: RunData, *, problem: str, method: str, **known: Any) -> Result:
    """Return a run as a row of standings.

    Parameters
    ----------
    run : RunData
        A run with a test part.
    problem, method : str
        What they are called.
    **known
        Fields that are known better than by the run.
    """
    scores, made, card = run.scores, run.environment, run.problem.card
    assert scores is not None
    sizes = {name: part.cases for name, part in card.parts.items()}
    seconds = round(sum(each.seconds for each in run.trainings), 3)
    found = Result(
        problem=problem,
        method=method,
        seed=run.options["seed"],
        resample=0,
        accuracy=scores.model.accuracy,
        balanced_accuracy=scores.model.balanced_accuracy,
        auroc=scores.model.auroc,
        log_loss=scores.model.log_loss,
        majority_accuracy=scores.always.accuracy.value,
        fit_seconds=seconds,
        seconds=seconds,
        threads=made.threads,
        device=made.device,
        precision=made.precision,
        n_train=sizes["train"],
        n_valid=sizes.get("valid", 0),
        n_test=scores.n_cases,
        n_classes=len(scores.classes),
        n_channels=card.n_channels,
        n_timepoints=card.n_timepoints,
        versions=made.versions,
        started=made.started,
        config=run.config,
        config_digest="",
        data_digest=run.problem.digest,
    )
    return replace(found, **known)


def find_published() -> Path | None:
    """Find the file in the folder that FORESHOCK_DATA names, if it is there."""
    data = os.environ.get("FORESHOCK_DATA")
    path = None if data is None else Path(data) / "published" / "accuracies.csv"
    return path if path is not None and path.is_file() else None


def read_published(path: Path, split: Split = "default split") -> Published:
    """Read published accuracies, by problem and method.

    Parameters
    ----------
    path : Path
        A CSV file with the columns dataset, method, accuracy and split.
    split : {"default split", "mean of resamples"}
        How the split has to begin for an accuracy to count.

    Raises
    ------
    ValueError
        If it is no such file; the line is named.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}: --published names a CSV file.")
    try:
        table = csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""))
        missing = [name for name in _COLUMNS if name not in (table.fieldnames or ())]
        if missing:
            raise ValueError(f"it has no column {missing[0]!r}; it needs {', '.join(_COLUMNS)}")
        rows = [_row(row, table.line_num) for row in table]
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path} has no published accuracies: {error}.") from error
    # sources differ; where there are several, the archive's own table (resample 0) counts
    rows.sort(key=lambda row: "resample 0" in row[3])
    return {(name, method): value for name, method, value, of in rows if of.startswith(split)}


def stand(
    results: Sequence[Result],
    *,
    published: Path | None = None,
    peers: Sequence[str] = (),
) -> Standings:
    """Compare the methods of a benchmark with each other and with published accuracies.

    Parameters
    ----------
    results : sequence of Result
        At least one.
    published : Path, optional
        A CSV file of published accuracies; by default that of FORESHOCK_DATA, if it is there.
    peers : sequence of str, optional
        Methods of that file to compare with; by default the best known of those it has.

    Returns
    -------
    Standings
        Where there are resamples, published means over resamples stand beside; else published
        accuracies on the default split.

    Raises
    ------
    ValueError
        If the file is none, or has no such peer.
    """
    split: Split = "mean of resamples" if any(r.resample for r in results) else "default split"
    file = published or find_published()
    known = {} if file is None else read_published(file, split)
    problems = tuple(sorted({result.problem for result in results}, key=str.lower))
    own = tuple(dict.fromkeys(result.method for result in results))
    if peers and file is None:
        raise ValueError("--peer needs a file of published accuracies: give --published FILE.")
    chosen = _check(peers, known, split) if peers else _choose(problems, known)
    chosen = tuple(name for name in chosen if name not in own)
    shape = len(problems), len(own)
    accuracy, deviation, seconds = (np.full(shape, np.nan) for _ in range(3))
    count, majority = np.zeros(shape, np.int64), np.zeros(len(problems))
    for p, problem in enumerate(problems):
        of_problem = [r for r in results if r.problem == problem]
        majority[p] = np.mean([r.majority_accuracy for r in of_problem])
        for m, method in enumerate(own):
            some = [r for r in of_problem if r.method == method]
            count[p, m] = len(some)
            if some:
                accuracy[p, m] = np.mean([r.accuracy.value for r in some])
                seconds[p, m] = np.mean([r.fit_seconds for r in some])
            if len(some) > 1:
                deviation[p, m] = np.std([r.accuracy.value for r in some], ddof=1)
    others = [[known.get((name, peer), np.nan) for peer in chosen] for name in problems]
    table = np.hstack([accuracy, np.array(others).reshape(len(problems), len(chosen))])
    whole = np.flatnonzero(~np.isnan(table).any(axis=1))
    ranks, groups = np.full(table.shape[1], np.nan), list[list[int]]()
    compared = table[whole].round(DIGITS)
    if len(whole) and table.shape[1] > 1:
        ranks = mean_ranks(compared)
        groups = cliques(ranks, pairwise_wilcoxon(compared))
    return Standings(
        problems=problems,
        methods=(*own, *chosen),
        n_own=len(own),
        accuracy=table,
        deviation=deviation,
        count=count,
        majority=majority,
        seconds=seconds,
        whole=whole,
        ranks=ranks,
        groups=tuple(map(tuple, groups)),
        duels=_duels((*own, *chosen), len(own), table),
        split=split,
        published=file is not None,
    )


def sentence(standings: Standings) -> str:
    """Return from which methods one's own differ significantly, and from which not."""
    s = standings
    if not s.duels:
        mean = f"{np.nanmean(s.accuracy[:, 0]):.3f}"
        return f"{shown(s.methods[0])} has a mean accuracy of {mean}; there is nothing beside it."
    texts = []
    for method in s.methods[: s.n_own]:
        verdicts: dict[str, list[str]] = {}
        for duel in s.duels:
            if duel.method == method:
                verdicts.setdefault(duel.verdict, []).append(shown(duel.against, _LONGEST))
        order = ("better than", "worse than", "not significantly different from")
        said = [f"{verdict} {_and(verdicts[verdict])}" for verdict in order if verdict in verdicts]
        if said:
            texts.append(f"{shown(method, _LONGEST)} is {'; '.join(said)}.")
    return " ".join(texts)


def means_of_own(s: Standings) -> list[Figure]:
    """Return the mean accuracies of the first three of one's own methods."""
    found = []
    for m, name in enumerate(s.methods[: s.n_own][:3]):
        values = s.accuracy[~np.isnan(s.accuracy[:, m]), m]
        what = f"mean accuracy of {shown(name)} on {counted(len(values), 'problem')}"
        interval = f"from {values.min():.1%} to {values.max():.1%}" if len(values) > 1 else ""
        found.append(Figure(f"{values.mean():.1%}", interval, what))
    return found


def accuracies(s: Standings, results: Sequence[Result]) -> Section:
    """Show the accuracy of each method on each problem."""
    rows: list[Row] = []
    for p, problem in enumerate(s.problems):
        some = [r for r in results if r.problem == problem]
        cases = counted(some[0].n_test, "test case")
        row: Row = [Cell(shown(problem, _LONGEST), cases)]
        for m in range(len(s.methods)):
            value = s.accuracy[p, m]
            if np.isnan(value):
                row.append(NONE)
            elif m >= s.n_own:
                row.append(number(value))
            else:
                mine = [r.accuracy for r in some if r.method == s.methods[m]]
                below = f"± {number(s.deviation[p, m])}, {len(mine)} results"
                below = span(mine[0]) if len(mine) == 1 else below
                row.append(Cell(number(value), below, strong=True))
        rows.append([*row, number(s.majority[p])])
    head = ["problem", *(shown(name, 30) for name in s.methods), "commonest class"]
    caption = (
        "Test accuracy with 95 % intervals; of several results the mean, and the deviation between"
        " them"
    )
    table = Table(caption, head, rows)
    if s.n_own < len(s.methods):
        which = (
            "means over the resamples of their authors, beside means over the resamples drawn here"
            if s.split == "mean of resamples"
            else "on the default split, one number each"
        )
        text = Text(f"Published accuracies are others': taken from a file, {which}.")
    elif s.published:
        text = hint(
            f"The file of published accuracies has no method that covers these ({s.split})."
        )
    else:
        text = hint(
            "No published accuracies: give --published FILE, or a folder FORESHOCK_DATA with"
            " published/accuracies.csv in it."
        )
    return Section("Accuracy", [table, text])


def means_and_ranks(s: Standings) -> Section:
    """Show the means and ranks over the problems that all methods have."""
    title, means, n = "Means and ranks", s.means(), len(s.whole)
    if not n:
        return Section(title, [Text("There is no problem on which every method has an accuracy.")])
    order = np.argsort(s.ranks if not np.isnan(s.ranks).any() else -means, kind="stable")
    rows: list[Row] = [
        [
            Cell(shown(s.methods[k]), strong=k < s.n_own),
            number(means[k]),
            NONE if np.isnan(s.ranks[k]) else number(s.ranks[k], 2),
            "here" if k < s.n_own else "published",
        ]
        for k in order
    ]
    caption = f"Means over the {counted(n, 'problem')} that all methods have"
    head = ["method", "mean accuracy", "mean rank (1 is best)", "whose"]
    blocks: list[Block] = [Table(caption, head, rows)]
    left = len(s.problems) - n
    if left:
        text = f"{counted(left, 'problem')} left out: some method has no accuracy there."
        blocks.append(hint(text))
    return Section(title, [*blocks, *_diagram(s)])


def one_against_the_other(s: Standings) -> Section:
    """Show the duels of one's own methods with the others."""
    title = "One against the other"
    if not s.duels:
        return Section(title, [hint("There is nothing to compare with.")])
    rows: list[Row] = [
        [
            f"{shown(d.method, _LONGEST)} against {shown(d.against, _LONGEST)}",
            f"{d.n_problems}",
            f"{d.won}",
            f"{d.drawn}",
            f"{d.lost}",
            signed(d.difference),
            p_value(d.p),
            Cell(p_value(d.p_corrected), strong=d.p_corrected < SIGNIFICANT),
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


def _clean(name: str) -> str:
    """Keep a plain name; make others plain, with a hash that tells them apart."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:60]
    if plain == name:
        return name
    return f"{plain}-{hashlib.sha256(name.encode(errors='backslashreplace')).hexdigest()[:8]}"


def _row(row: dict[str, str], line: int) -> tuple[str, str, float, str]:
    dataset, method, text, split = (row[name] for name in _COLUMNS)
    if not dataset or not method or text is None or split is None:
        raise ValueError(f"line {line} is incomplete")
    try:
        accuracy = float(text)
    except ValueError:
        accuracy = math.nan
    if not 0 <= accuracy <= 1:
        raise ValueError(f"line {line} has the accuracy {text[:20]!r}, not between 0 and 1")
    return dataset, method, accuracy, split


def _check(peers: Sequence[str], known: Published, split: str) -> tuple[str, ...]:
    methods = sorted({method for _, method in known})
    for peer in peers:
        if peer not in methods:
            some = ", ".join(methods[:100]) or "none"
            raise ValueError(f"no published accuracies of {peer!r} ({split}); there are {some}.")
    return tuple(dict.fromkeys(peers))


def _choose(problems: Sequence[str], known: Published) -> tuple[str, ...]:
    """Choose the best known peers, or else the best, that have at least half of the problems."""
    inside = [name for name in problems if any(name == problem for problem, _ in known)]
    values: dict[str, list[float]] = {}
    for (problem, method), value in known.items():
        if problem in inside:
            values.setdefault(method, []).append(value)
    many = {m: v for m, v in values.items() if 2 * len(v) >= len(inside)}
    best_known = [peer for peer in PEERS if peer in many]
    return tuple(
        best_known or sorted(many, key=lambda m: (-float(np.mean(many[m])), m))[:_MOST_METHODS]
    )


def _duels(methods: Sequence[str], n_own: int, table: NDArray[np.float64]) -> tuple[Duel, ...]:
    pairs = [(i, j) for i in range(n_own) for j in range(i + 1, len(methods))]
    found = []
    for i, j in pairs:
        both = ~np.isnan(table[:, [i, j]]).any(axis=1)
        rounded = table[both].round(DIGITS)
        # rounded again: a difference of equal numbers of decimals is not exact
        gain = (rounded[:, i] - rounded[:, j]).round(DIGITS)
        if len(gain):
            exact = float((table[both, i] - table[both, j]).mean())
            found.append((i, j, gain, exact, wilcoxon(gain)))
    corrected = holm([p for *_, p in found])
    return tuple(
        Duel(
            method=methods[i],
            against=methods[j],
            n_problems=len(gain),
            won=int((gain > 0).sum()),
            drawn=int((gain == 0).sum()),
            lost=int((gain < 0).sum()),
            difference=exact,
            p=p,
            p_corrected=q,
        )
        for (i, j, gain, exact, p), q in zip(found, corrected, strict=True)
    )


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _diagram(s: Standings) -> list[Block]:
    """Draw the critical difference diagram, where there is enough to draw it of."""
    n, methods = len(s.whole), [shown(name) for name in s.methods]
    if n < _PROBLEMS or len(methods) < 3:
        return [
            hint(f"A critical difference diagram needs three methods and {_PROBLEMS} problems.")
        ]
    titles = [shown(name, 24) for name in s.methods]
    try:
        svg = figures.critical_difference(s.ranks.tolist(), titles, s.groups, n)
    except ImportError as error:
        return [hint(f"No critical difference diagram: {error}.")]
    caption = (
        f"Mean ranks on {n} problems, the best to the right; a bar joins methods"
        " without a significant difference (Wilcoxon's signed-rank tests of all pairs, 5 %,"
        " corrected for their number by Holm's method)."
    )
    groups = "; ".join(" and ".join(methods[k] for k in group) for group in s.groups)
    said = (
        f"No significant difference: {groups}." if groups else "Every pair differs significantly."
    )
    blocks: list[Block] = [Pictures([Picture(svg, caption, wide=True)]), hint(said)]
    if n < 10:
        blocks.append(hint(f"{n} problems are too few for such tests to find much."))
    return blocks
