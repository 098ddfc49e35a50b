"""Missing readings and padding: nothing that is not there counts, through every layer and door."""

import csv
import math
import shlex
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from toys import quake_rule, stir, without_pictures

from foreshock.cli import app
from foreshock.inference.forecaster import Forecaster
from foreshock.inference.outputs import ModelCard
from foreshock.nn.config import PAPER, ModelConfig
from foreshock.nn.layers import BatchNorm, Block, Excite, Recurrent, mean_over_time
from foreshock.nn.model import LSTMFCN
from foreshock.nn.random_convolutions import RandomBranch
from foreshock.problems.problem import Problem
from foreshock.problems.rule import EventRule
from foreshock.readings.series import Readings, Windows
from foreshock.training.config import TrainConfig
from foreshock.training.pipeline import train

Make = Callable[..., Problem]
Config = Callable[..., TrainConfig]
Said = pytest.CaptureFixture[str]

MEMBERS = ("LSTM-FCN", "ALSTM-FCN", "MLSTM-FCN", "MALSTM-FCN")
LENGTH = 24
SMALL = {"filters": (16, 32, 16), "cells": 8, "kernels": (5, 3, 3), "mixed": (), "patches": 4}

networks = {
    "member": st.sampled_from(MEMBERS),
    "n_channels": st.sampled_from([1, 3, 30]),
    "padding": st.sampled_from(["same", "valid"]),
    "random_features": st.sampled_from([0, 200]),
    "mask": st.booleans(),
}
each_member = pytest.mark.parametrize("member", MEMBERS)


def draw(n: int, n_channels: int, length: int, seed: int = 1) -> Tensor:
    return 3 + torch.randn(n, n_channels, length, generator=torch.Generator().manual_seed(seed))


def pad(x: Tensor, width: int) -> Tensor:
    """Append timepoints without a reading up to a width."""
    return F.pad(x, (0, width - x.shape[2]), value=math.nan)


def build(
    member: str = "MALSTM-FCN", n_channels: int = 1, seed: int = 0, **fields: object
) -> LSTMFCN:
    config = ModelConfig(
        attention="ALSTM" in member,
        squeeze_excite=member.startswith("M"),
        **{**SMALL, "dilations": (1, 1, 2), "random_features": 0, **fields},
    )
    shape = {"n_channels": n_channels, "n_timepoints": LENGTH, "n_classes": 3}
    model = LSTMFCN(config, **shape, seed=seed)
    x, y = draw(12, n_channels, LENGTH, seed), torch.arange(12) % 3
    x[::3, :, 15:] = x[1::4, 0, 4:7] = math.nan
    stir(model)
    model.fit_views([x.numpy()])
    model.random = model.fit_random(x, y)
    return model.eval()


@cache
def forecaster(n_members: int = 1, rule: EventRule | None = None, **fields: object) -> Forecaster:
    """Make a forecaster that was not trained, but of which every weight matters."""
    models = [build(seed=seed, **fields) for seed in range(n_members)]
    card = ModelCard(
        model=models[0].config,
        n_timepoints=LENGTH,
        unequal=rule is None,
        classes=("a", "b", "c"),
        channels=tuple(f"channel {i}" for i in range(models[0].n_channels)),
        majority="a",
        choice="none",
        versions=(),
        members=n_members,
        rule=rule,
    )
    return Forecaster(models, card)


def assert_near(found: object, expected: object) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=0, atol=1e-5)


# appended padding


