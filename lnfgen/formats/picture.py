"""Draw a piano-roll as a score is laid out: line below line, with bar numbers, names of pitches, and struck notes."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lnfgen.music.pianoroll import Note, PianoRoll
from lnfgen.music.tonality import pitch_name
from lnfgen.wording import counted

_BLACK_KEYS = frozenset((1, 3, 6, 8, 10))
_PAGE = 1.3  # the height of a picture over its width, which decides how many bars go on a line
_QUARTER, _PITCH = 0.3, 0.075  # inches for a quarter note and a semitone
_LEAST_WIDTH, _LINE_HEIGHTS = 5.0, (1.3, 4.0)  # inches of a line
_LEFT, _RIGHT, _HEAD, _FOOT, _ABOVE = 0.55, 0.2, 0.3, 0.2, 0.38  # inches around all lines, and above each
_DPI, _MOST_PIXELS = 110, (5000, 6500)
_MARGIN = 2  # pitches above the highest note and below the lowest
_NOTE, _STRIKE = "#85b3dc", "#173a5e"
_GIVEN, _DRAWN = ("#c9ced5", "#6b727c"), ("#2a6cb0", "#0b1f33")  # a note and its edge, where some were drawn
_LEGEND: dict[str, Any] = {"frameon": False, "fontsize": 9, "handlelength": 1.2, "columnspacing": 0.8}
_BLACK_ROW, _BEAT, _OCTAVE, _BAR = "#eef0f3", "#d9dde2", "#b9bfc7", "#8a929c"


def png_bytes(roll: PianoRoll) -> bytes:
    """A PNG of a roll, on lines with equally many bars. Time goes from left to right; all lines have the same pitches.

    An upbeat stands before the first bar line, and has no number.

    Each note is a box with a dark edge where it is known to be struck. Notes that were given are grey beside those that
    a model drew. Rows of black keys are shaded, and each C has its name. Pitches that do not sound are left out.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    notes, bars = roll.notes(), [step for number, step in roll.bars().items() if number]
    low, high = _pitches_shown(roll)
    line_height = float(np.clip((high - low + 1) * _PITCH, *_LINE_HEIGHTS))
    per_line = _bars_per_line(len(bars), roll.num_steps / roll.steps_per_quarter, line_height)
    starts = [0, *bars[::per_line][1:]]
    ends = [*starts[1:], roll.num_steps]
    span = max(end - start for start, end in zip(starts, ends, strict=True))
    line_width = max(span / roll.steps_per_quarter * _QUARTER, _LEAST_WIDTH)
    width, height = _LEFT + line_width + _RIGHT, _HEAD + len(starts) * (_ABOVE + line_height) + _FOOT
    figure = Figure((width, height), dpi=min(_DPI, _MOST_PIXELS[0] / width, _MOST_PIXELS[1] / height))
    tempo = f"{roll.tempo_bpm:.4g}" if roll.tempo_bpm < 1e4 else f"{roll.tempo_bpm:.0f}"
    metre, counts = "{}/{}".format(*roll.time_signature), (counted(len(bars), "bar"), counted(len(notes), "note"))
    title = ", ".join([metre, f"{tempo} quarters a minute", *counts])
    figure.text(_LEFT / width, 1 - _HEAD / height, title, fontsize=10)
    groups = [((_NOTE, _STRIKE), notes)]
    if roll.drawn is not None:
        given = [notes[place] for place in roll.given_notes()]
        groups = [(_GIVEN, given), (_DRAWN, sorted({*notes} - {*given}))]
        boxes = [Patch(facecolor=face, edgecolor=edge, linewidth=0.4) for (face, edge), _ in groups]
        figure.legend(boxes, ["given", "drawn"], loc="upper right", ncols=2, **_LEGEND)
    for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
        bottom = height - _HEAD - (index + 1) * (_ABOVE + line_height)
        axes = figure.add_axes((_LEFT / width, bottom / height, line_width / width, line_height / height))
        axes.set_xlim(start, start + span)
        axes.set_ylim(low - 0.5, high + 0.5)
        _mark_pitches(axes, range(low, high + 1), start, end)
        numbered = dict(enumerate(bars[index * per_line : (index + 1) * per_line], start=index * per_line + 1))
        _mark_time(axes, roll, numbered, start, end, line_width / span)
        for colours, group in groups:
            inside = [note for note in group if note[0] < end and note[0] + note[1] > start]
            _draw_notes(axes, roll, inside, colours, line_width / span)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _pitches_shown(roll: PianoRoll) -> tuple[int, int]:
    """The lowest and highest MIDI pitch to show: at least an octave, so that one C with its name is among them."""
    sounding = np.flatnonzero(roll.sounding.any(axis=0)) + roll.lowest_pitch
    low, high = (int(sounding[0]), int(sounding[-1])) if len(sounding) else (60, 71)
    low, high = low - _MARGIN, high + _MARGIN
    short = max(0, 13 - (high - low + 1))
    return max(low - short // 2, 0), min(high + short - short // 2, 127)


def _bars_per_line(num_bars: int, quarters: float, line_height: float) -> int:
    """The number of bars on a line that gives the shape of a page: 1 to 3, a multiple of 4 as phrases have, or all."""
    lines = max(1.0, math.sqrt(_PAGE * quarters * _QUARTER / (line_height + _ABOVE)))
    bars = max(num_bars / lines, _LEAST_WIDTH / _QUARTER * num_bars / quarters)
    return min(4 * round(bars / 4) if bars > 3 else max(1, round(bars)), num_bars)


def _mark_pitches(axes: Any, pitches: range, start: int, end: int) -> None:
    """Shade the rows of black keys, and draw a line below each C, with its name at the left."""
    _draw(axes, [(start, end, pitch, 0.5) for pitch in pitches if pitch % 12 in _BLACK_KEYS], facecolors=_BLACK_ROW)
    named = [pitch for pitch in pitches if pitch % 12 == 0]
    axes.hlines([pitch - 0.5 for pitch in named], start, end, color=_OCTAVE, linewidth=0.7, zorder=1)
    axes.set_yticks(named, [pitch_name(pitch) for pitch in named], fontsize=8)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _mark_time(axes: Any, roll: PianoRoll, bars: dict[int, int], start: int, end: int, inches_per_step: float) -> None:
    """Draw the bar lines with their numbers above, and thin lines for the beats where there is room."""
    low, high = axes.get_ylim()
    beat = 4 * roll.steps_per_quarter / roll.time_signature[1]
    if beat >= 1 and beat * inches_per_step > 0.1:
        first = start + (min(bars.values()) - start) % beat  # after an upbeat beats are counted from the bar line on
        axes.vlines(np.arange(first, end, beat), low, high, color=_BEAT, linewidth=0.5, zorder=1)
    axes.vlines(list(bars.values()), low, high, color=_BAR, linewidth=0.8, zorder=2)
    axes.vlines([end], low, high, color=_BAR, linewidth=2.0 if end == roll.num_steps else 0.8, zorder=2, clip_on=False)
    # Where there is no room for all numbers, each second, fourth or eighth has one, as phrases have 2, 4 or 8 bars.
    room = min((end - start) * inches_per_step / 0.3, 40)
    every = 2 ** max(0, math.ceil(math.log2(len(bars) / room)))
    for number, step in list(bars.items())[::every]:
        axes.annotate(str(number), (step, high), xytext=(0, 3), textcoords="offset points", fontsize=8, color=_STRIKE)


def _draw_notes(axes: Any, roll: PianoRoll, notes: list[Note], colours: Sequence[str], inches_per_step: float) -> None:
    """Draw notes as boxes, of one colour with edges of another; a small gap separates those that follow each other."""
    gap, edge = min(0.1, 0.02 / inches_per_step), min(0.35, 0.04 / inches_per_step)
    boxes = [(start, start + length - gap, pitch, 0.42) for start, length, pitch in notes]
    note, strike = colours
    _draw(axes, boxes, facecolors=note, edgecolors=strike, linewidths=0.4, zorder=3)
    if roll.onsets is not None:
        struck = [
            (left, left + edge, pitch, half)
            for left, _, pitch, half in boxes
            if roll.onsets[int(left), pitch - roll.lowest_pitch]
        ]
        _draw(axes, struck, facecolors=strike, linewidths=0, zorder=4)


def _draw(axes: Any, boxes: Iterable[tuple[float, float, int, float]], **style: Any) -> None:
    """Draw boxes, each as (left, right, pitch, half of its height)."""
    from matplotlib.collections import PolyCollection

    corners = [
        [(left, pitch - half), (right, pitch - half), (right, pitch + half), (left, pitch + half)]
        for left, right, pitch, half in boxes
    ]
    axes.add_collection(PolyCollection(corners, **{"linewidths": 0, "zorder": 0, **style}))
