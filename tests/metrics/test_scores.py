"""metrics: scores by hand and by scikit-learn, on every shape of problem."""

import math
import re
import time

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from foreshock.metrics import intervals
from foreshock.metrics.intervals import (
    auroc,
    auroc_by_blocks,
    compare_auroc,
    compare_by_blocks,
    mcnemar,
    proportion,
    ranked_by_chance,
    share_by_blocks,
)
from foreshock.metrics.scores import NAMES, Metrics, auroc_interval, measure, score

EVEN = np.full(2, 0.5)


def probabilities(n_cases: int, n_classes: int, seed: int = 0) -> NDArray[np.float32]:
    raw = np.random.default_rng(seed).random((n_cases, n_classes))
    return (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)


def even(n_classes: int) -> NDArray[np.float64]:
    return np.full(n_classes, 1 / n_classes)


def test_two_classes_are_scored_as_by_hand() -> None:
    proba = np.float32([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3], [0.2, 0.8]])
    scores = score(np.array([0, 0, 1, 1]), proba, ("calm", "quake"), prior=np.array([0.7, 0.3]))
    model, always = scores.model, scores.baselines["always 'calm'"]
    assert scores.n_cases == 4
    assert scores.majority == "calm"
    assert model.accuracy.value == model.balanced_accuracy.value == always.accuracy.value == 0.5
    assert model.macro_f1.value == 0.5
    assert model.mcc.value == 0
    log_loss = -np.log([0.9, 0.4, 0.3, 0.8]).mean()
    assert model.log_loss.value == pytest.approx(log_loss, abs=1e-6)
    assert model.brier.value == pytest.approx((0.01 + 0.36 + 0.49 + 0.04) / 4)
    assert model.auroc.value == 0.75  # 3 of the 4 pairs are in order
    assert model.average_precision.value == pytest.approx((1 + 2 / 3) / 2)
    assert scores.classes == ("calm", "quake")
    assert scores.confusion == ((1, 1), (1, 1))
    prior = scores.baselines["class prior"]
    assert prior.log_loss.value == pytest.approx(-np.log([0.7, 0.7, 0.3, 0.3]).mean())
    assert prior.auroc.value == 0.5


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_scores_are_those_of_scikit_learn(n_classes: int) -> None:
    y = np.arange(70) % n_classes
    proba = probabilities(70, n_classes)
    prior = even(n_classes) + 0.1 * (np.arange(n_classes) == 1)
    scores = score(y, proba, tuple("abcdefg"[:n_classes]), prior=prior)
    model = scores.model
    exact = proba.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    guess = exact.argmax(axis=1)
    ranking = exact[:, 1] if n_classes == 2 else exact
    onehot = y if n_classes == 2 else np.eye(n_classes)[y]
    assert model.auroc is not None
    assert model.average_precision is not None
    assert model.accuracy.value == metrics.accuracy_score(y, guess)
    assert model.balanced_accuracy.value == pytest.approx(metrics.balanced_accuracy_score(y, guess))
    assert model.macro_f1.value == metrics.f1_score(y, guess, average="macro")
    assert model.mcc.value == metrics.matthews_corrcoef(y, guess)
    assert model.log_loss.value == pytest.approx(metrics.log_loss(y, exact))
    assert model.brier.value == pytest.approx(metrics.brier_score_loss(onehot, ranking))
    assert model.auroc.value == pytest.approx(metrics.roc_auc_score(y, ranking, multi_class="ovr"))
    assert model.average_precision.value == pytest.approx(
        metrics.average_precision_score(onehot, ranking)
    )
    assert scores.confusion == tuple(map(tuple, metrics.confusion_matrix(y, guess).tolist()))
    always = scores.baselines["always 'b'"]
    assert always.accuracy.value == metrics.accuracy_score(y, np.ones_like(y))


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_every_score_lies_in_its_interval_and_the_interval_in_its_bounds(n_classes: int) -> None:
    for seed in range(20):
        n_cases = 10 + 20 * seed
        y = np.random.default_rng(seed).integers(n_classes, size=n_cases)
        proba = probabilities(n_cases, n_classes, seed)
        if seed % 4 == 0:
            proba = np.eye(n_classes, dtype=np.float32)[y if seed else y * 0]
        scores = score(y, proba, tuple("abcdefg"[:n_classes]), prior=even(n_classes))
        for found in (scores.model, *scores.baselines.values()):
            for name in NAMES:
                estimate = getattr(found, name)
                if estimate is None or estimate.low is None:
                    continue
                top = np.inf if name in ("log_loss", "brier") else 1
                least = -1 if name == "mcc" else 0
                assert least <= estimate.low <= estimate.value <= estimate.high <= top, name


