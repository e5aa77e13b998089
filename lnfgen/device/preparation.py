"""The device that a model computes on, the number of threads, and freed memory that is kept.

All that computes with a model calls `prepare_machine` before it builds or loads one.
"""

import ctypes
import os
import sys

import torch

from lnfgen.errors import LnfgenError

# Models up to this size use one thread of a CPU: two are hardly faster, and slow on a busy one.
SMALL_HIDDEN_SIZE = 128

# With the output `autoregressive`, which computes each of some fifty keys with a quarter to a half
# of `hidden_size`, a step is as much work as one of a network so many times as wide.
PAST_WORK = 16

_default_threads = torch.get_num_threads()


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
