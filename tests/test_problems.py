"""problems: loading, saving, parts and the card, on real files."""

import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from foreshock import problems
from foreshock.problems import Problem, card, digest, load, make_parts, save

DATA = Path(__file__).parents[2] / "shared" / "data"
FOLDERS = sorted(path.parent for path in DATA.glob("u??/*/*_TRAIN.ts"))


def problem(n_cases: int = 40, n_classes: int = 2, **fields: object) -> Problem:
    random = np.random.default_rng(0)
    values: dict[str, object] = {
        "name": "toy",
        "X": random.normal(size=(n_cases, 2, 8)).astype(np.float32),
        "y": np.arange(n_cases) % n_classes,
        "part": np.zeros(n_cases, np.uint8),
        "classes": tuple("abcdefgh"[:n_classes]),
        "channels": ("x", "z"),
        **fields,
    }
    return Problem(**values)  # type: ignore[arg-type]


def assert_equal(first: Problem, second: Problem) -> None:
    for field in dataclasses.fields(Problem):
        a, b = getattr(first, field.name), getattr(second, field.name)
        if isinstance(a, np.ndarray):
            assert a.dtype.kind == b.dtype.kind
            np.testing.assert_array_equal(a, b)
        else:
            assert a == b


def write_csv(folder: Path, name: str, labels: str, **columns: list[object]) -> Path:
    frame = pd.DataFrame({"label": list(labels), **columns, "0": range(len(labels)), "1": 7.5})
    frame.to_csv(folder / name, index=False)
    return folder / name


# the type


def test_sizes_and_lengths_follow_from_the_series() -> None:
    X = np.ones((3, 2, 4), np.float32)
    X[0, :, 2:] = np.nan  # ends early
    X[1, 0, 2:] = np.nan  # the other channel goes on
    X[2, :, 1] = np.nan  # a gap
    toy = problem(3, X=X)
    assert (toy.n_cases, toy.n_channels, toy.n_timepoints, toy.n_classes) == (3, 2, 4, 2)
    assert toy.lengths.tolist() == [2, 4, 4]


def test_select_returns_the_positions_of_a_part() -> None:
    toy = problem(4, part=np.array([0, 2, 0, 1], np.uint8))
    assert [toy.select(part).tolist() for part in problems.PARTS] == [[0, 2], [3], [1]]


NAN_CASE = np.ones((40, 2, 8), np.float32)
NAN_CASE[3] = np.nan
INFINITE = np.ones((40, 2, 8), np.float32)
INFINITE[1, 0, 5] = -np.inf


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"X": np.ones((40, 2, 8))}, "X must be float32, got float64; convert with astype"),
        ({"X": [[1.0]]}, "X must be float32, got no array"),
        ({"X": np.ones((40, 8), np.float32)}, "expected (cases, channels, timepoints)"),
        ({"X": np.ones((0, 2, 8), np.float32)}, "with at least one of each"),
        ({"X": NAN_CASE}, "case 3 (counted from 0) has no value at all; leave it out"),
        ({"X": INFINITE}, "case 1, channel 0, timepoint 5 (counted from 0) is infinite"),
        ({"y": np.zeros(39, np.int64)}, "y must have the shape (40,), got (39,)"),
        ({"y": np.full(40, 2)}, "y must lie in 0..1 for 2 classes, got 2..2"),
        ({"y": np.full(40, -1)}, "y must lie in 0..1 for 2 classes, got -1..-1"),
        ({"classes": ()}, "y must lie in -1..-1 for 0 classes"),
        ({"part": np.full(40, 3, np.uint8)}, "part codes are 0, 1 and 2, got 3"),
        ({"part": np.zeros(40)}, "part must be uint8, got float64"),
        ({"classes": ("a", "a")}, "classes must differ from each other, got a, a"),
        ({"channels": ("x",)}, "X has 2 channels, got 1 names"),
        ({"group": np.zeros(40)}, "group must be text, got float64"),
        ({"ends": np.zeros(40)}, "ends must be datetime64[s], got float64"),
        ({"ends": np.full(40, "NaT", "datetime64[s]")}, "ends has no time for case 0"),
    ],
)
def test_a_wrong_problem_is_refused_with_its_name_and_the_fault(
    fields: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValueError, match=r"^problem 'toy': ") as caught:
        problem(**fields)  # type: ignore[arg-type]
    assert reason in str(caught.value)


# loading


