"""The pitch range of a model, to which a piece that is too high or too low is transposed."""

from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np

from lnfgen.conventions import stream_seed
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.errors import LnfgenError
from lnfgen.inference.known_music import KnownMusic
from lnfgen.inference.known_part import KnownPart
from lnfgen.inference.sampling import StepsIn, drawn_pieces, drawn_row, time_signatures_of
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.pianoroll import PianoRoll

RANGE_SAMPLES = 6  # samples whose keys show the range of a model; drawn together, so few steps
RANGE_STEPS = 32  # steps of each
RANGE_QUANTILES = (0.02, 0.98)  # of the keys of the samples: the range
ENOUGH_INSIDE = 0.85  # of the keys of a piece; how many more are in the range does not count
MAX_SHIFT = 48  # semitones


def transposed_to_range(model: SequenceModel, part: KnownPart) -> KnownPart:
    """Music in the model's pitch range, if it is too high or too low; `decoded` moves it back.

    It is moved by the fewest semitones that put most of its known keys where those of some free
    samples are: a highest or lowest line among these lines of the samples, and other music among
    all their keys. A band is not moved, and a text stays as it is.

    Raises:
        LnfgenError: if the model has none of the keys of the known notes.
    """
    if not isinstance(part, KnownMusic):
        return part
    is_band = bool(part.encoding.parts)
    moved = part
    if not is_band:
        shift = _best_shift(model, part)
        moved = KnownMusic.aligned(part.encoding, part.song, part.hidden_cells, shift, part.voices)
    if not (moved.values * ~moved.hidden).any():
        octaves = "" if is_band else ", in whatever octave"
        raise LnfgenError(f"no note of the piece is among the model's keys{octaves}")
    return moved


def _best_shift(model: SequenceModel, part: KnownMusic) -> int:
    encoding = part.encoding
    roll = part.song.roll
    known = roll.sounding & ~part.hidden_cells
    edge = _known_edge(known, part.hidden_cells)
    samples = [_pitches(sample, edge) for sample in range_samples(model, encoding)]
    usual = np.concatenate(samples)
    low, high = np.quantile(usual, RANGE_QUANTILES) if len(usual) else (0, 127)
    own = _pitches(replace(roll, sounding=known, onsets=None), edge)
    enough = round(ENOUGH_INSIDE * len(own))
    lowest_key = encoding.lowest_pitch
    highest_key = lowest_key + encoding.num_pitches - 1

    def fit(shift: int) -> tuple[int, int, int]:
        """What counts, in this order: keys that the model has, usual keys, a short way."""
        pitches = own + shift
        num_keys = int(((pitches >= lowest_key) & (pitches <= highest_key)).sum())
        num_usual = int(((pitches >= low) & (pitches <= high)).sum())
        return num_keys, min(num_usual, enough), -abs(shift)

    return max(range(-MAX_SHIFT, MAX_SHIFT + 1), key=fit)


def _known_edge(known: np.ndarray, hidden: np.ndarray) -> bool | None:
    """If the known cells are a highest line (True), a lowest one (False), or neither (None).

    Both are bool [T, 1, 128]. A few notes may have hidden cells beyond them, because one that is
    held under the next one of its melody is no line below.
    """
    if not hidden.any():
        return None
    hidden_up_to = hidden.cumsum(axis=2)
    has_hidden_above = hidden_up_to[..., -1:] > hidden_up_to
    if 10 * (known & has_hidden_above).sum() < known.sum():
        return True
    has_hidden_below = hidden_up_to > 0
    if 10 * (known & has_hidden_below).sum() < known.sum():
        return False
    return None


# They are kept as long as their model, because filling several pieces by one model asks for them
# each time.
_samples_of: WeakKeyDictionary[SequenceModel, dict[MusicEncoding, list[PianoRoll]]]
_samples_of = WeakKeyDictionary()


def range_samples(model: SequenceModel, encoding: MusicEncoding) -> list[PianoRoll]:
    """Some free samples, the same ones at each call."""
    samples = _samples_of.setdefault(model, {})
    if encoding not in samples:
        steps_in: StepsIn = dict.fromkeys(time_signatures_of(model, encoding), RANGE_STEPS)
        rows = []
        for index in range(RANGE_SAMPLES):
            rows.append(drawn_row(model, steps_in, stream_seed(0, index)))
        pieces = drawn_pieces(model, encoding, rows, 1.0)
        samples[encoding] = [piece for piece in pieces if isinstance(piece, PianoRoll)]
    return samples[encoding]


def _pitches(roll: PianoRoll, edge: bool | None) -> np.ndarray:
    """The MIDI pitches that sound in a roll of one part, int [N], one number for each step.

    They are those of the highest line alone if `edge` is True, and of the lowest if it is False.
    """
    if edge is None:
        _, _, keys = np.nonzero(roll.sounding)
    else:
        keys = roll.edge_keys(edge)
    return keys[keys >= 0] + roll.lowest_pitch
