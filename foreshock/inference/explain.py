"""Why the network gives what it gives: maps over time, shares of logits, and whether they hold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from foreshock._arrays import as_numbers, sample, to_float32
from foreshock.inference.forecaster import Forecaster
from foreshock.metrics.intervals import Estimate, bootstrap
from foreshock.nn.distributed import own_settings
from foreshock.nn.model import LSTMFCN, Cases
from foreshock.problems.problem import Problem

_DRAWS = 5
"""Random tenths that are deleted from each case and averaged."""
_BLOCK = 2**22
"""Values of the widest block's features, or of deleted series, that are held at a time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Explanation:
    """What the logits of some cases are made of; of several models, the average.

    Notes
    -----
    A map is a class activation map (Zhou et al. 2016, arXiv 1512.04150; Wang et al. 2017, arXiv
    1611.06455): the head's weights for the convolutional branch, applied before the average over
    time instead of after it, and to the random convolutions before theirs. A feature belongs to a
    timepoint, so nothing is upsampled. It says nothing of the recurrent branch: see its share.
    Squeeze-and-excite lets a filter know of the whole series, so that its map shows a place only in
    part: ask `occlusion`.
    """

    logits: NDArray[np.float32]
    """(n_cases, n_classes): bias + recurrent + convolutional + random + summary. The softmax of the
    model's logit_scale times them are the probabilities; with random convolutions they are the mean
    of their head's logits and those of the rest, as of several models."""

    bias: NDArray[np.float32]
    """What every case gets, (n_classes,)."""

    recurrent: NDArray[np.float32]
    """The recurrent branch's share, (n_cases, n_classes)."""

    convolutional: NDArray[np.float32]
    """The convolutional branch's share, (n_cases, n_classes)."""

    random: NDArray[np.float32]
    """The share of the random convolutions, (n_cases, n_classes); 0 where there are none."""

    summary: NDArray[np.float32]
    """The share of the window's summary, (n_cases, n_classes); 0 where there is none."""

    maps: NDArray[np.float32]
    """What each timepoint does for each class, (n_cases, n_classes, n_timepoints), NaN where the
    model counts no feature: without a reading and, where convolutions are not padded, near the
    ends. Centred: what is the same for all classes is taken off, since the softmax does not see it.
    So the classes of a timepoint sum to 0, and the mean over the timepoints is the convolutional
    share and that of the random convolutions, less their mean over the classes."""

    attention: NDArray[np.float32] | None
    """Weight of each item in each step of the recurrent branch, (n_cases, steps, items), NaN in
    steps that are skipped; None without attention."""

    gates: tuple[NDArray[np.float32], ...]
    """What squeeze-and-excite scales the filters of the first two blocks by, (n_cases, filters)
    each; empty without it. Filters of several models are nobody's average but stand side by side,
    (n_cases, models * filters)."""


@dataclass(frozen=True, kw_only=True)
class Occlusion:
    """How far the predicted class's probability falls when a tenth of the timepoints is deleted."""

    n_cases: int
    """Cases that were averaged."""

    top: Estimate
    """Fall when the tenth is deleted that the map of the predicted class names."""

    random: Estimate
    """Fall when as many are deleted at random."""

    difference: Estimate
    """How much more the map's tenth costs, case by case."""


