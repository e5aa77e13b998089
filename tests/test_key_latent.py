"""A latent of keys: the same for every key, each key by itself given z, and probabilities that sum to 1."""

import pytest
import torch
from toy_models import LENGTHS, every_sequence, noise_like, random_x, randomise, toy

from lnfgen.errors import ConfigError
from lnfgen.models import Frames, Symbols
from lnfgen.models.key_latent import KeyHead, KeyPosterior
from lnfgen.models.observation import Known
from lnfgen.models.sequence_model import SequenceModel

pytestmark = pytest.mark.contract

ONSETS = pytest.mark.parametrize("onsets", [False, True])
LATENT = ["af-only", "af-af", "af-scf", "iaf-scf", "coupling"]
KEYS = 3


def keyed(name: str, frames: Frames) -> SequenceModel:
    """A toy with means and a slope as they are at the start, where z is a precise code."""
    model = toy(name, frames, latent_kind="keys")
    model.posterior = KeyPosterior(frames)
    model.emission.head = KeyHead(frames)
    return model.double().eval()


def moved(values: torch.Tensor, kinds: int) -> torch.Tensor:
    """Values of bits, one key up, and the highest key's at the lowest one."""
    return values.unflatten(-1, (kinds, -1)).roll(1, -1).flatten(-2)


@ONSETS
@torch.no_grad()
def test_all_keys_are_alike(onsets):
    frames = Frames(5, onsets)
    kinds = 2 if onsets else 1
    posterior, head = randomise(KeyPosterior(frames)), randomise(KeyHead(frames))
    x = random_x(frames, 2, 4)
    here, up = posterior(x, LENGTHS, None), posterior(x.roll(1, -1), LENGTHS, None)
    for found, expected in zip(up, here, strict=True):
        assert torch.equal(found, moved(expected, kinds))
    z = torch.randn(2, 4, frames.num_logits)
    assert torch.equal(head(moved(z, kinds), x), moved(head(z, x), kinds))


@ONSETS
@torch.no_grad()
def test_given_z_each_bit_is_independent_of_all_others(onsets):
    """Its logit depends on its own feature alone, and not on x."""
    frames = Frames(KEYS, onsets)
    head = randomise(KeyHead(frames))
    z, x = torch.randn(1, 1, frames.num_logits), random_x(frames, 1, 1)
    before = head(z, x)
    assert torch.equal(before, head(z, random_x(frames, 1, 1, seed=5)))
    for feature in range(frames.num_logits):
        other = z.clone()
        other[..., feature] += 1
        changed = (head(other, x) != before).flatten().nonzero().flatten()
        assert changed.tolist() == [feature]


@ONSETS
@torch.no_grad()
def test_nothing_is_lost_at_the_start(onsets):
    model = keyed("af-af", Frames(KEYS, onsets))
    x = random_x(model.observation, 3, 5)
    terms = model(x, LENGTHS, noise_like(model, 20, 3, 5).double())
    assert float(terms.reconstruction.min()) > -0.05


@ONSETS
def test_a_gradient_reaches_the_means_the_variances_and_the_logits(onsets):
    model = keyed("af-scf", Frames(KEYS, onsets)).train()
    terms = model(random_x(model.observation, 3, 5), LENGTHS, noise_like(model, 2, 3, 5).double())
    (terms.reconstruction - terms.kl).mean().backward()
    for part in (model.posterior, model.emission):
        for name, parameter in part.named_parameters():
            assert parameter.grad is not None, name
            assert (parameter.grad != 0).all(), name


@ONSETS
@torch.no_grad()
def test_probabilities_of_all_frames_sum_to_1(onsets):
    """By importance sampling from a posterior that overlaps, so that it covers the prior."""
    model = keyed("af-af", Frames(2, onsets))
    randomise(model.prior, 0.15)
    model.posterior.mean.copy_(torch.tensor([-0.2, 0.2]))
    model.posterior.raw.fill_(3.3)  # a variance of 1.3
    model.emission.head.slope.fill_(1.0)
    model.emission.head.offset.fill_(0.3)
    x = every_sequence(model.observation, 1)
    samples = 4000
    terms = model(x, torch.ones(len(x), dtype=torch.long), noise_like(model, samples, len(x), 1).double())
    weights = (terms.reconstruction - terms.kl).exp()
    error = float((weights.var(0) / samples).sum().sqrt())
    assert error < 0.03
    assert abs(float(weights.mean(0).sum()) - 1) < 4 * error


@pytest.mark.parametrize("name", LATENT)
@torch.no_grad()
def test_every_flow_scores_samples_and_fills(name):
    model = keyed(name, Frames(KEYS, True)).float()
    drawn = model.sample_batch([4, 2], [torch.Generator().manual_seed(seed) for seed in (1, 2)], 1.0)
    assert [tuple(x.shape) for x in drawn] == [(4, KEYS), (2, KEYS)]
    x = random_x(model.observation, 1, 5)[0]
    mask = torch.zeros(5, model.observation.num_logits, dtype=torch.bool)
    mask[2:] = True
    known = model.observation.known(x, mask)
    filled = model.fill_batch(Known(*(part[None] for part in known)), 8, [torch.Generator().manual_seed(3)], 1.0)
    assert torch.equal(model.observation.bits(filled.x[0], torch.bool)[mask], known.values[mask])


@pytest.mark.parametrize(
    ("observation", "emission", "said"),
    [
        (Symbols(4), "auto", "found keys for text"),
        (Frames(3, True), "nade", "found keys with the output nade"),
        (Frames(3, True), "past", "found keys with the output past"),
    ],
)
def test_what_has_no_keys_of_its_own_is_refused_in_one_line(observation, emission, said):
    with pytest.raises(ConfigError, match=f"{said}.*expected") as error:
        toy("af-scf", observation, emission=emission, latent_kind="keys")
    assert "\n" not in str(error.value)
