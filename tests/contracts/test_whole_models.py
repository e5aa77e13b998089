"""Whole latent models against closed formulas, for every combination of `time` and `features`."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn.utils.rnn import pad_sequence
from toy_flows import cells
from toy_models import ODD_SIZES, randomise, sample_batch

from lnfgen.config import NAMED_MODELS, ModelConfig
from lnfgen.flows.codebook import CodeMixture
from lnfgen.models.build import build_model
from lnfgen.models.latent_flow import LatentFlow
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Frames, Symbols
from lnfgen.models.posterior import Gaussian
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.nn.masking import length_mask

pytestmark = pytest.mark.contract

SIZES = dataclasses.replace(ODD_SIZES, dropout=0.0)
LENGTHS = torch.tensor([5, 1, 4])
STEPS = int(LENGTHS.max())
LATENT = sorted(name for name, values in NAMED_MODELS.items() if values.get("latent_size") != 0)


@pytest.fixture(params=cells(SIZES), ids=lambda config: f"{config.time}-{config.features}")
def cell(request) -> ModelConfig:
    return request.param


def build(config: ModelConfig) -> SequenceModel:
    torch.manual_seed(0)
    return build_model(config, Symbols(4), LengthModel.fit(LENGTHS)).double().eval()


def latent_flow(config: ModelConfig) -> LatentFlow:
    model = build(config)
    assert isinstance(model, LatentFlow)
    return model


def x_and_noise(model: SequenceModel, samples: int) -> tuple[Tensor, Tensor | None]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randint(4, (len(LENGTHS), STEPS), generator=generator)
    noise = model.draw_noise(samples, len(LENGTHS), STEPS, generator)
    return x, None if noise is None else noise.double()


class Fixed(nn.Module):
    """A posterior that returns the same Gaussian for every x."""

    def __init__(self, mean: Tensor, log_variance: Tensor) -> None:
        super().__init__()
        self.gaussian = Gaussian(mean, log_variance)

    def forward(self, x: Tensor, lengths: Tensor, positions: Tensor) -> Gaussian:
        return self.gaussian


@torch.no_grad()
def gaussian_prior(model: LatentFlow) -> Gaussian:
    """Make the prior a diagonal normal, and return it, `[B, T, D]`.

    It is one of equal codes, or of affine maps whose networks ignore their inputs. Then eps = a + b
    z, and both are seen from the eps of z = 0 and of z = 1.
    """
    for parameter in model.prior.parameters():
        if parameter.dim() > 1:
            parameter.zero_()
        else:
            parameter.copy_(0.4 * torch.randn_like(parameter))
    shape = (len(LENGTHS), STEPS, model.latent)
    features = getattr(model.prior, "features", None)
    if isinstance(features, CodeMixture):
        codebook = features.codebook
        codebook.means.copy_(torch.randn(model.latent, 1))
        codebook.raw_log_scales.copy_(0.4 * torch.randn(model.latent, 1))
        log_variance = 2 * codebook.log_scales[:, 0]
        return Gaussian(codebook.means[:, 0].expand(shape), log_variance.expand(shape))
    positions = model.positions(LENGTHS, STEPS)
    zero = torch.zeros(shape, dtype=torch.float64)
    a, _ = model.prior.inverse(zero, positions, LENGTHS)
    at_one, _ = model.prior.inverse(zero + 1, positions, LENGTHS)
    b = at_one - a
    return Gaussian(-a / b, -2 * b.abs().log())


def normal(gaussian: Gaussian) -> Normal:
    return Normal(gaussian.mean, torch.exp(0.5 * gaussian.log_variance))


@torch.no_grad()
def test_kl_of_two_gaussians_is_the_closed_form(cell):
    """Each sample's is the difference of two log-densities; their mean is the integral."""
    model = latent_flow(dataclasses.replace(cell, transform="affine"))
    prior = normal(gaussian_prior(model))
    shape = (len(LENGTHS), STEPS, model.latent)
    given = Gaussian(0.5 * torch.randn(shape).double(), 0.5 * torch.randn(shape).double())
    posterior = normal(given)
    samples = 400
    model.posterior = Fixed(*given)
    x, noise = x_and_noise(model, samples)
    found = model(x, LENGTHS, noise).kl

    def total(terms: Tensor) -> Tensor:
        return (terms.sum(-1) * length_mask(LENGTHS, STEPS)).sum(-1)

    z = given.sample(noise)
    expected = total(posterior.log_prob(z) - prior.log_prob(z))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    error = found.std(0) / samples**0.5
    integral = total(kl_divergence(posterior, prior))
    assert ((found.mean(0) - integral).abs() <= 4 * error).all()


