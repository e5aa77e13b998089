"""The notes, tempos and time signatures of a piece as a file has them, and the piano-roll that they
make.

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
from lnfgen.music.parts import Part, in_roles
from lnfgen.music.pianoroll import FINER, NEAR, Losses, PianoRoll, bar_length, is_time_signature
from lnfgen.music.tracks import Track, choose_tracks
from lnfgen.wording import in_one_line

# 17 hours of sixteenths at 240 bpm; a longer file is damaged, and would fill the memory
MAX_STEPS = 1_000_000
DEFAULT_BPM = 120.0  # the tempo of a file without one, as in MIDI

FileNote = tuple[Any, Any, int]  # a note in the unit of a file: (start, end, MIDI pitch)
Sound = tuple[Fraction, Fraction, int, bool, bool]
"""A note as a score has it: (start, end, MIDI pitch, tied to the one before, tied to the next
one)."""

_Value = TypeVar("_Value")


def with_choice(
    tracks: Sequence[Track], wanted: str, roles: Sequence[str], name: str
) -> list[Track]:
    """The tracks of a file; kept are those that `choose_tracks` gives, or those with one of the
    roles, if any."""
    if roles:
        return [
            replace(track, kept=bool(track.role)) for track in in_roles(tracks, roles, wanted, name)
        ]
    kept = choose_tracks(tracks, wanted, name) if tracks else ()
    return [replace(track, kept=track.number in kept) for track in tracks]


@dataclass
class Events:
    """A piece in a file. Times are in the unit of the file. Tempos and signatures are (time, value)
    of each change."""

    # those with notes, and the notes of each
    tracks: list[tuple[Track, list[FileNote]]] = field(default_factory=list)
    tempos: list[tuple[Any, float]] = field(default_factory=list)
    signatures: list[tuple[Any, tuple[int, int]]] = field(default_factory=list)
    end: Any = 0  # where the piece ends
    # where the first bar ends, and the next one, as far as is known
    lines: list[Any] = field(default_factory=list)
    # by the track's number: what no roll can have
    losses: dict[int, Losses] = field(default_factory=dict)
    # likewise: (time, velocity) of notes
    velocities: dict[int, list[tuple[Any, int]]] = field(default_factory=dict)
    title: str = ""

    def add(
        self,
        notes: list[FileNote],
        name: str = "",
        program: int | None = None,
        channel: int = 1,
        after: int = 0,
    ) -> int:
        """Add a track of one or more notes, its name in one line. Return its number, counted from
        `after` on."""
        name = in_one_line(name)
        pitches = [pitch for _, _, pitch in notes]
        sounding = now = 0
        for start, end, _ in sorted(notes):
            sounding += max(end - max(start, now), 0)
            now = max(now, end)
        polyphony = (
            float(sum(end - start for start, end, _ in notes) / sounding) if sounding else 1.0
        )
        pitch_facts = (min(pitches), max(pitches), statistics.fmean(pitches))
        number = after + len(self.tracks) + 1
        self.tracks.append(
            (Track(number, name, program, channel, len(notes), *pitch_facts, polyphony), notes)
        )
        self.velocities[number] = []
        return number

    def roll(
        self,
        chosen: Container[int],
        quarter: Fraction,
        steps_per_quarter: int,
        name: str,
        before: int = 0,
    ) -> PianoRoll:
        """The tracks with the chosen numbers as one piano-roll.

        Times are rounded to the nearest step, and a note lasts at least one step. The tempo lasts
        longest in seconds, and the time signature in quarters. A time signature that only the
        upbeat has is not counted as a change.

        `quarter` is the length of a quarter in the unit of the file, and `before` the number of
        steps of other rolls of the file. If these last over `MAX_STEPS` together, it is an
        `UnreadableFileError` about the file `name`.
        """

        def step(time: Any) -> int:
            return nearest(time * steps_per_quarter / quarter)

        if (steps := before + step(self.end)) > MAX_STEPS:
            raise UnreadableFileError(f"{name} lasts {steps} steps; expected at most {MAX_STEPS}")
        notes = [note for track, notes in self.tracks if track.number in chosen for note in notes]
        usable = [
            (time, signature) for time, signature in self.signatures if is_time_signature(signature)
        ]
        roll = PianoRoll.from_notes(
            [(step(start), step(end) - step(start), pitch) for start, end, pitch in notes],
            num_steps=step(self.end),
            steps_per_quarter=steps_per_quarter,
            tempo_bpm=longest_lasting(self.tempos, self.end, DEFAULT_BPM, lambda bpm: bpm),
            time_signature=longest_lasting(usable, self.end, (4, 4)),
        )
        upbeat = self._upbeat(roll.time_signature, quarter)
        metres = [
            (max(time, upbeat), metre) for time, metre in sorted(self.signatures, key=itemgetter(0))
        ]
        grid = quarter / steps_per_quarter

        def off_grid(times: Iterable[Any], finer: int = 1) -> list[Any]:
            return [time for time in times if time * finer * grid.denominator % grid.numerator]

        rounded = off_grid(time for start, end, _ in notes for time in (start, end))
        losses = roll.losses + Losses(
            {f"rounded_{finer}": len(off_grid(rounded, finer)) for finer in FINER}
        )
        losses += Losses(rounded=len(rounded), tempo_changes=num_changes(self.tempos, self.end))
        losses += Losses(metre_changes=num_changes(metres, self.end))
        starts = np.array([start for start, _, _ in notes], float) * (
            steps_per_quarter * quarter.denominator
        )
        for finer in NEAR:
            places = finer * starts / quarter.numerator
            losses[f"far_{finer}"] = int((np.abs(places - np.round(places)) > 0.25).sum())
            losses[f"agree_{finer}"] = round(abs(np.exp(2j * np.pi * places).sum()))
        return replace(
            roll,
            losses=sum(
                (found for number, found in self.losses.items() if number in chosen), losses
            ),
            title=in_one_line(self.title),
        ).with_upbeat(step(upbeat))

    def piece(
        self,
        tracks: Iterable[Track],
        roles: Sequence[str],
        quarter: Fraction,
        grid: int,
        name: str,
        before: int = 0,
    ) -> PianoRoll:
        """The tracks that are kept as one piano-roll, or as the parts of a band with these roles;
        see `roll`."""
        own = tuple(track for track in tracks if track.number in self.velocities)
        whole = self.roll(
            {track.number for track in own if track.kept}, quarter, grid, name, before
        )
        if not roles:
            return replace(whole, tracks=own)
        rolls, parts = [], []
        for role in roles:
            playing = [track for track in own if track.role == role]
            numbers = {track.number for track in playing}
            rolls.append(self.roll(numbers, quarter, grid, name))
            program = max(playing, key=lambda track: track.notes).program if playing else 0
            sounds = [sound for number in numbers for sound in self.velocities[number]]
            steps = [(nearest(start * grid / quarter), velocity) for start, velocity in sounds]
            parts.append(Part(role, program or 0, _by_place(steps, whole)))
        twice = Losses(
            {key: sum(roll.losses[key] for roll in rolls) for key in ("merged", "overlapping")}
        )
        return PianoRoll.of_parts(rolls, parts, tracks=own, losses=Losses(whole.losses | twice))

    def _upbeat(self, usual: tuple[int, int], quarter: Fraction) -> Any:
        """The length of the first bar if it is shorter than the usual bar, which comes next, else
        0."""
        if not self.lines:
            return 0
        first, *following = self.lines
        bar = bar_length(usual, 1) * quarter
        known = [
            signature
            for time, signature in sorted(self.signatures, key=itemgetter(0))
            if time <= first
        ]
        is_upbeat = (
            known[-1:] == [usual] and first < bar and all(line >= first + bar for line in following)
        )
        return first if is_upbeat else 0


def nearest(value: Fraction) -> int:
    """The nearest whole number; half a step rounds up."""
    return math.floor(value + Fraction(1, 2))


def _by_place(sounds: Sequence[tuple[int, int]], roll: PianoRoll) -> tuple[int, ...]:
    """The mean velocity at each step of a bar of notes (step, velocity); where none begins, the
    mean of all."""
    by_place = defaultdict[int, list[int]](list)
    for step, velocity in sounds:
        by_place[(step - roll.upbeat) % roll.steps_per_bar].append(velocity)
    usual = [velocity for _, velocity in sounds]
    return tuple(
        round(statistics.fmean(by_place.get(place, usual)))
        for place in range(roll.steps_per_bar)
        if usual
    )


def join_ties(sounds: Iterable[Sound]) -> list[FileNote]:
    """Notes where tied ones are one. Some programs write a tie at one of its two notes alone;
    either is enough."""
    notes: list[FileNote] = []
    # (pitch, end, goes on) -> where in `notes`
    last = defaultdict[tuple[int, Fraction, bool], list[int]](list)
    # Two voices can have notes of one pitch, of which one alone is tied: that one takes the note
    # that comes before.
    for start, end, pitch, comes, goes_on in sorted(
        sounds, key=lambda sound: (sound[0], not sound[3])
    ):
        if before := last[pitch, start, True] or (comes and last[pitch, start, False]):
            index = before.pop()
            notes[index] = (notes[index][0], end, pitch)
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
    changes = [(0, before), *sorted(changes, key=itemgetter(0))]
    lasting: dict[_Value, float] = {}
    for (position, value), (until, _) in itertools.pairwise(
        [*changes, (max(end, changes[-1][0]), before)]
    ):
        if until > position:
            lasting[value] = lasting.get(value, 0.0) + float(until - position) / speed(value)
    return max(lasting, key=lambda value: lasting[value]) if lasting else changes[-1][1]


def num_changes(values: Sequence[tuple[Any, Any]], end: Any) -> int:
    """The number of changes of values (position, value) before the end of a piece. The first value
    is no change.

    They are in any order. Of several at one position, the last counts.
    """
    at = dict(sorted(values, key=itemgetter(0)))
    lasting = [value for position, value in at.items() if position < end]
    return sum(one != other for one, other in itertools.pairwise(lasting))
