import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor

from foreshock.nn import random_convolutions
from foreshock.nn.random_convolutions import RandomBranch, Responses, RidgeHead


def draw(n: int, n_channels: int = 1, n_timepoints: int = 40, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, n_channels, n_timepoints, generator=rng)


def build(
    n_channels: int = 1, n_timepoints: int = 40, n_classes: int = 3, n_features: int = 3000
) -> RandomBranch:
    rng = torch.Generator().manual_seed(7)
    return RandomBranch(n_channels, n_timepoints, n_classes, n_features=n_features, rng=rng)


def correlate(series: np.ndarray, kernel: np.ndarray, dilation: int) -> np.ndarray:
    """Weigh nine timepoints around each one of a series (channels, timepoints), zeros beyond."""
    n = series.shape[1]
    out = np.zeros(n)
    for t in range(n):
        for tap in range(9):
            at = t + (tap - 4) * dilation
            if 0 <= at < n:
                out[t] += kernel[:, tap] @ series[:, at]
    return out


def by_hand(branch: Responses, x: np.ndarray) -> np.ndarray:
    """Compute the features of a series (channels, timepoints), NaN for none, one by one."""
    seen = ~np.isnan(x).all(axis=0)
    out: list[float] = []
    for which in range(2):
        change = np.diff(x, axis=1, prepend=x[:, :1])
        series = np.nan_to_num(change if which else x)
        for i, dilation in enumerate(branch.dilations):
            kernels = branch.competing[i, which].double().numpy()
            mixes = branch.mixes[i, which].double().numpy()
            largest, smallest = [], []
            for group, mix in enumerate(mixes):
                rivals = kernels[8 * group : 8 * group + 8]
                mixed = mix.T @ series
                values = np.stack([correlate(mixed, kernel, dilation) for kernel in rivals])
                for k in range(8):
                    wins = values.argmax(axis=0) == k
                    largest.append((values[k] * wins)[seen].mean())
                    smallest.append((values.argmin(axis=0) == k)[seen].mean())
            out += largest + smallest
            fixed = branch.fixed[i, which].double().numpy()
            values = np.stack([correlate(series, kernel, dilation) for kernel in fixed])
            for threshold in branch.thresholds[i, which].double().numpy().T:
                out += (values > threshold[:, None])[:, seen].mean(axis=1).tolist()
    return np.sqrt(np.maximum(out, 0))


@pytest.mark.parametrize("n_channels", [1, 3])
def test_features_are_those_computed_one_by_one(n_channels):
    branch = build(n_channels, n_timepoints=20, n_features=800)
    x = draw(6, n_channels, 20)
    branch.responses.fit(x)
    x[1, :, 15:] = x[2, :, 4:7] = x[3, 0, 9] = math.nan
    expected = np.stack([by_hand(branch.responses, one) for one in x.double().numpy()])
    found = branch.responses.features(x)
    assert found.shape == (6, branch.responses.n_features)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_several_channels_are_summed_by_few_and_by_many():
    mixes = build(20).responses.mixes
    counts = mixes.sum(dim=-2)
    assert set(mixes.unique().tolist()) == {0.0, 1.0}
    assert counts.min() == 1 and counts.max() > 4


@pytest.mark.parametrize("n_features", [1, 500, 20_000])
def test_there_are_about_as_many_features_as_asked_for(n_features):
    found = build(n_timepoints=300, n_features=n_features).responses.n_features
    assert found >= 2 * 84 * 6 + 2 * 2 * 8 * 6 or found == pytest.approx(n_features, rel=0.1)


def test_thresholds_lie_between_values_of_training_cases():
    branch = build()
    x = draw(5)
    branch.responses.fit(x)
    values = branch.responses._fixed(x, 0, 0)
    low, high = values.amin(dim=(0, 2)), values.amax(dim=(0, 2))
    thresholds = branch.responses.thresholds[0, 0]
    assert ((thresholds > low[:, None]) & (thresholds < high[:, None])).all()
    assert not (values[..., None] == thresholds[:, None]).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 5), (1, 9), (30, 7)])
def test_the_shortest_series_have_features(shape):
    branch = build(*shape)
    x = draw(12, *shape)
    branch.fit(x, torch.arange(12) % 3)
    assert branch(x).isfinite().all()
    assert branch.maps(x).shape == (12, 3, shape[1])


@pytest.mark.parametrize("n_channels", [1, 3])
def test_the_average_of_a_map_is_the_logit_less_its_level(n_channels):
    branch, x, y = build(n_channels), draw(30, n_channels), torch.arange(30) % 3
    x[4, :, 30:] = x[5, :, 3:9] = math.nan
    branch.fit(x, y)
    maps = branch.maps(x)
    seen = ~torch.isnan(x).all(dim=1, keepdim=True)
    assert not maps[(~seen).expand_as(maps)].any()
    average = maps.sum(dim=2) / seen.sum(dim=2)
    torch.testing.assert_close(average, branch(x) - branch.head.level, atol=1e-4, rtol=0)


def test_a_map_names_the_place_of_a_wave():
    random = np.random.default_rng(0)
    x, start = draw(200, n_timepoints=100), random.integers(0, 76, 200)
    y = torch.arange(200) % 2
    for i in range(1, 200, 2):
        x[i, 0, start[i] : start[i] + 24] += 2.5 * torch.sin(4 * math.pi * torch.arange(24) / 24)
    branch = build(n_timepoints=100, n_classes=2, n_features=20_000)
    branch.fit(x[:100], y[:100])
    assert (branch(x[100:]).argmax(dim=1) == y[100:]).float().mean() > 0.9
    maps = branch.maps(x[101::2])
    peak = (maps[:, 1] - maps[:, 0]).argmax(dim=1).numpy()
    found = (peak >= start[101::2]) & (peak < start[101::2] + 24)
    assert found.mean() > 0.9


