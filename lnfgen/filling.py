"""Keep some notes or characters of a piece, and draw the rest: fill gaps, harmonise a melody, go on from an intro.

A piece is laid on the model's grid and range, as a `Given`: the values, and which of them are free. Then the model
draws what is free from p(hidden | known, T), by particles: see `lnfgen.models.particles`. What is given is the same in
every result.

A note that is given must also begin and end where it did. So a free key may be silent or struck just after it, but not
held, and it sounds just before a step where it is given as held. Where the data has no onsets, it is silent just before
and after a given note.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from lnfgen.conventions import ONSET, SOUNDING
from lnfgen.data.encoding import Changes, Encoding
from lnfgen.errors import LnfgenError
from lnfgen.formats import Piece
from lnfgen.models import SequenceModel
from lnfgen.models.observation import Known
from lnfgen.music.pianoroll import PianoRoll, bar_length
from lnfgen.music.regions import region, top_line
from lnfgen.music.rolltext import pitch_name
from lnfgen.sampling import MAX_LENGTH, require_draws, sample_pieces
from lnfgen.streams import stream_seed
from lnfgen.text import UNKNOWN

GAP = "_"
"""The character that marks a gap in a text."""

PARTICLES = 32
"""For each piece. With more, harmonies follow what is known better, for more time."""

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
class Given:
    """A piece of which some is given, as a model sees it.

    Attributes:
        values: uint8 [T, P] or int32 [T]: the whole piece, what is free included.
        free: bool of the same shape.
        piece: the piece itself; music is on the model's grid, with all 128 keys of MIDI.
        free_cells: what is free of it, bool [T, 128] or [T].
        changes: what was lost on the way.
        shift: semitones that music was moved up for the model.
    """

    values: np.ndarray
    free: np.ndarray
    piece: Piece
    free_cells: np.ndarray
    changes: Changes
    shift: int = 0


@dataclass(frozen=True)
class Filling:
    """A piece whose given part is as it was.

    Attributes:
        ess: the mean effective sample size of the particles, as a share of their number; a low one says that the given
            part fits poorly with what the model draws.
        moved: the share of the moves of the latent that were made; None for a model without a latent.
    """

    piece: Piece
    ess: float
    moved: float | None


def given_part(encoding: Encoding, piece: Piece, free: Sequence[str], gap: str | None = None) -> Given:
    """A piece whose part that `free` names is to be drawn: see `music.regions.region`, or `characters` for a text.

    Raises:
        LnfgenError: if the piece is of the other kind or empty, or nothing or nothing that the model has is free.
    """
    if isinstance(piece, str):
        return _given_text(encoding, piece, free, gap)
    if not free:
        raise LnfgenError("found nothing that is free; say what to draw, as bars:5-8 or below-melody")
    roll = _on_grid(encoding, piece)
    return _given_music(encoding, roll, region(roll, free))


def given_melody(encoding: Encoding, piece: Piece) -> Given:
    """The highest line of a piece of music, all below which is to be drawn."""
    if isinstance(piece, str):
        raise LnfgenError("found a text; expected a piece of music, whose melody is to be harmonised")
    roll = top_line(_on_grid(encoding, piece))
    return _given_music(encoding, roll, region(roll, ["below-melody"]))


def given_intro(encoding: Encoding, piece: Piece, added: int) -> Given:
    """A piece that is to go on for `added` steps or characters after its end."""
    if not 1 <= added <= MAX_LENGTH:
        raise LnfgenError(f"{added:,} steps to add; expected 1 to {MAX_LENGTH:,}")
    if isinstance(piece, str):
        if not piece:
            raise LnfgenError("found an empty text; expected at least a character to go on from")
        return _given_text(encoding, piece + GAP * added, [f"{len(piece) + 1}-"], None)
    roll = _on_grid(encoding, piece)
    after = np.zeros((added, roll.num_pitches), dtype=np.bool_)
    onsets = None if roll.onsets is None else np.concatenate([roll.onsets, after])
    longer = replace(roll, sounding=np.concatenate([roll.sounding, after]), onsets=onsets)
    free = np.concatenate([np.zeros_like(roll.sounding), ~after])
    return _given_music(encoding, longer, free)


def added_steps(
    model: SequenceModel, encoding: Encoding, piece: Piece, length: int | None, bars: int | None, seed: int
) -> int:
    """How many steps or characters an intro goes on for: as asked, or drawn from p(T | T > its own length).

    Bars are counted from the next bar line on.
    """
    if length is not None and bars is not None:
        raise LnfgenError(f"found a length of {length} steps and of {bars} bars; expected one of them; leave one out")
    if length is not None:
        return length
    roll = piece if isinstance(piece, str) else _on_grid(encoding, piece)
    own = len(roll) if isinstance(roll, str) else roll.num_steps
    if bars is not None:
        if isinstance(roll, str):
            raise LnfgenError(f"found a length of {bars} bars for a text; give the number of characters")
        bar = bar_length(roll.time_signature, roll.steps_per_quarter)
        return round((-(-own // bar) + bars) * bar) - own
    longest = max(2 * int(model.length.lengths.max()) + 16, own + 16)
    log_probs = model.length.log_prob(torch.arange(own + 1, longest + 1))
    generator = torch.Generator().manual_seed(stream_seed(seed, 0))
    return int(torch.multinomial(torch.softmax(log_probs, 0), 1, generator=generator)) + 1


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
        raise LnfgenError(f"{count} pieces by {particles} particles; expected at least 1 of both")
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
        with torch.inference_mode():
            found = model.fill_batch(each, particles, generators, temperature, tell)
        for x, ess in zip(found.x.numpy(), found.ess.tolist(), strict=True):
            yield Filling(_decoded(encoding, given, x), ess, found.moved)


def at_home(model: SequenceModel, encoding: Encoding, given: Given, seed: int = 0) -> Given:
    """The given music where the model is at home, if it is too high or too low; it is moved back when it is decoded.

    It is moved by the fewest semitones that put most of its keys where those of some free samples are. A given
    highest line is compared with the highest lines of the samples, and other music with all their keys.
    """
    roll = given.piece
    if isinstance(roll, str):
        return given
    kept = roll.sounding & ~given.free_cells
    free_above = given.free_cells[:, ::-1].cumsum(axis=1)[:, ::-1] > 0
    is_top = not (kept & free_above).any()
    # One by one, because several are drawn in a whole block.
    samples = [
        next(sample_pieces(model, encoding, length=HOME_STEPS, seed=stream_seed(seed, index)))
        for index in range(HOME_SAMPLES)
    ]
    usual = np.concatenate([_keys(sample, is_top) for sample in samples])
    low, high = np.quantile(usual, HOME_RANGE) if len(usual) else (0, 127)
    own = _keys(replace(roll, sounding=kept, onsets=None), is_top)
    last, enough = encoding.lowest_pitch + encoding.num_pitches - 1, round(HOME_SHARE * len(own))

    def fit(shift: int) -> tuple[int, int, int]:
        keys = own + shift
        has_place = int(((keys >= encoding.lowest_pitch) & (keys <= last)).sum())
        return has_place, min(int(((keys >= low) & (keys <= high)).sum()), enough), -abs(shift)

    moved = _moved(encoding, roll, given.free_cells, max(range(-48, 49), key=fit))
    if not (moved.values * ~moved.free).any():
        raise LnfgenError("no note of the piece is among the model's keys, in whatever octave")
    return moved


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


def _on_grid(encoding: Encoding, piece: Piece) -> PianoRoll:
    if isinstance(piece, str) or encoding.kind != "music":
        found = "a text" if isinstance(piece, str) else "music"
        raise LnfgenError(f"found {found}; expected {encoding.kind}, as the model makes; choose another model")
    if not piece.sounding.any():
        raise LnfgenError("found a piece without notes; expected at least one to keep")
    return piece.on_grid(encoding.steps_per_quarter).in_range(0, 128)


def _given_music(encoding: Encoding, roll: PianoRoll, free: np.ndarray) -> Given:
    if not (roll.sounding & ~free).any():
        raise LnfgenError("no note of the piece is kept; to draw all of a piece there is `lnfgen sample`")
    return _moved(encoding, roll, free, 0)


def _moved(encoding: Encoding, roll: PianoRoll, free: np.ndarray, shift: int) -> Given:
    """The roll and what is free of it, so many semitones higher, on the model's keys."""
    columns = np.arange(encoding.num_pitches) + encoding.lowest_pitch - shift
    inside = (columns >= 0) & (columns < 128)

    def cut(cells: np.ndarray) -> np.ndarray:
        result = np.zeros((len(cells), encoding.num_pitches), dtype=np.bool_)
        result[:, inside] = cells[:, columns[inside]]
        return result

    struck = roll.struck()
    values = cut(roll.sounding) * np.uint8(SOUNDING)
    if encoding.has_onsets:
        values |= cut(struck) * np.uint8(ONSET)
    lost = int((struck & ~free).sum() - cut(struck & ~free).sum())
    return Given(values, cut(free), roll, free, Changes(roll.rounded, lost), shift)


