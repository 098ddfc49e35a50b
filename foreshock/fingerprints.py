"""Hashes by which a problem and its cases are known again."""

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock.problems import Problem
from foreshock.store import content_hash
from foreshock.tables import chunks
from foreshock.windows import Series, Windows


def digest(problem: Problem) -> str:
    """Hash what a problem holds, whatever its name, as the text of a sha256."""
    head: list[Any] = [problem.X.shape, problem.classes, problem.channels]
    if isinstance(problem.X, Windows):  # the windows themselves may be a thousand times as much
        head += [content_hash(problem.X.readings.values), content_hash(problem.X.ends)]
    result = hashlib.sha256(json.dumps(head).encode())
    if not isinstance(problem.X, Windows):
        for _, chunk in chunks(problem.X):
            result.update(canonical(chunk).tobytes())
    result.update(np.ascontiguousarray(problem.y, "<i8").data)
    result.update(np.ascontiguousarray(problem.part).data)
    return result.hexdigest()


def case_digests(X: Series) -> NDArray[np.uint64]:
    """Hash each case, (n_cases,), so that equal cases have equal hashes."""
    digests = np.empty(len(X), dtype=np.uint64)
    for start, chunk in chunks(X):
        for i, case in enumerate(canonical(chunk), start):
            digests[i] = int.from_bytes(hashlib.blake2b(case, digest_size=8).digest(), "little")
    return digests


def canonical(X: NDArray[np.float32]) -> NDArray[np.float32]:
    """Copy with one bit pattern for each value: one NaN, no negative zero, little-endian."""
    return np.where(np.isnan(X), np.float32(np.nan), X + np.float32(0)).astype("<f4", order="C")
