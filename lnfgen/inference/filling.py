"""Keep some notes or characters of a piece, and draw the rest.

So gaps are filled, melodies are harmonised, intros go on, and pieces vary. The known part is a
`KnownPart`, which `inference.known_part` makes. The model draws what is hidden from
p(hidden | known, T), by particles: see `inference.particles`. The known part is the same in every
result. Of a long piece of music the model hears the neighbourhood of what is hidden.
"""

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import torch

from lnfgen.conventions import (
    MAX_LENGTH,
    PARTICLES,
    TRIES,
    Progress,
    no_progress,
    stream_seed,
)
from lnfgen.data.encoding import Encoding
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.errors import LnfgenError
from lnfgen.inference.block_drawing import PieceToDraw, block_size, draw_block
from lnfgen.inference.known_music import KnownMusic, on_grid
from lnfgen.inference.known_part import GivenPiece, KnownPart, partly_hidden
from lnfgen.inference.known_text import text_of
from lnfgen.inference.named_chords import NamedChords
from lnfgen.inference.particle_memory import require_memory
from lnfgen.inference.sampling import require_draws, require_one_length
from lnfgen.inference.wish_steering import draw_wanted
from lnfgen.inference.wishes import NO_WISHES, Wishes
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song
from lnfgen.music.time_signature import bar_length
from lnfgen.music.tonality import pitch_name


# A model with its encoding, a piece, two ways to give the length, and the stream to draw it from.
def added_steps(  # noqa: PLR0913
    model: SequenceModel,
    encoding: Encoding,
    piece: GivenPiece,
    length: int | None,
    bars: int | None,
    seed: int,
) -> int:
    """How many steps or characters an intro goes on for.

    They are as asked, or drawn from p(T | T > its own length). Bars are counted from the next bar
    line on, as the upbeat of the file places it.

    Raises:
        LnfgenError: if both a length and bars are given, or bars of a text.
    """
    require_one_length(length, bars)
    if length is not None:
        return length
    if isinstance(encoding, MusicEncoding):
        roll = encoding.from_bar_line(on_grid(encoding, piece).roll)
        if bars is not None:
            return _steps_to_bar_line(roll, bars)
        own = roll.num_steps
        lengths = model.lengths_in(roll.time_signature)
    else:
        if bars is not None:
            encoding.steps_of_bars(bars, None)  # a text has none
        own = len(text_of(piece))
        lengths = model.length
    generator = torch.Generator().manual_seed(stream_seed(seed, 0))
    return lengths.sample(generator, beyond=own) - own