def test_the_calibration_error_is_that_of_a_plain_reading_of_it() -> None:
    y, proba = np.arange(200) % 3, probabilities(200, 3).astype(np.float64)
    proba /= proba.sum(axis=1, keepdims=True)
    confidence, right = proba.max(axis=1), proba.argmax(axis=1) == y
    expected = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence >= low) & (confidence < low + 1 / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    found = score(y, proba, ("a", "b", "c"), prior=even(3)).model.calibration_error
    assert found.value == pytest.approx(expected)


def test_a_class_that_the_part_lacks_leaves_the_ranking_scores_undefined() -> None:
    scores = score(np.array([0, 1, 0]), probabilities(3, 3), ("a", "b", "c"), prior=even(3))
    assert scores.model.auroc is None
    assert scores.model.average_precision is None
    assert np.sum(scores.confusion) == 3
    assert len(scores.confusion) == 3


def test_balanced_accuracy_is_of_the_classes_that_the_part_has() -> None:
    proba = np.float32([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.1, 0.8, 0.1]])
    scores = score(np.array([0, 1, 1]), proba, ("a", "b", "c"), prior=even(3))
    assert scores.model.balanced_accuracy.value == (1 + 1 / 2) / 2


def test_one_case_is_scored() -> None:
    prior = np.array([0.6, 0.4])
    scores = score(np.array([1]), np.float32([[0.25, 0.75]]), ("a", "b"), prior=prior)
    assert scores.model.accuracy.value == 1
    assert scores.baselines["always 'a'"].accuracy.value == 0
    assert scores.model.log_loss.value == pytest.approx(-math.log(0.75))
    assert scores.model.auroc is None
    assert scores.tests["majority"].verdict == "not distinguishable"


def test_equal_probabilities_give_the_first_class_and_an_auroc_of_one_half() -> None:
    scores = score(np.array([0, 1]), np.full((2, 2), 0.5, np.float32), ("a", "b"), prior=EVEN)
    assert scores.confusion == ((1, 0), (1, 0))
    assert scores.model.auroc.value == 0.5


def test_the_log_loss_of_a_certain_error_is_finite() -> None:
    scores = score(np.array([0, 1]), np.float32([[0, 1], [1, 0]]), ("a", "b"), prior=EVEN)
    assert 30 < scores.model.log_loss.value < 50


@pytest.mark.parametrize("off", [-1e-6, 1e-6])
def test_rows_that_sum_to_one_up_to_rounding_are_taken(off: float) -> None:
    proba = probabilities(20, 3) * np.float32(1 + off)
    y = np.arange(20) % 3
    found = score(y, proba, ("a", "b", "c"), prior=even(3)).model.log_loss
    expected = score(y, probabilities(20, 3), ("a", "b", "c"), prior=even(3)).model.log_loss
    assert found.value == pytest.approx(expected.value, abs=1e-6)


def test_other_rankings_are_scored_on_the_same_cases() -> None:
    y = np.array([0, 0, 1, 1])
    proba = probabilities(4, 2)
    others = {"count": np.array([1, 2, 3, 4]), "nothing": np.zeros(4)}
    found = score(y, proba, ("no", "yes"), prior=EVEN, rankings=others).rankings
    assert {name: each.value for name, each in found.items()} == {"count": 1.0, "nothing": 0.5}
    assert score(y * 0, proba, ("no", "yes"), prior=EVEN, rankings=others).rankings == {}
    assert score(y, proba, ("no", "yes"), prior=EVEN).rankings == {}


# what the tests say


def verdicts(y: NDArray[np.int64], proba: NDArray[np.floating]) -> dict[str, str]:
    share = np.bincount(y, minlength=2) / len(y)
    even_odds = np.full_like(proba, 0.5)
    tests = score(y, proba, ("no", "yes"), prior=share, baselines={"coin": even_odds}).tests
    return {name: test.verdict for name, test in tests.items()}


def test_always_the_majority_is_not_distinguishable_from_itself() -> None:
    y = np.repeat([0, 1], [104, 35])
    found = verdicts(y, np.tile([0.75, 0.25], (139, 1)))
    assert found["majority"] == found["chance"] == found["coin"] == "not distinguishable"


