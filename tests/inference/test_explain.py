import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from toys import stir

from foreshock.inference import explain as explaining
from foreshock.inference.explain import Explanation, explain, occlusion
from foreshock.nn.config import PAPER, ModelConfig
from foreshock.nn.distributed import this_device
from foreshock.nn.model import LSTMFCN
from foreshock.nn.model import predict as predict_logits
from foreshock.training import loop
from foreshock.training.config import FitConfig, resolve

MEMBERS = [(False, False), (True, False), (False, True), (True, True)]
NARROW = ModelConfig(mixed=(), dilations=(1, 1, 1))
"""Filters of 8, 5 and 3 timepoints, whose maps are sharp."""

each_member = pytest.mark.parametrize(("attention", "squeeze_excite"), MEMBERS)


def build(
    attention: bool = False,
    squeeze_excite: bool = False,
    *,
    config: ModelConfig | None = None,
    n_channels: int = 1,
    n_timepoints: int = 30,
    seed: int = 0,
    logit_scale: float = 1.0,
) -> LSTMFCN:
    """Build a small model of which every weight and statistic matters."""
    changes = {"attention": attention, "squeeze_excite": squeeze_excite}
    model = LSTMFCN(
        dataclasses.replace(config or NARROW, filters=(16, 32, 16), cells=8, **changes),
        n_channels=n_channels,
        n_timepoints=n_timepoints,
        n_classes=3,
        seed=seed,
        logit_scale=logit_scale,
    )
    return stir(model, seed).eval()


def draw(n: int = 6, n_channels: int = 1, n_timepoints: int = 30) -> np.ndarray:
    """Draw series: whole, ended early, with gaps, with one timepoint, with none."""
    X = np.random.default_rng(3).normal(2, 3, (n, n_channels, n_timepoints)).astype(np.float32)
    X[1, :, 20:] = math.nan
    X[2, :, 3:6] = math.nan
    X[2, 0, 10] = math.nan  # of several channels, one
    X[3, :, 1:] = math.nan
    X[4] = math.nan
    return X


def logits(model: LSTMFCN, X: np.ndarray) -> np.ndarray:
    return predict_logits(model, X, devices=this_device())


def probabilities(model: LSTMFCN) -> Callable[[np.ndarray], np.ndarray]:
    return lambda X: model.proba(torch.from_numpy(logits(model, X))).numpy()


# --- shares and maps ---------------------------------------------------------------------------


VALID = dataclasses.replace(NARROW, padding="valid")


@each_member
@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("config", [NARROW, PAPER, VALID])
def test_bias_and_shares_add_up_to_the_logits_of_the_model(
    attention, squeeze_excite, n_channels, config
):
    model = build(attention, squeeze_excite, config=config, n_channels=n_channels, logit_scale=0.5)
    X = draw(n_channels=n_channels)
    found = explain([model], X)
    np.testing.assert_allclose(found.logits, logits(model, X), atol=1e-5)
    total = found.bias + found.recurrent + found.convolutional
    np.testing.assert_allclose(total, found.logits, atol=1e-5)
    proba = model.proba(torch.from_numpy(total)).numpy()
    np.testing.assert_allclose(proba, probabilities(model)(X), atol=1e-5)


@each_member
@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("config", [NARROW, VALID])
def test_the_mean_of_a_map_is_the_convolutional_share_less_what_classes_have_in_common(
    attention, squeeze_excite, n_channels, config
):
    X = draw(n_channels=n_channels)
    model = build(attention, squeeze_excite, n_channels=n_channels, config=config)
    found = explain([model], X)
    share = found.convolutional - found.convolutional.mean(axis=1, keepdims=True)
    some = [0, 1, 2, 5] if config is VALID else [0, 1, 2, 3, 5]  # 3 has one timepoint, the first
    np.testing.assert_allclose(np.nanmean(found.maps[some], axis=2), share[some], atol=1e-5)
    np.testing.assert_allclose(np.nansum(found.maps, axis=1), 0, atol=1e-5)


def test_the_summarys_share_is_its_logits_less_their_bias():
    config = dataclasses.replace(NARROW, summary=True, summary_trees=5, normalize="train")
    model, X = build(n_channels=3, config=config, logit_scale=0.5), draw(n_channels=3)
    model.views.deviation.fill_(1.0)
    found = explain([model], X)
    np.testing.assert_allclose(found.logits, logits(model, X), atol=1e-4)
    total = found.bias + found.recurrent + found.convolutional + found.summary
    np.testing.assert_allclose(total, found.logits, atol=1e-4)
    assert np.abs(found.summary).max() > 0


