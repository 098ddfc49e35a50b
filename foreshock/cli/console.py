"""What the commands share: tables and lines for people, JSON, and standard input as a file."""

import contextlib
import json
import re
import sys
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

from cyclopts import Parameter
from rich.cells import cell_len
from rich.table import Table

from foreshock._terminal import Terminal
from foreshock._text import listed, one_line, shown
from foreshock.readings.columns import are_in_order, is_number
from foreshock.readings.frames import MAX_UNPACKED

if TYPE_CHECKING:  # `predict` needs none of them
    from foreshock.metrics.intervals import Estimate
    from foreshock.metrics.scores import Scores
    from foreshock.problems.audit import Audit
    from foreshock.problems.problem import Card
    from foreshock.reporting.run_data import Outcome

Json = Annotated[bool, Parameter(name="--json", negative="", show_default=False)]
"""The option that each command has."""
Flag = Annotated[bool, Parameter(negative="", show_default=False)]
"""An option without a value."""
_BESIDE = ("accuracy", "balanced_accuracy", "auroc", "average_precision", "log_loss", "brier")
"""Scores of baselines that are printed."""
PIPES = ("-", "/dev/stdin")
"""Names of standard input."""
_BLOCK = 2**20
_GZIP, _BINARY = b"\x1f\x8b", {b"PAR1": ".parquet", b"PK\x03\x04": ".npz"}
"""First bytes of files that are not plain text."""


def console() -> Terminal:
    """Return standard output, with text taken as it is: names may look like markup."""
    return Terminal(markup=False, highlight=False, emoji=False)


def say(text: str) -> None:
    """Print a line, however long."""
    console().print(text, soft_wrap=True)


def print_json(values: object) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(values, indent=2, allow_nan=False) + "\n")


