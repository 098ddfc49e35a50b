"""Logits of a model for labelled arrays, or for cases that are read when asked."""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from foreshock.nn.distributed import Devices, Precision, autocast, resolve_precision


class Cases(Protocol):
    """Series by index: an array, or anything that reads them when asked."""

    def __len__(self) -> int:
        """Count the cases."""

    def __getitem__(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give series (len(indices), n_channels, n_timepoints)."""


def predict(
    model: nn.Module, X: Cases, *, devices: Devices, precision: Precision = "float32"
) -> NDArray[np.float32]:
    """Give logits (n_cases, n_classes) of a model, in evaluation mode.

    Parameters
    ----------
    model : nn.Module
        As in `fit`.
    X : Cases
        Series (n_cases, n_channels, n_timepoints).
    devices : Devices
        Each process predicts its share; all get the whole.
    precision : {"float32", "bf16", "auto"}
        Arithmetic.
    """
    if model.training:
        model.eval()
    device, n = devices.device, len(X)
    mine = devices.share(np.arange(n))
    _, n_channels, n_timepoints = X[mine[:0]].shape
    size = max(1, 2**22 // (max(n_channels, 256) * n_timepoints))  # some 16 MB of activations each
    logits = None
    with torch.inference_mode(), autocast(resolve_precision(precision, device), device):
        for start in range(0, max(1, len(mine)), size):
            cases = mine[start : start + size]
            batch = model(torch.from_numpy(X[cases]).to(device)).float()  # (cases, n_classes)
            if logits is None:
                logits = batch.new_zeros(n, batch.shape[1])
            # written where they belong: many small tensors, kept, would hold on to the large ones'
            # memory between them
            logits[torch.from_numpy(cases).to(device)] = batch
    assert logits is not None
    return devices.sum(logits).cpu().numpy()
