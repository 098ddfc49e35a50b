import runpy
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from foreshock.readings.catalog import Catalog, read_catalog
from foreshock.readings.etas import (
    DEFAULT,
    MAX_EVENTS,
    EtasConfig,
    decayed,
    exponentials,
    probability,
    simulate,
)

ROOT = Path(__file__).resolve().parents[2]
NCSN = ROOT.parent / "shared" / "data" / "catalogs" / "ncsn_1967_2003.csv.gz"
HOUR = np.timedelta64(1, "h")
MEASURE = runpy.run_path(str(ROOT / "benchmarks" / "etas.py"))["measure"]
TOLERANCES = {
    **{f"M >= {m}, per year": 0.15 for m in (2, 3, 4, 5)},
    "empty hours": 0.025,  # of 0.78: 0.02
    "mainshocks, per year": 0.25,
    "rate at 1 to 6 h": 0.3,
    "rate at 6 to 24 h": 0.3,
    "rate at 24 to 72 h": 0.3,
    "rate at 72 to 240 h": 0.3,
    "rate at 240 to 720 h": 0.3,
    "rate at 720 to 2400 h": 0.3,
    "active hours, 50%": 0.1,
    "active hours, 90%": 0.15,
}
"""How far, relatively, the mean of four seeds may be from Northern California."""
LIVELY = EtasConfig(
    background=3.0, branching_ratio=0.8, alpha=0.8, c=0.01, p=1.2, years=2.0, seed=5
)


def magnitudes_of(config: EtasConfig) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = round(config.min_magnitude * 100), round(config.max_magnitude * 100)
    magnitudes: NDArray[np.float64] = np.array([m / 100 for m in range(low, high + 1)])
    slope = np.where(magnitudes[1:] <= config.bend + 1e-6, config.b_small, config.b)
    shares = np.concatenate([[1.0], np.cumprod(10 ** (-0.01 * slope))]).astype(np.float64)
    return magnitudes, shares / shares.sum()


def aftershocks_of(config: EtasConfig, magnitude: NDArray[np.float64]) -> NDArray[np.float64]:
    magnitudes, shares = magnitudes_of(config)
    mean = (shares * 10 ** (config.alpha * magnitudes)).sum()
    k: NDArray[np.float64] = config.branching_ratio * 10 ** (config.alpha * magnitude) / mean
    return k


