"""Free pieces end on the tonic of their home, and harmonies where their melody closes at home."""

import pytest
from toy_bands import TWO, band_encoding
from toy_charts import GRID, PIANO
from toy_keys import KEYS, small_music
from toy_models import toy
from toy_music import band

from lnfgen.inference import wish_steering
from lnfgen.inference.close_at_home import CHORD, close_of, with_close
from lnfgen.inference.filling import fill_pieces
from lnfgen.inference.known_part import known_melody, known_part
from lnfgen.inference.sampling import sample_pieces
from lnfgen.inference.wish_reading import wishes_for
from lnfgen.inference.wishes import NO_WISHES
from lnfgen.models.observation import Frames
from lnfgen.music.home import last_bass
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.tonality import pitch_name

IN_D_FLAT = 1
IN_B = 11
"""The numbers of two homes, in major."""

SCALE = (72, 74, 76, 77, 79, 77, 76, 74)


def melody(last: int, *below: int) -> PianoRoll:
    """A melody in C major, whose last note is held above some others."""
    pitches = (*SCALE, *SCALE)
    notes = [(step * GRID, GRID, pitch) for step, pitch in enumerate(pitches)]
    end = len(pitches) * GRID
    notes += [(end, 2 * GRID, pitch) for pitch in (last, *below)]
    return PianoRoll.from_notes(notes, steps_per_quarter=GRID)


@pytest.mark.parametrize(("last", "asks"), [(72, True), (79, True), (74, False), (77, False)])
def test_a_last_note_in_the_tonic_triad_asks_for_the_tonic_below(last: int, asks: bool) -> None:
    in_c = wishes_for({"key": "C", "mode": "major"}, PIANO)
    wishes = with_close(in_c, known_melody(PIANO, melody(last)))
    assert (CHORD in [wish.words for wish in wishes.gentle]) == asks


def test_a_wish_of_ones_own_for_the_end_takes_its_place() -> None:
    part = known_melody(PIANO, melody(72))
    own = wishes_for({"ends": "cadence"}, PIANO)
    assert with_close(own, part) is own
    other = wishes_for({"notes_per_bar": 9.0}, PIANO)
    both = with_close(other, part)
    assert len(both.wishes) + len(both.gentle) == 2
    over_chords = wishes_for({"chords": "C | F"}, PIANO)
    assert with_close(over_chords, part) is over_chords


@pytest.mark.parametrize(("key", "tonic"), [("F", 53), ("A minor", 57), ("C", 60)])
def test_a_wish_for_the_key_gives_the_tonic(key: str, tonic: int) -> None:
    part = known_melody(PIANO, melody(72))
    wishes = with_close(wishes_for({"key": key}, PIANO), part)
    close = PianoRoll.from_notes([(0, 1, 72), (0, 1, tonic)], steps_per_quarter=GRID)
    [wish] = wishes.gentle
    _, distance = wish.found_in(close)
    assert distance == 0


@pytest.mark.parametrize(
    ("chord", "distance"),
    [
        ((48, 55, 64, 72), 0.0),
        ((48, 55, 63, 72), 0.0),
        ((60, 72), 0.0),
        ((52, 60, 67, 72), 1.0),
        ((48, 57, 65, 72), 0.5),
        ((48, 63, 64, 72), 0.5),
        ((48, 58, 64, 72), 0.5),
    ],
)
def test_the_close_is_a_triad_in_root_position(chord: tuple[int, ...], distance: float) -> None:
    [wish] = with_close(NO_WISHES, known_melody(PIANO, melody(72))).gentle
    roll = PianoRoll.from_notes([(0, 1, pitch) for pitch in chord], steps_per_quarter=GRID)
    pitches = " ".join(map(pitch_name, chord))
    assert wish.found_in(roll) == (pitches, distance)


def test_what_is_known_below_the_last_note_is_not_asked_for() -> None:
    above_a_bass = known_melody(PIANO, melody(72, 48), above=True)
    assert with_close(NO_WISHES, above_a_bass) is NO_WISHES
    between = known_part(PIANO, melody(72, 48), ["bars:1-2"])
    assert with_close(NO_WISHES, between) is NO_WISHES


