"""From run folders to one HTML page; files are read, no model is loaded."""

from collections.abc import Sequence
from pathlib import Path

from foreshock._files import check_new, write_atomic
from foreshock._text import shown
from foreshock._version import __version__
from foreshock.reporting import compare_runs, one_run
from foreshock.reporting.html import Page, render
from foreshock.reporting.run_data import RunData, read_run
from foreshock.reporting.standings import read_published

_NAME = "report.html"


def write_report(
    runs: str | Path | Sequence[str | Path],
    *,
    output: str | Path | None = None,
    published: str | Path | None = None,
) -> Path:
    """Write what one or several runs are worth as one HTML page that loads nothing else.

    Parameters
    ----------
    runs : Path or sequence of Path
        The folders of complete runs: one, several of one problem, or of several problems.
    output : Path, optional
        The file to write, which must be new; by default report.html in the folder of the run,
        which replaces an earlier one, or for several runs in the working directory, if it is new.
    published : Path, optional
        A CSV file of published accuracies (columns dataset, method, accuracy, split) to stand
        beside runs of several problems; by default published/accuracies.csv in the folder that
        FORESHOCK_DATA names, if it is there.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    RunError
        If a run is not complete, damaged or of another format.
    FileExistsError
        If the file is there already and no earlier report of the run.
    ValueError
        If a run is named twice, or the published accuracies are none.
    """
    folders = [Path(runs)] if isinstance(runs, str | Path) else [Path(run) for run in runs]
    if not folders:
        raise ValueError("give at least one run folder.")
    for k, folder in enumerate(folders):
        if folder.resolve() in [other.resolve() for other in folders[:k]]:
            raise ValueError(f"{folder} is named twice: name each run once.")
    own = folders[0] / _NAME if len(folders) == 1 else None
    target = Path(output) if output is not None else own or Path(_NAME)
    new = own is None or target.absolute() != own.absolute()
    if new:
        check_new(target)
    file = None if published is None else Path(published)
    if file is not None:
        read_published(file)
    page = _page([read_run(folder) for folder in folders], file)
    write_atomic(target, render(page).encode("utf-8"), new=new)
    return target


def _page(runs: list[RunData], published: Path | None) -> Page:
    names = ", ".join(shown(run.folder, 120) for run in runs[:10])
    if len(runs) > 10:
        names += f" and {len(runs) - 10} more"
    foot = (
        f"Made by foreshock {__version__} from {names}. Every file was as its sha256 says. This"
        " page loads nothing and runs nothing."
    )
    if len(runs) == 1:
        return one_run.page_of_run(runs[0], foot)
    if len({run.problem.digest for run in runs}) == 1:
        return compare_runs.page_of_runs(runs, foot)
    return compare_runs.page_of_problems(runs, published, foot)
