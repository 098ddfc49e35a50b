"""One job of a benchmark: which training it is, whether it is done, and doing it."""

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch

from foreshock._json import decode, flatten
from foreshock.benchmarking.results import ResultError, Results
from foreshock.problems import problem as data
from foreshock.problems.fingerprints import digest
from foreshock.problems.splits import resample
from foreshock.reporting.run_data import read_run
from foreshock.reporting.standings import BOOKKEEPING, Result, name_of, result_of
from foreshock.run import Run
from foreshock.training.config import TrainConfig
from foreshock.training.pipeline import train


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training of a benchmark."""

    problem: str
    """Name of the problem."""

    source: str
    """Where it is loaded from."""

    data_digest: str
    """Hash of what is to be loaded there."""

    method: str
    """Name of the configuration."""

    config: TrainConfig
    """The configuration, with the seed."""

    resample: int
    """Which parts: 0 are the problem's own."""

    cost: float
    """About how long it takes beside others, in any unit."""

    @property
    def name(self) -> str:
        """What its files are called."""
        return name_of(self.problem, self.method, self.config.seed, self.resample)

    def encode(self) -> str:
        """Return the job as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, line: str) -> "Job":
        """Make a job of what `encode` gave."""
        return decode(cls, json.loads(line), "job")

    def is_done(self, results: Results) -> bool:
        """Check whether its result exists.

        Raises
        ------
        ResultError
            If what is there, or was begun, is of another configuration or of other data.
        """
        known = results.read(self.name) if results.has(self.name) else None
        folder = results.run(self.name)
        if known is not None:
            config, same_data = known.config, known.data_digest == self.data_digest
        elif folder.exists():
            config, same_data = Run(folder).read("config").get("config", {}), True
        else:
            return False
        then, now = _options(config), _options(_as_stored(self.config))
        differ = [name for name in dict.fromkeys([*then, *now]) if then.get(name) != now.get(name)]
        what = f"on other cases than {self.source} has now" if not same_data else ""
        if differ:
            name = differ[0]
            option = f"--{name.replace('_', '-')}"
            what = f"with {option} {then.get(name)}, not {now.get(name)}"
        if what:
            raise ResultError(
                f"{self.name} in {results.folder} was made {what}: choose another folder with -o,"
                f" or delete its file in results and its folder in runs."
            )
        return known is not None


def do(job: Job, results: Results) -> Result:
    """Do a job and write its result, unless it is there; what was begun is gone on with.

    Raises
    ------
    BlockingIOError
        If another process is at work on it.
    ValueError
        If the problem is no longer what it was, or cannot be trained on or scored.
    KeyboardInterrupt
        After Ctrl-C or SIGTERM; the training can be gone on with.
    """
    with results.claimed(job.name):
        if job.is_done(results):
            return results.read(job.name)
        started = time.monotonic()
        problem = data.load(job.source)
        if digest(problem) != job.data_digest:
            raise ValueError(f"{job.source} was changed since the benchmark began: start it again.")
        if job.resample:
            problem = resample(problem, job.resample)
        if not problem.count("test") and job.config.test is None:
            raise ValueError(f"{problem.name} has no test part: make one with --test 0.25.")
        folder = results.run(job.name)
        before = _fit_seconds(Run(folder)) if folder.exists() else 0.0
        source = None if job.resample else job.source
        run = train(problem, job.config, folder=folder, source=source, resume=True, progress=False)
        seconds = before + time.monotonic() - started
        result = _result(job, run, seconds)
        results.write(result)
        return result


def _result(job: Job, run: Run, seconds: float) -> Result:
    config = _as_stored(job.config)
    return result_of(
        read_run(run.folder),
        problem=job.problem,
        method=job.method,
        seed=job.config.seed,
        resample=job.resample,
        seconds=round(seconds, 3),
        threads=torch.get_num_threads(),
        config=config,
        config_digest=_config_digest(config),
        data_digest=job.data_digest,
    )


def _fit_seconds(run: Run) -> float:
    """Sum the seconds of all epochs."""
    if not (run.folder / "history.jsonl").is_file():
        return 0.0
    return float(sum(line.get("seconds", 0.0) for line in run.history()))


def _as_stored(config: TrainConfig) -> dict[str, Any]:
    """Return a configuration as JSON: lists for tuples."""
    values: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return values


def _options(config: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in flatten(config).items() if k not in BOOKKEEPING}


def _config_digest(config: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(_options(config), sort_keys=True).encode()).hexdigest()
