"""Wishes: what a person asks of the pieces that a model draws, as figures and the values that these may have.

The distance of a piece from a wish is 0 if the figure of the piece has one of the values, and otherwise how far it is
from the nearest one, in units of that figure. Particles are drawn towards the wishes: each is weighed by
`exp(-WEIGHT * distance)` of what is drawn of it so far. A figure of a whole piece counts a little from the first bar
on, and in full at the end, because the rest of a piece can still mend it. So pieces are drawn from
`p(x) exp(-WEIGHT * sum of the distances)`, the twisted targets of Whiteley & Lee (2014).
"""

from __future__ import annotations

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
from lnfgen.music import figures
from lnfgen.music.pianoroll import PianoRoll, is_time_signature
from lnfgen.music.tonality import MODES, find_key, key_of, key_profiles, pitch_name, pitch_number

Want = Mapping[str, Any] | Iterable[str]
"""Figures and their values: `{"key": "G", "notes_per_bar": (8, 12)}`, or words such as `notes_per_bar=8..12`."""

WEIGHT = 30.0
"""Nats that a unit of distance costs."""

FAR = 100.0
"""The distance of a whole piece whose figure has no value."""

KEY_UNIT = 0.25
"""The unit of the correlations that find a key."""

MUSIC_WISHES = {
    "key": "the key: G, F#m or B-flat major; a tonic alone leaves the mode open",
    "mode": "major or minor",
    "metre": "the time signature: 3/4",
    "top": "all pitches of the highest line: C4..G5",
    "bass": "all pitches of the lowest line: C2..",
    "notes_per_bar": "notes in a bar",
    "leaps": "moves of the highest line over a fifth",
    "ends": "cadence: on a triad in root position, held for a quarter or more",
    "like": "a file: all figures of compare are near those of its piece",
}
TEXT_WISHES = {
    "contains": "a word, or any characters",
    "line_length": "the mean length of a line, characters",
    "key": "of an ABC tune, its field K: G, Em or Bb",
    "metre": "of an ABC tune, its field M: 6/8",
}


def known_figures() -> list[dict[str, Any]]:
    """All figures of wishes: name, kind of piece, what it is, and how near to a single value is near enough."""
    rows = [
        ("music", name, words, 0.5 if name in ("notes_per_bar", "leaps") else None)
        for name, words in MUSIC_WISHES.items()
    ]
    rows += [("music", name, figure.label, figure.unit / 2) for name, figure in figures.music_figures(4).items()]
    rows += [("text", name, words, 0.5 if name == "line_length" else None) for name, words in TEXT_WISHES.items()]
    return [{"name": name, "kind": kind, "is": words, "within": within} for kind, name, words, within in rows]


class Wish(NamedTuple):
    """A wish, with the figure of a piece and its distance in units; nan where the figure has no value."""

    words: str
    measured: Callable[[Any], tuple[Any, float]]
    counts: Callable[[float], float] = lambda share: share**3  # how much, when this share of the steps is drawn


def _in_full(share: float) -> float:
    """Of a figure that what follows does not mend."""
    return 1.0


def _given(share: float) -> float:
    """Of what is chosen before anything is drawn."""
    return 0.0


def _at_the_end(share: float) -> float:
    return float(share == 1)


@dataclass(frozen=True)
class Wishes:
    """All wishes for a piece.

    Attributes:
        keys: the MIDI pitches that may sound.
        contained: characters that a text has.
        time_signature: that of the piece, if there is a wish for it.
    """

    wishes: tuple[Wish, ...] = ()
    keys: range = range(128)
    contained: tuple[str, ...] = ()
    time_signature: TimeSignature | None = None

    @property
    def steers(self) -> bool:
        """True if a wish is not met before anything is drawn."""
        return any(wish.counts(1.0) for wish in self.wishes)

    def distance(self, piece: Piece, share: float = 1.0) -> float:
        """The sum of the distances, each by how much it counts when this share of the steps is drawn."""
        total = 0.0
        for wish in self.wishes:
            if counts := wish.counts(share):
                _, distance = wish.measured(piece)
                total += counts * ((FAR if share == 1 else 0.0) if math.isnan(distance) else distance)
        return total

    def report(self, piece: Piece) -> dict[str, dict[str, Any]]:
        """For each wish the figure that the piece has, and whether it holds, as plain JSON values."""
        found = {wish.words: wish.measured(piece) for wish in self.wishes}
        return {words: {"value": value, "held": distance == 0} for words, (value, distance) in found.items()}

    def facts(self, piece: Piece) -> dict[str, Any]:
        """`wishes` with the report for a JSON object; empty without wishes."""
        return {"wishes": self.report(piece)} if self.wishes else {}


NO_WISHES = Wishes()


