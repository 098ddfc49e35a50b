"""problems: the type, loading and saving, on real files."""

import dataclasses
import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from toys import toy_problem

from foreshock._text import label_text
from foreshock.problems import problem as problems
from foreshock.problems.fingerprints import digest
from foreshock.problems.problem import Problem, load, save

Notes = pytest.LogCaptureFixture
DATA = Path(__file__).parents[3] / "shared" / "data"
FOLDERS = sorted(path.parent for path in DATA.glob("u??/*/*_TRAIN.ts"))


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
    toy = toy_problem(3, X=X)
    assert (toy.n_cases, toy.n_channels, toy.n_timepoints, toy.n_classes) == (3, 2, 4, 2)
    assert toy.lengths.tolist() == [2, 4, 4]


def test_select_returns_the_positions_of_a_part() -> None:
    toy = toy_problem(4, part=np.array([0, 2, 0, 1], np.uint8))
    assert [toy.select(part).tolist() for part in problems.PARTS] == [[0, 2], [3], [1]]


NAN_CASE = np.ones((40, 2, 8), np.float32)
NAN_CASE[3] = np.nan
INFINITE = np.ones((40, 2, 8), np.float32)
INFINITE[1, 0, 5] = -np.inf


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"X": np.full((40, 2, 8), "a")}, "X must be numbers of one shape: got <U1"),
        ({"X": [[[1.0], [1.0, 2.0]]]}, "case 0 of X must be numbers of one shape"),
        ({"X": [[1.0]]}, "expected (cases, channels, timepoints)"),
        ({"offset": np.zeros(3)}, "offset must be float64 (n_channels,)"),
        (
            {"y": np.ma.array(np.zeros(40, np.int64), mask=np.arange(40) == 7)},
            "y is masked for some",
        ),
        ({"X": np.ones((40, 8), np.float32)}, "expected (cases, channels, timepoints)"),
        ({"X": np.ones((0, 2, 8), np.float32)}, "with at least one of each"),
        ({"X": NAN_CASE}, "case 3 (counted from 0) has no values; leave it out"),
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
        ({"ends": np.zeros(40)}, "ends must be datetime64, got float64"),
        ({"ends": np.full(40, "NaT", "datetime64[s]")}, "ends has no time for case 0"),
        ({"step": "soon"}, "a duration must be a number and a unit"),
        ({"step": "0"}, "a step must be above 0, got '0'"),
    ],
)
def test_a_wrong_problem_is_refused_with_its_name_and_the_fault(
    fields: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValueError, match=r"^problem 'toy': ") as caught:
        toy_problem(**fields)
    assert reason in str(caught.value)


# loading


@pytest.mark.parametrize(
    "folder",
    [
        pytest.param(folder, marks=[pytest.mark.slow] * (k % 4 > 0))
        for k, folder in enumerate(FOLDERS or [None])
    ],
    ids=lambda folder: folder and folder.name,
)
def test_every_problem_of_the_archive_loads_as_aeon_reads_it(folder: Path | None) -> None:
    if folder is None:
        pytest.skip(f"the archive's problems are not in {DATA}")
    from aeon.datasets import load_from_ts_file

    ours = load(folder)
    assert ours.name == folder.name
    for part in ("train", "test"):
        X, y = load_from_ts_file(str(folder / f"{folder.name}_{part.upper()}.ts"))
        at = ours.select(part)
        assert len(at) == len(X)
        for case, series in zip(ours.X[at], X, strict=True):
            np.testing.assert_array_equal(case[:, : series.shape[1]], series.astype(np.float32))
            assert np.isnan(case[:, series.shape[1] :]).all()
        labels = [label_text(label).lower() for label in y.tolist()]  # aeon keeps 1.0
        assert [ours.classes[k].lower() for k in ours.y[at]] == labels
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


