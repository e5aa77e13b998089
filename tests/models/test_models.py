"""Whole models at toy sizes: dependences, padding, and that probabilities sum to 1."""

import dataclasses
import itertools
import math

import pytest
import torch
from torch import Tensor
from toy_models import (
    LENGTHS,
    SIZES,
    every_sequence,
    noise_like,
    probabilities_that_sum_to_1,
    random_x,
    randomise,
    toy,
)

from lnfgen.errors import ConfigError
from lnfgen.flows.blockwise import BlockwiseFlow
from lnfgen.models.build import build_model
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Frames, Symbols
from lnfgen.models.posterior import INITIAL_LOG_VARIANCE, Gaussian
from lnfgen.nn.masking import length_mask
from lnfgen.nn.positions import POSITION_SIZE

pytestmark = pytest.mark.contract


# Padding.
# -------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_the_content_of_padding_changes_no_bit(model):
    observation = model.observation
    x, other = random_x(observation, 3, 5, seed=1), random_x(observation, 3, 5, seed=2)
    noise = noise_like(model, 2, 3, 5)
    mask = length_mask(LENGTHS, 5)
    changed = torch.where(mask if x.dim() == 2 else mask[..., None], x, other)
    assert not torch.equal(changed, x)
    changed_noise = noise
    if noise is not None:
        changed_noise = torch.where(mask[..., None], noise, 1e3 * torch.ones_like(noise))
    for found, expected in zip(
        model(changed, LENGTHS, changed_noise), model(x, LENGTHS, noise), strict=True
    ):
        assert (found is None and expected is None) or torch.equal(found, expected)


def test_what_overflows_in_the_padding_leaves_values_and_gradients_alone(observation, emission):
    """The mask must be applied by `where` and not by a product, because 0 times infinity is not
    0."""
    model = toy("af-scf", observation, emission=emission)
    x, noise = random_x(observation, 3, 5), noise_like(model, 1, 3, 5)

    def gradients(noise: Tensor) -> list[Tensor]:
        model.zero_grad()
        terms = model(x, LENGTHS, noise)
        (terms.reconstruction - terms.kl).sum().backward()
        assert torch.isfinite(terms.kl).all()
        return [parameter.grad.clone() for parameter in model.parameters()]

    expected = gradients(noise)
    noise = noise.clone()
    noise[:, 1, 3:] = 1e30  # its square is infinite
    torch.testing.assert_close(gradients(noise), expected)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@torch.no_grad()
def test_padding_length_batch_and_folding_change_round_off_alone(model, dtype, tolerance):
    model = model.to(dtype)
    x = random_x(model.observation, 3, 5)
    noise = noise_like(model, 2, 3, 5)
    noise = None if noise is None else noise.to(dtype)
    together = model(x, LENGTHS, noise)

    def close(found: Tensor, expected: Tensor) -> None:
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)

    for b, (sample, padding) in enumerate(((1, 4), (0, 0), (0, 4))):
        length, k = int(LENGTHS[b]), 0 if model.exact else sample
        alone = torch.zeros(1, length + padding, *x.shape[2:], dtype=x.dtype)
        alone[0, :length] = x[b, :length]
        own = None
        if noise is not None:
            own = torch.nn.functional.pad(noise[k : k + 1, b : b + 1, :length], (0, 0, 0, padding))
        terms = model(alone, torch.tensor([length]), own)
        close(terms.reconstruction[0, 0], together.reconstruction[k, b])
        close(terms.kl[0, 0], together.kl[k, b])
        if together.sounding is not None:
            close(terms.sounding[0, 0], together.sounding[k, b])
    reordered = torch.tensor([2, 0, 1])
    other = model(x[reordered], LENGTHS[reordered], None if noise is None else noise[:, reordered])
    close(other.reconstruction, together.reconstruction[:, reordered])
    close(other.kl, together.kl[:, reordered])


# What each part may see.
# ----------------------------------------------------------------------------------------------


def test_baseline_predicts_each_step_from_earlier_ones(observation, emission):
    """And, joint over the keys of a step, from its own lower keys."""
    model = toy("lstm", observation, emission=emission)
    full = torch.tensor([5])
    x = random_x(observation, 1, 5)
    for t in range(5):
        changed = x.clone()
        changed[:, t] = (x[:, t] + 1) % 4 if x.dim() == 2 else x[:, t] ^ 1
        logits = [model.logits(each, full, model.encode(each, full)) for each in (changed, x)]
        differs = (logits[0] != logits[1])[0, 0].any(-1)
        assert not differs[:t].any()
        assert differs[t] == (emission in ("nade", "past"))
        assert differs[t + 1 :].all()


