"""Pieces from a model, each from its own random stream.

A model with `in_metre` first draws the time signature of a piece, then its length, and then its
notes.

One piece alone is drawn by itself. Several are drawn in blocks, the first of 16 rows and all others
of 32: pieces 1 to 16, 17 to 48, and so on. A block always has all its rows, each with its own
length and noise, even if fewer pieces are asked for, and is padded to its longest row. So the bytes
of piece i do not depend on how many pieces are drawn. A piece drawn alone is the same but for
round-off, which can rarely change a step. Blocks of long pieces are smaller.
"""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lnfgen.conventions import (
    MAX_LENGTH,
    MELODY_PARTICLES,
    SECONDS,
    Progress,
    TimeSignature,
    no_progress,
    stream_seed,
)
from lnfgen.data.encoding import Encoding
from lnfgen.errors import LnfgenError
from lnfgen.formats.read_write import Piece
from lnfgen.inference.known import nothing_known
from lnfgen.inference.steering import Item, metres_in, steered
from lnfgen.inference.wishes import NO_WISHES, Wishes
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.pianoroll import bar_length

FIRST_ROWS, BLOCK_ROWS = 16, 32
"""Rows of the first block and of the others. With many, the overhead of a step in a loop over time
is small for each row; but who asks for a few pieces waits for all rows of the first block."""

MAX_BLOCK_STEPS = 20_000  # padded time steps in one block, as in a pass of scoring
MAX_TEMPERATURE = 100.0  # above it every key and every character is as likely as any other


def sample_pieces(
    model: SequenceModel,
    encoding: Encoding,
    *,
    count: int = 1,
    length: int | None = None,
    bars: int | None = None,
    temperature: float = 1.0,
    seed: int = 0,
    wishes: Wishes = NO_WISHES,
    seconds: float = SECONDS,
    progress: Progress = no_progress,
) -> Iterator[Piece]:
    """Draw pieces as `lnfgen.runs.trained.TrainedModel.sample` describes, and yield them in order.

    The temperature divides the emission's logits, and those of a prior that chooses among codes,
    and multiplies the noise of any other prior. A length counts the silence ahead of an upbeat.
    Silent bars at the ends of a piece whose length was drawn are left out, as they are of datasets.
    Wishes are met as `lnfgen.inference.steering` says.
    """
    require_draws(count, seed, temperature)
    require_one_length(length, bars, encoding)
    if (wanted := wishes.time_signature) is not None:
        require_known(model, encoding, wanted)
    # for each time signature that a piece may have; None: drawn
    steps_in: dict[TimeSignature, int | None] = {}
    for one in time_signatures_of(model, encoding) if wanted is None else [wanted]:
        steps = length if bars is None else math.ceil(bars * bar_length(one, encoding.grid))
        if steps is not None and not 1 <= steps <= MAX_LENGTH:
            raise LnfgenError(f"a length of {steps:,} steps; expected 1 to {MAX_LENGTH:,}")
        steps_in[one] = steps and steps * encoding.stride
    model.eval()
    if wishes.steers:
        items = []
        for own in (stream_seed(seed, index) for index in range(count)):
            row = drawn_row(model, steps_in, own)
            part = nothing_known(encoding, row.length, row.time_signature)
            items.append(Item(part, stream_seed(own, 0), partial(_decoded, encoding, row)))
        yield from steered(
            model, encoding, items, wishes, MELODY_PARTICLES, temperature, seconds, progress
        )
        return
    for first in (0, *range(FIRST_ROWS, count, BLOCK_ROWS)):
        num_rows = BLOCK_ROWS if first else 1 if count == 1 else FIRST_ROWS
        rows = [
            drawn_row(model, steps_in, stream_seed(seed, index))
            for index in range(first, first + num_rows)
        ]
        pieces = drawn_pieces(model, encoding, rows, temperature)
        yield from islice(pieces, count - first)  # the other rows only fill the block


class Row(NamedTuple):
    """The choices about a piece that are made before its notes or characters are drawn."""

    time_signature: TimeSignature
    length: int
    has_drawn_length: bool
    generator: torch.Generator


