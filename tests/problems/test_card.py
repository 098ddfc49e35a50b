"""The card of a problem."""

import dataclasses
import json
import time

import numpy as np
import pytest
from toys import hourly, quake_rule, toy_problem

from foreshock._time import format_time
from foreshock.events.cut import cut
from foreshock.events.partition import PartsConfig
from foreshock.problems.audit import audit
from foreshock.problems.problem import Problem, card


def test_the_card_counts_what_stands_in_the_parts() -> None:
    X = np.random.default_rng(0).normal(size=(6, 1, 10)).astype(np.float32)
    X[0, 0, 4:] = np.nan
    X[1, 0, 2:5] = np.nan
    X[5] = X[2]  # across parts
    X[3] = X[2]  # within a part
    toy = toy_problem(
        6,
        X=X,
        n_classes=3,
        y=np.array([0, 1, 0, 1, 2, 0]),
        part=np.array([0, 0, 0, 0, 2, 2], np.uint8),
        channels=("x",),
        group=np.array(["p", "p", "q", "q", "q", "r"]),
    )
    described = card(toy)
    train, test = described.parts["train"], described.parts["test"]
    assert (train.cases, train.length_min, train.length_median, train.length_max) == (4, 4, 10, 10)
    assert (train.missing_values, train.cases_with_missing) == (3, 1)
    assert train.class_counts == {"a": 2, "b": 2, "c": 0}
    assert train.labels_not_in_train == ()
    assert test.labels_not_in_train == ("c",)
    assert "valid" not in described.parts
    assert [(d.parts, d.cases, d.examples) for d in audit(toy).duplicates] == [
        (("train", "train"), 1, ((2, 3),)),
        (("train", "test"), 1, ((2, 5),)),
    ]
    assert audit(toy).groups_across_parts == ("q",)
    assert json.loads(json.dumps(dataclasses.asdict(described)))["parts"]["test"]["cases"] == 2


@pytest.mark.parametrize("ddof", [0, 1])
def test_z_normalised_series_are_recognised_with_gaps_and_constants(ddof: int) -> None:
    X = np.random.default_rng(0).normal(3, 2, size=(5, 2, 20))
    X[0, 1, 12:] = np.nan
    X[1, 0, 3] = np.nan
    deviation = np.nanstd(X, axis=2, keepdims=True, ddof=ddof)
    z = ((X - np.nanmean(X, axis=2, keepdims=True)) / deviation).astype(np.float32)
    z[2, 0] = 0
    assert card(toy_problem(5, X=z)).z_normalised
    assert not card(toy_problem(5, X=X.astype(np.float32))).z_normalised
    assert not card(toy_problem(5, X=np.ones((5, 2, 8), np.float32))).z_normalised


def test_the_card_has_the_step_of_cases_and_of_windows() -> None:
    assert card(toy_problem()).step is None
    assert card(toy_problem(step="0.5")).step == "0.5"
    assert card(windows()).step == "1h"


def test_the_card_of_many_cases_is_fast() -> None:
    n = 20_000
    toy = toy_problem(n, X=np.random.default_rng(0).normal(size=(n, 2, 50)).astype(np.float32))
    start = time.perf_counter()
    card(toy)
    assert time.perf_counter() - start < 5


def windows(missing: float = 0.0) -> Problem:
    random = np.random.default_rng(0)
    values = random.uniform(1, 4, size=(2, 900)).astype(np.float32)
    values[0, ::41] = 6
    values[random.uniform(size=values.shape) < missing] = np.nan
    readings = hourly(values)
    rule = quake_rule(window=8, quiet=4, min_active=1, max_missing=0.5)
    return cut(readings, rule, PartsConfig(folds=2))


def test_the_card_of_windows_counts_as_that_of_copies() -> None:
    lazy = windows(missing=0.02)
    copied = dataclasses.replace(lazy, X=np.asarray(lazy.X), rule=None)
    first, second = card(lazy), card(copied)
    assert first.parts["train"].missing_values > 0
    for part in ("train", "test"):
        counts = [
            (p.cases, p.class_counts, p.missing_values, p.cases_with_missing)
            for p in (first.parts[part], second.parts[part])
        ]
        assert counts[0] == counts[1]
    assert first.z_normalised == second.z_normalised
    hour = np.timedelta64(1, "h")
    assert first.parts["train"].first == format_time(lazy.ends[0] - 7 * hour)
    assert first.parts["test"].last == format_time(lazy.ends[-1])


def test_the_card_of_windows_knows_their_step_and_their_times() -> None:
    described = card(windows())
    assert described.step == "1h"
    assert described.parts["train"].first is not None
    assert described.parts["train"].first < described.parts["train"].last < "2001-02-07"
