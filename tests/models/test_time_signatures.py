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
from lnfgen.music.time_signature import bar_and_beats
from lnfgen.nn.positions import Outline, Positions

MODELS = ["lstm", "af-scf", "af-af/scan", "iaf-scf"]


def bar_shapes(*signatures: TimeSignature) -> torch.Tensor:
    """What models read of these, `[N, 3]`."""
    return torch.from_numpy(ENCODING.bar_shapes(signatures))


def outline(*signatures: TimeSignature) -> Outline:
    return Outline(bar_shapes(*signatures))


def test_bars_and_beats() -> None:
    known = {
        (4, 4): (16, 4, 2),
        (3, 4): (12, 3, 2),
        (6, 8): (12, 2, 3),
        (2, 2): (16, 2, 2),
        (12, 8): (24, 4, 3),
        (3, 8): (6, 3, 2),
        (9, 16): (9, 3, 3),
        (6, 4): (24, 6, 2),
        (5, 8): (10, 5, 2),
    }
    for signature, expected in known.items():
        assert bar_and_beats(signature, 4) == expected
    assert bar_and_beats((5, 8), 1) == (2.5, 5, 2)


def test_features_come_back_with_the_bars_of_each_sequence() -> None:
    """With eight bars all of them do, from the start and from the end."""
    torch.manual_seed(0)
    positions = Positions(6, reads_time_signature=True)
    with torch.no_grad():
        # Those that bars do not change.
        positions.project.weight[:, : 4 * len(positions.frequency)] = 0
        found = positions(torch.tensor([300, 300, 290]), 300, outline((4, 4), (3, 4), (6, 8)))
        alone = positions(torch.tensor([290]), 290, outline((6, 8)))
    torch.testing.assert_close(found[2, :290], alone[0])
    for row, period in ((0, 128), (1, 96)):
        torch.testing.assert_close(found[row, period:], found[row, :-period], atol=1e-3, rtol=1e-3)
        assert not torch.allclose(found[row, 64:], found[row, :-64], atol=0.1)
    assert not torch.allclose(found[1, :280], found[2, :280], atol=0.1), (
        "bars of 3/4 and 6/8 are equally long"
    )


def test_the_model_of_time_signatures() -> None:
    known = toy_metres()
    assert known.known == [(4, 4), (3, 4), (6, 8)]
    assert known.bar_shapes.tolist() == [[16, 4, 2], [12, 3, 2], [12, 2, 3]]
    (generator,) = generators(0)
    drawn = Counter(known.sample(generator) for _ in range(6000))
    shares = {(4, 4): 1 / 2, (3, 4): 1 / 3, (6, 8): 1 / 6}
    for signature, share in shares.items():
        assert drawn[signature] / 6000 == pytest.approx(share, abs=0.03)
    lengths = known.lengths_in((3, 4))
    assert lengths.lengths.tolist() == [12, 36]
    again = TimeSignatures.with_room_for(known.state_dict(), "")
    again.load_state_dict(known.state_dict())
    assert again.known == known.known
    found = again.lengths_in((6, 8)).log_prob(LENGTHS)
    assert torch.equal(found, known.lengths_in((6, 8)).log_prob(LENGTHS))


def fitted(signatures: list[TimeSignature]) -> TimeSignatures:
    """The time signatures of pieces of 48 steps."""
    return TimeSignatures.fit(
        signatures, bar_shapes(*signatures), torch.full((len(signatures),), 48)
    )


def drawn_in(known: TimeSignatures, draws: int) -> set[TimeSignature]:
    return {known.sample(generator) for generator in generators(*range(draws))}


def test_samples_are_in_no_rare_time_signature() -> None:
    """Unless it is asked for: a model has hardly seen it. Where all are rare, all are drawn."""
    known = fitted([(4, 4)] * 200 + [(3, 4)] * 50 + [(3, 2)] * 2)
    assert (3, 2) in known.known
    assert drawn_in(known, 1000) == {(4, 4), (3, 4)}
    known = fitted([(beats, 4) for beats in range(1, 81)])
    assert len(drawn_in(known, 2000)) == 80
    known = fitted([(4, 4)] * 50 + [(3, 4)])  # as rare as may be
    assert drawn_in(known, 500) == {(4, 4), (3, 4)}


def test_lengths_in_a_rare_time_signature_are_whole_bars_too() -> None:
    signatures: list[TimeSignature] = [(4, 4)] * 60 + [(6, 8)]
    lengths = torch.tensor([32, 48] * 30 + [36])
    known = TimeSignatures.fit(signatures, bar_shapes(*signatures), lengths)
    assert known.lengths_in((6, 8)).log_prob(torch.tensor([36])).exp() > 0.9
    assert known.lengths_in((4, 4)).log_prob(torch.tensor([32, 48])).exp().sum() > 0.9


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_sequences_of_a_batch_have_their_own_bars(name: str) -> None:
    model = told(name).double()
    x = random_x(model.observation, 3, 9)
    lengths = torch.tensor([9, 9, 7])
    noise = noise_like(model, 2, 3, 9)
    if noise is not None:
        noise = noise.double()
    signatures: list[TimeSignature] = [(3, 4), (4, 4), (6, 8)]
    together = model(x, lengths, noise, outline(*signatures))
    for row, signature in enumerate(signatures):
        one = slice(row, row + 1)
        own_x = x[one, : lengths[row]]
        own_noise = None if noise is None else noise[:, one, : lengths[row]]
        alone = model(own_x, lengths[one], own_noise, outline(signature))
        other = model(own_x, lengths[one], own_noise, outline((2, 4)))
        torch.testing.assert_close(together.reconstruction[:, one], alone.reconstruction)
        torch.testing.assert_close(together.kl[:, one], alone.kl)
        assert not torch.allclose(alone.reconstruction, other.reconstruction)
    usual = model(x, lengths, noise)
    first = model(x, lengths, noise, outline(*[(4, 4)] * 3))
    torch.testing.assert_close(usual.reconstruction, first.reconstruction)


@pytest.mark.parametrize("name", ["lstm", "af-scf"])
@pytest.mark.parametrize("emission", ["bernoulli", "autoregressive"])
def test_filling_several_is_filling_each(name: str, emission: str) -> None:
    model = told(name, emission)
    x = random_x(model.observation, 2, 12)
    mask = torch.rand(1, 12, 6, generator=torch.Generator().manual_seed(3)) < 0.2
    known = model.observation.known(x, mask.expand(2, -1, -1))
    both = outline((3, 4), (4, 4))
    seeds = (5, 6)
    with torch.inference_mode():
        together = draw_hidden(model, known, 4, generators(*seeds), outline=both)
        for row, seed in enumerate(seeds):
            one = slice(row, row + 1)
            own = Known(known.values[one], known.mask[one])
            alone = draw_hidden(
                model, own, 4, generators(seed), outline=both.of_rows(torch.tensor([row]))
            )
            assert torch.equal(together[one], alone)
        other = draw_hidden(model, known, 4, generators(*seeds), outline=outline((6, 8), (2, 4)))
    assert not torch.equal(other, together)