@pytest.mark.parametrize("packed", [("train",), ("test",), ("train", "test")])
def test_a_pair_may_be_packed_or_one_of_it(tmp_path: Path, packed: tuple[str, ...]) -> None:
    for part, labels in (("train", "uv"), ("test", "vu")):
        path = write_csv(tmp_path, f"a_{part}.csv", labels)
        if part in packed:
            (tmp_path / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    train = next(tmp_path.glob("a_train.*"))
    for source in (train, tmp_path):
        toy = load(source)
        assert toy.name == "a"
        assert toy.part.tolist() == [0, 0, 2, 2]
        assert toy.y.tolist() == [0, 1, 1, 0]


def test_a_plain_file_goes_before_a_packed_one(tmp_path: Path) -> None:
    for part in ("TRAIN", "TEST"):
        path = write_csv(tmp_path, f"a_{part}.csv", "uv")
        (tmp_path / f"{path.name}.gz").write_bytes(b"not packed at all")
    assert load(tmp_path).part.tolist() == load(tmp_path / "a_TRAIN.csv").part.tolist()
    with pytest.raises(ValueError, match="Not a gzipped file"):
        load(tmp_path / "a_TRAIN.csv.gz")


def test_a_packed_problem_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "ucr" / "Mine"
    folder.mkdir(parents=True)
    content = "@classLabel true x y\n@data\n1,2:x\n3,4:y\n"
    for part in ("TRAIN", "TEST"):
        (folder / f"Mine_{part}.ts.gz").write_bytes(gzip.compress(content.encode()))
    monkeypatch.setenv("FORESHOCK_DATA", str(tmp_path))
    assert load("Mine").part.tolist() == [0, 0, 2, 2]
    assert problems.available()["Mine"] == "FORESHOCK_DATA"


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


@pytest.mark.parametrize(
    ("train", "test", "step"),
    [
        ("0 1 2", "5 6 8", "1"),
        ("0 1 2", "5", "1"),
        ("0 1 2", "0 2 4", None),
        ("2026-01-01T00:00Z 2026-01-01T00:01Z", "2026-01-02T00:00Z 2026-01-02T00:01Z", "1min"),
        ("2026-01-01T00:00Z 2026-01-01T00:01Z", "2026-01-02T00:00Z 2026-01-02T00:02Z", None),
    ],
)
def test_the_files_of_a_problem_have_one_step(
    tmp_path: Path, train: str, test: str, step: str | None
) -> None:
    for name, times in (("train", train), ("test", test)):
        rows = "".join(f"a,{time},u,1\n" for time in times.split())
        (tmp_path / f"a_{name}.csv").write_text(f"case,time,label,x\n{rows}")
    if step is None:
        with pytest.raises(ValueError, match="its files differ in their steps, one reading"):
            load(tmp_path)
    else:
        assert load(tmp_path).step == step


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
    with pytest.raises(ValueError, match="contains several problems: a, b; name the file"):
        load(tmp_path)
    write_csv(tmp_path, f"{tmp_path.name}_TRAIN.csv", "uvw")
    assert load(tmp_path).n_cases == 3


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="contains no problem; expected NAME_TRAIN and NAME_TEST"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "the name of the problem is empty"),
        ("no/a.csv", "there is no file no/a.csv"),
        ("no/a.csv.gz", "there is no file no/a.csv.gz"),
    ],
)
def test_a_source_that_is_not_there_is_refused(source: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        load(source)


def test_labels_are_ordered_by_number_where_all_are_numbers(tmp_path: Path) -> None:
    for labels, classes in (
        (["10", "9", "-1"], ("-1", "9", "10")),
        (["10", "9", "b"], ("10", "9", "b")),
        (["1.5", "01", "1e3"], ("01", "1.5", "1000")),
        (["1.5", "01", "NA"], ("01", "1.5", "NA")),
    ):
        pd.DataFrame({"label": labels, "0": 1}).to_csv(tmp_path / "a.csv", index=False)
        assert load(tmp_path / "a.csv").classes == classes


def test_a_number_is_one_class_however_the_files_of_a_pair_write_it(tmp_path: Path) -> None:
    write_csv(tmp_path, "a_train.csv", "12")
    (tmp_path / "a_test.csv").write_text("label,0,1\n1.0,0,7.5\n2.00,1,7.5\n+1,1,2\n")
    toy = load(tmp_path / "a_train.csv")
    assert toy.classes == ("1", "2")
    assert toy.y.tolist() == [0, 1, 0, 1, 0]


def test_classes_that_differ_by_form_alone_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_csv(tmp_path, "a.csv", "aAb")
    assert load(path).classes == ("A", "a", "b")
    assert "a: classes differ by form alone" in caplog.text
    assert "'A' and 'a'; write those alike that are one" in caplog.text


def test_series_without_labels_load_where_none_are_needed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("0,1\n1,2\n")
    with pytest.raises(ValueError, match="it has no labels"):
        load(path)
    toy = load(path, labelled=False)
    assert toy.classes == ()
    assert toy.y.tolist() == [-1]


# saving


@pytest.mark.filterwarnings("ignore:problem .* timepoint")  # of shapes that look swapped
@settings(max_examples=25)
@given(data=st.data())
def test_a_saved_problem_loads_equal(tmp_path: Path, data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=3, max_dims=3, max_side=4))
    floats = st.floats(width=32, allow_infinity=False)
    X = data.draw(hnp.arrays(np.float32, shape, elements=floats))
    X[np.isnan(X).all(axis=(1, 2))] = 0
    words = (
        st.text(st.characters(codec="utf-8", exclude_characters="\0")).map(label_text).filter(len)
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
        step=data.draw(st.sampled_from(["1min", "0.5", "1"])) if with_more else None,
    )
    path = tmp_path / "a.npz"
    path.unlink(missing_ok=True)
    save(toy, path)
    assert_equal(load(path), toy)
    assert digest(load(path)) == digest(toy)


def test_a_step_changes_no_digest_and_is_absent_from_files_of_before(tmp_path: Path) -> None:
    plain, stepped = toy_problem(), toy_problem(step="60s")
    assert stepped.step == "1min"
    assert digest(stepped) == digest(plain)
    save(plain, tmp_path / "plain.npz")
    assert "step" not in np.load(tmp_path / "plain.npz")
    assert load(tmp_path / "plain.npz").step is None


