"""Pieces near a given one, between two, and what the latent says of one.

A piece is a function of its length and of independent N(0, 1) numbers: see `lnfgen.models.noise`. Those that would have
given a piece are drawn, moved, and made a piece again. This works for every model, because the numbers that choose each
bit or symbol of the output are moved as well as those of the latent.

- Vary: `noise' = sqrt(1 - a^2) noise + a fresh`. With amount a = 0 it is the piece, with 1 a sample, and if the piece
  is a sample of the model, so is each result. If a model reads the steps before, each change alters what follows, so
  the end keeps less than the beginning.
- Interpolate: the numbers of each step go along the arc from those of one piece to those of the other, on the sphere
  (slerp, Shoemake 1985), latent and output each by itself. Each step has an arc of its own, because pieces differ more
  in some places than in others, and nothing should change where they agree. The noise of both pieces is drawn with the
  same random numbers, so where they are alike it is nearly the same. The length changes evenly from one to the other,
  in whole bars if both pieces have whole bars; after the end of the shorter one, its noise is fresh random numbers.
- Reconstruct: keep z, and draw the output anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from lnfgen.config import NAMED_MODELS
from lnfgen.conventions import MAX_LENGTH
from lnfgen.data.encoding import Encoding
from lnfgen.errors import LnfgenError
from lnfgen.formats.read_write import Piece
from lnfgen.inference.given import Given, decoded_in_full, without_silence_ahead
from lnfgen.inference.sampling import MAX_BLOCK_STEPS, metres_of, require_draws
from lnfgen.models import SequenceModel
from lnfgen.models.noise import Noise, combined, fresh_noise, noise_of, sequence_of
from lnfgen.music.pianoroll import PianoRoll, bar_length
from lnfgen.streams import stream_seed
from lnfgen.wording import counted

SAMPLES = 16
"""Draws of z given the piece, of which one is chosen."""

WITH_LATENT = ", ".join(name for name in NAMED_MODELS if name != "lstm")


@dataclass(frozen=True)
class Variation:
    """A piece that was made of others.

    Attributes:
        shared: of each of those, the share of its notes that begin here too, or of its characters that are the same in
            the same place.
    """

    piece: Piece
    shared: tuple[float, ...]


def vary_piece(
    model: SequenceModel, encoding: Encoding, given: Given, *, amount: float, count: int = 1, seed: int = 0
) -> Iterator[Variation]:
    """Draw `count` pieces that are `amount` away from the given one, each from its own random stream.

    Raises:
        LnfgenError: if a number is out of range, or the piece is too long.
    """
    if not 0 <= amount <= 1:
        raise LnfgenError(f"an amount of {amount}; expected a number from 0, the piece itself, to 1, another sample")
    original = decoded_in_full(encoding, given, given.values)
    metres = metres_of(model, encoding, [given.piece])
    for x, generator in _streams(model, given, count, seed):
        if amount > 0:  # else round-off could still change a step
            noise = _noise_of(model, x, generator, metres)
            fresh = fresh_noise(len(x), noise, generator)
            moved = combined(lambda old, new: math.sqrt(1 - amount**2) * old + amount * new, noise, fresh)
            x = sequence_of(model, moved, metres)
        yield _variation(encoding, given, x, [original])


def reconstruct_piece(
    model: SequenceModel, encoding: Encoding, given: Given, *, count: int = 1, temperature: float = 1.0, seed: int = 0
) -> Iterator[Variation]:
    """Draw `count` pieces from p(x | z), each with its own z from the posterior of the given piece.

    Raises:
        LnfgenError: if the model has no latent, a number is out of range, or the piece is too long.
    """
    if model.exact:
        raise LnfgenError(
            f"this model is an lstm, which has no latent to reconstruct from; expected one of {WITH_LATENT}, or the "
            "model chorales in the box; vary and interpolate work with any model"
        )
    require_draws(seed, temperature)
    original = decoded_in_full(encoding, given, given.values)
    metres = metres_of(model, encoding, [given.piece])
    for x, generator in _streams(model, given, count, seed):
        eps = _noise_of(model, x, generator, metres).latent
        assert eps is not None
        uniform = model.observation.uniform(1, len(x), generator).to(eps.device)
        with torch.inference_mode():
            drawn = model.generate([len(x)], eps[None], uniform, temperature, metres)[0]
        yield _variation(encoding, given, drawn, [original])


def interpolate_pieces(
    model: SequenceModel, encoding: Encoding, first: Given, second: Given, *, steps: int, seed: int = 0
) -> Iterator[Variation]:
    """Yield `steps` pieces on the way from one to another; the first and the last are these.

    Raises:
        LnfgenError: if a number is out of range, or a piece is too long.
    """
    if steps < 2:
        raise LnfgenError(f"{counted(steps, 'step')}; expected at least 2, the pieces themselves")
    for given in (first, second):
        _require_length(given)
    require_draws(seed, 1.0)
    model.eval()
    ends = [torch.from_numpy(given.values) for given in (first, second)]
    longest = max(map(len, ends))
    metres_at_end = [metres_of(model, encoding, [given.piece]) for given in (first, second)]
    noises = [
        _noise_of(model, x, _generator(seed, 0), metres, longest) for x, metres in zip(ends, metres_at_end, strict=True)
    ]
    for index, noise in enumerate(noises):
        fresh = fresh_noise(longest - len(ends[index]), noise, _generator(seed, 1 + index))
        noises[index] = combined(lambda *parts: torch.cat(parts), noise, fresh)
    originals = [decoded_in_full(encoding, given, given.values) for given in (first, second)]
    for index in range(steps):
        place = index / (steps - 1)
        nearer, metres = (first, metres_at_end[0]) if place < 0.5 else (second, metres_at_end[1])
        x = ends[0] if index == 0 else ends[1]
        if 0 < index < steps - 1:
            length = _length(encoding, first, second, place)
            x = sequence_of(model, combined(partial(_on_the_way, place=place, length=length), *noises), metres)
        shift = round((1 - place) * first.shift + place * second.shift)
        yield _variation(encoding, replace(nearer, shift=shift), x, originals)


def share_of(original: Piece, piece: Piece) -> float:
    """The share of the original's notes that begin in the piece too, or of its characters that stand where they did."""
    if isinstance(original, str):
        assert isinstance(piece, str)
        return sum(a == b for a, b in zip(original, piece, strict=False)) / len(original)
    assert isinstance(piece, PianoRoll)
    begin = {(start, pitch) for start, _, pitch in original.notes()}
    return len(begin & {(start, pitch) for start, _, pitch in piece.notes()}) / len(begin)


