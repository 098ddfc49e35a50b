"""What this process may use of the machine, and how its threads wait where others use it, too."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_STATISTICS = Path("/proc/stat")
_LISTEN = 0.1
"""Seconds to watch what others do; the system counts in hundredths."""
_BUSY = 0.5
"""Cores that others use from which on the machine is busy."""
_CHOSEN = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Variables by which a user has decided."""


def cores() -> float:
    """Return how many cores this process, or its container, may use."""
    allowed: float = len(_own())
    quota = _read(_CGROUP / "cpu.max").split()
    if len(quota) == 2 and quota[0].isdigit():
        allowed = min(allowed, int(quota[0]) / int(quota[1]))
    return allowed


def memory_free() -> int | None:
    """Return the bytes of memory that are free, or None if the system does not say."""
    free = []
    for line in _read(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            free.append(int(line.split()[1]) * 1024)
    most, used = (_read(_CGROUP / f"memory.{name}").strip() for name in ("max", "current"))
    if most.isdigit() and used.isdigit():
        free.append(max(0, int(most) - int(used)))
    return min(free, default=None)


def taken() -> float:
    """Return how many of the cores of this process are in use by others; 0 where it is not told.

    The process should do nothing beside: what it uses itself is counted, too.
    """
    before = dict(_ticks())
    if not before:
        return 0.0
    time.sleep(_LISTEN)
    used = 0.0
    for core, (busy, total) in _ticks():
        then = before.get(core, (busy, total))
        used += (busy - then[0]) / max(1, total - then[1])
    return used


def in_the_way() -> float | None:
    """Return how many cores others use, where threads had better sleep while they wait.

    None where they had better spin, as by default, or where the environment has decided.
    """
    if any(name in os.environ for name in _CHOSEN):
        return None
    used = taken()
    return used if used >= _BUSY else None


def settle_threads() -> str | None:
    """Decide how many threads compute and how they wait, before torch is imported.

    Threads of OpenMP spin while they wait for one another. Where others need the cores, or a quota
    gives less than there are, that makes a step several times as long; where nobody does, to sleep
    instead makes it longer. So they sleep where the machine is busy now. What is in the environment
    already is left alone.

    Returns
    -------
    str or None
        What was decided, and why; None where nothing was.
    """
    if "torch" in sys.modules or any(name in os.environ for name in _CHOSEN):
        return None
    allowed, there = cores(), len(_own())
    if allowed < there:
        threads = max(1, int(allowed))
        os.environ |= {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"}
        return f"computing on {threads} of {there} cores, since a quota allows {allowed:g}"
    if there > 1 and (used := in_the_way()):
        os.environ["OMP_WAIT_POLICY"] = "passive"
        return f"others use {used:.1f} of {there} cores: threads sleep while they wait"
    return None


def _read(path: Path) -> str:
    """Return what a file of the system says; nothing where there is none."""
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""


def _own() -> set[int]:
    if sys.platform == "linux":
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _ticks() -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield of each of the process's cores for how long it was busy, and in all."""
    own = _own()
    for line in _read(_STATISTICS).splitlines():
        name, *values = line.split() or [""]
        number = name.removeprefix("cpu")
        if number != name and number.isdigit() and int(number) in own and len(values) >= 5:
            counts = [int(value) for value in values[:8]]  # what follows is in the first two
            yield int(number), (sum(counts) - counts[3] - counts[4], sum(counts))
