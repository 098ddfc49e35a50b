"""Parts and folds drawn out of cases: by class, by group and by time."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import hourly, quake_rule, toy_problem

from foreshock.events.cut import cut
from foreshock.events.partition import PartsConfig
from foreshock.problems import problem as problems
from foreshock.problems.audit import audit
from foreshock.problems.problem import NO_FOLD, Problem
from foreshock.problems.rule import EventRule
from foreshock.problems.splits import KEPT, make_parts, member_folds, resample, trained_by


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
    problem = toy_problem(rule=quake_rule(), ends=np.arange(40).astype("datetime64[h]"))
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
        ({}, {"test": 0.0}, "--test must be a share between 0 and 1, got 0.0"),
        ({}, {"valid": 1.0}, "--valid must be a share between 0 and 1, got 1.0"),
        ({"classes": (), "y": np.full(40, -1)}, {"test": 0.2}, "needs at least two labelled"),
        ({"part": np.full(40, 2, np.uint8)}, {"valid": 0.2}, "needs at least two labelled"),
        ({"y": np.repeat([0, 1], [39, 1])}, {"test": 0.2}, "cannot draw a test part from toy"),
        ({}, {"test": 0.01}, "use another share, or more cases of each class"),
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
    toy = toy_problem(**fields)
    with pytest.raises(ValueError, match=r"toy|--") as caught:
        make_parts(toy, **shares)
    assert reason in str(caught.value)


# the folds of members


@given(st.lists(st.sampled_from([0, 1, 2, NO_FOLD]), min_size=1, max_size=20))
def test_a_member_is_trained_on_what_is_neither_in_its_fold_nor_next_to_it(
    codes: list[int],
) -> None:
    fold = np.array([NO_FOLD, *codes], np.uint8)
    train = np.arange(1, len(fold))  # the first case is of another part
    for member in range(3):
        expected = []
        for at, code in enumerate(codes):
            before = next((c for c in codes[at::-1] if c != NO_FOLD), None)
            after = next((c for c in codes[at:] if c != NO_FOLD), None)
            if member not in (code, before, after):
                expected.append(at + 1)
        assert trained_by(fold, train, member).tolist() == expected


@pytest.mark.parametrize("counts", [(20, 20), (30, 7, 3), (5, 2), (2, 2, 2), (2,) * 20])
def test_folds_at_random_are_of_one_size_and_spread_each_class(counts: tuple[int, ...]) -> None:
    y = np.random.default_rng(3).permutation(np.repeat(np.arange(len(counts)), counts))
    toy = toy_problem(len(y), classes=tuple(map(str, range(len(counts)))), y=y)
    fold = member_folds(toy, 5, seed=0)
    sizes = np.bincount(fold, minlength=5)
    assert len(sizes) == 5 and sizes.max() - sizes.min() <= 1
    for label in range(len(counts)):
        of_class = np.bincount(fold[y == label], minlength=5)
        assert of_class.max() - of_class.min() <= 1
    for member in range(5):
        np.testing.assert_array_equal(
            trained_by(fold, np.arange(len(y)), member), np.flatnonzero(fold != member)
        )


def test_the_seed_decides_the_folds_and_only_the_train_part_has_any() -> None:
    toy = toy_problem(60, part=np.tile([0, 1, 2], 20).astype(np.uint8))
    first, again, other = (member_folds(toy, 4, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(first != NO_FOLD, toy.part == 0)
    assert set(first[toy.part == 0].tolist()) == {0, 1, 2, 3}


def test_a_group_is_in_one_fold() -> None:
    group = np.array([f"g{k % 12}" for k in range(100)])
    y = np.random.default_rng(2).integers(0, 2, 100)
    for fields in ({}, {"ends": np.arange(100).astype("datetime64[s]")}):
        toy = toy_problem(100, y=y, group=group, **fields)
        fold = member_folds(toy, 4, seed=1)
        assert set(fold.tolist()) == {0, 1, 2, 3}
        assert all(len(set(fold[group == name].tolist())) == 1 for name in set(group.tolist()))


def test_folds_of_cases_with_times_are_stretches_of_time() -> None:
    order = np.random.default_rng(1).permutation(41)
    toy = toy_problem(41, y=order % 2, ends=order.astype("datetime64[s]"))
    fold = member_folds(toy, 4, seed=0)
    assert (np.diff(fold[np.argsort(order)].astype(int)) >= 0).all()
    assert sorted(np.bincount(fold).tolist()) == [10, 10, 10, 11]


@given(st.lists(st.integers(0, 9), min_size=12, max_size=40), st.integers(2, 4))
def test_cases_of_one_time_are_in_one_fold(times: list[int], number: int) -> None:
    y, ends = np.resize([0, 1], len(times)), np.array(times).astype("datetime64[s]")
    toy = toy_problem(len(times), y=y, ends=ends)
    expected = np.array([sum(t < time for t in times) * number // len(times) for time in times])
    left = [set(y[expected != k].tolist()) for k in range(number)]
    if set(expected.tolist()) == set(range(number)) and all(len(classes) == 2 for classes in left):
        np.testing.assert_array_equal(member_folds(toy, number, seed=0), expected)
    else:
        with pytest.raises(ValueError, match=r"would leave out|too few for"):
            member_folds(toy, number, seed=0)


def cut_problem(parts: PartsConfig, rule: EventRule | None = None, n: int = 2500) -> Problem:
    random = np.random.default_rng(0)
    values = random.uniform(0.5, 3.9, n)
    values[random.choice(n, n // 20, replace=False)] = 6
    readings = hourly(values[None].astype(np.float32))
    return cut(readings, rule or quake_rule(window=7, quiet=0, min_active=0, overlap=True), parts)


def spans(problem: Problem, cases: np.ndarray) -> set[int]:
    """Return the readings of some cases, their leads and targets among them."""
    assert problem.readings is not None and problem.ends is not None and problem.rule is not None
    rule = problem.rule
    ends = problem.readings.positions(problem.ends[cases])
    return {
        reading
        for end in ends.tolist()
        for reading in range(end + 1 - rule.window, end + 1 + rule.lead + rule.horizon)
    }


RULES = [
    quake_rule(window=7, quiet=0, min_active=0, overlap=True),
    quake_rule(window=7, quiet=0, min_active=0, lead=3, horizon=5, stride=3, overlap=True),
    quake_rule(window=4, quiet=2, min_active=0, lead=1, horizon=2),
]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("known", "number"), [(5, 5), (5, 4), (5, 3), (5, 2), (7, 3), (4, 2)])
def test_folds_of_time_are_put_together_and_members_see_nothing_near_their_own(
    rule: EventRule, known: int, number: int
) -> None:
    problem = cut_problem(PartsConfig(folds=known, valid=0.2, embargo=9), rule)
    train, before = problem.select("train"), problem.fold
    assert before is not None
    fold = member_folds(problem, number, seed=0)
    assert (fold[problem.part > 0] == NO_FOLD).all()
    for code in range(known):  # a fold of the problem stays whole
        np.testing.assert_array_equal(fold[before == code], code * number // known)
    codes = fold[train][fold[train] != NO_FOLD].astype(int)
    assert (np.diff(codes) >= 0).all() and set(codes.tolist()) == set(range(number))
    for member in range(number):
        left_out = np.flatnonzero(fold == member)
        assert (np.diff(left_out) == 1).all()  # with those between two of one fold
        trained = trained_by(fold, train, member)
        assert not set(trained) & set(left_out)
        mine = spans(problem, left_out)
        near = set(range(min(mine) - 9, max(mine) + 10))
        assert not near & spans(problem, trained)
        others = train[(fold[train] != member) & (fold[train] != NO_FOLD)]
        assert set(others.tolist()) <= set(trained.tolist())


def test_cases_between_two_folds_train_the_members_of_others() -> None:
    problem = cut_problem(PartsConfig(folds=3))
    train, fold = problem.select("train"), member_folds(problem, 3, seed=0)
    between = train[fold[train] == NO_FOLD]
    trained = [set(trained_by(fold, train, k).tolist()) for k in range(3)]
    edge = np.flatnonzero(fold == 1)[0]
    for case in between.tolist():
        assert [case in some for some in trained] == (
            [False, False, True] if case < edge else [True, False, False]
        )
    assert 0 < (between < edge).sum() < len(between)


def test_cases_that_share_no_readings_need_no_folds_of_time() -> None:
    problem = cut_problem(PartsConfig(order="random", test=0.2), RULES[2])
    assert problem.fold is None
    train, fold = problem.select("train"), member_folds(problem, 5, seed=0)
    for member in range(5):
        trained = trained_by(fold, train, member)
        assert len(trained) + (fold == member).sum() == len(train)
        assert not spans(problem, trained) & spans(problem, np.flatnonzero(fold == member))


@pytest.mark.parametrize(
    ("fields", "number", "reason"),
    [
        ({"y": np.repeat([0, 1], [39, 1]), "group": np.array([f"g{k}" for k in range(40)])}, 5,
         "one of 5 members would leave out all cases of class 'b' of toy: use fewer"
         " members, or more cases."),
        ({"group": np.array([f"g{k % 2}" for k in range(40)])}, 2,
         "one of 2 members would leave out all cases of class"),
        ({"group": np.array([f"g{k // 10}" for k in range(40)])}, 5,
         "cannot divide toy among 5 members: "),
        ({"group": np.array([f"g{k}" for k in range(40)])}, 21,
         "cannot divide toy among 21 members: "),
        ({"part": np.repeat([0, 2], [4, 36]).astype(np.uint8)}, 5, "too few for 5 members"),
        ({"ends": np.zeros(40, "datetime64[s]")}, 2, "would leave out all cases of class"),
        ({"ends": np.arange(40).astype("datetime64[s]"), "y": np.repeat([0, 1], 20)}, 2,
         "would leave out all cases of class"),
        ({"fold": np.repeat(np.arange(4, dtype=np.uint8), 10)}, 5,
         "toy has only 4 folds of time: use at most as many members, or cut it with"
         " --parts.folds 5."),
        ({"fold": np.repeat(np.arange(4, dtype=np.uint8), 10), "y": np.repeat([0, 1], 20)}, 2,
         "would leave out all cases of class 'a'"),
        ({"rule": quake_rule(overlap=True), "ends": np.arange(40).astype("datetime64[h]")}, 5,
         "the cases of toy share readings and have no folds of time"),
    ],
)  # fmt: skip
def test_folds_that_cannot_be_are_refused(
    fields: dict[str, object], number: int, reason: str
) -> None:
    with pytest.raises(ValueError, match="toy") as caught:
        member_folds(toy_problem(**fields), number, seed=0)
    assert reason in str(caught.value)


def test_the_only_case_of_a_class_is_left_out_by_no_member() -> None:
    y = np.repeat([0, 1, 2], [1, 38, 1])
    fold = member_folds(toy_problem(y=y, classes=("a", "b", "c")), 5, seed=0)
    assert fold[[0, 39]].tolist() == [KEPT, KEPT]
    sizes = np.bincount(fold[1:39], minlength=5)
    assert len(sizes) == 5 and sizes.max() - sizes.min() <= 1
    for member in range(5):
        assert set(y[trained_by(fold, np.arange(40), member)]) == {0, 1, 2}


def test_folds_of_time_come_before_groups() -> None:
    fold = np.repeat(np.array([0, NO_FOLD, 1], np.uint8), [18, 4, 18])
    toy = toy_problem(fold=fold, group=np.array([f"g{k % 7}" for k in range(40)]))
    np.testing.assert_array_equal(member_folds(toy, 2, seed=0), fold)
    whole = replace(toy, fold=np.repeat(np.array([0, NO_FOLD, 0, 1], np.uint8), [8, 2, 10, 20]))
    assert set(member_folds(whole, 2, seed=0)[:20].tolist()) == {0}


def test_a_problem_is_resampled_with_the_sizes_and_the_balance_that_it_had() -> None:
    part = np.array([0] * 11 + [1] * 9 + [2] * 20, np.uint8)
    problem = toy_problem(n_classes=3, part=part)
    drawn = [resample(problem, seed) for seed in (1, 1, 2)]
    for each in drawn:
        for code in range(3):
            for label in range(3):
                old = ((problem.part == code) & (problem.y == label)).sum()
                assert ((each.part == code) & (each.y == label)).sum() == old
    assert np.array_equal(drawn[0].part, drawn[1].part)
    assert not np.array_equal(drawn[0].part, drawn[2].part)
    assert not np.array_equal(drawn[0].part, problem.part)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"group": np.array(["a", "b"] * 20)}, "groups, which a resample would mix"),
        ({"ends": np.arange(40).astype("datetime64[s]")}, "times, which a resample would mix"),
        ({"part": np.zeros(40, np.uint8)}, "has no test part to resample"),
    ],
)
def test_what_cannot_be_resampled_says_why(fields: dict[str, object], message: str) -> None:
    part = np.repeat(np.array([0, 2], np.uint8), 20)
    with pytest.raises(ValueError, match=message):
        resample(toy_problem(**{"part": part, **fields}), 1)
