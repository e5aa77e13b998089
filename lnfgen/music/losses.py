"""What a piece of a file loses when it becomes a piano-roll."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields

FINER = (2, 3, 4, 6, 12)
"""So many times as many steps have the finer grids that are tried where a note is not on the grid."""


@dataclass(frozen=True)
class Losses:
    """Counts, which add up over the tracks of a piece and over the pieces of a folder."""

    notes: int = 0  # all that were read
    off_grid: Counter[int] = field(default_factory=Counter)  # rounded starts and ends, by the first of `FINER`, or 0
    merged: int = 0  # notes that start together with another one of their key
    overlapping: int = 0  # notes that start while another one of their key sounds, which ends there
    out_of_range: int = 0  # notes that no column has, left out
    tempo_changes: int = 0
    metre_changes: int = 0
    velocity_changes: int = 0
    bend_changes: int = 0
    pedal_changes: int = 0

    def __add__(self, other: Losses) -> Losses:
        return Losses(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    @property
    def rounded(self) -> int:
        """How many starts and ends of notes were rounded to a step of the grid."""
        return self.off_grid.total()

    def facts(self) -> dict[str, int]:
        """The counts of what was lost, by name."""
        return {"rounded": self.rounded} | {one.name: getattr(self, one.name) for one in fields(self)[2:]}

    def held_by(self, times: int) -> int:
        """How many of the rounded starts and ends are on a grid with so many times as many steps, one of `FINER`."""
        return sum(count for finer, count in self.off_grid.items() if finer and times % finer == 0)
