"""A latent of keys and its prior: tied across the keys, each key by itself given z, probabilities that sum to 1."""

import pytest
import torch
from toy_models import LENGTHS, noise_like, probabilities_that_sum_to_1, random_x, randomise, toy

from lnfgen.errors import ConfigError
from lnfgen.inference.filling import fill_batch
from lnfgen.models import Frames, Symbols
from lnfgen.models.key_latent import KeyHead, KeyPosterior
from lnfgen.models.observation import Known
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.nn.key_networks import NUM_BY_KEY, SIZE, KeyConditioner, KeyContext
from lnfgen.nn.scan import CausalScan

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
    probabilities_that_sum_to_1(model, steps=1, samples=1200)


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
    filled = fill_batch(model, Known(*(part[None] for part in known)), 8, [torch.Generator().manual_seed(3)])
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


def conditioner(kinds: int, downwards: bool, keys: int) -> KeyConditioner:
    made = KeyConditioner(keys, kinds, 4 + keys * NUM_BY_KEY, 8, 3, downwards=downwards)
    return randomise(made, 0.2).double().eval()


def context_network(kinds: int, keys: int) -> KeyContext:
    network = CausalScan(kinds * keys + 2, 6, 1, 0.0)
    return randomise(KeyContext(network, 6, keys, kinds, 0.0), 0.3).double().eval()


@pytest.mark.parametrize("kinds", [1, 2])
@pytest.mark.parametrize("downwards", [False, True])
@torch.no_grad()
def test_what_the_prior_learns_of_a_key_holds_for_every_key(kinds, downwards):
    """Music that is moved by a semitone has parameters that are moved, but for biases of single keys and the ends."""
    keys, inside = 60, slice(20, 50)
    before, made = context_network(kinds, keys), conditioner(kinds, downwards, keys)
    for of_single_keys in (*before.of_key.parameters(), *before.network.parameters(), made.key, made.bias):
        of_single_keys.zero_()
    z = torch.zeros(2, 4, kinds, keys, dtype=torch.float64)
    z[..., 30:40] = torch.randn(2, 4, kinds, 10)
    z = z.flatten(-2)
    found = []
    for values in (z, moved(z, kinds)):
        context, _ = before(torch.cat([values, torch.ones(2, 4, 2)], -1))
        context = torch.cat([torch.ones(2, 4, 4), context[..., 6:]], -1)
        if downwards:
            values = values.flip(-1)
        parameters = made(values, context).transpose(-1, -2)
        found.append((parameters.flip(-1) if downwards else parameters).unflatten(-1, (kinds, keys)))
    torch.testing.assert_close(found[1].roll(-1, -1)[..., inside], found[0][..., inside], rtol=1e-9, atol=1e-12)
    assert float((found[1] - found[0])[..., inside].abs().max()) > 1e-3


@pytest.mark.parametrize("kinds", [1, 2])
@pytest.mark.parametrize("downwards", [False, True])
def test_a_value_sees_exactly_those_before_it(kinds, downwards):
    made, size = conditioner(kinds, downwards, KEYS), kinds * KEYS
    context = torch.randn(1, made.num_whole + KEYS * NUM_BY_KEY, dtype=torch.float64)
    x = torch.randn(1, size, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda v: made(v, context), x)
    depends = jacobian.abs().amax((0, 2, 3)) > 0  # `[D, D]`
    assert torch.equal(depends, torch.ones(size, size).tril(-1) > 0)


@ONSETS
@torch.no_grad()
def test_the_context_of_a_key_comes_from_steps_up_to_its_own_and_can_go_on(onsets):
    network = context_network(2 if onsets else 1, KEYS)
    x = torch.randn(2, 7, (2 if onsets else 1) * KEYS + 2, dtype=torch.float64)
    whole, _ = network(x)
    assert whole.shape[-1] == 6 + KEYS * NUM_BY_KEY
    other = x.clone()
    other[:, 4] += 1
    changed = (network(other)[0] != whole).unflatten(-1, (-1,)).any(-1)
    assert changed.any(0).tolist() == [False] * 4 + [True] * 3
    first, state = network(x[:, :3])
    then, _ = network(x[:, 3:], state)
    torch.testing.assert_close(torch.cat([first, then], 1), whole, rtol=1e-12, atol=1e-13)
    assert SIZE < NUM_BY_KEY


@ONSETS
@pytest.mark.parametrize("name", ["af-af", "af-only"])
def test_the_prior_inverts_itself_with_the_log_determinant_of_its_jacobian(name, onsets):
    model = keyed(name, Frames(KEYS, onsets))
    randomise(model.prior, 0.3)
    lengths, features = torch.tensor([3]), model.latent
    positions = model.positions(lengths, 3).detach()
    z = torch.randn(1, 3, features, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda v: model.prior.inverse(v, positions, lengths)[0].flatten(), z)
    with torch.no_grad():
        eps, ladj = model.prior.inverse(z, positions, lengths)
        again, back = model.prior(eps, positions, lengths)
    assert float(ladj.sum()) == pytest.approx(float(torch.linalg.slogdet(jacobian.flatten(1))[1]), abs=1e-9)
    torch.testing.assert_close(again, z, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(ladj + back, torch.zeros_like(ladj), rtol=0, atol=1e-8)


def test_a_gradient_reaches_every_weight_of_the_prior():
    model = keyed("af-af", Frames(KEYS, True)).train()
    terms = model(random_x(model.observation, 3, 5), LENGTHS, noise_like(model, 2, 3, 5).double())
    terms.kl.mean().backward()
    for name, parameter in model.prior.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@ONSETS
def test_autocast_keeps_log_determinants_and_gradients(onsets):
    model = keyed("af-af", Frames(KEYS, onsets)).float()
    z, lengths = torch.randn(3, 5, model.latent, requires_grad=True), LENGTHS
    with torch.autocast("cpu", torch.bfloat16):
        eps, ladj = model.prior.inverse(z, model.positions(lengths, 5), lengths)
    assert eps.dtype == ladj.dtype == torch.float32
    gradients = torch.autograd.grad((eps**2).sum() - ladj.sum(), [z, *model.prior.parameters()])
    assert all(bool(torch.isfinite(found).all()) for found in (eps, ladj, *gradients))
