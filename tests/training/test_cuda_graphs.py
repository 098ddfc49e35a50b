"""Steps that are captured and repeated. Everything but the capture itself, which needs a GPU."""

import logging
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from foreshock.nn.config import ModelConfig
from foreshock.nn.distributed import Devices
from foreshock.nn.model import LSTMFCN
from foreshock.training import loop
from foreshock.training.config import FitConfig, resolve
from foreshock.training.cuda_graphs import Replays, at_once, performer
from foreshock.training.loop import Fitting

CPU = Devices(torch.device("cpu"))


class OnProcessor:
    """Repeats work as a graph does: on the same tensors, with the result in the same place."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.warmed = self.captured = self.repeated = 0

    def warm_up(self, work: Callable[[], Tensor]) -> Tensor:
        self.warmed += 1
        return work()

    def capture(self, work: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        if self.broken:
            raise RuntimeError("operation not permitted when stream is capturing\nmore of it")
        self.captured += 1
        result = torch.full((), torch.nan)

        def again() -> None:
            self.repeated += 1
            result.copy_(work())

        return again, result


def train(gaps: bool, by: OnProcessor | None = None, **options: object) -> tuple[Fitting, list]:
    """Train on 17 cases in batches of 6, 6 and 5."""
    random = np.random.default_rng(0)
    X = random.normal(size=(17, 1, 12)).astype(np.float32)
    y = np.arange(17) % 2
    if gaps:
        X[4, 0, 5:] = np.nan
    config = ModelConfig(filters=(16, 32, 16), cells=8, dropout=0.5)
    model = LSTMFCN(config, n_channels=1, n_timepoints=12, n_classes=2)
    recipe = resolve(
        FitConfig(epochs=8, batch_size=6, precision="float32", **options), 17, 2, valid_asked=False
    )
    fitting = Fitting(model, X, y, recipe, seed=0, devices=CPU)
    if by is not None:
        fitting.perform = Replays(by)
    told: list = []

    class Callback:
        def batch(self, fitting: Fitting, batch: loop.Batch) -> None:
            told.append(batch)

        def epoch(self, fitting: Fitting, epoch: loop.Epoch) -> None:
            told.append(epoch)

    fitting.run(Callback())
    return fitting, told


def same(first: Fitting, second: Fitting) -> bool:
    one, other = first.snapshot(), second.snapshot()
    return one.values == other.values and all(
        np.array_equal(one.tensors[name], other.tensors[name]) for name in one.tensors
    )


OPTIONS = [{}, {"clip": 0.1, "schedule": "plateau"}, {"optimizer": "adam", "class_weights": True}]


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
def test_repeated_steps_give_the_weights_and_losses_of_steps_taken_one_by_one(
    gaps: bool, options: dict[str, object]
) -> None:
    by = OnProcessor()
    plain, losses = train(gaps, **options)
    repeated, others = train(gaps, by, **options)
    assert same(plain, repeated) and losses == others
    # of each size, with gaps or without, three steps come before the first that is repeated
    assert by.captured >= 2 and by.warmed >= 3 * by.captured
    assert by.warmed + by.repeated == 24


@pytest.mark.parametrize("every", [1, 5])
def test_repeated_steps_may_be_read_later(every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, losses = train(False)
    monkeypatch.setitem(loop.READ_EVERY, "cpu", every)
    repeated, others = train(False, OnProcessor())
    assert same(plain, repeated) and losses == others


def test_where_steps_cannot_be_captured_they_are_taken_one_by_one_and_a_line_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain, losses = train(True)
    with caplog.at_level(logging.WARNING):
        other, others = train(True, OnProcessor(broken=True))
    assert same(plain, other) and losses == others
    assert [record.getMessage() for record in caplog.records] == [
        "steps are not captured as CUDA graphs, which is slower: operation not permitted when "
        "stream is capturing"
    ]


def test_a_result_stays_when_the_work_is_repeated() -> None:
    replays = Replays(OnProcessor())
    results = [replays(lambda factor, x: factor * x, (2,), (torch.tensor(i),)) for i in range(6)]
    assert [int(result) for result in results] == [0, 2, 4, 6, 8, 10]


def test_a_processor_and_processes_that_train_together_take_steps_as_they_are() -> None:
    assert performer(CPU) is at_once
    assert performer(Devices(torch.device("cuda"), rank=1, world=2)) is at_once
