"""Settings of torch on a CPU while a model draws.

Threads of a program may draw at the same time, and each must round as it would alone. So oneDNN,
whose switch all threads share, is off as a whole, and a draw of few rows takes one thread by
settings that are its own.
"""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch

LITTLE_WORK = 1 << 25
"""The most products in a time step of a draw that takes one thread.

A second one makes it no faster, and much slower where others use the machine.
"""

_onednn_lock = threading.Lock()
_num_without_onednn = 0  # open contexts of `without_onednn`, in all threads
_onednn_before = True  # what the setting was before the first of them


@contextmanager
def for_drawing(model: torch.nn.Module, num_rows: int, device: torch.device) -> Iterator[None]:
    """A context in which a model draws so many rows together, on this device."""
    is_cpu = device.type == "cpu"
    num_weights = sum(weight.numel() for weight in model.parameters())
    is_little = num_rows * num_weights <= LITTLE_WORK
    with without_onednn(is_cpu), on_one_thread(is_cpu and is_little):
        yield


@contextmanager
def on_one_thread(is_one: bool) -> Iterator[None]:
    """A context in which this thread of the program computes on one thread of a CPU, if `is_one`.

    The number of threads that a person gives as `OMP_NUM_THREADS` stays. So does torch's own where
    it does not compute with OpenMP and MKL, whose numbers each thread of a program may set.
    """
    library = _torch_library()
    if not is_one or library is None or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    before = torch.get_num_threads()  # which in a new thread takes the number of the process first
    mkl_before = library.MKL_Set_Num_Threads_Local(1)
    library.omp_set_num_threads(1)
    try:
        yield
    finally:
        library.omp_set_num_threads(before)
        library.MKL_Set_Num_Threads_Local(mkl_before)


@cache
def _torch_library() -> Any:
    """The library of torch that has OpenMP and MKL; None where it is built without them."""
    path = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    if not path.exists():
        return None
    library = ctypes.CDLL(str(path))
    for name in ("omp_set_num_threads", "MKL_Set_Num_Threads_Local"):
        if not hasattr(library, name):
            return None
    return library


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
