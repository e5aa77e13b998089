"""The posterior: it sees the whole sequence, copies a step beside that, and starts sharp."""

import dataclasses

import pytest
import torch
from torch import Tensor
from toy_models import LENGTHS, SIZES, random_x, toy

from lnfgen.models.build import build_model
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Symbols
from lnfgen.models.posterior import INITIAL_LOG_VARIANCE, Gaussian, SymbolPosterior
from lnfgen.nn.positions import POSITION_SIZE

pytestmark = pytest.mark.contract

SYMBOLS = Symbols(4)
STEPS = 5
FULL = torch.tensor([STEPS])


def inputs() -> tuple[Tensor, Tensor]:
    """x `[1, STEPS]` and the features of positions `[1, STEPS, F]`."""
    generator = torch.Generator().manual_seed(0)
    positions = torch.randn(1, STEPS, POSITION_SIZE, generator=generator)
    return random_x(SYMBOLS, 1, STEPS), positions


def with_another_symbol(x: Tensor, step: int) -> Tensor:
    changed = x.clone()
    changed[:, step] = (x[:, step] + 1) % SYMBOLS.num_symbols
    return changed


def test_it_sees_the_whole_sequence_and_starts_sharp():
    torch.manual_seed(0)
    config = dataclasses.replace(SIZES, dropout=0.0)
    posterior = build_model(config, SYMBOLS, LengthModel.fit(LENGTHS)).posterior.eval()
    x, positions = inputs()
    before = posterior(x, FULL, positions)
    distance = (before.log_variance.detach() - INITIAL_LOG_VARIANCE).abs().mean()
    assert float(distance) < 1.5
    for step in range(STEPS):
        after = posterior(with_another_symbol(x, step), FULL, positions)
        assert (after.mean != before.mean).any(-1).all()


def test_it_has_a_path_beside_its_recurrence():
    """A direct path from x_t to z_t, which keeps the posterior from collapsing."""
    posterior = toy("af-scf", SYMBOLS).posterior
    with torch.no_grad():
        for parameter in posterior.network.parameters():
            parameter.zero_()
    x, positions = inputs()
    before = posterior(x, FULL, positions).mean
    after = posterior(with_another_symbol(x, 2), FULL, positions).mean
    moved = (after != before).any(-1)
    assert moved.tolist() == [[False, False, True, False, False]]


def test_log_variance_is_bounded():
    posterior = toy("af-scf", SYMBOLS).posterior
    with torch.no_grad():
        posterior.head.weight.mul_(1e6)
    x, positions = inputs()
    gaussian = posterior(x, FULL, positions)
    noise = torch.ones(1, 1, STEPS, SIZES.latent_size)
    z = Gaussian(torch.zeros_like(gaussian.mean), gaussian.log_variance).sample(noise)
    assert torch.isfinite(z).all()
    assert (z > 0).all()


def test_the_density_of_a_gaussian_is_that_of_torch():
    mean, log_variance, z = torch.randn(3, 2, 4, 3, dtype=torch.float64).unbind()
    expected = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance)).log_prob(z).sum(-1)
    torch.testing.assert_close(Gaussian(mean, log_variance).log_prob(z), expected)


def test_with_codes_each_symbol_has_a_gaussian_whatever_stands_beside_it():
    torch.manual_seed(0)
    posterior = SymbolPosterior(SYMBOLS, latent=3)
    x = torch.tensor([[0, 1, 0, 3]])
    gaussian = posterior(x)
    assert gaussian.mean.shape == gaussian.log_variance.shape == (1, 4, 3)
    assert torch.equal(gaussian.mean[0, 0], gaussian.mean[0, 2])
    assert not torch.equal(gaussian.mean[0, 0], gaussian.mean[0, 1])