@settings(max_examples=60)
@given(
    **networks,
    n_members=st.sampled_from([1, 3]),
    seed=st.integers(0, 1000),
    length=st.integers(1, LENGTH),
    data=st.data(),
)
def test_appended_padding_never_changes_a_prediction(
    member, n_channels, padding, random_features, mask, n_members, seed, length, data
):
    fields = {"padding": padding, "random_features": random_features, "mask": mask}
    made = forecaster(n_members, member=member, n_channels=n_channels, **fields)
    x = draw(3, n_channels, length, seed)
    x[1, 0, length // 3 : length // 2] = math.nan
    width = data.draw(st.integers(length, LENGTH + 5))
    expected = made.predict_proba(x.numpy())
    padded = pad(x, width)
    assert_near(made.predict_proba(padded.numpy()), expected)
    assert_near(made.predict_proba([x[0].numpy(), *padded[1:].numpy()]), expected)
    some = padded[:, :, :LENGTH]  # the network itself, without a forecaster
    with torch.no_grad():
        each = [model.proba(model(some)).numpy() for model in made.members]
    assert_near(np.mean(each, axis=0), expected)


@settings(max_examples=30)
@given(**networks, length=st.integers(2, LENGTH), width=st.integers(2, LENGTH))
def test_how_far_a_batch_is_padded_changes_no_statistic_and_no_gradient(
    member, n_channels, padding, random_features, mask, length, width
):
    fields = {"padding": padding, "random_features": random_features, "mask": mask}
    x = draw(4, n_channels, length)
    found = []
    for batch in (x, pad(x, max(length, width))):
        model = build(member, n_channels, dropout=0.0, **fields).train()
        model(batch).square().sum().backward()
        grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        found.append(grads | dict(model.named_buffers()))
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)


@settings(max_examples=30)
@given(
    excite=st.booleans(),
    training=st.booleans(),
    lengths=st.lists(st.integers(1, 12), min_size=2, max_size=5).filter(lambda n: sum(n) > 2),
    more=st.integers(1, 9),
)
def test_a_block_learns_the_same_of_series_however_far_they_are_padded(
    excite, training, lengths, more
):
    found = []
    for width in (max(lengths), max(lengths) + more):
        rng = torch.Generator().manual_seed(0)
        block = Block(
            3, 32, (5,), dilation=2, valid=False, excite=excite, norm_momentum=0.1,
            norm_eps=1e-3, rng=rng,
        ).train(training)  # fmt: skip
        mask = (torch.arange(width) < torch.tensor(lengths)[:, None])[:, None].float()
        x = F.pad(draw(len(lengths), 3, max(lengths)), (0, width - max(lengths))) * mask
        features, left, gates = block(x, mask)
        pooled = mean_over_time(features, left)
        pooled.square().sum().backward()
        assert not features[:, :, max(lengths) :].any()
        grads = {name: p.grad for name, p in block.named_parameters()}
        found.append({"pooled": pooled, "gates": gates, **grads, **dict(block.named_buffers())})
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


@settings(max_examples=20)
@given(n_channels=st.sampled_from([1, 3]), length=st.integers(1, 39), seed=st.integers(0, 99))
def test_random_convolutions_make_the_same_of_a_series_however_far_it_is_padded(
    n_channels, length, seed
):
    rng = torch.Generator().manual_seed(0)
    branch = RandomBranch(n_channels, 40, 3, n_features=300, rng=rng)
    branch.fit(draw(9, n_channels, 40) - 3, torch.arange(9) % 3)
    x = draw(4, n_channels, length, seed) - 3
    torch.testing.assert_close(branch(pad(x, 40)), branch(x), rtol=0, atol=1e-5)
    maps = branch.maps(pad(x, 40))
    torch.testing.assert_close(maps[:, :, :length], branch.maps(x), rtol=0, atol=1e-3)
    assert not maps[:, :, length:].any()


def test_random_convolutions_make_the_same_of_a_constant_stretch_whatever_stands_beside_it():
    rng = torch.Generator().manual_seed(0)
    steps = torch.randint(-1, 2, (20, 1, 361), generator=rng)
    steps *= torch.rand(20, 1, 361, generator=rng) < 0.2  # most of the time it stands still
    x = 1 + 0.04 * steps.cumsum(dim=2)
    x = (x - x.mean(dim=2, keepdim=True)) / x.std(dim=2, keepdim=True)
    branch = RandomBranch(1, 361, 3, n_features=4000, rng=rng)
    branch.responses.fit(x)
    alone = torch.cat([branch.responses.features(case[None]) for case in x])
    torch.testing.assert_close(branch.responses.features(x), alone, rtol=0, atol=1e-5)


