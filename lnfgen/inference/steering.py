"""Draw the hidden part of pieces in blocks, and towards wishes.

Pieces whose wishes do not hold yet are drawn again by twice as many particles, until all hold or
the time is over. So pieces come from p(hidden | known, the wishes hold). If the time is over, the
nearest piece that was drawn is returned.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
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
from lnfgen.models.observation import Frames, Known
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.parts import pitched_rows
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.tonality import pitch_name

MAX_ROWS = 512  # particles of all pieces that are drawn together
MAX_ROW_STEPS = 100_000  # their time steps in all, for which a model with a latent has memory
# after so many characters the distance from wishes is measured again; of music, after each quarter
TEXT_STRIDE = 8


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
    known = Known(
        *map(torch.stack, zip(*(known_bits(model, item.part) for item in items), strict=True))
    )
    generators = [torch.Generator().manual_seed(item.seed) for item in items]
    _, signature = items[0].shape
    metres = metres_in(model, encoding, [signature] * len(items)) if signature else None
    drawn = draw_hidden(
        model, known, particles, generators, temperature, metres, progress, potential
    )
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
    while pending and (number == 0 or time.monotonic() < end):
        for block in _blocks(items, pending, particles):
            if number and time.monotonic() > end:
                break
            fresh = [items[i]._replace(seed=stream_seed(items[i].seed, number)) for i in block]
            potential = partial(_potential, encoding, wishes, fresh)
            width = max(1, min(particles, MAX_ROW_STEPS // fresh[0].shape[0]))
            drawn = draw_block(model, encoding, fresh, width, temperature, potential=potential)
            for index, piece in zip(block, drawn, strict=True):
                found = wishes.distance(piece), piece
                nearest[index] = min(nearest.get(index, found), found, key=lambda pair: pair[0])
            progress("drawing", sum(distance == 0 for distance, _ in nearest.values()), len(items))
        pending = [index for index in pending if nearest[index][0] > 0]
        particles, number = min(2 * particles, MAX_ROWS), number + 1
    return [nearest[index][1] for index in range(len(items))]


def _blocks(items: Sequence[Item], pending: list[int], particles: int) -> Iterator[list[int]]:
    """The places of the pending items, those of one shape together."""
    pending = sorted(pending, key=lambda index: items[index].shape)
    for (num_steps, _), alike in groupby(pending, key=lambda index: items[index].shape):
        group, size = list(alike), block_size(num_steps, particles)
        yield from (group[first : first + size] for first in range(0, len(group), size))


def _potential(
    encoding: Encoding, wishes: Wishes, items: Sequence[Item], t: int, so_far: Callable[[], Tensor]
) -> Tensor | None:
    """The potential of a block of pieces, by the distance of what is drawn from the wishes."""
    num_steps, stride = (
        items[0].shape[0],
        encoding.steps_per_quarter if encoding.kind == "music" else TEXT_STRIDE,
    )
    if t < num_steps and (t % stride or t <= items[0].part.ahead):
        return None
    drawn = so_far().cpu().numpy()
    each = [item for item in items for _ in range(len(drawn) // len(items))]
    rows = zip(each, drawn, strict=True)
    pieces = (
        item.finish(x) if t == num_steps else given_back(encoding, item.part, x) for item, x in rows
    )
    distances = [wishes.distance(piece, t / num_steps) for piece in pieces]
    return -WEIGHT * torch.tensor(distances, dtype=torch.float64)


def _limited(
    encoding: Encoding, part: KnownPart, wishes: Wishes, rng: np.random.Generator
) -> KnownPart:
    """The part with all that the wishes fix: keys beyond theirs are silent, and their words stand
    at random places."""
    values, hidden = part.values.copy(), part.hidden.copy()
    if encoding.kind == "music":
        keys = (
            encoding.lowest_of_rows(len(values))[:, None]
            + np.arange(encoding.num_pitches)
            - part.shift
        )
        outside = (keys < wishes.keys.start) | (keys >= wishes.keys.stop)
        outside &= pitched_rows(encoding.roles, len(values))[:, None]
        if len(known := keys[(values > 0) & ~hidden & outside]):
            found = f"what is kept has {pitch_name(int(known.max()))}"
            raise LnfgenError(f"{found}, which the wishes for top and bass leave out")
        values[hidden & outside] = 0
        hidden &= ~outside
    for word in wishes.contained:
        size = len(word)
        starts = [
            start for start in range(len(hidden) - size + 1) if hidden[start : start + size].all()
        ]
        if not starts:
            raise LnfgenError(f"the wish contains={word}; found no {size} free characters in a row")
        place = slice(start := rng.choice(starts), start + size)
        values[place], hidden[place] = encoding.encode(word), False
    return replace(part, values=values, hidden=hidden)


def metres_in(
    model: SequenceModel, encoding: Encoding, time_signatures: Sequence[TimeSignature]
) -> Tensor | None:
    """Return the metres of N sequences as a model with `in_metre` reads them, `[N, 3]` on its
    device; else None."""
    if model.time_signatures is None:
        return None
    return torch.from_numpy(encoding.metres(time_signatures)).to(model.device)


def known_bits(model: SequenceModel, part: KnownPart) -> Known:
    """The known values for the model: `[T]` for a text, and bits `[T, num_logits]` for music."""
    values, known, hidden = part.values, ~part.hidden, part.hidden
    if isinstance(model.observation, Frames):
        sounding, held = (values & SOUNDING) != 0, values == SOUNDING
        by = model.observation.parts  # rows of a band from a step to the next one
        if model.observation.has_onsets:
            # a known note has ended: the key is not held
            ends = _moved(known & sounding, by) & ~held & hidden
            # a key that is known to be held sounds before that too
            begins = _moved(known & held, -by) & hidden
            values = np.where(ends, SOUNDING | ONSET, values).astype(np.uint8)
            known = np.concatenate([known | begins, known | ends], 1)
        else:
            known |= (
                hidden & ~sounding & (_moved(known & sounding, by) | _moved(known & sounding, -by))
            )
    return model.observation.known(torch.from_numpy(values), torch.from_numpy(known))


def _moved(cells: np.ndarray, by: int) -> np.ndarray:
    """The cells so many rows after these, or before them if `by` is negative."""
    moved = np.roll(cells, by, axis=0)
    moved[slice(by) if by > 0 else slice(by, None)] = False
    return moved
