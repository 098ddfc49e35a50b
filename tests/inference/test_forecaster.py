"""predict: any series in, probabilities out, and honest scores of a saved model."""

import csv
import io
import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from toys import hourly, quake_rule, without_pictures

from foreshock._json import decode
from foreshock.events.cut import cut
from foreshock.inference.evaluate import evaluate
from foreshock.inference.forecaster import Forecaster
from foreshock.inference.outputs import PredictedCases, predictions_csv
from foreshock.metrics.scores import Scores
from foreshock.problems.problem import Problem, load, save
from foreshock.readings.series import Readings
from foreshock.run import Run, RunError
from foreshock.training.config import TrainConfig
from foreshock.training.pipeline import train

Make = Callable[..., Problem]
Config = Callable[..., TrainConfig]
Array = NDArray[np.float32]
pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture(scope="module")
def forecaster(small_run: Run) -> Forecaster:
    return Forecaster.load(small_run)


@pytest.fixture(scope="module")
def X(small_problem: Make) -> Array:  # noqa: N802
    return small_problem().X


@pytest.fixture(scope="module")
def two_channels(
    tmp_path_factory: pytest.TempPathFactory, small_problem: Make, small_config: Config
) -> Run:
    problem = small_problem(n_channels=2, n_classes=3, channels=("wind", "heat"))
    with without_pictures():
        return train(problem, small_config(), folder=tmp_path_factory.mktemp("run") / "two")


@pytest.fixture(scope="module")
def unequal(
    tmp_path_factory: pytest.TempPathFactory, small_problem: Make, small_config: Config
) -> Run:
    problem = small_problem()
    problem.X[::3, :, 20:] = np.nan
    with without_pictures():
        return train(problem, small_config(), folder=tmp_path_factory.mktemp("run") / "unequal")


def assert_near(a: Array, b: Array) -> None:
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


# loading


@pytest.mark.parametrize("kind", [str, Path, Run])
def test_a_run_is_loaded_by_text_path_or_run(
    small_run: Run, X: Array, forecaster: Forecaster, kind: type
) -> None:
    loaded = Forecaster.load(kind(small_run.folder))
    assert loaded.classes == ("a", "b")
    np.testing.assert_array_equal(loaded.predict_proba(X), forecaster.predict_proba(X))


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run folder: it has no config\.json"):
        Forecaster.load(tmp_path)


def test_weights_that_do_not_fit_their_card_are_refused(copied: Run) -> None:
    values, weights = copied.read_model()
    del values["digest"]
    copied.write_model(values | {"n_timepoints": 9}, weights)
    with pytest.raises(RunError, match=r"the weights in .* do not fit its model\.json"):
        Forecaster.load(copied)


def test_a_run_that_is_older_than_padding_pads(
    X: Array, forecaster: Forecaster, copied: Run
) -> None:
    values, weights = copied.read_model()
    del values["digest"], values["model"]["padding"]
    copied.write_model(values, weights)
    old = Forecaster.load(copied)
    assert old.members[0].margins == (0, 0)
    np.testing.assert_array_equal(old.predict_proba(X), forecaster.predict_proba(X))


# the same numbers


def test_probabilities_are_those_of_the_training(small_run: Run, small_problem: Make) -> None:
    problem = small_problem()
    test = problem.select("test")
    with (small_run.folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["case"]) for row in rows] == test.tolist()
    assert [row["label"] for row in rows] == [problem.classes[k] for k in problem.y[test]]
    stored = np.float32([[row["proba_a"], row["proba_b"]] for row in rows])
    proba = Forecaster.load(small_run).predict_proba(problem.X[test])
    assert_near(proba, stored)
    assert [row["predicted"] for row in rows] == list(
        Forecaster.load(small_run).predict(problem.X[test])
    )


def test_rows_sum_to_one(forecaster: Forecaster, X: Array) -> None:
    proba = forecaster.predict_proba(X)
    assert proba.dtype == np.float32
    assert proba.shape == (24, 2)
    assert_near(proba.sum(axis=1), np.ones(24, np.float32))


