"""True probabilities of cases cut from a simulated catalogue."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from toys import quake_rule

from foreshock.events.baselines import add_chance, count_active
from foreshock.events.cut import cut, rankings
from foreshock.problems.problem import Problem
from foreshock.readings.catalog import Catalog, read_catalog, to_readings, write_catalog
from foreshock.readings.config import CatalogConfig
from foreshock.readings.etas import (
    EtasConfig,
    parameters_of,
    probability,
    read_parameters,
    simulate,
    write_parameters,
)

HOUR = np.timedelta64(1, "h")
CONFIG = EtasConfig(years=6, seed=3)
RULE = quake_rule(window=48, quiet=48, min_active=1, event_above=4.0, calm_below=3.5)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return simulate(CONFIG)


@pytest.fixture(scope="module")
def problem(catalog: Catalog) -> Problem:
    return add_chance(cut(to_readings(catalog), RULE), catalog, CONFIG)


def test_cases_have_the_probability_of_an_event_after_their_window(
    catalog: Catalog, problem: Problem
) -> None:
    assert problem.ends is not None
    assert problem.chance is not None
    expected = probability(
        catalog, CONFIG, problem.ends + HOUR, step=HOUR, lead=0, horizon=1, event_above=4.0
    )
    quiet = (problem.X[:][:, 0] < 4.0).all(axis=1)
    assert 0 < quiet.sum() < problem.n_cases
    np.testing.assert_allclose(problem.chance[quiet], expected[quiet], rtol=1e-6)
    np.testing.assert_array_equal(problem.chance[~quiet], 0)
    assert (problem.y[~quiet] == 0).all()


def test_the_truth_ranks_better_than_counting(problem: Problem) -> None:
    from sklearn.metrics import roc_auc_score

    cases = np.arange(problem.n_cases)
    truth = roc_auc_score(problem.y, rankings(problem, cases)["true probability"])
    assert truth > roc_auc_score(problem.y, count_active(problem, cases)[:, 0]) + 0.05


def test_where_the_simulation_knows_nothing_nothing_is_said(catalog: Catalog) -> None:
    counted = to_readings(catalog, CatalogConfig(channels=("count",)))
    problem = cut(counted, dataclasses.replace(RULE, event_above=5, calm_below=4))
    assert add_chance(problem, catalog, CONFIG).chance is None
    listed = cut(to_readings(catalog), RULE, events=catalog.time[catalog.magnitude >= 4])
    assert add_chance(listed, catalog, CONFIG).chance is None


def test_lead_horizon_and_magnitude_are_those_of_the_rule(
    catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    rule = dataclasses.replace(RULE, lead=6, quiet=0, horizon=24)
    readings = to_readings(catalog, CatalogConfig(min_magnitude=4.5))
    problem = add_chance(cut(readings, rule), catalog, CONFIG)
    assert problem.chance is not None
    assert problem.ends is not None
    expected = probability(
        catalog, CONFIG, problem.ends + HOUR, step=HOUR, lead=6, horizon=24, event_above=4.5
    )
    np.testing.assert_allclose(problem.chance, expected, rtol=1e-6)
    quiet = cut(readings, dataclasses.replace(rule, quiet=4))
    assert add_chance(quiet, catalog, CONFIG).chance is None
    assert "Where quiet reaches over a lead" in caplog.text


def test_the_model_is_kept_beside_the_catalogue_and_known_to_be_its(
    tmp_path: Path, catalog: Catalog
) -> None:
    path = tmp_path / "sim.csv"
    write_catalog(catalog, path)
    write_parameters(CONFIG, path)
    assert read_parameters(path) == CONFIG
    assert len(read_catalog(path)) == len(catalog)
    with path.open("a") as file:
        file.write("\n")
    with pytest.raises(ValueError, match=r"etas\.json belongs to another catalogue than .*sim.csv"):
        read_parameters(path)
    parameters_of(path).write_text(
        parameters_of(path).read_text().replace('"seed": 3', '"seed": 4')
    )
    with pytest.raises(ValueError, match="its digest does not match"):
        read_parameters(path)
