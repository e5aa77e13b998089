"""Updates by functions that torch compiles: `lnfgen train --compile`. It is a choice for a machine, not for a run.

`torch.compile` turns the parts of a model that the objective calls into fewer and larger kernels. The numbers of
sequences and steps are unknowns there, so that ragged batches do not compile them again and again; only a number that
is 1, or two that are equal, may take another compilation. Not compiled are

    nn.LSTM             which is one call already; torch could only write its loop out, for each number of steps
    the output `past`   whose loop over the voices of a frame ends when all frames are whole
    gated recurrences   whose loop `lnfgen.nn.scans` hides behind one operation, for the same reason
    the KL of `iaf`     which is a loop over time too

Validations, scores and samples do not use them. Dropout draws other random numbers than without, and values differ by
round-off. Weights and states have the same names and form, so a run may go on with or without.
"""

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from lnfgen.errors import LnfgenError
from lnfgen.models import SequenceModel
from lnfgen.models.sequence_model import Encoded
from lnfgen.models.voices import VoiceHead
from lnfgen.nn.causal_lstm import CausalLSTM
from lnfgen.training.torchrun import launched

BACKEND = "inductor"
"""It needs a C++ compiler on a CPU, and Triton with a C compiler on a GPU. Tests have `eager`, which needs neither."""


class Compiled:
    """The parts of a model that the objective calls. Each is compiled when it is first called."""

    encode: Callable[..., Encoded]
    kl: Callable[..., Tensor]
    reconstruction: Callable[..., tuple[Tensor, Tensor | None]]

    def __init__(self, model: SequenceModel) -> None:
        warnings.filterwarnings("ignore", "Dynamo detected a call to a `functools.lru_cache`")  # of bounds.constant
        for module in model.modules():
            # Else torch tries anew for each LSTM, and for each voice, and gives up at its limit of trials.
            if isinstance(module, CausalLSTM | VoiceHead):
                module.forward = torch.compiler.disable(module.forward)  # type: ignore[method-assign]
        self.loops_to_score = model.loops_to_score
        self.encode = _compiled(model.encode)
        self.kl = model.kl if model.loops_to_score else _compiled(model.kl)
        self.reconstruction = _compiled(model.reconstruction)


def require_compiler(device: torch.device) -> None:
    """Raise an `LnfgenError` if torch cannot compile a small function and its gradient for a device.

    It is raised in one of several processes too, in which compiling has not been tried.
    """
    if launched():
        raise LnfgenError("--compile: found several processes; expected one; leave it out, as it only saves time")
    try:
        x = torch.zeros(3, 5, device=device, requires_grad=True)
        torch.compile(lambda x: torch.sin(x).sum(-1), backend=BACKEND)(x).sum().backward()
    except Exception as error:  # torch, Triton and the compiler have errors of many kinds
        needed = "Triton and a C compiler ($CC, gcc)" if device.type == "cuda" else "a C++ compiler ($CXX, g++)"
        raise LnfgenError(
            f"--compile: torch cannot compile for {device} ({reason(error)}); expected {needed}; install it, or leave "
            "--compile out, as it only saves time"
        ) from error


def is_compile_failure(error: BaseException) -> bool:
    """Whether an exception says that compiling failed, and not what is computed."""
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor", "torch._functorch"))


def reason(error: BaseException) -> str:
    """The first words of what compiling failed with; all of it is many lines."""
    inner = getattr(error, "inner_exception", error)
    line = next((line for line in str(inner).splitlines() if line.strip()), "")
    return f"{type(inner).__name__}: {' '.join(line.split()):.160}"


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled for batches of any number of sequences and steps."""
    compiled = torch.compile(function, backend=BACKEND)

    def call(*arguments: Any) -> Any:
        _mark(arguments)
        return compiled(*arguments)

    return call


def _mark(arguments: Iterable[Any]) -> None:
    """Tell torch which sizes are unknowns: those of `[B]`, `[B, T]` and `[B, T, F]`, and B and T of `[K, B, T, D]`."""
    for argument in arguments:
        if isinstance(argument, tuple):
            _mark(argument)
        elif isinstance(argument, Tensor):
            first = 1 if argument.dim() == 4 else 0
            for axis in range(first, min(first + 2, argument.dim())):
                torch._dynamo.maybe_mark_dynamic(argument, axis)
