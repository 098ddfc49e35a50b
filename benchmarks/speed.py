"""Time training and prediction beside others who do the same, by turns.

python benchmarks/speed.py [step] [epoch] [predict] [latency] [cold] [memory] [--threads 2]

What is compared takes turns, so that whatever else the machine does slows both; medians and their
ratios are printed. With one thread it is the processor's time that is taken, which a busy machine
changes little. skorch and sktime are needed for `epoch` alone, and left out where they are not
installed.
"""

import argparse
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers import Way, draw, plain_forecasts, plain_training, skorch, sktime
from torch import Tensor, nn

from foreshock.inference.forecaster import Forecaster
from foreshock.inference.outputs import ModelCard
from foreshock.nn.config import ModelConfig
from foreshock.nn.distributed import (
    Precision,
    autocast,
    memory_kept,
    resolve_precision,
    this_device,
)
from foreshock.nn.model import LSTMFCN
from foreshock.run import Run
from foreshock.training.config import FitConfig, resolve
from foreshock.training.loop import Fitting

SHORT: Any = {"mixed": (), "dilations": (1, 1, 1), "random_features": 0}
"""What makes the network that of `Plain`: filters of 8, 5 and 3 timepoints, and nothing beside."""
MFLOP = 269.0
"""Of a forward pass of one series of 512 timepoints; a step takes three times that."""


class Worker:
    """A process that does one thing each time it is asked and says how long it took.

    Each way has its own, so that none gains or loses by what another leaves in memory.
    """

    def __init__(self, section: str, way: str, threads: int) -> None:
        command = [sys.executable, __file__, "--serve", section, way, "--threads", str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.turn()  # the first is slower

    def turn(self) -> float:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def serve(section: str, way: str, threads: int) -> None:
    """Do a thing for each line of the input."""
    act = WAYS[section][way]()
    clock = time.process_time if threads == 1 else time.perf_counter
    with redirect_stdout(sys.stderr):
        for _ in sys.stdin:
            begun = clock()
            act()
            print(clock() - begun, file=sys.__stdout__, flush=True)


def compare(section: str, n: int, threads: int) -> dict[str, float]:
    """Return the median seconds of each way of a section, over n turns."""
    workers = {name: Worker(section, name, threads) for name in WAYS[section] if there(name)}
    seconds: dict[str, list[float]] = {name: [] for name in workers}
    for _ in range(n):
        for name, worker in workers.items():
            seconds[name].append(worker.turn())
    for worker in workers.values():
        worker.process.communicate()
    return {name: statistics.median(each) for name, each in seconds.items()}


def there(way: str) -> bool:
    """Check whether the package of that name, if it is one, is installed."""
    package = way.partition(",")[0]
    if package not in ("skorch", "sktime") or importlib.util.find_spec(package):
        return True
    print(f"without {way}: it is not installed")
    return False


def make_fitting(n: int, n_timepoints: int, **fields: Any) -> Fitting:
    X, y = draw(n, n_timepoints)
    config = ModelConfig(squeeze_excite=fields.pop("squeeze_excite", False), **SHORT)
    model = LSTMFCN(config, n_channels=1, n_timepoints=n_timepoints, n_classes=2)
    model.fit_views([X])
    recipe = resolve(FitConfig(epochs=10**6, **fields), n, 2, valid_asked=False)
    fitting = Fitting(model, X, y, recipe, seed=0, devices=this_device())
    fitting.model.train()
    return fitting


def take_step(fitting: Fitting) -> None:
    epoch, batch = divmod(fitting.step, fitting.n_batches)
    fitting.train_step(fitting.batches(epoch, batch), 1e-3)
    fitting.step += 1


def our_training(fitting: Fitting, n_steps: int) -> Way:
    def act() -> None:
        with memory_kept():  # as `fit` does
            for _ in range(n_steps):
                take_step(fitting)

    return act


def large(precision: Precision) -> Way:
    fitting = make_fitting(512, 512, batch_size=64, squeeze_excite=True, precision=precision)
    return our_training(fitting, SOME)


def products() -> Way:
    a, b = (torch.randn(2048, 2048, dtype=torch.bfloat16) for _ in range(2))
    return lambda: [a @ b for _ in range(3 * SOME)]


def bare_loop() -> Way:
    """Train the same network in the same precision with nothing around it."""
    twin = make_fitting(50, 150)
    device = twin.devices.device
    X, y = map(torch.from_numpy, draw(50, 150))

    def act() -> None:
        with memory_kept():
            for some in torch.randperm(50).tensor_split(twin.n_batches):
                with autocast(resolve_precision("auto", device), device):
                    logits = twin.model(X[some])
                target = nn.functional.one_hot(y[some], 2).float()
                loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), target)
                twin.optimizer.zero_grad()
                loss.backward()
                twin.optimizer.step()
                loss.item()

    return act


