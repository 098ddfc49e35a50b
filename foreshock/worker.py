"""A process of a benchmark's pool: jobs come in as lines, and what came of each goes out."""

import json
import logging
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import IO, Any

import torch

from foreshock.jobs import Job, do
from foreshock.results import Results

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
