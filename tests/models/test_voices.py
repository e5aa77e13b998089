"""The output head that is tied across the keys and reads the frames before."""

import pytest
import torch
from toy_models import randomise

from lnfgen.models.observation import Frames, NoteNoise
from lnfgen.models.output import Emission
from lnfgen.models.voice_leading import (
    NO_KEY,
    NO_MOVE,
    NUM_MOTIONS,
    NUM_MOVES,
    NUM_VOICES,
    PARALLEL,
    RULES_RATE,
    interval_class,
    motion,
    move_case,
    voice_keys,
)
from lnfgen.models.voices import CERTAIN, VoiceHead
from lnfgen.nn.convolutions import over_keys, over_keys_by, spectrum_of

STEPS, KEYS, CONTEXT = 6, 32, 5


def head(has_onsets: bool = True, keys: int = KEYS, copies: bool = True) -> VoiceHead:
    """Large weights everywhere, but for rules, which count ten times."""
    torch.manual_seed(0)
    tied = VoiceHead(Frames(keys, has_onsets), CONTEXT, 32, 0.3, copies=copies)
    tied = randomise(tied).double().eval()
    with torch.no_grad():
        for pairs in (tied.bottom_to_top, tied.inner_to_others):
            pairs.rules.div_(RULES_RATE)
        if copies:
            tied.gate.from_attended.weight.zero_()  # otherwise copies take all
            tied.gate.from_context.weight.zero_()
    return tied


def frames(has_onsets: bool = True) -> torch.Tensor:
    """A few notes in the middle of the range, so that they can be moved without leaving it."""
    generator = torch.Generator().manual_seed(1)
    x = torch.zeros(2, STEPS, KEYS, dtype=torch.uint8)
    values = torch.tensor([0, 1, 3] if has_onsets else [0, 1, 1], dtype=torch.uint8)
    x[..., 14:18] = values[torch.randint(3, (2, STEPS, 4), generator=generator)]
    return x


@pytest.mark.parametrize("has_onsets", [False, True])
@torch.no_grad()
def test_the_frames_of_a_step_have_probabilities_that_sum_to_1(has_onsets):
    keys = 4
    tied = head(has_onsets, keys)
    states = [0, 1, 3] if has_onsets else [0, 1]
    every = torch.cartesian_prod(*[torch.tensor(states, dtype=torch.uint8)] * keys)
    for before in every[[0, 5, -1]]:
        x = torch.stack([before.expand_as(every), every], 1)
        context = torch.randn(1, 2, CONTEXT, dtype=torch.float64).expand(len(x), -1, -1)
        total = tied.frames.log_prob(tied(context, x), x)[:, 1].exp().sum()
        assert float(total) == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize("has_onsets", [False, True])
