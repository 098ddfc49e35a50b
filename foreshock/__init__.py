"""foreshock turns sensor readings into early warnings, and labelled series into classifiers.

>>> import foreshock
>>> run = foreshock.train(foreshock.load("GunPoint"))       # doctest: +SKIP
>>> forecaster = foreshock.Forecaster.load(run)             # doctest: +SKIP
>>> forecaster.predict_proba(X)                             # doctest: +SKIP
"""

import os
import sys

import lazy_loader

from foreshock._version import __version__ as __version__


def _compute_alone() -> None:
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    # The threads that compute stay behind when a process is forked, by gunicorn --preload say: a
    # child that shares work out among several waits for them for ever. One needs no others.
    os.register_at_fork(after_in_child=_compute_alone)

# What is public stands in __init__.pyi, once. A name is imported when it is first used: torch takes
# more than a second.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
