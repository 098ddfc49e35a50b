from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest

import foreshock
from foreshock.problems import overlaps as matching
from foreshock.problems.overlaps import Matches, find_near_duplicates, find_overlaps

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
NAMES = ("train", "valid", "test")
N_CASES, T = 40, 256
PARTS = np.repeat([0, 2], N_CASES // 2).astype(np.uint8)
# case -> the case that goes on where it ends, and how many timepoints both hold
PLANTED = {(0, 20): 192, (3, 33): 128, (5, 6): 96, (22, 39): 200}

Make = Callable[[np.random.Generator, int, int], np.ndarray]


def walk(random: np.random.Generator, n_channels: int, n_timepoints: int) -> np.ndarray:
    return np.cumsum(random.normal(size=(n_channels, n_timepoints)), axis=1)


def counts(random: np.random.Generator, n_channels: int, n_timepoints: int) -> np.ndarray:
    return random.poisson(0.2, (n_channels, n_timepoints)).astype(np.float64)


def noise(random: np.random.Generator, n_channels: int, n_timepoints: int) -> np.ndarray:
    return random.normal(size=(n_channels, n_timepoints))


def planted(make: Make, n_channels: int = 1) -> np.ndarray:
    random = np.random.default_rng(7)
    X = np.stack([make(random, n_channels, T) for _ in range(N_CASES)])
    for (i, j), shared in PLANTED.items():
        recording = make(random, n_channels, 2 * T - shared)
        X[i], X[j] = recording[:, :T], recording[:, T - shared :]
    return X


def z_normalised(X: np.ndarray) -> np.ndarray:
    deviation = np.nanstd(X, axis=2, keepdims=True)
    return (X - np.nanmean(X, axis=2, keepdims=True)) / np.where(deviation > 0, deviation, 1)


def three_digits(X: np.ndarray) -> np.ndarray:
    return np.array([f"{value:.2e}" for value in X.ravel()], dtype=np.float64).reshape(X.shape)


def overlaps(X: np.ndarray, part: np.ndarray = PARTS) -> dict[tuple[int, int], int]:
    found = find_overlaps(X.astype(np.float32), part, NAMES)
    assert sum(matches.pairs for matches in found) == sum(len(m.examples) for m in found)
    return {(i, j): shared for matches in found for i, j, shared in matches.examples}


def near_duplicates(X: np.ndarray, part: np.ndarray = PARTS) -> Matches:
    (found,) = find_near_duplicates(X.astype(np.float32), part, NAMES)
    return found


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray]:
    if not DATA.is_dir():
        pytest.skip(f"needs the archive's problems in {DATA}")
    monkeypatch.setenv("FORESHOCK_DATA", str(DATA))
    problem = foreshock.load(name)
    return np.asarray(problem.X), problem.part


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("make", [walk, noise, counts])
def test_windows_over_the_same_readings_are_found_with_what_they_share(
    make: Make, n_channels: int
) -> None:
    assert overlaps(planted(make, n_channels)) == PLANTED


@pytest.mark.parametrize("make", [walk, noise, counts])
def test_a_window_that_was_z_normalised_on_its_own_is_found(make: Make) -> None:
    assert overlaps(z_normalised(planted(make, 2))) == PLANTED


@pytest.mark.parametrize("store", [lambda X: X.round(7), lambda X: X.round(3), three_digits])
def test_rounding_of_what_is_stored_hides_no_overlap(
    store: Callable[[np.ndarray], np.ndarray],
) -> None:
    assert overlaps(store(z_normalised(planted(noise)))) == PLANTED
    assert overlaps(store(z_normalised(planted(counts)))) == PLANTED


def test_a_random_walk_of_three_decimals_is_found() -> None:
    assert overlaps(z_normalised(planted(walk)).round(3)) == PLANTED


def test_an_offset_far_above_the_variation_hides_no_overlap() -> None:
    assert overlaps(planted(walk) * 0.1 + 1013) == PLANTED


