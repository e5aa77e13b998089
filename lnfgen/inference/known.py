"""A piece of which a part is known, laid on a model's grid and range: a `KnownPart`, whose other part is hidden.

`lnfgen.inference.filling` draws the hidden part.
"""

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
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.regions import beyond, random_share, region, top_line
from lnfgen.wording import counted

GAP = "_"
"""The character that marks a gap in a text."""

SPAN = 8
"""Characters of a text that are drawn anew together where a share of it is."""


@dataclass(frozen=True)
class KnownPart:
    """A piece of which a part is known, as a model sees it.

    Attributes:
        values: uint8 [T, P] or int32 [T]: the whole piece, its hidden part included. Where the model's pieces begin at
            a bar line, so does it, with silence ahead of an upbeat.
        hidden: bool of the same shape, True where the model is to draw.
        piece: the piece itself; music is on the model's grid, with all 128 keys of MIDI.
        hidden_cells: the hidden part of the piece, bool [T - ahead, 128] or [T].
        changes: what the piece lost on its way to the grid and the keys.
        shift: semitones that music was moved up for the model.
        ahead: steps of silence ahead of an upbeat, which the piece itself does not have.
    """

    values: np.ndarray
    hidden: np.ndarray
    piece: Piece
    hidden_cells: np.ndarray
    changes: Changes
    shift: int = 0
    ahead: int = 0


def known_part(encoding: Encoding, piece: Piece, words: Sequence[str], gap: str | None = None) -> KnownPart:
    """A piece whose cells or characters that `words` name are hidden, and all others known.

    Args:
        words: of music as `music.regions.region` takes them; numbers of characters of a text, as 10-20.
        gap: the character that marks the hidden ones of a text, by default `_` if there are no words.

    Raises:
        LnfgenError: if the piece is of the other kind or empty, if nothing is hidden or nothing is known, or if `gap`
            is given for music.
    """
    if isinstance(piece, str):
        return _partly_known_text(encoding, piece, words, gap)
    if gap is not None:
        raise LnfgenError(f"found {gap!r} to mark gaps in music; expected it for a text; name what is free instead")
    if not words:
        raise LnfgenError("found nothing that is free; say what to draw, as bars:5-8 or below-melody")
    roll = on_grid(encoding, piece)
    return _partly_known_music(encoding, roll, region(roll, words))


def known_whole(encoding: Encoding, piece: Piece) -> KnownPart:
    """A piece of which nothing is hidden, on the grid and the keys of the model.

    Raises:
        LnfgenError: if the piece is of the other kind or empty.
    """
    if isinstance(piece, str):
        if not piece:
            raise LnfgenError("found an empty text; expected at least a character")
        return _text(encoding, piece, np.zeros(len(piece), dtype=np.bool_))
    roll = on_grid(encoding, piece)
    return laid_on_keys(encoding, roll, np.zeros_like(roll.sounding), 0)


def known_melody(encoding: Encoding, piece: Piece) -> KnownPart:
    """The highest line of a piece of music, below which all is hidden.

    Raises:
        LnfgenError: if the piece is a text or has no notes.
    """
    if isinstance(piece, str):
        raise LnfgenError("found a text; expected a piece of music, whose melody is to be harmonised")
    roll = top_line(on_grid(encoding, piece))
    return _partly_known_music(encoding, roll, region(roll, ["below-melody"]))


def known_intro(encoding: Encoding, piece: Piece, added: int) -> KnownPart:
    """A piece that goes on for `added` hidden steps or characters after its end.

    Raises:
        LnfgenError: if the piece is of the other kind or empty, or the number is out of range.
    """
    if not 1 <= added <= MAX_LENGTH:
        raise LnfgenError(f"{added:,} steps to add; expected 1 to {MAX_LENGTH:,}")
    if isinstance(piece, str):
        if not piece:
            raise LnfgenError("found an empty text; expected at least a character to go on from")
        return _partly_known_text(encoding, piece + GAP * added, [f"{len(piece) + 1}-"], None)
    roll = on_grid(encoding, piece)
    after = np.zeros((added, roll.num_pitches), dtype=np.bool_)
    onsets = None if roll.onsets is None else np.concatenate([roll.onsets, after])
    longer = replace(roll, sounding=np.concatenate([roll.sounding, after]), onsets=onsets)
    hidden = np.concatenate([np.zeros_like(roll.sounding), ~after])
    return _partly_known_music(encoding, longer, hidden)


