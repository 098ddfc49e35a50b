"""TrainConfig, everything a training is asked for, and good starts."""

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from foreshock.events.alarms import AlarmConfig
from foreshock.nn.config import PAPER, ModelConfig
from foreshock.recipe import FitConfig

Service = Literal["tensorboard", "mlflow"]
_MEMBERS = 50


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything a training is asked for."""

    model: ModelConfig = field(default_factory=ModelConfig)
    """What the network is."""

    fit: FitConfig = field(default_factory=FitConfig)
    """How to fit it."""

    seed: int = 0
    """Seed of parts, initial weights, order of the cases and every draw."""

    test: float | None = None
    """Share of the cases to make a test part of, where the problem has none: by group or by time
    where the problem knows them, else stratified."""

    valid: float | None = None
    """Share of the training cases to make a valid part of, in the same way. Unless --fit.choice or
    the preset says otherwise, the weights kept are those of its best loss."""

    members: int = 1
    """Networks to train, each leaving out one fold of the training cases (of time or group, where
    there is one). Their mean forecasts; what each says of the cases it left out calibrates,
    chooses the threshold, and estimates the score before the test part is opened."""

    alarm: AlarmConfig = field(default_factory=AlarmConfig)
    """By what the threshold of alarms is chosen, of two classes: out of fold, or on the valid
    part."""

    scan: bool = True
    """For problems that are cut from readings, forecast every target of the test part's time, and
    count the alarms."""

    from_run: str | None = None
    """A run, or a model on the Hugging Face Hub, with whose convolutions to begin; the rest begins
    anew, so that classes and lengths may differ."""

    find_lr: bool = False
    """Find the learning rate first, on training cases, and train with what is found."""

    devices: int = 1
    """GPUs, or where there are none processes on the CPU; the batch size is their total."""

    checkpoint_seconds: float = 10.0
    """Least time between two checkpoints."""

    log: tuple[Service, ...] = ()
    """Where else to keep the run: tensorboard writes event files in its folder, mlflow sends it to
    MLFLOW_TRACKING_URI. Needs the extra tracking."""

    def __post_init__(self) -> None:
        for name in ("test", "valid"):
            share = getattr(self, name)
            if share is not None and not 0 < share < 1:
                raise ValueError(f"{name} must be between 0 and 1, got {share}.")
        if self.from_run == "":
            raise ValueError("from needs a run, or the name of a model: it is empty.")
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


def option_name(field: str) -> str:
    """Name the command line's option of a field; the run to begin from is --from, as people say."""
    return "from" if field == "from_run" else field.replace("_", "-")
