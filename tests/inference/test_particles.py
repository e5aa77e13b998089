"""Drawing what is hidden given what is known: against sums over everything that may be hidden, at toy sizes."""

import math

import pytest
import torch
from torch import Tensor
from toy_models import OUTPUTS, every_sequence, random_x, randomise, toy

from lnfgen.inference.particles import GUESSED, filter_particles
from lnfgen.models import Frames, Observation, SequenceModel, Symbols
from lnfgen.models.lstm import _LSTMSteps
from lnfgen.models.observation import Known
from lnfgen.models.posterior import INITIAL_LOG_VARIANCE

pytestmark = pytest.mark.contract
STEPS = 3


def generators(count: int, seed: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(1000 * seed + index) for index in range(count)]


def partly_known(observation: Observation, seed: int = 3) -> tuple[Tensor, Known]:
    """A sequence, and what is known of it: the highest key and one more, so that what is drawn first is weighed."""
    x = random_x(observation, 1, STEPS, seed)[0]
    if not isinstance(observation, Frames):
        return x, observation.known(x, torch.tensor([False, True, False]))
    mask = torch.zeros(STEPS, observation.num_pitches, dtype=torch.bool)
    mask[:, -1] = True
    mask[1] = True
    mask[0, 1] = True
    bits = mask.repeat(1, 2) if observation.has_onsets else mask
    if observation.has_onsets:
        bits[2, 3] = True  # whether a key is struck, if it sounds
    return x, observation.known(x, bits)


def agrees(observation: Observation, x: Tensor, known: Known) -> Tensor:
    """Which of the sequences `[N, T, ...]` agree with what is known; an onset counts where the key sounds."""
    found = observation.known(x, known.mask.expand(len(x), *known.mask.shape)).values
    wrong = (found != known.values) & known.mask
    if isinstance(observation, Frames) and observation.has_onsets:
        sounds = found[..., : observation.num_pitches]
        wrong = wrong & torch.cat([torch.ones_like(sounds), sounds], -1)
    return ~wrong.flatten(1).any(1)


PRIOR_DRAWS = 8000
"""Draws of z that a reference is made of."""


@torch.no_grad()
def prior_draws(model: SequenceModel) -> Tensor:
    eps = torch.randn(PRIOR_DRAWS, STEPS, model.latent, generator=torch.Generator().manual_seed(5))
    lengths = torch.full((PRIOR_DRAWS,), STEPS)
    z, _ = model.prior(eps, model.positions(lengths, STEPS), lengths)
    return z


@torch.no_grad()
def probabilities(model: SequenceModel, x: Tensor) -> Tensor:
    """p(x | T) of sequences x `[N, T, ...]`, exactly, `[N, 1]`, or for each of many draws of z, `[N, draws]`."""
    if model.exact:
        lengths = torch.full((len(x),), STEPS)
        return model(x, lengths, None).reconstruction[0].double().exp()[:, None]
    z, lengths = prior_draws(model), torch.full((PRIOR_DRAWS,), STEPS)
    positions, rows = model.positions(lengths, STEPS), []
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


def fitting_toy(name: str, output: str) -> SequenceModel:
    """A toy whose p(x | z) varies so mildly that draws of the prior are a reference, and whose posterior fits.

    Random weights of the usual scale put all weight on a few of 40,000 draws, and a prior that copies has modes that
    this posterior misses.
    """
    observation, emission = OUTPUTS[output]
    model = toy(name, observation, emission=emission, latent_size=2, copy_attention=emission == "past")
    randomise(model.prior, 0.1 if name == "af-only" else 0.2)  # there each step has a mean of its own
    scale = 0.4 if name == "af-af" else 0.9 if output == "symbols" and name != "af-scf/scan" else 0.5
    randomise(model.emission, 0.2 if emission == "past" else scale, seed=1)  # layers of `past` add up
    z = prior_draws(model)
    randomise(model.posterior.head, 0.1)
    log_variance = z.var((0, 1)).log() - INITIAL_LOG_VARIANCE
    model.posterior.head.bias.data.copy_(torch.cat([z.mean((0, 1)), log_variance]))
    return model


def distance(drawn: Tensor, x: Tensor, expected: Tensor) -> float:
    """The total variation between the shares of the sequences x among those drawn, and what is expected."""
    same = (drawn[:, None] == x).flatten(2).all(-1)
    assert same.any(1).all()
    return float((same.double().mean(0) - expected).abs().sum() / 2)


