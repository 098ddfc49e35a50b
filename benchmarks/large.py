"""Cut and train on readings that are larger than memory should hold: time and private memory.

python benchmarks/large.py [--millions 100] [--channels 4] [--units 1] [--steps 1000] [--folder DIR]

Makes an .npy file of random readings with rare events, then runs `foreshock cut` (stride 1, windows
of 512 that overlap; of 60 for several units) and `foreshock train` on it (not for several units:
it is the same from there on), and samples the anonymous memory of each process
(RssAnon: what is private and not mapped from a file) twenty times a second. Linux only. At last it
compares the time to read a batch with the time of a training step.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

FORESHOCK = [sys.executable, "-c", "from foreshock.cli.app import main; main()"]


def make_units(path: Path, n_units: int, n_channels: int, n_timepoints: int) -> None:
    """Write noise with a spike now and then in the first channel, of many units."""
    shape = (n_channels, n_units, n_timepoints)
    values = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    random = np.random.default_rng(0)
    for k in range(n_units):
        values[:, k] = random.uniform(0, 4, (n_channels, n_timepoints))
        values[0, k, random.integers(0, n_timepoints, n_timepoints // 5000)] = 6
    values.flush()


def make(path: Path, n_channels: int, n_timepoints: int) -> None:
    """Write noise with a spike now and then in the first channel."""
    values = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.float32, shape=(n_channels, n_timepoints)
    )
    random = np.random.default_rng(0)
    block = 2**22
    for start in range(0, n_timepoints, block):
        size = min(block, n_timepoints - start)
        values[:, start : start + size] = random.uniform(0, 4, (n_channels, size))
        values[0, start + random.integers(0, size, size // 5000)] = 6
    values.flush()


def run(*arguments: str) -> tuple[float, float]:
    """Run a command; give its seconds and the peak of its anonymous memory in MiB."""
    started, peak = time.monotonic(), 0
    with subprocess.Popen([*FORESHOCK, *arguments], stdout=subprocess.PIPE, text=True) as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            try:
                lines = status.read_text().splitlines()
            except ProcessLookupError:
                break
            peak = max([peak, *(int(x.split()[1]) for x in lines if x.startswith("RssAnon"))])
            time.sleep(0.05)
        assert process.stdout is not None
        print(process.stdout.read())
    if process.returncode:
        raise SystemExit(f"{arguments[0]} failed")
    return time.monotonic() - started, peak / 1024


def share_of_loading(problem: Path, n_batches: int = 50) -> tuple[float, float]:
    """Return the seconds to read a batch of 64, and those of a training step on it."""
    import torch

    import foreshock
    from foreshock.nn.config import ModelConfig
    from foreshock.nn.distributed import this_device
    from foreshock.nn.model import LSTMFCN
    from foreshock.training.batches import PartCases
    from foreshock.training.config import FitConfig, resolve
    from foreshock.training.loop import Fitting

    loaded = foreshock.load(problem)
    rows = loaded.rows("train")
    cases, y = PartCases(loaded.X, rows), loaded.y[rows]
    shape = {"n_channels": loaded.n_channels, "n_timepoints": loaded.n_timepoints}
    model = LSTMFCN(ModelConfig(normalize="train"), n_classes=2, **shape)
    config = resolve(FitConfig(steps=n_batches), len(y), 2, valid_asked=False)
    fitting = Fitting(model, cases, y, config, seed=0, devices=this_device())
    loading = stepping = 0.0
    for batch in range(n_batches):
        started = time.perf_counter()
        indices = fitting.batches(0, batch)
        torch.from_numpy(cases[indices])
        loading += time.perf_counter() - started
        started = time.perf_counter()
        fitting.train_step(indices, 1e-3)
        stepping += time.perf_counter() - started
    return loading / n_batches, stepping / n_batches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--millions", type=float, default=100)
    parser.add_argument("--channels", type=int, default=4)
    parser.add_argument("--units", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        here = Path(folder)
        n_timepoints = int(options.millions * 1e6)
        several, event = (
            options.units > 1,
            ("--rule.event-above", "5", "--rule.channel", "channel 0"),
        )
        path = here / "sensor.npy"
        if several:
            make_units(path, options.units, options.channels, n_timepoints // options.units)
            rule = (*event, "--rule.window", "60", "--rule.horizon", "30")
        else:
            make(path, options.channels, n_timepoints)
            tested = str(50_000 / n_timepoints)
            rule = (*event, "--rule.window", "512", "--rule.horizon", "512", "--parts.test", tested)
        clock = ("--log.start", "2001-01-01", "--log.step", "1s")
        cut = run("cut", str(path), "-o", str(here / "problem"), *clock, *rule)
        print(f"{n_timepoints:,} readings of {options.channels} channels, stride 1")
        print(f"cut:   {cut[0]:6.1f} s, {cut[1]:5.0f} MiB of private memory")
        if several:
            return
        train = run(
            *("train", str(here / "problem"), "--run", str(here / "run")),
            *("--fit.steps", str(options.steps)),
        )
        loading, stepping = share_of_loading(here / "problem")
        print(f"train: {train[0]:6.1f} s, {train[1]:5.0f} MiB ({options.steps} steps and the test)")
        print(f"batch: {1e3 * loading:.2f} ms to read, {1e3 * stepping:.1f} ms for a step")


if __name__ == "__main__":
    main()
