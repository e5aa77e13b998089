"""A piece of which a part is known, laid on a model's grid and range. `filling` draws the other
part."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lnfgen.conventions import MAX_LENGTH, ONSET, SOUNDING, TimeSignature
from lnfgen.data.encoding import Encoding
from lnfgen.errors import LnfgenError
from lnfgen.formats.read_write import Piece
from lnfgen.formats.song import file_bars, file_line
from lnfgen.formats.text import UNKNOWN
from lnfgen.music.parts import MELODY
from lnfgen.music.pianoroll import Losses, PianoRoll
from lnfgen.music.regions import outer_voices, part_named, random_share, region, room_inside
from lnfgen.music.tonality import pitch_name
from lnfgen.music.tracks import BASS, DRUMS
from lnfgen.wording import counted

GAP = "_"  # the character that marks a gap in a text
SPAN = 8  # characters of a text that a variation keeps or draws anew together


@dataclass(frozen=True)
class KnownPart:
    """A piece of which a part is known, as a model sees it. Where its pieces begin at a bar line,
    so does this one.

    For a model of a band, the piece is in the same parts, and all steps are rows
    (`PianoRoll.parts`).
    """

    values: np.ndarray  # the whole piece, its hidden part included, uint8 [T, P] or int32 [T]
    hidden: np.ndarray  # bool of the same shape, True where the model is to draw
    piece: Piece  # the piece itself; music is on the model's grid, with all 128 keys of MIDI
    hidden_cells: np.ndarray  # the hidden part of the piece, bool [T - ahead, 128] or [T]
    changes: Losses  # what the piece lost on its way to the grid and the keys
    shift: int = 0  # semitones that music was moved up for the model
    ahead: int = 0  # steps of silence ahead of an upbeat, which the piece itself does not have
    keys: range = range(128)  # the pitches that may be drawn; those that the model or the piece has
    # of an intro: at most so many voices of what is drawn after it are kept, the outer ones
    voices: int | None = None


def known_whole(encoding: Encoding, piece: Piece) -> KnownPart:
    """A piece of which nothing is hidden, on the grid and the keys of the model."""
    piece = on_grid(encoding, piece)
    return laid(
        encoding,
        piece,
        np.zeros(len(piece) if isinstance(piece, str) else piece.sounding.shape, np.bool_),
    )


def nothing_known(encoding: Encoding, num_steps: int, time_signature: TimeSignature) -> KnownPart:
    """A piece of so many steps or characters, all of which are hidden."""
    if encoding.kind == "text":
        return laid(encoding, GAP * num_steps, np.ones(num_steps, np.bool_))
    silent = np.zeros((num_steps, 128), np.bool_)
    grid = (encoding.steps_per_quarter, 0, encoding.tempo_bpm, time_signature)
    roll = PianoRoll(silent, silent, *grid, parts=encoding.parts)
    return laid(encoding, roll, ~silent)


def known_part(
    encoding: Encoding, piece: Piece, words: Sequence[str], gap: str | None = None
) -> KnownPart:
    """A piece whose cells or characters that `words` name are hidden, and all others known.

    Music has the words of `music.regions.region`, and a text numbers of characters, as 10-20 or,
    with commas, 10-20,35. `gap` marks the hidden characters of a text; it is `_` if there are no
    words.
    """
    piece = on_grid(encoding, piece)
    if isinstance(piece, str):
        return _partly_known(encoding, piece, _hidden_characters(encoding, piece, words, gap))
    if gap is not None:
        raise LnfgenError(
            f"found {gap!r} to mark gaps in music; expected it for a text; name what is free instead"
        )
    if not words:
        raise LnfgenError(
            "found nothing that is free; say what to draw: --free bars:5-8 (in Python free=)"
        )
    return _partly_known(encoding, piece, _hidden_cells(piece, words))


def known_melody(encoding: Encoding, piece: Piece, above: bool = False) -> KnownPart:
    """The highest line of a piece of music, below which all is hidden; or the lowest one, if all
    above it is.

    Of a band, the part melody is known, or the bass, and all others are hidden. One part alone with
    notes becomes that.
    """
    role = BASS if above else MELODY
    if encoding.parts and role not in encoding.roles:
        raise LnfgenError(
            f"the model has no {role}, but {', '.join(encoding.roles)}; choose another model"
        )
    piece = on_grid(encoding, piece, role)
    if isinstance(piece, str):
        raise LnfgenError(
            "found a text; expected a piece of music, whose melody is to be harmonised"
        )
    if encoding.parts:
        if not piece.part(number := encoding.roles.index(role)).sounding.any():
            raise LnfgenError(f"found no notes of the {role}; name its track, as --tracks {role}=2")
        rows = np.arange(piece.num_steps) % piece.stride != number
        return _partly_known(encoding, piece, np.broadcast_to(rows[:, None], piece.sounding.shape))
    return _partly_known(
        encoding, piece, _hidden_cells(piece, ["above-bass" if above else "below-melody"])
    )


def little_room(melody: KnownPart, above: bool) -> str:
    """A remark on a melody that leaves less than an octave free at most steps; empty for another
    one."""
    if np.median(melody.hidden.sum(axis=1)) >= 12:
        return ""
    lowest, highest = pitch_name(melody.keys[0]), pitch_name(melody.keys[-1])
    if above:
        return (
            f"few keys are free above the line, up to {highest}; leave --above out to draw below it"
        )
    return f"few keys are free below the melody, down to {lowest}; to draw above it, take --above"


def known_intro(
    encoding: Encoding, piece: Piece, added: int, voices: int | None = None
) -> KnownPart:
    """A piece that goes on for `added` hidden steps or characters after its end.

    Music goes on in so many voices at most, by default as many as sound at once in its last two
    bars. The model draws a fuller piece, of which these are the outer voices, so that chords may
    follow a line. A band keeps all its parts.
    """
    if voices is not None and (voices < 1 or isinstance(piece, str)):
        raise LnfgenError(
            f"{counted(voices, 'voice')} to go on with; expected at least 1, and a piece of music"
        )
    if voices is not None and encoding.parts:
        raise LnfgenError(
            f"{counted(voices, 'voice')} for a band, which goes on in all its parts; leave voices out"
        )
    if not 1 <= added <= MAX_LENGTH:
        raise LnfgenError(f"{added:,} steps to add; expected 1 to {MAX_LENGTH:,}")
    piece = on_grid(encoding, piece)
    if isinstance(piece, str):
        return _partly_known(
            encoding, piece + GAP * added, np.arange(len(piece) + added) >= len(piece)
        )
    after = ((0, added), (0, 0))
    onsets = None if piece.onsets is None else np.pad(piece.onsets, after)
    longer = replace(piece, sounding=np.pad(piece.sounding, after), onsets=onsets)
    if not encoding.parts:
        at_once, (start, *_) = piece.sounding.sum(axis=1), list(piece.bars().values())[-2:]
        voices = voices or int(at_once[start:].max() or at_once.max())
    return laid(
        encoding,
        longer,
        np.pad(np.zeros_like(piece.sounding), after, constant_values=True),
        voices=voices,
    )


def partly_hidden(
    encoding: Encoding, whole: KnownPart, share: float, rng: np.random.Generator
) -> KnownPart:
    """The piece with a share of its bars in each voice, or of its spans of `SPAN` characters,
    hidden at random."""
    if isinstance(whole.piece, PianoRoll):
        hidden = _of_whole_notes(whole.piece, random_share(whole.piece, share, rng))
        return laid(encoding, whole.piece, hidden, whole.shift)
    spans = -(-len(whole.piece) // SPAN)
    hidden = np.isin(
        np.arange(len(whole.piece)) // SPAN, rng.permutation(spans)[: round(share * spans)]
    )
    return replace(whole, hidden=hidden, hidden_cells=hidden)


def on_grid(encoding: Encoding, piece: Piece, alone: str = "") -> Piece:
    """A text, or music on the grid of the encoding with all 128 keys of MIDI; nothing empty, or of
    the other kind.

    For a model of a band it is in the same parts. A piece of which one part has notes becomes the
    part `alone`.
    """
    found = "text" if isinstance(piece, str) else "music"
    if found != encoding.kind:
        raise LnfgenError(
            f"found {found}; expected {encoding.kind}, as the model makes; choose another model"
        )
    if isinstance(piece, str):
        if not piece:
            raise LnfgenError("found an empty text; expected at least a character")
        return piece
    if not piece.sounding.any():
        raise LnfgenError(
            "found a piece without notes on a piano's keys, A0 to C8; expected at least one to keep"
        )
    if piece.drawn is not None:  # its file does not have the drawn notes
        piece = replace(piece, song=None, tracks=())
    piece = _in_parts(encoding, piece, alone)
    return replace(piece.on_grid(encoding.steps_per_quarter).in_range(0, 128), drawn=None)


def _in_parts(encoding: Encoding, piece: PianoRoll, alone: str) -> PianoRoll:
    """The piece in the parts of the encoding, and its tracks too; one that plays none of them is no
    longer kept."""
    if not encoding.parts:
        return piece.in_parts(())
    roll, played = (
        piece,
        [number for number in range(piece.stride) if piece.part(number).sounding.any()],
    )
    if alone and len(played) == 1 and DRUMS not in piece.roles[played[0] : played[0] + 1]:
        roll = piece.part(played[0])
    band = roll.in_parts(encoding.parts, alone)
    if not band.sounding.any():
        raise LnfgenError(
            f"found no notes of {' or '.join(encoding.roles)}, which the model has; choose another model"
        )
    usual = {part.role: part for number, part in enumerate(piece.parts) if number in played}
    only = (
        ""
        if piece.parts and roll is piece
        else band.roles[band.sounding.any(axis=1).argmax() % band.stride]
    )
    tracks = [replace(track, role=only or track.role) for track in piece.tracks]
    return replace(
        band,
        parts=tuple(usual.get(part.role, part) for part in encoding.parts),
        tracks=tuple(
            replace(track, kept=track.kept and track.role in band.roles) for track in tracks
        ),
        song=piece.song,
    )


def laid(
    encoding: Encoding, piece: Piece, hidden: np.ndarray, shift: int = 0, voices: int | None = None
) -> KnownPart:
    """A piece of `on_grid` and its hidden part as the model sees them.

    Music is moved up by `shift` semitones, and begins at a bar line. Keys that the model does not
    have are left out. A hidden key is silent if, moved back, it is beyond the keys of both the
    model and the piece.
    """
    if isinstance(piece, str):
        values = encoding.encode(piece)
        unknown = (values == 0) & ~hidden & (np.array(list(piece)) != UNKNOWN)
        return KnownPart(values, hidden, piece, hidden, Losses(unknown=int(unknown.sum())))
    ahead = encoding.from_bar_line(piece).num_steps - piece.num_steps

    def cut(cells: np.ndarray) -> np.ndarray:
        return np.pad(encoding.keys_of(cells, shift), ((ahead, 0), (0, 0)))

    low, high = encoding.compass.start, encoding.compass.stop
    own, struck, outside = np.flatnonzero(piece.sounding.any(axis=0)), piece.struck(), hidden.copy()
    lowest, above = (int(own[0]), int(own[-1]) + 1) if len(own) else (low, high)
    keys = range(max(low - shift, min(low, lowest)), min(high - shift, max(high, above)))
    outside[:, keys.start : keys.stop] = False
    values = cut(piece.sounding & ~outside) * np.uint8(SOUNDING)
    if encoding.has_onsets:
        values |= cut(struck & ~outside) * np.uint8(ONSET)
    lost = int((struck & ~hidden).sum() - cut(struck & ~hidden).sum())
    drawn = cut(
        hidden & ~outside if voices is None else hidden & ~outside | room_inside(piece.sounding)
    )
    changes = Losses(rounded=piece.losses["rounded"], out_of_range=lost)
    return KnownPart(values, drawn, piece, hidden, changes, shift, ahead, keys, voices)


def decoded(encoding: Encoding, part: KnownPart, x: np.ndarray) -> Piece:
    """The piece that was drawn, x `[T, P]` or `[T]`, where the known one was, with its tempo, metre
    and upbeat.

    It has the file of the known piece, and says which cells were drawn. After an intro it has only
    the outer voices.
    """
    if part.voices is not None:
        after = np.pad(part.hidden_cells.any(axis=1), (part.ahead, 0))[:, None]
        x = np.where(after, np.where(outer_voices(x > 0, part.voices), x, 0), part.values)
    own, drawn = part.piece, given_back(encoding, part, x)
    if isinstance(own, str):
        pairs = zip(str(drawn), own, part.hidden.tolist(), strict=True)
        # an unknown character stays as it was
        return "".join(new if hidden else old for new, old, hidden in pairs)
    assert isinstance(drawn, PianoRoll)
    return replace(
        drawn,
        song=own.song,
        tracks=own.tracks,
        title=own.title,
        parts=own.parts,
        drawn=part.hidden_cells,
    )


def given_back(encoding: Encoding, part: KnownPart, x: np.ndarray) -> Piece:
    """The first steps of the piece that was drawn, x `[t, P]` or `[t]`, where the known one was."""
    if isinstance(part.piece, str):
        return encoding.decode(x)
    roll = encoding.decode(x, part.piece.time_signature, keeps_silence=True)
    assert isinstance(roll, PianoRoll)
    lowest = max(roll.lowest_pitch, part.shift)
    highest = min(roll.lowest_pitch + roll.num_pitches, 128 + part.shift)
    roll = roll.in_range(lowest, highest - lowest)
    roll = replace(
        roll, lowest_pitch=lowest - part.shift, tempo_bpm=part.piece.tempo_bpm, losses=Losses()
    )
    return (
        roll.stretch(part.ahead, roll.num_steps)
        if part.ahead
        else roll.with_upbeat(part.piece.upbeat)
    )


def _partly_known(encoding: Encoding, piece: Piece, hidden: np.ndarray) -> KnownPart:
    kept, what = (
        (~hidden, "character") if isinstance(piece, str) else (~hidden & piece.sounding, "note")
    )
    if not kept.any():
        raise LnfgenError(
            f"no {what} of the piece is kept; to draw all of a piece there is `lnfgen sample`"
        )
    return laid(
        encoding, piece, hidden if isinstance(piece, str) else _of_whole_notes(piece, hidden)
    )


def _hidden_cells(roll: PianoRoll, words: Sequence[str]) -> np.ndarray:
    """The cells of these words of `music.regions.region`, whose bars and outer lines are those of
    the roll's file."""
    hidden = region(roll, words, file_bars(roll))
    for line, is_top in (("below-melody", True), ("above-bass", False)):
        for role in {part_named(word) for word in words if line in word}:
            hidden &= ~file_line(roll, is_top, role)
    return hidden


