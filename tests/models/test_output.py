"""Output heads: what a key depends on, sums of probabilities, and samples that follow them."""

import itertools

import pytest
import torch
from torch import Tensor
from toy_models import SIZES, every_sequence, random_x, randomise, toy

from lnfgen.models.observation import Frames, Symbols
from lnfgen.models.output import UNITS_PER_KEY, IndependentHead, NADEHead, OutputHead
from lnfgen.nn.positions import POSITION_SIZE

pytestmark = pytest.mark.contract

C = 4  # context features
ONSETS = pytest.mark.parametrize("onsets", [False, True])


def context_of(*shape: int) -> Tensor:
    return torch.randn(*shape, C, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def head_of(
    kind: type[IndependentHead] | type[NADEHead], frames: Frames, scale: float = 0.7
) -> OutputHead:
    return randomise(kind(frames, C, 5, 0.3).double().eval(), scale)  # type: ignore[arg-type]


def every_frame(frames: Frames) -> Tensor:
    """`[all, 1, P]`."""
    return every_sequence(frames, 1)[:, 0]


def probabilities(head: OutputHead, frames: Frames, context: Tensor) -> Tensor:
    """Of every frame, given one context `[C]`."""
    x = every_frame(frames)[:, None]
    return frames.log_prob(head(context.expand(len(x), 1, -1), x), x)[:, 0].exp()


@ONSETS
@torch.no_grad()
def test_probabilities_of_all_frames_sum_to_one_and_keys_depend_on_each_other(onsets):
    frames = Frames(3, onsets)
    context = context_of()
    x = every_frame(frames)

    def product_of_marginals(joint: Tensor) -> Tensor:
        product = torch.ones_like(joint)
        for key in range(3):
            same = x[:, 0, key, None] == x[:, 0, key]
            product = product * (same * joint).sum(-1)
        return product

    joint = probabilities(head_of(NADEHead, frames), frames, context)
    assert float(joint.sum()) == pytest.approx(1, abs=1e-12)
    # Round-off is below 1e-12.
    assert float((joint - product_of_marginals(joint)).abs().max()) > 1e-4
    independent = probabilities(head_of(IndependentHead, frames), frames, context)
    torch.testing.assert_close(independent, product_of_marginals(independent), rtol=1e-12, atol=0)


@ONSETS
@torch.no_grad()
def test_a_key_depends_on_every_lower_key_and_on_no_other(onsets):
    """Over all pairs of frames."""
    frames = Frames(3, onsets)
    x = every_frame(frames)
    head = head_of(NADEHead, frames)
    context = context_of(1)
    # One by one: a batch's rows round differently.
    logits = torch.cat([head(context, frame[None]) for frame in x])
    by_key = logits.unflatten(-1, (-1, 3))  # sounding, onset
    for (i, a), (j, b) in itertools.combinations(enumerate(x), 2):
        first = int((a[0] != b[0]).nonzero()[0, 0])
        assert torch.equal(by_key[i, :, : first + 1], by_key[j, :, : first + 1])
        assert (by_key[i, :, first + 1 :] != by_key[j, :, first + 1 :]).all()


@ONSETS
@torch.no_grad()
def test_frames_are_drawn_as_often_as_they_are_likely(onsets):
    frames = Frames(3, onsets)
    context = context_of()
    head = head_of(NADEHead, frames)
    draws = 40_000
    uniform = frames.uniform(1, draws, torch.Generator().manual_seed(0))[0].double()
    drawn = head.sampler(1.0)(context.expand(draws, -1), uniform)
    assert drawn.dtype == torch.uint8
    expected = probabilities(head, frames, context)
    found = (drawn[:, None] == every_frame(frames)).flatten(2).all(-1).double().mean(0)
    assert float(found.sum()) == pytest.approx(1)
    deviations = (expected * (1 - expected) / draws).sqrt()
    assert ((found - expected).abs() <= 4 * deviations + 1e-9).all()


def test_a_symbol_is_drawn_by_one_number_and_as_often_as_it_is_likely():
    symbols = Symbols(7)
    count = 10_000
    assert symbols.uniform(3, 5, torch.Generator().manual_seed(0)).shape == (3, 5, 1)
    logits = 2 * torch.randn(7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    every = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    drawn = symbols.sample(logits.expand(count, -1), every[:, None])
    assert (drawn.diff() <= 0).all()
    assert (drawn.bincount(minlength=7) - count * torch.softmax(logits, 0)).abs().max() <= 1


@ONSETS
@pytest.mark.parametrize("temperature", [1.0, 0.5, 0.0])
@torch.no_grad()
def test_sweeps_over_the_keys_are_the_loop_bit_for_bit(onsets, temperature):
    frames = Frames(88, onsets)
    head = head_of(NADEHead, frames, scale=0.2).float()
    context = context_of(1, 9).float()
    uniform = frames.uniform(1, 9, torch.Generator().manual_seed(0))
    x = torch.zeros(1, 9, 1, 88, dtype=torch.uint8)
    for key in range(88):
        x[..., key] = frames.sample(head(context, x, temperature=temperature), uniform)[..., key]
    assert torch.equal(head.sampler(temperature)(context, uniform), x)
    assert 0 < int((x > 0).sum()) < x.numel()


@torch.no_grad()
def test_a_chain_of_keys_takes_as_many_sweeps_as_there_are_keys():
    """The worst case: each key depends on the key below."""
    frames = Frames(6, False)
    head = head_of(NADEHead, frames, scale=0.0)
    keys = torch.arange(1, 6)
    units = UNITS_PER_KEY * keys  # the first that sees the key below
    head.made.first.weight[units, keys - 1] = 1000
    head.made.second.weight[units, units] = 1
    head.made.last.weight[keys, units] = 1000
    head.made.output_context.bias.copy_(torch.tensor([500.0] + 5 * [-500.0]))
    assert (head.sampler(1.0)(context_of(2), torch.full((2, 6), 0.5).double()) == 1).all()


@pytest.mark.parametrize("observation", [Symbols(5), Frames(5, False), Frames(5, True)])
def test_logits_keep_full_precision_under_autocast(observation):
    kinds = [IndependentHead]
    if isinstance(observation, Frames):
        kinds.append(NADEHead)
    context = context_of(2, 3).float()
    x = torch.ones_like(random_x(observation, 2, 3))
    for kind in kinds:
        head = kind(observation, C, 5, 0.0)
        with torch.autocast("cpu", torch.bfloat16):
            logits = head(context, x)
        assert logits.dtype == torch.float32
        torch.testing.assert_close(logits, head(context, x), rtol=0.05, atol=0.05)
        assert torch.isfinite(observation.log_prob(logits, x)).all()


def test_the_emission_sees_the_whole_latent_and_its_own_step_outside_the_recurrence():
    emission = toy("af-scf", Symbols(4)).emission
    x = random_x(Symbols(4), 1, 5)
    z = torch.randn(1, 5, SIZES.latent_size)
    positions = torch.randn(1, 5, POSITION_SIZE)
    lengths = torch.tensor([5])

    def by_network(z: Tensor) -> Tensor:
        return emission.network(torch.cat([z, positions], -1), lengths)[0]

    def by_all(z: Tensor) -> Tensor:
        return emission(z, lengths, positions, x)[0, 0]

    recurrent = torch.autograd.functional.jacobian(by_network, z)
    whole = torch.autograd.functional.jacobian(by_all, z)
    for t, s in itertools.product(range(5), repeat=2):
        assert bool((recurrent[t, :, 0, s] != 0).any()) == (s != t)
        assert (whole[t, :, 0, s] != 0).any()