def _steps_to_bar_line(roll: PianoRoll, bars: int) -> int:
    """The steps from the end of a roll to the end of so many bars after the next bar line."""
    bar = bar_length(roll.time_signature, roll.steps_per_quarter)
    after_upbeat = roll.num_steps - roll.upbeat
    bars_begun = -(-after_upbeat // bar)
    return round((bars_begun + bars) * bar) - after_upbeat


# Each argument is a choice of its own, as for the command.
def fill_pieces(  # noqa: PLR0913
    model: SequenceModel,
    part: KnownPart,
    *,
    count: int = 1,
    temperature: float = 1.0,
    seed: int = 0,
    particles: int = PARTICLES,
    wishes: Wishes = NO_WISHES,
    tries: int = TRIES,
    progress: Progress = no_progress,
    steered: Callable[[bool], None] = lambda is_steered: None,
    names_chords: bool = False,
) -> Iterator[Song | str]:
    """Draw `count` pieces with this known part, each from its own random stream, in order.

    Args:
        particles: of each piece; with more, what is drawn fits the known part better.
        wishes: what the pieces should have, if that can be reached in so many `tries` for each; see
            `draw_wanted`. A wish for the key also fixes the home that the model reads.
        steered: called for each piece with wishes before it is yielded: False if it is as plain
            ones are.
        names_chords: draw towards chords that have a name; see `NamedChords`.

    Raises:
        LnfgenError: if nothing is hidden, a number is out of range, memory is too small for so many
            particles, or there is a wish for a time signature.
    """
    require_draws(count, seed, temperature)
    if isinstance(part, KnownMusic):
        part = part.near_hidden()
    _require_possible(part, particles, wishes)
    named: NamedChords | None = None
    if names_chords:
        assert isinstance(part, KnownMusic)
        named = NamedChords(part)

    def piece(index: int) -> PieceToDraw[Song | str]:
        own_seed = stream_seed(seed, index)
        home = _home_number(model, part, wishes, own_seed)
        return PieceToDraw(part, own_seed, part.decoded, home, named=named)

    pieces: Iterator[PieceToDraw[Song | str]] = map(piece, range(count))
    # A plain piece is no draw among the keys of a chart.
    if not wishes.chart:
        require_memory(model, part, particles)

        def drawing(done: int) -> None:
            progress("drawing", done, count * part.num_steps)

        pieces = _with_plain_draws(model, pieces, particles, temperature, drawing)
    yield from draw_wanted(
        model, pieces, wishes, particles, temperature, count, tries, progress, steered
    )


def _with_plain_draws(
    model: SequenceModel,
    pieces: Iterator[PieceToDraw[Song | str]],
    particles: int,
    temperature: float,
    drawing: Callable[[int], None],
) -> Iterator[PieceToDraw[Song | str]]:
    """The pieces of one shape as they are drawn without wishes, in blocks.

    `drawing` is called with the number of steps that are drawn, those of all pieces.
    """
    done = 0
    for first in pieces:
        num_steps, _ = first.shape
        others = islice(pieces, block_size(num_steps, particles) - 1)
        block = [first, *others]

        def of_block(steps: int, before: int = done, rows: int = len(block)) -> None:
            drawing(before + rows * steps)

        drawn = draw_block(model, block, particles, temperature, of_block)
        for one, plain in zip(block, drawn, strict=True):
            yield one._replace(free=plain)
        done += len(block) * num_steps


def _home_number(model: SequenceModel, part: KnownPart, wishes: Wishes, seed: int) -> int | None:
    """The home of a piece: of those that are wished for, the one that fits the known notes best.

    If no pitch is known, it is drawn among them.
    """
    if not wishes.homes or model.homes is None or not isinstance(part, KnownMusic):
        return part.home_number
    home = part.home_among(wishes.homes)
    if home is not None:
        return part.encoding.home_number(home, part.shift)
    numbers = [part.encoding.home_number(wanted, part.shift) for wanted in wishes.homes]
    return model.homes.sample(torch.Generator().manual_seed(seed), numbers)


def _require_possible(part: KnownPart, particles: int, wishes: Wishes) -> None:
    """Refuse a number that is out of range, nothing hidden, and a wish for a time signature."""
    if particles < 1:
        raise LnfgenError(f"{particles} particles; expected at least 1")
    if part.num_steps > MAX_LENGTH:
        raise LnfgenError(f"a piece of {part.num_steps:,} steps; expected at most {MAX_LENGTH:,}")
    if not part.hidden.any():
        raise LnfgenError(_nothing_free(part))
    if wishes.time_signature is not None:
        raise LnfgenError(
            "found a wish for a time signature; a piece of your own keeps its time signature"
        )


def _nothing_free(part: KnownPart) -> str:
    if not isinstance(part, KnownMusic):
        return "nothing is free in the text"
    low = pitch_name(part.keys[0])
    high = pitch_name(part.keys[-1])
    return f"nothing is free among the model's keys, {low} to {high}"


# Each argument is a choice of its own, as for the command.
def vary_pieces(  # noqa: PLR0913
    model: SequenceModel,
    whole: KnownPart,
    *,
    amount: float,
    count: int = 1,
    temperature: float = 1.0,
    seed: int = 0,
    particles: int = PARTICLES,
    wishes: Wishes = NO_WISHES,
    tries: int = TRIES,
    progress: Progress = no_progress,
    steered: Callable[[bool], None] = lambda is_steered: None,
) -> Iterator[Song | str]:
    """Draw `count` pieces of which a share is drawn anew, each at places of its own.

    The other arguments are those of `fill_pieces`.

    Args:
        amount: the share, of the places of `known_part.partly_hidden`.

    Raises:
        LnfgenError: if a number is out of range, or there is a wish for a time signature.
    """
    if not 0 <= amount <= 1:
        expected = "expected a number from 0, the piece itself, to 1, a fresh piece"
        raise LnfgenError(f"an amount of {amount}; {expected}")
    require_draws(count, seed, 1.0)
    for index in range(count):
        own_seed = stream_seed(seed, index)
        part = partly_hidden(whole, amount, np.random.default_rng(own_seed))

        def of_piece(what: str, done: int, total: int, index: int = index) -> None:
            progress(what, index * total + done, count * total)

        if part.hidden.any():
            yield from fill_pieces(
                model,
                part,
                temperature=temperature,
                seed=own_seed,
                particles=particles,
                wishes=wishes,
                tries=tries,
                progress=of_piece,
                steered=steered,
            )
        else:
            if wishes.steers:
                steered(False)
            yield part.decoded(part.values)