def _of_whole_notes(roll: PianoRoll, hidden: np.ndarray) -> np.ndarray:
    """The hidden cells without those of notes that begin in a known cell: these notes are kept to
    their ends."""
    known = np.zeros_like(hidden)
    for start, length, pitch in roll.notes():
        column = pitch - roll.lowest_pitch
        known[start : start + length : roll.stride, column] |= not hidden[start, column]
    return hidden & ~known


def _hidden_characters(
    encoding: Encoding, text: str, words: Sequence[str], gap: str | None
) -> np.ndarray:
    hidden = np.zeros(len(text), dtype=np.bool_)
    for part in (part for word in words for part in word.split(",")):
        hidden[_characters(part, len(text))] = True
    if gap is None and words:
        return hidden
    mark = GAP if gap is None else gap
    if len(mark) != 1:
        raise LnfgenError(f"found {mark!r} to mark gaps; expected one character")
    if gap is None and mark in encoding.vocabulary:
        raise LnfgenError(
            f"the model writes {mark!r}, so it cannot mark gaps; mark them with another character and --gap (in Python "
            "gap=), or name them: --free 10-20 (in Python free=)"
        )
    hidden |= np.array(list(text)) == mark
    if not hidden.any():
        how = f"mark each missing character with {mark!r}, or say which to draw: --free 10-20 (in Python free=)"
        raise LnfgenError(f"found no gap in the text; {how}")
    return hidden


def _characters(word: str, length: int) -> slice:
    """The characters that `10-20`, `10-` or `10` means, from 1 on."""
    match = re.fullmatch(r"(\d+)(-(\d*))?", word.strip())
    if match is None:
        raise LnfgenError(
            f"found {word!r} for a text; expected the numbers of characters, as 10-20"
        )
    first = int(match[1])
    last = first if match[2] is None else int(match[3] or length)
    if not 1 <= first <= last <= length:
        text = f"a text of {counted(length, 'character')}"
        raise LnfgenError(f"found {word!r} for {text}; expected numbers from 1 to {length:,}")
    return slice(first - 1, last)