# what each layer does with what is missing


def masked(n: int, width: int, missing: list[int]) -> Tensor:
    mask = torch.ones(n, 1, width)
    mask[:, :, missing] = 0.0
    return mask


@pytest.mark.parametrize("training", [False, True])
def test_batch_norm_learns_nothing_of_masked_timepoints(training):
    mask = masked(4, 9, [0, 3, 4, 8])
    found = []
    for beneath in (0.0, 1e4):
        norm = BatchNorm(5, momentum=0.1, eps=1e-3).train(training)
        x = draw(4, 5, 9).masked_fill(mask == 0, beneath)
        found.append({"out": norm(x, mask) * mask, **dict(norm.named_buffers())})
    torch.testing.assert_close(*found)


def test_squeeze_excite_and_the_average_see_the_timepoints_that_count_alone():
    mask = masked(4, 9, [0, 3, 8])
    x = draw(4, 32, 9) * mask
    left = x[:, :, [1, 2, 4, 5, 6, 7]]
    torch.testing.assert_close(mean_over_time(x, mask), mean_over_time(left, None))
    excite = Excite(32, torch.Generator().manual_seed(0))
    torch.testing.assert_close(excite(x, mask), excite(left, None))


@pytest.mark.parametrize("attention", [False, True])
def test_what_stands_in_a_masked_item_reaches_neither_attention_nor_state(attention):
    rng = torch.Generator().manual_seed(0)
    recurrent = Recurrent(6, 4, attention=attention, gate=torch.sigmoid, rng=rng)
    items, mask = draw(3, 5, 6), torch.tensor([[True, False, True, True, False]] * 3)
    other = items.masked_fill(~mask[:, :, None], 50.0)
    state, weights = recurrent(items, mask)
    torch.testing.assert_close(recurrent(other, mask)[0], state)
    if attention:
        assert not weights[:, :, ~mask[0]].any()


@each_member
def test_a_timepoint_without_a_reading_has_no_feature_and_no_share_in_the_average(member):
    x = draw(2, 3, LENGTH)
    x[:, :, 5:8] = math.nan
    parts = build(member, 3).dissect(x)
    there = [t for t in range(LENGTH) if not 5 <= t < 8]
    assert not parts.features[:, :, 5:8].any()
    torch.testing.assert_close(parts.pooled, parts.features[:, :, there].mean(dim=2))


def test_one_channel_missing_is_its_mean_and_no_change_for_the_convolutions():
    x = draw(2, 3, LENGTH)
    x[:, 1, 5:8] = math.nan
    views = build(n_channels=3).views
    _, _, series, mask = views(x)
    assert bool(mask.all())  # others are there
    assert not series[:, 1, 5:8].any()
    assert not series[:, 3 + 1, 5:9].any()  # nor is there one at the first reading after the gap
    assert series[:, 3 + 1, 9].all()


def test_a_missing_reading_is_the_mean_of_its_timepoint_for_the_recurrent_branch():
    x = draw(2, 3, LENGTH)
    x[:, 1, 5:8] = x[:, :, 20:] = math.nan
    items, item_mask, _, _ = build(n_channels=3).views(x)
    assert bool(item_mask.all())  # steps are channels, and each has a reading
    assert not items[:, 1, 5:8].any() and not items[:, :, 20:].any()


def test_a_channel_without_any_reading_is_a_step_that_is_skipped_and_not_attended_to():
    x = draw(2, 3, LENGTH)
    x[0, 1] = math.nan
    parts = build(n_channels=3).dissect(x)
    assert parts.item_mask.tolist() == [[True, False, True], [True] * 3]
    assert not parts.attention[0, :, 1].any() and parts.attention[1, :, 1].all()


