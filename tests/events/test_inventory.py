"""What readings hold, and rules to try: each suggestion is one that works."""

from dataclasses import replace

import numpy as np
import pytest
from toys import hourly

from foreshock.events.cut import cut
from foreshock.events.inventory import channels_of, describe, line_to_try, suggestions
from foreshock.readings.series import Readings, stack


def machine(n: int = 2000, seed: int = 0) -> Readings:
    random = np.random.default_rng(seed)
    flag = np.zeros(n)
    for start in range(150, n, 300):
        flag[start : start + 20] = 1
    values = np.stack([random.normal(50, 5, n), np.full(n, 7.0), flag, 1 - flag, flag])
    values[0, 100:110] = np.nan
    return hourly(values, ("heat", "still", "alarm", "mode=RUN", "mode=STOP"))


def test_each_channel_is_known_for_what_it_is() -> None:
    found = {channel.name: channel for channel in channels_of(machine())}
    assert {name: channel.kind for name, channel in found.items()} == {
        "heat": "measured", "still": "constant", "alarm": "flag", "mode=RUN": "state",
        "mode=STOP": "state",
    }  # fmt: skip
    assert found["heat"].missing == pytest.approx(10 / 2000)
    assert found["heat"].quantiles[1] == pytest.approx(50, abs=1)
    said = "\n".join(describe(machine(), channels_of(machine())))
    assert "heat       measured: 30.5029 to" in said and "0.5% missing" in said
    assert "still      constant: always 7.000" in said
    assert "alarm      flag: 1 in 7." in said


@pytest.mark.parametrize("units", [1, 12])
def test_what_is_suggested_makes_cases_of_both_kinds(units: int) -> None:
    readings = machine()
    if units > 1:
        each = {f"m{k}": machine(400, seed=k) for k in range(units)}
        readings = stack(each)
    found = suggestions(readings, channels_of(readings))
    assert [each.what.split(" of ")[0] for each in found] == (
        ["alarm becoming 1", "mode becoming STOP", "heat"]
        if units == 1
        else ["alarm becoming 1", "mode becoming STOP", "the end"]
    )
    for each in found:
        problem = cut(readings, each.rule, events="end" if each.ends else None)
        assert 0 < problem.y.sum() < problem.n_cases
        assert (problem.n_cases, problem.y.sum()) == (each.cases, each.events)
    line = line_to_try(readings, "log.csv", "log.npz")
    assert line is not None and line.startswith("foreshock cut log.csv -o log.npz --rule.channel a")


def test_nothing_is_suggested_of_readings_that_stand_still_or_are_few() -> None:
    still = hourly(np.ones((1, 500)))
    assert suggestions(still, channels_of(still)) == []
    assert line_to_try(still, "a.csv", "a.npz") is None
    few = machine(20)
    assert suggestions(few, channels_of(few)) == []
    empty = replace(still, values=np.full((1, 500), np.nan, np.float32))
    assert suggestions(empty, channels_of(empty)) == []


def test_a_catalogue_has_a_rule_of_its_own() -> None:
    quakes = hourly(np.random.default_rng(0).exponential(1, (1, 500)), ("maximum",))
    assert line_to_try(quakes, "q.csv", "q.npz") == "foreshock cut q.csv -o q.npz"
