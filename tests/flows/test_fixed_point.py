"""Triangular systems solved by sweeps: values and gradients equal those of the direct solution."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lnfgen.flows.fixed_point import solve_triangular

pytestmark = pytest.mark.contract

ROWS = 4
D = 6


def system(
    scale: float, dtype: torch.dtype = torch.float64, num_features: int = D
) -> tuple[Tensor, Tensor]:
    """`z = A z + b`, A strictly lower triangular, rows apart: A `[ROWS, D, D]`, b `[ROWS, D]`."""
    generator = torch.Generator().manual_seed(0)
    shape = (ROWS, num_features, num_features)
    a = scale * torch.randn(shape, generator=generator, dtype=dtype).tril(-1)
    return a, torch.randn(ROWS, num_features, generator=generator, dtype=dtype)


def solve(update: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
    """Without log-determinants."""

    def with_zeros(z: Tensor) -> tuple[Tensor, Tensor]:
        moved = update(z)
        return moved, torch.zeros_like(moved)

    return solve_triangular(with_zeros, start)[0]


def times(a: Tensor, z: Tensor) -> Tensor:
    return (a * z[..., None, :]).sum(-1)


def direct(a: Tensor, b: Tensor) -> Tensor:
    """The solution of `z = A z + b`."""
    identity = torch.eye(a.shape[-1], dtype=a.dtype)
    return torch.linalg.solve(identity - a, b[..., None])[..., 0]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
@torch.no_grad()
def test_exact_within_as_many_sweeps_as_features_whatever_the_start(scale, dtype, tolerance):
    a, b = system(scale, dtype)
    expected = direct(a.double(), b.double()).to(dtype)
    for start in (b, torch.zeros_like(b), 1e4 * torch.ones_like(b)):
        before = start.clone()
        sweeps: list[Tensor] = []

        def update(z: Tensor, sweeps: list[Tensor] = sweeps) -> Tensor:
            sweeps.append(z)
            return times(a, z) + b

        z = solve(update, start)
        # 30 makes later features huge; what they cancel from is the size of their error.
        size = float(expected.abs().max())
        torch.testing.assert_close(z, expected, rtol=tolerance, atol=tolerance * size)
        assert len(sweeps) <= D
        assert torch.equal(start, before)


@torch.no_grad()
def test_few_sweeps_where_features_hardly_depend_on_each_other():
    a, b = system(1e-3)
    sweeps = []

    def update(z: Tensor) -> Tensor:
        sweeps.append(z)
        return times(a, z) + b

    solve(update, b)
    assert len(sweeps) < D


def test_a_row_does_not_depend_on_how_long_others_take():
    a, b = system(1.0)
    a = a * torch.tensor([1e-6, 1.0, 1e-3, 0.0], dtype=a.dtype)[:, None, None]
    together = solve(lambda z: times(a, z) + b, b)
    for row in range(ROWS):
        alone = solve(lambda z, row=row: times(a[row], z) + b[row], b[row])
        assert torch.equal(alone, together[row])


@pytest.mark.parametrize("num_features", [1, 2, D])
@pytest.mark.parametrize("scale", [0.1, 3.0])
def test_gradients_are_those_of_the_direct_solution(scale, num_features):
    a, b = system(scale, num_features=num_features)
    a.requires_grad_()
    b.requires_grad_()
    weights = torch.randn_like(b)
    solution = direct(a.tril(-1), b)
    expected = torch.autograd.grad((weights * solution.sin()).sum(), [a, b])
    for _ in range(2):  # nothing is left over from the first
        z = solve(lambda z: times(a.tril(-1), z) + b, b.detach())
        found = torch.autograd.grad((weights * z.sin()).sum(), [a, b])
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_gradients_are_there_where_no_feature_reads_another():
    b = system(1.0)[1].requires_grad_()
    z, ladj = solve_triangular(lambda _: (b.exp(), b.sin()), torch.zeros_like(b))
    (found,) = torch.autograd.grad((z + ladj).sum(), b)
    torch.testing.assert_close(found, (b.exp() + b.cos()).detach())


def test_gradients_of_any_size_are_as_exact():
    """The mean of a large batch makes all gradients small, which must not add to their error."""
    a, b = system(1.0, torch.float32)
    b.requires_grad_()
    z = solve(lambda z: times(a, z) + b, b.detach())
    (whole,) = torch.autograd.grad(z.sum(), b, retain_graph=True)
    (small,) = torch.autograd.grad(2.0**-40 * z.sum(), b)
    torch.testing.assert_close(2.0**40 * small, whole)


@torch.no_grad()
def test_what_overflows_between_sweeps_heals():
    """Guesses that lead a sweep to infinity are gone when all features have become exact."""

    def update(y: Tensor) -> Tensor:
        earlier = torch.nn.functional.pad(y[:, :-1], (1, 0))
        return torch.exp(-earlier) - 0.1 * earlier

    exact = torch.zeros(1, 6, dtype=torch.float64)
    for _ in range(6):
        exact = update(exact)
    guess = [torch.inf, -torch.inf, torch.nan, 1e300, 800.0, 0.0]
    start = torch.tensor([guess], dtype=torch.float64)
    assert torch.equal(solve(update, start), exact)
