"""How to fit: the configuration, and the loss and learning rate that follow from it."""

import dataclasses
import math
import sys
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from foreshock.nn.distributed import Precision


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How to fit a model."""

    epochs: int | None = None
    """Passes over the training cases; by default 60, or more if that is less than 600 batches, or
    fewer if it is more than 20,000."""

    steps: int | None = None
    """Batches to train on, where whole epochs are too many or too few; with `epochs`, the
    smaller of the two."""

    batch_size: int | None = None
    """Cases in a batch, over all devices; by default a tenth of the training cases, at least 8
    and at most 64. Batches of an epoch differ in size by at most one case."""

    optimizer: Literal["adam", "adamw"] = "adamw"
    """Adam, or Adam with decoupled weight decay."""

    learning_rate: float = 3e-3
    """Peak step size of the optimizer."""

    weight_decay: float = 0.01
    """Decay of the weights, for adamw."""

    schedule: Literal["constant", "one-cycle", "cosine", "plateau"] = "one-cycle"
    """Course of the learning rate: constant; up and down over the whole training (one-cycle);
    down along a cosine; or the papers' plateau, times 0.7937 after 100 epochs without a better
    training loss, down to a tenth of the learning rate."""

    loss: Literal["auto", "bce", "cross-entropy"] = "auto"
    """Binary cross entropy over one-hot outputs (bce) or categorical cross entropy; auto takes
    bce for two classes."""

    focal: float = 0.0
    """Focal loss's gamma: how much less easy cases weigh; 0 is no focal loss."""

    label_smoothing: float = 0.0
    """Share of a label spread evenly over all classes."""

    class_weights: bool = False
    """Weigh each case by n_cases / (n_classes * cases of its class)."""

    sampling: Literal["shuffle", "weighted"] = "shuffle"
    """Take each case once an epoch in random order, or draw all classes equally often."""

    clip: float | None = None
    """Largest norm of the gradient; by default it is not clipped."""

    choice: Literal["auto", "last", "best-valid", "best-train"] = "auto"
    """Which epoch's weights are kept: the last, that of the best loss on the valid part, or on
    the training cases (as in the papers); auto takes best-valid if a valid part was asked for."""

    patience: int | None = None
    """Stop after so many epochs without a better loss; needs a choice by that loss."""

    precision: Precision = "auto"
    """Arithmetic of training: bf16 autocast or float32; auto takes bf16 where it is native."""

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("steps", 1), ("batch_size", 1), ("patience", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}.")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}.")
        for name in ("weight_decay", "focal"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}.")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(
                f"label_smoothing must be at least 0 and below 1, got {self.label_smoothing}."
            )
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip must be above 0, got {self.clip}.")
        if self.patience is not None and self.choice == "last":
            raise ValueError("patience needs --fit.choice best-valid or best-train.")


def resolve(config: FitConfig, n_cases: int, n_classes: int, *, valid_asked: bool) -> FitConfig:
    """Replace every `auto` and default that depends on the data by what it means there.

    Parameters
    ----------
    config : FitConfig
        What was asked for.
    n_cases, n_classes : int
        Training cases and their classes.
    valid_asked : bool
        Whether a valid part was asked for.

    Raises
    ------
    ValueError
        If patience has no loss to wait for.
    """
    batch_size = config.batch_size or max(8, min(64, n_cases // 10))
    n_batches = math.ceil(n_cases / batch_size)
    if config.epochs is not None:
        steps = min(config.epochs * n_batches, config.steps or sys.maxsize)
    else:
        steps = config.steps or min(max(60, math.ceil(600 / n_batches)) * n_batches, 20_000)
    loss = config.loss if config.loss != "auto" else "bce" if n_classes == 2 else "cross-entropy"
    choice = config.choice
    if choice == "auto":
        choice = "best-valid" if valid_asked else "last"
    if config.patience is not None and choice == "last":
        raise ValueError(
            "patience needs a loss to wait for: ask for a valid part with --valid 0.2, "
            "or choose with --fit.choice best-valid (on the problem's own) or best-train."
        )
    if loss == "bce" and n_classes > 2:
        raise ValueError(f"loss bce is for two classes, got {n_classes}: use cross-entropy.")
    return dataclasses.replace(
        config,
        batch_size=batch_size,
        epochs=math.ceil(steps / n_batches),
        steps=steps,
        loss=loss,
        choice=choice,
    )


_LEAST = 1e-7
"""Where a class is certain, a power below 1 has an infinite slope."""


def losses(logits: Tensor, y: Tensor, config: FitConfig) -> Tensor:
    """Give the loss of each case, before class weights.

    Parameters
    ----------
    logits : Tensor of shape (batch, n_classes)
    y : Tensor of shape (batch,)
        Classes as indices.
    config : FitConfig
        As `resolve` gives it.

    Returns
    -------
    Tensor of shape (batch,)
    """
    classes = torch.arange(logits.shape[1], device=y.device)
    onehot = (y[:, None] == classes).to(logits.dtype)  # F.one_hot reads y on the processor
    target = onehot + config.label_smoothing * (1 / logits.shape[1] - onehot)
    if config.loss == "bce":
        each = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        if config.focal:  # Lin et al. 2017 (arXiv 1708.02002)
            unsure = (onehot - logits.sigmoid()).abs()
            each = each * unsure.clamp_min(_LEAST) ** config.focal
        return each.mean(dim=1)  # (batch,)
    loss = -(target * logits.log_softmax(dim=1)).sum(dim=1)  # (batch,)
    if config.focal:
        unsure = 1 - (onehot * logits.softmax(dim=1)).sum(dim=1)
        loss = loss * unsure.clamp_min(_LEAST) ** config.focal
    return loss


def learning_rate(config: FitConfig, done: float, plateau: "Plateau") -> float:
    """Give the learning rate after a share `done` of all steps."""
    rate = config.learning_rate
    if config.schedule == "cosine":
        return _cosine(rate, 0.0, done)
    if config.schedule == "one-cycle":  # Smith and Topin 2017 (arXiv 1708.07120)
        if done < 0.3:
            return _cosine(rate / 25, rate, done / 0.3)
        return _cosine(rate, 0.0, (done - 0.3) / 0.7)
    return rate * plateau.factor


@dataclass
class Plateau:
    """The papers' schedule: slower after 100 epochs without a better loss."""

    factor: float = 1.0
    best: float | None = None
    waited: int = 0

    def update(self, loss: float) -> None:
        """Take in an epoch's training loss."""
        if self.best is None or loss < self.best:
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited >= 100:
            self.factor, self.waited = max(0.1, self.factor * 0.5 ** (1 / 3)), 0


def _cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
