"""Losses, learning rates, and what the options of a fit mean for the cases at hand."""

import dataclasses
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from torch import Tensor
from torch.nn import functional as F

from foreshock.training.config import FitConfig, Plateau, learning_rate, losses, resolve

LOSSES = ("bce", "cross-entropy")


def draw(n: int, n_classes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n_classes)
    logits = 2 * torch.randn(n, n_classes, generator=generator)
    return logits, torch.arange(n) % n_classes


# --- losses ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 5])
def test_cross_entropy_is_the_log_loss_of_the_softmax(n_classes):
    logits, y = draw(20, n_classes)
    each = losses(logits, y, FitConfig(loss="cross-entropy"))
    expected = log_loss(y, logits.double().softmax(dim=1))
    assert each.shape == (20,)
    assert each.mean().item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_bce_is_the_mean_log_loss_of_every_output_against_its_one_hot(n_classes):
    logits, y = draw(20, n_classes)
    each = losses(logits, y, FitConfig(loss="bce"))
    proba, onehot = logits.double().sigmoid(), F.one_hot(y, n_classes)
    expected = np.mean([log_loss(onehot[:, k], proba[:, k]) for k in range(n_classes)])
    assert each.shape == (20,)
    assert each.mean().item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.1, 0.9])
def test_label_smoothing_is_that_of_torch(smoothing):
    logits, y = draw(20, 5)
    each = losses(logits, y, FitConfig(loss="cross-entropy", label_smoothing=smoothing))
    expected = F.cross_entropy(logits, y, label_smoothing=smoothing, reduction="none")
    torch.testing.assert_close(each, expected)


def test_label_smoothing_moves_both_one_hot_targets_of_bce():
    logits = torch.tensor([[1.0, -2.0]])
    each = losses(logits, torch.tensor([0]), FitConfig(loss="bce", label_smoothing=0.2))
    target = torch.tensor([[0.9, 0.1]])
    expected = F.binary_cross_entropy_with_logits(logits, target)
    assert each.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("n_classes", [2, 5])
def test_a_focal_gamma_near_zero_is_no_focal_loss(loss, n_classes):
    logits, y = draw(20, n_classes)
    plain = losses(logits, y, FitConfig(loss=loss))
    torch.testing.assert_close(losses(logits, y, FitConfig(loss=loss, focal=1e-9)), plain)


def test_focal_cross_entropy_by_hand():
    logits = torch.log(torch.tensor([[0.9, 0.1], [0.3, 0.7]]))
    each = losses(logits, torch.tensor([0, 0]), FitConfig(loss="cross-entropy", focal=2.0))
    expected = [-(0.1**2) * math.log(0.9), -(0.7**2) * math.log(0.3)]
    assert each.tolist() == pytest.approx(expected, rel=1e-4)


def test_focal_bce_by_hand():
    logits = torch.logit(torch.tensor([[0.9, 0.4]]))
    each = losses(logits, torch.tensor([0]), FitConfig(loss="bce", focal=2.0))
    expected = (-(0.1**2) * math.log(0.9) - 0.4**2 * math.log(0.6)) / 2
    assert each.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("focal", [0.5, 1.0, 2.0])
def test_a_case_beyond_doubt_has_a_finite_gradient_under_focal_loss(loss, focal):
    logits = torch.tensor([[200.0, -200.0], [30.0, -1.0]], requires_grad=True)
    losses(logits, torch.tensor([0, 0]), FitConfig(loss=loss, focal=focal)).sum().backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("loss", LOSSES)
def test_logits_of_hundreds_give_a_finite_loss(loss):
    logits = torch.tensor([[-500.0, 500.0]])
    each = losses(logits, torch.tensor([0]), FitConfig(loss=loss))
    assert each.item() == pytest.approx(500 if loss == "bce" else 1000)


# --- schedules ---------------------------------------------------------------------------------


