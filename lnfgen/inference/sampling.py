"""Pieces from a model, each from its own random stream.

A model with `reads_time_signature` first draws the time signature of a piece, then its length, and
then its notes. One with `reads_home` draws the home before the notes too, among the keys that are
wished for.

One piece alone is drawn by itself. Several are drawn in blocks, the first of 16 rows and all others
of 32: pieces 1 to 16, 17 to 48, and so on. A block always has all its rows, each with its own
length and noise, even if fewer pieces are asked for, and is padded to its longest row. So the bytes
of piece i do not depend on how many pieces are drawn. A piece drawn alone is the same but for
round-off, which can rarely change a step. Blocks of long pieces are smaller.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lnfgen.conventions import (
    MAX_LENGTH,
    MELODY_PARTICLES,
    TRIES,
    Progress,
    TimeSignature,
    no_progress,
    stream_seed,
)
from lnfgen.data.encoding import Encoding
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.device.drawing import for_drawing
from lnfgen.errors import LnfgenError
from lnfgen.inference.block_drawing import PieceToDraw, outline_in
from lnfgen.inference.close_at_home import close_of
from lnfgen.inference.known_part import nothing_known
from lnfgen.inference.wanted_chords import home_of_chart
from lnfgen.inference.wish_steering import draw_wanted
from lnfgen.inference.wishes import NO_WISHES, Wishes
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.tonality import Key
from lnfgen.wording import counted

# Rows of the first block and of the others. With many, the overhead of a step in a loop over time
# is small for each row; but who asks for a few pieces waits for all rows of the first block.
FIRST_ROWS = 16
BLOCK_ROWS = 32

MAX_BLOCK_STEPS = 20_000  # padded time steps in one block, as in a pass of scoring
MOST_SILENT = 20  # times that a band without a note is drawn, until it has one
MAX_COUNT = 1_000_000_000  # of pieces; nobody waits for more
MAX_TEMPERATURE = 100.0  # above it every key and every character is as likely as any other

# The time signatures that a piece may have, and the steps of a piece in each; None: they are drawn.
# A text has the time signature None.
StepsIn = Mapping[Any, int | None]


# Each argument is a choice of its own, as for the command.
def sample_pieces(  # noqa: PLR0913
    model: SequenceModel,
    encoding: Encoding,
    *,
    count: int = 1,
    length: int | None = None,
    bars: int | None = None,
    temperature: float = 1.0,
    seed: int = 0,
    wishes: Wishes = NO_WISHES,
    tries: int = TRIES,
    progress: Progress = no_progress,
    steered: Callable[[bool], None] = lambda is_steered: None,
) -> Iterator[PianoRoll | str]:
    """Draw pieces as `lnfgen.runs.trained.TrainedModel.sample` describes, and yield them in order.

    The temperature divides the emission's logits, and those of a prior that chooses among codes,
    and multiplies the noise of any other prior. A length counts the silence ahead of an upbeat.
    Silent bars at the ends of a piece whose length was drawn are left out, as they are of datasets.
    A band without a note is drawn again. So is a piece that does not end on the tonic of its home:
    the first of up to `GENTLE_PIECES` that does is taken, or else the first of all.
    Wishes are met as `lnfgen.inference.wish_steering` says: a piece is as without them if they hold
    for it then. `steered` is called for each piece with wishes before it is yielded.

    Raises:
        LnfgenError: if a number is out of range, both a length and bars are given, bars of a text
            are asked for, or a time signature in which the model cannot draw.
    """
    require_draws(count, seed, temperature)
    require_one_length(length, bars)
    steps_in = _steps_in(model, encoding, length, bars, wishes.time_signature)
    homes = _home_numbers(encoding, _wanted_homes(wishes))
    model.eval()
    # A free piece is no draw among the keys of a chart.
    draws = not wishes.chart
    pieces = _free_pieces(
        model, encoding, steps_in, homes, count, seed, temperature, progress, draws=draws
    )
    closing = (_with_close(piece, encoding, wishes) for piece in pieces)
    yield from draw_wanted(
        model, closing, wishes, MELODY_PARTICLES, temperature, count, tries, progress, steered
    )


def _with_close(
    piece: PieceToDraw[PianoRoll | str], encoding: Encoding, wishes: Wishes
) -> PieceToDraw[PianoRoll | str]:
    """The piece, and that it ends on the tonic of its home; see `close_of`.

    Songs of a band have no ends, because most are stretches of longer songs.
    """
    if piece.home is None or not isinstance(encoding, MusicEncoding) or encoding.roles:
        return piece
    return piece._replace(close=close_of(wishes, encoding.numbered_home(piece.home)))


def _wanted_homes(wishes: Wishes) -> Sequence[Key]:
    """The keys that are wished for, or else that of the chords that are."""
    if wishes.homes or not wishes.chart:
        return wishes.homes
    home = home_of_chart(wishes.chart)
    return () if home is None else (home,)


def _home_numbers(encoding: Encoding, homes: Sequence[Key]) -> list[int]:
    """The numbers of these homes for a model."""
    if not isinstance(encoding, MusicEncoding):
        return []
    return [encoding.home_number(home) for home in homes]


# The arguments are those of `sample_pieces`.
def _free_pieces(  # noqa: PLR0913
    model: SequenceModel,
    encoding: Encoding,
    steps_in: StepsIn,
    homes: Sequence[int],
    count: int,
    seed: int,
    temperature: float,
    progress: Progress,
    *,
    draws: bool,
) -> Iterator[PieceToDraw[PianoRoll | str]]:
    """Pieces of which nothing is known but their outline.

    If it `draws`, they come as they are drawn without wishes.
    """
    first = 0
    while first < count:
        num_rows = BLOCK_ROWS if first else FIRST_ROWS
        if count == 1:
            num_rows = 1
        rows = []
        for index in range(first, first + num_rows):
            rows.append(drawn_row(model, steps_in, stream_seed(seed, index), homes))
        pieces: Iterable[PianoRoll | str | None] = [None] * num_rows
        if draws:
            pieces = drawn_pieces(model, encoding, rows, temperature, progress)
        # the other rows only fill the block
        for place, free in enumerate(islice(pieces, count - first)):
            own_seed = stream_seed(seed, first + place)
            row = rows[place]
            for again in range(1, MOST_SILENT):
                if not _is_silent_band(free):
                    break
                row = drawn_row(model, steps_in, stream_seed(own_seed, again), homes)
                (free,) = drawn_pieces(model, encoding, [row], temperature)
            yield _piece_to_draw(encoding, row, stream_seed(own_seed, 0), free)
        first += num_rows


def _is_silent_band(piece: PianoRoll | str | None) -> bool:
    """True of a band without a note, of which songs of the data have some bars in a row."""
    return isinstance(piece, PianoRoll) and bool(piece.parts) and not piece.sounding.any()


def _steps_in(
    model: SequenceModel,
    encoding: Encoding,
    length: int | None,
    bars: int | None,
    wanted: TimeSignature | None,
) -> StepsIn:
    time_signatures: list[TimeSignature | None] = [None]
    if isinstance(encoding, MusicEncoding):
        time_signatures = [*time_signatures_of(model, encoding)]
        if wanted is not None:
            require_known(model, encoding, wanted)
            time_signatures = [wanted]
    steps_in: dict[TimeSignature | None, int | None] = {}
    for time_signature in time_signatures:
        steps = length
        if bars is not None:
            steps = encoding.steps_of_bars(bars, time_signature)
        if steps is not None and not 1 <= steps <= MAX_LENGTH:
            raise LnfgenError(f"a length of {steps:,} steps; expected 1 to {MAX_LENGTH:,}")
        steps_in[time_signature] = steps
    return steps_in


class PieceOutline(NamedTuple):
    """The choices about a piece that are made before its notes or characters are drawn."""

    time_signature: TimeSignature | None  # None of a text
    length: int
    has_drawn_length: bool
    generator: torch.Generator
    home: int | None = None  # by its number in the encoding; None of a model that reads none


def _piece_to_draw(
    encoding: Encoding, row: PieceOutline, seed: int, free: PianoRoll | str | None
) -> PieceToDraw[PianoRoll | str]:
    """A piece of which nothing is known but its outline."""
    part = nothing_known(encoding, row.length, row.time_signature)
    return PieceToDraw(part, seed, partial(_decoded, encoding, row), row.home, free)


def drawn_row(
    model: SequenceModel, steps_in: StepsIn, seed: int, homes: Sequence[int] = ()
) -> PieceOutline:
    """Draw the choices about a piece from the stream of this seed.

    Its home is one of those with the given numbers; if there are none, any.
    """
    generator = torch.Generator().manual_seed(seed)
    if len(steps_in) == 1:
        (time_signature,) = steps_in
    else:
        assert model.time_signatures is not None
        time_signature = model.time_signatures.sample(generator)
    length = steps_in[time_signature]
    has_drawn_length = length is None
    if length is None:
        lengths = model.length if time_signature is None else model.lengths_in(time_signature)
        length = lengths.sample(generator)
    home = None if model.homes is None else model.homes.sample(generator, homes)
    return PieceOutline(time_signature, length, has_drawn_length, generator, home)


class DrawnSequence(NamedTuple):
    """A sequence that a model drew, and what it was drawn from."""

    row: PieceOutline
    x: Tensor  # [T] or [T, R, P], on the CPU
    # [T, noise_size], from which z was drawn, on the model's device; None without a latent
    noise: Tensor | None


# The arguments are those of `drawn_pieces`, and how much is drawn together.
def drawn_sequences(  # noqa: PLR0913
    model: SequenceModel,
    encoding: Encoding,
    rows: Sequence[PieceOutline],
    temperature: float,
    max_steps: int,
    progress: Progress = no_progress,
) -> Iterator[DrawnSequence]:
    """Draw the sequences of these rows as one block.

    If it has over `max_steps` padded steps, it is drawn as smaller blocks. Where a model draws step
    by step, `progress` counts the steps of a block.
    """
    size = len(rows)
    longest = max(row.length for row in rows)
    while size > 1 and size * longest > max_steps:
        size //= 2
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        lengths = [row.length for row in block]
        signatures = [row.time_signature for row in block]
        outline = outline_in(model, encoding, signatures, [row.home for row in block])
        # Outside of inference mode, because a gradient may be computed with the noise.
        noise, uniform = model.random_numbers(lengths, [row.generator for row in block])

        def after_step(done: int, total: int = max(lengths)) -> None:
            progress("drawing", done, total)

        with torch.inference_mode(), for_drawing(model, len(block), model.device):
            drawn = model.generate(lengths, noise, uniform, temperature, outline, after_step)
        for place, row in enumerate(block):
            own_noise = None if noise is None else noise[place, : row.length]
            yield DrawnSequence(row, drawn[place], own_noise)


def drawn_pieces(
    model: SequenceModel,
    encoding: Encoding,
    rows: Sequence[PieceOutline],
    temperature: float,
    progress: Progress = no_progress,
) -> Iterator[PianoRoll | str]:
    """The pieces of these rows; see `drawn_sequences`."""
    drawn = drawn_sequences(model, encoding, rows, temperature, MAX_BLOCK_STEPS, progress)
    for row, x, _ in drawn:
        yield _decoded(encoding, row, x.numpy())


def _decoded(encoding: Encoding, row: PieceOutline, x: np.ndarray) -> PianoRoll | str:
    # Nobody has asked for the length that was drawn, and the data has no silent bars at its ends.
    return encoding.decode(x, row.time_signature, cuts_ends=row.has_drawn_length)


def time_signatures_of(model: SequenceModel, encoding: MusicEncoding) -> list[TimeSignature]:
    """The time signatures in which a model draws pieces."""
    if model.time_signatures is None:
        return [encoding.time_signature]
    return model.time_signatures.known


def require_known(model: SequenceModel, encoding: MusicEncoding, asked: TimeSignature) -> None:
    """Refuse a time signature in which the model cannot draw."""
    known = time_signatures_of(model, encoding)
    if asked in known:
        return
    found = f"found a time signature of {_in_words(asked)}"
    words = ", ".join([_in_words(one) for one in known])
    if model.time_signatures is None:
        raise LnfgenError(
            f"{found}, but this model was trained without time signatures, and writes all in "
            f"{words}; leave it out, or train a model with --set model.reads_time_signature=true"
        )
    raise LnfgenError(f"{found}; expected one of those of the training data: {words}")


def _in_words(time_signature: TimeSignature) -> str:
    beats, unit = time_signature
    return f"{beats}/{unit}"


def require_draws(count: int, seed: int, temperature: float) -> None:
    """Refuse a number that is out of range."""
    if not 1 <= count <= MAX_COUNT:
        raise LnfgenError(f"{counted(count, 'piece')}; expected 1 to {MAX_COUNT:,}")
    if not 0 <= seed < 2**63:
        raise LnfgenError(f"a seed of {seed}; expected a whole number from 0 to 2^63 - 1")
    require_temperature(temperature)


def require_temperature(temperature: float) -> None:
    """Refuse a temperature that is out of range."""
    if not 0 <= temperature <= MAX_TEMPERATURE:  # NaN is refused too
        raise LnfgenError(
            f"a temperature of {temperature}; expected a number from 0 to {MAX_TEMPERATURE:g}"
        )


def require_one_length(length: int | None, bars: int | None) -> None:
    """Refuse bars beside a length."""
    if length is not None and bars is not None:
        raise LnfgenError(f"found a length in steps ({length}) and in bars ({bars}); leave one out")
