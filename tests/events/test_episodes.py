"""Stretches of alarms and events: against timescoring, and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshock.events.episodes import EpisodeConfig, Episodes, match, spans_of

SECOND = np.timedelta64(1, "s")


def spans(pairs: list[tuple[int, int]]) -> np.ndarray:
    return np.array(pairs, np.float64).reshape(-1, 2)


@st.composite
def stretches(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Draw stretches that are apart from each other."""
    places = sorted(draw(st.sets(st.integers(0, 300), max_size=16)))
    return list(zip(places[::2], places[1::2], strict=False))


@given(stretches(), stretches(), st.data())
def test_events_are_matched_as_timescoring_does(
    events: list[tuple[int, int]], alarms: list[tuple[int, int]], data: st.DataObject
) -> None:
    annotations = pytest.importorskip("timescoring.annotations")
    scoring = pytest.importorskip("timescoring.scoring")
    start, end, merge = (data.draw(st.integers(0, 40)) for _ in range(3))
    longest, overlap = data.draw(st.integers(5, 400)), data.draw(st.sampled_from([0, 0.3, 0.8]))
    theirs = scoring.EventScoring(
        annotations.Annotation(events, 1, 300),
        annotations.Annotation(alarms, 1, 300),
        scoring.EventScoring.Parameters(start, end, overlap, longest, merge),
    )
    config = EpisodeConfig(
        tolerance_start=start, tolerance_end=end, min_overlap=overlap, max_event=longest,
        merge=merge,
    )  # fmt: skip
    ours = match(spans(events), spans(alarms), 300, config, SECOND)
    assert (ours.events, ours.detected, ours.false_alarms) == (
        theirs.refTrue, theirs.tp, theirs.fp
    )  # fmt: skip
    assert ours.alarms == len(theirs.hyp.events)


def test_an_alarm_within_the_tolerance_counts_and_one_outside_is_false() -> None:
    event, alarms = spans([(100, 110)]), spans([(80, 85), (92, 95), (130, 140)])
    none = EpisodeConfig()
    assert match(event, alarms, 200, none, SECOND) == Episodes(1, 0, 3, 3)
    early = EpisodeConfig(tolerance_start="10s")
    assert match(event, alarms, 200, early, SECOND) == Episodes(1, 1, 3, 2)
    both = EpisodeConfig(tolerance_start=20, tolerance_end="1min")
    assert match(event, alarms, 200, both, SECOND) == Episodes(1, 1, 3, 0)
    minutes = match(event, alarms, 200, both, np.timedelta64(1, "m"))  # a minute is a reading
    assert minutes == Episodes(1, 1, 3, 1)


def test_neighbours_are_one_and_long_ones_several() -> None:
    alarms = spans([(0, 10), (12, 20), (50, 60)])
    nothing = spans([])
    merged = EpisodeConfig(merge=3)
    assert match(nothing, alarms, 100, merged, SECOND) == Episodes(0, 0, 2, 2)
    cut = EpisodeConfig(merge=3, max_event=8)
    assert match(nothing, alarms, 100, cut, SECOND) == Episodes(0, 0, 5, 5)


def test_targets_side_by_side_are_one_stretch() -> None:
    at = np.array([0, 1, 2, 3, 10, 20])
    flags = np.array([True, True, False, True, False, True])
    assert spans_of(flags, at, 3).tolist() == [[0, 6], [20, 23]]
    assert spans_of(flags & False, at, 3).shape == (0, 2)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"merge": -1}, "merge must be at least 0"),
        ({"max_event": 0}, "max_event must be at least 1"),
        ({"min_overlap": 2}, "min_overlap must be from 0 to 1"),
        ({"tolerance_end": "soon"}, "a duration must be a number and a unit"),
    ],
)
def test_lengths_that_cannot_be_are_refused(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        EpisodeConfig(**fields)
