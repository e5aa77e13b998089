"""The mixture of a model of voices with copies of the frames that attention recalls."""

import math
from collections.abc import Sequence

import pytest
import torch
from toy_models import key_values, randomise

from lnfgen.models.autoregressive import AutoregressiveHead
from lnfgen.models.mixture import Copies, Gate, recallable, recalls_of_a_band
from lnfgen.models.observation import Frames

KEYS = 6
CONTEXT = 5
NUM_COPIES = 5  # four heads of attention, and the start of the piece


def head(keys: int = KEYS, has_onsets: bool = False) -> AutoregressiveHead:
    torch.manual_seed(0)
    frames = Frames(keys, has_onsets)
    return AutoregressiveHead(frames, CONTEXT, 32, 0.0, copies=True).double().eval()


def with_weights(tied: AutoregressiveHead, weights: Sequence[float]) -> AutoregressiveHead:
    """The head with the same weights of the model and of the copies at each frame."""
    logarithms = torch.tensor(weights, dtype=torch.float64).log().clamp(min=-1e3)

    class Fixed(torch.nn.Module):
        def forward(
            self, nothing: torch.Tensor, context: torch.Tensor, parts: torch.Tensor
        ) -> torch.Tensor:
            return logarithms.expand(len(nothing), -1)

    tied.gate = Fixed()
    return tied


def every_frame_after(past: torch.Tensor, has_onsets: bool) -> torch.Tensor:
    """The past `[T, P]`, and then each frame that there is: `[N, T + 1, 1, P]`."""
    values = torch.tensor(key_values(Frames(1, has_onsets)), dtype=torch.uint8)
    every = torch.cartesian_prod(*[values] * past.shape[1])
    return torch.cat([past.expand(len(every), -1, -1), every[:, None]], 1)[:, :, None]


def probabilities(tied: AutoregressiveHead, x: torch.Tensor) -> torch.Tensor:
    """Of the last frame of each sequence, in the same context."""
    context = torch.ones(1, 1, CONTEXT, dtype=torch.float64).expand(len(x), x.shape[1], -1)
    return tied.frames.log_prob(tied(context, x), x)[:, -1].exp()


@pytest.mark.parametrize("has_onsets", [False, True])
@torch.no_grad()
def test_probabilities_sum_to_1_beside_copies(has_onsets):
    tied = randomise(head(5, has_onsets))
    phrase = [[1, 0, 0, 1, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0], [1, 1, 0, 1, 0]]
    past = torch.tensor(phrase * 2, dtype=torch.uint8)
    total = probabilities(tied, every_frame_after(past, has_onsets)).sum()
    assert float(total) == pytest.approx(1.0, abs=1e-9)


@torch.no_grad()
def test_the_mixture_is_one_of_whole_frames():
    """Not one of single voices, which would go on with a recalled chord below another melody."""
    tied = randomise(head())
    phrase = [[1, 0, 0, 1, 0, 0], [0, 1, 0, 0, 1, 1], [1, 1, 0, 0, 0, 1]]
    x = every_frame_after(torch.tensor(phrase * 2, dtype=torch.uint8), False)
    weights = [0.4, 0.1, 0.1, 0.1, 0.2, 0.1]
    expected = torch.zeros(len(x), dtype=torch.float64)
    for weight, alone in zip(weights, torch.eye(1 + NUM_COPIES).tolist(), strict=True):
        expected += weight * probabilities(with_weights(tied, alone), x)
    found = probabilities(with_weights(tied, weights), x)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_every_key_reads_by_its_weight_that_nothing_is_recalled():
    tied = head()
    num_values = tied.from_copied.in_features // NUM_COPIES * KEYS
    values = torch.rand(2, NUM_COPIES, num_values, dtype=torch.float64)
    nothing = torch.full((2, NUM_COPIES, 1), 0.25, dtype=torch.float64)
    before = tied._units_of_recalled(torch.cat([values, nothing], -1))
    after = tied._units_of_recalled(torch.cat([values, 3 * nothing], -1))
    expected = (0.5 * tied.from_nothing.weight.sum(-1)).expand(2, KEYS, -1)
    torch.testing.assert_close(after - before, expected)


@torch.no_grad()
def test_a_phrase_that_comes_again_is_repeated_before_anything_is_learned():
    tied = head(20, has_onsets=True)
    generator = torch.Generator().manual_seed(1)
    phrase = torch.zeros(24, 20, dtype=torch.uint8)
    for step in phrase:
        step[torch.randperm(20, generator=generator)[:4]] = 3
    x = torch.cat([phrase, phrase])[None, :, None]
    context = torch.randn(1, 48, CONTEXT, dtype=torch.float64)
    cost = -tied.frames.log_prob(tied(context, x), x)[0]
    assert cost[24 + 6 :].max() < 0.1 < 3 < cost[:24].min()