@pytest.mark.parametrize("folder", FOLDERS or [None], ids=lambda folder: folder and folder.name)
def test_every_problem_of_the_archive_loads_as_aeon_reads_it(folder: Path | None) -> None:
    if folder is None:
        pytest.skip(f"the archive's problems are not in {DATA}")
    from aeon.datasets import load_from_ts_file

    ours = load(folder)
    assert ours.name == folder.name
    for part in ("train", "test"):
        X, y = load_from_ts_file(str(folder / f"{folder.name}_{part.upper()}.ts"))
        at = ours.select(part)  # type: ignore[arg-type]
        assert len(at) == len(X)
        for case, series in zip(ours.X[at], X, strict=True):
            np.testing.assert_array_equal(case[:, : series.shape[1]], series.astype(np.float32))
            assert np.isnan(case[:, series.shape[1] :]).all()
        assert [ours.classes[k].lower() for k in ours.y[at]] == y.tolist()
    assert sorted(c.lower() for c in ours.classes) == sorted({c.lower() for c in ours.classes})


def test_an_archive_name_loads_from_the_folder_of_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORESHOCK_CACHE", str(tmp_path))
    monkeypatch.delenv("FORESHOCK_DATA", raising=False)
    bundled = load("BasicMotions")
    assert bundled.classes == ("Badminton", "Running", "Standing", "Walking")
    assert bundled.X.shape == (80, 6, 100)
    assert [len(bundled.select(part)) for part in problems.PARTS] == [40, 0, 40]
    assert problems.available()["BasicMotions"] == "bundled"


def test_a_train_file_brings_its_partners_along(tmp_path: Path) -> None:
    for name, labels in (("a_train.csv", "uv"), ("a_valid.csv", "uu"), ("a_test.csv", "vw")):
        write_csv(tmp_path, name, labels)
    toy = load(tmp_path / "a_train.csv")
    assert toy.name == "a"
    assert toy.classes == ("u", "v", "w")
    assert toy.part.tolist() == [0, 0, 1, 1, 2, 2]
    assert toy.y.tolist() == [0, 1, 0, 0, 1, 2]


def test_a_test_file_loads_alone(tmp_path: Path) -> None:
    write_csv(tmp_path, "a_TRAIN.csv", "uv")
    toy = load(write_csv(tmp_path, "a_TEST.csv", "uv"))
    assert toy.part.tolist() == [2, 2]


def test_a_file_without_parts_is_all_train(tmp_path: Path) -> None:
    assert load(write_csv(tmp_path, "latest.csv", "uv")).part.tolist() == [0, 0]


def test_a_part_column_gives_the_parts(tmp_path: Path) -> None:
    toy = load(write_csv(tmp_path, "a.csv", "uvu", part=["test", "TRAIN", "Valid"]))
    assert toy.part.tolist() == [2, 0, 1]


def test_parts_both_in_the_names_and_in_a_column_are_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "a_train.csv", "uv", part=["train", "test"])
    write_csv(tmp_path, "a_test.csv", "uv")
    with pytest.raises(ValueError, match="gives its part, and so do its cases"):
        load(path)


@pytest.mark.parametrize(
    ("test_rows", "reason"),
    [("1,2:3,4:a\n", "differ in their channels, 1 and 2"), ("1,2,3,4:a\n", None)],
)
def test_train_and_test_may_differ_in_length_but_not_in_channels(
    tmp_path: Path, test_rows: str, reason: str | None
) -> None:
    (tmp_path / "a_TRAIN.ts").write_text("@classLabel true a b\n@data\n1,2:a\n3,4:b\n")
    (tmp_path / "a_TEST.ts").write_text("@classLabel true a b\n@data\n" + test_rows)
    if reason is None:
        assert load(tmp_path).lengths.tolist() == [2, 2, 4]
    else:
        with pytest.raises(ValueError, match=reason):
            load(tmp_path)


def test_a_group_column_in_one_file_of_two_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path, "a_train.csv", "uv", group=["p", "q"])
    write_csv(tmp_path, "a_test.csv", "uv")
    with pytest.raises(ValueError, match="differ in their groups, True and False; make them alike"):
        load(tmp_path)


def test_a_folder_prefers_the_first_format_and_passes_by_what_is_no_data(tmp_path: Path) -> None:
    write_csv(tmp_path, "a_TRAIN.csv", "uv")
    (tmp_path / "a_TRAIN.ts").write_text("@classLabel true x y\n@data\n1,2:x\n3,4:y\n")
    (tmp_path / "README.txt").write_text("about")
    (tmp_path / "a.txt").write_text("about")
    (tmp_path / "a.png").write_bytes(b"")
    assert load(tmp_path).classes == ("x", "y")


