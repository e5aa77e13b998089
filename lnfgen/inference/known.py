"""A piece of which a part is known, laid on a model's grid and range. `filling` draws the other part."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lnfgen.conventions import MAX_LENGTH, ONSET, SOUNDING
from lnfgen.data.encoding import Changes, Encoding
from lnfgen.errors import LnfgenError
from lnfgen.formats.read_write import Piece
from lnfgen.formats.text import UNKNOWN
from lnfgen.music.pianoroll import Losses, PianoRoll
from lnfgen.music.regions import random_share, region, top_line
from lnfgen.wording import counted

GAP = "_"
"""The character that marks a gap in a text."""

SPAN = 8
"""Characters of a text that a variation keeps or draws anew together."""


@dataclass(frozen=True)
class KnownPart:
    """A piece of which a part is known, as a model sees it. Where its pieces begin at a bar line, so does this one."""

    values: np.ndarray  # the whole piece, its hidden part included, uint8 [T, P] or int32 [T]
    hidden: np.ndarray  # bool of the same shape, True where the model is to draw
    piece: Piece  # the piece itself; music is on the model's grid, with all 128 keys of MIDI
    hidden_cells: np.ndarray  # the hidden part of the piece, bool [T - ahead, 128] or [T]
    changes: Changes  # what the piece lost on its way to the grid and the keys
    shift: int = 0  # semitones that music was moved up for the model
    ahead: int = 0  # steps of silence ahead of an upbeat, which the piece itself does not have


def known_whole(encoding: Encoding, piece: Piece) -> KnownPart:
    """A piece of which nothing is hidden, on the grid and the keys of the model."""
    piece = on_grid(encoding, piece)
    return laid(encoding, piece, np.zeros(len(piece) if isinstance(piece, str) else piece.sounding.shape, np.bool_))


def known_part(encoding: Encoding, piece: Piece, words: Sequence[str], gap: str | None = None) -> KnownPart:
    """A piece whose cells or characters that `words` name are hidden, and all others known.

    Music has the words of `music.regions.region`, and a text numbers of characters, as 10-20. `gap` marks the hidden
    characters of a text; it is `_` if there are no words.
    """
    piece = on_grid(encoding, piece)
    if isinstance(piece, str):
        return _partly_known(encoding, piece, _hidden_characters(encoding, piece, words, gap))
    if gap is not None:
        raise LnfgenError(f"found {gap!r} to mark gaps in music; expected it for a text; name what is free instead")
    if not words:
        raise LnfgenError("found nothing that is free; say what to draw, as bars:5-8 or below-melody")
    return _partly_known(encoding, piece, region(piece, words))


def known_melody(encoding: Encoding, piece: Piece) -> KnownPart:
    """The highest line of a piece of music, below which all is hidden."""
    piece = on_grid(encoding, piece)
    if isinstance(piece, str):
        raise LnfgenError("found a text; expected a piece of music, whose melody is to be harmonised")
    roll = top_line(piece)
    return _partly_known(encoding, roll, region(roll, ["below-melody"]))


def known_intro(encoding: Encoding, piece: Piece, added: int) -> KnownPart:
    """A piece that goes on for `added` hidden steps or characters after its end."""
    if not 1 <= added <= MAX_LENGTH:
        raise LnfgenError(f"{added:,} steps to add; expected 1 to {MAX_LENGTH:,}")
    piece = on_grid(encoding, piece)
    if isinstance(piece, str):
        return _partly_known(encoding, piece + GAP * added, np.arange(len(piece) + added) >= len(piece))
    after = ((0, added), (0, 0))
    onsets = None if piece.onsets is None else np.pad(piece.onsets, after)
    longer = replace(piece, sounding=np.pad(piece.sounding, after), onsets=onsets)
    return _partly_known(encoding, longer, np.pad(np.zeros_like(piece.sounding), after, constant_values=True))


def partly_hidden(encoding: Encoding, whole: KnownPart, share: float, rng: np.random.Generator) -> KnownPart:
    """The piece with a share of its bars in each voice, or of its spans of `SPAN` characters, hidden at random."""
    if isinstance(whole.piece, PianoRoll):
        return laid(encoding, whole.piece, random_share(whole.piece, share, rng), whole.shift)
    spans = -(-len(whole.piece) // SPAN)
    hidden = np.isin(np.arange(len(whole.piece)) // SPAN, rng.permutation(spans)[: round(share * spans)])
    return replace(whole, hidden=hidden, hidden_cells=hidden)


def on_grid(encoding: Encoding, piece: Piece) -> Piece:
    """A text, or music on the grid of the encoding with all 128 keys of MIDI; nothing empty, or of the other kind."""
    found = "text" if isinstance(piece, str) else "music"
    if found != encoding.kind:
        raise LnfgenError(f"found {found}; expected {encoding.kind}, as the model makes; choose another model")
    if isinstance(piece, str):
        if not piece:
            raise LnfgenError("found an empty text; expected at least a character")
        return piece
    if not piece.sounding.any():
        raise LnfgenError("found a piece without notes; expected at least one to keep")
    return piece.on_grid(encoding.steps_per_quarter).in_range(0, 128)


def laid(encoding: Encoding, piece: Piece, hidden: np.ndarray, shift: int = 0) -> KnownPart:
    """A piece of `on_grid` and its hidden part as the model sees them.

    Music is moved up by `shift` semitones, and begins at a bar line. Keys that the model does not have are left out.
    """
    if isinstance(piece, str):
        values = encoding.encode(piece)
        unknown = (values == 0) & ~hidden & (np.array(list(piece)) != UNKNOWN)
        return KnownPart(values, hidden, piece, hidden, Changes(unknown=int(unknown.sum())))
    ahead = encoding.from_bar_line(piece).num_steps - piece.num_steps
    columns = np.arange(encoding.num_pitches) + encoding.lowest_pitch - shift
    inside = (columns >= 0) & (columns < 128)

    def cut(cells: np.ndarray) -> np.ndarray:
        result = np.zeros((ahead + len(cells), encoding.num_pitches), dtype=np.bool_)
        result[ahead:, inside] = cells[:, columns[inside]]
        return result

    struck = piece.struck()
    values = cut(piece.sounding) * np.uint8(SOUNDING)
    if encoding.has_onsets:
        values |= cut(struck) * np.uint8(ONSET)
    lost = int((struck & ~hidden).sum() - cut(struck & ~hidden).sum())
    return KnownPart(values, cut(hidden), piece, hidden, Changes(piece.losses["rounded"], lost), shift, ahead)


def decoded(encoding: Encoding, part: KnownPart, x: np.ndarray) -> Piece:
    """The piece that was drawn, x `[T, P]` or `[T]`, where the known one was, with its tempo, metre and upbeat.

    Notes that were drawn in the silence ahead of an upbeat make the upbeat longer.
    """
    if isinstance(part.piece, str):
        drawn = encoding.decode(x)
        assert isinstance(drawn, str)
        pairs = zip(drawn, part.piece, part.hidden.tolist(), strict=True)
        return "".join(new if hidden else old for new, old, hidden in pairs)  # an unknown character stays as it was
    here = replace(encoding, tempo_bpm=part.piece.tempo_bpm)
    roll = here.decode(x, part.piece.time_signature, keeps_silence=True)
    assert isinstance(roll, PianoRoll)
    lowest = max(roll.lowest_pitch, part.shift)
    highest = min(roll.lowest_pitch + roll.num_pitches, 128 + part.shift)
    roll = roll.in_range(lowest, highest - lowest)
    roll = replace(roll, lowest_pitch=lowest - part.shift, losses=Losses())
    if not part.ahead:
        return roll.with_upbeat(part.piece.upbeat)
    sounds = roll.sounding.any(axis=1)
    silent = int(sounds.argmax()) if sounds.any() else roll.num_steps - 1
    return roll.stretch(min(part.ahead, silent), roll.num_steps)


def _partly_known(encoding: Encoding, piece: Piece, hidden: np.ndarray) -> KnownPart:
    kept, what = (~hidden, "character") if isinstance(piece, str) else (~hidden & piece.sounding, "note")
    if not kept.any():
        raise LnfgenError(f"no {what} of the piece is kept; to draw all of a piece there is `lnfgen sample`")
    return laid(encoding, piece, hidden)


def _hidden_characters(encoding: Encoding, text: str, words: Sequence[str], gap: str | None) -> np.ndarray:
    hidden = np.zeros(len(text), dtype=np.bool_)
    for word in words:
        hidden[_characters(word, len(text))] = True
    if gap is None and words:
        return hidden
    mark = GAP if gap is None else gap
    if len(mark) != 1:
        raise LnfgenError(f"found {mark!r} to mark gaps; expected one character")
    if gap is None and mark in encoding.vocabulary and mark in text:
        raise LnfgenError(
            f"the model writes {mark!r}, so it cannot mark gaps; mark them with another character, or name them, as "
            "10-20"
        )
    hidden |= np.array(list(text)) == mark
    if not hidden.any():
        how = f"mark each missing character with {mark!r}, or say which to draw, as 10-20"
        raise LnfgenError(f"found no gap in the text; {how}")
    return hidden


def _characters(word: str, length: int) -> slice:
    """The characters that `10-20`, `10-` or `10` means, from 1 on."""
    match = re.fullmatch(r"(\d+)(-(\d*))?", word.strip())
    if match is None:
        raise LnfgenError(f"found {word!r} for a text; expected the numbers of characters, as 10-20")
    first = int(match[1])
    last = first if match[2] is None else int(match[3] or length)
    if not 1 <= first <= last <= length:
        text = f"a text of {counted(length, 'character')}"
        raise LnfgenError(f"found {word!r} for {text}; expected numbers from 1 to {length:,}")
    return slice(first - 1, last)
