"""The parts of a band: drums, bass, chords and melody, and which tracks of a file play them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from statistics import fmean, mode
from typing import Any

import numpy as np

from lnfgen.errors import LnfgenError
from lnfgen.music.tracks import (
    ALL,
    BASS,
    DRUM_CHANNEL,
    DRUMS,
    Track,
    choose_tracks,
    lines_of,
    named_melody,
    says,
)

CHORDS = "chords"
MELODY = "melody"
ROLES = (DRUMS, BASS, CHORDS, MELODY)  # in this order a model draws the parts of a step

# in place of roles: what most files of a folder have; all tracks merged into one piano-roll
AUTO = "auto"
ONE = "1"
_FEWER = {ONE: (), "2": (CHORDS, MELODY), "3": (DRUMS, CHORDS, MELODY), "4": ROLES}
BY_NAME = "its name"  # why a track has a part
BY_PROGRAM = "its program"
# programs without pitches; tinkle bells and steel drums have them
_NOISES = (113, *range(115, 128))
# of the median number of notes: what a melody has at least, where no other line can be one
_SPARSE = 0.25
_LOW = 50  # the mean pitch below which any line may be a bass
_HIGH = 60  # and one that is named so
_Place = tuple[str, str]  # the role of a track, and why the track has it
# equal for the same notes in two tracks, late ones too
_facts = attrgetter("notes", "lowest", "highest")

# The MIDI pitch of the first key of each part that a model has. The distances of those with pitches
# are octaves.
LOWEST = {DRUMS: 33, BASS: 21, CHORDS: 33, MELODY: 45}
NUM_KEYS = 49  # of each part: four octaves, and all drums of General MIDI


@dataclass(frozen=True)
class Part:
    """A part of a band."""

    role: str  # one of `ROLES`
    program: int = 0  # of General MIDI; of drums the kit
    # the usual ones of its notes at each step of a bar; none: not known
    velocities: tuple[int, ...] = ()

    @classmethod
    def from_json(cls, value: Any) -> "Part":
        """The part that `dataclasses.asdict` made this of; a `ValueError` for another value."""
        if isinstance(value, dict) and set(value) == {"role", "program", "velocities"}:
            role = value["role"]
            program = value["program"]
            velocities = value["velocities"]
            if role in ROLES and isinstance(velocities, list | tuple):
                numbers = [program, *velocities]
                if all(type(number) is int and 0 <= number <= 127 for number in numbers):
                    return cls(role, program, tuple(velocities))
        raise ValueError(f"the part {value!r:.60}")


class InParts:
    """Music that has the parts of a band or, without parts, is one part; or an encoding of it."""

    parts: tuple[Part, ...]

    @property
    def num_parts(self) -> int:
        """R, the size of the axis of parts; 1 without parts."""
        return max(1, len(self.parts))

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of the parts."""
        return tuple(part.role for part in self.parts)


def are_pitched(roles: Sequence[str]) -> np.ndarray:
    """bool [R]: for each part whether it has pitches, which is all but drums.

    Music without parts is one part that has them.
    """
    if not roles:
        return np.ones(1, np.bool_)
    return np.array([role != DRUMS for role in roles])


def part_programs(parts: Sequence[Part], asked: Sequence[int]) -> list[int]:
    """The program of each part: of pitched ones those asked for, the highest part first.

    The last one asked for serves the parts that are left.
    """
    programs = [part.program for part in parts]
    if not asked:
        return programs
    pitched = [number for number, part in enumerate(parts) if part.role != DRUMS]
    for place, number in enumerate(reversed(pitched)):
        programs[number] = asked[min(place, len(asked) - 1)]
    return programs


def usual_parts(pieces: Sequence[Sequence[Part]]) -> tuple[Part, ...]:
    """The parts of a set of music, of which each piece has the same roles."""
    return tuple(_usual_part(of_role) for of_role in zip(*pieces, strict=True))


def _usual_part(parts: Sequence[Part]) -> Part:
    """The commonest program of a part, and its mean velocities in the commonest bar."""
    with_velocities = [part for part in parts if part.velocities]
    own = with_velocities or parts[:1]
    program = mode(part.program for part in own)
    size = mode(len(part.velocities) for part in own)
    bars = [part.velocities for part in own if len(part.velocities) == size]
    velocities = tuple(round(fmean(place)) for place in zip(*bars, strict=True))
    return Part(parts[0].role, program, velocities)


