"""The training objective and its gradient."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from lnfgen.data.batches import Batch
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.models.stretches import most_at_once
from lnfgen.nn.masking import autocast
from lnfgen.nn.positions import Outline


class Objective(NamedTuple):
    """The terms of an update's loss, without gradients."""

    loss: Tensor  # []
    reconstruction: Tensor  # log p(x | z), mean over the samples, [B]
    kl: Tensor  # [B]


def accumulate_gradients(  # noqa: PLR0913 - two of them are settings of the run
    model: SequenceModel,
    batch: Batch,
    noise: Tensor | None,
    kl_weight: float,
    *,
    precision: str = "float32",
    free_bits: float = 0.0,
) -> Objective:
    """Add the gradient of the loss to that of the parameters.

    The loss of a sequence is minus its weighted ELBO, averaged over the K samples, over T + 1. The
    loss of the batch is the mean of these. The graph of the reconstruction is freed before the KL
    is computed. If its output has units for each key, the reconstruction is computed for as many
    sequences at a time as memory admits.

    Args:
        batch: `x` is int [B, T] for text and [B, T, R, P] for music, `lengths` is int [B].
        noise: [K, B, T, D], as `model.draw_noise` gives it; None for a model without a latent.
        kl_weight: the factor of the KL in the loss.
        precision: of the networks, float32 or bfloat16.
        free_bits: nats a step. The KL of a sequence has no gradient while its mean over the samples
            is below so many.

    Returns:
        The loss [], and the reconstruction and the KL of each sequence [B] in nats.
    """
    steps = batch.lengths + 1
    device = batch.x.device
    with autocast(device, precision):
        encoded = model.encode(batch.x, batch.lengths, Outline(batch.bar_shapes, batch.homes))
    # Both terms add to the gradients of these, which the encoder gets at the end.
    shared = tuple(tensor.detach().requires_grad_() for tensor in encoded)

    def add_gradient(
        term: Callable[[], Tensor], rows: slice, coefficient: float, floor: float = -math.inf
    ) -> Tensor:
        """Add the gradient of a term `[K, rows]`, and give its mean over the samples, `[rows]`."""
        with autocast(device, precision):
            value = term().mean(0)
        if value.requires_grad:
            costs = coefficient * (value / steps[rows]).clamp(min=floor)
            (costs.sum() / len(steps)).backward()
        return value.detach()

    def reconstruction_of(rows: slice) -> Tensor:
        own_shared = tuple(tensor[rows] for tensor in shared)
        own_noise = None if noise is None else noise[:, rows]
        return model.reconstruction(batch.x[rows], batch.lengths[rows], own_shared, own_noise)[0]

    def kl_term() -> Tensor:
        return model.kl(batch.lengths, shared, noise)

    reconstructions: list[Tensor] = []
    for rows in _passes(model, batch, noise):
        term = partial(reconstruction_of, rows)
        reconstructions.append(add_gradient(term, rows, -1.0))
    reconstruction = torch.cat(reconstructions)
    # Without free bits there is no floor, because an estimate of the KL may be negative.
    floor = free_bits or -math.inf
    kl = add_gradient(kl_term, slice(None), kl_weight, floor)
    _propagate(encoded, shared)
    loss = -((reconstruction - kl_weight * kl) / steps).mean()
    return Objective(loss, reconstruction, kl)


def _passes(model: SequenceModel, batch: Batch, noise: Tensor | None) -> list[slice]:
    """The rows of a batch whose reconstruction is computed at once."""
    num_rows, num_steps = batch.x.shape[:2]
    num_samples = 1 if noise is None else len(noise)
    numbers_of_row = num_samples * num_steps * model.output_head.numbers_per_step
    size = most_at_once(numbers_of_row)
    return [slice(start, start + size) for start in range(0, num_rows, size)]


def _propagate(encoded: Sequence[Tensor], shared: Sequence[Tensor]) -> None:
    """Take the gradients of the `shared` copies through the encoder that made `encoded`.

    The gradient of each product is the one that is known. `torch.autograd.backward(encoded,
    gradients)` does the same, but loads sympy when it is first called, which takes half a second.
    """
    products: list[Tensor] = []
    for value, own in zip(encoded, shared, strict=True):
        if own.grad is not None:
            products.append((value * own.grad).sum())
    if not products:
        return
    total = torch.stack(products).sum()
    if total.requires_grad:
        total.backward()
