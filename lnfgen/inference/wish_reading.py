"""Read wishes: from words such as `notes_per_bar=8..12` to the figures that pieces are to have."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lnfgen.conventions import TimeSignature
from lnfgen.data.encoding import Encoding
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.errors import LnfgenError
from lnfgen.formats.read_write import CHART, MIDI, SCORES, read
from lnfgen.formats.text import read_text
from lnfgen.inference import wish_measures
from lnfgen.inference.wanted_chords import on_chords
from lnfgen.inference.wish_measures import ENDS, Measured, time_signature_of
from lnfgen.inference.wishes import AT_THE_END, IN_FULL, Wish, Wishes, roll_or_text
from lnfgen.music.chart import Bar, chart_of, parse_chart
from lnfgen.music.chord_finding import chords_of
from lnfgen.music.figures import Figure, music_figures
from lnfgen.music.lines import leaps
from lnfgen.music.parts import ONE
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.rhythm import notes_per_bar
from lnfgen.music.song import Song
from lnfgen.music.tonality import MODES, Key, key_of, pitch_name, pitch_number

# Figures and their values: `{"key": "G", "notes_per_bar": (8, 12)}`, or words such as
# `notes_per_bar=8..12`.
Want = Mapping[str, Any] | Iterable[str]

MOST = 1e6  # the greatest value that can be asked for; no figure of a piece comes near it

OTHERS = {  # the wishes that are no numbers, by the kind of the piece
    "music": {
        "key": "the home, in which a piece is and closes: G, F#m or B-flat major; a tonic alone "
        "leaves the mode open",
        "mode": "that of the home, major or minor",
        "time_signature": "the time signature: 3/4",
        "top": "all pitches of the highest line: C4..G5",
        "bass": "all pitches of the lowest line: C2..",
        "ends": "tonic: the last bass note is that of the key; cadence: from the dominant to the "
        "tonic, both in root position",
        "chords": "a chart, from the first bar on that is drawn, again and again: C Am | F G7; or "
        "a file with chords",
        "like": "a file: all figures of compare are near those of its piece",
    },
    "text": {
        "contains": "a word, or any characters",
        "key": "of an ABC tune, its field K: G, Em or Bb",
        "time_signature": "of an ABC tune, its field M: 6/8",
    },
}


def _line_length(text: str) -> float:
    """The mean length of the lines that are not empty, in characters; nan if there are none."""
    lengths = [len(line) for line in text.split("\n") if line]
    if not lengths:
        return math.nan
    return sum(lengths) / len(lengths)


def numbers(kind: str, roles: Sequence[str] = ()) -> dict[str, Figure]:
    """The figures of a piece that are numbers, by name.

    They are those of `compare`, also of the parts with these roles, and more.
    """
    if kind == "text":
        label = "mean length of a line, characters"
        return {"line_length": Figure(label, _line_length, 1.0)}  # type: ignore[arg-type]
    own = {
        "notes_per_bar": Figure("notes a bar", notes_per_bar, 1.0),
        "leaps": Figure("top line: moves over a fifth, count", leaps, 1.0),
    }
    return own | music_figures(4, roles)


def wishes_for(want: Want | Wishes | None, encoding: Encoding) -> Wishes:
    """Read wishes for pieces of this encoding.

    None is no wish, and wishes that are read already stay as they are.

    Raises:
        LnfgenError: if there is no figure with the name, or no piece can have the value.
    """
    if isinstance(want, Wishes):
        return want
    reader = _reader_for(encoding)
    for name, value in _pairs(want or ()):
        words = f"{name}={value}"
        if isinstance(value, tuple):
            words = f"{name}={'..'.join(map(str, value))}"
        try:
            reader.read(words, name, value)
        except ValueError as error:
            raise LnfgenError(f"the wish {words:.60}; expected {error}") from None
    return reader.wishes()


def _pairs(want: Want) -> Iterator[tuple[str, Any]]:
    """The names and values of wishes."""
    if isinstance(want, Mapping):
        yield from want.items()
        return
    for words in want:
        name, _, value = words.partition("=")
        yield name, value


def _reader_for(encoding: Encoding) -> "_WishReader":
    if isinstance(encoding, MusicEncoding):
        return _ReaderOfMusic(encoding)
    assert isinstance(encoding, TextEncoding)
    return _ReaderOfText(encoding)


class _WishReader(ABC):
    """Reads wishes one by one for pieces of an encoding."""

    def __init__(self, encoding: Encoding) -> None:
        self._numbers = numbers(encoding.kind, encoding.roles)
        self._others = OTHERS[encoding.kind]
        self._wishes: list[Wish] = []
        self._sure: list[Wish] = []
        self._words: list[str] = []  # of all wishes that were read

    def read(self, words: str, name: str, value: Any) -> None:
        """Read a wish; a `ValueError` says what was expected."""
        if name in self._numbers:
            figure = self._numbers[name]
            low, high = _ends(value, figure.unit)
            self._wishes.append(_wish_for_number(words, figure, low, high))
        elif name in self._others:
            self._read_other(words, name, value)
        else:
            several = ", ".join([*self._others, *self._numbers][:9])
            raise ValueError(f"one of {several}, ... (lnfgen list --figures), as in key=G")
        self._words.append(words)

    def _require_agreement(self, name: str, agrees: bool) -> None:
        """Refuse a wish that no piece can have beside an earlier one."""
        if agrees:
            return
        what = "chart" if name == "chords" else name.replace("_", " ")
        kin = ("key", "mode") if name == "key" else (name,)
        earlier = [words for words in self._words if words.startswith(kin)]
        raise ValueError(f"one {what} for a piece, but found {' and '.join(earlier)} too")

    @abstractmethod
    def _read_other(self, words: str, name: str, value: Any) -> None:
        """Read a wish that is no number."""

    @abstractmethod
    def wishes(self) -> Wishes:
        """All wishes that were read."""


class _ReaderOfMusic(_WishReader):
    def __init__(self, encoding: MusicEncoding) -> None:
        super().__init__(encoding)
        self._encoding = encoding
        self._time_signature: TimeSignature | None = None
        self._keys = np.ones((2, 12), np.bool_)  # those that all wishes admit
        self._low = float(encoding.pitch_range[0])
        self._high = float(encoding.pitch_range[-1])
        self._chart: tuple[Bar, ...] = ()

    def _read_other(self, words: str, name: str, value: Any) -> None:
        if name == "time_signature":
            wanted = time_signature_of(value)
            self._require_agreement(name, self._time_signature in (None, wanted))
            self._time_signature = wanted
            self._sure.append(Wish(words, partial(wish_measures.in_time_signature, wanted)))
        elif name in ("top", "bass"):
            self._read_line(words, name == "top", value)
        elif name == "ends":
            if value not in ENDS:
                raise ValueError("ends=tonic or ends=cadence")
            self._wishes.append(Wish(words, partial(wish_measures.ends_as, value), AT_THE_END))
        elif name == "chords":
            self._read_chart(words, value)
        elif name == "like":
            self._wishes += _wishes_like(value, self._encoding)
        else:
            self._read_key(words, _keys(name, value))

    def _read_key(self, words: str, wanted: np.ndarray) -> None:
        agreed = self._keys & wanted
        self._require_agreement("key", bool(agreed.any()))
        self._keys = agreed
        in_key = partial(wish_measures.in_key, wanted)
        # The last bass so far is no close.
        on_the_way = partial(in_key, closes=False)
        self._wishes.append(Wish(words, in_key, on_the_way=on_the_way))

    def _read_chart(self, words: str, value: Any) -> None:
        try:
            chart = tuple(_chart(value))
        except ValueError as error:
            raise LnfgenError(f"the wish {words:.60}: {error}") from None
        self._require_agreement("chords", self._chart in ((), chart))
        self._chart = chart
        self._wishes.append(Wish(words, partial(on_chords, chart), AT_THE_END, of_song=True))

    def _read_line(self, words: str, top: bool, value: Any) -> None:
        first, last = _ends(value, 0.0)
        if top:
            self._high = min(self._high, last)
        else:
            self._low = max(self._low, first)
        if self._low > self._high or first > self._high or last < self._low:
            lowest = pitch_name(self._encoding.pitch_range[0])
            highest = pitch_name(self._encoding.pitch_range[-1])
            raise ValueError(f"pitches that leave some of {lowest} to {highest} free")
        measured = partial(wish_measures.line_within, top, first, last)
        self._wishes.append(Wish(words, measured, IN_FULL))

    def wishes(self) -> Wishes:
        return Wishes(
            wishes=tuple(self._wishes),
            sure=tuple(self._sure),
            keys=range(math.ceil(self._low), int(self._high) + 1),
            time_signature=self._time_signature,
            homes=self._homes(),
            chart=self._chart,
        )

    def _homes(self) -> tuple[Key, ...]:
        if self._keys.all():
            return ()
        return tuple(Key(tonic, MODES[mode]) for mode, tonic in np.argwhere(self._keys).tolist())


class _ReaderOfText(_WishReader):
    def __init__(self, encoding: TextEncoding) -> None:
        super().__init__(encoding)
        self._vocabulary = set(encoding.vocabulary)
        self._contained: list[str] = []
        self._tonic: int | None = None
        self._mode: str | None = None
        self._time_signature: TimeSignature | None = None

    def _read_other(self, words: str, name: str, value: Any) -> None:
        if name == "contains":
            if not value or set(value) - self._vocabulary:
                raise ValueError("characters that the model writes")
            self._contained.append(value)
            measured = partial(wish_measures.contains, value)
            self._wishes.append(Wish(words, measured, AT_THE_END))
        elif name == "key":
            wanted_key = key_of(value)
            self._require_key(*wanted_key)
            measured = partial(wish_measures.in_abc_key, wanted_key)
            self._wishes.append(Wish(words, measured, IN_FULL))
        else:
            wanted = time_signature_of(value)
            self._require_agreement(name, self._time_signature in (None, wanted))
            self._time_signature = wanted
            measured = partial(wish_measures.in_abc_time_signature, wanted)
            self._wishes.append(Wish(words, measured, IN_FULL))

    def _require_key(self, tonic: int, mode: str | None) -> None:
        agrees = self._tonic in (None, tonic) and (None in (mode, self._mode) or mode == self._mode)
        self._require_agreement("key", agrees)
        self._tonic = tonic
        self._mode = mode or self._mode

    def wishes(self) -> Wishes:
        return Wishes(wishes=tuple(self._wishes), contained=tuple(self._contained))


def _wish_for_number(words: str, figure: Figure, low: float, high: float) -> Wish:
    if low > 1 and figure.is_share:
        raise ValueError("a share, at most 1")

    def measured(piece: Any) -> Measured:
        value = figure.value(piece)
        if math.isnan(value):
            return None, math.nan
        return value, max(low - value, value - high, 0.0) / figure.unit

    return Wish(words, measured)


def _wishes_like(value: Any, encoding: MusicEncoding) -> list[Wish]:
    """A wish for each figure of compare that a piece, or that of a file, has."""
    piece = value
    if isinstance(value, str | Path):
        parts = ",".join(encoding.roles) or ONE
        piece = read(Path(value), steps_per_quarter=encoding.steps_per_quarter, parts=parts)[0]
    roll = roll_or_text(piece)
    if not isinstance(roll, PianoRoll):
        raise ValueError("a file with a piece of music")
    wishes = []
    for name, figure in music_figures(4, encoding.roles).items():
        number = figure.value(roll)
        if not math.isnan(number):
            words = f"{name}={number:.3g}"
            low = number - figure.unit
            high = number + figure.unit
            wishes.append(_wish_for_number(words, figure, low, high))
    return wishes


def _chart(value: Any) -> list[Bar]:
    """The bars of a chart, or of the chords of a file: its symbols, else those of its notes."""
    if isinstance(value, Song):
        return chart_of(chords_of(value), value.roll)
    path = Path(value)
    if path.suffix == CHART:
        return parse_chart(read_text(path))
    if path.suffix in (*MIDI, *SCORES):
        return _chart(read(path)[0])
    return parse_chart(value)


def _ends(value: Any, unit: float) -> tuple[float, float]:
    """The least and the greatest value of a wish.

    One value alone stands for all that are within half a unit.
    """
    ends = value if isinstance(value, tuple) else str(value).split("..")
    try:
        low = _number(ends[0], -math.inf)
        high = _number(ends[-1], math.inf)
    except ValueError:
        low = math.nan
        high = math.nan
    if len(ends) == 1:
        low -= unit / 2
        high += unit / 2
    if len(ends) > 2 or not low <= high or high < 0 or low > MOST:
        raise ValueError(
            "a value or a range, such as 8, 8..12, 8.., ..12 or C4..G5, "
            f"not below 0 or over {MOST:,.0f}"
        )
    return low, high


def _number(end: Any, without: float) -> float:
    """A number, or the MIDI number of a pitch; `without` is where an open range ends."""
    if isinstance(end, str) and not end.strip():
        return without
    try:
        return float(end)
    except ValueError:
        return float(pitch_number(end))


def _keys(name: str, value: Any) -> np.ndarray:
    """The keys that are wanted, bool [2, 12] among those of `key_profiles`."""
    if name == "mode":
        tonic = None
        mode = value
    else:
        tonic, mode = key_of(value)
    if mode not in (None, *MODES):
        raise ValueError("major or minor")
    wanted = np.ones((2, 12), np.bool_)
    if tonic is not None:
        wanted &= np.arange(12) == tonic
    if mode is not None:
        wanted &= (np.arange(2) == MODES.index(mode))[:, None]
    return wanted
