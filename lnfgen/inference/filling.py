"""Keep some notes or characters of a piece, and draw the rest: fill gaps, harmonise a melody, go on from an intro.

What is given is a `Given` of `inference.given`. The model draws what is free from p(hidden | known, T), by
particles: see `lnfgen.inference.particles`. What is given is the same in every result.

A note that is given must also begin and end where it did. So a free key may be silent or struck just after it, but not
held, and it sounds just before a step where it is given as held. Where the data has no onsets, it is silent just before
and after a given note.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np
import torch

from lnfgen.conventions import MAX_LENGTH, ONSET, PARTICLES, SOUNDING
from lnfgen.data.encoding import Encoding
from lnfgen.errors import LnfgenError
from lnfgen.formats.read_write import Piece
from lnfgen.inference.given import Given, decoded, laid_on_keys, on_grid
from lnfgen.inference.sampling import metres_of, require_draws, require_one_length, sample_pieces
from lnfgen.models import SequenceModel
from lnfgen.models.observation import Known
from lnfgen.music.pianoroll import PianoRoll, bar_length
from lnfgen.music.regions import top_line
from lnfgen.music.tonality import pitch_name
from lnfgen.streams import stream_seed
from lnfgen.wording import counted

MAX_ROWS = 512
"""Particles of all pieces that are drawn together."""

MAX_ROW_STEPS = 100_000
"""Their time steps in all, for which a model with a latent has memory."""

HOME_SAMPLES, HOME_STEPS = 3, 64
HOME_RANGE = (0.02, 0.98)
"""Where the model is at home: between these quantiles of the keys of so many samples of so many steps."""

HOME_SHARE = 0.85
"""So many of a piece's keys there are enough."""


@dataclass(frozen=True)
class Filling:
    """A piece whose given part is as it was.

    Attributes:
        ess: the mean effective sample size of the particles, as a share of their number; a low one says that the given
            part fits poorly with what the model draws.
        moved: the share of the moves of the latent that were made; None if none were tried.
    """

    piece: Piece
    ess: float
    moved: float | None


