"""The output `past` for the parts of a band, whose steps take turns."""

import math

import pytest
import torch
from torch.nn.functional import logsigmoid
from toy_models import every_sequence, noise_like, random_x, randomise, toy

from lnfgen.models.copied_voices import FIRST_GATE, Gate, recallable
from lnfgen.models.observation import Frames
from lnfgen.models.voices import REACH, REACH_NEAR, VoiceHead

DUO = Frames(2, has_onsets=True, parts=2)
TRIO = Frames(5, has_onsets=True, parts=3)
WIDE = Frames(REACH + REACH_NEAR + 4, has_onsets=True, parts=2)


@torch.no_grad()
def test_probabilities_of_all_songs_of_two_parts_sum_to_1():
    model = toy("lstm", DUO, emission="past").double()
    x = every_sequence(DUO, 4)  # two steps of two parts
    terms = model(x, torch.full((len(x),), 4), None)
    assert abs(float(terms.reconstruction.exp().sum()) - 1) < 1e-10


@pytest.mark.parametrize("name", ["lstm", "af-scf/scan"])
@torch.no_grad()
def test_a_part_reads_the_parts_before_it_and_nothing_later(name):
    model = toy(name, TRIO, emission="past").double()
    x, lengths = random_x(TRIO, 1, 12), torch.tensor([12])
    noise = noise_like(model, 1, 1, 12)
    noise = None if noise is None else noise.double()
    of_x = model.encode(x, lengths, None)
    for changed in range(12):
        other = x.clone()
        other[:, changed] = 3 - 3 * (x[:, changed] > 0).to(torch.uint8)
        # Both have the same z, so that only what the output reads can change.
        of_other = model.encode(other, lengths, None) if noise is None else of_x
        pairs = ((x, of_x), (other, of_other))
        logits = [model.logits(each, lengths, encoded, noise) for each, encoded in pairs]
        same = (logits[0] == logits[1]).all(-1).flatten().tolist()
        assert all(same[:changed])
        # The frame itself decides the logits of its own later keys.
        assert not any(same[changed + 1 : changed + 4]), (
            "the next parts, and the same part at the next step"
        )


@pytest.mark.parametrize("copies", [False, True])
@torch.no_grad()
def test_step_by_step_it_draws_what_it_scores(copies):
    """The logits at what is drawn, row by row, are those of all rows at once, also after rows were
    chosen anew."""
    torch.manual_seed(0)
    head = randomise(VoiceHead(TRIO, 4, 32, 0.0, copies=copies), 0.2).double().eval()
    if head.copying is not None:
        head.gate.from_attended.weight.zero_()  # otherwise copies of silence take all
        head.gate.from_attended.bias.fill_(FIRST_GATE)
    context = torch.randn(4, 12, 4, dtype=torch.float64)
    uniform = TRIO.uniform(4, 12, torch.Generator().manual_seed(1)).double()
    draw, rows, x = (
        head.sampler(1.0),
        torch.tensor([2, 0, 0, 3]),
        torch.empty(4, 0, 5, dtype=torch.uint8),
    )
    for t in range(12):
        if t == 7:
            draw.keep(rows)
            x, context, uniform = x[rows], context[rows], uniform[rows]
        x = torch.cat([x, draw(context[:, t], uniform[:, t])[:, None]], 1)
    assert torch.equal(TRIO.sample(head(context, x), uniform)[:, 7:], x[:, 7:])
    assert len({tuple(frame) for frame in x.flatten(0, 1).tolist()}) > 4


@torch.no_grad()
def test_a_part_of_greater_sharpness_is_surer_of_what_it_copies():
    """Its weights are a softmax of its scores times exp(sharpness), and those of other parts are as
    they were."""
    gate = randomise(Gate(4, 3, TRIO.parts), 0.5).double()
    nothing, context = torch.rand(6, 3, dtype=torch.float64), torch.randn(6, 4, dtype=torch.float64)
    parts = torch.arange(6) % TRIO.parts
    gate.sharpness.zero_()
    before = gate(nothing, context, parts)
    gate.sharpness[1] = math.log(2)
    after = gate(nothing, context, parts)
    squared = torch.softmax(2 * before, -1)
    assert torch.allclose(after.exp()[parts == 1], squared[parts == 1], atol=1e-12)
    assert torch.equal(after[parts != 1], before[parts != 1])


@torch.no_grad()
def test_the_same_frames_mean_something_else_in_another_part():
    model = toy("lstm", TRIO, emission="past").double()
    x, lengths = torch.ones(1, 6, 5, dtype=torch.uint8), torch.tensor([6])
    logits = model.logits(x, lengths, model.encode(x, lengths, None), None)[0, 0]
    assert len({tuple(row.tolist()) for row in logits[3:]}) == 3


@torch.no_grad()
def test_a_stroke_of_the_drums_is_heard_by_keys_of_any_distance():
    """The odds of the two highest keys of the bass hang on their own units alone, not on those of
    the keys below."""
    torch.manual_seed(0)
    head = randomise(VoiceHead(WIDE, 4, 32, 0.0, copies=False), 0.2).double().eval()
    context, x = (
        torch.randn(1, 2, 4, dtype=torch.float64),
        torch.zeros(2, 2, WIDE.num_pitches, dtype=torch.uint8),
    )
    x[1, 0, 0] = 3  # the lowest drum
    *_, second, highest = head(context.expand(2, -1, -1), x)[:, 1, : WIDE.num_pitches].T
    odds = logsigmoid(highest) - logsigmoid(-highest) - logsigmoid(second)
    assert abs(odds[1] - odds[0]) > 1e-6


@torch.no_grad()
def test_how_many_keys_were_struck_is_recalled_at_all_keys():
    """So a rhythm may come again at other pitches."""
    torch.manual_seed(0)
    head = randomise(VoiceHead(WIDE, 4, 32, 0.0, copies=True), 0.2).double().eval()
    frames = torch.zeros(3, WIDE.num_pitches, dtype=torch.uint8)
    frames[1:, 2], frames[2, 4] = 3, 1  # silence, a struck key, and with one that is held
    values = recallable(WIDE.bits(frames, torch.float64), frames)
    copies = head.from_nothing.in_features
    recalled = torch.cat([values, values.new_zeros(3, 1)], -1)[:, None].expand(-1, copies, -1)
    units = head._units_of(recalled)
    assert (units[1, 8:] != units[0, 8:]).any(-1).all()
    assert (units[2, 8:] != units[1, 8:]).any(-1).all()
