"""Pieces over charts, on a piano of four octaves."""

import numpy as np

from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.inference.known_music import KnownMusic
from lnfgen.inference.known_part import nothing_known
from lnfgen.inference.wanted_chords import wanted_spans
from lnfgen.music.chart import parse_chart
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song

GRID = 2  # steps per quarter
PIANO = MusicEncoding(lowest_pitch=36, num_pitches=49, steps_per_quarter=GRID)


def blocks(text: str, num_bars: int) -> PianoRoll:
    """Bars of 4/4 in which the chords of a chart sound, each over its bass."""
    steps = 4 * GRID * num_bars
    silence = PianoRoll.from_notes([], steps_per_quarter=GRID, num_steps=steps)
    notes = []
    for start, end, classes, bass in wanted_spans(parse_chart(text), Song(silence)):
        length = end - start
        notes.append((start, length, 36 + bass))
        for pitch_class in np.flatnonzero(classes).tolist():
            notes.append((start, length, 60 + pitch_class))
    return PianoRoll.from_notes(notes, steps_per_quarter=GRID, num_steps=steps)


def free(num_bars: int) -> KnownMusic:
    """Bars of 4/4 of which nothing is known."""
    part = nothing_known(PIANO, 4 * GRID * num_bars, (4, 4))
    assert isinstance(part, KnownMusic)
    return part
