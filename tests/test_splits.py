"""Parts drawn out of cases: by class, by group and by time."""

import numpy as np
import pytest
from toys import toy_problem

from foreshock import problems
from foreshock.leaks import audit
from foreshock.problems import Problem
from foreshock.rules import EventRule
from foreshock.splits import make_parts


def sizes(toy: Problem) -> list[int]:
    return [len(toy.select(part)) for part in problems.PARTS]


def test_parts_keep_the_balance_of_the_classes() -> None:
    y = np.repeat([0, 1], [80, 20])
    parted = make_parts(toy_problem(100, y=y), test=0.25, valid=0.2)
    assert sizes(parted) == [60, 15, 25]
    for part in problems.PARTS:
        assert parted.y[parted.select(part)].mean() == pytest.approx(0.2, abs=0.01)


def test_the_seed_decides_the_parts_and_the_problem_is_left_as_it_was() -> None:
    toy = toy_problem()
    first, again, other = (make_parts(toy, test=0.3, seed=seed).part for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert sizes(toy) == [40, 0, 0]


def test_a_group_stays_in_one_part_and_the_share_is_met_nearly() -> None:
    group = np.array([f"g{i // 5}" for i in range(200)])
    parted = make_parts(toy_problem(200, group=group), test=0.25, valid=0.25)
    assert audit(parted).groups_across_parts == ()
    n_train, n_valid, n_test = sizes(parted)
    assert n_test == pytest.approx(50, abs=5)
    assert n_valid == pytest.approx(37, abs=5)
    assert n_train + n_valid + n_test == 200


def test_the_latest_cases_become_the_test_part_and_then_the_valid_part() -> None:
    order = np.random.default_rng(1).permutation(40)
    parted = make_parts(toy_problem(ends=order.astype("datetime64[s]")), test=0.25, valid=0.2)
    assert sizes(parted) == [24, 6, 10]
    assert order[parted.select("train")].max() < order[parted.select("valid")].min()
    assert order[parted.select("valid")].max() < order[parted.select("test")].min()


def test_cases_that_end_together_stay_together() -> None:
    ends = (np.arange(40) // 15).astype("datetime64[s]")
    parted = make_parts(toy_problem(ends=ends), test=0.2)
    assert parted.select("test").tolist() == list(range(30, 40))


def test_no_part_is_drawn_out_of_cases_that_are_near_each_other() -> None:
    problem = toy_problem(rule=EventRule(), ends=np.arange(40).astype("datetime64[h]"))
    with pytest.raises(ValueError, match=r"cut the problem with --parts\.valid 0\.2 instead"):
        make_parts(problem, valid=0.2)


def test_a_group_is_as_late_as_its_latest_case() -> None:
    group = np.array([f"g{i % 8}" for i in range(40)])
    ends = np.arange(40).astype("datetime64[s]")
    parted = make_parts(toy_problem(group=group, ends=ends), test=0.25)
    assert set(group[parted.select("test")]) == {"g6", "g7"}
    assert sizes(parted) == [30, 0, 10]


@pytest.mark.parametrize(
    ("fields", "shares", "reason"),
    [
        ({"part": np.repeat([0, 2], [30, 10]).astype(np.uint8)}, {"test": 0.2},
         "toy has a test part of 10 cases already; leave --test out."),
        ({}, {"test": 0.0}, "--test is a share of the train cases between 0 and 1, got 0.0"),
        ({}, {"valid": 1.0}, "--valid is a share of the train cases between 0 and 1, got 1.0"),
        ({"classes": (), "y": np.full(40, -1)}, {"test": 0.2}, "needs two labelled train cases"),
        ({"part": np.full(40, 2, np.uint8)}, {"valid": 0.2}, "needs two labelled train cases"),
        ({"y": np.repeat([0, 1], [39, 1])}, {"test": 0.2}, "no test part can be drawn from toy"),
        ({}, {"test": 0.01}, "take another share, or more cases of each class"),
        ({"group": np.array(["g"] * 40)}, {"test": 0.2}, "all cases are of one group"),
        ({"group": np.array(["g", "h"] * 20)}, {"test": 0.2}, "and lack 1 of 2 classes"),
        ({"ends": np.zeros(40, "datetime64[s]")}, {"test": 0.2}, "the train part would have 0"),
        ({"y": np.repeat([0, 1], 20), "ends": np.arange(40).astype("datetime64[s]")},
         {"test": 0.2}, "the new part would have 8 cases and lack 1 of 2 classes"),
    ],
)  # fmt: skip
def test_parts_that_cannot_be_drawn_are_refused(
    fields: dict[str, object], shares: dict[str, float], reason: str
) -> None:
    toy = toy_problem(**fields)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"toy|--") as caught:
        make_parts(toy, **shares)  # type: ignore[arg-type]
    assert reason in str(caught.value)
