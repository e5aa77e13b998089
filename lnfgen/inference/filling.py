"""Keep some notes or characters of a piece, and draw the rest: fill gaps, harmonise a melody, go on
from an intro.

The known part is a `KnownPart` of `inference.known`. The model draws what is hidden from p(hidden |
known, T), by
particles: see `lnfgen.inference.particles`. The known part is the same in every result.

A known note must also begin and end where it did. So a hidden key may be silent or struck just
after it, but not held, and it sounds just before a step where it is known to be held. Without
onsets, it is silent around a known note.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from lnfgen.conventions import (
    MAX_LENGTH,
    PARTICLES,
    SECONDS,
    Progress,
    TimeSignature,
    no_progress,
    stream_seed,
)
from lnfgen.data.encoding import Encoding
from lnfgen.errors import LnfgenError
from lnfgen.formats.read_write import Piece
from lnfgen.inference.known import KnownPart, decoded, laid, on_grid, partly_hidden
from lnfgen.inference.sampling import (
    drawn_pieces,
    drawn_row,
    require_draws,
    require_one_length,
    time_signatures_of,
)
from lnfgen.inference.steering import Item, block_size, draw_block, steered
from lnfgen.inference.wishes import NO_WISHES, Wishes
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.pianoroll import PianoRoll, bar_length
from lnfgen.music.tonality import pitch_name

# The model is at home between these quantiles of the keys of so many samples of so many steps.
# drawn together, so that few steps are fast
HOME_SAMPLES, HOME_STEPS, HOME_RANGE = 6, 32, (0.02, 0.98)
HOME_SHARE = 0.85  # of a piece's keys there, which is enough


def added_steps(
    model: SequenceModel,
    encoding: Encoding,
    piece: Piece,
    length: int | None,
    bars: int | None,
    seed: int,
) -> int:
    """How many steps or characters an intro goes on for: as asked, or drawn from p(T | T > its own
    length).

    Bars are counted from the next bar line on, as the upbeat of the file places it. Of a band, the
    result counts rows.
    """
    require_one_length(length, bars, encoding)
    size = encoding.stride
    if length is not None:
        return length * size
    piece = on_grid(encoding, piece)
    if isinstance(piece, str):
        own, lengths = len(piece), model.length
    else:
        roll = encoding.from_bar_line(piece)
        own, lengths = roll.num_steps, model.lengths_in(roll.time_signature)
        if bars is not None:
            bar = bar_length(roll.time_signature, roll.steps_per_quarter)
            own -= roll.upbeat
            return round((-(-own // bar) + bars) * bar / size) * size - own
    added = lengths.sample(torch.Generator().manual_seed(stream_seed(seed, 0)), beyond=own) - own
    return -(-added // size) * size


def fill_pieces(
    model: SequenceModel,
    encoding: Encoding,
    part: KnownPart,
    *,
    count: int = 1,
    temperature: float = 1.0,
    seed: int = 0,
    particles: int = PARTICLES,
    wishes: Wishes = NO_WISHES,
    seconds: float = SECONDS,
    progress: Progress = no_progress,
) -> Iterator[Piece]:
    """Draw `count` pieces with this known part, each from its own random stream, in order; with
    wishes by `steered`."""
    require_draws(count, seed, temperature)
    if particles < 1:
        raise LnfgenError(f"{particles} particles; expected at least 1")
    if len(part.values) > MAX_LENGTH:
        raise LnfgenError(f"a piece of {len(part.values):,} steps; expected at most {MAX_LENGTH:,}")
    if not part.hidden.any():
        low, high = part.keys[0], part.keys[-1]
        raise LnfgenError(
            f"nothing is free among the model's keys, {pitch_name(low)} to {pitch_name(high)}"
        )
    items = [
        Item(part, stream_seed(seed, index), partial(decoded, encoding, part))
        for index in range(count)
    ]
    if wishes.time_signature is not None:
        raise LnfgenError("found a wish for a metre; a piece of your own keeps its time signature")
    if wishes.steers:
        yield from steered(
            model, encoding, items, wishes, particles, temperature, seconds, progress
        )
        return
    size, total = block_size(len(part.values), particles), count * len(part.values)
    for first in range(0, count, size):
        block = items[first : first + size]

        def of_block(done: int, first: int = first, rows: int = len(block)) -> None:
            progress("drawing", first * len(part.values) + rows * done, total)

        yield from draw_block(model, encoding, block, particles, temperature, of_block)


def vary_pieces(
    model: SequenceModel,
    encoding: Encoding,
    whole: KnownPart,
    *,
    amount: float,
    count: int = 1,
    seed: int = 0,
    seconds: float = SECONDS,
    progress: Progress = no_progress,
    **drawing: Any,
) -> Iterator[Piece]:
    """Draw `count` pieces of which a share is drawn anew, each at places of its own: see
    `known.partly_hidden`."""
    if not 0 <= amount <= 1:
        raise LnfgenError(
            f"an amount of {amount}; expected a number from 0, the piece itself, to 1, a fresh piece"
        )
    require_draws(count, seed, 1.0)
    for index in range(count):
        own = stream_seed(seed, index)
        part = partly_hidden(encoding, whole, amount, np.random.default_rng(own))
        if part.hidden.any():
            yield from fill_pieces(
                model, encoding, part, seed=own, seconds=seconds / count, **drawing
            )
        else:
            yield decoded(encoding, part, part.values)
        progress("drawing", index + 1, count)


def at_home(model: SequenceModel, encoding: Encoding, part: KnownPart) -> KnownPart:
    """The music where the model is at home, if it is too high or too low; it is moved back when it
    is decoded.

    It is moved by the fewest semitones that put most of its known keys where those of some free
    samples are: a highest or lowest line among these lines of the samples, and other music among
    all their keys. A band is not moved.
    """
    roll = part.piece
    if isinstance(roll, str):
        return part
    moved = part if encoding.parts else _moved_home(model, encoding, part, roll)
    if not (moved.values * ~moved.hidden).any():
        octaves = "" if encoding.parts else ", in whatever octave"
        raise LnfgenError(f"no note of the piece is among the model's keys{octaves}")
    return moved


def _moved_home(
    model: SequenceModel, encoding: Encoding, part: KnownPart, roll: PianoRoll
) -> KnownPart:
    known = roll.sounding & ~part.hidden_cells
    below = part.hidden_cells.cumsum(axis=1)  # how many cells are hidden at or below each cell
    sides = ((True, below[:, -1:] > below), (False, below > 0))
    # A note that is held under the next one of its melody is no line below.
    edge = next(
        (top for top, beyond in sides if below.any() and 10 * (known & beyond).sum() < known.sum()),
        None,
    )
    usual = np.concatenate([_keys(sample, edge) for sample in _home_samples(model, encoding)])
    low, high = np.quantile(usual, HOME_RANGE) if len(usual) else (0, 127)
    own = _keys(replace(roll, sounding=known, onsets=None), edge)
    last, enough = encoding.lowest_pitch + encoding.num_pitches - 1, round(HOME_SHARE * len(own))

    def fit(shift: int) -> tuple[int, int, int]:
        keys = own + shift
        has_place = int(((keys >= encoding.lowest_pitch) & (keys <= last)).sum())
        return has_place, min(int(((keys >= low) & (keys <= high)).sum()), enough), -abs(shift)

    return laid(encoding, roll, part.hidden_cells, max(range(-48, 49), key=fit), part.voices)


_samples_of: WeakKeyDictionary[SequenceModel, dict[Encoding, list[Piece]]] = WeakKeyDictionary()
"""They are kept as long as their model, because filling several pieces by one model asks for them
each time."""


def _home_samples(model: SequenceModel, encoding: Encoding) -> list[Piece]:
    samples = _samples_of.setdefault(model, {})
    if encoding not in samples:
        steps_in: dict[TimeSignature, int | None] = dict.fromkeys(
            time_signatures_of(model, encoding), HOME_STEPS
        )
        rows = [drawn_row(model, steps_in, stream_seed(0, index)) for index in range(HOME_SAMPLES)]
        samples[encoding] = list(drawn_pieces(model, encoding, rows, 1.0))
    return samples[encoding]


def _keys(piece: Piece, edge: bool | None) -> np.ndarray:
    """The MIDI pitches that sound, one number for each step, or those of the highest or the lowest
    line alone."""
    assert isinstance(piece, PianoRoll)
    keys = np.nonzero(piece.sounding)[1] if edge is None else piece.edge_keys(edge)
    return keys[keys >= 0] + piece.lowest_pitch