def our_forecasts(n: int, precision: Precision) -> Way:
    X, forecaster = draw(n, 512)[0], make_forecaster()
    return lambda: forecaster.predict_proba(X, precision=precision)


SOME = 4
"""Steps in a turn."""

WAYS: dict[str, dict[str, Callable[[], Way]]] = {
    "step": {
        "plain": lambda: plain_training(512, 512, 64, SOME, True),
        "float32": lambda: large("float32"),
        "bf16": lambda: large("bf16"),
        "mm": products,
    },
    "epoch": {
        "foreshock": lambda: our_training(make_fitting(50, 150), 7),
        "a bare loop of the same": bare_loop,
        "plain float32": lambda: plain_training(50, 150, 8, 7, False),
        "skorch": skorch,
        "sktime, 1": lambda: sktime(1),
        "sktime, 4": lambda: sktime(4),
    },
    "predict": {
        "plain": lambda: plain_forecasts(512),
        "float32": lambda: our_forecasts(512, "float32"),
        "bf16": lambda: our_forecasts(512, "bf16"),
    },
    "latency": {
        "plain": lambda: plain_forecasts(1),
        "float32": lambda: our_forecasts(1, "float32"),
    },
}


def step(threads: int) -> None:
    """Time training steps of MLSTM-FCN, batch 64, 512 timepoints, one channel."""
    seconds = compare("step", 10, threads)
    work = SOME * 64 * 3 * MFLOP / 1e3  # GFLOP
    mm = 3 * SOME * 2 * 2048**3 / 1e9 / seconds.pop("mm")
    print(f"step: torch.mm in bf16 {mm:.0f} GFLOP/s")
    for name, each in seconds.items():
        print(
            f"step: {name:8} {1e3 * each / SOME:6.1f} ms, {work / each:4.0f} GFLOP/s"
            f" ({work / each / mm:.0%} of torch.mm), {seconds['plain'] / each:.2f} times plain"
        )


def epoch(threads: int) -> None:
    """Time an epoch of LSTM-FCN on 50 cases of 150 timepoints, batches of about 8."""
    seconds = compare("epoch", 15, threads)
    if "sktime, 1" in seconds:
        first = seconds.pop("sktime, 1")
        seconds["sktime"] = (seconds.pop("sktime, 4") - first) / 3
    for name, each in seconds.items():
        ratio = each / seconds["foreshock"]
        print(f"epoch: {name:24} {1e3 * each:6.1f} ms, {ratio:.2f} times ours")


def make_forecaster(n_timepoints: int = 512) -> Forecaster:
    model = make_fitting(64, n_timepoints).model
    assert isinstance(model, LSTMFCN)
    card = ModelCard(
        model=model.config,
        classes=("no", "yes"),
        channels=("0",),
        n_timepoints=n_timepoints,
        unequal=False,
        majority="no",
        choice="last",
        versions=(),
    )
    return Forecaster([model], card)


