"""The training objective and its gradient."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lnfgen.data.batches import Batch
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.nn.masking import autocast


class Objective(NamedTuple):
    """The parts of an update's loss, without gradients."""

    loss: Tensor  # []
    reconstruction: Tensor  # log p(x | z), mean over the samples, [B]
    kl: Tensor  # [B]


def accumulate_gradients(
    model: SequenceModel,
    batch: Batch,
    noise: Tensor | None,
    kl_weight: float,
    *,
    precision: str = "float32",
    free_bits: float = 0.0,
) -> Objective:
    """Add the gradient of the loss to that of the parameters.

    The loss of a sequence is minus its weighted ELBO, averaged over the K samples, divided by T +
    1. The loss of the batch is the mean of these. The graph of the reconstruction is freed before
    the KL is computed.

    With `free_bits`, the KL of a sequence has no gradient while its mean over the samples is below
    so many nats a step.
    """
    steps, device = batch.lengths + 1, batch.x.device
    with autocast(device, precision):
        encoded = model.encode(batch.x, batch.lengths, batch.metres)
    shared = tuple(tensor.detach().requires_grad_() for tensor in encoded)

    def add_gradient(
        term: Callable[[], Tensor], coefficient: float, floor: float = -math.inf
    ) -> Tensor:
        """Add the gradient of a term `[K, B]`, and give its mean over the samples, `[B]`."""
        with autocast(device, precision):
            value = term().mean(0)
        if value.requires_grad:
            (coefficient * (value / steps).clamp(min=floor)).mean().backward()
        return value.detach()

    reconstruction = add_gradient(
        lambda: model.reconstruction(batch.x, batch.lengths, shared, noise)[0], -1.0
    )
    # Without free bits there is no floor, because an estimate of the KL may be negative.
    kl = add_gradient(
        lambda: model.kl(batch.lengths, shared, noise), kl_weight, free_bits or -math.inf
    )
    # The gradient of each product is the one that is known. `torch.autograd.backward(encoded,
    # gradients)` does the same, but loads sympy when it is first called, which takes half a second.
    products = [
        (value * own.grad).sum()
        for value, own in zip(encoded, shared, strict=True)
        if own.grad is not None
    ]
    last = torch.stack(products).sum() if products else torch.zeros((), device=device)
    if last.requires_grad:
        last.backward()
    return Objective(-((reconstruction - kl_weight * kl) / steps).mean(), reconstruction, kl)
