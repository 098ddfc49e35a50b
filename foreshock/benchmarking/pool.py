"""A pool of processes that do jobs; each has its own threads, and none outlives its work."""

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch

from foreshock.benchmarking.jobs import Job, do
from foreshock.benchmarking.results import Results

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_ASK_AGAIN = 1.0
"""Seconds after which a job that another process is at work on is asked for again."""
_PATIENCE = 10.0
"""Seconds in which a training has to save where it is, and end."""


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
    """Do jobs in a pool of processes, in their order, and give what becomes of each.

    Parameters
    ----------
    jobs : sequence of Job
        What to do.
    folder : Path
        Where the results go.
    processes, threads : int
        How many processes, and of how many threads each.
    """
    waiting = deque(jobs)
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    workers = [_Worker(folder, threads, waiting, outcomes) for _ in range(processes)]
    try:
        for worker in workers:
            worker.start()
        left = len(jobs)
        while left:
            outcome = outcomes.get()
            left -= not outcome.busy
            yield outcome
    finally:
        waiting.clear()
        for worker in workers:
            worker.stop()
        until = time.monotonic() + _PATIENCE
        for worker in workers:
            worker.wait(max(0.0, until - time.monotonic()))


class _Worker(threading.Thread):
    """Hands jobs to a process, and starts another where one has died."""

    def __init__(
        self,
        folder: Path,
        threads: int,
        waiting: "deque[Job]",
        outcomes: "queue.SimpleQueue[Outcome]",
    ) -> None:
        super().__init__(daemon=True)
        entry = "from foreshock.benchmarking.pool import main; main()"
        start = f"import sys; sys.path[:] = {sys.path!r}; {entry}"
        self.command = [sys.executable, "-P", "-c", start, str(folder), str(threads)]
        self.environment = os.environ | dict.fromkeys(_THREADS, str(threads))
        self.waiting, self.outcomes = waiting, outcomes
        self.process: subprocess.Popen[str] | None = None
        self.stopped = threading.Event()
        self.lock = threading.Lock()

    def run(self) -> None:
        """Hand over one job after the other."""
        while not self.stopped.is_set():
            try:
                job = self.waiting.popleft()
            except IndexError:
                if self.stopped.wait(_ASK_AGAIN):  # one that is busy may come back
                    return
                continue
            outcome = self._ask(job)
            if self.stopped.is_set():
                return
            if outcome.busy:
                self.waiting.append(job)
                self.outcomes.put(outcome)
                self.stopped.wait(_ASK_AGAIN)
            else:
                self.outcomes.put(outcome)

    def _ask(self, job: Job) -> Outcome:
        process = self._running()
        if process is None:
            return Outcome(job, failed="interrupted")
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
        reply: dict[str, Any] = json.loads(line)
        return Outcome(job, **reply)

    def _running(self) -> "subprocess.Popen[str] | None":
        with self.lock:
            if self.stopped.is_set():
                return None
            if self.process is None or self.process.poll() is not None:
                self.process = subprocess.Popen(  # noqa: S603
                    self.command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=self.environment,
                    text=True,
                    encoding="utf-8",
                    start_new_session=True,  # a terminal's Ctrl-C reaches it through `stop` only
                )
            return self.process

    def stop(self) -> None:
        """Ask the process to end; a training saves where it is first."""
        with self.lock:
            self.stopped.set()
            if self.process is not None and self.process.poll() is None:
                self.process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait until the process has ended, or end it."""
        if self.process is None:
            return
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


_LEAVE = 130


def main() -> None:
    """Do jobs, `FOLDER THREADS` on the command line, until standard input ends."""
    results, threads = Results(Path(sys.argv[1])), int(sys.argv[2])
    torch.set_num_threads(threads)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever else is printed is no reply
    working = threading.Event()
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin, lines, working), daemon=True).start()
    while (line := lines.get()) is not None:
        working.set()
        reply = _reply(Job.decode(line), results)
        working.clear()
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _listen(given: IO[str], lines: "queue.SimpleQueue[str | None]", working: Any) -> None:
    """Hand lines on; where they end in the middle of a job, whoever gives them has ended."""
    for line in given:
        lines.put(line)
    lines.put(None)
    if working.is_set():
        os.kill(os.getpid(), signal.SIGTERM)  # a training saves where it is


def _reply(job: Job, results: Results) -> dict[str, Any]:
    try:
        result = do(job, results)
    except BlockingIOError:
        return {"busy": True}
    except KeyboardInterrupt:
        sys.exit(_LEAVE)
    except (ValueError, OSError, RuntimeError, ImportError, MemoryError) as error:
        return {"failed": " ".join(str(error).split()) or type(error).__name__}
    return {"accuracy": result.accuracy.value, "seconds": result.seconds}


if __name__ == "__main__":
    main()
