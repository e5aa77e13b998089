"""Draw a piano-roll so that a musician can read it: names of pitches, bars, and where each note is struck."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np

from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.rolltext import pitch_name

_BLACK_KEYS = frozenset((1, 3, 6, 8, 10))
_INCHES_PER_QUARTER = 0.28
_WIDTHS = (6.0, 60.0)  # inches; less has no room for the labels, and viewers cannot open much more
_DPI = 110
_MARGIN = 2  # pitches above the highest note and below the lowest
_NOTE, _STRIKE = "#85b3dc", "#173a5e"


def png_bytes(roll: PianoRoll) -> bytes:
    """A PNG of a roll, with time in bars from left to right and pitch from low to high.

    Each note is a box with a dark edge where it is struck. Where onsets are not known there are no dark edges. The rows
    of black keys are shaded, and each C has its name. Only the pitches that sound are shown, with a margin.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

    notes = roll.notes()
    low, high = _pitches_shown(roll)
    width = min(max(roll.num_steps / roll.steps_per_quarter * _INCHES_PER_QUARTER + 1.5, _WIDTHS[0]), _WIDTHS[1])
    height = min(max((high - low + 1) * 0.11 + 1.2, 3.0), 12.0)
    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xlim(0, roll.num_steps)
    axes.set_ylim(low - 0.5, high + 0.5)

    for pitch in range(low, high + 1):
        if pitch % 12 in _BLACK_KEYS:
            axes.axhspan(pitch - 0.5, pitch + 0.5, color="#eef0f3", linewidth=0, zorder=0)
        if pitch % 12 == 0:
            axes.axhline(pitch - 0.5, color="#b9bfc7", linewidth=0.7, zorder=1)
    _mark_time(axes, roll, width)

    # A small gap separates notes that follow each other.
    gap, edge = 0.1, min(0.45, 0.11 * roll.steps_per_quarter)
    boxes = [_box(start, start + length - gap, pitch) for start, length, pitch in notes]
    axes.add_collection(PolyCollection(boxes, facecolors=_NOTE, edgecolors=_STRIKE, linewidths=0.4, zorder=3))
    if roll.onsets is not None:
        struck = [
            _box(start, start + edge, pitch)
            for start, _, pitch in notes
            if roll.onsets[start, pitch - roll.lowest_pitch]
        ]
        axes.add_collection(PolyCollection(struck, facecolors=_STRIKE, linewidths=0, zorder=4))

    named = [pitch for pitch in range(low, high + 1) if pitch % 12 == 0]
    axes.set_yticks(named, [pitch_name(pitch) for pitch in named])
    axes.set_ylabel("pitch")
    axes.tick_params(length=0)
    beats, unit = roll.time_signature
    tempo = f"{roll.tempo_bpm:.4g}" if roll.tempo_bpm < 1e4 else f"{roll.tempo_bpm:.0f}"
    axes.set_title(f"{beats}/{unit}, {tempo} quarters a minute, {len(notes)} notes", loc="left", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    canvas.print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _pitches_shown(roll: PianoRoll) -> tuple[int, int]:
    """The lowest and highest MIDI pitch to show: at least an octave, so that one C with its name is among them."""
    sounding = np.flatnonzero(roll.sounding.any(axis=0)) + roll.lowest_pitch
    low, high = (int(sounding[0]), int(sounding[-1])) if len(sounding) else (60, 71)
    low, high = low - _MARGIN, high + _MARGIN
    short = max(0, 13 - (high - low + 1))
    return max(low - short // 2, 0), min(high + short - short // 2, 127)


def _mark_time(axes: Any, roll: PianoRoll, width: float) -> None:
    """Draw the bar lines with their numbers below, and thin lines for the beats where there is room."""
    lines = roll.bar_lines()
    # Phrases often have 2, 4 or 8 bars, so each second, fourth or eighth has a number where there is no room for all.
    every = 2 ** max(0, math.ceil(math.log2(len(lines) / (width / 0.45))))
    for index, step in enumerate(lines):
        axes.axvline(step, color="#8a929c", linewidth=1.1 if index % every == 0 else 0.6, zorder=2)
    beat = 4 * roll.steps_per_quarter / roll.time_signature[1]
    if beat >= 1 and roll.num_steps / beat < width * 8:
        for position in np.arange(0, roll.num_steps, beat):
            axes.axvline(position, color="#d3d8de", linewidth=0.5, zorder=1)
    labels = [str(number) for number in range(1, len(lines) + 1, every)]
    axes.set_xticks(lines[::every], labels, ha="left", fontsize=8)
    axes.set_xlabel("bar")


def _box(left: float, right: float, pitch: int) -> list[tuple[float, float]]:
    bottom, top = pitch - 0.42, pitch + 0.42
    return [(left, bottom), (right, bottom), (right, top), (left, top)]
