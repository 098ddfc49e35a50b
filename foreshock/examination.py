"""What a problem's data will give trouble with, in sentences."""

import math
import time

import numpy as np
from numpy.typing import NDArray

from foreshock._arrays import sample
from foreshock._text import listed
from foreshock.doctor import Finding, memory_free, size
from foreshock.problems.audit import audit
from foreshock.problems.formats import PARTS
from foreshock.problems.problem import Card, Problem, card

_FEW = 10
_RARE = 0.02
_MAJORITY = 0.8
_LONG = 5000
_EXTREME = 1000
"""How many times its spread a channel's values may lie from its median."""
_EXAMINED = 1000
_TENSORS = 6
"""Activations of a training step, in float32 tensors of all the filters; measured."""


def examine_problem(problem: Problem) -> list[Finding]:
    """Say what of a problem's data will give trouble, and what training on it will take."""
    cases = ", ".join(f"{problem.count(part):,} {part}" for part in PARTS if problem.count(part))
    text = (
        f"{cases} cases; classes: {problem.n_classes}, channels: {problem.n_channels}, timepoints:"
        f" {problem.n_timepoints}"
    )
    leaks = [Finding("note", line) for line in audit(problem).findings()]
    return [Finding("ok", text), *leaks, *concerns(problem), *_costs(problem)]


def concerns(problem: Problem) -> list[Finding]:
    """Say what will give trouble besides leaks: first what training refuses."""
    described = card(problem)
    return [
        *(Finding("problem", line) for line in _failing(problem, described)),
        *(Finding("note", line) for line in _doubtful(problem, described)),
    ]


def _failing(problem: Problem, described: Card) -> list[str]:
    """Say for what reason a training would be refused."""
    if not problem.classes:
        return ["the cases have no labels: there is nothing to learn"]
    if "train" not in described.parts:
        return ["there is no train part: there is nothing to learn from"]
    if problem.n_classes < 2:
        return [f"every case is of class '{problem.classes[0]}': there is nothing to tell apart"]
    unknown = sorted({n for part in described.parts.values() for n in part.labels_not_in_train})
    if unknown:
        return [
            f"no train case is of class {listed(unknown)}: leave the others of it out, or move some"
            " to the train part"
        ]
    return []


def _doubtful(problem: Problem, described: Card) -> list[str]:
    lines = [described.alike] if described.alike else []
    if "test" not in described.parts:
        lines.append("there is no test part: make one with --test 0.25")
    for name, part in described.parts.items():
        few = [label for label, n in part.class_counts.items() if n < _FEW]
        if few:
            lines.append(
                f"the {name} part has fewer than {_FEW} cases of {len(few)} of"
                f" {len(part.class_counts)} classes ('{few[0]}' for one): scores on it say little"
            )
        rare = min(part.class_counts.values(), default=0) / part.cases
        most = max(part.class_counts, key=part.class_counts.__getitem__, default="")
        share = part.class_counts[most] / part.cases if most else 0.0
        if rare < _RARE and not few:
            lines.append(
                f"a class has {rare:.1%} of the {name} part: look at average precision, not at"
                " accuracy; --fit.sampling weighted may help"
            )
        elif share >= _MAJORITY and len(part.class_counts) > 1:
            lines.append(
                f"always '{most}' is right in {share:.1%} of the {name} part: look at AUROC and"
                " average precision, not at accuracy"
            )
        if part.length_min < part.length_max:
            lines.append(
                f"series of the {name} part have {part.length_min} to {part.length_max} timepoints"
            )
        if part.missing_values:
            share = part.cases_with_missing / part.cases
            lines.append(f"{share:.0%} of the {name} part's cases have missing values")
    some = problem.X[sample(problem.n_cases, _EXAMINED)]
    constant = [
        name
        for channel, name in enumerate(problem.channels)
        if len(np.unique(some[:, channel][~np.isnan(some[:, channel])])) <= 1
    ]
    if constant:
        lines.append(f"channels that never vary: {', '.join(constant)}")
    lines += _extremes(problem, some)
    if problem.n_timepoints > _LONG:
        lines.append(
            f"series of {problem.n_timepoints} timepoints: training is slow, and the convolutions"
            " see a small stretch of them; a coarser step may serve as well"
        )
    parts = [problem.count(part) for part in PARTS]
    if 0 < parts[0] < 50:
        more = "; shorter --rule.window and --rule.quiet make more, and so does --rule.overlap"
        lines.append(
            f"only {parts[0]} train cases: expect scores that vary with the seed"
            + (more if problem.rule is not None else "")
        )
    return lines


def _extremes(problem: Problem, some: NDArray[np.float32]) -> list[str]:
    """Say where values lie far from all others, such as a -999 that stands for a missing one."""
    lines = []
    for channel, name in enumerate(problem.channels):
        values = some[:, channel][np.isfinite(some[:, channel])]
        if not len(values):
            continue
        low, middle, high = np.percentile(values, (5, 50, 95))
        far = values[np.argmax(np.abs(values - middle))]
        if high > low and abs(far - middle) > _EXTREME * (high - low):
            off = 0.0 if problem.offset is None else problem.offset[channel]
            lines.append(
                f"channel {name} has the value {far + off:.10g}, where nine of ten are from"
                f" {low + off:.10g} to {high + off:.10g}: if it stands for a missing one, write NaN"
            )
    return lines


def _costs(problem: Problem) -> list[Finding]:
    """Estimate memory and time of `foreshock train`; nothing where that would be refused."""
    try:
        import torch

        from foreshock.training.config import PRESETS, resolve
    except (ImportError, OSError):  # said of the machine
        return []
    if problem.n_classes < 2 or not problem.count("train"):
        return []
    config = PRESETS["fast"]
    fit = resolve(config.fit, problem.count("train"), problem.n_classes, valid_asked=False)
    assert fit.batch_size is not None and fit.steps is not None
    values = fit.batch_size * problem.n_timepoints
    needed = _TENSORS * values * sum(config.model.filters) * 4
    found = []
    free = memory_free()
    if free is not None and needed > free:
        fewer = max(1, int(fit.batch_size * free / needed / 2))
        found.append(
            Finding(
                "problem",
                f"a batch of {fit.batch_size} cases needs some {size(needed)} of memory, and"
                f" {size(free)} are free: --fit.batch-size {fewer}",
            )
        )
    if not torch.cuda.is_available():
        views = 2 if config.model.difference else 1
        widths = (views * problem.n_channels, *config.model.filters)
        kernels = (max(config.model.first), *config.model.kernels[1:])
        weights = sum(a * b * k for a, b, k in zip(widths[:-1], widths[1:], kernels, strict=True))
        seconds = fit.steps * 6 * values * weights / _speed()  # forward and back, times and plus
        found.append(
            Finding(
                "ok",
                f"foreshock train takes {fit.steps:,} steps, some {_duration(seconds)} on this"
                " machine as busy as it is: a guess from the speed of a product of matrices, to"
                " be trusted within a factor of three",
            )
        )
    return found


def _speed() -> float:
    """Measure the operations per second of a product of matrices."""
    import torch

    a = torch.ones(512, 512, dtype=torch.float32)
    a @ a
    times = []
    for _ in range(5):
        start = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - start)
    return 2 * 512**3 / sorted(times)[2]


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{math.ceil(seconds)} seconds"
