"""Work on a person's own pieces, in their time signatures."""

import pytest
from toy_metres import ENCODING, generators, told

from lnfgen.conventions import TimeSignature, stream_seed
from lnfgen.formats.read_write import Piece
from lnfgen.inference.filling import added_steps, fill_pieces, vary_pieces
from lnfgen.inference.known import known_intro, known_part, known_whole
from lnfgen.models import SequenceModel
from lnfgen.music.pianoroll import PianoRoll


def made_of(model: SequenceModel, roll: PianoRoll) -> dict[str, Piece]:
    """A piece by each way of drawing from a piece."""
    found = {
        "fill": fill_pieces(model, ENCODING, known_part(ENCODING, roll, ["keys:C#4-D4"]), seed=1),
        "continue": fill_pieces(model, ENCODING, known_intro(ENCODING, roll, 24), seed=1),
        "vary": vary_pieces(model, ENCODING, known_whole(ENCODING, roll), amount=1, seed=1),
    }
    return {verb: next(each) for verb, each in found.items()}


@pytest.mark.parametrize("name", ["lstm", "af-scf"])
def test_own_pieces_keep_their_time_signature(name: str) -> None:
    """Also one that the training data does not have."""
    for signature in ((3, 4), (5, 8)):
        roll = PianoRoll.from_notes([(0, 3, 60), (5, 2, 61)], num_steps=12, time_signature=signature)
        pieces = made_of(told(name), roll).values()
        assert {piece.time_signature for piece in pieces if isinstance(piece, PianoRoll)} == {signature}


@pytest.mark.parametrize("name", ["lstm", "af-scf"])
def test_pieces_that_are_drawn_depend_on_the_time_signature(name: str) -> None:
    """Of the same notes in 3/4 and in 6/8, whose bars are equally long, so that only what the model is told differs."""
    notes = [(0, 3, 60), (5, 2, 61)]
    in_three, in_six = (
        made_of(told(name), PianoRoll.from_notes(notes, num_steps=24, time_signature=signature))
        for signature in ((3, 4), (6, 8))
    )
    for verb, piece in in_three.items():
        assert isinstance(piece, PianoRoll)
        assert piece.notes() != in_six[verb].notes(), verb  # type: ignore[union-attr]


def test_a_piece_goes_on_to_a_length_of_its_time_signature() -> None:
    model = told("lstm")
    assert model.time_signatures is not None
    signatures: tuple[TimeSignature, ...] = ((3, 4), (4, 4))
    for signature in signatures:
        roll = PianoRoll.from_notes([(0, 12, 60)], num_steps=26, time_signature=signature)
        lengths = [26 + added_steps(model, ENCODING, roll, None, None, seed) for seed in range(20)]
        own = model.time_signatures.lengths_in(signature)
        seeds = (stream_seed(seed, 0) for seed in range(20))
        assert lengths == [own.sample(generator, beyond=26) for generator in generators(*seeds)]
