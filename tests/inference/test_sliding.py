import dataclasses
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import stir

from foreshock.inference import sliding
from foreshock.inference.sliding import scan
from foreshock.nn.config import PAPER, ModelConfig
from foreshock.nn.distributed import this_device
from foreshock.nn.model import LSTMFCN
from foreshock.nn.model import predict as predict_logits

MEMBERS = [(False, False), (True, False), (False, True), (True, True)]


def build(n_timepoints: int = 64, n_channels: int = 2, **fields: object) -> LSTMFCN:
    """Build a small model for windows of readings, of which every weight and statistic matters."""
    base = fields.pop("base", ModelConfig())
    usual = {"filters": (16, 32, 16), "cells": 8, "normalize": "train", "padding": "valid"}
    usual |= {"mixed": (4, 8), "dilations": (1, 2, 1)}
    model = LSTMFCN(
        dataclasses.replace(base, **{**usual, **fields}),
        n_channels=n_channels,
        n_timepoints=n_timepoints,
        n_classes=3,
    )
    return stir(model, 0).eval()


def draw(n: int = 400, n_channels: int = 2, *, gaps: bool = True) -> np.ndarray:
    """Draw readings with single gaps, gaps of one channel, and one longer than any window here."""
    random = np.random.default_rng(5)
    values = random.normal(1, 2, (n_channels, n)).astype(np.float32)
    if gaps:
        values[:, random.random(n) < 0.1] = math.nan
        values[0, random.random(n) < 0.1] = math.nan
        values[:, n // 2 : n // 2 + 90] = math.nan
    return values


def one_by_one(model: LSTMFCN, values: np.ndarray, ends: np.ndarray) -> np.ndarray:
    n = model.n_timepoints
    X = np.stack([values[:, end - n + 1 : end + 1] for end in ends])
    return predict_logits(model, X, devices=this_device())


def check(model: LSTMFCN, values: np.ndarray, ends: np.ndarray | None = None) -> None:
    if ends is None:
        ends = np.arange(model.n_timepoints - 1, values.shape[1])
    expected = one_by_one(model, values, ends)
    assert expected.std(axis=0).min() > 0.01
    np.testing.assert_allclose(scan(model, values, ends), expected, atol=1e-4)


@pytest.fixture
def shared(monkeypatch) -> list[int]:
    """Count the stretches whose windows are done together."""
    calls: list[int] = []
    together = sliding._together

    def counted(model, stretch, last):
        calls.append(len(last))
        return together(model, stretch, last)

    monkeypatch.setattr(sliding, "_together", counted)
    return calls


@pytest.mark.parametrize(("attention", "squeeze_excite"), MEMBERS)
@pytest.mark.parametrize("normalize", ["train", "none", "series"])
@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_a_scan_gives_what_each_window_gives(
    shared, attention, squeeze_excite, normalize, n_channels, gaps, padding
):
    model = build(
        n_channels=n_channels,
        attention=attention,
        squeeze_excite=squeeze_excite,
        normalize=normalize,
        padding=padding,
    )
    check(model, draw(n_channels=n_channels, gaps=gaps))
    # where a window's own readings, average or ends count, nothing can be shared
    possible = normalize != "series" and not squeeze_excite and padding == "valid"
    assert bool(shared) == possible


@pytest.mark.parametrize("difference", [False, True])
@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_a_scan_gives_the_same_with_any_view(shared, difference, standardize, mask, n_channels):
    views = {"difference": difference, "standardize": standardize, "mask": mask}
    check(build(n_channels=n_channels, **views), draw(n_channels=n_channels))
    assert shared


@pytest.mark.parametrize("kernels", [(1, 1, 1), (2, 2, 2), (3, 9, 4), (8, 5, 3), (1, 1, 6)])
@pytest.mark.parametrize("difference", [False, True])
def test_a_scan_gives_the_same_with_any_kernels(shared, kernels, difference):
    check(build(kernels=kernels, difference=difference), draw())
    assert shared


def test_a_scan_gives_the_same_with_the_layers_of_the_papers(shared):
    check(build(base=PAPER, normalize="none"), draw())
    assert shared


@pytest.mark.parametrize("n_timepoints", [19, 20, 30])
@pytest.mark.parametrize("attention", [False, True])
def test_short_windows_give_the_same(shared, n_timepoints, attention):
    check(build(n_timepoints, attention=attention), draw())
    assert shared


@settings(max_examples=25)
@given(
    ends=st.lists(st.integers(47, 599), min_size=1, max_size=60).map(sorted),
    kernels=st.tuples(*[st.integers(1, 7)] * 3),
    stretch=st.sampled_from([97, 200, 4096]),
)
def test_any_ends_give_the_same_however_they_are_grouped(ends, kernels, stretch):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sliding, "_STRETCH", stretch)
        patch.setattr(sliding, "_BATCH", 5000)
        model, values, at = build(48, kernels=kernels), draw(600), np.array(ends)
        expected = one_by_one(model, values, at)
        np.testing.assert_allclose(scan(model, values, at), expected, atol=1e-4)


def test_windows_that_share_little_are_predicted_one_by_one(shared):
    check(build(), draw(4000), np.arange(63, 4000, 70))
    assert not shared
    check(build(), draw(4000), np.arange(63, 4000, 60))
    assert shared


def test_a_large_reading_costs_the_windows_after_it_no_digits(shared):
    model, values = build(), draw(2000)
    values[:, 70] = 1e6
    ends = np.arange(63, 2000)
    after = ends >= 70 + 64
    expected = one_by_one(model, values, ends[after])
    np.testing.assert_allclose(scan(model, values, ends)[after], expected, atol=1e-4)
    assert shared


def test_readings_stay_on_disk_and_little_is_held_at_a_time(tmp_path, monkeypatch):
    values = np.lib.format.open_memmap(tmp_path / "v.npy", "w+", np.float32, (2, 60_000))
    values[:] = draw(60_000)
    model, longest = build(), []
    convolve = model.convolve

    def measured(series, mask):
        longest.append(series.numel())
        return convolve(series, mask)

    monkeypatch.setattr(model, "convolve", measured)
    ends = np.arange(63, 60_000)
    logits = scan(model, values, ends)
    some = np.arange(0, len(ends), 997)
    np.testing.assert_allclose(logits[some], one_by_one(model, values, ends[some]), atol=1e-4)
    assert max(longest) <= 4 * (8192 + 63)  # two channels and their differences
    assert len(longest) > 60_000 / 8192


def test_no_windows_give_no_logits():
    assert scan(build(), draw(), np.empty(0, np.int64)).shape == (0, 3)


@pytest.mark.parametrize("ends", [[62, 100], [100, 400], [200, 100]])
def test_ends_that_no_window_has_are_refused(ends):
    text = "from at least 63, where the first window of 64 readings ends, to at most 399"
    with pytest.raises(ValueError, match=re.escape(text)):
        scan(build(), draw(), np.array(ends))


def test_an_average_over_one_timepoint_less_would_show():
    model, values = build(), draw()
    ends = np.arange(63, 400)
    expected = one_by_one(model, values, ends)
    before, after = model.margins
    model.margins = before, after + 1
    assert np.abs(scan(model, values, ends) - expected).max() > 1e-3
