import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from foreshock.nn.config import ModelConfig
from foreshock.nn.preprocessing import Views, difference

NAN = math.nan


def make(
    n_channels: int = 1,
    n_timepoints: int = 12,
    *,
    normalize: str = "auto",
    fitted_on: np.ndarray | None = None,
    **fields,
) -> Views:
    options = {
        "normalize": ModelConfig(normalize=normalize).scaling(n_channels),
        "standardize": True,
        "difference": True,
        "drop_first": False,
        "mask": True,
        "shuffled": True,
        "n_patches": 0,
        **fields,
    }
    views = Views(n_channels, n_timepoints, **options)
    if fitted_on is not None:
        views.fit([fitted_on])
    return views


def draw(n: int, n_channels: int = 1, n_timepoints: int = 12, *, gaps: bool = True) -> np.ndarray:
    rng = np.random.default_rng(4)
    X = 7 + 3 * rng.normal(size=(n, n_channels, n_timepoints))
    if gaps:
        X[rng.random(X.shape) < 0.15] = NAN
    return X.astype(np.float32)


def nan_moments(X: np.ndarray, axis: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation by numpy; 0 and 1 where nothing or nothing varying is there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of means of nothing
        mean = np.nan_to_num(np.nanmean(X.astype(float), axis=axis))
        deviation = np.nan_to_num(np.nanstd(X.astype(float), axis=axis))
    return mean, np.where(deviation == 0, 1.0, deviation)


def state(views: Views) -> dict[str, np.ndarray]:
    return {name: buffer.numpy().copy() for name, buffer in views.named_buffers()}


# --- statistics --------------------------------------------------------------------------------


def test_channels_are_scaled_by_the_nanmean_and_nanstd_of_the_training_cases():
    X = draw(20, 3)
    views = make(3, fitted_on=X)
    mean, deviation = nan_moments(X, (0, 2))
    np.testing.assert_allclose(views.mean[:, 0], mean, rtol=1e-6)
    np.testing.assert_allclose(views.deviation[:, 0], deviation, rtol=1e-6)


def test_timepoints_are_standardised_by_the_nanmean_and_nanstd_of_the_scaled_cases():
    X = draw(20, 3)
    views = make(3, fitted_on=X)
    mean, deviation = nan_moments(X, (0, 2))
    scaled = (X - mean[:, None]) / deviation[:, None]
    mean, deviation = nan_moments(scaled, (0,))
    np.testing.assert_allclose(views.timepoint_mean, mean, atol=1e-5)
    np.testing.assert_allclose(views.timepoint_deviation, deviation, atol=1e-5)


def test_differences_are_scaled_by_their_deviation_over_the_training_cases():
    X = draw(20, 3, gaps=False)
    views = make(3, fitted_on=X)
    mean, deviation = nan_moments(X, (0, 2))
    scaled = (X - mean[:, None]) / deviation[:, None]
    changes = np.diff(scaled, axis=2, prepend=scaled[:, :, :1])
    _, deviation = nan_moments(changes, (0, 2))
    np.testing.assert_allclose(views.difference_deviation[:, 0], deviation, rtol=1e-5)


@settings(max_examples=50)
@given(
    X=hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 12), st.integers(1, 3), st.integers(1, 6)),
        elements=st.floats(-100, 100, width=16) | st.just(NAN),
    ),
    cut=st.lists(st.integers(0, 12), max_size=4),
)
def test_statistics_fitted_in_chunks_are_those_fitted_at_once(X, cut):
    n_channels, n_timepoints = X.shape[1:]
    whole, pieces = make(n_channels, n_timepoints), make(n_channels, n_timepoints)
    whole.fit([X])
    pieces.fit(np.split(X, sorted(min(i, len(X)) for i in cut)))
    for name, values in state(whole).items():
        assert np.isfinite(values).all()
        np.testing.assert_allclose(state(pieces)[name], values, rtol=1e-4, atol=1e-5, err_msg=name)


def test_fitting_again_forgets_the_first_cases():
    views, other = make(3, fitted_on=draw(20, 3)), draw(8, 3) * 5 + 1
    views.fit([other])
    fresh = make(3, fitted_on=other)
    for name, values in state(fresh).items():
        np.testing.assert_array_equal(state(views)[name], values)


def test_an_offset_of_a_million_costs_the_statistics_no_digits():
    X = np.round(draw(50, 2, gaps=False) * 16) / 16  # what float32 still holds there
    near, far = make(2, fitted_on=X), make(2, fitted_on=X + np.float32(1e6))
    np.testing.assert_allclose(far.deviation, near.deviation, rtol=1e-6)
    np.testing.assert_allclose(far.mean[:, 0], nan_moments(X, (0, 2))[0] + 1e6, rtol=1e-7)