def test_a_folder_of_several_problems_is_refused_unless_one_is_named_like_it(
    tmp_path: Path,
) -> None:
    write_csv(tmp_path, "a_TRAIN.csv", "uv")
    write_csv(tmp_path, "b_TRAIN.csv", "uv")
    with pytest.raises(ValueError, match="holds several problems: a, b; name one file"):
        load(tmp_path)
    write_csv(tmp_path, f"{tmp_path.name}_TRAIN.csv", "uvw")
    assert load(tmp_path).n_cases == 3


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no problem; expected NAME_TRAIN and NAME_TEST"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("source", "reason"),
    [("", "the name of the problem is empty"), ("no/a.csv", "there is no file no/a.csv")],
)
def test_a_source_that_is_not_there_is_refused(source: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        load(source)


def test_labels_are_ordered_by_number_where_all_are_numbers(tmp_path: Path) -> None:
    for labels, classes in (
        (["10", "9", "-1"], ("-1", "9", "10")),
        (["10", "9", "b"], ("10", "9", "b")),
        (["1.5", "01", "nan"], ("01", "1.5", "nan")),
    ):
        pd.DataFrame({"label": labels, "0": 1}).to_csv(tmp_path / "a.csv", index=False)
        assert load(tmp_path / "a.csv").classes == classes


def test_series_without_labels_load_where_none_are_needed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("0,1\n1,2\n")
    with pytest.raises(ValueError, match="it has no labels"):
        load(path)
    toy = load(path, labelled=False)
    assert toy.classes == ()
    assert toy.y.tolist() == [-1]


# saving


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_saved_problem_loads_equal(tmp_path: Path, data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=3, max_dims=3, max_side=4))
    floats = st.floats(width=32, allow_infinity=False)
    X = data.draw(hnp.arrays(np.float32, shape, elements=floats))
    X[np.isnan(X).all(axis=(1, 2))] = 0
    words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(
        lambda word: word not in ("?", "nan", "NaN")
    )
    classes = data.draw(st.lists(words, min_size=1, max_size=3, unique=True))
    with_more = data.draw(st.booleans())
    toy = Problem(
        name=data.draw(words),
        X=X,
        y=data.draw(hnp.arrays(np.int64, shape[0], elements=st.integers(0, len(classes) - 1))),
        part=data.draw(hnp.arrays(np.uint8, shape[0], elements=st.integers(0, 2))),
        classes=tuple(classes),
        channels=tuple(f"c{i}" for i in range(shape[1])),
        group=np.array([f"g{i}" for i in range(shape[0])]) if with_more else None,
        ends=np.arange(shape[0]).astype("datetime64[s]") if with_more else None,
    )
    path = tmp_path / "a.npz"
    path.unlink(missing_ok=True)
    save(toy, path)
    assert_equal(load(path), toy)
    assert digest(load(path)) == digest(toy)


def test_a_problem_without_labels_is_saved_too(tmp_path: Path) -> None:
    toy = problem(classes=(), y=np.full(40, -1))
    save(toy, tmp_path / "a.npz")
    assert_equal(load(tmp_path / "a.npz", labelled=False), toy)
    with pytest.raises(ValueError, match="has no label"):
        load(tmp_path / "a.npz")


def test_saving_never_overwrites_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    save(problem(), path)
    with pytest.raises(FileExistsError, match=r"exists already; delete it or choose another name"):
        save(problem(), path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]


def test_saving_needs_its_ending_and_its_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"got a\.csv; end the name in \.npz"):
        save(problem(), tmp_path / "a.csv")
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*; make it first"):
        save(problem(), tmp_path / "no" / "a.npz")


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    X=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=5),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    )
)
def test_a_wide_csv_file_gives_back_the_series(tmp_path: Path, X: np.ndarray) -> None:
    frame = pd.DataFrame(X.astype(np.float64))
    frame.insert(0, "label", [f"c{i % 2}" for i in range(len(X))])
    frame.to_csv(tmp_path / "a.csv", index=False)
    np.testing.assert_array_equal(load(tmp_path / "a.csv").X[:, 0], X)


# parts


def sizes(toy: Problem) -> list[int]:
    return [len(toy.select(part)) for part in problems.PARTS]


def test_parts_keep_the_balance_of_the_classes() -> None:
    y = np.repeat([0, 1], [80, 20])
    parted = make_parts(problem(100, y=y), test=0.25, valid=0.2)
    assert sizes(parted) == [60, 15, 25]
    for part in problems.PARTS:
        assert parted.y[parted.select(part)].mean() == pytest.approx(0.2, abs=0.01)