def test_a_perfect_model_is_better_and_a_perverse_one_is_worse() -> None:
    y = np.repeat([0, 1], [104, 35])
    right = np.eye(2)[y] * 0.8 + 0.1
    assert set(verdicts(y, right).values()) == {"better"}
    assert set(verdicts(y, right[:, ::-1]).values()) == {"worse"}


def two(likely: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.stack([1 - likely, likely], axis=1)


def sentence(
    y: NDArray[np.int64],
    proba: NDArray[np.floating],
    *,
    blocks: NDArray[np.int64] | None = None,
    **baselines: NDArray[np.floating],
) -> str:
    prior = np.array([1 - y.mean(), y.mean()])
    given = {name.replace("_", " "): two(likely) for name, likely in baselines.items()}
    found = score(y, two(proba), ("no", "yes"), prior=prior, baselines=given, blocks=blocks)
    return found.sentence


def logistic(logit: NDArray[np.floating]) -> NDArray[np.floating]:
    return 1 / (1 + np.exp(-logit))


def test_the_first_sentence_compares_the_ranking_with_the_best_baseline() -> None:
    y = np.repeat([0, 1], [104, 35])
    random = np.random.default_rng(0)
    likely = random.random(139) * 0.2 + 0.25 * y
    said = sentence(y, likely, last_reading=random.random(139), window_summary=random.random(139))
    assert re.fullmatch(
        r"Better than a logistic regression on the (last reading|window's summary): AUROC 1\.000"
        r" \(0\.9\d\d to 1\.000\) beside 0\.\d{3} on 139 cases \(DeLong's test, p < 0\.0001\)\. It"
        r" is better than chance \(0\.5; Mann-Whitney test, p < 0\.0001\)\. Its accuracy, 0\.748"
        r" \(0\.670 to 0\.813\), is not better than that of always 'no' \(0\.748; McNemar's test,"
        r" p = 1\)\.",
        said,
    )


def test_without_a_baseline_the_ranking_is_compared_with_chance() -> None:
    y = np.arange(60) % 2
    likely = 0.3 + 0.4 * y
    assert sentence(y, likely).startswith("Better than chance: AUROC 1.000 (0.900 to 1.000) on 60")


SEEDS = range(20)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make rough intervals, of which a sentence says little."""
    monkeypatch.setattr(intervals, "_RESAMPLES", 20)


def cases(seed: int, n: int = 400, share: float = 0.3) -> tuple[np.random.Generator, NDArray]:
    random = np.random.default_rng(seed)
    return random, (random.random(n) < share).astype(np.int64)


@pytest.mark.usefixtures("quick")
def test_a_model_that_knows_more_is_called_better_than_the_best_baseline() -> None:
    right = 0
    for seed in SEEDS:
        random, y = cases(seed)
        last = random.normal(size=len(y)) + 0.5 * y
        more = 0.5 * last + random.normal(size=len(y)) + 2 * y
        said = sentence(y, logistic(more), last_reading=logistic(last), age=random.random(len(y)))
        right += said.startswith("Better than a logistic regression on the last reading: AUROC")
    assert right == 20


@pytest.mark.usefixtures("quick")
def test_a_model_no_better_than_the_last_reading_is_said_to_be_no_better() -> None:
    right = 0
    for seed in SEEDS:
        random, y = cases(seed, 600)
        last = random.normal(size=len(y)) + 1.5 * y
        noisy = [logistic(last + 0.1 * random.normal(size=len(y))) for _ in range(3)]
        said = sentence(
            y,
            noisy[0],
            last_reading=logistic(last),
            window_summary=noisy[1],
            gradient_boosting=noisy[2],
        )
        right += said.startswith("Not better than a logistic regression on the last reading: AUROC")
    assert right >= 19


@pytest.mark.usefixtures("quick")
def test_a_model_that_knows_less_is_called_worse() -> None:
    for seed in SEEDS:
        random, y = cases(seed)
        last = random.normal(size=len(y)) + 3 * y
        said = sentence(
            y, logistic(last + 3 * random.normal(size=len(y))), window_summary=logistic(last)
        )
        assert said.startswith("Worse than a logistic regression on the window's summary: AUROC")


@pytest.mark.usefixtures("quick")
def test_where_labels_are_shuffled_nothing_is_better_than_chance() -> None:
    right = 0
    for seed in SEEDS:
        random, y = cases(seed)
        others = random.random((3, len(y)))
        said = sentence(
            y,
            random.random(len(y)),
            last_reading=others[0],
            window_summary=others[1],
            gradient_boosting=others[2],
        )
        right += said.startswith("Nothing is better than chance: the model has AUROC")
    assert right >= 19


def test_a_model_at_chance_beside_a_baseline_that_is_not_is_said_so() -> None:
    random, y = cases(0)
    said = sentence(y, random.random(len(y)), last_reading=logistic(random.normal(size=400) + y))
    assert re.match(
        r"Not better than chance: AUROC 0\.\d+ .*; the best baseline, a logistic regression on the"
        r" last reading, is, with 0\.\d+ \(Mann-Whitney test, p < 0\.0001\)\.",
        said,
    )


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("more", "knows"), [(0.0, "no more"), (2.5, "more")])
def test_where_age_foretells_the_events_it_says_so_and_whether_the_model_knows_more(
    more: float, knows: str
) -> None:
    right = 0
    for seed in SEEDS:
        random, y = cases(seed)
        age = random.normal(size=len(y)) + 2 * y
        own = age + more * y + 0.05 * random.normal(size=len(y))
        last = random.normal(size=len(y)) + 0.3 * y
        said = sentence(y, logistic(own), last_reading=logistic(last), age=logistic(age))
        if more:
            right += said.startswith("Better than age alone, the time since a unit's start: AUROC")
        else:
            right += said.startswith("Not better than age alone, the time since a unit's start:")
        if not more:
            assert "Age alone" not in said
    assert right >= 19
    random, y = cases(1)
    age, last = (random.normal(size=len(y)) + gain * y for gain in (1, 2))
    said = sentence(
        y, logistic(age + last + more * y), last_reading=logistic(last), age=logistic(age)
    )
    assert re.search(
        r"Age alone, the time since a unit's start, has 0\.7\d\d; the model knows more", said
    )


def test_the_accuracy_is_left_out_where_events_are_rare() -> None:
    random, y = cases(0, 2000, share=0.05)
    said = sentence(y, logistic(random.normal(size=2000) + 2 * y), last_reading=random.random(2000))
    assert said.startswith("Better than")
    assert "accuracy" not in said


def test_a_simpler_baseline_that_does_as_well_is_named_and_the_best_beside_it() -> None:
    random, y = cases(3, 300)
    last = random.normal(size=300) + 1.2 * y
    summary = logistic(last + 0.2 * random.normal(size=300) + 0.05 * y)
    said = sentence(y, summary, last_reading=logistic(last), window_summary=summary)
    assert said.startswith("Not better than a logistic regression on the last reading: AUROC 0.")
    assert "The best baseline, a logistic regression on the window's summary, has 0." in said


def test_more_classes_are_compared_with_the_baseline_of_the_highest_accuracy() -> None:
    random = np.random.default_rng(0)
    y = random.integers(3, size=300)
    weak, strong = (np.exp(random.normal(size=(300, 3)) + gain * np.eye(3)[y]) for gain in (1, 3))
    weak, strong = (each / each.sum(axis=1, keepdims=True) for each in (weak, strong))
    found = score(y, strong, ("a", "b", "c"), prior=even(3), baselines={"series summary": weak})
    assert re.match(
        r"Better than a logistic regression on the summary of a series: accuracy 0\.9\d+ \(.*\)"
        r" beside 0\.\d+ on 300 cases \(McNemar's test, p < 0\.0001\)\. Always 'a' has 0\.3\d+\.",
        found.sentence,
    )
    assert found.best == "series summary"
    assert set(found.tests) == {"majority", "series summary"}
    found = score(y, weak, ("a", "b", "c"), prior=even(3), baselines={"series summary": strong})
    assert found.sentence.startswith("Worse than a logistic regression on the summary of a series")


def test_the_information_gain_is_in_bits_per_event() -> None:
    y = np.repeat([0, 1], [90, 10])
    likely = np.where(y == 1, 0.4, 0.05)
    found = score(y, two(likely), ("no", "yes"), prior=np.array([0.9, 0.1]))
    gain = np.log2(0.4 / 0.1) + 9 * np.log2(0.95 / 0.9)
    assert found.information_gain() == pytest.approx(gain)
    assert found.information_gain("class prior") == 0
    none = score(y * 0, two(likely), ("no", "yes"), prior=np.array([0.9, 0.1]))
    assert none.information_gain() is None


# cases that are alike within blocks


def alike(seed: int, n_blocks: int, size: int) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Classes and two equally good rankings that hardly differ within a block."""
    random = np.random.default_rng(seed)
    blocks = np.repeat(np.arange(n_blocks), size)
    level = random.normal(size=n_blocks)
    y = (random.random(len(blocks)) < logistic(1.5 * level - 2)[blocks]).astype(np.int64)
    first, second = (
        (level + random.normal(size=n_blocks))[blocks] + 0.3 * random.normal(size=len(blocks))
        for _ in range(2)
    )
    return y, first, second, blocks


def test_equal_rankings_of_alike_cases_are_seldom_told_apart() -> None:
    found, naive, chance = [], [], []
    for seed in range(150):
        y, first, second, blocks = alike(seed, 60, 20)
        tests = compare_by_blocks(y, first, second, blocks)
        found.append([tests[name].p < 0.05 for name in ("auroc", "average_precision")])
        naive.append(compare_auroc(y, first, second)[1] < 0.05)
        noise = np.random.default_rng(1000 + seed).normal(size=60)[blocks]
        chance.append(auroc_by_blocks((y == 1)[:, None], noise[:, None], blocks)[1] < 0.05)
    assert np.mean(naive) > 0.2
    assert (np.mean(found, axis=0) <= 0.08).all()
    assert np.mean(chance) <= 0.08


def test_a_difference_by_blocks_is_that_of_scikit_learn() -> None:
    y, first, second, blocks = alike(0, 60, 20)
    first[5:9] = second[3]
    tests = compare_by_blocks(y, first, second, blocks)
    expected = metrics.roc_auc_score(y, first) - metrics.roc_auc_score(y, second)
    assert tests["auroc"].difference.value == pytest.approx(expected)
    expected = metrics.average_precision_score(y, first)
    expected -= metrics.average_precision_score(y, second)
    assert tests["average_precision"].difference.value == pytest.approx(expected)
    assert tests == compare_by_blocks(y, first, second, blocks)
    assert compare_by_blocks(y, first, first, blocks)["auroc"].p == 1


def test_blocks_of_one_case_are_tested_as_delong_does() -> None:
    random = np.random.default_rng(0)
    y = (random.random(250) < 0.3).astype(np.int64)
    first, second = (random.normal(size=250) + y for _ in range(2))
    plain = compare_auroc(y, first, second)[0]
    found = compare_by_blocks(y, first, second, np.arange(250))["auroc"].difference
    assert found.value == pytest.approx(plain.value)
    assert found.high - found.low == pytest.approx(plain.high - plain.low, rel=0.1)


def test_few_blocks_are_not_tested() -> None:
    y, first, second, blocks = alike(0, 4, 100)
    assert compare_by_blocks(y, first, second, blocks)["auroc"].p is None
    said = sentence(y, logistic(first), blocks=blocks, last_reading=logistic(second))
    assert "in 4 blocks rankings are not compared" in said
    assert "p not known" in said


@pytest.mark.slow
def test_intervals_by_blocks_hold_the_true_score_where_others_do_not() -> None:
    truth = measure_first(alike(1000, 5000, 20), blocks=True)
    held = {}
    for by in (True, False):
        found = [measure_first(alike(seed, 60, 20), blocks=by) for seed in range(50)]
        held[by] = {
            name: sum(
                e.low <= getattr(truth, name).value <= e.high
                for e in (getattr(each, name) for each in found)
            )
            for name in ("auroc", "average_precision", "log_loss", "accuracy")
        }
    assert min(held[True].values()) >= 43, held
    assert max(held[False][name] for name in ("auroc", "average_precision")) < 40, held


def measure_first(drawn: tuple[NDArray, NDArray, NDArray, NDArray], *, blocks: bool) -> Metrics:
    y, first, _, block = drawn
    return measure(y, two(logistic(first - 2)), 0, block if blocks else None)


def test_two_hundred_thousand_cases_are_compared_in_seconds() -> None:
    random = np.random.default_rng(0)
    y = (random.random(200_000) < 0.05).astype(np.int64)
    first, second = (random.normal(size=len(y)) + y for _ in range(2))
    begun = time.process_time()
    found = compare_by_blocks(y, first, second, np.arange(len(y)) // 1000)["auroc"]
    assert time.process_time() - begun < 10
    expected = metrics.roc_auc_score(y, first) - metrics.roc_auc_score(y, second)
    assert found.difference.value == pytest.approx(expected, abs=1e-4)


def test_models_of_more_classes_are_compared_by_accuracy_alone() -> None:
    y = np.arange(60) % 3
    scores = score(y, np.eye(3)[y], ("a", "b", "c"), prior=even(3))
    assert list(scores.tests) == ["majority"]
    assert scores.best == "always 'a'"
    assert scores.sentence.startswith("Better than always 'a': accuracy 1.000 (0.940 to 1.000)")


def test_the_test_of_the_accuracy_is_mcnemars_exact_one() -> None:
    first = np.repeat([True, True, False, False], [50, 9, 2, 10])
    second = np.repeat([True, False, True, False], [50, 9, 2, 10])
    expected = 2 * sum(math.comb(11, k) for k in range(3)) / 2**11
    assert mcnemar(first, second) == pytest.approx(expected)
    assert mcnemar(first, first) == 1


@pytest.mark.parametrize(("positives", "negatives"), [(2, 20), (3, 30), (35, 104)])
def test_chance_is_called_better_or_worse_as_seldom_as_the_test_says(
    positives: int, negatives: int
) -> None:
    random, y = np.random.default_rng(0), np.repeat([True, False], [positives, negatives])
    found = [ranked_by_chance(y, random.normal(size=len(y))) < 0.05 for _ in range(1000)]
    assert np.mean(found) < 0.07
    assert ranked_by_chance(y, y * 1.0) < (0.05 if positives > 2 else 0.06)
    assert ranked_by_chance(y, y * 0.0) == 1


def test_rankings_of_few_cases_are_not_tested() -> None:
    y = np.repeat([1, 0], [9, 50])
    random = np.random.default_rng(0)
    found, p = compare_auroc(y, random.normal(size=59) + y, random.normal(size=59))
    assert p is None
    assert found.low is not None
    share = np.array([0.8, 0.2])
    proba = np.stack([1 - y * 0.5, y * 0.5], axis=1)
    given = {"last reading": two(random.random(59))}
    scores = score(y, proba, ("no", "yes"), prior=share, baselines=given)
    assert scores.tests["last reading"].p is None
    assert scores.sentence.startswith("Not better than always 'no': accuracy 0.847")
    assert "a logistic regression on the last reading 0." in scores.sentence
    assert "with 9 cases of a class rankings are not compared" in scores.sentence


def test_where_nothing_can_be_said_no_interval_is_given() -> None:
    y = np.arange(20) % 2
    wrong = score(y, np.eye(2)[1 - y], ("a", "b"), prior=EVEN).model
    assert wrong.macro_f1.low is wrong.mcc.low is None
    one = score(np.array([1]), np.array([[0.3, 0.7]]), ("a", "b"), prior=EVEN).model
    assert one.log_loss.low is None
    single = np.repeat([0, 1], [30, 1])
    found = score(single, np.eye(2)[single], ("a", "b"), prior=EVEN).model
    assert found.average_precision.low is None


# intervals


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (10, 10), (105, 139), (1, 3)])
def test_the_interval_of_a_proportion_is_wilsons(hits: int, n: int) -> None:
    z, p = 1.959964, hits / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    found = proportion(hits, n)
    assert (found.low, found.high) == pytest.approx((centre - reach, centre + reach), abs=1e-6)