def test_a_map_is_missing_where_no_channel_has_a_reading_and_only_there():
    X = draw(n_channels=3)
    nothing = np.isnan(X).all(axis=1, keepdims=True)
    assert np.array_equal(np.isnan(explain([build(n_channels=3)], X).maps), nothing.repeat(3, 1))
    unmasked = explain([build(n_channels=3, config=ModelConfig(mask=False))], X)
    assert not np.isnan(unmasked.maps).any()


@pytest.mark.parametrize(("difference", "first"), [(True, 7), (False, 6)])
def test_without_padding_the_ends_have_no_map_and_the_middle_keeps_its_own(difference, first):
    config = dataclasses.replace(NARROW, difference=difference)
    padded = build(config=config)
    model = build(config=dataclasses.replace(config, padding="valid"))
    X = draw()[[0, 5]]
    with_zeros, maps = explain([padded], X).maps, explain([model], X).maps
    assert maps.shape == with_zeros.shape
    missing = np.isnan(maps).all(axis=(0, 1))
    assert np.flatnonzero(~missing).tolist() == list(range(first, 30 - 7))
    np.testing.assert_allclose(maps[:, :, ~missing], with_zeros[:, :, ~missing], atol=1e-5)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_map_moves_with_what_it_shows(padding):
    """Timepoints are the series' own: nothing is shifted by padding or by an even kernel."""
    model = build(
        config=dataclasses.replace(NARROW, normalize="none", padding=padding), n_timepoints=60
    )
    X = np.zeros((3, 1, 60), np.float32)
    X[0, 0, 25] = X[1, 0, 31] = 4.0
    first, second, nothing = explain([model], X).maps
    np.testing.assert_allclose(first[:, 10:40], second[:, 16:46], atol=1e-5)
    changed = np.abs(first - nothing).max(axis=0) > 1e-6
    left, right = 4 + 2 + 1, 3 + 2 + 1 + 1  # kernels 8, 5, 3; a change takes one timepoint more
    assert np.flatnonzero(changed).tolist() == [*range(25 - left, 25 + right + 1)]


@each_member
def test_several_models_give_the_average_of_what_each_gives(attention, squeeze_excite):
    models = [build(attention, squeeze_excite, seed=seed) for seed in (0, 1, 2)]
    X = draw()
    each, together = [explain([model], X) for model in models], explain(models, X)
    for name in ("logits", "bias", "recurrent", "convolutional", "maps"):
        mean = np.mean([getattr(one, name) for one in each], axis=0)
        np.testing.assert_allclose(getattr(together, name), mean, atol=1e-5)
    if attention:
        mean = np.mean([one.attention for one in each], axis=0)
        np.testing.assert_allclose(together.attention, mean, atol=1e-6)
    assert [gate.shape for gate in together.gates] == [(6, 48), (6, 96)] * squeeze_excite
    for i, gate in enumerate(together.gates):
        np.testing.assert_array_equal(gate, np.concatenate([one.gates[i] for one in each], axis=1))


def test_attention_is_missing_in_steps_that_are_skipped():
    found = explain([build(attention=True, n_timepoints=32)], draw(n_timepoints=32)).attention
    assert found.shape == (6, 8, 8)
    assert not np.isnan(found[0]).any()
    assert np.isnan(found[1, 5:]).all() and not np.isnan(found[1, :5]).any()  # 20 of 32 timepoints
    np.testing.assert_allclose(found[1, :5, :5].sum(axis=1), 1, atol=1e-6)
    assert np.isnan(found[4]).all()


def test_batches_change_nothing(monkeypatch):
    model, X = build(True, True), draw()
    whole = explain([model], X)
    monkeypatch.setattr(explaining, "_BLOCK", 2 * 32 * 30)
    parts = explain([model], X)
    for name in ("logits", "recurrent", "convolutional", "maps", "attention"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), atol=1e-5)
    for gate, same in zip(parts.gates, whole.gates, strict=True):
        np.testing.assert_allclose(gate, same, atol=1e-5)


def test_no_case_gives_arrays_of_no_case():
    found = explain([build(True, True)], draw()[:0])
    assert found.maps.shape == (0, 3, 30)
    assert found.attention.shape == (0, 8, 8)