def test_the_seed_decides_the_parts_and_the_problem_is_left_as_it_was() -> None:
    toy = problem()
    first, again, other = (make_parts(toy, test=0.3, seed=seed).part for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert sizes(toy) == [40, 0, 0]


def test_a_group_stays_in_one_part_and_the_share_is_met_nearly() -> None:
    group = np.array([f"g{i // 5}" for i in range(200)])
    parted = make_parts(problem(200, group=group), test=0.25, valid=0.25)
    assert card(parted).groups_across_parts == ()
    n_train, n_valid, n_test = sizes(parted)
    assert n_test == pytest.approx(50, abs=5)
    assert n_valid == pytest.approx(37, abs=5)
    assert n_train + n_valid + n_test == 200


def test_the_latest_cases_become_the_test_part_and_then_the_valid_part() -> None:
    order = np.random.default_rng(1).permutation(40)
    parted = make_parts(problem(ends=order.astype("datetime64[s]")), test=0.25, valid=0.2)
    assert sizes(parted) == [24, 6, 10]
    assert order[parted.select("train")].max() < order[parted.select("valid")].min()
    assert order[parted.select("valid")].max() < order[parted.select("test")].min()


def test_cases_that_end_together_stay_together() -> None:
    ends = (np.arange(40) // 15).astype("datetime64[s]")
    parted = make_parts(problem(ends=ends), test=0.2)
    assert parted.select("test").tolist() == list(range(30, 40))


def test_a_group_is_as_late_as_its_latest_case() -> None:
    group = np.array([f"g{i % 8}" for i in range(40)])
    ends = np.arange(40).astype("datetime64[s]")
    parted = make_parts(problem(group=group, ends=ends), test=0.25)
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
    toy = problem(**fields)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"toy|--") as caught:
        make_parts(toy, **shares)  # type: ignore[arg-type]
    assert reason in str(caught.value)


# the card


def test_the_card_counts_what_stands_in_the_parts() -> None:
    X = np.random.default_rng(0).normal(size=(6, 1, 10)).astype(np.float32)
    X[0, 0, 4:] = np.nan
    X[1, 0, 2:5] = np.nan
    X[5] = X[2]  # across parts
    X[3] = X[2]  # within a part
    toy = problem(
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
    assert [(d.parts, d.cases, d.examples) for d in described.duplicates] == [
        (("train", "train"), 1, ((2, 3),)),
        (("train", "test"), 1, ((2, 5),)),
    ]
    assert described.groups_across_parts == ("q",)
    assert json.loads(json.dumps(dataclasses.asdict(described)))["parts"]["test"]["cases"] == 2


@pytest.mark.parametrize("ddof", [0, 1])
def test_z_normalised_series_are_recognised_with_gaps_and_constants(ddof: int) -> None:
    X = np.random.default_rng(0).normal(3, 2, size=(5, 2, 20))
    X[0, 1, 12:] = np.nan
    X[1, 0, 3] = np.nan
    deviation = np.nanstd(X, axis=2, keepdims=True, ddof=ddof)
    z = ((X - np.nanmean(X, axis=2, keepdims=True)) / deviation).astype(np.float32)
    z[2, 0] = 0
    assert card(problem(5, X=z)).z_normalised
    assert not card(problem(5, X=X.astype(np.float32))).z_normalised
    assert not card(problem(5, X=np.ones((5, 2, 8), np.float32))).z_normalised


def test_five_examples_of_duplicates_are_enough() -> None:
    described = card(problem(X=np.ones((40, 2, 8), np.float32)))
    assert described.duplicates[0].cases == 39
    assert len(described.duplicates[0].examples) == 5


def test_the_card_of_many_cases_is_fast() -> None:
    n = 20_000
    toy = problem(n, X=np.random.default_rng(0).normal(size=(n, 2, 50)).astype(np.float32))
    start = time.perf_counter()
    card(toy)
    assert time.perf_counter() - start < 5


def test_the_digest_depends_on_content_and_not_on_names_or_bits_of_nan() -> None:
    X = problem().X.copy()
    X[0, 0, 0], X[0, 0, 1] = np.nan, 0.0
    toy = problem(X=X)
    other_bits = X.copy()
    other_bits.view(np.uint32)[0, 0, 0] = 0xFFC00001
    other_bits[0, 0, 1] = -0.0
    assert np.isnan(other_bits[0, 0, 0])
    assert digest(toy) == digest(problem(X=other_bits, name="else"))
    for change in (
        {"X": X + 1},
        {"y": 1 - toy.y},
        {"part": np.ones(40, np.uint8)},
        {"classes": ("b", "a")},
        {"channels": ("z", "x")},
    ):
        assert digest(dataclasses.replace(toy, **change)) != digest(toy)  # type: ignore[arg-type]
