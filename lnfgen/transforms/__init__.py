"""Elementwise transforms, whose parameters a conditioner gives: the registry, and the contract that each one keeps.

A transform maps noise to latent, feature by feature, in two methods that nobody has to ask the direction of:

- `forward(eps, parameters) -> (z, log_abs_det_jacobian)` generates (and solves an equation where it must);
- `inverse(z, parameters) -> (eps, log_abs_det_jacobian)` scores, the direction that training needs most.

`eps` and `z` are `[..., D]`, `parameters` `[..., D, num_parameters]`, unconstrained; each log-determinant is that of
the method's own direction, elementwise `[..., D]`, so the two add up to 0. All-zero parameters give the identity. Any
finite parameters give finite results; nothing is mutated.

To add one: write its file, and name it in `TRANSFORMS`; the contract tests cover whatever is registered. Where it is
an increasing function with an affine map around it, `CoreTransform` does all but the function.
"""

from typing import Protocol

from torch import Tensor

from lnfgen.transforms.affine import Affine
from lnfgen.transforms.core import CoreTransform
from lnfgen.transforms.mixture import Mixture
from lnfgen.transforms.nlsq import NLSq
from lnfgen.transforms.spline import Spline

__all__ = ["TRANSFORMS", "Affine", "CoreTransform", "Mixture", "NLSq", "Spline", "Transform"]


class Transform(Protocol):
    """The contract in types; the module's docstring has it in words."""

    num_parameters: int

    def forward(self, eps: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]: ...

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]: ...


TRANSFORMS: dict[str, type[Transform]] = {"affine": Affine, "nlsq": NLSq, "mixture": Mixture, "spline": Spline}
