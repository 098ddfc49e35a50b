"""The leak audit: what it finds and what it does not cry about."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2_contingency
from toys import hourly, quake_rule, toy_problem

from foreshock.events.cut import cut
from foreshock.events.partition import PartsConfig
from foreshock.problems import audit as leaks
from foreshock.problems.audit import audit
from foreshock.problems.problem import Problem, load
from foreshock.readings.series import Windows

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def windows(ends: list[int], part: list[int]) -> Problem:
    """Windows of 10 readings that end at given positions."""
    readings = hourly(np.random.default_rng(0).normal(size=(1, 200)).astype(np.float32))
    times = readings.times(np.array(ends))
    return Problem(
        name="windows",
        X=Windows(readings, times, 10),
        y=np.arange(len(ends)) % 2,
        part=np.array(part, np.uint8),
        classes=("no", "yes"),
        channels=("a",),
        ends=times,
    )


def test_nothing_is_found_where_all_is_well(small_problem: Callable[..., Problem]) -> None:
    assert audit(small_problem()).findings() == []
    assert audit(windows([20, 40, 60, 80], [0, 0, 2, 2])).findings() == []


@pytest.mark.parametrize(
    ("ends", "part", "expected"),
    [
        ([20, 40, 49, 80], [0, 0, 2, 2], [(("train", "test"), 1, ((1, 2),))]),
        ([20, 40, 50, 80], [0, 0, 2, 2], []),
        ([49, 80, 20, 40], [2, 2, 0, 0], [(("train", "test"), 1, ((3, 0),))]),
        ([40, 20, 49, 45], [0, 1, 2, 0], [(("train", "test"), 1, ((3, 2),))]),
        ([20, 25, 30, 60], [0, 1, 2, 2], [
            (("train", "valid"), 1, ((0, 1),)), (("valid", "test"), 1, ((1, 2),))
        ]),
    ],
)  # fmt: skip
def test_readings_in_windows_of_two_parts_are_found_by_their_times(
    ends: list[int],
    part: list[int],
    expected: list[object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for block in (2**20, 1):
        monkeypatch.setattr(leaks, "_BLOCK", block)
        found = audit(windows(ends, part)).shared
        assert [(s.parts, s.cases, s.examples) for s in found] == expected


def test_parts_that_are_not_in_the_order_of_time_are_told() -> None:
    found = audit(windows([20, 40, 60, 80], [2, 0, 2, 0]))
    assert [(o.parts, o.cases) for o in found.out_of_order] == [(("train", "test"), 2)]
    assert found.findings()[-1].startswith("2 train cases end after the first test case does")


def test_a_balance_that_differs_between_parts_is_told(
    small_problem: Callable[..., Problem],
) -> None:
    random = np.random.default_rng(0)
    part = np.repeat([0, 2], 200).astype(np.uint8)
    X = random.normal(size=(400, 1, 8)).astype(np.float32)
    alike = small_problem(X=X, y=np.arange(400) % 2, part=part)
    assert audit(alike).label_shifts == ()
    y = np.concatenate([np.arange(200) % 2, (np.arange(200) % 4 == 0).astype(int)])
    shift = audit(replace(alike, y=y)).label_shifts[0]
    assert (shift.parts, shift.shares) == (("train", "test"), (0.5, 0.75))
    assert shift.p_value < 1e-6
    assert audit(replace(alike, y=y)).findings() == [
        "class 'a' has 50.0% of train and 75.0% of test (p < 0.0001): the balance is not the same"
    ]


def test_parts_made_by_chance_seldom_seem_shifted(small_problem: Callable[..., Problem]) -> None:
    random = np.random.default_rng(0)
    X = random.normal(size=(200, 1, 8)).astype(np.float32)
    part = np.repeat([0, 2], 100).astype(np.uint8)
    shifted = [
        bool(audit(small_problem(X=X, y=random.integers(0, 2, 200), part=part)).label_shifts)
        for _ in range(200)
    ]
    assert sum(shifted) <= 3


def test_groups_in_two_parts_are_told(small_problem: Callable[..., Problem]) -> None:
    group = np.repeat(["p", "q", "r"], 8)
    assert audit(small_problem(group=group)).groups_across_parts == ()
    group[20] = "q"
    found = audit(small_problem(group=group))
    assert found.findings() == ["groups in more than one part: q"]


def test_a_problem_that_is_cut_in_time_has_no_leaks() -> None:
    random = np.random.default_rng(1)
    values = random.uniform(1, 4, size=(1, 4000)).astype(np.float32)
    values[0, random.choice(4000, 150, replace=False)] = 6
    readings = hourly(values)
    rule = quake_rule(window=12, quiet=4, min_active=1, overlap=True)
    found = audit(cut(readings, rule, PartsConfig(valid=0.2)))
    assert (found.shared, found.out_of_order, found.duplicates) == ((), (), ())
    drawn = audit(cut(readings, replace(rule, overlap=False), PartsConfig(order="random")))
    assert drawn.shared == ()
    assert drawn.out_of_order


def test_five_examples_of_duplicates_are_enough() -> None:
    described = audit(toy_problem(X=np.ones((40, 2, 8), np.float32)))
    assert described.duplicates[0].cases == 39
    assert len(described.duplicates[0].examples) == 5


def test_of_very_many_cases_a_sample_is_compared(
    small_problem: Callable[..., Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaks, "_EXAMINED", 12)
    X = np.ones((24, 1, 8), np.float32)
    assert audit(small_problem(X=X)).duplicates[0].cases == 7


def archive(name: str, monkeypatch: pytest.MonkeyPatch) -> Problem:
    if not DATA.is_dir():
        pytest.skip(f"the archive's {name} is not at {DATA}")
    monkeypatch.setenv("FORESHOCK_DATA", str(DATA))
    return load(name)


def test_on_the_archives_worms_test_cases_that_stand_in_train_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    across = [
        d for d in audit(archive("Worms", monkeypatch)).duplicates if d.parts[0] != d.parts[1]
    ]
    assert [(d.parts, d.cases) for d in across] == [(("train", "test"), 10)]


def test_on_the_archives_earthquakes_overlapping_windows_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By their dates six pairs overlap, one of them by three hours in which nothing happened."""
    found = audit(archive("Earthquakes", monkeypatch))
    assert {o.parts: o.pairs for o in found.overlaps} == {
        ("train", "train"): 1, ("train", "test"): 3, ("test", "test"): 1
    }  # fmt: skip
    assert any("125 and 307 share 505" in finding for finding in found.findings())


def test_windows_that_overlap_are_not_taken_for_so_many_independent_cases() -> None:
    rule = quake_rule(window=12, horizon=24, quiet=0, min_active=0, overlap=True, calm_below=None)
    naive, told = [], []
    for seed in range(12):
        random = np.random.default_rng(seed)
        values = np.zeros(6000)
        for start in random.choice(5900, 40, replace=False):  # states of a day each
            values[start : start + 24] = 6
        problem = cut(hourly(values[None]), rule)
        counts = [np.bincount(problem.y[problem.select(part)]) for part in ("train", "test")]
        naive.append(chi2_contingency(np.stack(counts)).pvalue < 1e-3)
        told.append(bool(leaks._label_shifts(problem)))
    assert sum(naive) >= 4 and sum(told) == 0