def _streams(model: SequenceModel, given: Given, count: int, seed: int) -> Iterator[tuple[Tensor, torch.Generator]]:
    """The given sequence with a generator, once for each piece. A piece does not depend on how many are drawn."""
    if count < 1:
        raise LnfgenError(f"{count} pieces; expected at least 1")
    require_draws(seed, 1.0)
    _require_length(given)
    model.eval()
    for index in range(count):
        yield torch.from_numpy(given.values), _generator(seed, index)


def _require_length(given: Given) -> None:
    if not 1 <= len(given.values) <= MAX_LENGTH:
        raise LnfgenError(f"a piece of {len(given.values):,} steps; expected 1 to {MAX_LENGTH:,}")


def _generator(seed: int, index: int) -> torch.Generator:
    return torch.Generator().manual_seed(stream_seed(seed, index))


def _noise_of(
    model: SequenceModel, x: Tensor, generator: torch.Generator, metres: Tensor | None, num_steps: int | None = None
) -> Noise:
    num_samples = max(1, min(SAMPLES, MAX_BLOCK_STEPS // (num_steps or len(x))))
    return noise_of(model, x, generator, num_samples=num_samples, num_steps=num_steps, metres=metres)


def _variation(encoding: Encoding, given: Given, x: Tensor, originals: Sequence[Piece]) -> Variation:
    """The piece that was drawn, x, in place of the given one, beside pieces that have a step for each of theirs."""
    values = x.numpy()
    if len(values) == len(given.values):  # an unknown character stays where the model draws the unknown symbol there
        given = replace(given, free=values != given.values)
    elif isinstance(given.piece, str):
        text = encoding.decode(values)
        return Variation(text, tuple(share_of(original, text) for original in originals))
    full = decoded_in_full(encoding, given, values)
    return Variation(without_silence_ahead(given, full), tuple(share_of(original, full) for original in originals))


def _length(encoding: Encoding, first: Given, second: Given, place: float) -> int:
    lengths = [len(given.values) for given in (first, second)]
    length = (1 - place) * lengths[0] + place * lengths[1]
    if isinstance(first.piece, PianoRoll) and isinstance(second.piece, PianoRoll):
        bars = [bar_length(roll.time_signature, encoding.steps_per_quarter) for roll in (first.piece, second.piece)]
        if all(own % bar == 0 for own, bar in zip(lengths, bars, strict=True)):
            bar = bars[0] if place < 0.5 else bars[1]  # the result has the time signature of the nearer piece
            return round(round(length / bar) * bar)
    return round(length)


def _on_the_way(first: Tensor, second: Tensor, place: float, length: int) -> Tensor:
    return slerp(first, second, place)[:length]


def slerp(first: Tensor, second: Tensor, place: float) -> Tensor:
    """The point of the arc from each row of one to that of the other, `[T, N]`, for a place from 0 to 1.

    The lengths of rows go from one to the other evenly. Opposite and equal directions have no arc: there, and nearly
    there, the way is straight.
    """
    lengths = [part.norm(dim=-1, keepdim=True).clamp(min=1e-12) for part in (first, second)]
    a, b = first / lengths[0], second / lengths[1]
    angle = torch.acos((a * b).sum(-1, keepdim=True).clamp(-1, 1))
    sine = torch.sin(angle)
    straight = sine < 1e-3
    on_arc = (torch.sin((1 - place) * angle) * a + torch.sin(place * angle) * b) / torch.where(straight, 1, sine)
    scaled = on_arc * ((1 - place) * lengths[0] + place * lengths[1])
    return torch.where(straight, (1 - place) * first + place * second, scaled)