def check(model: SequenceModel, draws: int, particles: int) -> None:
    whole, known = partly_known(model.observation)
    x = every_sequence(model.observation, STEPS).to(whole.dtype)
    x = x[agrees(model.observation, x, known)]
    assert 4 <= len(x) < 100
    with torch.no_grad():
        each = Known(*(part.expand(draws, *part.shape) for part in known))
        found = model.fill_batch(each, particles, generators(draws), 1.0)
    assert distance(found.x.to(whole.dtype), x, expected_of(model, x)) < 0.05
    assert 0 < float(found.ess.min()) <= 1
    assert found.moved is None or found.moved > 0.1


@pytest.mark.parametrize("output", sorted(OUTPUTS))
def test_the_baseline_draws_what_is_hidden_as_often_as_it_is_likely(output: str) -> None:
    observation, emission = OUTPUTS[output]
    check(toy("lstm", observation, emission=emission), draws=2000, particles=16)


@pytest.fixture
def long_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a latent, draws tend to what is likely as the chain gets longer; the usual length is a bargain with time."""
    for name in ("SWEEPS", "SWEEPS_WITH_PAST"):
        monkeypatch.setattr(f"lnfgen.models.latent_filling.{name}", 8)


FAST = [("af-af", "nade-frames"), ("af-scf", "onsets"), ("iaf-scf", "frames"), ("af-scf/scan", "symbols")]


@pytest.mark.usefixtures("long_chain")
@pytest.mark.parametrize(("name", "output"), FAST)
def test_a_latent_flow_does_too(name: str, output: str) -> None:
    check(fitting_toy(name, output), draws=1000, particles=8)


@pytest.mark.parametrize("output", ["onsets", "past-onsets"])
def test_the_posterior_of_x_is_computed_once_a_sweep(output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """x stays the same for all windows of a sweep; here each sweep has several."""
    for name, number in (("SWEEPS", 2), ("SWEEPS_WITH_PAST", 2), ("WINDOW", 1)):
        monkeypatch.setattr(f"lnfgen.models.latent_filling.{name}", number)
    observation, emission = OUTPUTS[output]
    model, calls = toy("af-scf", observation, emission=emission), []
    model.posterior.register_forward_hook(lambda *_: calls.append(1))
    _, known = partly_known(observation)
    with torch.no_grad():
        model.fill_batch(Known(*(part[None] for part in known)), 2, generators(1), 1.0)
    assert len(calls) == 2


@pytest.mark.parametrize("output", ["onsets", "past-onsets"])
def test_progress_is_told_at_each_step(output: str) -> None:
    """A bar that waits for whole sweeps would stand still where there are none."""
    observation, emission = OUTPUTS[output]
    model, told = toy("af-scf", observation, emission=emission), []
    _, known = partly_known(observation)
    with torch.no_grad():
        each = Known(*(part[None] for part in known))
        model.fill_batch(each, 2, generators(1), 1.0, lambda done, total: told.append((done, total)))
    total = told[-1][1]
    assert told == [(done + 1, total) for done in range(total)]
    assert total >= STEPS


@pytest.mark.slow
@pytest.mark.usefixtures("long_chain")
@pytest.mark.parametrize("output", sorted(OUTPUTS))
@pytest.mark.parametrize("name", ["af-only", "af-af", "af-scf", "iaf-scf", "coupling", "af-scf/scan"])
def test_every_latent_flow_does_too(name: str, output: str) -> None:
    check(fitting_toy(name, output), draws=2000, particles=32)


@pytest.mark.slow
@pytest.mark.parametrize("output", ["symbols", "nade-frames"])
def test_moves_of_the_latent_lead_to_it_too(output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From two particles the chain gets there."""
    for name in ("SWEEPS", "SWEEPS_WITH_PAST"):
        monkeypatch.setattr(f"lnfgen.models.latent_filling.{name}", 12)
    check(fitting_toy("af-scf", output), draws=1500, particles=2)


