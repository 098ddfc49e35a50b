"""A benchmark: many trainings on many problems, in a pool of processes, whose results are kept."""

import dataclasses
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from foreshock._machine import cores
from foreshock.benchmarking.pool import Job, Outcome, do_all
from foreshock.benchmarking.results import Results
from foreshock.problems import formats, store
from foreshock.problems import problem as data
from foreshock.problems.fingerprints import digest
from foreshock.problems.problem import Problem
from foreshock.problems.splits import resample
from foreshock.training.config import TrainConfig, resolve

logger = logging.getLogger(__name__)

_START = 2e5
"""Cost of a training besides that of its batches, in readings passed through a network."""


@dataclass(frozen=True)
class Summary:
    """What a benchmark did."""

    done: int = 0
    """Results that are new."""

    kept: int = 0
    """Results that were there."""

    failed: dict[str, str] = field(default_factory=dict)
    """Why others are not there, by what they are of."""


def benchmark(
    sources: Sequence[str | Path],
    methods: Mapping[str, TrainConfig],
    folder: str | Path,
    *,
    seeds: Sequence[int] = (0,),
    resamples: int = 1,
    processes: int | None = None,
    threads: int | None = None,
) -> Summary:
    """Train each method on each problem, with each seed and on each resample.

    Parameters
    ----------
    sources : sequence of str or Path
        Problems, as `load` takes them; or folders whose sub-folders are problems, also by their
        names in FORESHOCK_DATA.
    methods : mapping of str to TrainConfig
        Configurations by the names they are to have; their seeds do not count.
    folder : Path
        Where the results go. What is there is not done again.
    seeds : sequence of int, default=(0,)
        Seeds of the trainings.
    resamples : int, default=1
        On how many draws of the parts; the first is the problem's own.
    processes : int, optional
        Trainings at a time; by default one for each core, or on a GPU one.
    threads : int, optional
        Threads of each; by default those of its share of the cores.

    Returns
    -------
    Summary
        What was done, and what could not be and why.

    Raises
    ------
    ValueError
        An argument is wrong.
    ResultError
        A result is there, but of another configuration or other data, or damaged.
    KeyboardInterrupt
        After Ctrl-C; it says how to go on.
    """
    _check(methods, seeds, resamples, processes, threads)
    results = Results(Path(folder))
    jobs, failed = _plan(_expand(sources), methods, seeds, resamples)
    todo = [job for job in jobs if not job.is_done(results)]
    kept = len(jobs) - len(todo)
    if kept:
        logger.info("%d of %d results are there.", kept, len(jobs))
    for name, reason in failed.items():
        logger.warning("%s: %s", name, reason)
    if not todo:
        return Summary(0, kept, failed)
    n_cores = max(1, int(cores()))
    usual = 1 if torch.cuda.is_available() else max(1, n_cores // (threads or 1))
    processes = min(len(todo), processes or usual)
    threads = threads or max(1, n_cores // processes)
    logger.info("%d trainings in %d processes of %d threads.", len(todo), processes, threads)
    left = {job.name: job for job in todo}
    done, busy = [], set[str]()
    try:
        for outcome in do_all(todo, results.folder, processes=processes, threads=threads):
            job = outcome.job
            if outcome.busy:
                if job.name not in busy:
                    logger.info("%s: another process is at work on it.", _title(job))
                busy.add(job.name)
                continue
            del left[job.name]
            if outcome.failed is not None:
                failed[_title(job)] = outcome.failed
                logger.warning("%s: %s", _title(job), outcome.failed)
            else:
                done.append(outcome)
                _tell(outcome, list(left.values()), done, processes)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{len(done)} new results are in {results.folder}: continue with the same command"
        ) from None
    return Summary(len(done), kept, failed)


def _tell(outcome: Outcome, left: list[Job], done: list[Outcome], processes: int) -> None:
    rate = sum(o.seconds for o in done) / sum(o.job.cost for o in done)
    seconds = rate * sum(job.cost for job in left) / min(processes, len(left) or 1)
    logger.info(
        "%s: accuracy %.4f in %s; %s",
        _title(outcome.job),
        outcome.accuracy,
        _duration(outcome.seconds),
        f"{len(left)} remain, about {_duration(seconds)}" if left else "that was the last",
    )


def _duration(seconds: float) -> str:
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"


def _title(job: Job) -> str:
    draw = f", resample {job.resample}" if job.resample else ""
    return f"{job.problem}, {job.method}, seed {job.config.seed}{draw}"


def _check(
    methods: Mapping[str, TrainConfig],
    seeds: Sequence[int],
    resamples: int,
    processes: int | None,
    threads: int | None,
) -> None:
    if not methods:
        raise ValueError("give at least one method, a configuration with its name.")
    for name, config in methods.items():
        if config.devices != 1:
            raise ValueError(f"{name} asks for {config.devices} devices, each job has one.")
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"give each seed once, got {', '.join(map(str, seeds)) or 'none'}.")
    for what, number in (("resamples", resamples), ("processes", processes), ("threads", threads)):
        if number is not None and number < 1:
            raise ValueError(f"{what} must be at least 1, got {number}.")


