"""README.md of a run folder: what a stranger should know of its model, as Hugging Face shows it."""

import html
import json
import re
from typing import Any

from foreshock._text import listed, number, printable
from foreshock._time import one_every
from foreshock.metrics.intervals import Estimate, span
from foreshock.metrics.scores import NAMES, Scores
from foreshock.reporting.run_data import AlarmScores, ModelFile, Outcome, ProblemFile

_METRICS = {
    "accuracy": "accuracy",
    "macro_f1": "f1",
    "auroc": "roc_auc",
    "mcc": "matthews_correlation",
}
"""What the Hub calls our metrics, of those that it knows."""
_MOST = 20
"""Classes and channels that are named."""
_USE = """\
```python
from foreshock import Forecaster

forecaster = Forecaster.from_pretrained("...")  # this folder, or OWNER/NAME on the Hub
proba = forecaster.predict_proba(X)  # a series in X is {shape}
```
"""


def model_card(problem: ProblemFile, model: ModelFile, outcome: Outcome) -> str:
    """Write the model card of a run, in Markdown.

    Parameters
    ----------
    problem : ProblemFile
        What problem.json says.
    model : ModelFile
        What model.json says.
    outcome : Outcome
        What scores.json says.
    """
    lines = [
        _front(problem.card.name, outcome.scores),
        f"# {_plain(problem.card.name)}",
        "",
        "A classifier of time series, trained with foreshock"
        f" ({'one network' if model.members == 1 else 'the mean of several networks'} of the"
        " LSTM-FCN family).",
        "",
        *_worth(outcome),
        "## How to use it",
        "",
        _USE.format(shape=f"({len(model.channels)}, {model.n_timepoints})"),
        "`pip install 'foreshock[hub]'` installs what it takes to download one from the Hub.",
        "",
        "## What it takes and gives",
        "",
        *_what(model, outcome.alarms),
        "",
        "## How it was trained",
        "",
        *_how(problem, model, outcome),
        "",
    ]
    return "\n".join(lines)


def _front(name: str, scores: Scores | None) -> str:
    """Write what the Hub reads: YAML, as JSON, which is YAML, since names may hold anything."""
    values: dict[str, Any] = {
        "library_name": "foreshock",
        "tags": ["time-series", "time-series-classification", "lstm-fcn"],
    }
    if scores is not None:
        found = {key: getattr(scores.model, key) for key in _METRICS}
        metrics = [
            {"type": _METRICS[key], "name": NAMES[key], "value": round(estimate.value, 4)}
            for key, estimate in found.items()
            if estimate is not None
        ]
        task = {"type": "time-series-classification", "name": "Time series classification"}
        data = {"type": "foreshock", "name": printable(name), "split": "test"}
        result = {"task": task, "dataset": data, "metrics": metrics}
        values["model-index"] = [{"name": printable(name), "results": [result]}]
    entries = (f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items())
    return "\n".join(["---", *entries, "---", ""])


def _worth(outcome: Outcome) -> list[str]:
    """Write what the model is worth: the sentence of its tests and a table."""
    found: Scores | None = outcome.scores
    where = "test"
    if found is None and outcome.held_out is not None:
        found, where = outcome.held_out.scores, "held-out"
    if found is None:
        return ["There is no test part, so nothing is known of what it is worth.", ""]
    head = [f"{found.n_cases:,} {where} cases", "model", "95 % interval"]
    head += map(_plain, found.baselines)
    rows = []
    for key, title in NAMES.items():
        others = [_value(getattr(values, key)) for values in found.baselines.values()]
        own = getattr(found.model, key)
        rows.append([title, _value(own), span(own), *others])
    lines = [_plain(found.sentence), "", _row(head), _row(["---"] * len(head)), *map(_row, rows)]
    return [*lines, ""]


def _what(model: ModelFile, alarms: AlarmScores | None) -> list[str]:
    length = f"{model.n_timepoints:,} timepoints"
    if model.unequal:
        length = f"up to {length}"
    every = "" if model.step is None else f", {one_every(model.step)}"
    lines = [
        f"- Series of {length}{every}, raw: scaling is part of the model. NaN where there is no"
        " reading.",
        f"- Channels, in order: {_plain(listed(model.channels, _MOST))}.",
        f"- Classes: {_plain(listed(model.classes, _MOST))}.",
    ]
    rule = model.rule
    if rule is not None:
        above, channel = rule.event_above, rule.channel or model.channels[0]
        event = "one of a list" if above is None else f"a reading of {channel} above {above:g}"
        lines.append(
            f"- It forecasts whether an event ({_plain(event)}) follows a window of"
            f" {rule.window:,} readings; the whole rule stands in `model.json`."
        )
    calibration = model.calibration
    if calibration is not None:
        lines.append(f"- Probabilities are calibrated ({_plain(calibration.source)}).")
        if calibration.threshold is not None:
            lines.append(
                f"- An alarm is a probability of {_plain(model.classes[-1])} of at least"
                f" {calibration.threshold:.3g}, which was chosen for this:"
                f" {_plain(calibration.policy or '')}."
            )
    if alarms is not None:
        lines.append(
            f"- In the test part's time, from a probability of {alarms.threshold:.3g} on, it"
            f" warned of {alarms.warned:,} of {alarms.events:,} events, with"
            f" {alarms.false_alarm_rate:,.1f} false alarms {alarms.each}."
        )
    return lines


def _how(problem: ProblemFile, model: ModelFile, outcome: Outcome) -> list[str]:
    train = problem.card.parts["train"]
    counts = [f"{n:,} of {_plain(label)}" for label, n in train.class_counts.items()]
    some = ", ".join(counts[:_MOST]) + (" and others" if len(counts) > _MOST else "")
    lines = [f"- {train.cases:,} training cases: {some}."]
    if train.first is not None:
        lines.append(f"- They are from {train.first} to {train.last}.")
    opened = "" if outcome.scores is None else " The test part was opened once, after that."
    choice = _plain(outcome.choice)
    lines.append(f"- {choice[:1].upper()}{choice[1:]}.{opened}")
    lines += [f"- Leak audit: {_plain(finding)}." for finding in problem.audit.findings]
    lines.append(f"- Software: {_plain(', '.join(model.versions))}.")
    return lines


def _plain(text: str) -> str:
    """Write a text, which may be anybody's, so that Markdown shows it as it is."""
    one_line = html.escape(" ".join(printable(text).split()), quote=False)
    return re.sub(r"([\\`*_\[\]|~#!$])", r"\\\1", one_line)


def _value(estimate: Estimate | None) -> str:
    return number(None if estimate is None else estimate.value)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