@pytest.mark.parametrize(("name", "output"), [("lstm", "past-onsets"), ("af-scf", "onsets"), ("af-scf", "symbols")])
@torch.no_grad()
def test_p_of_what_is_known_is_between_two_estimates(name: str, output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The means of estimates, and of 1 / estimate where a draw of what is hidden is kept, are right by few particles.

    So their logs are too low and too high on average. By many, both are close to the log of p(known). The posterior of
    a toy is poor, so it takes many draws of it to find a latent that explains what is kept.
    """
    monkeypatch.setattr("lnfgen.models.latent_filling.EXPLANATIONS", 200)
    observation, emission = OUTPUTS[output]
    model = toy(name, observation, emission=emission) if name == "lstm" else fitting_toy(name, output)
    whole, known = partly_known(observation)
    x = every_sequence(observation, STEPS).to(whole.dtype)
    x = x[agrees(observation, x, known)]
    each = probabilities(model, x)
    exact = float(each.sum(0).mean())

    def estimates(count: int, particles: int, keeps: bool) -> Tensor:
        drawn = torch.multinomial(each.sum(1), count, replacement=True, generator=generators(1)[0])
        many = Known(*(part.expand(count, *part.shape) for part in known))
        guess = x[int(each.sum(1).argmax())].expand(count, *whole.shape)
        return model.log_known(guess, many, particles, generators(count), x[drawn] if keeps else None)

    few, kept = estimates(1500, 4, keeps=False), estimates(500, 4 if model.exact else 16, keeps=True)
    assert float(few.exp().mean()) == pytest.approx(exact, rel=0.06)
    assert float(kept.neg().exp().mean()) == pytest.approx(1 / exact, rel=0.06)
    assert float(few.mean()) < math.log(exact) < float(kept.mean())
    for keeps in (False, True):
        assert float(estimates(5, 500, keeps).mean()) == pytest.approx(math.log(exact), abs=0.06)


@pytest.mark.parametrize("name", ["af-af", "af-scf", "iaf-scf", "coupling"])
@torch.no_grad()
def test_one_particle_is_enough_for_an_estimate(name: str) -> None:
    """Half of one, rounded down, come from the prior: none."""
    model = toy(name, Frames(3, has_onsets=True))
    x, known = partly_known(model.observation)
    each = Known(*(part[None] for part in known))
    for kept in (None, x[None]):
        assert torch.isfinite(model.log_known(x[None], each, 1, generators(1), kept)).all()


@pytest.mark.parametrize("output", ["past-onsets", "nade-frames", "symbols"])
@torch.no_grad()
def test_a_sequence_is_kept(output: str) -> None:
    """Alone it gives what it is known to be likely; its steps are all drawn as they are."""
    observation, emission = OUTPUTS[output]
    model = toy("lstm", observation, emission=emission)
    x, known = partly_known(observation)
    x, each = x[None], Known(*(part[None] for part in known))
    found = float(model.log_known(x, each, 1, generators(1), x)[0])
    lengths = torch.tensor([STEPS])
    logits = model.logits(x, lengths, model.encode(x, lengths))[0]
    log_known = observation.log_prob(logits, x, known.mask[None])[0].double()
    log_hidden = observation.log_prob(logits, x)[0].double() - log_known
    proposed = torch.log(GUESSED + (1 - GUESSED) * log_hidden.exp())  # x is the guess as well
    last = int(known.mask.view(STEPS, -1).any(1).nonzero().max())
    assert found == pytest.approx(float((log_known + log_hidden - proposed)[: last + 1].sum()), rel=1e-5)
    steps = _LSTMSteps(model, STEPS, 1, 1.0, None)
    filtered = filter_particles(steps, observation, each, 1, generators(1), kept=x)
    assert torch.equal(filtered.x[:, : last + 1].to(x.dtype), x[:, : last + 1])
    assert float(filtered.log_known[0]) == pytest.approx(float(log_known.sum()), rel=1e-5)


@torch.no_grad()
def test_where_nothing_is_known_the_weights_at_the_start_decide() -> None:
    """As where z comes from a conditional prior, which is another one than the prior there too."""
    model = toy("lstm", Symbols(4))
    known = Known(torch.zeros(2, STEPS, dtype=torch.int32), torch.zeros(2, STEPS, dtype=torch.bool))
    weights = torch.tensor([[-1e3, 0.0, -1e3], [0.0, -1e3, -1e3]], dtype=torch.float64)
    steps = _LSTMSteps(model, STEPS, 6, 1.0, None)
    found = filter_particles(steps, model.observation, known, 3, generators(2), log_weight=weights)
    assert found.rows.tolist() == [1, 3]
    assert found.log_known.tolist() == [0, 0]
