"""comparison, published: differences told from chance, ranks, and what others published."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest
from scipy.stats import wilcoxon as scipys

from foreshock.metrics.significance import (
    cliques,
    holm,
    mean_ranks,
    paired_difference,
    pairwise_wilcoxon,
    wilcoxon,
)
from foreshock.reporting.compare_runs import choose_pairs, compare, differing, methods, over_seeds
from foreshock.reporting.html import Cell
from foreshock.reporting.run_data import Predictions
from foreshock.reporting.standings import find_published, read_published


def predictions(right: np.ndarray, n_classes: int = 2, seed: int = 0) -> Predictions:
    """Make predictions that are right where it is said."""
    random = np.random.default_rng(seed)
    y = np.arange(len(right)) % n_classes
    guess = np.where(right, y, (y + 1) % n_classes)
    proba = random.uniform(0.1, 0.2, (len(right), n_classes))
    proba[np.arange(len(right)), guess] = 0.9
    proba /= proba.sum(axis=1, keepdims=True)
    return Predictions(np.arange(len(right)), y, proba, None)


def test_runs_that_are_right_on_other_cases_are_told_apart_by_those_alone() -> None:
    a, b = np.ones(100, bool), np.ones(100, bool)
    a[:4], b[4:20] = False, False
    (pair,) = compare([predictions(a), predictions(b)], [(0, 1)])
    assert (pair.won, pair.lost, pair.n_cases) == (16, 4, 100)
    assert pair.p == pytest.approx(binomtest(16, 20).pvalue)
    assert pair.accuracy.value == pytest.approx(0.12)
    assert pair.accuracy.low is not None and 0 < pair.accuracy.low < 0.12


def test_a_run_does_not_differ_from_itself() -> None:
    a = predictions(np.arange(60) % 4 > 0)
    (pair,) = compare([a, a], [(0, 1)])
    assert pair.p == 1 and pair.accuracy.value == 0
    assert pair.auroc is not None and pair.auroc.value == 0 and pair.auroc_p == 1


def test_more_than_two_classes_have_no_difference_of_auroc() -> None:
    a = predictions(np.arange(60) % 4 > 0, n_classes=3)
    (pair,) = compare([a, predictions(np.ones(60, bool), 3)], [(0, 1)])
    assert pair.auroc is None and pair.auroc_p is None and pair.p < 0.01


def test_the_number_of_pairs_is_corrected_for() -> None:
    runs = [predictions(np.arange(100) >= k) for k in (0, 7, 30)]
    alone = [compare([runs[0], other], [(0, 1)])[0].p for other in runs[1:]]
    together = compare(runs, [(0, 1), (0, 2)])
    assert [pair.p for pair in together] == pytest.approx(holm(alone))
    assert together[1].p == pytest.approx(2 * alone[1])


def test_runs_on_other_cases_are_not_compared() -> None:
    with pytest.raises(ValueError, match="on the same cases only"):
        compare([predictions(np.ones(10, bool)), predictions(np.ones(12, bool))], [(0, 1)])


def test_holm_is_as_in_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == [] and holm([0.7, 0.8]) == [1.0, 1.0]


def test_the_interval_of_a_paired_difference_holds_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        u = random.random(100)
        found = paired_difference(int((u < 0.15).sum()), int((u > 0.95).sum()), 100)
        assert found.low is not None and found.high is not None
        held += found.low <= 0.10 <= found.high
    assert 930 <= held <= 980


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (10, 0), (0, 10), (5, 5)])
def test_the_interval_of_a_paired_difference_never_has_no_width(won: int, lost: int) -> None:
    found = paired_difference(won, lost, 10)
    assert found.low is not None and found.high is not None
    assert -1 <= found.low < found.value + 1e-9 and found.value - 1e-9 < found.high <= 1


def test_all_pairs_are_compared_or_each_with_the_first() -> None:
    assert choose_pairs(3) == [(0, 1), (0, 2), (1, 2)]
    assert choose_pairs(8) == [(0, k) for k in range(1, 8)]


def test_runs_that_are_the_same_but_for_the_seed_are_one_method() -> None:
    options = [
        {"seed": 0, "fit.epochs": 5, "checkpoint_seconds": 10.0},
        {"seed": 1, "fit.epochs": 9},
        {"seed": 2, "fit.epochs": 5, "checkpoint_seconds": 1.0},
        {"seed": 2, "fit.epochs": "5"},
    ]
    assert methods(options) == [[0, 2], [1], [3]]


def test_only_options_that_differ_are_named() -> None:
    differ = differing([{"a": 1, "b": [1, 2]}, {"a": 1, "b": [1, 3], "c": None}])
    assert differ == {"b": [[1, 2], [1, 3]]}
    assert differing([{"a": 1}, {"a": 1}]) == {}


def test_the_spread_over_seeds_is_that_between_them() -> None:
    assert over_seeds([0.7, 0.8, 0.9]) == Cell("0.800", "sd 0.100, 0.700 to 0.900")
    assert over_seeds([0.5]) == Cell("0.500", "sd –, 0.500 to 0.500")
    assert over_seeds([]) == "–"


def test_ties_share_their_ranks() -> None:
    ranks = mean_ranks(np.array([[0.9, 0.8, 0.8], [0.5, 0.6, 0.7]]))
    assert ranks.tolist() == [2.0, 2.25, 1.75]


def test_wilcoxons_test_is_scipys_and_no_difference_is_no_evidence() -> None:
    gains = np.array([0.1, 0.2, -0.05, 0.0, 0.3, 0.01, 0.07])
    assert wilcoxon(gains) == pytest.approx(scipys(gains, zero_method="pratt").pvalue)
    assert wilcoxon(np.zeros(5)) == 1.0
    assert wilcoxon(np.array([0.1])) == 1.0


def test_all_pairs_are_tested_and_corrected_for_their_number() -> None:
    table = np.random.default_rng(0).normal([0.9, 0.8, 0.82], 0.05, (20, 3))
    found = pairwise_wilcoxon(table)
    alone = [scipys(table[:, i] - table[:, j]).pvalue for i, j in found]
    assert list(found) == [(0, 1), (0, 2), (1, 2)]
    assert list(found.values()) == pytest.approx(holm(alone))


def test_cliques_are_the_largest_groups_without_a_difference() -> None:
    apart = {(0, 1): 0.5, (0, 2): 0.01, (0, 3): 0.001, (1, 2): 0.2, (1, 3): 0.01, (2, 3): 0.9}
    assert cliques(np.array([1.0, 2.0, 3.0, 4.0]), apart) == [[0, 1], [1, 2], [2, 3]]
    assert cliques(np.array([4.0, 3.0, 2.0, 1.0]), apart) == [[3, 2], [2, 1], [1, 0]]
    alike = dict.fromkeys(apart, 1.0)
    assert cliques(np.array([2.0, 1.0, 3.0, 4.0]), alike) == [[1, 0, 2, 3]]
    assert cliques(np.array([2.0, 1.0, 3.0, 4.0]), dict.fromkeys(apart, 0.01)) == []
    # 0 and 3 are told apart, and so are 1 and 2 between them: no bar reaches over that
    assert cliques(np.arange(4.0), alike | {(1, 2): 0.01}) == [[0, 1], [2, 3]]


# published accuracies

HEAD = "dataset,method,accuracy,split,n_runs,source\n"


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "accuracies.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_only_the_default_split_counts_and_the_archives_own_table_first(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        HEAD
        + "Coffee,FCN,0.9,default split (resample 0),1,a\n"
        + "Coffee,FCN,0.8,default split,1,b\nCoffee,FCN,0.7,mean of resamples,30,c\n"
        + 'Coffee,"a, ""b""",1,default split,1,d\n',
    )
    assert read_published(path) == {("Coffee", "FCN"): 0.9, ("Coffee", 'a, "b"'): 1.0}


