"""The commands that need no torch: on catalogues, readings and problems, report and doctor."""

import contextlib
import dataclasses
import logging
import shlex
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter, default_name_transform

from foreshock._files import check_new, followed, is_empty, write_atomic
from foreshock._text import counted, one_line
from foreshock._time import format_time
from foreshock.cli.console import Json, console, file_of, print_audit, print_card, print_json, say
from foreshock.cli.doctor import concerns, examine_machine, examine_problem
from foreshock.events.baselines import add_chance
from foreshock.events.cut import DEFAULT_PARTS, DEFAULT_RULE
from foreshock.events.cut import cut as cut_readings
from foreshock.events.inventory import channels_of, line_to_try, suggestions
from foreshock.events.inventory import describe as describe_channels
from foreshock.events.partition import PartsConfig
from foreshock.problems import problem as data
from foreshock.problems.audit import audit
from foreshock.problems.problem import Problem, card, load, save
from foreshock.problems.rule import EventRule, of_catalog
from foreshock.readings import etas, fdsn
from foreshock.readings.catalog import Catalog, check_target, read_catalog, write_catalog
from foreshock.readings.config import DEFAULT as DEFAULT_SOURCE
from foreshock.readings.config import SourceConfig, options_text
from foreshock.readings.etas import parameters_of, read_parameters, write_parameters
from foreshock.readings.fdsn import Query
from foreshock.readings.sensor_logs import kind_of, load_readings, read_events
from foreshock.readings.series import Readings
from foreshock.reporting.report import write_report

logger = logging.getLogger(__name__)


def _span_name(name: str) -> str:
    """Name the span of a download --from and --to, as people say."""
    return {"since": "from", "until": "to"}.get(name, default_name_transform(name))


Output = Annotated[Path, Parameter(name=["--output", "-o"])]
Flat = Parameter(name="*")


def problems(name: str | None = None, /, *, json: Json = False) -> None:
    """List the problems that can be loaded, or describe one.

    ```
    $ foreshock problems
    $ foreshock problems ItalyPowerDemand
    ```

    A description counts the cases of each part and class and lists possible leaks.

    Parameters
    ----------
    name
        Archive name, file, folder, or - for standard input. Default: list all problems that load
        without a network.
    json
        Print one JSON document.
    """
    if name is None:
        names = data.available()
        if json:
            print_json(names)
            return
        for place in dict.fromkeys(names.values()):
            here = ", ".join(n for n, where in names.items() if where == place)
            console().print(f"{place}: {here}")
        say(
            "Others of the UCR and UEA archives are downloaded when first named; a file or a "
            "folder of your own works as well."
        )
        return
    with file_of(name) as opened:
        problem = load(opened)
    if json:
        print_json(_described(problem))
        return
    _print_problem(problem)


def simulate(
    *,
    output: Output,
    config: Annotated[etas.EtasConfig, Flat] = etas.DEFAULT,
    json: Json = False,
) -> None:
    """Simulate an earthquake catalogue.

    ```
    $ foreshock simulate -o catalog.csv --years 10
    ```

    The ETAS model's parameters are written beside the catalogue. From them, `cut` computes
    the true probability of each event: the best score that any model can reach.

    Parameters
    ----------
    output
        CSV file to write.
    json
        Print one JSON document.
    """
    check_target(output)
    check_new(parameters_of(output))
    written, catalog = followed(output), etas.simulate(config)
    write_catalog(catalog, output)
    try:
        write_parameters(config, output)
    except BaseException:
        written.unlink()
        raise
    largest = float(catalog.magnitude.max())
    if json:
        print_json({"catalog": str(output), "events": len(catalog), "largest": largest})
        return
    say(
        f"{len(catalog):,} events of magnitude {config.min_magnitude:g} to {largest:g} from"
        f" {format_time(catalog.time[0])} to {format_time(catalog.time[-1])} are in {output}."
    )


def catalog(
    *,
    output: Output,
    query: Annotated[Query, Parameter(name="*", name_transform=_span_name)],
    json: Json = False,
) -> None:
    """Download an earthquake catalogue.

    ```
    $ foreshock catalog --from 2020-01-01 --to 2020-12-31 -o catalog.csv
    ```

    The source is an FDSN event service. After an interruption, the same command continues.

    Parameters
    ----------
    output
        CSV file to write.
    json
        Print one JSON document.
    """
    number = fdsn.download(query, output)
    if json:
        print_json({"catalog": str(output), "events": number})
        return
    say(f"{number:,} events are in {output}.")