@pytest.mark.parametrize("scale", [1e-25, 1e35])
def test_the_unit_does_not_matter(scale: float) -> None:
    X = planted(walk) * scale
    assert overlaps(X) == PLANTED
    X[28] = 2 * X[11]
    assert near_duplicates(X).cases == 1


def test_gaps_hide_no_overlap() -> None:
    X = z_normalised(planted(walk, 2))
    gaps = np.random.default_rng(3).integers(0, T, (N_CASES, 2))
    for case, at in enumerate(gaps.tolist()):
        X[case, :, at[0] : at[0] + 9] = np.nan
        X[case, 1, at[1] : at[1] + 3] = np.nan
    assert overlaps(X) == PLANTED


def test_a_channel_without_a_value_hides_no_overlap() -> None:
    X = planted(walk, 2)
    X[:, 1] = np.nan
    assert overlaps(X) == PLANTED


def test_series_of_unequal_length_are_compared_up_to_their_ends() -> None:
    X = planted(walk)
    X[20, :, 150:] = np.nan  # 192 of its timepoints were shared
    X[0, :, T - 10 :] = np.nan
    assert overlaps(X) == PLANTED | {(0, 20): 150}


def test_an_overlap_has_to_hold_in_every_channel() -> None:
    X = planted(walk, 2)
    X[3, 1] = walk(np.random.default_rng(0), 1, T)
    assert overlaps(X) == {pair: shared for pair, shared in PLANTED.items() if pair != (3, 33)}


def test_a_mirrored_window_is_no_overlap() -> None:
    X = planted(walk)
    X[0] *= -1
    assert (0, 20) not in overlaps(X)


def test_the_order_of_the_cases_does_not_matter() -> None:
    X = planted(walk)
    order = np.random.default_rng(5).permutation(N_CASES)
    found = overlaps(X[order], PARTS[order])
    assert {frozenset(order[list(pair)].tolist()): n for pair, n in found.items()} == {
        frozenset(pair): n for pair, n in PLANTED.items()
    }


def test_overlaps_are_counted_for_each_part_and_each_two() -> None:
    found = find_overlaps(planted(walk).astype(np.float32), PARTS, NAMES)
    assert [(m.parts, m.examined, m.pairs, m.cases) for m in found] == [
        (("train", "train"), (20, 20), 1, 2),
        (("train", "test"), (20, 20), 2, 2),
        (("test", "test"), (20, 20), 1, 2),
    ]


def test_windows_of_one_recording_are_all_counted_however_many_they_are() -> None:
    n_cases, n_timepoints, stride = 300, 128, 5
    recording = walk(np.random.default_rng(0), 1, n_timepoints + stride * n_cases)[0]
    windows = np.lib.stride_tricks.sliding_window_view(recording, n_timepoints)[::stride][:n_cases]
    part = (np.arange(n_cases) % 2 * 2).astype(np.uint8)
    found = find_overlaps(z_normalised(windows[:, None]).astype(np.float32), part, NAMES)
    steps = np.arange(1, 26)  # 25 strides are 125 timepoints
    assert sum(matches.pairs for matches in found) == (n_cases - steps).sum()
    assert found[1].pairs == (n_cases - steps)[steps % 2 == 1].sum()
    assert found[1].cases == n_cases // 2
    assert len(found[1].examples) == 5


def sines(random: np.random.Generator) -> np.ndarray:
    return np.sin(2 * np.pi * (np.arange(T) / 17.3 + random.random((N_CASES, 1))))


def equal_sines(random: np.random.Generator) -> np.ndarray:
    return np.sin(2 * np.pi * (np.arange(T) + random.integers(0, 99, (N_CASES, 1))) / 16)


def beats(random: np.random.Generator) -> np.ndarray:
    beat = np.exp(-0.5 * ((np.arange(48) - 20) / 3) ** 2) + 0.01 * random.normal(size=48)
    return beat[(np.arange(T) + random.integers(0, 48, (N_CASES, 1))) % 48]


