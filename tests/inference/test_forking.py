"""Forked processes, as of gunicorn --preload or multiprocessing, forecast what the parent does.

The parent is a process of its own, which computes with two threads as the suite does not. One
does for all the tests, in the order of what it has done before it forks.
"""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from foreshock.run import Run

if not hasattr(os, "fork"):
    pytest.skip("this system forks no processes", allow_module_level=True)

PARENT = """
import os, signal, sys, threading
import numpy as np, torch
from foreshock import Forecaster, LSTMFCNClassifier

torch.set_num_threads(2)
forecaster = Forecaster.load(sys.argv[1])
more = np.random.default_rng(0).normal(size=(200, 1, 32)).astype(np.float32)  # memory is kept
X = more[:24]


def fork(answer):
    child = os.fork()
    if child == 0:
        signal.alarm(10)  # ends a child that waits for ever
        os._exit(not answer())
    return child


def right(*children):
    return all([os.waitpid(child, 0)[1] == 0 for child in children])


def same():
    return np.array_equal(forecaster.predict_proba(X), expected)


def loaded():
    reading, writing = os.pipe()
    answers = [fork(lambda: os.write(writing, forecaster.predict_proba(X).tobytes()))]
    return right(*answers) and os.read(reading, 10_000) == forecaster.predict_proba(X).tobytes()


def hundred():
    return all(right(*[fork(same) for _ in range(4)]) for _ in range(25))


def many():
    return right(fork(lambda: np.array_equal(forecaster.predict_proba(more), expected_of_more)))


def grandchild():
    return right(fork(lambda: same() and right(fork(same)) and same()))


def thread():
    def in_a_thread():
        found = []
        other = threading.Thread(target=lambda: found.append(same()))
        other.start()
        other.join()
        return found == [True]

    return right(fork(in_a_thread))


def busy():
    global forecaster
    for _ in range(10):
        forecaster = Forecaster.load(sys.argv[1])
        other = threading.Thread(target=forecaster.predict_proba, args=(X,))
        other.start()
        alike = right(fork(same))
        other.join()
        if not alike:
            return False
    return True


def trained():
    def fit():
        model = LSTMFCNClassifier(random_state=0).set_params(
            config__model__filters=(4, 4, 4),
            config__model__random_features=0,
            config__fit__steps=3,
        )
        return model.fit(X, np.arange(24) % 2).predict_proba(X)

    before = fit()
    return right(fork(lambda: np.allclose(fit(), before, atol=1e-3)))


print("loaded", loaded(), flush=True)
expected, expected_of_more = forecaster.predict_proba(X), forecaster.predict_proba(more)
for ask in (hundred, many, grandchild, thread, busy, trained):
    print(ask.__name__, ask(), flush=True)
"""


OWN = """
import os, signal, sys
import torch, foreshock

torch.set_num_threads(2)
numbers = torch.randn(600, 600)
(numbers @ numbers).sum()
if os.fork() == 0:
    signal.alarm(30)
    foreshock.Forecaster.load(sys.argv[1]).predict_proba(torch.randn(40, 1, 32).numpy())
    os._exit(0)
sys.exit(os.wait()[1])
"""


def test_a_child_of_a_parent_that_computed_by_itself_loads_and_answers(small_run: Run) -> None:
    command = [sys.executable, "-c", OWN, str(small_run.folder)]
    env = os.environ | {"OMP_NUM_THREADS": "2"}
    assert subprocess.run(command, env=env, timeout=100, check=False).returncode == 0


@pytest.fixture(scope="module")
def right(small_run: Run) -> Callable[[str], bool]:
    done = subprocess.run(
        [sys.executable, "-c", PARENT, str(small_run.folder)],
        env=os.environ | {"OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    answers = dict(line.split() for line in done.stdout.splitlines())
    assert (done.returncode, done.stderr) == (0, "")
    return lambda name: answers[name] == "True"


def test_a_child_of_a_parent_that_only_loaded_the_model_says_what_it_would_say(right) -> None:
    assert right("loaded")


def test_a_hundred_children_of_a_parent_that_predicted_say_what_it_said(right) -> None:
    assert right("hundred")


def test_a_child_says_the_same_of_many_cases(right) -> None:
    assert right("many")


def test_a_child_that_forks_and_its_child_say_the_same(right) -> None:
    assert right("grandchild")


def test_a_thread_of_a_child_says_the_same(right) -> None:
    assert right("thread")


def test_a_fork_while_another_thread_predicts_for_the_first_time_harms_nobody(right) -> None:
    assert right("busy")


def test_a_child_of_a_parent_that_trained_trains(right) -> None:
    assert right("trained")