def test_means_over_resamples_are_read_where_they_are_asked_for(tmp_path: Path) -> None:
    rows = "Coffee,FCN,0.9,default split,1,a\nCoffee,FCN,0.7,mean of resamples,30,c\n"
    path = write(tmp_path, HEAD + rows)
    assert read_published(path, "mean of resamples") == {("Coffee", "FCN"): 0.7}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it has no column 'dataset'; it needs dataset, method, accuracy, split"),
        ("a,b\n1,2\n", "it has no column 'dataset'"),
        (HEAD + "Coffee,FCN,nan,default split,1,a\n", "line 2 has the accuracy 'nan'"),
        (HEAD + "Coffee,FCN,95,default split,1,a\n", "line 2 has the accuracy '95'"),
        (HEAD + "Coffee,FCN,high,default split,1,a\n", "line 2 has the accuracy 'high'"),
        (HEAD + "Coffee,FCN\n", "line 2 is incomplete"),
        (HEAD + ",FCN,0.5,default split,1,a\n", "line 2 is incomplete"),
        (b"\xff\xfe\x00", "can't decode"),
        (HEAD + '"' + "x" * 200_000, "field larger than field limit"),
        ("PK\x03\x04\0\0", "it has no column"),
    ],
    ids=range(10),
)
def test_a_file_that_holds_no_accuracies_is_one_line(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match="has no published accuracies") as caught:
        read_published(path)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none\.csv: --published"):
        read_published(tmp_path / "none.csv")


def test_the_file_in_the_data_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORESHOCK_DATA", str(tmp_path))
    assert find_published() is None
    (tmp_path / "published").mkdir()
    path = write(tmp_path / "published", HEAD)
    assert find_published() == path
    monkeypatch.delenv("FORESHOCK_DATA")
    assert find_published() is None