def square_waves(random: np.random.Generator) -> np.ndarray:
    return np.sign(sines(random))


def stairs(random: np.random.Generator) -> np.ndarray:
    return np.floor(3 * ((np.arange(T) / 17.3 + random.random((N_CASES, 1))) % 1))


def pulses(random: np.random.Generator) -> np.ndarray:
    begin, width = random.integers(20, 200, (2, N_CASES, 1))
    return ((np.arange(T) > begin) & (np.arange(T) < begin + width)).astype(np.float64)


def constants(random: np.random.Generator) -> np.ndarray:
    return np.ones((N_CASES, T)) * random.random((N_CASES, 1))


def nearly_constant(random: np.random.Generator) -> np.ndarray:
    return 1000 + 1e-5 * random.normal(size=(N_CASES, T))


def coarse_noise(random: np.random.Generator) -> np.ndarray:
    return (5 + 1e-3 * random.normal(size=(N_CASES, T))).round(3)


def ramps(random: np.random.Generator) -> np.ndarray:
    return np.arange(T) * random.random((N_CASES, 1))


@pytest.mark.parametrize(
    "make",
    [
        *(sines, equal_sines, beats, square_waves, stairs, pulses),
        *(constants, nearly_constant, coarse_noise, ramps),
    ],
)
def test_what_repeats_itself_or_says_nothing_gives_no_overlap(
    make: Callable[[np.random.Generator], np.ndarray],
) -> None:
    X = make(np.random.default_rng(2))[:, None]
    assert overlaps(X) == {}
    assert overlaps(z_normalised(X).round(3)) == {}


@pytest.mark.parametrize("n_timepoints", [1, 2, 15, 16, 17, 30])
@pytest.mark.parametrize("n_cases", [1, 2, 12])
def test_small_problems_are_examined_without_a_finding(n_cases: int, n_timepoints: int) -> None:
    X = np.random.default_rng(0).normal(size=(n_cases, 2, n_timepoints))
    part = np.zeros(n_cases, dtype=np.uint8)
    part[n_cases - 1] = 2
    assert overlaps(X, part) == {}
    found = find_near_duplicates(X.astype(np.float32), part, NAMES)
    assert n_timepoints < 3 or all(not matches.cases for matches in found)


def test_of_a_large_problem_evenly_spaced_cases_are_examined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(matching, "_MOST_VALUES", 19 * T)
    X = planted(walk).astype(np.float32)
    X[39, :, :200] = X[0, :, T - 200 :]
    found = find_overlaps(X, PARTS, NAMES)
    assert [m.examined for m in found] == [(10, 10), (10, 10), (10, 10)]
    assert found[1].examples == ((0, 39, 200),)
    assert near_duplicates(X).examined == (10, 10)


def test_a_copy_with_one_percent_of_noise_is_a_near_duplicate() -> None:
    random = np.random.default_rng(1)
    X = z_normalised(planted(walk, 2))
    X[[25, 30]] = X[[4, 2]] + 0.01 * random.normal(size=(2, 2, T))
    found = near_duplicates(X)
    assert (found.parts, found.examined) == (("train", "test"), (20, 20))
    assert (found.cases, found.pairs) == (2, 2)
    assert set(found.examples) == {(4, 25, T), (2, 30, T)}


def test_a_copy_of_another_offset_and_scale_is_a_near_duplicate() -> None:
    X = planted(walk)
    X[28] = 2 * X[11]
    X[29] = 0.3 * X[12] + 7
    assert set(near_duplicates(X).examples) == {(11, 28, T), (12, 29, T)}


def test_an_exact_copy_is_no_near_duplicate() -> None:
    X = planted(walk)
    X[:, :, -7:] = np.nan
    X[28] = X[11]
    assert near_duplicates(X).cases == 0


