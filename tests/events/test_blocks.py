"""Which cases are drawn together."""

from dataclasses import replace

import numpy as np
from toys import hourly, toy_problem

from foreshock.events.blocks import blocks_of
from foreshock.events.cut import cut
from foreshock.events.partition import PartsConfig
from foreshock.problems.problem import Problem
from foreshock.problems.rule import EventRule


def made(n: int = 6000, *, overlap: bool = True, window: int = 20) -> Problem:
    values = np.random.default_rng(0).uniform(0, 4.5, n).astype(np.float32)
    rule = EventRule(
        window=window, horizon=4, quiet=0, event_above=4.2, calm_below=None, min_active=0,
        overlap=overlap,
    )  # fmt: skip
    return cut(hourly(values[None]), rule, PartsConfig(test=0.4))


def test_cases_that_share_readings_or_a_target_are_in_blocks_of_time() -> None:
    problem = made()
    test = problem.select("test")
    blocks = blocks_of(problem, test)
    assert blocks is not None
    last = problem.readings.positions(problem.ends[test])
    lengths = [np.ptp(last[blocks == k]) + 1 for k in np.unique(blocks)]
    assert max(lengths) <= 24
    assert 20 <= len(np.unique(blocks)) <= 200


def test_there_are_at_most_about_two_hundred_blocks_of_time() -> None:
    problem = made(20_000)
    blocks = blocks_of(problem, np.arange(problem.n_cases))
    assert 190 <= len(np.unique(blocks)) <= 201


def test_windows_that_share_no_readings_are_independent() -> None:
    problem = made(overlap=False)
    assert blocks_of(problem, problem.select("test")) is None


def test_ten_groups_or_more_are_blocks_and_series_without_are_independent() -> None:
    problem = toy_problem(40)
    assert blocks_of(problem, np.arange(40)) is None
    many = replace(problem, group=np.array([f"pump {k % 10}" for k in range(40)]))
    blocks = blocks_of(many, np.arange(40))
    np.testing.assert_array_equal(blocks[:10], blocks[10:20])
    assert len(np.unique(blocks)) == 10
    few = replace(problem, group=np.array([f"pump {k % 4}" for k in range(40)]))
    assert blocks_of(few, np.arange(40)) is None
    own = replace(problem, group=np.array([f"pump {k}" for k in range(40)]))
    assert blocks_of(own, np.arange(40)) is None


def test_few_units_are_divided_into_stretches_of_their_time(monkeypatch) -> None:
    problem = made()
    last = problem.readings.positions(problem.ends)
    unit = last // 2000
    monkeypatch.setattr(Problem, "unit", unit, raising=False)
    blocks = blocks_of(problem, np.arange(problem.n_cases))
    assert len(np.unique(blocks)) > 20
    for k in np.unique(blocks):
        assert len(np.unique(unit[blocks == k])) == 1
    monkeypatch.setattr(Problem, "unit", last // 300)
    np.testing.assert_array_equal(blocks_of(problem, np.arange(problem.n_cases)), last // 300)