@torch.no_grad()
@pytest.mark.parametrize(("layers", "latent"), [(1, 2), (1, 5), (2, 3), (3, 2), (7, 5)])
def test_any_number_of_layers_and_features(cell, layers, latent):
    model = latent_flow(dataclasses.replace(cell, num_flow_layers=layers, latent_size=latent))
    randomise(model.prior, 0.4)
    if cell.features != "codes":
        positions = model.positions(LENGTHS, STEPS)
        eps = torch.randn(len(LENGTHS), STEPS, latent, dtype=torch.float64)
        z, ladj = model.prior(eps, positions, LENGTHS)
        again, back = model.prior.inverse(z, positions, LENGTHS)
        mask = length_mask(LENGTHS, STEPS)
        torch.testing.assert_close(again[mask], eps[mask], rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(-back[mask], ladj[mask], rtol=0, atol=1e-7)
    x, noise = x_and_noise(model, 2)
    assert torch.isfinite(model(x, LENGTHS, noise).kl).all()
    model.float()
    for steps in (1, 4):
        [drawn] = sample_batch(model, [steps], [torch.Generator().manual_seed(0)], 1.0)
        assert drawn.shape == (steps,)


@torch.no_grad()
@pytest.mark.parametrize("emission", ["bernoulli", "nade", "autoregressive"])
@pytest.mark.parametrize("name", sorted(name for name in NAMED_MODELS if "codes" not in name))
@pytest.mark.parametrize("temperature", [1.0, 1.5])
def test_a_draw_follows_from_its_logits_and_random_numbers(name, emission, temperature):
    """The logits of a draw, given its z, make the same draw of the same uniform numbers."""
    torch.manual_seed(0)
    config = dataclasses.replace(SIZES, **NAMED_MODELS[name], emission=emission)
    model = build_model(config, Frames(5, True), LengthModel.fit(LENGTHS)).eval()
    randomise(
        model, 0.05 if emission == "autoregressive" else 0.5
    )  # larger weights of `past` draw silence
    lengths = [12, 1, 9]
    generators = [torch.Generator().manual_seed(seed) for seed in lengths]
    noise, uniform = model.random_numbers(lengths, generators)
    drawn = model.generate(lengths, noise, uniform, temperature, None)
    x = pad_sequence(drawn, batch_first=True)
    logits = model.drawn_logits(x, torch.tensor(lengths), noise, temperature, None)
    again = model.observation.sample(logits, uniform, None)
    assert x.any()
    for row, length in enumerate(lengths):
        assert torch.equal(again[row, :length], x[row, :length])


@pytest.mark.parametrize("name", sorted(NAMED_MODELS))
@pytest.mark.parametrize("scale", [0.5, 30.0])
def test_autocast_keeps_terms_and_gradients_finite(name, scale):
    """bfloat16 where autocast puts it, the prior's and the posterior's densities in float32."""
    model = build(dataclasses.replace(SIZES, **NAMED_MODELS[name])).float()
    randomise(model, scale)
    x, noise = x_and_noise(model, 3)
    with torch.autocast("cpu", torch.bfloat16):
        terms = model(x, LENGTHS, None if noise is None else noise.float())
    if not model.exact:
        assert terms.kl.dtype == torch.float32
    value = (terms.reconstruction - terms.kl).sum()
    scaled = value / (1 + value.detach().abs())
    gradients = torch.autograd.grad(scaled, list(model.parameters()), allow_unused=True)
    for found in (terms.reconstruction, terms.kl, *gradients):
        assert found is None or torch.isfinite(found).all()


@torch.no_grad()
@pytest.mark.parametrize("name", LATENT)
def test_autocast_changes_the_kl_by_little(name):
    """It rounds the outputs of networks, but computes densities from them in full precision."""
    model = build(dataclasses.replace(SIZES, **NAMED_MODELS[name])).float()
    x, noise = x_and_noise(model, 500)
    kl = {}
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            kl[enabled] = model(x, LENGTHS, noise.float()).kl.mean(0)
    torch.testing.assert_close(kl[True], kl[False], rtol=0.01, atol=0)


@torch.no_grad()
def test_autocast_has_one_variance_in_z_and_in_log_q():
    """A standardised sample is the noise that it was made from, as log q assumes."""
    model = latent_flow(SIZES).float()
    x, noise = x_and_noise(model, 50)
    with torch.autocast("cpu", torch.bfloat16):
        gaussian = model.posterior(x, LENGTHS, model.positions(LENGTHS, STEPS))
        z = gaussian.sample(noise.float())
    scale = torch.exp(0.5 * gaussian.log_variance.double())
    standardised = (z.double() - gaussian.mean.double()) / scale
    torch.testing.assert_close(standardised, noise, rtol=0, atol=1e-4)
