"""The output head that is tied across the keys and reads the frames before."""

import pytest
import torch
from torch.nn.functional import logsigmoid
from toy_models import noise_like, random_x, randomise, toy

from lnfgen.models.autoregressive import CERTAIN, AutoregressiveHead
from lnfgen.models.frame_past import REACH, REACH_NEAR
from lnfgen.models.mixture import FIRST_GATE, recallable
from lnfgen.models.observation import Frames
from lnfgen.models.output import Emission
from lnfgen.models.voice_leading import PARALLEL, VoicePairs
from lnfgen.nn.parameter_groups import FAST, RATES

STEPS = 6
KEYS = 32
CONTEXT = 5


def head(has_onsets: bool = True, keys: int = KEYS, copies: bool = True) -> AutoregressiveHead:
    """Large weights everywhere, but for rules, which count ten times."""
    torch.manual_seed(0)
    tied = AutoregressiveHead(Frames(keys, has_onsets), CONTEXT, 32, 0.3, copies=copies)
    tied = randomise(tied).double().eval()
    with torch.no_grad():
        for pairs in pairs_of(tied):
            pairs.rules.div_(RATES[FAST])
        if copies:
            tied.gate.from_attended.weight.zero_()  # otherwise copies take all
            tied.gate.from_context.weight.zero_()
    return tied


def pairs_of(tied: AutoregressiveHead) -> list[VoicePairs]:
    return [tied.turns[name].pairs for name in ("lowest", "next")]


def frames(has_onsets: bool = True) -> torch.Tensor:
    """A few notes in the middle of the range, so that they can be moved without leaving it."""
    generator = torch.Generator().manual_seed(1)
    x = torch.zeros(2, STEPS, 1, KEYS, dtype=torch.uint8)
    values = torch.tensor([0, 1, 3] if has_onsets else [0, 1, 1], dtype=torch.uint8)
    x[..., 14:18] = values[torch.randint(3, (2, STEPS, 1, 4), generator=generator)]
    return x


@pytest.mark.parametrize("has_onsets", [False, True])
@torch.no_grad()
def test_the_frames_of_a_step_have_probabilities_that_sum_to_1(has_onsets):
    keys = 4
    tied = head(has_onsets, keys)
    states = [0, 1, 3] if has_onsets else [0, 1]
    every = torch.cartesian_prod(*[torch.tensor(states, dtype=torch.uint8)] * keys)
    for before in every[[0, 5, -1]]:
        x = torch.stack([before.expand_as(every), every], 1)[:, :, None]
        context = torch.randn(1, 2, CONTEXT, dtype=torch.float64).expand(len(x), -1, -1)
        total = tied.frames.log_prob(tied(context, x), x)[:, 1].exp().sum()
        assert float(total) == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize("has_onsets", [False, True])
