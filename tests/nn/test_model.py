import copy
import dataclasses
import math
import pickle
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from toys import stir

from foreshock.nn.config import PAPER, ModelConfig
from foreshock.nn.layers import Convolution, reach
from foreshock.nn.model import LSTMFCN

MEMBERS = {
    "LSTM-FCN": {"attention": False, "squeeze_excite": False},
    "ALSTM-FCN": {"attention": True, "squeeze_excite": False},
    "MLSTM-FCN": {"attention": False, "squeeze_excite": True},
    "MALSTM-FCN": {"attention": True, "squeeze_excite": True},
}
CONFIGS = {"default": ModelConfig(), "paper": PAPER}
SHAPES = {"one channel": (1, 24), "T > M": (3, 24), "T < M": (24, 5), "T = 1": (3, 1)}

NARROW = {"mixed": (), "dilations": (1, 1, 1)}

each_member = pytest.mark.parametrize("member", MEMBERS)
each_config = pytest.mark.parametrize("config", CONFIGS)
each_shape = pytest.mark.parametrize("shape", SHAPES)


def build(
    member: str = "MALSTM-FCN",
    config: str = "default",
    shape: tuple[int, int] = (1, 24),
    *,
    n_classes: int = 3,
    seed: int = 0,
    small: bool = True,
    **changes: object,
) -> LSTMFCN:
    sizes = {"filters": (16, 32, 16), "cells": 8} if small else {}
    fields = {**MEMBERS[member], **sizes, **changes}
    return LSTMFCN(
        dataclasses.replace(CONFIGS[config], **fields),
        n_channels=shape[0],
        n_timepoints=shape[1],
        n_classes=n_classes,
        seed=seed,
    )


def draw(n: int, shape: tuple[int, int], seed: int = 1) -> Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))


# --- what any member gives ---------------------------------------------------------------------


@each_member
@each_config
@each_shape
@pytest.mark.parametrize("training", [True, False])
def test_any_number_of_series_gives_a_finite_logit_per_class(member, config, shape, training):
    model = build(member, config, SHAPES[shape]).train(training)
    for n in (1, 2, 7):
        logits = model(draw(n, SHAPES[shape]))
        assert logits.shape == (n, 3)
        assert logits.isfinite().all()


@each_member
@each_config
def test_no_series_give_no_logits(member, config):
    assert build(member, config).eval()(draw(0, (1, 24))).shape == (0, 3)


@each_member
@each_config
@pytest.mark.parametrize("n_classes", [2, 10])
def test_the_loss_starts_near_log_k(member, config, n_classes):
    # Xavier's head over 128 averages of batch norm and ReLU, about 0.4 each, gives logits of a
    # deviation near 0.6, which raises the expected loss by half the variance, 0.2
    model = build(member, config, n_classes=n_classes, small=False)
    y = torch.arange(4 * n_classes) % n_classes
    loss = F.cross_entropy(model(draw(len(y), (1, 24))), y).item()
    assert loss == pytest.approx(math.log(n_classes), abs=0.5)


@each_member
@each_config
@pytest.mark.parametrize("shape", ["one channel", "T < M"])
def test_one_batch_can_be_learnt_by_heart(member, config, shape):
    model = build(member, config, SHAPES[shape], dropout=0.0)
    x, y = draw(6, SHAPES[shape]), torch.arange(6) % 3
    model.fit_views([x.numpy()])
    optimizer = torch.optim.Adam(model.parameters(), 0.02, fused=True)
    for _ in range(40):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02


@each_member
@each_config
@each_shape
def test_the_gradient_reaches_every_parameter_that_acts(member, config, shape):
    n_channels, n_timepoints = SHAPES[shape]
    model = stir(build(member, config, SHAPES[shape], dropout=0.0, small=False))
    model(draw(8, SHAPES[shape])).square().sum().backward()
    still = {
        name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
    }
    views = model.views
    n_items = views.n_patches or (n_channels if views.shuffled else n_timepoints)
    inert = set()
    if n_items == 1:  # no step before the last, nothing to choose from
        inert = {"recurrent.recurrent_kernel"}
        if model.config.attention:
            inert |= {
                f"recurrent.attention_{part}" for part in ("hidden", "input", "bias", "vector")
            }
    inert |= {f"blocks.{i}.conv.bias" for i in range(3)}  # batch norm takes it away again
    assert still <= inert
    assert {name for name in still if "conv.bias" not in name} == {
        name for name in inert if "conv.bias" not in name
    }


