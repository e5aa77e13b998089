"""The latent flow: its terms, its probabilities, and latents that stand for symbols."""

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from toy_models import (
    LENGTHS,
    SIZES,
    noise_like,
    probabilities_that_sum_to_1,
    random_x,
    randomise,
    sample_batch,
    toy,
)

from lnfgen.config import NAMED_MODELS
from lnfgen.flows.codebook import Codebook
from lnfgen.inference.particles import draw_hidden
from lnfgen.models.build import build_model
from lnfgen.models.latent_flow import LatentSteps, SymbolSteps
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Frames, Known, Symbols
from lnfgen.models.posterior import INITIAL_LOG_VARIANCE
from lnfgen.models.sequence_model import SequenceModel

pytestmark = pytest.mark.contract

# Its terms.
# --------------------------------------------------------------------------------------------------


def test_what_overflows_in_the_padding_leaves_values_and_gradients_alone(observation, emission):
    """The mask must be applied by `where`, because 0 times infinity is not 0."""
    model = toy("af-scf", observation, emission=emission)
    x = random_x(observation, 3, 5)
    noise = noise_like(model, 1, 3, 5)

    def gradients(noise: Tensor) -> list[Tensor]:
        model.zero_grad()
        terms = model(x, LENGTHS, noise)
        (terms.reconstruction - terms.kl).sum().backward()
        assert torch.isfinite(terms.kl).all()
        return [one.grad.clone() for one in model.parameters() if one.requires_grad]

    expected = gradients(noise)
    noise = noise.clone()
    noise[:, 1, 3:] = 1e30  # its square is infinite
    torch.testing.assert_close(gradients(noise), expected)


def test_the_kl_is_what_it_says(observation, emission):
    """Recomputed with torch.distributions, step by step, from the model's own modules."""
    model = toy("af-scf", observation, emission=emission).double()
    x = random_x(observation, 1, 4)
    noise = noise_like(model, 1, 1, 4).double()
    lengths = torch.tensor([4])
    positions = model.positions(lengths, 4)
    mean, log_variance = model.posterior(x, lengths, positions)
    q = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    z = mean + q.stddev * noise[0]
    eps, ladj = model.prior.inverse(z, positions, lengths)
    log_p = torch.distributions.Normal(0, 1).log_prob(eps).sum() + ladj.sum()
    kl = model(x, lengths, noise).kl
    torch.testing.assert_close(kl[0, 0], q.log_prob(z).sum() - log_p)


