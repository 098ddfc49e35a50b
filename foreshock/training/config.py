"""What a training is asked for: options and presets, and the loss and rate they give."""

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from foreshock.events.alarms import AlarmConfig
from foreshock.events.episodes import EpisodeConfig
from foreshock.nn.config import PAPER, ModelConfig
from foreshock.nn.distributed import Precision


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How to fit a model."""

    epochs: int | None = None
    """Passes over the training cases. Default: 60, but at least 600 and at most 20,000
    batches in all."""

    steps: int | None = None
    """Batches to train on, instead of whole epochs; with `epochs`, the smaller of the two."""

    batch_size: int | None = None
    """Cases per batch, over all devices. Default: a tenth of the training cases, from 8 to 64. The
    batches of an epoch differ by at most one case."""

    optimizer: Literal["adam", "adamw"] = "adamw"
    """Adam, or Adam with decoupled weight decay (AdamW)."""

    learning_rate: float = 3e-3
    """Peak step size of the optimizer."""

    weight_decay: float = 0.01
    """Weight decay of AdamW."""

    schedule: Literal["constant", "one-cycle", "cosine", "plateau"] = "one-cycle"
    """Schedule of the learning rate. constant: no change. one-cycle: up and down over the training.
    cosine: down along a cosine. plateau (papers): times 0.7937 after 100 epochs without a better
    training loss, down to a tenth."""

    loss: Literal["auto", "bce", "cross-entropy"] = "auto"
    """Binary cross entropy over one-hot labels (bce) or categorical cross entropy. auto: bce for
    two classes, else cross-entropy."""

    focal: float = 0.0
    """Gamma of the focal loss: the higher, the less easy cases count. 0: no focal loss."""

    label_smoothing: float = 0.0
    """Share of each label to spread evenly over all classes."""

    class_weights: bool = False
    """Weight each case by n_cases / (n_classes * cases of its class)."""

    sampling: Literal["auto", "shuffle", "weighted", "balanced"] = "auto"
    """shuffle: draw each case once per epoch, in random order. weighted: draw all classes equally
    often. balanced: likewise, but with losses weighed back to the classes' shares, so that
    probabilities hold. auto: balanced for windows of readings, else shuffle."""

    clip: float | None = None
    """Largest norm of the gradient. Default: no limit."""

    choice: Literal["auto", "last", "best-valid", "best-train"] = "auto"
    """Which epoch's weights to keep: the last, the one with the lowest loss on the valid part
    (best-valid) or on the training cases (best-train, as in the papers). auto: best-valid if a
    valid part was asked for, else last."""

    patience: int | None = None
    """Stop after this many epochs without a lower loss; needs --valid or choice best-train."""

    precision: Precision = "auto"
    """Arithmetic of the training. auto: bf16 if the hardware supports it, else float32."""

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
            raise ValueError(
                "patience needs a loss to watch: --fit.choice best-valid or best-train."
            )


@dataclass(frozen=True, kw_only=True)
class Recipe(FitConfig):
    """How to fit a model to the cases at hand: nothing is left to be decided by the data."""

    # each a field() so that it has no default
    epochs: int = field()
    steps: int = field()
    batch_size: int = field()
    loss: Literal["bce", "cross-entropy"] = field()
    sampling: Literal["shuffle", "weighted", "balanced"] = field()
    choice: Literal["last", "best-valid", "best-train"] = field()


_MOST, _MOST_OF_WINDOWS = 20_000, 600
"""Most batches by default; of windows, which overlap, so that more cases do not take longer."""


def resolve(
    config: FitConfig, n_cases: int, n_classes: int, *, valid_asked: bool, windows: bool = False
) -> Recipe:
    """Replace every `auto` and default that depends on the data by what it means there.

    Parameters
    ----------
    config : FitConfig
        What was asked for.
    n_cases, n_classes : int
        Training cases and their classes.
    valid_asked : bool
        Whether a valid part was asked for.
    windows : bool, default=False
        Whether the cases are windows of readings.

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
        most = _MOST_OF_WINDOWS if windows else _MOST
        steps = config.steps or min(max(60, math.ceil(600 / n_batches)) * n_batches, most)
    loss, choice, sampling = config.loss, config.choice, config.sampling
    if sampling == "auto":
        sampling = "balanced" if windows else "shuffle"
    if loss == "auto":
        loss = "bce" if n_classes == 2 else "cross-entropy"
    if choice == "auto":
        choice = "best-valid" if valid_asked else "last"
    if config.patience is not None and choice == "last":
        raise ValueError(
            "patience needs a loss to watch: make a valid part with --valid 0.2, or choose by "
            "--fit.choice best-valid (the problem's own valid part) or best-train."
        )
    if loss == "bce" and n_classes > 2:
        raise ValueError(f"loss bce is for two classes, got {n_classes}: use cross-entropy.")
    epochs = math.ceil(steps / n_batches)
    decided = {"epochs": epochs, "steps": steps, "batch_size": batch_size}
    named = {"loss": loss, "choice": choice, "sampling": sampling}
    return Recipe(**(vars(config) | decided | named))


_LEAST = 1e-7
"""Where a class is certain, a power below 1 has an infinite slope."""


