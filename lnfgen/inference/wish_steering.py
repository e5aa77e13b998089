"""Draw pieces towards wishes.

Pieces whose wishes do not hold yet are drawn again by twice as many particles, until all hold or
the time is over. So pieces come from p(hidden | known, the wishes hold). If the time is over, the
nearest piece that was drawn is returned.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lnfgen.conventions import Progress, stream_seed
from lnfgen.errors import LnfgenError
from lnfgen.inference.block_drawing import (
    MAX_ROW_STEPS,
    MAX_ROWS,
    Finished,
    PieceToDraw,
    block_size,
    draw_block,
)
from lnfgen.inference.known_music import KnownMusic
from lnfgen.inference.known_part import KnownPart
from lnfgen.inference.known_text import KnownText
from lnfgen.inference.wishes import WEIGHT, Wishes
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.parts import are_pitched
from lnfgen.music.tonality import pitch_name

# After so many characters the distance from wishes is measured again; of music, after each quarter.
TEXT_STRIDE = 8


# The arguments are those of `fill_pieces` and `sample_pieces`, which call it.
def steered(  # noqa: PLR0913
    model: SequenceModel,
    pieces: Sequence[PieceToDraw[Finished]],
    wishes: Wishes,
    particles: int,
    temperature: float,
    seconds: float,
    progress: Progress,
) -> list[Finished]:
    """Draw pieces towards wishes, and return them in their order."""
    end = time.monotonic() + seconds
    rng = np.random.default_rng(pieces[0].seed)
    limited = []
    for piece in pieces:
        limited.append(piece._replace(part=_limited(piece.part, wishes, rng)))
    nearest: dict[int, tuple[float, Finished]] = {}
    pending = list(range(len(pieces)))
    attempt = 0
    while pending and (attempt == 0 or time.monotonic() < end):
        for block in _blocks(limited, pending, particles):
            if attempt > 0 and time.monotonic() > end:
                break
            fresh = []
            for index in block:
                seed = stream_seed(limited[index].seed, attempt)
                fresh.append(limited[index]._replace(seed=seed))
            drawn = _draw_towards(model, fresh, wishes, particles, temperature)
            for index, found in zip(block, drawn, strict=True):
                distance = wishes.distance(found)
                if index not in nearest or distance < nearest[index][0]:
                    nearest[index] = (distance, found)
            num_met = sum(distance == 0 for distance, _ in nearest.values())
            progress("drawing", num_met, len(pieces))
        pending = [index for index in pending if nearest[index][0] > 0]
        particles = min(2 * particles, MAX_ROWS)
        attempt += 1
    return [nearest[index][1] for index in range(len(pieces))]


def _draw_towards(
    model: SequenceModel,
    block: Sequence[PieceToDraw[Finished]],
    wishes: Wishes,
    particles: int,
    temperature: float,
) -> Iterator[Finished]:
    """Draw pieces of one shape once, by particles that are weighed by the wishes."""
    num_steps, _ = block[0].shape
    width = max(1, min(particles, MAX_ROW_STEPS // num_steps))
    potential = partial(_potential, wishes, block)
    return draw_block(model, block, width, temperature, potential=potential)


def _blocks(
    pieces: Sequence[PieceToDraw[Any]], pending: list[int], particles: int
) -> Iterator[list[int]]:
    """The places of the pending pieces, in blocks of one shape, the shortest pieces first."""
    by_shape: dict[tuple[int, object], list[int]] = {}
    for index in sorted(pending, key=lambda index: pieces[index].shape):
        by_shape.setdefault(pieces[index].shape, []).append(index)
    for (num_steps, _), alike in by_shape.items():
        size = block_size(num_steps, particles)
        for first in range(0, len(alike), size):
            yield alike[first : first + size]


def _potential(
    wishes: Wishes,
    pieces: Sequence[PieceToDraw[Any]],
    t: int,
    so_far: Callable[[], Tensor],
) -> Tensor | None:
    """The `Potential` of a block of pieces, by the distance of what is drawn from the wishes."""
    num_steps, _ = pieces[0].shape
    is_whole = t == num_steps
    if not is_whole and not _is_measured_after(pieces[0].part, t):
        return None
    drawn = so_far().cpu().numpy()
    rows_of_a_piece = len(drawn) // len(pieces)
    distances = []
    for row, x in enumerate(drawn):
        piece = pieces[row // rows_of_a_piece]
        found = piece.finish(x) if is_whole else piece.part.decoded_so_far(x)
        distances.append(wishes.distance(found, t / num_steps))
    return -WEIGHT * torch.tensor(distances, dtype=torch.float64)


def _is_measured_after(part: KnownPart, t: int) -> bool:
    """If the distance is measured after t steps, which are not all."""
    if isinstance(part, KnownMusic):
        return t % part.encoding.steps_per_quarter == 0 and t > part.ahead
    return t % TEXT_STRIDE == 0


def _limited(part: KnownPart, wishes: Wishes, rng: np.random.Generator) -> KnownPart:
    """The part with all that the wishes fix."""
    if isinstance(part, KnownMusic):
        return _on_wanted_keys(part, wishes)
    return _with_contained_words(part, wishes, rng)


def _on_wanted_keys(part: KnownMusic, wishes: Wishes) -> KnownMusic:
    """Music whose hidden keys of pitched parts are silent beyond the wishes for top and bass.

    Raises:
        LnfgenError: if one of the keys beyond them is known to sound.
    """
    encoding = part.encoding
    pitches = encoding.columns_of(0) - part.shift
    outside = (pitches < wishes.keys.start) | (pitches >= wishes.keys.stop)
    outside &= are_pitched(encoding.roles)[:, None]
    is_kept = (part.values > 0) & ~part.hidden & outside
    if is_kept.any():
        _, parts, keys = np.nonzero(is_kept)
        highest = pitch_name(int(pitches[parts, keys].max()))
        raise LnfgenError(
            f"what is kept has {highest}, which the wishes for top and bass leave out"
        )
    values = np.where(part.hidden & outside, 0, part.values).astype(part.values.dtype)
    return replace(part, values=values, hidden=part.hidden & ~outside)


def _with_contained_words(part: KnownText, wishes: Wishes, rng: np.random.Generator) -> KnownText:
    """A text that has all wanted words, each at a random place that was hidden.

    Raises:
        LnfgenError: if there is no room for a word.
    """
    values = part.values.copy()
    hidden = part.hidden.copy()
    for word in wishes.contained:
        starts = []
        for start in range(len(hidden) - len(word) + 1):
            if hidden[start : start + len(word)].all():
                starts.append(start)
        if not starts:
            raise LnfgenError(
                f"the wish contains={word}; found no {len(word)} free characters in a row"
            )
        start = rng.choice(starts)
        place = slice(start, start + len(word))
        values[place] = part.encoding.encode(word)
        hidden[place] = False
    return replace(part, values=values, hidden=hidden)