def test_with_one_channel_the_forget_gate_gets_no_gradient():
    model = build("LSTM-FCN")
    model(draw(4, (1, 24))).sum().backward()
    into, forget, candidate, out = model.recurrent.kernel.grad.chunk(4, dim=1)
    assert not forget.any()
    assert into.any() and candidate.any() and out.any()


# --- its size and its weights ------------------------------------------------------------------


@each_member
@each_shape
def test_the_default_has_as_many_parameters_as_its_formula(member, shape):
    n_channels, n_timepoints = SHAPES[shape]
    model = build(member, shape=SHAPES[shape], n_classes=5, small=False)
    attention, excite = MEMBERS[member].values()
    item = n_timepoints if n_timepoints > n_channels else n_channels
    if attention and n_channels == 1:
        item = math.ceil(n_timepoints / 8)
    cells = 64
    count = (item + cells + 1) * 4 * cells
    if attention:
        count += cells * cells + item * cells + 2 * cells + item * 4 * cells
    n_in = 2 * n_channels  # the series and its difference
    for n_out, kernel in ((128, 64), (256, 5), (128, 3)):
        count += n_in * n_out * kernel + n_out + 2 * n_out
        n_in = n_out
    if excite:
        count += 2 * 128 * 8 + 2 * 256 * 16
    count += (cells + 128 + 1) * 5
    assert sum(p.numel() for p in model.parameters()) == count


@each_member
@each_config
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(member, config):
    first, same, other = (build(member, config, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], same[name]) for name in first)
    drawn = [name for name in first if "kernel" in name or name.endswith("weight")]
    drawn = [name for name in drawn if "norm" not in name]
    assert drawn and not any(torch.equal(first[name], other[name]) for name in drawn)


@each_member
@each_config
def test_building_and_running_a_model_leaves_the_global_generator_alone(member, config):
    before = torch.get_rng_state()
    model = build(member, config).eval()
    model.fit_views([draw(4, (1, 24)).numpy()])
    model(draw(2, (1, 24)))
    assert torch.equal(before, torch.get_rng_state())


@each_member
@each_config
@each_shape
def test_loaded_weights_and_views_give_the_same_logits(member, config, shape):
    x = 5 + 2 * draw(6, SHAPES[shape])
    model = stir(build(member, config, SHAPES[shape])).eval()
    model.fit_views([x.numpy()])
    other = build(member, config, SHAPES[shape], seed=1).eval()
    assert not torch.equal(model(x), other(x))
    other.load_state_dict(model.state_dict())
    assert torch.equal(model(x), other(x))


def test_a_model_can_be_copied_and_pickled():
    x = draw(3, (1, 24))
    model = build().eval()
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(x), model(x))


def test_the_initial_weights_follow_the_rules_of_keras():
    model = build(small=False, shape=(1, 64))
    recurrent, head = model.recurrent, model.head
    square = recurrent.recurrent_kernel @ recurrent.recurrent_kernel.T
    assert torch.allclose(square, torch.eye(64), atol=1e-5)  # orthogonal
    n_in, n_out = recurrent.kernel.shape
    for weight, bound in (
        (recurrent.kernel, math.sqrt(6 / (n_in + n_out))),  # Glorot
        (head.weight, math.sqrt(6 / (64 + 128 + 3))),
        *(
            (block.conv.weight, math.sqrt(6 / block.conv.weight[0].numel()))
            for block in model.blocks[1:]
        ),
        *(
            (model.blocks[0].conv.weight[:, :, taps].unflatten(0, (4, -1))[i], math.sqrt(3 / size))
            for i, (size, taps) in enumerate(TAPS.items())
        ),
    ):
        assert 0.98 * bound < weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
    assert recurrent.bias.tolist() == [0.0] * 64 + [1.0] * 64 + [0.0] * 128
    assert not recurrent.attention_vector.any()
    assert not head.bias.any() and not model.blocks[0].conv.bias.any()


