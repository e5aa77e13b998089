"""Output heads: which keys a key depends on, that probabilities sum to 1, and that samples follow
them."""

import itertools

import pytest
import torch
from torch import Tensor
from toy_models import every_sequence, randomise

from lnfgen.models.observation import Frames, Symbols
from lnfgen.models.output import UNITS_PER_KEY, IndependentHead, NADEHead, OutputHead

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
    """`[all, P]`."""
    return every_sequence(frames, 1)[:, 0]


def probabilities(head: OutputHead, frames: Frames, context: Tensor) -> Tensor:
    """Of every frame, given one context `[C]`."""
    x = every_frame(frames)[:, None]
    return frames.log_prob(head(context.expand(len(x), 1, -1), x), x)[:, 0].exp()


@ONSETS
@torch.no_grad()
def test_probabilities_of_all_frames_sum_to_one_and_keys_depend_on_each_other(onsets):
    frames, context = Frames(3, onsets), context_of()
    x = every_frame(frames)

    def product_of_marginals(joint: Tensor) -> Tensor:
        product = torch.ones_like(joint)
        for key in range(3):
            same = x[:, key, None] == x[:, key]
            product = product * (same * joint).sum(-1)
        return product

    joint = probabilities(head_of(NADEHead, frames), frames, context)
    assert float(joint.sum()) == pytest.approx(1, abs=1e-12)
    # round-off is below 1e-12
    assert float((joint - product_of_marginals(joint)).abs().max()) > 1e-4
    independent = probabilities(head_of(IndependentHead, frames), frames, context)
    torch.testing.assert_close(independent, product_of_marginals(independent), rtol=1e-12, atol=0)


@ONSETS
@torch.no_grad()
def test_a_key_is_told_of_every_lower_key_and_of_no_other(onsets):
    """Over all pairs of frames: the matrix of what each logit depends on is strictly triangular,
    and full below."""
    frames = Frames(3, onsets)
    x = every_frame(frames)
    head, context = head_of(NADEHead, frames), context_of(1)
    # one by one: a batch's rows round differently
    logits = torch.cat([head(context, frame[None]) for frame in x])
    by_key = logits.unflatten(-1, (-1, 3))  # sounding, onset
    for (i, a), (j, b) in itertools.combinations(enumerate(x), 2):
        first = int((a != b).nonzero()[0, 0])
        assert torch.equal(by_key[i, :, : first + 1], by_key[j, :, : first + 1])
        assert (by_key[i, :, first + 1 :] != by_key[j, :, first + 1 :]).all()


@ONSETS
@torch.no_grad()
def test_frames_are_drawn_as_often_as_they_are_likely(onsets):
    frames, context = Frames(3, onsets), context_of()
    head, draws = head_of(NADEHead, frames), 40_000
    uniform = frames.uniform(1, draws, torch.Generator().manual_seed(0))[0].double()
    drawn = head.sampler(1.0)(context.expand(draws, -1), uniform)
    assert drawn.dtype == torch.uint8
    expected = probabilities(head, frames, context)
    found = (drawn[:, None] == every_frame(frames)).all(-1).double().mean(0)
    assert float(found.sum()) == pytest.approx(1)
    assert ((found - expected).abs() <= 4 * (expected * (1 - expected) / draws).sqrt() + 1e-9).all()


def test_a_symbol_is_drawn_by_one_number_and_as_often_as_it_is_likely():
    symbols, count = Symbols(7), 10_000
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
    x = torch.zeros(1, 9, 88, dtype=torch.uint8)
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
    kinds = [IndependentHead] if isinstance(observation, Symbols) else [IndependentHead, NADEHead]
    context = context_of(2, 3).float()
    x = torch.ones((2, 3) if isinstance(observation, Symbols) else (2, 3, 5), dtype=torch.uint8)
    for kind in kinds:
        head = kind(observation, C, 5, 0.0)
        with torch.autocast("cpu", torch.bfloat16):
            logits = head(context, x)
        assert logits.dtype == torch.float32
        torch.testing.assert_close(logits, head(context, x), rtol=0.05, atol=0.05)
        assert torch.isfinite(observation.log_prob(logits, x)).all()
