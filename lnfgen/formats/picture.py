"""Draw a piano-roll as a score is laid out: line below line, with bar numbers, names of pitches,
and struck notes."""

import io
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from lnfgen.music.drums import drum_of, drum_rows
from lnfgen.music.parts import ROLES
from lnfgen.music.pianoroll import Note, PianoRoll
from lnfgen.music.tonality import pitch_name
from lnfgen.music.tracks import DRUMS
from lnfgen.wording import counted

_BLACK_KEYS = frozenset((1, 3, 6, 8, 10))
_PAGE = 1.3  # the height of a picture over its width, which decides how many bars go on a line
_QUARTER, _PITCH = 0.3, 0.075  # inches for a quarter note and a semitone
_LEAST_WIDTH, _LINE_HEIGHTS = 5.0, (1.3, 4.0)  # inches of a line
# inches around all lines, and above each
_LEFT, _RIGHT, _HEAD, _FOOT, _ABOVE = 0.55, 0.2, 0.3, 0.2, 0.38
_DPI, _MOST_PIXELS = 110, (5000, 6500)
_MARGIN = 2  # pitches above the highest note and below the lowest
_NOTE, _STRIKE = "#85b3dc", "#173a5e"
# a note and its edge, where some were drawn
_GIVEN, _DRAWN = ("#c9ced5", "#6b727c"), ("#2a6cb0", "#0b1f33")
_PARTS = dict(zip(ROLES, ("#9c4695", "#0c7a80", "#4762b5", "#cc5428"), strict=True))  # as on a page
_LEGEND: dict[str, Any] = {
    "frameon": False,
    "fontsize": 9,
    "handlelength": 1.2,
    "columnspacing": 0.8,
}
_BLACK_ROW, _BEAT, _OCTAVE, _BAR = "#eef0f3", "#d9dde2", "#b9bfc7", "#8a929c"