def wanted_roles(parts: str) -> tuple[str, ...]:
    """The roles of at most so many parts, as `4`, or of those named, as `drums,bass`.

    There are none for one merged roll. A name that is no role is an `LnfgenError`.
    """
    if parts in _FEWER:
        return _FEWER[parts]
    names = [name.strip() for name in parts.split(",")]
    for name in names:
        if name not in ROLES:
            raise LnfgenError(
                f"found the part {name!r}; expected 1 to 4, or some of {', '.join(ROLES)}"
            )
    return tuple(role for role in ROLES if role in names)


def in_roles(
    tracks: Sequence[Track], roles: Sequence[str], wanted: str = ALL, name: str = "-"
) -> list[Track]:
    """The tracks, each with the role that it has among these, and why.

    Those that are left out have no role. Where there is no bass or no melody, its tracks play
    chords, and where there are no chords, they are left out. `wanted` are the tracks to place, as
    `choose_tracks` takes them, or `role=track` to place one by hand, with commas.

    Raises:
        UnreadableFileError: if no track is meant; it is about the file `name`.
        LnfgenError: if a role is none of `ROLES`.
    """
    chosen, by_hand = _chosen_tracks(tracks, wanted, name)
    free = [track for track in tracks if track.number in chosen and track.number not in by_hand]
    taken = {role for role, _ in by_hand.values()}
    placed = _placed(free, taken) | by_hand
    result: list[Track] = []
    for track in tracks:
        role, why = placed.get(track.number, ("", ""))
        if role in (BASS, MELODY) and role not in roles:
            role = CHORDS
        if role in roles:
            result.append(replace(track, role=role, why=why))
        else:
            result.append(track)
    return result


def _chosen_tracks(
    tracks: Sequence[Track], wanted: str, name: str
) -> tuple[set[int], dict[int, _Place]]:
    """The numbers of the tracks that `wanted` means, and the places of those placed by hand.

    If it only places some by hand, it means all tracks.
    """
    every = {track.number for track in tracks}
    by_hand: dict[int, _Place] = {}
    chosen: set[int] = set()
    names_tracks = False
    for item in wanted.split(","):
        item = item.strip()
        role, sign, word = item.partition("=")
        if sign and role not in ROLES:
            raise LnfgenError(f"found the part {role!r}; expected one of {', '.join(ROLES)}")
        found = every if item == ALL else choose_tracks(tracks, word or role, name)
        chosen |= found
        if sign:
            by_hand |= dict.fromkeys(found, (role, "as asked"))
        else:
            names_tracks = True
    return chosen if names_tracks else every, by_hand


def _placed(tracks: Sequence[Track], taken: set[str]) -> dict[int, _Place]:
    """The place of each track that has one, by its number.

    A melody or a bass that is `taken` gets no track.
    """
    placed: dict[int, _Place] = {}
    left: list[Track] = []  # all that have pitches
    for track in tracks:
        if track.instrument == DRUMS:
            why = "channel 10" if track.channel == DRUM_CHANNEL else BY_NAME
            placed[track.number] = (DRUMS, why)
        elif track.program not in _NOISES:
            left.append(track)
    for role, why, candidates in _rules(left):
        found = [track for track in candidates if track.number not in placed]
        if not found or role in taken:
            continue
        # All tracks that a word means have the role; of those found by their pitch, one is enough.
        is_found_already = role in {other for other, _ in placed.values()}
        if is_found_already and why not in (BY_NAME, BY_PROGRAM):
            continue
        facts = {_facts(track) for track in found}
        for track in left:
            if _facts(track) in facts:  # the same notes in another track are the same part
                placed[track.number] = (role, why)
    for track in left:
        placed.setdefault(track.number, (CHORDS, "the others"))
    return placed


def _rules(left: Sequence[Track]) -> list[tuple[str, str, list[Track]]]:
    """The rules that place tracks with pitches, the strongest first.

    Each has a role, why its tracks have it, and these tracks.
    """
    lines = sorted(lines_of(left), key=attrgetter("mean_pitch"))
    sparse = sorted(lines_of(left, _SPARSE), key=attrgetter("mean_pitch"))
    low = [track for track in left if track.mean_pitch < _HIGH]
    named_bass = [track for track in low if says(track.name, BASS)]
    bass_programs = [track for track in low if track.instrument == BASS]
    lowest = [track for track in lines[:1] if track.mean_pitch < _LOW]
    highest = [track for track in lines[-1:] if track.mean_pitch >= _LOW]
    highest_sparse = [track for track in sparse[-1:] if track.mean_pitch >= _HIGH]
    return [
        (MELODY, BY_NAME, named_melody(left)),
        (BASS, BY_NAME, named_bass),
        (BASS, BY_PROGRAM, bass_programs),
        (BASS, "its low notes", lowest),
        (MELODY, "its high notes", highest),
        (MELODY, "its high notes", highest_sparse),
    ]
