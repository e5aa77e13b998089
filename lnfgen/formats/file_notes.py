"""Where the notes of a person's own MIDI file lie on the grid of the song's roll.

The functions read the MIDI file in `Song.origin`. A model hears the notes of the kept tracks of
`Origin.tracks` on the grid of the song's roll, and draws some anew. A note of the file belongs to
the step at which the model hears it begin, and so to a bar even if it is played a little before its
line.
"""

import itertools
import math
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from lnfgen.formats.events import nearest
from lnfgen.formats.messages import MidiNote, channel_notes, ticks_per_quarter
from lnfgen.formats.midi import track_events
from lnfgen.formats.midi_file import MidiFile, read_file
from lnfgen.music.chart import ChordChange
from lnfgen.music.conversion import ConversionReport
from lnfgen.music.notes import Note
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song
from lnfgen.music.time_signature import bar_length, is_time_signature
from lnfgen.music.timing import Timing, find_timing
from lnfgen.music.tracks import DRUMS, Track


class PlayedTrack(NamedTuple):
    """A track of the song's file, with its notes."""

    track: Track
    key: tuple[int, int]  # in `channel_notes`
    notes: list[MidiNote]

    @property
    def channel(self) -> int:
        """From 0 on."""
        return self.key[1]


class OpenedFile(NamedTuple):
    """The song's file."""

    midi: MidiFile
    ticks_per_step: Fraction
    played: list[PlayedTrack]
    quarter: Fraction  # its ticks
    timing: Timing

    @property
    def heard(self) -> list[PlayedTrack]:
        """The tracks that the model hears."""
        return [played for played in self.played if played.track.kept]

    def step(self, tick: int) -> int:
        """The step that is nearest to what is played at a tick."""
        if self.timing.is_plain:
            return nearest(tick / self.ticks_per_step)
        written = self.timing.written(tick / self.quarter) * self.quarter
        return max(nearest(written / self.ticks_per_step), 0)

    def tick(self, step: int) -> int:
        """The tick at which the file plays what is written at a step."""
        time = step * self.ticks_per_step
        if not self.timing.is_plain:
            time = self.timing.played(time / self.quarter) * self.quarter
        return round(time)


def opened_file(song: Song) -> OpenedFile:
    """The song's file, which must be there."""
    assert song.origin.midi is not None
    midi = read_file(song.origin.midi)
    notes_of_tracks = channel_notes(midi.tracks).items()
    all_played: list[PlayedTrack] = []
    for own, (key, notes) in zip(song.origin.tracks, notes_of_tracks, strict=True):
        all_played.append(PlayedTrack(own, key, notes))
    quarter = ticks_per_quarter(midi)
    ticks_per_step = quarter / song.roll.steps_per_quarter
    return OpenedFile(midi, ticks_per_step, all_played, quarter, song.origin.timing)


def in_time(song: Song) -> Song:
    """The song of a file with its notes on their beats, even if they are all late, or swing.

    Then `Origin.timing` has where the file plays them.
    """
    if song.origin.midi is None or not song.origin.tracks:
        return song
    opened = opened_file(song)
    if opened.quarter.denominator != 1:  # times are in seconds, which have no beats
        return song
    starts: list[int] = []
    for played in opened.heard:
        starts.extend(note.start for note in played.notes)
    _, unit = song.roll.time_signature
    timing = find_timing(
        starts, int(opened.quarter), song.roll.steps_per_quarter, may_swing=unit <= 4
    )
    if timing.is_plain:
        return song
    opened = opened._replace(timing=timing)
    report = ConversionReport(song.origin.report)
    report["rounded"] = _num_rounded(opened)
    chords: list[ChordChange] = []
    for start, chord in song.origin.chords:
        chords.append(ChordChange(max(timing.written(start), Fraction(0)), chord))
    origin = replace(song.origin, timing=timing, chords=tuple(chords), report=report)
    return replace(song, roll=_on_its_beats(song.roll, opened), origin=origin)


def _num_rounded(opened: OpenedFile) -> int:
    """How many starts and ends of the notes that the model hears are on no step."""
    rounded = 0
    for played in opened.heard:
        for note in played.notes:
            for tick in (note.start, note.end):
                written = opened.timing.written(tick / opened.quarter) * opened.quarter
                rounded += (written / opened.ticks_per_step).denominator != 1
    return rounded


def _on_its_beats(roll: PianoRoll, opened: OpenedFile) -> PianoRoll:
    """The roll with the notes of the file where its timing has them."""
    parts: list[PianoRoll] = []
    for role in roll.roles or ("",):
        notes: list[Note] = []
        for played in opened.heard:
            if role in ("", played.track.role):
                for note in played.notes:
                    first = opened.step(note.start)
                    notes.append((first, opened.step(note.end) - first, note.pitch))
        part = PianoRoll.from_notes(
            notes,
            num_steps=roll.num_steps,
            lowest_pitch=roll.lowest_pitch,
            num_pitches=roll.num_pitches,
        )
        # The last note may end after the file does.
        parts.append(part.stretch(0, roll.num_steps))
    sounding = np.concatenate([part.sounding for part in parts], axis=1)
    onsets = np.concatenate([part.struck() for part in parts], axis=1)
    return replace(roll, sounding=sounding, onsets=onsets)


