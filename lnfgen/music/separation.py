"""Voice separation: gives each note of a piano-roll to a voice.

Notes are taken in the order in which they start. Those that start together go to voices so that all
voices together move little, stay in their own range and do not cross; a held note keeps its voice.
What is best for one chord can be bad for the next one, so the best few assignments so far are kept
(a beam search).

Sources: the least total move between chords is pitch proximity, as in E. Chew and X. Wu,
"Separating Voices in Polyphonic Music: A Contig Mapping Approach", CMMR 2004, who also number the
voices by rank where all of them sound; and a search over all assignments of a chord is as in P.
McLeod and M. Steedman, "HMM-based voice separation of MIDI performance", Journal of New Music
Research 45, 2016.
"""

import itertools
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from lnfgen.errors import LnfgenError
from lnfgen.music.figures import FIFTH
from lnfgen.music.pianoroll import Note, PianoRoll

MAX_VOICES = 8  # of two choirs; with more, the search would take long
_CHOIR = ("Soprano", "Alto", "Tenor", "Bass")
_BEAM = 24  # assignments kept after each chord
_GROUPS = 8  # more notes that start together are taken in so many groups of neighbours
# cost of a semitone from the middle of the voice's range; of a semitone that a voice moves it is 1
_RANGE = 0.3
_UNISONS = 4  # notes that two voices share in a row
_CROSSING = 15.0  # cost of two voices that cross, and 1 for each semitone
# cost of a note in a voice that sounds already, and 1 for each semitone between the two
_SHARED = 60.0


def separate_voices(roll: PianoRoll, num_voices: int) -> list[list[Note]]:
    """The notes of each voice, from the highest voice to the lowest one; together they are
    `roll.notes()`.

    A voice has one note at a time. Where more notes sound than there are voices, the others go to
    the voices whose notes are near. A voice then has a chord, whose notes need not start or end
    together.

    There are 1 to `MAX_VOICES` voices; another number is an `LnfgenError`.
    """
    if not 1 <= num_voices <= MAX_VOICES:
        raise LnfgenError(f"{num_voices} voices; expected 1 to {MAX_VOICES}")
    voices: list[list[Note]] = [[] for _ in range(num_voices)]
    chords = [
        _grouped(list(notes))
        for _, notes in itertools.groupby(roll.notes(), key=lambda note: note[0])
    ]
    for groups, chosen in zip(chords, _search(chords, _middles(roll, num_voices)), strict=True):
        for group, voice in zip(groups, chosen, strict=True):
            voices[voice] += group
    return voices


def with_unisons(voices: Sequence[Sequence[Note]]) -> list[list[Note]]:
    """The voices where two that meet on one key both have the note, as a score for singers needs
    it.

    A piano-roll has the key once, so that one of the voices seems to rest. A rest is filled with
    the notes of the voice above or below where these start with it and fill it, are at most
    `_UNISONS` (one, after the last note), and are within a fifth of the notes on both sides of the
    rest.
    """
    filled = [sorted(notes) for notes in voices]
    for number, notes in enumerate(voices):
        ordered = sorted(notes)
        end = 0
        for before, after in itertools.zip_longest(ordered, ordered[1:]):
            end = max(end, before[0] + before[1])
            for other in (number - 1, number + 1):
                if 0 <= other < len(voices) and (
                    shared := _filling(voices[other], end, before, after)
                ):
                    filled[number] += shared
                    break
    return filled


def _filling(notes: Sequence[Note], start: int, before: Note, after: Note | None) -> list[Note]:
    """The notes of another voice that fill the rest from `start` on, or none. The last one may end
    before it does."""
    inside = sorted(
        note for note in notes if note[0] >= start and (after is None or note[0] < after[0])
    )
    if inside and after:
        last, length, pitch = inside[-1]
        inside[-1] = (last, min(length, after[0] - last), pitch)
    ends = [start, *(note[0] + note[1] for note in inside)]
    fills = [note[0] for note in inside] == ends[:-1] and (after is None or ends[-1] == after[0])
    near = all(
        abs(note[2] - side[2]) <= FIFTH
        for note in inside
        for side in (before, after)
        if side is not None
    )
    few = len(inside) <= (_UNISONS if after else 1)
    return inside if fills and near and few else []


def voice_names(num_voices: int) -> list[str]:
    """The names of the voices, from the highest to the lowest one."""
    return (
        list(_CHOIR)
        if num_voices == len(_CHOIR)
        else [f"Voice {index + 1}" for index in range(num_voices)]
    )