def test_one_case_gets_what_it_gets_among_many(forecaster: Forecaster, X: Array) -> None:
    alone = np.concatenate([forecaster.predict_proba(case) for case in X])
    assert_near(alone, forecaster.predict_proba(X))


@pytest.mark.parametrize(
    "turn",
    [
        pytest.param(lambda X: X[:, 0], id="2-D"),
        pytest.param(lambda X: list(X), id="list of 2-D"),
        pytest.param(lambda X: tuple(X[:, 0]), id="tuple of 1-D"),
        pytest.param(lambda X: X.tolist(), id="nested lists"),
        pytest.param(lambda X: X[:, 0].tolist(), id="lists of numbers"),
        pytest.param(lambda X: X.astype(np.float64), id="float64"),
        pytest.param(lambda X: pd.DataFrame(X[:, 0]), id="frame"),
        pytest.param(lambda X: [pd.Series(x) for x in X[:, 0]], id="list of pandas series"),
        pytest.param(lambda X: X[:, 0].astype(object), id="objects"),
        pytest.param(lambda X: np.asfortranarray(X), id="Fortran order"),
        pytest.param(lambda X: np.repeat(X, 2, axis=2)[:, :, ::2], id="every second"),
        pytest.param(lambda X: X[::-1][::-1], id="backwards twice"),
        pytest.param(lambda X: X.astype(">f4"), id="big-endian"),
    ],
)
def test_the_same_series_in_any_container_get_the_same_probabilities(
    forecaster: Forecaster, X: Array, turn: Callable[[Array], object]
) -> None:
    assert_near(forecaster.predict_proba(turn(X)), forecaster.predict_proba(X))


def test_one_series_is_a_batch_of_one(forecaster: Forecaster, X: Array) -> None:
    expected = forecaster.predict_proba(X[:1])
    for one in (X[0], X[0, 0], X[0, 0].tolist(), X[0, 0].astype(np.float64), pd.Series(X[0, 0])):
        assert forecaster.predict_proba(one).shape == (1, 2)
        assert_near(forecaster.predict_proba(one), expected)


def test_one_case_of_several_channels_may_be_nested_lists(two_channels: Run) -> None:
    forecaster = Forecaster.load(two_channels)
    case = np.random.default_rng(0).normal(size=(2, 32)).astype(np.float32)
    assert_near(forecaster.predict_proba(case.tolist()), forecaster.predict_proba(case[None]))


def test_whole_numbers_are_taken(forecaster: Forecaster) -> None:
    whole = np.arange(32)
    assert_near(forecaster.predict_proba(whole), forecaster.predict_proba(whole.astype(float)))


