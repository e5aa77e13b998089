"""The mixture of a model of voices with copies of the frames that attention recalls."""

from collections.abc import Sequence

import pytest
import torch
from toy_models import randomise

from lnfgen.models.copied_voices import NUM_COPIES, Copies, recallable
from lnfgen.models.observation import Frames
from lnfgen.models.voices import VoiceHead

KEYS, CONTEXT = 6, 5


def head(keys: int = KEYS, has_onsets: bool = False) -> VoiceHead:
    torch.manual_seed(0)
    return VoiceHead(Frames(keys, has_onsets), CONTEXT, 32, 0.0, copies=True).double().eval()


def with_weights(tied: VoiceHead, weights: Sequence[float]) -> VoiceHead:
    """The head with the same weights of the model and of the copies at each frame."""

    class Fixed(torch.nn.Module):
        def forward(
            self, nothing: torch.Tensor, context: torch.Tensor, parts: torch.Tensor
        ) -> torch.Tensor:
            return (
                torch.tensor(weights, dtype=torch.float64)
                .log()
                .clamp(min=-1e3)
                .expand(len(nothing), -1)
            )

    tied.gate = Fixed()
    return tied


def every_frame_after(past: torch.Tensor, has_onsets: bool) -> torch.Tensor:
    """The past `[T, P]`, and then each frame that there is: `[N, T + 1, P]`."""
    values = torch.tensor([0, 1, 3] if has_onsets else [0, 1], dtype=torch.uint8)
    every = torch.cartesian_prod(*[values] * past.shape[1])
    return torch.cat([past.expand(len(every), -1, -1), every[:, None]], 1)


def probabilities(tied: VoiceHead, x: torch.Tensor) -> torch.Tensor:
    """Of the last frame of each sequence, in the same context."""
    context = torch.ones(1, 1, CONTEXT, dtype=torch.float64).expand(len(x), x.shape[1], -1)
    return tied.frames.log_prob(tied(context, x), x)[:, -1].exp()


@pytest.mark.parametrize("has_onsets", [False, True])
@torch.no_grad()
def test_probabilities_sum_to_1_beside_copies(has_onsets):
    tied = randomise(head(5, has_onsets))
    past = torch.tensor(
        [[1, 0, 0, 1, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0], [1, 1, 0, 1, 0]] * 2, dtype=torch.uint8
    )
    assert float(probabilities(tied, every_frame_after(past, has_onsets)).sum()) == pytest.approx(
        1.0, abs=1e-9
    )


@torch.no_grad()
def test_the_mixture_is_one_of_whole_frames():
    """Not one of single voices, which would go on with a recalled chord below another melody."""
    tied = randomise(head())
    past = torch.tensor(
        [[1, 0, 0, 1, 0, 0], [0, 1, 0, 0, 1, 1], [1, 1, 0, 0, 0, 1]] * 2, dtype=torch.uint8
    )
    x = every_frame_after(past, False)
    parts = [
        probabilities(with_weights(tied, row), x) for row in torch.eye(1 + NUM_COPIES).tolist()
    ]
    weights = [0.4, 0.1, 0.1, 0.1, 0.2, 0.1]
    expected = sum(weight * part for weight, part in zip(weights, parts, strict=True))
    torch.testing.assert_close(
        probabilities(with_weights(tied, weights), x), expected, rtol=1e-3, atol=1e-4
    )


@torch.no_grad()
def test_every_key_reads_by_its_weight_that_nothing_is_recalled():
    tied = head()
    num_values = tied.from_copied.in_features // NUM_COPIES * KEYS
    values = torch.rand(2, NUM_COPIES, num_values, dtype=torch.float64)
    nothing = torch.full((2, NUM_COPIES, 1), 0.25, dtype=torch.float64)
    change = tied._units_of(torch.cat([values, 3 * nothing], -1)) - tied._units_of(
        torch.cat([values, nothing], -1)
    )
    torch.testing.assert_close(change, (0.5 * tied.from_nothing.weight.sum(-1)).expand(2, KEYS, -1))


@torch.no_grad()
def test_a_phrase_that_comes_again_is_repeated_before_anything_is_learned():
    tied = head(20, has_onsets=True)
    generator = torch.Generator().manual_seed(1)
    phrase = torch.zeros(24, 20, dtype=torch.uint8)
    for step in phrase:
        step[torch.randperm(20, generator=generator)[:4]] = 3
    x = torch.cat([phrase, phrase])[None]
    context = torch.randn(1, 48, CONTEXT, dtype=torch.float64)
    cost = -tied.frames.log_prob(tied(context, x), x)[0]
    assert cost[24 + 6 :].max() < 0.1 < 3 < cost[:24].min()


@torch.no_grad()
def test_what_is_recalled_are_the_keys_of_the_steps_that_a_head_attends_to():
    x = torch.tensor([[0, 3, 0, 1], [0, 0, 0, 0], [3, 3, 1, 0]], dtype=torch.uint8)
    frames = Frames(4, True)
    values = recallable(frames.bits(x, torch.float64), x)
    attention = torch.tensor(
        [[0.5, 0.0, 0.0], [0.25, 0.0, 0.25], [0.0, 0.4, 0.0]], dtype=torch.float64
    )
    recalled = torch.cat([attention @ values, 1 - attention.sum(-1, keepdim=True)], -1)
    copies = Copies.of(recalled[None], 4)
    assert copies.sounding[0].tolist() == [[0, 1, 0, 1], [0.5, 1, 0.5, 0.5], [0, 0, 0, 0]]
    assert copies.top_choice()[0].tolist() == [
        [0, 0, 0, 0, 1],
        [0, 0, 0, 0.5, 0.5],
        [1, 0, 0, 0, 0],
    ]
    assert copies.bottom[0].tolist() == [[0, 1, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 0, 0]]
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
    x = torch.zeros(1, 700, 20, dtype=torch.uint8)
    generator = torch.Generator().manual_seed(1)
    for step in x[0, 3:]:
        step[torch.randperm(20, generator=generator)[:4]] = 3
    x[0, [40, 699]] = x[0, 3].clone()
    cost = -tied.frames.log_prob(tied(torch.zeros(1, 700, CONTEXT, dtype=torch.float64), x), x)[0]
    assert cost[[40, 699]].max() < 0.1 < 3 < cost[[3, 39, 41]].min()


@torch.no_grad()
def test_what_is_recalled_step_by_step_is_what_is_recalled_at_once():
    """Samples are scored as they were drawn, whatever comes first: notes, silence, or nothing but
    silence."""
    tied = randomise(head(8, has_onsets=True))
    tied.silence.bias.sub_(100.0)
    tied.gate.from_attended.weight.zero_()
    tied.gate.from_context.weight.mul_(0.1)
    context, batch = torch.randn(3, 30, CONTEXT, dtype=torch.float64), 3
    uniform = tied.frames.uniform(batch, 30, torch.Generator().manual_seed(2)).double()
    known = [
        tied.frames.known(torch.zeros(8, dtype=torch.uint8), torch.ones(16, dtype=torch.bool))
    ] * 4 + [None] * 26
    sampler = tied.sampler(1.0)
    drawn = [sampler.draw(context[:, t], uniform[:, t], known[t]) for t in range(30)]
    x = torch.stack([one.x for one in drawn], 1)
    assert not x[:, :4].any()
    assert x[:, 4:].flatten(1).any(-1).all()
    torch.testing.assert_close(
        torch.stack([one.logits for one in drawn], 1), tied(context, x), rtol=1e-9, atol=1e-9
    )