def test_a_band_is_left_as_it_is() -> None:
    lines = band(16, bass=[(0, 16, 40)], melody=[(0, 16, 60)])
    part = known_melody(band_encoding(TWO), lines)
    assert with_close(NO_WISHES, part) is NO_WISHES


def test_harmonies_end_on_the_tonic_chord(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wish_steering, "GENTLE_PIECES", 1000)
    model = toy("lstm", Frames(49, True))
    part = known_part(PIANO, melody(72), ["keys:C4-E4"])
    wishes = with_close(NO_WISHES, part)
    plain = list(fill_pieces(model, part, count=4, particles=4))
    asked = list(fill_pieces(model, part, count=4, particles=4, wishes=wishes))
    assert any(wishes.gentle_distance(piece) for piece in plain)
    assert not any(wishes.gentle_distance(piece) for piece in asked)


def test_an_end_that_does_not_come_is_given_up() -> None:
    model = toy("lstm", Frames(49, True))
    part = known_part(PIANO, melody(72), ["keys:C#4-E4"])  # no key below is the tonic
    wishes = with_close(NO_WISHES, part)
    steered: list[bool] = []
    [piece] = fill_pieces(model, part, particles=4, wishes=wishes, steered=steered.append)
    assert steered == [False]
    assert wishes.distance(piece) == 0
    assert wishes.gentle_distance(piece) == 1


def test_a_wish_of_ones_own_comes_before_a_gentle_one() -> None:
    """The nearest piece by both together would be one without what was wished for."""
    model = toy("lstm", Frames(49, True))
    part = known_part(PIANO, melody(72), ["keys:C4-E4"])
    with_notes = wishes_for({"notes_per_bar": "9.."}, PIANO)
    for wishes in (with_notes, with_close(with_notes, part)):
        pieces = fill_pieces(model, part, count=4, particles=4, tries=1, wishes=wishes)
        assert not any(wishes.distance(piece) for piece in pieces)


# Free pieces.


def last_notes(count: int, home: int) -> list[int | None]:
    """The pitch classes of the last bass notes of pieces in a home; None of a silent piece.

    The model has six keys, from C to F.
    """
    _, encoding = small_music(True)
    model = toy("lstm", Frames(KEYS, True), emission="autoregressive", reads_home=True)
    assert model.homes is not None
    model.homes.counts.zero_()
    model.homes.counts[home] = 1
    found: list[int | None] = []
    for piece in sample_pieces(model, encoding, count=count, length=6):
        assert isinstance(piece, PianoRoll)
        found.append(last_bass(piece) % 12 if piece.sounding.any() else None)
    return found


def test_free_pieces_end_on_the_tonic_of_their_home(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    earlier: list[int | None] = []
    for most in (1, 4, 1000):
        monkeypatch.setattr(wish_steering, "GENTLE_PIECES", most)
        notes = last_notes(10, IN_D_FLAT)
        counts.append(notes.count(1))
        # a piece that ends there stays as it is
        for note, before in zip(notes, earlier, strict=False):
            assert note == 1 or before != 1
        earlier = notes
    few, more, nearly_all = counts
    assert few < more < nearly_all
    assert nearly_all > 7


def test_the_end_of_a_piece_does_not_depend_on_how_many_are_drawn() -> None:
    assert last_notes(5, IN_D_FLAT) == last_notes(20, IN_D_FLAT)[:5]


def test_a_home_on_which_no_piece_can_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    given_up = last_notes(4, IN_B)
    monkeypatch.setattr(wish_steering, "GENTLE_PIECES", 1)
    assert given_up == last_notes(4, IN_B)


def test_a_wish_for_an_end_takes_the_place_of_that_of_a_free_piece() -> None:
    _, encoding = small_music(True)
    home = encoding.numbered_home(2)
    assert close_of(NO_WISHES, home) is not None
    assert close_of(wishes_for({"ends": "cadence"}, encoding), home) is None
    assert close_of(wishes_for({"chords": "C | F"}, PIANO), home) is None
    assert close_of(NO_WISHES, None) is None
