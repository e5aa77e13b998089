"""The device that a model computes on, the number of threads, and how the process keeps its memory.

All commands that compute with a model, and the Python functions, call `prepare_machine` before they build or load one.
"""

import ctypes
import os
import sys

import torch

from lnfgen.errors import LnfgenError

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of glibc's mallopt (malloc.h)."""


SMALL_HIDDEN_SIZE = 128
"""Models up to this `hidden_size` compute on one thread of a CPU. Two threads are hardly faster there, and beside a
busy program they take several times as long, as each waits for the other."""

PAST_WORK = 16
"""The output `past` computes a quarter to a half of `hidden_size` for each of some fifty keys, which is as much work as
a step of a network so many times as wide."""

_default_threads = torch.get_num_threads()


def prepare_machine(device: str, hidden_size: int, emission: str) -> torch.device:
    """Make the process ready to compute with a model of this size and output; return the device that `device` names.

    Raises:
        LnfgenError: if the device is unknown or not on this machine.
    """
    found = resolve_device(device)
    keep_freed_memory()
    choose_threads(hidden_size, emission)
    return found


def choose_threads(hidden_size: int, emission: str) -> None:
    """Have torch compute on the threads that suit a model of this size and output.

    Their number follows from these alone, not from the load of the machine, because other numbers of threads round
    otherwise: so the same seed gives the same bytes. OMP_NUM_THREADS, if it is set, is kept.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        work = hidden_size * (PAST_WORK if emission == "past" else 1)
        torch.set_num_threads(1 if work <= SMALL_HIDDEN_SIZE else _default_threads)


def resolve_device(name: str) -> torch.device:
    """The device of that name; `auto` takes CUDA if it is there, then MPS, then the CPU.

    Raises:
        LnfgenError: if the device is unknown or not on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).tolist()  # `meta` makes tensors, but they hold no numbers
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        raise LnfgenError(f"--device {name}: not on this machine; expected auto, cpu, cuda, cuda:N or mps") from error
    return device


def keep_freed_memory() -> None:
    """Keep freed memory in the process for the tensors that come next, until the process ends.

    By default glibc returns large blocks to the system at once, and each page of the next block is a page fault. That
    costs a tenth to a sixth of a training update; keeping the memory needs a third more of it. This has no effect
    with another C library.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
