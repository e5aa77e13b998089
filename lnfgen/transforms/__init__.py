"""Elementwise transforms, whose parameters a conditioner gives: the registry, and the contract that each one keeps.

A transform maps noise to latent, feature by feature, in two methods that nobody has to ask the direction of:

- `forward(eps, parameters) -> (z, log_abs_det_jacobian)` generates (and solves an equation where it must);
- `inverse(z, parameters) -> (eps, log_abs_det_jacobian)` scores, the direction that training needs most.

`eps` and `z` are `[..., D]`, `parameters` `[..., D, num_parameters]`, unconstrained; each log-determinant is that of
the method's own direction, elementwise `[..., D]`, so the two add up to 0. All-zero parameters give the identity. Any
finite parameters give finite results; nothing is mutated.

To add one: write its file, and name it in `TRANSFORMS`; configurations, commands and the contract tests take whatever
is registered. Where it is an increasing function with an affine map around it, `CoreTransform` does all but the
function.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["TRANSFORMS", "Transform"]


class Transform(Protocol):
    """The contract in types; the module's docstring has it in words."""

    num_parameters: int

    def forward(self, eps: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]: ...

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]: ...


class _Registry(Mapping[str, type[Transform]]):
    """Classes by name, each loaded with torch only when it is asked for: their names alone serve the command line."""

    def __init__(self, classes: dict[str, str]) -> None:
        self._classes = classes

    def __getitem__(self, name: str) -> type[Transform]:
        return getattr(importlib.import_module(f"{__name__}.{name}"), self._classes[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)


TRANSFORMS = _Registry({"affine": "Affine", "nlsq": "NLSq", "mixture": "Mixture", "spline": "Spline"})
"""Module in this package -> class in it."""
