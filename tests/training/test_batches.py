"""Which cases make a batch, for any number of cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshock.training import batches as sampling
from foreshock.training.batches import Batches, permuted


@given(st.integers(1, 3000), st.integers(0, 2**32))
def test_a_permutation_made_piece_by_piece_has_each_position_once(n: int, seed: int) -> None:
    pieces = [permuted(np.arange(s, min(n, s + 700)), n, seed) for s in range(0, n, 700)]
    np.testing.assert_array_equal(np.sort(np.concatenate(pieces)), np.arange(n))


def test_a_permutation_looks_like_a_random_one() -> None:
    n = 100_000
    order = permuted(np.arange(n), n, seed=1)
    other = permuted(np.arange(n), n, seed=2)
    assert (order == other).mean() < 0.001
    for lag in (1, 2, 64):  # neighbours land independently of each other
        assert abs(np.corrcoef(order[:-lag], order[lag:])[0, 1]) < 0.02
    assert abs(np.corrcoef(order, np.arange(n))[0, 1]) < 0.02
    # of a random permutation's stretches of a hundredth, each hundredth gets 10 on average
    counts = np.histogram2d(np.arange(n), order, bins=100)[0]
    chi_squared = ((counts - 10) ** 2 / 10).sum()
    assert chi_squared == pytest.approx(99**2, abs=6 * np.sqrt(2 * 99**2))
    inversions = (order[:-1] > order[1:]).mean()
    assert inversions == pytest.approx(0.5, abs=0.01)


def test_beyond_what_fits_an_epoch_still_takes_each_case_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sampling, "SHUFFLED", 10)
    batches = Batches(np.zeros(97, np.int64), 7, seed=3, balanced=False)
    epochs = [np.concatenate([batches(epoch, k) for k in range(7)]) for epoch in (0, 1)]
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(97))
    assert epochs[0].tolist() != epochs[1].tolist()
    assert {len(batches(0, k)) for k in range(7)} == {13, 14}


def test_any_batch_can_be_had_without_those_before_it() -> None:
    for n in (50, sampling.SHUFFLED + 1):
        y = np.arange(n) % 2
        for balanced in (False, True):
            first = Batches(y, n // 10, seed=5, balanced=balanced)
            second = Batches(y, n // 10, seed=5, balanced=balanced)
            first(0, 0), first(1, 2)
            np.testing.assert_array_equal(first(2, 3), second(2, 3))


def test_balanced_batches_draw_rare_classes_as_often_and_their_cases_alike() -> None:
    y = np.zeros(20_000, np.int64)
    rare = np.array([5, 4095, 4096, 12_345, 19_999])
    y[rare] = 2  # class 1 has no case
    batches = Batches(y, 10, seed=0, balanced=True)
    drawn = np.concatenate([batches(0, k) for k in range(10)])
    assert (y[drawn] == 2).mean() == pytest.approx(0.5, abs=0.02)
    positions, counts = np.unique(drawn[y[drawn] == 2], return_counts=True)
    np.testing.assert_array_equal(positions, rare)
    assert counts.min() > 0.9 * counts.mean()
    others = drawn[y[drawn] == 0]
    assert np.histogram(others, bins=10, range=(0, 20_000))[0].min() > 0.8 * len(others) / 10
