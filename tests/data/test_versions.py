"""Versions of one song: which pieces are, in any key and for other instruments, and which not."""

import numpy as np
import pytest

from lnfgen.data.versions import Versions, passages_of
from lnfgen.music.parts import Part
from lnfgen.music.pianoroll import PianoRoll

BARS = 16


def _melody(seed: int, *, least: int = 0, most: int = 12) -> PianoRoll:
    """Eighths of random keys from C4 on, in bars of sixteen steps."""
    rng = np.random.default_rng(seed)
    pitches = 60 + rng.integers(least, most, 8 * BARS)
    notes = [(2 * place, 2, int(pitch)) for place, pitch in enumerate(pitches)]
    return PianoRoll.from_notes(notes, num_steps=16 * BARS)


def _songs(*rolls: PianoRoll) -> list[list[int]]:
    """The songs that each piece is related to, where each is a song of its own."""
    versions = Versions()
    found = []
    for number, roll in enumerate(rolls):
        passages = passages_of(roll)
        found.append(versions.related(passages))
        versions.add(passages, number)
    return found


@pytest.mark.parametrize("semitones", [0, 5, -7])
def test_a_part_of_a_song_in_another_key_is_a_version(semitones: int) -> None:
    song = _melody(0)
    version = song.stretch(64, 192).transposed(semitones)
    assert _songs(song, _melody(1), version) == [[], [], [0]]


def test_other_voices_below_do_not_hide_a_melody_in_a_band() -> None:
    melody = _melody(0)
    other = _melody(1)
    with_parts = [PianoRoll.of_parts([melody, below], _parts()) for below in (other, _melody(2))]
    assert _songs(*with_parts) == [[], [0]]


def _parts() -> list[Part]:
    return [Part("chords"), Part("melody")]


def test_a_medley_is_related_to_both_songs_the_most_alike_first() -> None:
    first = _melody(0)
    second = _melody(1)
    cells = np.concatenate([first.stretch(0, 96).sounding, second.sounding])
    onsets = np.concatenate([first.stretch(0, 96).struck(), second.struck()])
    medley = PianoRoll(cells, onsets, lowest_pitch=first.lowest_pitch)
    assert _songs(first, second, medley)[2] == [1, 0]


def test_what_all_songs_have_relates_none() -> None:
    roots = [(2 * place, 2, 36 + 12 * (place % 2)) for place in range(8 * BARS)]
    changes = []
    for bar in range(BARS):
        changes += [(16 * bar, 16, pitch) for pitch in (60, 64, 67, 71)]
    for notes in (roots, changes):
        roll = PianoRoll.from_notes(notes)
        assert not passages_of(roll)
        assert _songs(roll, roll) == [[], []]


def test_a_few_bars_in_common_are_no_version() -> None:
    song = _melody(0)
    other = _melody(1)
    cells = other.sounding.copy()
    cells[:64] = song.sounding[:64]  # three passages of two bars
    onsets = other.struck()
    onsets[:64] = song.struck()[:64]
    quoting = PianoRoll(cells, onsets, lowest_pitch=other.lowest_pitch)
    assert _songs(song, quoting) == [[], []]
