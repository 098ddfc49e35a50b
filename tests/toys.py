"""A problem of noise, for tests that look at nothing but its outside."""

import numpy as np

from foreshock.problems import Problem


def toy_problem(n_cases: int = 40, n_classes: int = 2, **fields: object) -> Problem:
    random = np.random.default_rng(0)
    values: dict[str, object] = {
        "name": "toy",
        "X": random.normal(size=(n_cases, 2, 8)).astype(np.float32),
        "y": np.arange(n_cases) % n_classes,
        "part": np.zeros(n_cases, np.uint8),
        "classes": tuple("abcdefgh"[:n_classes]),
        "channels": ("x", "z"),
        **fields,
    }
    return Problem(**values)  # type: ignore[arg-type]