def test_a_problem_without_labels_is_saved_too(tmp_path: Path) -> None:
    toy = toy_problem(classes=(), y=np.full(40, -1))
    save(toy, tmp_path / "a.npz")
    assert_equal(load(tmp_path / "a.npz", labelled=False), toy)
    with pytest.raises(ValueError, match="has no label"):
        load(tmp_path / "a.npz")


def test_saving_never_overwrites_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    save(toy_problem(), path)
    with pytest.raises(FileExistsError, match="exists already and is never overwritten"):
        save(toy_problem(), path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]


def test_saving_needs_its_ending_and_its_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must be saved as \.npz, got a\.csv"):
        save(toy_problem(), tmp_path / "a.csv")
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*; make it first"):
        save(toy_problem(), tmp_path / "no" / "a.npz")


@settings(max_examples=25)
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


def test_what_was_taken_off_is_saved_with_a_problem(tmp_path: Path) -> None:
    far = toy_problem(X=toy_problem().X + np.array([[0], [1e9]]))
    assert far.offset.tolist() == [0, 1e9]
    save(far, tmp_path / "far.npz")
    loaded = load(tmp_path / "far.npz")
    np.testing.assert_array_equal(loaded.offset, far.offset)
    np.testing.assert_array_equal(loaded.X, far.X)


def test_a_dropout_in_every_case_does_not_hide_that_values_are_far_from_zero() -> None:
    X = 1.5e9 + np.random.default_rng(0).integers(-150, 150, (40, 2, 200))
    X[:, :, 7] = 0
    far = toy_problem(X=X)
    kept = np.arange(200) != 7
    np.testing.assert_array_equal((far.X + far.offset[:, None])[..., kept], X[..., kept])


def test_series_of_unequal_length_may_be_a_list_or_an_array_of_objects() -> None:
    series = [np.arange(16.0).reshape(2, 8)[:, : 8 - k % 3] for k in range(40)]
    objects = np.empty(40, object)
    objects[:] = series
    for X in (series, objects):
        toy = toy_problem(X=X)
        assert toy.X.shape == (40, 2, 8)
        assert toy.lengths.tolist() == [8 - k % 3 for k in range(40)]


def test_a_file_that_begins_with_a_case_instead_of_names_is_refused(tmp_path: Path) -> None:
    pd.DataFrame(np.random.default_rng(0).normal(size=(6, 8))).to_csv(
        tmp_path / "a.csv", index=False, header=False
    )
    with pytest.raises(ValueError, match="looks like a case: put a"):
        load(tmp_path / "a.csv", labelled=False)


def test_an_array_of_another_type_is_taken_and_what_is_masked_is_missing() -> None:
    X = np.ma.masked_equal(np.arange(640).reshape(40, 2, 8) % 8, 5)
    toy = toy_problem(X=X)
    assert toy.X.dtype == np.float32
    np.testing.assert_array_equal(toy.X, X.astype(float).filled(np.nan))


def test_the_test_part_has_no_say_in_what_is_taken_off() -> None:
    part = np.repeat([0, 2], 20).astype(np.uint8)
    X = toy_problem().X + 1e9
    changed = X.copy()
    changed[20:] *= 1.0001
    first, second = toy_problem(X=X, part=part), toy_problem(X=changed, part=part)
    np.testing.assert_array_equal(first.offset, second.offset)
    np.testing.assert_array_equal(first.X[:20], second.X[:20])


def test_swapped_axes_are_named_as_the_likely_mistake(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(6, 60, 3)).cumsum(axis=1)
    np.savez(tmp_path / "swapped.npz", X=X, y=np.arange(6) % 2)
    with pytest.warns(UserWarning, match=r"problem 'swapped' has 60 channels and 3 timepoints"):
        load(tmp_path / "swapped.npz")


def test_times_that_are_rounded_have_a_clock_and_the_steps_of_files_are_one(
    tmp_path: Path, notes: Notes
) -> None:
    for digits, spread in ((3, "up to 2 % of the step 0.0333"), (4, "")):
        for part, n_cases in (("TRAIN", 40), ("TEST", 2)):
            rows = [
                f"{part}{c},{k / 30:.{digits}f},{'uv'[c % 2]},{k}\n"
                for c in range(n_cases)
                for k in range(60)
                if (c, k) != (1, 7)
            ]
            path = tmp_path / f"gait{digits}_{part}.csv"
            path.write_text("case,time,label,x\n" + "".join(rows))
        problem = load(tmp_path / f"gait{digits}_TRAIN.csv")
        assert problem.X.shape == (42, 1, 60)
        np.testing.assert_array_equal(problem.X[0, 0], np.arange(60))
        np.testing.assert_array_equal(np.isnan(problem.X).nonzero()[0], [1, 41])
        assert float(problem.step or 0) == pytest.approx(1 / 30, rel=1e-3)
        assert spread in notes.text and ("off its clock" in notes.text) == (spread != "")
        notes.clear()