def cut(
    *readings: Path,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    events: Path | None = None,
    ended_early: tuple[str, ...] = (),
    name: str | None = None,
    rule: EventRule = DEFAULT_RULE,
    parts: PartsConfig = DEFAULT_PARTS,
    source: Annotated[SourceConfig, Flat] = DEFAULT_SOURCE,
    json: Json = False,
) -> None:
    """Cut readings into an early-warning problem.

    ```
    $ foreshock cut beijing-pm25
    $ foreshock cut log.csv --events failures.csv -o log.npz --rule.window 72 --rule.quiet 72
    ```

    Each case is a window of readings, labelled by whether an event follows. The latest cases, or
    units of their own, are the test part. A table beside the problem lists every candidate and why
    it was left out. Without an output, it prints what the file holds and rules to try.

    Parameters
    ----------
    readings
        Sensor logs (.csv, .txt, .tsv, .dat, .log, .parquet, .npy) or earthquake catalogues (ComCat,
        NCEDC or FDSN): one file, several or a folder; beijing-pm25, a log that comes with
        foreshock; - for standard input.
    output
        Problem to write: a file ending in .npz, or a new folder for readings larger than memory.
    events
        File with the times of events (a failure log, or labels as JSON), instead of
        --rule.event-above; or the word end: each unit ran until it failed, at its last reading.
    ended_early
        Units that ended before they failed, with --events end: their names, or that of a channel
        that is not 0 in their last reading.
    name
        Name of the problem. Default: the name of the output.
    json
        Print one JSON document.
    """
    if not readings:
        raise ValueError("give at least one file of readings, or a catalogue.")
    if output is not None:
        _check_output(output)
    with contextlib.ExitStack() as piped:
        files = [piped.enter_context(file_of(path)) for path in readings]
        measured = load_readings(*files, config=source)
    if output is None:
        _look(readings, measured, source, json=json)
        return
    truth = _truth(readings)
    times: Any = None
    whose = None
    if events is not None:
        times, whose = _events(events, source, readings)
    defined = events is not None or rule.defines_events or rule.ask != "event"
    if not of_catalog(measured) and (rule.window is None or not defined):
        line = line_to_try(measured, _given(readings, source), str(output))
        raise ValueError(
            "of a sensor log the window and the event have to be named. For this one it works with:"
            f" {line}"
            if line
            else "of a sensor log the window (--rule.window 72) and the event have to be named"
            " (--rule.event-above, --rule.event-state or --events)."
        )
    mapped = output.suffix == "" and isinstance(measured.values, np.memmap)
    problem = cut_readings(
        measured,
        rule,
        parts,
        events=times,
        event_units=whose,
        ended_early=ended_early,
        name=name or output.stem,
        folder=output if mapped else None,
    )
    if truth is not None:
        problem = add_chance(problem, *truth)
    assert problem.candidates is not None and problem.rule is not None
    table = _table_of(output)
    written = followed(table)
    write_atomic(table, problem.candidates.table(measured).encode(), new=True)
    try:
        if not mapped:
            save(problem, output)
    except BaseException:
        written.unlink()
        raise
    if json:
        print_json({"problem": str(output)} | _described(problem))
        return
    _print_readings(measured)
    for line in problem.candidates.describe(problem.rule):
        say(line)
    console().print()
    _print_problem(problem)
    listed = "each candidate" if problem.candidates.complete else "the events that are no cases"
    say(f"Problem: {output} (what became of {listed}: {table})")


def _check_output(output: Path) -> None:
    """Refuse an output that cannot be written, or stands there already."""
    if output.suffix not in (".npz", "") or not output.name:
        raise ValueError(f"--output must be a file ending in .npz or a new folder, got {output}.")
    for path in (output, _table_of(output)):
        if path.suffix or not is_empty(path):
            check_new(path)


def _table_of(output: Path) -> Path:
    return output.with_name(f"{output.stem}.candidates.csv")


def _events(events: Path, source: SourceConfig, readings: tuple[Path, ...]) -> tuple[Any, Any]:
    """Read listed events and their units, or take the units' ends."""
    if str(events) == "end" and not events.exists():
        return "end", None
    return read_events(events, source.log, log=readings[0] if len(readings) == 1 else None)


def _given(paths: tuple[Path, ...], source: SourceConfig) -> str:
    """Return the files, and the options by which they were read, as on the command line."""
    files = shlex.join(map(str, paths))
    if len(paths) > _NAMED:
        folder, ending = paths[0].parent, "".join(paths[0].suffixes[-2:])
        alike = set(folder.glob(f"*{ending}")) == set(paths)
        files = f"{folder}/*{ending}" if alike else f"{paths[0]} ..."
    return f"{files} {options_text(source.log)} {options_text(source.catalog)}".strip()


