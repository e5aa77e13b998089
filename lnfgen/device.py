"""The device that a model computes on, its memory, and what makes torch faster on a CPU.

That is the number of threads, freed memory that is kept, and a dropout and an AdamW of their own.
All that computes with a model calls `prepare_machine` before it builds or loads one.
"""

import ctypes
import os
import resource
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from inspect import unwrap
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lnfgen.errors import LnfgenError

# Models up to this size use one thread of a CPU: two are hardly faster, and slow on a busy one.
SMALL_HIDDEN_SIZE = 128

# With the output `autoregressive`, which computes each of some fifty keys with a quarter to a half
# of `hidden_size`, a step is as much work as one of a network so many times as wide.
PAST_WORK = 16

KILOBYTE = 1024  # as Linux counts memory

_default_threads = torch.get_num_threads()

_onednn_lock = threading.Lock()
_num_without_onednn = 0  # open contexts of `without_onednn`, in all threads
_onednn_before = True  # what the setting was before the first of them


def prepare_machine(device: str, hidden_size: int, emission: str) -> torch.device:
    """Make the process ready to compute with a model of this size and output.

    Returns the device that `device` names.

    Raises:
        LnfgenError: if the device is unknown or not on this machine.
    """
    found = resolve_device(device)
    keep_freed_memory()
    # The number of threads follows from the model alone, not from the load of the machine, because
    # other numbers of threads round otherwise: so the same seed gives the same bytes.
    if "OMP_NUM_THREADS" not in os.environ:
        work = hidden_size
        if emission == "autoregressive":
            work *= PAST_WORK
        threads = 1 if work <= SMALL_HIDDEN_SIZE else _default_threads
        torch.set_num_threads(threads)
    return found


def resolve_device(name: str) -> torch.device:
    """The device of that name; `auto` takes CUDA if it is there, else the CPU.

    Raises:
        LnfgenError: if the name is unknown or its device not on this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).tolist()  # `meta` makes tensors, but they hold no numbers
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        here = "auto, cpu, cuda or cuda:N" if torch.cuda.is_available() else "auto or cpu"
        raise LnfgenError(f"--device {name}: not on this machine; expected {here}") from error
    return device


def keep_freed_memory() -> None:
    """Keep freed memory in the process.

    glibc returns large blocks, and then each page of the next one is a page fault.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):  # another C library may lack it
        library.mallopt(-4, 0)  # M_MMAP_MAX (malloc.h)
        library.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


@contextmanager
def without_onednn(is_off: bool) -> Iterator[None]:
    """A context in which a CPU does not use oneDNN, if `is_off`.

    Under autocast an LSTM then computes in float32. Threads share this setting of torch: oneDNN is
    off until the last of them has left the context.
    """
    if not is_off:
        yield
        return
    _count_contexts(+1)
    try:
        yield
    finally:
        _count_contexts(-1)


def _count_contexts(change: int) -> None:
    """Count the open contexts of all threads. While there are any, oneDNN is off."""
    global _num_without_onednn, _onednn_before
    settings: Any = torch.backends.mkldnn  # its types do not know that its settings can be assigned
    with _onednn_lock:
        if _num_without_onednn == 0:
            _onednn_before = settings.enabled
        _num_without_onednn += change
        settings.enabled = _onednn_before and _num_without_onednn == 0


class AdamW(torch.optim.AdamW):
    """`torch.optim.AdamW`, to the bit, without guards that load the compiler of torch."""

    add_param_group = unwrap(torch.optim.AdamW.add_param_group)
    zero_grad = unwrap(torch.optim.AdamW.zero_grad)
    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))


class Dropout(nn.Dropout):
    """`nn.Dropout` with cheaper random numbers on a CPU.

    nn.Dropout draws a double for each element there, and keeps a float32 mask. This class draws 16
    bits and keeps a mask of bytes, so it rounds the probability to a multiple of 2^-16.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return super().forward(x)
        # of the 2^16 possible draws, the number that keeps an element
        num_kept = round((1 - self.p) * 2**16)
        num_words = -(-x.numel() // 4)
        words = torch.empty(num_words, dtype=torch.int64).random_(-(1 << 63), None)  # all 64 bits
        draws = words.view(torch.int16)[: x.numel()].view(x.shape)
        mask = draws <= num_kept - 2**15 - 1  # the limit fits in 16 bits
        # torch converts bytes faster than booleans
        return _Mask.apply(x, mask.view(torch.uint8), 2**16 / num_kept)


class _Mask(torch.autograd.Function):
    """`x * mask * scale`, which saves only the mask for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(mask)
        ctx.scale = scale
        return (x * mask.to(x.dtype)).mul_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (mask,) = ctx.saved_tensors
        return (gradient * mask.to(gradient.dtype)).mul_(ctx.scale), None, None


class _LiveTensors(TorchDispatchMode):
    """Counts the bytes of the tensors that are made in its block, and of those alive at once."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._live = 0
        self._counted: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._count(leaf.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        address = storage._cdata  # views share it
        if address in self._counted:
            return
        self._counted.add(address)
        self._live += storage.nbytes()
        self.peak = max(self.peak, self._live)
        weakref.finalize(storage, self._free, address, storage.nbytes())

    def _free(self, address: int, num_bytes: int) -> None:
        self._counted.discard(address)
        self._live -= num_bytes


def peak_bytes(work: Callable[[], object]) -> int:
    """The bytes of the tensors that some work makes, where most of them are alive at once.

    They say how memory grows with the size of the work, so that a small trial foretells what a
    great one needs. The random state of torch is as it was.
    """
    with torch.random.fork_rng(), _LiveTensors() as tensors:
        work()
    return tensors.peak


def available_bytes(device: torch.device) -> int:
    """The bytes of memory that a process may still take, as far as the machine tells.

    On Linux a limit of the process (`ulimit -v`) and of its container count too. Where nothing says
    what is free, it is all the memory of the machine.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    of_machine = _number_after("MemAvailable:", "/proc/meminfo")
    if of_machine is not None:
        free = min(free, KILOBYTE * of_machine)
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    taken = _number_after("VmSize:", "/proc/self/status")
    if limit != resource.RLIM_INFINITY and taken is not None:
        free = min(free, limit - KILOBYTE * taken)
    with suppress(OSError, ValueError):  # "max" is no limit
        container = int(Path("/sys/fs/cgroup/memory.max").read_text())
        held = _number_after("anon", "/sys/fs/cgroup/memory.stat") or 0  # the rest can be freed
        free = min(free, container - held)
    return max(0, free)


def _number_after(name: str, path: str) -> int | None:
    """The number after a name in a file of the system; None if there is none."""
    with suppress(OSError):
        for line in Path(path).read_text().splitlines():
            words = line.split()
            if words and words[0] == name:
                return int(words[1])
    return None
