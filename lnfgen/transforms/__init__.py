"""Elementwise transforms between noise eps and latent z. A conditioner network gives their parameters.

- `forward(eps, parameters) -> (z, log_abs_det_jacobian)` generates. Some transforms must solve an equation for it.
- `inverse(z, parameters) -> (eps, log_abs_det_jacobian)` scores. Training needs this direction most.

eps and z are `[..., D]`, and parameters are `[..., D, num_parameters]` without constraints. The log-determinant of each
method is that of its own direction, `[..., D]`, so the two add up to 0. All-zero parameters give the identity. Any
finite parameters give finite results. No input is changed in place.

Example:
    transform = TRANSFORMS["nlsq"]()
    eps, log_abs_det_jacobian = transform.inverse(torch.randn(10), torch.randn(10, transform.num_parameters))

To add one, write its module and name it in `TRANSFORMS`; configuration, commands and contract tests take every
registered name. If it is an increasing function inside an affine map, derive it from `CoreTransform`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["TRANSFORMS", "Transform"]


class Transform(Protocol):
    """The contract that the docstring of this module describes."""

    num_parameters: int

    def forward(self, eps: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]: ...

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]: ...


class _Registry(Mapping[str, type[Transform]]):
    """Classes by name. A class is loaded only when it is used, because the command line reads names without torch."""

    def __init__(self, classes: dict[str, str]) -> None:
        self._classes = classes

    def __getitem__(self, name: str) -> type[Transform]:
        return getattr(importlib.import_module(f"{__name__}.{name}"), self._classes[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)


TRANSFORMS = _Registry({"affine": "Affine", "nlsq": "NLSq", "mixture": "Mixture", "spline": "Spline"})
"""Maps the name of a module in this package to the class in it."""
