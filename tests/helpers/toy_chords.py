"""Music of four voices that a test can make in any amount."""

from typing import Any

import numpy as np

from lnfgen.music.pianoroll import PianoRoll

TRIADS = np.array([[0, 7, 16, 24], [5, 9, 17, 24], [7, 14, 17, 23], [9, 12, 16, 21]])


def harmonised(seed: int, num_quarters: int = 40, wrong: float = 0.0) -> PianoRoll:
    """Four voices in chords of one key, a chord a quarter, in eighths. A pitch is random with a chance `wrong`."""
    rng = np.random.default_rng(seed)
    key = 44 + int(rng.integers(8))
    notes = []
    for quarter in range(num_quarters):
        for pitch in (TRIADS[rng.integers(4)] + key).tolist():
            pitch = int(rng.integers(40, 84)) if rng.random() < wrong else pitch
            split = rng.random() < 0.2
            notes += [(2 * quarter, 1, pitch), (2 * quarter + 1, 1, pitch)] if split else [(2 * quarter, 2, pitch)]
    return PianoRoll.from_notes(notes, num_steps=2 * num_quarters, steps_per_quarter=2)


def pieces(first: int, last: int, **options: Any) -> list[PianoRoll]:
    return [harmonised(seed, **options) for seed in range(first, last)]