# --- a planted shape ---------------------------------------------------------------------------

LENGTH = 24


def plant(n: int, seed: int, *, n_timepoints: int = 128) -> tuple[np.ndarray, ...]:
    """Draw noise, and every second time a wave of 24 timepoints somewhere in it."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, 1, n_timepoints)).astype(np.float32)
    y, start = np.arange(n) % 2, random.integers(0, n_timepoints - LENGTH + 1, n)
    wave = 2.5 * np.sin(4 * np.pi * np.arange(LENGTH) / LENGTH)
    for i in np.flatnonzero(y):
        X[i, 0, start[i] : start[i] + LENGTH] += wave
    return X, y, start


def learn(network: ModelConfig, n: int, epochs: int | None) -> LSTMFCN:
    X, y, _ = plant(n, seed=1)
    model = LSTMFCN(network, n_channels=1, n_timepoints=128, n_classes=2, logit_scale=0.5)
    model.fit_views([X])
    fit = resolve(
        FitConfig(epochs=epochs, learning_rate=1e-3, precision="float32"), n, 2, valid_asked=False
    )
    loop.fit(model, X, y, fit, seed=0, devices=this_device())
    return model


@pytest.fixture(scope="module")
def small() -> LSTMFCN:
    return learn(dataclasses.replace(NARROW, filters=(16, 32, 16), cells=8), n=120, epochs=30)


def found_share(found: Explanation, y: np.ndarray, start: np.ndarray) -> float:
    """Return the share of the waves, of those recognised, within which the map is highest."""
    right = (y == 1) & (found.logits.argmax(axis=1) == y)
    assert right.sum() > 0.9 * y.sum()
    peak = found.maps[right, 1].argmax(axis=1)
    share = ((peak >= start[right]) & (peak < start[right] + LENGTH)).mean()
    print(f"the map is highest within {share:.1%} of {right.sum()} waves")  # noqa: T201
    return share


def test_the_map_is_highest_within_the_planted_shape(small):
    X, y, start = plant(400, seed=2)
    assert found_share(explain([small], X), y, start) >= 0.95


def test_rows_of_the_head_that_belong_to_the_other_branch_find_nothing(small, monkeypatch):
    def wrong(self: LSTMFCN) -> tuple[torch.Tensor, ...]:
        weight = self.head.weight  # the convolutional rows first, as the papers' code has it
        return self.head.bias, weight[:, 16:], weight[:, :16]

    monkeypatch.setattr(LSTMFCN, "head_parts", wrong)
    X, y, start = plant(400, seed=2)
    assert found_share(explain([small], X), y, start) < 0.5


def test_deleting_what_the_map_names_costs_far_more_than_deleting_at_random(small):
    X, y, _ = plant(200, seed=2)
    X = X[y == 1]
    effect = occlusion(probabilities(small), X, explain([small], X).maps, seed=0)
    assert effect.n_cases == 100
    assert effect.top.value > 0.15
    assert abs(effect.random.value) < effect.top.value / 3
    assert effect.difference.low > 0.1


@pytest.mark.slow
@pytest.mark.parametrize(("config", "least"), [(NARROW, 0.95), (ModelConfig(), 0.9)])
def test_the_map_of_a_large_network_is_highest_within_the_planted_shape(config, least):
    X, y, start = plant(1000, seed=2)
    model = learn(config, n=200, epochs=None)
    train, labels, _ = plant(200, seed=1)
    model.random = model.fit_random(torch.from_numpy(train), torch.from_numpy(labels))
    found = explain([model], X)
    assert found_share(found, y, start) >= least
    effect = occlusion(probabilities(model), X, found.maps, seed=0)
    print(effect)  # noqa: T201
    assert effect.top.value > 2 * effect.random.value
    assert effect.difference.low > 0.1


# --- occlusion ---------------------------------------------------------------------------------


def count_of_high(X: np.ndarray) -> np.ndarray:
    """Make the probability of class 0 the share of the 30 timepoints that read above 9."""
    share = (np.nan_to_num(X)[:, 0] > 9).mean(axis=1)
    return np.stack([share, 1 - share], axis=1).astype(np.float32)


def high_series(n: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Return series that read 10 and are worth most, by the map of class 0, where it rises."""
    X = np.full((n, 1, 30), 10, np.float32)
    maps = np.zeros((n, 2, 30), np.float32)
    maps[:, 0] = np.arange(30)
    return X, maps


