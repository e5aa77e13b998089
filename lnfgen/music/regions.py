"""Regions of a piano-roll that a person names in a word, as masks of its cells.

Such a word is `bars:5-8` or `below-melody`.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from lnfgen.errors import LnfgenError
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.tonality import pitch_name, pitch_number
from lnfgen.wording import counted

EXPECTED = (
    "bars:5-8, steps:1-16, keys:C3-C5, voice:2, below-melody, above-bass or, of a band, part:drums"
)
PART = "part:"
KEYS = "keys:"
MOST_DIGITS = 9  # of a number; no piece has as many of anything
_NEED_A_PART = ("below-melody", "above-bass", "voice")


def region(
    roll: PianoRoll, words: Sequence[str], bars: Mapping[int, int] | None = None
) -> np.ndarray:
    """The cells bool [T, R, P] that any of these words means.

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
    if bars is None:
        bars = roll.bars()
    cells = np.zeros_like(roll.sounding)
    for word in words:
        role = part_named(word)
        if role:
            number = _number_of(roll, role)
            cells[:, [number]] |= _meant(roll.part(number), word, bars)
        else:
            cells |= _meant(roll, word, bars)
    return cells


def part_named(word: str) -> str:
    """The role that a word has, as `part:bass` or `bars:5-8,part:bass`; empty if it has none."""
    for piece in _pieces(word):
        if piece.startswith(PART):
            return piece.removeprefix(PART)
    return ""


def beyond(words: Sequence[str], lowest: int, highest: int) -> str:
    """A sentence on the words that name keys outside of this range of pitches.

    It is empty if none does.
    """
    found = []
    for piece in dict.fromkeys(itertools.chain.from_iterable(map(_pieces, words))):
        if not piece.startswith(KEYS):
            continue
        first, last = _range(piece, piece.removeprefix(KEYS).strip(), pitch_number)
        if first < lowest or (last or highest) > highest:
            found.append(piece)
    if not found:
        return ""
    goes = "goes" if len(found) == 1 else "go"
    keys = f"the keys of the model, {pitch_name(lowest)} to {pitch_name(highest)}"
    return f"{', '.join(found)} {goes} beyond {keys}; nothing is drawn there"


def outer_voices(sounding: np.ndarray, number: int) -> np.ndarray:
    """The cells of at most `number` voices of each step and part, bool [..., P] as `sounding`.

    They are the highest ones and, if several, the lowest.
    """
    from_above = _counted_from_above(sounding)
    from_below = sounding.cumsum(axis=-1)
    if number == 1:
        return sounding & (from_above <= 1)
    return sounding & ((from_above <= number - 1) | (from_below == 1))


def room_inside(sounding: np.ndarray) -> np.ndarray:
    """The silent cells where a chord may have an inner key, bool [..., P] as `sounding`.

    They are those between the two lowest keys of a step and part, or below a key that sounds alone.
    """
    counts = sounding.sum(axis=-1, keepdims=True)
    keys_below = sounding.cumsum(axis=-1)
    return ~sounding & (counts > 0) & (keys_below == (counts > 1))


def random_share(roll: PianoRoll, share: float, rng: np.random.Generator) -> np.ndarray:
    """The cells bool [T, R, P] of this share of the places of a piece, chosen at random.

    A place is a voice in a bar: the cells that `voice:2,bars:5` means. Of a band, it is a part that
    sounds in a bar. A share of 1 has all cells.
    """
    if share == 1:
        return np.ones_like(roll.sounding)
    places = list(_parts_in_bars(roll) if roll.parts else _voices_in_bars(roll))
    cells = np.zeros_like(roll.sounding)
    num_chosen = round(share * len(places))
    for index in rng.permutation(len(places))[:num_chosen]:
        steps, part, meant = places[index]
        cells[steps, part] |= meant
    return cells


_Place = tuple[slice, int, np.ndarray | np.bool_]
"""Steps, a part, and which of their cells are meant: bool [steps, P], or one for all."""


def _parts_in_bars(roll: PianoRoll) -> Iterator[_Place]:
    """Each part that sounds in a bar, bar by bar."""
    for steps in _bars_of(roll):
        for part in range(roll.num_parts):
            if roll.sounding[steps, part].any():
                yield steps, part, np.True_


def _voices_in_bars(roll: PianoRoll) -> Iterator[_Place]:
    """Each voice of a bar, bar by bar, of a roll of one part."""
    for steps in _bars_of(roll):
        sounding = roll.sounding[steps, 0]
        num_voices = int(sounding.sum(axis=1).max(initial=0))
        for number in range(1, num_voices + 1):
            yield steps, 0, _voice(sounding, number)


def _bars_of(roll: PianoRoll) -> Iterator[slice]:
    for start, end in itertools.pairwise([*roll.bars().values(), roll.num_steps]):
        yield slice(start, end)


def _pieces(word: str) -> list[str]:
    """What stands between the commas of a word."""
    return [piece.strip() for piece in word.split(",")]


def _number_of(roll: PianoRoll, role: str) -> int:
    if role in roll.roles:
        return roll.roles.index(role)
    if not roll.parts:
        raise LnfgenError(
            f"found {PART + role} for music of one part; leave it out, or choose a model of a band"
        )
    expected = ", ".join(PART + own for own in roll.roles)
    raise LnfgenError(f"found {PART + role}; expected one of {expected}")


