"""Piano-rolls as text that a person can read, edit and compare, and that gives the same roll again.

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
from typing import Any, NamedTuple

import numpy as np

from lnfgen.errors import LnfgenError, UnreadableFileError
from lnfgen.music.parts import Part
from lnfgen.music.pianoroll import LOWEST_PITCH, NUM_PITCHES, STEPS_PER_QUARTER, PianoRoll
from lnfgen.music.tonality import pitch_name, pitch_number

MARK = "# lnfgen piano-roll"
_FIRST_LINE = f"{MARK} 1"
_HEADER = re.compile(r"([a-z_]+)\s*:\s*(.*)")


_Keys = list[tuple[int, bool]]  # the columns that sound, and whether each is struck
_Step = list[_Keys]  # the keys of each part


def _signature(text: str) -> tuple[int, int]:
    beats, unit = text.split("/")
    return int(beats), int(unit)


def _part(text: str) -> Part:
    role, program, *words = text.split()
    velocities = [int(word) for word in words]
    return Part.from_json({"role": role, "program": int(program), "velocities": velocities})


def _num_pitches(text: str) -> int:
    return range(129).index(int(text))


def _yes_or_no(text: str) -> bool:
    return {"yes": True, "no": False}[text]


class _Key(NamedTuple):
    """A key of the header."""

    default: Any
    reader: Callable[[str], Any]
    expected: str


_KEYS = {
    "steps_per_quarter": _Key(STEPS_PER_QUARTER, int, "a whole number"),
    "tempo_bpm": _Key(120.0, float, "a number"),
    "time_signature": _Key((4, 4), _signature, "one such as 4/4"),
    "upbeat": _Key(0, int, "a whole number of steps"),
    "lowest_pitch": _Key(LOWEST_PITCH, pitch_number, "a name such as C4, F#3 or Bb5"),
    "num_pitches": _Key(NUM_PITCHES, _num_pitches, "a whole number up to 128"),
    "onsets": _Key(True, _yes_or_no, "yes or no"),
    "part": _Key(
        (), _part, "a role such as bass, a program up to 127, and velocities up to 127 or none"
    ),
}


def roll_to_text(roll: PianoRoll) -> str:
    """The text of a roll, with a comment at each bar line."""
    lines = _header_lines(roll)
    bars = {step: number for number, step in roll.bars().items()}
    for step, text in enumerate(_step_texts(roll)):
        if step in bars:
            lines.append(f"# bar {bars[step]}")
        lines.append(text)
    return "\n".join(lines) + "\n"


def _header_lines(roll: PianoRoll) -> list[str]:
    beats, unit = roll.time_signature
    lines = [
        _FIRST_LINE,
        f"steps_per_quarter: {roll.steps_per_quarter}",
        f"tempo_bpm: {roll.tempo_bpm!r}",
        f"time_signature: {beats}/{unit}",
    ]
    if roll.upbeat:
        lines.append(f"upbeat: {roll.upbeat}")
    lines += [
        f"lowest_pitch: {pitch_name(roll.lowest_pitch)}",
        f"num_pitches: {roll.num_pitches}",
        f"onsets: {'no' if roll.onsets is None else 'yes'}",
    ]
    for part in roll.parts:
        words = ["part:", part.role, str(part.program), *map(str, part.velocities)]
        lines.append(" ".join(words))
    return lines


def _step_texts(roll: PianoRoll) -> list[str]:
    """The keys of each step, as `C4! E4`, or as `C4! | .` of a band of two parts."""
    names = [pitch_name(roll.lowest_pitch + column) for column in range(roll.num_pitches)]
    onsets = np.zeros_like(roll.sounding) if roll.onsets is None else roll.onsets
    texts: list[str] = []
    for sounding, struck in zip(roll.sounding, onsets, strict=True):
        of_parts: list[str] = []
        for part in range(roll.num_parts):
            of_parts.append(_keys_text(sounding[part], struck[part], names))
        texts.append(" | ".join(of_parts))
    return texts


def _keys_text(sounding: np.ndarray, struck: np.ndarray, names: list[str]) -> str:
    """The keys of a part at one step, bool [P] each, by the names of all P keys."""
    words: list[str] = []
    for column in np.flatnonzero(sounding):
        mark = "!" if struck[column] else ""
        words.append(names[column] + mark)
    return " ".join(words) or "."


def roll_from_text(text: str, name: str = "-") -> PianoRoll:
    """The roll that a text describes.

    Any other text is an `UnreadableFileError` with `name` and the number of the wrong line.
    """
    lines = text.splitlines()
    first_line = lines[0].strip() if lines else ""
    if first_line != _FIRST_LINE:
        raise UnreadableFileError(
            f"{name}, line 1: found {first_line[:60]!r}; expected {_FIRST_LINE!r}"
        )
    header = {key: default for key, (default, _, _) in _KEYS.items()}
    steps: list[_Step] = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            _read_line(line.strip(), header, steps)
        except ValueError as error:
            raise UnreadableFileError(f"{name}, line {number}: {error}") from error
    if not steps:
        raise UnreadableFileError(
            f"{name} holds no steps; expected a line for each, such as 'C4! E4!' or '.'"
        )
    try:
        return _roll_of(steps, header)
    except LnfgenError as error:
        raise UnreadableFileError(f"{name}: {error}") from error


def _read_line(line: str, header: dict[str, Any], steps: list[_Step]) -> None:
    """Read a line into the header, which comes first, or into the steps."""
    if not line or line.startswith("#"):
        return
    match = _HEADER.fullmatch(line)
    if not match or steps:
        steps.append(_parse_step(line, header))
        return
    key, value = match.groups()
    found = _parse_header(key, value)
    if key == "part":
        header["part"] = (*header["part"], found)
    else:
        header[key] = found


def _roll_of(steps: list[_Step], header: Mapping[str, Any]) -> PianoRoll:
    """The roll of these steps; an `LnfgenError` if a number of the header is out of range."""
    parts = header["part"]
    shape = (len(steps), max(1, len(parts)), header["num_pitches"])
    sounding = np.zeros(shape, dtype=np.bool_)
    onsets = np.zeros_like(sounding)
    for step, keys_of_parts in enumerate(steps):
        for part, keys in enumerate(keys_of_parts):
            for column, is_struck in keys:
                sounding[step, part, column] = True
                onsets[step, part, column] |= is_struck
    return PianoRoll(
        sounding,
        onsets if header["onsets"] else None,
        steps_per_quarter=header["steps_per_quarter"],
        lowest_pitch=header["lowest_pitch"],
        tempo_bpm=header["tempo_bpm"],
        time_signature=header["time_signature"],
        upbeat=header["upbeat"],
        parts=parts,
    )


def _parse_header(key: str, value: str) -> Any:
    if key not in _KEYS:
        raise ValueError(f"unknown key {key!r}; expected one of {', '.join(_KEYS)}")
    _, reader, expected = _KEYS[key]
    try:
        return reader(value)
    except (ValueError, KeyError):
        raise ValueError(f"{key} is {value!r}; expected {expected}") from None


def _parse_step(line: str, header: Mapping[str, Any]) -> _Step:
    """The keys of each part at one step."""
    texts = line.split("|")
    num_parts = max(1, len(header["part"]))
    if len(texts) != num_parts:
        raise ValueError(
            f"found {len(texts) - 1} of '|'; expected {num_parts - 1}, one between two parts"
        )
    keys_of_parts: _Step = []
    for text in texts:
        words = [] if text.strip() == "." else text.split()
        keys_of_parts.append([_parse_key(word, header) for word in words])
    return keys_of_parts


def _parse_key(word: str, header: Mapping[str, Any]) -> tuple[int, bool]:
    """The column of a key that sounds, and whether it is struck."""
    pitch = pitch_number(word.removesuffix("!"))
    is_struck = word.endswith("!")
    lowest = header["lowest_pitch"]
    num_pitches = header["num_pitches"]
    if not 0 <= pitch - lowest < num_pitches:
        raise ValueError(
            f"{pitch_name(pitch)} is outside the {num_pitches} pitches from {pitch_name(lowest)} on"
        )
    if is_struck and not header["onsets"]:
        raise ValueError(
            f"{pitch_name(pitch)}! is struck, but the header says 'onsets: no'; expected no '!'"
        )
    return pitch - lowest, is_struck
