"""The piano-roll: which keys sound, and which are struck, at each time step, in each part.

It is one file because a roll is one value, whose methods all need its bars and its cells.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from lnfgen.errors import LnfgenError
from lnfgen.music.notes import (
    Note,
    cells_of_notes,
    nearest_step,
    notes_of_cells,
    notes_on_grid,
    starts_of,
)
from lnfgen.music.parts import CHORDS, MELODY, InParts, Part, are_pitched
from lnfgen.music.time_signature import bar_length, is_time_signature
from lnfgen.music.tracks import DRUMS, ONE_AT_A_TIME

LOWEST_PITCH = 21  # the MIDI number of A0, the lowest key of a piano
NUM_PITCHES = 88
STEPS_PER_QUARTER = 4
MAX_STEPS_PER_QUARTER = 960
MIN_BPM = 60e6 / (2**24 - 1)  # MIDI writes a tempo as microseconds to a quarter, in 24 bits
MAX_BPM = 60e6


@dataclass(frozen=True, eq=False)
class PianoRoll(InParts):
    """A piece of music on a grid of `T` time steps, `R` parts and `P` pitches.

    At each step a key of a part is silent, struck or held.

        roll = PianoRoll.from_notes([(0, 4, 60), (4, 4, 67)])  # C4, then G4, each for four steps
        roll.notes()

    Music that is not divided into parts has R = 1. All lengths and places count time steps.

    Attributes:
        sounding: bool [T, R, P], T >= 1. Column p is the MIDI pitch `lowest_pitch + p`.
        onsets: bool [T, R, P], true where a note is struck; it must sound there. None: not known,
            as in the benchmark sets. Then a key that sounds for several steps is one held note.
        steps_per_quarter: how many steps a quarter note has, 1 to 960.
        lowest_pitch: the MIDI number of the first column.
        tempo_bpm: quarter notes per minute.
        time_signature: (beats, beat unit). The unit is a power of two.
        upbeat: the number of steps before the first bar line, less than a bar and than the piece; 0
            if there is no upbeat, or it is not known.
        parts: the R parts of a band; empty if the roll is of no band, and then R = 1.

    Raises:
        LnfgenError: if an attribute has not this shape, type or range.
    """

    sounding: np.ndarray
    onsets: np.ndarray | None
    steps_per_quarter: int = STEPS_PER_QUARTER
    lowest_pitch: int = LOWEST_PITCH
    tempo_bpm: float = 120.0
    time_signature: tuple[int, int] = (4, 4)
    upbeat: int = 0
    parts: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        self._check_cells()
        self._check_parts()
        self._check_time()

    def _check_cells(self) -> None:
        sounding = self.sounding
        if not _is_bool(sounding) or sounding.ndim != 3:
            raise LnfgenError(
                f"a piano-roll's sounding is {describe(sounding)}; "
                "expected bool [steps, parts, pitches]"
            )
        shape = list(sounding.shape)
        if 0 in shape:
            raise LnfgenError(
                f"a piano-roll has shape {shape}; expected at least one step, part and pitch"
            )
        if self.onsets is not None:
            if not _is_bool(self.onsets) or self.onsets.shape != sounding.shape:
                raise LnfgenError(
                    f"a piano-roll's onsets are {describe(self.onsets)}; "
                    f"expected bool {shape} as sounding"
                )
            if (self.onsets & ~sounding).any():
                raise LnfgenError(
                    "a piano-roll has onsets where nothing sounds; "
                    "expected onsets within sounding only"
                )
        lowest = self.lowest_pitch
        highest = lowest + self.num_pitches - 1
        if not 0 <= lowest <= highest <= 127:
            raise LnfgenError(
                f"a piano-roll spans the pitches {lowest} to {highest}; expected 0 to 127"
            )

    def _check_parts(self) -> None:
        num_parts = self.sounding.shape[1]
        if num_parts != self.num_parts:
            raise LnfgenError(
                f"a piano-roll of {num_parts} parts, of which {len(self.parts)} are named; "
                "expected each, or none of a single one"
            )
        if len(set(self.roles)) < len(self.roles):
            raise LnfgenError(f"a band of {', '.join(self.roles)}; expected each part once")

    def _check_time(self) -> None:
        if not 1 <= self.steps_per_quarter <= MAX_STEPS_PER_QUARTER:
            raise LnfgenError(
                f"{self.steps_per_quarter} steps per quarter; expected 1 to {MAX_STEPS_PER_QUARTER}"
            )
        require_tempo(self.tempo_bpm)
        if not is_time_signature(self.time_signature):
            expected = "beats from 1 to 255 over a power of two up to 128"
            raise LnfgenError(f"a time signature of {self.time_signature}; expected {expected}")
        if not 0 <= self.upbeat < self._upbeat_limit:
            raise LnfgenError(
                f"an upbeat of {self.upbeat} steps; expected less than a bar and than the piece"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PianoRoll):
            return NotImplemented
        return (
            self._plain_values == other._plain_values
            and np.array_equal(self.sounding, other.sounding)
            # None equals None alone
            and np.array_equal(self.onsets, other.onsets)  # type: ignore[arg-type]
        )

    @property
    def _plain_values(self) -> tuple[Any, ...]:
        """All that two equal rolls share beside their cells."""
        return (
            self.steps_per_quarter,
            self.lowest_pitch,
            self.tempo_bpm,
            self.time_signature,
            self.upbeat,
            self.roles,
        )

    def __repr__(self) -> str:
        beats, unit = self.time_signature
        words = [
            f"{self.num_steps} steps x {self.num_pitches} pitches from {self.lowest_pitch}",
            f"{self.steps_per_quarter} per quarter",
            f"{self.tempo_bpm:g} bpm",
            f"{beats}/{unit}",
        ]
        if self.upbeat:
            words.append(f"upbeat of {self.upbeat}")
        if self.parts:
            words.append(f"parts {' '.join(self.roles)}")
        if self.onsets is None:
            words.append("onsets unknown")
        return f"PianoRoll({', '.join(words)})"

    # Ways to make a roll

    @classmethod
    def of_one(
        cls, sounding: np.ndarray, onsets: np.ndarray | None = None, **attributes: Any
    ) -> PianoRoll:
        """The roll of one part from its cells, bool [T, P], and other attributes."""
        if onsets is not None:
            onsets = onsets[:, None]
        return cls(sounding[:, None], onsets, **attributes)

    @classmethod
    def of_parts(cls, rolls: Sequence[PianoRoll], parts: Sequence[Part]) -> PianoRoll:
        """The roll of a band from one of each part, bool [T, 1, P], all on one grid.

        The first one has the other attributes. Shorter ones have silence after them. Drums are
        struck wherever they sound, because they are never held.
        """
        first = rolls[0]
        num_steps = max(roll.num_steps for roll in rolls)
        sounding = np.zeros((num_steps, len(rolls), first.num_pitches), np.bool_)
        onsets = np.zeros_like(sounding)
        for number, (roll, part) in enumerate(zip(rolls, parts, strict=True)):
            struck = roll.struck()[:, 0]
            is_held = part.role != DRUMS
            sounding[: roll.num_steps, number] = roll.sounding[:, 0] if is_held else struck
            onsets[: roll.num_steps, number] = struck
        return replace(first, sounding=sounding, onsets=onsets, parts=tuple(parts))

    @classmethod
    def from_notes(  # noqa: PLR0913  (a keyword for each attribute of the roll)
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
        """The roll of these notes, (start_step, length_steps, MIDI pitch), as one part.

        It has `num_steps` steps, or more if needed. Notes of one pitch may overlap: then the key is
        struck again while it sounds. A note lasts at least one step. Notes whose pitch has no
        column are left out; `lnfgen.music.conversion.report_of_notes` counts them.

        Raises:
            LnfgenError: if a note starts before step 0, or a number is out of range.
        """
        notes = list(notes)
        for note in notes:
            start, _, _ = note
            if start < 0:
                raise LnfgenError(
                    f"the note {note} starts before the piece; expected a start_step of at least 0"
                )
        sounding, onsets = cells_of_notes(notes, num_steps, lowest_pitch, num_pitches)
        return cls.of_one(
            sounding,
            onsets,
            steps_per_quarter=steps_per_quarter,
            lowest_pitch=lowest_pitch,
            tempo_bpm=tempo_bpm,
            time_signature=time_signature,
        )

    # Its sizes, its notes and its parts

    @property
    def num_steps(self) -> int:
        """T, the length in time steps."""
        return int(self.sounding.shape[0])

    @property
    def num_pitches(self) -> int:
        """P, the number of columns."""
        return int(self.sounding.shape[2])

    @property
    def seconds(self) -> float:
        """The length in seconds at `tempo_bpm`."""
        return self.num_steps / self.steps_per_quarter * 60.0 / self.tempo_bpm

    def struck(self) -> np.ndarray:
        """Where notes start, bool [T, R, P]: at onsets, and where silent keys begin to sound."""
        return starts_of(self.sounding, self.onsets)

    def notes(self, part: int = 0) -> list[Note]:
        """The notes of a part, which is counted from 0 on, sorted by start and then by pitch.

        A note is (start_step, length_steps, MIDI pitch).
        """
        sounding = self.sounding[:, part]
        onsets = None if self.onsets is None else self.onsets[:, part]
        return notes_of_cells(sounding, starts_of(sounding, onsets), self.lowest_pitch)

    @property
    def num_notes(self) -> int:
        """How many notes all parts have together."""
        return int(self.struck().sum())

    def edge_keys(self, top: bool) -> np.ndarray:
        """The column of the highest key of each part, or of the lowest one, at each step.

        It is int [T, R], and -1 where the part is silent.
        """
        if top:
            keys = self.num_pitches - 1 - self.sounding[..., ::-1].argmax(axis=2)
        else:
            keys = self.sounding.argmax(axis=2)
        return np.where(self.sounding.any(axis=2), keys, -1)

    def part(self, number: int) -> PianoRoll:
        """The roll of one part, counted from 0 on, with R = 1."""
        return self._changed(lambda cells: cells[:, number : number + 1], parts=())

    @property
    def merged(self) -> PianoRoll:
        """All parts but the drums as one part, R = 1; the roll itself if it has no parts."""
        # not cached: a roll that held itself would stay in memory
        return self._merged if self.parts else self

    @cached_property
    def _merged(self) -> PianoRoll:
        return replace(
            self,
            sounding=merged_cells(self.sounding, self.roles),
            onsets=merged_cells(self.struck(), self.roles),
            parts=(),
        )

    def in_parts(self, parts: Sequence[Part], alone: str = "") -> PianoRoll:
        """The piece as one of a band with these parts, or as one part if there are none.

        A piece of one part has the part `alone`; by default the melody, or the chords if it has
        several keys at a time. Notes of parts that the band lacks are left out;
        `lnfgen.music.conversion.lost_in_parts` counts them.
        """
        wanted = [part.role for part in parts]
        if list(self.roles) == wanted:
            return self
        if not parts:
            return self.merged
        own_roles = self.roles or (alone or self.usual_role,)
        silent = self.part(0)._changed(np.zeros_like)
        rolls = []
        for role in wanted:
            if role in own_roles:
                rolls.append(self.part(own_roles.index(role)))
            else:
                rolls.append(silent)
        return PianoRoll.of_parts(rolls, parts)

    @property
    def usual_role(self) -> str:
        """The role that music of one part has in a band: the melody, or the chords.

        They are chords if several keys sound at a time.
        """
        keys_at = self.sounding.sum(axis=(1, 2))
        is_line = keys_at.sum() <= ONE_AT_A_TIME * (keys_at > 0).sum()
        return MELODY if is_line else CHORDS

    # Its bars

    @property
    def _exact_bar(self) -> Fraction:
        return bar_length(self.time_signature, self.steps_per_quarter)

    @property
    def _upbeat_limit(self) -> Fraction:
        """An upbeat has fewer steps than this: than a bar, and than the piece."""
        return min(self._exact_bar, Fraction(self.num_steps))

    @property
    def steps_per_bar(self) -> int:
        """The steps of a bar, at least 1; rounded if such a bar does not end on the grid."""
        return max(1, round(self._exact_bar))

    @property
    def has_whole_bars(self) -> bool:
        """True if a bar is a whole number of steps."""
        return self._exact_bar.denominator == 1

    @property
    def num_bars(self) -> int:
        """The number of bars without the upbeat; the last one may be cut short."""
        return max(self.bars())

    def bars(self) -> dict[int, int]:
        """The step where each bar starts, by its number.

        It is the nearest step if a bar does not start on the grid. An upbeat is bar 0, and the bar
        after it is bar 1. Without an upbeat the piece begins with bar 1.
        """
        bar = self._exact_bar
        count = math.ceil((self.num_steps - self.upbeat) / bar)
        starts = {0}
        for index in range(count):
            line = self.upbeat + round(index * bar)
            starts.add(min(line, self.num_steps - 1))
        first_number = 0 if self.upbeat else 1
        return dict(enumerate(sorted(starts), start=first_number))

    def with_upbeat(self, steps: int) -> PianoRoll:
        """The piece with its first bar line after `steps`.

        It has no upbeat if these fill a bar or the piece.
        """
        upbeat = steps if steps < self._upbeat_limit else 0
        return self if upbeat == self.upbeat else replace(self, upbeat=upbeat)

    def from_bar_line(self) -> PianoRoll:
        """The piece from the start of its first bar on: silence ahead of an upbeat fills its bar.

        Where a bar is no whole number of steps, as 5/8 on a grid of quarters, the piece stays as it
        is.
        """
        if not self.upbeat or not self.has_whole_bars:
            return self
        shape = (self.steps_per_bar - self.upbeat, self.num_parts, self.num_pitches)
        ahead = np.zeros(shape, dtype=np.bool_)
        return self._changed(lambda cells: np.concatenate([ahead, cells]), upbeat=0)

    def from_first_note(self) -> PianoRoll:
        """The piece without the silence that fills half of its first bar or more.

        The rest of that bar is an upbeat. Less silence, or a whole bar, is a rest and stays. A
        piece does not change if it has an upbeat, if it is no longer than a bar, or if it has bars
        that `from_bar_line` cannot fill.
        """
        bar = self._exact_bar
        if self.upbeat or self.num_steps <= bar or not self.has_whole_bars:
            return self
        silent = int(self._sounding_steps.argmax())  # 0 where there is no note
        if bar <= 2 * silent < 2 * bar:
            return self.stretch(silent, self.num_steps)
        return self

    def from_first_to_last_note(self) -> PianoRoll:
        """The piece from the bar of its first note to the bar of its last one.

        Without notes it stays as it is.
        """
        sounding = np.flatnonzero(self._sounding_steps)
        if not len(sounding):
            return self
        lines = [*self.bars().values(), self.num_steps]
        start = max(line for line in lines if line <= sounding[0])
        end = min(line for line in lines if line > sounding[-1])
        if (start, end) == (0, self.num_steps):
            return self
        return self.stretch(start, end)

    @property
    def _sounding_steps(self) -> np.ndarray:
        """bool [T]: where a key of any part sounds."""
        return np.any(self.sounding, axis=(1, 2))

    def cut(self, max_length: int) -> list[PianoRoll]:
        """The roll cut at bar lines into pieces of at most `max_length` steps, in order.

        A bar that is longer is cut inside. Where onsets are known, a note that goes across a cut is
        struck again in the next piece, because there it is a note of its own.
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
        """The steps from `start` up to `end`, as a piece.

        A note that sounds at `start` is struck there, as in `cut`. Bar lines stay where they are:
        where the piece starts inside a bar, the rest of that bar is its upbeat.
        """
        bar = self._exact_bar
        after_upbeat = start - self.upbeat
        first_index = max(0, (after_upbeat - 1) // bar)
        lines = (round(index * bar) for index in itertools.count(first_index))
        next_line = next(line for line in lines if line >= after_upbeat)
        piece = self._changed(lambda cells: cells[start:end].copy(), upbeat=0)
        if piece.onsets is not None:
            piece.onsets[0] = piece.sounding[0]
        return piece.with_upbeat(next_line - after_upbeat)

    # The same piece on another grid or other keys

    def on_grid(self, steps_per_quarter: int) -> PianoRoll:
        """The piece on another grid.

        The start and the end of each note, the end of the upbeat and the end of the piece go to the
        nearest step, half a step to the later one; a note keeps at least a step. Where all of them
        lie on steps of the new grid, nothing is lost; `lnfgen.music.conversion.lost_on_grid` counts
        what is. Without onsets, notes of one pitch may join where the rest between them is shorter
        than a new step.
        """
        if steps_per_quarter == self.steps_per_quarter:
            return self
        if self.parts:
            rolls = [
                self.part(number).on_grid(steps_per_quarter) for number in range(self.num_parts)
            ]
            return PianoRoll.of_parts(rolls, self.parts)
        old = self.steps_per_quarter
        sounding, onsets = cells_of_notes(
            notes_on_grid(self.notes(), old, steps_per_quarter),
            nearest_step(self.num_steps, old, steps_per_quarter),
            self.lowest_pitch,
            self.num_pitches,
        )
        roll = replace(
            self,
            sounding=sounding[:, None],
            onsets=None if self.onsets is None else onsets[:, None],
            steps_per_quarter=steps_per_quarter,
            upbeat=0,
        )
        return roll.with_upbeat(nearest_step(self.upbeat, old, steps_per_quarter))

    def in_range(self, lowest_pitch: int, num_pitches: int) -> PianoRoll:
        """The piece with other columns.

        Notes that none of them has are left out; `lnfgen.music.conversion.lost_in_range` counts
        them.
        """
        if (self.lowest_pitch, self.num_pitches) == (lowest_pitch, num_pitches):
            return self
        first = 128 + lowest_pitch - self.lowest_pitch

        def moved(cells: np.ndarray) -> np.ndarray:
            padded = np.pad(cells, ((0, 0), (0, 0), (128, 128)))
            return padded[..., first : first + num_pitches].copy()

        return self._changed(moved, lowest_pitch=lowest_pitch)

    def only(self, cells: np.ndarray) -> PianoRoll:
        """The roll with nothing but what it has in these cells, bool [T, R, P]."""
        return self._changed(lambda own: own & cells)

    def transposed(self, semitones: int) -> PianoRoll:
        """The piece moved up by semitones, or down if they are negative, on the same keys.

        Drums stay as they are.

        Raises:
            LnfgenError: if a note would leave the roll's keys; the message has the range that fits.
        """
        pitched = are_pitched(self.roles)
        keys = np.flatnonzero(self.sounding[:, pitched].any(axis=(0, 1)))
        if len(keys):
            down = -int(keys[0])
            up = self.num_pitches - 1 - int(keys[-1])
        else:
            down = 0
            up = self.num_pitches - 1
        if not down <= semitones <= up:
            raise LnfgenError(
                f"{semitones:+} semitones would move notes off the keys; "
                f"expected {down:+} to {up:+}"
            )
        return self._changed(lambda cells: transposed_cells(cells, semitones, self.roles))

    def _changed(self, change: Callable[[np.ndarray], np.ndarray], **attributes: Any) -> PianoRoll:
        """The piece with both arrays changed, and with these attributes."""
        onsets = None if self.onsets is None else change(self.onsets)
        return replace(self, sounding=change(self.sounding), onsets=onsets, **attributes)


def pitched_parts(roll: PianoRoll) -> PianoRoll:
    """All pitched parts of a band as one; the drums of a band that has nothing else."""
    if are_pitched(roll.roles).any():
        return roll.merged
    return roll.part(0)


def merged_cells(cells: np.ndarray, roles: Sequence[str]) -> np.ndarray:
    """bool [T, 1, P]: the cells, bool [T, R, P], that any part with pitches has."""
    return np.any(cells[:, are_pitched(roles)], axis=1, keepdims=True)


def transposed_cells(cells: np.ndarray, semitones: int, roles: Sequence[str]) -> np.ndarray:
    """The cells, bool [T, R, P], of parts with these roles, moved up by semitones.

    The cells of drums stay.
    """
    moves = are_pitched(roles)
    return np.where(moves[:, None], np.roll(cells, semitones, axis=2), cells)


def require_tempo(bpm: float) -> None:
    """Raise an `LnfgenError` if a roll may not have this tempo, which MIDI's format limits."""
    if not MIN_BPM <= bpm <= MAX_BPM:
        raise LnfgenError(
            f"a tempo of {bpm:g} quarters per minute; expected 3.58 to 60 million, MIDI's range"
        )


def describe(value: object) -> str:
    """What a value is, as an error says it: the type and the shape of an array, or a type."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {list(value.shape)}"
    return type(value).__name__


def _is_bool(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.bool_