def _search(
    chords: Sequence[Sequence[Sequence[Note]]], middles: np.ndarray
) -> list[tuple[int, ...]]:
    """For each chord the voices of its groups of notes, both from the highest down."""
    num_voices = len(middles)
    # Of each assignment in the beam and each of its voices: the mean pitch of the notes that
    # started last; the highest and the lowest pitch that sounds, and when it ends. [beam, 4,
    # voices]
    state = np.stack([middles, middles, middles, np.full(num_voices, -1.0)])[None]
    costs = np.zeros(1)
    # for each chord: the assignment before, and the voices
    history: list[tuple[np.ndarray, np.ndarray]] = []
    for groups in chords:
        options = _ways(len(groups), num_voices)  # [ways, groups]
        step = groups[0][0][0]
        held = state[:, 3] > step
        new, cost = _extended(state, held, groups, options, middles)
        total = (costs[:, None] + cost).ravel()
        order = np.argsort(total, kind="stable")[: 4 * _BEAM]
        rows = new.reshape(-1, *new.shape[2:])[order]
        # Of assignments with equal states, the best is kept.
        _, first = np.unique(rows.reshape(len(rows), -1), axis=0, return_index=True)
        kept = np.sort(first)[:_BEAM]
        before, way = np.divmod(order[kept], len(options))
        history.append((before, options[way]))
        state, costs = rows[kept], total[order[kept]]
    chosen: list[tuple[int, ...]] = []
    index = 0
    for before, voices in reversed(history):
        chosen.append(tuple(voices[index].tolist()))
        index = int(before[index])
    return chosen[::-1]


def _extended(
    state: np.ndarray,
    held: np.ndarray,
    groups: Sequence[Sequence[Note]],
    options: np.ndarray,
    middles: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Each assignment [beam] continued in each way: the state [beam, ways, 4, voices], and the cost
    [beam, ways]."""
    beam, ways, num_voices = len(state), len(options), len(middles)
    new = np.repeat(state[:, None], ways, axis=1)
    sounds = np.repeat(held[:, None], ways, axis=1)
    cost = np.zeros((beam, ways))
    every = np.arange(ways)
    for index, group in enumerate(groups):
        pitches = [pitch for _, _, pitch in group]
        mean, high, low = sum(pitches) / len(pitches), max(pitches), min(pitches)
        end = max(start + length for start, length, _ in group)
        voice = options[:, index]
        shared = sounds[:, every, voice]
        top, bottom = new[:, every, 1, voice], new[:, every, 2, voice]
        gap = np.minimum(abs(top - mean), abs(bottom - mean))
        move = abs(state[:, 0][:, voice] - mean)
        cost += np.where(shared, _SHARED + gap, move) + _RANGE * abs(middles[voice] - mean)
        new[:, every, 0, voice] = mean
        new[:, every, 1, voice] = np.where(shared, np.maximum(top, high), high)
        new[:, every, 2, voice] = np.where(shared, np.minimum(bottom, low), low)
        new[:, every, 3, voice] = np.where(shared, np.maximum(new[:, every, 3, voice], end), end)
        sounds[:, every, voice] = True
    for above, below in itertools.combinations(range(num_voices), 2):
        # how far the lower voice is over the higher one
        over = new[:, :, 1, below] - new[:, :, 2, above]
        cost += np.where(
            sounds[:, :, above] & sounds[:, :, below] & (over > 0), _CROSSING + over, 0.0
        )
    return new, cost


@lru_cache(maxsize=256)
def _ways(groups: int, num_voices: int) -> np.ndarray:
    """int [ways, groups]: the voices of notes that start together, which do not cross one
    another."""
    ways = itertools.combinations_with_replacement(range(num_voices), groups)
    if num_voices > 6:  # then the ways are too many, and few of the notes share a voice
        fewest = min(groups, num_voices) - 1
        ways = (way for way in ways if len(set(way)) >= fewest)  # type: ignore[assignment]
    return np.array(list(ways))


def _grouped(chord: list[Note]) -> list[list[Note]]:
    """The notes that start together, from the highest down, the nearest of them grouped if they are
    many."""
    chord = sorted(chord, key=lambda note: -note[2])
    gaps = [above[2] - below[2] for above, below in itertools.pairwise(chord)]
    cuts = sorted(sorted(range(len(gaps)), key=lambda index: -gaps[index])[: _GROUPS - 1])
    edges = [0, *(cut + 1 for cut in cuts), len(chord)]
    return [chord[start:stop] for start, stop in itertools.pairwise(edges)]


def _middles(roll: PianoRoll, num_voices: int) -> np.ndarray:
    """The middle of the range of each voice: where all voices sound, the median of each rank."""
    counts = roll.sounding.sum(axis=1)
    full = counts == num_voices
    if full.any():
        ranks = np.nonzero(roll.sounding[full])[1].reshape(-1, num_voices)[:, ::-1]
        return np.median(ranks, axis=0) + roll.lowest_pitch
    if not counts.any():
        return np.full(num_voices, 60.0)
    top, bottom = (np.median(roll.edge_keys(top)[counts > 0]) for top in (True, False))
    return np.linspace(top, bottom, num_voices) + roll.lowest_pitch
