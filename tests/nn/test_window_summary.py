"""What the summary sees of a window, and what it makes of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from foreshock.nn.config import ModelConfig
from foreshock.nn.model import LSTMFCN
from foreshock.nn.window_summary import WindowSummary

SHAPE = {"n_channels": 3, "n_timepoints": 20, "n_classes": 2}
SMALL = ModelConfig(filters=(4, 6, 5), mixed=(), cells=4, normalize="train", random_features=0)


def series(n: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 3, 20, generator=torch.Generator().manual_seed(seed)) * 5 + 100


def fitted(x: torch.Tensor) -> WindowSummary:
    summary = WindowSummary(3, 20, 2)
    summary.fit_scale(summary.numbers(x))
    rng = torch.Generator().manual_seed(1)
    summary.weight.normal_(generator=rng)
    return summary


def test_a_summary_has_the_numbers_that_numpy_computes_with_readings_missing():
    x = series()
    x[0, 0, [3, 17, 18, 19]] = torch.nan
    found = WindowSummary(3, 20, 2).numbers(x)
    assert found.shape == (6, 3 * (2 + 5 * 3))  # of the last 20, 10 and 5
    values, at = x.double().numpy(), np.arange(20)
    for case, channel in ((0, 0), (0, 1), (4, 2)):
        row = values[case, channel]
        seen = ~np.isnan(row)
        expected = [row[seen][-1], seen.mean()]
        for size in (20, 10, 5):
            part, when = row[-size:], at[-size:]
            here = ~np.isnan(part)
            slope = np.polyfit(when[here], part[here], 1)[0] * (size - 1)
            known = part[here]
            expected += [known.mean(), known.min(), known.max(), known.std(), slope]
        np.testing.assert_allclose(found[case, channel::3].numpy(), expected, rtol=2e-4, atol=1e-4)


def test_a_channel_without_a_reading_counts_as_the_mean_of_the_training_cases():
    x = series()
    summary = fitted(x)
    x[2, 1] = torch.nan
    z = summary.features(summary.numbers(x))
    assert z.isfinite().all()
    for seen in z[2].split(51):
        of_channel = seen.reshape(-1, 3)[:, 1]
        assert (of_channel[[0, *range(2, 17)]] == 0).all()


def test_a_channel_that_stood_still_in_training_says_nothing_whatever_it_does_later():
    x = series()
    x[:, 1] = 7.25
    summary = fitted(x)
    x[:, 1] = series(seed=3)[:, 1] * 1e9
    z = summary.features(summary.numbers(x)).reshape(6, -1, 3)
    assert (z[:, :, 1] == 0).all()
    assert (z[:, :, 0].abs() > 0).any()


def test_far_values_count_as_three_deviations():
    x = series()
    summary = fitted(x)
    levels, ranks = summary.features(summary.numbers(x * 1e6)).split(51, dim=1)
    assert levels.abs().max() == 3
    assert ranks.abs().max() <= 12**0.5


def test_ranks_say_where_among_the_training_cases_a_number_lies():
    x = series(2000)
    summary = WindowSummary(3, 20, 2)
    numbers = summary.numbers(x)
    summary.fit_scale(numbers)
    ranks = summary.features(numbers)[:, 51:]
    order = numbers[:, 0].argsort().argsort() / 2000 * 12**0.5
    shift = ranks[:, 0] - order
    assert (shift - shift.mean()).abs().max() < 0.2  # a tenth of them is 0.35


def test_the_logits_of_a_case_do_not_depend_on_its_batch():
    x = series()
    summary = fitted(x)
    alone = torch.cat([summary(each[None]) for each in x])
    torch.testing.assert_close(summary(x), alone)


@pytest.mark.parametrize("logit_scale", [0.5, 1.0])
def test_a_network_begins_with_the_probabilities_of_its_summary(logit_scale):
    model = LSTMFCN(replace(SMALL, summary=True), **SHAPE, logit_scale=logit_scale).eval()
    x = series()
    model.fit_views([x.numpy()])
    assert model.summary is not None
    scaled = model.views.scale(x)
    model.summary.fit_scale(model.summary.numbers(scaled))
    model.summary.weight.normal_(generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(model.proba(model(x)), model.summary(scaled).softmax(1))
    beside = torch.tensor([[0.0, 1.0]]).expand(6, 2)
    torch.testing.assert_close(model.proba(model(x, offset=beside)), beside.softmax(1))


def test_a_configuration_from_before_has_no_summary_and_the_same_weights():
    old = LSTMFCN(SMALL, **SHAPE, seed=3)
    assert old.config.summary is False
    assert old.summary is None
    new = LSTMFCN(replace(SMALL, summary=True), **SHAPE, seed=3).state_dict()
    for name, weight in old.state_dict().items():
        if name != "head.weight":
            torch.testing.assert_close(weight, new[name], rtol=0, atol=0)
    added = set(new) - set(old.state_dict())
    assert added == {f"summary.{each}" for each in ("mean", "deviation", "knots", "weight", "bias")}


def test_of_a_network_that_is_not_believed_the_summary_is_left():
    model = LSTMFCN(replace(SMALL, summary=True), **SHAPE).eval()
    torch.nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(0))
    model.scale_head(0.0)
    x = series()
    assert model.summary is not None
    torch.testing.assert_close(model(x), model.summary(model.views.scale(x)))
