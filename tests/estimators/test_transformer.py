"""RandomConvolutions among scikit-learn's tools, and scikit-learn's own checks of it."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from foreshock import LSTMFCNClassifier, RandomConvolutions

SMALL = RandomConvolutions(n_features=500)


@parametrize_with_checks([RandomConvolutions(n_features=300, normalize="train")])
def test_it_passes_the_checks_of_scikit_learn(estimator, check) -> None:
    check(estimator)


def waves(n_cases: int = 24, n_channels: int = 1, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Make slow and fast waves of any phase and level."""
    rng = np.random.default_rng(seed)
    y = np.arange(n_cases) % 2
    phase = rng.uniform(0, 6, (n_cases, n_channels, 1))
    X = np.sin(np.arange(40) * (1 + y[:, None, None]) / 2 + phase)
    return X + 0.3 * rng.normal(size=X.shape) + rng.normal(size=(n_cases, 1, 1)), y


def test_a_linear_head_learns_from_the_features() -> None:
    head = make_pipeline(SMALL, StandardScaler(), RidgeClassifierCV(alphas=[1, 10, 100]))
    assert head.fit(*waves()).score(*waves(seed=2)) == 1


@pytest.mark.parametrize("n_channels", [1, 3])
def test_they_are_the_features_of_the_classifiers_head(small_config, n_channels: int) -> None:
    config = small_config(fit={"steps": 1}, model={"random_features": 500})
    X, y = waves(n_channels=n_channels)
    classifier = LSTMFCNClassifier(config=config, random_state=3).fit(X, y)
    (network,) = classifier.forecaster_.members
    assert network.random is not None
    scaled = network.views.scale(torch.from_numpy(X).float())
    expected = network.random.responses.features(scaled).numpy()
    found = clone(SMALL).set_params(random_state=3).fit_transform(X)
    # a response is 1 or 0 by a threshold that rounding may cross
    assert np.mean(~np.isclose(found, expected, atol=1e-4)) < 1e-3


def test_a_seed_decides_and_labels_do_not() -> None:
    X, y = waves()
    first = clone(SMALL).fit_transform(X)
    assert np.array_equal(clone(SMALL).fit_transform(X, y), first)
    assert not np.allclose(clone(SMALL).set_params(random_state=1).fit_transform(X), first)


@pytest.mark.parametrize("normalize", ["series", "train"])
def test_what_lies_far_from_zero_keeps_its_digits(normalize: str) -> None:
    X, _ = waves()
    convolutions = clone(SMALL).set_params(normalize=normalize)
    near, far = convolutions.fit_transform(X), clone(convolutions).fit_transform(X + 1e9)
    assert np.mean(~np.isclose(far, near, atol=1e-3)) < 1e-3


def test_levels_count_where_series_are_not_scaled_by_themselves() -> None:
    X, _ = waves()
    by_itself = clone(SMALL).fit(X)
    assert np.allclose(by_itself.transform(X + 5), by_itself.transform(X), atol=1e-3)
    by_training = clone(SMALL).set_params(normalize="train").fit(X)
    assert not np.allclose(by_training.transform(X + 5), by_training.transform(X), atol=1e-3)


def test_names_and_frames() -> None:
    X, _ = waves(8)
    table = pd.DataFrame(X[:, 0], columns=[f"t{i}" for i in range(40)])
    convolutions = clone(SMALL).set_output(transform="pandas").fit(table)
    features = convolutions.transform(table)
    assert features.columns.tolist() == convolutions.get_feature_names_out().tolist()
    assert features.columns[0] == "randomconvolutions0"
    assert np.array_equal(features, clone(SMALL).fit_transform(X))
    with pytest.raises(ValueError, match="feature names should match"):
        convolutions.transform(table.rename(columns={"t0": "first"}))


