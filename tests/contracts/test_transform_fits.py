"""What the transforms are for: fitted to data of several modes, by held-out log density."""

import math

import pytest
import torch
from torch import Tensor

from lnfgen.transforms import TRANSFORMS

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def fitted() -> dict[str, float]:
    """Held-out log density of one layer of each transform, fitted to two unequal bumps."""

    def draw(count: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        centre = torch.where(torch.rand(count, generator=generator) < 0.4, -1.5, 1.5)
        return centre + 0.5 * torch.randn(count, generator=generator)

    def log_density(name: str, parameters: Tensor, z: Tensor) -> Tensor:
        eps, ladj = TRANSFORMS[name]().inverse(z, parameters.expand(len(z), -1))
        return (ladj - 0.5 * eps**2 - 0.5 * math.log(2 * math.pi)).mean()

    train = draw(1000, seed=0)
    held_out = draw(10_000, seed=1)
    left = math.log(0.4) - 0.5 * ((held_out + 1.5) / 0.5) ** 2
    right = math.log(0.6) - 0.5 * ((held_out - 1.5) / 0.5) ** 2
    log_constant = math.log(0.5 * math.sqrt(2 * math.pi))
    found = {"truth": float(torch.logaddexp(left, right).mean() - log_constant)}
    for name in TRANSFORMS:
        generator = torch.Generator().manual_seed(2)
        # They are as small as a network's first outputs.
        parameters = 0.1 * torch.randn(TRANSFORMS[name].num_parameters, generator=generator)
        parameters.requires_grad_()
        optimizer = torch.optim.Adam([parameters], lr=0.05)
        for _ in range(200):
            optimizer.zero_grad()
            (-log_density(name, parameters, train)).backward()
            optimizer.step()
        with torch.no_grad():
            found[name] = float(log_density(name, parameters, held_out))
    return found


def test_two_modes_order_affine_nlsq_mixture(fitted):
    assert fitted["affine"] + 0.2 < fitted["nlsq"] <= fitted["mixture"] + 0.02
    assert fitted["mixture"] > fitted["truth"] - 0.05  # its components have parted


@pytest.mark.parametrize("name", sorted(TRANSFORMS))
def test_no_transform_beats_the_truth_or_the_affine_one(fitted, name):
    assert fitted["affine"] - 1e-3 <= fitted[name] <= fitted["truth"] + 1e-3
