"""Wishes: figures that a person wants pieces to have, and how far a piece is from them.

The distance of a piece from a wish is 0 if its figure has a wanted value, and otherwise how far it
is from the nearest one, in units of the figure. Particles are weighed by `exp(-WEIGHT * distance)`
of what is drawn so far (the twisted targets of Whiteley & Lee, 2014). A figure of a whole piece
counts little at first, as the rest may still mend it.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lnfgen.conventions import TimeSignature
from lnfgen.data.encoding import Encoding
from lnfgen.errors import LnfgenError
from lnfgen.formats.read_write import Piece, read
from lnfgen.music.figures import Figure, ends_on_triad, leaps, music_figures, notes_per_bar
from lnfgen.music.parts import ONE
from lnfgen.music.pianoroll import PianoRoll, is_time_signature
from lnfgen.music.tonality import MODES, key_of, key_profiles, most_like, pitch_name, pitch_number

Want = Mapping[str, Any] | Iterable[str]
"""Figures and their values: `{"key": "G", "notes_per_bar": (8, 12)}`, or words such as
`notes_per_bar=8..12`."""

WEIGHT = 30.0  # nats that a unit of distance costs
FAR = 100.0  # the distance of a whole piece whose figure has no value
KEY_UNIT = 0.25  # the unit of the correlations that find a key
# a wish counts by the share of the steps drawn, to this power
GROWING, IN_FULL, AT_THE_END = 3.0, 0.0, math.inf

OTHERS = {  # the wishes that are no numbers, by the kind of the piece
    "music": {
        "key": "the key: G, F#m or B-flat major; a tonic alone leaves the mode open",
        "mode": "major or minor",
        "metre": "the time signature: 3/4",
        "top": "all pitches of the highest line: C4..G5",
        "bass": "all pitches of the lowest line: C2..",
        "ends": "cadence: on a triad in root position, held for a quarter or more",
        "like": "a file: all figures of compare are near those of its piece",
    },
    "text": {
        "contains": "a word, or any characters",
        "key": "of an ABC tune, its field K: G, Em or Bb",
        "metre": "of an ABC tune, its field M: 6/8",
    },
}


def _line_length(text: str) -> float:
    lengths = [len(line) for line in text.split("\n") if line]
    return sum(lengths) / len(lengths) if lengths else math.nan


def numbers(kind: str, roles: Sequence[str] = ()) -> dict[str, Figure]:
    """The figures of a piece that are numbers: those of `compare`, also of the parts with these
    roles, and more."""
    if kind == "text":
        return {"line_length": Figure("mean length of a line, characters", _line_length, 1.0)}  # type: ignore[arg-type]
    own = {"notes_per_bar": Figure("notes a bar", notes_per_bar, 1.0)}
    return (
        own
        | {"leaps": Figure("top line: moves over a fifth, count", leaps, 1.0)}
        | music_figures(4, roles)
    )


class Wish(NamedTuple):
    """A wish: the figure of a piece with its distance in units, which is nan if there is none; and
    when it counts."""

    words: str
    measured: Callable[[Any], tuple[Any, float]]
    power: float = GROWING


@dataclass(frozen=True)
class Wishes:
    """All wishes for a piece."""

    wishes: tuple[Wish, ...] = ()
    sure: tuple[Wish, ...] = ()  # those that hold for whatever is drawn
    keys: range = range(128)  # the MIDI pitches that may sound
    contained: tuple[str, ...] = ()  # characters that a text has
    time_signature: TimeSignature | None = None  # that of the piece, if there is a wish for it

    @property
    def steers(self) -> bool:
        """True if pieces must be drawn towards the wishes."""
        return bool(self.wishes or self.contained)

    def distance(self, piece: Piece, share: float = 1.0) -> float:
        """The sum of the distances, each by how much it counts when this share of the steps is
        drawn."""
        total = 0.0
        for wish in self.wishes:
            if counts := share**wish.power:
                _, distance = wish.measured(piece)
                total += counts * (
                    (FAR if share == 1 else 0.0) if math.isnan(distance) else distance
                )
        return total

    def report(self, piece: Piece) -> dict[str, dict[str, Any]]:
        """For each wish the figure that the piece has, and whether it holds, as plain JSON
        values."""
        found = {wish.words: wish.measured(piece) for wish in (*self.sure, *self.wishes)}
        return {
            words: {"value": value, "held": distance == 0}
            for words, (value, distance) in found.items()
        }


NO_WISHES = Wishes()


def wishes_for(want: Want | Wishes | None, encoding: Encoding) -> Wishes:
    """Read wishes for pieces of this encoding; None is no wish. Those that are read already stay as
    they are.

    If there is no figure with the name, or no piece can have the value, it is an `LnfgenError`.
    """
    if isinstance(want, Wishes):
        return want
    pairs = (
        want.items()
        if isinstance(want, Mapping)
        else [words.partition("=")[::2] for words in want or ()]
    )
    figures, others = numbers(encoding.kind, encoding.roles), OTHERS[encoding.kind]
    wishes, sure, contained, signature = list[Wish](), list[Wish](), list[str](), None
    own = encoding.compass if encoding.kind == "music" else range(128)
    low, high = float(own[0]), float(own[-1])
    for name, value in pairs:
        words = f"{name}={'..'.join(map(str, value)) if isinstance(value, tuple) else value}"
        try:
            if name in figures:
                wishes.append(_wish(words, figures[name], *_ends(value, figures[name].unit)))
            elif name not in others:
                several = ", ".join([*others, *figures][:9])
                raise ValueError(f"one of {several}, ... (lnfgen list --figures), as in key=G")
            elif encoding.kind == "text" and name == "contains":
                if not value or set(value) - set(encoding.vocabulary):
                    raise ValueError("characters that the model writes")
                contained.append(value)
                sure.append(Wish(words, partial(_contains, value)))
            elif encoding.kind == "text":
                wanted = key_of(value) if name == "key" else _signature(value)
                wishes.append(Wish(words, partial(_field, name, wanted), IN_FULL))
            elif name == "metre":
                signature = _signature(value)
                sure.append(Wish(words, partial(_in_metre, signature)))
            elif name in ("top", "bass"):
                first, last = _ends(value, 0.0)
                low, high = (low, min(high, last)) if name == "top" else (max(low, first), high)
                if low > high or first > high or last < low:
                    raise ValueError(
                        f"pitches that leave some of {pitch_name(own[0])} to {pitch_name(own[-1])} free"
                    )
                wishes.append(Wish(words, partial(_line, name == "top", first, last), IN_FULL))
            elif name == "ends":
                if value != "cadence":
                    raise ValueError("ends=cadence")
                wishes.append(Wish(words, _on_cadence, AT_THE_END))
            elif name == "like":
                wishes += _like(value, encoding)
            else:
                wishes.append(Wish(words, partial(_in_key, _keys(name, value))))
        except ValueError as error:
            raise LnfgenError(f"the wish {words:.60}; expected {error}") from None
    return Wishes(
        tuple(wishes),
        tuple(sure),
        range(math.ceil(low), int(high) + 1),
        tuple(contained),
        signature,
    )


def _wish(words: str, figure: Figure, low: float, high: float) -> Wish:
    """A wish for a number."""
    if low > 1 and "_rate" in words:
        raise ValueError("a share, at most 1")

    def measured(piece: Piece) -> tuple[Any, float]:
        value = figure.value(piece)  # type: ignore[arg-type]
        gap = max(low - value, value - high, 0.0) / figure.unit
        return (None, math.nan) if math.isnan(value) else (value, gap)

    return Wish(words, measured)


def _like(value: Any, encoding: Encoding) -> list[Wish]:
    """A wish for each figure of compare that a piece, or that of a file, has."""
    how: dict[str, Any] = {
        "steps_per_quarter": encoding.grid,
        "parts": ",".join(encoding.roles) or ONE,
    }
    piece = read(Path(value), **how)[0] if isinstance(value, str | Path) else value
    if not isinstance(piece, PianoRoll):
        raise ValueError("a file with a piece of music")
    found = [
        (name, figure, figure.value(piece))
        for name, figure in music_figures(4, encoding.roles).items()
    ]
    known = [
        (f"{name}={value:.3g}", figure, value)
        for name, figure, value in found
        if not math.isnan(value)
    ]
    return [
        _wish(words, figure, value - figure.unit, value + figure.unit)
        for words, figure, value in known
    ]


def _ends(value: Any, unit: float) -> tuple[float, float]:
    """The least and the greatest value of a wish. One value alone stands for all that are within
    half a unit of it."""
    ends = value if isinstance(value, tuple) else str(value).split("..")
    try:
        low, high = _number(ends[0], -math.inf), _number(ends[-1], math.inf)
    except ValueError:
        low = high = math.nan
    if len(ends) == 1:
        low, high = low - unit / 2, high + unit / 2
    if len(ends) > 2 or not low <= high or high < 0:
        raise ValueError("a value or a range, such as 8, 8..12, 8.., ..12 or C4..G5, not below 0")
    return low, high


def _number(end: Any, without: float) -> float:
    """A number, or the MIDI number of a pitch; `without` is where an open range ends."""
    if isinstance(end, str) and not end.strip():
        return without
    try:
        return float(end)
    except ValueError:
        return float(pitch_number(end))


def _signature(value: Any) -> TimeSignature:
    parts = value.split("/") if isinstance(value, str) else [str(part) for part in value]
    found = [int(part) for part in parts if part.isdecimal() and len(part) < 4]
    if len(found) == len(parts) == 2 and is_time_signature(signature := (found[0], found[1])):
        return signature
    raise ValueError("a time signature, such as 3/4 or 6/8")


def _keys(name: str, value: Any) -> np.ndarray:
    """The keys that are wanted, among those of `key_profiles`."""
    tonic, mode = (None, value) if name == "mode" else key_of(value)
    if mode not in (None, *MODES):
        raise ValueError("major or minor")
    wanted = np.zeros((2, 12), np.bool_)
    wanted[
        slice(None) if mode is None else MODES.index(mode), slice(None) if tonic is None else tonic
    ] = True
    return wanted


def _in_key(wanted: np.ndarray, roll: PianoRoll) -> tuple[Any, float]:
    """The key, and how much better the profile of the best key fits than that of the best wanted
    one."""
    likeness = key_profiles(roll.merged)
    key = most_like(likeness)
    return None if key is None else str(key), float(
        likeness.max() - likeness[wanted].max()
    ) / KEY_UNIT


def _line(top: bool, low: float, high: float, roll: PianoRoll) -> tuple[Any, float]:
    """The lowest and the highest pitch of an outer line, and how many semitones they are
    outside."""
    line = roll.merged.edge_keys(top)
    pitches = line[line >= 0] + roll.lowest_pitch
    if not len(pitches):
        return None, math.nan
    first, last = int(pitches.min()), int(pitches.max())
    return f"{pitch_name(first)}..{pitch_name(last)}", max(low - first, 0.0) + max(last - high, 0.0)


def _on_cadence(roll: PianoRoll) -> tuple[Any, float]:
    return ("cadence", 0.0) if ends_on_triad(roll) else (None, 1.0)


def _contains(word: str, text: str) -> tuple[Any, float]:
    return word in text, 0.0 if word in text else FAR


def _in_metre(signature: TimeSignature, roll: PianoRoll) -> tuple[Any, float]:
    return "{}/{}".format(*roll.time_signature), 0.0 if roll.time_signature == signature else FAR


def _field(name: str, wanted: tuple[Any, Any], text: str) -> tuple[Any, float]:
    """The key or the metre of an ABC tune, once its line is written."""
    found = re.search(rf"^{'K' if name == 'key' else 'M'}: *(.*?) *\n", text, re.MULTILINE)
    if found is None:
        return None, math.nan
    try:
        first, second = key_of(found[1]) if name == "key" else _signature(found[1])
    except ValueError:
        return found[1], FAR
    agrees = wanted[0] == first and wanted[1] in (None, second or "major")
    return found[1], 0.0 if agrees else FAR