def predict(threads: int) -> None:
    """Time the prediction of 512 windows of 512 timepoints with LSTM-FCN."""
    seconds = compare("predict", 10, threads)
    X, forecaster = draw(512, 512)[0], make_forecaster()
    with torch.inference_mode():
        model = forecaster.members[0]
        whole = model.proba(model(torch.from_numpy(X))).numpy()
    off = {"plain": ""}
    precisions: tuple[Precision, ...] = ("float32", "bf16")
    for precision in precisions:
        proba = forecaster.predict_proba(X, precision=precision)
        off[precision] = f", probabilities off by {np.abs(proba - whole).max():.1e}"
    for name, each in seconds.items():
        print(
            f"predict: {name:8} {len(X) / each:6.0f} windows/s,"
            f" {seconds['plain'] / each:.2f} times plain{off[name]}"
        )


def latency(threads: int) -> None:
    """Time the forecast of one window of 512 timepoints with LSTM-FCN."""
    seconds = compare("latency", 400, threads)
    for name, each in seconds.items():
        ratio = seconds["plain"] / each
        print(f"latency: {name:8} {1e3 * each:.2f} ms, {ratio:.2f} times plain")


def cold(threads: int) -> None:
    """Time new processes: import, help, and one forecast of a saved model."""
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", {"config": {}})
        make_forecaster().save(run)
        np.save(Path(folder) / "x.npy", draw(1, 512)[0])
        forecast = (
            f"import numpy, foreshock; from pathlib import Path; folder = Path({folder!r}); "
            "forecaster = foreshock.Forecaster.load(folder / 'run'); "
            "print(forecaster.predict_proba(numpy.load(folder / 'x.npy')))"
        )
        scripts = {
            "python alone": "pass",
            "import foreshock": "import foreshock",
            "foreshock --help": "import sys; sys.argv = ['foreshock', '--help'];"
            "from foreshock.cli.app import main; main()",
            "import torch": "import torch",
            "load and forecast": forecast,
        }
        seconds: dict[str, list[float]] = {name: [] for name in scripts}
        for _ in range(5):
            for name, script in scripts.items():
                begun = time.perf_counter()
                subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
                seconds[name].append(time.perf_counter() - begun)
    for name, each in seconds.items():
        print(f"cold: {name:18} {statistics.median(each):.3f} s")


def memory(threads: int) -> None:
    """Compare the private memory of a training with what its tensors take."""
    script = f"import sys; sys.path[:0] = {sys.path!r}; import speed; speed.train_and_measure()"
    here = Path(__file__).parent
    done = subprocess.run([sys.executable, "-c", script], cwd=here, capture_output=True, text=True)
    print(done.stdout + done.stderr, end="")


def train_and_measure(n: int = 20_000, batch_size: int = 64) -> None:
    take_step(make_fitting(16, 16, squeeze_excite=True))  # imports what a step needs
    before = anonymous()
    fitting = make_fitting(n, 512, batch_size=batch_size, squeeze_excite=True)
    parameters = sum(p.nbytes for p in fitting.model.parameters())
    kept: dict[int, int] = {}

    def keep(x: Tensor) -> Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    peak = 0
    with memory_kept():
        for _ in range(20):
            take_step(fitting)
            peak = max(peak, anonymous())
    x = torch.from_numpy(fitting.X[np.arange(batch_size)])
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x),
        autocast(fitting.precision, x.device),
    ):
        loss = fitting.model(x).float().sum()
    activations = sum(kept.values())
    loss.backward()
    parts = {
        "weights, gradients, moments": 4 * parameters,
        "data": 4 * n * 512,
        "activations": activations,
    }
    of = ", ".join(f"{name} {size / 2**20:.0f}" for name, size in parts.items())
    print(
        f"memory: {(peak - before) / 2**20:.0f} MiB above the libraries for {n:,} cases of 512"
        f" timepoints, batches of {batch_size}; {of} MiB:"
        f" {(peak - before) / sum(parts.values()):.2f} times their sum"
    )


def anonymous() -> int:
    """Return the process's private memory that is not mapped from files, in bytes; Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


SECTIONS = {each.__name__: each for each in (step, epoch, predict, latency, cold, memory)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], default=[])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore", message="Using padding='same' with even kernel")
    if options.serve:
        serve(*options.serve, options.threads)
        return
    for name in options.sections or SECTIONS:
        SECTIONS[name](options.threads)


if __name__ == "__main__":
    main()
