"""Drawing in a take again: what the model is given of it, and how the result joins the take.

A person's own file goes through any number of drawings. Each of them draws some cells anew, in a
piece all of whose notes are then known, whoever wrote them. The song that comes of it has the file
as it was opened, and marks what any drawing up to this one drew, so that it is written as that file
with the drawn notes beside it.
"""

from dataclasses import replace

import numpy as np

from lnfgen.music.parts import MELODY
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song
from lnfgen.music.tracks import DRUMS

NUM_KEYS = 128


def with_nothing_drawn(song: Song) -> Song:
    """A song with all 128 keys, of which a model drew nothing yet."""
    return replace(song, drawn=np.zeros_like(song.roll.sounding))


def all_drawn(piece: Song) -> Song:
    """A song that a model drew from nothing, with all 128 keys."""
    roll = piece.roll.in_range(0, NUM_KEYS)
    return Song(roll, piece.origin, np.ones_like(roll.sounding))


def alone_as_melody(song: Song) -> Song:
    """The song with its notes in the melody, if it is one of a band and only one part has notes.

    Any other song stays as it is, and one of which drums alone have notes.
    """
    roles = song.roll.roles
    played = np.flatnonzero(song.roll.sounding.any(axis=(0, 2)))
    if MELODY not in roles or len(played) != 1:
        return song
    own = int(played[0])
    melody = roles.index(MELODY)
    if roles[own] in (DRUMS, MELODY):
        return song
    order = np.arange(len(roles))
    order[[own, melody]] = [melody, own]
    roll = song.roll
    onsets = None if roll.onsets is None else roll.onsets[:, order]
    drawn = None if song.drawn is None else song.drawn[:, order]
    tracks = []
    for track in song.origin.tracks:
        if track.role == roles[own]:
            track = replace(track, role=MELODY)
        tracks.append(track)
    return Song(
        replace(roll, sounding=roll.sounding[:, order], onsets=onsets),
        replace(song.origin, tracks=tuple(tracks)),
        drawn,
    )


def joined(before: Song, result: Song) -> Song:
    """What a model drew from the song before, all of whose notes it was given, in its file.

    What was not drawn stays as it was, also on keys that the model does not have. There, the rest
    of a note that began where the model drew goes with its beginning. The result may be longer.
    """
    assert before.drawn is not None
    assert result.drawn is not None
    roll = result.roll.in_range(0, NUM_KEYS)
    is_new = result.drawn
    sounding = np.where(is_new, roll.sounding, _longer(before.roll.sounding, roll))
    onsets = np.where(is_new, roll.struck(), _longer(before.roll.struck(), roll))
    sounding &= _begun(sounding, onsets)
    origin = replace(before.origin, chords=result.origin.chords)
    return Song(
        replace(roll, sounding=sounding, onsets=onsets),
        origin,
        is_new | _longer(before.drawn, roll),
    )


def _longer(cells: np.ndarray, roll: PianoRoll) -> np.ndarray:
    """The cells bool [T, R, 128] with those of silence after them, as many as the roll has."""
    return np.pad(cells, ((0, roll.num_steps - len(cells)), (0, 0), (0, 0)))


def _begun(sounding: np.ndarray, onsets: np.ndarray) -> np.ndarray:
    """Where a note sounds that has begun, bool [T, R, 128]: with an onset, and no silence since."""
    begun = onsets.copy()
    for t in range(1, len(begun)):
        begun[t] |= begun[t - 1] & sounding[t]
    return begun
