"""ABC tunes, written so that music21 reads them as the standard means them.

Source: the abc music standard 2.1, abcnotation.com/wiki/abc:standard:v2.1; its sections are in brackets below.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from lnfgen.formats.abc_keys import octaves_of, own_signs, plain_key, raised, without_clef

MAX_BARS = 1000
"""Of a rest. More are a misprint, and would fill the memory."""

_PARTS = re.compile(
    r"""
    (?P<field>^[A-Za-z]:(?!\|).*|\[[A-Za-z]:[^\]\n]{0,300}\])
    | (?P<words>%.*|"[^"\n]*"|![^!|\n]{1,20}!|\(\d(?::\d?){0,2})
    | (?P<bar>:*\|[|\]:]*|::+|\[\|[\]:]*)(?P<ending>(?:[\s\\]|%.*\n|^w:.*\n){0,99}\[?\d{1,2}(?:[,-]\d{1,2})*)?
    | (?P<grace>\{[^{}\n]*\})
    | (?P<silent>[.~H-Wh-w](?=[.~H-Wh-w]*[({"!\[^_=A-Ga-gxz])|\((?!\d)|\)|y\d*|u)
    | (?P<sign>\^\^?|__?|=)?(?P<note>[A-Ga-g][,']*)(?P<length>[\d/]*)(?P<tie>-?)
    | (?P<rest>x) | [ZX](?P<bars>\d*) | (?P<overlay>&)
    """,
    re.MULTILINE | re.VERBOSE,
)
_OVERLAY = " u "
"""What stands for `&` here: a sign for a bow, which is a token of its own to music21 and is left out elsewhere."""

MAX_SECTIONS = 100
"""That are played, of a tune whose header gives their order."""

_SUM = re.compile(r"^(M:\s*)\(?(\d+(?:\s*\+\s*\d+)+)\)?(?=\s*/)", re.MULTILINE)
_TEMPO = re.compile(r"^Q:.*", re.MULTILINE)


def written_out(tune: str) -> str:
    """The same music, without what music21 refuses, leaves out or reads otherwise.

    - The unit is 1/8 where the header has neither L: nor M: (3.1.6, 3.1.7). music21 refuses such a tune.
    - An accidental holds to the end of the bar, in all octaves (11.3), and for a tied note in the next bar. In a tune
      that names no version of ABC, music21 has it hold for one note. So each note gets its accidental here, unless the
      tune has a directive of its own for that.
    - What is repeated is written out, each pass with its ending (4.8 to 4.10). A repeat without a start goes back to
      the last end of a repeat or double bar line, but in music21 to the first bar. music21 also misses some starts, as
      that in `:|:`, and has no third ending and none for several passes, such as `[1,2`.
    - A metre after a bar line is written twice. music21 loses a field that stands alone between a bar line and a note,
      and then divides the longer bars.
    - A field inside a line (3.2), such as `[K:D]`, is on a line of its own. music21 takes it for a chord.
    - A voice is written as a whole, with a number for its name. music21 takes each V: with a number for a new voice
      that begins with the tune, and no other V: for one.
    - music21 leaves out `x`, which is a rest, `Z4` and `X4`, which are four bars of rest (4.5), and the note under an
      annotation such as `">here"` (4.19).
    - Grace notes, slurs, spaces such as `y` and decorations such as `H` have no length and are left out (4.11, 4.12,
      4.14). music21 leaves out a note with an `H`, and divides the beat otherwise where one of them stands between the
      notes of `A>B` or in a tuplet.
    - Notes are written in the octave that a field K: or V: gives them (4.6): by a clef such as `treble-8`, by
      `octave=-1`, or by a `transpose` of whole octaves (any other is left out, and the music is as it is printed).
      music21 leaves that out. It takes `[K:bass]`, which leaves the key as it was, for B major.
    - The accidentals of a key such as `D exp _b ^f` or `D phr ^f`, and of the bagpipes' `Hp`, are given to the notes
      (3.1.14). music21 leaves them out.
    - A metre is written as one fraction: `2+3/8` is 23/8 to music21. `Q:1/4 = 100` has no blanks, by which music21
      splits it into two lengths.
    - Sections of a tune in one voice are written in the order of the header, such as `P:ABA` (3.1.9).
    - What `with_ties_and_overlays` plays as an overlay begins with `_OVERLAY`.
    """
    tune = _plain(tune)
    header, *rest = re.split(r"^(?=K:)", tune, maxsplit=1, flags=re.MULTILINE)
    if not rest:
        return tune
    unit = "" if re.search(r"^[LM]:", header, re.MULTILINE) else "L:1/8\n"
    has_own_rule = "propagate-accidentals" in tune
    if not has_own_rule:
        header = header.replace("%abc-", "% abc-")  # no version, so that music21 adds no accidentals to those below
    key, end_of_line, body = rest[0].partition("\n")
    written = _Body(header + unit + key, gives_signs=not has_own_rule).written(body)
    header = re.sub(r"^V:.*\n?", "", header, flags=re.MULTILINE)
    return header + unit + "K:" + plain_key(without_clef(key[2:])) + end_of_line + written


def _order(header: str) -> str:
    """The sections in the order in which they are played, a letter each; empty if the header does not say it.

    `P:A(BC)2` is ABCBC.
    """
    found = re.search(r"^P:([^%\n]*)", header, re.MULTILINE)
    order, before = re.sub(r"[.\s]", "", found[1]) if found else "", ""
    while order != before and len(order) <= MAX_SECTIONS:
        before = order
        order = re.sub(r"\(([A-Z]*)\)(\d{0,2})|([A-Z])(\d{1,2})", _repeated, order)
    return order if re.fullmatch(rf"[A-Z]{{1,{MAX_SECTIONS}}}", order) else ""


def _repeated(group: re.Match[str]) -> str:
    inside, times, letter, times_of_letter = group.groups()
    return (letter or inside) * int(times_of_letter or times or 1)


def _plain(text: str) -> str:
    """The text with its fields of metre and tempo, those on lines of their own, as music21 reads them."""
    text = _SUM.sub(lambda metre: metre[1] + str(sum(map(int, metre[2].split("+")))), text)
    return _TEMPO.sub(lambda tempo: re.sub(r"\s*=\s*", "=", tempo[0]), text)


_Values = dict[str, str]
"""What the fields K, L and M say at a place."""


@dataclass
class _Repeat:
    """What is played again, as far as it has been read. Places are indices in the text of its voice.

    Attributes:
        start: where it starts.
        is_marked: whether a sign says so.
        body: where its first ending starts; None if there is none so far.
        endings: where the ending of each pass starts and stops.
        numbers: the passes of the ending that is being read, which starts at `opened` and has so many `bars`.
        passes: how many passes are written.
        bars_of_first: those of the first ending.
    """

    start: int
    is_marked: bool = False
    body: int | None = None
    endings: dict[int, slice] = field(default_factory=dict)
    numbers: Sequence[int] = ()
    opened: int = 0
    bars: int = 0
    passes: int = 0
    bars_of_first: int = 0


@dataclass
class _Voice:
    """What is written of a voice, and what holds at its end.

    Attributes:
        values: what the fields say.
        octaves: by how many octaves each property of a field K: or V: moves its notes up.
        text: the parts that are written, each with what the fields say there.
        repeat: what the next end of a repeat goes back to.
        signs: the accidentals of the bar, by the name of the note without its octave.
        tied: those of notes that are tied to the next one, by the name with its octave.
        has_notes: whether the voice has any so far.
    """

    values: _Values
    octaves: dict[str, int]
    text: list[tuple[str, _Values]] = field(default_factory=list)
    repeat: _Repeat = field(default_factory=lambda: _Repeat(0))
    signs: dict[str, str] = field(default_factory=dict)
    tied: dict[str, str] = field(default_factory=dict)
    has_notes: bool = False


class _Body:
    """Writes out the lines below the header of a tune."""

    def __init__(self, header: str, gives_signs: bool) -> None:
        self.gives_signs = gives_signs
        self.order = _order(header)
        self.sections: list[tuple[str, int]] = []  # the letter of each, and where it starts in the text
        fields = dict(re.findall(r"^([KLM]):([^%\n]*)", header, re.MULTILINE))
        self.values = {name: value.strip() for name, value in fields.items()} | {"K": without_clef(fields["K"])}
        self.values.setdefault("L", "1/16" if 0 < _length(self.values.get("M", "")) < Fraction(3, 4) else "1/8")
        self.voice = _Voice(self.values, octaves_of(fields["K"]))
        self.voices = {"": self.voice}
        defined = re.findall(r"^V:[ \t]*(\S+)([^%\n]*)", header, re.MULTILINE)
        self.defined = {name: octaves_of(properties) for name, properties in defined}

    def written(self, body: str) -> str:
        end = 0
        for part in _PARTS.finditer(body):
            self._add(body[end : part.start()])
            self._write(part)
            end = part.end()
        self._add(body[end:])
        last = "\n|"  # music21 needs two bar lines to see bars
        if len(self.voices) == 1:
            return self._joined(self._in_order()) + last
        texts = [self._joined(voice.text) for voice in self.voices.values()]
        common = "" if self.voices[""].has_notes else texts.pop(0)
        return common + "".join(f"\nV:{number}\n{text}{last}" for number, text in enumerate(texts, start=1))

    def _in_order(self) -> list[tuple[str, _Values]]:
        """The text of the one voice that there is, its sections in their order, if the tune has all of them."""
        text = self.voice.text
        ranges: dict[str, slice] = {}
        for (letter, start), (_, stop) in itertools.pairwise([*self.sections, ("", len(text))]):
            ranges.setdefault(letter, slice(start, stop))
        if not self.order or not set(self.order) <= set(ranges):
            return text
        return text[: self.sections[0][1]] + [part for letter in self.order for part in text[ranges[letter]]]

    def _joined(self, parts: Sequence[tuple[str, _Values]]) -> str:
        """The text of these parts, with a field wherever another value holds than before."""
        written, holds = [], self.values
        for text, values in parts:
            if text and values is not holds:
                for name, value in values.items():
                    if holds.get(name) != value:
                        value = plain_key(value) if name == "K" else value
                        written.append(f"\n{name}:{value}\n" * (2 if name == "M" else 1))
                holds = values
            written.append(text)
        return "".join(written)

    def _add(self, text: str) -> None:
        self.voice.text.append((text, self.voice.values))

    def _write(self, part: re.Match[str]) -> None:
        if part["bar"]:
            self._bar(part["bar"], part["ending"] or "")
        elif part["field"]:
            self._field(part[0])
        else:
            self._add(self._part(part))

    def _part(self, part: re.Match[str]) -> str:
        """What is written for a part that is neither a field nor a bar line."""
        text = part[0]
        if part["silent"]:
            return ""
        if part["grace"]:
            self._read_signs(text)
            return ""
        self.voice.has_notes |= part["note"] is not None
        if part["bars"] is not None:
            return self._bars_of_rest(int(part["bars"] or 1)) or text
        if part["note"]:
            sign = self._sign(part) if self.gives_signs else part["sign"] or ""
            return sign + raised(part["note"], sum(self.voice.octaves.values())) + part["length"] + part["tie"]
        if part["overlay"]:
            return _OVERLAY
        return "z" if part["rest"] else "" if text.startswith('">') else text

    def _field(self, text: str) -> None:
        """A field, which may change the voice. K, L and M are written by `_joined`, others on a line of their own."""
        is_inside = text.startswith("[")
        text = _plain(text.strip("[]")) if is_inside else text
        name, value = text[0], text[2:].partition("%")[0].strip()
        if name == "V":
            name, properties = [*value.split(maxsplit=1), "", ""][:2]
            common = self.voices[""]
            octaves = common.octaves | self.defined.get(name, {})
            self.voice = self.voices.setdefault(name, _Voice(common.values, octaves))
            self.voice.octaves |= octaves_of(properties)
            return
        voice, here = self.voice, len(self.voice.text)
        if name == "K":
            voice.octaves |= octaves_of(value)
            value = without_clef(value) or voice.values["K"]
        if name in "KLM":
            voice.values = {**voice.values, name: value}
            return
        if name == "P" and self.order:
            if voice.repeat.start != here:
                voice.repeat = _Repeat(here)
            self.sections.append((value[:1], here))
        if not (is_inside and name.islower()):  # those are words, and notes to music21
            self._add(f"\n{text}\n" if is_inside else text)

    def _bars_of_rest(self, count: int) -> str:
        """So many bars, each with a rest as long as the metre says; empty where that is unknown."""
        bar, unit = (_length(self.voice.values.get(name, "")) for name in "ML")
        return "|".join([f"z{bar / unit}"] * min(count, MAX_BARS)) if bar and unit else ""

    def _sign(self, part: re.Match[str]) -> str:
        """The accidental of a note, also one that is not written there."""
        voice, note, step = self.voice, part["note"], part["note"][0].upper()
        tied = voice.tied.pop(note, "")
        if part["sign"]:
            voice.signs[step] = part["sign"]
        sign: str = voice.signs.get(step, tied or own_signs(voice.values["K"]).get(step, ""))
        if part["tie"] and sign:
            voice.tied[note] = sign
        return sign

    def _read_signs(self, grace: str) -> None:
        """The accidentals of grace notes, which hold to the end of the bar too."""
        for part in _PARTS.finditer(grace[1:-1]):
            if part["note"]:
                self._sign(part)

    def _bar(self, bar: str, ending: str) -> None:
        """A bar line. What ends there and is repeated is written again."""
        voice, repeat = self.voice, self.voice.repeat
        voice.signs.clear()
        ends, starts = bar.startswith(":"), bar.endswith(":")
        self._add("|")
        repeat.bars += 1
        numbers = _numbers(ending)
        if ends and repeat.body is None:
            # `::|` is the end of what is played three times.
            times = len(bar) - len(bar.lstrip(":")) if "|" in bar else 1
            self._again(slice(repeat.start, len(voice.text)), times)
            repeat.passes += 1
        elif ends and repeat.body is not None:
            body = slice(repeat.start, repeat.body)
            repeat.passes += 1
            repeat.bars_of_first = repeat.bars_of_first or repeat.bars
            repeat.endings |= dict.fromkeys(repeat.numbers, slice(repeat.opened, len(voice.text)))
            while following := repeat.endings.get(repeat.passes + 1):
                self._again(body)
                self._again(following)
                repeat.passes += 1
            if numbers:
                self._again(body)
        # Endings are equally long. Where the last one is at its end, and at a double bar line, a new repeat may begin.
        is_over = repeat.passes > 0 and repeat.bars >= repeat.bars_of_first
        may_begin = repeat.passes > 0 or not (repeat.is_marked or repeat.body)
        here = len(voice.text)
        if numbers:
            repeat.body = here if repeat.body is None else repeat.body
            repeat.numbers, repeat.opened, repeat.bars = numbers, here, 0
        elif ends or starts or is_over or (bar in ("||", "|]", "[|") and may_begin):
            voice.repeat = _Repeat(here, is_marked=starts)

    def _again(self, stretch: slice, times: int = 1) -> None:
        self.voice.text += self.voice.text[stretch] * times


def _length(fraction: str) -> Fraction:
    """What a metre or a unit says, in whole notes; 0 if it says nothing."""
    try:
        return Fraction(1 if fraction in ("C", "C|") else fraction)
    except (ValueError, ZeroDivisionError):
        return Fraction(0)


def _numbers(ending: str) -> list[int]:
    """The passes that an ending such as `[1,3-5` is for."""
    ranges = re.findall(r"(\d+)(?:-(\d+))?", ending)
    return [number for first, last in ranges for number in range(int(first), int(last or first) + 1)]


@contextlib.contextmanager
def with_ties_and_overlays() -> Iterator[None]:
    """In this block, music21 ties the notes of chords (4.17, 4.20), and plays the overlays of `written_out` (7.4).

    An overlay is what sounds from the last bar line on beside what stands before it. It becomes a voice of its bar.
    """
    from music21 import abcFormat, chord, stream, tie
    from music21.abcFormat import translate

    of_abc: Any = translate
    parse_bar, parse_note = of_abc.parseTokens, of_abc.parseABCNote

    def parse_overlays(handler: Any, into: Any, part: Any, in_bars: bool) -> Any:
        voices: list[list[Any]] = [[]]
        for token in handler.tokens:
            if isinstance(token, abcFormat.ABCUpbow):
                voices.append([])
            else:
                voices[-1].append(token)
        handler.tokens = voices[0]
        found = parse_bar(handler, into, part, in_bars)
        for handler.tokens in voices[1:]:
            voice = stream.Voice()
            parse_bar(handler, voice, part, in_bars)
            into.insert(0, voice)
        return found

    def parse_tied(token: Any, into: Any) -> None:
        # music21 has a tie end at the next note, which may be that of an overlay. Its start is enough.
        token.tie = "start" if token.tie in ("start", "continue") else None
        parse_note(token, into)
        if isinstance(token, abcFormat.ABCChord) and token.subTokens and (token.tie or "-" in token.src):
            into.coreElementsChanged()
            marks = re.findall(r"[A-Ga-g][,'\d/]*(-?)", token.src.rpartition("[")[2].partition("]")[0])
            for sound, mark in zip(into.getElementsByClass(chord.Chord).last().notes, marks, strict=False):
                sound.tie = tie.Tie("start") if mark or token.tie else None

    of_abc.parseTokens, of_abc.parseABCNote = parse_overlays, parse_tied
    try:
        yield
    finally:
        of_abc.parseTokens, of_abc.parseABCNote = parse_bar, parse_note