def later_than(config: EtasConfig, days: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of an event's own aftershocks that come after so many days."""
    share: NDArray[np.float64] = (1 + np.maximum(days, 0) / config.c) ** (1 - config.p)
    return share


def days_of(times: NDArray[np.datetime64], config: EtasConfig) -> NDArray[np.float64]:
    since = times - np.datetime64(config.start)
    return since.astype("timedelta64[us]").astype(np.int64) / 864e8


def expected(catalog: Catalog, config: EtasConfig, begin: float, end: float) -> float:
    """Return the mean number of events in a time of which the events before it are the cause."""
    days = days_of(catalog.time, config)
    days, magnitude = days[days < begin], catalog.magnitude[days < begin]
    share = later_than(config, begin - days) - later_than(config, end - days)
    return float(config.background * (end - begin) + aftershocks_of(config, magnitude) @ share)


def continuations(
    catalog: Catalog, config: EtasConfig, begin: float, days: float, number: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Draw what may follow a history: the number of the draw, days from begin, magnitude."""
    random = np.random.default_rng(11)
    magnitudes, shares = magnitudes_of(config)
    known = days_of(catalog.time, config)
    age, past = begin - known[known < begin], catalog.magnitude[known < begin]
    share = later_than(config, age) - later_than(config, age + days)
    owed = np.concatenate([[config.background * days], aftershocks_of(config, past) * share])
    each = random.poisson(owed, (number, len(owed)))
    draw, cause = np.repeat(np.indices(each.shape).reshape(2, -1), each.ravel(), axis=1)
    part = random.uniform(size=len(draw))
    later = later_than(config, age)[cause - 1] - part * share[cause - 1]
    delayed = config.c * (later ** (1 / (1 - config.p)) - 1) - age[cause - 1]
    at = np.where(cause == 0, part * days, delayed)
    out: list[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]] = []
    while len(at):
        size = random.choice(magnitudes, len(at), p=shares)
        out.append((draw, at, size))
        children = random.poisson(aftershocks_of(config, size))
        draw, at = np.repeat(draw, children), np.repeat(at, children)
        at = at + config.c * (random.uniform(size=len(at)) ** (1 / (1 - config.p)) - 1)
        draw, at = draw[at < days], at[at < days]
    return tuple(map(np.concatenate, zip(*out, strict=True)))


@pytest.fixture(scope="module")
def lively() -> Catalog:
    return simulate(LIVELY)


def test_the_same_seed_gives_the_same_catalogue_and_another_seed_another(lively: Catalog) -> None:
    again, other = simulate(LIVELY), simulate(replace(LIVELY, seed=6))
    for field in fields(Catalog):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(lively, field.name))
    assert len(other) != len(lively)


def test_events_come_in_order_of_time_to_the_millisecond_from_start_to_end(lively: Catalog) -> None:
    days = days_of(lively.time, LIVELY)
    assert lively.time.dtype == np.dtype("datetime64[us]")
    assert (np.diff(days) >= 0).all()
    assert (lively.time.astype(np.int64) % 1000 == 0).all()
    assert 0 <= days[0] < 2
    assert 2 * 365.25 - 2 < days[-1] < 2 * 365.25


def test_events_are_named_earthquakes_without_a_place(lively: Catalog) -> None:
    assert lively.id[[0, -1]].tolist() == ["etas-1", f"etas-{len(lively)}"]
    assert set(lively.kind.tolist()) == {"eq"}
    assert np.isnan([lively.latitude, lively.longitude, lively.depth]).all()


def test_magnitudes_are_the_numbers_that_a_file_would_hold(lively: Catalog) -> None:
    assert [float(f"{m:.2f}") for m in lively.magnitude.tolist()] == lively.magnitude.tolist()


def test_magnitudes_follow_the_law_of_gutenberg_and_richter() -> None:
    config = EtasConfig(branching_ratio=0.3, background=30.0, b=1.1, max_magnitude=6.0)
    catalog = simulate(config)
    magnitudes, shares = magnitudes_of(config)
    edges = np.array([1.995, 2.095, 2.495, 2.995, 3.095, 3.495, 3.995, 4.495, 6.005])
    observed = np.histogram(catalog.magnitude, edges)[0]
    wanted = np.histogram(magnitudes, edges, weights=shares)[0] * len(catalog)
    assert len(catalog) > 400_000
    assert stats.chisquare(observed, wanted).pvalue > 1e-3


def test_the_tail_of_magnitudes_falls_by_b_in_each_unit() -> None:
    catalog = simulate(EtasConfig(branching_ratio=0.0, background=40.0, b=0.9, bend=2.0))
    above = [(catalog.magnitude >= m).sum() for m in (2.0, 3.0, 4.0)]
    assert np.log10(above[0] / above[1]) == pytest.approx(0.9, abs=0.01)
    assert np.log10(above[1] / above[2]) == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize(("alpha", "b"), [(0.5, 1.0), (1.0, 1.0), (1.2, 0.8)])
def test_every_event_of_the_background_leads_to_as_many_as_the_branching_ratio_says(
    alpha: float, b: float
) -> None:
    config = EtasConfig(
        alpha=alpha, b=b, bend=2.0, branching_ratio=0.5, background=40.0, p=3.0, max_magnitude=5.0
    )
    n_background = config.background * config.years * 365.25
    assert len(simulate(config)) / n_background == pytest.approx(2.0, rel=0.05)


def test_the_integrated_rate_between_events_is_exponential(lively: Catalog) -> None:
    events = lively.take(np.arange(3000))
    days = days_of(events.time, LIVELY)
    k = aftershocks_of(LIVELY, events.magnitude)
    done = 1 - later_than(LIVELY, days[:, None] - days)  # (at an event, of an event)
    passed = LIVELY.background * days + done @ k
    waits = np.diff(passed)
    assert stats.kstest(waits, "expon").pvalue > 1e-3
    assert abs(stats.spearmanr(waits[1:], waits[:-1]).statistic) < 0.06


@pytest.mark.parametrize("p", [1.02, 1.175, 3.0])
def test_exponentials_sum_to_the_law_of_omori_and_utsu(p: float) -> None:
    config = replace(DEFAULT, p=p)
    days = np.concatenate([[0.0], np.geomspace(1e-6, 13_150, 1000)])
    rates, weights = exponentials(config, 13_150)
    law = (p - 1) / config.c * (1 + days / config.c) ** -p
    np.testing.assert_allclose(np.exp(-np.outer(days, rates)) @ weights, law, rtol=1e-7)


def test_the_recursion_gives_the_rate_of_the_direct_sum(lively: Catalog) -> None:
    days, k = days_of(lively.time, LIVELY), aftershocks_of(LIVELY, lively.magnitude)
    rates, weights = exponentials(LIVELY, 800)
    rate = np.concatenate([states @ weights for _, states in decayed(days, k, rates)])
    for i in (0, 1, 77, 1000, len(days) - 1):
        ages = days[i] - days[:i]
        direct = (k[:i] * (LIVELY.p - 1) / LIVELY.c * (1 + ages / LIVELY.c) ** -LIVELY.p).sum()
        assert rate[i] == pytest.approx(direct, rel=1e-6)


def test_the_probability_that_anything_happens_next_is_that_of_the_known_rate(
    lively: Catalog,
) -> None:
    times = lively.time[[0, 10, 500, 2000, 4000]] + np.timedelta64(1234, "s")
    given = probability(lively, LIVELY, times, step=HOUR, lead=0, horizon=3, event_above=2.0)
    for time, chance in zip(days_of(times, LIVELY), given, strict=True):
        direct = 1 - np.exp(-expected(lively, LIVELY, time, time + 3 / 24))
        assert chance == pytest.approx(direct, rel=1e-6)


@pytest.mark.parametrize(
    ("lead", "horizon", "event_above"),
    [(0, 1, 4.5), (6, 1, 3.5), (0, 240, 5.5), (48, 120, 5.5), (240, 24, 4.5)],
)
def test_the_probability_is_the_frequency_among_what_may_follow(
    lively: Catalog, lead: int, horizon: int, event_above: float
) -> None:
    time = lively.time[lively.magnitude.argmax()] + np.timedelta64(2, "h")
    given = probability(
        lively,
        LIVELY,
        time[None],
        step=HOUR,
        lead=lead,
        horizon=horizon,
        event_above=event_above,
    )[0]
    number, days = 4000, (lead + horizon) / 24
    draw, at, size = continuations(lively, LIVELY, float(days_of(time, LIVELY)), days, number)
    hits = np.unique(draw[(at >= lead / 24) & (size >= event_above - 1e-6)])
    assert 0.05 < given < 0.95
    assert stats.binomtest(len(hits), number, given).pvalue > 1e-3


@pytest.mark.parametrize(
    ("lead", "horizon", "event_above"), [(0, 1, 2.0), (1, 12, 3.0), (0, 24, 3.5)]
)
def test_probabilities_are_calibrated_over_a_long_catalogue_and_in_each_tenth(
    lead: int, horizon: int, event_above: float
) -> None:
    config = replace(LIVELY, years=10.0)
    catalog = simulate(config)
    n_windows = int(10 * 8766 // horizon) - lead
    times = np.datetime64(config.start, "us") + HOUR * horizon * np.arange(n_windows)
    given = probability(
        catalog, config, times, step=HOUR, lead=lead, horizon=horizon, event_above=event_above
    )
    large = catalog.time[catalog.magnitude >= event_above]
    begin, end = times + lead * HOUR, times + (lead + horizon) * HOUR
    happened = np.searchsorted(large, end) > np.searchsorted(large, begin)
    for tenth in [np.arange(n_windows), *np.array_split(np.argsort(given), 10)]:
        scatter = np.sqrt((given[tenth] * (1 - given[tenth])).sum())
        assert abs(happened[tenth].sum() - given[tenth].sum()) < 4 * scatter
    assert np.quantile(given, 0.95) > 2 * np.quantile(given, 0.05)


def test_without_aftershocks_the_probability_is_poissons(lively: Catalog) -> None:
    config = replace(LIVELY, branching_ratio=0.0)
    given = probability(
        lively, config, lively.time[:3], step=HOUR, lead=7, horizon=48, event_above=3.0
    )
    magnitudes, shares = magnitudes_of(config)
    chance = 1 - np.exp(-config.background * 2 * shares[magnitudes > 2.995].sum())
    np.testing.assert_allclose(given, chance, rtol=1e-9)


def test_a_finer_grid_in_time_changes_no_probability_by_more_than_six_digits(
    lively: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask() -> NDArray[np.float64]:
        return probability(
            lively, LIVELY, lively.time[::500], step=HOUR, lead=24, horizon=72, event_above=4.0
        )

    coarse = ask()
    monkeypatch.setattr("foreshock.readings.etas._NODES", 4096)
    np.testing.assert_allclose(coarse, ask(), rtol=3e-5)


def test_an_event_at_the_end_of_a_window_is_not_yet_known(lively: Catalog) -> None:
    at = int(lively.magnitude.argmax())
    times = lively.time[at] + np.array([0, 1], dtype="timedelta64[us]")
    before, after = probability(
        lively, LIVELY, times, step=HOUR, lead=0, horizon=1, event_above=3.0
    )
    without = probability(
        lively.take(np.arange(at)), LIVELY, times, step=HOUR, lead=0, horizon=1, event_above=3.0
    )
    assert before == pytest.approx(without[0], rel=1e-9)
    assert after > 5 * before


def test_later_events_change_no_probability(lively: Catalog) -> None:
    times = lively.time[100:2000:100]
    few = lively.take(np.arange(2000))
    whole, part = (
        probability(events, LIVELY, times, step=HOUR, lead=1, horizon=2, event_above=3.0)
        for events in (lively, few)
    )
    np.testing.assert_allclose(whole, part, rtol=1e-6)


def test_times_may_come_in_any_order(lively: Catalog) -> None:
    times = lively.time[[3000, 5, 1200]] + np.timedelta64(7, "s")
    given, turned = (
        probability(lively, LIVELY, asked, step=HOUR, lead=0, horizon=1, event_above=3.0)
        for asked in (times, times[::-1])
    )
    np.testing.assert_array_equal(given, turned[::-1])


def test_no_event_can_be_above_the_largest_magnitude(lively: Catalog) -> None:
    given = probability(
        lively, LIVELY, lively.time[:5], step=HOUR, lead=1, horizon=9, event_above=7.51
    )
    assert (given == 0).all()


def test_a_threshold_means_the_magnitudes_that_are_written_so(lively: Catalog) -> None:
    same, less, more = (
        probability(lively, LIVELY, lively.time[:1], step=HOUR, lead=0, horizon=1, event_above=m)
        for m in (4.3, 4.291, 4.301)
    )
    assert same == less
    assert same > more


@pytest.mark.parametrize("magnitude", [np.nan, 1.9])
def test_events_that_the_model_does_not_know_are_refused(lively: Catalog, magnitude: float) -> None:
    catalog = replace(lively, magnitude=np.where(lively.magnitude > 5, magnitude, 3.0))
    with pytest.raises(
        ValueError, match=r"at least 2, the model's min_magnitude; leave the others"
    ):
        probability(catalog, LIVELY, lively.time, step=HOUR, lead=0, horizon=1, event_above=5.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"branching_ratio": 1.0}, "got 1.0: above, the number of events grows without end"),
        ({"branching_ratio": float("nan")}, "branching_ratio must be at least 0"),
        ({"p": 1.0}, "p must be above 1, or aftershocks never end"),
        ({"c": 0.0}, "c must be above 0, got 0.0"),
        ({"background": float("inf")}, "background must be above 0"),
        ({"years": -1.0}, "years must be above 0"),
        ({"alpha": -0.1}, "alpha must be from 0 to 5, got -0.1"),
        ({"b": float("nan")}, "b must be from 0 to 5"),
        ({"min_magnitude": 8.0}, "below max_magnitude, got 8.0 and 7.5"),
        ({"max_magnitude": 7.505}, "multiple of 0.01 from 0 to 10, got 7.505"),
        ({"bend": float("nan")}, "bend must be a multiple of 0.01"),
        ({"start": "then"}, "a time must look like"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_a_configuration_that_is_no_model_is_refused(
    changes: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        replace(DEFAULT, **changes)


@pytest.mark.parametrize(
    "changes", [{"years": 1e7}, {"background": 300.0, "branching_ratio": 0.99, "p": 3.0}]
)
def test_more_events_than_memory_holds_are_refused_before_they_are_drawn(
    changes: dict[str, float],
) -> None:
    with pytest.raises(ValueError, match=rf"more than {MAX_EVENTS:,} events; lower background"):
        simulate(replace(DEFAULT, **changes))


def test_a_catalogue_without_events_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no event happened in 1e-06 years; raise years"):
        simulate(replace(DEFAULT, years=1e-6))


@pytest.fixture(scope="module")
def northern_california() -> dict[str, float]:
    if not NCSN.is_file():
        pytest.skip(f"{NCSN} is not there")
    return dict(MEASURE(read_catalog(NCSN)))


def outside(config: EtasConfig, real: dict[str, float]) -> set[str]:
    """Return which quantities of a simulation are out of their tolerances."""
    simulated = [MEASURE(simulate(replace(config, seed=seed))) for seed in range(20, 24)]
    means = {name: np.mean([each[name] for each in simulated]) for name in TOLERANCES}
    return {n for n, limit in TOLERANCES.items() if not abs(means[n] / real[n] - 1) <= limit}


def test_the_defaults_look_like_northern_california(
    northern_california: dict[str, float],
) -> None:
    assert outside(DEFAULT, northern_california) == set()


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"branching_ratio": 0.0, "background": 7.4}, {"rate at 1 to 6 h", "empty hours"}),
        ({"alpha": 0.9}, {"M >= 2, per year", "rate at 1 to 6 h"}),
        ({"p": 2.0}, {"M >= 2, per year", "empty hours"}),
        ({"c": 0.2}, {"rate at 1 to 6 h"}),
        ({"b": 0.8}, {"M >= 5, per year"}),
        ({"b_small": 1.0}, {"M >= 3, per year"}),
    ],
)
def test_another_model_does_not_look_like_northern_california(
    northern_california: dict[str, float], changes: dict[str, float], wrong: set[str]
) -> None:
    model = replace(DEFAULT, **changes)
    assert wrong <= outside(model, northern_california)