def test_the_tenth_that_the_map_of_the_predicted_class_names_is_deleted():
    X, maps = high_series()
    X[:, 0, -3:], seen = 11, []
    X[3, 0, 25:] = math.nan  # 25 are left: two are deleted

    def proba(x: np.ndarray) -> np.ndarray:
        seen.append(x)
        return count_of_high(x)

    occlusion(proba, X, maps, seed=0)
    whole, top, *others = seen
    assert np.array_equal(whole, X, equal_nan=True)
    gone = [
        np.flatnonzero(np.isnan(x) & ~np.isnan(y)).tolist() for x, y in zip(top, X, strict=True)
    ]
    assert gone == [[27, 28, 29]] * 3 + [[23, 24]]
    assert len(others) == 5
    for x in others:
        assert (np.isnan(x) & ~np.isnan(X)).sum(axis=(1, 2)).tolist() == [3, 3, 3, 2]
    assert not any(np.array_equal(x, others[0], equal_nan=True) for x in others[1:])


def test_falls_are_averaged_over_cases_and_draws_with_intervals_over_cases():
    X, maps = high_series(40)
    X[:20, 0, -3:] = 8.0  # what the map names is worth nothing there
    effect = occlusion(count_of_high, X, maps, seed=0)
    assert effect.n_cases == 40
    assert effect.top.value == pytest.approx(0.05)  # half of the cases lose 3 of 30
    assert 0.03 < effect.top.low < 0.05 < effect.top.high < 0.07
    expected = 0.5 * 0.1 + 0.5 * 0.1 * 27 / 30
    assert effect.random.value == pytest.approx(expected, abs=0.003)
    assert effect.difference.value == pytest.approx(effect.top.value - effect.random.value)
    assert effect == occlusion(count_of_high, X, maps, seed=0)
    assert effect != occlusion(count_of_high, X, maps, seed=1)


def test_readings_without_a_map_are_the_last_to_be_deleted():
    X, maps = high_series()
    maps[:, 0, :7] = maps[:, 0, 9:] = math.nan  # two of thirty have one
    seen = []

    def proba(x: np.ndarray) -> np.ndarray:
        seen.append(x)
        return count_of_high(x)

    occlusion(proba, X, maps, seed=0)
    for x in seen[1]:
        gone = np.flatnonzero(np.isnan(x[0])).tolist()
        assert len(gone) == 3 and {7, 8} < set(gone)


@pytest.mark.parametrize(("length", "left"), [(1, 1), (2, 1), (9, 8), (14, 13), (16, 14)])
def test_a_short_series_keeps_a_timepoint(length, left):
    X, maps = high_series(1)
    X[:, :, length:] = math.nan
    counts = []

    def proba(x: np.ndarray) -> np.ndarray:
        counts.append(int((~np.isnan(x)).sum()))
        return np.array([[counts[-1] / 30 + 0.5, 0.5 - counts[-1] / 30]], np.float32)

    effect = occlusion(proba, X, maps, seed=0)
    assert counts == [length] + 6 * [left]
    assert effect.top.value == pytest.approx((length - left) / 30, abs=1e-6)
    assert effect.top.low is None and effect.top.high is None  # one case tells nothing of others


def test_all_channels_of_a_timepoint_are_deleted_and_a_lone_one_counts():
    model, X = build(n_channels=3), draw(n_channels=3)[:4]
    seen = []

    def proba(x: np.ndarray) -> np.ndarray:
        seen.append(x)
        return probabilities(model)(x)

    occlusion(proba, X, explain([model], X).maps, seed=0)
    for x in seen[1:]:
        gone = np.isnan(x) & ~np.isnan(X)
        assert np.array_equal(gone.any(axis=1), np.isnan(x).all(axis=1) & ~np.isnan(X).all(axis=1))
        assert np.isfinite(probabilities(model)(x)).all()


def test_chunks_of_cases_are_deleted_from_alike(monkeypatch):
    X, maps = high_series(10)
    X[:5, 0, -3:] = 8.0
    whole = occlusion(count_of_high, X, maps, seed=0)
    monkeypatch.setattr(explaining, "_BLOCK", 3 * 30)
    chunked = occlusion(count_of_high, X, maps, seed=0)
    assert chunked.top.value == whole.top.value
    assert chunked.random.value == pytest.approx(whole.random.value, abs=0.02)
