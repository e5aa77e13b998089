"""The networks of the output that reads the past: what the units of the keys read."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, one_hot
from toy_heads import CONTEXT, KEYS, STEPS, TRIO, WIDE, band_head, frames, head, pairs_of
from toy_models import random_x, toy

from lnfgen.models import frame_head
from lnfgen.models.autoregressive import AutoregressiveHead
from lnfgen.models.mixture import recallable
from lnfgen.models.observation import Frames
from lnfgen.models.voice_leading import PARALLEL
from lnfgen.nn.positions import NUM_HOMES


def units_of_turns(tied: AutoregressiveHead, context: Tensor, x: Tensor) -> list[Tensor]:
    """The units of all keys in each turn, `[N, P, hidden]`."""
    units: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        units.append(inputs[0])

    hooks = [turn.out.register_forward_hook(keep) for turn in tied.turns.values()]
    tied(context, x)
    for hook in hooks:
        hook.remove()
    return units


def context_of(home: int | None = None) -> Tensor:
    """A context, whose last features are the home if there is one."""
    generator = torch.Generator().manual_seed(5)
    context = torch.randn(2, STEPS, CONTEXT, generator=generator, dtype=torch.float64)
    if home is None:
        return context
    of_home = one_hot(torch.tensor(home), NUM_HOMES + 1)[:NUM_HOMES].double()
    return torch.cat([context, of_home.expand(2, STEPS, -1)], -1)


@pytest.mark.parametrize("reads_home", [False, True])
@pytest.mark.parametrize("has_onsets", [False, True])
@torch.no_grad()
def test_what_holds_for_one_key_holds_for_the_next(has_onsets, reads_home):
    """Music a semitone higher reads the same a key higher, in a home that is higher as well.

    That holds but for the ends of the range and for what tells keys apart.
    """
    tied = head(has_onsets, reads_home=reads_home)
    for own in (tied.by_key.weight, tied.by_key.bias):
        own.zero_()
    for read in (tied.from_context, tied.gate.from_context):
        read.weight[:, CONTEXT:] = 0  # these read the home itself, not the degrees of the keys
    if reads_home:
        tied.of_home.gate.weight[:, CONTEXT:] = 0
    x = frames(has_onsets)
    homes = (3, 4) if reads_home else (None, None)
    here = units_of_turns(tied, context_of(homes[0]), x)
    there = units_of_turns(tied, context_of(homes[1]), x.roll(1, -1))
    sounds = (x > 0).any(-1).flatten()  # in silence there is no highest key to be relative to
    assert len(here) == len(there) >= 4
    for below, above in zip(here, there, strict=True):
        rows: slice | torch.Tensor = slice(None)  # where a frame is left out, all others sound
        if len(below) == len(sounds):
            rows = sounds
        torch.testing.assert_close(
            above[rows][:, 13:20], below[rows][:, 12:19], rtol=1e-12, atol=1e-12
        )


@torch.no_grad()
def test_the_same_keys_have_other_degrees_in_another_home():
    tied = head(reads_home=True)
    x = frames()
    in_major = tied(context_of(0), x)
    for home in (5, 12, NUM_HOMES):
        other = tied(context_of(home), x)
        assert not torch.allclose(in_major, other)


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


@pytest.mark.parametrize("bit", [0, 1])
@torch.no_grad()
def test_a_key_with_a_greater_bias_sounds_or_is_struck_more_often(bit):
    tied = head(copies=False)
    x = torch.ones(1, 2, 1, KEYS, dtype=torch.uint8)
    context = torch.randn(1, 2, CONTEXT, dtype=torch.float64)
    before = tied(context, x)[0, 1, bit * KEYS + KEYS - 1]
    tied.turns["highest"].key_bias[KEYS - 1, bit] += 1
    assert tied(context, x)[0, 1, bit * KEYS + KEYS - 1] > before


def test_a_frame_has_the_same_logits_and_gradients_alone_and_beside_others():
    """Beside frames of more or fewer keys, which need more or fewer turns."""
    tied = head()
    x = torch.zeros(9, 2, 1, KEYS, dtype=torch.uint8)
    for number in range(9):
        x[number, :, 0, 4 : 4 + 3 * number : 3] = 3
    context = torch.randn(9, 2, CONTEXT, dtype=torch.float64)
    weights = torch.rand(2 * KEYS, dtype=torch.float64)
    parameters = [parameter for parameter in tied.parameters() if parameter.requires_grad]

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


@pytest.mark.parametrize("parts", [1, 3])
@torch.no_grad()
def test_a_device_that_leaves_no_frame_out_has_the_same_logits(parts, monkeypatch):
    """Also of frames of one voice and of silence, which have their voices early."""
    shape = Frames(6, has_onsets=True, parts=parts)
    tied = band_head(shape, copies=True)
    x = random_x(shape, 4, STEPS)
    x[:, 1::3] = 0
    x[:, 2::3, :, 1:] = 0
    context = torch.randn(4, STEPS, 4, dtype=torch.float64)
    expected = tied(context, x)
    monkeypatch.setattr(frame_head, "_leaves_out", lambda device: False)
    torch.testing.assert_close(tied(context, x), expected)
