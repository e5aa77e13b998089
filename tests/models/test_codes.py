"""A latent that says the symbol: a code for each, probabilities that sum to 1, a language model."""

import dataclasses

import pytest
import torch
from toy_models import (
    LENGTHS,
    SIZES,
    noise_like,
    probabilities_that_sum_to_1,
    random_x,
    randomise,
    sample_batch,
)

from lnfgen.config import NAMED_MODELS
from lnfgen.flows.codebook import Codebook
from lnfgen.inference.particles import draw_hidden
from lnfgen.models.build import build_model
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Known, Symbols
from lnfgen.models.sequence_model import SequenceModel

pytestmark = pytest.mark.contract

CODES = pytest.mark.parametrize("name", ["af-codes", "blocks-codes"])
SYMBOLS = 4


def fresh(name: str, num_symbols: int = SYMBOLS) -> SequenceModel:
    """A toy as training begins it; its codes lie apart."""
    torch.manual_seed(0)
    config = dataclasses.replace(SIZES, **NAMED_MODELS[name])
    return build_model(config, Symbols(num_symbols), LengthModel.fit(LENGTHS)).double().eval()


def codebooks(model: SequenceModel) -> list[Codebook]:
    return [module for module in model.modules() if isinstance(module, Codebook)]


@CODES
def test_all_codebooks_begin_alike_and_learn_apart(name):
    model = fresh(name, 30)
    books = codebooks(model)
    assert len(books) == 4
    assert {book.num_codes for book in books} == {30}
    for book in books[1:]:
        assert torch.equal(book.means, books[0].means)
        assert torch.equal(book.log_scales, books[0].log_scales)
    assert len({id(parameter) for book in books for parameter in book.parameters()}) == 2 * len(
        books
    )


@torch.no_grad()
def test_nothing_is_lost_at_the_start():
    model = fresh("af-codes", 30)
    x = random_x(model.observation, 3, 5)
    terms = model(x, LENGTHS, noise_like(model, 20, 3, 5).double())
    assert float(terms.reconstruction.min()) > -0.01


@torch.no_grad()
def test_with_codes_it_is_a_language_model():
    """The ELBO is the sum of the logarithms of the weights that the prior gives to the true codes,
    at any noise."""
    model = fresh("af-codes", 12)
    x = random_x(model.observation, 3, 5)
    noise = noise_like(model, 1, 3, 5).double()
    terms = model(x, LENGTHS, noise)
    mean, log_variance, positions = model.encode(x, LENGTHS)
    z = mean + torch.exp(0.5 * log_variance) * noise[0]
    context = model.prior.contexts(z, positions, LENGTHS)
    log_weights = torch.log_softmax(model.prior.features.conditioner(context), -1)
    of_true = log_weights.gather(-1, x.long()[..., None])[..., 0]
    expected = torch.stack(
        [row[:length].sum() for row, length in zip(of_true, LENGTHS.tolist(), strict=True)]
    )
    torch.testing.assert_close((terms.reconstruction - terms.kl)[0], expected, rtol=1e-5, atol=1e-5)


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
def test_probabilities_of_all_sequences_sum_to_1(name):
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
def test_every_flow_scores_samples_and_fills(name):
    model = fresh(name).float()
    drawn = sample_batch(
        model, [4, 2], [torch.Generator().manual_seed(seed) for seed in (1, 2)], 1.0
    )
    assert [tuple(x.shape) for x in drawn] == [(4,), (2,)]
    x = random_x(model.observation, 1, 5)
    mask = torch.tensor([[True, True, False, False, True]])
    filled = draw_hidden(model, Known(x, mask), 8, [torch.Generator().manual_seed(3)])
    assert torch.equal(filled[mask], x[mask])


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.0])
@torch.no_grad()
def test_symbols_are_as_likely_as_the_model_says_at_the_temperature(temperature):
    """In samples and where a step is filled. Of codes that hardly overlap, the symbol is the code
    that is chosen."""
    model = fresh("af-codes", 6).float()
    randomise(model.prior.features.conditioner, 1.0)
    positions = model.positions(torch.tensor([1]), 1)
    context = model.prior.contexts(torch.zeros(1, 1, 4), positions, torch.tensor([1]))
    weights = torch.softmax(model.prior.features.conditioner(context) / temperature, -1).flatten()
    generators = [torch.Generator().manual_seed(seed) for seed in range(2000)]
    drawn = torch.stack(sample_batch(model, [1] * 2000, generators, temperature)).flatten()
    hidden = Known(torch.zeros(2000, 1, dtype=torch.long), torch.zeros(2000, 1, dtype=torch.bool))
    filled = draw_hidden(model, hidden, 2, generators, temperature).flatten()
    for x in (drawn, filled):
        shares = torch.bincount(x.long(), minlength=6) / 2000
        assert float((shares - weights).abs().max()) < 4 * float(
            (weights * (1 - weights) / 2000).sqrt().max()
        )


@CODES
@torch.no_grad()
def test_at_temperature_0_nothing_is_left_to_chance(name):
    model = randomise(fresh(name, 6).float(), 0.5)
    generators = [torch.Generator().manual_seed(seed) for seed in range(4)]
    first, *others = sample_batch(model, [8] * 4, generators, 0.0)
    assert all(torch.equal(first, other) for other in others)