def print_scores(scores: "Scores", what: str, lacking: Mapping[str, str] | None = None) -> None:
    """Print scores: the verdict, tables with intervals and baselines, and the confusion matrix.

    Of baselines that are lacking it prints why.
    """
    from foreshock.metrics.scores import NAMES, place

    to = console()
    say(one_line(scores.sentence))
    to.print()
    table = Table(box=None, pad_edge=False)
    table.add_column(f"{scores.n_cases:,} {what}", no_wrap=True)
    for name in ("model", "95 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, title in NAMES.items():
        estimate = getattr(scores.model, name)
        table.add_row(title, _value(estimate), _span(estimate))
    to.print(table)
    to.print()
    beside = Table(box=None, pad_edge=False)
    beside.add_column("baselines", no_wrap=True)
    for name in _BESIDE:
        beside.add_column(
            NAMES[name], justify="right", width=max(6, *map(len, NAMES[name].split()))
        )
    for baseline in sorted(scores.baselines, key=place):
        found = scores.baselines[baseline]
        beside.add_row(shown(baseline, 24), *(_value(getattr(found, name)) for name in _BESIDE))
    for ranking, area in scores.rankings.items():
        areas = (name == "auroc" for name in _BESIDE)
        beside.add_row(ranking, *(_value(area if ranked else None) for ranked in areas))
    beside.add_row("model", *(_value(getattr(scores.model, name)) for name in _BESIDE))
    to.print(beside)
    for name, why in (lacking or {}).items():
        say(f"Without {name}: {why}.")
    if scores.model.auroc is None:
        say("AUROC and average precision need cases of every class.")
    to.print()
    rows = [["class \\ predicted", *(shown(name, 20) for name in scores.classes)]]
    for name, counts in zip(scores.classes, scores.confusion, strict=True):
        rows.append([shown(name, 20), *map(str, counts)])
    if sum(max(map(cell_len, column)) + 2 for column in zip(*rows, strict=True)) <= to.width:
        confusion = Table(box=None, pad_edge=False)
        for i, name in enumerate(rows[0]):
            confusion.add_column(name, justify="right" if i else "left", no_wrap=True)
        for row in rows[1:]:
            confusion.add_row(*row)
        to.print(confusion)
    else:
        say(f"The confusion matrix of {len(scores.classes)} classes is too wide: see --json.")
    to.print()


def print_outcome(outcome: "Outcome") -> None:
    """Print what a training came to besides test scores: held-out scores, sets and alarms."""
    from foreshock.metrics.intervals import interval_text

    held, found = outcome.held_out, outcome.alarms
    sets = None if outcome.scores is None else outcome.scores.sets
    if held is not None:
        model = held.scores.model
        texts = [
            f"{title} {interval_text(estimate)}"
            for title, estimate in (("accuracy", model.accuracy), ("AUROC", model.auroc))
            if estimate is not None
        ]
        say(
            f"Before the test part was opened ({held.scores.n_cases:,} cases, {held.source}):"
            f" {', '.join(texts)}."
        )
    if sets is not None:
        say(
            f"Prediction sets for a coverage of {sets.coverage:.0%} contain the true class of"
            f" {sets.covered.value:.1%} of cases, with {sets.mean_size:.2f} classes on average"
            f" ({sets.empty:,} are empty)."
        )
    if found is not None:
        recall = f", recall {interval_text(found.recall, 2)}" if found.recall else ""
        say(
            f"Alarms from a probability of {found.threshold:.3g} ({found.policy}):"
            f" {found.warned} of {found.events} events warned of{recall};"
            f" {found.alarm_rate:.1f} alarms {found.each}, {found.false_alarm_rate:.1f} of them"
            f" false. Counted from {found.start} to {found.until}, in {found.span:.1f} of"
            f" {found.time(found.span_forecast)}: those with windows that the rule"
            " makes cases of."
        )


def print_card(card: "Card") -> None:
    """Print the parts, classes and channels of a problem."""
    channels = "1 channel" if card.n_channels == 1 else f"{card.n_channels} channels"
    say(f"{one_line(card.name)}: {channels}, series of up to {card.n_timepoints} timepoints")
    if card.n_channels > 1:
        say(f"channels: {listed(card.channels, card.n_channels)}")
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in card.parts:
        table.add_column(name, justify="right")
    rows: dict[str, list[str]] = {"cases": [], "length": [], "missing values": []}
    for part in card.parts.values():
        rows["cases"].append(str(part.cases))
        if part.units is not None:
            rows.setdefault("units", []).append(str(part.units))
        equal = part.length_min == part.length_max
        span = f"{part.length_min}-{part.length_max}, median {part.length_median:g}"
        rows["length"].append(str(part.length_max) if equal else span)
        missing = f"{part.missing_values} in {part.cases_with_missing} cases"
        rows["missing values"].append(missing if part.missing_values else "0")
        for label, count in part.class_counts.items():
            share = f"{count} ({count / part.cases:.0%})"
            rows.setdefault(f"class {one_line(label)}", []).append(share)
        if part.first is not None and part.last is not None:
            rows.setdefault("from", []).append(part.first)
            rows.setdefault("to", []).append(part.last)
    for row, values in rows.items():
        table.add_row(row, *values)
    console().print(table)
    say(f"each series z-normalised: {'yes' if card.z_normalised else 'no'}")
    for name, part in card.parts.items():
        if part.labels_not_in_train:
            say(f"classes of {name} that train lacks: {listed(part.labels_not_in_train, 100)}")


def print_audit(audit: "Audit", n_cases: int) -> None:
    """Print possible leaks between the parts of a problem."""
    findings = audit.findings()
    some = f" (of {audit.compared:,} cases that were compared, of {n_cases:,})"
    where = some if audit.compared < n_cases else ""
    if not findings:
        say(f"leak audit: nothing found{where}")
        return
    say(f"leak audit{where}:")
    for finding in findings:
        say(f"  {one_line(finding)}")


@contextlib.contextmanager
def file_of(source: str | Path) -> Iterator[str | Path]:
    """Yield a source, or for - and other pipes, as <(command) makes them, a file of their content.

    The name of a log that comes with the package stands for its file. The content may be CSV, .ts,
    .arff, .tsv, .parquet or .npz, and text may be gzipped. The file is deleted after the block.

    Raises
    ------
    ValueError
        Standard input is a terminal, empty or too long; or something in the block is wrong.
    """
    piped = str(source) not in PIPES
    if piped and not Path(source).is_fifo():
        if Path(source).exists():
            yield source
            return
        from foreshock.readings.samples import find_sample

        yield find_sample(source) or source
        return
    if piped:
        with Path(source).open("rb") as stream, _file(stream, str(source)) as path:
            yield path
        return
    if sys.stdin is None or sys.stdin.isatty():
        raise ValueError(
            "nothing is piped into standard input (-): add < FILE, pipe a command into it, or name"
            " a file."
        )
    with _file(sys.stdin.buffer, "standard input") as path:
        yield path


def _value(estimate: "Estimate | None") -> str:
    if estimate is None:
        return "-"
    return f"{estimate.value:.{4 if abs(estimate.value) < 10 else 3}f}"


def _span(estimate: "Estimate | None") -> str:
    if estimate is None or estimate.low is None or estimate.high is None:
        return "-"
    return f"{estimate.low:.3f}–{estimate.high:.3f}"


@contextlib.contextmanager
def _file(stream: BinaryIO, name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="foreshock-") as folder:
        path = _spooled(stream, Path(folder) / "stdin", name)
        try:
            yield path
        except ValueError as error:
            error.args = (str(error).replace(str(path), name),)
            raise


def _spooled(stream: BinaryIO, path: Path, name: str) -> Path:
    """Write a stream to a file with the ending of its format."""
    start, size = b"", 0
    with path.open("xb") as file:
        while block := stream.read(_BLOCK):
            start, size = start or block, size + len(block)
            if size > MAX_UNPACKED:
                raise ValueError(f"{name} is larger than {MAX_UNPACKED // 2**30} GiB; name a file.")
            file.write(block)
    if not size:
        raise ValueError(
            f"{name} is empty: did the command before it fail? Pipe CSV into it, or name a file."
        )
    return path.rename(path.with_name(f"{path.name}{_ending(start)}"))


def _ending(start: bytes) -> str:
    """Return the ending of a file from its first bytes."""
    if start.startswith(_GZIP):
        with contextlib.suppress(zlib.error):  # the reader says what is wrong
            return f"{_ending(zlib.decompressobj(31).decompress(start, _BLOCK))}.gz"
    for magic, ending in _BINARY.items():
        if start.startswith(magic):
            return ending
    if re.search(rb"(?im)^@data\b", start):
        return ".arff" if re.search(rb"(?im)^@attribute\b", start) else ".ts"
    values = start.lstrip().partition(b"\n")[0].decode("latin-1").split()[1:]
    rows = len(values) > 1 and all(map(is_number, values))  # a label and then values, as UCR has
    return ".csv" if not rows or are_in_order(values) else ".tsv"
