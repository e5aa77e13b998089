"""Sampling from whole models at toy sizes: what is drawn is as likely as it scores, and what
decides a draw."""

import math

import pytest
import torch
from toy_config import run_config
from toy_models import every_sequence, noise_like, sample_batch, toy

from lnfgen.config import NAMED_MODELS
from lnfgen.models.build import build_model
from lnfgen.models.latent_flow import LatentFlow
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Frames, Symbols
from lnfgen.nn.masking import tempered
from lnfgen.training.recipes import Corpus

pytestmark = pytest.mark.contract


def test_symbols_are_drawn_as_often_as_they_are_likely():
    symbols, logits = Symbols(4), torch.tensor([0.3, -1.0, 2.0, -30.0])
    uniform = symbols.uniform(1, 20_000, torch.Generator().manual_seed(0))[0]
    for temperature in (1.0, 2.0, 0.5):
        drawn = symbols.sample(tempered(logits, temperature).expand(20_000, -1), uniform)
        expected = torch.softmax(logits / temperature, -1)
        found = torch.bincount(drawn, minlength=4) / 20_000
        assert (
            (found - expected).abs() <= 4 * (expected * (1 - expected) / 20_000).sqrt() + 1e-9
        ).all()
    assert (symbols.sample(tempered(logits, 0.0).expand(20_000, -1), uniform) == 2).all()


@pytest.mark.parametrize("draw", [0.0, 1 - 2**-24])
def test_symbols_without_probability_are_never_drawn(draw):
    logits = torch.tensor([[-1e9, 0.3, 0.1, -1e9], [-1e9, -1e9, 5.0, -1e9]])
    drawn = Symbols(4).sample(logits, torch.full((2, 1), draw))
    assert set(drawn.tolist()) <= {1, 2}
    assert (
        Symbols(4).sample(tempered(logits, 0.0), torch.full((2, 1), draw)) == torch.tensor([1, 2])
    ).all()


@pytest.mark.parametrize("onsets", [False, True])
def test_keys_are_drawn_as_often_as_they_are_likely(onsets):
    frames = Frames(2, onsets)
    logits = torch.tensor([0.3, -1.0, 0.7, -0.2][: frames.num_logits])
    uniform = frames.uniform(1, 20_000, torch.Generator().manual_seed(0))[0]
    drawn = frames.sample(logits.expand(20_000, -1), uniform)
    assert drawn.dtype == torch.uint8
    for frame in every_sequence(frames, 1)[:, 0]:
        expected = float(frames.log_prob(logits[None, None], frame[None, None]).exp())
        found = float((drawn == frame).all(-1).double().mean())
        assert abs(found - expected) <= 4 * math.sqrt(expected * (1 - expected) / 20_000)
    mode = frames.sample(tempered(logits, 0.0).expand(100, -1), uniform[:100])
    assert (mode == torch.tensor([3 if onsets else 1, 0])).all()


@torch.no_grad()
def test_sampling_then_scoring_is_finite(model):
    observation = model.observation
    for steps in (1, 4):
        x = sample_batch(model, [steps], [torch.Generator().manual_seed(steps)], 1.0)[0]
        assert x.shape[0] == steps
        encoded = x.numpy()
        if isinstance(observation, Symbols):
            assert x.shape == (steps,)
            assert 0 <= encoded.min() <= encoded.max() < 4
        else:
            assert x.shape == (steps, 3)
            assert set(encoded.flatten().tolist()) <= (
                {0, 1, 3} if observation.has_onsets else {0, 1}
            )
        terms = model(x[None], torch.tensor([steps]), noise_like(model, 2, 1, steps))
        assert torch.isfinite(terms.reconstruction).all()
        assert torch.isfinite(terms.kl).all()


def test_seed_decides_a_sample_and_temperature_zero_needs_none(model):
    def are_equal(seeds: tuple[int, int], temperature: float) -> bool:
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        with torch.no_grad():
            return torch.equal(*sample_batch(model, [5, 5], generators, temperature))

    assert are_equal((1, 1), 1.0)
    assert not are_equal((1, 2), 4.0)  # at 1, a toy may be sure of a symbol
    assert are_equal((1, 2), 0.0)


@torch.no_grad()
def test_a_batch_is_the_samples_of_its_generators(model):
    """Whatever their lengths and their company: none of these draws hangs on the last bits."""
    lengths = [3, 1, 4]
    generators = [torch.Generator().manual_seed(seed) for seed in range(3)]
    together = sample_batch(model, lengths, generators, 1.0)
    for seed, (length, x) in enumerate(zip(lengths, together, strict=True)):
        assert torch.equal(
            x, sample_batch(model, [length], [torch.Generator().manual_seed(seed)], 1.0)[0]
        )


@pytest.mark.parametrize(
    ("toy_observation", "toy_emission"),
    [(Symbols(3), "categorical"), (Frames(2, False), "nade"), (Frames(2, True), "past")],
)
@torch.no_grad()
def test_baseline_samples_follow_its_own_probabilities(toy_observation, toy_emission):
    """The loop that draws and the parallel pass that scores are the same distribution."""
    model = toy("lstm", toy_observation, emission=toy_emission)
    generators = [torch.Generator().manual_seed(seed) for seed in range(1500)]
    draws = torch.stack(sample_batch(model, [2] * 1500, generators, 1.0))
    x = every_sequence(toy_observation, 2)
    expected = model(x, torch.full((len(x),), 2), None).reconstruction[0].exp()
    found = (draws[:, None] == x).flatten(2).all(-1).double().mean(0)
    assert ((found - expected).abs() <= 4 * (expected * (1 - expected) / 1500).sqrt()).all()


@pytest.mark.slow
@pytest.mark.parametrize("latent_name", sorted(set(NAMED_MODELS) - {"lstm"}))
@torch.inference_mode()
def test_512_long_sequences_are_finite(latent_name):
    """Of fresh weights, at the tiny preset's sizes, drawn and scored: 288 steps."""
    torch.manual_seed(0)
    config = run_config(latent_name, "tiny", corpus=Corpus("text"))
    model = build_model(config.model, Symbols(50), LengthModel()).eval()
    assert isinstance(model, LatentFlow)
    count, steps = 512, 288
    lengths = torch.full((count,), steps)
    positions = model.positions(lengths, steps)
    z = model.prior.draw(positions, lengths, torch.randn(count, steps, model.noise_size))
    for values in (z, model.prior.log_prob(z, positions, lengths)):
        assert torch.isfinite(values).all()
    for part in torch.arange(count).split(64):
        x = torch.randint(50, (len(part), steps))
        assert torch.isfinite(model.emission(z[part], lengths[part], positions[part], x)).all()
