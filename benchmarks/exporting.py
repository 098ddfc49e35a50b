"""Time the forecast of one window by PyTorch and by what is exported to ONNX Runtime.

python benchmarks/exporting.py [threads] [turns]

Default network with random weights for windows of 512 of one channel, with random convolutions and
without. The two take turns in one process, so that what else the machine does slows both.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from foreshock.inference.export import export_model
from foreshock.inference.forecaster import Forecaster
from foreshock.inference.outputs import ModelCard
from foreshock.nn.config import ModelConfig
from foreshock.nn.model import LSTMFCN
from foreshock.run import Run

WINDOW = 512


def make(folder: Path, random_features: int) -> Run:
    X = np.random.default_rng(0).normal(size=(40, 1, WINDOW)).astype(np.float32).cumsum(axis=2)
    config = ModelConfig(random_features=random_features)
    model = LSTMFCN(config, n_channels=1, n_timepoints=WINDOW, n_classes=2).eval()
    model.fit_views([X])
    model.random = model.fit_random(torch.from_numpy(X), torch.arange(40) % 2)
    run = Run.create(folder, {"config": {}})
    card = ModelCard(
        model=config,
        n_timepoints=WINDOW,
        unequal=False,
        classes=("no", "yes"),
        channels=("x",),
        majority="no",
        choice="",
        versions=(),
    )
    Forecaster([model], card).save(run)
    run.finish({})
    return run


def main(threads: int = 1, turns: int = 200) -> None:
    torch.set_num_threads(threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    x = np.random.default_rng(1).normal(size=(1, 1, WINDOW)).astype(np.float32).cumsum(axis=2)
    for random_features in (20_000, 0):
        with tempfile.TemporaryDirectory() as folder:
            run, path = make(Path(folder) / "run", random_features), Path(folder) / "model.onnx"
            begun = time.process_time()
            exported = export_model(run, path)
            seconds = time.process_time() - begun
            session = onnxruntime.InferenceSession(path, options)
            program = Path(folder) / "model.pt2"
            export_model(run, program)
            sizes = exported.bytes / 2**20, program.stat().st_size / 2**20
            model = Forecaster.load(run).members[0].folded()

        def in_torch(model: LSTMFCN = model) -> np.ndarray:
            with torch.inference_mode():
                return model.proba(model(torch.from_numpy(x))).numpy()

        def in_onnx(session: onnxruntime.InferenceSession = session) -> np.ndarray:
            return session.run(["proba"], {"series": x})[0]

        times: dict[str, list[float]] = {"PyTorch": [], "ONNX Runtime": []}
        for _ in range(turns):
            for name, work in (("PyTorch", in_torch), ("ONNX Runtime", in_onnx)):
                begun = time.perf_counter()
                work()
                times[name].append(1e3 * (time.perf_counter() - begun))
        print(f"{random_features} random features: .onnx, .pt2 {sizes[0]:.1f}, {sizes[1]:.1f} MiB")
        print(f"  exported to ONNX in {seconds:.0f} s of the processor")
        for name, each in times.items():
            least, middle = min(each), float(np.median(each))
            print(f"  {name}: {middle:.1f} ms a window in the middle, {least:.1f} at best")
        print(f"  they differ by {np.abs(in_torch() - in_onnx()).max():.1g}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
