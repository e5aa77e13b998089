"""Parts of a piano-roll that a person names in a word, such as `bars:5-8` or `below-melody`, as
masks of its cells."""

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lnfgen.errors import LnfgenError
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.tonality import pitch_name, pitch_number
from lnfgen.wording import counted

EXPECTED = (
    "bars:5-8, steps:1-16, keys:C3-C5, voice:2, below-melody, above-bass or, of a band, part:drums"
)
PART = "part:"


def region(
    roll: PianoRoll, words: Sequence[str], bars: Mapping[int, int] | None = None
) -> np.ndarray:
    """The cells bool [T, P] that any of these words means.

    - `bars:5-8`, `bars:5`, `bars:5-`, `steps:1-16`: from 1 on, the last one included; `bars:0` is
      the upbeat.
    - `keys:C3-C5`, `keys:F#2`: keys by name.
    - `below-melody`: all keys under the highest one that sounds. `above-bass`: all keys over the
      lowest one. Where nothing sounds, the one before counts, and at the start the first one.
    - `voice:2`: the second voice from above, with all keys between its neighbours, where so many
      voices sound.
    - `part:bass`: a part of a band. `voice:2`, `below-melody` and `above-bass` need one, as
      `part:chords,voice:2` has it. All other words mean all parts of a band.
    - `bars:5-8,below-melody`: with a comma, the cells that both mean.

    A note is below a melody, above a bass or in a voice as a whole if most of it is: a melody may
    be played legato.

    Args:
        bars: the step where each bar starts, by its number; by default that of `PianoRoll.bars`.

    Raises:
        LnfgenError: if a word is unknown, or means nothing in this piece.
    """
    cells = np.zeros_like(roll.sounding)
    bars = roll.bars() if bars is None else bars
    for word in words:
        role, rows, own, lines = part_named(word), slice(None), roll, bars
        if role:
            number = _number_of(roll, role)
            rows, own = slice(number, None, roll.stride), roll.part(number)
            lines = {bar: row // roll.stride for bar, row in bars.items()}
        meant = np.ones_like(own.sounding)
        for part in map(str.strip, word.split(",")):
            if role and part == PART + role:
                continue
            found = _one(own, part, lines)
            if not found.any():
                raise LnfgenError(f"{part} means nothing in a piece of {_size(own)}")
            meant &= found
        if not meant.any():
            raise LnfgenError(
                f"{word} means nothing in a piece of {_size(own)}: its parts have no cell in common"
            )
        cells[rows] |= meant
    return cells


def part_named(word: str) -> str:
    """The role that a word has, as `part:bass` or `bars:5-8,part:bass`; empty if it has none."""
    parts = [part for part in map(str.strip, word.split(",")) if part.startswith(PART)]
    return parts[0].removeprefix(PART) if parts else ""


def beyond(words: Sequence[str], lowest: int, highest: int) -> str:
    """A sentence on the words that name keys outside of this range of pitches; empty if none
    does."""
    parts = [
        part
        for word in words
        for part in map(str.strip, word.split(","))
        if part.startswith("keys:")
    ]
    ranges = {
        part: _range(part, part.removeprefix("keys:").strip(), pitch_number) for part in parts
    }
    found = [
        part
        for part, (first, last) in ranges.items()
        if first < lowest or (last or highest) > highest
    ]
    keys = f"the keys of the model, {pitch_name(lowest)} to {pitch_name(highest)}"
    goes = "goes" if len(found) == 1 else "go"
    return f"{', '.join(found)} {goes} beyond {keys}; nothing is drawn there" if found else ""


def outer_voices(sounding: np.ndarray, number: int) -> np.ndarray:
    """The cells, bool [T, P], of at most `number` voices of each step: the highest ones and, if
    several, the lowest."""
    from_above, from_below = sounding[:, ::-1].cumsum(axis=1)[:, ::-1], sounding.cumsum(axis=1)
    return sounding & ((from_above <= max(number - 1, 1)) | ((from_below == 1) & (number > 1)))


def room_inside(sounding: np.ndarray) -> np.ndarray:
    """The silent cells, bool [T, P], between the two lowest keys of a step, or below a key that
    sounds alone."""
    counts = sounding.sum(axis=1)[:, None]
    return ~sounding & (counts > 0) & (sounding.cumsum(axis=1) == (counts > 1))


def random_share(roll: PianoRoll, share: float, rng: np.random.Generator) -> np.ndarray:
    """The cells bool [T, P] of this share of the places of a piece, chosen at random; all cells for
    a share of 1.

    A place is a voice in a bar: the cells that `voice:2,bars:5` means. Of a band, it is a part that
    sounds in a bar.
    """
    if share == 1:
        return np.ones_like(roll.sounding)
    cells = np.zeros_like(roll.sounding)
    # the rows of each, and which of their cells it has
    places: list[tuple[slice, np.ndarray | bool]] = []
    for start, end in itertools.pairwise([*roll.bars().values(), roll.num_steps]):
        sounding = roll.sounding[start:end]
        if roll.parts:
            parts = (slice(start + number, end, roll.stride) for number in range(roll.stride))
            places += [(rows, True) for rows in parts if roll.sounding[rows].any()]
        else:
            voices = range(1, int(sounding.sum(axis=1).max(initial=0)) + 1)
            places += [(slice(start, end), _voice(sounding, number)) for number in voices]
    for index in rng.permutation(len(places))[: round(share * len(places))]:
        rows, meant = places[index]
        cells[rows] |= meant
    return cells


def _number_of(roll: PianoRoll, role: str) -> int:
    if role in roll.roles:
        return roll.roles.index(role)
    if not roll.parts:
        raise LnfgenError(
            f"found {PART + role} for music of one part; leave it out, or choose a model of a band"
        )
    raise LnfgenError(
        f"found {PART + role}; expected one of {', '.join(PART + own for own in roll.roles)}"
    )


def _one(roll: PianoRoll, word: str, bars: Mapping[int, int]) -> np.ndarray:
    kind, _, value = word.partition(":")
    value = value.strip()
    if roll.parts and kind in ("below-melody", "above-bass", "voice"):
        raise LnfgenError(
            f"found {word!r} for a band; expected it with a part, as part:{roll.roles[-1]},{word}"
        )
    if word in ("below-melody", "above-bass"):
        top = word == "below-melody"
        line = _carried(roll.edge_keys(top))[:, None]
        columns = np.arange(roll.num_pitches)
        return _with_most_of_each_note(roll, columns < line if top else columns > line)
    if kind == "voice":
        if not value.isdecimal() or int(value) < 1:
            raise LnfgenError(f"found {word!r}; expected a voice from 1 on, the highest")
        return _with_most_of_each_note(roll, _voice(roll.sounding, int(value)))
    if kind == "keys":
        first, last = _range(word, value, pitch_number)
        pitches = np.arange(roll.num_pitches) + roll.lowest_pitch
        return np.broadcast_to(
            (first <= pitches) & (pitches <= (127 if last is None else last)), roll.sounding.shape
        )
    if kind in ("bars", "steps"):
        first, last = _range(word, value, int)
        starts = (
            bars
            if kind == "bars"
            else dict(enumerate(range(0, roll.num_steps, roll.stride), start=1))
        )
        if first < min(starts):
            raise LnfgenError(f"{word}: {kind} are counted from {min(starts)} on")
        begin = starts.get(first, roll.num_steps)
        end = roll.num_steps if last is None else starts.get(last + 1, roll.num_steps)
        steps = np.arange(roll.num_steps)[:, None]
        return np.broadcast_to((begin <= steps) & (steps < end), roll.sounding.shape)
    raise LnfgenError(f"found {word!r}; expected {EXPECTED}")


def _with_most_of_each_note(roll: PianoRoll, cells: np.ndarray) -> np.ndarray:
    """The cells with all of each note that has more than half of its cells among them, and with
    none of the others."""
    cells = cells.copy()
    for start, length, pitch in roll.notes():
        own = cells[start : start + length, pitch - roll.lowest_pitch]
        own[:] = 2 * own.sum() > length
    return cells


def _voice(sounding: np.ndarray, number: int) -> np.ndarray:
    """The keys strictly between the neighbours of this voice, where at least so many voices sound:
    bool [T, P] each."""
    from_above = sounding[:, ::-1].cumsum(axis=1)[:, ::-1]  # keys that sound at or above each key
    over = from_above - sounding  # those strictly above it
    cells = (over == number - 1) | ((over == number) & ~sounding)
    return cells & (sounding.sum(axis=1) >= number)[:, None]


def _carried(keys: np.ndarray) -> np.ndarray:
    """The keys of `edge_keys`, where silence has the key that sounded last, or at the start the
    first key."""
    sounding = keys >= 0
    return keys[np.maximum.accumulate(np.where(sounding, np.arange(len(keys)), sounding.argmax()))]


def _range(word: str, value: str, read: Callable[[str], int]) -> tuple[int, int | None]:
    """The first and the last of `5-8`; both of `5`; no last of `5-`."""
    # A pitch such as C-1 has a dash too, which follows a letter or an accidental.
    dash = next(
        (i for i, sign in enumerate(value) if sign == "-" and i and value[i - 1].isdigit()), None
    )
    try:
        first = read(value if dash is None else value[:dash])
        if dash is None:
            return first, first
        last = read(value[dash + 1 :]) if value[dash + 1 :] else None
    except ValueError as error:
        raise LnfgenError(f"found {word!r}; expected {EXPECTED}") from error
    if last is not None and last < first:
        raise LnfgenError(f"{word} ends before it begins; expected the smaller one first")
    return first, last


def _size(roll: PianoRoll) -> str:
    sizes = counted(roll.num_bars, "bar"), counted(roll.num_steps // roll.stride, "step")
    return f"{', '.join(sizes)} and {counted(int(roll.merged.sounding.sum(axis=1).max()), 'voice')}"