def losses(logits: Tensor, y: Tensor, recipe: Recipe) -> Tensor:
    """Compute the loss of each case, before class weights.

    Parameters
    ----------
    logits : Tensor of shape (batch, n_classes)
    y : Tensor of shape (batch,)
        Classes as indices.
    recipe : Recipe
        Which loss.

    Returns
    -------
    Tensor of shape (batch,)
    """
    classes = torch.arange(logits.shape[1], device=y.device)
    onehot = (y[:, None] == classes).to(logits.dtype)  # F.one_hot reads y on the processor
    target = onehot + recipe.label_smoothing * (1 / logits.shape[1] - onehot)
    if recipe.loss == "bce":
        each = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        if recipe.focal:  # Lin et al. 2017 (arXiv 1708.02002)
            unsure = (onehot - logits.sigmoid()).abs()
            each = each * unsure.clamp_min(_LEAST) ** recipe.focal
        return each.mean(dim=1)  # (batch,)
    loss = -(target * logits.log_softmax(dim=1)).sum(dim=1)  # (batch,)
    if recipe.focal:
        unsure = 1 - (onehot * logits.softmax(dim=1)).sum(dim=1)
        loss = loss * unsure.clamp_min(_LEAST) ** recipe.focal
    return loss


def learning_rate(recipe: Recipe, done: float, plateau: "Plateau") -> float:
    """Compute the learning rate after a share `done` of all steps."""
    rate = recipe.learning_rate
    if recipe.schedule == "cosine":
        return _cosine(rate, 0.0, done)
    if recipe.schedule == "one-cycle":  # Smith and Topin 2017 (arXiv 1708.07120)
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


Service = Literal["tensorboard", "mlflow"]
_MEMBERS = 50


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything a training is asked for."""

    model: ModelConfig = field(default_factory=ModelConfig)
    """The network."""

    fit: FitConfig = field(default_factory=FitConfig)
    """The fit."""

    seed: int = 0
    """Seed of the parts, the initial weights, the order of cases and all other random draws."""

    test: float | None = None
    """Share of the cases to make a test part from, if the problem has none: by group or by time if
    the problem has them, else stratified."""

    valid: float | None = None
    """Share of the training cases to make a valid part from, chosen like the test part. Keeps the
    weights with the lowest loss on it, unless --fit.choice or the preset says otherwise."""

    members: int = 1
    """Networks to train and average. Each leaves out one fold of the training cases (of time or
    group, if there is one). The predictions for these cases calibrate the probabilities, choose the
    alarm threshold and estimate the score before the test part is opened."""

    alarm: AlarmConfig = field(default_factory=AlarmConfig)
    """How to choose the alarm threshold if there are two classes, from predictions for cases left
    out or for the valid part."""

    episodes: EpisodeConfig = field(default_factory=EpisodeConfig)
    """Which stretches of alarms count for an event."""

    scan: bool = True
    """Forecast every target in the time of the test part and count the alarms, for problems cut
    from readings."""

    from_run: str | None = None
    """Run, or model on the Hugging Face Hub, to copy the convolutions from. All other weights start
    anew, so classes and lengths may differ."""

    find_lr: bool = False
    """Find the learning rate on training cases first, then train with it."""

    devices: int = 1
    """Number of GPUs, or of CPU processes if there is no GPU. `--fit.batch-size` is the
    total over all of them."""

    checkpoint_seconds: float = 10.0
    """Shortest time between two checkpoints, in seconds."""

    log: tuple[Service, ...] = ()
    """Where else to log the run. tensorboard: event files in the run's folder. mlflow: the server
    at MLFLOW_TRACKING_URI. Needs the extra tracking."""

    def __post_init__(self) -> None:
        for name in ("test", "valid"):
            share = getattr(self, name)
            if share is not None and not 0 < share < 1:
                raise ValueError(
                    f"{name} must be a share between 0 and 1, got {share}; a quarter is 0.25."
                )
        if self.from_run == "":
            raise ValueError("--from is empty: give a run folder, or a model's name on the Hub.")
        if not 1 <= self.members <= _MEMBERS:
            raise ValueError(f"members must be from 1 to {_MEMBERS}, got {self.members}.")
        if self.devices < 1:
            raise ValueError(f"devices must be at least 1, got {self.devices}.")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be between 0 and {2**32 - 1}, got {self.seed}.")
        if not 0 <= self.checkpoint_seconds < math.inf:
            raise ValueError(
                f"checkpoint_seconds must be at least 0, got {self.checkpoint_seconds}."
            )
        services = get_args(Service)
        if set(self.log) - set(services) or len(set(self.log)) < len(self.log):
            raise ValueError(
                f"log takes {' and '.join(services)}, each at most once, got {self.log!r}."
            )


PRESETS = {
    "fast": TrainConfig(),
    "best": TrainConfig(members=5),
    "paper": TrainConfig(
        model=PAPER,
        fit=FitConfig(
            epochs=2000,
            batch_size=128,
            optimizer="adam",
            learning_rate=1e-3,
            schedule="plateau",
            loss="cross-entropy",
            choice="best-train",
            precision="float32",
        ),
    ),
}
"""fast: each branch fed what it can use, one cycle of AdamW, random convolutions beside it. best:
the mean of five of these, each without a fifth of the training cases, which also calibrates. paper:
the authors' layers and training (arXiv 1709.05206, 1801.04503)."""


def merge(base: TrainConfig, options: TrainConfig, given: Iterable[str]) -> TrainConfig:
    """Return `base`, a preset or a run's, with the fields of `options` that were given.

    Parameters
    ----------
    base, options : TrainConfig
        What is kept, and where the values of the fields that were given are.
    given : iterable of str
        The paths of those fields: seed, fit.epochs.

    Raises
    ------
    ValueError
        If the fields do not go together.
    """
    changes: dict[str, dict[str, Any]] = {"": {}}
    for path in given:
        group, _, name = path.rpartition(".")
        place = getattr(options, group) if group else options
        changes.setdefault(group, {})[name] = getattr(place, name)
    own = changes.pop("")
    own |= {group: replace(getattr(base, group), **values) for group, values in changes.items()}
    return replace(base, **own)


def option_name(field: str) -> str:
    """Return a field's option on the command line; the run to begin from is --from."""
    return "from" if field == "from_run" else field.replace("_", "-")
