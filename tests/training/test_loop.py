import copy
import dataclasses
import json
import math
import pickle
import re

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from foreshock.nn.config import PAPER, ModelConfig
from foreshock.nn.distributed import Devices
from foreshock.nn.model import LSTMFCN, predict
from foreshock.training import loop
from foreshock.training.config import FitConfig, Recipe, resolve
from foreshock.training.loop import (
    Batch,
    DivergedError,
    Epoch,
    Fitting,
    Snapshot,
    find_learning_rate,
    fit,
)

CPU = Devices(torch.device("cpu"))


class Linear(nn.Module):
    """The smallest model: (batch, n_channels, n_timepoints) to logits, from weights of zero."""

    def __init__(self, n_inputs: int = 10, n_classes: int = 2) -> None:
        super().__init__()
        self.layer = nn.Linear(n_inputs, n_classes)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.empty(n, 0)

    def forward(self, x: Tensor, **step: object) -> Tensor:
        return self.layer(x.flatten(1))


class Notes:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.epochs: list[Epoch] = []
        self.snapshots: list[Snapshot] = []

    def batch(self, fitting: Fitting, batch: Batch) -> None:
        self.batches.append(batch)
        self.snapshots.append(fitting.snapshot())

    def epoch(self, fitting: Fitting, epoch: Epoch) -> None:
        self.epochs.append(epoch)


class LateNotes(Notes):
    """Takes a snapshot only where no step came since."""

    def batch(self, fitting: Fitting, batch: Batch) -> None:
        self.batches.append(batch)
        if batch.step == fitting.step:
            self.snapshots.append(fitting.snapshot())