def partly_hidden(encoding: Encoding, whole: KnownPart, share: float, rng: np.random.Generator) -> KnownPart:
    """The piece with this share of it hidden at random: of its bars in each voice, or of spans of `SPAN` characters.

    With a share of 1 all of it is hidden, rests too.
    """
    if isinstance(whole.piece, str):
        spans = -(-len(whole.piece) // SPAN)
        hidden = np.isin(np.arange(len(whole.piece)) // SPAN, rng.permutation(spans)[: round(share * spans)])
        return replace(whole, hidden=hidden, hidden_cells=hidden)
    return laid_on_keys(encoding, whole.piece, random_share(whole.piece, share, rng), whole.shift)


def on_grid(encoding: Encoding, piece: Piece) -> PianoRoll:
    """Music on the grid of the encoding, with all 128 keys of MIDI.

    Raises:
        LnfgenError: if it is no music, or the encoding's is none, or it has no notes.
    """
    if isinstance(piece, str) or encoding.kind != "music":
        found = "a text" if isinstance(piece, str) else "music"
        raise LnfgenError(f"found {found}; expected {encoding.kind}, as the model makes; choose another model")
    if not piece.sounding.any():
        raise LnfgenError("found a piece without notes; expected at least one to keep")
    return piece.on_grid(encoding.steps_per_quarter).in_range(0, 128)


def _partly_known_music(encoding: Encoding, roll: PianoRoll, hidden: np.ndarray) -> KnownPart:
    if not (roll.sounding & ~hidden).any():
        raise LnfgenError("no note of the piece is kept; to draw all of a piece there is `lnfgen sample`")
    return laid_on_keys(encoding, roll, hidden, 0)


def laid_on_keys(encoding: Encoding, roll: PianoRoll, hidden: np.ndarray, shift: int) -> KnownPart:
    """The roll and its hidden cells, so many semitones higher, on the model's keys and from a bar line on."""
    ahead = encoding.from_bar_line(roll).num_steps - roll.num_steps
    columns = np.arange(encoding.num_pitches) + encoding.lowest_pitch - shift
    inside = (columns >= 0) & (columns < 128)

    def cut(cells: np.ndarray) -> np.ndarray:
        result = np.zeros((ahead + len(cells), encoding.num_pitches), dtype=np.bool_)
        result[ahead:, inside] = cells[:, columns[inside]]
        return result

    struck = roll.struck()
    values = cut(roll.sounding) * np.uint8(SOUNDING)
    if encoding.has_onsets:
        values |= cut(struck) * np.uint8(ONSET)
    lost = int((struck & ~hidden).sum() - cut(struck & ~hidden).sum())
    return KnownPart(values, cut(hidden), roll, hidden, Changes(roll.rounded, lost), shift, ahead)


def beyond_the_model(encoding: Encoding, part: KnownPart, words: Sequence[str]) -> str:
    """Those of the words that name keys that the model does not have, in a sentence; empty if none does.

    `part` is where the model draws it: moved by its `shift`.
    """
    if isinstance(part.piece, str):
        return ""
    lowest = encoding.lowest_pitch - part.shift
    return beyond(words, lowest, lowest + encoding.num_pitches - 1)


def _partly_known_text(encoding: Encoding, text: str, words: Sequence[str], gap: str | None) -> KnownPart:
    _require_text(encoding)
    marks = np.zeros(len(text), dtype=np.bool_)
    for word in words:
        marks[_characters(word, len(text))] = True
    if gap is not None or not words:
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
            how = f"mark each missing character with {mark!r}, or say which to draw, as 10-20"
            raise LnfgenError(f"found no gap in the text; {how}")
    if marks.all():
        raise LnfgenError("no character of the text is kept; to draw all of a text there is `lnfgen sample`")
    return _text(encoding, text, marks)


def _require_text(encoding: Encoding) -> None:
    if encoding.kind != "text":
        raise LnfgenError("found a text; expected music, as the model makes; choose a model of text")


def _text(encoding: Encoding, text: str, hidden: np.ndarray) -> KnownPart:
    _require_text(encoding)
    values = encoding.encode(text)
    unknown = int(((values == 0) & ~hidden).sum()) - sum(
        character == UNKNOWN and not is_hidden for character, is_hidden in zip(text, hidden.tolist(), strict=True)
    )
    return KnownPart(values, hidden, text, hidden, Changes(unknown=unknown))


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
    roll = replace(roll, lowest_pitch=lowest - part.shift, out_of_range=0)
    if not part.ahead:
        return roll.with_upbeat(part.piece.upbeat)
    sounds = roll.sounding.any(axis=1)
    silent = int(sounds.argmax()) if sounds.any() else roll.num_steps - 1
    return roll.stretch(min(part.ahead, silent), roll.num_steps)