def test_the_same_cases_have_the_same_intervals() -> None:
    y, proba = np.arange(50) % 2, probabilities(50, 2)
    first, second = (score(y, proba, ("a", "b"), prior=EVEN) for _ in range(2))
    assert first == second


def test_perfect_predictions_of_few_cases_are_not_certain() -> None:
    y = np.arange(20) % 2
    model = score(y, np.eye(2)[y], ("a", "b"), prior=EVEN).model
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "auroc", "average_precision"):
        estimate = getattr(model, name)
        assert estimate.value == 1
        assert 0.3 < estimate.low < 0.95, name
    assert model.macro_f1.low == pytest.approx(model.accuracy.low)


def test_scores_of_many_cases_have_the_intervals_of_all_of_them() -> None:
    random = np.random.default_rng(0)
    y = random.integers(2, size=40_000)
    likely = 1 / (1 + np.exp(-(random.normal(size=len(y)) + y - 0.5)))
    model = score(y, np.stack([1 - likely, likely], axis=1), ("a", "b"), prior=EVEN).model
    each = -np.log(np.where(y == 1, likely, 1 - likely))
    reach = 1.96 * each.std() / math.sqrt(len(y))
    assert model.log_loss.low == pytest.approx(each.mean() - reach, abs=0.15 * reach)
    assert model.log_loss.high == pytest.approx(each.mean() + reach, abs=0.15 * reach)


