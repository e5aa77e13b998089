"""Draw a song's piano-roll as a score is laid out: line below line, with numbers of bars."""

import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lnfgen.formats.chord_names import chord_names
from lnfgen.music.drums import drum_of, drum_rows
from lnfgen.music.notes import Note
from lnfgen.music.parts import ROLES
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song, as_song
from lnfgen.music.tonality import pitch_name
from lnfgen.music.tracks import DRUMS
from lnfgen.wording import counted

_BLACK_KEYS = frozenset((1, 3, 6, 8, 10))

# Sizes in inches.
_QUARTER = 0.3  # the width of a quarter note
_PITCH = 0.075  # the height of a semitone
_LEAST_WIDTH = 5.0  # of a line
_LEAST_HEIGHT = 1.3  # of a line
_MOST_HEIGHT = 4.0  # of a line
_LEFT = 0.55  # the margin beside all lines, with names of pitches
_LEFT_OF_DRUMS = 0.25  # what names of drums need beside that
_RIGHT = 0.2
_HEAD = 0.3  # above all lines, for the title; as much again for the legend of a band
_FOOT = 0.2
_ABOVE = 0.38  # above each line, for its bar numbers
_CHORDS = 0.17  # above these, for the names of chords
_SIZE_OF_CHORDS = 9  # points
_WIDTH_OF_LETTER = 0.09  # of these names, on average

_SHAPE = 1.3  # the height of a picture over its width, which decides how many bars go on a line
_DPI = 110
_MOST_PIXELS = (5000, 6500)  # the width and the height
_MARGIN = 2  # pitches above the highest note and below the lowest

_NOTE = "#85b3dc"
_STRIKE = "#173a5e"
# A note and its edge, where a model drew some of the notes.
_GIVEN = ("#c9ced5", "#6b727c")
_DRAWN = ("#2a6cb0", "#0b1f33")
# As on a page.
_PARTS = dict(zip(ROLES, ("#9c4695", "#0c7a80", "#4762b5", "#cc5428"), strict=True))
_BLACK_ROW = "#eef0f3"
_BEAT = "#d9dde2"
_OCTAVE = "#b9bfc7"
_BAR = "#8a929c"
_LEGEND: dict[str, Any] = {
    "loc": "upper right",
    "frameon": False,
    "fontsize": 9,
    "handlelength": 1.2,
    "columnspacing": 0.8,
}


@dataclass(frozen=True)
class _Line:
    """The steps on a line of a picture, and the step where each bar on it starts, by its number."""

    start: int
    end: int
    bars: dict[int, int]


@dataclass(frozen=True)
class _Layout:
    """What goes where in a picture. Sizes are in inches."""

    pitches: range  # those that are shown
    drums: dict[int, int]  # the place of each drum among the pitches, by its key
    lowest: int  # the lowest place that is shown
    lines: list[_Line]
    span: int  # how many steps the longest line has
    line_width: float
    line_height: float
    left: float
    head: float
    above: float  # a line

    @property
    def width(self) -> float:
        return self.left + self.line_width + _RIGHT

    @property
    def height(self) -> float:
        return self.head + len(self.lines) * (self.above + self.line_height) + _FOOT

    @property
    def inches_per_step(self) -> float:
        return self.line_width / self.span

    def place_of_line(self, index: int) -> tuple[float, float, float, float]:
        """Left, bottom, width and height of a line, as shares of the picture."""
        bottom = self.height - self.head - (index + 1) * (self.above + self.line_height)
        return (
            self.left / self.width,
            bottom / self.height,
            self.line_width / self.width,
            self.line_height / self.height,
        )


@dataclass(frozen=True)
class _Layer:
    """A group of notes with one colour."""

    label: str
    colour: str
    edge: str
    drums: dict[int, int]  # the place of each drum by its key, if it is the part of drums
    notes: list[Note]
    struck: frozenset[tuple[int, int]]  # (step, MIDI pitch) of each note with a known onset


