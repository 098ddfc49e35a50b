"""Time training and prediction beside others who do the same, by turns in one process.

python benchmarks/speed.py [step] [epoch] [predict] [latency] [cold] [memory] [--threads 2]

What is compared takes turns, so that whatever else the machine does slows both; medians and their
ratios are printed. skorch and sktime are needed for `epoch` alone, and left out where they are not
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from foreshock.devices import autocast, memory_kept, resolve_precision, this_device
from foreshock.forecasts import ModelCard
from foreshock.learner import Fitting
from foreshock.models import LSTMFCN, ModelConfig
from foreshock.predict import Forecaster
from foreshock.recipe import FitConfig, resolve
from foreshock.run import Run

MFLOP = 269.0
"""Of a forward pass of one series of 512 timepoints; a step takes three times that."""


class Plain(nn.Module):
    """The network as tutorials write it: nn.LSTM, nn.Conv1d, nn.BatchNorm1d, float32."""

    def __init__(self, n_timepoints: int, *, squeeze_excite: bool) -> None:
        super().__init__()
        self.lstm = nn.LSTM(n_timepoints, 64, batch_first=True)
        self.dropout = nn.Dropout(0.5)
        layers: list[nn.Module] = []
        for i, (n_in, n_out, kernel) in enumerate(((1, 128, 8), (128, 256, 5), (256, 128, 3))):
            conv = nn.Conv1d(n_in, n_out, kernel, padding="same")
            layers += [conv, nn.BatchNorm1d(n_out, eps=1e-3), nn.ReLU()]
            if squeeze_excite and i < 2:
                layers.append(PlainExcite(n_out))
        self.convolutional = nn.Sequential(*layers)
        self.head = nn.Linear(64 + 128, 2)

    def forward(self, X: Tensor) -> Tensor:
        recurrent = self.dropout(self.lstm(X)[0][:, -1])  # (batch, cells)
        pooled = self.convolutional(X).mean(dim=2)  # (batch, filters)
        logits: Tensor = self.head(torch.cat([recurrent, pooled], dim=1))
        return logits


class PlainExcite(nn.Module):
    def __init__(self, n_filters: int) -> None:
        super().__init__()
        self.down = nn.Linear(n_filters, n_filters // 16, bias=False)
        self.up = nn.Linear(n_filters // 16, n_filters, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gates = torch.sigmoid(self.up(torch.relu(self.down(x.mean(dim=2)))))
        return x * gates[:, :, None]


def turns(ways: dict[str, Callable[[], object]], n: int) -> dict[str, float]:
    """Give the median seconds of each way; each goes first once untimed."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(n + 1):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            if turn:
                seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(each) for name, each in seconds.items()}


def draw(n: int, n_timepoints: int) -> tuple[Any, Any]:
    X = np.random.default_rng(0).normal(size=(n, 1, n_timepoints)).astype(np.float32)
    return X, np.arange(n) % 2


def make_fitting(n: int, n_timepoints: int, **fields: Any) -> Fitting:
    X, y = draw(n, n_timepoints)
    config = ModelConfig(squeeze_excite=fields.pop("squeeze_excite", False))
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


def plain_steps(model: nn.Module, data: TensorDataset, batch_size: int) -> Iterator[float]:
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    loss_of = nn.CrossEntropyLoss()
    model.train()
    while True:
        for x, y in DataLoader(data, batch_size, shuffle=True):
            optimizer.zero_grad()
            loss = loss_of(model(x), y)
            loss.backward()
            optimizer.step()
            yield loss.item()


def step() -> None:
    """Time training steps of MLSTM-FCN, batch 64, 512 timepoints, one channel."""
    n, some = 64 * 8, 4
    X, y = draw(n, 512)
    data = TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    plain = plain_steps(Plain(512, squeeze_excite=True), data, 64)
    fittings = {
        precision: make_fitting(n, 512, batch_size=64, squeeze_excite=True, precision=precision)
        for precision in ("float32", "bf16")
    }
    a, b = (torch.randn(2048, 2048, dtype=torch.bfloat16) for _ in range(2))

    def ours(precision: str) -> None:
        with memory_kept():  # as `fit` does
            for _ in range(some):
                take_step(fittings[precision])

    seconds = turns(
        {
            "plain": lambda: [next(plain) for _ in range(some)],
            "float32": lambda: ours("float32"),
            "bf16": lambda: ours("bf16"),
            "mm": lambda: [a @ b for _ in range(some * 3)],
        },
        10,
    )
    work = some * 64 * 3 * MFLOP / 1e3  # GFLOP
    mm = some * 3 * 2 * 2048**3 / 1e9 / seconds["mm"]
    print(f"step: torch.mm in bf16 {mm:.0f} GFLOP/s")
    for name in ("plain", "float32", "bf16"):
        rate = work / seconds[name]
        print(
            f"step: {name:8} {1e3 * seconds[name] / some:6.1f} ms, {rate:4.0f} GFLOP/s"
            f" ({rate / mm:.0%} of torch.mm), {seconds['plain'] / seconds[name]:.2f} times plain"
        )


