"""The LSTM-FCN family: one class with flags, its views of the input inside it.

The networks are those of Karim et al. 2017 (arXiv 1709.05206: LSTM-FCN, ALSTM-FCN) and 2018
(arXiv 1801.04503: MLSTM-FCN, MALSTM-FCN).
"""

import copy
import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from foreshock._json import decode
from foreshock.nn.config import RANDOM_FEATURES, ModelConfig
from foreshock.nn.distributed import (
    Devices,
    Precision,
    autocast,
    own_settings,
    resolve_precision,
)
from foreshock.nn.layers import Block, Dropout, Recurrent, hard_sigmoid, linear, mean_over_time
from foreshock.nn.preprocessing import Views
from foreshock.nn.random_convolutions import RandomBranch
from foreshock.run import Run, RunError

if TYPE_CHECKING:  # models of series have none
    from foreshock.nn.window_summary import WindowSummary


@dataclass(frozen=True, kw_only=True)
class NetworkCard:
    """What it takes to build networks again: the part of model.json that is about them."""

    model: ModelConfig
    """What the network is."""

    n_timepoints: int
    """Length of the longest series it takes."""

    classes: tuple[str, ...]
    """Names of the classes, in the order of the probabilities."""

    channels: tuple[str, ...]
    """Names of the channels, in their order."""

    members: int = 1
    """Networks of which it consists; their probabilities are averaged."""

    @classmethod
    def read(cls, values: dict[str, Any]) -> Self:
        """Read from the content of model.json what this class has of it."""
        known = {field.name for field in dataclasses.fields(cls)}
        return decode(cls, {k: v for k, v in values.items() if k in known}, "model.json")

    def check(self, run: Run, n_values: int) -> None:
        """Refuse sizes that so many values of weights cannot have, before anything is built."""
        form = self.model
        filters, sizes = (len(self.channels), *form.widths), (min(form.first), *form.kernels[1:])
        needed = [a * b * k for a, b, k in zip(filters, form.widths, sizes, strict=False)]
        needed += [self.n_timepoints // max(1, form.patches), form.cells, len(self.classes)]
        needed += [
            self.members,
            max(*form.kernels, *form.mixed, *form.dilations),
            (form.random_features or 0) // 2,
            bool(form.summary) * len(self.channels) * len(self.classes),
            (form.summary_trees or 0) * len(self.classes),
        ]
        least = min(self.n_timepoints, self.members, len(self.channels), len(self.classes))
        if least < 1 or max(needed) > n_values:
            raise RunError(f"the weights in {run.folder} do not fit its model.json.")


@dataclass(frozen=True, kw_only=True, eq=False)
class Dissection:
    """What the network makes of series on the way to its logits."""

    recurrent: Tensor
    """Last state of the recurrent branch, (batch, cells)."""

    features: Tensor
    """The convolutional branch before its average, (batch, filters, timepoints); 0 where masked.
    Timepoint for timepoint those of the series without its margins (`LSTMFCN.margins`)."""

    mask: Tensor | None
    """1 where a feature counts, else 0, (batch, 1, timepoints) like them; None where all do."""

    pooled: Tensor
    """Average of the features over the timepoints that count, (batch, filters)."""

    attention: Tensor | None
    """Weight of each item in each step of the recurrent branch, (batch, steps, items); None
    without attention."""

    item_mask: Tensor | None
    """Which items, and steps, are not skipped, (batch, items); None where none is."""

    random: Tensor | None
    """Logits of the random convolutions, (batch, n_classes), whose softmax is probabilities; None
    where there are none."""

    summary: Tensor | None
    """Logits of the summary, (batch, n_classes), whose softmax is probabilities; None where there
    is none."""

    gates: tuple[Tensor, ...]
    """What squeeze-and-excite scaled the filters of the first blocks by, (batch, filters) each;
    empty without it."""


class LSTMFCN(nn.Module):
    """A recurrent and a convolutional branch over the same series, and one linear head.

    Parameters
    ----------
    config : ModelConfig
        What the network is.
    n_channels, n_timepoints, n_classes : int
        What the data decides. Shorter series end in NaN.
    logit_scale : float, default=1.0
        What logits are multiplied by before the softmax. Two one-hot outputs trained by binary
        cross entropy carry the log-odds twice and need 0.5.
    seed : int, default=0
        Seed of the initial weights.

    Attributes
    ----------
    margins : tuple of two int
        How many timepoints at the beginning and the end of a series have no feature.

    Raises
    ------
    ValueError
        If series are too short for convolutions without padding.

    Notes
    -----
    With one channel the recurrent branch takes a single step over the whole series, so its
    recurrent weights and forget gate never act. That is the papers' "dimension shuffle", and
    what makes the branch a position-sensitive counterpart of the convolutions.
    """

    logit_scale: Tensor

    def __init__(
        self,
        config: ModelConfig,
        *,
        n_channels: int,
        n_timepoints: int,
        n_classes: int,
        logit_scale: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if config.random_features is None:  # as a number, so that what is saved stays what it is
            config = replace(config, random_features=RANDOM_FEATURES)
        n_trees = (config.summary_trees or 0) if config.summary else 0
        config = replace(
            config, filters=config.widths, summary=bool(config.summary), summary_trees=n_trees
        )
        self.config = config
        self.n_channels, self.n_timepoints, self.n_classes = n_channels, n_timepoints, n_classes
        self.seed = seed
        self.margins = config.margins(n_timepoints)
        valid = config.padding == "valid"
        generator = torch.Generator().manual_seed(seed)
        self.views = Views(
            n_channels,
            n_timepoints,
            normalize=config.scaling(n_channels),
            standardize=config.standardize,
            difference=config.difference,
            drop_first=config.difference and valid,
            mask=config.mask,
            shuffled=config.shuffle == "always" or n_timepoints > n_channels,
            n_patches=config.patches if config.attention and n_channels == 1 else 0,
            exact=config.exact,
        )
        self.recurrent = Recurrent(
            self.views.item_size,
            config.cells,
            attention=config.attention,
            gate=hard_sigmoid if config.hard_sigmoid else torch.sigmoid,
            rng=generator,
        )
        self.dropout = Dropout(config.cells, config.dropout)
        widths = (n_channels * (2 if config.difference else 1), *config.widths)
        self.blocks = nn.ModuleList(
            Block(
                widths[i],
                widths[i + 1],
                config.kernels[i : i + 1] if i else config.first,
                dilation=config.dilations[i],
                valid=valid,
                excite=config.squeeze_excite and i < 2,
                norm_momentum=config.norm_momentum,
                norm_eps=config.norm_eps,
                rng=generator,
            )
            for i in range(3)
        )
        self.head = linear(config.cells + config.widths[2], n_classes, bias=True)
        nn.init.xavier_uniform_(self.head.weight, generator=generator)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("logit_scale", torch.tensor(logit_scale, dtype=torch.float32))
        self.random: RandomBranch | None = None
        self.summary: WindowSummary | None = None
        if config.summary:
            from foreshock.nn import window_summary

            shape = (n_channels, n_timepoints, n_classes)
            self.summary = window_summary.WindowSummary(*shape, n_trees=n_trees)
            nn.init.zeros_(self.head.weight)  # begin where the summary's regression ends

    @classmethod
    @own_settings()
    def from_pretrained(cls, name: str | Path, *, member: int = 0, **options: Any) -> "LSTMFCN":
        """Load a network of a run folder, or of a model on the Hugging Face Hub.

        It is ready to predict: `proba` of what it gives are probabilities, as yet uncalibrated.
        `Forecaster.from_pretrained` knows all members, names of classes and what calibrates.

        Parameters
        ----------
        name : str or Path
            The folder, or owner/name on the Hub.
        member : int, default=0
            Which network, of several.
        **options
            As of `Run.find`.

        Raises
        ------
        RunError
            If the folder is not a run's, the training did not end, or a file is damaged.
        ValueError
            If there is no such member.
        ConnectionError, ImportError
            If it is no folder, and the Hub does not give it, or huggingface_hub is missing.
        """
        run = Run.find(name, **options)
        values, weights = run.read_model()
        networks = restore(run, NetworkCard.read(values), weights)
        if not 0 <= member < len(networks):
            raise ValueError(f"{name} has members 0 to {len(networks) - 1}, got {member}.")
        return networks[member].eval()

    def new_random(self) -> RandomBranch | None:
        """Return random convolutions as the configuration asks for, not fitted yet; or None."""
        if not self.config.random_features:
            return None
        return RandomBranch(
            self.n_channels,
            self.n_timepoints,
            self.n_classes,
            n_features=self.config.random_features,
            rng=torch.Generator().manual_seed(self.seed),
            exact=self.config.exact,
        ).to(self.head.weight.device)

    @torch.no_grad()
    def fit_random(
        self, x: Tensor, y: Tensor, weights: Tensor | None = None
    ) -> RandomBranch | None:
        """Return random convolutions with a fitted head, to be set as `random`; or None.

        They need the views only. The rest of the network is trained without them, so set them when
        that is done.

        Parameters
        ----------
        x : Tensor of shape (n_cases, n_channels, n_timepoints)
            Training cases, raw, a few thousand at most.
        y : Tensor of shape (n_cases,)
            Their classes as indices.
        weights : Tensor of shape (n_cases,), optional
            What each of them weighs; by default all weigh the same.
        """
        random = self.new_random()
        if random is not None:
            random.fit(self.views.scale(x), y, weights)
        return random

    def fit_views(self, X: Iterable[NDArray[np.float32]]) -> None:
        """Fit what the views know of the data. Give training cases only.

        Parameters
        ----------
        X : iterable of arrays, each (n_cases, n_channels, n_timepoints)
            The training cases, in chunks.
        """
        self.views.fit(X)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw what a training step of n cases keeps: `keep` of `forward`."""
        return self.dropout.draw(n, self.head.weight.device, generator)

    def forward(
        self,
        x: Tensor,
        *,
        keep: Tensor | None = None,
        whole: bool | None = None,
        offset: Tensor | None = None,
    ) -> Tensor:
        """Return a logit per class.

        Parameters
        ----------
        x : Tensor of shape (batch, n_channels, n_timepoints)
            Raw series, NaN where there is no reading; a batch of shorter series may end earlier.
        keep : Tensor of shape (batch, cells), optional
            1 where dropout keeps a value while training, else 0; by default it is drawn.
        whole : bool, optional
            Whether all readings are there; by default the series are searched for missing ones.
        offset : Tensor of shape (batch, n_classes), optional
            What the rest is trained beside instead of the summary's own logits: those of
            regressions that did not see the cases.

        Returns
        -------
        Tensor of shape (batch, n_classes)
        """
        missing = self.n_timepoints - x.shape[-1]
        if x.shape[1:-1] != (self.n_channels,) or missing < 0:
            raise ValueError(
                f"the model takes series of shape (n_channels={self.n_channels}, "
                f"n_timepoints={self.n_timepoints}) or shorter, got {tuple(x.shape[1:])}."
            )
        if missing:
            x, whole = F.pad(x, (0, missing), value=math.nan), False
        parts = self.dissect(x, keep=keep, whole=whole, offset=offset)
        return self.classify(parts.recurrent, parts.pooled, parts.random, parts.summary)

    def dissect(
        self,
        x: Tensor,
        *,
        keep: Tensor | None = None,
        whole: bool | None = None,
        offset: Tensor | None = None,
    ) -> Dissection:
        """Return what the head is about to see of series as in `forward`, and what led to it."""
        if offset is None and self.summary is not None:
            offset = self.summary(self.views.scale(x))
        items, item_mask, series, mask = self.views(x, whole)
        last, attention = self.recurrent(items, item_mask)  # (batch, cells)
        features, mask, gates = self.convolve(series, mask)
        return Dissection(
            recurrent=self.dropout(last, keep),
            features=features,
            mask=mask,
            pooled=mean_over_time(features, mask),  # (batch, filters)
            attention=attention,
            item_mask=item_mask,
            random=None if self.random is None else self.random(self.views.scale(x)),
            summary=offset,
            gates=gates,
        )

    def convolve(
        self, series: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None, tuple[Tensor, ...]]:
        """Return features, mask and gates, as in `Dissection`, of what the views make of series.

        Without squeeze-and-excite a series may be of any length that leaves a feature.
        """
        gates = []
        for block in self.blocks:
            series, mask, gate = block(series, mask)  # (batch, filters, timepoints)
            if gate is not None:
                gates.append(gate)
        return series, mask, tuple(gates)

    def folded(self) -> "LSTMFCN":
        """Return a copy that only predicts, faster: its convolutions do the batch norm, too."""
        model = copy.deepcopy(self).eval().requires_grad_(False)
        for block in model.blocks:
            assert isinstance(block, Block)
            block.fold()
        return model

    def classify(
        self,
        recurrent: Tensor,
        pooled: Tensor,
        random: Tensor | None = None,
        summary: Tensor | None = None,
    ) -> Tensor:
        """Return logits (batch, n_classes): the head's first inputs are the recurrent branch's.

        Logits of the summary are added. With those of the random convolutions, too, the
        probabilities are the mean of theirs and of the rest's.
        """
        logits: Tensor = self.head(torch.cat([recurrent, pooled.to(recurrent.dtype)], dim=1))
        if summary is not None:
            logits = logits.float() + summary / self.logit_scale
        if random is None:
            return logits
        each = [(logits.float() * self.logit_scale).log_softmax(1), random.log_softmax(1)]
        return (torch.logaddexp(*each) - math.log(2)) / self.logit_scale

    @torch.no_grad()
    def scale_head(self, share: float) -> None:
        """Believe so much, from 0 to 1, of what the head adds to the summary."""
        self.head.weight.mul_(share)
        self.head.bias.mul_(share)

    def head_parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the head's bias (n_classes,) and its weights for each of the two branches.

        The weights are of shape (n_classes, cells) and (n_classes, filters).
        """
        weight, cells = self.head.weight, self.config.cells
        return self.head.bias, weight[:, :cells], weight[:, cells:]

    def proba(self, logits: Tensor) -> Tensor:
        """Turn logits (batch, n_classes) into class probabilities of the same shape."""
        return (logits.float() * self.logit_scale).softmax(dim=1)


def saved(networks: Sequence[LSTMFCN]) -> dict[str, NDArray[Any]]:
    """Return the weights of networks, by name, as a run keeps them."""
    return {
        f"{_prefix(k, len(networks))}{name}": w.cpu().contiguous().numpy()
        for k, model in enumerate(networks)
        for name, w in model.state_dict().items()
    }


def restore(run: Run, card: NetworkCard, weights: dict[str, NDArray[Any]]) -> list[LSTMFCN]:
    """Make networks again of what a run keeps.

    Parameters
    ----------
    run : Run
        Whose they are.
    card : NetworkCard
        What the networks are.
    weights : dict
        As `Run.read_model` gives them.

    Raises
    ------
    RunError
        If the weights are of other networks.
    """
    card.check(run, sum(each.size for each in weights.values()))
    networks = []
    for k in range(card.members):
        model = LSTMFCN(
            card.model,
            n_channels=len(card.channels),
            n_timepoints=card.n_timepoints,
            n_classes=len(card.classes),
        )
        model.random = model.new_random()
        prefix = _prefix(k, card.members)
        own = {n: torch.from_numpy(w) for n, w in weights.items() if n.startswith(prefix)}
        try:
            model.load_state_dict({name[len(prefix) :]: w for name, w in own.items()})
        except RuntimeError as error:
            raise RunError(f"the weights in {run.folder} do not fit its model.json.") from error
        networks.append(model)
    return networks


def _prefix(member: int, members: int) -> str:
    return f"{member}." if members > 1 else ""


class Cases(Protocol):
    """Series by index: an array, or anything that reads them when asked."""

    def __len__(self) -> int:
        """Count the cases."""

    def __getitem__(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return series (len(indices), n_channels, n_timepoints)."""


def predict(
    model: nn.Module, X: Cases, *, devices: Devices, precision: Precision = "float32"
) -> NDArray[np.float32]:
    """Return logits (n_cases, n_classes) of a model, in evaluation mode.

    Parameters
    ----------
    model : nn.Module
        Maps series (batch, n_channels, n_timepoints) to logits (batch, n_classes).
    X : Cases
        Series (n_cases, n_channels, n_timepoints).
    devices : Devices
        Each process predicts its share; all get the whole.
    precision : {"float32", "bf16", "auto"}
        Arithmetic.
    """
    if model.training:
        model.eval()
    device, n = devices.device, len(X)
    mine = devices.share(np.arange(n))
    _, n_channels, n_timepoints = X[mine[:0]].shape
    size = max(1, 2**22 // (max(n_channels, 256) * n_timepoints))  # some 16 MB of activations each
    logits = None
    with torch.inference_mode(), autocast(resolve_precision(precision, device), device):
        for start in range(0, max(1, len(mine)), size):
            cases = mine[start : start + size]
            batch = model(torch.from_numpy(X[cases]).to(device)).float()  # (cases, n_classes)
            if logits is None:
                logits = batch.new_zeros(n, batch.shape[1])
            # written where they belong: many small tensors, kept, would hold on to the large ones'
            # memory between them
            logits[torch.from_numpy(cases).to(device)] = batch
    assert logits is not None
    return devices.sum(logits).cpu().numpy()