def test_read_only_and_memory_mapped_arrays_are_taken(
    forecaster: Forecaster, X: Array, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    frozen = X.copy()
    frozen.flags.writeable = False
    assert_near(forecaster.predict_proba(mapped), forecaster.predict_proba(X))
    assert_near(forecaster.predict_proba(frozen), forecaster.predict_proba(X))


def test_a_problem_with_a_memory_mapped_read_only_array_is_trained_and_scored(
    small_problem: Make, small_config: Config, small_run: Run, tmp_path: Path
) -> None:
    problem = small_problem()
    np.save(tmp_path / "x.npy", problem.X)
    mapped = replace(problem, X=np.load(tmp_path / "x.npy", mmap_mode="r"))
    run = train(mapped, small_config(), folder=tmp_path / "run")
    assert run.read_model()[0]["sha256"] == small_run.read_model()[0]["sha256"]
    assert evaluate(run, mapped).scores == evaluate(small_run, problem).scores


def test_the_input_is_left_as_it_was(forecaster: Forecaster, X: Array) -> None:
    before = X.copy()
    forecaster.predict_proba(X)
    np.testing.assert_array_equal(X, before)


def test_missing_readings_are_taken(forecaster: Forecaster, X: Array) -> None:
    gaps = X.copy()
    gaps[:, :, 3:9] = np.nan
    assert np.isfinite(forecaster.predict_proba(gaps)).all()


@pytest.mark.parametrize("nothing", [[], (), np.empty((0, 1, 32)), np.empty((0, 32))])
def test_no_cases_give_no_rows(forecaster: Forecaster, nothing: object) -> None:
    assert forecaster.predict_proba(nothing).shape == (0, 2)
    assert forecaster.predict(nothing).shape == (0,)


def test_probabilities_are_those_of_the_network_as_it_was_trained(
    forecaster: Forecaster, X: Array
) -> None:
    (model,), x = forecaster.members, torch.from_numpy(X)
    with torch.inference_mode():
        expected = model.proba(model(x)).numpy()
    assert_near(forecaster.predict_proba(X), expected)


@pytest.mark.parametrize("precision", ["bf16", "auto"])
def test_lower_precision_is_near(forecaster: Forecaster, X: Array, precision: str) -> None:
    near = forecaster.predict_proba(X, precision=precision)
    np.testing.assert_allclose(near, forecaster.predict_proba(X), atol=0.1)


def test_an_unknown_precision_is_refused(forecaster: Forecaster, X: Array) -> None:
    with pytest.raises(
        ValueError, match="precision must be one of auto, float32, bf16, got 'half'"
    ):
        forecaster.predict_proba(X, precision="half")


def test_shorter_series_are_padded_where_the_training_had_them(unequal: Run, X: Array) -> None:
    forecaster = Forecaster.load(unequal)
    padded = X.copy()
    padded[:, :, 17:] = np.nan
    assert_near(forecaster.predict_proba(X[:, :, :17]), forecaster.predict_proba(padded))
    mixed = forecaster.predict_proba([X[0], X[1, :, :17], X[2, 0, :9]])
    assert_near(mixed[:1], forecaster.predict_proba(X[0]))
    assert_near(mixed[1:2], forecaster.predict_proba(padded[1]))


# what is refused


@pytest.mark.parametrize(
    ("series", "message"),
    [
        (np.ones((4, 2, 32)), r"series have 2 channels; the model was trained on 1 \(channel 0\)"),
        (np.ones((4, 1, 31)), "the series have 31 timepoints; .* on series of exactly 32"),
        (np.ones((4, 33)), "the series have 33 timepoints; the model takes at most 32"),
        (np.ones((1, 4, 1, 32)), r"be \(n_cases, n_channels, n_timepoints\), got .* 4 dimensions"),
        (1.0, "got an array of 0 dimensions"),
        ([np.ones(32), np.ones(31)], "case 1 has 31 timepoints"),
        ([np.ones(32), np.ones((2, 32))], "case 1 has 2 channels"),
        ([np.ones(32), np.ones((1, 1, 32))], "case 1 must be .*got shape"),
        ([[1.0, 2.0], [1.0]], "case 0 has 2 timepoints"),
        ([[[1.0, 2.0], [1.0]]], "case 0 must be numbers of one shape"),
        (["a"] * 32, "must be numbers of one shape: got <U1"),
        ([None, "x"], "must be numbers of one shape"),
        (np.ones(32, complex), "must be numbers of one shape: got complex128"),
        (np.zeros(32, "datetime64[s]"), "must be numbers of one shape: got datetime64"),
        (np.full((2, 32), np.inf), "case 0 contains an infinite value; mark missing"),
        (np.full((2, 32), 1e300), "case 0 contains an infinite value"),
        (np.full((2, 32), np.nan), "case 0 has no readings"),
        (np.ones((2, 1, 0)), "the series have 0 timepoints"),
    ],
)  # fmt: skip
def test_series_that_do_not_fit_are_refused_with_the_reason(
    forecaster: Forecaster, series: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        forecaster.predict_proba(series)


def test_a_series_of_no_timepoints_is_refused_where_lengths_differ(unequal: Run) -> None:
    with pytest.raises(ValueError, match="the series have no timepoints"):
        Forecaster.load(unequal).predict_proba(np.ones((2, 1, 0)))


# problems


def test_channels_in_another_order_are_put_right_by_name(
    two_channels: Run, small_problem: Make
) -> None:
    problem = small_problem(n_channels=2, n_classes=3, channels=("wind", "heat"))
    turned = replace(problem, X=problem.X[:, ::-1].copy(), channels=("heat", "wind"))
    assert evaluate(two_channels, turned) == evaluate(two_channels, problem)


def test_channels_of_other_names_are_refused(two_channels: Run, small_problem: Make) -> None:
    problem = small_problem(n_channels=2, n_classes=3, channels=("wind", "rain"))
    with pytest.raises(ValueError, match="the channels wind, rain; the model was trained on wind"):
        evaluate(two_channels, problem)


def test_channels_without_names_are_taken_in_their_order(
    two_channels: Run, small_problem: Make
) -> None:
    named = small_problem(n_channels=2, n_classes=3, channels=("wind", "heat"))
    unnamed = small_problem(n_channels=2, n_classes=3)
    assert evaluate(two_channels, unnamed) == evaluate(two_channels, named)


@pytest.mark.parametrize(("ours", "theirs", "fits"), [
    ("1min", "1min", True), ("1min", None, True), (None, "1min", True), ("1min", "2min", False),
    ("0.5", "1", False), ("1min", "1", False),
])  # fmt: skip
def test_cases_of_another_step_are_refused_where_both_are_known(
    small_run: Run, small_problem: Make, ours: str | None, theirs: str | None, fits: bool
) -> None:
    forecaster = Forecaster.load(small_run)
    forecaster.card = replace(forecaster.card, step=ours)
    problem = small_problem(step=theirs)
    if fits:
        assert forecaster.series(problem) is problem.X or len(forecaster.series(problem)) == 24
    else:
        with pytest.raises(ValueError, match=rf"small has readings every {theirs}; the model was"):
            forecaster.series(problem)


def test_evaluating_the_test_part_gives_the_scores_of_the_training(
    small_run: Run, small_problem: Make
) -> None:
    result = evaluate(small_run, small_problem())
    assert result.part == "test"
    assert result.n_trained_on == 0
    assert result.choice == "weights after the last of 3 epochs; none was picked by its score"
    assert decode(Scores, small_run.read("scores")["scores"], "scores") == result.scores


def test_classes_are_the_same_whatever_the_form_of_their_text(
    small_problem: Make, small_config: Config, tmp_path: Path
) -> None:
    old = small_problem(classes=("1.0", "2.0"))
    run = train(old, small_config(), folder=tmp_path / "old")
    expected = evaluate(run, old)
    assert evaluate(run, small_problem(classes=("1", "2"))) == expected
    turned = small_problem(classes=("2", "+1"), y=1 - old.y)
    assert evaluate(run, turned).scores == expected.scores
    assert expected.scores.classes == Forecaster.load(run).classes == ("1.0", "2.0")
    with pytest.raises(ValueError, match=r"cases of class '01', which the model does not know"):
        evaluate(run, small_problem(classes=("01", "2")))


def test_a_class_that_may_be_two_of_a_model_is_refused(
    small_problem: Make, small_config: Config, tmp_path: Path
) -> None:
    run = train(small_problem(classes=("1.0", "1.00")), small_config(), folder=tmp_path / "old")
    with pytest.raises(ValueError, match=r"class '1' matches '1.0' or '1.00' of the model"):
        evaluate(run, small_problem(classes=("1", "2")))


def test_cases_it_was_trained_on_are_counted(small_run: Run, small_problem: Make) -> None:
    assert evaluate(small_run, small_problem(), "train").n_trained_on == 16
    everything = replace(small_problem(), part=np.zeros(24, np.uint8))
    assert evaluate(small_run, everything).part is None
    assert evaluate(small_run, everything).n_trained_on == 16
    assert evaluate(small_run, everything).scores.n_cases == 24


def test_cases_it_was_trained_on_are_known_in_a_narrower_problem(
    unequal: Run, small_problem: Make
) -> None:
    problem = small_problem()
    short = np.flatnonzero(problem.part[::3] == 0) * 3  # those that end after 20 timepoints
    narrow = replace(
        problem, X=problem.X[short, :, :20].copy(), y=problem.y[short], part=problem.part[short]
    )
    assert evaluate(unequal, narrow).n_trained_on == len(short) > 0


def test_classes_in_another_order_are_matched_by_name(small_run: Run, small_problem: Make) -> None:
    problem = small_problem()
    turned = replace(problem, y=1 - problem.y, classes=("b", "a"))
    assert evaluate(small_run, turned) == evaluate(small_run, problem)


def test_a_file_with_fewer_classes_is_scored(small_run: Run, small_problem: Make) -> None:
    problem = small_problem()
    only = np.flatnonzero(problem.y == 1)
    fewer = replace(
        problem,
        X=problem.X[only],
        y=np.zeros(12, np.int64),
        part=problem.part[only],
        classes=("b",),
    )
    scores = evaluate(small_run, fewer, "train").scores
    assert scores.classes == ("a", "b")
    assert scores.confusion[0] == (0, 0)
    assert scores.model.auroc is None


def test_a_label_that_the_model_does_not_know_is_named(small_run: Run, small_problem: Make) -> None:
    strange = replace(small_problem(), classes=("a", "hum"))
    with pytest.raises(ValueError, match=r"small has cases of class 'hum', which .* it knows a, b"):
        evaluate(small_run, strange)


def test_cases_without_labels_cannot_be_scored(small_run: Run, small_problem: Make) -> None:
    unlabelled = replace(small_problem(), y=np.full(24, -1), classes=())
    with pytest.raises(ValueError, match="small has no labels to score against"):
        evaluate(small_run, unlabelled)


def test_a_part_without_cases_cannot_be_scored(small_run: Run, small_problem: Make) -> None:
    with pytest.raises(ValueError, match="small has no valid part to score"):
        evaluate(small_run, small_problem(), "valid")


def test_a_run_whose_list_of_training_cases_was_changed_is_refused(
    small_problem: Make, copied: Run
) -> None:
    path = copied.folder / "problem.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"trained_on": []}))
    with pytest.raises(RunError, match=r"problem\.json is not the file that was written"):
        evaluate(copied, small_problem())


def test_series_without_labels_are_loaded_for_a_forecast(
    forecaster: Forecaster, small_problem: Make, write_csv: Callable[..., Path], tmp_path: Path
) -> None:
    file = write_csv(tmp_path / "new.csv", small_problem(), labels=False, parts=False)
    X = forecaster.series(load(file, labelled=False))
    assert_near(forecaster.predict_proba(X), forecaster.predict_proba(small_problem().X))


def test_a_saved_problem_is_forecast_alike(
    forecaster: Forecaster, small_problem: Make, tmp_path: Path
) -> None:
    save(small_problem(), tmp_path / "small.npz")
    X = load(tmp_path / "small.npz").X
    assert_near(forecaster.predict_proba(X), forecaster.predict_proba(small_problem().X))


# masks, objects, levels, units


def test_what_is_masked_is_missing(forecaster: Forecaster, X: Array) -> None:
    mask = np.random.default_rng(0).random(X.shape) < 0.2
    beneath, gaps = np.where(mask, np.float32(-9999), X), np.where(mask, np.float32(np.nan), X)
    expected = forecaster.predict_proba(gaps)
    masked = np.ma.array(beneath, mask=mask)
    for given in (
        masked,
        list(masked),
        [case[0] for case in masked],
        [np.ma.array(c) for c in masked],
    ):
        np.testing.assert_array_equal(forecaster.predict_proba(given), expected)


@pytest.mark.parametrize("as_objects", [True, False])
def test_series_of_unequal_length_may_be_an_array_of_objects(
    unequal: Run, X: Array, as_objects: bool
) -> None:
    ragged = np.empty(24, object)
    ragged[:] = [case[0, : 32 - i % 3] for i, case in enumerate(X)]
    column = pd.Series(ragged).map(list) if not as_objects else ragged
    forecaster = Forecaster.load(unequal)
    np.testing.assert_array_equal(
        forecaster.predict_proba(column), forecaster.predict_proba(list(ragged))
    )


def test_arrow_lists_are_series(unequal: Run) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    forecaster = Forecaster.load(unequal)
    series = [[0.5, 1.0, 0.25, 0.0, 1.0, 0.5], [1.0, 0.5, 0.0, 1.0]]
    np.testing.assert_array_equal(
        forecaster.predict_proba(pyarrow.array(series)), forecaster.predict_proba(series)
    )


def test_logarithms_are_those_of_the_probabilities(forecaster: Forecaster, X: Array) -> None:
    np.testing.assert_array_equal(
        forecaster.predict_log_proba(X), np.log(forecaster.predict_proba(X))
    )


def test_truth_values_are_zeros_and_ones(forecaster: Forecaster) -> None:
    X = np.random.default_rng(0).random((4, 1, 32)) < 0.5
    np.testing.assert_array_equal(
        forecaster.predict_proba(X), forecaster.predict_proba(X.astype(float))
    )


@pytest.mark.parametrize("level", [1e6, -1e8, 1e9])
def test_the_level_of_a_series_that_is_normalised_changes_nothing(
    forecaster: Forecaster, X: Array, level: float
) -> None:
    levels = level * np.arange(1, 25)[:, None, None]
    found = forecaster.predict_proba(X + levels)
    np.testing.assert_allclose(found, forecaster.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("unit", [2.0**-40, 2.0**-30, 2.0**30])
def test_the_unit_of_a_series_that_is_normalised_changes_nothing(
    forecaster: Forecaster, X: Array, unit: float
) -> None:
    np.testing.assert_array_equal(forecaster.predict_proba(X * unit), forecaster.predict_proba(X))


@pytest.fixture(scope="module")
def far_away(
    tmp_path_factory: pytest.TempPathFactory, small_problem: Make, small_config: Config
) -> tuple[Run, Problem]:
    """A run of a problem whose second channel lies so far from 0 that float32 would not do."""
    near = small_problem(n_channels=2)
    problem = replace(near, X=near.X + np.array([0, 1e9])[:, None])
    folder = tmp_path_factory.mktemp("run") / "far"
    with without_pictures():
        return train(problem, small_config(members=2), folder=folder), problem


def test_what_training_took_off_is_taken_off_what_is_forecast(
    far_away: tuple[Run, Problem], small_problem: Make, tmp_path: Path
) -> None:
    run, problem = far_away
    forecaster = Forecaster.load(run)
    assert forecaster.card.offset == tuple(problem.offset.tolist())
    raw = small_problem(n_channels=2).X + np.array([0, 1e9])[:, None]
    rows = list(csv.DictReader(io.StringIO((run.folder / "predictions.csv").read_text())))
    stored = np.float32([[row["proba_a"], row["proba_b"]] for row in rows])
    assert_near(forecaster.predict_proba(raw[16:]), stored)
    assert_near(forecaster.predict_proba(forecaster.series(problem, np.arange(16, 24))), stored)
    near = replace(problem, X=raw - np.array([0, 5e8])[:, None], offset=None)
    assert near.offset is not None
    shifted = replace(near, offset=near.offset + np.array([0, 5e8]))
    assert_near(forecaster.predict_proba(forecaster.series(shifted, np.arange(16, 24))), stored)
    save(problem, tmp_path / "far.npz")
    assert evaluate(run, load(tmp_path / "far.npz")).scores.n_cases == 8
    assert evaluate(run, problem, "train").n_trained_on == 16
    with np.load(run.folder / "explanations.npz") as explained:
        np.testing.assert_allclose(explained["X"][:, 1].mean(), 1e9, atol=10)


def test_readings_with_another_offset_are_forecast_alike(far_away: tuple[Run, Problem]) -> None:
    run, problem = far_away
    forecaster = Forecaster.load(run)
    rule = quake_rule(window=32, quiet=0, min_active=0)
    forecaster.card = replace(forecaster.card, rule=rule, step="1h")
    values = np.array([[0.0], [1e9]]) + np.random.default_rng(0).normal(size=(2, 40))
    readings = hourly(values, problem.channels)
    expected = forecaster.predict_proba(values[:, -32:])[0].tolist()
    assert readings.offset is not None
    for each in (readings, readings.less(readings.offset + 64.0)):
        found = forecaster.forecast(each)
        assert list(found.proba.values()) == pytest.approx(expected, abs=1e-5)
    scanned = forecaster.scan(readings, np.array([38, 39]))
    assert scanned[1].tolist() == pytest.approx(expected, abs=1e-5)


def sensor(level: float, *, seed: int = 0) -> Readings:
    random = np.random.default_rng(seed)
    values = random.uniform(1, 4, size=(2, 3000)) * random.integers(0, 2, (2, 3000))
    events = np.sort(random.choice(np.arange(4, 3000), 100, replace=False))
    for before in (1, 2, 3, 4):  # they are foretold, so that what a reading is worth shows
        values[:, events - before] = 4
    values[0, events] = 6
    return hourly(np.rint(values * 100) + level)  # of whole numbers all digits stay


def cut_sensor(level: float, start: int = 0) -> Problem:
    readings = sensor(level)
    if start:
        values = readings.true_values()[:, start:]
        readings = replace(readings, values=values, start=readings.times(start), offset=None)
    levels = {"event_above": 5.0, "calm_below": 4.5, "active_above": 0.0}
    far = {name: value * 100 + level for name, value in levels.items()}
    return cut(readings, quake_rule(window=16, quiet=4, min_active=1, **far))


@pytest.fixture(scope="module", params=["train", "series"])
def sensors(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, small_config: Config
) -> tuple[Run, Run]:
    """Runs of a sensor, and of the same around 1.5e9."""
    folder = tmp_path_factory.mktemp("sensors")
    config = small_config(model={"normalize": request.param})
    with without_pictures():
        near, far = (
            train(cut_sensor(level), config, folder=folder / str(level)) for level in (0.0, 1.5e9)
        )
    return near, far


def test_a_sensor_far_from_zero_is_explained_in_its_units(sensors: tuple[Run, Run]) -> None:
    near, far = (dict(np.load(run.folder / "explanations.npz")) for run in sensors)
    np.testing.assert_allclose(far.pop("X") - 1.5e9, near.pop("X"), atol=1e-4)
    for name in ("map", "convolutional", "proba"):
        most = np.nanmax(np.abs(near[name]))
        np.testing.assert_allclose(far[name], near[name], atol=0.02 * most)
    ours, theirs = (run.read("scores")["occlusion"] for run in sensors)
    for name in ("top", "random"):
        assert theirs[name]["value"] == pytest.approx(ours[name]["value"], abs=5e-3)
    assert ours["top"]["value"] > 3 * ours["random"]["value"] > 0.03


def test_cases_of_a_sensor_far_from_zero_are_known_again(sensors: tuple[Run, Run]) -> None:
    near, far = (
        evaluate(run, cut_sensor(level, start=500), "train")
        for run, level in zip(sensors, (0.0, 1.5e9), strict=True)
    )
    assert near.n_trained_on == far.n_trained_on > 30


@pytest.mark.parametrize("sensors", ["series"], indirect=True)
@pytest.mark.parametrize("level", [0.0, 1e8, 1.01e8, -1.5e9, 3e9])
def test_a_model_of_series_scaled_by_themselves_says_the_same_of_a_sensor_at_any_level(
    sensors: tuple[Run, Run], level: float
) -> None:
    last = np.arange(15, 3000, 7)
    for run in sensors:
        forecaster = Forecaster.load(run)
        assert forecaster.card.model.normalize == "series"
        expected = forecaster.scan(sensor(1.5e9), last)
        np.testing.assert_allclose(forecaster.scan(sensor(level), last), expected, atol=1e-5)
        expected = forecaster.predict_proba(cut_sensor(1.5e9).X)
        found = forecaster.predict_proba(cut_sensor(level).X)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_windows_without_a_reading_have_no_forecast(sensors: tuple[Run, Run]) -> None:
    readings = sensor(0.0)
    values = readings.values.copy()
    values[:, 100:150] = np.nan
    proba = Forecaster.load(sensors[0]).scan(replace(readings, values=values), np.arange(15, 300))
    np.testing.assert_array_equal(
        np.flatnonzero(np.isnan(proba).all(axis=1)) + 15, np.arange(115, 150)
    )


def test_float32_that_has_lost_its_digits_is_warned_of(far_away: tuple[Run, Problem]) -> None:
    run, problem = far_away
    forecaster = Forecaster.load(run)
    X = forecaster.series(problem)[:]
    with pytest.warns(UserWarning, match="are float32 and lie so far from zero"):
        forecaster.predict_proba(X.astype(np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forecaster.predict_proba(X)


def test_a_probability_that_is_no_number_is_an_error_and_no_forecast(
    far_away: tuple[Run, Problem], small_problem: Make
) -> None:
    run, problem = far_away
    forecaster = Forecaster.load(run)
    X = small_problem(n_channels=2).X + np.array([0, 1e9])[:, None]
    X[3, 0, 5] = 3e38
    with pytest.raises(
        ValueError, match=r"no probability for 1 of 24 cases, such as case 3 .* Write NaN"
    ):
        forecaster.predict_proba(X)
    readings = hourly(np.concatenate(list(X), axis=1), problem.channels)
    proba = forecaster.scan(readings, np.arange(31, readings.n_timepoints))
    without = np.isnan(proba).all(axis=1)
    assert np.isfinite(proba[~without]).all()
    np.testing.assert_array_equal(np.flatnonzero(without), 3 * 32 + 5 - 31 + np.arange(32))


def test_swapped_axes_are_named_where_the_channels_do_not_fit(
    forecaster: Forecaster, two_channels: Run, X: Array
) -> None:
    with pytest.raises(ValueError, match=r"swap the axes, X\.transpose\(0, 2, 1\)"):
        forecaster.predict_proba(X.transpose(0, 2, 1))
    with pytest.raises(ValueError, match=r"32 channels; .*swap the axes"):
        Forecaster.load(two_channels).predict_proba(np.ones((32, 2)))


# CSV


def test_names_of_any_kind_survive_csv() -> None:
    names = ("[bold]", 'a "b"', "c, d", "e\nf", "=cmd()", "é😀", " g ")
    proba = np.eye(7, dtype=np.float32)
    table = predictions_csv(PredictedCases(proba, None, None), names, labels=names)
    rows = list(csv.reader(io.StringIO(table)))
    assert rows[0] == ["case", "label", "predicted", *(f"proba_{name}" for name in names)]
    assert [row[1] for row in rows[1:]] == list(names)
    assert [row[2] for row in rows[1:]] == list(names)


def test_csv_keeps_every_digit() -> None:
    proba = np.random.default_rng(0).random((50, 1)).astype(np.float32)
    rows = list(csv.reader(io.StringIO(predictions_csv(PredictedCases(proba, None, None), ("a",)))))
    np.testing.assert_array_equal(np.float32([row[2] for row in rows[1:]]), proba[:, 0])


def test_readings_are_taken_by_the_names_of_their_channels(two_channels: Run) -> None:
    forecaster = Forecaster.load(two_channels)
    rule = quake_rule(window=32, quiet=0, min_active=0)
    forecaster.card = replace(forecaster.card, rule=rule, step="1h")
    values = np.random.default_rng(0).normal(size=(3, 40)).astype(np.float32)
    first, second = forecaster.card.channels

    def forecast(*names: str) -> dict[str, float]:
        readings = hourly(values[[("other", first, second).index(name) for name in names]], names)
        return forecaster.forecast(readings).proba

    expected = forecaster.predict_proba(values[1:, -32:])[0].tolist()
    assert list(forecast(first, second).values()) == pytest.approx(expected)
    assert forecast(second, "other", first) == forecast(first, second)
