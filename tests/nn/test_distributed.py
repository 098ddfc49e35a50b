import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from foreshock.nn.config import ModelConfig
from foreshock.nn.distributed import (
    Devices,
    SharedError,
    autocast,
    is_main_process,
    launched,
    resolve_precision,
    several_processes,
    sum_over_processes,
    this_device,
)
from foreshock.nn.model import LSTMFCN, predict
from foreshock.run import Run
from foreshock.training.config import FitConfig, resolve
from foreshock.training.loop import Fitting, find_learning_rate, fit

CPU = torch.device("cpu")
FORESHOCK = Path(sys.executable).with_name("foreshock")
TORCHRUN = Path(sys.executable).with_name("torchrun")

slow = pytest.mark.slow


def call(*command: object, limit: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a command with no trace of other processes around it."""
    surroundings = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "OMP_NUM_THREADS"}
    env = {name: value for name, value in os.environ.items() if name not in surroundings}
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=limit, env=env
    )


# --- one process -------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "world"), [(0, 2), (1, 2), (7, 2), (10, 3)])
def test_shares_are_the_whole_and_differ_in_size_by_at_most_one(n, world):
    indices = np.arange(n)
    shares = [Devices(CPU, rank, world).share(indices) for rank in range(world)]
    assert sorted(np.concatenate(shares)) == list(range(n))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_that_was_kept_for_the_next_step_is_handed_back_at_the_end():
    script = """
from pathlib import Path
import torch
from foreshock.nn.distributed import memory_kept

def private():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

before = private()
with memory_kept():
    tensors = [torch.ones(2**18) for _ in range(100)]
    held = private()
    del tensors
print(held - before, private() - before)
"""
    done = call(sys.executable, "-c", script)  # a process of its own has no memory to use again
    held, left = map(int, done.stdout.split())
    assert held > 50 * 2**10
    assert left < 25 * 2**10


def test_a_process_alone_needs_nobody():
    devices = Devices(CPU)
    x = torch.tensor([1.0, 2.0])
    assert devices.sum(x) is x and sum_over_processes(x) is x
    assert devices.same("thing") == "thing"
    devices.wait()
    assert not several_processes() and is_main_process()


def test_one_device_starts_no_process_and_imports_no_launcher():
    before = set(sys.modules)
    with launched(1) as devices:
        assert devices == this_device()
    assert not {name for name in set(sys.modules) - before if name.startswith("lightning")}


@pytest.mark.parametrize(("rank", "main"), [("0", True), ("1", False)])
@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK"])
def test_only_rank_0_is_the_main_process(monkeypatch, name, rank, main):
    monkeypatch.setenv(name, rank)
    assert is_main_process() == main


def test_on_several_machines_the_rank_over_all_of_them_counts(monkeypatch):
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert not is_main_process()


def test_auto_precision_is_bfloat16_where_this_processor_has_it():
    flags = Path("/proc/cpuinfo")
    if not flags.exists():
        pytest.skip("no /proc/cpuinfo to compare with")
    native = {"avx512_bf16", "amx_bf16", "bf16"} & set(flags.read_text().split())
    assert resolve_precision("auto", CPU) == ("bf16" if native else "float32")


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_precision_that_was_asked_for_is_kept(precision):
    assert resolve_precision(precision, CPU) == precision


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_products_are_computed_in_the_precision_asked_for(precision, dtype):
    with autocast(precision, CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
    assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


# --- two processes give what one gives ---------------------------------------------------------

CASES = {
    "odd batches": {"n": 13, "batch_size": 5},
    "masked": {"n": 12, "batch_size": 4, "short": True},
    "an empty share": {"n": 3, "batch_size": 1},
    "an empty share, masked": {"n": 3, "batch_size": 1, "short": True},
    "attention and excitation": {"n": 8, "batch_size": 4, "attention": True, "short": True},
    "weights and clipping": {"n": 13, "batch_size": 5, "class_weights": True, "clip": 0.1},
    "choice on valid": {"n": 13, "batch_size": 5, "valid": 5},
}


def train_case(devices: Devices, options: dict) -> dict[str, np.ndarray]:
    """Fit without dropout, in float32, for a few steps of a size that shows differences."""
    options = dict(options)
    n, short, attention = (
        options.pop("n"),
        options.pop("short", False),
        options.pop("attention", False),
    )
    n_valid = options.pop("valid", 0)
    rng = np.random.default_rng(3)
    X = (rng.normal(size=(n + n_valid, 1, 20))).astype(np.float32)
    y = np.arange(n + n_valid) % 3
    if short:
        X[::2, 0, 12:] = np.nan
        X[::3, 0, 3:5] = np.nan
    config = ModelConfig(
        filters=(16, 32, 16), cells=8, dropout=0.0, attention=attention, squeeze_excite=attention
    )
    model = LSTMFCN(config, n_channels=1, n_timepoints=20, n_classes=3)
    model.fit_views([X[:n]])
    for block in model.blocks:  # batch norm leaves its gradient only rounding, which Adam magnifies
        block.conv.bias.requires_grad_(False)
    recipe = resolve(
        FitConfig(epochs=2, precision="float32", learning_rate=0.003, **options),
        n,
        3,
        valid_asked=n_valid > 0,
    )
    told: list[float] = []

    class Callback:
        def batch(self, fitting: Fitting, batch: object) -> None:
            told.append(batch.loss)

        def epoch(self, fitting: Fitting, epoch: object) -> None:
            told.append(epoch.valid_loss or 0.0)

    fit(
        model,
        X[:n],
        y[:n],
        recipe,
        seed=0,
        devices=devices,
        valid=(X[n:], y[n:]) if n_valid else None,
        callback=Callback(),
    )
    found = find_learning_rate(model, X[:n], y[:n], recipe, seed=0, devices=devices, n_steps=5)
    return {
        "told": np.array(told),
        "found": np.array(found.losses),
        "logits": predict(model, X, devices=devices),
        "logits of one": predict(model, X[:1], devices=devices),
        "no logits": predict(model, X[:0], devices=devices),
        **{name: tensor.numpy() for name, tensor in model.state_dict().items()},
    }


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import numpy as np, torch
from test_distributed import CASES, launched, train_case
with launched(2) as devices:
    assert devices.world == 2
    assert devices.same(devices.rank) == 0
    for i, options in enumerate(CASES.values()):
        results = train_case(devices, options)
        np.savez({folder!r} + f"/{{i}}-{{devices.rank}}.npz", **results)
    devices.wait()
"""


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    script = folder / "script.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent), folder=str(folder)))
    done = call(sys.executable, script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


@pytest.mark.parametrize("case", CASES)
def test_two_processes_take_the_steps_of_one(two_processes, case):
    alone = train_case(Devices(CPU), CASES[case])
    i = list(CASES).index(case)
    for rank in range(2):
        with np.load(two_processes / f"{i}-{rank}.npz") as together:
            assert set(together) == set(alone)
            for name, expected in alone.items():
                # a thirtieth of a step: Adam makes as much of a gradient that is mostly rounding
                np.testing.assert_allclose(
                    together[name], expected, atol=1e-4, rtol=1e-5, err_msg=name
                )


# --- the command with several processes --------------------------------------------------------

SMALL = ["--model.filters", "16", "32", "16", "--model.cells", "8", "--fit.precision", "float32"]
SMALL += ["--model.random-features", "300"]


def train_command(folder: Path, *options: object) -> list[object]:
    return [FORESHOCK, "train", "GunPoint", "--run", folder, *SMALL, *options]


def test_a_folder_that_exists_ends_the_command_with_2_before_any_process_starts(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    started = time.monotonic()
    done = call(*train_command(tmp_path, "--devices", 2))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"foreshock: {tmp_path} exists already and is never overwritten: choose another --run, or "
        "continue it with --resume.\n"
    )
    assert time.monotonic() - started < 30


@pytest.fixture(scope="module")
def accuracy_of_one(tmp_path_factory: pytest.TempPathFactory) -> float:
    folder = tmp_path_factory.mktemp("one") / "run"
    done = call(*train_command(folder, "--fit.epochs", 20))
    assert done.returncode == 0, done.stderr
    return Run(folder).read("scores")["scores"]["model"]["accuracy"]["value"]


def check_told_once(stderr: str) -> None:
    """Expect no line twice and nothing of the launchers, but torchrun's word on OMP_NUM_THREADS."""
    lines = [
        line for line in stderr.splitlines() if line and "torch/distributed/run.py" not in line
    ]
    assert len(lines) == len(set(lines)), stderr
    assert not [line for line in lines if "rank" in line or "Traceback" in line], stderr


def check_run(folder: Path, accuracy_of_one: float) -> None:
    run = Run(folder)
    run.verify()
    steps = [line["step"] for line in run.history() if "step" in line]
    assert steps == list(range(1, len(steps) + 1)) and len(steps) == 20 * 7
    epochs = [line["epoch"] for line in run.history() if "train_loss" in line]
    assert epochs == list(range(1, 21))
    # 150 cases leave an accuracy near 0.9 a deviation of 0.025, two of them 0.035
    accuracy = run.read("scores")["scores"]["model"]["accuracy"]["value"]
    assert accuracy == pytest.approx(accuracy_of_one, abs=0.1)


@slow
def test_two_devices_reach_the_accuracy_of_one(tmp_path, accuracy_of_one):
    done = call(*train_command(tmp_path / "run", "--devices", 2, "--fit.epochs", 20))
    assert done.returncode == 0, done.stderr
    check_told_once(done.stderr)
    assert done.stdout.count("accuracy") == 3  # once: the sentence, accuracy and its balanced form
    check_run(tmp_path / "run", accuracy_of_one)


@slow
def test_torchrun_reaches_the_accuracy_of_one(tmp_path, accuracy_of_one):
    command = train_command(tmp_path / "run", "--fit.epochs", 20)
    done = call(TORCHRUN, "--nproc-per-node", 2, "--no-python", "--", *command)
    assert done.returncode == 0, done.stderr
    check_told_once(done.stderr)
    assert done.stdout.count("accuracy") == 3
    check_run(tmp_path / "run", accuracy_of_one)


@slow
def test_a_diverged_loss_on_two_devices_is_told_once(tmp_path):
    done = call(*train_command(tmp_path / "run", "--devices", 2, "--fit.learning-rate", 1e30))
    assert done.returncode == 1
    check_told_once(done.stderr)
    assert done.stderr.splitlines()[-1].startswith("foreshock: the loss became ")


@slow
def test_ctrl_c_on_two_devices_is_told_once_and_training_can_go_on(tmp_path):
    command = [str(part) for part in train_command(tmp_path / "run", "--devices", 2)]
    options = ["--fit.epochs", "2000"]
    process = subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    history = tmp_path / "run" / "history.jsonl"
    until = time.monotonic() + 60
    while not (history.exists() and history.stat().st_size) and time.monotonic() < until:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to all
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    check_told_once(err)
    assert err.count("interrupted") == 1
    assert Run(tmp_path / "run").read_checkpoint() is not None


@slow
@pytest.mark.parametrize(("rank", "code"), [(0, 1), (1, 1)])
def test_an_error_in_one_process_ends_all_of_them_soon(tmp_path, rank, code):
    script = tmp_path / "script.py"
    script.write_text(
        "import torch\n"
        "from foreshock.nn.distributed import launched\n"
        "with launched(2) as devices:\n"
        "    devices.wait()\n"
        f"    if devices.rank == {rank}:\n"
        "        raise ValueError('this one has enough')\n"
        "    for _ in range(10):\n"
        "        devices.sum(torch.ones(1))\n"
    )
    done = call(sys.executable, script, limit=60)
    assert done.returncode in (code, -signal.SIGKILL)
    assert "ValueError: this one has enough" in done.stderr
    lost = f"{SharedError.__module__}.SharedError: another process of this training ended"
    assert (lost in done.stderr) == (rank == 1)  # rank 0 tells


@slow
def test_a_script_can_train_several_times(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import torch\n"
        "from foreshock.nn.distributed import launched\n"
        "for n in (2, 2, 1):\n"
        "    threads = torch.get_num_threads()\n"
        "    with launched(n) as devices:\n"
        "        total = devices.sum(torch.ones(1)).item()\n"
        "    if devices.rank == 0:\n"
        "        print(total)\n"
        "    assert torch.get_num_threads() == threads\n"
    )
    done = call(sys.executable, script)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["2.0"] * 3