def _given_text(encoding: Encoding, text: str, free: Sequence[str], gap: str | None) -> Given:
    if encoding.kind != "text":
        raise LnfgenError("found a text; expected music, as the model makes; choose a model of text")
    marks = np.zeros(len(text), dtype=np.bool_)
    for word in free:
        marks[_characters(word, len(text))] = True
    if gap is not None or not free:
        mark = GAP if gap is None else gap
        if len(mark) != 1:
            raise LnfgenError(f"found {mark!r} to mark gaps; expected one character")
        if gap is None and mark in encoding.vocabulary and mark in text:
            raise LnfgenError(
                f"the model writes {mark!r}, so it cannot mark gaps; mark them with another character, or name them, "
                "as 10-20"
            )
        marks |= np.array([character == mark for character in text], dtype=np.bool_)
        if not marks.any():
            raise LnfgenError(f"found no gap in the text; mark each missing character with {mark!r}, or name them")
    if marks.all():
        raise LnfgenError("no character of the text is kept; to draw all of a text there is `lnfgen sample`")
    values = encoding.encode(text)
    unknown = int(((values == 0) & ~marks).sum()) - sum(
        character == UNKNOWN and not free for character, free in zip(text, marks.tolist(), strict=True)
    )
    return Given(values, marks, text, marks, Changes(unknown=unknown))


