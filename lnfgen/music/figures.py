"""Figures of a piece: numbers that distinguish sampled music from the music that a model learned.

Each is a function of one `PianoRoll`. It returns nan where the figure has no value, as silence has
no note length.

A piano-roll does not assign its keys to voices. So the highest and the lowest key of each sounding
step are taken as lines. Where two steps have equally many keys, the voices are the keys in order,
which is the assignment with the least total move. Steps with different numbers of keys are not
compared.

A band has these figures of all its pitched parts together, but where the melody came before is
asked of the melody alone, if there is one. It also has figures of each part.

Sources, where a figure has a name in one:

- muspy: H.-W. Dong, K. Chen, J. McAuley and T. Berg-Kirkpatrick, "MusPy: A Toolkit for Symbolic
  Music Generation", ISMIR 2020, has the polyphony, the groove consistency and the scale
  consistency.
- mgeval: L.-C. Yang and A. Lerch, "On the evaluation of generative models in music", Neural
  Computing and Applications 32, 2020, has the mean move of a line (its average interval).
- A. Fang, A. Liu, P. Seetharaman and B. Pardo, "Bach or Mock? A Grading Function for Chorales in
  the Style of J.S. Bach", ML4MD workshop at ICML 2020, arXiv 2006.13329, count parallels.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from lnfgen.music.parts import BASS, CHORDS, MELODY, are_pitched
from lnfgen.music.pianoroll import PianoRoll, bar_and_beats
from lnfgen.music.tracks import DRUMS
from lnfgen.wording import counted

FIFTH = 7  # semitones of a perfect fifth; a line that moves further leaps
MOTIF = 4  # the notes of a stretch of melody that may come again
CLOSE = 2  # a chord that lasts at least this many times as long as the median chord is a close
KICKS, SNARES = (35, 36), (38, 40)  # MIDI pitches

_MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
_TRIADS = ((0, 4, 7), (0, 3, 7), (0, 3, 6), (0, 4, 8))
_SEVENTHS = ((0, 4, 7, 10), (0, 4, 7, 11), (0, 3, 7, 10), (0, 3, 6, 10), (0, 3, 6, 9))


@dataclass(frozen=True)
class Figure:
    """A figure and its label in a table. Its name is the key in `music_figures`."""

    label: str
    value: Callable[[PianoRoll], float]
    # a difference that one hears; wishes take values as near as half of it as equal
    unit: float = 0.05
    role: str = ""  # of the part of a band that it describes; otherwise all pitched parts


def music_figures(num_voices: int, roles: Sequence[str] = ()) -> dict[str, Figure]:
    """The figures by name, for music that has `num_voices` keys at most steps, and those of the
    parts of a band."""
    exactly = f"steps with exactly {counted(num_voices, 'key')}"
    figures = {
        "exact_polyphony_rate": Figure(
            exactly, lambda roll: _mean(roll.sounding.sum(axis=1) == num_voices)
        ),
        "polyphony": Figure("keys a sounding step", polyphony, 0.1),
        "longest_silence": Figure("longest silence, quarters", longest_silence, 0.5),
        "note_length": Figure("note length, quarters", note_length, 0.1),
        "off_quarter_rate": Figure("onsets off the quarter", off_quarter_rate),
        "downbeat_rate": Figure("onsets where a bar starts", downbeat_rate),
        "groove_consistency": Figure("groove consistency", groove_consistency),
        "close_distance": Figure("from close to close, quarters", close_distance, 1.0),
        "repeat_rate": Figure("bars that came before", repeat_rate),
        "melody_bar_rate": Figure("bars whose melody came before", melody_bar_rate),
        "melody_repeat_rate": Figure("four melody notes that came before", melody_repeat_rate),
        "scale_consistency": Figure("notes in the best scale", scale_consistency),
        "chord_rate": Figure("steps within a triad or seventh", chord_rate),
        "clash_rate": Figure("steps with a semitone clash", clash_rate),
        "top_pitch": Figure(
            "top line: median pitch, MIDI number", lambda roll: median_pitch(roll, True), 1.0
        ),
        "top_interval": Figure(
            "top line: mean move, semitones", lambda roll: _mean(_moves(roll, True)), 0.25
        ),
        "top_leap_rate": Figure(
            "top line: moves over a fifth", lambda roll: _mean(_moves(roll, True) > FIFTH)
        ),
        "bass_pitch": Figure(
            "lowest line: median pitch, MIDI number", lambda roll: median_pitch(roll, False), 1.0
        ),
        "bass_interval": Figure(
            "lowest line: mean move, semitones", lambda roll: _mean(_moves(roll, False)), 0.25
        ),
        "voice_move": Figure("voice move at a chord change, semitones", voice_move, 0.1),
        "parallel_rate": Figure("parallel fifths, octaves a chord change", parallel_rate, 0.01),
    }
    figures = {
        name: _of(MELODY if name.startswith("melody") else "", figure)
        for name, figure in figures.items()
    }
    for role in roles:
        figures |= {
            f"{role}_{name}": _of(role, figure) for name, figure in _part_figures(role).items()
        }
    if {BASS, CHORDS} <= set(roles):
        figures["bass_chord_rate"] = Figure(
            "bass: notes of the chord", partial(bass_rate, on_root=False), role=BASS
        )
        figures["bass_root_rate"] = Figure(
            "bass: notes that are the root", partial(bass_rate, on_root=True), role=BASS
        )
    return figures


def _part_figures(role: str) -> dict[str, Figure]:
    """The figures of the part of a band with this role."""
    figures = {
        "notes_per_bar": Figure(f"{role}: notes a bar", notes_per_bar, 1.0),
        "polyphony": Figure(f"{role}: keys a sounding step", polyphony, 0.1),
        "different_keys": Figure(f"{role}: different keys", different_keys, 1.0),
        "silent_bar_rate": Figure(f"{role}: silent bars", silent_bar_rate),
        "groove_consistency": Figure(f"{role}: groove consistency", groove_consistency),
    }
    if role != DRUMS:
        figures["median_pitch"] = Figure(f"{role}: median pitch, MIDI number", median_of_notes, 1.0)
        return figures | {
            "longest_note": Figure(f"{role}: longest note, quarters", longest_note, 1.0)
        }
    return figures | {
        "repeat_rate": Figure("drums: bars that came before", repeat_rate),
        "kick_downbeat_rate": Figure(
            "drums: kicks where a bar starts", lambda roll: beat_rate(roll, KICKS, slice(1))
        ),
        "kick_beat_rate": Figure(
            "drums: kicks on beats", lambda roll: beat_rate(roll, KICKS, slice(None))
        ),
        "backbeat_rate": Figure(
            "drums: snares on back beats", lambda roll: beat_rate(roll, SNARES, slice(1, None, 2))
        ),
    }


def _of(role: str, figure: Figure) -> Figure:
    """The figure of a part alone."""
    return replace(figure, value=lambda roll: figure.value(_part(roll, role)), role=role)


def _part(roll: PianoRoll, role: str) -> PianoRoll:
    """The part with this role; where a roll has none, all its pitched parts."""
    return roll.part(roll.roles.index(role)) if role in roll.roles else pitched_parts(roll)


def pitched_parts(roll: PianoRoll) -> PianoRoll:
    """All pitched parts of a band as one; the drums of a band that has nothing else."""
    return roll.merged if any(are_pitched(roll.roles)) else roll.part(0)


def usual_voices(rolls: Sequence[PianoRoll]) -> int:
    """The number of keys that most sounding steps have, the smaller one of two equally frequent
    ones; at least 1."""
    keys = np.concatenate([pitched_parts(roll).sounding.sum(axis=1) for roll in rolls])
    return max(1, int(np.bincount(keys[keys > 0], minlength=1).argmax()))


def polyphony(roll: PianoRoll) -> float:
    """The mean number of keys of the steps at which some sound."""
    keys = roll.sounding.sum(axis=1)
    return _mean(keys[keys > 0])


def longest_silence(roll: PianoRoll) -> float:
    """The longest silence between two sounding steps, in quarters; 0 if there is none."""
    steps = np.flatnonzero(roll.sounding.any(axis=1))
    return (
        float(np.diff(steps).max(initial=1) - 1) / roll.steps_per_quarter
        if len(steps)
        else math.nan
    )


def note_length(roll: PianoRoll) -> float:
    """The mean length of a note in quarters."""
    return _share(roll.sounding.sum(), roll.struck().sum()) / roll.steps_per_quarter


def longest_note(roll: PianoRoll) -> float:
    """The length of the longest note in quarters."""
    return max((length for _, length, _ in roll.notes()), default=math.nan) / roll.steps_per_quarter


def off_quarter_rate(roll: PianoRoll) -> float:
    """The share of notes that do not start on a quarter, counted from the start of bar 1."""
    starts, grid = roll.struck().sum(axis=1), roll.steps_per_quarter
    return 1.0 - _share(starts[roll.upbeat % grid :: grid].sum(), starts.sum())


def downbeat_rate(roll: PianoRoll) -> float:
    """The share of notes that start on a bar line."""
    starts = roll.struck().sum(axis=1)
    return _share(sum(starts[step] for number, step in roll.bars().items() if number), starts.sum())


def groove_consistency(roll: PianoRoll) -> float:
    """1 minus the share of places at which exactly one of two neighbouring whole bars has an
    onset."""
    bars = _whole_bars(roll, roll.struck().sum(axis=1) > 0)
    return 1.0 - _mean(bars[1:] != bars[:-1])


def ends_on_triad(roll: PianoRoll) -> bool:
    """True if the last chord is a major or a minor triad in root position, held for a quarter or
    more."""
    roll = pitched_parts(roll)
    starts, lengths = chords(roll.sounding, roll.struck())
    if not len(starts) or lengths[-1] < roll.steps_per_quarter:
        return False
    keys = np.flatnonzero(roll.sounding[starts[-1]])
    return {int(key - keys[0]) % 12 for key in keys} in ({0, 4, 7}, {0, 3, 7})


def close_distance(roll: PianoRoll) -> float:
    """The mean distance in quarters from the start of a close to that of the next; nan with fewer
    than two closes."""
    starts, lengths = chords(roll.sounding, roll.struck())
    usual = np.median(lengths) if len(lengths) else math.nan
    return _mean(np.diff(starts[lengths >= CLOSE * usual])) / roll.steps_per_quarter


def chords(sounding: np.ndarray, struck: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first step of each chord and how many steps it lasts, `[N]` each, of bool `[T, P]`.

    A chord lasts as long as no key starts or stops. A silence is no chord.
    """
    changed = (sounding[1:] != sounding[:-1]) | struck[1:]
    starts = np.append(0, np.flatnonzero(changed.any(axis=1)) + 1)
    is_chord = sounding[starts].any(axis=1)
    return starts[is_chord], np.diff(starts, append=len(sounding))[is_chord]


