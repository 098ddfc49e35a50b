"""`foreshock.nn.model` under `paper` against an independent NumPy forward pass, and that against
numbers worked out by hand."""

import dataclasses
import math

import numpy as np
import pytest
import reference
import torch

from foreshock.nn.config import PAPER
from foreshock.nn.model import LSTMFCN

T, K, CELLS = 23, 3, 8
MEMBERS = {
    "LSTM-FCN": {"attention": False, "squeeze_excite": False},
    "ALSTM-FCN": {"attention": True, "squeeze_excite": False},
    "MLSTM-FCN": {"attention": False, "squeeze_excite": True},
    "MALSTM-FCN": {"attention": True, "squeeze_excite": True},
}
SCORES = (
    "recurrent.attention_hidden",
    "recurrent.attention_input",
    "recurrent.attention_bias",
    "recurrent.attention_vector",
)
NOT_IN_THE_PAPER = ("views.", "logit_scale")  # fitted for other presets and for probabilities
GATE_ARRAYS = ("recurrent.kernel", "recurrent.recurrent_kernel", "recurrent.bias")

each_member = pytest.mark.parametrize("member", MEMBERS)


def draw_weights(
    member: str, *, n_channels: int, n_timepoints: int = T, cells: int = CELLS, seed: int = 1
) -> dict[str, np.ndarray]:
    """Draw every array of a member at random, so that nothing is zero, one or saturated."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int, sd: float = 0.3) -> np.ndarray:
        return rng.normal(0.0, sd, shape).astype(np.float32)

    weights = {
        "recurrent.kernel": normal(n_timepoints, 4 * cells, sd=n_timepoints**-0.5),
        "recurrent.recurrent_kernel": normal(cells, 4 * cells, sd=1.0),
        "recurrent.bias": normal(4 * cells, sd=0.5),
        "head.weight": normal(K, cells + 128, sd=0.2),
        "head.bias": normal(K),
    }
    if MEMBERS[member]["attention"]:
        weights |= {
            "recurrent.attention_hidden": normal(cells, cells, sd=1.0),
            "recurrent.attention_input": normal(n_timepoints, cells, sd=n_timepoints**-0.5),
            "recurrent.attention_bias": normal(cells),
            "recurrent.attention_vector": normal(cells, sd=1.0),
            "recurrent.context_kernel": normal(
                n_timepoints, 4 * cells, sd=1.5 * n_timepoints**-0.5
            ),
        }
    n_in = n_channels
    for i, (n_out, kernel) in enumerate(((128, 8), (256, 5), (128, 3))):
        weights |= {
            f"blocks.{i}.conv.weight": normal(n_out, n_in, kernel, sd=(n_in * kernel) ** -0.5),
            f"blocks.{i}.conv.bias": normal(n_out),
            f"blocks.{i}.norm.weight": 1 + normal(n_out),
            f"blocks.{i}.norm.bias": normal(n_out),
            f"blocks.{i}.norm.running_mean": normal(n_out),
            f"blocks.{i}.norm.running_var": rng.uniform(0.2, 1.5, n_out).astype(np.float32),
        }
        if MEMBERS[member]["squeeze_excite"] and i < 2:
            weights |= {
                f"blocks.{i}.excite.down.weight": normal(n_out // 16, n_out),
                f"blocks.{i}.excite.up.weight": normal(n_out, n_out // 16, sd=1.0),
            }
        n_in = n_out
    return weights


def draw_series(
    n_channels: int, *, n_timepoints: int = T, n_series: int = 5, seed: int = 2
) -> np.ndarray:
    """Draw raw series with a fifth of their readings missing; a univariate one needs scaling."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_series, n_channels, n_timepoints))
    if n_channels == 1:
        x = 4.0 * x + 7.0
    x[rng.random(x.shape) < 0.2] = np.nan
    return x.astype(np.float32)


