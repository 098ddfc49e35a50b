"""Counting codes a stretch at a time."""

import numpy as np
import pytest

from foreshock import _arrays
from foreshock._arrays import count_codes


@pytest.mark.parametrize("block", [2**20, 3, 7])
def test_codes_are_counted_as_numpy_counts_them(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_arrays, "_BLOCK", block)
    codes = np.array([0, 2, 2, 1, 0, 2, 5])
    assert count_codes(codes, 7).tolist() == [2, 1, 3, 0, 0, 1, 0]
    assert count_codes(codes[:0], 2).tolist() == [0, 0]
    assert count_codes(codes.astype(np.uint8), 6).tolist() == [2, 1, 3, 0, 0, 1]
