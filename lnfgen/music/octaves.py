"""Parts of a band that are moved by whole octaves onto the keys that a model has for them.

A model has four octaves of each part. A line that lies higher or lower keeps its intervals if it is
moved as a whole. A part of several instruments may be wider than that: then the notes that are
still beyond are moved one by one, so that a chord keeps its pitch classes.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lnfgen.music.parts import LOWEST, NUM_KEYS
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.tracks import DRUMS

OCTAVE = 12
FARTHEST = 4
"""The most octaves that a part is moved."""


def octave_shifts(
    notes: np.ndarray, lowest_pitch: int, roles: Sequence[str], num_keys: int = NUM_KEYS
) -> np.ndarray:
    """The semitones by which parts are moved up, whole octaves, int [R].

    They are the fewest that put the most notes of a part on its keys. Drums stay.

    Args:
        notes: bool or int [T, R, N], true where a note begins.
        lowest_pitch: the MIDI pitch of the first of the N columns.
        num_keys: how many keys a part has.
    """
    counts = notes.sum(axis=0, dtype=np.int64)
    pitches = lowest_pitch + np.arange(notes.shape[2])
    shifts = np.zeros(len(roles), np.int64)
    for part, role in enumerate(roles):
        if role != DRUMS:
            shifts[part] = _best_shift(counts[part], pitches, _keys(role, num_keys))
    return shifts


def _best_shift(counts: np.ndarray, pitches: np.ndarray, keys: range) -> int:
    """The shift of a part whose notes at these pitches are so many."""

    def fit(shift: int) -> tuple[int, int]:
        """What counts, in this order: notes on the keys of the part, and a short way."""
        is_on_keys = np.isin(pitches + shift, keys)
        return int(counts[is_on_keys].sum()), -abs(shift)

    return max(range(-FARTHEST * OCTAVE, FARTHEST * OCTAVE + 1, OCTAVE), key=fit)


def _keys(role: str, num_keys: int) -> range:
    """The MIDI pitches that a part has."""
    return range(LOWEST[role], LOWEST[role] + num_keys)


def on_keys_of_parts(roll: PianoRoll, num_keys: int = NUM_KEYS) -> tuple[PianoRoll, int]:
    """A band whose notes are all on the keys of their parts, and how many notes were moved.

    Each part is moved as a whole by `octave_shifts`, and what is then beyond its keys note by note,
    to the nearest octave. Drums stay. A note that comes onto another one of its key joins it.
    """
    struck = roll.struck()
    shifts = octave_shifts(struck, roll.lowest_pitch, roll.roles, num_keys)
    sounding = roll.sounding.copy()
    onsets = struck.copy()
    num_moved = 0
    for part, role in enumerate(roll.roles):
        if role == DRUMS:
            continue
        columns = _columns_of_pitches(roll, int(shifts[part]), _keys(role, num_keys))
        moves = np.flatnonzero(columns != np.arange(roll.num_pitches))
        moved_notes = int(struck[:, part, moves].sum())
        if moved_notes:
            num_moved += moved_notes
            sounding[:, part] = _in_columns(roll.sounding[:, part], columns)
            onsets[:, part] = _in_columns(struck[:, part], columns)
    if not num_moved:
        return roll, 0
    has_onsets = roll.onsets is not None
    return replace(roll, sounding=sounding, onsets=onsets if has_onsets else None), num_moved


def _columns_of_pitches(roll: PianoRoll, shift: int, keys: range) -> np.ndarray:
    """The column to which each column of a part goes, int [N]."""
    pitches = roll.lowest_pitch + np.arange(roll.num_pitches) + shift
    octaves_up = -((pitches - keys[0]) // OCTAVE)
    octaves_down = -((keys[-1] - pitches) // OCTAVE)
    moved_up = pitches + OCTAVE * octaves_up.clip(0)
    moved = moved_up - OCTAVE * octaves_down.clip(0)
    return moved - roll.lowest_pitch


def _in_columns(cells: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The cells, bool [T, N], with each column where it goes."""
    moved = np.zeros_like(cells)
    for column in np.flatnonzero(cells.any(axis=0)):
        moved[:, columns[column]] |= cells[:, column]
    return moved
