"""The notes, tempos and time signatures of a piece in a file, and the piano-roll that they make.

A file may have several tempos and time signatures one after the other. A roll has one of each: the
one that lasts longest, and so not that of an upbeat or of a last chord.
"""

import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np

from lnfgen.errors import UnreadableFileError
from lnfgen.music.chart import ChordChange
from lnfgen.music.chord import Chord
from lnfgen.music.conversion import FINER, NEAR, ConversionReport, report_of_notes
from lnfgen.music.key_signature import KeySignature
from lnfgen.music.notes import Note
from lnfgen.music.parts import Part, in_roles
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Origin, Song
from lnfgen.music.time_signature import bar_length, is_time_signature
from lnfgen.music.tracks import Track, choose_tracks
from lnfgen.wording import in_one_line

# 17 hours of sixteenths at 240 bpm; a longer file is damaged, and would fill the memory
MAX_STEPS = 1_000_000
DEFAULT_BPM = 120.0  # the tempo of a file without one, as in MIDI

FileNote = tuple[Any, Any, int]  # a note in the unit of a file: (start, end, MIDI pitch)
Sound = tuple[Any, Any, int, bool, bool]
"""A note as a score has it: (start, end, MIDI pitch, tied to the one before, tied to the next)."""

_Value = TypeVar("_Value")


def with_choice(
    tracks: Sequence[Track], wanted: str, roles: Sequence[str], name: str
) -> list[Track]:
    """The tracks of a file, those marked as kept that `choose_tracks` gives.

    With roles, those are kept that have one of them.
    """
    if roles:
        placed = in_roles(tracks, roles, wanted, name)
        return [replace(track, kept=bool(track.role)) for track in placed]
    kept = choose_tracks(tracks, wanted, name) if tracks else set()
    return [replace(track, kept=track.number in kept) for track in tracks]


