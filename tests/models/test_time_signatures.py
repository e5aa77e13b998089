"""The model of time signatures, and models that read the bars of each sequence."""

from collections import Counter

import pytest
import torch
from toy_metres import ENCODING, LENGTHS, generators, told, toy_metres
from toy_models import noise_like, random_x

from lnfgen.conventions import TimeSignature
from lnfgen.inference.particles import draw_hidden
from lnfgen.models.observation import Known
from lnfgen.models.time_signatures import TimeSignatures
from lnfgen.music.pianoroll import bar_and_beats
from lnfgen.nn.positions import Positions

MODELS = ["lstm", "af-scf", "af-af/scan", "iaf-scf"]


def metres(*signatures: TimeSignature) -> torch.Tensor:
    return torch.from_numpy(ENCODING.metres(signatures))


def test_bars_and_beats() -> None:
    known = {
        (4, 4): (16, 4, 2),
        (3, 4): (12, 3, 2),
        (6, 8): (12, 2, 3),
        (2, 2): (16, 2, 2),
        (12, 8): (24, 4, 3),
    }
    known |= {(3, 8): (6, 3, 2), (9, 16): (9, 3, 3), (6, 4): (24, 6, 2), (5, 8): (10, 5, 2)}
    for signature, expected in known.items():
        assert bar_and_beats(signature, 4) == expected
    assert bar_and_beats((5, 8), 1) == (2.5, 5, 2)


def test_features_come_back_with_the_bars_of_each_sequence() -> None:
    """With eight bars all of them do, from the start and from the end."""
    torch.manual_seed(0)
    positions = Positions(6, in_metre=True)
    num_fixed = (
        positions.project.in_features - positions(torch.tensor([1]), 1, metres((4, 4))).shape[-1]
    )
    assert num_fixed > 0
    with torch.no_grad():
        # those that bars do not change
        positions.project.weight[:, : 4 * len(positions.frequency)] = 0
        found = positions(torch.tensor([300, 300, 290]), 300, metres((4, 4), (3, 4), (6, 8)))
        alone = positions(torch.tensor([290]), 290, metres((6, 8)))
    torch.testing.assert_close(found[2, :290], alone[0])
    for row, period in ((0, 128), (1, 96)):
        torch.testing.assert_close(found[row, period:], found[row, :-period], atol=1e-3, rtol=1e-3)
        assert not torch.allclose(found[row, 64:], found[row, :-64], atol=0.1)
    assert not torch.allclose(found[1, :280], found[2, :280], atol=0.1), (
        "bars of 3/4 and 6/8 are equally long"
    )


def test_the_model_of_time_signatures() -> None:
    metres = toy_metres()
    assert metres.known == [(4, 4), (3, 4), (6, 8)]
    assert metres.metres.tolist() == [[16, 4, 2], [12, 3, 2], [12, 2, 3]]
    (generator,) = generators(0)
    drawn = Counter(metres.sample(generator) for _ in range(6000))
    for signature, share in (((4, 4), 1 / 2), ((3, 4), 1 / 3), ((6, 8), 1 / 6)):
        assert drawn[signature] / 6000 == pytest.approx(share, abs=0.03)
    lengths = metres.lengths_in((3, 4))
    assert lengths.lengths.tolist() == [12, 36]
    again = TimeSignatures.with_room_for(metres.state_dict(), "")
    again.load_state_dict(metres.state_dict())
    assert again.known == metres.known
    assert torch.equal(
        again.lengths_in((6, 8)).log_prob(LENGTHS), metres.lengths_in((6, 8)).log_prob(LENGTHS)
    )


def test_samples_are_in_no_rare_time_signature() -> None:
    """Unless it is asked for: a model has hardly seen it. Where all are rare, all are drawn."""
    signatures: list[TimeSignature] = [(4, 4)] * 200 + [(3, 4)] * 50 + [(3, 2)] * 2
    metres = TimeSignatures.fit(
        signatures, torch.from_numpy(ENCODING.metres(signatures)), torch.full((252,), 48)
    )
    assert (3, 2) in metres.known
    assert {metres.sample(generator) for generator in generators(*range(1000))} == {(4, 4), (3, 4)}
    signatures = [(beats, 4) for beats in range(1, 81)]
    metres = TimeSignatures.fit(
        signatures, torch.from_numpy(ENCODING.metres(signatures)), torch.full((80,), 48)
    )
    assert len({metres.sample(generator) for generator in generators(*range(2000))}) == 80
    signatures = [(4, 4)] * 50 + [(3, 4)]  # as rare as may be
    metres = TimeSignatures.fit(
        signatures, torch.from_numpy(ENCODING.metres(signatures)), torch.full((51,), 48)
    )
    assert {metres.sample(generator) for generator in generators(*range(500))} == {(4, 4), (3, 4)}


def test_lengths_in_a_rare_time_signature_are_whole_bars_too() -> None:
    signatures: list[TimeSignature] = [(4, 4)] * 60 + [(6, 8)]
    lengths = torch.tensor([32, 48] * 30 + [36])
    metres = TimeSignatures.fit(signatures, torch.from_numpy(ENCODING.metres(signatures)), lengths)
    assert metres.lengths_in((6, 8)).log_prob(torch.tensor([36])).exp() > 0.9
    assert metres.lengths_in((4, 4)).log_prob(torch.tensor([32, 48])).exp().sum() > 0.9


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_sequences_of_a_batch_have_their_own_bars(name: str) -> None:
    model = told(name).double()
    x, lengths = random_x(model.observation, 3, 9), torch.tensor([9, 9, 7])
    noise = noise_like(model, 2, 3, 9)
    noise = None if noise is None else noise.double()
    signatures: list[TimeSignature] = [(3, 4), (4, 4), (6, 8)]
    together = model(x, lengths, noise, metres(*signatures))
    for row, signature in enumerate(signatures):
        part = slice(row, row + 1)
        own = None if noise is None else noise[:, part, : lengths[row]]
        alone = model(x[part, : lengths[row]], lengths[part], own, metres(signature))
        other = model(x[part, : lengths[row]], lengths[part], own, metres((2, 4)))
        for term in ("reconstruction", "kl"):
            torch.testing.assert_close(getattr(together, term)[:, part], getattr(alone, term))
        assert not torch.allclose(alone.reconstruction, other.reconstruction)
    usual, first = model(x, lengths, noise), model(x, lengths, noise, metres(*[(4, 4)] * 3))
    torch.testing.assert_close(usual.reconstruction, first.reconstruction)


@pytest.mark.parametrize("name", ["lstm", "af-scf"])
@pytest.mark.parametrize("emission", ["bernoulli", "past"])
def test_filling_several_is_filling_each(name: str, emission: str) -> None:
    model = told(name, emission)
    x = random_x(model.observation, 2, 12)
    mask = torch.rand(1, 12, 6, generator=torch.Generator().manual_seed(3)) < 0.5
    known = model.observation.known(x, mask.expand(2, -1, -1))
    both, seeds = metres((3, 4), (4, 4)), (5, 6)
    with torch.inference_mode():
        together = draw_hidden(model, known, 4, generators(*seeds), metres=both)
        for row, seed in enumerate(seeds):
            part = slice(row, row + 1)
            own = Known(*(each[part] for each in known))
            alone = draw_hidden(model, own, 4, generators(seed), metres=both[part])
            assert torch.equal(together[part], alone)
        other = draw_hidden(model, known, 4, generators(*seeds), metres=metres((6, 8), (2, 4)))
    assert not torch.equal(other, together)
