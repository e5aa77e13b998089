"""The piano-roll: which keys sound, and which are struck, at each step of a grid in time.

It is one file because a roll is one class, whose methods all need its bars.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from lnfgen.errors import LnfgenError
from lnfgen.music.parts import CHORDS, MELODY, InParts, Part, are_pitched, pitched_rows
from lnfgen.music.tracks import DRUMS, ONE_AT_A_TIME, Track

LOWEST_PITCH = 21  # the MIDI number of A0, the lowest key of a piano
NUM_PITCHES = 88
STEPS_PER_QUARTER = 4
MIN_BPM = 60e6 / (2**24 - 1)  # MIDI writes a tempo as microseconds to a quarter, in 24 bits
MAX_BPM = 60e6

Note = tuple[int, int, int]  # (start_step, length_steps, MIDI pitch)

# so many times as many steps have the grids that are tried where notes are not on one
FINER = (2, 3, 4, 6, 12)
NEAR = (1, 2, 3)  # and these, where notes are only near one

Losses = Counter[str]
"""Counts of a piece of a file: the `notes` that were read, and what they lost when they became a
piano-roll.

`rounded` are starts and ends of notes, and `rounded_12` those that a grid with 12 times as many
steps (one of `FINER`) would round; `merged` are notes that start together with another of their
key, `overlapping` those that start while one sounds, `out_of_range` those that no column has, and
`tempo_changes` and so on what a roll has no place for. `far_3` are notes that start over a quarter
of a step off a grid with 3 times as many steps (one of `NEAR`), and `agree_3` is the
length of the sum of their places between its steps, as vectors round a circle: how many agree on
where a step begins.
"""

CHANGES = ("tempo", "metre", "velocity", "bend", "pedal")
LOSSES = (
    "rounded",
    "merged",
    "overlapping",
    "out_of_range",
    *(f"{what}_changes" for what in CHANGES),
)


@dataclass(frozen=True, eq=False)
class PianoRoll(InParts):
    """A piece of music on a grid of `T` steps and `P` pitches. At each step a key is silent, struck
    or held.

        roll = PianoRoll.from_notes([(0, 4, 60), (4, 4, 67)])  # C4, then G4, each for four steps
        roll.notes()

    The roll of a band with R parts has R rows for each step of time, as on a grid R times as fine:
    row t R + r is what part r plays at step t. All steps of such a roll are rows, its bar and its
    upbeat too; `part` gives the roll of one part, and `merged` that of all which have pitches.

    Attributes:
        sounding: bool [T, P], T >= 1. Column p is the MIDI pitch `lowest_pitch + p`.
        onsets: bool [T, P], true where a note is struck; it must sound there. None: not known, as
            in the benchmark sets. Then a key that sounds for several steps is one held note.
        steps_per_quarter: how many steps a quarter note has.
        lowest_pitch: the MIDI number of the first column.
        tempo_bpm: quarter notes per minute.
        time_signature: (beats, beat unit). The unit is a power of two.
        losses: what the piece of the file lost, as counts.
        tracks: the tracks of the MIDI file or the score that the roll was read from, kept or not;
            empty otherwise.
        upbeat: the number of steps before the first bar line, less than a bar and than the piece; 0
            if there is no upbeat, or it is not known.
        song: the MIDI file that the roll was read from, or that its score becomes; see
            `lnfgen.formats.song`. None if there is no file, or if it has become other music.
        drawn: bool [T, 128], true where a model drew the key of this MIDI pitch in a person's
            piece; None without this distinction. A note was drawn if its first cell was.
        title: the title of the score that the roll was read from; empty if there is none.
        parts: those of a band, in the order of their rows; none of a roll of one part.

    Two rolls may be equal although their `losses`, `tracks`, `song`, `drawn` and `title` differ.

    Raises:
        LnfgenError: if an attribute has not this shape, type or range.
    """

    sounding: np.ndarray
    onsets: np.ndarray | None
    steps_per_quarter: int = STEPS_PER_QUARTER
    lowest_pitch: int = LOWEST_PITCH
    tempo_bpm: float = 120.0
    time_signature: tuple[int, int] = (4, 4)
    losses: Losses = field(default_factory=Losses)
    tracks: tuple[Track, ...] = ()
    upbeat: int = 0
    song: bytes | None = None
    drawn: np.ndarray | None = None
    title: str = ""
    parts: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        sounding, onsets = self.sounding, self.onsets
        if not isinstance(sounding, np.ndarray) or sounding.dtype != np.bool_ or sounding.ndim != 2:
            raise LnfgenError(
                f"a piano-roll's sounding is {_describe(sounding)}; expected bool [steps, pitches]"
            )
        shape = list(sounding.shape)
        if 0 in shape:
            raise LnfgenError(
                f"a piano-roll has shape {shape}; expected at least one step and one pitch"
            )
        if onsets is not None:
            if (
                not isinstance(onsets, np.ndarray)
                or onsets.dtype != np.bool_
                or onsets.shape != sounding.shape
            ):
                raise LnfgenError(
                    f"a piano-roll's onsets are {_describe(onsets)}; expected bool {shape} as sounding"
                )
            if bool((onsets & ~sounding).any()):
                raise LnfgenError(
                    "a piano-roll has onsets where nothing sounds; expected onsets within sounding only"
                )
        lowest, highest = self.lowest_pitch, self.lowest_pitch + self.num_pitches - 1
        if not 0 <= lowest <= highest <= 127:
            raise LnfgenError(
                f"a piano-roll spans the pitches {lowest} to {highest}; expected 0 to 127"
            )
        if any(
            number % self.stride for number in (self.num_steps, self.steps_per_quarter, self.upbeat)
        ):
            raise LnfgenError(
                f"{self.num_steps} rows of {self.stride} parts; expected as many of each part"
            )
        if len(set(self.roles)) < len(self.roles):
            raise LnfgenError(f"a band of {', '.join(self.roles)}; expected each part once")
        if not 1 <= self.steps_per_quarter <= 960 * self.stride:
            raise LnfgenError(f"{self.steps_per_quarter} steps per quarter; expected 1 to 960")
        require_tempo(self.tempo_bpm)
        if not is_time_signature(self.time_signature):
            expected = "beats from 1 to 255 over a power of two up to 128"
            raise LnfgenError(f"a time signature of {self.time_signature}; expected {expected}")
        if self.drawn is not None and self.drawn.shape != (self.num_steps, 128):
            found = _describe(self.drawn)
            raise LnfgenError(
                f"a piano-roll's drawn is {found}; expected bool [{self.num_steps}, 128]"
            )
        if not 0 <= self.upbeat < min(self._exact_bar, Fraction(self.num_steps)):
            raise LnfgenError(
                f"an upbeat of {self.upbeat} steps; expected less than a bar and than the piece"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PianoRoll):
            return NotImplemented
        names = (
            "steps_per_quarter",
            "lowest_pitch",
            "tempo_bpm",
            "time_signature",
            "upbeat",
            "roles",
        )
        return (
            np.array_equal(self.sounding, other.sounding)
            and np.array_equal(self.onsets, other.onsets)  # type: ignore[arg-type]  # None equals None alone
            and all(getattr(self, name) == getattr(other, name) for name in names)
        )

    def __repr__(self) -> str:
        beats, unit = self.time_signature
        onsets = "" if self.onsets is not None else ", onsets unknown"
        time = f"{self.tempo_bpm:g} bpm, {beats}/{unit}" + (
            f", upbeat of {self.upbeat}" if self.upbeat else ""
        )
        size = f"{self.num_steps} steps x {self.num_pitches} pitches from {self.lowest_pitch}"
        time += f", parts {' '.join(self.roles)}" if self.parts else ""
        return f"PianoRoll({size}, {self.steps_per_quarter} per quarter, {time}{onsets})"

    @property
    def num_steps(self) -> int:
        """T, the length in steps."""
        return int(self.sounding.shape[0])

    @property
    def num_pitches(self) -> int:
        """P, the number of columns."""
        return int(self.sounding.shape[1])

    @property
    def steps_per_bar(self) -> int:
        """The steps of a bar, at least 1. It is rounded if a bar of this time signature does not
        end on the grid."""
        return max(self.stride, self._on_step(self._exact_bar))

    @property
    def seconds(self) -> float:
        """The length in seconds at `tempo_bpm`."""
        return self.num_steps / self.steps_per_quarter * 60.0 / self.tempo_bpm

    @property
    def has_whole_bars(self) -> bool:
        """True if a bar is a whole number of steps."""
        return (self._exact_bar / self.stride).denominator == 1

    @property
    def _exact_bar(self) -> Fraction:
        return bar_length(self.time_signature, self.steps_per_quarter)

    def _on_step(self, row: Fraction) -> int:
        """The row at which the nearest step begins."""
        return round(row / self.stride) * self.stride

    def part(self, number: int) -> PianoRoll:
        """The roll of one part, from 0 on, which has a row for each step."""
        size, own = self.stride, slice(number, None, self.stride)
        drawn = None if self.drawn is None else self.drawn[own]
        in_steps = {
            "steps_per_quarter": self.steps_per_quarter // size,
            "upbeat": self.upbeat // size,
        }
        return self._changed(lambda rows: rows[own], drawn=drawn, parts=(), **in_steps)

    @property
    def merged(self) -> PianoRoll:
        """All parts but the drums as one part; the roll itself if it has no parts."""
        # not cached: a roll that held itself would stay in memory
        return self._merged if self.parts else self

    @cached_property
    def _merged(self) -> PianoRoll:
        def in_any(cells: np.ndarray) -> Any:
            return cells.reshape(-1, self.stride, cells.shape[1])[:, are_pitched(self.roles)].any(
                axis=1
            )

        drawn = None if self.drawn is None else in_any(self.drawn)
        return replace(
            self.part(0), sounding=in_any(self.sounding), onsets=in_any(self.struck()), drawn=drawn
        )

    @classmethod
    def of_parts(
        cls, rolls: Sequence[PianoRoll], parts: Sequence[Part], **attributes: Any
    ) -> PianoRoll:
        """The roll of a band from one of each part, all on one grid; the first one has the other
        attributes.

        Drums are struck wherever they sound, because they are never held.
        """
        first, size = rolls[0], len(rolls)
        num_steps = max(roll.num_steps for roll in rolls)
        sounding, onsets = np.zeros((2, num_steps * size, first.num_pitches), np.bool_)
        for number, (roll, part) in enumerate(zip(rolls, parts, strict=True)):
            struck = roll.struck()
            sounding[number : roll.num_steps * size : size] = (
                struck if part.role == DRUMS else roll.sounding
            )
            onsets[number : roll.num_steps * size : size] = struck
        own = {
            "steps_per_quarter": first.steps_per_quarter * size,
            "upbeat": first.upbeat * size,
            "drawn": None,
        }
        return replace(
            first, sounding=sounding, onsets=onsets, parts=tuple(parts), **(own | attributes)
        )

    def in_parts(self, parts: Sequence[Part], alone: str = "") -> PianoRoll:
        """The piece as one of a band with these parts, or as one part if there are none.

        A piece of one part has the part `alone`; by default the melody, or the chords if it has
        several keys at a time. Notes of parts that the band lacks are left out, and counted as
        `out_of_range`.
        """
        wanted = [part.role for part in parts]
        if list(self.roles) == wanted:
            return self
        if not parts:
            return self.merged
        at_once = self.sounding.sum(axis=1)
        usual = MELODY if at_once.sum() <= ONE_AT_A_TIME * (at_once > 0).sum() else CHORDS
        own = {
            role: self.part(number) for number, role in enumerate(self.roles or [alone or usual])
        }
        lost = sum(int(roll.struck().sum()) for role, roll in own.items() if role not in wanted)
        silent = self.part(0)._changed(np.zeros_like)
        losses = self.losses + Losses(out_of_range=lost)
        return PianoRoll.of_parts([own.get(role, silent) for role in wanted], parts, losses=losses)

    @property
    def num_bars(self) -> int:
        """The number of bars without the upbeat; the last one may be cut short."""
        return max(self.bars())

    def bars(self) -> dict[int, int]:
        """The step where each bar starts, by its number; the nearest one if a bar does not start on
        the grid.

        An upbeat is bar 0, and the bar after it is bar 1. Without an upbeat the piece begins with
        bar 1.
        """
        bar, last = self._exact_bar, self.num_steps - self.stride
        count = math.ceil((self.num_steps - self.upbeat) / bar)
        starts = {0} | {
            min(self.upbeat + self._on_step(index * bar), last) for index in range(count)
        }
        return dict(enumerate(sorted(starts), start=0 if self.upbeat else 1))

    def with_upbeat(self, steps: int) -> PianoRoll:
        """The piece with its first bar line after `steps`; without an upbeat if these fill a bar or
        the piece."""
        upbeat = steps if steps < min(self._exact_bar, Fraction(self.num_steps)) else 0
        return self if upbeat == self.upbeat else replace(self, upbeat=upbeat)

    def from_bar_line(self) -> PianoRoll:
        """The piece from the start of its first bar on: an upbeat has silence ahead, which fills
        its bar.

        Where a bar is no whole number of steps, as 5/8 on a grid of quarters, the piece stays as it
        is.
        """
        if not self.upbeat or not self.has_whole_bars:
            return self
        ahead = np.zeros((self.steps_per_bar - self.upbeat, self.num_pitches), dtype=np.bool_)
        return self._changed(lambda keys: np.concatenate([ahead, keys]), upbeat=0)

    def from_first_note(self) -> PianoRoll:
        """The piece without the silence that fills half of its first bar or more. The rest of that
        bar is an upbeat.

        Less silence, or a whole bar, is a rest and stays. A piece does not change if it has an
        upbeat, if it is no longer than a bar, or if it has bars that `from_bar_line` cannot fill.
        """
        bar = self._exact_bar
        if self.upbeat or self.num_steps <= bar or not self.has_whole_bars:
            return self
        # 0 where there is no note
        silent = int(self.sounding.any(axis=1).argmax()) // self.stride * self.stride
        return self.stretch(silent, self.num_steps) if bar <= 2 * silent < 2 * bar else self

    def from_first_to_last_note(self) -> PianoRoll:
        """The piece from the bar of its first note to the bar of its last one. Without notes it
        stays as it is."""
        sounding = np.flatnonzero(self.sounding.any(axis=1))
        if not len(sounding):
            return self
        lines = [*self.bars().values(), self.num_steps]
        start = max(line for line in lines if line <= sounding[0])
        end = min(line for line in lines if line > sounding[-1])
        return self if (start, end) == (0, self.num_steps) else self.stretch(start, end)

    def edge_keys(self, top: bool) -> np.ndarray:
        """int [T]: the column of the highest key that sounds at each step, or of the lowest one; -1
        in silence."""
        sounding = self.sounding
        keys = (
            self.num_pitches - 1 - sounding[:, ::-1].argmax(axis=1)
            if top
            else sounding.argmax(axis=1)
        )
        return np.where(sounding.any(axis=1), keys, -1)

    def struck(self) -> np.ndarray:
        """bool [T, P]: true where a note starts, which is at an onset or where a silent key begins
        to sound."""
        starts = self.sounding.copy()
        starts[self.stride :] &= ~self.sounding[: -self.stride]
        if self.onsets is not None:
            starts |= self.onsets
        return starts

    def notes(self) -> list[Note]:
        """The notes as (start_step, length_steps, MIDI pitch), sorted by start and then by
        pitch."""
        starts, size = self.struck(), self.stride
        ends = self.sounding.copy()  # the last step of each note
        ends[:-size] &= ~self.sounding[size:] | starts[size:]
        # With a column for each key of each part, the n-th start belongs to the n-th end, column by
        # column.
        (columns, first), (_, last) = (
            np.nonzero(cells.reshape(len(cells) // size, -1).T) for cells in (starts, ends)
        )
        parts, keys = np.divmod(columns, self.num_pitches)
        rows, lengths, pitches = (
            first * size + parts,
            (last - first + 1) * size,
            keys + self.lowest_pitch,
        )
        order = np.lexsort((pitches, rows))
        return list(
            zip(*(of_note[order].tolist() for of_note in (rows, lengths, pitches)), strict=True)
        )

    @property
    def is_own_file(self) -> bool:
        """True if a model drew in a person's file, which is then written as it is, with the drawn
        notes beside it."""
        return self.song is not None and self.drawn is not None

    def was_drawn(self, note: Note) -> bool:
        """True if a model drew this note of `notes()`, which begins where it drew; also if `drawn`
        is None."""
        start, _, pitch = note
        return self.drawn is None or bool(self.drawn[start, pitch])

    @classmethod
    def from_notes(
        cls,
        notes: Iterable[Note],
        *,
        num_steps: int = 1,
        num_pitches: int = NUM_PITCHES,
        steps_per_quarter: int = STEPS_PER_QUARTER,
        lowest_pitch: int = LOWEST_PITCH,
        tempo_bpm: float = 120.0,
        time_signature: tuple[int, int] = (4, 4),
    ) -> PianoRoll:
        """The roll of these notes, (start_step, length_steps, MIDI pitch). It has `num_steps`
        steps, or more if needed.

        Notes of one pitch may overlap: then the key is struck again while it sounds. A note lasts
        at least one step. Notes whose pitch has no column are left out. `losses` has their number,
        and those of merged notes.

        Raises:
            LnfgenError: if a note starts before step 0, or a number is out of range.
        """
        notes = list(notes)
        if early := [note for note in notes if note[0] < 0]:
            raise LnfgenError(
                f"the note {early[0]} starts before the piece; expected a start_step of at least 0"
            )
        total = max([num_steps, 1, *(start + max(length, 1) for start, length, _ in notes)])
        sounding = np.zeros((total, num_pitches), dtype=np.bool_)
        onsets = np.zeros_like(sounding)
        losses = Losses(notes=len(notes))
        # the step where the notes of each column so far end: no step is filled twice
        filled = [0] * num_pitches
        for start, length, pitch in sorted(notes):
            column = pitch - lowest_pitch
            if 0 <= column < num_pitches:
                end = start + max(length, 1)
                if start < filled[column]:
                    losses["merged" if onsets[start, column] else "overlapping"] += 1
                sounding[max(start, filled[column]) : end, column] = True
                filled[column] = max(end, filled[column])
                onsets[start, column] = True
            else:
                losses["out_of_range"] += 1
        return cls(
            sounding, onsets, steps_per_quarter, lowest_pitch, tempo_bpm, time_signature, losses
        )

    def on_grid(self, steps_per_quarter: int) -> PianoRoll:
        """The piece on another grid.

        The start and the end of each note, the end of the upbeat and the end of the piece go to the
        nearest step, half a step to the later one; a note keeps at least a step. Where all of them
        lie on steps of the new grid, nothing is lost. Without onsets, notes of one pitch may join
        where the rest between them is shorter than a new step.
        """
        old, new = self.steps_per_quarter, steps_per_quarter
        if new == old:
            return self
        if self.parts:
            plain = replace(self, losses=Losses())
            rolls = [
                plain.part(number).on_grid(new // self.stride) for number in range(self.stride)
            ]
            losses = sum((roll.losses for roll in rolls), self.losses)
            return PianoRoll.of_parts(rolls, self.parts, losses=losses, song=self.song)

        def moved(step: int) -> int:
            return (2 * step * new + old) // (2 * old)

        notes = [(start, start + length, pitch) for start, length, pitch in self.notes()]
        roll = PianoRoll.from_notes(
            [(moved(start), moved(end) - moved(start), pitch) for start, end, pitch in notes],
            num_steps=moved(self.num_steps),
            num_pitches=self.num_pitches,
            lowest_pitch=self.lowest_pitch,
        )
        moves = sum(step * new % old != 0 for start, end, _ in notes for step in (start, end))
        return replace(
            self,
            sounding=roll.sounding,
            onsets=None if self.onsets is None else roll.onsets,
            steps_per_quarter=new,
            losses=self.losses + Losses(rounded=moves, merged=roll.losses["merged"]),
            upbeat=0,
            drawn=None,
        ).with_upbeat(moved(self.upbeat))

    def in_range(self, lowest_pitch: int, num_pitches: int) -> PianoRoll:
        """The piece with other columns. Notes that none of them has are left out and counted in
        `losses`."""
        if (self.lowest_pitch, self.num_pitches) == (lowest_pitch, num_pitches):
            return self
        first = 128 + lowest_pitch - self.lowest_pitch

        def moved(keys: np.ndarray) -> np.ndarray:
            return np.pad(keys, ((0, 0), (128, 128)))[:, first : first + num_pitches].copy()

        left_out = Losses(out_of_range=int(self.struck().sum() - moved(self.struck()).sum()))
        origin = {"song": self.song, "drawn": self.drawn, "losses": self.losses + left_out}
        return self._changed(moved, lowest_pitch=lowest_pitch, **origin)

    def transposed(self, semitones: int) -> PianoRoll:
        """The piece moved up by semitones, or down if they are negative, on the same keys.

        Raises:
            LnfgenError: if a note would leave the roll's keys; the message has the range that fits.
        """
        moves = pitched_rows(self.roles, self.num_steps)
        keys = np.flatnonzero(self.sounding[moves].any(axis=0))
        lowest, highest = (int(keys[0]), int(keys[-1])) if len(keys) else (0, 0)
        down, up = -lowest, self.num_pitches - 1 - highest
        if not down <= semitones <= up:
            raise LnfgenError(
                f"{semitones:+} semitones would move notes off the keys; expected {down:+} to {up:+}"
            )

        def moved(keys: np.ndarray) -> np.ndarray:
            return np.where(moves[:, None], np.roll(keys, semitones, axis=1), keys)

        return self._changed(moved, drawn=None if self.drawn is None else moved(self.drawn))

    def cut(self, max_length: int) -> list[PianoRoll]:
        """The roll cut at bar lines into pieces of at most `max_length` steps, in order.

        A bar that is longer is cut inside. Where onsets are known, a note that goes across a cut is
        struck again in the next piece, because there it is a note of its own. `losses` stay with
        the first piece.
        """
        lines = [*self.bars().values(), self.num_steps]
        pieces = []
        start = 0
        while start < self.num_steps:
            limit = min(start + max_length, self.num_steps)
            end = max((line for line in lines if start < line <= limit), default=limit)
            pieces.append(self.stretch(start, end))
            start = end
        return pieces

    def stretch(self, start: int, end: int) -> PianoRoll:
        """The steps from `start` up to `end`, as a piece. A note that sounds at `start` is struck
        there, as in `cut`.

        Bar lines stay where they are: where the piece starts inside a bar, the rest of that bar is
        its upbeat.
        """
        ahead, bar = start - self.upbeat, self._exact_bar
        lines = (
            self._on_step(index * bar) for index in itertools.count(max(0, (ahead - 1) // bar))
        )
        upbeat = next(line for line in lines if line >= ahead) - ahead
        losses = Losses() if start else self.losses
        piece = self._changed(lambda keys: keys[start:end].copy(), losses=losses, upbeat=0)
        if piece.onsets is not None:
            piece.onsets[: self.stride] = piece.sounding[: self.stride]
        return piece.with_upbeat(upbeat)

    def _changed(self, change: Callable[[np.ndarray], np.ndarray], **attributes: Any) -> PianoRoll:
        """The piece with both arrays changed, and with these attributes. It is no longer the music
        of its file."""
        onsets = None if self.onsets is None else change(self.onsets)
        attributes = {"song": None, "drawn": None} | attributes
        return replace(self, sounding=change(self.sounding), onsets=onsets, **attributes)


def bar_length(time_signature: tuple[int, int], steps_per_quarter: int) -> Fraction:
    """The steps of a bar, which need not be a whole number."""
    beats, unit = time_signature
    return Fraction(4 * steps_per_quarter * beats, unit)


def bar_and_beats(
    time_signature: tuple[int, int], steps_per_quarter: int
) -> tuple[float, int, int]:
    """The steps of a bar, its beats, and the parts of a beat: of 6/8 on a grid of sixteenths, 12, 2
    and 3.

    A beat has three parts where the unit is an eighth or shorter and a bar has 6, 9, 12, ... of
    them, else two.
    """
    number, unit = time_signature
    is_compound = unit >= 8 and number > 3 and number % 3 == 0
    beats, parts = (number // 3, 3) if is_compound else (number, 2)
    return float(bar_length(time_signature, steps_per_quarter)), beats, parts


def require_tempo(bpm: float) -> None:
    """Raise an `LnfgenError` if a roll may not have this tempo, which MIDI's format limits."""
    if not MIN_BPM <= bpm <= MAX_BPM:
        raise LnfgenError(
            f"a tempo of {bpm:g} quarters per minute; expected 3.58 to 60 million, MIDI's range"
        )


def is_time_signature(signature: tuple[int, int]) -> bool:
    """True if a roll may have this time signature: 1 to 255 beats over a power of two up to 128, as
    in MIDI."""
    beats, unit = signature
    return 1 <= beats <= 255 and unit in (1, 2, 4, 8, 16, 32, 64, 128)


def _describe(value: object) -> str:
    return (
        f"{value.dtype} {list(value.shape)}"
        if isinstance(value, np.ndarray)
        else type(value).__name__
    )
