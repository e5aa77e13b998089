"""Draw pieces towards wishes.

A piece whose wishes do not hold is drawn again by twice as many particles, in a number of tries. So
pieces come from p(hidden | known, the wishes hold). If no try has all, the nearest one is taken.

Each piece is drawn by itself. So it depends neither on the others nor on their number, and a person
has it before the next one is begun. No clock ends the work, because the same seed could then give
other pieces on a busier machine.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lnfgen.conventions import stream_seed
from lnfgen.errors import LnfgenError
from lnfgen.inference.block_drawing import (
    MAX_ROW_STEPS,
    MAX_ROWS,
    Finished,
    PieceToDraw,
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

MAX_TRIES = 1000  # for a piece


# The arguments are those of `fill_pieces` and `sample_pieces`, which call it.
def steered(  # noqa: PLR0913
    model: SequenceModel,
    pieces: Iterable[PieceToDraw[Finished]],
    wishes: Wishes,
    particles: int,
    temperature: float,
    tries: int,
    tried: Callable[[int, int], None],
) -> Iterator[Finished]:
    """Draw pieces towards wishes, and yield each as soon as it is drawn.

    Args:
        particles: of the first try.
        tries: the most for a piece.
        tried: called with the place of a piece and how many of its tries are over. All are over
            once its wishes hold.

    Raises:
        LnfgenError: if the number of tries is out of range, or what is known rules a wish out.
    """
    if not 1 <= tries <= MAX_TRIES:
        raise LnfgenError(f"{tries} tries; expected 1 to {MAX_TRIES:,}")
    for place, piece in enumerate(pieces):
        limited = piece._replace(part=_limited(piece.part, wishes, piece.seed))
        nearest: Finished | None = None
        least = math.inf
        for attempt in range(tries):
            fresh = limited._replace(seed=stream_seed(piece.seed, attempt))
            width = max(particles, min(particles << attempt, MAX_ROWS))
            drawn = _draw_towards(model, fresh, wishes, width, temperature)
            distance = wishes.distance(drawn)
            if nearest is None or distance < least:
                nearest = drawn
                least = distance
            if least == 0:
                break
            tried(place, attempt + 1)
        tried(place, tries)
        assert nearest is not None
        yield nearest


def _draw_towards(
    model: SequenceModel,
    piece: PieceToDraw[Finished],
    wishes: Wishes,
    particles: int,
    temperature: float,
) -> Finished:
    """Draw a piece once, by particles that are weighed by the wishes."""
    num_steps, _ = piece.shape
    width = max(1, min(particles, MAX_ROW_STEPS // num_steps))
    potential = partial(_potential, wishes, piece)
    [drawn] = draw_block(model, [piece], width, temperature, potential=potential)
    return drawn


def _potential(
    wishes: Wishes,
    piece: PieceToDraw[Any],
    t: int,
    so_far: Callable[[], Tensor],
) -> Tensor | None:
    """The `Potential` of a piece, by the distance of what is drawn from the wishes."""
    num_steps, _ = piece.shape
    is_whole = t == num_steps
    if not is_whole and not _is_measured_after(piece.part, t):
        return None
    distances = []
    for x in so_far().cpu().numpy():
        found = piece.finish(x) if is_whole else piece.part.decoded_so_far(x)
        distances.append(wishes.distance(found, t / num_steps))
    return -WEIGHT * torch.tensor(distances, dtype=torch.float64)


def _is_measured_after(part: KnownPart, t: int) -> bool:
    """If the distance is measured after t steps, which are not all."""
    if isinstance(part, KnownMusic):
        return t % part.encoding.steps_per_quarter == 0 and t > part.ahead
    return t % TEXT_STRIDE == 0


def _limited(part: KnownPart, wishes: Wishes, seed: int) -> KnownPart:
    """The part with all that the wishes fix."""
    if isinstance(part, KnownMusic):
        return _on_wanted_keys(part, wishes)
    return _with_contained_words(part, wishes, np.random.default_rng(seed))


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