def test_weights_are_routed_to_the_head() -> None:
    X, y = waves()
    weights = np.where(np.arange(24) < 20, 1.0, 0.0)
    with sklearn.config_context(enable_metadata_routing=True):
        head = LogisticRegression().set_fit_request(sample_weight=True)
        weighed = make_pipeline(SMALL, clone(head)).fit(X, y, sample_weight=weights)
        alike = make_pipeline(SMALL, clone(head)).fit(X, y)
    assert not np.allclose(weighed[-1].coef_, alike[-1].coef_, atol=1e-6)


def test_its_parameters_are_searched() -> None:
    X, y = waves()
    pipeline = make_pipeline(SMALL, StandardScaler(), RidgeClassifierCV())
    grid = {"randomconvolutions__normalize": ["series", "train"]}
    assert GridSearchCV(pipeline, grid, cv=2).fit(X, y).best_score_ > 0.9
    assert cross_val_score(pipeline, X[:, 0], y, cv=2).min() > 0.9


def test_shorter_series_and_gaps() -> None:
    X, _ = waves(6)
    convolutions = clone(SMALL).fit(X)
    shorter = convolutions.transform(X[:, :, :30])
    ending = X.copy()
    ending[:, :, 30:] = np.nan
    assert np.allclose(convolutions.transform(ending), shorter, atol=1e-5)
    uneven = [x[:, : 30 + i] for i, x in enumerate(X)]
    assert np.allclose(convolutions.transform(uneven)[0], shorter[0], atol=1e-5)
    X[2, :, 5:9] = np.nan
    X[3] = np.nan
    with_gaps = clone(SMALL).fit_transform(X)
    assert np.isfinite(with_gaps).all() and not with_gaps[3].any()


def test_constant_series_have_features_that_do_not_depend_on_their_level() -> None:
    X, _ = waves(6)
    X[0], X[1] = 0.1, 1e7
    features = clone(SMALL).fit_transform(X)
    assert np.isfinite(features).all() and np.array_equal(features[0], features[1])


def test_it_is_kept_in_a_pickle() -> None:
    X, _ = waves(6)
    convolutions = clone(SMALL).fit(X)
    again = pickle.loads(pickle.dumps(convolutions))
    assert np.array_equal(again.transform(X), convolutions.transform(X))


def test_many_cases_have_the_features_of_each_alone() -> None:
    X, _ = waves(6)
    convolutions = clone(SMALL).fit(X)
    alone = np.concatenate([convolutions.transform(x[None]) for x in X])
    assert np.allclose(convolutions.transform(X), alone, atol=1e-6)


def test_the_callers_settings_change_nothing() -> None:
    X, _ = waves(6)
    expected = clone(SMALL).fit_transform(X)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert np.array_equal(clone(SMALL).fit_transform(X), expected)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_features": 0}, "n_features must be at least 1, got 0"),
        ({"n_features": 2.5}, "n_features must be at least 1, got 2.5"),
        ({"normalize": "minmax"}, "normalize must be one of auto, series, train, none, got 'min"),
    ],
)
def test_wrong_parameters_are_refused(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        clone(SMALL).set_params(**params).fit(waves(4)[0])


def test_what_does_not_fit_is_refused() -> None:
    X, _ = waves(4)
    with pytest.raises(NotFittedError):
        clone(SMALL).transform(X)
    with pytest.raises(ValueError, match="X has no reading"):
        clone(SMALL).fit(np.full((3, 1, 20), np.nan))
    convolutions = clone(SMALL).fit(X)
    with pytest.raises(ValueError, match="X has 2 channels and 40 timepoints, expected 1 and"):
        convolutions.transform(np.repeat(X, 2, axis=1))
    with pytest.raises(ValueError, match="41 timepoints, expected 1 and at most 40"):
        convolutions.transform(np.pad(X, ((0, 0), (0, 0), (0, 1))))
    with pytest.raises(ValueError, match="infinity"):
        convolutions.transform(np.where(X > 1, np.inf, X))