def test_emission_sees_the_whole_latent_its_own_step_outside_the_recurrence():
    emission = toy("af-scf", Symbols(4)).emission
    x, z, positions = (
        random_x(Symbols(4), 1, 5),
        torch.randn(1, 5, SIZES.latent_size),
        torch.randn(1, 5, POSITION_SIZE),
    )
    full = torch.tensor([5])
    recurrent = torch.autograd.functional.jacobian(
        lambda v: emission.network(torch.cat([v, positions], -1), full)[0], z
    )
    whole = torch.autograd.functional.jacobian(lambda v: emission(v, full, positions, x)[0, 0], z)
    for t, s in itertools.product(range(5), repeat=2):
        assert bool((recurrent[t, :, 0, s] != 0).any()) == (s != t)
        assert (whole[t, :, 0, s] != 0).any()


def test_posterior_sees_the_whole_sequence_and_starts_sharp():
    torch.manual_seed(0)
    config = dataclasses.replace(SIZES, dropout=0.0)
    posterior = build_model(config, Symbols(4), LengthModel.fit(LENGTHS)).posterior.eval()
    x, full, positions = (
        random_x(Symbols(4), 1, 5),
        torch.tensor([5]),
        torch.randn(1, 5, POSITION_SIZE),
    )
    before = posterior(x, full, positions)
    assert float((before.log_variance.detach() - INITIAL_LOG_VARIANCE).abs().mean()) < 1.5
    for t in range(5):
        changed = x.clone()
        changed[:, t] = (x[:, t] + 1) % 4
        assert (posterior(changed, full, positions).mean != before.mean).any(-1).all()


def test_posterior_has_a_path_beside_its_recurrence():
    """A direct path from x_t to z_t, which keeps the posterior from collapsing."""
    posterior = toy("af-scf", Symbols(4)).posterior
    with torch.no_grad():
        for parameter in posterior.network.parameters():
            parameter.zero_()
    x, full, positions = (
        random_x(Symbols(4), 1, 5),
        torch.tensor([5]),
        torch.randn(1, 5, POSITION_SIZE),
    )
    changed = x.clone()
    changed[:, 2] = (x[:, 2] + 1) % 4
    moved = (posterior(changed, full, positions).mean != posterior(x, full, positions).mean).any(-1)
    assert moved.tolist() == [[False, False, True, False, False]]


def test_gradients_reach_every_parameter(model):
    if isinstance(prior := getattr(model, "prior", None), BlockwiseFlow):
        prior.passes = 2  # a network across one block would not use its state
    x, noise = random_x(model.observation, 3, 5), noise_like(model, 2, 3, 5)
    terms = model(x, LENGTHS, noise)
    (terms.reconstruction.sin() - terms.kl.sin()).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert (parameter.grad != 0).any(), name


def test_terms_are_what_they_say(observation, emission):
    """Recomputed with torch.distributions, step by step, from the model's own parts."""
    model = toy("af-scf", observation, emission=emission).double()
    x, noise = random_x(observation, 1, 4), noise_like(model, 1, 1, 4).double()
    full = torch.tensor([4])
    terms = model(x, full, noise)
    positions = model.positions(full, 4)
    mean, log_variance = model.posterior(x, full, positions)
    q = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    z = mean + q.stddev * noise[0]
    eps, ladj = model.prior.inverse(z, positions, full)
    log_p = torch.distributions.Normal(0, 1).log_prob(eps).sum() + ladj.sum()
    torch.testing.assert_close(terms.kl[0, 0], q.log_prob(z).sum() - log_p)
    logits = model.emission(z, full, positions, x)[0]
    if isinstance(observation, Symbols):
        expected = torch.distributions.Categorical(logits=logits).log_prob(x).sum()
    else:
        sounding = torch.distributions.Bernoulli(logits=logits[..., :3]).log_prob((x & 1).double())
        expected = sounding.sum()
        if observation.has_onsets:
            onsets = torch.distributions.Bernoulli(logits=logits[..., 3:]).log_prob(
                (x >> 1).double()
            )
            expected = expected + onsets[(x & 1).bool()].sum()
            torch.testing.assert_close(terms.sounding[0, 0], sounding.sum())
    torch.testing.assert_close(terms.reconstruction[0, 0], expected)
    assert (terms.sounding is not None) == getattr(observation, "has_onsets", False)


def test_log_variance_is_bounded():
    posterior = toy("af-scf", Symbols(4)).posterior
    with torch.no_grad():
        posterior.head.weight.mul_(1e6)
    gaussian = posterior(
        random_x(Symbols(4), 1, 5), torch.tensor([5]), torch.randn(1, 5, POSITION_SIZE)
    )
    z = Gaussian(torch.zeros_like(gaussian.mean), gaussian.log_variance).sample(
        torch.ones(1, 1, 5, SIZES.latent_size)
    )
    assert torch.isfinite(z).all()
    assert (z > 0).all()


