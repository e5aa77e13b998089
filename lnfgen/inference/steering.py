"""Draw the hidden part of pieces in blocks, and towards wishes.

Pieces whose wishes do not hold yet are drawn again by twice as many particles, until all hold or the time is over. So
pieces come from p(hidden | known, the wishes hold). If the time is over, the nearest piece that was drawn is returned.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lnfgen.conventions import ONSET, SOUNDING, Progress, TimeSignature, stream_seed
from lnfgen.data.encoding import Encoding
from lnfgen.errors import LnfgenError
from lnfgen.formats.read_write import Piece
from lnfgen.inference.known import KnownPart, given_back
from lnfgen.inference.particles import Potential, draw_hidden
from lnfgen.inference.wishes import WEIGHT, Wishes
from lnfgen.models import SequenceModel
from lnfgen.models.observation import Known
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.tonality import pitch_name

MAX_ROWS = 512
"""Particles of all pieces that are drawn together."""

MAX_ROW_STEPS = 100_000
"""Their time steps in all, for which a model with a latent has memory."""

TEXT_STRIDE = 8
"""After so many characters the distance from wishes is measured again; of music, after each quarter."""


class Item(NamedTuple):
    """A piece to draw: what is known, its random stream, and what makes a piece of the values."""

    part: KnownPart
    seed: int
    finish: Callable[[np.ndarray], Piece]

    @property
    def shape(self) -> tuple[int, TimeSignature | None]:
        """Its steps and its time signature. Items that are drawn together have the same."""
        roll = self.part.piece
        return len(self.part.values), roll.time_signature if isinstance(roll, PianoRoll) else None


def block_size(num_steps: int, particles: int) -> int:
    """How many pieces of so many steps are drawn together."""
    return max(1, min(MAX_ROWS, MAX_ROW_STEPS // num_steps) // particles)


def draw_block(
    model: SequenceModel,
    encoding: Encoding,
    items: Sequence[Item],
    particles: int,
    temperature: float,
    progress: Callable[[int], None] = lambda done: None,
    potential: Potential | None = None,
) -> Iterator[Piece]:
    """Draw pieces of one shape together, and yield them in order."""
    bits = [known_bits(model, part) for part in {id(item.part): item.part for item in items}.values()]
    each = [known_bits(model, item.part) for item in items] if len(bits) > 1 else bits * len(items)
    known = Known(*(torch.stack(tensors) for tensors in zip(*each, strict=True)))
    generators = [torch.Generator().manual_seed(item.seed) for item in items]
    _, signature = items[0].shape
    metres = metres_in(model, encoding, [signature] * len(items)) if signature else None
    drawn = draw_hidden(model, known, particles, generators, temperature, metres, progress, potential)
    for item, x in zip(items, drawn.numpy(), strict=True):
        yield item.finish(x)


def steered(
    model: SequenceModel,
    encoding: Encoding,
    items: Sequence[Item],
    wishes: Wishes,
    particles: int,
    temperature: float,
    seconds: float,
    progress: Progress,
) -> list[Piece]:
    """Draw pieces towards wishes, and return them in the order of the items."""
    end = time.monotonic() + seconds
    rng = np.random.default_rng(items[0].seed)
    items = [item._replace(part=_limited(encoding, item.part, wishes, rng)) for item in items]
    nearest: dict[int, tuple[float, Piece]] = {}
    pending, number = list(range(len(items))), 0
    while pending and (time.monotonic() < end or not nearest):
        pending.sort(key=lambda index: (items[index].shape, index))
        for _, alike in groupby(pending, key=lambda index: items[index].shape):
            group = list(alike)
            size = block_size(items[group[0]].shape[0], particles)
            for first in range(0, len(group), size):
                if time.monotonic() > end and all(index in nearest for index in group[first:]):
                    break
                block = group[first : first + size]
                fresh = [
                    items[i]._replace(seed=stream_seed(items[i].seed, number) if number else items[i].seed)
                    for i in block
                ]
                potential = _Towards(encoding, fresh, particles, wishes)
                for index, piece in zip(
                    block, draw_block(model, encoding, fresh, particles, temperature, potential=potential), strict=True
                ):
                    found = wishes.distance(piece), piece
                    nearest[index] = min(nearest.get(index, found), found, key=lambda pair: pair[0])
                progress("drawing", sum(distance == 0 for distance, _ in nearest.values()), len(items))
        pending = [index for index in pending if nearest[index][0] > 0]
        particles, number = min(2 * particles, MAX_ROWS), number + 1
    return [nearest[index][1] for index in range(len(items))]


class _Towards:
    """The potential of a block of pieces: see `lnfgen.inference.wishes`."""

    def __init__(self, encoding: Encoding, items: Sequence[Item], particles: int, wishes: Wishes) -> None:
        self.encoding, self.items, self.wishes = encoding, items, wishes
        self.stride = encoding.steps_per_quarter if encoding.kind == "music" else TEXT_STRIDE
        self.num_steps = items[0].shape[0]

    def __call__(self, t: int, so_far: Callable[[], Tensor]) -> Tensor | None:
        if t % self.stride and t < self.num_steps:
            return None
        drawn = so_far().cpu().numpy()
        width = len(drawn) // len(self.items)
        return torch.tensor(
            [-WEIGHT * self._distance(self.items[row // width], x) for row, x in enumerate(drawn)], dtype=torch.float64
        )

    def _distance(self, item: Item, x: np.ndarray) -> float:
        if len(x) == self.num_steps:
            return self.wishes.distance(item.finish(x))
        if len(x) <= item.part.ahead:
            return 0.0
        return self.wishes.distance(given_back(self.encoding, item.part, x), len(x) / self.num_steps)


def _limited(encoding: Encoding, part: KnownPart, wishes: Wishes, rng: np.random.Generator) -> KnownPart:
    """The part with what wishes say for sure: no hidden key sounds beyond their keys, and a text has their words."""
    if encoding.kind == "music":
        assert isinstance(part.piece, PianoRoll)
        keys = encoding.lowest_pitch + np.arange(encoding.num_pitches) - part.shift
        outside = (keys < wishes.keys.start) | (keys >= wishes.keys.stop)
        if (known := keys[(outside & (part.values * ~part.hidden > 0)).any(axis=0)]).size:
            raise LnfgenError(
                f"what is kept has {pitch_name(int(known[-1]))}, which the wishes for top and bass leave out"
            )
        return replace(part, hidden=part.hidden & ~outside, values=part.values * ~(part.hidden & outside))
    for word in wishes.contained:
        room = (
            np.lib.stride_tricks.sliding_window_view(part.hidden, len(word)).all(axis=1)
            if len(word) <= len(part.hidden)
            else np.zeros(0, np.bool_)
        )
        if not room.any():
            raise LnfgenError(f"the wish contains={word}; found no {len(word)} free characters in a row")
        start = rng.choice(np.flatnonzero(room))
        values, hidden = part.values.copy(), part.hidden.copy()
        values[start : start + len(word)] = encoding.encode(word)
        hidden[start : start + len(word)] = False
        part = replace(part, values=values, hidden=hidden)
    return part


def metres_in(model: SequenceModel, encoding: Encoding, time_signatures: Sequence[TimeSignature]) -> Tensor | None:
    """Return the metres of N sequences as a model with `in_metre` reads them, `[N, 3]` on its device; else None."""
    if model.time_signatures is None:
        return None
    return torch.from_numpy(encoding.metres(time_signatures)).to(model.device)


def known_bits(model: SequenceModel, part: KnownPart) -> Known:
    """The known values for the model: `[T]` for a text, and bits `[T, num_logits]` for music."""
    x = torch.from_numpy(part.values)
    if part.values.ndim == 1:
        return model.observation.known(x, torch.from_numpy(~part.hidden))
    known, hidden = ~part.hidden, part.hidden
    sounding, held = (part.values & SOUNDING) != 0, part.values == SOUNDING
    if model.observation.num_logits > part.values.shape[1]:
        ends = _after(known & sounding) & ~held & hidden  # a known note has ended: the key is not held
        begins = _before(known & held) & hidden  # a key that is known to be held sounds before that too
        x = torch.from_numpy(np.where(ends, SOUNDING | ONSET, part.values).astype(np.uint8))
        return model.observation.known(x, torch.from_numpy(np.concatenate([known | begins, known | ends], 1)))
    silent = hidden & ~sounding & (_after(known & sounding) | _before(known & sounding))
    return model.observation.known(x, torch.from_numpy(known | silent))


def _after(cells: np.ndarray) -> np.ndarray:
    """The cells a step after these."""
    return np.concatenate([np.zeros_like(cells[:1]), cells[:-1]])


def _before(cells: np.ndarray) -> np.ndarray:
    """The cells a step before these."""
    return np.concatenate([cells[1:], np.zeros_like(cells[:1])])