TAPS = {8: slice(28, 36), 16: slice(24, 40), 32: slice(16, 48), 64: slice(0, 64)}
"""Where filters of each size stand among those of the longest, so that their middles agree."""


def test_the_papers_filters_see_8_5_and_3_timepoints():
    assert PAPER.kernels == (8, 5, 3)
    assert PAPER.filters == (128, 256, 128)
    assert PAPER.first == (8,) and PAPER.dilations == (1, 1, 1)


def test_a_quarter_of_the_first_filters_each_sees_8_16_32_and_64_timepoints():
    model = build(small=False, shape=(2, 100)).train()
    weight = model.blocks[0].conv.weight
    for step in range(2):
        for part, (size, taps) in zip(weight.unflatten(0, (4, 32)), TAPS.items(), strict=True):
            seen = (part != 0).any(dim=0).any(dim=0)
            assert seen[taps].all() and seen.sum() == size
        if not step:
            optimizer = torch.optim.AdamW(model.parameters(), 0.1)
            model(draw(8, (2, 100))).square().sum().backward()
            optimizer.step()


def test_a_feature_sees_as_far_as_the_reach_says():
    fields = {"normalize": "none", "difference": False}
    model = stir(build("LSTM-FCN", shape=(1, 120), **fields)).eval()
    x = draw(1, (1, 120)).requires_grad_()
    model.dissect(x).features[0, :, 60].sum().backward()
    seen = x.grad[0, 0].nonzero()[:, 0]
    before, after = model.config.reach
    assert (seen[0], seen[-1]) == (60 - before, 60 + after) == (60 - 39, 60 + 40)


@pytest.mark.parametrize("mixed", [(0,), (8,) * 17])
def test_sizes_of_the_first_filters_are_at_least_1_and_no_more_than_these(mixed):
    message = "mixed must be at most 16 numbers"
    with pytest.raises(ValueError, match=message):
        ModelConfig(filters=(16, 32, 16), mixed=mixed)


@pytest.mark.parametrize(("config", "momentum"), [("default", 0.1), ("paper", 0.01)])
def test_batch_norm_moves_by_a_hundredth_under_paper_where_keras_keeps_99(config, momentum):
    model = build("LSTM-FCN", config)
    seen = []
    model.blocks[0].norm.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model(draw(8, (1, 24)))
    expected = momentum * seen[0].mean(dim=(0, 2))
    torch.testing.assert_close(model.blocks[0].norm.running_mean, expected)


@pytest.mark.parametrize("shape", ["one channel", "T > M"])
def test_only_the_first_two_blocks_squeeze_and_excite(shape):
    model = build("MLSTM-FCN", shape=SHAPES[shape])
    assert [block.excite is not None for block in model.blocks] == [True, True, False]


# --- attention ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("config", "moves"), [("default", True), ("paper", False)])
def test_with_one_channel_attention_chooses_among_patches_and_in_the_paper_from_nothing(
    config, moves
):
    model = stir(build("ALSTM-FCN", config)).eval()
    x = draw(5, (1, 24))
    before = model(x)
    with torch.no_grad():
        model.recurrent.attention_vector.mul_(-3)
    assert torch.equal(before, model(x)) != moves


def test_attention_is_even_at_first_and_uneven_once_its_vector_is_not_zero():
    model = build("ALSTM-FCN", shape=(1, 32)).eval()
    items, mask, _, _ = model.views(draw(5, (1, 32)))
    recurrent = model.recurrent
    keys = items @ recurrent.attention_input
    hidden = draw(5, (1, 8))[:, 0]
    even = recurrent.attend(keys, hidden, mask)
    torch.testing.assert_close(even, torch.full((5, 8), 1 / 8))
    with torch.no_grad():
        recurrent.attention_vector.fill_(2.0)
    uneven = recurrent.attend(keys, hidden, mask)
    torch.testing.assert_close(uneven.sum(dim=1), torch.ones(5))
    assert (uneven - even).abs().max() > 0.1


