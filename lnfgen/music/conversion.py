"""What a piece loses where it is converted: to a grid of steps, to a range of keys, to parts."""

from collections import Counter
from collections.abc import Iterable, Sequence

from lnfgen.music.notes import Note, notes_on_grid
from lnfgen.music.parts import Part
from lnfgen.music.pianoroll import LOWEST_PITCH, NUM_PITCHES, PianoRoll

# so many times as many steps have the grids that are tried where notes are not on one
FINER = (2, 3, 4, 6, 12)
NEAR = (1, 2, 3)  # and these, where notes are only near one

ConversionReport = Counter[str]
"""Counts of the `notes` that were read, and of what they lost when they became a piano-roll.

- `rounded` are starts and ends of notes that were between two steps, and `rounded_12` those that a
  grid with 12 times as many steps (one of `FINER`) would round.
- `merged` are notes that start together with another of their key, `overlapping` those that start
  while one sounds, `out_of_range` those that no column or no part has.
- `unread_chords` are texts in the place of chord symbols that name no chord.
- `tempo_changes` and so on, for each of `CHANGES`, are what a roll has no place for.
- `far_3` are notes that start over a quarter of a step off a grid with 3 times as many steps (one
  of `NEAR`). `agree_3` is the length of the sum of their places between its steps, as vectors round
  a circle: how many agree on where a step begins.
- `unknown` are characters of a text that a model does not know.
"""

CHANGES = ("tempo", "time_signature", "velocity", "bend", "pedal")
REPORTED = (
    "rounded",
    "merged",
    "overlapping",
    "out_of_range",
    "unread_chords",
    *(f"{what}_changes" for what in CHANGES),
)
"""The counts that a person is shown of each file and dataset."""


def report_of_notes(
    notes: Iterable[Note], *, lowest_pitch: int = LOWEST_PITCH, num_pitches: int = NUM_PITCHES
) -> ConversionReport:
    """The number of these notes, and what they lose in `PianoRoll.from_notes`.

    Its counts are `notes`, `merged`, `overlapping` and `out_of_range`.
    """
    report = ConversionReport()
    last_start: dict[int, int] = {}  # of each pitch: where its last note so far starts,
    last_end: dict[int, int] = {}  # and where all of its notes so far end
    for start, length, pitch in sorted(notes):
        report["notes"] += 1
        if not lowest_pitch <= pitch < lowest_pitch + num_pitches:
            report["out_of_range"] += 1
            continue
        if last_start.get(pitch) == start:
            report["merged"] += 1
        elif start < last_end.get(pitch, 0):
            report["overlapping"] += 1
        last_start[pitch] = start
        last_end[pitch] = max(start + max(length, 1), last_end.get(pitch, 0))
    return report


def lost_on_grid(roll: PianoRoll, steps_per_quarter: int) -> ConversionReport:
    """What the roll loses in `PianoRoll.on_grid`: counts `rounded` and `merged`."""
    report = ConversionReport()
    old = roll.steps_per_quarter
    if steps_per_quarter == old:
        return report
    for part in range(roll.num_parts):
        notes = roll.notes(part)
        for start, length, _ in notes:
            for step in (start, start + length):
                report["rounded"] += step * steps_per_quarter % old != 0
        moved = report_of_notes(
            notes_on_grid(notes, old, steps_per_quarter),
            lowest_pitch=roll.lowest_pitch,
            num_pitches=roll.num_pitches,
        )
        report["merged"] += moved["merged"]
    return report


def lost_in_range(roll: PianoRoll, lowest_pitch: int, num_pitches: int) -> ConversionReport:
    """What the roll loses in `PianoRoll.in_range`: the count `out_of_range`."""
    kept = roll.in_range(lowest_pitch, num_pitches)
    # A note of the columns that stay starts in both rolls at the same places.
    return ConversionReport(out_of_range=roll.num_notes - kept.num_notes)


def lost_in_parts(roll: PianoRoll, parts: Sequence[Part], alone: str = "") -> ConversionReport:
    """What the roll loses in `PianoRoll.in_parts`: the count `out_of_range`.

    Drums that are left out where parts are merged into one are not counted.
    """
    wanted = [part.role for part in parts]
    if not wanted or list(roll.roles) == wanted:
        return ConversionReport()
    own_roles = roll.roles or (alone or roll.usual_role,)
    report = ConversionReport()
    for part, role in enumerate(own_roles):
        if role not in wanted:
            report["out_of_range"] += int(roll.struck()[:, part].sum())
    return report
