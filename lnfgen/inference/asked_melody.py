"""Whoever asks a band for a melody gets one.

In most songs of a band the melody rests for long, and so a model may leave it silent where a person
asks for it. Then this wish is set by itself: a melody that is drawn has some notes.
"""

from functools import partial

import numpy as np

from lnfgen.inference.known_music import KnownMusic
from lnfgen.inference.known_part import KnownPart
from lnfgen.inference.wish_measures import Measured
from lnfgen.inference.wishes import AT_THE_END, Wish, Wishes
from lnfgen.music.parts import MELODY
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song

LEAST_NOTES = 0.5
"""The drawn notes a bar of a melody that was asked for, at least.

Nearly all passages in which a melody plays have more; `examples/experiments.md` has the figures.
"""

WORDS = "a melody"
"""The name of the wish in warnings and in JSON."""


def with_melody(wishes: Wishes, part: KnownPart) -> Wishes:
    """The wishes, and that for a melody if the hidden part of a piece asks for one.

    It does if the melody of a band alone is hidden, or the whole melody and not the whole band. A
    wish of a person's own for the melody takes its place.
    """
    if not isinstance(part, KnownMusic) or not _asks_for_melody(part):
        return wishes
    if any(wish.words.startswith(MELODY) for wish in (*wishes.wishes, *wishes.sure)):
        return wishes
    measured = partial(_drawn_notes_per_bar, part.encoding.roles.index(MELODY))
    wish = Wish(WORDS, measured, AT_THE_END, of_song=True)
    return wishes.and_wish(wish)


def _asks_for_melody(part: KnownMusic) -> bool:
    roles = part.encoding.roles
    if MELODY not in roles:
        return False
    is_hidden = np.any(part.hidden_cells, axis=2)  # bool [T, R]
    of_melody: np.ndarray = is_hidden[:, roles.index(MELODY)]
    of_others = np.delete(is_hidden, roles.index(MELODY), axis=1)
    is_alone = bool(of_melody.any()) and not of_others.any()
    is_whole = bool(of_melody.all()) and not of_others.all()
    return is_alone or is_whole


def _drawn_notes_per_bar(melody: int, piece: Song | PianoRoll | str) -> Measured:
    """The notes a bar of a melody where it was drawn, and how many are missing."""
    assert isinstance(piece, Song)
    assert piece.drawn is not None
    roll = piece.roll
    drawn_steps = int(piece.drawn[:, melody].any(axis=1).sum())
    num_notes = sum(piece.was_drawn(note, melody) for note in roll.notes(melody))
    notes_per_bar = num_notes * roll.steps_per_bar / max(drawn_steps, 1)
    return notes_per_bar, max(LEAST_NOTES - notes_per_bar, 0.0)