def test_smooth_cases_that_resemble_each_other_are_no_near_duplicates() -> None:
    random = np.random.default_rng(4)
    at = np.linspace(0, 1, T)
    peaks = random.normal([0.3, 0.6, 0.8], 0.004, (200, 3))[:, :, None]
    X = np.exp(-(((at - peaks) / 0.05) ** 2)).sum(axis=1)
    part = np.repeat([0, 2], 100).astype(np.uint8)
    assert near_duplicates(X[:, None], part).cases == 0


def test_constant_cases_are_no_near_duplicates() -> None:
    X = constants(np.random.default_rng(0))[:, None]
    assert near_duplicates(X).cases == 0
    X[:25] = planted(walk)[:25]
    assert near_duplicates(X).cases == 0


def test_few_known_cases_leave_it_open_what_is_near() -> None:
    part = np.repeat([0, 2], [9, N_CASES - 9]).astype(np.uint8)
    assert find_near_duplicates(planted(walk).astype(np.float32), part, NAMES) == ()


def test_the_windows_of_earthquakes_that_overlap_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    X, part = load("Earthquakes", monkeypatch)
    # their dates tell of one more pair, 125 and 363: it shares three hours, all without an event
    assert overlaps(X, part) == {
        (125, 307): 505,
        (95, 420): 305,
        (132, 347): 267,
        (347, 411): 243,
        (314, 420): 206,
    }
    found = find_overlaps(X, part, NAMES)
    assert [(m.parts, m.pairs) for m in found] == [
        (("train", "train"), 1),
        (("train", "test"), 3),
        (("test", "test"), 1),
    ]
    assert near_duplicates(X, part).cases == 0


def test_what_worms_repeats_is_equal_not_near(monkeypatch: pytest.MonkeyPatch) -> None:
    X, part = load("Worms", monkeypatch)
    train = {case.tobytes() for case in X[part == 0]}
    assert sum(case.tobytes() in train for case in X[part == 2]) == 10
    assert near_duplicates(X, part).cases == 0
    assert overlaps(X, part) == {}


@pytest.mark.parametrize("name", ["Coffee", "GunPointMaleVersusFemale", "OliveOil", "Plane"])
def test_smooth_problems_of_the_archive_are_clean(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, part = load(name, monkeypatch)
    assert overlaps(X, part) == {}
    assert near_duplicates(X, part).cases == 0


@pytest.mark.slow
def test_the_problems_of_the_archive_hold_these_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    shared, near = {}, {}
    for folder in sorted((DATA / "ucr").glob("*")) + sorted((DATA / "uea").glob("*")):
        X, part = load(folder.name, monkeypatch)
        found = find_overlaps(X, part, NAMES)
        if any(matches.pairs for matches in found):
            shared[folder.name] = {m.parts: m.pairs for m in found if m.pairs}
        if cases := near_duplicates(X, part).cases:
            near[folder.name] = cases
    assert set(shared) == {
        *("ECGFiveDays", "Earthquakes", "HouseTwenty"),
        *("MoteStrain", "ShapesAll", "SonyAIBORobotSurface1"),
    }
    assert shared["HouseTwenty"] == {("train", "test"): 1, ("test", "test"): 1}
    assert shared["ShapesAll"] == {("train", "test"): 2}
    assert near == {"ACSF1": 3}


@pytest.mark.slow
def test_ten_thousand_cases_are_examined_in_half_a_minute() -> None:
    random = np.random.default_rng(0)
    X = np.cumsum(random.normal(size=(10_000, 1, 1_000)), axis=2).astype(np.float32)
    X[1:1000:2, :, :500] = X[:1000:2, :, 500:]
    part = (np.arange(len(X)) % 4 // 3 * 2).astype(np.uint8)
    began = perf_counter()
    found = find_overlaps(X, part, NAMES)
    find_near_duplicates(X, part, NAMES)
    assert perf_counter() - began < 30
    assert sum(matches.pairs for matches in found) == 500
    assert sum(matches.examined[0] for matches in found if len(set(matches.parts)) == 1) == 10_000
