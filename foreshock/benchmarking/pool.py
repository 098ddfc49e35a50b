"""The jobs of a benchmark, and the processes that do them.

Each process has its own threads, and none outlives its work.

joblib's loky is not used: it fails all jobs where one process dies, and ends processes by SIGKILL,
which leaves a training no time to save where it is.
"""

import hashlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
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
from foreshock.training.config import TrainConfig, option_name
from foreshock.training.pipeline import train

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_ASK_AGAIN = 1.0
"""Seconds after which a job that another process is at work on is asked for again."""
_PATIENCE = 10.0
"""Seconds in which a training has to save where it is, and end."""


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
            option = f"--{option_name(name)}"
            what = f"with {option} {then.get(name)}, not {now.get(name)}"
        if what:
            raise ResultError(
                f"{self.name} in {results.folder} was made {what}: choose another folder with -o,"
                f" or delete its file in results and its folder in runs."
            )
        return known is not None


@dataclass(frozen=True)
class Outcome:
    """What became of a job."""

    job: Job

    accuracy: float | None = None
    """On the test part, if it was done."""

    seconds: float = 0.0
    """How long it took."""

    failed: str | None = None
    """Why it was not done."""

    busy: bool = False
    """Whether another process is at work on it, so that it is asked for again."""


def do_all(jobs: Sequence[Job], folder: Path, *, processes: int, threads: int) -> Iterator[Outcome]:
    """Do jobs in a pool of processes, in their order, and yield what becomes of each.

    Parameters
    ----------
    jobs : sequence of Job
        What to do.
    folder : Path
        Where the results go.
    processes, threads : int
        How many processes, and of how many threads each.
    """
    pool, executor = _Pool(folder, threads), ThreadPoolExecutor(processes)
    try:
        left = {executor.submit(pool.do, job) for job in jobs}
        while left:
            done, left = wait(left, return_when=FIRST_COMPLETED)
            for outcome in (future.result() for future in done):
                if outcome.busy:
                    left.add(executor.submit(pool.do, outcome.job))
                yield outcome
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        pool.stop()


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


class _Pool:
    """Processes that do one job after the other; where one has died, another is started."""

    def __init__(self, folder: Path, threads: int) -> None:
        entry = "from foreshock.benchmarking.pool import main; main()"
        start = f"import sys; sys.path[:] = {sys.path!r}; {entry}"
        self.command = [sys.executable, "-P", "-c", start, str(folder), str(threads)]
        self.environment = os.environ | dict.fromkeys(_THREADS, str(threads))
        self.processes: list[subprocess.Popen[str]] = []
        self.idle: list[subprocess.Popen[str]] = []
        self.stopped = threading.Event()
        self.lock = threading.Lock()

    def do(self, job: Job) -> Outcome:
        """Have a job done by a process that is idle, and wait for it."""
        with self.lock:
            if self.stopped.is_set():
                return Outcome(job, failed="interrupted")
            self.idle = [each for each in self.idle if each.poll() is None]
            process = self.idle.pop() if self.idle else self._start()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(job.encode() + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            code = process.wait()
            what = f"signal {-code}, memory may be short" if code < 0 else f"exit code {code}"
            return Outcome(job, failed=f"its process ended ({what})")
        with self.lock:
            self.idle.append(process)
        outcome = Outcome(job, **json.loads(line))
        if outcome.busy:
            self.stopped.wait(_ASK_AGAIN)
        return outcome

    def _start(self) -> "subprocess.Popen[str]":
        process = subprocess.Popen(  # noqa: S603 (the command is ours)
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self.environment,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # a terminal's Ctrl-C reaches it through `stop` only
        )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        """End all processes; a training saves where it is first."""
        with self.lock:
            self.stopped.set()
        for process in self.processes:
            process.terminate()
        until = time.monotonic() + _PATIENCE
        for process in self.processes:
            with suppress(BrokenPipeError), process:  # which closes its pipes
                try:
                    process.wait(max(0.0, until - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()


def main() -> None:
    """Do jobs, `FOLDER THREADS` on the command line, until standard input ends."""
    results, threads = Results(Path(sys.argv[1])), int(sys.argv[2])
    torch.set_num_threads(threads)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever else is printed is no reply
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    while True:
        reply = _reply(Job.decode(lines.get()), results)
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _listen(lines: "queue.SimpleQueue[str]") -> None:
    """Pass lines on; where they end, the parent has ended: a training saves its state."""
    for line in sys.stdin:
        lines.put(line)
    os.kill(os.getpid(), signal.SIGTERM)


def _reply(job: Job, results: Results) -> dict[str, Any]:
    try:
        result = do(job, results)
    except BlockingIOError:
        return {"busy": True}
    except KeyboardInterrupt:
        sys.exit(130)
    except (ValueError, OSError, RuntimeError, ImportError, MemoryError) as error:
        return {"failed": " ".join(str(error).split()) or type(error).__name__}
    return {"accuracy": result.accuracy.value, "seconds": result.seconds}
