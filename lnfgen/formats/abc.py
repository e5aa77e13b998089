"""Read ABC tunes.

Source: the abc music standard 2.1, abcnotation.com/wiki/abc:standard:v2.1; its sections are in
brackets below. music21 has a reader of ABC too. It is not used, because it reads many tunes
otherwise than the standard: repeats with other endings than two, sections, fields inside a line,
overlays, tied chords, accidentals that hold to the end of a bar.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

from lnfgen.formats.events import Events, Sound, join_ties
from lnfgen.music.pianoroll import MAX_BPM, MIN_BPM, is_time_signature
from lnfgen.music.tonality import FIFTHS, NATURALS

MAX_BARS = 1000  # of one rest; more are a misprint, and would fill the memory
MAX_SECTIONS = 100  # that are played of a tune whose header gives their order

_TOKENS = re.compile(
    r"""
    (?P<field>^[A-Za-z]:(?!\|).*|\[[A-Za-z]:[^\]\n]{0,300}\])
    | (?P<words>%.*|"[^"\n]*"|![^!|\n]{1,20}!)
    | \((?P<tuplet>\d(?::\d?){0,2})
    | (?P<bar>:*\|[|\]:]*|::+|\[\|[\]:]*)(?P<ending>(?:[\s\\]|%.*\n|^w:.*\n){0,99}\[?\d{1,2}(?:[,-]\d{1,2})*)?
    | (?P<grace>\{[^{}\n]*\})
    | (?:(?P<sign>\^\^?|__?|=)?(?P<note>[A-Ga-g][,']*)|(?P<rest>[xz]))(?P<length>[\d/]*)
    | (?P<chord>\[(?!\d)) | \](?P<outer>[\d/]*) | (?P<tie>-) | (?P<broken>>{1,3}|<{1,3})
    | [ZX](?P<bars>\d*) | (?P<overlay>&)
    """,
    re.MULTILINE | re.VERBOSE,
)
_ALTER = {"": 0, "=": 0, "^": 1, "^^": 2, "_": -1, "__": -2}
_MODES = {
    "maj": 0,
    "ion": 0,
    "lyd": 1,
    "mix": -1,
    "dor": -2,
    "m": -3,
    "aeo": -3,
    "phr": -4,
    "loc": -5,
}
# of a tuplet; of others 3 in a compound metre, else 2 (4.13)
_NORMAL_NOTES = {1: 1, 2: 3, 3: 2, 4: 3, 6: 2, 8: 3}
_SIGN = re.compile(r"(?<=\s)(\^\^?|__?|=)([A-Ga-g])(?=\s|$)")
_CLEF = re.compile(
    r"(?<!\S)(?=\S)(?:clef=[^\s+^_-]+|(?:treble|alto|tenor|bass|soprano|mezzosoprano|baritone|perc)\d?)?"
    r"(?:(?P<up>[+^]8(?:va)?)|(?P<down>[-_]8(?:v[ab])?))?(?!\S)"
)
_PROPERTY = re.compile(r"(?<!\S)(?P<name>[a-z]+)=(?P<value>\"[^\"]*\"|\S*)")

_Metre = tuple[int, int] | None


@dataclass
class _Sound:
    """A note, a chord or a rest. Lengths are in quarters."""

    length: Fraction
    written: Fraction  # the length without `>` and `<`
    pitches: dict[int, str]  # MIDI pitches and their names; none in a rest
    metre: _Metre
    tied: set[int] = field(default_factory=set)  # pitches that are tied to the next sound


# a sound, `|` for a bar line, `&` for the start of an overlay, or quarters a minute
_Item = _Sound | str | float


@dataclass
class _Repeat:
    """The music that the next end of a repeat plays again, as far as it has been read. Places are
    indices of items."""

    start: int
    is_marked: bool = False  # a sign is at its start
    body: int | None = None  # the start of the first ending
    endings: dict[int, slice] = field(default_factory=dict)  # the ending of each pass
    numbers: Sequence[int] = ()  # the passes of the ending that is being read
    opened: int = 0  # where that ending starts
    bars: int = 0  # how many bars it has so far
    passes: int = 0  # how many passes are written
    bars_of_first: int = 0  # how many bars the first ending has


@dataclass
class _Voice:
    """The music of a voice so far, and the settings that hold at its end."""

    key: str
    unit: Fraction  # in quarters
    metre: _Metre
    # by how many octaves each property of a field K: or V: moves the notes up
    octaves: dict[str, int]
    items: list[_Item] = field(default_factory=list)
    repeat: _Repeat = field(default_factory=lambda: _Repeat(0))
    # the accidentals of the bar, by the name of the note
    signs: dict[str, int] = field(default_factory=dict)
    # those of tied notes, by the name with its octave
    tied: dict[str, int] = field(default_factory=dict)
    # the factor of the lengths of the next notes, and their number
    tuplet: tuple[Fraction, int] = (Fraction(1), 0)
    broken: Fraction = Fraction(1)  # the factor of the length of the next note


def read_tunes(book: str) -> list[Events]:
    """The tunes of an ABC book, each after the text before the first one, which holds for all.

    - An accidental holds to the end of the bar, in all octaves (11.3), and for a tied note in the
      next bar. A tune may have a directive for that.
    - Repeats are played, each pass with its ending (4.8 to 4.10). A repeat without a start goes
      back to the last end of a repeat or double bar line. Sections of a tune in one voice are
      played in the header's order, as `P:ABA` (3.1.9).
    - Grace notes, decorations, slurs and words have no length and are left out.
    - A clef such as `treble-8`, `octave=-1` and a `transpose` of whole octaves, but no other, move
      notes (4.6).

    Raises:
        ValueError: if a tune has none of the fields K:, L: and M:, so that it is no tune.
    """
    head, *tunes = re.split(r"^(?=X:)", re.sub(r"\r\n?", "\n", book), flags=re.MULTILINE)
    return [_Tune(tune).events() for tune in [head + tune for tune in tunes] or [head]]


class _Tune:
    """Reads one tune."""

    def __init__(self, tune: str) -> None:
        found = re.search(r"^K:.*\n?", tune, re.MULTILINE) or re.match(
            r"(?:[A-Za-z]:.*\n|%.*\n|\s*\n)*", tune
        )
        assert found is not None  # the second one may be empty
        header, self.body = tune[: found.end()], tune[found.end() :]
        fields = re.findall(r"^([A-Za-z]):([^%\n]*)", header, re.MULTILINE)
        first, last = dict(reversed(fields)), dict(fields)
        if not last.keys() & {"K", "L", "M"}:
            raise ValueError("a tune without a field K:")
        rule = re.search(r"propagate-accidentals\s+(\w+)", tune)
        self.accidentals_hold = rule[1] if rule else "pitch"  # or "octave", or "not"
        self.title = first.get("T", "")  # any others are subtitles
        self.order = _order(first.get("P", ""))
        # the letter of each, and where it starts in the items
        self.sections: list[tuple[str, int]] = []
        metre, key = _metre(last.get("M", "")), last.get("K", "C")
        usual = Fraction(1, 16) if metre and Fraction(*metre) < Fraction(3, 4) else Fraction(1, 8)
        self.voice = _Voice(
            _without_clef(key), 4 * (_fraction(last.get("L", "")) or usual), metre, _octaves_of(key)
        )
        self.voices = {"": self.voice}
        # the notes of the chord that is being read
        self.chord: list[tuple[Fraction, int, str, bool]] | None = None
        defined = re.findall(r"^V:[ \t]*(\S+)([^%\n]*)", header, re.MULTILINE)
        self.defined = {name: _octaves_of(properties) for name, properties in defined}
        self.voice.items += [bpm for name, text in fields if name == "Q" for bpm in _tempo(text)]

    def events(self) -> Events:
        """The tracks, tempos and time signatures of the tune. Times are in quarters."""
        metre = self.voice.metre
        for token in _TOKENS.finditer(self.body):
            self._read(token)
        if len(self.voices) == 1:
            self.voice.items = self._in_order()
        events = Events(signatures=[(Fraction(0), metre)] if metre else [], title=self.title)
        for voice in self.voices.values():
            _lay_out(voice.items, metre, events)
        return events

    def _in_order(self) -> list[_Item]:
        """The items of the one voice that there is, its sections in their order, if the tune has
        all of them."""
        items = self.voice.items
        ranges: dict[str, slice] = {}
        for (letter, start), (_, stop) in itertools.pairwise([*self.sections, ("", len(items))]):
            ranges.setdefault(letter, slice(start, stop))
        if not self.order or not set(self.order) <= set(ranges):
            return items
        return items[: self.sections[0][1]] + [
            item for letter in self.order for item in items[ranges[letter]]
        ]

    def _read(self, token: re.Match[str]) -> None:
        voice = self.voice
        if token["field"]:
            self._read_field(token["field"].strip("[]"))
        elif token["bar"]:
            self.chord = None
            self._read_bar(token["bar"], token["ending"] or "")
        elif token["grace"]:
            for grace in _TOKENS.finditer(token["grace"][1:-1]):
                if grace["note"]:
                    # its accidental holds to the end of the bar too
                    self._alter(grace["note"], grace["sign"])
        elif token["note"]:
            note = token["note"]
            octaves = (
                sum(voice.octaves.values()) + note.count("'") - note.count(",") + note[0].islower()
            )
            pitch = 60 + NATURALS[note[0].upper()] + 12 * octaves + self._alter(note, token["sign"])
            if self.chord is None:
                self._add(_length(token["length"]), {pitch: note})
            else:
                self.chord.append((_length(token["length"]), pitch, note, False))
        elif token["rest"] and self.chord is None:
            self._add(_length(token["length"]), {})
        elif token["chord"]:
            self.chord = []
        elif token["outer"] is not None:
            notes, self.chord = self.chord or [], None
            if notes:
                self._add(
                    notes[0][0] * _length(token["outer"]),
                    {pitch: note for _, pitch, note, _ in notes},
                )
                self._tie([pitch for _, pitch, _, tied in notes if tied])
        elif token["tie"] and self.chord:
            self.chord[-1] = (*self.chord[-1][:3], True)
        elif token["tie"] and voice.items and isinstance(last := voice.items[-1], _Sound):
            self._tie(list(last.pitches))
        elif token["tuplet"]:
            numbers = [int(number or 0) for number in [*token["tuplet"].split(":"), "", ""][:3]]
            is_compound = voice.metre and voice.metre[1] >= 8 and voice.metre[0] % 3 == 0
            actual = numbers[0] or 1
            normal = numbers[1] or _NORMAL_NOTES.get(actual, 3 if is_compound else 2)
            voice.tuplet = Fraction(normal, actual), numbers[2] or actual
        elif token["broken"] and voice.items and isinstance(last := voice.items[-1], _Sound):
            short = Fraction(1, 2 ** len(token["broken"]))
            factors = (2 - short, short) if token["broken"][0] == ">" else (short, 2 - short)
            last.length, voice.broken = last.written * factors[0], factors[1]
        elif token["bars"] is not None and voice.metre:
            bar = 4 * Fraction(*voice.metre)
            rest = _Sound(bar, bar, {}, voice.metre)
            voice.items += (rest, *("|", rest) * (min(int(token["bars"] or 1), MAX_BARS) - 1))
        elif token["overlay"]:
            voice.items.append("&")

    def _add(self, length: Fraction, pitches: dict[int, str]) -> None:
        """Add a sound of so many units, with the names of its pitches."""
        voice = self.voice
        ratio, left = voice.tuplet
        written = length * voice.unit * (ratio if left else 1)
        voice.tuplet = ratio, max(left - 1, 0)
        voice.items.append(_Sound(written * voice.broken, written, pitches, voice.metre))
        voice.broken = Fraction(1)

    def _tie(self, pitches: Sequence[int]) -> None:
        """Tie these pitches of the last sound to the next one."""
        sound = self.voice.items[-1]
        assert isinstance(sound, _Sound)
        sound.tied.update(pitches)
        for pitch in pitches:
            name = sound.pitches[pitch]
            self.voice.tied[name] = (pitch - NATURALS[name[0].upper()] + 6) % 12 - 6

    def _alter(self, note: str, sign: str | None) -> int:
        """By how many semitones a note is altered: by its sign, or that of the bar, of a tied note
        or of the key."""
        voice, step = self.voice, note[0].upper()
        tied = voice.tied.pop(note, None)
        usual = _signature(voice.key).get(step, 0) if tied is None else tied
        if self.accidentals_hold == "not":
            return usual if sign is None else _ALTER[sign]
        place = note if self.accidentals_hold == "octave" else step
        if sign is not None:
            voice.signs[place] = _ALTER[sign]
        return voice.signs.get(place, usual)

    def _read_field(self, text: str) -> None:
        """Read a field, which may change the voice."""
        voice, name, value = self.voice, text[0], text[2:].partition("%")[0].strip()
        if name == "V":
            name, properties = [*value.split(maxsplit=1), "", ""][:2]
            common = self.voices[""]
            octaves = common.octaves | self.defined.get(name, {})
            self.voice = self.voices.setdefault(
                name, _Voice(common.key, common.unit, common.metre, octaves)
            )
            self.voice.octaves |= _octaves_of(properties)
        elif name == "K":
            voice.octaves |= _octaves_of(value)
            voice.key = _without_clef(value) or voice.key
        elif name == "L":
            voice.unit = 4 * _fraction(value) or voice.unit
        elif name == "M":
            voice.metre = _metre(value)
        elif name == "Q":
            voice.items += _tempo(value)
        elif name == "P" and self.order:
            voice.repeat = _Repeat(len(voice.items))
            self.sections.append((value[:1], len(voice.items)))

    def _read_bar(self, bar: str, ending: str) -> None:
        """Read a bar line, and repeat the music that ends there and is to be repeated."""
        voice, repeat = self.voice, self.voice.repeat
        voice.signs.clear()
        ends, starts = bar.startswith(":"), bar.endswith(":")
        voice.items.append("|")
        repeat.bars += 1
        ranges = re.findall(r"(\d+)(?:-(\d+))?", ending)  # of passes, as in `[1,3-5`
        numbers = [
            number for first, last in ranges for number in range(int(first), int(last or first) + 1)
        ]
        if ends and repeat.body is None:
            # A stretch that ends with `::|` is played three times.
            times = len(bar) - len(bar.lstrip(":")) if "|" in bar else 1
            voice.items += voice.items[repeat.start :] * times
            repeat.passes += 1
        elif ends:
            body = slice(repeat.start, repeat.body)
            repeat.passes += 1
            repeat.bars_of_first = repeat.bars_of_first or repeat.bars
            repeat.endings |= dict.fromkeys(repeat.numbers, slice(repeat.opened, len(voice.items)))
            while following := repeat.endings.get(repeat.passes + 1):
                voice.items += voice.items[body] + voice.items[following]
                repeat.passes += 1
            if numbers:
                voice.items += voice.items[body]
        # Endings are equally long. Where the last one is at its end, and at a double bar line, a
        # new repeat may begin.
        is_over = repeat.passes > 0 and repeat.bars >= repeat.bars_of_first
        may_begin = repeat.passes > 0 or not (repeat.is_marked or repeat.body)
        here = len(voice.items)
        if numbers:
            repeat.body = here if repeat.body is None else repeat.body
            repeat.numbers, repeat.opened, repeat.bars = numbers, here, 0
        elif ends or starts or is_over or (bar in ("||", "|]", "[|") and may_begin):
            voice.repeat = _Repeat(here, is_marked=starts)


def _lay_out(items: Sequence[_Item], metre: _Metre, events: Events) -> None:
    """Put the items of a voice one after the other into `events`, as a track with its tempos and
    time signatures."""
    sounds: list[Sound] = []
    lines: list[Fraction] = []
    time = bar = furthest = Fraction(0)
    for item in items:
        if isinstance(item, float):
            events.tempos.append((time, item))
        elif isinstance(item, str):
            furthest = max(furthest, time)
            bar = bar if item == "&" else furthest  # an overlay sounds from the last bar line on
            time = bar
            lines.append(bar)
        else:
            if item.metre and item.metre != metre:
                metre = item.metre
                events.signatures.append((time, metre))
            end = time + item.length
            sounds += [
                (time, end, pitch, False, pitch in item.tied)
                for pitch in item.pitches
                if end > time
            ]
            time = end
    end = max(furthest, time)
    events.end = max(events.end, end)
    events.lines = events.lines or sorted({line for line in lines if 0 < line < end})[:2]
    if notes := join_ties(sounds):
        events.add(notes)


def _order(text: str) -> str:
    """The sections of a field P: in the order in which they are played, ABCBC for `A(BC)2`; empty
    for another text."""

    def repeated(group: re.Match[str]) -> str:
        inside, times, letter, times_of_letter = group.groups()
        return (letter or inside) * int(times_of_letter or times or 1)

    order, before = re.sub(r"[.\s]", "", text), ""
    while order != before and len(order) <= MAX_SECTIONS:
        before = order
        order = re.sub(r"\(([A-Z]*)\)(\d{0,2})|([A-Z])(\d{1,2})", repeated, order)
    return order if re.fullmatch(rf"[A-Z]{{1,{MAX_SECTIONS}}}", order) else ""


def _length(text: str) -> Fraction:
    """The length of a note in units: `3/2`, `3`, `/4`, `/` (a half) or `//` (a quarter)."""
    number, _, rest = text.partition("/")
    divisor = int(rest.strip("/") or 2 ** text.count("/"))
    if not divisor:
        raise ValueError(f"a note has the length {text}")
    return Fraction(int(number or 1), divisor)


def _fraction(text: str) -> Fraction:
    """A fraction such as `1/8`; 0 if the text has none."""
    found = re.search(r"(\d{1,9})\s*/\s*([1-9]\d{0,8})", text)
    return Fraction(int(found[1]), int(found[2])) if found else Fraction(0)


def _metre(text: str) -> _Metre:
    """The time signature of a field M:, such as `C|`, `6/8` or `(2+3)/8`; None for a free one."""
    text = text.strip()
    if text in ("C", "C|"):
        return (4, 4) if text == "C" else (2, 2)
    found = re.search(r"(\d{1,3}(?:\s*\+\s*\d{1,3})*)\)?\s*/\s*(\d{1,3})", text)
    metre = (sum(map(int, found[1].split("+"))), int(found[2])) if found else (0, 0)
    return metre if is_time_signature(metre) else None


def _tempo(text: str) -> Iterator[float]:
    """The tempo of a field Q: in quarters a minute, such as `1/4=100`, `90` or `"Adagio"`; none if
    it names none."""
    unit, _, number = re.sub(r'"[^"]*"', "", text).rpartition("=")
    beat = 4 * sum(
        (Fraction(int(a), int(b)) for a, b in re.findall(r"(\d{1,3})/([1-9]\d{0,2})", unit)),
        Fraction(0),
    )
    bpm = 0.0
    if found := re.search(r"\d{1,6}(?:\.\d+)?", number):
        bpm = float(found[0]) * float(beat or 1)
    elif '"' in text:
        from music21 import tempo

        bpm = float(tempo.MetronomeMark(text.split('"')[1].strip()).number or 0)
    if MIN_BPM <= bpm <= MAX_BPM:
        yield bpm


def _without_clef(key: str) -> str:
    """A key without the clef and the properties beside it in a field K:; empty if the field names
    no key."""
    return _PROPERTY.sub("", _CLEF.sub("", key.partition("%")[0])).strip()


@lru_cache(maxsize=256)
def _signature(key: str) -> dict[str, int]:
    """The alterations of a key by the name of the note, those beside its mode too, as in `D phr ^f`
    (3.1.14)."""
    found = re.match(
        r"([A-Ga-g])([#b]?)\s*([A-Za-z]{0,3})", "D" if key[:2].lower() == "hp" else key
    )
    sharps = 0
    if found and not re.search(r"\bexp\b", key):
        tonic, sign, mode = found.groups()
        shift = next((shift for name, shift in _MODES.items() if mode.lower().startswith(name)), 0)
        sharps = FIFTHS.index(tonic.upper()) - 1 + 7 * {"#": 1, "b": -1}.get(sign, 0) + shift
    altered = {step: (sharps - place + 6) // 7 for place, step in enumerate(FIFTHS)}
    return altered | {step.upper(): _ALTER[sign] for sign, step in _SIGN.findall(key)}


def _octaves_of(text: str) -> dict[str, int]:
    """By how many octaves a field K: or V: moves the notes up, for each of its properties."""
    moved = {}
    text = re.sub(r'"[^"]*"', "", text)
    for clef in _CLEF.finditer(text):
        moved["clef"] = bool(clef["up"]) - bool(clef["down"])
    for name, value in _PROPERTY.findall(text):
        if name in ("octave", "transpose") and re.fullmatch(r"[+-]?\d{1,3}", value):
            octaves, rest = divmod(int(value), 12 if name == "transpose" else 1)
            moved[name] = 0 if rest else octaves
    return moved
