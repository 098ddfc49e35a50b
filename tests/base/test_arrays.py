"""Arrays as people have them: what becomes of masks, objects, layouts and many digits."""

import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from foreshock import _arrays
from foreshock._arrays import (
    as_lists,
    as_numbers,
    count_codes,
    padded,
    reduce_readings,
    reduce_series,
    to_float32,
    warn_of_layout,
    without_levels,
)

NAN = np.nan
CHANNELS = ("a", "b", "c")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.ma.array([1.0, -9999.0], mask=[False, True]), [1, NAN]),
        (np.ma.array([1, -9999], mask=[False, True]), [1, NAN]),
        ([np.ma.array([1, 2], mask=[True, False]), [3, 4]], [[NAN, 2], [3, 4]]),
        ([1.0, np.ma.masked], [1, NAN]),
        (np.array([True, False]), [1, 0]),
        (np.array([1, None, Decimal("2.5")], object), [1, NAN, 2.5]),
        (pd.Series([1, pd.NA], dtype="Int64"), [1, NAN]),
        (np.float16([1, 2]), [1, 2]),
        (2**40, 2**40),
    ],
    ids=["masked", "masked int", "list of masked", "masked item", "bool", "object", "pandas",
         "half", "scalar"],
)  # fmt: skip
def test_what_is_missing_is_nan_and_the_rest_are_numbers(values: object, expected: object) -> None:
    found = as_numbers(values, "X")
    assert found.dtype in (np.float32, np.float64)
    np.testing.assert_array_equal(found, np.array(expected, float))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.array(["1"]), "X must be numbers of one shape: got <U1"),
        (np.array(["1", 2], object), "X must be numbers of one shape, got '1'"),
        (np.array([object()]), "got a value of type object"),
        (np.ones(2, complex), "got complex128"),
        ([[1, 2], [3]], "X must be numbers of one shape"),
    ],
)
def test_what_is_no_number_is_refused(values: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        as_numbers(values, "X")


def test_float32_is_not_copied() -> None:
    X = np.ones((2, 1, 4), np.float32)
    assert as_numbers(X, "X") is X


def shapes(random: np.random.Generator, n: int = 40) -> np.ndarray:
    return np.sin(np.arange(60) / 5 + random.uniform(0, 6, (n, 3, 1))) + random.normal(
        0, 0.1, (n, 3, 60)
    )


def test_series_near_zero_are_kept_as_they_are() -> None:
    X = shapes(np.random.default_rng(0))
    kept, offset = reduce_series(X, slice(None), CHANNELS)
    assert offset is None
    np.testing.assert_array_equal(kept, X.astype(np.float32))


@pytest.mark.parametrize("level", [1e6, -1e8, 1_500_000_000])
def test_series_far_from_zero_keep_their_shape_less_an_offset(level: float) -> None:
    X = shapes(np.random.default_rng(0))
    X[:, 1] += level
    kept, offset = reduce_series(X, slice(None), CHANNELS)
    assert (offset[0], offset[2]) == (0, 0)
    assert offset[1] == pytest.approx(level, abs=5)
    np.testing.assert_allclose(kept + offset[:, None], X, rtol=0, atol=1e-6)


def test_the_offset_is_that_of_the_series_that_may_be_looked_at() -> None:
    X = shapes(np.random.default_rng(0)) + 1e8
    changed = X.copy()
    changed[20:] += 1000
    known = np.arange(40) < 20
    first, second = (reduce_series(x, known, CHANNELS) for x in (X, changed))
    np.testing.assert_array_equal(first[1], second[1])
    np.testing.assert_array_equal(first[0][:20], second[0][:20])


@pytest.mark.parametrize(
    ("X", "reason"),
    [
        (1e9 * np.arange(40)[:, None, None], "no single offset helps: subtract each series' own"),
        (1e-44 * np.ones((40, 1, 1)), "use a larger unit"),
    ],
)  # fmt: skip
def test_series_whose_values_become_equal_are_refused(X: np.ndarray, reason: str) -> None:
    scale = 1e-44 if X.max() < 1 else 1
    with pytest.raises(ValueError, match=f"channel 'a' has series from .* {reason}"):
        reduce_series(X + scale * shapes(np.random.default_rng(0)), slice(None), CHANNELS)


def test_a_few_such_series_are_no_reason_to_refuse_all() -> None:
    X = shapes(np.random.default_rng(0))
    X[7, 0] = 20.5 + 1e-9 * X[7, 0]  # a sensor that stands still, but for its noise
    kept, _ = reduce_series(X, slice(None), CHANNELS)
    assert np.ptp(kept[7, 0]) < 1e-5


def test_the_rounding_of_who_computed_a_constant_is_no_shape() -> None:
    X = np.full((10, 1, 50), 0.1) + 1e-17 * np.arange(50)
    kept, offset = reduce_series(X * 3 + 1e5, slice(None), CHANNELS[:1])
    assert offset is None
    assert (np.ptp(kept, axis=2) == 0).all()


def test_a_digitisers_counts_stay_different() -> None:
    random = np.random.default_rng(0)
    counts = 1_500_000_000 + 50 * random.integers(-60, 60, (1, 10_000))
    kept, offset = reduce_readings(counts.astype(float), ("counts",))
    assert len(np.unique(kept)) == len(np.unique(counts))
    np.testing.assert_array_equal(kept + offset[:, None], counts)


def test_a_counter_that_only_grows_is_refused() -> None:
    total = 1e9 + 0.01 * np.random.default_rng(0).random((1, 10_000)).cumsum(axis=1)
    total[:, 5000:] += 1e9
    with pytest.raises(ValueError, match="or use the changes between readings"):
        reduce_readings(total, ("total",))


@settings(max_examples=40)
@given(
    level=st.floats(-1e9, 1e9),
    scale=st.floats(-6, 6).map(lambda power: 10.0**power),
    gaps=hnp.arrays(bool, (20, 3, 60), elements=st.booleans()),
    dtype=st.sampled_from(["f8", "i8"]),
)
def test_whatever_the_level_and_the_unit_a_shape_is_kept_or_refused(
    level: float, scale: float, gaps: np.ndarray, dtype: str
) -> None:
    X = shapes(np.random.default_rng(0), 20) * scale + level
    if dtype == "i8":
        X = X.round().astype(dtype).astype(float)
    X[gaps] = NAN
    kept, offset = reduce_series(X, slice(None), CHANNELS)
    back = kept if offset is None else kept + offset[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a series of gaps alone
        spread = np.nanmax(X, axis=2) - np.nanmin(X, axis=2)
    error = np.nan_to_num(np.abs(back - X)).max(axis=2)
    varies = spread > 1e-11 * np.abs(level)
    assert (error[varies] <= 1e-3 * spread[varies]).all()


@pytest.mark.parametrize("offset", [None, np.array([0.0, 1e8, 5.0])])
def test_a_level_of_its_own_is_taken_off_each_series_that_needs_it(
    offset: np.ndarray | None,
) -> None:
    X = shapes(np.random.default_rng(0), 4)
    X[1] += 1e8
    X[2] -= 3e9
    kept = to_float32(without_levels(X if offset is None else X - offset[:, None]))
    centred = kept - kept.mean(axis=2, keepdims=True)
    np.testing.assert_allclose(
        centred[1:3], (X - X.mean(axis=2, keepdims=True))[1:3], rtol=0, atol=1e-5
    )


@pytest.mark.parametrize(
    "values",
    [
        np.array([2**62, 2**62 + 50]),
        np.array([2**63 + 1], np.uint64),
        np.array([1_700_000_000_000_000_001]),
        [10**20 + 1, 3],
    ],
)
def test_whole_numbers_that_float64_would_round_are_refused(values: object) -> None:
    with pytest.raises(ValueError, match=r"X contains the whole number \d+, which has more digits"):
        as_numbers(values, "X")
    np.testing.assert_array_equal(as_numbers(np.array([2**62, -(2**53)]), "X"), [2**62, -(2**53)])


def test_lists_of_series_with_swapped_axes_are_named_as_the_likely_mistake() -> None:
    with pytest.raises(ValueError, match=r"seem to be \(n_timepoints, n_channels\): transpose"):
        padded([np.ones((30, 8)), np.ones((34, 8))])


def test_objects_and_frames_of_series_become_lists() -> None:
    ragged = np.empty(2, object)
    ragged[:] = [np.arange(3), np.arange(5)]
    assert [list(each) for each in as_lists(ragged)] == [[0, 1, 2], [0, 1, 2, 3, 4]]
    frame = pd.DataFrame({"x": [[1, 2], [3]], "z": [[4, 5], [6]]})
    assert as_lists(frame) == [[[1, 2], [4, 5]], [[3], [6]]]
    plain = pd.DataFrame({"t0": [1.0], "t1": [2.0]})
    assert as_lists(plain) is plain


def wave(n_timepoints: int, n_channels: int) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.normal(size=(10, n_channels, n_timepoints)).cumsum(axis=2)


@pytest.mark.parametrize("shape", [(10, 60, 1), (10, 60, 3), (10, 6, 5)])
def test_swapped_axes_are_named_as_the_likely_mistake(shape: tuple[int, ...]) -> None:
    X = np.random.default_rng(0).normal(size=shape).cumsum(axis=1)
    with pytest.warns(UserWarning, match=r"swap the axes: X\.transpose\(0, 2, 1\)"):
        warn_of_layout(X, "X")


@pytest.mark.parametrize("X", [wave(60, 1), wave(60, 3), wave(30, 50)])
def test_series_that_run_along_time_are_not(X: np.ndarray) -> None:
    warn_of_layout(X, "X")  # a warning is an error here


@pytest.mark.parametrize("block", [2**20, 3, 7])
def test_codes_are_counted_as_numpy_counts_them(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_arrays, "_BLOCK", block)
    codes = np.array([0, 2, 2, 1, 0, 2, 5])
    assert count_codes(codes, 7).tolist() == [2, 1, 3, 0, 0, 1, 0]
    assert count_codes(codes[:0], 2).tolist() == [0, 0]
    assert count_codes(codes.astype(np.uint8), 6).tolist() == [2, 1, 3, 0, 0, 1]
