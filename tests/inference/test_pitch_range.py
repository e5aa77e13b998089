"""Music that is too high or too low for a model is transposed to its range, and comes back."""

import gc
import weakref

import pytest
from toy_keys import random_roll, small_music
from toy_models import toy
from toy_music import band

from lnfgen.data.encoding import changes_in_words
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.errors import LnfgenError
from lnfgen.inference.filling import fill_pieces
from lnfgen.inference.known_music import KnownMusic
from lnfgen.inference.known_part import known_melody, known_part, known_whole
from lnfgen.inference.pitch_range import transposed_to_range
from lnfgen.models.observation import Frames, Symbols
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.parts import Part
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song

# Four bars of three voices.
CHORALE = PianoRoll.from_notes(
    [(0, 4, 72), (4, 4, 74), (8, 8, 76), (0, 8, 64), (8, 8, 60), (0, 16, 48)],
    steps_per_quarter=1,
)


def shift_of(model: SequenceModel, part: KnownMusic) -> int:
    moved = transposed_to_range(model, part)
    assert isinstance(moved, KnownMusic)
    return moved.shift


@pytest.mark.parametrize(("above", "shift"), [(True, -24), (False, -3)])
def test_a_line_moves_to_where_such_lines_of_samples_are(
    above: bool, shift: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lnfgen.inference.pitch_range.range_samples", lambda *_: [CHORALE])
    encoding = MusicEncoding(steps_per_quarter=1)
    roll = PianoRoll.from_notes(
        [(0, 8, 72), (8, 8, 74), (0, 8, 77), (8, 8, 79)], steps_per_quarter=1
    )
    part = known_melody(encoding, roll, above=above)
    assert shift_of(toy("lstm", Frames(88, True)), part) == shift


def test_a_melody_that_is_too_high_is_moved_and_comes_back() -> None:
    model, encoding = small_music(True)
    melody = PianoRoll.from_notes([(0, 2, 88), (2, 2, 90), (5, 3, 89)], steps_per_quarter=1)
    part = transposed_to_range(model, known_melody(encoding, melody))
    assert isinstance(part, KnownMusic)
    assert -28 <= part.shift <= -20
    assert not changes_in_words(part.changes)
    assert part.remarks() == []
    assert f"moved {part.shift} semitones" in part.remarks_on_drawing()[0]
    for piece in fill_pieces(model, part, count=3):
        assert isinstance(piece, Song)
        roll = piece.roll
        assert roll.edge_keys(top=True)[0, 0] + roll.lowest_pitch == 88
        assert set(melody.notes()) <= set(roll.notes())
        assert len(roll.notes()) > len(melody.notes())


@pytest.mark.usefixtures("few_home_samples")
def test_a_model_is_asked_for_its_range_once_and_it_is_forgotten_with_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, encoding = small_music(True)
    part = known_melody(encoding, random_roll(True, 1))
    shift = shift_of(model, part)
    with monkeypatch.context() as patch:

        def draw_again(*_: object) -> None:
            pytest.fail("drawn again")

        patch.setattr("lnfgen.inference.pitch_range.drawn_pieces", draw_again)
        assert shift_of(model, part) == shift
    before = weakref.ref(model)
    del model
    gc.collect()
    assert before() is None


def test_bands_are_moved_by_octaves_alone_and_texts_not_at_all() -> None:
    text = known_part(TextEncoding(("\ufffd", "a", "b")), "a_", [])
    assert transposed_to_range(toy("lstm", Symbols(3)), text) is text
    encoding = MusicEncoding(num_pitches=49, parts=(Part("drums"), Part("melody")))
    model = toy("lstm", Frames(49, True, parts=2))
    high = known_whole(encoding, band(2, drums=[], melody=[(0, 1, 93)]))
    assert transposed_to_range(model, high) is high
    assert isinstance(high, KnownMusic)
    assert high.octaves == (0, 0)
    higher = known_whole(encoding, band(2, drums=[], melody=[(0, 1, 108)]))
    assert transposed_to_range(model, higher) is higher
    assert isinstance(higher, KnownMusic)
    assert higher.octaves == (0, -24)
    assert higher.remarks() == [
        "the model hears the melody 2 octaves lower; what it draws is moved back"
    ]
    drums = known_whole(encoding, band(2, drums=[(0, 1, 100)], melody=[]))
    with pytest.raises(LnfgenError, match=r"no note of the piece is among the model's keys$"):
        transposed_to_range(model, drums)