def draw(n: int = 20, n_timepoints: int = 10, n_classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Draw noisy cases, sorted by label."""
    rng = np.random.default_rng(5)
    y = np.sort(np.arange(n) % n_classes)
    X = rng.normal(size=(n, 1, n_timepoints)) + 0.7 * y[:, None, None]
    return X.astype(np.float32), y


def network(n_timepoints: int = 10, n_classes: int = 2, **fields: object) -> LSTMFCN:
    config = ModelConfig(filters=(16, 32, 16), cells=8, **fields)
    return LSTMFCN(config, n_channels=1, n_timepoints=n_timepoints, n_classes=n_classes)


def recipe(y: np.ndarray, *, valid: bool = False, **fields: object) -> Recipe:
    options = {"epochs": 3, "batch_size": 8, "precision": "float32", **fields}
    return resolve(FitConfig(**options), len(y), int(y.max()) + 1, valid_asked=valid)


def start(model: nn.Module, X: np.ndarray, y: np.ndarray, seed: int = 0, **fields) -> Fitting:
    return Fitting(model, X, y, recipe(y, **fields), seed=seed, devices=CPU)


def batches(fitting: Fitting, epoch: int) -> list[np.ndarray]:
    return [fitting.batches(epoch, batch) for batch in range(fitting.n_batches)]


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


# --- the order of the cases --------------------------------------------------------------------


def test_an_epoch_takes_each_case_once_and_another_epoch_in_another_order():
    X, y = draw(23)
    fitting = start(Linear(), X, y)
    orders = [np.concatenate(batches(fitting, epoch)) for epoch in (0, 1)]
    assert [sorted(order) for order in orders] == [list(range(23))] * 2
    assert orders[0].tolist() != orders[1].tolist()


def test_cases_sorted_by_label_come_mixed():
    X, y = draw(80)
    fitting = start(Linear(), X, y, batch_size=20)
    assert all(0 < y[batch].mean() < 1 for epoch in range(3) for batch in batches(fitting, epoch))


@pytest.mark.parametrize(("n", "sizes"), [(16, [8, 8]), (17, [6, 6, 5]), (9, [5, 4]), (1, [1])])
def test_batches_of_an_epoch_differ_in_size_by_at_most_one(n, sizes):
    X, y = draw(n)
    fitting = start(Linear(), X, y)
    assert [len(batch) for batch in batches(fitting, 0)] == sizes


@pytest.mark.parametrize("batch_size", [1, 2, 8])
@pytest.mark.parametrize("config", [ModelConfig(), PAPER, ModelConfig(squeeze_excite=True)])
def test_batches_of_one_can_be_learnt_from(batch_size, config):
    X, y = draw(3)
    X[0, 0, 6:] = np.nan
    config = dataclasses.replace(config, filters=(16, 32, 16), cells=8)
    model = LSTMFCN(config, n_channels=1, n_timepoints=10, n_classes=2)
    fit(model, X, y, recipe(y, batch_size=batch_size), seed=0, devices=CPU)
    assert all(p.isfinite().all() for p in model.state_dict().values())


def test_weighted_sampling_draws_the_classes_equally_often():
    X, y = draw(100)
    y[:] = np.repeat([0, 1, 2], [80, 15, 5])
    fitting = start(Linear(n_classes=3), X, y, sampling="weighted")
    drawn = np.concatenate([np.concatenate(batches(fitting, epoch)) for epoch in range(30)])
    assert len(drawn) == 30 * 100
    assert chisquare(np.bincount(y[drawn])).pvalue > 0.01
    assert len(set(drawn)) == 100


# --- what a step does --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"optimizer": "adam", "weight_decay": 0.5}, lambda p: torch.optim.Adam(p, 0.01)),
        (
            {"optimizer": "adamw", "weight_decay": 0.5},
            lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.5),
        ),
    ],
)
def test_steps_are_those_of_the_optimizer_asked_for(ours, theirs):
    X, y = draw(8)
    options = {"learning_rate": 0.01, "schedule": "constant", "loss": "cross-entropy", **ours}
    fitting = start(Linear(), X, y, **options)
    twin = Linear()
    optimizer = theirs(twin.parameters())
    for epoch in range(4):
        batch = fitting.batches(epoch, 0)
        loss = nn.functional.cross_entropy(
            twin(torch.from_numpy(X[batch])), torch.from_numpy(y[batch])
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert fitting.train_step(batch, 0.01) == pytest.approx(loss.item(), rel=1e-5)
    torch.testing.assert_close(fitting.model.state_dict(), twin.state_dict())


def test_one_optimizer_keeps_its_state_over_all_batches():
    X, y = draw(20)
    model = network()
    fitting = fit(model, X, y, recipe(y, epochs=4), seed=0, devices=CPU)
    assert fitting.step == 4 * 3
    state = fitting.optimizer.state[model.head.weight]
    assert state["step"].item() == 12


class Reads(TorchDispatchMode):
    """Counts how often a tensor's value is read, which on a GPU is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.n += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    ("network_options", "options"),
    [
        ({}, {"loss": "bce", "focal": 1.0}),
        ({"attention": True, "squeeze_excite": True}, {"clip": 1.0, "class_weights": True}),
        ({"padding": "valid", "patches": 2}, {"loss": "cross-entropy", "label_smoothing": 0.1}),
    ],
)
def test_a_step_reads_no_value(whole, network_options, options):
    X, y = draw(8, n_timepoints=100)
    if not whole:
        X[2, 0, 20:] = np.nan
    fitting = start(network(100, **network_options).train(), X, y, **options)
    batch, is_whole = fitting.feed(np.arange(8))
    assert is_whole == whole
    with Reads() as reads:
        fitting.learn(8, whole, *batch, torch.ones(8, 8))
    assert reads.n == 0


def test_the_gradient_is_clipped_to_the_norm_asked_for():
    X, y = draw(8)
    X *= 100
    for clip, norm in ((None, 1.0), (0.01, 0.01)):
        fitting = start(Linear(), X, y, clip=clip)
        fitting.train_step(np.arange(8), 1e-3)
        grads = [p.grad for p in fitting.model.parameters()]
        total = nn.utils.get_total_norm(grads).item()
        assert total == pytest.approx(norm, rel=1e-3) if clip else total > norm


