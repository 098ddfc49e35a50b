import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from foreshock.nn.layers import (
    BatchNorm,
    Block,
    Convolution,
    Dropout,
    Excite,
    Recurrent,
    hard_sigmoid,
    scale,
)
from foreshock.nn.layers import mean_over_time as average


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def draw_mask(n: int, n_timepoints: int, seed: int) -> Tensor:
    """Leave out any timepoints, inside and at the end: (n, 1, n_timepoints) of 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(n, 1, n_timepoints, generator=generator) < 0.6).float()


def make_norm(n_filters: int = 3, *, momentum: float = 0.1) -> BatchNorm:
    norm = BatchNorm(n_filters, momentum=momentum, eps=1e-3)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 2.0, n_filters))
        norm.bias.copy_(torch.linspace(-1.0, 1.0, n_filters))
    return norm


# --- batch norm --------------------------------------------------------------------------------


@settings(max_examples=30)
@given(n=st.integers(1, 5), n_timepoints=st.integers(2, 9), seed=st.integers(0, 10_000))
def test_masked_batch_norm_is_batch_norm_over_the_real_timepoints(n, n_timepoints, seed):
    x, mask = 4 + 3 * draw(n, 3, n_timepoints, seed=seed), draw_mask(n, n_timepoints, seed)
    mask[0, 0, :2] = 1.0
    real = mask[:, 0].bool()
    norm, mean, variance = make_norm(), torch.zeros(3), torch.ones(3)
    given_x = x.clone().requires_grad_()
    ours = norm(given_x, mask).transpose(1, 2)[real]  # (real timepoints, 3)
    chosen = x.transpose(1, 2)[real].requires_grad_()
    weight, bias = norm.weight.detach(), norm.bias.detach()
    theirs = F.batch_norm(chosen, mean, variance, weight, bias, True, 0.1, 1e-3)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(norm.running_mean, mean)
    torch.testing.assert_close(norm.running_var, variance)
    pull = draw(*ours.shape, seed=seed + 1)
    (ours * pull).sum().backward()
    (theirs * pull).sum().backward()
    torch.testing.assert_close(
        given_x.grad.transpose(1, 2)[real], chosen.grad, atol=1e-4, rtol=1e-4
    )


def test_a_mask_of_ones_changes_nothing_in_batch_norm():
    x = draw(4, 3, 10)
    plain, masked = make_norm(), make_norm()
    torch.testing.assert_close(masked(x, torch.ones(4, 1, 10)), plain(x, None))
    torch.testing.assert_close(masked.running_mean, plain.running_mean)
    torch.testing.assert_close(masked.running_var, plain.running_var)


def test_what_stands_at_a_masked_timepoint_does_not_reach_the_statistics():
    x, mask = draw(4, 3, 10), draw_mask(4, 10, 3)
    first, second = make_norm(), make_norm()
    first(x, mask)
    second(torch.where(mask.bool(), x, 1000.0), mask)
    assert torch.equal(first.running_mean, second.running_mean)
    assert torch.equal(first.running_var, second.running_var)


def test_batch_norm_uses_its_running_statistics_when_predicting():
    norm = make_norm().eval()
    norm.running_mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    norm.running_var.copy_(torch.tensor([4.0, 5.0, 6.0]))
    x, mask = draw(2, 3, 5), draw_mask(2, 5, 3)
    expected = (x - norm.running_mean[:, None]) / (norm.running_var[:, None] + 1e-3).sqrt()
    expected = expected * norm.weight[:, None] + norm.bias[:, None]
    torch.testing.assert_close(norm(x, None), expected)
    torch.testing.assert_close(norm(x, mask), expected)
    assert norm.running_mean.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("momentum", [0.1, 0.01])
def test_the_newest_batch_has_the_weight_of_momentum(momentum):
    norm = make_norm(momentum=momentum)
    x = draw(4, 3, 10)
    norm(x, None)
    torch.testing.assert_close(norm.running_mean, momentum * x.mean(dim=(0, 2)))
    expected = (1 - momentum) + momentum * x.var(dim=(0, 2))
    torch.testing.assert_close(norm.running_var, expected)


@pytest.mark.parametrize("mask", [None, torch.ones(1, 1, 1), torch.zeros(1, 1, 1)])
def test_a_single_value_is_left_at_the_bias_and_teaches_nothing(mask):
    norm = make_norm()
    assert torch.equal(norm(draw(1, 3, 1), mask)[0, :, 0], norm.bias) or mask is not None
    assert norm(draw(1, 3, 1), mask).isfinite().all()
    assert norm.running_mean.tolist() == [0.0] * 3
    assert norm.running_var.tolist() == [1.0] * 3


# --- blocks ------------------------------------------------------------------------------------


def make_block(kernel: int, *, excite: bool = False, valid: bool = False) -> Block:
    rng = torch.Generator().manual_seed(0)
    norm = {"norm_momentum": 0.1, "norm_eps": 1e-3}
    return Block(2, 16, (kernel,), dilation=1, valid=valid, excite=excite, rng=rng, **norm)


@pytest.mark.parametrize(("kernel", "left", "right"), [(8, 3, 4), (5, 2, 2), (3, 1, 1), (1, 0, 0)])
def test_a_kernel_sees_as_many_timepoints_before_as_after_or_one_less(kernel, left, right):
    block = make_block(kernel).eval()
    x = torch.zeros(1, 2, 21)
    x[0, 0, 10] = 1.0
    seen = (block.conv(x) != 0).any(dim=1)[0].nonzero()[:, 0]
    assert seen.tolist() == list(range(10 - right, 10 + left + 1))


@pytest.mark.parametrize("kernel", [8, 5, 3, 1])
@pytest.mark.parametrize("masked", [False, True])
def test_without_padding_a_block_gives_what_padding_gives_away_from_the_ends(kernel, masked):
    same, valid = make_block(kernel).eval(), make_block(kernel, valid=True).eval()
    x, mask = draw(4, 2, 12), draw_mask(4, 12, 5) if masked else None
    left, right = same.padding
    whole, whole_mask, _ = same(x, mask)
    inner, inner_mask, _ = valid(x, mask)
    torch.testing.assert_close(inner, whole[:, :, left : 12 - right])
    if mask is None:
        assert whole_mask is None and inner_mask is None
    else:
        assert torch.equal(whole_mask, mask)
        assert torch.equal(inner_mask, mask[:, :, left : 12 - right])


@pytest.mark.parametrize("excite", [False, True])
def test_a_block_gives_zero_where_there_is_no_reading(excite):
    mask = draw_mask(4, 12, 5)
    y, _, gates = make_block(5, excite=excite)(draw(4, 2, 12), mask)
    assert (gates is not None) == excite
    assert not y[(mask == 0).expand_as(y)].any()


def test_squeeze_and_excite_averages_over_real_timepoints_only():
    excite = Excite(32, torch.Generator().manual_seed(0))
    x, mask = draw(3, 32, 10), torch.ones(3, 1, 10)
    mask[:, :, 6:] = 0.0
    torch.testing.assert_close(excite(x * mask, mask), excite(x[:, :, :6], None))


def test_squeeze_and_excite_scales_filters_by_a_bottleneck_of_a_sixteenth():
    block, plain = make_block(5, excite=True), make_block(5)
    x = draw(3, 2, 10)
    filters = plain(x, None)[0].detach().numpy()
    excite, mean = block.excite, filters.mean(axis=2)
    down, up = excite.down.weight.detach().numpy(), excite.up.weight.detach().numpy()
    assert down.shape == (1, 16) and up.shape == (16, 1)
    scale = 1 / (1 + np.exp(-(np.maximum(mean @ down.T, 0) @ up.T)))
    y, _, gates = block(x, None)
    np.testing.assert_allclose(gates.detach().numpy(), scale, atol=1e-6)
    np.testing.assert_allclose(y.detach().numpy(), filters * scale[:, :, None], atol=1e-6)


def test_the_average_over_time_counts_real_timepoints():
    x = torch.tensor([[[1.0, 2.0, 0.0, 6.0]], [[0.0, 0.0, 0.0, 0.0]]])
    mask = torch.tensor([[[1.0, 1.0, 0.0, 1.0]], [[0.0, 0.0, 0.0, 0.0]]])
    assert average(x, mask).tolist() == [[3.0], [0.0]]
    assert average(x, None).tolist() == [[2.25], [0.0]]


@pytest.mark.parametrize("ends", [(3, 4), (2, 2), (0, 0)])
@pytest.mark.parametrize("dilation", [1, 2])
def test_a_convolution_is_that_of_torch_whatever_lies_how_in_memory(ends, dilation):
    conv = Convolution(4, 6, (3,), dilation, ends, torch.Generator())
    with torch.no_grad():
        conv.weight.copy_(draw(6, 4, 3, seed=2))
        conv.bias.copy_(draw(6, seed=3))
    x = draw(2, 4, 12)
    for given_x in (x, x.transpose(1, 2).contiguous().transpose(1, 2)):
        expected = F.conv1d(F.pad(x, ends), conv.weight, conv.bias, dilation=dilation)
        torch.testing.assert_close(conv(given_x), expected)
        assert conv(given_x).transpose(1, 2).is_contiguous()


def test_gates_and_averages_have_the_gradients_of_torch():
    gates = torch.rand(3, 4, generator=torch.Generator().manual_seed(2)).double()
    x = draw(3, 4, 7).double()
    inputs = x.requires_grad_(), gates.requires_grad_()
    assert torch.autograd.gradcheck(scale, inputs)
    assert torch.autograd.gradcheck(lambda x: average(x, None), inputs[:1])
    mask = draw_mask(3, 7, 4)
    assert torch.autograd.gradcheck(lambda x: average(x * mask, mask), inputs[:1])


@pytest.mark.parametrize("mask", [None, draw_mask(3, 10, 5)])
def test_a_folded_block_gives_what_the_block_gives_when_predicting(mask):
    block = make_block(5, excite=True).eval()
    block.norm.load_state_dict(make_norm(16).state_dict())
    block.norm.running_mean.copy_(draw(16, seed=6))
    block.norm.running_var.copy_(draw(16, seed=7).square())
    x = draw(3, 2, 10)
    before, *_ = block(x, mask)
    block.fold()
    torch.testing.assert_close(block(x, mask)[0], before)
    assert block.norm is None


# --- recurrent ---------------------------------------------------------------------------------


def make_recurrent(item_size: int = 6, *, attention: bool) -> Recurrent:
    rng = torch.Generator().manual_seed(0)
    recurrent = Recurrent(item_size, 4, attention=attention, gate=torch.sigmoid, rng=rng)
    with torch.no_grad():
        recurrent.bias.add_(draw(16, seed=2))
        if attention:
            recurrent.attention_vector.copy_(3 * draw(4, seed=3))
    return recurrent


def test_with_ordinary_gates_it_is_the_lstm_of_torch():
    recurrent, lstm = make_recurrent(attention=False), nn.LSTM(6, 4, batch_first=True)
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(recurrent.kernel.T)
        lstm.weight_hh_l0.copy_(recurrent.recurrent_kernel.T)
        lstm.bias_ih_l0.copy_(recurrent.bias)
        lstm.bias_hh_l0.zero_()
    items = draw(3, 5, 6)
    torch.testing.assert_close(recurrent(items, None)[0], lstm(items)[1][0][0])


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("missing", [[0], [2], [4], [0, 1, 3]])
def test_a_masked_item_is_as_if_it_were_not_there(attention, missing):
    recurrent = make_recurrent(attention=attention)
    items, mask = draw(3, 5, 6), torch.ones(3, 5, dtype=torch.bool)
    mask[:, missing] = False
    left = [i for i in range(5) if i not in missing]
    torch.testing.assert_close(recurrent(items, mask)[0], recurrent(items[:, left], None)[0])


@pytest.mark.parametrize("attention", [False, True])
def test_without_any_item_the_state_stays_zero(attention):
    recurrent = make_recurrent(attention=attention)
    assert not recurrent(draw(2, 3, 6), torch.zeros(2, 3, dtype=torch.bool))[0].any()


def test_the_gates_of_keras_are_flat_beyond_two_and_a_half():
    x = torch.tensor([-3.0, -2.5, 0.0, 1.0, 2.5, 3.0])
    assert hard_sigmoid(x).tolist() == pytest.approx([0.0, 0.0, 0.5, 0.7, 1.0, 1.0])


# --- dropout -----------------------------------------------------------------------------------


def drop(rate: float, x: Tensor, seed: int = 0) -> Tensor:
    dropout = Dropout(x.shape[1], rate)
    rng = torch.Generator().manual_seed(seed)
    return dropout(x, dropout.draw(len(x), torch.device("cpu"), rng))


def test_dropout_zeroes_its_share_and_keeps_the_mean():
    y = drop(0.8, torch.ones(200, 500))
    # the share of 100,000 draws has a deviation of 0.0013
    assert (y == 0).float().mean().item() == pytest.approx(0.8, abs=0.007)
    assert y.max().item() == pytest.approx(5.0)


def test_dropout_passes_everything_when_predicting():
    x = draw(4, 6)
    assert torch.equal(Dropout(6, 0.5).eval()(x), x)


def test_dropout_draws_from_the_generator_it_is_given():
    before = torch.get_rng_state()
    x = torch.ones(5, 10)
    assert torch.equal(drop(0.5, x), drop(0.5, x))
    assert not torch.equal(drop(0.5, x), drop(0.5, x, seed=1))
    assert torch.equal(before, torch.get_rng_state())


def test_dropout_that_is_told_nothing_draws_anew_each_time():
    dropout, x = Dropout(10, 0.5), torch.ones(5, 10)
    assert not torch.equal(dropout(x), dropout(x))


def test_half_precision_keeps_the_running_statistics_in_float32():
    norm, mask = make_norm(), draw_mask(8, 500, 1)
    x = (100 + draw(8, 3, 500)).bfloat16()
    y = norm(x, mask)
    assert y.dtype == torch.bfloat16
    real = x.float().transpose(1, 2)[mask[:, 0].bool()]
    torch.testing.assert_close(norm.running_mean, 0.1 * real.mean(dim=0))
    assert math.isclose(norm.running_mean[0], 10.0, rel_tol=0.01)
