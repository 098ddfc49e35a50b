"""One training loop for a network and any labelled arrays: fit, find a learning rate.

It knows no sensors and no files. What wants to know how training goes, to draw it, record it
or save it, is passed in as a `Callback`.
"""

import copy
import dataclasses
import math
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foreshock._arrays import balance
from foreshock.nn.distributed import (
    READ_EVERY,
    Devices,
    SharedError,
    autocast,
    memory_kept,
    resolve_precision,
)
from foreshock.nn.model import LSTMFCN, Cases, predict
from foreshock.training.batches import Batches, Feed, mix, room
from foreshock.training.config import Plateau, Recipe, learning_rate, losses
from foreshock.training.cuda_graphs import at_once, performer

_DROPOUT = 3
"""Number of dropout's stream of draws; another would change every training."""
_VALUES = ("epoch", "batch", "step", "rate", "loss_sum", "loss_count", "best_loss", "best_epoch")
"""What a snapshot has of a `Fitting`, beside tensors."""


@dataclass(frozen=True)
class Batch:
    """What is known after a batch."""

    step: int
    epoch: int
    loss: float
    learning_rate: float


@dataclass(frozen=True)
class Epoch:
    """What is known after an epoch."""

    epoch: int
    train_loss: float
    valid_loss: float | None
    learning_rate: float


@dataclass(frozen=True)
class Snapshot:
    """All that training needs to go on from where it was."""

    tensors: dict[str, NDArray[Any]]
    values: dict[str, Any]


class Callback(Protocol):
    """Called after batches and epochs; what it raises ends the training between two batches."""

    def batch(self, fitting: "Fitting", batch: Batch) -> None:
        """Receive a batch, on a GPU some steps later.

        `fitting.snapshot()` may be taken here if `batch.step` is `fitting.step`.
        """

    def epoch(self, fitting: "Fitting", epoch: Epoch) -> None:
        """Receive an epoch."""


class DivergedError(SharedError):
    """The loss is no longer a finite number."""


def fit(
    model: LSTMFCN,
    X: Cases,
    y: NDArray[np.int64],
    recipe: Recipe,
    *,
    seed: int,
    devices: Devices,
    valid: tuple[Cases, NDArray[np.int64]] | None = None,
    callback: Callback | None = None,
    resume: Snapshot | None = None,
    weights: NDArray[np.float32] | None = None,
    offset: NDArray[np.float32] | None = None,
    seconds: float | None = None,
) -> "Fitting":
    """Train a model in place, to the end, and leave it with the weights of choice.

    Parameters
    ----------
    model : LSTMFCN
        Maps series (batch, n_channels, n_timepoints) to logits (batch, n_classes), given what its
        `draw` drew for the step.
    X, y : Cases and array of shape (n_cases,)
        The training cases and their classes as indices.
    recipe : Recipe
        How to fit.
    seed : int
        The order of the cases and every draw follow from it.
    devices : Devices
        Where to train.
    valid : pair like (X, y), optional
        The valid part, for `recipe.choice`.
    callback : Callback, optional
        Called after batches and epochs.
    resume : Snapshot, optional
        Where to go on from: the same weights come out as if training had not stopped.
    weights : ndarray of shape (n_cases,), optional
        What the loss of each case counts, relative to the others; by default all count the same.
    offset : ndarray of shape (n_cases, n_classes), optional
        Logits of each case, of which a softmax makes probabilities, to train the model beside
        instead of its summary's.
    seconds : float, optional
        Time after which to end, at the foot of the learning rate's course: it follows the steps
        done or the time used, whichever is further. What comes out then depends on the machine.

    Raises
    ------
    DivergedError
        If the loss is not finite.
    """
    fitting = Fitting(
        model, X, y, recipe, seed=seed, devices=devices, valid=valid, weights=weights, offset=offset
    )
    fitting.seconds = seconds
    if resume is not None:
        fitting.restore(resume)
    with memory_kept():
        fitting.run(callback)
    return fitting


