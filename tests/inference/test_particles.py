"""Draws of what is hidden given what is known, against sums over all that may be hidden."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from toy_models import OUTPUTS, every_sequence, random_x, randomise, toy

from lnfgen.flows.temporal import FlowSteps
from lnfgen.inference.particles import _distinct, _log_mean, _stretches, draw_hidden, draw_weighed
from lnfgen.models.latent_flow import SymbolSteps
from lnfgen.models.observation import Frames, Known, Observation, Symbols
from lnfgen.models.posterior import INITIAL_LOG_VARIANCE
from lnfgen.models.sequence_model import SequenceModel

pytestmark = pytest.mark.contract
STEPS = 3
# Of a band there are too many sequences for a sum; test_block_drawing.py has a smaller one.
SMALL = sorted(set(OUTPUTS) - {"autoregressive-band"})


def generators(count: int, seed: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(1000 * seed + index) for index in range(count)]


def partly_known(observation: Observation, seed: int = 3) -> tuple[Tensor, Known]:
    """A sequence, and what is known of it.

    Of frames these are the highest key and one more, so that what is drawn first is weighed.
    """
    x = random_x(observation, 1, STEPS, seed)[0]
    if not isinstance(observation, Frames):
        return x, observation.known(x, torch.tensor([False, True, False]))
    mask = torch.zeros(STEPS, observation.num_pitches, dtype=torch.bool)
    mask[:, -1] = True
    mask[1] = True
    mask[0, 1] = True
    if observation.has_onsets:
        mask = mask.repeat(1, 2)
        mask[2, 3] = True  # whether a key is struck, if it sounds
    return x, observation.known(x, mask)


def for_each(known: Known, count: int) -> Known:
    """The same known part for so many sequences."""
    return Known(
        known.values.expand(count, *known.values.shape),
        known.mask.expand(count, *known.mask.shape),
    )


def agrees(observation: Observation, x: Tensor, known: Known) -> Tensor:
    """Which of the sequences `[N, T, ...]` agree with what is known, bool `[N]`.

    An onset counts where the key sounds.
    """
    found = observation.known(x, known.mask.expand(len(x), *known.mask.shape)).values
    wrong = (found != known.values) & known.mask
    if isinstance(observation, Frames) and observation.has_onsets:
        sounds = found[..., : observation.num_pitches]
        wrong = wrong & torch.cat([torch.ones_like(sounds), sounds], -1)
    return ~wrong.flatten(1).any(1)


PRIOR_DRAWS = 8000  # of z, that a reference is made of


@torch.no_grad()
def prior_draws(model: SequenceModel) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(PRIOR_DRAWS, STEPS, model.noise_size, generator=generator)
    lengths = torch.full((PRIOR_DRAWS,), STEPS)
    return model.prior.draw(model.positions(lengths, STEPS), lengths, noise)


@torch.no_grad()
def probabilities(model: SequenceModel, x: Tensor) -> Tensor:
    """p(x | T) of sequences x `[N, T, ...]`, `[N, draws]`.

    It is exact, and one draw, or for each of many draws of z.
    """
    if model.exact:
        lengths = torch.full((len(x),), STEPS)
        return model(x, lengths, None).reconstruction[0].double().exp()[:, None]
    z = prior_draws(model)
    lengths = torch.full((PRIOR_DRAWS,), STEPS)
    positions = model.positions(lengths, STEPS)
    rows = []
    for one in x:
        many = one.expand(PRIOR_DRAWS, *one.shape)
        logits = model.emission(z, lengths, positions, many)[0]
        rows.append(model.observation.log_prob(logits, many).sum(-1).double().exp())
    return torch.stack(rows)


def expected_of(model: SequenceModel, x: Tensor) -> Tensor:
    """p(x | known) of all sequences x that agree with what is known.

    By draws of z, it is reliable where hundreds of them count.
    """
    each = probabilities(model, x)
    weights = each.sum(0)
    assert model.exact or weights.sum() ** 2 > 300 * (weights**2).sum()
    return each.sum(1) / each.sum()


def emission_scale(name: str, output: str) -> float:
    """The scale of weights with which p(x | z) varies mildly, but varies."""
    _, emission = OUTPUTS[output]
    if emission == "autoregressive":
        return 0.2  # its layers add up
    if name == "af-af":
        return 0.4
    if output == "symbols" and name != "af-scf/scan":
        return 0.9
    return 0.5


def fitting_toy(name: str, output: str) -> SequenceModel:
    """A toy for which draws of the prior are a reference, and whose posterior fits.

    Its p(x | z) varies mildly. Random weights of the usual scale put all weight on a few of 40,000
    draws, and a prior that copies has modes that this posterior misses.
    """
    observation, emission = OUTPUTS[output]
    copies = emission == "autoregressive"
    model = toy(name, observation, emission=emission, latent_size=2, copy_attention=copies)
    # there each step has a mean of its own
    randomise(model.prior, 0.1 if name == "af-only" else 0.2)
    randomise(model.emission, emission_scale(name, output), seed=1)
    z = prior_draws(model)
    randomise(model.posterior.head, 0.1)
    log_variance = z.var((0, 1)).log() - INITIAL_LOG_VARIANCE
    model.posterior.head.bias.data.copy_(torch.cat([z.mean((0, 1)), log_variance]))
    return model


def exact_toy(output: str) -> SequenceModel:
    observation, emission = OUTPUTS[output]
    model = toy("lstm", observation, emission=emission)
    if emission == "autoregressive":
        # its layers add up, and few particles draw what is next to impossible
        randomise(model.head, 0.3, seed=1)
    return model


def distance(drawn: Tensor, x: Tensor, expected: Tensor) -> float:
    """The total variation between the shares of the sequences x among those drawn, and others."""
    same = (drawn[:, None] == x).flatten(2).all(-1)
    assert same.any(1).all()
    return float((same.double().mean(0) - expected).abs().sum() / 2)


def filled(model: SequenceModel, known: Known, draws: int, particles: int) -> Tensor:
    return draw_hidden(model, for_each(known, draws), particles, generators(draws))


def agreeing(model: SequenceModel) -> tuple[Known, Tensor]:
    """What is known, and all sequences that agree with it."""
    whole, known = partly_known(model.observation)
    x = every_sequence(model.observation, STEPS).to(whole.dtype)
    return known, x[agrees(model.observation, x, known)]


def check(model: SequenceModel, draws: int, particles: int) -> None:
    known, x = agreeing(model)
    assert 4 <= len(x) < 100
    drawn = filled(model, known, draws, particles).to(x.dtype)
    assert distance(drawn, x, expected_of(model, x)) < 0.05


@pytest.mark.parametrize("output", SMALL)
def test_the_baseline_draws_what_is_hidden_as_often_as_it_is_likely(output: str) -> None:
    check(exact_toy(output), draws=2000, particles=16)


FAST = [("af-scf", "onsets"), ("iaf-scf", "frames"), ("af-scf/scan", "symbols")]


@pytest.mark.parametrize(("name", "output"), FAST)
def test_a_latent_flow_does_too(name: str, output: str) -> None:
    check(fitting_toy(name, output), draws=3000, particles=32)


PASSES = [2, pytest.param(1, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]


@pytest.mark.parametrize("passes", PASSES)
def test_a_model_by_blocks_does_too_in_any_number_of_passes(passes: int) -> None:
    model = fitting_toy("blocks-scf", "frames")
    model.prior.passes = passes
    check(model, draws=3000, particles=32)


@pytest.mark.slow
@pytest.mark.parametrize("output", SMALL)
@pytest.mark.parametrize(
    "name", ["af-only", "af-af", "af-scf", "iaf-scf", "coupling", "af-scf/scan"]
)
def test_every_latent_flow_does_too(name: str, output: str) -> None:
    check(fitting_toy(name, output), draws=3000, particles=256)


# a backbone knows nothing of copies
CODES = [("af-codes/conv-scan", False)]
MORE_CODES = [("af-codes", True), ("af-codes", False), ("af-codes/conv-scan", True)]
CODES += [pytest.param(*one, marks=pytest.mark.slow) for one in MORE_CODES]


@pytest.mark.parametrize(("name", "copies"), CODES)
def test_a_model_whose_latent_says_the_symbol_does_too(name: str, copies: bool) -> None:
    """Its codes overlap, so p(x | z) counts, and so does z where x is known."""
    model = toy(name, Symbols(4), latent_size=2, copy_attention=copies)
    randomise(model.prior, 0.4)
    assert isinstance(model.steps(1, STEPS, 1.0), SymbolSteps)
    check(model, draws=3000, particles=64)


@pytest.mark.parametrize("output", ["symbols", "autoregressive-onsets"])
def test_the_evidence_is_the_probability_of_what_is_known(output: str) -> None:
    """Its mean is unbiased, whatever the number of particles."""
    model = exact_toy(output)
    known, x = agreeing(model)
    draws = 2000
    expected = float(probabilities(model, x).sum(1).mul(1).sum())
    for particles in (1, 8):
        drawn = draw_weighed(model, for_each(known, draws), particles, generators(draws))
        evidence = drawn.log_evidence.exp()
        error = float(evidence.std()) / draws**0.5
        assert abs(float(evidence.mean()) - expected) < 4 * error + 1e-6


TILTED = [("lstm", "autoregressive-onsets", 1), ("lstm", "symbols", 3), ("af-scf", "frames", 1)]
LATER = [
    pytest.param(name, output, 4 - first, marks=pytest.mark.slow) for name, output, first in TILTED
]


@pytest.mark.parametrize(("name", "output", "first"), [*TILTED, *LATER])
def test_a_potential_tilts_what_is_drawn(name: str, output: str, first: int) -> None:
    """Draws match p(x | known) exp(potential of the whole), whatever it is of less than that."""
    if name == "lstm":
        model = exact_toy(output)
        draws = 2000
        particles = 16
    else:
        model = fitting_toy(name, output)
        draws = 3000
        particles = 32
    known, x = agreeing(model)
    each = for_each(known, draws)
    potential = partial(tilt_from, first)
    drawn = draw_hidden(model, each, particles, generators(draws), potential=potential).to(x.dtype)
    expected = expected_of(model, x) * tilt(x).exp()
    assert distance(drawn, x, expected / expected.sum()) < 0.05


def tilt(x: Tensor) -> Tensor:
    """The potential `[N]` of whole sequences x `[N, T, ...]`."""
    return -0.3 * (x[:, 0] + 2 * x[:, -1]).double().reshape(len(x), -1).sum(1)


def tilt_from(first: int, t: int, so_far: Callable[[], Tensor]) -> Tensor | None:
    """A potential from the first of so many steps on."""
    if t < first:
        return None
    drawn = so_far()
    assert drawn.shape[1] == t
    if t == STEPS:
        return tilt(drawn)
    return -0.3 * drawn.flatten(1).double().sum(1)


LONGER = 6  # steps, of which the two in the middle are hidden in part


@pytest.mark.slow
@pytest.mark.parametrize("output", ["autoregressive-onsets", "autoregressive-band"])
def test_known_stretches_weigh_what_is_drawn_between_them(
    output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "STEPS", LONGER)
    monkeypatch.setitem(globals(), "PRIOR_DRAWS", 2000)
    model = fitting_toy("af-scf", output)
    assert model.steps(1, LONGER, 1.0).takes_stretches
    frames = model.observation
    assert isinstance(frames, Frames)
    x = random_x(frames, 1, LONGER, seed=3)[0]
    hidden_steps = torch.tensor([2, 3])
    mask = torch.ones(LONGER, frames.num_logits, dtype=torch.bool)
    by_part = mask.view(LONGER, frames.parts, 2, frames.num_pitches)
    by_part[hidden_steps, 0, :, 1] = False
    known = frames.known(x, mask)
    candidates = x.repeat(9, 1, 1, 1)
    values = torch.cartesian_prod(*[torch.tensor([0, 1, 3], dtype=torch.uint8)] * 2)
    candidates[:, hidden_steps, 0, 1] = values
    drawn = filled(model, known, 1000, 32)
    assert distance(drawn, candidates, expected_of(model, candidates)) < 0.06


def test_equal_particles_are_taken_together_where_nothing_is_hidden_any_more() -> None:
    """The mean weight of a sequence and its weight of each particle stay."""
    particles = torch.tensor([[2, 2, 2, 5], [1, 1, 3, 3]])
    weights = [[0.0, 0, 0, 0], [-2000.1, -2000.2, -2000.3, -2000.4]]  # also where exp gives 0
    log_weight = torch.tensor(weights, dtype=torch.float64)
    more = torch.tensor([[0, 1, 2, 2], [3, 3, 3, 3]])
    chosen, found = _distinct(torch.cat([particles, more]), log_weight.repeat(2, 1))
    assert chosen.shape == (4, 3)
    torch.testing.assert_close(_log_mean(found), _log_mean(log_weight).repeat(2))
    of_second = found[1].softmax(0)
    expected = log_weight[1].softmax(0).view(2, 2).sum(1)
    torch.testing.assert_close(of_second[:2], expected)
    assert chosen[1, :2].tolist() == [1, 3]
    assert of_second[2] == 0


@pytest.mark.parametrize("takes_stretches", [False, True])
def test_stretches_are_all_steps_in_order_and_longer_and_longer(takes_stretches: bool) -> None:
    mask = torch.ones(2, 60, 3, dtype=torch.bool)
    mask[0, 20, 1] = False
    mask[1, 25] = False
    known = Known(mask, mask)
    found = list(_stretches(known, takes_stretches))
    assert [t for stretch in found for t in stretch] == list(range(60))
    lengths = [len(stretch) for stretch in found]
    expected = [20, 1, 4, 1, 4, 8, 16, 6] if takes_stretches else [1] * 60
    assert lengths == expected


@torch.no_grad()
def test_the_weights_of_known_symbols_are_ratios_of_densities(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If all is known, they add up to log p(x, z) - log q(z | x)."""
    taken: list[Tensor] = []
    take = FlowSteps.take

    def take_and_remember(steps: FlowSteps, z: Tensor) -> Any:
        taken.append(z)
        return take(steps, z)

    monkeypatch.setattr(FlowSteps, "take", take_and_remember)
    model = toy("af-codes", Symbols(4))
    x = random_x(model.observation, 1, STEPS)
    is_known = torch.ones(1, dtype=torch.bool)
    steps = model.steps(1, STEPS, 1.0)
    log_weight = torch.zeros(1)
    for t in range(STEPS):
        known = model.observation.known(x[:, t], is_known)
        drawn, log_gain = steps.draw(t, known, generators(1))
        assert torch.equal(drawn, x[:, t].long())
        log_weight = log_weight + log_gain
    lengths = torch.tensor([STEPS])
    encoded = model.encode(x, lengths)
    mean, log_variance, _ = encoded
    noise = (torch.stack(taken, 1) - mean) / torch.exp(0.5 * log_variance)
    terms = model.terms(x, lengths, encoded, noise[None])
    assert torch.allclose(log_weight, (terms.reconstruction - terms.kl)[0], rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "output"),
    [("af-scf", "onsets"), ("af-scf", "autoregressive-onsets"), ("lstm", "symbols")],
)
def test_progress_counts_each_step(name: str, output: str) -> None:
    observation, emission = OUTPUTS[output]
    done: list[int] = []
    _, known = partly_known(observation)
    model = toy(name, observation, emission=emission)
    draw_hidden(model, for_each(known, 1), 2, generators(1), progress=done.append)
    assert done == list(range(1, STEPS + 1))


@pytest.mark.parametrize("name", ["lstm", "af-scf", "af-codes"])
@pytest.mark.parametrize("is_known", [False, True])
def test_all_may_be_hidden_or_known(name: str, is_known: bool) -> None:
    model = toy(name, Symbols(4))
    x = random_x(model.observation, 1, STEPS)[0]
    known = model.observation.known(x, torch.full((STEPS,), is_known))
    drawn = filled(model, known, 20, 3)
    assert drawn.shape == (20, STEPS)
    assert bool((drawn == x).all()) == is_known
