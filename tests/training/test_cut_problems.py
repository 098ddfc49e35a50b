"""What stands in the run of a problem that is cut from readings, and where it comes from."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from toys import hourly, quake_rule, without_pictures

from foreshock.events.alarms import AlarmConfig
from foreshock.events.baselines import fit_baselines
from foreshock.events.cut import cut
from foreshock.events.partition import PartsConfig
from foreshock.inference.evaluate import evaluate
from foreshock.inference.forecaster import Forecaster
from foreshock.problems.problem import Problem
from foreshock.run import Run
from foreshock.training.config import TrainConfig
from foreshock.training.pipeline import train

Configs = Callable[..., TrainConfig]
Trained = Callable[..., Run]
SIMPLE = {"last reading", "window summary", "gradient boosting"}
NARROW = {"mixed": (), "dilations": (1, 1, 1)}
pytestmark = pytest.mark.usefixtures("no_pictures")
RULE = quake_rule(window=24, quiet=24, min_active=2, lead=2, horizon=3, calm_below=4, event_above=5)


@pytest.fixture(scope="module")
def problem() -> Problem:
    random = np.random.default_rng(0)
    values = np.where(random.random(6000) < 0.4, random.uniform(1, 3.9, 6000), 0)
    values[np.cumsum(random.integers(60, 120, 60))] = 6
    readings = hourly(values[None].astype(np.float32), ("tremor",))
    return cut(readings, RULE, PartsConfig(folds=3))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, problem: Problem, small_config: Configs) -> Run:
    kernels = {
        "kernels": (5, 4, 3),
        **NARROW,
    }  # they see 10 timepoints besides their own, less than half
    config = small_config(model=kernels, members=3, alarm=AlarmConfig(budget=60.0))
    with without_pictures():
        return train(problem, config, folder=tmp_path_factory.mktemp("events") / "run")


def arrays(run: Run, name: str) -> dict[str, Any]:
    with np.load(run.folder / name) as file:
        return dict(file)


def test_every_target_of_the_test_parts_time_is_forecast(run: Run, problem: Problem) -> None:
    found, readings = arrays(run, "forecasts.npz"), problem.readings
    assert (np.diff(found["time"]) == readings.step).all()
    starts = readings.positions(found["time"])
    window = [readings.values[:, s - 26 : s - 2] for s in starts[::97]]
    proba = Forecaster.load(run).predict_proba(np.stack(window))[:, 1]
    np.testing.assert_allclose(found["proba"][::97], proba, atol=1e-4)
    events = np.array([(readings.values[0, s : s + 3] >= 5).any() for s in starts])
    np.testing.assert_array_equal(found["event"], events)
    test = problem.select("test")
    targets = problem.ends[test] + 3 * readings.step
    assert np.isin(targets, found["time"]).all()
    assert not found["outside"][np.isin(found["time"], targets[problem.y[test] == 1])].any()


def test_long_windows_are_convolved_without_padding_and_short_ones_with_it(
    run: Run, problem: Problem, trained: Trained
) -> None:
    def padding(name: str, **model: object) -> str:
        run = trained(problem, name=name, fit={"epochs": 1}, model=model, scan=False)
        found: str = run.read("model")["model"]["padding"]
        return found

    assert run.read("model")["model"]["padding"] == "valid"
    assert padding("long kernels", kernels=(8, 5, 3), **NARROW) == "same"  # they see 14
    assert padding("asked for", kernels=(5, 4, 3), padding="same", **NARROW) == "same"


def test_alarms_are_counted_at_the_threshold_of_the_budget(run: Run) -> None:
    alarms, found = run.read("scores")["alarms"], arrays(run, "forecasts.npz")
    calibration = Forecaster.load(run).card.calibration
    assert alarms["threshold"] == calibration.threshold
    assert alarms["policy"] == calibration.policy == "at most 60 false alarms per year"
    assert alarms["n_forecasts"] == len(found["time"])
    assert alarms["n_outside"] == found["outside"].sum()
    inside = ~found["outside"]
    assert alarms["span"] == pytest.approx(inside.sum() / 24 / 365.25)
    high = inside & (found["proba"] >= np.float32(alarms["threshold"]))
    assert alarms["alarms"] <= high.sum()
    assert alarms["false_alarm_rate"] == pytest.approx(alarms["false_alarms"] / alarms["span"])
    assert alarms["recall"]["value"] == pytest.approx(alarms["warned"] / alarms["events"])
    assert alarms["curve"][-1]["recall"] == 1.0
    assert alarms["baseline"] == run.read("scores")["held_out"]["scores"]["best"]
    assert alarms["baseline_curve"][-1]["recall"] == 1.0


def test_scores_stand_beside_the_simplest_that_works(run: Run, problem: Problem) -> None:
    scores = run.read("scores")
    for part in (scores["scores"], scores["held_out"]["scores"]):
        assert set(part["baselines"]) == {"always 'no'", "class prior", *SIMPLE}
        assert set(part["tests"]) == {"majority", "chance", *SIMPLE}
        assert part["best"] in SIMPLE
        area = {name: each["auroc"]["value"] for name, each in part["baselines"].items()}
        assert area[part["best"]] == max(area[name] for name in SIMPLE)
    given = arrays(run, "baselines.npz")
    test, made = problem.select("test"), len(arrays(run, "forecasts.npz")["time"])
    for name in SIMPLE:
        assert given[f"test/{name}"].shape == (len(test), 2)
        assert given[f"targets/{name}"].shape == (made, 2)
        stored = scores["scores"]["baselines"][name]["log_loss"]["value"]
        likely = given[f"test/{name}"][np.arange(len(test)), problem.y[test]]
        assert -np.log(likely).mean() == pytest.approx(stored, abs=1e-5)


def test_saved_regressions_forecast_what_they_forecast_in_training(
    run: Run, problem: Problem
) -> None:
    test, card = problem.select("test"), Forecaster.load(run).card
    assert set(card.baselines) == {"last reading", "window summary"}
    again = card.fitted.forecast(problem, test, card.channels)
    for name, proba in again.items():
        np.testing.assert_allclose(proba, arrays(run, "baselines.npz")[f"test/{name}"], atol=1e-6)
    result = evaluate(run, problem)
    scores = result.scores
    kept = run.read("scores")["scores"]["baselines"]["window summary"]
    assert scores.baselines["window summary"].auroc.value == kept["auroc"]["value"]
    assert "gradient boosting" not in scores.baselines
    assert list(result.lacking) == ["gradient boosting"]


def test_baselines_of_held_out_cases_were_fitted_without_them(problem: Problem, run: Run) -> None:
    fold = problem.fold
    assert fold is not None
    held = np.concatenate([np.flatnonzero(fold == k) for k in range(3)])
    train = problem.select("train")
    rows = train[(fold[train] != 0) & (fold[train] < 3)]
    first = fit_baselines(problem, rows, boosting=False)
    expected = first.forecast(problem, np.flatnonzero(fold == 0), problem.channels)
    found = arrays(run, "baselines.npz")["held_out/window summary"][fold[held] == 0]
    assert np.abs(found - expected["window summary"]).max() < 0.2  # a neighbour may be left out
    y = problem.y.copy()
    y[fold == 0] = 0
    again = fit_baselines(replace(problem, y=y), rows, boosting=False)
    assert again.regressions == first.regressions


def test_a_forecast_says_whether_it_is_an_alarm(run: Run, problem: Problem) -> None:
    forecaster, readings = Forecaster.load(run), problem.readings
    assert readings is not None
    forecast = forecaster.forecast(readings)
    calibration = forecaster.card.calibration
    assert calibration.threshold is not None
    assert forecast.alarm == (forecast.proba["yes"] >= calibration.threshold)
    assert forecast.fitting is not None
    assert set(forecast.fitting) <= {"no", "yes"}


def test_explanations_are_of_test_cases_and_add_up_to_what_is_predicted(
    run: Run, problem: Problem
) -> None:
    found = arrays(run, "explanations.npz")
    test = set(problem.select("test").tolist())
    assert set(found["case"].tolist()) <= test
    assert set(found["kind"].tolist()) <= {"example", "error"}
    labels = [problem.classes[y] for y in problem.y[found["case"]]]
    assert found["label"].tolist() == labels
    right = found["label"] == found["predicted"]
    np.testing.assert_array_equal(found["kind"] == "example", right)
    np.testing.assert_array_equal(found["X"], problem.X[found["case"]])
    assert found["map"].shape == (len(labels), 24)
    logits = found["recurrent"] + found["convolutional"] + found["bias"]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, found["proba"], atol=0.05)  # a mean of members is no logit
    occlusion = run.read("scores")["occlusion"]
    assert occlusion["difference"]["low"] <= occlusion["difference"]["value"]


def test_without_scan_no_target_but_the_cases_is_forecast(
    problem: Problem, trained: Trained
) -> None:
    run = trained(problem, fit={"epochs": 1}, scan=False, members=2, alarm=AlarmConfig(recall=0.5))
    assert not (run.folder / "forecasts.npz").exists()
    assert run.read("scores")["alarms"] is None
    assert run.read("model")["calibration"]["threshold"] is not None


def test_parts_that_are_no_times_are_not_scanned(problem: Problem, trained: Trained) -> None:
    assert problem.readings is not None
    mixed = cut(problem.readings, replace(RULE), PartsConfig(order="random"))
    run = trained(mixed, fit={"epochs": 1})
    assert run.read("scores")["alarms"] is None
    with pytest.raises(ValueError, match="parts or folds are stretches of time"):
        trained(mixed, name="other", members=2, alarm=AlarmConfig(budget=5.0))


def test_the_documents_are_plain_json(run: Run) -> None:
    for name in ("scores.json", "model.json"):
        json.loads((run.folder / name).read_text(), parse_constant=pytest.fail)
