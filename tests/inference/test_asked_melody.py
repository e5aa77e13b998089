"""A melody that a person asks a band for has some notes."""

import numpy as np
import pytest
from toy_bands import TWO, band_encoding
from toy_models import toy
from toy_music import band

from lnfgen.inference import asked_melody
from lnfgen.inference.asked_melody import LEAST_NOTES, with_melody
from lnfgen.inference.filling import fill_pieces
from lnfgen.inference.known_part import known_melody, known_part, known_whole
from lnfgen.inference.wish_reading import wishes_for
from lnfgen.inference.wishes import NO_WISHES
from lnfgen.models.observation import Frames
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song

ENCODING = band_encoding(TWO)
STEPS = 64  # four bars
MELODY = [(8 * place, 4, 60 + place) for place in range(8)]
BAND = band(STEPS, bass=[(0, 32, 40), (32, 32, 41)], melody=MELODY)


@pytest.mark.parametrize(
    ("words", "asks"),
    [
        (["part:melody"], True),
        (["part:melody,bars:2"], True),
        (["part:bass"], False),
        (["bars:2-3"], False),
        (["part:melody", "part:bass,bars:1"], True),
    ],
)
def test_a_melody_is_asked_for_where_it_is_hidden_alone_or_whole(
    words: list[str], asks: bool
) -> None:
    part = known_part(ENCODING, BAND, words)
    assert with_melody(NO_WISHES, part).steers == asks


def test_a_melody_above_a_bass_is_asked_for_and_no_bass_below_it() -> None:
    assert with_melody(NO_WISHES, known_melody(ENCODING, BAND, True)).steers
    assert not with_melody(NO_WISHES, known_melody(ENCODING, BAND, False)).steers
    assert not with_melody(NO_WISHES, known_whole(ENCODING, BAND)).steers


def test_a_wish_of_ones_own_for_the_melody_takes_its_place() -> None:
    part = known_part(ENCODING, BAND, ["part:melody"])
    own = wishes_for({"melody_silent_bar_rate": 1.0}, ENCODING)
    assert with_melody(own, part) is own
    other = wishes_for({"bass_notes_per_bar": 1.0}, ENCODING)
    assert len(with_melody(other, part).wishes) == 2


def test_drawn_notes_alone_count() -> None:
    part = known_part(ENCODING, BAND, ["part:melody,bars:3-4"])
    [wish] = with_melody(NO_WISHES, part).wishes
    nothing = part.decoded(np.where(part.hidden, 0, part.values))
    value, distance = wish.found_in(nothing)
    assert (value, distance) == (0, LEAST_NOTES)
    value, distance = wish.found_in(part.decoded(part.values))
    assert (value, distance) == (2, 0)


def test_a_piece_with_too_few_notes_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model = toy("lstm", Frames(49, True, parts=2))
    part = known_part(ENCODING, BAND, ["part:melody"])
    [wish] = with_melody(NO_WISHES, part).wishes
    [plain] = fill_pieces(model, part, particles=2)
    value, _ = wish.found_in(plain)
    monkeypatch.setattr(asked_melody, "LEAST_NOTES", value + 0.5)
    wishes = with_melody(NO_WISHES, part)
    assert wishes.distance(plain) == 0.5
    for piece in fill_pieces(model, part, count=3, particles=2, wishes=wishes):
        assert isinstance(piece, Song)
        assert wishes.distance(piece) == 0
        assert piece.roll.notes(0) == BAND.notes(0)


def test_music_of_one_part_has_no_melody_to_ask_for() -> None:
    from toy_keys import small_music

    _, encoding = small_music(True)
    roll = PianoRoll.from_notes([(0, 4, 62), (4, 4, 64)], steps_per_quarter=1)
    part = known_part(encoding, roll, ["steps:1-4"])
    assert with_melody(NO_WISHES, part) is NO_WISHES
