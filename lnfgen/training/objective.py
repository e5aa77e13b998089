"""The training objective and its gradient, in passes that fit in memory."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lnfgen.data.batches import Batch
from lnfgen.models import SequenceModel
from lnfgen.nn.masking import autocast

PASS_STEPS = {"cpu": 3_500}
"""Padded time steps in one pass, samples counted: one sample of the paper's text batches (15 of 120 steps). bfloat16
needs half the memory of float32, so its passes have twice as many steps."""

PASS_STEPS_ELSEWHERE = 40_000
"""Padded time steps in one pass on a GPU, which needs more rows to be busy. This is a guess, not measured."""

LOOPED_KL_STEPS = 4
"""A pass of the KL has so many times the steps where the KL is a loop over time. A step of a loop has few rows, which
is slow, and a loop keeps less memory for each."""


class Objective(NamedTuple):
    """The parts of an update's loss, without gradients."""

    loss: Tensor  # []
    reconstruction: Tensor  # log p(x | z), mean over the samples, [B]
    kl: Tensor  # [B]


def passes_for(num_samples: int, batch: Batch, precision: str = "float32") -> int:
    """How many passes of even size the K samples of a batch need, so that each keeps to the limit; at most K."""
    limit = PASS_STEPS.get(batch.x.device.type, PASS_STEPS_ELSEWHERE) * (2 if precision == "bfloat16" else 1)
    most = max(1, limit // (batch.x.shape[0] * batch.x.shape[1]))
    return math.ceil(num_samples / most)


def accumulate_gradients(
    model: SequenceModel,
    batch: Batch,
    noise: Tensor | None,
    kl_weight: float,
    *,
    num_passes: int,
    precision: str = "float32",
    free_bits: float = 0.0,
    share: float = 1.0,
    averaging: Callable[[Tensor], Tensor] | None = None,
) -> Objective:
    """Add the gradient of the loss to that of the parameters.

    The loss of a sequence is minus its weighted ELBO, averaged over the K samples, divided by T + 1. The loss of the
    batch is the mean of these. It is a sum over samples and over two terms, so it is taken in passes, each of one term
    of some of the samples: `num_passes` of the reconstruction, and no more of the KL. The graph of a pass is freed
    before the next one. The gradient is the same to round-off whatever `num_passes` is.

    With `free_bits`, the KL of a sequence has no gradient while it is below so many nats a step, so that z is used at
    least that much. The mean over all samples decides, so the KL then takes a single pass.

    Where several processes train, `batch`, `share` and `averaging` are those of this process (`training.torchrun`). The
    mean of the losses over the processes is then the loss of the whole batch, and so are the gradients.
    """
    steps, device = batch.lengths + 1, batch.x.device
    with autocast(device, precision):
        encoded = model.encode(batch.x, batch.lengths, batch.metres)
    shared = tuple(tensor.detach().requires_grad_() for tensor in encoded)
    num_samples = 1 if noise is None else len(noise)

    def summed(
        term: Callable[[Tensor | None], Tensor], coefficient: float, num_passes: int, floor: float = -math.inf
    ) -> Tensor:
        parts: Sequence[Tensor | None] = [None] if noise is None else noise.tensor_split(num_passes)
        total = torch.zeros(len(steps), device=device)
        for part in parts:
            with autocast(device, precision):
                value = term(part).sum(0) / num_samples
            if value.requires_grad:
                (share * coefficient * (value / steps).clamp(min=floor)).mean().backward()
            total = total + value.detach()
        return total

    kl_passes = math.ceil(num_passes / LOOPED_KL_STEPS) if model.loops_to_score else num_passes
    reconstruction = summed(
        lambda part: model.reconstruction(batch.x, batch.lengths, shared, part)[0], -1.0, num_passes
    )
    kl = summed(
        lambda part: model.kl(batch.lengths, shared, part),
        kl_weight,
        1 if free_bits else kl_passes,
        free_bits or -math.inf,  # an estimate of the KL may be negative
    )
    # The gradient of each product is the one that is known. `torch.autograd.backward(encoded, gradients)` does the
    # same, but loads sympy when it is first called, which takes half a second.
    products = [(value * own.grad).sum() for value, own in zip(encoded, shared, strict=True) if own.grad is not None]
    last = torch.stack(products).sum() if products else torch.zeros((), device=device)
    if averaging is not None:
        last = averaging(last)
    if last.requires_grad:
        last.backward()
    return Objective(-share * ((reconstruction - kl_weight * kl) / steps).mean(), reconstruction, kl)
