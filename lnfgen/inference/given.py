"""A piece of which some is given, laid on a model's grid and range: a `Given` says what is free to be drawn.

`lnfgen.inference.filling` draws it.
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
from lnfgen.music.regions import beyond, region, top_line
from lnfgen.wording import counted

GAP = "_"
"""The character that marks a gap in a text."""


@dataclass(frozen=True)
class Given:
    """A piece of which some is given, as a model sees it.

    Attributes:
        values: uint8 [T, P] or int32 [T]: the whole piece, what is free included. Where the model's pieces begin at a
            bar line, so does it, with silence ahead of an upbeat.
        free: bool of the same shape.
        piece: the piece itself; music is on the model's grid, with all 128 keys of MIDI.
        free_cells: what is free of it, bool [T - ahead, 128] or [T].
        changes: what was lost on the way.
        shift: semitones that music was moved up for the model.
        ahead: steps of silence ahead of an upbeat, which the piece itself does not have.
    """

    values: np.ndarray
    free: np.ndarray
    piece: Piece
    free_cells: np.ndarray
    changes: Changes
    shift: int = 0
    ahead: int = 0


def given_part(encoding: Encoding, piece: Piece, free: Sequence[str], gap: str | None = None) -> Given:
    """A piece whose part that `free` names is to be drawn: see `music.regions.region`, or `characters` for a text.

    Raises:
        LnfgenError: if the piece is of the other kind or empty, or nothing or nothing that the model has is free, or
            `gap` is given for music.
    """
    if isinstance(piece, str):
        return _given_text(encoding, piece, free, gap)
    if gap is not None:
        raise LnfgenError(f"found {gap!r} to mark gaps in music; expected it for a text; name what is free instead")
    if not free:
        raise LnfgenError("found nothing that is free; say what to draw, as bars:5-8 or below-melody")
    roll = on_grid(encoding, piece)
    return _given_music(encoding, roll, region(roll, free))


def given_whole(encoding: Encoding, piece: Piece) -> Given:
    """A piece of which nothing is free, on the grid and the keys of the model.

    Raises:
        LnfgenError: if the piece is of the other kind or empty.
    """
    if isinstance(piece, str):
        if not piece:
            raise LnfgenError("found an empty text; expected at least a character")
        return _text(encoding, piece, np.zeros(len(piece), dtype=np.bool_))
    roll = on_grid(encoding, piece)
    return laid_on_keys(encoding, roll, np.zeros_like(roll.sounding), 0)


def given_melody(encoding: Encoding, piece: Piece) -> Given:
    """The highest line of a piece of music, all below which is to be drawn."""
    if isinstance(piece, str):
        raise LnfgenError("found a text; expected a piece of music, whose melody is to be harmonised")
    roll = top_line(on_grid(encoding, piece))
    return _given_music(encoding, roll, region(roll, ["below-melody"]))


def given_intro(encoding: Encoding, piece: Piece, added: int) -> Given:
    """A piece that is to go on for `added` steps or characters after its end."""
    if not 1 <= added <= MAX_LENGTH:
        raise LnfgenError(f"{added:,} steps to add; expected 1 to {MAX_LENGTH:,}")
    if isinstance(piece, str):
        if not piece:
            raise LnfgenError("found an empty text; expected at least a character to go on from")
        return _given_text(encoding, piece + GAP * added, [f"{len(piece) + 1}-"], None)
    roll = on_grid(encoding, piece)
    after = np.zeros((added, roll.num_pitches), dtype=np.bool_)
    onsets = None if roll.onsets is None else np.concatenate([roll.onsets, after])
    longer = replace(roll, sounding=np.concatenate([roll.sounding, after]), onsets=onsets)
    free = np.concatenate([np.zeros_like(roll.sounding), ~after])
    return _given_music(encoding, longer, free)


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


def _given_music(encoding: Encoding, roll: PianoRoll, free: np.ndarray) -> Given:
    if not (roll.sounding & ~free).any():
        raise LnfgenError("no note of the piece is kept; to draw all of a piece there is `lnfgen sample`")
    return laid_on_keys(encoding, roll, free, 0)


def laid_on_keys(encoding: Encoding, roll: PianoRoll, free: np.ndarray, shift: int) -> Given:
    """The roll and what is free of it, so many semitones higher, on the model's keys and from a bar line on."""
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
    lost = int((struck & ~free).sum() - cut(struck & ~free).sum())
    return Given(values, cut(free), roll, free, Changes(roll.rounded, lost), shift, ahead)