def test_batches_of_any_size_give_the_same():
    branch, x = build(), draw(30)
    branch.fit(x, torch.arange(30) % 3)
    one_by_one = torch.cat([branch(x[i : i + 1]) for i in range(30)])
    torch.testing.assert_close(one_by_one, branch(x), atol=1e-5, rtol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(branch(x), branch(x.clone()))
        torch.testing.assert_close(branch(x), one_by_one, atol=1e-5, rtol=0)


# --- the head ----------------------------------------------------------------------------------


def make_features(n: int = 24, p: int = 60) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    y = torch.arange(n) % 3
    z = torch.randn(n, p, generator=rng)
    z[:, :3] += 1.5 * torch.nn.functional.one_hot(y, 3)
    return z, y


@pytest.mark.parametrize("penalty", [1.0, 100.0])
def test_the_head_is_ridge_regression_of_scikit_learn_up_to_its_scale(monkeypatch, penalty):
    monkeypatch.setattr(random_convolutions, "_PENALTIES", np.array([penalty]))
    z, y = make_features()
    head = RidgeHead(60, 3)
    head.fit(z, y)
    deviation = z.std(dim=0, correction=0) + 1e-3
    standard = ((z - z.mean(dim=0)) / deviation).double().numpy()
    targets = 2.0 * np.eye(3)[y] - 1
    theirs = Ridge(alpha=penalty).fit(standard, targets).predict(standard)
    ours = head(z).double().numpy()
    scale = (ours * theirs).sum() / (theirs * theirs).sum()
    assert 0.5 <= scale <= 5.02
    np.testing.assert_allclose(ours, scale * theirs, atol=1e-4)


@pytest.mark.parametrize("doubled", [False, True])
def test_penalty_and_scale_are_those_that_refits_without_each_case_would_choose(doubled):
    z, y = make_features()
    if doubled:
        z[12:], y[12:] = z[:12].clone(), y[:12].clone()
    standard = ((z - z.mean(dim=0)) / (z.std(dim=0, correction=0) + 1e-3)).double().numpy()
    targets, errors, left_out = 2.0 * np.eye(3)[y] - 1, [], []
    for penalty in random_convolutions._PENALTIES:
        found = np.empty_like(targets)
        for i in range(24):
            rest = np.arange(24) != i
            model = Ridge(alpha=penalty).fit(standard[rest], targets[rest])
            found[i] = model.predict(standard[i : i + 1])
        errors.append(((targets - found) ** 2).mean())
        left_out.append(torch.from_numpy(found))
    best = int(np.argmin(errors))
    losses = [
        torch.nn.functional.cross_entropy(scale * left_out[best], y).item()
        for scale in random_convolutions._SCALES
    ]
    whole = (
        Ridge(alpha=random_convolutions._PENALTIES[best]).fit(standard, targets).predict(standard)
    )
    head = RidgeHead(60, 3)
    head.fit(z, y)
    expected = random_convolutions._SCALES[int(np.argmin(losses))] * whole
    np.testing.assert_allclose(head(z), expected, atol=1e-3)


def test_a_case_of_triple_weight_counts_like_one_that_is_there_three_times(monkeypatch):
    monkeypatch.setattr(random_convolutions, "_PENALTIES", np.array([10.0]))
    monkeypatch.setattr(random_convolutions, "_SCALES", np.array([1.0]))
    z, y = make_features()
    standard = ((z - z.mean(dim=0)) / (z.std(dim=0, correction=0) + 1e-3)).double().numpy()
    targets = 2.0 * np.eye(3)[y] - 1
    often = np.concatenate([np.arange(24), np.tile(np.arange(6), 2)])
    model = Ridge(alpha=10.0 * 36 / 24).fit(standard[often], targets[often])
    weights = torch.ones(24)
    weights[:6] = 3
    head = RidgeHead(60, 3)
    head.fit(z, y, weights)
    np.testing.assert_allclose(head(z), model.predict(standard), atol=1e-3)


def test_what_is_left_out_of_cases_that_weigh_differently_is_what_refits_give(monkeypatch):
    z, y = make_features()
    weights = np.linspace(0.3, 1.7, 24)
    standard = ((z - z.mean(dim=0)) / (z.std(dim=0, correction=0) + 1e-3)).double().numpy()
    targets, errors = 2.0 * np.eye(3)[y] - 1, []
    for penalty in random_convolutions._PENALTIES:
        found = np.empty_like(targets)
        for i in range(24):
            rest = np.arange(24) != i
            model = Ridge(alpha=penalty).fit(standard[rest], targets[rest], weights[rest])
            found[i] = model.predict(standard[i : i + 1])
        errors.append((weights[:, None] * (targets - found) ** 2).mean())
    best = random_convolutions._PENALTIES[int(np.argmin(errors))]
    monkeypatch.setattr(random_convolutions, "_SCALES", np.array([1.0]))
    head = RidgeHead(60, 3)
    head.fit(z, y, torch.from_numpy(weights).float())
    whole = Ridge(alpha=best).fit(standard, targets, weights).predict(standard)
    np.testing.assert_allclose(head(z), whole, atol=1e-3)


def test_a_single_case_or_features_that_never_vary_tell_nothing():
    head = RidgeHead(4, 2)
    head.fit(torch.ones(1, 4), torch.tensor([1]))
    assert head(torch.randn(3, 4)).isfinite().all()
    head.fit(torch.ones(6, 4), torch.tensor([1, 1, 1, 1, 0, 0]))
    logits = head(torch.ones(3, 4))
    assert logits.isfinite().all()
    assert (logits.argmax(dim=1) == 1).all()