def ask_reference(member: str, weights: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    n_cells = len(weights["recurrent.bias"]) // 4
    return reference.forward(weights, x, n_cells=n_cells, **MEMBERS[member])


def build_model(
    member: str, *, n_channels: int, n_timepoints: int = T, n_classes: int = K, cells: int = CELLS
) -> LSTMFCN:
    config = dataclasses.replace(PAPER, cells=cells, **MEMBERS[member])
    return LSTMFCN(
        config, n_channels=n_channels, n_timepoints=n_timepoints, n_classes=n_classes, seed=0
    ).eval()


def ask_model(member: str, weights: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    n_cells = len(weights["recurrent.bias"]) // 4
    model = build_model(member, n_channels=x.shape[1], n_timepoints=x.shape[2], cells=n_cells)
    state = model.state_dict()
    generator = torch.Generator().manual_seed(4)
    for name in sorted(state.keys() - weights.keys()):
        assert name.startswith(NOT_IN_THE_PAPER) or name.endswith("num_batches_tracked"), name
        if state[name].is_floating_point():
            state[name] = torch.rand(state[name].shape, generator=generator) + 0.5
    assert weights.keys() <= state.keys()
    model.load_state_dict(state | {name: torch.from_numpy(w) for name, w in weights.items()})
    with torch.no_grad():
        return model(torch.from_numpy(x)).numpy()


def assert_agree(member: str, weights: dict[str, np.ndarray], x: np.ndarray) -> None:
    expected = ask_reference(member, weights, x)
    assert np.isfinite(expected).all()
    assert 0.1 < np.abs(expected).max() < 10
    np.testing.assert_allclose(ask_model(member, weights, x), expected, rtol=0, atol=1e-5)


# --- the reference against hand-worked numbers -------------------------------------------------


def test_a_kernel_of_8_sees_3_readings_to_the_left_and_4_to_the_right():
    x = np.zeros((1, 1, 12))
    x[0, 0, 5] = 1.0
    weight = np.arange(1.0, 9.0).reshape(1, 1, 8)
    y = reference.convolve(x, weight, bias=np.array([10.0]))
    assert (y[0, 0] - 10).tolist() == [0, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0]


def test_a_convolution_sums_over_its_input_channels_and_pads_with_zeros():
    x = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    weight = np.array([[[1.0, 10.0, 100.0], [1.0, 1.0, 1.0]]])
    y = reference.convolve(x, weight, bias=np.zeros(1))
    assert y.tolist() == [[[10 + 200 + 3 + 4, 1 + 20 + 3 + 4]]]


def test_a_series_is_normalised_by_its_population_sd_over_the_readings_that_are_there():
    x = reference.prepare(np.array([[[1.0, 2.0, np.nan, 3.0]]]))
    np.testing.assert_allclose(x, [[[-math.sqrt(1.5), 0, 0, math.sqrt(1.5)]]], atol=1e-7)


def test_multivariate_series_stay_as_stored_but_for_missing_readings():
    x = reference.prepare(np.array([[[1.0, np.nan], [5.0, 9.0]]]))
    assert x.tolist() == [[[1, 0], [5, 9]]]


def test_a_recurrent_step_is_what_one_cell_gives_by_hand():
    weights = {
        "recurrent.kernel": np.array([[0.5, 1.0, 1.0, -0.5]]),
        "recurrent.recurrent_kernel": np.array([[1.0, 2.0, 3.0, 4.0]]),
        "recurrent.bias": np.array([0.0, 0.0, 0.0, 0.0]),
    }
    cell = 0.6 * math.tanh(1)  # input gate 0.2 * 0.5 + 0.5
    hidden = 0.4 * math.tanh(cell)  # output gate 0.2 * -0.5 + 0.5
    one = reference.run_lstm(weights, np.array([[[1.0]]]), attention=False, n_cells=1)
    assert one.item() == pytest.approx(hidden, abs=1e-12)

    input_gate = 0.2 * (1.0 + hidden) + 0.5
    forget_gate = 0.2 * (2.0 + 2 * hidden) + 0.5
    output_gate = 0.2 * (-1.0 + 4 * hidden) + 0.5
    cell = min(forget_gate, 1.0) * cell + input_gate * math.tanh(2.0 + 3 * hidden)
    two = reference.run_lstm(weights, np.array([[[1.0], [2.0]]]), attention=False, n_cells=1)
    assert two.item() == pytest.approx(output_gate * math.tanh(cell), abs=1e-12)


def test_attention_weighs_all_items_by_the_softmax_of_their_scores():
    weights = {
        "recurrent.attention_hidden": np.array([[2.0]]),
        "recurrent.attention_input": np.array([[1.0], [0.0]]),
        "recurrent.attention_bias": np.array([0.1]),
        "recurrent.attention_vector": np.array([3.0]),
    }
    items = np.array([[0.2, 5.0], [-0.4, 7.0]])
    first = math.exp(3 * math.tanh(2 * 0.3 + 0.2 + 0.1))
    second = math.exp(3 * math.tanh(2 * 0.3 - 0.4 + 0.1))
    z = reference.attend(weights, items, hidden=np.array([0.3]))
    expected = (first * items[0] + second * items[1]) / (first + second)
    np.testing.assert_allclose(z, expected, atol=1e-12)


def test_excitation_scales_each_channel_by_a_sigmoid_of_the_averages():
    weights = {
        "excite.down.weight": np.array([[1.0, -1.0], [-1.0, 1.0]]),
        "excite.up.weight": np.array([[1.0, 50.0], [-2.0, 50.0]]),
    }
    x = np.array([[[2.0, 4.0], [0.0, 2.0]]])  # averages 3 and 1, squeezed 2 and 0
    y = reference.excite(weights, "excite", x)
    scale = [1 / (1 + math.exp(-2)), 1 / (1 + math.exp(4))]
    np.testing.assert_allclose(y, [[[2 * scale[0], 4 * scale[0]], [0, 2 * scale[1]]]], atol=1e-12)


# --- the model against the reference -----------------------------------------------------------


@each_member
@pytest.mark.parametrize("n_channels", [1, 3, 40])
def test_the_model_gives_the_logits_of_the_reference(member, n_channels):
    weights = draw_weights(member, n_channels=n_channels)
    assert_agree(member, weights, draw_series(n_channels))


@each_member
@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("n_timepoints", range(1, 11))
def test_the_model_agrees_on_series_shorter_than_its_kernels(member, n_channels, n_timepoints):
    weights = draw_weights(member, n_channels=n_channels, n_timepoints=n_timepoints)
    assert_agree(member, weights, draw_series(n_channels, n_timepoints=n_timepoints))


@each_member
@pytest.mark.parametrize("n_channels", [1, 3])
def test_the_model_agrees_on_a_batch_of_one(member, n_channels):
    weights = draw_weights(member, n_channels=n_channels)
    assert_agree(member, weights, draw_series(n_channels, n_series=1))


@each_member
def test_the_model_agrees_with_64_cells(member):
    assert_agree(member, draw_weights(member, n_channels=3, cells=64), draw_series(3))


@each_member
def test_the_model_agrees_on_constant_and_on_empty_series(member):
    x = np.full((3, 1, T), np.nan, dtype=np.float32)
    x[0] = 0.1
    x[1, 0, ::3] = -1234.567
    weights = draw_weights(member, n_channels=1)
    assert_agree(member, weights, x)
    np.testing.assert_allclose(
        ask_reference(member, weights, x),
        ask_reference(member, weights, np.zeros_like(x)),
        atol=1e-6,
    )


# --- the comparison is not blind ---------------------------------------------------------------


def name_inert(member: str, n_channels: int) -> set[str]:
    """Return the weights that cannot matter: one item has no previous state to attend to."""
    if n_channels > 1:
        return set()
    return {"recurrent.recurrent_kernel", *(SCORES if MEMBERS[member]["attention"] else ())}


@each_member
@pytest.mark.parametrize("n_channels", [1, 3])
def test_each_array_moves_the_logits_unless_one_item_leaves_it_no_effect(member, n_channels):
    weights, x = draw_weights(member, n_channels=n_channels), draw_series(n_channels)
    others = draw_weights(member, n_channels=n_channels, seed=3)
    before = ask_reference(member, weights, x)
    still = set()
    for name in weights:
        moved = np.abs(ask_reference(member, weights | {name: others[name]}, x) - before).max()
        if moved == 0:
            still.add(name)
        else:
            assert moved > 1e-3, name
    assert still == name_inert(member, n_channels)


@each_member
def test_in_the_model_too_these_arrays_have_no_effect_on_one_item(member):
    weights, x = draw_weights(member, n_channels=1), draw_series(1)
    others = draw_weights(member, n_channels=1, seed=3)
    changed = weights | {name: others[name] for name in name_inert(member, 1)}
    np.testing.assert_array_equal(ask_model(member, changed, x), ask_model(member, weights, x))


def test_the_forget_gate_never_acts_on_one_item():
    weights, x = draw_weights("LSTM-FCN", n_channels=1), draw_series(1)
    changed = {name: array.copy() for name, array in weights.items()}
    changed["recurrent.kernel"][:, CELLS : 2 * CELLS] += 1.0
    changed["recurrent.bias"][CELLS : 2 * CELLS] += 1.0
    for ask in (ask_reference, ask_model):
        np.testing.assert_array_equal(ask("LSTM-FCN", changed, x), ask("LSTM-FCN", weights, x))


@each_member
@pytest.mark.parametrize("order", [(1, 0, 2, 3), (0, 2, 1, 3), (0, 1, 3, 2), (3, 1, 2, 0)])
def test_another_order_of_the_gates_shows(member, order):
    weights, x = draw_weights(member, n_channels=3), draw_series(3)
    swapped = dict(weights)
    for name in {*GATE_ARRAYS, "recurrent.context_kernel"} & weights.keys():
        gates = np.split(weights[name], 4, axis=-1)
        swapped[name] = np.concatenate([gates[i] for i in order], axis=-1)
    moved = ask_reference(member, swapped, x) - ask_reference(member, weights, x)
    assert np.abs(moved).max() > 1e-3


@each_member
@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize(
    ("fact", "mistake"),
    [
        pytest.param("hard_sigmoid", lambda a: 1 / (1 + np.exp(-a)), id="ordinary sigmoid"),
        pytest.param("hard_sigmoid", lambda a: np.clip(a / 6 + 0.5, 0, 1), id="torch's slope"),
        pytest.param("same_padding", lambda k: (k // 2, (k - 1) // 2), id="4 left and 3 right"),
        pytest.param("BATCH_NORM_EPS", 1e-5, id="torch's epsilon"),
    ],
)
def test_a_mistake_in_the_facts_shows(monkeypatch, member, n_channels, fact, mistake):
    weights, x = draw_weights(member, n_channels=n_channels), draw_series(n_channels)
    right = ask_reference(member, weights, x)
    monkeypatch.setattr(reference, fact, mistake)
    assert np.abs(ask_reference(member, weights, x) - right).max() > 1e-3


@each_member
@pytest.mark.parametrize("n_channels", [1, 3, 40])
def test_few_gates_are_saturated_and_logits_vary(monkeypatch, member, n_channels):
    seen = []
    hard_sigmoid = reference.hard_sigmoid
    monkeypatch.setattr(reference, "hard_sigmoid", lambda a: seen.append(a) or hard_sigmoid(a))
    weights = draw_weights(member, n_channels=n_channels)
    logits = ask_reference(member, weights, draw_series(n_channels))
    assert np.mean(np.abs(np.stack(seen)) > 2.5) < 0.3
    assert logits.std(axis=0).min() > 0.01


# --- parameters --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attention", "cells", "published"),
    [
        (False, 8, 281_650),
        (False, 64, 412_802),
        (False, 128, 593_410),
        (True, 8, 302_210),
        (True, 64, 580_866),
        (True, 128, 937_730),
    ],
)
def test_formula_and_model_have_the_published_number_of_parameters(attention, cells, published):
    member = "ALSTM-FCN" if attention else "LSTM-FCN"
    size = {"n_channels": 1, "n_timepoints": 512, "n_classes": 2, "cells": cells}
    assert reference.parameter_count(**size, **MEMBERS[member]) == published
    assert count_trainable(build_model(member, **size)) == published


@each_member
@pytest.mark.parametrize(
    ("n_channels", "n_timepoints", "n_classes", "cells"),
    [(1, 1, 2, 1), (1, 96, 5, 8), (3, 23, 3, 8), (40, 23, 10, 64), (7, 300, 2, 128)],
)
def test_the_model_has_as_many_parameters_as_the_formula(
    member, n_channels, n_timepoints, n_classes, cells
):
    size = {
        "n_channels": n_channels,
        "n_timepoints": n_timepoints,
        "n_classes": n_classes,
        "cells": cells,
    }
    expected = reference.parameter_count(**size, **MEMBERS[member])
    assert count_trainable(build_model(member, **size)) == expected


def count_trainable(model: LSTMFCN) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
