"""A run's model as one file that forecasts without foreshock: ONNX, or a program of torch.export.

Views, normalisation, all branches, the mean of the members, temperature and softmax are inside:
raw series go in, calibrated probabilities come out.
"""

import dataclasses
import io
import json
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foreshock._arrays import FAR
from foreshock._files import check_new, write_atomic
from foreshock._optional import optional
from foreshock._version import __version__
from foreshock.inference.forecaster import Forecaster
from foreshock.inference.outputs import ModelCard
from foreshock.nn.distributed import own_settings
from foreshock.nn.layers import mean_over_time
from foreshock.nn.model import LSTMFCN
from foreshock.run import Run

logger = logging.getLogger(__name__)

_TOLERANCE, _INEXACT = 1e-5, 1e-3
"""How far a probability of the file may be from the model's; and where sums in float32 have fewer
digits: of strange series, and in a model of before, whose random convolutions are in float32, of
series that do not stand still (`ModelConfig.exact`)."""
_STRANGE = 10.0
"""Deviations from the mean of the training cases beyond which readings are strange."""
_USUAL = 4
"""How many of the trial series are like those that a model was trained on."""
_INPUT, _OUTPUT, _CARD = "series", "proba", "foreshock"
_Predict = Callable[[NDArray[np.floating[Any]]], NDArray[np.float32]]


