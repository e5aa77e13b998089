"""A piece has the staves that its players expect."""

from toy_music import band

from lnfgen.formats.staves import (
    PERCUSSION,
    is_choral,
    staves_of_band,
    staves_of_piano,
    staves_of_voices,
)
from lnfgen.music.pianoroll import PianoRoll

FOUR = [(start, 4, pitch) for start in range(0, 48, 4) for pitch in (48, 55, 64, 72)]


def test_what_is_for_a_choir_and_what_not() -> None:
    assert is_choral(PianoRoll.from_notes([*FOUR, (0, 1, 76)])), "a fifth key at one step of 48"
    assert not is_choral(PianoRoll.from_notes([*FOUR, (0, 8, 76)]))
    two_voices = [note for note in FOUR if note[2] > 60]
    assert not is_choral(PianoRoll.from_notes(two_voices))
    assert not is_choral(PianoRoll.from_notes([], num_steps=4))


def test_a_choir_has_two_staves_and_other_voices_have_one_each() -> None:
    upper, lower = staves_of_voices(PianoRoll.from_notes(FOUR), 4)
    assert (upper.name, upper.clef, len(upper.voices)) == ("Soprano, Alto", "treble", 2)
    assert (lower.name, lower.clef, len(lower.voices)) == ("Tenor, Bass", "bass", 2)
    assert upper.has_stems_by_voice
    assert lower.has_stems_by_voice
    staves = staves_of_voices(PianoRoll.from_notes(FOUR), 3)
    assert [len(staff.voices) for staff in staves] == [1, 1, 1]


def test_a_piano_has_a_staff_for_each_hand_with_as_few_voices_as_hold_its_notes() -> None:
    notes = [(0, 4, 60), (0, 4, 64), (0, 2, 67), (2, 2, 69), (0, 4, 40)]
    high, low = staves_of_piano(PianoRoll.from_notes(notes))
    assert high.voices == [[(0, 2, 67), (2, 2, 69)], [(0, 4, 64), (0, 4, 60)]]
    assert low.voices == [[(0, 4, 40)]]


def test_a_band_has_a_staff_for_each_part_and_its_drums_end_with_the_beat() -> None:
    melody, drums = staves_of_band(
        band(16, drums=[(0, 1, 36), (1, 1, 42), (8, 1, 36)], melody=[(0, 16, 50)])
    )
    assert (melody.name, melody.clef, melody.program) == ("Melody", "bass", 0)
    assert (drums.name, drums.clef) == ("Drums", PERCUSSION)
    assert drums.voices == [[(0, 1, 36), (1, 3, 42), (8, 4, 36)]]