def png_bytes(piece: Song | PianoRoll) -> bytes:
    """A PNG of a piece, on lines with equally many bars.

    Time goes from left to right, and all lines have the same pitches. An upbeat stands before the
    first bar line, and has no number.

    Each note is a box with a dark edge where it is known to be struck. Notes that were given are
    grey beside those that a model drew. Rows of black keys are shaded, and each C has its name.
    Pitches that do not sound are left out. The names of a song's chords stand above the bar numbers
    where there is room. Each part of a band has its colour, and each of its
    drums a row below the pitches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    song = as_song(piece)
    roll = song.roll
    layout = _layout(song)
    layers = _layers(song, layout.drums)
    most_wide, most_high = _MOST_PIXELS
    dpi = min(_DPI, most_wide / layout.width, most_high / layout.height)
    figure = Figure((layout.width, layout.height), dpi=dpi)
    head = 1 - _HEAD / layout.height
    figure.text(layout.left / layout.width, head, _title(roll), fontsize=10)
    if roll.parts or song.drawn is not None:
        _add_legend(figure, layout, layers)
    names = chord_names(song)
    for index, line in enumerate(layout.lines):
        axes = figure.add_axes(layout.place_of_line(index))
        axes.set_xlim(line.start, line.start + layout.span)
        axes.set_ylim(layout.lowest - 0.5, layout.pitches.stop - 0.5)
        _mark_pitches(axes, layout, line)
        _mark_time(axes, roll, line, layout.inches_per_step)
        _mark_chords(axes, names, line, layout.inches_per_step)
        for layer in layers:
            _draw_notes(axes, layer, line, layout.inches_per_step)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _layout(song: Song) -> _Layout:
    roll = song.roll
    keys_of_drums = drum_rows(roll)
    has_drums = bool(keys_of_drums)
    merged = roll.merged  # without the drums
    pitches = _pitches_shown(merged)
    if has_drums and not merged.sounding.any():
        pitches = range(60, 60)
    # Each drum has a row of two places, below a gap.
    drums = {key: pitches.start - 3 - 2 * row for row, key in enumerate(keys_of_drums)}
    lowest = min([pitches.start, *[place - 1 for place in drums.values()]])
    num_places = pitches.stop - lowest
    line_height = float(np.clip(num_places * _PITCH, _LEAST_HEIGHT, _MOST_HEIGHT))
    lines = _lines(roll, line_height)
    span = max(line.end - line.start for line in lines)
    left = _LEFT
    if has_drums:
        left += _LEFT_OF_DRUMS
    head = _HEAD
    if roll.parts:
        head += _HEAD
    above = _ABOVE
    if song.origin.chords:
        above += _CHORDS
    return _Layout(
        pitches=pitches,
        drums=drums,
        lowest=lowest,
        lines=lines,
        span=span,
        line_width=max(span / roll.steps_per_quarter * _QUARTER, _LEAST_WIDTH),
        line_height=line_height,
        left=left,
        head=head,
        above=above,
    )


def _lines(roll: PianoRoll, line_height: float) -> list[_Line]:
    """The steps and bars of each line. An upbeat stands on the first line."""
    starts_of_bars = [step for number, step in roll.bars().items() if number > 0]
    num_bars = len(starts_of_bars)
    edges = [0, *starts_of_bars[1:], roll.num_steps]
    quarters = roll.num_steps / roll.steps_per_quarter
    per_line = _bars_per_line(num_bars, quarters, line_height)
    lines = []
    for first in range(0, num_bars, per_line):
        following = min(first + per_line, num_bars)
        bars = {}
        for index in range(first, following):
            bars[index + 1] = starts_of_bars[index]
        lines.append(_Line(edges[first], edges[following], bars))
    return lines


def _bars_per_line(num_bars: int, quarters: float, line_height: float) -> int:
    """The number of bars on a line that gives the shape of a page.

    It is 1 to 3, a multiple of 4 as phrases have, or all.
    """
    lines = max(1.0, math.sqrt(_SHAPE * quarters * _QUARTER / (line_height + _ABOVE)))
    bars_of_least_width = _LEAST_WIDTH / _QUARTER * num_bars / quarters
    bars = max(num_bars / lines, bars_of_least_width)
    rounded = 4 * round(bars / 4) if bars > 3 else max(1, round(bars))
    return min(rounded, num_bars)


def _pitches_shown(roll: PianoRoll) -> range:
    """The MIDI pitches to show: at least an octave, so that one C with its name is among them."""
    sounding = np.flatnonzero(roll.sounding.any(axis=(0, 1))) + roll.lowest_pitch
    low = 60
    high = 71
    if len(sounding) > 0:
        low = int(sounding[0])
        high = int(sounding[-1])
    low -= _MARGIN
    high += _MARGIN
    missing = max(0, 13 - (high - low + 1))
    missing_below = missing // 2
    low = max(low - missing_below, 0)
    high = min(high + missing - missing_below, 127)
    return range(low, high + 1)


def _title(roll: PianoRoll) -> str:
    """The line above a picture: time signature, tempo, and how many bars and notes there are."""
    beats, unit = roll.time_signature
    tempo = f"{roll.tempo_bpm:.4g}"
    if roll.tempo_bpm >= 1e4:
        tempo = f"{roll.tempo_bpm:.0f}"
    num_bars = sum(number > 0 for number in roll.bars())
    facts = [
        f"{beats}/{unit}",
        f"{tempo} quarters a minute",
        counted(num_bars, "bar"),
        counted(roll.num_notes, "note"),
    ]
    return ", ".join(facts)


def _layers(song: Song, drums: dict[int, int]) -> list[_Layer]:
    """The notes of each part; those that were given come before those that a model drew."""
    layers = []
    for part, role in enumerate(song.roll.roles or [""]):
        drums_of_part = drums if role == DRUMS else {}
        notes = song.roll.notes(part)
        struck = _struck(song.roll, part)
        if song.drawn is not None:
            colour, edge = _GIVEN
            edge = _PARTS.get(role, edge)
            given = [note for note in notes if not song.was_drawn(note, part)]
            layers.append(_Layer("given", colour, edge, drums_of_part, given, struck))
        if role:
            colour = _PARTS[role]
            edge = _STRIKE
        elif song.drawn is not None:
            colour, edge = _DRAWN
        else:
            colour = _NOTE
            edge = _STRIKE
        drawn = sorted(note for note in notes if song.was_drawn(note, part))
        layers.append(_Layer(role or "drawn", colour, edge, drums_of_part, drawn, struck))
    return layers


def _struck(roll: PianoRoll, part: int) -> frozenset[tuple[int, int]]:
    """(step, MIDI pitch) of each note of a part that is known to be struck."""
    if roll.onsets is None:
        return frozenset()
    steps, columns = np.nonzero(roll.onsets[:, part])
    pitches = columns + roll.lowest_pitch
    return frozenset(zip(steps.tolist(), pitches.tolist(), strict=True))


def _add_legend(figure: Any, layout: _Layout, layers: Iterable[_Layer]) -> None:
    from matplotlib.patches import Patch

    patches = {}
    for layer in layers:
        patches[layer.label] = Patch(facecolor=layer.colour, edgecolor=layer.edge, linewidth=0.4)
    top = 1 - (layout.head - _HEAD) / layout.height
    figure.legend(patches.values(), patches, ncols=len(patches), bbox_to_anchor=(1, top), **_LEGEND)


def _mark_pitches(axes: Any, layout: _Layout, line: _Line) -> None:
    """Mark the rows: those of black keys are shaded, and each C and each drum has its name.

    There is also a line below each C, and every second drum is shaded.
    """
    black_keys = [
        (line.start, line.end, pitch, 0.5) for pitch in layout.pitches if pitch % 12 in _BLACK_KEYS
    ]
    _draw(axes, black_keys, facecolors=_BLACK_ROW)
    places = list(layout.drums.values())
    shaded_drums = [(line.start, line.end, place, 1) for place in places[::2]]
    _draw(axes, shaded_drums, facecolors=_BLACK_ROW)
    names = {pitch: pitch_name(pitch) for pitch in layout.pitches if pitch % 12 == 0}
    edges = [pitch - 0.5 for pitch in names]
    axes.hlines(edges, line.start, line.end, color=_OCTAVE, linewidth=0.7, zorder=1)
    for key, place in layout.drums.items():
        names[place] = drum_of(key)[0]
    size = 6 if layout.drums else 8
    axes.set_yticks(list(names), list(names.values()), fontsize=size)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _mark_time(axes: Any, roll: PianoRoll, line: _Line, inches_per_step: float) -> None:
    """Draw the bar lines with their numbers above, and thin lines for beats if there is room."""
    low, high = axes.get_ylim()
    beat = 4 * roll.steps_per_quarter / roll.time_signature[1]
    if beat >= 1 and beat * inches_per_step > 0.1:
        # After an upbeat, beats are counted from the bar line on.
        first = line.start + (min(line.bars.values()) - line.start) % beat
        beats = np.arange(first, line.end, beat)
        axes.vlines(beats, low, high, color=_BEAT, linewidth=0.5, zorder=1)
    axes.vlines(list(line.bars.values()), low, high, color=_BAR, linewidth=0.8, zorder=2)
    width_of_last = 2.0 if line.end == roll.num_steps else 0.8
    axes.vlines([line.end], low, high, color=_BAR, linewidth=width_of_last, zorder=2, clip_on=False)
    # Where there is no room for all numbers, each second, fourth or eighth has one, as phrases have
    # 2, 4 or 8 bars.
    room = min((line.end - line.start) * inches_per_step / 0.3, 40)
    every = 2 ** max(0, math.ceil(math.log2(len(line.bars) / room)))
    for number, step in list(line.bars.items())[::every]:
        axes.annotate(
            str(number),
            (step, high),
            xytext=(0, 3),
            textcoords="offset points",
            fontsize=8,
            color=_STRIKE,
        )


def _mark_chords(
    axes: Any, names: Iterable[tuple[float, str]], line: _Line, inches_per_step: float
) -> None:
    """Write the names of chords above a line, without those that the name before leaves no room.

    The chord at the start of a line is named there again.
    """
    _, high = axes.get_ylim()
    own = [(step, name) for step, name in names if line.start <= step < line.end]
    before = [name for step, name in names if step <= line.start]
    if before and (not own or own[0][0] > line.start):
        own.insert(0, (line.start, before[-1]))
    free = float(line.start)
    for step, name in own:
        if step < free:
            continue
        axes.annotate(
            name,
            (step, high),
            xytext=(0, 3 + 72 * _CHORDS),
            textcoords="offset points",
            fontsize=_SIZE_OF_CHORDS,
            fontweight="bold",
            color=_STRIKE,
        )
        free = step + (len(name) + 1) * _WIDTH_OF_LETTER / inches_per_step


def _draw_notes(axes: Any, layer: _Layer, line: _Line, inches_per_step: float) -> None:
    """Draw the notes of a layer on a line as boxes.

    A small gap separates those that follow each other. Where onsets are known, a struck note begins
    with a dark edge.
    """
    gap = min(0.1, 0.02 / inches_per_step)
    half = 0.84 if layer.drums else 0.42
    boxes = []
    for start, length, pitch in layer.notes:
        if start < line.end and start + length > line.start:
            place = layer.drums.get(pitch, pitch)
            boxes.append((start, start + length - gap, place, half))
    _draw(axes, boxes, facecolors=layer.colour, edgecolors=layer.edge, linewidths=0.4, zorder=3)
    if not layer.struck or layer.drums:
        return
    edge = min(0.35, 0.04 / inches_per_step)
    struck = [
        (start, start + edge, pitch, half)
        for start, _, pitch, _ in boxes
        if (start, pitch) in layer.struck
    ]
    _draw(axes, struck, facecolors=layer.edge, linewidths=0, zorder=4)


def _draw(axes: Any, boxes: Iterable[tuple[float, float, int, float]], **style: Any) -> None:
    """Draw boxes, each as (left, right, pitch, half of its height)."""
    from matplotlib.collections import PolyCollection

    corners = [
        [(left, pitch - half), (right, pitch - half), (right, pitch + half), (left, pitch + half)]
        for left, right, pitch, half in boxes
    ]
    axes.add_collection(PolyCollection(corners, **{"linewidths": 0, "zorder": 0, **style}))
