"""To which track of a person's own MIDI file each drawn note goes, and how loud it is there.

A drawn note goes to one of the tracks that the model heard, of a band to one of its part. These are
the tracks that play in its place or, where none does, nearest to it in time. The highest key goes
to the highest of them, the lowest key to the lowest, and any other note to the one that has the
nearest notes.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np

from lnfgen.formats.file_notes import OpenedFile, PlayedTrack
from lnfgen.formats.midi import VELOCITY
from lnfgen.music.notes import Note
from lnfgen.music.parts import Part
from lnfgen.music.song import Song

# How loud notes are at each place of a bar is heard in so many bars.
_BARS_HEARD = 4


class OfTrack(NamedTuple):
    """The drawn notes of a part that go to one track of the file."""

    name: str
    part: int
    track: PlayedTrack | None  # None: the file has no notes of the part
    notes: list[Note]


def drawn_by_track(song: Song, opened: OpenedFile, name: str) -> list[OfTrack]:
    """The drawn notes of each part by their tracks, in the order of the file.

    Tracks without drawn notes are left out. The name is followed by that of the part, or of the
    track, where there are several.
    """
    found: list[OfTrack] = []
    for part in range(song.roll.num_parts):
        divided = _divided(song, part, opened)
        for track, notes in divided:
            title = name
            if track is not None and len(divided) > 1:
                title = f"{name} {track.track.name or track.track.instrument}".rstrip()
            elif song.roll.parts:
                title = f"{name} {song.roll.roles[part]}"
            found.append(OfTrack(title, part, track, notes))
    return found


def _divided(
    song: Song, part: int, opened: OpenedFile
) -> list[tuple[PlayedTrack | None, list[Note]]]:
    """The drawn notes of a part, each list with its track among those that the model heard."""
    drawn = [note for note in song.roll.notes(part) if song.was_drawn(note, part)]
    if not drawn:
        return []
    own = _of_part(song, part, opened.heard)
    if not own:
        return [(None, drawn)]
    places = _Places.of(own, opened)
    chosen: list[list[Note]] = [[] for _ in own]
    sounding = song.roll.sounding[:, part]
    for note in drawn:
        start, _, pitch = note
        column = pitch - song.roll.lowest_pitch
        is_highest = not sounding[start, column + 1 :].any()
        is_lowest = not sounding[start, :column].any()
        index = places.track_for(start, pitch, is_highest, is_lowest, song.roll.steps_per_bar)
        chosen[index].append(note)
    return [(track, notes) for track, notes in zip(own, chosen, strict=True) if notes]


def _of_part(song: Song, part: int, heard: Sequence[PlayedTrack]) -> list[PlayedTrack]:
    """The tracks that the model heard as this part."""
    roles = song.roll.roles
    if not roles:
        return list(heard)
    return [played for played in heard if played.track.role == roles[part]]


class _Places(NamedTuple):
    """Where N notes of some tracks are."""

    steps: np.ndarray  # int [N], where each begins
    pitches: np.ndarray  # int [N]
    tracks: np.ndarray  # int [N], the index of the track of each

    @classmethod
    def of(cls, played: Sequence[PlayedTrack], opened: OpenedFile) -> "_Places":
        """The notes of these tracks, those that were drawn anew too."""
        rows: list[tuple[int, int, int]] = []
        for index, track in enumerate(played):
            for note in track.notes:
                rows.append((opened.step(note.start), note.pitch, index))
        steps, pitches, tracks = np.array(rows).T
        return cls(steps, pitches, tracks)

    def track_for(
        self, start: int, pitch: int, is_highest: bool, is_lowest: bool, nearby: int
    ) -> int:
        """The index of the track for a drawn note.

        Args:
            is_highest, is_lowest: if no other key of the part sounds beyond it. Alone it is both.
            nearby: steps; a track is near the note if it has a note at most so much farther away in
                time than the nearest one.
        """
        away = np.abs(self.steps - start)
        near = np.flatnonzero(away <= away.min() + nearby)
        if is_highest == is_lowest:
            distances = np.abs(self.pitches[near] - pitch)
            order = np.lexsort((away[near], distances))
            return int(self.tracks[near[order[0]]])
        means = {
            int(index): float(self.pitches[near][self.tracks[near] == index].mean())
            for index in np.unique(self.tracks[near])
        }
        choose = max if is_highest else min
        return choose(means, key=lambda index: means[index])


def loudness(
    played: Sequence[PlayedTrack], part: Part, song: Song, opened: OpenedFile
) -> Callable[[int], int]:
    """The velocity at a tick: the mean of the notes of these tracks that begin there.

    Elsewhere it lies between those of the notes before and after the tick. After the last note, and
    ahead of the first, it is that of the same place in the nearest `_BARS_HEARD` bars. Without
    notes, it is the usual one of the part at this place in a bar.
    """
    by_start = defaultdict[int, list[int]](list)
    for track in played:
        for note in track.notes:
            by_start[note.start].append(note.velocity)
    upbeat = song.roll.upbeat
    usual = part.velocities or (VELOCITY,)

    def in_bar(tick: int) -> int:
        step = opened.step(tick)
        return usual[(step - upbeat) % len(usual)]

    if not by_start:
        return in_bar
    ticks = sorted(by_start)
    means = [fmean(by_start[tick]) for tick in ticks]
    bar = song.roll.steps_per_bar
    reach = _BARS_HEARD * bar * opened.ticks_per_step
    at_start = {tick: by_start[tick] for tick in ticks if tick <= ticks[0] + reach}
    at_end = {tick: by_start[tick] for tick in ticks if tick >= ticks[-1] - reach}
    ahead = _by_place(at_start, bar, opened)
    after = _by_place(at_end, bar, opened)

    def in_music(tick: int) -> int:
        if ticks[0] <= tick <= ticks[-1]:
            return round(float(np.interp(tick, ticks, means)))
        beyond = after if tick > ticks[-1] else ahead
        return beyond[opened.step(tick) % bar]

    return in_music


def _by_place(by_start: dict[int, list[int]], bar: int, opened: OpenedFile) -> list[int]:
    """The mean velocity at each of the steps of a bar, of all notes where none begins."""
    by_place = defaultdict[int, list[int]](list)
    every: list[int] = []
    for tick, velocities in by_start.items():
        by_place[opened.step(tick) % bar] += velocities
        every += velocities
    usual = round(fmean(every))
    return [round(fmean(by_place[place])) if place in by_place else usual for place in range(bar)]
