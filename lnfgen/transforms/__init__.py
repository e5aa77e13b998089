"""Elementwise transforms between noise eps and latent z, with parameters from a network.

- `forward(eps, parameters) -> (z, log_abs_det_jacobian)` generates. Some transforms must solve an
  equation for it.
- `inverse(z, parameters) -> (eps, log_abs_det_jacobian)` scores. Training needs this direction
  most.

eps and z are `[..., D]`, and parameters are `[..., D, num_parameters]` without constraints. The
log-determinant of each method is that of its own direction, `[..., D]`, so the two add up to 0.
All-zero parameters give the identity. Any finite parameters give finite results. No input is
changed in place.

Example:
    transform = TRANSFORMS["nlsq"]()
    parameters = torch.randn(10, transform.num_parameters)
    eps, log_abs_det_jacobian = transform.inverse(torch.randn(10), parameters)
"""

from typing import Protocol

from torch import Tensor

from lnfgen.transforms.affine import Affine
from lnfgen.transforms.mixture import Mixture
from lnfgen.transforms.nlsq import NLSq
from lnfgen.transforms.spline import Spline

__all__ = ["TRANSFORMS", "Transform"]


class Transform(Protocol):
    """The contract that the docstring of this module describes."""

    num_parameters: int

    def forward(self, eps: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]: ...

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]: ...


TRANSFORMS: dict[str, type[Transform]] = {
    "affine": Affine,
    "nlsq": NLSq,
    "mixture": Mixture,
    "spline": Spline,
}