def repeat_rate(roll: PianoRoll) -> float:
    """The share of bars with notes that repeat an earlier bar of the roll note for note. Only whole
    bars count."""
    return _repeated(_whole_bars(roll, np.concatenate([roll.sounding, roll.struck()], axis=1)))


def silent_bar_rate(roll: PianoRoll) -> float:
    """The share of whole bars in which nothing sounds."""
    bars = _whole_bars(roll, roll.sounding)
    return 1.0 - _share(bars.any(axis=1).sum(), len(bars))


def melody_bar_rate(roll: PianoRoll) -> float:
    """The share of whole bars with notes whose highest line, pitches and starts, is that of an
    earlier bar."""
    line, begins = _melody(roll)
    # a silent step is 0, 0
    return _repeated(_whole_bars(roll, np.stack([line + 1, begins], axis=1)))


def scale_consistency(roll: PianoRoll) -> float:
    """The share of notes in the major or natural minor scale that holds most of them."""
    counts = _pitch_classes(roll, roll.struck()).sum(axis=0)
    # A minor scale has the notes of a major one, so the twelve major scales are all.
    scales = (np.arange(12)[:, None] + _MAJOR_SCALE) % 12
    return _share(counts[scales].sum(axis=1).max(), counts.sum())


def chord_rate(roll: PianoRoll) -> float:
    """The share of sounding steps whose pitch classes are all or some of one of `_TRIADS` and
    `_SEVENTHS`."""
    sounding = _pitch_classes(roll, roll.sounding) > 0
    sets = (sounding @ (1 << np.arange(12)))[sounding.any(axis=1)]
    return _mean(_chords()[0][sets])


