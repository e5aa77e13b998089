"""The bracketed Newton solver, and the gradient of a root."""

import pytest
import torch
from torch import Tensor

from lnfgen.transforms.solve import root_with_gradient, solve


@pytest.mark.parametrize(
    ("function", "slope"),
    [
        # Newton overshoots ever further
        (lambda y: torch.atan(1e8 * y), lambda y: 1e8 / (1 + (1e8 * y) ** 2)),
        (lambda y: torch.expm1(40 * y), lambda y: 40 * torch.exp(40 * y)),  # Newton creeps
        (lambda y: y**5, lambda y: 5 * y**4),  # flat at the root
        (torch.sign, torch.zeros_like),  # no slope at all
    ],
)
def test_solve_finds_roots_that_newton_alone_does_not(function, slope):
    roots = torch.linspace(-3, 3, 61, dtype=torch.float64)
    found = solve(
        lambda y: (function(y - roots), slope(y - roots)),
        torch.full_like(roots, 9.0),
        torch.full_like(roots, -10.0),
        torch.full_like(roots, 10.0),
        torch.zeros_like(roots),
    )
    assert ((found - roots).abs() <= 1e-12).all()


def test_gradient_of_a_root_is_that_of_its_closed_form():
    """u^3 + p u = v: the root's value stays, bit for bit, and du = (dv - u dp) / (3 u^2 + p)."""
    p = torch.tensor([0.5, 1.0, 4.0], dtype=torch.float64, requires_grad=True)
    v = torch.tensor([3.0, -2.0, 0.0], dtype=torch.float64, requires_grad=True)

    def evaluate(u: Tensor) -> tuple[Tensor, Tensor]:
        return u**3 + p * u - v, 3 * u**2 + p

    with torch.no_grad():
        bound = 1 + v.abs() + 1 / p
        zero = torch.zeros_like(v)
        root = solve(evaluate, zero, -bound, bound, zero)
    excess, slope = evaluate(root)
    u = root_with_gradient(root, excess, slope)
    assert torch.equal(u, root)
    by_p, by_v = torch.autograd.grad(u.sum(), [p, v])
    torch.testing.assert_close(by_v, 1 / slope)
    torch.testing.assert_close(by_p, -root / slope)