def png_bytes(roll: PianoRoll) -> bytes:
    """A PNG of a roll, on lines with equally many bars. Time goes from left to right; all lines
    have the same pitches.

    An upbeat stands before the first bar line, and has no number.

    Each note is a box with a dark edge where it is known to be struck. Notes that were given are
    grey beside those that a model drew. Rows of black keys are shaded, and each C has its name.
    Pitches that do not sound are left out. Each part of a band has its colour, and each of its
    drums a row below the pitches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    band, names, roll = roll, drum_rows(roll), roll.merged  # which has a row for each step
    bars = [step for number, step in roll.bars().items() if number]
    low, high = (60, 59) if names and not roll.sounding.any() else _pitches_shown(roll)
    # the place of each among the pitches
    drums = {key: low - 3 - 2 * row for row, key in enumerate(names)}
    lowest = min([low, *(place - 1 for place in drums.values())])
    line_height = float(np.clip((high - lowest + 1) * _PITCH, *_LINE_HEIGHTS))
    per_line = _bars_per_line(len(bars), roll.num_steps / roll.steps_per_quarter, line_height)
    starts = [0, *bars[::per_line][1:]]
    ends = [*starts[1:], roll.num_steps]
    span = max(end - start for start, end in zip(starts, ends, strict=True))
    line_width = max(span / roll.steps_per_quarter * _QUARTER, _LEAST_WIDTH)
    left, head = _LEFT + 0.25 * bool(drums), _HEAD * (1 + bool(band.parts))
    width, height = left + line_width + _RIGHT, head + len(starts) * (_ABOVE + line_height) + _FOOT
    figure = Figure(
        (width, height), dpi=min(_DPI, _MOST_PIXELS[0] / width, _MOST_PIXELS[1] / height)
    )
    tempo = f"{roll.tempo_bpm:.4g}" if roll.tempo_bpm < 1e4 else f"{roll.tempo_bpm:.0f}"
    counts = counted(len(bars), "bar"), counted(len(band.notes()), "note")
    title = ", ".join(["{}/{}".format(*roll.time_signature), f"{tempo} quarters a minute", *counts])
    figure.text(left / width, 1 - _HEAD / height, title, fontsize=10)
    layers = _layers(band, drums)
    if band.parts or roll.drawn is not None:
        legend = {
            label: Patch(facecolor=face, edgecolor=edge, linewidth=0.4)
            for label, (face, edge), *_ in layers
        }
        place = (1, 1 - (head - _HEAD) / height)
        figure.legend(
            legend.values(),
            legend,
            loc="upper right",
            ncols=len(legend),
            bbox_to_anchor=place,
            **_LEGEND,
        )
    for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
        bottom = height - head - (index + 1) * (_ABOVE + line_height)
        axes = figure.add_axes(
            (left / width, bottom / height, line_width / width, line_height / height)
        )
        axes.set_xlim(start, start + span)
        axes.set_ylim(lowest - 0.5, high + 0.5)
        _mark_pitches(axes, range(low, high + 1), drums, start, end)
        numbered = dict(
            enumerate(bars[index * per_line : (index + 1) * per_line], start=index * per_line + 1)
        )
        _mark_time(axes, roll, numbered, start, end, line_width / span)
        for _, colours, part, places, notes in layers:
            inside = [note for note in notes if note[0] < end and note[0] + note[1] > start]
            _draw_notes(axes, part, inside, places, colours, line_width / span)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _layers(roll: PianoRoll, drums: dict[int, int]) -> list[Any]:
    """The groups of notes with one colour: label, colours of notes and edges, part, places of its
    drums, notes."""
    layers = []
    for number, role in enumerate(roll.roles or [""]):
        part, places = roll.part(number), drums if role == DRUMS else {}
        colours = (
            (_PARTS[role], _STRIKE) if role else (_NOTE, _STRIKE) if roll.drawn is None else _DRAWN
        )
        notes = part.notes()
        given = [note for note in notes if not part.was_drawn(note)]
        if roll.drawn is not None:
            layers.append(("given", (_GIVEN[0], _PARTS.get(role, _GIVEN[1])), part, places, given))
        layers.append((role or "drawn", colours, part, places, sorted({*notes} - {*given})))
    return layers


def _pitches_shown(roll: PianoRoll) -> tuple[int, int]:
    """The lowest and highest MIDI pitch to show: at least an octave, so that one C with its name is
    among them."""
    sounding = np.flatnonzero(roll.sounding.any(axis=0)) + roll.lowest_pitch
    low, high = (int(sounding[0]), int(sounding[-1])) if len(sounding) else (60, 71)
    low, high = low - _MARGIN, high + _MARGIN
    short = max(0, 13 - (high - low + 1))
    return max(low - short // 2, 0), min(high + short - short // 2, 127)


def _bars_per_line(num_bars: int, quarters: float, line_height: float) -> int:
    """The number of bars on a line that gives the shape of a page: 1 to 3, a multiple of 4 as
    phrases have, or all."""
    lines = max(1.0, math.sqrt(_PAGE * quarters * _QUARTER / (line_height + _ABOVE)))
    bars = max(num_bars / lines, _LEAST_WIDTH / _QUARTER * num_bars / quarters)
    return min(4 * round(bars / 4) if bars > 3 else max(1, round(bars)), num_bars)


def _mark_pitches(axes: Any, pitches: range, drums: dict[int, int], start: int, end: int) -> None:
    """Shade the rows of black keys, and draw a line below each C, with its name at the left, and
    those of drums."""
    _draw(
        axes,
        [(start, end, pitch, 0.5) for pitch in pitches if pitch % 12 in _BLACK_KEYS],
        facecolors=_BLACK_ROW,
    )
    _draw(axes, [(start, end, place, 1) for place in [*drums.values()][::2]], facecolors=_BLACK_ROW)
    named = {pitch: pitch_name(pitch) for pitch in pitches if pitch % 12 == 0}
    axes.hlines(
        [pitch - 0.5 for pitch in named], start, end, color=_OCTAVE, linewidth=0.7, zorder=1
    )
    named |= {place: drum_of(key)[0] for key, place in drums.items()}
    axes.set_yticks([*named], [*named.values()], fontsize=6 if drums else 8)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _mark_time(
    axes: Any, roll: PianoRoll, bars: dict[int, int], start: int, end: int, inches_per_step: float
) -> None:
    """Draw the bar lines with their numbers above, and thin lines for the beats where there is
    room."""
    low, high = axes.get_ylim()
    beat = 4 * roll.steps_per_quarter / roll.time_signature[1]
    if beat >= 1 and beat * inches_per_step > 0.1:
        # after an upbeat beats are counted from the bar line on
        first = start + (min(bars.values()) - start) % beat
        axes.vlines(np.arange(first, end, beat), low, high, color=_BEAT, linewidth=0.5, zorder=1)
    axes.vlines(list(bars.values()), low, high, color=_BAR, linewidth=0.8, zorder=2)
    axes.vlines(
        [end],
        low,
        high,
        color=_BAR,
        linewidth=2.0 if end == roll.num_steps else 0.8,
        zorder=2,
        clip_on=False,
    )
    # Where there is no room for all numbers, each second, fourth or eighth has one, as phrases have
    # 2, 4 or 8 bars.
    room = min((end - start) * inches_per_step / 0.3, 40)
    every = 2 ** max(0, math.ceil(math.log2(len(bars) / room)))
    for number, step in list(bars.items())[::every]:
        axes.annotate(
            str(number),
            (step, high),
            xytext=(0, 3),
            textcoords="offset points",
            fontsize=8,
            color=_STRIKE,
        )


def _draw_notes(
    axes: Any, roll: PianoRoll, notes: list[Note], drums: Any, colours: Any, per_step: float
) -> None:
    """Draw notes as boxes, of one colour with edges of another; a small gap separates those that
    follow each other."""
    # of inches
    gap, edge, half = min(0.1, 0.02 / per_step), min(0.35, 0.04 / per_step), 0.84 if drums else 0.42
    boxes = [
        (start, start + length - gap, drums.get(pitch, pitch), half)
        for start, length, pitch in notes
    ]
    note, strike = colours
    _draw(axes, boxes, facecolors=note, edgecolors=strike, linewidths=0.4, zorder=3)
    if roll.onsets is not None and not drums:
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