def rate(schedule: str, done: float, plateau: Plateau | None = None) -> float:
    config = FitConfig(schedule=schedule, learning_rate=0.01)
    return learning_rate(config, done, plateau or Plateau())


def test_one_cycle_starts_at_a_twenty_fifth_peaks_at_thirty_percent_and_ends_near_zero():
    assert rate("one-cycle", 0.0) == pytest.approx(0.01 / 25)
    assert rate("one-cycle", 0.3) == pytest.approx(0.01)
    assert rate("one-cycle", 0.999) < 1e-6
    course = [rate("one-cycle", step / 1000) for step in range(1000)]
    assert np.argmax(course) == 300
    assert (np.diff(course[:301]) > 0).all() and (np.diff(course[300:]) < 0).all()


def test_one_cycle_is_that_of_torch():
    parameter = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([parameter])
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.01, total_steps=1001, pct_start=0.3, cycle_momentum=False
    )
    for step in range(1000):
        # torch's peak lies a step earlier, and it ends at 1/10,000 of its start
        expected = theirs.get_last_lr()[0]
        assert rate("one-cycle", step / 1000) == pytest.approx(expected, abs=1e-4)
        optimizer.step()
        theirs.step()


def test_cosine_falls_from_the_learning_rate_to_zero():
    assert rate("cosine", 0.0) == pytest.approx(0.01)
    assert rate("cosine", 0.5) == pytest.approx(0.005)
    assert rate("cosine", 0.9999) < 1e-8


def test_constant_stays():
    assert {rate("constant", done / 10) for done in range(10)} == {0.01}


def test_the_plateau_is_left_after_100_epochs_without_a_better_loss():
    plateau = Plateau()
    factors = []
    for loss in [1.0] + [1.0] * 99:
        plateau.update(loss)
    assert plateau.factor == 1.0
    for _ in range(1000):
        plateau.update(2.0)
        factors.append(plateau.factor)
    assert factors[0] == pytest.approx(0.7937, abs=1e-4)
    assert factors[99] == factors[0]
    assert factors[100] == pytest.approx(0.7937**2, abs=1e-4)
    assert factors[-1] == 0.1
    assert rate("plateau", 0.9, plateau) == pytest.approx(0.001)