class Fitting:
    """The state of one training: what `snapshot` gives is all of it.

    Generators have no state to save: the order of an epoch is drawn from (seed, epoch), what
    the network drops in a step from (seed, step, rank).
    """

    def __init__(
        self,
        model: LSTMFCN,
        X: Cases,
        y: NDArray[np.int64],
        recipe: Recipe,
        *,
        seed: int,
        devices: Devices,
        valid: tuple[Cases, NDArray[np.int64]] | None = None,
        weights: NDArray[np.float32] | None = None,
        offset: NDArray[np.float32] | None = None,
    ) -> None:
        self.model = model.to(devices.device)
        self.X, self.y, self.valid = X, y, valid
        self.recipe, self.seed, self.devices = recipe, seed, devices
        self.feed = Feed(
            X, y, devices.device, room=room(devices.device), weights=weights, offset=offset
        )
        self.perform = performer(devices)
        self.generator = torch.Generator(devices.device)
        self.precision = resolve_precision(recipe.precision, devices.device)
        self.class_weights = torch.from_numpy(balance(y)).to(devices.device)
        balanced = recipe.sampling == "balanced"  # drawn equally often, counted by their shares
        self.shares = 1 / self.class_weights if balanced else None
        self.seconds: float | None = None
        self.started, self.late = time.monotonic(), False
        decay = recipe.weight_decay if recipe.optimizer == "adamw" else 0.0
        # a tensor, so that a graph finds the rate of each step; a GPU's kernel takes it in float32
        exact = torch.float32 if devices.device.type == "cuda" else torch.float64
        rate = torch.tensor(recipe.learning_rate, dtype=exact, device=devices.device)
        self.optimizer = torch.optim.AdamW(
            model.parameters(), rate, weight_decay=decay, fused=True, capturable=devices.graphs
        )
        self.n_batches = math.ceil(len(y) / recipe.batch_size)
        self.n_epochs, self.n_steps = math.ceil(recipe.steps / self.n_batches), recipe.steps
        balanced = recipe.sampling != "shuffle"
        self.batches = Batches(y, self.n_batches, seed=seed, balanced=balanced)
        self.epoch = self.batch = self.step = 0
        self.rate, self.loss_sum, self.loss_count = 0.0, 0.0, 0  # last step's; this epoch's so far
        self.unread: deque[tuple[Tensor, int, int, float]] = deque()  # loss, cases, step, rate
        self.plateau = Plateau()
        self.best_loss: float | None = None
        self.best_epoch = 0
        self.best: dict[str, Tensor] = {}

    @property
    def stopped(self) -> bool:
        """Whether time or patience has run out."""
        patience = self.recipe.patience
        return self.late or (patience is not None and self.epoch - self.best_epoch >= patience)

    @property
    def time_used(self) -> float:
        """Share of the time that has gone by; 0 where there is no limit."""
        used = time.monotonic() - self.started
        return 0.0 if self.seconds is None else used / max(self.seconds, 1e-9)

    def run(self, callback: Callback | None) -> None:
        """Train from where the state stands to the end."""
        self.model.train()
        while self.epoch < self.n_epochs and not self.stopped:
            while self.batch < self.n_batches and self.step < self.n_steps and not self.late:
                indices = self.batches(self.epoch, self.batch)
                loss = self.take_step(indices, self.learning_rate())
                self.batch += 1
                self.step += 1
                self.unread.append((loss, len(indices), self.step, self.rate))
                if len(self.unread) == READ_EVERY[self.devices.device.type]:
                    self.read(callback)
                self.late = self.step < self.n_steps and self.time_used >= 1
            self.read(callback)
            self.end_epoch(callback)
        if self.best:
            self.model.load_state_dict(self.best)
        if not all(bool(t.isfinite().all()) for t in self.model.state_dict().values()):
            raise DivergedError("the last weights are not finite: try a lower --fit.learning-rate.")
        self.optimizer.zero_grad()
        self.feed.release()
        self.perform = at_once  # what was captured takes memory
        self.model.eval()

    def learning_rate(self) -> float:
        """Return the learning rate of the coming step."""
        done = min(1.0, max(self.step / self.n_steps, self.time_used))
        return learning_rate(self.recipe, done, self.plateau)

    def train_step(self, indices: NDArray[np.int64], learning_rate: float) -> float:
        """Take one step on the cases of a batch, wait for it and give its mean loss."""
        return self.finite(self.take_step(indices, learning_rate).item(), learning_rate)

    def take_step(self, indices: NDArray[np.int64], learning_rate: float) -> Tensor:
        """Take one step on the cases of a batch and give its mean loss, without waiting for it.

        From a loss that is not finite no step is taken.
        """
        self.rate = learning_rate
        mine = self.devices.share(indices)
        batch, whole = self.feed(mine)
        self.generator.manual_seed(mix(self.seed, 1, self.step, self.devices.rank, _DROPOUT))
        keep = self.model.draw(len(mine), self.generator)
        for group in self.optimizer.param_groups:
            group["lr"].fill_(learning_rate)
        return self.perform(self.learn, (len(indices), whole), (*batch[:3], keep, *batch[3:]))

    def learn(
        self,
        n_cases: int,
        whole: bool,
        x: Tensor,
        y: Tensor,
        weights: Tensor,
        keep: Tensor,
        offset: Tensor | None = None,
    ) -> Tensor:
        """Compute a step and give its mean loss. Nothing here may wait for the device: `Work`."""
        with autocast(self.precision, self.devices.device):
            beside = {} if offset is None else {"offset": offset}
            logits = self.model(x, keep=keep, whole=whole, **beside)  # (batch, n_classes)
        if self.shares is not None:
            weights = weights * self.shares[y]
        loss = (self.weighted(logits.float(), y) * weights).sum() / n_cases
        self.optimizer.zero_grad()
        loss.backward()
        if self.devices.world > 1:
            grads = [p.grad for p in self.model.parameters() if p.grad is not None]
            total = self.devices.sum(nn.utils.parameters_to_vector(grads))
            nn.utils.vector_to_parameters(total, grads)
        if self.recipe.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        loss = self.devices.sum(loss.detach())
        self.optimizer.found_inf = (~loss.isfinite()).float()  # type: ignore[attr-defined]  # as GradScaler sets it
        self.optimizer.step()
        return loss

    def read(self, callback: Callback | None) -> None:
        """Read the losses of the steps since they were read last, and tell of each."""
        if not self.unread:
            return
        for value in torch.stack([loss for loss, *_ in self.unread]).tolist():
            _, n_cases, step, rate = self.unread.popleft()
            self.loss_sum += self.finite(value, rate) * n_cases
            self.loss_count += n_cases
            if callback is not None:
                callback.batch(self, Batch(step, self.epoch + 1, value, rate))

    def finite(self, loss: float, rate: float, cases: str = "") -> float:
        """Return the loss if it is a finite number."""
        if not math.isfinite(loss):
            raise DivergedError(
                f"the loss{cases} became {loss} in epoch {self.epoch + 1} at learning rate "
                f"{rate:.2g}. Try a tenth of --fit.learning-rate, --fit.clip 1, or "
                "--fit.precision float32, and look for extreme values in the series."
            )
        return loss

    def weighted(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each case (batch,), weighted by its class where that is asked for."""
        each = losses(logits, y, self.recipe)
        return each * self.class_weights[y] if self.recipe.class_weights else each

    def end_epoch(self, callback: Callback | None) -> None:
        """Settle the schedule and the choice after an epoch, and tell."""
        train_loss = self.loss_sum / self.loss_count
        valid_loss = None if self.valid is None else self.valid_loss(*self.valid)
        if self.recipe.schedule == "plateau":
            self.plateau.update(train_loss)
        if self.recipe.choice != "last":
            loss = train_loss if self.recipe.choice == "best-train" else valid_loss
            assert loss is not None
            if self.best_loss is None or loss < self.best_loss:
                self.best_loss, self.best_epoch = loss, self.epoch + 1
                self.best = copy.deepcopy(self.model.state_dict())
        self.epoch, self.batch = self.epoch + 1, 0
        self.loss_sum, self.loss_count = 0.0, 0
        if callback is not None:
            callback.epoch(self, Epoch(self.epoch, train_loss, valid_loss, self.rate))

    def valid_loss(self, X: Cases, y: NDArray[np.int64]) -> float:
        """Return the mean loss on the valid part, in float32."""
        logits = torch.from_numpy(predict(self.model, X, devices=self.devices))
        self.model.train()
        device = self.devices.device
        loss = self.weighted(logits.to(device), torch.from_numpy(y).to(device)).mean().item()
        return self.finite(loss, self.rate, " on the valid part")

    def snapshot(self) -> Snapshot:
        """Return a copy of the whole state. Not in the middle of a batch."""
        assert not self.unread
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        for i, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{k}": v for k, v in state.items()}
        values = {name: getattr(self, name) for name in _VALUES}
        values["plateau"] = dataclasses.asdict(self.plateau)
        return Snapshot({k: v.detach().cpu().numpy().copy() for k, v in tensors.items()}, values)

    def restore(self, snapshot: Snapshot) -> None:
        """Restore the state of a snapshot, before the first step."""
        model: dict[str, Tensor] = {}
        best: dict[str, Tensor] = {}
        states: dict[int, dict[str, Tensor]] = {}
        for name, array in snapshot.tensors.items():
            kind, rest = name.split(".", 1)
            tensor = torch.from_numpy(array)
            if kind == "optimizer":
                i, key = rest.split(".")
                states.setdefault(int(i), {})[key] = tensor
            else:
                (model if kind == "model" else best)[rest] = tensor.to(self.devices.device)
        self.model.load_state_dict(model)
        self.best = best
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": states, "param_groups": groups})
        for name in _VALUES:
            setattr(self, name, snapshot.values[name])
        self.plateau = Plateau(**snapshot.values["plateau"])


@dataclass(frozen=True)
class LearningRates:
    """What the learning-rate finder saw: a loss for each rate, and the rate it suggests."""

    rates: list[float]
    losses: list[float]
    suggestion: float


def find_learning_rate(
    model: LSTMFCN,
    X: Cases,
    y: NDArray[np.int64],
    recipe: Recipe,
    *,
    seed: int,
    devices: Devices,
    n_steps: int = 100,
) -> LearningRates:
    """Raise the learning rate from 1e-6 to 1 over some steps and see where the loss is lowest.

    The range test of Smith 2017 (arXiv 1506.01186), on a copy of the model; losses are smoothed
    and the test ends when they have grown to four times their best. The suggestion is a tenth of
    the rate of the lowest smoothed loss.

    Parameters
    ----------
    model, X, y, recipe, seed, devices
        As in `fit`; training cases only.
    n_steps : int, default=100
        Rates to try.
    """
    recipe = dataclasses.replace(recipe, choice="last", patience=None)  # there is no choice here
    fitting = Fitting(copy.deepcopy(model), X, y, recipe, seed=seed, devices=devices)
    fitting.model.train()
    rates, losses, mean = [], [], 0.0
    for step in range(n_steps):
        rate = 10 ** (-6 + 6 * step / (n_steps - 1))
        indices = fitting.batches(*divmod(step, fitting.n_batches))
        try:
            loss = fitting.train_step(indices, rate)
        except DivergedError:
            break
        fitting.step += 1
        mean = 0.9 * mean + 0.1 * loss
        smooth = mean / (1 - 0.9 ** (step + 1))
        rates.append(rate)
        losses.append(smooth)
        if smooth > 4 * min(losses):
            break
    if not rates:
        raise DivergedError("the first loss is not finite: look for extreme values in the series.")
    return LearningRates(rates, losses, max(rates[int(np.argmin(losses))] / 10, rates[0]))