# Probabilities are probabilities.
# -------------------------------------------------------------------------------------


@pytest.mark.parametrize("onsets", [False, True])
def test_probabilities_of_all_frames_sum_to_one(onsets):
    frames = Frames(2, onsets)
    x = every_sequence(frames, 1)
    assert len(x) == (9 if onsets else 4)
    logits = torch.randn(1, 1, frames.num_logits, dtype=torch.float64).expand(len(x), -1, -1)
    assert float(frames.log_prob(logits, x).exp().sum()) == pytest.approx(1, abs=1e-12)
    # The sounding part alone is a distribution over which keys sound; without onsets it is nothing
    # apart.
    silent_or_held = x[(x != 3).all(-1).all(-1)]
    alone = frames.sounding_log_prob(logits[: len(silent_or_held)], silent_or_held)
    assert (alone is not None) == onsets
    assert alone is None or float(alone.exp().sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("toy_observation", "toy_emission", "steps"),
    [
        (Symbols(3), "categorical", 3),
        (Frames(2, False), "bernoulli", 2),
        (Frames(2, True), "bernoulli", 2),
        (Frames(2, False), "nade", 2),
        (Frames(2, True), "nade", 2),
        (Frames(2, False), "past", 2),
        (Frames(2, True), "past", 2),
    ],
)
@torch.no_grad()
def test_baseline_probabilities_of_all_sequences_sum_to_one(toy_observation, toy_emission, steps):
    model = toy("lstm", toy_observation, emission=toy_emission).double()
    x = every_sequence(toy_observation, steps)
    terms = model(x, torch.full((len(x),), steps), None)
    assert float(terms.reconstruction.exp().sum()) == pytest.approx(1, abs=1e-12)
    assert (terms.kl == 0).all()


OUTPUTS_TO_SUM = [
    (Symbols(3), "categorical", 3),
    (Frames(2, True), "bernoulli", 1),
    (Frames(2, True), "nade", 1),
    (Frames(2, False), "past", 2),
    (Frames(2, False, parts=2), "past", 2),
]
CELLS = [
    ("af", "af"),
    ("af", "scf"),
    ("iaf", "scf"),
    ("coupling", "none"),
    ("none", "af"),
    ("none", "none"),
]
CELLS += [("blocks", "scf")]


@pytest.mark.parametrize(
    ("toy_observation", "toy_emission", "steps", "time", "features"),
    [(*OUTPUTS_TO_SUM[0], *cell) for cell in CELLS]
    + [(*output, "af", "scf") for output in OUTPUTS_TO_SUM[1:]],
)
@torch.no_grad()
def test_latent_flow_probabilities_of_all_sequences_sum_to_one(
    toy_observation, toy_emission, steps, time, features
):
    """By importance sampling, whose weights vary little where the posterior is near the true one,
    and wider.

    Here the emission says little: the true one is near the prior, itself near N(0, 1); the
    posterior is made N(0, 1.3).
    """
    model = toy(
        "af-scf",
        toy_observation,
        emission=toy_emission,
        latent_size=2,
        time=time,
        features=features,
    ).double()
    model.prior.passes = 2  # of a model by blocks
    randomise(model.prior, scale=0.1 if time == "blocks" else 0.15)  # its context is wide
    randomise(model.positions, scale=0.03)
    model.posterior.head.weight.mul_(0.1)
    wide = 2 * math.log(1.3) - INITIAL_LOG_VARIANCE
    model.posterior.head.bias.copy_(torch.tensor([0.0, 0.0, wide, wide]))
    probabilities = probabilities_that_sum_to_1(model, steps, samples=1000)
    # And they are not all alike, which would sum to 1 for a model that ignores x.
    assert float(probabilities.max() / probabilities.min()) > 1.2


@pytest.mark.parametrize(
    ("name", "observation", "changes", "message"),
    [
        ("lstm", Symbols(4), {"emission": "nade"}, "found nade .*expected categorical"),
        ("af-scf", Symbols(4), {"emission": "bernoulli"}, "found bernoulli .*expected categorical"),
        (
            "af-scf",
            Frames(3, True),
            {"emission": "categorical"},
            "expected bernoulli or nade or past",
        ),
        (
            "lstm",
            Symbols(4),
            {"in_metre": True},
            "found true for text, which has no bars; expected false",
        ),
        ("af-codes", Frames(3, False), {}, "found codes for music"),
    ],
)
def test_a_configuration_that_does_not_fit_the_data_is_refused_in_one_line(
    name, observation, changes, message
):
    with pytest.raises(ConfigError, match=message) as error:
        toy(name, observation, **changes)
    assert "\n" not in str(error.value)