def wishes_for(want: Want, encoding: Encoding, num_voices: Callable[[], int]) -> Wishes:
    """Read wishes for pieces of this encoding. `num_voices` is that of `music_figures`.

    Raises:
        LnfgenError: if there is no figure with the name, or no piece can have the value.
    """
    pairs = list(want.items()) if isinstance(want, Mapping) else [_pair(words) for words in want]
    wishes, contained, signature = list[Wish](), list[str](), None
    lowest, number = (encoding.lowest_pitch, encoding.num_pitches) if encoding.kind == "music" else (0, 128)
    low, high = lowest, lowest + number - 1
    for name, value in pairs:
        words = f"{name}={_in_words(value)}"
        _require_known(name, words, encoding)
        if encoding.kind == "text":
            wishes.append(_of_text(name, value, words, encoding))
            contained += [str(value)] if name == "contains" else []
        elif name == "metre":
            signature = _time_signature(value, words)
            wishes.append(Wish(words, partial(_in_metre, signature), _given))
        elif name in ("top", "bass"):
            first, last = _bounds(value, words)
            if first >= lowest + number or last < lowest:
                keys = f"{pitch_name(lowest)} to {pitch_name(lowest + number - 1)}"
                raise LnfgenError(f"the wish {words}; the model has the keys {keys}")
            low, high = (low, min(high, int(last))) if name == "top" else (max(low, math.ceil(first)), high)
            wishes.append(Wish(words, partial(_line, name == "top", first, last), _in_full))
        elif name == "like":
            wishes += _like(value, words, encoding, num_voices())
        else:
            wishes.append(_of_music(name, value, words, num_voices))
    if low > high:
        raise LnfgenError(f"the wishes leave no key: top at most {pitch_name(high)}, bass at least {pitch_name(low)}")
    return Wishes(tuple(wishes), range(low, high + 1), tuple(contained), signature)


def _pair(words: str) -> tuple[str, str]:
    name, is_given, value = words.partition("=")
    if not (is_given and name and value):
        raise LnfgenError(f"the wish {words!r}; expected FIGURE=VALUE, such as key=G or notes_per_bar=8..12")
    return name.strip(), value


def _in_words(value: Any) -> str:
    return "..".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _require_known(name: str, words: str, encoding: Encoding) -> None:
    known = [*MUSIC_WISHES, *figures.music_figures(1)] if encoding.kind == "music" else [*TEXT_WISHES]
    if name not in known:
        several = ", ".join(known[: len(MUSIC_WISHES)])
        raise LnfgenError(
            f"the wish {words} for {encoding.kind}; expected one of {several}"
            + ("; all others: lnfgen list --figures" if encoding.kind == "music" else "")
        )


def _of_music(name: str, value: Any, words: str, num_voices: Callable[[], int]) -> Wish:
    if name in ("key", "mode"):
        tonic, mode = (None, str(value)) if name == "mode" else key_of(str(value))
        if name == "mode" and mode not in MODES:
            raise LnfgenError(f"the wish {words}; expected mode=major or mode=minor")
        wanted = np.zeros((2, 12), np.bool_)
        wanted[slice(None) if mode is None else MODES.index(mode), slice(None) if tonic is None else tonic] = True
        return Wish(words, partial(_in_key, wanted))
    if name == "ends":
        if value != "cadence":
            raise LnfgenError(f"the wish {words}; expected ends=cadence")
        return Wish(words, _on_cadence, _at_the_end)
    if name == "leaps":
        return Wish(words, partial(_number, figures.leaps, *_bounds(value, words, 1.0), 1.0), _in_full)
    if name == "notes_per_bar":
        return Wish(words, partial(_number, figures.notes_per_bar, *_bounds(value, words, 1.0), 1.0))
    chosen = figures.music_figures(num_voices() if name == "exact_polyphony_rate" else 1)[name]
    first, last = _bounds(value, words, chosen.unit)
    most = 1.0 if name.endswith(("_rate", "_consistency")) and name != "parallel_rate" else math.inf
    if first > most:
        raise LnfgenError(f"the wish {words}; the figure is a share, and at most 1")
    return Wish(words, partial(_number, chosen.value, first, last, chosen.unit))


def _of_text(name: str, value: Any, words: str, encoding: Encoding) -> Wish:
    if name == "contains":
        if missing := sorted(set(str(value)) - set(encoding.vocabulary)):
            raise LnfgenError(f"the wish {words}; the model does not write {''.join(missing)!r}")
        return Wish(words, partial(_contained, str(value)), _at_the_end)
    if name == "line_length":
        return Wish(words, partial(_number, _line_length, *_bounds(value, words, 1.0), 1.0))
    wanted = key_of(str(value)) if name == "key" else _time_signature(value, words)
    return Wish(words, partial(_field, name, wanted), _in_full)


