"""How cases come to the device: the same batches whether they lie there or are read when asked."""

import numpy as np
import pytest
import torch

from foreshock.training import batches
from foreshock.training.batches import Feed

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
    monkeypatch.setattr(batches, "_CHUNK", 40)
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
    assert batches.room(CPU) == 0