def test_an_offset_of_a_million_changes_no_normalised_series():
    X = torch.from_numpy(np.round(draw(10, gaps=False) * 16) / 16)
    views = make()
    torch.testing.assert_close(views.scale(X + 1e6), views.scale(X), atol=1e-5, rtol=0)


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_a_channel_in_a_tiny_or_huge_unit_is_scaled_like_any_other(unit):
    X = draw(20, 2, gaps=False)
    small = X * np.float32(unit)
    plain, scaled = make(2, fitted_on=X), make(2, fitted_on=small)
    for a, b in zip(plain(torch.from_numpy(X)), scaled(torch.from_numpy(small)), strict=True):
        if a is not None:
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


# --- series as each normalisation gives them ---------------------------------------------------


def test_a_series_with_one_channel_is_normalised_by_its_own_mean_and_deviation():
    X = draw(6)
    expected = X - np.nanmean(X, axis=2, keepdims=True)
    expected /= np.nanstd(X, axis=2, keepdims=True) + 1e-8
    np.testing.assert_allclose(make().scale(torch.from_numpy(X)), expected, atol=1e-5)


def test_normalize_series_treats_each_channel_alone():
    X = draw(6, 3)
    apart = [make(normalize="series").scale(torch.from_numpy(X[:, i : i + 1])) for i in range(3)]
    together = make(3, normalize="series").scale(torch.from_numpy(X))
    torch.testing.assert_close(together, torch.cat(apart, dim=1), equal_nan=True)


@pytest.mark.parametrize(
    ("normalize", "n_channels", "resolved"),
    [
        ("auto", 1, "series"),
        ("auto", 2, "train"),
        ("paper", 1, "series"),
        ("paper", 2, "none"),
        ("train", 1, "train"),
        ("none", 1, "none"),
    ],
)
def test_auto_and_paper_depend_on_the_number_of_channels(normalize, n_channels, resolved):
    assert make(n_channels, normalize=normalize).normalize == resolved


def test_paper_leaves_several_channels_as_stored_with_zeros_for_what_is_missing():
    X = draw(6, 3)
    views = make(3, normalize="paper", standardize=False, difference=False, mask=False, fitted_on=X)
    items, item_mask, series, mask = views(torch.from_numpy(X))
    assert item_mask is None and mask is None
    np.testing.assert_array_equal(series, np.nan_to_num(X))
    np.testing.assert_array_equal(items, np.nan_to_num(X))


def test_normalize_train_keeps_the_differences_in_level_between_series():
    X = draw(6, gaps=False)
    X[0] += 100
    views = make(normalize="train", fitted_on=X)
    _, _, series, _ = views(torch.from_numpy(X))
    assert series[0, 0].min() > series[1:, 0].max()


@pytest.mark.parametrize("level", [0.0, 0.1, -1234.567, 1e6, 1e-9, 3e38])
def test_a_constant_series_becomes_zeros(level):
    x = torch.full((1, 1, 1000), level)
    assert not make(n_timepoints=1000).scale(x).any()


@pytest.mark.parametrize("normalize", ["series", "train", "none"])
@pytest.mark.parametrize("level", [0.1, 1e6])
def test_identical_constant_cases_give_finite_views(normalize, level):
    X = np.full((5, 1, 12), level, np.float32)
    items, _, series, _ = make(normalize=normalize, fitted_on=X)(torch.from_numpy(X))
    assert not items.abs().max() > 1e-3  # each timepoint is what it always is
    assert series.isfinite().all()


@pytest.mark.parametrize("normalize", ["series", "train", "none"])
def test_a_channel_without_readings_becomes_zeros(normalize):
    X = draw(5, 3)
    X[:, 1] = NAN
    items, item_mask, series, mask = make(3, normalize=normalize, fitted_on=X)(torch.from_numpy(X))
    assert not series[:, [1, 4]].any() and not items[:, 1].any()
    assert item_mask.tolist() == [[True, False, True]] * 5
    assert series.isfinite().all() and mask.any()


@pytest.mark.parametrize("normalize", ["series", "train", "none"])
def test_a_timepoint_seen_in_no_training_case_gives_finite_views(normalize):
    X = draw(5)
    X[:, :, 4] = NAN
    views = make(normalize=normalize, fitted_on=X)
    items, _, series, _ = views(torch.from_numpy(draw(5, gaps=False)))
    assert items.isfinite().all() and series.isfinite().all()


def test_a_series_with_a_single_reading_gives_finite_views():
    X = np.full((2, 1, 12), NAN, np.float32)
    X[0, 0, 3] = X[1, 0, 11] = 5.0
    items, _, series, mask = make(fitted_on=X)(torch.from_numpy(X))
    assert items.isfinite().all() and series.isfinite().all()
    assert mask.sum(dim=2).tolist() == [[1], [1]]


def test_values_near_the_end_of_float32_are_scaled_without_overflow():
    x = torch.tensor([[[1e30, -1e30] * 6]])
    torch.testing.assert_close(make().scale(x), torch.tensor([[[1.0, -1.0] * 6]]))


# --- differences, masks and items --------------------------------------------------------------