def test_class_weights_are_the_balanced_ones_of_scikit_learn():
    X, y = draw(20)
    y[:] = np.repeat([0, 1, 2], [12, 5, 3])
    fitting = start(Linear(n_classes=3), X, y)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=y)
    assert fitting.class_weights.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("loss", ["bce", "cross-entropy"])
def test_class_weights_change_the_gradient_when_asked_for_and_only_then(loss):
    X, y = draw(20)
    y[:] = np.repeat([0, 1], [16, 4])
    biases = {}
    for asked in (False, True):
        fitting = start(Linear(), X, y, class_weights=asked, loss=loss)
        fitting.train_step(np.arange(20), 1e-3)
        biases[asked] = fitting.model.layer.bias.grad
    # from logits of zero the gradient is that of the classes' shares, which weights make equal
    assert biases[True].abs().max() < 1e-6
    assert biases[False].abs().min() > 0.1


def test_the_loss_of_an_epoch_is_the_mean_over_its_cases():
    X, y = draw(17)
    notes = Notes()
    fit(Linear(), X, y, recipe(y, epochs=2), seed=0, devices=CPU, callback=notes)
    sizes = [6, 6, 5]
    for i, epoch in enumerate(notes.epochs):
        losses = [batch.loss for batch in notes.batches[3 * i : 3 * i + 3]]
        assert epoch.train_loss == pytest.approx(np.average(losses, weights=sizes))


def test_every_batch_is_told_with_its_step_epoch_and_rate():
    X, y = draw(17)
    notes = Notes()
    config = recipe(y, epochs=10, learning_rate=0.01)
    fit(Linear(), X, y, config, seed=0, devices=CPU, callback=notes)
    assert [batch.step for batch in notes.batches] == list(range(1, 31))
    assert [batch.epoch for batch in notes.batches] == [1 + i // 3 for i in range(30)]
    rates = [batch.learning_rate for batch in notes.batches]
    assert rates[0] == pytest.approx(0.01 / 25)
    assert np.argmax(rates) == 9 and max(rates) == pytest.approx(0.01)
    assert rates[-1] < 1e-4
    assert [epoch.learning_rate for epoch in notes.epochs] == rates[2::3]


def test_the_plateau_follows_the_training_loss():
    X, y = draw(4)
    X[:] = 0.0  # nothing to learn: the loss stays at log 2
    notes = Notes()
    config = recipe(y, epochs=130, schedule="plateau", optimizer="adam", learning_rate=1e-3)
    fit(Linear(), X, y, config, seed=0, devices=CPU, callback=notes)
    rates = [batch.learning_rate for batch in notes.batches]
    assert rates[0] == 1e-3
    assert rates[-1] == pytest.approx(0.7937e-3, rel=1e-3)


# --- the same again ----------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    X, y = draw()
    results = []
    for seed in (0, 0, 1):
        model = network()
        fit(model, X, y, recipe(y), seed=seed, devices=CPU)
        results.append(weights_of(model))
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


def test_fitting_leaves_the_global_generator_alone():
    X, y = draw()
    before = torch.get_rng_state()
    fit(network(), X, y, recipe(y, sampling="weighted"), seed=0, devices=CPU)
    assert torch.equal(before, torch.get_rng_state())


def test_dropout_differs_from_step_to_step_and_with_the_seed():
    X, y = draw(8)
    model = network(dropout=0.5)
    drawn = []
    model.dropout.register_forward_hook(lambda module, inputs, output: drawn.append(output == 0))
    for seed in (0, 1):
        fitting = start(copy.deepcopy(model), X, y, seed=seed)
        fitting.model.train()
        for _ in range(2):
            fitting.train_step(np.arange(8), 1e-9)
            fitting.step += 1
    assert len({tuple(zeros.flatten().tolist()) for zeros in drawn}) == 4


def test_a_fitted_model_evaluates_holds_no_gradients_and_can_be_copied():
    X, y = draw()
    model = network()
    fit(model, X, y, recipe(y), seed=0, devices=CPU)
    assert not model.training
    assert all(p.grad is None for p in model.parameters())
    x = torch.from_numpy(X)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(x), model(x))