def test_with_more_channels_than_timepoints_a_missing_timepoint_is_a_skipped_step():
    model = build(n_channels=30)
    x = draw(2, 30, LENGTH)
    x[:, 3, 2] = x[:, :, 5] = math.nan
    expected = [[t != 5 for t in range(LENGTH)]] * 2
    assert model.dissect(x).item_mask.tolist() == expected


@each_member
@pytest.mark.parametrize("n_channels", [1, 3, 30])
@pytest.mark.parametrize("fields", [{}, {"padding": "valid"}, {"mask": False}])
def test_a_case_without_any_reading_gives_finite_probabilities_and_disturbs_no_other(
    member, n_channels, fields
):
    model = build(member, n_channels, random_features=200, **fields)
    x = draw(3, n_channels, LENGTH)
    expected = model.proba(model(x[1:]))
    x[0] = math.nan
    proba = model.proba(model(x))
    assert proba.isfinite().all()
    torch.testing.assert_close(proba[1:], expected, rtol=0, atol=1e-5)


def test_a_case_without_any_reading_has_no_features_and_no_state():
    model = build(n_channels=3, random_features=200)
    parts = model.dissect(torch.full((1, 3, LENGTH), math.nan))
    assert not parts.recurrent.any() and not parts.pooled.any()
    assert not model.random.responses.features(torch.full((1, 3, LENGTH), math.nan)).any()


def test_random_convolutions_draw_no_threshold_from_a_case_without_any_reading():
    x, y = draw(12, 3, LENGTH), torch.arange(12) % 3
    x[::2] = math.nan
    model = build(n_channels=3, random_features=200)
    model.random = model.fit_random(x, y)
    assert model(x).isfinite().all()


def test_without_the_mask_zeros_stand_in_as_in_the_papers():
    config = replace(PAPER, filters=(16, 32, 16))
    model = stir(LSTMFCN(config, n_channels=3, n_timepoints=LENGTH, n_classes=2)).eval()
    x = draw(2, 3, LENGTH)
    x[:, 1, 5:8] = x[:, :, 20:] = math.nan
    torch.testing.assert_close(model(x), model(x.nan_to_num(0.0)))


# files


@pytest.fixture(scope="module")
def unequal(
    tmp_path_factory: pytest.TempPathFactory, small_problem: Make, small_config: Config
) -> Path:
    """Train an ensemble on series of unequal length with gaps."""
    problem = small_problem()
    problem.X[::3, :, 20:] = problem.X[1::4, :, 5:7] = np.nan
    config = small_config(members=2, fit={"epochs": 1})
    with without_pictures():
        return train(problem, config, folder=tmp_path_factory.mktemp("run") / "unequal").folder


def write_series(path: Path, X: NDArray[np.float32]) -> None:
    """Write series of one channel without labels, in the format of the file's ending."""
    rows = [["" if np.isnan(v) else repr(float(v)) for v in x] for x in X[:, 0]]
    if path.suffix == ".npz":
        np.savez(path, X=X)
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([list(range(X.shape[2])), *rows])
    else:
        head = "@problemName new\n@timeStamps false\n@missing true\n@univariate true\n"
        head += f"@equalLength true\n@seriesLength {X.shape[2]}\n@classLabel false\n@data\n"
        lines = [",".join(value or "?" for value in row) for row in rows]
        path.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")


def predicted(line: str, capsys: Said) -> NDArray[np.float64]:
    """Return the probabilities that a command prints."""
    assert app.run(shlex.split(line)) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    return np.array([[float(row["proba_a"]), float(row["proba_b"])] for row in rows])