def epoch() -> None:
    """Time an epoch of LSTM-FCN on 50 cases of 150 timepoints, batches of about 8."""
    n, n_timepoints = 50, 150
    X, y = draw(n, n_timepoints)
    data = TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    fitting = make_fitting(n, n_timepoints)
    bare = make_fitting(n, n_timepoints)
    plain = plain_steps(Plain(n_timepoints, squeeze_excite=False), data, 8)

    def ours() -> None:
        with memory_kept():
            for _ in range(fitting.n_batches):
                take_step(fitting)

    def same_network() -> None:
        model, optimizer, device = bare.model, bare.optimizer, bare.devices.device
        x, labels = data.tensors
        with memory_kept():
            for some in torch.randperm(n).tensor_split(bare.n_batches):
                with autocast(resolve_precision("auto", device), device):
                    logits = model(x[some])
                target = nn.functional.one_hot(labels[some], 2).float()
                loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), target)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                loss.item()

    ways: dict[str, Callable[[], object]] = {
        "foreshock": ours,
        "a bare loop of the same": same_network,
        "plain float32": lambda: [next(plain) for _ in range(7)],
    }
    if there("skorch"):
        from skorch import NeuralNetClassifier

        net = NeuralNetClassifier(
            Plain,
            module__n_timepoints=n_timepoints,
            module__squeeze_excite=False,
            criterion=nn.CrossEntropyLoss,
            optimizer=torch.optim.AdamW,
            batch_size=8,
            iterator_train__shuffle=True,
            train_split=None,
            verbose=0,
        ).initialize()
        ways["skorch"] = lambda: net.partial_fit(X, y, epochs=1)
    if there("sktime"):
        from sktime.classification.deep_learning.lstmfcn import LSTMFCNClassifierTorch

        def sktime(n_epochs: int) -> None:
            LSTMFCNClassifierTorch(
                num_epochs=n_epochs, batch_size=8, lstm_size=64, dropout=0.5, optimizer="AdamW"
            ).fit(X, y)

        ways["sktime, 1 epoch"] = lambda: sktime(1)
        ways["sktime, 4 epochs"] = lambda: sktime(4)
    seconds = turns(ways, 15)
    if "sktime, 1 epoch" in seconds:
        first = seconds.pop("sktime, 1 epoch")
        seconds["sktime"] = (seconds.pop("sktime, 4 epochs") - first) / 3
    for name, each in seconds.items():
        ratio = each / seconds["foreshock"]
        print(f"epoch: {name:24} {1e3 * each:6.1f} ms, {ratio:.2f} times ours")


def there(package: str) -> bool:
    if importlib.util.find_spec(package) is None:
        print(f"epoch: without {package}, which is not installed")
        return False
    return True


def make_forecaster(n_timepoints: int = 512) -> Forecaster:
    fitting = make_fitting(64, n_timepoints)
    card = ModelCard(
        model=fitting.model.config,  # type: ignore[arg-type]
        classes=("no", "yes"),
        channels=("0",),
        n_timepoints=n_timepoints,
        unequal=False,
        majority="no",
        choice="last",
        versions=(),
    )
    return Forecaster([fitting.model], card)  # type: ignore[list-item]


def plain_proba(model: nn.Module, X: Any) -> Any:
    with torch.no_grad():
        batches = [
            model(torch.from_numpy(x)).softmax(dim=1) for x in np.split(X, len(X) // 64 or 1)
        ]
    return torch.cat(batches).numpy()


def predict() -> None:
    """Time the prediction of 512 windows of 512 timepoints with LSTM-FCN."""
    X, _ = draw(512, 512)
    forecaster, plain = make_forecaster(), Plain(512, squeeze_excite=False).eval()
    seconds = turns(
        {
            "plain": lambda: plain_proba(plain, X),
            "float32": lambda: forecaster.predict_proba(X),
            "bf16": lambda: forecaster.predict_proba(X, precision="bf16"),
        },
        10,
    )
    with torch.inference_mode():
        model = forecaster.members[0]
        whole = model.proba(model(torch.from_numpy(X))).numpy()
    for name, each in seconds.items():
        off = ""
        if name != "plain":
            proba = forecaster.predict_proba(X, precision=name)  # type: ignore[arg-type]
            off = f", probabilities off by {np.abs(proba - whole).max():.1e}"
        print(
            f"predict: {name:8} {len(X) / each:6.0f} windows/s,"
            f" {seconds['plain'] / each:.2f} times plain{off}"
        )


def latency() -> None:
    """Time the forecast of one window of 512 timepoints with LSTM-FCN."""
    X, _ = draw(1, 512)
    forecaster, plain = make_forecaster(), Plain(512, squeeze_excite=False).eval()
    seconds = turns(
        {"plain": lambda: plain_proba(plain, X), "ours": lambda: forecaster.predict_proba(X)}, 400
    )
    for name, each in seconds.items():
        ratio = seconds["plain"] / each
        print(f"latency: {name:6} {1e3 * each:.2f} ms, {ratio:.2f} times plain")


def cold() -> None:
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
            "from foreshock.cli import main; main()",
            "import torch": "import torch",
            "load and forecast": forecast,
        }
        seconds = turns({name: lambda s=s: started(s) for name, s in scripts.items()}, 5)
    for name, each in seconds.items():
        print(f"cold: {name:18} {each:.3f} s")


def started(script: str) -> None:
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def memory() -> None:
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
    data = fitting.X.nbytes  # type: ignore[attr-defined]
    parts = {
        "weights, gradients, moments": 4 * parameters,
        "data": data,
        "activations": activations,
    }
    of = ", ".join(f"{name} {size / 2**20:.0f}" for name, size in parts.items())
    print(
        f"memory: {(peak - before) / 2**20:.0f} MiB above the libraries for {n:,} cases of 512"
        f" timepoints, batches of {batch_size}; {of} MiB:"
        f" {(peak - before) / sum(parts.values()):.2f} times their sum"
    )


def anonymous() -> int:
    """Give the process's private memory that is not mapped from files, in bytes; Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


SECTIONS = {each.__name__: each for each in (step, epoch, predict, latency, cold, memory)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], default=[])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore", message="Using padding='same' with even kernel")
    for name in options.sections or SECTIONS:
        SECTIONS[name]()


if __name__ == "__main__":
    main()
