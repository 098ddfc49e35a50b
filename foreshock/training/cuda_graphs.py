"""Steps of a training that a GPU is told of once, and then only to do again: CUDA graphs.

A small network's step is hundreds of short kernels, and telling the GPU of each takes longer than
computing it.
"""

import logging
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from foreshock.nn.distributed import Devices

logger = logging.getLogger(__name__)

Work = Callable[..., Tensor]
"""Takes what is fixed and then tensors, changes others in place and gives one. Never waits for the
device."""
Perform = Callable[[Work, tuple[Any, ...], tuple[Tensor, ...]], Tensor]
"""Does work, given what is fixed and the tensors."""

_WARM_UPS = 3
"""Times that the work is done before it is captured: libraries make themselves ready in it."""


def performer(devices: Devices) -> Perform:
    """Return what runs a training's steps: as graphs where a GPU trains alone."""
    return Replays(CudaGraphs()) if devices.graphs else at_once


def at_once(work: Work, fixed: tuple[Any, ...], tensors: tuple[Tensor, ...]) -> Tensor:
    """Do the work as it stands."""
    return work(*fixed, *tensors)


class Capturing(Protocol):
    """What captures work."""

    def warm_up(self, work: Callable[[], Tensor]) -> Tensor:
        """Do the work where it would be captured."""

    def capture(self, work: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        """Note the work without doing it; give what does it, and where its result will be."""


class Replays:
    """Does work the first few times, then captures it and repeats what it captured.

    Once for each combination of what is fixed, on which the shapes of the tensors must depend.
    """

    def __init__(self, by: Capturing) -> None:
        self.by = by
        self.times: Counter[tuple[Any, ...]] = Counter()
        self.captured: dict[tuple[Any, ...], _Captured] = {}
        self.failed = False

    def __call__(self, work: Work, fixed: tuple[Any, ...], tensors: tuple[Tensor, ...]) -> Tensor:
        """Do the work once and give its result."""
        if not self.failed and fixed not in self.captured and self.times[fixed] == _WARM_UPS:
            self._capture(work, fixed, tensors)
        if self.failed:
            return at_once(work, fixed, tensors)
        if fixed not in self.captured:
            self.times[fixed] += 1
            return self.by.warm_up(lambda: work(*fixed, *tensors))
        captured = self.captured[fixed]
        for its, given in zip(captured.tensors, tensors, strict=True):
            its.copy_(given)
        captured.again()
        return captured.result.clone()  # the next one writes to the same place

    def _capture(self, work: Work, fixed: tuple[Any, ...], tensors: tuple[Tensor, ...]) -> None:
        its = tuple(tensor.clone() for tensor in tensors)
        try:
            again, result = self.by.capture(lambda: work(*fixed, *its))
        except RuntimeError as error:
            self.failed = True
            self.captured.clear()
            reason = str(error).partition("\n")[0]
            logger.warning("steps are not captured as CUDA graphs, which is slower: %s", reason)
        else:
            self.captured[fixed] = _Captured(its, again, result)


@dataclass(frozen=True, eq=False)
class _Captured:
    tensors: tuple[Tensor, ...]
    again: Callable[[], object]
    result: Tensor


class CudaGraphs:
    """Captures work as CUDA graphs, as torch's notes on CUDA semantics say.

    The graphs share their memory, which is safe since one is replayed after the other and none
    needs another's results.
    """

    def __init__(self) -> None:
        self.side = torch.cuda.Stream()
        self.pool = torch.cuda.graph_pool_handle()

    def warm_up(self, work: Callable[[], Tensor]) -> Tensor:
        """Do the work on the stream that is captured."""
        here = torch.cuda.current_stream()
        self.side.wait_stream(here)
        with torch.cuda.stream(self.side), warnings.catch_warnings():
            # the optimizer does not know that this goes before a capture
            warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")
            result = work()
        here.wait_stream(self.side)
        return result.clone()  # in memory of this stream

    def capture(self, work: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        """Capture the work; nothing is computed."""
        graph = torch.cuda.CUDAGraph()
        # the outer one comes back to this stream even where the capture fails
        with (
            torch.cuda.stream(self.side),
            torch.cuda.graph(graph, pool=self.pool, stream=self.side),
        ):
            result = work()
        return graph.replay, result