@pytest.mark.parametrize("suffix", [".csv", ".npz", ".ts"])
@pytest.mark.parametrize("width", [18, 32, 40])
def test_padding_in_a_file_changes_no_prediction(
    unequal: Path, small_problem: Make, tmp_path: Path, capsys: Said, suffix: str, width: int
) -> None:
    X = small_problem().X[16:20, :, :17].copy()
    X[1, 0, 3:5] = np.nan
    expected = Forecaster.load(unequal).predict_proba(X)
    for name, series in (("short", X), ("padded", pad(torch.from_numpy(X), width).numpy())):
        write_series(tmp_path / f"{name}{suffix}", series)
        found = predicted(f"predict {unequal} {tmp_path / name}{suffix}", capsys)
        assert_near(found, expected)


# series that are too long


def test_a_series_that_is_too_long_is_refused_with_what_to_do() -> None:
    with pytest.raises(
        ValueError,
        match=r"case 1 has 30 timepoints; the model takes at most 24: give fewer, or let predict"
        r" crop them \(--crop, crop=True\)\.",
    ):
        forecaster().predict_proba([np.ones(24), np.arange(30.0)])
    with pytest.raises(ValueError, match="the series have 30 timepoints; the model takes at most"):
        forecaster().predict_proba(np.ones((2, 1, 30)))
    with pytest.raises(ValueError, match=r"n_timepoints=24\) or shorter, got \(1, 30\)"):
        forecaster().members[0](draw(2, 1, 30))


def test_cropping_keeps_the_first_timepoints_of_cases() -> None:
    made, x = forecaster(), draw(4, 1, 30).numpy()
    x[1, :, 27:] = x[2, :, 11:] = np.nan
    expected = made.predict_proba(x[:, :, :LENGTH])
    assert_near(made.predict_proba(x, crop=True), expected)
    assert_near(made.predict_proba(list(x), crop=True), expected)
    assert made.predict(x, crop=True).tolist() == made.predict(x[:, :, :LENGTH]).tolist()


def test_cropping_keeps_the_latest_readings_where_windows_were_cut_from_readings() -> None:
    made, x = forecaster(rule=quake_rule(window=LENGTH)), draw(3, 1, 30).numpy()
    x[1, :, 27:] = x[2, :, :28] = np.nan  # the first ends earlier, beside longer ones
    expected = made.predict_proba(np.stack([x[0, :, 6:], x[1, :, 3:27], x[2, :, 6:]]))
    assert_near(made.predict_proba(x, crop=True), expected)


def test_windows_that_are_too_long_are_cropped_to_their_latest_readings() -> None:
    made = forecaster(rule=quake_rule(window=LENGTH))
    start, step = np.datetime64("2001-01-01"), np.timedelta64(1, "h")
    values = draw(1, 1, 60)[0].numpy()
    readings = Readings(values=values, start=start, step=step, channels=("channel 0",))
    ends = readings.times(np.array([40, 59]))
    with pytest.raises(ValueError, match="the windows have 30 timepoints; the model takes at most"):
        made.predict_proba(Windows(readings, ends, 30))
    cropped = made.predict_proba(Windows(readings, ends, 30), crop=True)
    assert_near(cropped, made.predict_proba(Windows(readings, ends, LENGTH)))


def test_no_series_are_too_long_for_nobody() -> None:
    assert forecaster().predict_proba(np.empty((0, 1, 30))).shape == (0, 3)


def test_the_command_refuses_series_that_are_too_long_and_crops_them_when_asked(
    unequal: Path, small_problem: Make, tmp_path: Path, capsys: Said
) -> None:
    long = np.concatenate([small_problem().X[16:20]] * 2, axis=2)
    write_series(tmp_path / "long.csv", long)
    assert app.run(["predict", str(unequal), str(tmp_path / "long.csv")]) == 2
    assert "the series have 64 timepoints; the model takes at most 32" in capsys.readouterr().err
    found = predicted(f"predict {unequal} {tmp_path / 'long.csv'} --crop", capsys)
    assert_near(found, Forecaster.load(unequal).predict_proba(long[:, :, :32]))