def clash_rate(roll: PianoRoll) -> float:
    """The share of sounding steps at which two pitch classes are a semitone apart, in whatever
    octaves."""
    sounding = _pitch_classes(roll, roll.sounding) > 0
    clashes = (sounding & np.roll(sounding, 1, axis=1)).any(axis=1)
    return _share(clashes.sum(), sounding.any(axis=1).sum())


def melody_repeat_rate(roll: PianoRoll) -> float:
    """The share of the stretches of four notes of the highest line, pitches and times, that came
    before."""
    line, begins = _melody(roll)
    steps = np.flatnonzero(begins)
    if len(steps) < MOTIF:
        return math.nan
    pitches = sliding_window_view(line[steps], MOTIF)
    times = sliding_window_view(np.diff(steps), MOTIF - 1)
    return 1 - len(np.unique(np.concatenate([pitches, times], axis=1), axis=0)) / len(pitches)


def median_pitch(roll: PianoRoll, top: bool) -> float:
    """The median over the sounding steps of the pitch of the highest key, or of the lowest one, as
    a MIDI number."""
    line = roll.edge_keys(top)
    return float(np.median(line[line >= 0])) + roll.lowest_pitch if (line >= 0).any() else math.nan


def leaps(roll: PianoRoll) -> int:
    """How often the highest line moves over a fifth."""
    return int((_moves(pitched_parts(roll), True) > FIFTH).sum())


