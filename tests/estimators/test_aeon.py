"""AeonLSTMFCNClassifier, and aeon's own checks of it: none is expected to fail."""

import subprocess
import sys

import numpy as np
import pytest
from aeon.classification.compose import ClassifierPipeline
from aeon.testing.estimator_checking import parametrize_with_checks
from aeon.transformations.collection import Tabularizer

from foreshock import AeonLSTMFCNClassifier, LSTMFCNClassifier


@parametrize_with_checks([AeonLSTMFCNClassifier])
def test_it_passes_the_checks_of_aeon(check) -> None:
    check()


@pytest.fixture
def small(small_config) -> AeonLSTMFCNClassifier:
    return AeonLSTMFCNClassifier(
        config=small_config(model={"random_features": 0, "mixed": ()}, fit={"epochs": 12})
    )


def test_it_is_the_same_model_as_scikit_learns_face(small, small_problem):
    problem = small_problem(n_channels=2)
    y = np.array(problem.classes)[problem.y]
    proba = small.set_params(config__fit__epochs=1).fit(problem.X, y).predict_proba(problem.X)
    other = LSTMFCNClassifier(**small.get_params(deep=False)).fit(problem.X, y)
    assert np.array_equal(other.predict_proba(problem.X), proba)
    assert np.array_equal(small.predict_log_proba(problem.X), np.log(proba))
    assert small.classes_.tolist() == ["a", "b"]


def test_a_warm_start_outlives_aeons_reset(small, small_problem):
    problem = small_problem()
    before = small.fit(problem.X, problem.y).predict_proba(problem.X)
    small.set_params(config__fit__steps=1, config__fit__learning_rate=1e-6, warm_start=True)
    assert np.allclose(small.fit(problem.X, problem.y).predict_proba(problem.X), before, atol=0.05)
    small.set_params(warm_start=False)
    anew = small.fit(problem.X, problem.y).predict_proba(problem.X)
    assert not np.allclose(anew, before, atol=0.05)


def test_it_works_in_a_pipeline_of_aeon(small, small_problem):
    problem = small_problem(n_channels=2)
    small.set_params(config__fit__steps=1)
    pipeline = ClassifierPipeline(Tabularizer(), small).fit(problem.X, problem.y)
    assert pipeline.predict(problem.X).shape == (24,)


def test_without_aeon_there_is_scikit_learns_face_and_aeons_says_what_to_install():
    code = (
        "import sys; sys.modules['aeon'] = None\n"
        "from foreshock import LSTMFCNClassifier; print(1)\n"
        "try:\n    from foreshock import AeonLSTMFCNClassifier\n"
        "except ImportError as error:\n    sys.exit(f'ImportError: {error}')"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert out.stdout == "1\n"
    assert "ImportError" in out.stderr
    assert "run pip install 'foreshock[archive]'" in out.stderr
