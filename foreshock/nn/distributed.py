"""Where a model is trained: this process's device, and its place among several processes."""

import ctypes
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

logger = logging.getLogger(__name__)

READ_EVERY = {"cpu": 1, "cuda": 32}
"""Steps after which their losses are read: to read on a GPU is to wait for it."""

T = TypeVar("T")
Precision = Literal["auto", "float32", "bf16"]


class SharedError(RuntimeError):
    """What all processes of a training run into alike, so that rank 0 tells."""


@dataclass(frozen=True)
class Devices:
    """This process's device and its rank among `world` processes that train one model."""

    device: torch.device
    rank: int = 0
    world: int = 1

    @property
    def graphs(self) -> bool:
        """Whether steps can be captured as CUDA graphs: on a GPU, by a process that is alone."""
        return self.device.type == "cuda" and self.world == 1

    def share(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return this process's share of indices; shares differ in size by at most one."""
        return indices[self.rank :: self.world]

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over all processes, in place."""
        if self.world > 1:
            _all_reduce(tensor)
        return tensor

    def same(self, thing: T) -> T:
        """Send what rank 0 has to every process."""
        if self.world == 1:
            return thing
        box = [thing]
        with _losses_named():
            dist.broadcast_object_list(box, src=0)
        return box[0]

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.world > 1:
            with _losses_named():
                dist.barrier()


def this_device() -> Devices:
    """Return the GPU where there is one, else the CPU."""
    return Devices(torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def is_main_process() -> bool:
    """Check whether this process, alone or rank 0 of several, is the one that writes and prints."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0


@contextmanager
def launched(n_devices: int) -> Iterator[Devices]:
    """Start as many processes as there are devices, or join those that torchrun started.

    Further processes run the same command again from its start (lightning-fabric's launcher),
    so what comes before runs in each of them.

    Parameters
    ----------
    n_devices : int
        GPUs where there are any, else processes on the CPU.

    Raises
    ------
    ValueError
        If the machine has fewer GPUs.
    """
    n_gpus = torch.cuda.device_count()
    if n_gpus and n_devices > n_gpus:
        raise ValueError(
            f"devices is {n_devices}, but this machine has {n_gpus} GPUs: ask for at most as many."
        )
    if not n_gpus and n_devices > (os.cpu_count() or 1) and is_main_process():
        logger.warning("%d processes share %s cores: this is slow.", n_devices, os.cpu_count())
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if n_devices == 1 and world == 1:
        yield this_device()
        return
    from lightning_fabric import Fabric  # takes four seconds: only where it is needed

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces each process

    local = int(os.environ.get("LOCAL_WORLD_SIZE", n_devices if world == 1 else world))
    fabric = Fabric(
        accelerator="cuda" if n_gpus else "cpu",
        devices=local,
        num_nodes=max(1, world // local),
        strategy="ddp",
    )
    threads = torch.get_num_threads()
    fabric.launch()
    if not n_gpus:
        torch.set_num_threads(max(1, threads // local))  # they share the same cores
    try:
        yield Devices(fabric.device, fabric.global_rank, fabric.world_size)
    except (SharedError, KeyboardInterrupt):
        if fabric.global_rank > 0:
            raise SystemExit from None
        raise
    finally:
        torch.set_num_threads(threads)
        if dist.is_initialized():
            dist.destroy_process_group()


def resolve_precision(precision: Precision, device: torch.device) -> Literal["float32", "bf16"]:
    """Return bf16 for auto where the processor computes in it natively, else float32."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        can = torch.cpu.get_capabilities()
        told = torch.backends.cpu.get_cpu_capability()  # by ATEN_CPU_CAPABILITY, for example
        native = told not in ("DEFAULT", "AVX2") and any(
            can.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16")
        )
    return "bf16" if native else "float32"


@contextmanager
def autocast(precision: Literal["float32", "bf16"], device: torch.device) -> Iterator[None]:
    """Compute in bf16 where that is the precision; weights stay float32.

    What is kept of weights in bf16 is for this block, even within a caller's autocast.
    """
    lower = precision == "bf16"
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=lower, cache_enabled=True):
        yield
    if lower:
        torch.clear_autocast_cache()


@contextmanager
def own_settings() -> Iterator[None]:
    """Compute as if the caller had set nothing: with gradients, without autocast, on this device.

    What a caller's code stands in (``torch.no_grad``, ``inference_mode``, ``autocast``, a default
    device, ``numpy.seterr``) would change what comes out. Default types are nowhere relied on.
    """
    with ExitStack() as stack:
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in {"cpu", this_device().device.type}:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


@contextmanager
def memory_kept() -> Iterator[None]:
    """Have the C library keep freed memory for the next step instead of handing it back.

    Each step frees activations of many megabytes and asks for them again, and clearing fresh pages
    is a tenth of its time or more. glibc only; elsewhere nothing happens. What was kept is handed
    back at the end.
    """
    library = ctypes.CDLL(None) if os.name == "posix" else None
    if not all(hasattr(library, name) for name in ("mallopt", "malloc_trim")):
        yield
        return
    assert library is not None
    try:
        library.mallopt(_MMAP_THRESHOLD, 2**30)
        library.mallopt(_TRIM_THRESHOLD, 2**30)
        yield
    finally:
        library.mallopt(_MMAP_THRESHOLD, 2**25)  # as high as glibc raises them by itself
        library.mallopt(_TRIM_THRESHOLD, 2**26)
        library.malloc_trim(0)


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Numbers of malloc.h."""


def several_processes() -> bool:
    """Check whether several processes train together."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def sum_over_processes(x: Tensor) -> Tensor:
    """Sum a tensor over all processes, in a way that gradients pass through."""
    if not several_processes():
        return x
    apply: Callable[[Tensor], Tensor] = _SumOverProcesses.apply
    return apply(x)


class _SumOverProcesses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return _all_reduce(x.clone())

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> Tensor:
        return _all_reduce(grads[0].clone())


def _all_reduce(x: Tensor) -> Tensor:
    with _losses_named():
        dist.all_reduce(x)
    return x


@contextmanager
def _losses_named() -> Iterator[None]:
    """Raise an error that says what the loss of a connection means."""
    try:
        yield
    except RuntimeError as error:
        raise SharedError("another process of this training ended unexpectedly.") from error
