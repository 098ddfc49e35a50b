"""The command that makes a page of runs; it needs no torch."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from foreshock.printing import Json, print_json, say
from foreshock.reporting.report import write_report


def report(
    *runs: Path,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    published: Path | None = None,
    json: Json = False,
) -> None:
    """Write what runs are worth as one HTML page that loads nothing else.

    One run: its scores beside baselines, its problem, curves, calibration, alarms, and the cases
    it was wrong on. Several runs of one problem: which of them differ. Runs of several problems:
    accuracies beside published ones, and ranks.

    Parameters
    ----------
    runs
        The folders that train made.
    output
        The file to write, which must be new; by default report.html in the run's folder, or for
        several runs in this one.
    published
        A CSV file of published accuracies, to stand beside runs of several problems; by default
        published/accuracies.csv in FORESHOCK_DATA, if it is there.
    json
        Print one JSON document.
    """
    path = write_report(runs, output=output, published=published)
    size = path.stat().st_size
    if json:
        print_json({"report": str(path), "bytes": size})
        return
    say(f"Report: {path} ({size / 1024:,.0f} KiB, one file to open in a browser)")