def is_drawn(note: MidiNote, song: Song, opened: OpenedFile, own: Track) -> bool:
    """True if the note of this track begins where a model drew."""
    assert song.drawn is not None
    roles = song.roll.roles
    part = roles.index(own.role) if roles else 0
    step = opened.step(note.start)
    return step < song.roll.num_steps and bool(song.drawn[step, part, note.pitch])


def file_bars(song: Song) -> dict[int, int]:
    """The step where each bar of the song's file starts, by its number.

    All changes of the time signature count. Bars are numbered as in `PianoRoll.bars`, which knows
    one time signature alone and answers for a song of no file.
    """
    roll = song.roll
    if song.origin.midi is None:
        return roll.bars()
    midi = read_file(song.origin.midi)
    quarter = ticks_per_quarter(midi)
    lines = _bar_lines(
        track_events(midi.tracks).signatures,
        quarter,
        end=Fraction(roll.num_steps, roll.steps_per_quarter) * quarter,
    )
    ticks_per_step = quarter / roll.steps_per_quarter
    last = roll.num_steps - 1
    starts: set[int] = set()
    for line in lines:
        starts.add(min(nearest(line / ticks_per_step), last))
    return dict(enumerate(sorted(starts), start=0 if roll.upbeat else 1))


def _bar_lines(
    signatures: Sequence[tuple[int, tuple[int, int]]], quarter: Fraction, end: Fraction
) -> list[Fraction]:
    """The ticks at which a bar starts before the end, from the changes (tick, time signature)."""
    changes = {0: (4, 4)}
    for tick, signature in sorted(signatures, key=itemgetter(0)):
        if is_time_signature(signature):
            changes[tick] = signature
    ends = [Fraction(tick) for tick in changes]
    ends.append(end)
    lines: list[Fraction] = []
    for (start, signature), until in zip(changes.items(), ends[1:], strict=True):
        bar = bar_length(signature, 1) * quarter
        num_bars = math.ceil((min(until, end) - start) / bar)
        for index in range(num_bars):
            lines.append(start + index * bar)
    return lines


def file_line(song: Song, top: bool, role: str = "") -> np.ndarray:
    """The cells bool [T, 128] of the notes that are the highest line of the file's kept tracks.

    With `top` False it is the lowest line. Of a band, the tracks are those with the role. A note is
    of that line if no other one is beyond it for half of its time or more. On the grid, two notes
    of a fast line may fall on one step, and one that is played legato may sound into the next.
    """
    line = np.zeros((song.roll.num_steps, 128), dtype=np.bool_)
    if song.origin.midi is None:
        return line
    opened = opened_file(song)
    notes: list[MidiNote] = []
    for played in opened.played:
        if played.track.kept and role in ("", played.track.role):
            notes.extend(played.notes)
    # Not by their releases, of which some are missing.
    notes.sort(key=lambda note: (note.start, note.end, note.pitch, note.velocity, note.on))
    outermost = _outermost(notes, top)
    for note in notes:
        if 2 * outermost[note] >= note.end - note.start:
            first = opened.step(note.start)
            end = opened.step(note.end)
            line[first : max(end, first + 1), note.pitch] = True
    return line


def _outermost(notes: Sequence[MidiNote], top: bool) -> Counter[MidiNote]:
    """The ticks for which each note is the highest one, or the lowest one.

    Notes are in the order of their starts.
    """
    ticks: set[int] = set()
    for note in notes:
        ticks.update((note.start, note.end))
    outermost = Counter[MidiNote]()
    waiting = deque(notes)
    sounding: list[MidiNote] = []
    for now, until in itertools.pairwise(sorted(ticks)):
        while waiting and waiting[0].start <= now:
            sounding.append(waiting.popleft())
        sounding = [note for note in sounding if note.end > now]
        if sounding:
            edge = max(sounding, key=lambda note: note.pitch if top else -note.pitch)
            outermost[edge] += until - now
    return outermost


def file_parts(song: Song) -> Iterator[tuple[str, list[Note]]]:
    """The name of each track of the song's file, and its notes on the grid.

    Drums and notes in drawn places are left out, and tracks without other notes.
    """
    opened = opened_file(song)
    for own, _, played in opened.played:
        if own.instrument == DRUMS:
            continue
        notes: list[Note] = []
        for note in played:
            if own.kept and is_drawn(note, song, opened, own):
                continue
            first = opened.step(note.start)
            last = opened.step(note.end)
            if first < song.roll.num_steps:
                notes.append((first, max(last - first, 1), note.pitch))
        if notes:
            yield own.name or own.instrument, notes
