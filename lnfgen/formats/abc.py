"""Read ABC tunes.

Source: the abc music standard 2.1, abcnotation.com/wiki/abc:standard:v2.1; its sections are in
brackets below. music21 has a reader of ABC too. It is not used, because it reads many tunes
otherwise than the standard: repeats with other endings than two, sections, fields inside a line,
overlays, tied chords, accidentals that hold to the end of a bar.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from lnfgen.formats.abc_fields import (
    ALTERATIONS,
    chord_of,
    key_signature,
    note_length,
    octave_shifts,
    section_order,
    tempo_of,
    time_signature_of,
    unit_length,
    without_clef,
    written_key,
)
from lnfgen.formats.abc_voices import OVERLAY, ChordSymbol, Item, Repeat, Voice, lay_out
from lnfgen.formats.events import Events
from lnfgen.music.tonality import NATURALS

MAX_BARS = 1000  # of one rest; more are a misprint, and would fill the memory

# The name of the last group that a token matches is its kind. Text that no kind matches is skipped.
_TOKENS = re.compile(
    r"""
    (?P<field> ^[A-Za-z]:(?!\|).* | \[[A-Za-z]:[^\]\n]{0,300}\] )
    | (?P<symbol> "(?P<text>[^"\n]*)" )
    | (?P<words> %.* | ![^!|\n]{1,20}! )
    | (?P<tuplet> \((?P<numbers>\d(?::\d?){0,2}) )
    | (?P<bar>
        (?P<line> :*\|[|\]:]* | ::+ | \[\|[\]:]* )
        (?P<ending> (?:[\s\\]|%.*\n|^w:.*\n){0,99} \[?\d{1,2}(?:[,-]\d{1,2})* )?
      )
    | (?P<grace> \{[^{}\n]*\} )
    | (?P<note> (?P<sign>\^\^?|__?|=)? (?P<name>[A-Ga-g][,']*) (?P<length>[\d/]*) )
    | (?P<rest> [xz] (?P<length_of_rest>[\d/]*) )
    | (?P<chord> \[(?!\d) )
    | (?P<end_of_chord> \] (?P<length_of_chord>[\d/]*) )
    | (?P<tie> - )
    | (?P<broken> >{1,3} | <{1,3} )
    | (?P<bars_of_rest> [ZX] (?P<bars>\d*) )
    | (?P<overlay> & )
    """,
    re.MULTILINE | re.VERBOSE,
)
# How many notes last as long as those of a tuplet (4.13). Of other numbers it is 3 in a compound
# time signature, and else 2.
_NORMAL_NOTES = {1: 1, 2: 3, 3: 2, 4: 3, 6: 2, 8: 3}
_PLACES = "^_<>@"  # of texts above, below and beside a note


@dataclass
class _ChordNote:
    """A note of a chord. Its length is in units."""

    length: Fraction
    pitch: int
    name: str
    is_tied: bool = False


def read_tunes(book: str) -> Iterator[Events]:
    """The tunes of an ABC book, each after the text before the first one, which holds for all.

    Each is read when it is asked for.

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
    book = re.sub(r"\r\n?", "\n", book)
    head, *tunes = re.split(r"^(?=X:)", book, flags=re.MULTILINE)
    if not tunes:
        yield _Tune(head).events()
    for tune in tunes:
        yield _Tune(head + tune).events()


def _split_header(tune: str) -> tuple[str, str]:
    """The header of a tune, which ends with its first field K:, and the music after it.

    Without that field, the header is all lines of fields, comments and space at the start.
    """
    key_line = re.search(r"^K:.*\n?", tune, re.MULTILINE)
    if key_line is not None:
        end = key_line.end()
    else:
        first_lines = re.match(r"(?:[A-Za-z]:.*\n|%.*\n|\s*\n)*", tune)
        end = first_lines.end() if first_lines else 0
    return tune[:end], tune[end:]


class _Tune:
    """Reads one tune."""

    def __init__(self, tune: str) -> None:
        header, self.body = _split_header(tune)
        fields = re.findall(r"^([A-Za-z]):([^%\n]*)", header, re.MULTILINE)
        first = dict(reversed(fields))
        last = dict(fields)
        if not last.keys() & {"K", "L", "M"}:
            raise ValueError("a tune without a field K:")
        rule = re.search(r"propagate-accidentals\s+(\w+)", tune)
        self.accidentals_hold = rule[1] if rule else "pitch"  # or "octave", or "not"
        self.title = first.get("T", "")  # any others are subtitles
        self.order = section_order(first.get("P", ""))
        # The letter of each section, and where it starts in the items.
        self.sections: list[tuple[str, int]] = []

        key = last.get("K", "C")
        time_signature = time_signature_of(last.get("M", ""))
        unit = unit_length(last.get("L", "")) or _usual_unit(time_signature)
        self.voice = Voice(without_clef(key), unit, time_signature, octave_shifts(key))
        self.voices = {"": self.voice}
        self.key = written_key(self.voice.key)
        for name, text in fields:
            if name == "Q":
                self._add_tempo(text)
        # The notes of the chord that is being read.
        self.chord: list[_ChordNote] | None = None
        voice_lines = re.findall(r"^V:[ \t]*(\S+)([^%\n]*)", header, re.MULTILINE)
        # The octaves of the voices that the header defines.
        self.defined = {name: octave_shifts(properties) for name, properties in voice_lines}
        self.readers: dict[str, Callable[[re.Match[str]], None]] = {
            "field": self._read_field,
            "symbol": self._read_symbol,
            "tuplet": self._read_tuplet,
            "bar": self._read_bar,
            "grace": self._read_grace,
            "note": self._read_note,
            "rest": self._read_rest,
            "chord": self._open_chord,
            "end_of_chord": self._close_chord,
            "tie": self._read_tie,
            "broken": self._read_broken,
            "bars_of_rest": self._read_bars_of_rest,
            "overlay": self._read_overlay,
        }

    def events(self) -> Events:
        """The tracks, tempos and time signatures of the tune. Times are in quarters."""
        time_signature = self.voice.time_signature
        for token in _TOKENS.finditer(self.body):
            kind = token.lastgroup
            if kind in self.readers:
                self.readers[kind](token)
        if len(self.voices) == 1:
            self.voice.items = self._in_order()
        events = Events(title=self.title)
        if self.key is not None:
            events.keys.append((Fraction(0), self.key))
        if time_signature is not None:
            events.signatures.append((Fraction(0), time_signature))
        for voice in self.voices.values():
            lay_out(voice.items, time_signature, events)
        return events

    def _in_order(self) -> list[Item]:
        """The items of the one voice that there is, with the sections in the header's order.

        If the tune lacks one of these sections, its items stay as they are.
        """
        items = self.voice.items
        stretches: dict[str, list[Item]] = {}
        stops = [start for _, start in self.sections[1:]]
        stops.append(len(items))
        for (letter, start), stop in zip(self.sections, stops, strict=False):
            stretches.setdefault(letter, items[start:stop])
        if not self.order or not set(self.order) <= set(stretches):
            return items
        _, first_start = self.sections[0]
        ordered = items[:first_start]
        for letter in self.order:
            ordered += stretches[letter]
        return ordered

    def _read_note(self, token: re.Match[str]) -> None:
        name = token["name"]
        octaves = sum(self.voice.octaves.values()) + name.count("'") - name.count(",")
        if name[0].islower():
            octaves += 1
        natural = 60 + NATURALS[name[0].upper()] + 12 * octaves
        pitch = natural + self._alteration(name, token["sign"])
        length = note_length(token["length"])
        if self.chord is None:
            self.voice.add(length, {pitch: name})
        else:
            self.chord.append(_ChordNote(length, pitch, name))

    def _read_rest(self, token: re.Match[str]) -> None:
        if self.chord is None:
            self.voice.add(note_length(token["length_of_rest"]), {})

    def _read_symbol(self, token: re.Match[str]) -> None:
        """Read a chord symbol (4.18). Other texts begin with their place (4.19)."""
        text = token["text"].strip()
        if text and text[0] not in _PLACES:
            self.voice.items.append(ChordSymbol(chord_of(text)))

    def _read_grace(self, token: re.Match[str]) -> None:
        """Read grace notes. They do not sound, but their accidentals hold to the end of the bar."""
        for grace in _TOKENS.finditer(token["grace"][1:-1]):
            if grace["name"]:
                self._alteration(grace["name"], grace["sign"])

    def _alteration(self, name: str, sign: str | None) -> int:
        """By how many semitones a note is altered.

        Its own sign counts first, then that of the bar, of a tied note, and of the key. A sign of
        its own holds from here on.
        """
        voice = self.voice
        step = name[0].upper()
        tied = voice.tied.pop(name, None)
        usual = tied
        if usual is None:
            usual = key_signature(voice.key).get(step, 0)
        if self.accidentals_hold == "not":
            return usual if sign is None else ALTERATIONS[sign]
        place = name if self.accidentals_hold == "octave" else step
        if sign is not None:
            voice.signs[place] = ALTERATIONS[sign]
        return voice.signs.get(place, usual)

    def _open_chord(self, _: re.Match[str]) -> None:
        self.chord = []

    def _close_chord(self, token: re.Match[str]) -> None:
        """Add the chord. It lasts as long as its first note, times the number behind the chord."""
        notes = self.chord
        self.chord = None
        if not notes:
            return
        length = notes[0].length * note_length(token["length_of_chord"])
        self.voice.add(length, {note.pitch: note.name for note in notes})
        sound = self.voice.last_sound()
        assert sound is not None
        self.voice.tie(sound, [note.pitch for note in notes if note.is_tied])

    def _read_tie(self, _: re.Match[str]) -> None:
        if self.chord:
            self.chord[-1].is_tied = True
            return
        sound = self.voice.last_sound()
        if sound is not None:
            self.voice.tie(sound, list(sound.pitches))

    def _read_tuplet(self, token: re.Match[str]) -> None:
        """Read `(p:q:r`: put p notes into the time of q, for the next r notes (4.13)."""
        voice = self.voice
        numbers = [int(number or 0) for number in token["numbers"].split(":")]
        numbers += [0] * (3 - len(numbers))
        actual = numbers[0] or 1
        is_compound = (
            voice.time_signature is not None
            and voice.time_signature[1] >= 8
            and voice.time_signature[0] % 3 == 0
        )
        usual = _NORMAL_NOTES.get(actual, 2)
        if is_compound and actual not in _NORMAL_NOTES:
            usual = 3
        voice.tuplet_ratio = Fraction(numbers[1] or usual, actual)
        voice.tuplet_left = numbers[2] or actual

    def _read_broken(self, token: re.Match[str]) -> None:
        """Read `>`, which makes the last note longer and the next one shorter, or `<` (4.4)."""
        last = self.voice.last_sound()
        if last is None:
            return
        signs = token["broken"]
        short = Fraction(1, 2 ** len(signs))
        long = 2 - short
        if signs[0] == ">":
            last.length = last.written * long
            self.voice.broken = short
        else:
            last.length = last.written * short
            self.voice.broken = long

    def _read_bars_of_rest(self, token: re.Match[str]) -> None:
        self.voice.add_bars_of_rest(min(int(token["bars"] or 1), MAX_BARS))

    def _read_overlay(self, _: re.Match[str]) -> None:
        self.voice.items.append(OVERLAY)

    def _read_field(self, token: re.Match[str]) -> None:
        """Read a field, which may change the voice."""
        text = token["field"].strip("[]")
        voice = self.voice
        name = text[0]
        value = text[2:].partition("%")[0].strip()
        if name == "V":
            self._change_voice(value)
        elif name == "K":
            voice.octaves |= octave_shifts(value)
            voice.key = without_clef(value) or voice.key
        elif name == "L":
            voice.unit = unit_length(value) or voice.unit
        elif name == "M":
            voice.time_signature = time_signature_of(value)
        elif name == "Q":
            self._add_tempo(value)
        elif name == "P" and self.order:
            voice.repeat = Repeat(len(voice.items))
            self.sections.append((value[:1], len(voice.items)))

    def _change_voice(self, value: str) -> None:
        """Go on with the voice of a field V:. A new one begins with the settings of the header."""
        words = value.split(maxsplit=1)
        name = words[0] if words else ""
        properties = words[1] if len(words) > 1 else ""
        if name not in self.voices:
            common = self.voices[""]
            octaves = common.octaves | self.defined.get(name, {})
            self.voices[name] = Voice(common.key, common.unit, common.time_signature, octaves)
        self.voice = self.voices[name]
        self.voice.octaves |= octave_shifts(properties)

    def _add_tempo(self, text: str) -> None:
        tempo = tempo_of(text)
        if tempo is not None:
            self.voice.items.append(tempo)

    def _read_bar(self, token: re.Match[str]) -> None:
        self.chord = None
        self.voice.end_bar(token["line"], _passes_of_ending(token["ending"] or ""))


def _usual_unit(time_signature: tuple[int, int] | None) -> Fraction:
    """The unit of a tune without a field L:, in quarters.

    It is a sixteenth note if a bar is shorter than 3/4, else an eighth (3.1.7).
    """
    if time_signature is not None and Fraction(*time_signature) < Fraction(3, 4):
        return Fraction(1, 4)
    return Fraction(1, 2)


def _passes_of_ending(text: str) -> list[int]:
    """The passes in which an ending is played, as 1, 3, 4 and 5 for `[1,3-5`."""
    passes: list[int] = []
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", text):
        passes += range(int(first), int(last or first) + 1)
    return passes