@torch.no_grad()
def test_what_is_recalled_are_the_keys_of_the_steps_that_a_head_attends_to():
    x = torch.tensor([[0, 3, 0, 1], [0, 0, 0, 0], [3, 3, 1, 0]], dtype=torch.uint8)
    frames = Frames(4, True)
    values = recallable(frames.part_bits(x, torch.float64), x)
    attention = torch.tensor([[0.5, 0.0, 0.0], [0.25, 0.0, 0.25], [0.0, 0.4, 0.0]]).double()
    recalled = torch.cat([attention @ values, 1 - attention.sum(-1, keepdim=True)], -1)
    copies = Copies.of(recalled[None], 4)
    assert copies.sounding[0].tolist() == [[0, 1, 0, 1], [0.5, 1, 0.5, 0.5], [0, 0, 0, 0]]
    assert copies.highest_choice()[0].tolist() == [
        [0, 0, 0, 0, 1],
        [0, 0, 0, 0.5, 0.5],
        [1, 0, 0, 0, 0],
    ]
    assert copies.lowest[0].tolist() == [[0, 1, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 0, 0]]
    between = torch.tensor([[False, True, True, False]])
    following = copies.next_choice(between)[0]
    assert following.tolist() == [[0, 0, 1, 0, 0], [0, 0, 0.5, 0.5, 0], [1, 0, 0, 0, 0]]
    assert torch.equal(following.sum(-1), torch.ones(3, dtype=torch.float64))
    assert copies.struck[0, 1, 3] < 0.01 < 0.99 < copies.struck[0, 1, 1]


@torch.no_grad()
def test_a_piece_can_go_back_to_the_frame_that_it_began_with():
    """After silence ahead of an upbeat too, and however far back it is."""
    tied = head(20, has_onsets=True)
    with_weights(tied, [1e-6, 0, 0, 0, 0, 1])
    x = torch.zeros(1, 700, 1, 20, dtype=torch.uint8)
    generator = torch.Generator().manual_seed(1)
    for step in x[0, 3:, 0]:
        step[torch.randperm(20, generator=generator)[:4]] = 3
    x[0, [40, 699]] = x[0, 3].clone()
    cost = -tied.frames.log_prob(tied(torch.zeros(1, 700, CONTEXT, dtype=torch.float64), x), x)[0]
    assert cost[[40, 699]].max() < 0.1 < 3 < cost[[3, 39, 41]].min()


@torch.no_grad()
def test_what_is_recalled_step_by_step_is_what_is_recalled_at_once():
    """Samples are scored as they were drawn, also after silence."""
    tied = randomise(head(8, has_onsets=True))
    tied.turns["highest"].none.bias.sub_(100.0)
    tied.gate.from_attended.weight.zero_()
    tied.gate.from_attended.bias.fill_(-3.0)  # otherwise copies of silence take all
    tied.gate.from_context.weight.mul_(0.1)
    context = torch.randn(3, 30, CONTEXT, dtype=torch.float64)
    uniform = tied.frames.uniform(3, 30, torch.Generator().manual_seed(2)).double()
    everything = torch.ones(16, dtype=torch.bool)
    silence = tied.frames.known(torch.zeros(1, 8, dtype=torch.uint8), everything)
    sampler = tied.sampler(1.0)
    drawn = []
    for t in range(30):
        known = silence if t < 4 else None
        drawn.append(sampler.draw(context[:, t], uniform[:, t], known))
    x = torch.stack([one.x for one in drawn], 1)
    assert not x[:, :4].any()
    assert x[:, 4:].flatten(1).any(-1).all()
    logits = torch.stack([one.logits for one in drawn], 1)
    torch.testing.assert_close(logits, tied(context, x), rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_a_part_of_greater_sharpness_is_surer_of_what_it_copies():
    """Its weights are a softmax of its scores times exp(sharpness); other parts stay."""
    trio = Frames(5, has_onsets=True, parts=3)
    recalls = recalls_of_a_band(trio.bits_per_part, (2, 3))
    gate = randomise(Gate(4, recalls, trio.parts), 0.5).double()
    nothing = torch.rand(6, gate.from_attended.in_features, dtype=torch.float64)
    context = torch.randn(6, 4, dtype=torch.float64)
    parts = torch.arange(6) % trio.parts
    gate.sharpness.zero_()
    before = gate(nothing, context, parts)
    gate.sharpness[1] = math.log(2)
    after = gate(nothing, context, parts)
    squared = torch.softmax(2 * before, -1)
    assert torch.allclose(after.exp()[parts == 1], squared[parts == 1], atol=1e-12)
    assert torch.equal(after[parts != 1], before[parts != 1])
