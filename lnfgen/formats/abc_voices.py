"""The voices of an ABC tune: their sounds, repeats and overlays, and how these follow in time.

Source: the abc music standard 2.1, abcnotation.com/wiki/abc:standard:v2.1; its sections are in
brackets below.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from lnfgen.formats.events import Events, FileNote, Sound, join_ties
from lnfgen.music.chord import Chord
from lnfgen.music.tonality import NATURALS

BAR_LINE = "|"
OVERLAY = "&"

_DOUBLE_LINES = ("||", "|]", "[|")


@dataclass
class VoiceSound:
    """A note, a chord or a rest. Lengths are in quarters."""

    length: Fraction
    written: Fraction  # the length without `>` and `<`
    pitches: dict[int, str]  # MIDI pitches and their names; none in a rest
    time_signature: tuple[int, int] | None
    tied: set[int] = field(default_factory=set)  # pitches that are tied to the next sound


@dataclass(frozen=True)
class ChordSymbol:
    """A chord symbol above the next sound; None if its text names no chord."""

    chord: Chord | None


# A sound, `BAR_LINE`, `OVERLAY` for the start of an overlay, a tempo in quarters a minute, or a
# chord symbol.
Item = VoiceSound | str | float | ChordSymbol


@dataclass
class Repeat:
    """The music that the next end of a repeat plays again, as far as it has been read.

    Places are indices of items.
    """

    start: int
    is_marked: bool = False  # a sign is at its start
    first_ending: int | None = None  # the start of the first ending
    endings: dict[int, slice] = field(default_factory=dict)  # the ending of each pass
    numbers: Sequence[int] = ()  # the passes of the ending that is being read
    opened: int = 0  # where that ending starts
    bars: int = 0  # how many bars it has so far
    passes: int = 0  # how many passes are written
    bars_of_first: int = 0  # how many bars the first ending has

    def may_end(self, line: str) -> bool:
        """True if a new repeat may begin after this bar line, which has no sign of a repeat.

        Endings are equally long, so that the last one is over after as many bars as the first one
        has. A double bar line also ends a repeat, and music that is not marked as one.
        """
        was_played = self.passes > 0
        if was_played and self.bars >= self.bars_of_first:
            return True
        is_open = self.is_marked or self.first_ending is not None
        return line in _DOUBLE_LINES and (was_played or not is_open)


@dataclass
class Voice:
    """The music of a voice so far, and the settings that hold at its end."""

    key: str
    unit: Fraction  # in quarters
    time_signature: tuple[int, int] | None
    # By how many octaves each property of a field K: or V: moves the notes up.
    octaves: dict[str, int]
    items: list[Item] = field(default_factory=list)
    repeat: Repeat = field(default_factory=lambda: Repeat(0))
    # The accidentals of the bar, by the name of the note.
    signs: dict[str, int] = field(default_factory=dict)
    # Those of tied notes, by the name with its octave.
    tied: dict[str, int] = field(default_factory=dict)
    tuplet_ratio: Fraction = Fraction(1)  # the factor of the lengths of a tuplet's notes
    tuplet_left: int = 0  # how many notes of the tuplet are still to come
    broken: Fraction | None = None  # the factor of the length of the next note after `>` or `<`

    def add(self, length: Fraction, pitches: dict[int, str]) -> None:
        """Add a sound of so many units, with the names of its pitches."""
        written = length * self.unit
        if self.tuplet_left > 0:
            written *= self.tuplet_ratio
            self.tuplet_left -= 1
        sounding = written
        if self.broken is not None:
            sounding *= self.broken
            self.broken = None
        self.items.append(VoiceSound(sounding, written, pitches, self.time_signature))

    def add_bars_of_rest(self, count: int) -> None:
        """Add bars of rest, if the voice has a time signature."""
        if self.time_signature is None:
            return
        length = 4 * Fraction(*self.time_signature)
        rest = VoiceSound(length, length, {}, self.time_signature)
        self.items.append(rest)
        for _ in range(count - 1):
            self.items += [BAR_LINE, rest]

    def last_sound(self) -> VoiceSound | None:
        """The last item, if it is a sound."""
        if self.items and isinstance(self.items[-1], VoiceSound):
            return self.items[-1]
        return None

    def tie(self, sound: VoiceSound, pitches: Sequence[int]) -> None:
        """Tie these pitches of the last sound to the next one, which keeps their accidentals."""
        sound.tied.update(pitches)
        for pitch in pitches:
            name = sound.pitches[pitch]
            self.tied[name] = (pitch - NATURALS[name[0].upper()] + 6) % 12 - 6

    def end_bar(self, line: str, passes: Sequence[int]) -> None:
        """Add a bar line, and play again the music that ends there and is to be repeated (4.8).

        Args:
            line: the bar line, as `:|`.
            passes: those of the ending that begins after the line, if one does (4.9).
        """
        repeat = self.repeat
        self.signs.clear()
        self.items.append(BAR_LINE)
        repeat.bars += 1
        ends_repeat = line.startswith(":")
        starts_repeat = line.endswith(":")
        if ends_repeat and repeat.first_ending is None:
            self._play_again(line)
        elif ends_repeat:
            self._play_endings(is_followed=bool(passes))

        here = len(self.items)
        if passes:
            if repeat.first_ending is None:
                repeat.first_ending = here
            repeat.numbers = passes
            repeat.opened = here
            repeat.bars = 0
        elif ends_repeat or starts_repeat or repeat.may_end(line):
            self.repeat = Repeat(here, is_marked=starts_repeat)

    def _play_again(self, line: str) -> None:
        """Play a stretch without endings again, twice if it ends with `::|`."""
        times = 1
        if "|" in line:
            times = len(line) - len(line.lstrip(":"))
        self.items += self.items[self.repeat.start :] * times
        self.repeat.passes += 1

    def _play_endings(self, *, is_followed: bool) -> None:
        """Close the ending that is being read, and play the passes whose endings are known.

        If another ending follows, the stretch before the endings is played once more, ahead of it.
        """
        repeat = self.repeat
        stretch = slice(repeat.start, repeat.first_ending)
        repeat.passes += 1
        if repeat.bars_of_first == 0:
            repeat.bars_of_first = repeat.bars
        for number in repeat.numbers:
            repeat.endings[number] = slice(repeat.opened, len(self.items))
        while following := repeat.endings.get(repeat.passes + 1):
            self.items += self.items[stretch] + self.items[following]
            repeat.passes += 1
        if is_followed:
            self.items += self.items[stretch]


def lay_out(items: Sequence[Item], time_signature: tuple[int, int] | None, events: Events) -> None:
    """Put the items of a voice one after the other into `events`.

    They become a track, tempos and changes of the time signature, and the chord symbols of the
    piece if no other voice had any. `time_signature` is the one at the start.
    """
    sounds: list[Sound] = []
    chords: list[tuple[Fraction, Chord | None]] = []
    lines: set[int] = set()
    # Times are integers in the largest unit that divides all lengths, because the arithmetic of
    # fractions is slow. They become quarters at the end.
    lengths = {item.length.denominator for item in items if isinstance(item, VoiceSound)}
    unit = math.lcm(*lengths)
    time = 0
    bar_start = 0
    furthest = 0  # where the longest of the overlays of a bar ends
    for item in items:
        if isinstance(item, VoiceSound):
            if item.time_signature and item.time_signature != time_signature:
                time_signature = item.time_signature
                events.signatures.append((Fraction(time, unit), time_signature))
            length = item.length.numerator * (unit // item.length.denominator)
            sounds += _notes_of(item, time, time + length)
            time += length
        elif isinstance(item, float):
            events.tempos.append((Fraction(time, unit), item))
        elif isinstance(item, ChordSymbol):
            chords.append((Fraction(time, unit), item.chord))
        else:
            furthest = max(furthest, time)
            if item == BAR_LINE:
                bar_start = furthest
            time = bar_start  # an overlay sounds from the last bar line on
            lines.add(bar_start)
    events.chords = events.chords or chords
    _add_track(events, sounds, lines, max(furthest, time), unit)


def _notes_of(sound: VoiceSound, start: int, end: int) -> list[Sound]:
    """The notes of a sound between two times; none of one without a length."""
    if start == end:
        return []
    return [(start, end, pitch, False, pitch in sound.tied) for pitch in sound.pitches]


def _add_track(
    events: Events, sounds: Sequence[Sound], lines: Iterable[int], end: int, unit: int
) -> None:
    """Add the notes of a voice, and its first two bar lines if no other voice had any.

    Times become quarters, of which each has so many of the `unit`.
    """
    events.end = max(events.end, Fraction(end, unit))
    if not events.lines:
        inner_lines = [line for line in lines if 0 < line < end]
        events.lines = [Fraction(line, unit) for line in sorted(inner_lines)[:2]]
    notes = join_ties(sounds)
    if not notes:
        return
    quarters: dict[int, Fraction] = {}
    in_quarters: list[FileNote] = []
    for first, last, pitch in notes:
        for time in (first, last):
            if time not in quarters:
                quarters[time] = Fraction(time, unit)
        in_quarters.append((quarters[first], quarters[last], pitch))
    events.add(in_quarters)
