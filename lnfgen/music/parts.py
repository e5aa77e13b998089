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

CHORDS, MELODY = "chords", "melody"
ROLES = (DRUMS, BASS, CHORDS, MELODY)  # in this order a model draws the parts of a step

# in place of roles: what most files of a folder have; all tracks merged into one piano-roll
AUTO, ONE = "auto", "1"
_FEWER = {ONE: (), "2": (CHORDS, MELODY), "3": (DRUMS, CHORDS, MELODY), "4": ROLES}
BY_NAME, BY_PROGRAM = "its name", "its program"  # why a track has a part
# programs without pitches; tinkle bells and steel drums have them
_NOISES = (113, *range(115, 128))
# of the median number of notes: what a melody has at least, where no other line can be one
_SPARSE = 0.25
# the mean pitches below which any line may be a bass, and one that is named so
_LOW, _HIGH = 50, 60
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
        match value:
            case {"role": role, "program": program, "velocities": [*velocities], **others} if (
                role in ROLES
            ):
                numbers = [program, *velocities]
                if not others and all(
                    type(number) is int and 0 <= number <= 127 for number in numbers
                ):
                    return cls(role, program, tuple(velocities))
        raise ValueError(f"the part {value!r:.60}")


class InParts:
    """A piano-roll or an encoding of one: it has rows for the parts of a band, or no parts."""

    parts: tuple[Part, ...]

    @property
    def stride(self) -> int:
        """R, the rows of a step; 1 without parts."""
        return max(1, len(self.parts))

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of the parts."""
        return tuple(part.role for part in self.parts)


def part_programs(parts: Sequence[Part], asked: Sequence[int]) -> list[int]:
    """The program of each part: of pitched ones those asked for, the highest part first; the last
    serves the others."""
    programs, pitched = (
        [part.program for part in parts],
        [i for i, part in enumerate(parts) if part.role != DRUMS],
    )
    for place, number in enumerate(reversed(pitched)):
        programs[number] = asked[min(place, len(asked) - 1)] if asked else programs[number]
    return programs


def usual_parts(pieces: Sequence[Sequence[Part]]) -> tuple[Part, ...]:
    """The parts of a set of music: the commonest program of each, and the mean velocities in the
    commonest bar."""
    usual = []
    for parts in zip(*pieces, strict=True):
        own = [part for part in parts if part.velocities] or parts[:1]
        program, size = (
            mode(part.program for part in own),
            mode(len(part.velocities) for part in own),
        )
        in_bars = zip(
            *(part.velocities for part in own if len(part.velocities) == size), strict=True
        )
        usual.append(Part(parts[0].role, program, tuple(round(fmean(place)) for place in in_bars)))
    return tuple(usual)


def wanted_roles(parts: str) -> tuple[str, ...]:
    """The roles of at most so many parts, as `4`, or of those named, as `drums,bass`; none for one
    merged roll."""
    if parts in _FEWER:
        return _FEWER[parts]
    names = [name.strip() for name in parts.split(",")]
    if unknown := [name for name in names if name not in ROLES]:
        raise LnfgenError(
            f"found the part {unknown[0]!r}; expected 1 to 4, or some of {', '.join(ROLES)}"
        )
    return tuple(role for role in ROLES if role in names)


def in_roles(
    tracks: Sequence[Track], roles: Sequence[str], wanted: str = ALL, name: str = "-"
) -> list[Track]:
    """The tracks, each with the role that it has among these, and why; without a role are those
    that are left out.

    Where there is no bass or no melody, its tracks play chords, and where there are no chords, they
    are left out. `wanted` are the tracks to place, as `choose_tracks` takes them, or `role=track`
    to place one by hand, with commas. If no track is meant, it is an `UnreadableFileError` about
    the file `name`, and an `LnfgenError` for another role.
    """
    by_hand: dict[int, tuple[str, str]] = {}
    chosen: set[int] = set()
    items = [item.strip() for item in wanted.split(",")]
    for item in items:
        role, sign, word = item.partition("=")
        if sign and role not in ROLES:
            raise LnfgenError(f"found the part {role!r}; expected one of {', '.join(ROLES)}")
        found = (
            {one.number for one in tracks}
            if item == ALL
            else choose_tracks(tracks, word or role, name)
        )
        chosen |= found
        if sign:
            by_hand |= dict.fromkeys(found, (role, "as asked"))
    if all("=" in item for item in items):
        chosen = {track.number for track in tracks}
    free = [track for track in tracks if track.number in chosen - set(by_hand)]
    placed = _placed(free, {role for role, _ in by_hand.values()}) | by_hand
    result: list[Track] = []
    for track in tracks:
        role, why = placed.get(track.number, ("", ""))
        if role in (BASS, MELODY) and role not in roles:
            role = CHORDS
        result.append(replace(track, role=role, why=why) if role in roles else track)
    return result


def _placed(tracks: Sequence[Track], taken: set[str]) -> dict[int, tuple[str, str]]:
    """The role of each track that has one, and why, by its number. A melody or a bass that is
    `taken` gets no track."""
    drums = [track for track in tracks if track.instrument == DRUMS]
    placed = {
        one.number: (DRUMS, "channel 10" if one.channel == DRUM_CHANNEL else BY_NAME)
        for one in drums
    }
    left = [track for track in tracks if track not in drums and track.program not in _NOISES]
    lines, sparse = (
        sorted(some, key=attrgetter("mean_pitch"))
        for some in (lines_of(left), lines_of(left, _SPARSE))
    )
    low = [one for one in left if one.mean_pitch < _HIGH]
    rules = [
        (MELODY, BY_NAME, named_melody(left)),
        (BASS, BY_NAME, [one for one in low if says(one.name, BASS)]),
        (BASS, BY_PROGRAM, [one for one in low if one.instrument == BASS]),
        (BASS, "its low notes", [one for one in lines[:1] if one.mean_pitch < _LOW]),
        (MELODY, "its high notes", [one for one in lines[-1:] if one.mean_pitch >= _LOW]),
        (MELODY, "its high notes", [one for one in sparse[-1:] if one.mean_pitch >= _HIGH]),
    ]
    by_word = (BY_NAME, BY_PROGRAM)  # all tracks that are meant; by pitch one is enough
    for role, why, found in rules:
        found = [one for one in found if one.number not in placed]
        if (
            found
            and role not in taken
            and (why in by_word or role not in {other for other, _ in placed.values()})
        ):
            facts = set(map(_facts, found))  # the same notes in another track are the same part
            placed |= dict.fromkeys(
                (one.number for one in left if _facts(one) in facts), (role, why)
            )
    return placed | {one.number: (CHORDS, "the others") for one in left if one.number not in placed}


def are_pitched(roles: Sequence[str]) -> list[bool]:
    """For each part whether it has pitches, which is all but drums. Music without parts is one part
    that has them."""
    return [role != DRUMS for role in roles] or [True]


def pitched_rows(roles: Sequence[str], num_rows: int) -> np.ndarray:
    """bool [T]: True for the rows whose part has pitches."""
    return np.resize(are_pitched(roles), num_rows)