def _meant(roll: PianoRoll, word: str, bars: Mapping[int, int]) -> np.ndarray:
    """The cells bool [T, R, P] that all pieces of a word mean.

    If the word names a part, the roll is that part alone.
    """
    named = PART + part_named(word)
    meant = np.ones_like(roll.sounding)
    for piece in _pieces(word):
        if piece == named and named != PART:
            continue
        found = _one(roll, piece, bars)
        if not found.any():
            raise LnfgenError(f"{piece} means nothing in a piece of {_size(roll)}")
        meant &= found
    if not meant.any():
        raise LnfgenError(
            f"{word} means nothing in a piece of {_size(roll)}: its parts have no cell in common"
        )
    return meant


def _one(roll: PianoRoll, word: str, bars: Mapping[int, int]) -> np.ndarray:
    """The cells that a word without commas means, bool of a shape that fits [T, R, P]."""
    kind, _, value = word.partition(":")
    value = value.strip()
    if roll.parts and kind in _NEED_A_PART:
        raise LnfgenError(
            f"found {word!r} for a band; expected it with a part, as part:{roll.roles[-1]},{word}"
        )
    if word in ("below-melody", "above-bass"):
        return _beside_line(roll, below=word == "below-melody")
    if kind == "voice":
        return _in_voice(roll, word, value)
    if kind == "keys":
        first, last = _range(word, value, pitch_number)
        highest = 127 if last is None else last
        pitches = np.arange(roll.num_pitches) + roll.lowest_pitch
        return (first <= pitches) & (pitches <= highest)
    if kind == "bars":
        return _in_time(roll, word, bars)
    if kind == "steps":
        return _in_time(roll, word, {step + 1: step for step in range(roll.num_steps)})
    raise LnfgenError(f"found {word!r}; expected {EXPECTED}")


def _beside_line(roll: PianoRoll, below: bool) -> np.ndarray:
    """The cells bool [T, 1, P] below the highest line of one part, or above the lowest one."""
    line = _carried(roll.edge_keys(top=below)[:, 0])[:, None, None]
    columns = np.arange(roll.num_pitches)
    cells = columns < line if below else columns > line
    return _with_most_of_each_note(roll, cells)


def _in_voice(roll: PianoRoll, word: str, value: str) -> np.ndarray:
    is_number = value.isdecimal() and len(value) <= MOST_DIGITS
    if not is_number or int(value) < 1:
        raise LnfgenError(f"found {word!r}; expected a voice from 1 on, the highest")
    return _with_most_of_each_note(roll, _voice(roll.sounding, int(value)))


def _in_time(roll: PianoRoll, word: str, starts: Mapping[int, int]) -> np.ndarray:
    """The steps bool [T, 1, 1] of a word such as `bars:5-8`; `starts` has where each bar starts."""
    kind, _, value = word.partition(":")
    first, last = _range(word, value.strip(), int)
    if first < min(starts):
        raise LnfgenError(f"{word}: {kind} are counted from {min(starts)} on")
    begin = starts.get(first, roll.num_steps)
    end = roll.num_steps if last is None else starts.get(last + 1, roll.num_steps)
    steps = np.arange(roll.num_steps)[:, None, None]
    return (begin <= steps) & (steps < end)


def _with_most_of_each_note(roll: PianoRoll, cells: np.ndarray) -> np.ndarray:
    """The cells bool [T, 1, P] of one part, each of its notes as a whole or not at all.

    A note is among them if more than half of its cells are.
    """
    cells = cells.copy()
    for start, length, pitch in roll.notes():
        own = cells[start : start + length, 0, pitch - roll.lowest_pitch]
        own[:] = 2 * own.sum() > length
    return cells


def _voice(sounding: np.ndarray, number: int) -> np.ndarray:
    """The keys strictly between the neighbours of this voice: bool [..., P] as `sounding`.

    There are some where at least so many voices sound.
    """
    above = _counted_from_above(sounding) - sounding  # keys strictly above each key
    cells = (above == number - 1) | ((above == number) & ~sounding)
    return cells & (sounding.sum(axis=-1, keepdims=True) >= number)


def _counted_from_above(sounding: np.ndarray) -> np.ndarray:
    """int [..., P]: how many keys sound at or above each key."""
    return sounding[..., ::-1].cumsum(axis=-1)[..., ::-1]


def _carried(keys: np.ndarray) -> np.ndarray:
    """The keys int [T] of a line, where silence has the key that sounded last.

    At the start it has the first key.
    """
    sounding = keys >= 0
    last_sounding = np.where(sounding, np.arange(len(keys)), sounding.argmax())
    return keys[np.maximum.accumulate(last_sounding)]


def _range(word: str, value: str, read: Callable[[str], int]) -> tuple[int, int | None]:
    """The first and the last of `5-8`; both of `5`; no last of `5-`."""
    dash = _place_of_dash(value)
    try:
        if dash is None:
            only = read(value)
            return only, only
        first = read(value[:dash])
        rest = value[dash + 1 :]
        last = read(rest) if rest else None
    except ValueError as error:
        raise LnfgenError(f"found {word!r}; expected {EXPECTED}") from error
    if last is not None and last < first:
        raise LnfgenError(f"{word} ends before it begins; expected the smaller one first")
    return first, last


def _place_of_dash(value: str) -> int | None:
    """Where the dash of a range stands; None if there is none.

    A pitch such as C-1 has a dash too, which follows a letter or an accidental.
    """
    for place in range(1, len(value)):
        if value[place] == "-" and value[place - 1].isdigit():
            return place
    return None


def _size(roll: PianoRoll) -> str:
    num_voices = int(roll.merged.sounding.sum(axis=(1, 2)).max())
    bars = counted(roll.num_bars, "bar")
    steps = counted(roll.num_steps, "step")
    return f"{bars}, {steps} and {counted(num_voices, 'voice')}"