def test_a_difference_is_the_change_since_the_timepoint_before():
    x = torch.tensor([[[2.0, 5.0, 4.0], [NAN, 1.0, 1.5]]])
    nan_as_none = [[None if math.isnan(v) else v for v in row] for row in difference(x)[0].tolist()]
    assert nan_as_none == [[0.0, 3.0, -1.0], [None, None, 0.5]]


def test_the_convolutions_see_the_series_and_its_scaled_difference():
    X = draw(6, 2, gaps=False)
    views = make(2, fitted_on=X)
    _, _, series, _ = views(torch.from_numpy(X))
    assert series.shape == (6, 4, 12)
    assert series.std(dim=(0, 2), correction=0).tolist() == pytest.approx([1.0] * 4, abs=1e-4)
    changes = torch.diff(series[:, :2], dim=2) / views.difference_deviation
    torch.testing.assert_close(series[:, 2:, 1:], changes)


def test_a_timepoint_is_masked_when_no_channel_has_a_reading():
    X = draw(1, 2, 6, gaps=False)
    X[0, 0, 1:3] = X[0, 1, 2:5] = NAN
    mask = make(2, 6)(torch.from_numpy(X))[3]
    assert mask.tolist() == [[[1, 1, 0, 1, 1, 1]]]


def test_without_missing_readings_there_is_no_mask():
    _, item_mask, _, mask = make()(torch.from_numpy(draw(3, gaps=False)))
    assert item_mask is None and mask is None


def test_with_one_channel_the_single_item_is_the_whole_standardised_series():
    X = draw(6, gaps=False)
    views = make(fitted_on=X)
    items = views(torch.from_numpy(X))[0]
    assert items.shape == (6, 1, 12)
    torch.testing.assert_close(items.mean(dim=0), torch.zeros(1, 12), atol=1e-5, rtol=0)
    assert items.std(dim=0, correction=0)[0].tolist() == pytest.approx([1.0] * 12, abs=1e-4)


@pytest.mark.parametrize("gaps", [False, True])
def test_without_its_first_timepoint_a_stretch_gives_all_its_windows_their_series(gaps):
    X = torch.from_numpy(draw(1, 3, 30, gaps=gaps))
    views = make(3, 12, normalize="none", drop_first=True)
    series, mask = views.convolutional(X, ~X.isnan(), gaps)
    assert series.shape == (1, 6, 29)
    for start in range(19):
        x = X[:, :, start : start + 12]
        window, its_mask = views.convolutional(x, ~x.isnan(), gaps)
        assert torch.equal(window, series[:, :, start : start + 11])
        assert its_mask is None or torch.equal(its_mask, mask[:, :, start : start + 11])


def test_shuffled_steps_are_channels_and_others_timepoints():
    X = torch.from_numpy(draw(2, 3, 5, gaps=False))
    plain = {"normalize": "none", "standardize": False}
    assert torch.equal(make(3, 5, shuffled=True, **plain)(X)[0], X)
    assert torch.equal(make(3, 5, shuffled=False, **plain)(X)[0], X.transpose(1, 2))


def test_patches_are_stretches_of_time_filled_up_with_zeros():
    X = torch.arange(1.0, 11.0).reshape(1, 1, 10)
    views = make(n_timepoints=10, n_patches=4, normalize="none", standardize=False)
    assert views(X)[0].tolist() == [[[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 0, 0]]]


def test_a_patch_without_readings_is_masked():
    X = torch.arange(1.0, 11.0).reshape(1, 1, 10)
    X[:, :, 6:] = NAN
    assert make(n_timepoints=10, n_patches=4)(X)[1].tolist() == [[True, True, False, False]]


@pytest.mark.parametrize("n_timepoints", range(1, 40))
def test_no_patch_lies_beyond_the_end(n_timepoints):
    views = make(n_timepoints=n_timepoints, n_patches=8)
    assert (views.n_patches - 1) * views.item_size < n_timepoints
    assert views.n_patches * views.item_size >= n_timepoints
    assert views.n_patches <= 8


def test_statistics_travel_with_the_weights():
    views, other = make(3, fitted_on=draw(20, 3)), make(3)
    other.load_state_dict(views.state_dict())
    X = torch.from_numpy(draw(4, 3))
    for a, b in zip(views(X), other(X), strict=True):
        assert torch.equal(a, b)


# --- whoever has looked already ----------------------------------------------------------------


@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize("gaps", [True, False])
def test_views_that_are_told_whether_all_is_there_see_the_same(gaps, mask):
    X = draw(6, 2, gaps=gaps)
    views, x = make(2, fitted_on=X, mask=mask), torch.from_numpy(X)
    for one, other in zip(views(x), views(x, not gaps), strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.equal(one, other)


def test_views_do_not_look_again():
    x = torch.from_numpy(draw(6, 2))
    views = make(2, fitted_on=x.numpy())
    assert views(x, True)[0].isnan().any()
    assert views(torch.zeros(6, 2, 12), False)[3].all()
