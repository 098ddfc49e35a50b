"""Time a forecast of every hour of 36 years: window by window in batches of 64, and by a scan.

python benchmarks/scanning.py [threads] [windows predicted one by one]

Default network with random weights for windows of 512 of one channel, float32. The two ways take
turns in one process, so that what else the machine does slows both.
"""

import resource
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from foreshock.inference.sliding import scan
from foreshock.nn.config import ModelConfig
from foreshock.nn.model import LSTMFCN

WINDOW, HOURS, TURNS = 512, 316_000, 20


def one_by_one(model: LSTMFCN, windows: np.ndarray) -> np.ndarray:
    """Predict windows (n_windows, n_channels, n_timepoints) in batches of 64, and do no more."""
    with torch.inference_mode():
        batches = [
            model(torch.from_numpy(windows[start : start + 64].copy()))
            for start in range(0, len(windows), 64)
        ]
    return torch.cat(batches).numpy()


def timed(work: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    begun = time.perf_counter()
    found = work()
    return time.perf_counter() - begun, found


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(threads: int = 1, n: int = 20_000) -> None:
    torch.set_num_threads(threads)
    values = np.random.default_rng(0).normal(size=(1, HOURS + WINDOW - 1)).astype(np.float32)
    values[0, 1000:1010] = np.nan
    ends = np.arange(WINDOW - 1, HOURS + WINDOW - 1)
    windows = np.lib.stride_tricks.sliding_window_view(values, WINDOW, axis=1).transpose(1, 0, 2)
    model = LSTMFCN(
        ModelConfig(normalize="train", padding="valid"),
        n_channels=1,
        n_timepoints=WINDOW,
        n_classes=2,
    ).eval()
    model.fit_views([windows[::64].copy()])

    scan(model, values, ends[: HOURS // 10])
    before = peak()
    scan(model, values, ends)
    print(f"peak memory {before:.0f} MiB after a tenth of the hours, {peak():.0f} after all")

    seconds, off = [], 0.0
    for some in np.split(np.arange(HOURS), TURNS):
        by_scan, logits = timed(lambda some=some: scan(model, values, ends[some]))
        few = slice(some[0], some[0] + n // TURNS)
        plain, expected = timed(lambda few=few: one_by_one(model, windows[few]))
        seconds.append((plain / len(expected), by_scan / len(some)))
        off = max(off, float(np.abs(logits[: len(expected)] - expected).max()))
    plain, by_scan = np.median(seconds, axis=0) * 1e6
    ratios = np.divide(*np.transpose(seconds))
    print(
        f"threads {threads}: one by one {plain:.0f} µs a window ({n:,} windows), by a scan"
        f" {by_scan:.1f} ({HOURS:,}): {np.median(ratios):.0f} times as fast (turns"
        f" {ratios.min():.0f} to {ratios.max():.0f}); logits differ by {off:.1e} at most"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
