"""What a machine and a problem's data will give trouble with, in sentences."""

import importlib.util
import os
import platform
import shutil

import numpy as np

from foreshock import __version__
from foreshock.cards import card
from foreshock.leaks import audit
from foreshock.problems import Problem
from foreshock.tables import PARTS, sample

_EXTRAS = {
    "archive": ("aeon", "platformdirs", "pooch", "requests"),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "report": ("jinja2", "matplotlib"),
    "tables": ("pandas", "pyarrow"),
    "tracking": ("mlflow", "tensorboard"),
}
_FEW = 10
_RARE = 0.02
_LONG = 5000


def examine_machine() -> list[str]:
    """Say what trains here, and what is missing."""
    import torch

    from foreshock.devices import resolve_precision, this_device

    device = this_device().device
    precision = resolve_precision("auto", device)
    where = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    lines = [
        f"foreshock {__version__}, Python {platform.python_version()}, torch {torch.__version__}",
        f"trains on the {where} in {precision}, with {torch.get_num_threads()} threads on"
        f" {os.cpu_count()} cores",
    ]
    if precision == "float32":
        lines.append("no bf16 in hardware: training takes about twice as long on large batches")
    for extra, modules in _EXTRAS.items():
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        if missing:
            lines.append(
                f"without {', '.join(missing)}: pip install 'foreshock[{extra}]' brings them"
            )
    data = os.environ.get("FORESHOCK_DATA")
    if data is not None and not os.path.isdir(data):  # noqa: PTH112  Path.is_dir may raise
        lines.append(f"FORESHOCK_DATA is {data}, which is no folder: correct or unset it")
    free = shutil.disk_usage(".").free
    if free < 2**30:
        lines.append(f"only {free // 2**20} MiB are free on this disk; runs are written here")
    return lines


def examine_problem(problem: Problem) -> list[str]:
    """Say what of a problem's data will give trouble, leaks first; nothing where all is well."""
    return audit(problem).findings() + concerns(problem)


def concerns(problem: Problem) -> list[str]:
    """Say what will give trouble besides leaks."""
    lines = []
    described = card(problem)
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
        if rare < _RARE and not few:
            lines.append(
                f"a class has {rare:.1%} of the {name} part: look at average precision, not at"
                " accuracy; --fit.sampling weighted may help"
            )
        if part.missing_values:
            share = part.cases_with_missing / part.cases
            lines.append(f"{share:.0%} of the {name} part's cases have missing values")
        if part.labels_not_in_train:
            lines.append(
                f"the {name} part has cases of classes that train lacks"
                f" ('{part.labels_not_in_train[0]}' for one): no model can know them"
            )
    some = problem.X[sample(problem.n_cases, 1000)]
    constant = [
        name
        for channel, name in enumerate(problem.channels)
        if len(np.unique(some[:, channel][~np.isnan(some[:, channel])])) <= 1
    ]
    if constant:
        lines.append(f"channels that never vary: {', '.join(constant)}")
    if problem.n_timepoints > _LONG:
        lines.append(
            f"series of {problem.n_timepoints} timepoints: training is slow, and the convolutions"
            " see a small stretch of them; a coarser step may serve as well"
        )
    parts = [problem.count(part) for part in PARTS]
    if parts[0] < 50:
        more = "; shorter --rule.window and --rule.quiet make more, and so does --rule.overlap"
        lines.append(
            f"only {parts[0]} train cases: expect scores that vary with the seed"
            + (more if problem.rule is not None else "")
        )
    return lines
