"""The output `past` for the parts of a band, whose steps take turns."""

import pytest
import torch
from toy_models import every_sequence, noise_like, random_x, randomise, toy

from lnfgen.models.observation import Frames
from lnfgen.models.voices import VoiceHead

DUO = Frames(2, has_onsets=True, parts=2)
TRIO = Frames(5, has_onsets=True, parts=3)


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
        assert not any(same[changed + 1 : changed + 4]), "the next parts, and the same part at the next step"


@pytest.mark.parametrize("name", ["lstm", "af-scf"])
@torch.no_grad()
def test_step_by_step_it_draws_what_it_scores(name):
    """The logits at what is drawn, row by row, are those of all rows at once."""
    model = toy(name, TRIO, emission="past").double()
    for module in model.modules():
        if isinstance(module, VoiceHead):
            randomise(module, 0.05)  # so that much is likely
            module.gate.from_attended.weight.zero_()  # otherwise copies take all
    lengths, generators = [12, 9], [torch.Generator().manual_seed(seed) for seed in range(2)]
    noise, uniform = model.random_numbers(lengths, generators)
    noise = None if noise is None else noise.double()
    drawn = model.generate(lengths, noise, uniform, 1.0, None)
    x = torch.nn.utils.rnn.pad_sequence(drawn, batch_first=True)
    logits = model.drawn_logits(x, torch.tensor(lengths), noise, None)
    again = model.observation.sample(logits, uniform)
    for row, length in enumerate(lengths):
        assert torch.equal(again[row, :length], drawn[row])
    assert len({tuple(frame.tolist()) for piece in drawn for frame in piece}) > 5


@torch.no_grad()
def test_the_same_frames_mean_something_else_in_another_part():
    model = toy("lstm", TRIO, emission="past").double()
    x, lengths = torch.ones(1, 6, 5, dtype=torch.uint8), torch.tensor([6])
    logits = model.logits(x, lengths, model.encode(x, lengths, None), None)[0, 0]
    assert len({tuple(row.tolist()) for row in logits[3:]}) == 3