@dataclass(frozen=True)
class _Grid:
    """Where the steps of a roll lie in the time of a file."""

    quarter: Fraction  # the length of a quarter in the unit of the file
    steps_per_quarter: int

    # Both count in integers, because the arithmetic of fractions is slow.

    def step(self, time: Any) -> int:
        """The step that is nearest to a time; half a step rounds up."""
        steps = time.numerator * self.steps_per_quarter * self.quarter.denominator
        scale = time.denominator * self.quarter.numerator
        return int((2 * steps + scale) // (2 * scale))

    def between_steps(self, times: Iterable[Any], finer: int = 1) -> list[Any]:
        """The times that are on no step, or on no step of a grid that is so many times finer."""
        step = self.quarter / self.steps_per_quarter
        scale = finer * step.denominator
        of_step = step.numerator
        return [
            time for time in times if time.numerator * scale % (time.denominator * of_step) != 0
        ]


@dataclass
class Events:
    """A piece in a file. Times are in the unit of the file.

    Attributes:
        tracks: those with notes, and the notes of each.
        tempos: (time, quarters a minute) of each change.
        signatures: (time, time signature) of each change.
        keys: (time, key signature) of each change.
        end: where the piece ends.
        lines: where the first bar ends, and the next one, as far as is known.
        lost: what no roll can have, by the number of the track.
        velocities: (time, velocity) of notes, by the number of the track.
        title: that of the piece; empty if there is none.
        chords: (time, chord) of each chord symbol, None for one that cannot be read.
    """

    tracks: list[tuple[Track, list[FileNote]]] = field(default_factory=list)
    tempos: list[tuple[Any, float]] = field(default_factory=list)
    signatures: list[tuple[Any, tuple[int, int]]] = field(default_factory=list)
    keys: list[tuple[Any, KeySignature]] = field(default_factory=list)
    end: Any = 0
    lines: list[Any] = field(default_factory=list)
    lost: dict[int, ConversionReport] = field(default_factory=dict)
    velocities: dict[int, list[tuple[Any, int]]] = field(default_factory=dict)
    title: str = ""
    chords: list[tuple[Any, Chord | None]] = field(default_factory=list)

    def add(
        self,
        notes: list[FileNote],
        name: str = "",
        program: int | None = None,
        channel: int = 1,
        after: int = 0,
    ) -> int:
        """Add a track of one or more notes. Return its number, counted from `after` on.

        Its name is put in one line.
        """
        pitches = [pitch for _, _, pitch in notes]
        track = Track(
            number=after + len(self.tracks) + 1,
            name=in_one_line(name),
            program=program,
            channel=channel,
            notes=len(notes),
            lowest=min(pitches),
            highest=max(pitches),
            mean_pitch=statistics.fmean(pitches),
            polyphony=_polyphony(notes),
        )
        self.tracks.append((track, notes))
        self.velocities[track.number] = []
        return track.number

    # It takes what `_merged` takes, the tracks, and their roles.
    def song(  # noqa: PLR0913
        self,
        tracks: Iterable[Track],
        roles: Sequence[str],
        quarter: Fraction,
        steps_per_quarter: int,
        name: str,
        before: int = 0,
    ) -> Song:
        """The tracks that are kept as one piano-roll, or as the parts of a band with these roles.

        Times are rounded to the nearest step, and a note lasts at least one step. The tempo lasts
        longest in seconds, and the time signature in quarters. A time signature that only the
        upbeat has is not counted as a change.

        Args:
            quarter: the length of a quarter in the unit of the file.
            name: stands for the file in errors.
            before: the number of steps of other pieces of the file.

        Raises:
            UnreadableFileError: if all these pieces last over `MAX_STEPS` together.
        """
        own = tuple(track for track in tracks if track.number in self.velocities)
        kept = {track.number for track in own if track.kept}
        whole = self._merged(kept, quarter, steps_per_quarter, name, before)
        origin = replace(whole.origin, tracks=own)
        if not roles:
            return replace(whole, origin=origin)
        grid = _Grid(quarter, steps_per_quarter)
        songs: list[Song] = []
        parts: list[Part] = []
        for role in roles:
            playing = [track for track in own if track.role == role]
            numbers = {track.number for track in playing}
            songs.append(self._merged(numbers, quarter, steps_per_quarter, name))
            parts.append(self._part(role, playing, grid, whole.roll))
        # Notes that meet within a part; in the whole, those of two parts meet too.
        report = ConversionReport(origin.report)
        for key in ("merged", "overlapping"):
            report[key] = sum(song.origin.report[key] for song in songs)
        band = PianoRoll.of_parts([song.roll for song in songs], parts)
        return Song(band, replace(origin, report=report))

    def _merged(
        self,
        chosen: Container[int],
        quarter: Fraction,
        steps_per_quarter: int,
        name: str,
        before: int = 0,
    ) -> Song:
        """The tracks with the chosen numbers as one part, as `song` makes it."""
        grid = _Grid(quarter, steps_per_quarter)
        num_steps = grid.step(self.end)
        total_steps = before + num_steps
        if total_steps > MAX_STEPS:
            raise UnreadableFileError(
                f"{name} lasts {total_steps} steps; expected at most {MAX_STEPS}"
            )
        notes: list[FileNote] = []
        for track, own in self.tracks:
            if track.number in chosen:
                notes.extend(own)
        on_grid: list[Note] = []
        for start, end, pitch in notes:
            first_step = grid.step(start)
            on_grid.append((first_step, grid.step(end) - first_step, pitch))
        usable = [change for change in self.signatures if is_time_signature(change[1])]
        roll = PianoRoll.from_notes(
            on_grid,
            num_steps=num_steps,
            steps_per_quarter=steps_per_quarter,
            tempo_bpm=longest_lasting(self.tempos, self.end, DEFAULT_BPM, lambda bpm: bpm),
            time_signature=longest_lasting(usable, self.end, (4, 4)),
        )
        upbeat = self._upbeat(roll.time_signature, quarter)
        report = report_of_notes(on_grid) + _rounded(notes, grid) + self._settings_lost(upbeat)
        report.update(_distances(notes, grid))
        for number, lost in self.lost.items():
            if number in chosen:
                report += lost
        report["unread_chords"] = sum(chord is None for _, chord in self.chords)
        origin = Origin(
            title=in_one_line(self.title),
            key=self._key(),
            chords=self._changes(quarter),
            report=report,
        )
        return Song(roll.with_upbeat(grid.step(upbeat)), origin)

    def _changes(self, quarter: Fraction) -> tuple[ChordChange, ...]:
        """The chord symbols that can be read; of several at one time the last one."""
        at: dict[Fraction, Chord] = {}
        for time, chord in sorted(self.chords, key=itemgetter(0)):
            if chord is not None and time < self.end:
                at[time / quarter] = chord
        return tuple(ChordChange(start, chord) for start, chord in at.items())

    def _key(self) -> KeySignature | None:
        """The key signature that lasts longest, if there is any; the first one has no key ahead."""
        if not self.keys:
            return None
        _, first = min(self.keys, key=itemgetter(0))
        return longest_lasting(self.keys, self.end, first)

    def _part(self, role: str, playing: Sequence[Track], grid: _Grid, whole: PianoRoll) -> Part:
        """The part that these tracks play.

        It has the program of the one with most notes, and the usual velocities of all.
        """
        program: int | None = None
        if playing:
            longest = max(playing, key=lambda track: track.notes)
            program = longest.program
        sounds: list[tuple[int, int]] = []
        for track in playing:
            for start, velocity in self.velocities[track.number]:
                sounds.append((grid.step(start), velocity))
        return Part(role, program or 0, _by_place(sounds, whole))

    def _upbeat(self, usual: tuple[int, int], quarter: Fraction) -> Any:
        """The length of the first bar if it is an upbeat, else 0.

        It is one if it is shorter than the usual bar, and the next line is a bar away or more.
        """
        if not self.lines:
            return 0
        first = self.lines[0]
        bar = bar_length(usual, 1) * quarter
        at_first: tuple[int, int] | None = None  # the time signature that the first line has
        for time, signature in sorted(self.signatures, key=itemgetter(0)):
            if time <= first:
                at_first = signature
        if at_first != usual or first >= bar:
            return 0
        if any(line < first + bar for line in self.lines[1:]):
            return 0
        return first

    def _settings_lost(self, upbeat: Any) -> ConversionReport:
        """How often the tempo and the time signature change after an upbeat of this length."""
        signatures: list[tuple[Any, tuple[int, int]]] = []
        for time, signature in sorted(self.signatures, key=itemgetter(0)):
            signatures.append((max(time, upbeat), signature))
        return ConversionReport(
            tempo_changes=num_changes(self.tempos, self.end),
            time_signature_changes=num_changes(signatures, self.end),
        )


def _polyphony(notes: Sequence[FileNote]) -> float:
    """How many notes sound at a time on average, silence left out; 1 for notes without length."""
    times: set[Any] = set()
    for start, end, _ in notes:
        times |= {start, end}
    # In integers of a unit that all times share, because the arithmetic of fractions is slow.
    unit = math.lcm(*{time.denominator for time in times})
    ticks = {time: time.numerator * (unit // time.denominator) for time in times}
    sounding = 0
    together = 0
    now = 0
    for first, last in sorted((ticks[start], ticks[end]) for start, end, _ in notes):
        sounding += max(last - max(first, now), 0)
        together += last - first
        now = max(now, last)
    if not sounding:
        return 1.0
    return together / sounding


def _rounded(notes: Sequence[FileNote], grid: _Grid) -> ConversionReport:
    """How many starts and ends of notes are on no step of the grid, and of finer ones."""
    times: list[Any] = []
    for start, end, _ in notes:
        times += (start, end)
    rounded = grid.between_steps(times)
    report = ConversionReport()
    for finer in FINER:
        report[f"rounded_{finer}"] = len(grid.between_steps(rounded, finer))
    report["rounded"] = len(rounded)
    return report


def _distances(notes: Sequence[FileNote], grid: _Grid) -> ConversionReport:
    """How many notes start far off the steps of the grids in `NEAR`, and how many agree on a step.

    They are the `far` and `agree` of `ConversionReport`.
    """
    starts = np.array([start for start, _, _ in notes], float)
    starts *= grid.steps_per_quarter * grid.quarter.denominator
    report = ConversionReport()
    for finer in NEAR:
        places = finer * starts / grid.quarter.numerator
        distances = np.abs(places - np.round(places))
        report[f"far_{finer}"] = int((distances > 0.25).sum())
        report[f"agree_{finer}"] = round(abs(np.exp(2j * np.pi * places).sum()))
    return report


def nearest(value: Fraction) -> int:
    """The nearest whole number; half a step rounds up."""
    return math.floor(value + Fraction(1, 2))


def _by_place(sounds: Sequence[tuple[int, int]], roll: PianoRoll) -> tuple[int, ...]:
    """The mean velocity of notes (step, velocity) at each step of a bar.

    Where none begins, it is the mean of all.
    """
    if not sounds:
        return ()
    by_place = defaultdict[int, list[int]](list)
    for step, velocity in sounds:
        by_place[(step - roll.upbeat) % roll.steps_per_bar].append(velocity)
    usual = statistics.fmean(velocity for _, velocity in sounds)
    means: list[int] = []
    for place in range(roll.steps_per_bar):
        mean = usual
        if place in by_place:
            mean = statistics.fmean(by_place[place])
        means.append(round(mean))
    return tuple(means)


def join_ties(sounds: Iterable[Sound]) -> list[FileNote]:
    """Notes where tied ones are one.

    Some programs write a tie at one of its two notes alone; either is enough.
    """
    notes: list[FileNote] = []
    # Of each (pitch, end, goes on), the places in `notes`
    last = defaultdict[tuple[int, Any, bool], list[int]](list)
    # Two voices can have notes of one pitch, of which one alone is tied: that one takes the note
    # that comes before.
    in_order = sorted(sounds, key=lambda sound: (sound[0], not sound[3]))
    for start, end, pitch, comes, goes_on in in_order:
        before = last[pitch, start, True]
        if not before and comes:
            before = last[pitch, start, False]
        if before:
            index = before.pop()
            first_start = notes[index][0]
            notes[index] = (first_start, end, pitch)
        else:
            index = len(notes)
            notes.append((start, end, pitch))
        last[pitch, end, goes_on].append(index)
    return notes


def longest_lasting(
    changes: Sequence[tuple[Any, _Value]],
    end: Any,
    before: _Value,
    speed: Callable[[_Value], float] = lambda _: 1.0,
) -> _Value:
    """The value that lasts longest up to `end`, and the first one where two last equally long.

    Changes are (position, value), in any unit of musical time; of several at one position, the last
    counts. The value is `before` until the first one. The time for which a value lasts is the
    musical time divided by its speed.
    """
    in_order = [(0, before), *sorted(changes, key=itemgetter(0))]
    last_position, last_value = in_order[-1]
    until_end = [*in_order, (max(end, last_position), before)]
    lasting: dict[_Value, float] = {}
    for (position, value), (until, _) in itertools.pairwise(until_end):
        if until > position:
            seconds = float(until - position) / speed(value)
            lasting[value] = lasting.get(value, 0.0) + seconds
    if not lasting:
        return last_value
    return max(lasting, key=lambda value: lasting[value])


def num_changes(values: Sequence[tuple[Any, Any]], end: Any) -> int:
    """The number of changes of values (position, value) before the end of a piece.

    The first value is no change. Values are in any order. Of several at one position, the last
    counts.
    """
    at = dict(sorted(values, key=itemgetter(0)))
    lasting = [value for position, value in at.items() if position < end]
    return sum(one != other for one, other in itertools.pairwise(lasting))
