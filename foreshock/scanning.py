"""Many overlapping windows of one stretch of readings."""

import numpy as np
from numpy.typing import NDArray

from foreshock import learner
from foreshock.devices import this_device
from foreshock.models import LSTMFCN


class _Windows:
    def __init__(self, values: NDArray[np.float32], last: NDArray[np.int64], n: int) -> None:
        self.views = np.lib.stride_tricks.sliding_window_view(values, n, axis=1).transpose(1, 0, 2)
        self.first = last - (n - 1)

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        out: NDArray[np.float32] = self.views[self.first[indices]]
        return out


def scan(
    model: LSTMFCN, values: NDArray[np.float32], last: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Stand-in."""
    device = this_device()
    logits = learner.predict(
        model.to(device.device), _Windows(values, last, model.n_timepoints), devices=device
    )
    return logits * np.float32(model.logit_scale.item())
