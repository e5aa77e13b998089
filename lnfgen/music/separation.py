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
from lnfgen.music.lines import FIFTH, line_keys
from lnfgen.music.notes import Note
from lnfgen.music.pianoroll import PianoRoll

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
    """The notes of each voice of a roll of one part, from the highest voice to the lowest one.

    Together they are `roll.notes()`. A voice has one note at a time. Where more notes sound than
    there are voices, the others go to the voices whose notes are near. A voice then has a chord,
    whose notes need not start or end together.

    Raises:
        LnfgenError: if there are not 1 to `MAX_VOICES` voices.
    """
    if not 1 <= num_voices <= MAX_VOICES:
        raise LnfgenError(f"{num_voices} voices; expected 1 to {MAX_VOICES}")
    chords = []
    for _, notes in itertools.groupby(roll.notes(), key=lambda note: note[0]):
        chords.append(_grouped(list(notes)))
    voices: list[list[Note]] = [[] for _ in range(num_voices)]
    chosen = _search(chords, _middles(roll, num_voices))
    for groups, voices_of_groups in zip(chords, chosen, strict=True):
        for group, voice in zip(groups, voices_of_groups, strict=True):
            voices[voice] += group
    return voices


def with_unisons(voices: Sequence[Sequence[Note]]) -> list[list[Note]]:
    """The voices where two that meet on one key both have the note, as a score for singers needs.

    A piano-roll has the key once, so that one of the voices seems to rest. A rest is filled with
    the notes of the voice above or below where these start with it and fill it, are at most
    `_UNISONS` (one, after the last note), and are within a fifth of the notes on both sides of the
    rest.
    """
    filled = [sorted(notes) for notes in voices]
    for number, notes in enumerate(voices):
        neighbours = []
        if number > 0:
            neighbours.append(voices[number - 1])
        if number + 1 < len(voices):
            neighbours.append(voices[number + 1])
        ordered = sorted(notes)
        end = 0
        for before, after in itertools.zip_longest(ordered, ordered[1:]):
            end = max(end, before[0] + before[1])
            for neighbour in neighbours:
                shared = _filling(neighbour, end, before, after)
                if shared:
                    filled[number] += shared
                    break
    return filled


def _filling(notes: Sequence[Note], start: int, before: Note, after: Note | None) -> list[Note]:
    """The notes of another voice that fill the rest from `start` on, or none.

    The rest ends at the note `after`, where the last one is cut off.
    """
    inside = sorted(
        note for note in notes if note[0] >= start and (after is None or note[0] < after[0])
    )
    if inside and after:
        last, length, pitch = inside[-1]
        inside[-1] = (last, min(length, after[0] - last), pitch)
    most = _UNISONS if after else 1
    if len(inside) > most or not _fills(inside, start, after):
        return []
    for _, _, pitch in inside:
        if abs(pitch - before[2]) > FIFTH:
            return []
        if after is not None and abs(pitch - after[2]) > FIFTH:
            return []
    return inside


def _fills(notes: Sequence[Note], start: int, after: Note | None) -> bool:
    """True if the notes follow one another without a gap from `start` up to the note `after`."""
    end = start
    for first, length, _ in notes:
        if first != end:
            return False
        end = first + length
    return after is None or end == after[0]


def voice_names(num_voices: int) -> list[str]:
    """The names of the voices, from the highest to the lowest one."""
    if num_voices == len(_CHOIR):
        return list(_CHOIR)
    return [f"Voice {index + 1}" for index in range(num_voices)]


# What the state of an assignment, [4, voices], has of each voice: the mean pitch of its notes that
# started last; the highest and the lowest of its pitches that sound, and when these end.
_MEAN = 0
_TOP = 1
_BOTTOM = 2
_END = 3