def _like(value: Any, words: str, encoding: Encoding, num_voices: int) -> list[Wish]:
    """A wish for each figure of compare that a piece, or that of a file, has."""
    piece = (
        value if isinstance(value, PianoRoll) else read(Path(value), steps_per_quarter=encoding.steps_per_quarter)[0]
    )
    if isinstance(piece, str):
        raise LnfgenError(f"the wish {words}; found a text, expected a piece of music")
    piece = piece.on_grid(encoding.steps_per_quarter)
    wishes = []
    for name, figure in figures.music_figures(num_voices).items():
        if not math.isnan(found := figure.value(piece)):
            low, high = found - figure.unit, found + figure.unit
            wishes.append(Wish(f"{name}={found:.3g}", partial(_number, figure.value, low, high, figure.unit)))
    return wishes


def _bounds(value: Any, words: str, unit: float = 0.0) -> tuple[float, float]:
    """The least and the greatest value of a wish. One value alone stands for all that are within half a unit of it."""
    ends = value if isinstance(value, tuple) else str(value).split("..")
    try:
        if len(ends) > 2:
            raise ValueError(value)
        numbers = [_bound(end) for end in ends]
    except ValueError:
        raise LnfgenError(f"the wish {words}; expected a value or a range, such as 8, 8..12, 8.. or ..12") from None
    if len(numbers) == 1 and numbers[0] is not None:
        return numbers[0] - unit / 2, numbers[0] + unit / 2
    low = -math.inf if numbers[0] is None else numbers[0]
    high = math.inf if numbers[-1] is None else numbers[-1]
    if low > high or high < 0:
        raise LnfgenError(f"the wish {words}; expected a range from the lesser value to the greater one, not below 0")
    return low, high


def _bound(end: Any) -> float | None:
    """A number, the MIDI number of a pitch, or None for a range without this end."""
    if isinstance(end, str) and not end.strip():
        return None
    try:
        number = float(end)
    except ValueError:
        return float(pitch_number(end))
    if math.isnan(number):
        raise ValueError(end)
    return number


def _time_signature(value: Any, words: str) -> TimeSignature:
    parts = str(value).split("/") if isinstance(value, str) else list(value)
    if len(parts) == 2 and all(str(part).isdecimal() and len(str(part)) < 4 for part in parts):
        signature = int(parts[0]), int(parts[1])
        if is_time_signature(signature):
            return signature
    raise LnfgenError(f"the wish {words:.60}; expected a time signature, such as 3/4 or 6/8")


def _gap(value: float, low: float, high: float) -> float:
    return max(low - value, value - high, 0.0)  # nan stays nan


def _number(figure: Callable[[Any], float], low: float, high: float, unit: float, piece: Piece) -> tuple[Any, float]:
    value = figure(piece)
    return (None, math.nan) if math.isnan(value) else (value, _gap(value, low, high) / unit)


def _in_key(wanted: np.ndarray, roll: PianoRoll) -> tuple[Any, float]:
    """The key, and how much better the profile of the best key fits than that of the best wanted one."""
    likeness = key_profiles(roll)
    return str(find_key(roll)), float(likeness.max() - likeness[wanted].max()) / KEY_UNIT


def _in_metre(signature: TimeSignature, roll: PianoRoll) -> tuple[Any, float]:
    return "{}/{}".format(*roll.time_signature), 0.0 if roll.time_signature == signature else math.nan


def _line(top: bool, low: float, high: float, roll: PianoRoll) -> tuple[Any, float]:
    """The lowest and the highest pitch of an outer line, and how far they are outside."""
    line = roll.edge_keys(top)
    pitches = line[line >= 0] + roll.lowest_pitch
    if not len(pitches):
        return None, math.nan
    first, last = int(pitches.min()), int(pitches.max())
    return f"{pitch_name(first)}..{pitch_name(last)}", max(low - first, 0.0) + max(last - high, 0.0)


def _on_cadence(roll: PianoRoll) -> tuple[Any, float]:
    held = figures.ends_on_triad(roll)
    return "cadence" if held else None, 0.0 if held else 1.0


def _contained(word: str, text: str) -> tuple[Any, float]:
    return word in text, 0.0 if word in text else FAR


def _line_length(text: str) -> float:
    lengths = [len(line) for line in text.split("\n") if line]
    return sum(lengths) / len(lengths) if lengths else math.nan


def _field(name: str, wanted: Sequence[Any], text: str) -> tuple[Any, float]:
    """The key or the metre of an ABC tune, once its line is written."""
    found = re.search(rf"^{'K' if name == 'key' else 'M'}:(.*)\n", text, re.MULTILINE)
    if found is None:
        return None, math.nan
    value = found[1].strip()
    try:
        tonic, mode = key_of(value) if name == "key" else (None, None)
        own = (tonic, mode or "major") if name == "key" else _time_signature(value, name)
    except LnfgenError:
        return value, FAR
    return value, 0.0 if all(want in (None, have) for want, have in zip(wanted, own, strict=True)) else FAR