RESUMED = {
    "one-cycle": {},
    "plateau, best-train": {"schedule": "plateau", "choice": "best-train", "optimizer": "adam"},
    "best-valid with patience": {"choice": "best-valid", "patience": 2, "learning_rate": 0.1},
    "weighted": {"sampling": "weighted", "class_weights": True, "clip": 1.0},
}


@pytest.mark.parametrize("options", RESUMED.values(), ids=RESUMED.keys())
def test_a_resumed_training_gives_the_same_weights_and_history_from_any_batch(options):
    X, y = draw()
    valid = draw(10) if options.get("choice") == "best-valid" else None
    fields = {"seed": 0, "devices": CPU, "valid": valid}
    config = recipe(y, epochs=4, **options)
    whole, model = Notes(), network()
    fit(model, X, y, config, callback=whole, **fields)
    for i in range(0, len(whole.snapshots), 2):  # in the middle of epochs and at their ends
        snapshot = whole.snapshots[i]
        values = json.loads(json.dumps(snapshot.values, allow_nan=False))
        resumed, other = Notes(), network()
        fit(
            other,
            X,
            y,
            config,
            callback=resumed,
            resume=Snapshot(snapshot.tensors, values),
            **fields,
        )
        assert same(weights_of(model), weights_of(other))
        assert resumed.batches == whole.batches[i + 1 :]
        assert resumed.epochs == whole.epochs[snapshot.values["epoch"] :]


@pytest.mark.parametrize("options", RESUMED.values(), ids=RESUMED.keys())
def test_losses_that_are_read_every_five_steps_change_nothing(options, monkeypatch):
    X, y = draw()
    valid = draw(10) if options.get("choice") == "best-valid" else None
    fields = {"seed": 0, "devices": CPU, "valid": valid}
    config = recipe(y, epochs=3, batch_size=3, **options)  # seven batches in an epoch
    whole, model = Notes(), network()
    fit(model, X, y, config, callback=whole, **fields)
    monkeypatch.setitem(loop.READ_EVERY, "cpu", 5)
    late, other = LateNotes(), network()
    fit(other, X, y, config, callback=late, **fields)
    assert same(weights_of(model), weights_of(other))
    assert (late.batches, late.epochs) == (whole.batches, whole.epochs)
    taken = [snapshot.values["step"] for snapshot in late.snapshots]
    assert taken == [5, 7, 12, 14, 19, 21][: len(taken)] and len(taken) >= 4
    for snapshot, step in zip(late.snapshots[::3], taken[::3], strict=True):
        assert snapshot.values == whole.snapshots[step - 1].values
        resumed, other = LateNotes(), network()
        fit(other, X, y, config, callback=resumed, resume=snapshot, **fields)
        assert same(weights_of(model), weights_of(other))
        assert resumed.batches == whole.batches[step:]


def test_losses_that_are_read_later_end_training_with_the_first_that_is_not_finite(monkeypatch):
    X, y = draw(40)
    X[17, 0, 4] = np.inf
    whole, late = Notes(), LateNotes()
    messages = []
    for every, notes in ((1, whole), (5, late)):
        monkeypatch.setitem(loop.READ_EVERY, "cpu", every)
        model = network()
        with pytest.raises(DivergedError) as stop:
            fit(model, X, y, recipe(y, batch_size=4), seed=0, devices=CPU, callback=notes)
        messages.append(str(stop.value))
        assert all(p.isfinite().all() for p in model.parameters())
    assert messages[0] == messages[1]
    assert late.batches == whole.batches


