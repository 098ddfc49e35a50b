"""Which cases make a batch: in random order, or all classes alike; for any number of cases."""

import numpy as np
import torch
from numpy.typing import NDArray

SHUFFLED = 2**20
"""Most cases whose order is held in memory."""
_BLOCK = 4096


class Batches:
    """The batches of each epoch. All of it follows from the seed, so there is no state to save.

    Parameters
    ----------
    y : ndarray of shape (n_cases,)
        Classes as indices.
    n_batches : int
        Batches in an epoch; their sizes differ by at most one.
    seed : int
        The order of epoch e follows from (seed, e).
    balanced : bool
        Draw all classes equally often, with replacement, instead of each case once.
    """

    def __init__(self, y: NDArray[np.int64], n_batches: int, *, seed: int, balanced: bool) -> None:
        self.n_cases, self.n_batches, self.seed = len(y), n_batches, seed
        self.classes = _Ranks(y) if balanced else None
        self._shuffled: tuple[int, NDArray[np.int64]] | None = None

    def __call__(self, epoch: int, batch: int) -> NDArray[np.int64]:
        """Give the positions of a batch's cases."""
        size, longer = divmod(self.n_cases, self.n_batches)
        start = batch * size + min(batch, longer)
        stop = start + size + (batch < longer)
        if self.classes is not None:
            return self.classes.draw(stop - start, mix(self.seed, 0, epoch, batch))
        if self.n_cases > SHUFFLED:
            return permuted(np.arange(start, stop), self.n_cases, mix(self.seed, 0, epoch))
        if self._shuffled is None or self._shuffled[0] != epoch:
            generator = torch.Generator().manual_seed(mix(self.seed, 0, epoch))
            order = torch.randperm(self.n_cases, generator=generator).numpy()
            self._shuffled = epoch, order
        return self._shuffled[1][start:stop]


class _Ranks:
    """Finds the r-th case of a class without a list of all of them."""

    def __init__(self, y: NDArray[np.int64]) -> None:
        self.y = y
        self.n_classes = int(y.max()) + 1
        counts = [
            np.bincount(y[start : start + _BLOCK], minlength=self.n_classes)
            for start in range(0, len(y), _BLOCK)
        ]
        self.upto = np.cumsum(counts, axis=0)  # (blocks, classes): cases up to each block's end
        self.present = np.flatnonzero(self.upto[-1])

    def draw(self, size: int, seed: int) -> NDArray[np.int64]:
        """Draw a class for each case, all alike, and then one of its cases, all alike."""
        random = np.random.default_rng(seed)
        classes = random.choice(self.present, size)
        ranks = random.integers(self.upto[-1][classes])
        return np.array(
            [self.find(c, r) for c, r in zip(classes.tolist(), ranks.tolist(), strict=True)]
        )

    def find(self, label: int, rank: int) -> int:
        """Give the position of a class's case number `rank`, counted from 0."""
        block = int(np.searchsorted(self.upto[:, label], rank, side="right"))
        before = int(self.upto[block - 1, label]) if block else 0
        start = block * _BLOCK
        there = np.flatnonzero(self.y[start : start + _BLOCK] == label)
        return start + int(there[rank - before])


def permuted(positions: NDArray[np.int64], n: int, seed: int) -> NDArray[np.int64]:
    """Give where a random permutation of 0..n-1 takes some positions, without making it whole.

    A Feistel network (Luby and Rackoff 1988) over the next power of four, walked until it
    comes back below n (Black and Rogaway 2002).
    """
    half = np.uint64(max(1, (int(n - 1).bit_length() + 1) // 2))
    mask = np.uint64((1 << int(half)) - 1)
    keys = np.random.SeedSequence(seed).generate_state(_ROUNDS, np.uint64)

    def once(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
        left, right = x >> half, x & mask
        for key in keys:
            mixed = (right + key) * _ODD
            mixed ^= mixed >> np.uint64(29)
            mixed *= _ODD
            left, right = right, left ^ ((mixed >> np.uint64(32)) & mask)
        return (left << half) | right

    out = once(positions.astype(np.uint64))
    while (beyond := out >= n).any():
        out[beyond] = once(out[beyond])
    return out.astype(np.int64)


_ROUNDS = 6
_ODD = np.uint64(0x9E3779B97F4A7C15)


def mix(*numbers: int) -> int:
    """Give a generator's seed that differs with each of the numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
