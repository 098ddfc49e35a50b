"""Time forecasts of every reading, window by window and by a scan, in one process.

python benchmarks/scanning.py [windows] [threads]
"""

import sys
import time

import numpy as np
import torch

from foreshock import learner
from foreshock.devices import this_device
from foreshock.models import LSTMFCN, ModelConfig
from foreshock.readings import Readings
from foreshock.scanning import scan
from foreshock.windows import Windows

WINDOW = 512


def main(n: int = 20_000, threads: int = 1) -> None:
    torch.set_num_threads(threads)
    values = np.random.default_rng(0).normal(size=(1, n + WINDOW - 1)).astype(np.float32)
    values[0, 1000:1010] = np.nan
    start, hour = np.datetime64("2000-01-01"), np.timedelta64(1, "h")
    readings = Readings(values=values, start=start, step=hour, channels=("magnitude",))
    ends = np.arange(WINDOW - 1, n + WINDOW - 1)
    windows = Windows(readings, readings.times(ends), WINDOW)
    model = LSTMFCN(
        ModelConfig(normalize="train"), n_channels=1, n_timepoints=WINDOW, n_classes=2
    ).to(this_device().device)
    model.fit_views([windows[::64]])
    cases = [np.arange(start, min(start + 4000, n)) for start in range(0, n, 4000)]
    seconds, off = [0.0, 0.0], 0.0
    for some in cases:  # by turns, so that what else the machine does slows both
        logits = []
        for i, way in enumerate(
            (
                lambda some: learner.predict(model, windows.take(some), devices=this_device()),
                lambda some: scan(model, values, ends[some]),
            )
        ):
            begun = time.perf_counter()
            logits.append(way(some))
            seconds[i] += time.perf_counter() - begun
        off = max(off, float(np.abs(logits[0] - logits[1]).max()))
    print(
        f"{n:,} windows of {WINDOW} timepoints, threads: {threads}. One by one {seconds[0]:.1f} s,"
        f" by a scan {seconds[1]:.1f} s, {seconds[0] / seconds[1]:.1f} times as fast; logits"
        f" differ by {off:.1e} at most."
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
