"""What a machine will give trouble with; it says so even where torch cannot be imported."""

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from foreshock._optional import MissingExtraError, pip_install
from foreshock._version import __version__
from foreshock.problems.archive import available, cache_folder

PYTHON, TORCH = "3.11", "2.13"
"""What is tested; a test holds them to constraints.txt and the Makefile."""
_MALICIOUS = {"2.6.2", "2.6.3"}
_REPLACING = ("torchvision", "torchaudio", "fastai", "tsai")
_LITTLE = 2**30
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    grade: Literal["ok", "note", "problem"]
    """Whether it is well, should be known, or makes something fail."""
    text: str
    """What it is, and what to do about it."""


def examine_machine() -> list[Finding]:
    """Say what trains here, what is missing, and what would fail."""
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


def memory_free() -> int | None:
    """Give the bytes that a process may still take, or None where the system does not tell."""
    free = []
    for line in _read(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            free.append(int(line.split()[1]) * 1024)
    most, used = (_read(_CGROUP / f"memory.{name}").strip() for name in ("max", "current"))
    if most.isdigit() and used.isdigit():
        free.append(max(0, int(most) - int(used)))
    return min(free, default=None)


def cores() -> float:
    """Give how many cores this process may use: those of a container, where it is in one."""
    if sys.platform == "linux":
        allowed: float = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    quota = _read(_CGROUP / "cpu.max").split()
    if len(quota) == 2 and quota[0].isdigit():
        allowed = min(allowed, int(quota[0]) / int(quota[1]))
    return allowed


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


def _memory() -> Iterator[Finding]:
    free = memory_free()
    if free is not None and free < 2 * _LITTLE:
        yield Finding(
            "note", f"only {size(free)} of memory are free: --fit.batch-size 8 takes least"
        )
    elif free is not None:
        yield Finding("ok", f"{size(free)} of memory are free")


def _disk() -> Iterator[Finding]:
    place = _standing(Path("runs"))
    free = shutil.disk_usage(place).free
    if not os.access(place, os.W_OK):
        yield Finding("problem", f"{place} cannot be written: give --run DIR, or go elsewhere")
    elif free < _LITTLE:
        yield Finding("note", f"only {size(free)} are free on this disk; runs are written here")
    else:
        yield Finding("ok", f"{size(free)} are free on the disk of runs")


def _packages() -> Iterator[Finding]:
    """Compare what is installed with what the package asks for: all of it, and each extra."""
    try:
        asked = importlib.metadata.requires("foreshock") or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding("note", "foreshock is not installed here, only found: run pip install .")
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
    """Give the name, the lowest version and the extra that a requirement says."""
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
                f"{name} is installed: it wants a torch of its own, and pip replaces yours with"
                " that; keep it in another environment",
            )


def _folders() -> Iterator[Finding]:
    data = os.environ.get("FORESHOCK_DATA")
    if data and not os.path.isdir(data):  # noqa: PTH112  Path.is_dir may raise
        yield Finding(
            "problem", f"FORESHOCK_DATA is {data}, which is no folder: correct or unset it"
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
            "note", f"downloads cannot be kept in {cache}: FORESHOCK_CACHE names another folder"
        )


def size(n_bytes: float) -> str:
    """Write a number of bytes."""
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.0f} MiB"


def _standing(folder: Path) -> Path:
    """Give a folder, or the nearest above it that is there."""
    folder = folder.absolute()
    return next(place for place in (folder, *folder.parents) if place.is_dir())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:  # another system, or none of our business
        return ""
