"""The affine transform."""

import torch
from torch import Tensor

from lnfgen.transforms.bounds import LOG_SCALE_BOUND, bounded


class Affine:
    """Inverse (z -> eps): `eps = a + b z` with b > 0. Forward: `z = (eps - a) / b`.

    Both directions are closed formulas. Raw parameters: a, and log b before its bound.
    Limit: in one affine layer on Gaussian noise, each feature given its context is Gaussian, so it
    has one mode.
    """

    num_parameters = 2

    def forward(self, eps: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        a, log_b = shift_and_log_scale(parameters)
        return (eps - a) * torch.exp(-log_b), -log_b.expand_as(eps)

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        a, log_b = shift_and_log_scale(parameters)
        return a + torch.exp(log_b) * z, log_b.expand_as(z)


def shift_and_log_scale(parameters: Tensor) -> tuple[Tensor, Tensor]:
    """a and log b within its bound, each `[...]`, from raw parameters `[..., 2]`."""
    a, log_b = parameters.unbind(-1)
    return a, bounded(log_b, LOG_SCALE_BOUND)
