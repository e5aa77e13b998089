"""The memory that some work needs, and how much of it a machine has left."""

import os
import resource
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

KILOBYTE = 1024  # as Linux counts memory


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


class Shortage(NamedTuple):
    """What is missing for many things that need equally much memory."""

    needed: float  # bytes, by all of them
    available: int
    fitting: int  # how many of them the memory is large enough for, at least 1


def shortage(of_one: float, count: int, device: torch.device) -> Shortage | None:
    """The shortage of memory for `count` things of so many bytes each; None if they fit."""
    available = available_bytes(device)
    needed = count * of_one
    if needed <= available:
        return None
    return Shortage(needed, available, max(1, int(available / of_one)))


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