@each_member
@each_config
@each_shape
def test_a_dissection_holds_what_the_logits_are_made_of(member, config, shape):
    n_channels, n_timepoints = SHAPES[shape]
    model = stir(build(member, config, SHAPES[shape])).eval()
    x = draw(5, SHAPES[shape])
    x[1, :, n_timepoints // 2 :] = math.nan
    parts = model.dissect(x)
    assert torch.equal(model.classify(parts.recurrent, parts.pooled), model(x))
    assert parts.features.shape == (5, 16, n_timepoints)
    counts = ~x.isnan().all(dim=1) if config == "default" else torch.ones(5, n_timepoints) > 0
    each = [
        f[:, seen].sum(dim=1) / max(1, seen.sum())
        for f, seen in zip(parts.features, counts, strict=True)
    ]
    torch.testing.assert_close(parts.pooled, torch.stack(each))
    views = model.views
    n_items = views.n_patches or (n_channels if views.shuffled else n_timepoints)
    if model.config.attention:
        assert parts.attention.shape == (5, n_items, n_items)
        torch.testing.assert_close(parts.attention.sum(dim=2), torch.ones(5, n_items))
    else:
        assert parts.attention is None
    shapes = [(5, 16), (5, 32)] if model.config.squeeze_excite else []
    assert [gate.shape for gate in parts.gates] == shapes
    assert all((gate > 0).all() and (gate < 1).all() for gate in parts.gates)


@pytest.mark.parametrize("block", [0, 1])
def test_the_gates_of_a_dissection_are_those_that_scale(block):
    model = stir(build("MLSTM-FCN")).eval()
    x = draw(5, (1, 24))
    before, gates = model(x), model.dissect(x).gates[block]
    handle = model.blocks[block].excite.register_forward_hook(lambda *_: gates)
    assert torch.equal(model(x), before)
    handle.remove()
    model.blocks[block].excite.register_forward_hook(lambda *_: torch.ones_like(gates))
    assert not torch.equal(model(x), before)


def test_a_stretch_of_time_without_a_reading_gets_no_attention():
    model = stir(build("ALSTM-FCN")).eval()
    x = draw(2, (1, 24))
    x[0, 0, 3:6] = math.nan  # the second of eight patches
    parts = model.dissect(x)
    assert parts.item_mask.tolist() == [[True, False] + 6 * [True], 8 * [True]]
    assert not parts.attention[0, :, 1].any()
    assert parts.attention[1].min() > 0


# --- padding -----------------------------------------------------------------------------------


@each_member
@pytest.mark.parametrize("n_channels", [1, 3])
def test_without_padding_features_are_those_that_see_no_end(member, n_channels):
    shape = (n_channels, 24)
    fields = {"squeeze_excite": False, **NARROW}
    same = stir(build(member, shape=shape, padding="same", **fields)).eval()
    valid = stir(build(member, shape=shape, padding="valid", **fields)).eval()
    assert (same.margins, valid.margins) == ((0, 0), (7, 7))  # 6 and one for the difference
    x = draw(5, shape)
    x[1, :, 5:12] = math.nan
    x[2, 0, 10] = math.nan
    with_zeros, parts = same.dissect(x), valid.dissect(x)
    torch.testing.assert_close(parts.features, with_zeros.features[:, :, 7:-7])
    assert torch.equal(parts.mask, with_zeros.mask[:, :, 7:-7])
    count = parts.mask.sum(dim=2)
    torch.testing.assert_close(parts.pooled, parts.features.sum(dim=2) / count)
    assert torch.equal(parts.recurrent, with_zeros.recurrent)


@each_member
@pytest.mark.parametrize("training", [True, False])
def test_without_padding_a_series_with_readings_at_its_ends_only_gives_finite_logits(
    member, training
):
    model = stir(build(member, padding="valid", **NARROW)).train(training)
    x = draw(3, (1, 24))
    x[0, 0, 7:] = x[1, 0, :17] = math.nan
    logits = model(x)
    logits.sum().backward()
    assert logits.isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    assert not model.dissect(x).pooled[:2].any()


@pytest.mark.parametrize(("difference", "fewest"), [(True, 15), (False, 14)])
def test_without_padding_a_series_must_give_at_least_one_feature(difference, fewest):
    fields = {"padding": "valid", "difference": difference, **NARROW}
    parts = build("LSTM-FCN", shape=(1, fewest), **fields).dissect(draw(2, (1, fewest)))
    assert parts.features.shape == (2, 16, 1)
    message = (
        f"padding valid needs series of at least {fewest} timepoints, got {fewest - 1}: give"
        " --model.padding same."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        build("LSTM-FCN", shape=(1, fewest - 1), **fields)


def test_padding_is_zeros_unless_valid_is_asked_for():
    x = draw(3, (1, 24))
    models = [stir(build(padding=padding)).eval() for padding in ("auto", "same")]
    assert torch.equal(models[0](x), models[1](x))
    assert PAPER.padding == "same"


# --- lengths and missing readings --------------------------------------------------------------


def share_blocks(model: LSTMFCN, other: LSTMFCN) -> None:
    """Make two models that differ in their recurrent branch only, which does not count."""
    state = {
        k: v for k, v in model.state_dict().items() if not k.startswith(("recurrent", "views"))
    }
    other.load_state_dict(state, strict=False)
    other.views.difference_deviation.copy_(model.views.difference_deviation)
    for each in (model, other):
        with torch.no_grad():
            each.head.weight[:, : each.config.cells] = 0.0


@each_member
@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("length", [1, 2, 7, 15, 23])
def test_padding_gives_the_convolutions_what_the_cropped_series_gives(member, n_channels, length):
    model = stir(build(member, shape=(n_channels, 24), normalize="series")).eval()
    cropped = stir(build(member, shape=(n_channels, length), normalize="series")).eval()
    share_blocks(model, cropped)
    x = 3 + draw(4, (n_channels, length))
    padded = F.pad(x, (0, 24 - length), value=math.nan)
    torch.testing.assert_close(model(padded), cropped(x), atol=1e-5, rtol=1e-5)


@each_member
def test_without_the_mask_padding_does_change_what_the_convolutions_give(member):
    model = stir(build(member, mask=False)).eval()
    cropped = stir(build(member, shape=(1, 12), mask=False)).eval()
    share_blocks(model, cropped)
    x = 3 + draw(4, (1, 12))
    padded = F.pad(x, (0, 12), value=math.nan)
    assert (model(padded) - cropped(x)).abs().max() > 1e-3


@settings(max_examples=40)
@given(
    member=st.sampled_from(list(MEMBERS)),
    config=st.sampled_from(list(CONFIGS)),
    shape=st.sampled_from([(1, 9), (1, 24), (3, 24), (24, 5)]),
    seed=st.integers(0, 1000),
    data=st.data(),
)
def test_what_stands_beside_a_case_does_not_change_its_logits(member, config, shape, seed, data):
    model = stir(build(member, config, shape)).eval()
    model.fit_views([draw(8, shape).numpy()])
    x = draw(6, shape, seed)
    for case in x[:4]:  # shorter ones, with gaps, without a channel, without anything
        case[:, data.draw(st.integers(0, shape[1])) :] = math.nan
        case[:, data.draw(st.integers(0, shape[1])) : data.draw(st.integers(0, shape[1]))] = (
            math.nan
        )
        if data.draw(st.booleans()):
            case[data.draw(st.integers(0, shape[0] - 1))] = math.nan
    together = model(x)
    alone = torch.cat([model(x[i : i + 1]) for i in range(6)])
    assert together.isfinite().all()
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@each_member
def test_a_missing_channel_is_skipped_whether_or_not_other_cases_are_padded(member):
    model = stir(build(member, shape=(3, 24))).eval()
    x = draw(2, (3, 24))
    x[0, 1] = math.nan
    alone = model(x[:1])
    x[1, :, 10:] = math.nan
    torch.testing.assert_close(model(x)[:1], alone, atol=1e-5, rtol=1e-5)


@each_member
def test_patches_of_an_uneven_length_leave_no_item_beyond_the_end(member):
    model = build(member, shape=(1, 9))  # 8 patches would be 2 long, and 3 of them empty
    items = model.views(draw(1, (1, 9)))[0]
    assert items.shape == ((1, 5, 2) if MEMBERS[member]["attention"] else (1, 1, 9))


@each_member
@each_config
def test_series_without_a_reading_give_finite_logits_and_gradients(member, config):
    model = stir(build(member, config))
    logits = model(torch.full((3, 1, 24), math.nan))
    logits.sum().backward()
    assert logits.isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    assert all(buffer.isfinite().all() for buffer in model.buffers())


@each_member
@each_config
@pytest.mark.parametrize("n_channels", [1, 3])
def test_an_infinite_reading_shows_in_the_logits(member, config, n_channels):
    model = build(member, config, (n_channels, 24)).eval()
    x = draw(2, (n_channels, 24))
    x[0, 0, 5] = math.inf
    logits = model(x)
    assert not logits[0].isfinite().all()
    assert logits[1].isfinite().all()


# --- precision ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n_channels", range(1, 18))
@pytest.mark.parametrize("kernel", [8, 9, 16, 24, 32, 39, 64])
def test_a_convolution_in_bfloat16_is_right_for_any_channels_and_filters(n_channels, kernel):
    rng = torch.Generator().manual_seed(0)
    layer = Convolution(n_channels, 16, (kernel,), 1, reach(kernel, 1), rng)
    x = draw(4, (n_channels, 100)).requires_grad_()
    found = []
    for lower in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=lower):
            out = layer(x).float()
        found.append((out, *torch.autograd.grad(out.square().sum(), (x, layer.weight))))
    for exact, rough in zip(*found, strict=True):
        assert (rough - exact).abs().max() < 0.03 * exact.abs().max()


@each_member
@each_config
def test_bfloat16_gives_the_logits_of_float32_to_its_two_digits(member, config):
    model = stir(build(member, config, small=False)).eval()
    x = draw(16, (1, 24))
    x[3, 0, 10:] = math.nan
    exact = model(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(x).float()
    # 8 bits of mantissa are a relative 0.4 % in each of four layers, averaged over the filters
    assert (rough - exact).abs().max() < 0.02 * exact.abs().max()
    assert not torch.equal(rough, exact)


# --- errors and probabilities ------------------------------------------------------------------


def test_series_of_another_shape_are_refused():
    with pytest.raises(
        ValueError,
        match=r"series of shape \(n_channels=1, n_timepoints=24\) or shorter, got \(2, 24\)\.",
    ):
        build()(draw(1, (2, 24)))


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_probabilities_are_the_softmax_of_the_scaled_logits(scale):
    model = LSTMFCN(
        ModelConfig(), n_channels=1, n_timepoints=8, n_classes=2, logit_scale=scale, seed=0
    )
    logits = torch.tensor([[1.0, -3.0]])
    expected = 1 / (1 + math.exp(-4 * scale))
    assert model.proba(logits)[0, 0].item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cells": 0}, "cells must be at least 1, got 0."),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0."),
        ({"dropout": math.nan}, "dropout must be at least 0 and below 1, got nan."),
        ({"patches": -1}, "patches must be at least 0, got -1."),
        ({"norm_momentum": 0.0}, "norm_momentum must be above 0 and at most 1, got 0.0."),
        ({"norm_eps": 0.0}, "norm_eps must be above 0, got 0.0."),
        ({"norm_eps": math.nan}, "norm_eps must be above 0, got nan."),
        ({"filters": (1, 2)}, "filters must be three numbers of at least 1, got (1, 2)."),
        ({"kernels": (8, 0, 3)}, "kernels must be three numbers of at least 1, got (8, 0, 3)."),
        (
            {"squeeze_excite": True, "filters": (8, 16, 8)},
            "squeeze_excite needs at least 16 filters in the first two blocks, got (8, 16, 8).",
        ),
    ],
)
def test_a_configuration_that_cannot_be_built_is_refused(fields, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ModelConfig(**fields)


@pytest.mark.parametrize("fields", [{}, {"squeeze_excite": True, "attention": True}])
def test_a_folded_copy_gives_the_same_probabilities_and_leaves_the_model_alone(fields):
    config = ModelConfig(filters=(16, 32, 16), cells=8, **fields)
    model = stir(LSTMFCN(config, n_channels=2, n_timepoints=24, n_classes=3)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    x = draw(6, (2, 24))
    x[::2, :, 18:] = torch.nan
    folded = model.folded()
    assert model.training and not folded.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    expected = model.eval().proba(model(x))
    torch.testing.assert_close(folded.proba(folded(x)), expected, rtol=0, atol=1e-6)
