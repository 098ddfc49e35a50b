"""AeonLSTMFCNClassifier: the classifier as an estimator by aeon's conventions."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from foreshock._optional import optional
from foreshock.estimators.sklearn import Configured, as_series, make_problem
from foreshock.inference.forecaster import Forecaster
from foreshock.nn.config import ModelConfig
from foreshock.training.config import FitConfig, TrainConfig

BaseClassifier: Any = optional("aeon.classification", "archive").BaseClassifier


class AeonLSTMFCNClassifier(Configured, BaseClassifier):
    """Classify series with an LSTM-FCN, by aeon's conventions.

    Channels, unequal lengths and missing values are welcome. What can be given to `fit` is X and
    y: weights, groups and validation data are for `LSTMFCNClassifier`.

    Parameters
    ----------
    preset, config, random_state, time_limit, warm_start
        As in `LSTMFCNClassifier`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    forecaster_ : Forecaster
        The trained model.

    Examples
    --------
    >>> from foreshock import AeonLSTMFCNClassifier
    >>> AeonLSTMFCNClassifier().fit(X, y).predict(X)     # doctest: +SKIP
    """

    _tags: ClassVar[dict[str, Any]] = {
        "X_inner_type": ["np-list", "numpy3D"],
        "capability:multivariate": True,
        "capability:unequal_length": True,
        "capability:missing_values": True,
        "algorithm_type": "deeplearning",
    }

    __before: Forecaster | None = None

    def _fit(self, X: Any, y: NDArray[Any]) -> "AeonLSTMFCNClassifier":
        codes = np.searchsorted(self.classes_, y)
        problem = make_problem(as_series(X), codes, self.classes_)
        previous = self.__before if self.warm_start else None
        self.forecaster_ = self._learn(problem, previous=previous)
        self.__before = self.forecaster_  # aeon's reset, which begins each fit, leaves it alone
        return self

    def _predict_proba(self, X: Any) -> NDArray[np.float32]:
        forecaster: Forecaster = self.forecaster_
        return forecaster.predict_proba(as_series(X))

    def predict_log_proba(self, X: Any) -> NDArray[np.float32]:
        """Return the logarithms of `predict_proba`; of a probability of 0 it is minus infinity."""
        with np.errstate(divide="ignore"):
            logarithms: NDArray[np.float32] = np.log(self.predict_proba(X))
        return logarithms

    def _predict(self, X: Any) -> NDArray[Any]:
        labels: NDArray[Any] = self.classes_[self._predict_proba(X).argmax(axis=1)]
        return labels

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        """Return what aeon's checks train: small and short."""
        model = ModelConfig(filters=(16, 32, 16), cells=8, random_features=300)
        return {"config": TrainConfig(model=model, fit=FitConfig(epochs=4))}
