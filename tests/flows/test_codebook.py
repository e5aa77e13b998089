"""Codebooks: the mixture of codes at a temperature, and the soft embedding."""

import pytest
import torch
from torch import Tensor
from toy_models import randomise

from lnfgen.flows.codebook import FAR, CodeMixture, SoftEmbedding

pytestmark = pytest.mark.contract

D = 3
NUM_CODES = 5
NUM_CONTEXT = 6
COUNT = 4000


def mixture_and_inputs() -> tuple[CodeMixture, Tensor, Tensor]:
    """A mixture whose codes are apart, one context `[COUNT, C]`, and noise `[COUNT, D + 1]`."""
    mixture = randomise(CodeMixture(D, NUM_CODES, NUM_CONTEXT, 4), 1.0).double()
    mixture.codebook.means.mul_(50)  # so that z tells its code
    generator = torch.Generator().manual_seed(3)
    context = torch.randn(1, NUM_CONTEXT, generator=generator, dtype=torch.float64)
    noise = torch.randn(COUNT, D + 1, generator=generator, dtype=torch.float64)
    return mixture, context.expand(COUNT, -1), noise


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
@torch.no_grad()
def test_a_temperature_sharpens_the_choice_of_a_code_and_not_its_normal(temperature):
    mixture, context, noise = mixture_and_inputs()
    z = mixture.draw(noise, context, temperature)
    code = mixture.codebook.log_prob(z).argmax(-1)
    expected = torch.softmax(mixture.conditioner(context[0]) / temperature, -1)
    found = torch.bincount(code, minlength=NUM_CODES) / COUNT
    error = (expected * (1 - expected) / COUNT).sqrt()
    assert ((found - expected).abs() < 4 * error + 1e-3).all()

    scale = torch.exp(mixture.codebook.log_scales.t()[code])
    own_noise = (z - mixture.codebook.means.t()[code]) / scale
    torch.testing.assert_close(own_noise, noise[:, :-1], rtol=1e-6, atol=1e-6)
    density = torch.logsumexp(expected.log() + mixture.codebook.log_prob(z), -1)
    torch.testing.assert_close(mixture.log_prob(z, context, temperature), density)


@torch.no_grad()
def test_at_temperature_0_z_is_the_mean_of_the_likeliest_code():
    mixture, context, noise = mixture_and_inputs()
    likeliest = mixture.conditioner(context[0]).argmax()
    expected = mixture.codebook.means[:, likeliest].expand(COUNT, -1)
    assert torch.equal(mixture.draw(noise, context, 0.0), expected)


@torch.no_grad()
def test_a_soft_embedding_is_that_of_the_code_that_z_stands_for():
    embedding = randomise(SoftEmbedding(D, NUM_CODES, 4), 1.0).double()
    embedding.codebook.means.mul_(50)
    codes = torch.arange(NUM_CODES)
    z = embedding.codebook.means.t()
    assert torch.equal(embedding.codes(z), codes)
    torch.testing.assert_close(embedding(z), torch.cat([embedding.table, z], -1))


def test_a_soft_embedding_is_finite_far_away():
    embedding = SoftEmbedding(D, NUM_CODES, 4)
    z = torch.full((2, D), 1e6 * FAR)
    assert torch.isfinite(embedding(z)).all()
