"""Work on a person's own pieces, in their time signatures."""

from itertools import islice

import pytest
from toy_metres import ENCODING, drawn, generators, told

from lnfgen.conventions import TimeSignature, stream_seed
from lnfgen.inference.filling import added_steps, fill_pieces
from lnfgen.inference.filling_scores import score_filling
from lnfgen.inference.given import given_intro, given_part, given_whole
from lnfgen.inference.sampling import sample_pieces
from lnfgen.inference.variation import interpolate_pieces, reconstruct_piece, vary_piece
from lnfgen.music.pianoroll import PianoRoll


@pytest.mark.parametrize("name", ["lstm", "af-scf"])
def test_own_pieces_keep_their_time_signature(name: str) -> None:
    """Also one that the training data does not have."""
    model = told(name)
    for signature in ((3, 4), (5, 8)):
        roll = PianoRoll.from_notes([(0, 3, 60), (5, 2, 61)], num_steps=12, time_signature=signature)
        whole = given_whole(ENCODING, roll)
        (same,) = vary_piece(model, ENCODING, whole, amount=0)
        assert same.piece == whole.piece.in_range(60, 3)  # type: ignore[union-attr]
        found = [
            *(each.piece for each in vary_piece(model, ENCODING, whole, amount=0.5, seed=1)),
            *(each.piece for each in interpolate_pieces(model, ENCODING, whole, whole, steps=3)),
            *(each.piece for each in fill_pieces(model, ENCODING, given_part(ENCODING, roll, ["keys:C#4"]), seed=1)),
            *(each.piece for each in fill_pieces(model, ENCODING, given_intro(ENCODING, roll, 4), seed=1)),
        ]
        if not model.exact:
            found += [each.piece for each in reconstruct_piece(model, ENCODING, whole, seed=1)]
        assert {piece.time_signature for piece in drawn(iter(found))} == {signature}
    # Variations of a sample by nearly nothing are that sample.
    (sample,) = drawn(sample_pieces(model, ENCODING, length=24, time_signature=(3, 4), seed=3))
    (near,) = vary_piece(model, ENCODING, given_whole(ENCODING, sample), amount=1e-9, seed=4)
    assert near.piece == sample or near.shared[0] > 0.9


@pytest.mark.parametrize("name", ["lstm", "af-scf"])
def test_what_is_made_of_own_pieces_depends_on_their_time_signature(name: str) -> None:
    """Of the same notes in 3/4 and in 6/8, whose bars are equally long, so that only what the model is told differs."""
    model = told(name)

    def made(signature: TimeSignature) -> dict[str, object]:
        roll = PianoRoll.from_notes([(0, 3, 60), (5, 2, 61)], num_steps=24, time_signature=signature)
        whole, other = given_whole(ENCODING, roll), given_whole(ENCODING, roll.transposed(1))
        pieces = {
            "vary": vary_piece(model, ENCODING, whole, amount=1, seed=1),
            "interpolate": islice(interpolate_pieces(model, ENCODING, whole, other, steps=3), 1, 2),
            "fill": fill_pieces(model, ENCODING, given_part(ENCODING, roll, ["keys:C#4-D4"]), seed=1),
        }
        if not model.exact:
            pieces["reconstruct"] = reconstruct_piece(model, ENCODING, whole, seed=1)
        found: dict[str, object] = {name: [each.piece.notes() for each in some] for name, some in pieces.items()}
        scores = score_filling(model, ENCODING, [roll], [roll], num_samples=2, particles=2)
        return found | {f"score of {gap}": score.total_nats for gap, score in scores.items()}

    in_three, in_six = made((3, 4)), made((6, 8))
    for what, notes in in_three.items():
        assert notes != in_six[what], what


def test_between_pieces_in_two_time_signatures_there_are_whole_bars_of_the_nearer_one() -> None:
    ends: list[tuple[TimeSignature, int]] = [((4, 4), 32), ((3, 4), 60)]
    first, second = (
        given_whole(ENCODING, PianoRoll.from_notes([(0, 3, 60)], num_steps=steps, time_signature=signature))
        for signature, steps in ends
    )
    way = drawn(each.piece for each in interpolate_pieces(told("lstm"), ENCODING, first, second, steps=5))
    found = [(piece.time_signature, piece.num_steps) for piece in way]
    assert found == [ends[0], ((4, 4), 32), ((3, 4), 48), ((3, 4), 48), ends[1]]


def test_a_piece_goes_on_to_a_length_of_its_time_signature() -> None:
    model = told("lstm")
    assert model.time_signatures is not None
    for signature in ((3, 4), (4, 4)):
        roll = PianoRoll.from_notes([(0, 12, 60)], num_steps=26, time_signature=signature)
        lengths = [26 + added_steps(model, ENCODING, roll, None, None, seed) for seed in range(20)]
        own = model.time_signatures.lengths_in(signature)
        seeds = (stream_seed(seed, 0) for seed in range(20))
        assert lengths == [own.sample(generator, beyond=26) for generator in generators(*seeds)]
