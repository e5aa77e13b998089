"""A piece of music beside the file that it was read from, and the cells that a model drew in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lnfgen.errors import LnfgenError
from lnfgen.music.chart import ChordChange
from lnfgen.music.conversion import ConversionReport, lost_in_parts, lost_in_range, lost_on_grid
from lnfgen.music.key_signature import KeySignature
from lnfgen.music.notes import Note
from lnfgen.music.parts import Part
from lnfgen.music.pianoroll import PianoRoll, describe, merged_cells, transposed_cells
from lnfgen.music.timing import PLAIN, Timing
from lnfgen.music.tracks import Track


@dataclass(frozen=True)
class Origin:
    """What was read from a file beside the notes; the default is that of no file.

    Attributes:
        midi: the MIDI file that the roll was read from, or that its score becomes; see
            `lnfgen.formats.song`. None if there is no file, or if the roll has become other music.
        tracks: the tracks of the MIDI file or the score, kept or not.
        title: the title of the score; empty if there is none.
        key: the key signature that lasts longest; None if there is none.
        chords: the chord symbols of the file; none if it has none.
        timing: where the file plays what the roll has on its beats.
        report: counts of what the piece of the file lost when it became the roll.
    """

    midi: bytes | None = None
    tracks: tuple[Track, ...] = ()
    title: str = ""
    key: KeySignature | None = None
    chords: tuple[ChordChange, ...] = ()
    timing: Timing = PLAIN
    report: ConversionReport = field(default_factory=ConversionReport)


@dataclass(frozen=True, eq=False)
class Song:
    """A piece of music, what its file had beside its notes, and what a model drew.

    Its methods give the song with a changed roll. `on_grid` and `in_range` leave it the music of
    its file; after all others it is other music, and has no `origin.midi`. They add what is lost to
    `origin.report`.

    Attributes:
        roll: the music, R parts.
        origin: what was read from a file beside the notes.
        drawn: bool [T, R, 128], true where a model drew the key of this MIDI pitch in a person's
            piece; None without this distinction. A note was drawn if its first cell was.

    Raises:
        LnfgenError: if `drawn` has not this shape and type.
    """

    roll: PianoRoll
    origin: Origin = field(default_factory=Origin)
    drawn: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.drawn is None:
            return
        shape = (self.roll.num_steps, self.roll.num_parts, 128)
        if self.drawn.dtype != np.bool_ or self.drawn.shape != shape:
            raise LnfgenError(
                f"a song's drawn cells are {describe(self.drawn)}; expected bool {list(shape)}"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Song):
            return NotImplemented
        return (
            self.roll == other.roll
            and self.origin == other.origin
            # None equals None alone
            and np.array_equal(self.drawn, other.drawn)  # type: ignore[arg-type]
        )

    @property
    def is_own_file(self) -> bool:
        """True if a model drew in a person's file.

        That file is then written as it is, with the drawn notes beside it.
        """
        return self.origin.midi is not None and self.drawn is not None

    @property
    def without_file(self) -> Song:
        """The song as one of no file, with what its file had beside tracks and losses."""
        own = self.origin
        return Song(self.roll, Origin(title=own.title, key=own.key, chords=own.chords), self.drawn)

    @property
    def num_drawn(self) -> int:
        """How many notes a model drew; all of them if `drawn` is None."""
        if self.drawn is None:
            return int(self.roll.struck().sum())
        return int((self.roll.struck() & self._drawn_keys).sum())

    @property
    def drawn_notes(self) -> PianoRoll:
        """The roll with nothing but what a model drew; all of it if `drawn` is None."""
        if self.drawn is None:
            return self.roll
        return self.roll.only(self._drawn_keys)

    @property
    def _drawn_keys(self) -> np.ndarray:
        """What `drawn` has of the columns of the roll, bool [T, R, P]."""
        assert self.drawn is not None
        lowest = self.roll.lowest_pitch
        return self.drawn[..., lowest : lowest + self.roll.num_pitches]

    def was_drawn(self, note: Note, part: int = 0) -> bool:
        """True if a model drew this note of `roll.notes(part)`: the note begins where it drew.

        It is true of all notes if `drawn` is None.
        """
        if self.drawn is None:
            return True
        start, _, pitch = note
        return bool(self.drawn[start, part, pitch])

    def on_grid(self, steps_per_quarter: int) -> Song:
        """The song on another grid, as `PianoRoll.on_grid` has it, without `drawn`."""
        if steps_per_quarter == self.roll.steps_per_quarter:
            return self
        lost = lost_on_grid(self.roll, steps_per_quarter)
        return Song(self.roll.on_grid(steps_per_quarter), self._origin_with(lost))

    def in_range(self, lowest_pitch: int, num_pitches: int) -> Song:
        """The song with other columns, as `PianoRoll.in_range` has it."""
        lost = lost_in_range(self.roll, lowest_pitch, num_pitches)
        roll = self.roll.in_range(lowest_pitch, num_pitches)
        return Song(roll, self._origin_with(lost), self.drawn)

    def in_parts(self, parts: Sequence[Part], alone: str = "") -> Song:
        """The song as one of a band with these parts, as `PianoRoll.in_parts` has it.

        A band that becomes one part keeps `drawn`, where a model drew in any of its pitched parts.
        """
        roll = self.roll.in_parts(parts, alone)
        if roll is self.roll:
            return self
        lost = lost_in_parts(self.roll, parts, alone)
        drawn = None
        if self.drawn is not None and not parts:
            drawn = merged_cells(self.drawn, self.roll.roles)
        return Song(roll, replace(self._origin_with(lost), midi=None), drawn)

    def transposed(self, semitones: int) -> Song:
        """The song moved up by semitones, as `PianoRoll.transposed` has it, and its drawn cells."""
        drawn = None
        if self.drawn is not None:
            drawn = transposed_cells(self.drawn, semitones, self.roll.roles)
        key = self.origin.key
        if key is not None:
            key = key.transposed(semitones)
        chords = []
        for start, chord in self.origin.chords:
            chords.append(ChordChange(start, chord.transposed(semitones)))
        origin = replace(self.origin, midi=None, key=key, chords=tuple(chords))
        return Song(self.roll.transposed(semitones), origin, drawn)

    def _origin_with(self, lost: ConversionReport) -> Origin:
        return replace(self.origin, report=self.origin.report + lost)


def as_song(piece: Song | PianoRoll) -> Song:
    """The piece as a song; a roll alone is one of no file."""
    return piece if isinstance(piece, Song) else Song(piece)