def notes_per_bar(roll: PianoRoll) -> float:
    """The number of notes, divided by the number of bars, where a part of a bar counts as that
    part."""
    roll = pitched_parts(roll)
    return float(roll.struck().sum()) * roll.steps_per_bar / roll.num_steps


def different_keys(roll: PianoRoll) -> float:
    """How many different keys sound (the pitch count of mgeval); a part that repeats one chord has
    few."""
    return float(roll.sounding.any(axis=0).sum()) or math.nan


def median_of_notes(roll: PianoRoll) -> float:
    """The median of the pitches of all notes, as a MIDI number."""
    keys = np.nonzero(roll.struck())[1]
    return float(np.median(keys)) + roll.lowest_pitch if len(keys) else math.nan


def beat_rate(roll: PianoRoll, pitches: Sequence[int], beats: slice) -> float:
    """The share of the notes on some MIDI pitches that start on some of the beats of a bar."""
    starts = roll.struck()[
        :, np.isin(np.arange(roll.num_pitches) + roll.lowest_pitch, pitches)
    ].sum(axis=1)
    bar, count, _ = bar_and_beats(roll.time_signature, roll.steps_per_quarter)
    beat, after = np.divmod((np.arange(roll.num_steps) - roll.upbeat) * count, bar)
    return _share(
        starts[(after == 0) & np.isin(beat % count, np.arange(count)[beats])].sum(), starts.sum()
    )


def bass_rate(roll: PianoRoll, on_root: bool) -> float:
    """The share of the notes of a bass, where chords sound, that have a pitch class of the chord,
    or its root."""
    bass, chord = _part(roll, BASS), _part(roll, CHORDS)
    notes, fitting = _pitch_classes(bass, bass.struck()), _pitch_classes(chord, chord.sounding) > 0
    if on_root:
        fitting = _chords()[1][fitting @ (1 << np.arange(12))][:, None] == np.arange(12)
    return _share(notes[fitting].sum(), notes[fitting.any(axis=1)].sum())


def voice_move(roll: PianoRoll) -> float:
    """The mean move of a voice in semitones, first over the voices of a chord change and then over
    the changes."""
    means = [np.abs(after - before).mean(axis=1) for before, after in _chord_changes(roll)]
    return float(np.concatenate(means).mean()) if means else math.nan


