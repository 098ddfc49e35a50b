"""Open a run: a new folder with what is asked for and on which cases, or the one to go on with."""

import dataclasses
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock._arrays import sample
from foreshock._files import is_empty
from foreshock._json import decode, flatten
from foreshock._text import match_labels
from foreshock.presets import TrainConfig, option_name
from foreshock.problems.audit import audit
from foreshock.problems.fingerprints import case_hashes, digest, stretches_of
from foreshock.problems.formats import Part
from foreshock.problems.problem import Problem, card
from foreshock.readings.series import Series
from foreshock.recorder import environment
from foreshock.run import Document, Run
from foreshock.transfer import check_unchanged, doubts, origin

logger = logging.getLogger(__name__)

_VIEWED = 2**15
"""Most cases that means and deviations are fitted on."""


class PartCases:
    """The cases of one part, read from the problem when asked; iterates over chunks of them."""

    def __init__(self, X: Series, rows: slice | NDArray[np.int64]) -> None:
        self.X, self.rows = X, rows

    def __len__(self) -> int:
        if isinstance(self.rows, slice):
            return int(self.rows.stop - self.rows.start)
        return len(self.rows)

    def __getitem__(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        if isinstance(self.rows, slice):
            return self.X[positions + self.rows.start]
        return self.X[self.rows[positions]]

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Iterate over all cases, or as many as tell their means and deviations well enough."""
        chosen = sample(len(self), _VIEWED)
        for start in range(0, len(chosen), 1024):
            yield self[chosen[start : start + 1024]]


def named_as_begun(problem: Problem, folder: Path) -> Problem:
    """Give classes the names, and the order, that they have in a run that was begun with them.

    Runs of earlier versions have labels in the form of their file, 1.0 for 1.
    """
    if not (folder / "problem.json").exists():
        return problem
    stored = Run(folder).read("problem")
    try:
        names = tuple(stored["card"]["parts"]["train"]["class_counts"])
        same = match_labels(problem.classes, names)
        index = np.array([names.index(same[name]) for name in problem.classes])
    except (KeyError, TypeError, ValueError):  # another problem, as its digest will tell
        return problem
    if names == problem.classes or not problem.classes:
        return problem
    return dataclasses.replace(problem, classes=names, y=index[problem.y])


def open_run(
    problem: Problem, config: TrainConfig, folder: Path | None, source: str | None, *, resume: bool
) -> Run:
    """Make the run's folder, or open the one to go on with after checking that it is this run."""
    settings = dataclasses.asdict(config)
    if resume and folder is not None and folder.exists() and not is_empty(folder):
        run = Run(folder)
        stored = decode(TrainConfig, run.read("config").get("config", {}), "config.json")
        config = dataclasses.replace(
            config, checkpoint_seconds=stored.checkpoint_seconds, log=stored.log
        )
        if stored != config:
            raise ValueError(
                f"the run in {folder} was started with {_differences(stored, config)}: leave it "
                "out to go on, or start a new run."
            )
        if run.read("problem").get("digest") != digest(problem):
            raise ValueError(
                f"{problem.name} is not the problem that the run in {folder} was started on: "
                "its cases or parts have changed."
            )
        if not run.complete:
            check_unchanged(config, run.read("problem").get("from"))
        then, now = run.read("environment"), environment(config.fit.precision, config.devices)
        for name in ("threads", "precision", "device"):
            if then.get(name) != now[name]:
                logger.warning(
                    "%s is %s, no longer %s: weights will not be equal bit for bit.",
                    name,
                    now[name],
                    then.get(name),
                )
        return run
    parts: list[Part] = ["train"]
    chosen_by = config.valid is not None or config.fit.choice == "best-valid"
    if problem.count("valid") and (chosen_by or config.members == 1):  # or calibrated by
        parts.append("valid")
    found, begun = audit(problem), origin(config, problem)
    for doubt in doubts(begun):
        logger.warning("%s: their score is no test.", doubt)
    documents: dict[Document, dict[str, Any]] = {
        "config": {"problem": source, "config": settings},
        "environment": environment(config.fit.precision, config.devices),
        "problem": {
            "digest": digest(problem),
            "card": dataclasses.asdict(card(problem)),
            "audit": dataclasses.asdict(found) | {"findings": found.findings() + doubts(begun)},
            "from": begun,
            "n_trained_on": sum(map(problem.count, parts)),
            "stretches": stretches_of(problem, parts),
            "trained_on": [
                case
                for cases in (PartCases(problem.X, problem.rows(part)) for part in parts)
                for case in case_hashes(cases.__getitem__, len(cases))
            ],
        },
    }
    if folder is not None:
        return Run.create(folder, documents)
    name = re.sub(r"[^\w.-]+", "_", problem.name).strip(".")[:80]  # a file gave it
    name = name.encode()[:200].decode(errors="ignore") or "run"
    number = 1
    while True:  # another process may take the same number in the meantime
        folder = Path("runs") / f"{name}-{number}"
        try:
            return Run.create(folder, documents)
        except OSError:
            if not folder.exists():
                raise
            number += 1


def _differences(stored: TrainConfig, given: TrainConfig) -> str:
    """Name the first field in which two configurations differ."""
    old, new = flatten(dataclasses.asdict(stored)), flatten(dataclasses.asdict(given))
    name = next(name for name in old if old[name] != new[name])
    return f"--{option_name(name)} {old[name]}, not {new[name]}"
