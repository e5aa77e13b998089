"""The base class of transforms that consist of an increasing core function inside an affine map."""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import torch
from torch import Tensor

from lnfgen.transforms.solve import root_with_gradient

P = TypeVar("P")


class CoreTransform(ABC, Generic[P]):
    """Inverse (z -> eps): `eps = a + b f(z)` with b > 0, where f is the core.

    The core is an increasing function with parameters P. `inverse` is the closed formula. `forward`
    solves `f(z) = (eps - a) / b` with `_solve`, and its gradients come from the implicit function
    theorem. Raw parameters: a, log b before its bound, then those of the core.
    """

    num_parameters: int

    @abstractmethod
    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, P]:
        """a and log b, each `[..., D]`, and the parameters of the core, all within their bounds."""

    @abstractmethod
    def _value(self, z: Tensor, p: P) -> tuple[Tensor, Tensor]:
        """f(z) and f'(z) > 0, each `[..., D]`."""

    @abstractmethod
    def _solve(self, t: Tensor, p: P) -> tuple[Tensor, Tensor]:
        """The z with f(z) = t, and f'(z), each `[..., D]`. It is called without gradients."""

    def forward(self, eps: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        a, log_b, p = self._split(parameters)
        with torch.no_grad():
            z, slope = self._solve((eps - a) / torch.exp(log_b), p)
        if torch.is_grad_enabled():
            value, slope = self._value(z, p)
            b = torch.exp(log_b)
            z = root_with_gradient(z, a + b * value - eps, b * slope)
            slope = self._value(z, p)[1]  # the same value, but its gradient passes through z too
        return z, -(log_b + torch.log(slope))

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        a, log_b, p = self._split(parameters)
        value, slope = self._value(z, p)
        return a + torch.exp(log_b) * value, log_b + torch.log(slope)
