"""Faults that stop a long run, in words for a person: figures that are not finite, too little memory, a full disk."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lnfgen.errors import OutputError, RunError, is_out_of_memory

LOWER_AFTER = 5
"""After so many updates in a row that are not finite, and again after as many more, the learning rate is lowered."""

LOWERED = 0.5
"""The factor by which it is lowered."""

MAX_SKIPPED_UPDATES = 20
"""Training gives up after so many updates in a row whose loss or gradient is not finite."""


def first_not_finite(model: nn.Module, gradients: Callable[[], object], device: torch.device) -> str:
    """Where in a model NaN or infinity comes up first, in words: a weight, a module of the forward pass, a gradient.

    `gradients` is called once more to find it, with fresh dropout. Its gradients are thrown away, and the random states
    are left as they were.
    """
    for name, weight in model.named_parameters():
        if not _finite(weight):
            return f"the weight {name}"
    found: list[str] = []

    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            if not found and not _finite(output):
                found.append(f"the {'output' if _finite(inputs) else 'input'} of {name} ({type(module).__name__})")

        return look

    hooks = [module.register_forward_hook(watch(name)) for name, module in model.named_modules() if name]
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            model.zero_grad(set_to_none=True)
            gradients()
        # A gradient flows from the end of the model to its start, and so do the names in this order.
        named = reversed([*model.named_parameters()])
        found += [f"the gradient of {name}" for name, parameter in named if not _finite(parameter.grad)]
    finally:
        for hook in hooks:
            hook.remove()
        model.zero_grad(set_to_none=True)
    return found[0] if found else "the loss or the norm of its gradient, behind all modules"


@contextmanager
def explained(run: Path, device: torch.device, batch_size: int) -> Iterator[None]:
    """Turn an error that ends a run into one line: what helps, and how to go on.

    Raises:
        RunError: if memory ran out in the block.
        OutputError: if a file could not be written.
    """
    resume = f"lnfgen train --resume --out {run}"
    try:
        yield
    except OutputError as error:
        raise OutputError(f"{error}; the state before is whole, so then go on: {resume}") from error
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise RunError(
            f"out of memory on {device} with batches of {batch_size}; if other programs hold it, end them and go on: "
            f"{resume}; else start a new run with a smaller --set training.batch_size=N (half of it needs about half "
            "the memory), --set training.precision=bfloat16, a smaller --preset, or shorter pieces (preprocess "
            "--max-length)"
        ) from error


def _finite(value: Any) -> bool:
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(torch.isfinite(value).all())
    return all(map(_finite, value)) if isinstance(value, Iterable) and not isinstance(value, str) else True