@own_settings()
def explain(models: Sequence[LSTMFCN], X: Cases) -> Explanation:
    """Take the logits of cases apart.

    Parameters
    ----------
    models : sequence of LSTMFCN
        The model, or the members of an ensemble, which must be alike but for their weights.
    X : Cases
        Series (n_cases, n_channels, n_timepoints), NaN where there is no reading; raw, or, of a
        model with an offset, as `Forecaster.cases` gives them.
    """
    if isinstance(X, np.ndarray):
        X = to_float32(as_numbers(X, "X"))
    n, size = len(X), max(1, _BLOCK // (max(models[0].config.widths) * models[0].n_timepoints))
    batches = [
        _explain(models, torch.from_numpy(X[np.arange(start, min(start + size, n))]))
        for start in range(0, max(1, n), size)
    ]
    whole = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    bias = torch.stack([_bias(model) for model in models]).mean(dim=0)
    return Explanation(
        bias=bias.detach().cpu().numpy(),
        attention=whole.pop("attention", None),
        gates=tuple(whole.pop(name) for name in ("gates_1", "gates_2") if name in whole),
        **whole,
    )


@torch.inference_mode()
def _explain(models: Sequence[LSTMFCN], x: torch.Tensor) -> dict[str, NDArray[np.float32]]:
    """Explain a batch, by the names of `Explanation`; the gates of each block by its number."""
    found: dict[str, list[torch.Tensor]] = {}
    for model in models:
        bias, for_recurrent, for_features = model.eval().head_parts()
        parts = model.dissect(x.to(bias.device))
        each = {
            "recurrent": parts.recurrent @ for_recurrent.T,
            "convolutional": parts.pooled @ for_features.T,
            "random": bias.new_zeros(len(x), model.n_classes),
            "summary": bias.new_zeros(len(x), model.n_classes),
        }
        each["logits"] = model.classify(parts.recurrent, parts.pooled, summary=parts.summary)
        if model.summary is not None and parts.summary is not None:
            each["summary"] = (parts.summary - model.summary.bias) / model.logit_scale
        maps = F.pad(for_features @ parts.features, model.margins, value=torch.nan)
        if model.random is not None and parts.random is not None:  # half of each head
            scaled, unit = model.views.scale(x.to(bias.device)), model.logit_scale
            each["random"] = (parts.random - model.random.head.level) / unit
            each["logits"] += parts.random / unit
            each = {name: share / 2 for name, share in each.items()}
            maps = (maps + model.random.maps(scaled) / unit) / 2
        maps = maps - maps.mean(dim=1, keepdim=True)  # (batch, n_classes, timepoints)
        if parts.mask is not None:
            maps = maps.masked_fill(F.pad(parts.mask, model.margins) == 0, torch.nan)
        each["maps"] = maps
        if parts.attention is not None:
            each["attention"] = parts.attention
            if parts.item_mask is not None:
                skipped = ~parts.item_mask[:, :, None]
                each["attention"] = parts.attention.masked_fill(skipped, torch.nan)
        for i, gate in enumerate(parts.gates, 1):
            each[f"gates_{i}"] = gate
        for name, tensor in each.items():
            found.setdefault(name, []).append(tensor)
    return {
        name: (torch.cat(of, dim=1) if name.startswith("gates") else torch.stack(of).mean(dim=0))
        .cpu()
        .numpy()
        for name, of in found.items()
    }


def _bias(model: LSTMFCN) -> torch.Tensor:
    """Return the share that every case gets, (n_classes,)."""
    bias = model.head_parts()[0]
    if model.summary is not None:
        bias = bias + model.summary.bias / model.logit_scale
    if model.random is None:
        return bias
    return (bias + model.random.head.level / model.logit_scale) / 2


def occlusion(
    proba: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    X: Cases,
    maps: NDArray[np.float32],
    seed: int,
) -> Occlusion:
    """Test maps: delete the tenth of the timepoints that they name, and as many at random.

    A deleted timepoint is NaN in all channels. A model with `mask` leaves it out, as it does a
    missing reading; one without reads it as 0 once scaled, which is the mean where series are
    scaled. At least one timepoint of a case is deleted and one is left; where there is only one
    nothing is deleted, and nothing falls.

    Parameters
    ----------
    proba : callable
        Gives class probabilities (n_cases, n_classes) of raw series.
    X : Cases
        At least one series, (n_cases, n_channels, n_timepoints).
    maps : ndarray of shape (n_cases, n_classes, n_timepoints)
        Of `explain`.
    seed : int
        The random timepoints and the intervals follow from it.
    """
    random = np.random.default_rng(seed)
    n, _, n_timepoints = maps.shape
    size = max(1, _BLOCK // (X[np.arange(1)].shape[1] * n_timepoints))
    falls = []
    for start in range(0, n, size):
        cases = np.arange(start, min(start + size, n))
        x = X[cases]
        before = proba(x)
        predicted = before.argmax(axis=1)
        at = np.arange(len(x)), predicted
        drawn = [random.random((len(x), n_timepoints)) for _ in range(_DRAWS)]
        top, *others = (
            before[at].astype(np.float64) - proba(_without_tenth(x, rank))[at]
            for rank in (maps[cases][at], *drawn)
        )
        falls.append(np.stack([top, np.mean(others, axis=0)]))
    top, rest = np.concatenate(falls, axis=1)  # (n_cases,)
    values = {"top": top, "random": rest, "difference": top - rest}
    return Occlusion(n_cases=n, **_means(values, seed))


def _means(values: dict[str, NDArray[np.float64]], seed: int) -> dict[str, Estimate]:
    """Estimate the means of what was measured of each case (n_cases,), by bootstrap."""
    n = len(next(iter(values.values())))
    if n == 1:
        return {name: Estimate(float(each[0])) for name, each in values.items()}

    def means(
        rows: NDArray[np.int64], weights: NDArray[np.float32]
    ) -> dict[str, NDArray[np.float64]]:
        share = weights.astype(np.float64) / weights.sum(axis=1, keepdims=True)
        return {name: share @ each[rows] for name, each in values.items()}

    shifts = bootstrap(np.ones(n, np.int64), 1, seed, means)
    return {
        name: Estimate(
            float(each.mean()),
            float(each.mean()) + shifts[name].low,
            float(each.mean()) + shifts[name].high,
        )
        for name, each in values.items()
    }


def _without_tenth(x: NDArray[np.float32], rank: NDArray[np.floating]) -> NDArray[np.float32]:
    """Delete the tenth of each case's timepoints that ranks highest; rank (n_cases, timepoints)."""
    there = ~np.isnan(x).all(axis=1)  # (n_cases, timepoints)
    count = there.sum(axis=1)
    tenth = np.minimum(np.maximum(1, np.rint(count / 10)), count - 1)
    last = np.where(there, np.finfo(np.float64).max, np.inf)  # of which nothing is known
    order = np.argsort(np.where(there & ~np.isnan(rank), -rank, last), axis=1, kind="stable")
    place = np.argsort(order, axis=1)  # 0 for the highest
    return np.where((place < tenth[:, None])[:, None], np.float32(np.nan), x)


_CLASSES, _OF_EACH, _ERRORS = 6, 2, 6
"""Classes of which cases are explained, how many of each, and how many errors."""
_TIMEPOINTS = 2**16
_FEWEST, _MOST = 20, 200
"""Cases by which maps are tested: as many as have so many timepoints, within these bounds."""


def explanations(
    forecaster: Forecaster,
    problem: Problem,
    cases: NDArray[np.int64],
    proba: NDArray[np.float32],
) -> dict[str, NDArray[Any]]:
    """Explain a few cases of each class that are predicted right, and the worst errors.

    Parameters
    ----------
    forecaster : Forecaster
        The model.
    problem : Problem
        Whose cases they are.
    cases : ndarray of shape (n_cases,)
        Their positions.
    proba : ndarray of shape (n_cases, n_classes)
        What the model says of them.

    Returns
    -------
    dict of arrays
        A row for each case that is explained; the map is that of the predicted class.
    """
    y, predicted = problem.y[cases], proba.argmax(axis=1)
    chosen: list[int] = []
    for label in np.unique(y)[:_CLASSES]:
        right = np.flatnonzero((y == label) & (predicted == label))
        chosen += right[sample(len(right), _OF_EACH)].tolist()
    examples = len(chosen)
    wrong = np.flatnonzero(predicted != y)
    chosen += wrong[np.argsort(proba[wrong, y[wrong]], kind="stable")[:_ERRORS]].tolist()
    at = np.array(chosen, np.int64)
    if not len(at):
        return {}
    X = forecaster.cases(forecaster.series(problem, cases[at]))
    found, scale = explain(forecaster.members, X), _scale(forecaster)
    names = np.array(forecaster.classes)
    arrays = {
        "case": cases[at],
        "kind": np.repeat(["example", "error"], [examples, len(at) - examples]),
        "label": np.array(problem.classes)[y[at]],
        "predicted": names[predicted[at]],
        "proba": proba[at],
        "X": X if forecaster.card.levels is None else X + forecaster.card.levels[:, None],
        "map": found.maps[np.arange(len(at)), predicted[at]] * scale,
        "recurrent": found.recurrent * scale,
        "convolutional": found.convolutional * scale,
        "random": found.random * scale,
        "summary": found.summary * scale,
        "bias": found.bias * scale,
    }
    if found.attention is not None:
        arrays["attention"] = found.attention
    return arrays | {f"gates_{i}": gates for i, gates in enumerate(found.gates, 1)}


def _scale(forecaster: Forecaster) -> np.float32:
    """Return what logits are multiplied by before the softmax, so that shares are of log-odds."""
    calibration = forecaster.card.calibration
    temperature = 1.0 if calibration is None else calibration.temperature
    return np.float32(forecaster.members[0].logit_scale.item() / temperature)


def try_maps(
    forecaster: Forecaster, problem: Problem, cases: NDArray[np.int64], seed: int
) -> Occlusion:
    """Measure how much the stretches that the maps name matter to the model."""
    most = min(max(_TIMEPOINTS // problem.n_timepoints, _FEWEST), _MOST)
    some = cases[sample(len(cases), most)]
    X = forecaster.cases(forecaster.series(problem, some))
    maps = explain(forecaster.members, X).maps
    return occlusion(lambda x: forecaster.predictions_of(x).proba, X, maps, seed)
