"""Counting what may be too many to copy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 2**20


def count_codes(codes: NDArray[Any], n_codes: int) -> NDArray[np.int64]:
    """Count each of the codes 0 to n_codes - 1, (n_codes,).

    As `numpy.bincount`, which copies an array that is memory-mapped.
    """
    counts = np.zeros(n_codes, np.int64)
    for start in range(0, len(codes), _BLOCK):
        counts += np.bincount(codes[start : start + _BLOCK], minlength=n_codes)
    return counts


def balance(y: NDArray[np.int64]) -> NDArray[np.float32]:
    """Give what the cases of each class weigh where all classes are to count the same.

    That is n_cases / (n_classes * cases of the class), of classes as indices (n_cases,).
    """
    counts = count_codes(y, int(y.max()) + 1)
    weights: NDArray[np.floating] = len(y) / (len(counts) * np.maximum(counts, 1))
    return weights.astype(np.float32)
