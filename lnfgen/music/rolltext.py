"""Piano-rolls as text that a person can read, edit and compare. Reading it gives exactly the same roll.

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

Each line is a step: the pitches that sound, with a `!` after those that are struck, or `.` for silence. Middle C is C4.
Where onsets are not known (`onsets: no`) there is no `!`. Empty lines and lines that start with `#` are comments.
"""

import re

import numpy as np

from lnfgen.errors import LnfgenError, UnreadableFileError
from lnfgen.music.pianoroll import LOWEST_PITCH, NUM_PITCHES, PianoRoll

MARK = "# lnfgen piano-roll"
VERSION = 1
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_PITCH = re.compile(r"([A-Ga-g])(##|#|bb|b|)(-?\d{1,2})")
_ALTER = {"": 0, "#": 1, "##": 2, "b": -1, "bb": -2}
_HEADER = re.compile(r"([a-z_]+)\s*:\s*(.*)")


def pitch_name(pitch: int) -> str:
    """The name of a MIDI pitch, such as `C4` for 60. Black keys are sharps."""
    return f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"


def pitch_number(name: str) -> int:
    """The MIDI pitch with this name, such as `C4`, `F#3` or `Bb-1`.

    Raises:
        ValueError: if this is not the name of a pitch.
    """
    match = _PITCH.fullmatch(name)
    if not match:
        raise ValueError(f"{name!r} is no pitch; expected a name such as C4, F#3 or Bb5")
    letter, accidental, octave = match.groups()
    return _NAMES.index(letter.upper()) + _ALTER[accidental] + 12 * (int(octave) + 1)


def roll_to_text(roll: PianoRoll) -> str:
    """The text of a roll, with a comment at each bar line."""
    beats, unit = roll.time_signature
    lines = [
        f"{MARK} {VERSION}",
        f"steps_per_quarter: {roll.steps_per_quarter}",
        f"tempo_bpm: {roll.tempo_bpm!r}",
        f"time_signature: {beats}/{unit}",
        f"lowest_pitch: {pitch_name(roll.lowest_pitch)}",
        f"num_pitches: {roll.num_pitches}",
        f"onsets: {'no' if roll.onsets is None else 'yes'}",
    ]
    bars = {step: number for number, step in enumerate(roll.bar_lines(), start=1)}
    names = [pitch_name(roll.lowest_pitch + column) for column in range(roll.num_pitches)]
    for step in range(roll.num_steps):
        if step in bars:
            lines.append(f"# bar {bars[step]}")
        columns = np.flatnonzero(roll.sounding[step])
        struck = roll.onsets[step] if roll.onsets is not None else np.zeros(roll.num_pitches, dtype=np.bool_)
        lines.append(" ".join(names[column] + "!" * int(struck[column]) for column in columns) or ".")
    return "\n".join(lines) + "\n"


def roll_from_text(text: str, name: str = "-") -> PianoRoll:
    """The roll that such a text describes.

        roll_from_text(Path("song.txt").read_text(), "song.txt")

    Raises:
        UnreadableFileError: if the text is no roll; the message has the number of the first wrong line, and `name`.
    """
    lines = text.splitlines()
    if not lines or lines[0].strip() != f"{MARK} {VERSION}":
        found = lines[0].strip()[:60] if lines else ""
        raise UnreadableFileError(f"{name}, line 1: found {found!r}; expected {f'{MARK} {VERSION}'!r}")
    header: dict[str, str] = {}
    steps: list[_Step] = []
    for number, line in enumerate(lines[1:], start=2):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = _HEADER.fullmatch(line)
        try:
            if match and not steps:
                _parse_header(match[1], match[2])
                header[match[1]] = match[2]
            else:
                words = [] if line == "." else line.split()
                steps.append((number, [(pitch_number(word.removesuffix("!")), word.endswith("!")) for word in words]))
        except ValueError as error:
            raise UnreadableFileError(f"{name}, line {number}: {error}") from error
    if not steps:
        raise UnreadableFileError(f"{name} holds no steps; expected a line for each, such as 'C4! E4!' or '.'")
    return _build(steps, {**_DEFAULTS, **header}, name)


_Step = tuple[int, list[tuple[int, bool]]]  # the line's number; the pitches, and whether each is struck
_DEFAULTS = {
    "steps_per_quarter": "4",
    "tempo_bpm": "120.0",
    "time_signature": "4/4",
    "lowest_pitch": pitch_name(LOWEST_PITCH),
    "num_pitches": str(NUM_PITCHES),
    "onsets": "yes",
}


def _parse_header(key: str, value: str) -> object:
    if key not in _DEFAULTS:
        raise ValueError(f"unknown key {key!r}; expected one of {', '.join(_DEFAULTS)}")
    if key in ("steps_per_quarter", "num_pitches"):
        if not re.fullmatch(r"\d{1,3}", value):
            raise ValueError(f"{key} is {value!r}; expected a whole number")
        return int(value)
    if key == "tempo_bpm":
        try:
            return float(value)
        except ValueError:
            raise ValueError(f"tempo_bpm is {value!r}; expected a number") from None
    if key == "time_signature":
        if not re.fullmatch(r"\d{1,3}/\d{1,3}", value):
            raise ValueError(f"time_signature is {value!r}; expected one such as 4/4")
        beats, unit = value.split("/")
        return int(beats), int(unit)
    if key == "lowest_pitch":
        return pitch_number(value)
    if value not in ("yes", "no"):
        raise ValueError(f"onsets is {value!r}; expected yes or no")
    return value == "yes"


def _build(steps: list[_Step], header: dict[str, str], name: str) -> PianoRoll:
    values: dict[str, object] = {key: _parse_header(key, value) for key, value in header.items()}
    lowest, num_pitches, has_onsets = values["lowest_pitch"], values["num_pitches"], values["onsets"]
    assert isinstance(lowest, int)
    assert isinstance(num_pitches, int)
    sounding = np.zeros((len(steps), min(num_pitches, 128)), dtype=np.bool_)
    onsets = np.zeros_like(sounding)
    for index, (number, pitches) in enumerate(steps):
        for pitch, is_struck in pitches:
            column = pitch - lowest
            problem = None
            if not 0 <= column < sounding.shape[1]:
                problem = f"{pitch_name(pitch)} is outside the {num_pitches} pitches from {pitch_name(lowest)} on"
            elif is_struck and not has_onsets:
                problem = f"{pitch_name(pitch)}! is struck, but the header says 'onsets: no'; expected no '!'"
            if problem:
                raise UnreadableFileError(f"{name}, line {number}: {problem}")
            sounding[index, column] = True
            onsets[index, column] |= is_struck
    try:
        return PianoRoll(
            sounding,
            onsets if has_onsets else None,
            values["steps_per_quarter"],  # type: ignore[arg-type]
            lowest,
            values["tempo_bpm"],  # type: ignore[arg-type]
            values["time_signature"],  # type: ignore[arg-type]
        )
    except LnfgenError as error:
        raise UnreadableFileError(f"{name}: {error}") from error