def test_intervals_hold_the_true_score_about_as_often_as_they_say() -> None:
    names = ("balanced_accuracy", "macro_f1", "mcc", "log_loss", "brier")
    random = np.random.default_rng(3)

    def part(n: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        y = np.repeat([0, 1], [3 * n, n])
        logit = random.normal(size=4 * n) + 1.5 * y - 1.2
        likely = 1 / (1 + np.exp(-1.5 * logit))
        return y, np.stack([1 - likely, likely], axis=1)

    truth = measure(*part(10_000), 0)
    found = [measure(*part(35), 0) for _ in range(100)]
    for name in names:
        estimates = [getattr(each, name) for each in found]
        held = sum(e.low <= getattr(truth, name).value <= e.high for e in estimates)
        assert 88 <= held <= 99, name


def test_two_rankings_of_the_same_cases_are_compared_as_delong_does() -> None:
    random = np.random.default_rng(0)
    y = (random.random(120) < 0.3).astype(np.int64)
    first = random.normal(size=120) + y
    second = 0.5 * first + random.normal(size=120)
    found, p = compare_auroc(y, first, second)
    variance = 0.0
    pairs = [(r[y == 1][:, None] > r[y == 0]) * 1.0 for r in (first, second)]
    for axis in (1, 0):
        gap = pairs[0].mean(axis=axis) - pairs[1].mean(axis=axis)
        variance += gap.var(ddof=1) / len(gap)
    difference = pairs[0].mean() - pairs[1].mean()
    assert found.value == pytest.approx(difference)
    assert p == pytest.approx(math.erfc(abs(difference) / math.sqrt(2 * variance)))


def test_the_interval_of_the_mean_auroc_of_more_classes_holds_it() -> None:
    random = np.random.default_rng(2)
    held = 0
    for _ in range(100):
        y = np.arange(90) % 3
        proba = np.exp(random.normal(size=(90, 3)) + np.eye(3)[y])
        found = auroc(np.eye(3, dtype=np.bool_)[y], proba / proba.sum(axis=1, keepdims=True))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.8135 <= found.high  # that of 900,000 such cases
    assert 91 <= held <= 99


def plain_delong(y: NDArray[np.int64], ranking: NDArray[np.float64]) -> tuple[float, float]:
    """AUROC and its variance as DeLong et al. define them, pair by pair."""
    positive, negative = ranking[y == 1], ranking[y == 0]
    pairs = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    rows, columns = pairs.mean(axis=1), pairs.mean(axis=0)
    variance = rows.var(ddof=1) / len(rows) + columns.var(ddof=1) / len(columns)
    return float(pairs.mean()), float(variance)


@pytest.mark.parametrize("ties", [False, True])
def test_the_interval_of_the_auroc_is_delongs_on_the_logit_scale(ties: bool) -> None:
    random = np.random.default_rng(0)
    y = (random.random(80) < 0.3).astype(np.int64)
    ranking = random.normal(size=80) + y
    if ties:
        ranking = ranking.round()
    auroc, variance = plain_delong(y, ranking)
    logit = math.log(auroc / (1 - auroc))
    reach = 1.959964 * math.sqrt(variance) / (auroc * (1 - auroc))
    expected = [1 / (1 + math.exp(-(logit + sign * reach))) for sign in (-1, 1)]
    assert auroc_interval(y, ranking) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("auroc", [0.6, 0.8, 0.95])
def test_the_interval_holds_the_true_auroc_as_often_as_it_says(auroc: float) -> None:
    from scipy.stats import norm

    random = np.random.default_rng(1)
    y = np.repeat([1, 0], [35, 104])
    shift = math.sqrt(2) * norm.ppf(auroc)
    held = 0
    for _ in range(500):
        low, high = auroc_interval(y, random.normal(size=139) + shift * y)
        held += low <= auroc <= high
    assert 0.92 <= held / 500 <= 0.98


def test_a_perfect_ranking_of_few_cases_is_not_certain() -> None:
    y = np.repeat([0, 1], [40, 10])
    assert auroc_interval(y, y.astype(float)) == (0.7, 1.0)
    assert auroc_interval(y, -y.astype(float)) == pytest.approx((0.0, 0.3))
    assert auroc_interval(np.array([0, 0, 1, 1]), np.arange(4.0)) == (0.0, 1.0)
    with pytest.raises(ValueError, match="two cases of each class, got 1 and 3"):
        auroc_interval(np.array([0, 0, 0, 1]), np.arange(4.0))


@pytest.mark.parametrize(
    ("y", "proba", "reason"),
    [
        ([0, 1], [[0.5, 0.5], [np.nan, np.nan]], "case 1 .* has no probabilities, but"),
        ([0, 1], np.ma.array([[0.5, 0.5], [0.1, 0.9]], mask=[[1, 1], [0, 0]]), "case 0 .* has no"),
        (np.ma.array([0, 1], mask=[1, 0]), [[0.5, 0.5], [0.1, 0.9]], "and masked classes"),
        ([0, 1], [[0.5, 0.5]], r"proba the shape \(2, 2\), got \(1, 2\)"),
    ],
)
def test_what_is_no_forecast_is_not_scored(y: object, proba: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        score(np.ma.asanyarray(y), np.ma.asanyarray(proba), ("a", "b"), prior=np.ones(2) / 2)


def test_a_share_of_blocks_that_are_all_alike_is_that_of_as_many_cases() -> None:
    hits = np.random.default_rng(0).random(60) < 0.3
    alone = share_by_blocks(hits, np.arange(60))
    repeated = share_by_blocks(np.repeat(hits, 20), np.repeat(np.arange(60), 20))
    assert repeated.low == pytest.approx(alone.low) and repeated.high == pytest.approx(alone.high)
    naive = share_by_blocks(np.repeat(hits, 20), None)
    assert naive.high - naive.low < 0.3 * (repeated.high - repeated.low)


def test_the_interval_of_a_share_holds_the_true_one_nineteen_times_of_twenty() -> None:
    random = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        level = random.beta(2, 8, size=40)  # of a block
        hits = (random.random((40, 25)) < level[:, None]).ravel()
        found = share_by_blocks(hits, np.repeat(np.arange(40), 25))
        held += found.low <= 0.2 <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_a_share_of_none_or_all_has_the_rule_of_threes_bound() -> None:
    none = share_by_blocks(np.zeros(90, bool), np.arange(90) // 3)
    assert (none.value, none.low, none.high) == (0, 0, pytest.approx(0.1))
    every = share_by_blocks(np.ones(90, bool), np.arange(90) // 3)
    assert (every.low, every.high) == (pytest.approx(0.9), 1)
    one = share_by_blocks(np.arange(4) < 1, np.zeros(4, int))
    assert (one.value, one.low, one.high) == (0.25, 0, 1)


def test_deciles_compare_what_was_said_with_what_came() -> None:
    random = np.random.default_rng(0)
    p = random.random(4000)
    y = (random.random(4000) < p).astype(np.int64)
    right = score(y, np.stack([1 - p, p], axis=1), ("no", "yes"), prior=np.array([0.5, 0.5]))
    held, n = right.calibrated
    assert n == 10 and held >= 8
    assert [d.said for d in right.deciles] == sorted(d.said for d in right.deciles)
    q = p**3  # too sure of no
    wrong = score(y, np.stack([1 - q, q], axis=1), ("no", "yes"), prior=np.array([0.5, 0.5]))
    assert wrong.calibrated[0] <= 3
    three = score(y, np.full((4000, 3), 1 / 3), ("a", "b", "c"), prior=np.full(3, 1 / 3))
    assert three.calibrated is None


def test_the_sentence_keeps_the_case_of_a_class() -> None:
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 300)
    proba = np.eye(3)[y] * 0.6 + 0.4 / 3
    plain = np.eye(3)[np.where(random.random(300) < 0.6, y, (y + 1) % 3)] * 0.6 + 0.4 / 3
    found = score(y, proba, ("NE", "SE", "cv"), prior=np.array([0.2, 0.5, 0.3]),
                  baselines={"window summary": plain})  # fmt: skip
    assert "Always 'SE' has" in found.sentence
