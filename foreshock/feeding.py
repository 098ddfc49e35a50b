"""How cases come to the device that trains on them."""

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foreshock.nn.predict import Cases

_CHUNK = 2**24
"""Values that go over at a time."""


@runtime_checkable
class Drawing(Protocol):
    """A layer that draws, for each step, and may be given what was drawn outside."""

    keep: Tensor | None

    def draw(
        self, n: int, device: torch.device, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw for n cases."""


@runtime_checkable
class Looking(Protocol):
    """A layer that looks whether all readings are there, unless it is told."""

    whole: bool | None


def room(device: torch.device) -> int:
    """Give the bytes that cases may take on a device: a quarter of what a GPU has free."""
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
    """

    def __init__(
        self,
        X: Cases,
        y: NDArray[np.int64],
        device: torch.device,
        *,
        room: int,
        weights: NDArray[np.float32] | None = None,
    ) -> None:
        self.X, self.y, self.device = X, y, device
        self.weights = None if weights is None else weights / weights.mean()
        self.held: tuple[Tensor, Tensor, NDArray[np.bool_]] | None = None
        _, *shape = X[np.arange(0)].shape
        if 4 * len(y) * math.prod(shape) <= room:
            self._hold(shape)

    def __call__(self, indices: NDArray[np.int64]) -> tuple[tuple[Tensor, Tensor, Tensor], bool]:
        """Give series (batch, n_channels, n_timepoints), classes and weights (batch,) each.

        And whether all readings are finite, since to ask the device would be to wait for it.
        """
        weights = torch.ones(len(indices), dtype=torch.float32, device=self.device)
        if self.weights is not None:
            weights = self._send(self.weights[indices])
        if self.held is None:
            series = self.X[indices]
            whole = bool(np.isfinite(series).all())
            return (self._send(series), self._send(self.y[indices]), weights), whole
        x, y, wholes = self.held
        there = self._send(indices)
        return (x[there], y[there], weights), bool(wholes[indices].all())

    def release(self) -> None:
        """Let go of what lies on the device."""
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
