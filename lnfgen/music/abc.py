"""ABC tunes, written so that music21 reads them as the standard means them.

Source: the abc music standard 2.1, abcnotation.com/wiki/abc:standard:v2.1; its sections are in brackets below.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction

MAX_BARS = 1000
"""Of a rest. More are a misprint, and would fill the memory."""

_PARTS = re.compile(
    r"""
    (?P<field>^[A-Za-z]:(?!\|).*|\[[A-Za-z]:[^\]\n]{0,300}\])
    | (?P<words>%.*|"[^"\n]*"|![^!|\n]{1,20}!)
    | (?P<bar>:*\|[|\]:]*|::+|\[\|:*)(?P<ending>\s*\[?\d)?
    | (?P<grace>\{[^}\n]*\})
    | (?P<silent>[.~H-Wh-w](?=[.~H-Wh-w]*[({"!\[^_=A-Ga-gxz])|\((?!\d)|\)|y\d*)
    | (?P<sign>\^\^?|__?|=)?(?P<note>[A-Ga-g][,']*)(?P<length>[\d/]*)(?P<tie>-?)
    | (?P<rest>x) | [ZX](?P<bars>\d*)
    """,
    re.MULTILINE | re.VERBOSE,
)
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
    - A repeat without a start goes back to the last end of a repeat or double bar line (4.8), but in music21 to the
      first bar. So each repeat gets a start, also where music21 misses it: in `:|:` and `||:`, in `::` after a capital
      letter, and before a field.
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
    - A metre is written as one fraction: `2+3/8` is 23/8 to music21. `Q:1/4 = 100` has no blanks, by which music21
      splits it into two lengths.
    - Sections of a tune in one voice are written in the order of the header, such as `P:ABA` (3.1.9).
    """
    tune = _plain(tune)
    header, *rest = re.split(r"^(?=K:)", tune, maxsplit=1, flags=re.MULTILINE)
    if not rest:
        return tune
    unit = "" if re.search(r"^[LM]:", header, re.MULTILINE) else "L:1/8\n"
    has_own_rule = "propagate-accidentals" in tune
    if not has_own_rule:
        header = header.replace("%abc-", "% abc-")  # no version, so that music21 adds no accidentals to those below
    header = re.sub(r"^V:.*\n?", "", header, flags=re.MULTILINE)
    key, end_of_line, body = rest[0].partition("\n")
    return header + unit + key + end_of_line + _Body(header + unit + key, gives_signs=not has_own_rule).written(body)


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


@dataclass(frozen=True)
class _Section:
    """A section of a tune: its letter, the number of its first part, and the fields K, L and M that hold there."""

    letter: str
    start: int
    values: dict[str, str]


@dataclass
class _Voice:
    """What holds at a place of a voice.

    Attributes:
        signs: the accidentals of the bar, by the name of the note without its octave.
        tied: those of notes that are tied to the next one, by the name with its octave.
        begins: after which of the parts that are written the present section begins; None: with the voice.
        marked: whether that is a "sign" of repetition, or an "ending" after the first one; empty for neither.
        is_new: whether no note of the section has come yet.
        text: what is written of the voice: numbers of parts.
        has_notes: whether the voice has any so far.
    """

    signs: dict[str, str] = field(default_factory=dict)
    tied: dict[str, str] = field(default_factory=dict)
    begins: int | None = None
    marked: str = ""
    is_new: bool = False
    text: list[int] = field(default_factory=list)
    has_notes: bool = False


class _Body:
    """Writes out the lines below the header of a tune."""

    def __init__(self, header: str, gives_signs: bool) -> None:
        self.gives_signs = gives_signs
        self.order = _order(header)
        self.sections: list[_Section] = []
        fields = re.findall(r"^([KLM]):([^%\n]*)", header, re.MULTILINE)
        self.values = {name: value.strip() for name, value in fields}
        self.parts: list[str] = []
        self.starts: dict[int, str] = {}  # what follows a part where a repeat starts
        self.voices: dict[str, _Voice] = defaultdict(_Voice)
        self.voice = self.voices[""]

    def written(self, body: str) -> str:
        end = 0
        for part in _PARTS.finditer(body):
            between = body[end : part.start()]
            self.voice.is_new &= not between.strip()
            self._add(between)
            self._add(self._part(part))
            end = part.end()
        self._add(body[end:])
        if len(self.voices) == 1:
            return self._in_order()
        texts = ["".join(map(self._text, voice.text)) for voice in self.voices.values()]
        common = "" if self.voices[""].has_notes else texts.pop(0)
        return common + "".join(f"\nV:{number}\n{text}" for number, text in enumerate(texts, start=1))

    def _in_order(self) -> str:
        """The one voice that there is, its sections in their order. A tune that lacks one of them stays as it is."""
        texts = [self._text(number) for number in range(len(self.parts))]
        if not self.order or not set(self.order) <= {section.letter for section in self.sections}:
            return "".join(texts)
        starts = [section.start for section in self.sections]
        ends = [*starts[1:], len(texts)]
        after = [*(section.values for section in self.sections[1:]), self.values]
        written, holds = "".join(texts[: starts[0]]), self.sections[0].values
        for letter in self.order:
            index = next(i for i, section in enumerate(self.sections) if section.letter == letter)
            for name, value in self.sections[index].values.items():
                if holds.get(name) != value:
                    written += f"\n{name}:{value}" * (2 if name == "M" else 1)
            repeats, end, rest = "".join(texts[starts[index] : ends[index]]).rpartition(":|")
            written += "\n" + repeats + end + rest.replace("|:", "")  # music21 takes it for the next section's start
            holds = after[index]
        return written

    def _text(self, number: int) -> str:
        return self.parts[number] + self.starts.get(number, "")

    def _add(self, text: str) -> None:
        self.voice.text.append(len(self.parts))
        self.parts.append(text)

    def _part(self, part: re.Match[str]) -> str:
        text = part[0]
        if part["bar"]:
            return self._bar(part["bar"], bool(part["ending"])) + (part["ending"] or "")
        if part["field"]:
            return self._field(text)
        if not text.startswith("%"):
            self.voice.is_new = False
        if part["silent"]:
            return ""
        if part["grace"]:
            self._read_signs(text)
            return ""
        self.voice.has_notes |= part["note"] is not None
        if part["bars"] is not None:
            return self._bars_of_rest(int(part["bars"] or 1)) or text
        if part["note"] and self.gives_signs:
            return self._sign(part) + text.removeprefix(part["sign"] or "")
        return "z" if part["rest"] else "" if text.startswith('">') else text

    def _field(self, text: str) -> str:
        """A field on a line of its own. It may change the voice, and the start of a repeat right before it follows."""
        is_inside = text.startswith("[")
        text = _plain(text.strip("[]")) if is_inside else text
        if text.startswith("V:"):
            self.voice = self.voices["".join(text[2:].split()[:1])]
        value = text[2:].partition("%")[0].strip()
        if text[0] in "KLM":
            self.values[text[0]] = value
        if text.startswith("M:"):
            text = f"{text}\n{text}"
        voice, here = self.voice, len(self.parts)
        if voice.is_new and voice.begins is not None:
            if self.starts.pop(voice.begins, None):
                self.starts[here] = "|:" if is_inside else "\n|:"
            voice.begins = here
        if text.startswith("P:") and self.order:
            if voice.begins != here:
                voice.begins, voice.marked, voice.is_new = here, "", True
            self.sections.append(_Section(value[:1], here, dict(self.values)))
        if text.startswith("V:") or (is_inside and text[0].islower()):  # the latter are words, and notes to music21
            return ""
        return f"\n{text}\n" if is_inside else text

    def _bars_of_rest(self, count: int) -> str:
        """So many bars, each with a rest as long as the metre says; empty where that is unknown."""
        try:
            metre = self.values["M"]
            bar = Fraction(1 if metre in ("C", "C|") else metre)
            unit = Fraction(self.values["L"]) if "L" in self.values else Fraction(1, 16 if bar < Fraction(3, 4) else 8)
            return "|".join([f"z{bar / unit}"] * min(count, MAX_BARS))
        except (KeyError, ValueError, ZeroDivisionError):
            return ""

    def _sign(self, part: re.Match[str]) -> str:
        """The accidental of a note, also one that is not written there."""
        voice, note, step = self.voice, part["note"], part["note"][0].upper()
        tied = voice.tied.pop(note, "")
        if part["sign"]:
            voice.signs[step] = part["sign"]
        sign: str = voice.signs.get(step, tied)
        if part["tie"] and sign:
            voice.tied[note] = sign
        return sign

    def _read_signs(self, grace: str) -> None:
        """The accidentals of grace notes, which hold to the end of the bar too."""
        for part in _PARTS.finditer(grace[1:-1]):
            if part["note"]:
                self._sign(part)

    def _bar(self, bar: str, has_ending: bool) -> str:
        """A bar line without the start of a repeat, which `starts` has."""
        voice, here = self.voice, len(self.parts)
        voice.signs.clear()
        ends, starts = bar.startswith(":"), bar.endswith(":")
        if ends and not voice.marked and voice.begins is not None:
            self.starts[voice.begins] = "\n|:" if re.match("[A-Za-z]:", self.parts[voice.begins]) else "|:"
        if ends or starts or (bar in ("||", "|]", "[|") and voice.marked != "sign"):
            voice.begins, voice.is_new = here, True
            voice.marked = "sign" if starts else "ending" if has_ending else ""
        if starts:
            self.starts[here] = "|:"
        return ":|" if ends else "" if starts else bar
