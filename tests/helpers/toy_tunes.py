"""Small pieces of music with seeds, and folders of MIDI files that hold them."""

from pathlib import Path

import numpy as np

from lnfgen.formats.read_write import write
from lnfgen.music.pianoroll import PianoRoll


def tune(seed: int, steps: int = 64, tempo_bpm: float = 96.0) -> PianoRoll:
    """A melody of random quarters in 3/4."""
    rng = np.random.default_rng(seed)
    notes = [(start, 4, int(rng.integers(50, 80))) for start in range(0, steps, 4)]
    return PianoRoll.from_notes(notes, time_signature=(3, 4), tempo_bpm=tempo_bpm)


def folder_of_tunes(folder: Path, count: int, steps: int = 64) -> Path:
    """A folder with so many different tunes."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        write(folder / f"tune{number:02}.mid", tune(number, steps))
    return folder
