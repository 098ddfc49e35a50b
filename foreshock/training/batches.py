"""Which cases make a batch, and how they come to the device."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foreshock._arrays import sample
from foreshock.nn.model import Cases
from foreshock.readings.series import Series

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
        """Return the positions of a batch's cases."""
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
        """Return the position of a class's case number `rank`, counted from 0."""
        block = int(np.searchsorted(self.upto[:, label], rank, side="right"))
        before = int(self.upto[block - 1, label]) if block else 0
        start = block * _BLOCK
        there = np.flatnonzero(self.y[start : start + _BLOCK] == label)
        return start + int(there[rank - before])


def permuted(positions: NDArray[np.int64], n: int, seed: int) -> NDArray[np.int64]:
    """Return where a random permutation of 0..n-1 takes some positions, without storing it.

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
    """Return a generator's seed that differs with each of the numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


_CHUNK = 2**24
"""Values that go over at a time."""


def room(device: torch.device) -> int:
    """Return the bytes that cases may take on a device: a quarter of what a GPU has free."""
    return torch.cuda.mem_get_info(device)[0] // 4 if device.type == "cuda" else 0


class Feed:
    """Gives batches on a device: of cases that lie there, or of cases read when asked.

    Parameters
    ----------
    X, y : Cases and array of shape (n_cases,)
        The cases and their classes as indices.
    device : torch.device
        Where batches go.
    room : int
        Bytes that series may take there; if there are more, each batch is read and sent.
    weights : array of shape (n_cases,), optional
        What each case counts, beside the others; by default all count the same.
    offset : array of shape (n_cases, n_classes), optional
        Logits that the network is trained beside.
    """

    def __init__(
        self,
        X: Cases,
        y: NDArray[np.int64],
        device: torch.device,
        *,
        room: int,
        weights: NDArray[np.float32] | None = None,
        offset: NDArray[np.float32] | None = None,
    ) -> None:
        self.X, self.y, self.device, self.offset = X, y, device, offset
        self.weights = None if weights is None else weights / weights.mean()
        self.held: tuple[Tensor, Tensor, NDArray[np.bool_]] | None = None
        _, *shape = X[np.arange(0)].shape
        if 4 * len(y) * math.prod(shape) <= room:
            self._hold(shape)

    def __call__(self, indices: NDArray[np.int64]) -> tuple[tuple[Tensor, ...], bool]:
        """Return series (batch, n_channels, n_timepoints), classes and weights (batch,) each.

        Offsets (batch, n_classes), if there are any, come last. And whether all readings are
        finite, since to ask the device would be to wait for it.
        """
        weights = torch.ones(len(indices), dtype=torch.float32, device=self.device)
        if self.weights is not None:
            weights = self._send(self.weights[indices])
        rest = (weights,) if self.offset is None else (weights, self._send(self.offset[indices]))
        if self.held is None:
            series = self.X[indices]
            whole = bool(np.isfinite(series).all())
            return (self._send(series), self._send(self.y[indices]), *rest), whole
        x, y, wholes = self.held
        there = self._send(indices)
        return (x[there], y[there], *rest), bool(wholes[indices].all())

    def release(self) -> None:
        """Free what lies on the device."""
        self.held = None

    def _hold(self, shape: Sequence[int]) -> None:
        x = torch.empty((len(self.y), *shape), dtype=torch.float32, device=self.device)
        wholes = np.empty(len(self.y), np.bool_)
        size = max(1, _CHUNK // math.prod(shape))
        for some in np.array_split(np.arange(len(self.y)), math.ceil(len(self.y) / size)):
            series = self.X[some]
            wholes[some] = np.isfinite(series).all(axis=(1, 2))
            x[some[0] : some[-1] + 1] = torch.from_numpy(series)
        self.held = x, torch.tensor(self.y, device=self.device), wholes

    def _send(self, array: NDArray[np.generic]) -> Tensor:
        tensor = torch.from_numpy(array)
        if self.device.type == "cuda":  # from pinned memory, without waiting until it is there
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)


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