def drawn_row(model: SequenceModel, steps_in: dict[TimeSignature, int | None], seed: int) -> Row:
    """The choices about a piece, where `steps_in` are the time signatures that it may have; see
    `sample_pieces`."""
    generator = torch.Generator().manual_seed(seed)
    time_signature, *others = steps_in
    if others:
        assert model.time_signatures is not None
        time_signature = model.time_signatures.sample(generator)
    steps = steps_in[time_signature]
    length = model.lengths_in(time_signature).sample(generator) if steps is None else steps
    length += -length % model.observation.parts  # a band has all parts of its last step
    return Row(time_signature, length, steps is None, generator)


class Drawn(NamedTuple):
    """A sequence that a model drew, and what it was drawn from."""

    row: Row
    x: Tensor  # [T] or [T, P], on the CPU
    # [T, noise_size], from which z was drawn, on the model's device; None without a latent
    noise: Tensor | None


def drawn_sequences(
    model: SequenceModel,
    encoding: Encoding,
    rows: Sequence[Row],
    temperature: float,
    max_steps: int,
) -> Iterator[Drawn]:
    """Draw the sequences of these rows as one block, or as smaller ones if it has over `max_steps`
    padded steps."""
    size = len(rows)
    while size > 1 and size * max(row.length for row in rows) > max_steps:
        size //= 2
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        lengths = [row.length for row in block]
        metres = metres_in(model, encoding, [row.time_signature for row in block])
        # Outside of inference mode, because a gradient may be computed with the noise.
        noise, uniform = model.random_numbers(lengths, [row.generator for row in block])
        with torch.inference_mode():
            drawn = model.generate(lengths, noise, uniform, temperature, metres)
        for place, (row, x) in enumerate(zip(block, drawn, strict=True)):
            yield Drawn(row, x, None if noise is None else noise[place, : row.length])


def drawn_pieces(
    model: SequenceModel, encoding: Encoding, rows: Sequence[Row], temperature: float
) -> Iterator[Piece]:
    """The pieces of these rows."""
    for row, x, _ in drawn_sequences(model, encoding, rows, temperature, MAX_BLOCK_STEPS):
        yield _decoded(encoding, row, x.numpy())


def _decoded(encoding: Encoding, row: Row, x: np.ndarray) -> Piece:
    # Nobody has asked for the length that was drawn, and the data has no silent bars at its ends.
    return encoding.decode(x, row.time_signature, cuts_ends=row.has_drawn_length)


def time_signatures_of(model: SequenceModel, encoding: Encoding) -> list[TimeSignature]:
    """The time signatures in which a model draws pieces."""
    return (
        [encoding.time_signature] if model.time_signatures is None else model.time_signatures.known
    )


def require_known(model: SequenceModel, encoding: Encoding, asked: TimeSignature) -> None:
    """Refuse a time signature in which the model cannot draw."""
    known = time_signatures_of(model, encoding)
    if asked in known:
        return
    found, words = (
        "found a time signature of {}/{}".format(*asked),
        ", ".join("{}/{}".format(*one) for one in known),
    )
    if model.time_signatures is None:
        raise LnfgenError(
            f"{found}, but this model was trained without time signatures, and writes all in {words}; leave it out, or "
            "train a model with --set model.in_metre=true"
        )
    raise LnfgenError(f"{found}; expected one of those of the training data: {words}")


def require_draws(count: int, seed: int, temperature: float) -> None:
    if count < 1:
        raise LnfgenError(f"{count} pieces; expected at least 1")
    if not 0 <= seed < 2**63:
        raise LnfgenError(f"a seed of {seed}; expected a whole number from 0 to 2^63 - 1")
    if not 0 <= temperature <= MAX_TEMPERATURE:  # NaN is refused too
        raise LnfgenError(
            f"a temperature of {temperature}; expected a number from 0 to {MAX_TEMPERATURE:g}"
        )


def require_one_length(length: int | None, bars: int | None, encoding: Encoding) -> None:
    """Refuse bars beside a length, or for text."""
    if bars is None:
        return
    if length is not None:
        raise LnfgenError(f"found a length in steps ({length}) and in bars ({bars}); leave one out")
    if encoding.kind != "music":
        raise LnfgenError(
            f"found a length in bars ({bars}) for text, which has none; give the number of characters"
        )
