"""Which voice has which note: each one once, as singers would, with chords where voices are few."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import rolls
from toy_music import chorale

from lnfgen.errors import LnfgenError
from lnfgen.formats.scores import read_score
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.separation import MAX_VOICES, separate_voices, with_unisons


@given(rolls(), st.integers(1, MAX_VOICES))
def test_each_note_is_in_one_voice(roll: PianoRoll, num_voices: int) -> None:
    voices = separate_voices(roll, num_voices)
    assert len(voices) == num_voices
    assert sorted(itertools.chain.from_iterable(voices)) == sorted(roll.notes())


def test_a_chorale_has_the_voices_that_bach_gave_it() -> None:
    content = chorale()
    (song,) = read_score(content, ".mxl")
    found = separate_voices(song.roll, 4)
    right = 0
    for number, notes in enumerate(found, start=1):
        (voice,) = read_score(content, ".mxl", tracks=str(number))
        right += len(set(notes) & set(voice.roll.notes()))
    assert right >= 0.97 * song.roll.num_notes


def test_as_many_notes_as_voices_are_in_order_and_a_held_note_stays() -> None:
    held = (0, 12, 60)
    notes = [held]
    for start in (0, 4, 8):
        notes += [(start, 4, pitch) for pitch in (48, 55, 67 + start)]
    roll = PianoRoll.from_notes(notes)
    soprano, alto, tenor, bass = separate_voices(roll, 4)
    assert alto == [held]
    assert [note[2] for note in soprano] == [67, 71, 75]
    assert {note[2] for note in tenor} == {55}
    assert {note[2] for note in bass} == {48}


def test_a_voice_that_enters_late_is_foreseen() -> None:
    """The alto begins alone, and does not take the soprano's place that nobody has yet."""
    alto = [(start, 4, 62) for start in range(0, 32, 4)]
    soprano = [(start, 4, 72) for start in range(16, 32, 4)]
    found = separate_voices(PianoRoll.from_notes([*alto, *soprano]), 2)
    assert found == [soprano, alto]


def test_more_notes_than_voices_are_chords_of_the_nearest() -> None:
    steady = []
    for start in (0, 4, 8):
        steady += [(start, 4, pitch) for pitch in (48, 55, 62, 72)]
    voices = separate_voices(PianoRoll.from_notes([*steady, (4, 4, 74)]), 4)
    assert {note[2] for note in voices[0]} == {72, 74}
    cluster = PianoRoll.from_notes([(0, 4, pitch) for pitch in range(21, 109)])
    assert sum(map(len, separate_voices(cluster, 4))) == 88


def test_voices_that_meet_on_a_key_both_have_it() -> None:
    tenor = [(0, 4, 57), (4, 4, 55), (8, 4, 57)]
    bass = [(0, 4, 50), (8, 4, 50)]
    assert sorted(with_unisons([tenor, bass])[1]) == [(0, 4, 50), (4, 4, 55), (8, 4, 50)]
    assert with_unisons([[(0, 4, 80), (4, 4, 79), (8, 4, 80)], bass])[1] == bass, (
        "too far away to be a unison"
    )


def test_silence_has_silent_voices_and_impossible_numbers_are_refused() -> None:
    silence = PianoRoll.from_notes([], num_steps=8)
    assert separate_voices(silence, 3) == [[], [], []]
    for number in (0, MAX_VOICES + 1):
        with pytest.raises(LnfgenError, match=f"{number} voices; expected 1 to {MAX_VOICES}"):
            separate_voices(silence, number)