def beyond_the_model(encoding: Encoding, given: Given, free: Sequence[str]) -> str:
    """What of the words for what is free names keys that the model does not have, in a few words; empty if none does.

    `given` is where the model draws it: moved by its `shift`.
    """
    if isinstance(given.piece, str):
        return ""
    lowest = encoding.lowest_pitch - given.shift
    return beyond(free, lowest, lowest + encoding.num_pitches - 1)


def _given_text(encoding: Encoding, text: str, free: Sequence[str], gap: str | None) -> Given:
    _require_text(encoding)
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
            how = f"mark each missing character with {mark!r}, or say which to draw, as 10-20"
            raise LnfgenError(f"found no gap in the text; {how}")
    if marks.all():
        raise LnfgenError("no character of the text is kept; to draw all of a text there is `lnfgen sample`")
    return _text(encoding, text, marks)


def _require_text(encoding: Encoding) -> None:
    if encoding.kind != "text":
        raise LnfgenError("found a text; expected music, as the model makes; choose a model of text")


def _text(encoding: Encoding, text: str, free: np.ndarray) -> Given:
    _require_text(encoding)
    values = encoding.encode(text)
    unknown = int(((values == 0) & ~free).sum()) - sum(
        character == UNKNOWN and not hidden for character, hidden in zip(text, free.tolist(), strict=True)
    )
    return Given(values, free, text, free, Changes(unknown=unknown))


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


def decoded(encoding: Encoding, given: Given, x: np.ndarray) -> Piece:
    """The piece that was drawn, x `[T, P]` or `[T]`, where the given one was, with its tempo, metre and upbeat."""
    return without_silence_ahead(given, decoded_in_full(encoding, given, x))


def without_silence_ahead(given: Given, piece: Piece) -> Piece:
    """A piece of `decoded_in_full`, from its upbeat on.

    What was drawn in the silence ahead of an upbeat makes the upbeat longer.
    """
    if isinstance(piece, str) or not given.ahead:
        return piece
    sounds = piece.sounding.any(axis=1)
    silent = int(sounds.argmax()) if sounds.any() else piece.num_steps - 1
    return piece.stretch(min(given.ahead, silent), piece.num_steps)


def decoded_in_full(encoding: Encoding, given: Given, x: np.ndarray) -> Piece:
    """The same with a step for each of x: where there was silence ahead of the upbeat, the piece begins with it."""
    if isinstance(given.piece, str):
        drawn = encoding.decode(x)
        assert isinstance(drawn, str)
        pairs = zip(drawn, given.piece, given.free.tolist(), strict=True)
        return "".join(new if free else old for new, old, free in pairs)  # an unknown character stays as it was
    here = replace(encoding, tempo_bpm=given.piece.tempo_bpm)
    roll = here.decode(x, given.piece.time_signature, keeps_silence=True)
    assert isinstance(roll, PianoRoll)
    lowest = max(roll.lowest_pitch, given.shift)
    highest = min(roll.lowest_pitch + roll.num_pitches, 128 + given.shift)
    roll = roll.in_range(lowest, highest - lowest)
    roll = replace(roll, lowest_pitch=lowest - given.shift, out_of_range=0)
    return roll if given.ahead else roll.with_upbeat(given.piece.upbeat)
