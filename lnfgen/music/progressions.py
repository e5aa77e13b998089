"""How chords follow each other: pairs of chords, which of them a corpus has, and moves of the root.

In a pair, a chord is the bass note, as semitones above the tonic of its piece, and the pitch
classes above it. So a pair of chords in any key is the same pair. Roots are those of the chords
that `find_chords` hears.
"""

import itertools
from collections import Counter
from collections.abc import Iterable

import numpy as np

from lnfgen.music.averages import mean, share
from lnfgen.music.chord_finding import find_chords
from lnfgen.music.harmony import pitch_classes, set_above, set_number
from lnfgen.music.home import find_home
from lnfgen.music.pianoroll import PianoRoll, pitched_parts
from lnfgen.music.repertoire import Repertoire
from lnfgen.music.time_signature import bar_length

_BY_A_FIFTH = (5, 7)  # semitones that a root moves up by a fourth, or by a fifth
_SETS = 1 << 12  # the sets of pitch classes above a bass
_CHORDS = 12 * _SETS
_TONIC_TRIADS = (set_above(0, (0, 4, 7)), set_above(0, (0, 3, 7)))  # the numbers of these chords


def chord_pairs(piece: PianoRoll, tonic: int) -> np.ndarray:
    """The pairs of successive chords of a piece by number, int64 [N]; see `chord_numbers`."""
    numbers = chord_numbers(piece, tonic)
    return numbers[:-1] * _CHORDS + numbers[1:]


def chord_numbers(piece: PianoRoll, tonic: int) -> np.ndarray:
    """The successive chords of a piece by number, int64 [N].

    A chord follows where other keys sound and they make another chord. Silence is left out, and so
    are drums.

    Args:
        tonic: the pitch class that basses are measured from.
    """
    roll = pitched_parts(piece)
    sounding = roll.sounding[:, 0]
    steps = np.flatnonzero(sounding.any(axis=1))
    basses = (sounding[steps].argmax(axis=1) + roll.lowest_pitch) % 12
    classes = pitch_classes(roll, roll.sounding)[steps] > 0
    above = (basses[:, None] + np.arange(12)) % 12
    intervals = np.take_along_axis(classes, above, axis=1)
    numbers = (basses - tonic) % 12 * _SETS + set_number(intervals)
    changes = np.flatnonzero(np.diff(numbers, prepend=-1))
    successive: np.ndarray = numbers[changes]
    return successive


def variety_of_chords(numbers: np.ndarray) -> float:
    """The share of successive chords, of `chord_numbers`, that are the first of their kind."""
    return share(len(np.unique(numbers)), len(numbers))


def tonic_rate(numbers: np.ndarray) -> float:
    """The share of successive chords, of `chord_numbers`, that are the triad on the tonic."""
    return mean(np.isin(numbers, _TONIC_TRIADS))


def resting_bass_rate(numbers: np.ndarray) -> float:
    """The share of the changes of chord, of `chord_numbers`, under which the bass stays.

    Octaves of the bass do not count.
    """
    basses = numbers // _SETS
    return mean(basses[1:] == basses[:-1])


def pairs_at_home(piece: PianoRoll) -> np.ndarray:
    """The pairs of chords of a piece, measured from the tonic of its own home; none without one."""
    home = find_home(piece)
    if home is None:
        return np.zeros(0, np.int64)
    return chord_pairs(piece, home.tonic)


class KnownPairs:
    """The pairs of chords that the songs of a corpus have."""

    def __init__(self, pairs_of_songs: Iterable[Iterable[int]]) -> None:
        """Count for each pair of `chord_pairs` how many songs have it."""
        self._songs: Counter[int] = Counter()
        for pairs in pairs_of_songs:
            self._songs.update(set(pairs))

    @classmethod
    def of(cls, corpus: Repertoire) -> "KnownPairs":
        """The pairs of a corpus, each piece in its own home."""
        pairs_of_songs = []
        for pieces in corpus.of_each_song():
            pairs: set[int] = set()
            for piece in pieces:
                pairs.update(pairs_at_home(piece).tolist())
            pairs_of_songs.append(pairs)
        return cls(pairs_of_songs)

    def new_rate(self, pairs: np.ndarray, own: int = 0) -> float:
        """The share of these pairs, int64 [N], that the corpus does not have; nan for no pairs.

        Args:
            own: 1 for pairs of a song of the corpus, which then does not count itself.
        """
        num_new = sum(self._songs[pair] <= own for pair in pairs.tolist())
        return share(num_new, len(pairs))


def chord_changes(piece: PianoRoll) -> tuple[float, float]:
    """How often the chord heard changes a bar, and the share of changes with a root a fifth away.

    Another bass under the same chord is no change, nor is a silence. A fourth up is a fifth down.
    The share is nan if the chord never changes.
    """
    heard = find_chords(piece)
    num_changes = 0
    num_by_fifths = 0
    for (_, before), (_, after) in itertools.pairwise(heard):
        is_same = (before.root, before.intervals) == (after.root, after.intervals)
        if is_same or before.is_silent or after.is_silent:
            continue
        num_changes += 1
        num_by_fifths += (after.root - before.root) % 12 in _BY_A_FIFTH
    num_bars = piece.num_steps / bar_length(piece.time_signature, piece.steps_per_quarter)
    return float(num_changes / num_bars), share(num_by_fifths, num_changes)
