"""Which cases make a batch, and how they come to the device."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foreshock.training import batches as sampling
from foreshock.training.batches import Batches, Feed, permuted


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


CPU = torch.device("cpu")


class Lazy:
    """Cases that are read when asked, and count how often."""

    def __init__(self, X: np.ndarray) -> None:
        self.X, self.largest, self.asked = X, 0, 0

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        self.largest, self.asked = max(self.largest, len(indices)), self.asked + 1
        return self.X[indices]


def cases(n: int = 11) -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(0).normal(size=(n, 2, 5)).astype(np.float32)
    X[3, 1, 4] = np.nan
    X[7, 0, 0] = np.inf
    return X, np.arange(n) % 3


@pytest.mark.parametrize("room", [0, 11 * 2 * 5 * 4])
def test_a_batch_has_the_cases_asked_for_whether_there_is_room_or_not(room: int) -> None:
    X, y = cases()
    feed = Feed(X, y, CPU, room=room)
    assert (feed.held is None) == (room == 0)
    for indices in ([0, 2, 1], [10], [5, 3, 3, 8], [7]):
        (series, classes, weights), whole = feed(np.array(indices))
        np.testing.assert_array_equal(series.numpy(), X[indices])
        np.testing.assert_array_equal(classes.numpy(), y[indices])
        assert series.dtype == torch.float32 and classes.dtype == torch.int64
        assert weights.tolist() == [1.0] * len(indices)
        assert whole == bool(np.isfinite(X[indices]).all())


@pytest.mark.parametrize("room", [0, 10**6])
def test_a_batch_has_the_weights_of_its_cases_relative_to_all(room: int) -> None:
    X, y = cases()
    feed = Feed(X, y, CPU, room=room, weights=np.arange(11, dtype=np.float32))
    (_, _, weights), _ = feed(np.array([10, 0, 5]))
    assert weights.tolist() == [2.0, 0.0, 1.0]


def test_cases_that_lie_there_were_read_once_and_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sampling, "_CHUNK", 40)
    X, y = cases()
    lazy = Lazy(X)
    feed = Feed(lazy, y, CPU, room=10**6)
    asked = lazy.asked
    (series, _, _), _ = feed(np.arange(11))
    np.testing.assert_array_equal(series.numpy(), X)
    assert lazy.largest == 4 and lazy.asked == asked


def test_cases_that_take_a_byte_more_than_there_is_room_for_are_read_when_asked() -> None:
    X, y = cases()
    assert Feed(X, y, CPU, room=X.nbytes - 1).held is None


def test_what_was_let_go_of_is_read_when_asked() -> None:
    X, y = cases()
    feed = Feed(X, y, CPU, room=10**6)
    feed.release()
    assert feed.held is None
    np.testing.assert_array_equal(feed(np.array([4, 2]))[0][0].numpy(), X[[4, 2]])


def test_read_only_cases_can_be_held() -> None:
    X, y = cases()
    X.setflags(write=False)
    y.setflags(write=False)
    assert Feed(X, y, CPU, room=10**6).held is not None


def test_a_processor_holds_no_second_copy() -> None:
    assert sampling.room(CPU) == 0
