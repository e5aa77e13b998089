"""The parts of a band: drums, bass, chords and melody, and which tracks of a file play them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lnfgen.music.tracks import DRUMS

BASS, CHORDS, MELODY = "bass", "chords", "melody"

ROLES = (DRUMS, BASS, CHORDS, MELODY)
"""In this order a model draws the parts of a step."""

LOWEST = {DRUMS: 33, BASS: 21, CHORDS: 33, MELODY: 45}
"""The MIDI pitch of the first key of each part that a model has. The distances of those with pitches are octaves."""

NUM_KEYS = 49
"""The keys of each part: four octaves, and all drums of General MIDI."""


@dataclass(frozen=True)
class Part:
    """A part of a band."""

    role: str  # one of `ROLES`
    program: int = 0  # of General MIDI; of drums the kit
    velocities: tuple[int, ...] = ()  # the usual ones of its notes at each step of a bar; none: not known

    @classmethod
    def from_json(cls, value: Any) -> Part:
        """The part that `dataclasses.asdict` made this of; a `ValueError` for another value."""
        if not isinstance(value, dict) or set(value) != {"role", "program", "velocities"}:
            raise ValueError(f"the part {value!r:.60}")
        role, program, velocities = value["role"], value["program"], value["velocities"]
        numbers = [program, *velocities] if isinstance(velocities, list | tuple) else [None]
        if role not in ROLES or any(type(number) is not int or not 0 <= number <= 127 for number in numbers):
            raise ValueError(f"the part {value!r:.60}")
        return cls(role, program, tuple(velocities))


def pitched_rows(roles: Iterable[str], num_rows: int) -> np.ndarray:
    """bool [T]: True for the rows whose part has pitches, which is all but drums; every row without parts."""
    return np.resize([role != DRUMS for role in roles] or [True], num_rows)
