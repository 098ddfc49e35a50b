"""RandomConvolutions: what the head in closed form sees, as a transformer of scikit-learn's."""

from collections.abc import Iterator
from typing import Any, Literal, Self, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from foreshock._arrays import chunks, sample
from foreshock._text import listed
from foreshock.estimators.sklearn import seed_of, series_for
from foreshock.nn.config import RANDOM_FEATURES, ModelConfig
from foreshock.nn.distributed import own_settings
from foreshock.nn.preprocessing import Views
from foreshock.nn.random_convolutions import MOST_CASES, Responses

Scaling = Literal["auto", "series", "train", "none"]


class RandomConvolutions(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Turn series into features by random convolutions, for a classifier or regressor to follow.

    These are the features that the head in closed form of `LSTMFCNClassifier` sees: at several
    dilations, of the series and of its difference, how often each of eight competing kernels wins
    and by how much (Hydra), and how often fixed kernels are above thresholds (MiniROCKET), averaged
    over the timepoints with a reading. Roots of the averages are taken.

    Parameters
    ----------
    n_features : int, default=20000
        How many features to make, about. There are at least 200 for each dilation: 1, 2, 4 and so
        on, as long as a kernel of nine timepoints fits into the series.
    normalize : {"auto", "series", "train", "none"}, default="auto"
        How to scale a series. series: by its own mean and deviation. train: by those of each
        channel in `fit`. none: not at all. auto: series for one channel, train for several.
    random_state : int or RandomState, optional
        Seed of the kernels; None is 0, so that the same data give the same features.

    Attributes
    ----------
    n_channels_ : int
        Channels of the series in `fit`.
    n_timepoints_ : int
        Timepoints of the longest.
    n_features_in_ : int
        Number of timepoints, where X had two dimensions.
    feature_names_in_ : ndarray of str
        Names of the timepoints, where X was a data frame with such names.

    Notes
    -----
    The features differ in size: standardise them for a linear model. Labels are not looked at.
    Sources: Dempster et al. 2023 (arXiv 2203.13652), 2021 (arXiv 2012.08791).

    Examples
    --------
    >>> from sklearn.linear_model import RidgeClassifierCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from foreshock import RandomConvolutions
    >>> head = RidgeClassifierCV(alphas=[1, 10, 100, 1000])
    >>> make_pipeline(RandomConvolutions(), StandardScaler(), head).fit(X, y)  # doctest: +SKIP
    """

    n_channels_: int
    n_timepoints_: int

    def __init__(
        self,
        n_features: int = RANDOM_FEATURES,
        normalize: Scaling = "auto",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_features = n_features
        self.normalize = normalize
        self.random_state = random_state

    @own_settings()
    def fit(self, X: Any, y: Any = None) -> Self:
        """Draw kernels, and thresholds from what they give for the series.

        Parameters
        ----------
        X : array, data frame or list
            Series, as `LSTMFCNClassifier.fit` takes them.
        y : ignored

        Raises
        ------
        ValueError
            What is given is no series, none has a reading, or a parameter is wrong.
        """
        if self.normalize not in get_args(Scaling):
            names = listed([*get_args(Scaling)])
            raise ValueError(f"normalize must be one of {names}, got {self.normalize!r}.")
        if not isinstance(self.n_features, int | np.integer) or self.n_features < 1:
            raise ValueError(f"n_features must be at least 1, got {self.n_features!r}.")
        series = series_for(self, X, reset=True)
        if np.isnan(series).all():
            raise ValueError("X has no reading: every value is NaN.")
        _, self.n_channels_, self.n_timepoints_ = series.shape
        scaling = ModelConfig(normalize=self.normalize).scaling(self.n_channels_)
        self._views = Views(
            self.n_channels_,
            self.n_timepoints_,
            normalize=scaling,
            standardize=False,
            difference=False,
            drop_first=False,
            mask=True,
            shuffled=True,
            n_patches=0,
        ).double()
        self._level = np.zeros((self.n_channels_, 1))
        if scaling == "train":
            # taken off, so that what lies far from zero is not for that taken for a constant
            count = (~np.isnan(series)).sum(axis=(0, 2)).clip(min=1)
            self._level[:, 0] = np.nansum(series, axis=(0, 2), dtype=np.float64) / count
            self._views.fit(chunk - self._level for _, chunk in chunks(series))
        seed = 0 if self.random_state is None else seed_of(self.random_state)
        self._responses = Responses(
            self.n_channels_,
            self.n_timepoints_,
            n_features=int(self.n_features),
            rng=torch.Generator().manual_seed(seed),
        )
        some = np.flatnonzero(~np.isnan(series).all(axis=(1, 2)))
        self._responses.fit(self._scaled(series[some[sample(len(some), MOST_CASES)]]))
        return self

    @own_settings()
    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return the features (n_cases, n_features_out); of a series without a reading, zeros.

        X is as in `fit`, with as many channels. Series may be shorter.
        """
        check_is_fitted(self)
        series = series_for(self, X, reset=False)
        n_channels, n_timepoints = series.shape[1:]
        if n_channels != self.n_channels_ or n_timepoints > self.n_timepoints_:
            raise ValueError(
                f"X has {n_channels} channels and {n_timepoints} timepoints, expected"
                f" {self.n_channels_} and at most {self.n_timepoints_}, as in fit."
            )
        return torch.cat(list(self._features(series))).numpy()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return self._responses.n_features

    @torch.inference_mode()
    def _features(self, series: NDArray[np.floating[Any]]) -> Iterator[Tensor]:
        for _, chunk in chunks(series):
            yield self._responses.features(self._scaled(chunk))

    def _scaled(self, series: NDArray[np.floating[Any]]) -> Tensor:
        scaled: Tensor = self._views.scale(torch.from_numpy(series - self._level)).float()
        return scaled
