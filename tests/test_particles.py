"""Drawing what is hidden given what is known: against sums over everything that may be hidden, at toy sizes."""

import pytest
import torch
from torch import Tensor
from toy_models import OUTPUTS, every_sequence, random_x, randomise, toy

from lnfgen.models import Frames, Observation, SequenceModel
from lnfgen.models.observation import Known

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


@torch.no_grad()
def expected_of(model: SequenceModel, x: Tensor, temperature: float = 1.0) -> Tensor:
    """p(x | known) of all sequences x that agree with what is known: exactly, or by 40,000 draws of z."""
    lengths = torch.full((len(x),), STEPS)
    if model.exact:
        return torch.softmax(model(x, lengths, None).reconstruction[0].double(), 0)
    total = torch.zeros(len(x), dtype=torch.float64)
    for seed in range(10):
        eps = torch.randn(4000, STEPS, model.latent, generator=torch.Generator().manual_seed(seed))
        many = torch.full((4000,), STEPS)
        positions = model.positions(many, STEPS)
        z, _ = model.prior(eps, positions, many)
        for index, one in enumerate(x):
            logits = model.emission(z, many, positions, one.expand(4000, *one.shape))[0]
            total[index] += (
                model.observation.log_prob(logits, one.expand(4000, *one.shape)).sum(-1).double().exp().sum()
            )
    return total / total.sum()


def distance(drawn: Tensor, x: Tensor, expected: Tensor) -> float:
    """The total variation between the shares of the sequences x among those drawn, and what is expected."""
    same = (drawn[:, None] == x).flatten(2).all(-1)
    assert same.any(1).all()
    return float((same.double().mean(0) - expected).abs().sum() / 2)


def check(name: str, output: str, draws: int, particles: int) -> None:
    observation, emission = OUTPUTS[output]
    model = toy(name, observation, emission=emission)
    whole, known = partly_known(observation)
    x = every_sequence(observation, STEPS).to(whole.dtype)
    x = x[agrees(observation, x, known)]
    assert 4 <= len(x) < 100
    with torch.no_grad():
        each = Known(*(part.expand(draws, *part.shape) for part in known))
        found = model.fill_batch(each, particles, generators(draws), 1.0)
    assert distance(found.x.to(whole.dtype), x, expected_of(model, x)) < 0.05
    assert 0 < float(found.ess.min()) <= 1


@pytest.mark.parametrize("output", sorted(OUTPUTS))
def test_the_baseline_draws_what_is_hidden_as_often_as_it_is_likely(output: str) -> None:
    check("lstm", output, draws=2000, particles=32)


def test_a_latent_flow_does_too() -> None:
    check("af-scf", "onsets", draws=1000, particles=16)


@pytest.mark.slow
@pytest.mark.parametrize("output", sorted(OUTPUTS))
@pytest.mark.parametrize("name", ["af-only", "af-af", "af-scf", "iaf-scf", "coupling", "af-scf/scan"])
def test_every_latent_flow_does_too(name: str, output: str) -> None:
    check(name, output, draws=2000, particles=32)


@pytest.mark.slow
@pytest.mark.parametrize("output", ["symbols", "nade-frames"])
def test_moves_of_the_latent_lead_to_it_too(output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From two particles the chain gets there, with a prior and a posterior that are nearly N(0, 1)."""
    observation, emission = OUTPUTS[output]
    model = toy("af-scf", observation, emission=emission)
    randomise(model.prior, 0.1)
    head = model.posterior.head
    head.weight.data.zero_()
    head.bias.data.copy_(torch.tensor(4 * [0.0] + 4 * [3.0]))
    whole, known = partly_known(observation)
    x = every_sequence(observation, STEPS).to(whole.dtype)
    x = x[agrees(observation, x, known)]
    expected = expected_of(model, x)
    each = Known(*(part.expand(1500, *part.shape) for part in known))
    monkeypatch.setattr("lnfgen.models.latent_filling.SWEEPS", 12)
    with torch.no_grad():
        found = model.fill_batch(each, 2, generators(1500), 1.0)
    assert found.moved > 0.1
    assert distance(found.x.to(whole.dtype), x, expected) < 0.05
