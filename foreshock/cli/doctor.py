"""Check the machine and a problem for trouble; works even if torch cannot be imported."""

import importlib.metadata
import math
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foreshock._arrays import sample
from foreshock._machine import cores, in_the_way, memory_free
from foreshock._optional import MissingExtraError, pip_install
from foreshock._text import listed
from foreshock._version import __version__
from foreshock.problems import PARTS
from foreshock.problems.archive import available, cache_folder
from foreshock.problems.audit import audit
from foreshock.problems.problem import Card, Problem, card

PYTHON, TORCH = "3.11", "2.13"
"""What is tested; a test holds them to constraints.txt and the Makefile."""
_MALICIOUS = {"2.6.2", "2.6.3"}
"""Versions of the package lightning."""
_REPLACING = ("torchvision", "torchaudio", "fastai", "tsai")
"""Packages that replace torch with a version of their own."""
_LITTLE = 2**30
_FEW, _RARE, _MAJORITY = 10, 0.02, 0.8
_LONG = 5000
_EXTREME = 1000
"""Distance from the median, in spreads of the channel, beyond which a value is suspicious."""
_EXAMINED = 1000
"""Most cases whose values are looked at."""
_TENSORS = 6
"""Activations of a training step, in float32 tensors of all the filters; measured."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    grade: Literal["ok", "note", "problem"]
    """ok: no trouble. note: worth knowing. problem: something fails."""
    text: str
    """What was found, and what to do about it."""


def examine_machine() -> list[Finding]:
    """Check hardware, versions, packages and folders."""
    return [
        *_python(),
        *_torch(),
        *_threads(),
        *_memory(),
        *_disk(),
        *_packages(),
        *_troublemakers(),
        *_folders(),
    ]


def examine_problem(problem: Problem) -> list[Finding]:
    """Check a problem's data, and estimate the memory and time of a training."""
    cases = ", ".join(f"{problem.count(part):,} {part}" for part in PARTS if problem.count(part))
    text = (
        f"{cases} cases; classes: {problem.n_classes}, channels: {problem.n_channels}, timepoints:"
        f" {problem.n_timepoints}"
    )
    leaks = [Finding("note", line) for line in audit(problem).findings()]
    return [Finding("ok", text), *leaks, *concerns(problem), *_costs(problem)]


def concerns(problem: Problem) -> list[Finding]:
    """Check for trouble other than leaks, errors of training first."""
    described = card(problem)
    return [
        *(Finding("problem", line) for line in _failing(problem, described)),
        *(Finding("note", line) for line in _doubtful(problem, described)),
    ]


def size(n_bytes: float) -> str:
    """Write a number of bytes."""
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.0f} MiB"


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    text = f"foreshock {__version__}, Python {version}"
    if version.startswith(f"{PYTHON}."):
        yield Finding("ok", text)
    else:
        yield Finding("note", f"{text}: tested on Python {PYTHON} only")


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a library that it needs is not there
        reason = " ".join(str(error).split())
        yield Finding(
            "problem",
            f"torch cannot be imported ({reason}): nothing trains or forecasts; see"
            f" https://pytorch.org/get-started, or run pip install torch=={TORCH}.*",
        )
        return
    from foreshock.nn.distributed import resolve_precision, this_device

    if torch.__version__.startswith(f"{TORCH}."):
        yield Finding("ok", f"torch {torch.__version__}")
    else:
        yield Finding("note", f"torch {torch.__version__}: tested with {TORCH} only")
    device = this_device().device
    precision = resolve_precision("auto", device)
    where = torch.cuda.get_device_name() if device.type == "cuda" else "CPU, there is no GPU to use"
    yield Finding("ok", f"trains in {precision} on the {where}")
    if device.type == "cpu" and shutil.which("nvidia-smi"):
        built = torch.version.cuda
        why = f"for CUDA {built}, newer than its driver?" if built else "for the CPU alone"
        yield Finding(
            "note",
            f"this machine seems to have an NVIDIA GPU, but torch is built {why}: see"
            " https://pytorch.org/get-started",
        )
    if precision == "float32":
        yield Finding(
            "note",
            "no bf16 in hardware: training takes about twice as long on large batches, and"
            " --fit.precision bf16 would be slower still",
        )


def _threads() -> Iterator[Finding]:
    allowed = cores()
    torch = sys.modules.get("torch")
    threads = allowed if torch is None else torch.get_num_threads()
    if threads > max(1, allowed):
        yield Finding(
            "note",
            f"{threads} threads on {allowed:g} cores get in each other's way: set"
            f" OMP_NUM_THREADS={max(1, int(allowed))}",
        )
    else:
        yield Finding("ok", f"{threads:g} threads on {allowed:g} cores")
    if threads > 1 and (used := in_the_way()):
        yield Finding(
            "note",
            f"others use {used:.1f} of the cores: foreshock train lets its threads sleep while they"
            " wait; for Python set OMP_WAIT_POLICY=passive, or OMP_NUM_THREADS=1",
        )


def _memory() -> Iterator[Finding]:
    free = memory_free()
    if free is not None and free < 2 * _LITTLE:
        yield Finding("note", f"only {size(free)} of memory are free: use --fit.batch-size 8")
    elif free is not None:
        yield Finding("ok", f"{size(free)} of memory are free")


def _disk() -> Iterator[Finding]:
    place = _standing(Path("runs"))
    free = shutil.disk_usage(place).free
    if not os.access(place, os.W_OK):
        yield Finding("problem", f"{place} cannot be written: give --run DIR, or change the folder")
    elif free < _LITTLE:
        yield Finding("note", f"only {size(free)} are free on this disk; runs are written here")
    else:
        yield Finding("ok", f"{size(free)} are free on the disk of runs")


