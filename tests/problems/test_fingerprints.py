"""Hashes by which a problem and its cases are known again."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import hourly, toy_problem

from foreshock.problems import fingerprints
from foreshock.problems.fingerprints import case_digests, count_sharing, digest, stretches_of
from foreshock.problems.problem import Problem
from foreshock.readings.series import Readings, Windows


def test_the_digest_depends_on_content_and_not_on_names_or_bits_of_nan() -> None:
    X = toy_problem().X.copy()
    X[0, 0, 0], X[0, 0, 1] = np.nan, 0.0
    toy = toy_problem(X=X)
    other_bits = X.copy()
    other_bits.view(np.uint32)[0, 0, 0] = 0xFFC00001
    other_bits[0, 0, 1] = -0.0
    assert np.isnan(other_bits[0, 0, 0])
    assert digest(toy) == digest(toy_problem(X=other_bits, name="else"))
    for change in (
        {"X": X + 1},
        {"y": 1 - toy.y},
        {"part": np.ones(40, np.uint8)},
        {"classes": ("b", "a")},
        {"channels": ("z", "x")},
    ):
        assert digest(dataclasses.replace(toy, **change)) != digest(toy)


def test_the_digest_of_windows_depends_on_readings_and_times() -> None:
    values = np.random.default_rng(0).normal(size=(1, 50)).astype(np.float32)
    readings = hourly(values)

    def windows(readings: Readings, last: list[int]) -> Problem:
        ends = readings.times(np.array(last))
        return Problem(
            name="windows",
            X=Windows(readings, ends, 5),
            y=np.array([0, 1]),
            part=np.zeros(2, np.uint8),
            classes=("no", "yes"),
            channels=("a",),
            ends=ends,
        )

    toy = windows(readings, [10, 20])
    assert digest(windows(readings, [10, 20])) == digest(toy)
    assert digest(windows(readings, [10, 21])) != digest(toy)
    other = dataclasses.replace(readings, values=values + 1)
    assert digest(windows(other, [10, 20])) != digest(toy)


def test_equal_cases_have_equal_hashes_whether_they_are_copies_or_windows() -> None:
    X = np.random.default_rng(0).normal(size=(6, 2, 8)).astype(np.float32)
    X[3] = X[1]
    digests = case_digests(X)
    assert digests[3] == digests[1]
    assert len(set(digests.tolist())) == 5


@given(
    st.integers(1, 6),
    st.lists(st.integers(5, 59), min_size=1, max_size=12),
    st.lists(st.integers(5, 59), min_size=1, max_size=12),
    st.integers(1, 5),
    st.integers(0, 8),
)
def test_cases_that_share_readings_with_others_are_counted(
    length: int, known: list[int], asked: list[int], block: int, before: int
) -> None:
    values = np.random.default_rng(0).normal(size=(1, 60)).astype(np.float32)

    def problem(last: list[int], length: int, skipped: int = 0, noise: float = 0) -> Problem:
        readings = Readings(
            values=values[:, skipped:] + np.float32(noise),
            start=np.datetime64("2001-01-01") + np.timedelta64(skipped, "h"),
            step=np.timedelta64(1, "h"),
            channels=("a",),
        )
        ends = np.datetime64("2001-01-01", "us") + np.timedelta64(1, "h") * np.array(last)
        n = len(last)
        return Problem(
            name="windows", X=Windows(readings, ends, length), y=np.zeros(n, np.int64),
            part=np.zeros(n, np.uint8), classes=("no",), channels=("a",), ends=ends,
        )  # fmt: skip

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fingerprints, "_BLOCK", block)
        stretches = stretches_of(problem(known, length), ["train"])
        assert stretches is not None
        covered = {at for last in known for at in range(last - length + 1, last + 1)}
        other = problem(asked, 3)
        expected = sum(bool(covered & set(range(last - 2, last + 1))) for last in asked)
        assert count_sharing(other, np.arange(len(asked)), stretches) == expected
        assert count_sharing(problem(asked, 3, noise=1), np.arange(len(asked)), stretches) is None
        later = [max(last, before + 2) for last in asked]
        shorter = count_sharing(problem(later, 3, skipped=before), np.arange(len(later)), stretches)
        assert (shorter is None) == (min(covered) < before)


def test_cases_without_readings_have_no_stretches() -> None:
    assert stretches_of(toy_problem(), ["train"]) is None