def _characters(word: str, length: int) -> slice:
    """The characters that `10-20`, `10-` or `10` means, from 1 on."""
    match = re.fullmatch(r"(\d+)(-(\d*))?", word.strip())
    if match is None:
        raise LnfgenError(f"found {word!r} for a text; expected the numbers of characters, as 10-20")
    first = int(match[1])
    last = first if match[2] is None else int(match[3] or length)
    if not 1 <= first <= last <= length:
        raise LnfgenError(f"found {word!r} for a text of {length:,} characters; expected numbers from 1 to {length:,}")
    return slice(first - 1, last)


def _decoded(encoding: Encoding, given: Given, x: np.ndarray) -> Piece:
    if isinstance(given.piece, str):
        drawn = encoding.decode(x)
        assert isinstance(drawn, str)
        pairs = zip(drawn, given.piece, given.free.tolist(), strict=True)
        return "".join(new if free else old for new, old, free in pairs)  # an unknown character stays as it was
    roll = replace(encoding, tempo_bpm=given.piece.tempo_bpm).decode(x, given.piece.time_signature)
    assert isinstance(roll, PianoRoll)
    lowest = max(roll.lowest_pitch, given.shift)
    highest = min(roll.lowest_pitch + roll.num_pitches, 128 + given.shift)
    roll = roll.in_range(lowest, highest - lowest)
    return replace(roll, lowest_pitch=lowest - given.shift, out_of_range=0)