def parallel_rate(roll: PianoRoll) -> float:
    """Pairs of voices in parallel fifths or octaves, for each chord change.

    Both voices move in the same direction, and both before and after they are a perfect fifth
    apart, or both before and after whole octaves; further octaves between them do not count.
    """
    parallels = changes = 0
    for before, after in _chord_changes(roll):
        changes += len(before)
        low, high = np.triu_indices(before.shape[1], 1)  # each pair of voices
        intervals = (before[:, high] - before[:, low]) % 12
        same = intervals == (after[:, high] - after[:, low]) % 12
        directions = np.sign(after - before)
        together = (directions[:, low] != 0) & (directions[:, low] == directions[:, high])
        parallels += int((same & together & ((intervals == 0) | (intervals == FIFTH))).sum())
    return parallels / changes if changes else math.nan


def _whole_bars(roll: PianoRoll, steps: np.ndarray) -> np.ndarray:
    """The values of each step, [T] or [T, values], after the upbeat: a row for each whole bar.

    There are no rows if a bar is no whole number of steps, because equal bars then have different
    places on the grid.
    """
    size = roll.steps_per_bar
    count = (roll.num_steps - roll.upbeat) // size if roll.has_whole_bars else 0
    return steps[roll.upbeat : roll.upbeat + count * size].reshape(count, size * steps[0].size)


def _repeated(bars: np.ndarray) -> float:
    """The share of the rows [bars, values] that equal an earlier row. A row of zeros, a silent bar,
    does not count."""
    bars = bars[bars.any(axis=1)]
    return 1.0 - _share(len(np.unique(bars, axis=0)), len(bars))


def _melody(roll: PianoRoll) -> tuple[np.ndarray, np.ndarray]:
    """The highest line: its column at each step, int [T], -1 in silence; and where its notes start,
    bool [T]."""
    line = roll.edge_keys(True)
    struck = roll.struck()[np.arange(roll.num_steps), line]
    return line, (line >= 0) & (struck | (np.diff(line, prepend=-1) != 0))


def _pitch_classes(roll: PianoRoll, keys: np.ndarray) -> np.ndarray:
    """int64 [T, 12]: how many of the keys, bool [T, P], have each pitch class, C first."""
    below = roll.lowest_pitch % 12  # keys from C up to the first column
    octaves = -(-(below + roll.num_pitches) // 12)
    padded = np.zeros((len(keys), octaves * 12), np.int64)
    padded[:, below : below + roll.num_pitches] = keys
    return padded.reshape(len(keys), octaves, 12).sum(axis=1)


@lru_cache(maxsize=1)
def _chords() -> tuple[np.ndarray, np.ndarray]:
    """For each set of pitch classes (bit c is class c) whether a triad or a seventh chord holds it,
    and its root.

    The root, int [4096], is that of the first such chord whose root is in the set; -1 if there is
    none.
    """
    sets = np.arange(1 << 12)
    within, roots = np.zeros(len(sets), np.bool_), np.full(len(sets), -1)
    for chord in (*_TRIADS, *_SEVENTHS):
        for root in range(12):
            notes = sum(1 << (root + interval) % 12 for interval in chord)
            held = (sets & ~notes) == 0
            within |= held
            roots[held & (sets >> root & 1 > 0) & (roots < 0)] = root
    return within, roots


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else math.nan


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan


def _moves(roll: PianoRoll, top: bool) -> np.ndarray:
    """The semitones of each move of a line to another key. Silence between two keys does not
    count."""
    line = roll.edge_keys(top)
    moves = np.abs(np.diff(line[line >= 0]))
    return moves[moves > 0]


def _chord_changes(roll: PianoRoll) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The keys before and after each chord change, int [changes, keys] twice, for each number of
    keys that occurs.

    A chord changes where the next step has equally many keys but not the same ones.
    """
    before, after = roll.sounding[:-1], roll.sounding[1:]
    counts = before.sum(axis=1)
    changed = (before != after).any(axis=1) & (counts == after.sum(axis=1))
    for number in np.unique(counts[changed]).tolist():
        rows = changed & (counts == number)
        yield tuple(np.nonzero(part[rows])[1].reshape(-1, number) for part in (before, after))  # type: ignore[misc]
