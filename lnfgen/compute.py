"""What every command that computes with a model asks of the machine: its device, its memory and its threads.

`train`, `eval`, `sample`, `plot`, `bench` and the Python functions all call `prepare_machine` once before they build or
load a model, so that a rule about the machine is written in one place and holds for all of them.
"""

import ctypes
import sys

import torch

from lnfgen.errors import LnfgenError

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of glibc's mallopt (malloc.h)."""


def prepare_machine(device: str = "auto") -> torch.device:
    """Make the process ready to compute with a model, and return the device that `device` names.

    A rule for the number of threads belongs here too. Calling this more than once changes nothing.

    Raises:
        LnfgenError: if the device is unknown or not on this machine.
    """
    found = resolve_device(device)
    keep_freed_memory()
    return found


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
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise LnfgenError(f"--device {name}: not on this machine; expected auto, cpu, cuda, cuda:N or mps") from error
    return device


def keep_freed_memory() -> None:
    """Keep freed memory in the process for the tensors that come next, until the process ends.

    By default glibc returns large blocks to the system at once and gets every page of the next block by a page fault.
    Measured, that costs a tenth of a training update of the paper's text models and a sixth of a small one of music;
    keeping the memory costs a third more of it. This has no effect where the C library is another one.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
