"""The forward pass of the LSTM-FCN family in plain NumPy, slow and explicit, to test against.

Written from the facts in Karim et al. 2017 (arXiv 1709.05206) and 2019 (arXiv 1902.10756) as the
authors coded them, without a look at ``foreshock.nn.model``: the two must agree because both follow
the papers, not because one follows the other. Float64 throughout, evaluation mode, no dropout.

The letters of a shape: M channels, T timepoints, K classes.
"""

import numpy as np

BATCH_NORM_EPS = 1e-3
FILTERS = (128, 256, 128)
KERNELS = (8, 5, 3)
REDUCTION = 16


def forward(
    weights: dict[str, np.ndarray],
    x: np.ndarray,
    *,
    attention: bool,
    squeeze_excite: bool,
    n_cells: int,
) -> np.ndarray:
    """Return the logits, shape (batch, K), of raw series x, shape (batch, M, T)."""
    weights = {name: array.astype(np.float64) for name, array in weights.items()}
    x = prepare(x.astype(np.float64))  # (batch, M, T)
    recurrent = run_lstm(weights, x, attention=attention, n_cells=n_cells)  # (batch, cells)
    convolutional = run_blocks(weights, x, squeeze_excite=squeeze_excite)  # (batch, 128)
    features = np.concatenate([recurrent, convolutional], axis=1)  # (batch, cells + 128)
    return features @ weights["head.weight"].T + weights["head.bias"]  # (batch, K)


def parameter_count(
    *,
    n_channels: int,
    n_timepoints: int,
    n_classes: int,
    cells: int,
    attention: bool,
    squeeze_excite: bool,
) -> int:
    """Return the number of trainable parameters, with one bias vector in the LSTM."""
    M, T, K = n_channels, n_timepoints, n_classes
    count = 4 * cells * (T + cells + 1)  # four gates of x W + h U + b
    if attention:
        count += cells * cells + T * cells + cells + cells  # U_a, W_a, b_a, v_a
        count += T * 4 * cells  # C
    for n_in, n_out, kernel in zip((M, *FILTERS), FILTERS, KERNELS, strict=False):
        count += n_out * n_in * kernel + n_out  # convolution
        count += 2 * n_out  # batch normalisation: scale and shift
    if squeeze_excite:
        count += sum(2 * C * (C // REDUCTION) for C in FILTERS[:2])
    return count + K * (cells + FILTERS[-1]) + K


# --- input -------------------------------------------------------------------------------------


def prepare(x: np.ndarray) -> np.ndarray:
    """Z-normalise univariate series one by one, leave multivariate ones; NaN becomes 0."""
    if x.shape[1] == 1:
        x = np.stack([z_normalise(series[0])[None, :] for series in x])
    return np.where(np.isnan(x), 0.0, x)


def z_normalise(series: np.ndarray) -> np.ndarray:
    """Return (series - mean) / (sd + 1e-8) with the population sd; NaN counts in neither."""
    known = series[~np.isnan(series)]
    if len(known) == 0:
        return series
    mean = known.sum() / len(known)
    sd = np.sqrt(((known - mean) ** 2).sum() / len(known))
    return (series - mean) / (sd + 1e-8)


# --- recurrent branch --------------------------------------------------------------------------


def hard_sigmoid(a: np.ndarray) -> np.ndarray:
    return np.clip(0.2 * a + 0.5, 0.0, 1.0)


def run_lstm(
    weights: dict[str, np.ndarray], x: np.ndarray, *, attention: bool, n_cells: int
) -> np.ndarray:
    """Return the last hidden state, shape (batch, cells): M steps, each a channel's T values."""
    W = weights["recurrent.kernel"]  # (T, 4 cells)
    U = weights["recurrent.recurrent_kernel"]  # (cells, 4 cells)
    b = weights["recurrent.bias"]  # (4 cells,)
    last_hidden = []
    for items in x:  # (M, T)
        hidden = np.zeros(n_cells)
        cell = np.zeros(n_cells)
        for item in items:  # (T,)
            gates = item @ W + hidden @ U + b  # (4 cells,)
            if attention:
                gates = gates + attend(weights, items, hidden) @ weights["recurrent.context_kernel"]
            input_gate = hard_sigmoid(gates[:n_cells])
            forget_gate = hard_sigmoid(gates[n_cells : 2 * n_cells])
            candidate = np.tanh(gates[2 * n_cells : 3 * n_cells])
            output_gate = hard_sigmoid(gates[3 * n_cells :])
            cell = forget_gate * cell + input_gate * candidate
            hidden = output_gate * np.tanh(cell)
        last_hidden.append(hidden)
    return np.stack(last_hidden)


def attend(weights: dict[str, np.ndarray], items: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Return z, shape (T,): all M items weighted by their scores under the previous state."""
    from_hidden = hidden @ weights["recurrent.attention_hidden"]  # (cells,)
    scores = []
    for item in items:  # (T,)
        from_item = item @ weights["recurrent.attention_input"]  # (cells,)
        energy = np.tanh(from_hidden + from_item + weights["recurrent.attention_bias"])
        scores.append(energy @ weights["recurrent.attention_vector"])
    alpha = np.exp(np.array(scores) - max(scores))
    alpha = alpha / alpha.sum()  # (M,)
    z = np.zeros(items.shape[1])
    for share, item in zip(alpha, items, strict=True):
        z = z + share * item
    return z


# --- convolutional branch ----------------------------------------------------------------------


def run_blocks(
    weights: dict[str, np.ndarray], x: np.ndarray, *, squeeze_excite: bool
) -> np.ndarray:
    """Return the average over time of the third block's output, shape (batch, 128)."""
    for i in range(3):
        x = convolve(x, weights[f"blocks.{i}.conv.weight"], weights[f"blocks.{i}.conv.bias"])
        x = normalise_batch(weights, f"blocks.{i}.norm", x)
        x = np.maximum(x, 0.0)
        if squeeze_excite and i < 2:
            x = excite(weights, f"blocks.{i}.excite", x)
    return x.sum(axis=2) / x.shape[2]


def same_padding(kernel: int) -> tuple[int, int]:
    """Return how many zeros stand left and right of a series; the odd one goes right."""
    left = (kernel - 1) // 2
    return left, kernel - 1 - left


def convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Cross-correlate x, shape (batch, in, T), with weight, shape (out, in, kernel)."""
    n_batch, _, T = x.shape
    n_out, _, kernel = weight.shape
    left, _ = same_padding(kernel)
    y = np.zeros((n_batch, n_out, T))
    for t in range(T):
        y[:, :, t] = bias
        for tap in range(kernel):
            source = t + tap - left
            if 0 <= source < T:
                y[:, :, t] += x[:, :, source] @ weight[:, :, tap].T
    return y


def normalise_batch(weights: dict[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    mean = weights[f"{name}.running_mean"][:, None]
    variance = weights[f"{name}.running_var"][:, None]
    scale = weights[f"{name}.weight"][:, None]
    shift = weights[f"{name}.bias"][:, None]
    return (x - mean) / np.sqrt(variance + BATCH_NORM_EPS) * scale + shift


def excite(weights: dict[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    average = x.sum(axis=2) / x.shape[2]  # (batch, C)
    squeezed = np.maximum(average @ weights[f"{name}.down.weight"].T, 0.0)  # (batch, C / 16)
    scale = 1.0 / (1.0 + np.exp(-squeezed @ weights[f"{name}.up.weight"].T))  # (batch, C)
    return x * scale[:, :, None]