def _expand(sources: Sequence[str | Path]) -> list[str]:
    """Take folders of problems for the problems in them; paths become absolute."""
    found: list[str] = []
    for source in sources:
        path = Path(source)
        own = os.environ.get("FORESHOCK_DATA")
        if own and not path.exists() and len(path.parts) == 1 and _inside(Path(own) / path):
            path = Path(own) / path
        inside = _inside(path)
        if inside:
            found += [str(each.resolve()) for each in inside]
        else:
            found.append(str(path.resolve()) if path.exists() else str(source))
    return list(dict.fromkeys(found))


def _inside(folder: Path) -> list[Path]:
    """List the sub-folders that hold problems, of a folder that holds none itself."""
    if not folder.is_dir() or store.is_stored(folder) or _holds(folder):
        return []
    return [each for each in sorted(folder.iterdir()) if each.is_dir() and _holds(each)]


def _holds(folder: Path) -> bool:
    return store.is_stored(folder) or any(
        formats.ending(path) in formats.SUFFIXES for path in folder.iterdir()
    )


def _plan(
    sources: Sequence[str], methods: Mapping[str, TrainConfig], seeds: Sequence[int], resamples: int
) -> tuple[list[Job], dict[str, str]]:
    """Return the jobs, the largest first, and what cannot be done and why."""
    jobs: list[Job] = []
    failed: dict[str, str] = {}
    named: dict[str, str] = {}
    for source in sources:
        try:
            problem = data.load(source)
            if resamples > 1:
                resample(problem, 1)
        except (ValueError, OSError, RuntimeError) as error:
            failed[Path(source).name] = " ".join(str(error).split())
            continue
        if problem.name in named:
            raise ValueError(
                f"{named[problem.name]} and {source} are both called {problem.name}: results go by"
                " that name, so put them into two benchmarks."
            )
        named[problem.name] = source
        content = digest(problem)
        jobs += [
            Job(
                problem=problem.name,
                source=source,
                data_digest=content,
                method=name,
                config=replace(config, seed=seed),
                resample=k,
                cost=_cost(problem, config),
            )
            for name, config in methods.items()
            for seed in seeds
            for k in range(resamples)
        ]
    return sorted(jobs, key=lambda job: -job.cost), failed


def _cost(problem: Problem, config: TrainConfig) -> float:
    """Count the readings that go through networks in a training."""
    n_cases = max(1, problem.count("train"))
    fit = dataclasses.replace(config.fit, patience=None, loss="auto")  # these cost nothing
    recipe = resolve(fit, n_cases, max(2, problem.n_classes), valid_asked=False)
    passes = recipe.steps * recipe.batch_size * config.members
    return _START + float(passes * problem.n_timepoints)