def _look(paths: tuple[Path, ...], readings: Readings, source: SourceConfig, *, json: bool) -> None:
    """Print what readings hold and rules to try."""
    channels, files = channels_of(readings), _given(paths, source)
    if of_catalog(readings):
        lines = [("an earthquake of magnitude 5", f"foreshock cut {files} -o problem.npz")]
    else:
        lines = [
            (found.what, f"foreshock cut {files} -o problem.npz {found.options}")
            for found in suggestions(readings, channels)
        ]
    if json:
        document = {
            "units": readings.n_units,
            "readings": readings.n_timepoints,
            "step": readings.step_text,
            "channels": [dataclasses.asdict(channel) for channel in channels],
            "suggestions": [{"event": what, "command": line} for what, line in lines],
        }
        print_json(document)
        return
    _print_readings(readings)
    for line in describe_channels(readings, channels):
        say(line)
    console().print()
    if not lines:
        say("No rule was found that makes cases of both kinds: see foreshock cut --help.")
    for what, line in lines:
        say(f"To be warned of {what}:")
        say(f"  {line}")


def _truth(paths: tuple[Path, ...]) -> tuple[Catalog, etas.EtasConfig] | None:
    """Read a simulated catalogue and its parameters, which give the true probabilities."""
    simulated = [p for p in paths if parameters_of(p).is_file() and kind_of(p) == "catalog"]
    if simulated and len(paths) > 1:
        logger.warning("The true probabilities of several catalogues together are unknown.")
        return None
    return (read_catalog(paths[0]), read_parameters(paths[0])) if simulated else None


_NAMED = 3
"""Most files that a line to try names."""


class TroubleError(RuntimeError):
    """doctor found something that would fail."""


def report(
    *runs: Path,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    published: Path | None = None,
    json: Json = False,
) -> None:
    """Write one HTML page with the results of runs.

    ```
    $ foreshock report runs/quakes
    ```

    One run: scores and baselines, the problem, loss curves, calibration, alarms and wrong cases.
    Several runs of one problem: which of them differ significantly. Runs of several problems:
    accuracies, published accuracies and ranks.

    Parameters
    ----------
    runs
        Run folders written by train.
    output
        New file to write. Default: report.html in the run's folder, or in this one for several
        runs.
    published
        CSV file with published accuracies, to compare runs of several problems with. Default:
        published/accuracies.csv in FORESHOCK_DATA, if it exists.
    json
        Print one JSON document.
    """
    path = write_report(runs, output=output, published=published)
    size = path.stat().st_size
    if json:
        print_json({"report": str(path), "bytes": size})
        return
    say(f"Report: {path} ({size / 1024:,.0f} KiB, one file to open in a browser)")


def doctor(problem: str | None = None, /, *, json: Json = False) -> None:
    """Check this machine and a problem for trouble.

    ```
    $ foreshock doctor
    $ foreshock doctor quakes.npz
    ```

    The exit code is 1 if something would fail, else 0.

    Parameters
    ----------
    problem
        Archive name, file, folder, or - for standard input.
    json
        Print one JSON document.
    """
    found = {"machine": examine_machine()}
    if problem is not None:
        with file_of(problem) as opened:
            loaded = load(opened)
        found["problem"] = examine_problem(loaded)
    if json:
        print_json({what: [dataclasses.asdict(f) for f in each] for what, each in found.items()})
    else:
        for what, each in found.items():
            say(f"{what}:")
            for finding in each:
                say(f"  {finding.grade:7}  {one_line(finding.text)}")
    failing = sum(finding.grade == "problem" for each in found.values() for finding in each)
    if failing:
        raise TroubleError(f"{counted(failing, 'check')} failed: see above.")


def _described(problem: Problem) -> dict[str, Any]:
    counts = {} if problem.candidates is None else {"candidates": problem.candidates.counts}
    rule = {} if problem.rule is None else {"rule": dataclasses.asdict(problem.rule)}
    found = audit(problem)
    described = {"audit": dataclasses.asdict(found) | {"findings": found.findings()}}
    return dataclasses.asdict(card(problem)) | rule | counts | described


def _print_problem(problem: Problem) -> None:
    print_card(card(problem))
    print_audit(audit(problem), problem.n_cases)
    for finding in concerns(problem):
        say(f"{finding.grade}: {one_line(finding.text)}")


def _print_readings(readings: Readings) -> None:
    n_missing = sum(int(np.isnan(block).sum()) for _, block in readings.blocks())
    missing = n_missing / readings.values.size
    ends = readings.times(readings.bounds[1:] - 1, np.arange(readings.n_units))
    starts = readings.start if readings.units is None else readings.units.starts.min()
    every = "numbered" if readings.counted else f"of {readings.step_text}"
    say(
        f"{readings.n_timepoints:,} readings {every} from {readings.tell(starts)} to"
        f" {readings.tell(ends.max())}; channels: {', '.join(readings.channels)};"
        f" {missing:.1%} missing"
    )
