"""Piano-rolls as text that a person can read, edit and compare. `roll_from_text` gives exactly the
same roll again.

    # lnfgen piano-roll 1
    steps_per_quarter: 4
    tempo_bpm: 120.0
    time_signature: 4/4
    lowest_pitch: A0
    num_pitches: 88
    onsets: yes
    # bar 1
    C4! E4! G4!
    C4 E4 G4
    .

Each line is a step: the pitches that sound, with a `!` after those that are struck, or `.` for
silence. Middle C is C4. Where onsets are not known (`onsets: no`) there is no `!`. A line such as
`upbeat: 4` is there where the piece begins with an upbeat, bar 0, of so many steps. Empty lines and
lines that start with `#` are comments. A band has a line such as `part: bass 33 80 72` for each
part: its role, its General MIDI program and, if known, the usual velocities at each step of a bar.
There is a `|` between the keys of its parts.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lnfgen.errors import LnfgenError, UnreadableFileError
from lnfgen.music.parts import Part
from lnfgen.music.pianoroll import LOWEST_PITCH, NUM_PITCHES, STEPS_PER_QUARTER, PianoRoll
from lnfgen.music.tonality import pitch_name, pitch_number

MARK = "# lnfgen piano-roll"
_FIRST_LINE = f"{MARK} 1"
_HEADER = re.compile(r"([a-z_]+)\s*:\s*(.*)")


def _signature(text: str) -> tuple[int, int]:
    beats, unit = text.split("/")
    return int(beats), int(unit)


def _part(text: str) -> Part:
    role, program, *velocities = text.split()
    return Part.from_json(
        {"role": role, "program": int(program), "velocities": [int(word) for word in velocities]}
    )


# of the header: the default, the reader, what is expected
_KEYS: dict[str, tuple[Any, Callable[[str], Any], str]] = {
    "steps_per_quarter": (STEPS_PER_QUARTER, int, "a whole number"),
    "tempo_bpm": (120.0, float, "a number"),
    "time_signature": ((4, 4), _signature, "one such as 4/4"),
    "upbeat": (0, int, "a whole number of steps"),
    "lowest_pitch": (LOWEST_PITCH, pitch_number, "a name such as C4, F#3 or Bb5"),
    "num_pitches": (
        NUM_PITCHES,
        lambda text: range(129).index(int(text)),
        "a whole number up to 128",
    ),
    "onsets": (True, {"yes": True, "no": False}.__getitem__, "yes or no"),
    "part": (
        (),
        _part,
        "a role such as bass, a program up to 127, and velocities up to 127 or none",
    ),
}


def roll_to_text(roll: PianoRoll) -> str:
    """The text of a roll, with a comment at each bar line."""
    (beats, unit), size = roll.time_signature, roll.stride
    lines = [
        _FIRST_LINE,
        f"steps_per_quarter: {roll.steps_per_quarter // size}",
        f"tempo_bpm: {roll.tempo_bpm!r}",
        f"time_signature: {beats}/{unit}",
        *([f"upbeat: {roll.upbeat // size}"] if roll.upbeat else []),
        f"lowest_pitch: {pitch_name(roll.lowest_pitch)}",
        f"num_pitches: {roll.num_pitches}",
        f"onsets: {'no' if roll.onsets is None else 'yes'}",
        *(
            " ".join(map(str, ["part:", part.role, part.program, *part.velocities]))
            for part in roll.parts
        ),
    ]
    bars = {step: number for number, step in roll.bars().items()}
    names = [pitch_name(roll.lowest_pitch + column) for column in range(roll.num_pitches)]
    rows = []
    for row in range(roll.num_steps):
        struck = () if roll.onsets is None else np.flatnonzero(roll.onsets[row])
        columns = np.flatnonzero(roll.sounding[row])
        rows.append(" ".join(names[column] + "!" * (column in struck) for column in columns) or ".")
    for row in range(0, roll.num_steps, size):
        if row in bars:
            lines.append(f"# bar {bars[row]}")
        lines.append(" | ".join(rows[row : row + size]))
    return "\n".join(lines) + "\n"


def roll_from_text(text: str, name: str = "-") -> PianoRoll:
    """The roll that a text describes; else an `UnreadableFileError` with `name` and the number of
    the wrong line."""
    lines = text.splitlines()
    if (first := "".join(lines[:1]).strip()) != _FIRST_LINE:
        raise UnreadableFileError(f"{name}, line 1: found {first[:60]!r}; expected {_FIRST_LINE!r}")
    values = {key: default for key, (default, _, _) in _KEYS.items()}
    # of each row the columns that sound, and whether they are struck
    steps: list[list[tuple[int, bool]]] = []
    for number, line in enumerate(map(str.strip, lines[1:]), start=2):
        if not line or line.startswith("#"):
            continue
        match = _HEADER.fullmatch(line)
        try:
            if match and not steps:
                key, value = match.groups()
                found = _parse_header(key, value)
                values[key] = (*values[key], found) if key == "part" else found
            else:
                rows, parts = line.split("|"), max(1, len(values["part"]))
                if len(rows) != parts:
                    raise ValueError(
                        f"found {len(rows) - 1} of '|'; expected {parts - 1}, one between two parts"
                    )
                for words in ([] if row.strip() == "." else row.split() for row in rows):
                    steps.append([_parse_key(word, values) for word in words])
        except ValueError as error:
            raise UnreadableFileError(f"{name}, line {number}: {error}") from error
    if not steps:
        raise UnreadableFileError(
            f"{name} holds no steps; expected a line for each, such as 'C4! E4!' or '.'"
        )
    sounding = np.zeros((len(steps), values.pop("num_pitches")), dtype=np.bool_)
    onsets = np.zeros_like(sounding)
    for step, keys in enumerate(steps):
        for column, is_struck in keys:
            sounding[step, column] = True
            onsets[step, column] |= is_struck
    parts = values.pop("part")
    for key in ("steps_per_quarter", "upbeat"):
        values[key] *= max(1, len(parts))
    try:
        return PianoRoll(
            sounding, onsets=onsets if values.pop("onsets") else None, parts=parts, **values
        )
    except LnfgenError as error:
        raise UnreadableFileError(f"{name}: {error}") from error


def _parse_header(key: str, value: str) -> Any:
    if key not in _KEYS:
        raise ValueError(f"unknown key {key!r}; expected one of {', '.join(_KEYS)}")
    _, reader, expected = _KEYS[key]
    try:
        return reader(value)
    except (ValueError, KeyError):
        raise ValueError(f"{key} is {value!r}; expected {expected}") from None


def _parse_key(word: str, header: Mapping[str, Any]) -> tuple[int, bool]:
    """The column of a key that sounds, and whether it is struck."""
    pitch, is_struck = pitch_number(word.removesuffix("!")), word.endswith("!")
    lowest, num_pitches = header["lowest_pitch"], header["num_pitches"]
    if not 0 <= pitch - lowest < num_pitches:
        raise ValueError(
            f"{pitch_name(pitch)} is outside the {num_pitches} pitches from {pitch_name(lowest)} on"
        )
    if is_struck and not header["onsets"]:
        raise ValueError(
            f"{pitch_name(pitch)}! is struck, but the header says 'onsets: no'; expected no '!'"
        )
    return pitch - lowest, is_struck