def log_prob_of_keys(frames: Frames, logits: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The log-probabilities of which keys sound and of all bits, by torch.distributions."""
    of_parts = logits.unflatten(-1, (frames.parts, -1, frames.num_pitches))
    sounds = torch.distributions.Bernoulli(logits=of_parts[..., 0, :])
    sounding = sounds.log_prob((x & 1).double()).sum()
    if not frames.has_onsets:
        return sounding, sounding
    is_struck = torch.distributions.Bernoulli(logits=of_parts[..., 1, :])
    onsets = is_struck.log_prob((x >> 1).double())
    return sounding, sounding + onsets[(x & 1).bool()].sum()


def test_the_reconstruction_is_what_it_says(observation, emission):
    model = toy("af-scf", observation, emission=emission).double()
    x = random_x(observation, 1, 4)
    noise = noise_like(model, 1, 1, 4).double()
    lengths = torch.tensor([4])
    mean, log_variance, positions = model.encode(x, lengths)
    z = mean + torch.exp(0.5 * log_variance) * noise[0]
    logits = model.emission(z, lengths, positions, x)[0]
    terms = model(x, lengths, noise)
    if isinstance(observation, Symbols):
        expected = torch.distributions.Categorical(logits=logits).log_prob(x).sum()
        torch.testing.assert_close(terms.reconstruction[0, 0], expected)
        assert terms.sounding is None
        return
    sounding, expected = log_prob_of_keys(observation, logits, x)
    torch.testing.assert_close(terms.reconstruction[0, 0], expected)
    assert (terms.sounding is not None) == observation.has_onsets
    if terms.sounding is not None:
        torch.testing.assert_close(terms.sounding[0, 0], sounding)


# Probabilities are probabilities.
# --------------------------------------------------------------------------------------------------

PRIORS = [
    ("af", "af"),
    ("af", "scf"),
    ("iaf", "scf"),
    ("coupling", "none"),
    ("none", "af"),
    ("none", "none"),
    ("blocks", "scf"),
]
OUTPUTS = [
    (Frames(2, True), "bernoulli", 1),
    (Frames(2, True), "nade", 1),
    (Frames(2, False), "autoregressive", 2),
    (Frames(2, False, parts=2), "autoregressive", 2),
]
TO_SUM: list[Any] = [(Symbols(3), "categorical", 3, *prior) for prior in PRIORS]
TO_SUM += [(*output, "af", "scf") for output in OUTPUTS[:-1]]
TO_SUM.append(pytest.param(*OUTPUTS[-1], "af", "scf", marks=pytest.mark.slow))


@pytest.mark.parametrize(("toy_observation", "toy_emission", "steps", "time", "features"), TO_SUM)
@torch.no_grad()
def test_probabilities_of_all_sequences_sum_to_1(
    toy_observation, toy_emission, steps, time, features
):
    """By importance sampling, from a posterior near the true one, and wider.

    Here the emission says little: the true posterior is near the prior, itself near N(0, 1). The
    posterior is made N(0, 1.3).
    """
    changes = {"latent_size": 2, "time": time, "features": features}
    model = toy("af-scf", toy_observation, emission=toy_emission, **changes).double()
    model.prior.passes = 2  # of a model by blocks
    randomise(model.prior, scale=0.1 if time == "blocks" else 0.15)  # its context is wide
    randomise(model.positions, scale=0.03)
    model.posterior.head.weight.mul_(0.1)
    wide = 2 * math.log(1.3) - INITIAL_LOG_VARIANCE
    model.posterior.head.bias.copy_(torch.tensor([0.0, 0.0, wide, wide]))
    probabilities = probabilities_that_sum_to_1(model, steps, samples=1000)
    # And they are not all alike, which would sum to 1 for a model that ignores x.
    assert float(probabilities.max() / probabilities.min()) > 1.2


# Latents that stand for symbols.
# --------------------------------------------------------------------------------------------------

CODES = pytest.mark.parametrize("name", ["af-codes", "blocks-codes"])
SYMBOLS = 4


def fresh(name: str, num_symbols: int = SYMBOLS) -> SequenceModel:
    """A toy as training begins it; its codes lie apart."""
    torch.manual_seed(0)
    config = dataclasses.replace(SIZES, **NAMED_MODELS[name])
    return build_model(config, Symbols(num_symbols), LengthModel.fit(LENGTHS)).double().eval()


def codebooks(model: SequenceModel) -> list[Codebook]:
    return [module for module in model.modules() if isinstance(module, Codebook)]


@torch.no_grad()
def test_nothing_is_lost_at_the_start():
    model = fresh("af-codes", 30)
    x = random_x(model.observation, 3, 5)
    terms = model(x, LENGTHS, noise_like(model, 20, 3, 5).double())
    assert float(terms.reconstruction.min()) > -0.01


@torch.no_grad()
def test_with_codes_it_is_a_language_model():
    """The ELBO is the sum of the log-weights that the prior gives to true codes, at any noise."""
    model = fresh("af-codes", 12)
    x = random_x(model.observation, 3, 5)
    noise = noise_like(model, 1, 3, 5).double()
    terms = model(x, LENGTHS, noise)
    mean, log_variance, positions = model.encode(x, LENGTHS)
    z = mean + torch.exp(0.5 * log_variance) * noise[0]
    context = model.prior.contexts(z, positions, LENGTHS)
    log_weights = torch.log_softmax(model.prior.features.conditioner(context), -1)
    of_true = log_weights.gather(-1, x.long()[..., None])[..., 0]
    sums = [row[:length].sum() for row, length in zip(of_true, LENGTHS.tolist(), strict=True)]
    elbo = (terms.reconstruction - terms.kl)[0]
    torch.testing.assert_close(elbo, torch.stack(sums), rtol=1e-5, atol=1e-5)


def test_a_gradient_reaches_every_code():
    model = fresh("af-codes").train()
    for book in codebooks(model):
        randomise(book)
    terms = model(random_x(model.observation, 3, 5), LENGTHS, noise_like(model, 2, 3, 5).double())
    (terms.reconstruction - terms.kl).mean().backward()
    for name, parameter in model.named_parameters():
        if "codebook" in name:
            assert parameter.grad is not None, name
            assert (parameter.grad != 0).all(), name


@CODES
@torch.no_grad()
def test_with_codes_probabilities_of_all_sequences_sum_to_1(name):
    """By importance sampling from a posterior that overlaps, so that it covers the prior."""
    model = randomise(fresh(name, 3), 0.3)
    for book in codebooks(model):
        book.raw_log_scales.fill_(0.2)
    probabilities_that_sum_to_1(model, steps=2, samples=1500)


@pytest.mark.parametrize("passes", [1, 2, 3])
@torch.no_grad()
def test_they_do_in_any_number_of_passes(passes):
    model = randomise(fresh("blocks-codes", 3), 0.3)
    model.prior.passes = passes
    for book in codebooks(model):
        book.raw_log_scales.fill_(0.2)
    probabilities_that_sum_to_1(model, steps=3, samples=1500)


@CODES
@torch.no_grad()
def test_with_codes_it_samples_and_fills(name):
    model = fresh(name).float()
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    drawn = sample_batch(model, [4, 2], generators, 1.0)
    assert [tuple(x.shape) for x in drawn] == [(4,), (2,)]
    x = random_x(model.observation, 1, 5)
    mask = torch.tensor([[True, True, False, False, True]])
    filled = draw_hidden(model, Known(x, mask), 8, [torch.Generator().manual_seed(3)])
    assert torch.equal(filled[mask], x[mask])


def test_only_if_z_is_drawn_step_by_step_and_is_a_code_it_is_drawn_to_fit_what_is_known():
    assert isinstance(fresh("af-codes").steps(1, 3, 1.0), SymbolSteps)
    assert isinstance(fresh("blocks-codes").steps(1, 3, 1.0), LatentSteps)
    assert isinstance(toy("af-scf", Symbols(4)).steps(1, 3, 1.0), LatentSteps)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.0])
@torch.no_grad()
def test_symbols_are_as_likely_as_the_model_says_at_the_temperature(temperature):
    """In samples and where a step is filled.

    Of codes that hardly overlap, the symbol is the code that is chosen.
    """
    model = fresh("af-codes", 6).float()
    randomise(model.prior.features.conditioner, 1.0)
    positions = model.positions(torch.tensor([1]), 1)
    context = model.prior.contexts(torch.zeros(1, 1, 4), positions, torch.tensor([1]))
    weights = torch.softmax(model.prior.features.conditioner(context) / temperature, -1).flatten()
    deviations = (weights * (1 - weights) / 2000).sqrt()
    generators = [torch.Generator().manual_seed(seed) for seed in range(2000)]
    drawn = torch.stack(sample_batch(model, [1] * 2000, generators, temperature)).flatten()
    hidden = Known(torch.zeros(2000, 1, dtype=torch.long), torch.zeros(2000, 1, dtype=torch.bool))
    filled = draw_hidden(model, hidden, 2, generators, temperature).flatten()
    for x in (drawn, filled):
        shares = torch.bincount(x.long(), minlength=6) / 2000
        assert float((shares - weights).abs().max()) < 4 * float(deviations.max())


@CODES
@torch.no_grad()
def test_at_temperature_0_nothing_is_left_to_chance(name):
    model = randomise(fresh(name, 6).float(), 0.5)
    generators = [torch.Generator().manual_seed(seed) for seed in range(4)]
    first, *others = sample_batch(model, [8] * 4, generators, 0.0)
    assert all(torch.equal(first, other) for other in others)