@torch.no_grad()
def test_what_holds_for_one_key_holds_for_the_next(has_onsets):
    """Music a semitone higher is told the same of a key higher, but for the ends and what tells
    keys apart."""
    tied = head(has_onsets)
    for own in (tied.by_key.weight, tied.by_key.bias):
        own.zero_()
    told: list[torch.Tensor] = []
    for choice in (tied.top, tied.bottom, tied.inner):
        choice.register_forward_hook(lambda module, inputs, output: told.append(output))
    x, context = frames(has_onsets), torch.randn(2, STEPS, CONTEXT, dtype=torch.float64)
    tied(context, x)
    here = told.copy()
    told.clear()
    tied(context, x.roll(1, -1))
    sounds = (x > 0).any(-1).flatten()  # in silence there is no highest key to be relative to
    assert len(here) == len(told) >= 4
    for below, above in zip(here, told, strict=True):
        # where a frame is left out, all others sound
        rows = sounds if len(below) == len(sounds) else slice(None)
        torch.testing.assert_close(
            above[rows][:, 13:20], below[rows][:, 12:19], rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("has_onsets", [False, True])
@torch.no_grad()
def test_a_frame_is_drawn_from_the_outside(has_onsets):
    """The highest key depends on no other of its frame, the lowest one on it, and others on both
    and those above."""
    tied, x = head(has_onsets), torch.zeros(1, STEPS, KEYS, dtype=torch.uint8)
    tied.gate.from_attended.bias.fill_(-1e4)  # for copies hardly any key depends on another one
    x[..., [10, 16, 20, 24]] = 1
    context = torch.randn(1, STEPS, CONTEXT, dtype=torch.float64)
    before = tied(context, x)[..., :KEYS]
    low, high, inner = set(range(11)), set(range(24, KEYS)), set(range(11, 24))
    for key, expected in (
        (24, low | inner),
        (10, inner),
        (20, set(range(11, 20))),
        (18, set(range(11, 18))),
    ):
        changed = x.clone()
        changed[0, 3, key] ^= 1
        changed[0, 3, 22] = 1 if key == 24 else 0
        differs = (tied(context, changed)[..., :KEYS] != before)[0]
        assert not differs[:3].any()
        assert differs[4:, max(key - 24, 0) : key + 25].any(-1).all()
        found = set(differs[3].nonzero().flatten().tolist())
        assert not found & (high - {24} if key == 24 else high)
        assert found - {key} <= expected | {22, 23}
        assert expected - {key, 22, 23} <= found


def test_rules_of_parallels_learn_only_from_frames_with_as_many_keys_as_before():
    tied, x = head(), torch.zeros(1, STEPS, KEYS, dtype=torch.uint8)
    for t in range(STEPS):
        x[:, t, [10 + t, 16 + t, 20 + t, 24 + t]] = 3
    x[:, 3, 14] = 3
    # a fifth key, and none
    tied(torch.randn(1, STEPS, CONTEXT, dtype=torch.float64), x)[:, 3:5].sum().backward()
    for pairs in (tied.bottom_to_top, tied.inner_to_others):
        assert pairs.motion.grad[:, PARALLEL:].any()
        assert pairs.rules.grad[:, :, :, :PARALLEL].any()
        assert not pairs.rules.grad[:, :, :, PARALLEL:].any()
    tied(torch.randn(1, STEPS, CONTEXT, dtype=torch.float64), x)[:, 2].sum().backward()
    assert all(
        pairs.rules.grad[:, :, :, PARALLEL:].any()
        for pairs in (tied.bottom_to_top, tied.inner_to_others)
    )


@torch.no_grad()
def test_samples_are_what_the_probabilities_say_of_their_random_numbers():
    """Each bit of a sampled frame is set where its random number is below its probability, given
    what was drawn."""
    tied = head()
    tied.silence.bias.sub_(100.0)
    context = torch.randn(3, STEPS, CONTEXT, dtype=torch.float64)
    uniform = tied.frames.uniform(3, STEPS, torch.Generator().manual_seed(2)).double()
    draw = tied.sampler(0.8)
    x = torch.stack([draw(context[:, t], uniform[:, t]) for t in range(STEPS)], 1)
    assert torch.equal(tied.frames.sample(tied(context, x, temperature=0.8), uniform), x)
    assert 0 < int((x > 0).sum()) < x.numel()
    assert torch.equal(
        Emission(None, tied).sample(context, torch.full((3,), STEPS), context, uniform, 0.8), x
    )
    # scores are those at temperature 1
    assert torch.equal(tied(context, x), tied(context, x, temperature=1.0))


def test_noise_hides_keys_and_moves_some_in_training_alone():
    x = torch.zeros(400, STEPS, KEYS, dtype=torch.uint8)
    x[..., 10], x[..., 20] = 3, 1  # so far apart that it shows where a moved key comes from
    noise = NoteNoise(0.25)
    noisy = noise.train()(x)
    for key, value in ((10, 3), (20, 1)):
        around = noisy[..., key - 2 : key + 3]
        assert set(around.unique().tolist()) == {0, value}
        shares = (around > 0).double().mean((0, 1)).tolist()
        assert shares == pytest.approx([0.25 / 16, 0.25 / 16, 0.75, 0.25 / 16, 0.25 / 16], abs=0.03)
        assert min(shares) > 0
    assert not noisy[..., :8].any()
    for keys in (1, 2, 3):
        assert noise.train()(x[..., 10 : 10 + keys]).shape == (400, STEPS, keys)
    text = torch.randint(1, 5, (8, 9))
    assert torch.equal(noise(text), text)
    assert noise.eval()(x) is x


@torch.no_grad()
def test_what_is_said_to_be_heard_replaces_the_frames_before_but_not_where_voices_were():
    tied, x = head(copies=False), frames()
    context = torch.randn(2, STEPS, CONTEXT, dtype=torch.float64)
    silence = torch.zeros_like(x)
    logits = tied(context, x, silence)
    assert not torch.equal(logits, tied(context, x))
    # the true frames of a step and of the one before it are all that it sees
    for step in range(1, STEPS):
        changed = silence.clone()
        changed[:, step - 1 : step + 1] = x[:, step - 1 : step + 1]
        torch.testing.assert_close(
            tied(context, changed, silence)[:, step], logits[:, step], rtol=1e-12, atol=1e-12
        )


def test_voices_move_relative_to_where_the_voice_of_their_number_was():
    before = torch.zeros(KEYS, dtype=torch.bool)
    before[[12, 19, 25]] = True
    keys = voice_keys(before)
    assert keys.tolist() == [25, 19, 12, *[NO_KEY] * (NUM_VOICES - 3)]
    moves = move_case(torch.arange(KEYS), keys[2])
    assert moves[[10, 12, 13]].tolist() == [NO_MOVE - 2, NO_MOVE, NO_MOVE + 1]
    assert moves[[26, 31]].unique().tolist() == [2 * NO_MOVE]  # further than an octave is one case
    # a fourth voice had no key
    assert (move_case(torch.arange(KEYS), keys[3]) == NUM_MOVES - 1).all()


MOTIONS = {
    0: [(2, 0), (0, -3), (0, 0)],
    1: [(1, -4), (-7, 2)],
    2: [(2, 1), (-9, -8), (13, 13)],  # of moves over an octave, the size is not known
    3: [(2, 2), (-1, -1)],
    4: [(5, 5)],
    5: [(-12, -12)],
}


@pytest.mark.parametrize(
    ("semitones", "other", "expected"),
    [(*moves, number) for number, cases in MOTIONS.items() for moves in cases],
)
def test_two_voices_move_in_oblique_contrary_similar_or_parallel_motion(semitones, other, expected):
    one, two = (torch.tensor(NO_MOVE + number) for number in (semitones, other))
    assert int(motion(one, two)) == int(motion(two, one)) == expected < NUM_MOTIONS
    silent = torch.tensor(NUM_MOVES - 1)
    assert int(motion(one, silent)) == int(motion(silent, silent)) == 0


def test_intervals_count_by_their_direction_and_their_size_within_an_octave():
    fifth = [interval_class(sign * torch.tensor([7, 19, 31])).unique().tolist() for sign in (1, -1)]
    assert len(fifth[0]) == len(fifth[1]) == 1
    assert fifth[0] != fifth[1]
    assert interval_class(torch.arange(-24, 25)).unique().tolist() == list(range(24))


@pytest.mark.parametrize("bit", [0, 1])
@torch.no_grad()
def test_a_key_with_a_greater_bias_sounds_or_is_struck_more_often(bit):
    tied, x = head(copies=False), torch.ones(1, 2, KEYS, dtype=torch.uint8)
    context = torch.randn(1, 2, CONTEXT, dtype=torch.float64)
    before = tied(context, x)[0, 1, bit * KEYS + KEYS - 1]
    tied.top.key_bias[KEYS - 1, bit] += 1
    assert tied(context, x)[0, 1, bit * KEYS + KEYS - 1] > before


@torch.no_grad()
def test_temperature_0_gives_the_likeliest_key_of_each_voice_whatever_the_random_numbers():
    tied, context = (
        head(has_onsets=False, copies=False),
        torch.randn(5, 1, CONTEXT, dtype=torch.float64),
    )
    tied.silence.bias.sub_(100.0)
    silence = torch.zeros(5, 1, KEYS, dtype=torch.uint8)
    sounds = torch.sigmoid(tied(context, silence)[:, 0])
    chosen = sounds * torch.cat(
        [(1 - sounds).flip(-1).cumprod(-1).flip(-1)[:, 1:], torch.ones(5, 1)], -1
    )
    drawn = {
        tuple(tied.sampler(0.0)(context[:, 0], uniform[:, 0]).flatten().tolist())
        for uniform in tied.frames.uniform(5, 3, torch.Generator().manual_seed(4))
        .double()
        .split(1, 1)
    }
    assert len(drawn) == 1
    x = torch.tensor(drawn.pop()).view(5, KEYS)
    assert [int(row.nonzero().amax()) for row in x] == chosen.argmax(-1).tolist()


@torch.no_grad()
def test_more_voices_than_are_told_apart_have_probabilities_too():
    """All frames of eight keys, of which up to eight sound."""
    tied = head(has_onsets=False, keys=8)
    every = torch.cartesian_prod(*[torch.tensor([0, 1], dtype=torch.uint8)] * 8)[:, None]
    context = torch.randn(1, 1, CONTEXT, dtype=torch.float64).expand(len(every), -1, -1)
    probability = tied.frames.log_prob(tied(context, every), every)[:, 0].exp()
    assert float(probability.sum()) == pytest.approx(1.0, abs=1e-8)
    assert (probability > 0).all()


def test_a_frame_has_the_same_logits_and_gradients_alone_and_beside_frames_of_more_or_fewer_keys():
    tied, x = head(), torch.zeros(9, 2, KEYS, dtype=torch.uint8)
    for number in range(9):
        x[number, :, 4 : 4 + 3 * number : 3] = 3
    context = torch.randn(9, 2, CONTEXT, dtype=torch.float64)
    weights = torch.rand(2 * KEYS, dtype=torch.float64)
    parameters = [*tied.parameters()]

    def found(rows: slice) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        logits = tied(context[rows], x[rows])
        summed = (torch.sigmoid(logits) * weights).sum()
        return logits, torch.autograd.grad(
            summed, parameters, allow_unused=True, materialize_grads=True
        )

    together, gradients = found(slice(None))
    alone = [found(slice(number, number + 1)) for number in range(9)]
    close = {"rtol": 1e-10, "atol": 1e-10}
    torch.testing.assert_close(together, torch.cat([logits for logits, _ in alone]), **close)
    for of_all, *of_each in zip(gradients, *(own for _, own in alone), strict=True):
        torch.testing.assert_close(of_all, sum(of_each), **close)


@pytest.mark.parametrize("keys", [1, 4, 13, 14, 49, 52, 53, 88])
@torch.no_grad()
def test_a_convolution_over_the_keys_is_the_same_by_fourier_transforms(keys):
    convolution = torch.nn.Conv1d(3, 5, 25, padding=12).double()
    x = torch.randn(2, 4, keys, 3, dtype=torch.float64)
    spectrum = spectrum_of(convolution, keys)
    torch.testing.assert_close(
        over_keys_by(spectrum, convolution, x), over_keys(convolution, x), rtol=1e-12, atol=1e-12
    )


@torch.no_grad()
def test_a_key_that_was_silent_is_struck_when_it_sounds():
    """Whatever is noisy of the frame before: noise must not teach that a key can be held after
    silence."""
    tied, x = head(), frames()
    context = torch.randn(2, STEPS, CONTEXT, dtype=torch.float64)
    onset = tied(context, x, torch.zeros_like(x))[..., KEYS:]
    silent = torch.cat([torch.ones_like(x[:, :1]), x[:, :-1] == 0], 1).bool()
    assert (onset[silent] == CERTAIN).all()
    assert (onset[~silent] != CERTAIN).all()
    draw = tied.sampler(1.0)
    uniform = tied.frames.uniform(2, STEPS, torch.Generator().manual_seed(3)).double()
    drawn = torch.stack([draw(context[:, t], uniform[:, t]) for t in range(STEPS)], 1)
    held = drawn == 1
    assert not held[:, 0].any()
    assert (drawn[:, :-1][held[:, 1:]] > 0).all()