class ExportError(RuntimeError):
    """What was exported does not say what the model says."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exported:
    """A file that was written."""

    bytes: int
    """Its size."""

    checked: str
    """What was done to see whether it says what the model says."""


@own_settings()
def export_model(run: str | Path | Run, output: str | Path) -> Exported:
    """Write the model of a run as one file that forecasts without foreshock.

    Parameters
    ----------
    run : path or Run
        The folder that train made.
    output : path
        The file to write, which must be new: ``.onnx`` for ONNX, ``.pt2`` for torch.export.

    Returns
    -------
    Exported
        How large the file is and how it was checked.

    Raises
    ------
    ValueError
        If the file ends in something else.
    ImportError
        If ONNX is asked for and its packages are not there.
    RunError
        If the training did not end, or a file of the run is damaged.
    ExportError
        If the file would not say what the model says, so that none is written.

    Notes
    -----
    The file takes `series`, float32 of shape (batch, n_channels, n_timepoints), NaN where there is
    no reading, and gives `proba`, (batch, n_classes). Of a model whose readings lie so far from 0
    that float32 would not tell them apart, it takes float64. What else there is to know (classes,
    channels, step, rule, threshold of alarms, hashes) is JSON in ONNX's metadata under
    ``foreshock``, or in the extra file ``foreshock`` of torch.export.
    """
    output = Path(output)
    write = {".onnx": _onnx, ".pt2": _program}.get(output.suffix)
    if write is None:
        raise ValueError(f"{output} must end in .onnx, for ONNX, or .pt2, for torch.export.")
    check_new(output)
    run = run if isinstance(run, Run) else Run(Path(run))
    run.read("scores")  # there when the training has ended
    forecaster = Forecaster.load(run)
    card = json.dumps(_card(forecaster.card, run.read("model")), ensure_ascii=False)
    logger.info("tracing the model, writing and comparing it: up to a minute")
    data, predict, how = write(forecaster, card)
    if predict is not None:
        _compare(predict, forecaster)
    write_atomic(output, data, new=True)
    return Exported(bytes=len(data), checked=how)


class _Whole(nn.Module):
    """Members, temperature and softmax; what is computed never depends on the readings.

    It begins by taking off what the training took off each channel, where it did; of a series that
    is scaled by itself, and else would lose digits, its least value as well.
    """

    offset: Tensor | None

    def __init__(
        self,
        members: Sequence[LSTMFCN],
        temperature: float,
        offset: NDArray[np.float64] | None,
        *,
        level_matters: bool,
    ) -> None:
        super().__init__()
        self.level_matters = level_matters
        self.members = nn.ModuleList(member.folded() for member in members)
        self.temperature = temperature
        self.register_buffer(
            "offset", None if offset is None else torch.from_numpy(offset).unsqueeze(1)
        )

    def forward(self, series: Tensor) -> Tensor:
        """Map series (batch, n_channels, n_timepoints) to probabilities (batch, n_classes)."""
        seen = ~torch.isnan(series)
        if self.offset is not None:
            series = series - self.offset
            if not self.level_matters:  # as `arrays.without_levels`
                low = series.where(seen, math.inf).amin(dim=2, keepdim=True)
                high = series.where(seen, -math.inf).amax(dim=2, keepdim=True)
                far = torch.maximum(low.abs(), high.abs()) > FAR * (high - low)
                series = series - low.where(far & (high > low), 0.0)
            series = series.float()
        each = [_logits(member, series) / self.temperature for member in self.members]
        proba = torch.stack([logits.softmax(dim=1) for logits in each]).mean(dim=0)
        return proba.where(seen.flatten(1).any(dim=1, keepdim=True), math.nan)


def _logits(model: nn.Module, series: Tensor) -> Tensor:
    """Return the logits as computed for series with missing readings."""
    assert isinstance(model, LSTMFCN)
    views, seen = model.views, ~torch.isnan(series)
    scaled = views.scale(series)
    last, _ = model.recurrent(*views.recurrent(scaled, seen, views.mask))
    features, mask, _ = model.convolve(*views.convolutional(scaled, seen, views.mask))
    random = None if model.random is None else model.random.traced(scaled)
    summary = None if model.summary is None else model.summary(scaled)
    return model.classify(last, mean_over_time(features, mask), random, summary) * model.logit_scale


def _traced(forecaster: Forecaster) -> torch.export.ExportedProgram:
    card = forecaster.card
    temperature = 1.0 if card.calibration is None else card.calibration.temperature
    matters = card.model.scaling(len(card.channels)) != "series"
    whole = _Whole(forecaster.members, temperature, card.levels, level_matters=matters)
    series = torch.from_numpy(_raw(trial_series(card, forecaster.members[0]), card))
    with torch.no_grad():
        batch = {0: torch.export.Dim("batch")}
        program = torch.export.export(whole.eval(), (series,), dynamic_shapes=(batch,))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names folders of this machine
    return program


def _onnx(forecaster: Forecaster, card: str) -> tuple[bytes, _Predict | None, str]:
    onnx, _ = optional("onnx", "onnx"), optional("onnxscript", "onnx")
    program = _traced(forecaster)
    with _quiet():
        made = torch.onnx.export(
            program, input_names=[_INPUT], output_names=[_OUTPUT], dynamo=True, verbose=False
        )
    assert made is not None
    passes = optional("onnx_ir.passes.common", "onnx")  # onnxscript brings it
    passes.DeduplicateInitializersPass(size_limit=2**20)(made.model)  # indices of equal windows
    proto = made.model_proto
    _strip(proto.graph)
    onnx.helper.set_model_props(proto, {_CARD: card})
    proto.producer_name, proto.producer_version = "foreshock", __version__
    onnx.checker.check_model(proto, full_check=True)
    data = proto.SerializeToString()
    try:
        import onnxruntime
    except ImportError:
        return data, None, "checked by onnx, but not compared: there is no onnxruntime here"
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])

    def predict(X: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        (proba,) = session.run([_OUTPUT], {_INPUT: X})
        return np.asarray(proba)

    return data, predict, "checked by onnx, its probabilities in ONNX Runtime the model's"


def _program(forecaster: Forecaster, card: str) -> tuple[bytes, _Predict | None, str]:
    buffer = io.BytesIO()
    torch.export.save(_traced(forecaster), buffer, extra_files={_CARD: card})
    buffer.seek(0)
    module = torch.export.load(buffer).module()

    def predict(X: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        with torch.inference_mode():
            proba: NDArray[np.float32] = module(torch.from_numpy(X)).numpy()
        return proba

    return buffer.getvalue(), predict, "its probabilities, read back, the model's"


def _strip(graph: Any) -> None:
    """Leave out what torch notes of how it made a graph: it serves nobody who runs it."""
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        del part.metadata_props[:]
        part.doc_string = ""
    for part in graph.initializer:
        del part.metadata_props[:]


def _compare(predict: _Predict, forecaster: Forecaster) -> None:
    """Ask both for several series, for one alone, and the file for one without a reading."""
    model, card = forecaster.members[0], forecaster.card
    series = trial_series(card, model)
    raw = _raw(series, card)
    allowed = np.full(len(raw), _TOLERANCE)
    if card.model.scaling(len(card.channels)) == "series":
        if card.levels is not None:
            raw = np.concatenate([raw, series[:_USUAL], raw[:_USUAL] + card.levels[:, None]])
            allowed = np.full(len(raw), _TOLERANCE)
    else:
        mean, deviation, *_ = (buffer.numpy() for buffer in model.views.statistics)
        allowed[np.nanmax(np.abs(series - mean) / deviation, axis=(1, 2)) > _STRANGE] = _INEXACT
    if model.random is not None and not model.config.exact:
        allowed[:_USUAL], allowed[_USUAL:] = _INEXACT, 1.0
    for some in (slice(None), slice(1)):
        difference = np.abs(predict(raw[some]) - forecaster.predictions(raw[some]).proba).max(
            axis=1
        )
        if not (difference <= allowed[some]).all():  # NaN is not
            raise ExportError(
                f"the exported model's probabilities differ by {difference.max():.1g} from the"
                " model's, so no file was written: please report this with the output of foreshock"
                " doctor."
            )
    if not np.isnan(predict(np.full_like(raw[:1], np.nan))).all():
        raise ExportError("the exported model returns a probability for a series without readings.")


def trial_series(card: ModelCard, model: LSTMFCN, seed: int = 0) -> NDArray[np.float32]:
    """Draw series by which to compare: like those trained on, and what sensors do when they fail.

    Returns
    -------
    ndarray of shape (n_series, n_channels, n_timepoints)
        Like the training cases, whole, with gaps and ending early; smooth, rough and in steps; with
        one channel that stands still, or all; of one reading; of units a billion times smaller and
        larger; far from 0.
    """
    random = np.random.default_rng(seed)
    shape = len(card.channels), card.n_timepoints
    mean, deviation, timepoint_mean, timepoint_deviation = (
        buffer.double().numpy() for buffer in model.views.statistics
    )
    usual = random.normal(timepoint_mean, timepoint_deviation)
    rough = random.normal(size=shape)
    smooth = rough.cumsum(axis=1) / card.n_timepoints**0.5
    still = np.broadcast_to(rough[:, :1], shape)
    one_still = np.where(np.arange(shape[0])[:, None] == shape[0] - 1, still, smooth)
    gaps, late, single = usual.copy(), usual.copy(), usual.copy()
    gaps[:, 1::5] = np.nan
    late[:, max(1, card.n_timepoints // 2) :] = np.nan
    single[:, 1:] = np.nan
    stopped = np.where(np.arange(shape[1]) < shape[1] // 2, usual, usual[:, shape[1] // 2, None])
    drawn = [usual, gaps, late, single, rough, smooth, smooth.round(), stopped, one_still, still]
    series = np.stack(drawn) * deviation + mean
    constant = np.broadcast_to([[20.5]], shape)
    far = smooth + 1e6
    odd = [constant, 0 * constant, far]
    every: NDArray[np.float32] = np.concatenate(
        [series, odd, 1e-9 * series[:6], 1e9 * series[:6]], dtype=np.float32, casting="same_kind"
    )
    return every


def _raw(series: NDArray[np.float32], card: ModelCard) -> NDArray[np.floating[Any]]:
    """Return series as a file takes them, which for the model are less its offset."""
    return series if card.levels is None else series + card.levels[:, None]


def _card(card: ModelCard, stored: dict[str, Any]) -> dict[str, Any]:
    calibration = card.calibration
    return {
        "format": 1,
        "classes": card.classes,
        "channels": card.channels,
        "n_timepoints": card.n_timepoints,
        "unequal": card.unequal,
        "dtype": "float32" if card.levels is None else "float64",
        "offset": card.offset or None,
        "step": card.step,
        "rule": None if card.rule is None else dataclasses.asdict(card.rule),
        "threshold": None if calibration is None else calibration.threshold,
        "policy": None if calibration is None else calibration.policy,
        "calibrated": calibration is not None,
        "members": card.members,
        "trained_with": card.versions,
        "exported_with": (f"foreshock {__version__}", f"torch {torch.__version__}"),
        "sha256": stored["sha256"],
        "digest": stored["digest"],
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what torch's exporter says of itself: of torchvision, and of its own old ways."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)