def _search(
    chords: Sequence[Sequence[Sequence[Note]]], middles: np.ndarray
) -> list[tuple[int, ...]]:
    """For each chord the voices of its groups of notes, both from the highest down."""
    num_voices = len(middles)
    # those of the assignments in the beam: [beam, 4, voices]
    state = np.stack([middles, middles, middles, np.full(num_voices, -1.0)])[None]
    costs = np.zeros(1)
    # for each chord: the assignment before, and the voices
    history: list[tuple[np.ndarray, np.ndarray]] = []
    for groups in chords:
        options = _ways(len(groups), num_voices)  # [ways, groups]
        step = groups[0][0][0]
        held = state[:, _END] > step
        new, cost = _extended(state, held, groups, options, middles)
        total = (costs[:, None] + cost).ravel()
        order = np.argsort(total, kind="stable")[: 4 * _BEAM]
        rows = new.reshape(-1, *new.shape[2:])[order]
        # Of assignments with equal states, the best is kept.
        _, first = np.unique(rows.reshape(len(rows), -1), axis=0, return_index=True)
        kept = np.sort(first)[:_BEAM]
        before, way = np.divmod(order[kept], len(options))
        history.append((before, options[way]))
        state = rows[kept]
        costs = total[order[kept]]
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
    """Each assignment continued in each way, and what that costs.

    Args:
        state: [beam, 4, voices].
        held: bool [beam, voices], where a voice sounds already.
        groups: those of the notes that start together.
        options: int [ways, groups], the voices of the groups.
        middles: [voices], the middles of their ranges.

    Returns:
        the state [beam, ways, 4, voices], and the cost [beam, ways].
    """
    num_ways = len(options)
    new = np.repeat(state[:, None], num_ways, axis=1)
    sounds = np.repeat(held[:, None], num_ways, axis=1)
    cost = np.zeros((len(state), num_ways))
    every = np.arange(num_ways)
    for index, group in enumerate(groups):
        pitches = [pitch for _, _, pitch in group]
        mean = sum(pitches) / len(pitches)
        end = max(start + length for start, length, _ in group)
        voice = options[:, index]
        shared = sounds[:, every, voice]
        top = new[:, every, _TOP, voice]
        bottom = new[:, every, _BOTTOM, voice]
        last = new[:, every, _END, voice]
        gap = np.minimum(abs(top - mean), abs(bottom - mean))
        move = abs(state[:, _MEAN][:, voice] - mean)
        cost += np.where(shared, _SHARED + gap, move) + _RANGE * abs(middles[voice] - mean)
        highest = max(pitches)
        lowest = min(pitches)
        new[:, every, _MEAN, voice] = mean
        new[:, every, _TOP, voice] = np.where(shared, np.maximum(top, highest), highest)
        new[:, every, _BOTTOM, voice] = np.where(shared, np.minimum(bottom, lowest), lowest)
        new[:, every, _END, voice] = np.where(shared, np.maximum(last, end), end)
        sounds[:, every, voice] = True
    _add_crossings(cost, new, sounds)
    return new, cost


def _add_crossings(cost: np.ndarray, state: np.ndarray, sounds: np.ndarray) -> None:
    """Add what voices that cross cost, [beam, ways]: `_CROSSING` each, and 1 for each semitone."""
    for above, below in itertools.combinations(range(sounds.shape[2]), 2):
        # how far the lower voice is over the higher one
        over = state[:, :, _TOP, below] - state[:, :, _BOTTOM, above]
        both = sounds[:, :, above] & sounds[:, :, below]
        cost += np.where(both & (over > 0), _CROSSING + over, 0.0)


@lru_cache(maxsize=256)
def _ways(groups: int, num_voices: int) -> np.ndarray:
    """int [ways, groups]: the voices of notes that start together and do not cross one another."""
    ways = list(itertools.combinations_with_replacement(range(num_voices), groups))
    if num_voices > 6:  # then the ways are too many, and few of the notes share a voice
        fewest = min(groups, num_voices) - 1
        ways = [way for way in ways if len(set(way)) >= fewest]
    return np.array(ways)


def _grouped(chord: list[Note]) -> list[list[Note]]:
    """The notes that start together, from the highest down, in groups.

    A group is one note or, if they are many, several that are near.
    """
    chord = sorted(chord, key=lambda note: -note[2])
    gaps = [above[2] - below[2] for above, below in itertools.pairwise(chord)]
    by_width = sorted(range(len(gaps)), key=lambda index: -gaps[index])
    cuts = sorted(by_width[: _GROUPS - 1])
    edges = [0, *(cut + 1 for cut in cuts), len(chord)]
    return [chord[start:stop] for start, stop in itertools.pairwise(edges)]


def _middles(roll: PianoRoll, num_voices: int) -> np.ndarray:
    """The middle of the range of each voice, [voices], as MIDI numbers.

    Where all voices sound, it is the median of each rank.
    """
    sounding = roll.sounding[:, 0]
    counts = sounding.sum(axis=1)
    full = counts == num_voices
    if full.any():
        _, keys = np.nonzero(sounding[full])
        ranks = keys.reshape(-1, num_voices)[:, ::-1]
        return np.median(ranks, axis=0) + roll.lowest_pitch
    if not counts.any():
        return np.full(num_voices, 60.0)
    top = np.median(line_keys(roll, True))
    bottom = np.median(line_keys(roll, False))
    return np.linspace(top, bottom, num_voices) + roll.lowest_pitch