def test_a_better_loss_starts_the_wait_anew():
    plateau = Plateau()
    for epoch in range(500):
        plateau.update(1.0 - epoch // 99 * 0.1)
    assert plateau.factor == 1.0


def test_the_papers_rate_falls_from_a_thousandth_to_a_ten_thousandth():
    config, plateau = FitConfig(schedule="plateau", learning_rate=1e-3), Plateau()
    for _ in range(2000):
        plateau.update(1.0)
    assert learning_rate(config, 0.0, Plateau()) == 1e-3
    assert learning_rate(config, 1.0, plateau) == pytest.approx(1e-4)


# --- defaults that depend on the data ----------------------------------------------------------


def resolved(n_cases: int = 100, n_classes: int = 2, *, valid: bool = False, **fields) -> FitConfig:
    return resolve(FitConfig(**fields), n_cases, n_classes, valid_asked=valid)


@pytest.mark.parametrize(
    ("n_cases", "batch_size"), [(1, 8), (20, 8), (89, 8), (90, 9), (322, 32), (640, 64), (9999, 64)]
)
def test_the_batch_is_a_tenth_of_the_cases_between_8_and_64(n_cases, batch_size):
    assert resolved(n_cases).batch_size == batch_size


@pytest.mark.parametrize(
    ("n_cases", "epochs"), [(8, 600), (16, 300), (17, 200), (100, 60), (9999, 60)]
)
def test_epochs_are_60_or_as_many_as_make_600_steps(n_cases, epochs):
    assert resolved(n_cases).epochs == epochs


@given(n_cases=st.integers(1, 5000))
def test_there_are_at_least_600_steps_and_60_epochs(n_cases):
    config = resolved(n_cases)
    assert config.epochs >= 60
    assert config.epochs * math.ceil(n_cases / config.batch_size) >= 600


@pytest.mark.parametrize("epochs", [1, 10, 2000])
def test_epochs_that_were_asked_for_are_kept(epochs):
    assert resolved(16, epochs=epochs).epochs == epochs


def test_a_batch_size_that_was_asked_for_is_kept():
    assert resolved(16, batch_size=128).batch_size == 128


@pytest.mark.parametrize(
    ("n_classes", "loss"), [(2, "bce"), (3, "cross-entropy"), (60, "cross-entropy")]
)
def test_the_loss_is_bce_for_two_classes_and_cross_entropy_for_more(n_classes, loss):
    assert resolved(n_classes=n_classes).loss == loss


def test_a_loss_that_was_asked_for_is_kept():
    assert resolved(n_classes=2, loss="cross-entropy").loss == "cross-entropy"


@pytest.mark.parametrize(("valid", "choice"), [(True, "best-valid"), (False, "last")])
def test_nothing_is_chosen_unless_a_valid_part_was_asked_for(valid, choice):
    assert resolved(valid=valid).choice == choice


@pytest.mark.parametrize("choice", ["last", "best-train"])
def test_a_choice_that_was_asked_for_is_kept_beside_a_valid_part(choice):
    assert resolved(valid=True, choice=choice).choice == choice


def test_patience_without_a_loss_to_wait_for_is_refused():
    message = (
        "patience needs a loss to watch: make a valid part with --valid 0.2, or choose by "
        "--fit.choice best-valid (the problem's own valid part) or best-train."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        resolved(patience=5)
    assert resolved(patience=5, valid=True).patience == 5
    assert resolved(patience=5, choice="best-train").patience == 5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0."),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0."),
        ({"patience": 0}, "patience must be at least 1, got 0."),
        ({"learning_rate": 0.0}, "learning_rate must be above 0, got 0.0."),
        ({"learning_rate": math.inf}, "learning_rate must be above 0, got inf."),
        ({"learning_rate": math.nan}, "learning_rate must be above 0, got nan."),
        ({"weight_decay": -0.1}, "weight_decay must be at least 0, got -0.1."),
        ({"focal": math.nan}, "focal must be at least 0, got nan."),
        ({"label_smoothing": 1.0}, "label_smoothing must be at least 0 and below 1, got 1.0."),
        ({"clip": 0.0}, "clip must be above 0, got 0.0."),
        (
            {"patience": 3, "choice": "last"},
            "patience needs a loss to watch: --fit.choice best-valid or best-train.",
        ),
    ],
)
def test_a_recipe_that_cannot_work_is_refused(fields, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        FitConfig(**fields)


def test_a_recipe_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        FitConfig().epochs = 3


def test_binary_cross_entropy_is_refused_for_more_than_two_classes() -> None:
    with pytest.raises(ValueError, match="loss bce is for two classes, got 3"):
        resolve(FitConfig(loss="bce"), 20, 3, valid_asked=False)


@pytest.mark.parametrize(
    ("fields", "steps", "epochs"),
    [
        ({}, 600, 60),
        ({"steps": 25}, 25, 3),
        ({"steps": 5000}, 5000, 500),
        ({"epochs": 4}, 40, 4),
        ({"epochs": 4, "steps": 25}, 25, 3),
        ({"epochs": 4, "steps": 100}, 40, 4),
    ],
)
def test_steps_cut_epochs_short_or_stand_in_for_them(fields, steps, epochs):
    config = resolved(100, **fields)
    assert (config.steps, config.epochs) == (steps, epochs)


def test_by_default_no_training_is_longer_than_20000_batches():
    assert resolved(64 * 333).steps == 60 * 333
    config = resolved(64 * 334)
    assert (config.steps, config.epochs) == (20_000, 60)
    assert resolved(100_000_000).epochs == 1