def _packages() -> Iterator[Finding]:
    """Compare the installed packages with the requirements and those of each extra."""
    try:
        asked = importlib.metadata.requires("foreshock") or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding("note", "foreshock is not installed here: run pip install .")
        return
    extras: dict[str, list[str]] = {}
    for requirement in asked:
        name, least, extra = _parts(requirement)
        if extra in ("all", "dev") or name == "foreshock":
            continue
        found = _version(name)
        lacking = extras.setdefault(extra, [])
        if found is None:
            lacking.append(name)
        elif _numbers(found) < _numbers(least):
            lacking.append(f"{name} {least} or newer (there is {found})")
    for extra, lacking in sorted(extras.items()):
        if not lacking:
            yield Finding("ok", f"extra {extra}" if extra else "all that it needs is installed")
        elif extra:
            yield Finding(
                "note", f"extra {extra}: without {', '.join(lacking)}; {pip_install(extra)}"
            )
        else:
            yield Finding("problem", f"without {', '.join(lacking)}: run pip install -U foreshock")


def _parts(requirement: str) -> tuple[str, str, str]:
    """Return the name, the lowest version and the extra of a requirement."""
    name = re.match(r"[\w.-]+", requirement)
    least = re.search(r">=\s*([\d.]+)", requirement)
    extra = re.search(r"extra\s*==\s*['\"]([\w-]+)", requirement)
    assert name is not None
    return name[0], least[1] if least else "0", extra[1] if extra else ""


def _numbers(version: str) -> tuple[int, ...]:
    numbers = [int(number) for number in re.findall(r"\d+", version.partition("+")[0])]
    return (*numbers, 0, 0, 0)[:3]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _troublemakers() -> Iterator[Finding]:
    lightning = _version("lightning")
    if lightning in _MALICIOUS:
        yield Finding(
            "problem",
            f"lightning {lightning} is malicious: pip uninstall lightning, and change every"
            " password and token that was on this machine",
        )
    for name in _REPLACING:
        if _version(name) is not None:
            yield Finding(
                "note",
                f"{name} is installed: it replaces torch with its own version; keep it in another"
                " environment",
            )


def _folders() -> Iterator[Finding]:
    data = os.environ.get("FORESHOCK_DATA")
    if data and not os.path.isdir(data):  # noqa: PTH112 (Path.is_dir may raise)
        yield Finding(
            "problem", f"FORESHOCK_DATA is {data}, which is not a folder: correct or unset it"
        )
    elif data and not os.access(data, os.R_OK | os.X_OK):
        yield Finding("problem", f"FORESHOCK_DATA is {data}, which cannot be read")
    else:
        yield Finding("ok", f"{len(available())} problems load without a network")
    try:
        cache = cache_folder()
    except MissingExtraError:
        return  # nothing can be downloaded, and the extra is named above
    if os.access(_standing(cache), os.W_OK):
        yield Finding("ok", f"downloads are kept in {cache}")
    else:
        yield Finding(
            "note", f"downloads cannot be kept in {cache}: set FORESHOCK_CACHE to another"
        )


def _standing(folder: Path) -> Path:
    """Return a folder, or the nearest above it that exists."""
    folder = folder.absolute()
    return next(place for place in (folder, *folder.parents) if place.is_dir())


def _failing(problem: Problem, described: Card) -> list[str]:
    """Return why train would refuse the problem."""
    if not problem.classes:
        return ["the cases have no labels to learn"]
    if "train" not in described.parts:
        return ["there is no train part"]
    if problem.n_classes < 2:
        return [f"every case is of class '{problem.classes[0]}': a model needs at least two"]
    unknown = sorted({n for part in described.parts.values() for n in part.labels_not_in_train})
    if unknown:
        return [
            f"no train case is of class {listed(unknown)}: leave its cases out, or move some to the"
            " train part"
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
                f" {len(part.class_counts)} classes (such as '{few[0]}'): scores on it are"
                " unreliable"
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
            " see a small stretch of them; a coarser step may work as well"
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
    """Return channels with a value far from all others, such as -999 for a missing one."""
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
    """Estimate memory and time of `foreshock train`, unless it would refuse the problem."""
    try:
        import torch

        from foreshock.training.config import PRESETS, resolve
    except (ImportError, OSError):  # reported for the machine
        return []
    if problem.n_classes < 2 or not problem.count("train"):
        return []
    config = PRESETS["fast"]
    recipe = resolve(config.fit, problem.count("train"), problem.n_classes, valid_asked=False)
    values = recipe.batch_size * problem.n_timepoints
    needed = _TENSORS * values * sum(config.model.widths) * 4
    found = []
    free = memory_free()
    if free is not None and needed > free:
        fewer = max(1, int(recipe.batch_size * free / needed / 2))
        found.append(
            Finding(
                "problem",
                f"a batch of {recipe.batch_size} cases needs about {size(needed)} of memory, and"
                f" {size(free)} are free: --fit.batch-size {fewer}",
            )
        )
    if not torch.cuda.is_available():
        views = 2 if config.model.difference else 1
        widths = (views * problem.n_channels, *config.model.widths)
        kernels = (max(config.model.first), *config.model.kernels[1:])
        weights = sum(a * b * k for a, b, k in zip(widths[:-1], widths[1:], kernels, strict=True))
        seconds = recipe.steps * 6 * values * weights / _speed()  # forward and back, times and plus
        found.append(
            Finding(
                "ok",
                f"foreshock train takes {recipe.steps:,} steps, about {_duration(seconds)} on this"
                " machine now (estimated from a matrix product, within a factor of three)",
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