def test_a_snapshot_does_not_change_as_training_goes_on():
    X, y = draw()
    fitting = start(network(), X, y)
    fitting.train_step(np.arange(8), 1e-2)
    snapshot = fitting.snapshot()
    before = {name: array.copy() for name, array in snapshot.tensors.items()}
    fitting.train_step(np.arange(8), 1e-2)
    assert all(np.array_equal(before[name], snapshot.tensors[name]) for name in before)
    assert not np.array_equal(
        before["model.head.weight"], fitting.snapshot().tensors["model.head.weight"]
    )


# --- which weights are kept --------------------------------------------------------------------


def overfit(choice: str, **options: object) -> tuple[LSTMFCN, Notes, Fitting, tuple]:
    """Learn labels that are noise by heart, so that the valid part's loss gets worse."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(24, 1, 10)).astype(np.float32)
    y = rng.permutation(np.arange(24) % 2)
    valid = X[16:], y[16:]
    notes, model = Notes(), network(dropout=0.0)
    config = recipe(
        y[:16], choice=choice, **{"epochs": 12, "learning_rate": 0.02, "loss": "bce", **options}
    )
    fitting = fit(model, X[:16], y[:16], config, seed=0, devices=CPU, valid=valid, callback=notes)
    return model, notes, fitting, valid


def bce(model: nn.Module, X: np.ndarray, y: np.ndarray) -> float:
    onehot = torch.nn.functional.one_hot(torch.from_numpy(y), 2).float()
    logits = torch.from_numpy(predict(model, X, devices=CPU))
    return nn.functional.binary_cross_entropy_with_logits(logits, onehot).item()


def test_best_valid_keeps_the_weights_of_the_epoch_with_the_least_loss_on_the_valid_part():
    model, notes, fitting, valid = overfit("best-valid")
    losses = [epoch.valid_loss for epoch in notes.epochs]
    assert fitting.best_epoch == 1 + int(np.argmin(losses)) < len(losses)
    assert bce(model, *valid) == pytest.approx(min(losses), rel=1e-6)


def test_last_keeps_the_weights_of_the_last_epoch_whatever_the_valid_part_says():
    model, notes, fitting, valid = overfit("last")
    losses = [epoch.valid_loss for epoch in notes.epochs]
    assert min(losses) < losses[-1]
    assert bce(model, *valid) == pytest.approx(losses[-1], rel=1e-6)
    assert fitting.best_epoch == 0


def test_a_valid_part_changes_no_weight_unless_it_chooses():
    model, _, fitting, _ = overfit("last")
    alone = network(dropout=0.0)
    fit(alone, fitting.X, fitting.y, fitting.recipe, seed=0, devices=CPU)
    assert same(weights_of(model), weights_of(alone))


def test_best_train_keeps_the_weights_of_the_epoch_with_the_least_training_loss():
    _, notes, fitting, _ = overfit("best-train", learning_rate=0.5, schedule="constant")
    losses = [epoch.train_loss for epoch in notes.epochs]
    assert fitting.best_epoch == 1 + int(np.argmin(losses))
    last = [s for s in notes.snapshots if s.values["epoch"] == fitting.best_epoch - 1][-1]
    kept = fitting.model.state_dict()
    assert all(
        np.array_equal(kept[name.removeprefix("model.")].numpy(), array)
        for name, array in last.tensors.items()
        if name.startswith("model.")
    )


def test_patience_stops_after_so_many_epochs_without_a_better_loss():
    _, notes, fitting, _ = overfit("best-valid", patience=3, epochs=50)
    losses = [epoch.valid_loss for epoch in notes.epochs]
    assert fitting.stopped
    assert len(losses) == fitting.best_epoch + 3 < 50
    assert min(losses[-3:]) > losses[fitting.best_epoch - 1]


def test_without_patience_nothing_stops_early():
    _, notes, fitting, _ = overfit("best-valid")
    assert len(notes.epochs) == 12
    assert not fitting.stopped


# --- a loss that is not finite -----------------------------------------------------------------


@pytest.mark.parametrize("model", [Linear, network])
def test_an_infinite_reading_ends_training_with_advice(model):
    X, y = draw(16)
    X[3, 0, 4] = np.inf
    with pytest.raises(DivergedError) as stop:
        fit(model(), X, y, recipe(y, schedule="constant"), seed=0, devices=CPU)
    assert re.fullmatch(
        r"the loss became (nan|inf) in epoch 1 at learning rate 0\.003\. Try a tenth of "
        r"--fit\.learning-rate, --fit\.clip 1, or --fit\.precision float32, and look for extreme "
        r"values in the series\.",
        str(stop.value),
    )


def test_too_high_a_learning_rate_ends_training_and_says_when_and_at_which_rate():
    X, y = draw(16)
    config = recipe(y, learning_rate=1e30, schedule="constant", epochs=5)
    with pytest.raises(
        DivergedError, match=r"^the loss became \w+ in epoch [1-5] at learning rate 1e\+30\. Try"
    ):
        fit(network(), X, y, config, seed=0, devices=CPU)


def test_a_step_from_a_loss_that_is_not_finite_is_not_taken():
    X, y = draw(16)
    X[3, 0, 4] = np.inf
    fitting = start(Linear(), X, y)
    before = weights_of(fitting.model)
    with pytest.raises(DivergedError):
        fitting.train_step(np.arange(16), 1e-3)
    assert same(before, weights_of(fitting.model))


def test_a_loss_on_the_valid_part_that_is_not_finite_ends_training():
    X, y = draw(16)
    valid = np.full((2, 1, 10), np.inf, np.float32), np.array([0, 1])
    with pytest.raises(DivergedError, match=r"^the loss on the valid part became nan in epoch 1 "):
        fit(Linear(), X, y, recipe(y, valid=True), seed=0, devices=CPU, valid=valid)


# --- predicting --------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{}, {"attention": True, "squeeze_excite": True}])
def test_predictions_do_not_depend_on_the_cases_beside_them(fields):
    X, y = draw()
    X[::3, 0, 7:] = np.nan
    model = network(**fields)
    fit(model, X, y, recipe(y), seed=0, devices=CPU)
    whole = predict(model, X, devices=CPU)
    alone = np.concatenate([predict(model, X[i : i + 1], devices=CPU) for i in range(len(X))])
    shuffled = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_allclose(alone, whole, atol=1e-6)
    np.testing.assert_allclose(predict(model, X[shuffled], devices=CPU), whole[shuffled], atol=1e-6)


def test_predicting_changes_neither_weights_nor_running_statistics():
    X, _ = draw()
    model = network().train()
    before = weights_of(model)
    first = predict(model, X, devices=CPU)
    assert same(before, weights_of(model))
    assert np.array_equal(first, predict(model, X, devices=CPU))


def test_no_cases_give_no_logits():
    logits = predict(network(n_classes=3), np.empty((0, 1, 10), np.float32), devices=CPU)
    assert logits.shape == (0, 3) and logits.dtype == np.float32


@pytest.mark.parametrize(
    ("shape", "largest"),
    [((5, 1, 2**13), 2), ((3, 1, 2**18), 1), ((5, 1024, 2**11), 2), ((300, 1, 1000), 16)],
)
def test_long_or_wide_series_are_predicted_a_few_at_a_time(shape, largest):
    class Mean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            sizes.append(len(x))
            return x.mean(dim=2)[:, :1]

    sizes: list[int] = []
    X = np.broadcast_to(np.arange(shape[0], dtype=np.float32)[:, None, None], shape)
    logits = predict(Mean(), X, devices=CPU)
    np.testing.assert_allclose(logits[:, 0], np.arange(len(X)), rtol=1e-5)
    assert max(sizes) == largest and sum(sizes) == len(X)


def test_bfloat16_trains_float32_weights_to_nearly_the_same_loss():
    X, y = draw()
    losses = {}
    for precision in ("float32", "bf16"):
        notes, model = Notes(), network(dropout=0.0)
        fit(model, X, y, recipe(y, precision=precision), seed=0, devices=CPU, callback=notes)
        losses[precision] = [batch.loss for batch in notes.batches]
        assert {p.dtype for p in model.state_dict().values()} == {torch.float32}
    assert losses["bf16"] != losses["float32"]
    np.testing.assert_allclose(losses["bf16"], losses["float32"], atol=0.1)


# --- probabilities -----------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "scale"), [("bce", 0.5), ("cross-entropy", 1.0)])
def test_probabilities_are_calibrated_once_the_logits_are_scaled(loss, scale):
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, size=4000)
    known = 1 / (1 + np.exp(-(2 * x - 0.5)))
    X, y = x.astype(np.float32)[:, None, None], (rng.random(4000) < known).astype(np.int64)
    model = Linear(1)
    config = recipe(y, epochs=6, batch_size=64, learning_rate=0.1, loss=loss, weight_decay=0.0)
    fit(model, X, y, config, seed=0, devices=CPU)
    logits = torch.from_numpy(predict(model, X, devices=CPU))
    # 4000 cases leave a fitted probability an error of about 0.01
    assert np.abs((logits * scale).softmax(dim=1)[:, 1].numpy() - known).mean() < 0.02
    assert np.abs((logits * 1.5 * scale).softmax(dim=1)[:, 1].numpy() - known).mean() > 0.03


# --- the learning-rate finder ------------------------------------------------------------------


def test_the_finder_suggests_a_sane_rate_and_the_same_one_again():
    X, y = draw(40)
    found = [find_learning_rate(network(), X, y, recipe(y), seed=0, devices=CPU) for _ in range(2)]
    assert found[0] == found[1]
    assert 1e-4 <= found[0].suggestion <= 1e-1
    assert len(found[0].rates) == len(found[0].losses) > 50
    assert found[0].rates[0] == pytest.approx(1e-6) and found[0].rates[-1] <= 1.0
    assert min(found[0].losses) < 0.8 * found[0].losses[0]


def test_the_finder_changes_neither_the_model_nor_the_global_generator():
    X, y = draw(40)
    model = network()
    before, state = weights_of(model), torch.get_rng_state()
    find_learning_rate(model, X, y, recipe(y), seed=0, devices=CPU, n_steps=10)
    assert same(before, weights_of(model))
    assert torch.equal(state, torch.get_rng_state())
    assert model.head.weight.grad is None


def test_the_finder_needs_no_valid_part_where_the_training_chooses_by_one():
    X, y = draw(40)
    config = recipe(y, valid=True, patience=3)
    found = find_learning_rate(network(), X, y, config, seed=0, devices=CPU, n_steps=10)
    assert len(found.rates) == 10


def test_the_finder_stops_where_the_loss_explodes():
    X, y = draw(40)
    X *= 1000
    found = find_learning_rate(Linear(), X, y, recipe(y), seed=0, devices=CPU)
    assert len(found.rates) < 100
    assert all(map(math.isfinite, found.losses))


def test_the_finder_says_when_not_even_the_first_loss_is_finite():
    X, y = draw(40)
    X[:] = np.inf
    with pytest.raises(
        DivergedError,
        match=r"^the first loss is not finite: look for extreme values in the series\.$",
    ):
        find_learning_rate(network(), X, y, recipe(y), seed=0, devices=CPU)


def test_training_ends_after_the_steps_asked_for_in_the_middle_of_an_epoch():
    X, y = draw(32)
    notes = Notes()
    fitting = fit(
        Linear(), X, y, recipe(y, epochs=None, steps=10), seed=0, devices=CPU, callback=notes
    )
    assert fitting.step == 10
    assert [batch.step for batch in notes.batches] == list(range(1, 11))
    assert [epoch.epoch for epoch in notes.epochs] == [1, 2, 3]
    assert notes.epochs[2].train_loss == pytest.approx(
        np.average([b.loss for b in notes.batches[8:]], weights=[8, 8])
    )
    assert notes.batches[-1].learning_rate < notes.batches[5].learning_rate  # the course is whole
