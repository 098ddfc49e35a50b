"""The layers of the LSTM-FCN family; all of them leave out masked timepoints."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foreshock.nn.distributed import several_processes, sum_over_processes

REDUCTION = 16
"""Squeeze-and-excite's bottleneck: a block's filters divided by this (Karim et al. 2018)."""


class Recurrent(nn.Module):
    """An LSTM, or the papers' attention LSTM, over a few long items; gives its last state.

    Written out because neither hard-sigmoid gates nor the attention cell are in torch, and
    because with one item, the common case, there is nothing for a fused LSTM to fuse.
    Gates stand in Keras's order: input, forget, candidate, output; there is one bias vector.
    """

    def __init__(
        self,
        item_size: int,
        cells: int,
        *,
        attention: bool,
        gate: Callable[[Tensor], Tensor],
        rng: torch.Generator,
    ) -> None:
        super().__init__()
        self.cells, self.attention, self.gate = cells, attention, gate
        self.kernel = nn.Parameter(torch.empty(item_size, 4 * cells, dtype=torch.float32))
        self.recurrent_kernel = nn.Parameter(torch.empty(cells, 4 * cells, dtype=torch.float32))
        self.bias = nn.Parameter(torch.zeros(4 * cells, dtype=torch.float32))
        nn.init.xavier_uniform_(self.kernel, generator=rng)
        nn.init.orthogonal_(self.recurrent_kernel, generator=rng)
        with torch.no_grad():
            self.bias[cells : 2 * cells] = 1.0  # forget nothing at first
        if attention:
            self.attention_hidden = nn.Parameter(torch.empty(cells, cells, dtype=torch.float32))
            self.attention_input = nn.Parameter(torch.empty(item_size, cells, dtype=torch.float32))
            self.attention_bias = nn.Parameter(torch.zeros(cells, dtype=torch.float32))
            self.attention_vector = nn.Parameter(torch.zeros(cells, dtype=torch.float32))
            self.context_kernel = nn.Parameter(
                torch.empty(item_size, 4 * cells, dtype=torch.float32)
            )
            for weight in (self.attention_hidden, self.attention_input, self.context_kernel):
                nn.init.xavier_uniform_(weight, generator=rng)

    def forward(self, items: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Read items (batch, items, item_size), skipping masked ones.

        Give the last state (batch, cells), and how much each step attended to each item (batch,
        steps, items) where there is attention.
        """
        inputs = (items @ self.kernel).float() + self.bias  # (batch, items, 4 cells)
        hidden = inputs.new_zeros(items.shape[0], self.cells)
        state = hidden
        keys = None
        attention = []
        if self.attention:
            keys = items @ self.attention_input + self.attention_bias  # (batch, items, cells)
        for step in range(items.shape[1]):
            gates = inputs[:, step]
            if step:  # before the first step the hidden state is zero
                gates = gates + hidden @ self.recurrent_kernel
            if keys is not None:
                weights = self.attend(keys, hidden, mask)
                context = (weights[:, None].to(items.dtype) @ items)[:, 0]  # (batch, item_size)
                gates = gates + context @ self.context_kernel
                attention.append(weights)
            new_hidden, new_state = self.cell(gates, state)
            if mask is None:
                hidden, state = new_hidden, new_state
            else:
                keep = mask[:, step, None]
                hidden = torch.where(keep, new_hidden, hidden)
                state = torch.where(keep, new_state, state)
        return hidden, torch.stack(attention, dim=1) if attention else None

    def cell(self, gates: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step from gates (batch, 4 cells) and state (batch, cells)."""
        into, forget, candidate, out = gates.chunk(4, dim=1)
        state = self.gate(forget) * state + self.gate(into) * torch.tanh(candidate)
        return self.gate(out) * torch.tanh(state), state

    def attend(self, keys: Tensor, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Return the weight of each item (batch, items) in the mean that a step gets."""
        query = hidden @ self.attention_hidden  # (batch, cells)
        scores = torch.tanh(keys + query[:, None]) @ self.attention_vector  # (batch, items)
        if mask is not None:
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        return scores.softmax(dim=1)  # (batch, items)


def reach(kernel: int, dilation: int) -> tuple[int, int]:
    """Return how many timepoints before and after its own a filter sees: kernel 8 has 3 and 4."""
    return (kernel - 1) // 2 * dilation, kernel // 2 * dilation


class Convolution(nn.Conv1d):
    """A convolution whose result lies in memory timepoint by timepoint, filters together.

    That ("channels last") is how the processor's kernels want it, and torch knows of it for images
    only. There are `ends` zeros before and after the series. Where filters are of several sizes, an
    equal share of them each, all are as long as the longest, with weights that are held at zero.

    On processors with AMX, torch 2.13 (oneDNN) computes bf16 convolutions of an even number of
    channels below 16 wrongly, by as much as the result, where channels times timepoints of a filter
    are a multiple of 32 above 32, without dilation. There, one more channel, of zeros, is added.
    """

    taps: Tensor | None

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernels: Sequence[int],
        dilation: int,
        ends: tuple[int, int],
        rng: torch.Generator,
    ) -> None:
        longest, sizes = max(kernels), np.array_split(np.arange(n_out), len(kernels))
        super().__init__(n_in, n_out, longest, dilation=dilation, device="meta")
        _undrawn(self)
        self.ends = ends
        assert self.bias is not None
        nn.init.zeros_(self.bias)
        taps = torch.zeros(n_out, 1, longest, dtype=torch.float32)
        for kernel, filters in zip(kernels, sizes, strict=True):
            start = reach(longest, 1)[0] - reach(kernel, 1)[0]
            weight = torch.empty(len(filters), n_in, kernel, dtype=torch.float32)
            nn.init.kaiming_uniform_(weight, nonlinearity="relu", generator=rng)
            with torch.no_grad():
                self.weight[filters] = F.pad(weight, (start, longest - start - kernel))
            taps[filters, :, start : start + kernel] = 1.0
        self.register_buffer("taps", None if len(kernels) == 1 else taps, persistent=False)
        size = n_in * longest
        wrong = n_in % 2 == 0 and n_in < 16 and dilation == 1 and size % 32 == 0 and size > 32
        self.needs_odd = wrong and torch.cpu.get_capabilities().get("amx_bf16", False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_in, timepoints) to (batch, n_out, timepoints)."""
        before, after = self.ends
        if before != after:
            x, before = F.pad(x, self.ends), 0
        weight = self.weight if self.taps is None else self.weight * self.taps
        image = x.unsqueeze(2)  # (batch, n_in, 1, timepoints)
        kernel = weight.unsqueeze(2) if weight.ndim == 3 else weight
        if self.needs_odd and x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            image, kernel = (F.pad(each, (0, 0, 0, 0, 0, 1)) for each in (image, kernel))
        image = image.contiguous(memory_format=torch.channels_last)
        dilation = (1, *self.dilation)
        out = F.conv2d(image, kernel, self.bias, padding=(0, before), dilation=dilation)
        return out.squeeze(2)


class Block(nn.Module):
    """Convolution, batch norm, ReLU and, where asked for, squeeze-and-excite.

    With zeros around a series each timepoint has a feature (padding same); without, those that see
    beyond an end have none (valid).
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernels: Sequence[int],
        *,
        dilation: int,
        valid: bool,
        excite: bool,
        norm_momentum: float,
        norm_eps: float,
        rng: torch.Generator,
    ) -> None:
        super().__init__()
        seen = reach(max(kernels), dilation)
        self.padding, self.margins = ((0, 0), seen) if valid else (seen, (0, 0))
        self.conv = Convolution(n_in, n_out, kernels, dilation, self.padding, rng)
        self.norm: BatchNorm | None = BatchNorm(n_out, momentum=norm_momentum, eps=norm_eps)
        self.excite = Excite(n_out, rng) if excite else None

    def forward(
        self, x: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Map (batch, n_in, timepoints) to (batch, n_out, timepoints less the margins).

        Give also the mask (batch, 1, timepoints) without the margins, and what squeeze-and-excite
        scaled by (batch, n_out), where it did.
        """
        if mask is not None:
            before, after = self.margins
            mask = mask[:, :, before : mask.shape[2] - after]
        x = self.conv(x)  # (batch, n_out, timepoints)
        if self.norm is not None:
            x = self.norm(x, mask)
        x = F.relu(x, inplace=not torch.is_grad_enabled())
        if mask is not None:
            x = x * mask.to(x.dtype)
        if self.excite is None:
            return x, mask, None
        gates = self.excite(x, mask)  # (batch, n_out)
        return scale(x, gates), mask, gates

    @torch.no_grad()
    def fold(self) -> None:
        """Fold batch norm into the convolution, for predicting, and leave it out."""
        assert self.norm is not None and self.conv.bias is not None
        factor, shift = self.norm.affine()  # (n_out,)
        weight = self.conv.weight * factor[:, None, None]
        if self.conv.taps is not None:
            weight, self.conv.taps = weight * self.conv.taps, None
        # of an image, as the forward pass takes it, so that an export holds it as it is
        weight = weight.unsqueeze(2).float()
        self.conv.weight = nn.Parameter(weight, requires_grad=False)
        self.conv.bias.copy_(self.conv.bias * factor + shift)
        self.norm = None


class Excite(nn.Module):
    """Squeeze-and-excite (Hu et al. 2018) over the timepoints of a series."""

    def __init__(self, n_filters: int, rng: torch.Generator) -> None:
        super().__init__()
        self.down = linear(n_filters, n_filters // REDUCTION, bias=False)
        self.up = linear(n_filters // REDUCTION, n_filters, bias=False)
        for layer in (self.down, self.up):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=rng)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return what to scale the filters of (batch, filters, timepoints) by."""
        hidden = torch.relu(self.down(mean_over_time(x, mask)))  # (batch, filters / 16)
        return torch.sigmoid(self.up(hidden))  # (batch, filters)


class BatchNorm(nn.Module):
    """Batch norm over cases and timepoints, leaving out masked ones, across all processes.

    torch's own does neither on CPU. Where nothing is masked and the process is alone, torch's
    kernel does the work. A batch of a single value is left at the bias.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, n_filters: int, *, momentum: float, eps: float) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight = nn.Parameter(torch.ones(n_filters, dtype=torch.float32))
        self.bias = nn.Parameter(torch.zeros(n_filters, dtype=torch.float32))
        self.register_buffer("running_mean", torch.zeros(n_filters, dtype=torch.float32))
        self.register_buffer("running_var", torch.ones(n_filters, dtype=torch.float32))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Normalise x (batch, filters, timepoints) with a mask (batch, 1, timepoints)."""
        alone = mask is None and len(x) * x.shape[2] > 1 and not several_processes()
        if alone or not self.training:
            return F.batch_norm(
                x.unsqueeze(2),  # (batch, filters, 1, timepoints), see `Convolution`
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                self.training,
                self.momentum,
                self.eps,
            ).squeeze(2)
        values = x.float()
        weight = torch.ones_like(values[:, :1]) if mask is None else mask.float()
        count = sum_over_processes(weight.sum()).clamp_min(1.0)
        mean = sum_over_processes((values * weight).sum(dim=(0, 2))) / count  # (filters,)
        centred = values - mean[:, None]
        square = (centred.square() * weight).sum(dim=(0, 2))
        variance = sum_over_processes(square) / count  # (filters,)
        with torch.no_grad():
            momentum = self.momentum * (count > 1)  # one value tells nothing of a variance
            self.running_mean.lerp_(mean, momentum)
            unbiased = variance * count / (count - 1.0).clamp_min(1.0)
            self.running_var.lerp_(unbiased, momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale[:, None] + self.bias[:, None]).to(x.dtype)

    def affine(self) -> tuple[Tensor, Tensor]:
        """Return what values are multiplied by when predicting, and then added to, in double."""
        deviation = (self.running_var.double() + self.eps).sqrt()
        factor = self.weight.double() / deviation  # (filters,)
        return factor, self.bias.double() - self.running_mean.double() * factor


class Dropout(nn.Module):
    """Dropout that takes what to keep as an input, so that a training step can be repeated."""

    def __init__(self, width: int, rate: float) -> None:
        super().__init__()
        self.width, self.rate = width, rate

    def draw(
        self, n: int, device: torch.device, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw what is kept of n cases, (n, width) of 1 or 0."""
        keep = torch.empty(n, self.width, dtype=torch.float32, device=device)
        return keep.bernoulli_(1 - self.rate, generator=generator)

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Zero a share of x (batch, width) while training and scale up the rest.

        What is kept is (batch, width) of 1 or 0; by default it is drawn here.
        """
        if not self.training or self.rate == 0:
            return x
        keep = self.draw(len(x), x.device) if keep is None else keep
        return x * keep / (1 - self.rate)


def hard_sigmoid(x: Tensor) -> Tensor:
    """Keras's gate; torch's own hard sigmoid has a slope of 1/6."""
    return (0.2 * x + 0.5).clamp(0.0, 1.0)


def mean_over_time(x: Tensor, mask: Tensor | None) -> Tensor:
    """Average x (batch, filters, timepoints), zero where masked, to (batch, filters)."""
    graph = torch.is_grad_enabled()
    total: Tensor = _SumOverTime.apply(x) if graph else _sum_over_time(x)  # type: ignore[no-untyped-call]
    if mask is None:
        return total / x.shape[2]
    return total / mask.sum(dim=2).clamp_min(1.0).to(total.dtype)


def scale(x: Tensor, gates: Tensor) -> Tensor:
    """Scale x (batch, filters, timepoints) by gates (batch, filters)."""
    scaled: Tensor = _Scale.apply(x, gates)  # type: ignore[no-untyped-call]
    return scaled


class _SumOverTime(torch.autograd.Function):
    """Sum (batch, filters, timepoints), filters together in memory, to (batch, filters).

    As a product with ones: torch's own sum is five times as slow there.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        return _sum_over_time(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        batch, filters, timepoints = ctx.shape
        return grads[0][:, None].expand(batch, timepoints, filters).transpose(1, 2)


class _Scale(torch.autograd.Function):
    """Scale (batch, filters, timepoints) by (batch, filters), summed like `_SumOverTime`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gates: Tensor) -> Tensor:
        ctx.save_for_backward(x, gates)
        return x * gates[:, :, None].to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        x, gates = ctx.saved_tensors
        grad = grads[0]
        for_gates = _sum_over_time(grad * x).to(gates.dtype)  # first, since it holds the most
        return grad * gates[:, :, None].to(grad.dtype), for_gates


def _sum_over_time(x: Tensor) -> Tensor:
    ones = x.new_ones(x.shape[0], 1, x.shape[2])
    return torch.bmm(ones, x.transpose(1, 2))[:, 0]  # (batch, filters)


def linear(n_in: int, n_out: int, *, bias: bool) -> nn.Linear:
    """Make a linear layer whose weights the caller draws."""
    layer = nn.Linear(n_in, n_out, bias=bias, device="meta")
    _undrawn(layer)
    return layer


def _undrawn(layer: nn.Module) -> None:
    """Allocate a layer's memory; torch's to_empty takes a third of a second at first."""
    for name, parameter in list(layer.named_parameters()):
        memory = torch.empty(parameter.shape, dtype=torch.float32)
        setattr(layer, name, nn.Parameter(memory))