def added_steps(
    model: SequenceModel, encoding: Encoding, piece: Piece, length: int | None, bars: int | None, seed: int
) -> int:
    """How many steps or characters an intro goes on for: as asked, or drawn from p(T | T > its own length).

    Bars are counted from the next bar line on, which is the file's where it tells of an upbeat.
    """
    require_one_length(length, bars, encoding)
    if length is not None:
        return length
    lengths = model.length
    if isinstance(piece, str) and encoding.kind == "text":
        own = len(piece)
    else:
        roll = encoding.from_bar_line(on_grid(encoding, piece))
        own = roll.num_steps
        if bars is not None:
            bar = bar_length(roll.time_signature, roll.steps_per_quarter)
            own -= roll.upbeat
            return round((-(-own // bar) + bars) * bar) - own
        lengths = model.lengths_in(roll.time_signature)
    return lengths.sample(torch.Generator().manual_seed(stream_seed(seed, 0)), beyond=own) - own


def fill_pieces(
    model: SequenceModel,
    encoding: Encoding,
    given: Given,
    *,
    count: int = 1,
    temperature: float = 1.0,
    seed: int = 0,
    particles: int = PARTICLES,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Filling]:
    """Draw `count` pieces whose given part is the same, each from its own random stream, and yield them in order.

    Raises:
        LnfgenError: if a number is out of range, or nothing is free among the model's keys.
    """
    if count < 1 or particles < 1:
        raise LnfgenError(f"{counted(count, 'piece')} by {counted(particles, 'particle')}; expected at least 1 of both")
    require_draws(seed, temperature)
    if len(given.values) > MAX_LENGTH:
        raise LnfgenError(f"a piece of {len(given.values):,} steps; expected at most {MAX_LENGTH:,}")
    if not given.free.any():
        low, high = encoding.lowest_pitch, encoding.lowest_pitch + encoding.num_pitches - 1
        raise LnfgenError(f"nothing is free among the model's keys, {pitch_name(low)} to {pitch_name(high)}")
    model.eval()
    known = known_bits(model, given)
    size = max(1, min(MAX_ROWS, MAX_ROW_STEPS // len(given.values)) // particles)
    blocks = range(0, count, size)
    for number, first in enumerate(blocks):
        generators = [
            torch.Generator().manual_seed(stream_seed(seed, index)) for index in range(first, min(first + size, count))
        ]

        def tell(done: int, total: int, number: int = number) -> None:
            progress(number * total + done, len(blocks) * total)

        each = Known(*(part.expand(len(generators), *part.shape) for part in known))
        metres = metres_of(model, encoding, [given.piece] * len(generators))
        with torch.inference_mode():
            found = model.fill_batch(each, particles, generators, temperature, tell, metres)
        for x, ess in zip(found.x.numpy(), found.ess.tolist(), strict=True):
            yield Filling(decoded(encoding, given, x), ess, found.moved)


def at_home(model: SequenceModel, encoding: Encoding, given: Given) -> Given:
    """The given music where the model is at home, if it is too high or too low; it is moved back when it is decoded.

    It is moved by the fewest semitones that put most of its keys where those of some free samples are. A given
    highest line is compared with the highest lines of the samples, and other music with all their keys.
    """
    roll = given.piece
    if isinstance(roll, str):
        return given
    kept = roll.sounding & ~given.free_cells
    free_above = given.free_cells[:, ::-1].cumsum(axis=1)[:, ::-1] > 0
    is_top = bool(given.free_cells.any()) and not (kept & free_above).any()
    usual = np.concatenate([_keys(sample, is_top) for sample in _home_samples(model, encoding)])
    low, high = np.quantile(usual, HOME_RANGE) if len(usual) else (0, 127)
    own = _keys(replace(roll, sounding=kept, onsets=None), is_top)
    last, enough = encoding.lowest_pitch + encoding.num_pitches - 1, round(HOME_SHARE * len(own))

    def fit(shift: int) -> tuple[int, int, int]:
        keys = own + shift
        has_place = int(((keys >= encoding.lowest_pitch) & (keys <= last)).sum())
        return has_place, min(int(((keys >= low) & (keys <= high)).sum()), enough), -abs(shift)

    moved = laid_on_keys(encoding, roll, given.free_cells, max(range(-48, 49), key=fit))
    if not (moved.values * ~moved.free).any():
        raise LnfgenError("no note of the piece is among the model's keys, in whatever octave")
    return moved


_samples_of: WeakKeyDictionary[SequenceModel, dict[Encoding, list[Piece]]] = WeakKeyDictionary()
"""They are kept as long as their model, because filling several pieces by one model asks for them each time."""


def _home_samples(model: SequenceModel, encoding: Encoding) -> list[Piece]:
    """A few free samples."""
    kept = _samples_of.setdefault(model, {})
    if encoding not in kept:
        # One by one, because several are drawn in a whole block.
        kept[encoding] = [
            next(sample_pieces(model, encoding, length=HOME_STEPS, seed=stream_seed(0, index)))
            for index in range(HOME_SAMPLES)
        ]
    return kept[encoding]


def _keys(piece: Piece, is_top: bool) -> np.ndarray:
    """The MIDI pitches that sound, one number for each step, or the highest one of each step alone."""
    assert isinstance(piece, PianoRoll)
    return np.nonzero((top_line(piece) if is_top else piece).sounding)[1] + piece.lowest_pitch


def known_bits(model: SequenceModel, given: Given) -> Known:
    """What the model is to take as known: `[T]` for a text, and bits `[T, num_logits]` for music."""
    x = torch.from_numpy(given.values)
    if given.values.ndim == 1:
        return model.observation.known(x, torch.from_numpy(~given.free))
    known, free = ~given.free, given.free
    sounding, held = (given.values & SOUNDING) != 0, given.values == SOUNDING
    if model.observation.num_logits > given.values.shape[1]:
        ends = _after(known & sounding) & ~held & free  # a note that is given has ended: the key is not held
        begins = _before(known & held) & free  # a key that is given as held sounds before that too
        x = torch.from_numpy(np.where(ends, SOUNDING | ONSET, given.values).astype(np.uint8))
        return model.observation.known(x, torch.from_numpy(np.concatenate([known | begins, known | ends], 1)))
    silent = free & ~sounding & (_after(known & sounding) | _before(known & sounding))
    return model.observation.known(x, torch.from_numpy(known | silent))


def _after(cells: np.ndarray) -> np.ndarray:
    """The cells a step after these."""
    return np.concatenate([np.zeros_like(cells[:1]), cells[:-1]])


def _before(cells: np.ndarray) -> np.ndarray:
    """The cells a step before these."""
    return np.concatenate([cells[1:], np.zeros_like(cells[:1])])