@torch.no_grad()
def test_what_holds_for_one_key_holds_for_the_next(has_onsets):
    """Music a semitone higher reads the same a key higher.

    That holds but for the ends of the range and for what tells keys apart.
    """
    tied = head(has_onsets)
    for own in (tied.by_key.weight, tied.by_key.bias):
        own.zero_()
    units: list[torch.Tensor] = []
    for turn in tied.turns.values():
        turn.out.register_forward_hook(lambda module, inputs, output: units.append(inputs[0]))
    x = frames(has_onsets)
    context = torch.randn(2, STEPS, CONTEXT, dtype=torch.float64)
    tied(context, x)
    here = units.copy()
    units.clear()
    tied(context, x.roll(1, -1))
    sounds = (x > 0).any(-1).flatten()  # in silence there is no highest key to be relative to
    assert len(here) == len(units) >= 4
    for below, above in zip(here, units, strict=True):
        rows: slice | torch.Tensor = slice(None)  # where a frame is left out, all others sound
        if len(below) == len(sounds):
            rows = sounds
        torch.testing.assert_close(
            above[rows][:, 13:20], below[rows][:, 12:19], rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("has_onsets", [False, True])
@torch.no_grad()
def test_a_frame_is_drawn_from_the_outside(has_onsets):
    """The highest key depends on no other of its frame, the lowest one on it alone.

    Others depend on both and on those above them.
    """
    tied = head(has_onsets)
    tied.gate.from_attended.bias.fill_(-1e4)  # for copies hardly any key depends on another one
    x = torch.zeros(1, STEPS, 1, KEYS, dtype=torch.uint8)
    x[..., [10, 16, 20, 24]] = 1
    context = torch.randn(1, STEPS, CONTEXT, dtype=torch.float64)
    before = tied(context, x)[..., :KEYS]
    low = set(range(11))
    high = set(range(24, KEYS))
    inner = set(range(11, 24))
    depending = {24: low | inner, 10: inner, 20: set(range(11, 20)), 18: set(range(11, 18))}
    for key, expected in depending.items():
        changed = x.clone()
        changed[0, 3, 0, key] ^= 1
        changed[0, 3, 0, 22] = 1 if key == 24 else 0
        differs = (tied(context, changed)[..., :KEYS] != before)[0]
        assert not differs[:3].any()
        assert differs[4:, max(key - 24, 0) : key + 25].any(-1).all()
        found = set(differs[3].nonzero().flatten().tolist())
        assert not found & (high - {key})
        assert found - {key} <= expected | {22, 23}
        assert expected - {key, 22, 23} <= found


def test_rules_of_parallels_learn_only_from_frames_with_as_many_keys_as_before():
    tied = head()
    x = torch.zeros(1, STEPS, 1, KEYS, dtype=torch.uint8)
    for t in range(STEPS):
        x[:, t, 0, [10 + t, 16 + t, 20 + t, 24 + t]] = 3
    x[:, 3, 0, 14] = 3  # a fifth key at one step
    context = torch.randn(1, STEPS, CONTEXT, dtype=torch.float64)
    tied(context, x)[:, 3:5].sum().backward()
    for pairs in pairs_of(tied):
        assert pairs.motion.grad[:, PARALLEL:].any()
        assert pairs.rules.grad[:, :, :, :PARALLEL].any()
        assert not pairs.rules.grad[:, :, :, PARALLEL:].any()
    tied(context, x)[:, 2].sum().backward()
    for pairs in pairs_of(tied):
        assert pairs.rules.grad[:, :, :, PARALLEL:].any()


@torch.no_grad()
def test_samples_are_what_the_probabilities_say_of_their_random_numbers():
    """Each bit is set where its random number is below its probability, given what was drawn."""
    tied = head()
    tied.turns["highest"].none.bias.sub_(100.0)
    context = torch.randn(3, STEPS, CONTEXT, dtype=torch.float64)
    uniform = tied.frames.uniform(3, STEPS, torch.Generator().manual_seed(2)).double()
    draw = tied.sampler(0.8)
    x = torch.stack([draw(context[:, t], uniform[:, t]) for t in range(STEPS)], 1)
    assert torch.equal(tied.frames.sample(tied(context, x, temperature=0.8), uniform), x)
    assert 0 < int((x > 0).sum()) < x.numel()
    lengths = torch.full((3,), STEPS)
    again = Emission(None, tied).sample(context, lengths, context, uniform, 0.8)
    assert torch.equal(again, x)
    # Scores are those at temperature 1.
    assert torch.equal(tied(context, x), tied(context, x, temperature=1.0))


@torch.no_grad()
def test_noisy_frames_replace_the_frames_before_but_not_where_voices_were():
    tied = head(copies=False)
    x = frames()
    context = torch.randn(2, STEPS, CONTEXT, dtype=torch.float64)
    silence = torch.zeros_like(x)
    logits = tied(context, x, silence)
    assert not torch.equal(logits, tied(context, x))
    # The true frames of a step and of the one before it are all that it sees.
    for step in range(1, STEPS):
        changed = silence.clone()
        changed[:, step - 1 : step + 1] = x[:, step - 1 : step + 1]
        found = tied(context, changed, silence)[:, step]
        torch.testing.assert_close(found, logits[:, step], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("bit", [0, 1])
@torch.no_grad()
def test_a_key_with_a_greater_bias_sounds_or_is_struck_more_often(bit):
    tied = head(copies=False)
    x = torch.ones(1, 2, 1, KEYS, dtype=torch.uint8)
    context = torch.randn(1, 2, CONTEXT, dtype=torch.float64)
    before = tied(context, x)[0, 1, bit * KEYS + KEYS - 1]
    tied.turns["highest"].key_bias[KEYS - 1, bit] += 1
    assert tied(context, x)[0, 1, bit * KEYS + KEYS - 1] > before


@torch.no_grad()
def test_temperature_0_gives_the_likeliest_key_of_each_voice_whatever_the_random_numbers():
    tied = head(has_onsets=False, copies=False)
    tied.turns["highest"].none.bias.sub_(100.0)
    context = torch.randn(5, 1, CONTEXT, dtype=torch.float64)
    silence = torch.zeros(5, 1, 1, KEYS, dtype=torch.uint8)
    sounds = torch.sigmoid(tied(context, silence)[:, 0])
    none_above = (1 - sounds).flip(-1).cumprod(-1).flip(-1)[:, 1:]
    highest = (sounds * torch.cat([none_above, torch.ones(5, 1)], -1)).argmax(-1)
    uniform = tied.frames.uniform(5, 3, torch.Generator().manual_seed(4)).double()
    drawn = [tied.sampler(0.0)(context[:, 0], uniform[:, number]) for number in range(3)]
    assert torch.equal(drawn[1], drawn[0])
    assert torch.equal(drawn[2], drawn[0])
    assert [int(row.nonzero().amax()) for row in drawn[0][:, 0]] == highest.tolist()


@torch.no_grad()
def test_more_voices_than_have_numbers_have_probabilities_too():
    """All frames of eight keys, of which up to eight sound."""
    tied = head(has_onsets=False, keys=8)
    every = torch.cartesian_prod(*[torch.tensor([0, 1], dtype=torch.uint8)] * 8)[:, None, None]
    context = torch.randn(1, 1, CONTEXT, dtype=torch.float64).expand(len(every), -1, -1)
    probability = tied.frames.log_prob(tied(context, every), every)[:, 0].exp()
    assert float(probability.sum()) == pytest.approx(1.0, abs=1e-8)
    assert (probability > 0).all()


def test_a_frame_has_the_same_logits_and_gradients_alone_and_beside_others():
    """Beside frames of more or fewer keys, which need more or fewer turns."""
    tied = head()
    x = torch.zeros(9, 2, 1, KEYS, dtype=torch.uint8)
    for number in range(9):
        x[number, :, 0, 4 : 4 + 3 * number : 3] = 3
    context = torch.randn(9, 2, CONTEXT, dtype=torch.float64)
    weights = torch.rand(2 * KEYS, dtype=torch.float64)
    parameters = list(tied.parameters())

    def found(rows: slice) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        logits = tied(context[rows], x[rows])
        summed = (torch.sigmoid(logits) * weights).sum()
        return logits, torch.autograd.grad(
            summed, parameters, allow_unused=True, materialize_grads=True
        )

    together, gradients = found(slice(None))
    logits = []
    sums = [torch.zeros_like(parameter) for parameter in parameters]
    for number in range(9):
        own_logits, own_gradients = found(slice(number, number + 1))
        logits.append(own_logits)
        for total, own in zip(sums, own_gradients, strict=True):
            total += own
    torch.testing.assert_close(together, torch.cat(logits), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(list(gradients), sums, rtol=1e-10, atol=1e-10)


@torch.no_grad()
def test_a_key_that_was_silent_is_struck_when_it_sounds():
    """Also where the frame before is noisy.

    Noise must not teach that a key can be held after silence.
    """
    tied = head()
    x = frames()
    context = torch.randn(2, STEPS, CONTEXT, dtype=torch.float64)
    onset = tied(context, x, torch.zeros_like(x))[..., KEYS:]
    silent = torch.cat([torch.ones_like(x[:, :1]), x[:, :-1] == 0], 1).bool()[:, :, 0]
    assert (onset[silent] == CERTAIN).all()
    assert (onset[~silent] != CERTAIN).all()
    draw = tied.sampler(1.0)
    uniform = tied.frames.uniform(2, STEPS, torch.Generator().manual_seed(3)).double()
    drawn = torch.stack([draw(context[:, t], uniform[:, t]) for t in range(STEPS)], 1)
    held = drawn == 1
    assert not held[:, 0].any()
    assert (drawn[:, :-1][held[:, 1:]] > 0).all()


# Bands, whose parts take turns at each step.
# --------------------------------------------------------------------------------------------------

TRIO = Frames(5, has_onsets=True, parts=3)
WIDE = Frames(REACH + REACH_NEAR + 4, has_onsets=True, parts=2)


def band_head(frames: Frames, *, copies: bool) -> AutoregressiveHead:
    torch.manual_seed(0)
    made = AutoregressiveHead(frames, 4, 32, 0.0, copies=copies)
    return randomise(made, 0.2).double().eval()


@pytest.mark.parametrize("name", ["lstm", "af-scf/scan"])
@torch.no_grad()
def test_a_part_reads_the_parts_before_it_and_nothing_later(name):
    model = toy(name, TRIO, emission="autoregressive").double()
    num_steps = 4
    x = random_x(TRIO, 1, num_steps)
    lengths = torch.tensor([num_steps])
    noise = noise_like(model, 1, 1, num_steps)
    if noise is not None:
        noise = noise.double()
    of_x = model.encode(x, lengths, None)
    before = TRIO.by_part(model.logits(x, lengths, of_x, noise))
    for step in range(num_steps):
        for part in range(TRIO.parts):
            other = x.clone()
            other[:, step, part] = 3 - 3 * (x[:, step, part] > 0).to(torch.uint8)
            # Both have the same z, so that only what the output reads can change.
            of_other = of_x
            if noise is None:
                of_other = model.encode(other, lengths, None)
            after = TRIO.by_part(model.logits(other, lengths, of_other, noise))
            same = (before == after).all(-1).flatten().tolist()
            place = step * TRIO.parts + part
            assert all(same[:place])
            # The frame itself decides the logits of its own later keys.
            next_ones = same[place + 1 : place + 1 + TRIO.parts]
            assert not any(next_ones), "the next parts, and the same part at the next step"


@pytest.mark.parametrize("copies", [False, True])
@torch.no_grad()
def test_step_by_step_a_band_is_drawn_as_it_is_scored(copies):
    """The logits at what is drawn are those of all steps at once, also after rows were chosen."""
    drawing = band_head(TRIO, copies=copies)
    if copies:
        drawing.gate.from_attended.weight.zero_()  # otherwise copies of silence take all
        drawing.gate.from_attended.bias.fill_(FIRST_GATE)
    context = torch.randn(4, 12, 4, dtype=torch.float64)
    uniform = TRIO.uniform(4, 12, torch.Generator().manual_seed(1)).double()
    sampler = drawing.sampler(1.0)
    rows = torch.tensor([2, 0, 0, 3])
    x = torch.empty(4, 0, TRIO.parts, 5, dtype=torch.uint8)
    logits = torch.empty(4, 0, TRIO.num_logits, dtype=torch.float64)
    for t in range(12):
        if t == 7:
            sampler.reindex(rows)
            x = x[rows]
            logits = logits[rows]
            context = context[rows]
            uniform = uniform[rows]
        drawn = sampler.draw(context[:, t], uniform[:, t], None)
        x = torch.cat([x, drawn.x[:, None]], 1)
        logits = torch.cat([logits, drawn.logits[:, None]], 1)
    torch.testing.assert_close(logits, drawing(context, x), rtol=1e-9, atol=1e-9)
    assert torch.equal(TRIO.sample(logits, uniform)[:, 7:], x[:, 7:])
    assert len({tuple(frame) for frame in x.flatten(0, 2).tolist()}) > 4


@torch.no_grad()
def test_the_same_frames_mean_something_else_in_another_part():
    model = toy("lstm", TRIO, emission="autoregressive").double()
    x = torch.ones(1, 2, TRIO.parts, 5, dtype=torch.uint8)
    lengths = torch.tensor([2])
    logits = model.logits(x, lengths, model.encode(x, lengths, None), None)[0, 0]
    of_parts = TRIO.by_part(logits[1])
    assert len({tuple(row.tolist()) for row in of_parts}) == TRIO.parts


@torch.no_grad()
def test_a_stroke_of_the_drums_is_read_by_keys_of_any_distance():
    """The odds of the two highest keys of the bass hang on their own units alone.

    They do not hang on those of the keys below.
    """
    scoring = band_head(WIDE, copies=False)
    context = torch.randn(1, 1, 4, dtype=torch.float64)
    x = torch.zeros(2, 1, 2, WIDE.num_pitches, dtype=torch.uint8)
    x[1, 0, 0, 0] = 3  # the lowest drum
    of_bass = WIDE.by_part(scoring(context.expand(2, -1, -1), x))[:, 0, 1]
    *_, second, highest = of_bass[:, : WIDE.num_pitches].T
    odds = logsigmoid(highest) - logsigmoid(-highest) - logsigmoid(second)
    assert abs(odds[1] - odds[0]) > 1e-6


@torch.no_grad()
def test_how_many_keys_were_struck_is_recalled_at_all_keys():
    """So a rhythm may come again at other pitches."""
    scoring = band_head(WIDE, copies=True)
    frames = torch.zeros(3, WIDE.num_pitches, dtype=torch.uint8)
    # Silence, a struck key, and the same with a key that is held.
    frames[1:, 2] = 3
    frames[2, 4] = 1
    values = recallable(WIDE.part_bits(frames, torch.float64), frames)
    copies = scoring.from_nothing.in_features
    recalled = torch.cat([values, values.new_zeros(3, 1)], -1)[:, None].expand(-1, copies, -1)
    units = scoring._units_of_recalled(recalled)
    assert (units[1, 8:] != units[0, 8:]).any(-1).all()
    assert (units[2, 8:] != units[1, 8:]).any(-1).all()
