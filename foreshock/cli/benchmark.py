"""The command that trains on many problems and compares the results."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from foreshock._text import counted, one_line, p_value
from foreshock.benchmarking.benchmark import Summary
from foreshock.benchmarking.benchmark import benchmark as run_benchmark
from foreshock.benchmarking.page import document, write_scoreboard
from foreshock.cli.console import Json, console, print_json, say
from foreshock.cli.training import Given
from foreshock.nn.config import ModelConfig
from foreshock.reporting.standings import Standings, sentence
from foreshock.training.config import PRESETS, FitConfig, TrainConfig, merge

_DEFAULT = TrainConfig()
Quiet = Parameter(show_default=False)
"""An option whose default is the preset's."""


class IncompleteError(RuntimeError):
    """Some trainings failed; the text says why."""


def benchmark(
    *problems: str,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    preset: tuple[str, ...] = ("fast",),
    seed: tuple[int, ...] = (0,),
    resamples: int = 1,
    processes: int | None = None,
    threads: int | None = None,
    published: Path | None = None,
    peer: tuple[str, ...] = (),
    json: Json = False,
    members: Annotated[int, Quiet] = _DEFAULT.members,
    valid: Annotated[float | None, Quiet] = _DEFAULT.valid,
    test: Annotated[float | None, Quiet] = _DEFAULT.test,
    model: ModelConfig = _DEFAULT.model,
    fit: FitConfig = _DEFAULT.fit,
    given: Given = (),
) -> None:
    """Train on many problems and compare.

    ```
    $ foreshock benchmark GunPoint Coffee -o results
    ```

    Each result is a file in the folder. Finished results are kept, so the same command continues
    after a stop, and several machines can share the folder and the work. Without a PROBLEM, only
    the tables and the page are written again.

    Parameters
    ----------
    problems
        Archive names, files or folders, or folders that contain problems, such as ucr in
        FORESHOCK_DATA.
    output
        Folder for the results, new or from an earlier call.
    preset
        Presets to train. Options that you give replace those of every preset; the defaults below
        are those of fast.
    seed
        Seeds, one training each.
    resamples
        Number of divisions into parts: the problem's own, then random ones of the same sizes.
    processes
        Trainings at the same time. Default: one per core, or one on a GPU.
    threads
        Threads per training. Default: its share of the cores.
    published
        CSV file with published accuracies. Default: published/accuracies.csv in FORESHOCK_DATA, if
        it exists.
    peer
        Published methods to compare with. Default: the best known in the file.
    json
        Print one JSON document.
    members
        Networks per training, instead of the preset's number.
    valid
        Share of the training cases to make a valid part from, if a problem has none.
    test
        Share of the cases to make a test part from, if a problem has none.
    """
    names = dict.fromkeys(preset)
    unknown = [name for name in names if name not in PRESETS]
    if unknown:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {unknown[0]!r}.")
    options = replace(_DEFAULT, model=model, fit=fit, members=members, valid=valid, test=test)
    done = Summary()
    if problems:
        methods = {name: merge(PRESETS[name], options, given) for name in names}
        done = run_benchmark(
            problems,
            methods,
            output,
            seeds=seed,
            resamples=resamples,
            processes=processes,
            threads=threads,
        )
    elif not output.is_dir():
        raise ValueError(
            f"give at least one PROBLEM: there is no folder {output} with results yet."
        )
    if done.failed and not any((output / "results").glob("*.json")):
        raise IncompleteError(_missing(done))
    found = write_scoreboard(output, published=published, peers=peer, failed=done.failed)
    if json:
        said = {"folder": str(output), "new": done.done, "kept": done.kept, "failed": done.failed}
        print_json(said | document(found))
    else:
        _print(found, output)
    if done.failed:
        raise IncompleteError(_missing(done))


def _missing(done: Summary) -> str:
    first, reason = next(iter(done.failed.items()))
    more = f", and {len(done.failed) - 1} more" if len(done.failed) > 1 else ""
    return f"{counted(len(done.failed), 'training')} failed. {first}: {reason}{more}"


def _print(s: Standings, folder: Path) -> None:
    means = s.means()
    table = Table(box=None, pad_edge=False)
    table.add_column(f"{len(s.whole)} of {len(s.problems)} problems have all", no_wrap=True)
    for name in ("mean", "rank"):
        table.add_column(name, justify="right", no_wrap=True)
    for method in s.methods[: s.n_own]:
        table.add_column(f"{one_line(method)[:20]} won/drawn/lost", justify="right")
        table.add_column("p", justify="right", no_wrap=True)
    for k, method in enumerate(s.methods):
        row = [one_line(method)[:40]]
        row += ["-" if v != v else f"{v:.{n}f}" for v, n in ((means[k], 3), (s.ranks[k], 2))]
        for own in s.methods[: s.n_own]:
            duel = next((d for d in s.duels if (d.method, d.against) == (own, method)), None)
            row += ["", ""] if duel is None else [
                f"{duel.won}/{duel.drawn}/{duel.lost}",
                p_value(duel.p_corrected),
            ]  # fmt: skip
        table.add_row(*row)
    console().print(table)
    say(sentence(s))
    if s.n_own < len(s.methods):
        say(f"Published accuracies: {s.split}. p: Wilcoxon's signed-rank test, corrected (Holm).")
    say(f"Page: {folder / 'index.html'} (and results.csv, table.csv)")
