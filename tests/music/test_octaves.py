"""Parts of a band are moved by octaves onto the keys that a model has for them."""

import numpy as np
import pytest

from lnfgen.music.notes import Note
from lnfgen.music.octaves import OCTAVE, octave_shifts, on_keys_of_parts
from lnfgen.music.parts import LOWEST, NUM_KEYS, ROLES, Part
from lnfgen.music.pianoroll import PianoRoll


def _band(**notes: list[Note]) -> PianoRoll:
    rolls = [PianoRoll.from_notes(notes.get(role, []), num_steps=16) for role in ROLES]
    return PianoRoll.of_parts(rolls, [Part(role) for role in ROLES])


def _notes_of(roll: PianoRoll, role: str) -> list[Note]:
    return roll.notes(roll.roles.index(role))


@pytest.mark.parametrize("octaves", [-2, -1, 1])
@pytest.mark.parametrize("role", ["bass", "chords", "melody"])
def test_a_line_beyond_its_keys_is_moved_as_a_whole(role: str, octaves: int) -> None:
    edge = LOWEST[role] if octaves < 0 else LOWEST[role] + NUM_KEYS - 1
    beyond = edge + OCTAVE * octaves
    if not 21 <= beyond <= 101:
        pytest.skip("a piano does not have these keys")
    line = [(0, 2, beyond), (2, 2, beyond + 3), (4, 2, beyond + 7)]
    band = _band(**{role: line}, drums=[(0, 1, 36)])
    moved, num_moved = on_keys_of_parts(band)
    assert num_moved == 3
    found = _notes_of(moved, role)
    intervals = {new[2] - old[2] for new, old in zip(found, line, strict=True)}
    assert len(intervals) == 1
    assert intervals.pop() % OCTAVE == 0
    assert all(LOWEST[role] <= pitch < LOWEST[role] + NUM_KEYS for _, _, pitch in found)
    assert _notes_of(moved, "drums") == [(0, 1, 36)]


def test_what_is_wider_than_four_octaves_keeps_its_pitch_classes() -> None:
    chords = [(0, 4, pitch) for pitch in (33, 36, 40, 55, 64, 72, 79, 84, 88)]
    chords += [(4, 4, pitch) for pitch in (48, 52, 55)]
    moved, num_moved = on_keys_of_parts(_band(chords=chords))
    assert num_moved == 2
    found = _notes_of(moved, "chords")
    assert {pitch % 12 for _, _, pitch in found} == {pitch % 12 for _, _, pitch in chords}
    assert max(pitch for _, _, pitch in found) < LOWEST["chords"] + NUM_KEYS


def test_a_band_on_its_keys_is_not_touched() -> None:
    band = _band(bass=[(0, 4, 40)], chords=[(0, 4, 60)], melody=[(0, 4, 72)])
    same, num_moved = on_keys_of_parts(band)
    assert same is band
    assert num_moved == 0


def test_the_shortest_way_counts_after_the_number_of_notes() -> None:
    notes = np.zeros((4, 1, 128), np.bool_)
    notes[:, 0, [96, 100]] = True
    assert octave_shifts(notes, 0, ["melody"]).tolist() == [-12]
    notes[0, 0, [44]] = True
    assert octave_shifts(notes, 0, ["melody"]).tolist() == [-12]
    assert octave_shifts(notes, 0, ["drums"]).tolist() == [0]
