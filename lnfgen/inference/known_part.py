"""What a person keeps of a piece: all of it, a melody, an intro, or all but what words name.

Each function gives a `KnownPart`, of which `filling` draws the hidden part.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lnfgen.conventions import MAX_LENGTH, TimeSignature
from lnfgen.data.encoding import Encoding
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.text_encoding import GAP, TextEncoding
from lnfgen.errors import LnfgenError
from lnfgen.formats.file_notes import file_bars, file_line
from lnfgen.formats.read_write import GivenPiece
from lnfgen.inference.known_music import KnownMusic, on_grid
from lnfgen.inference.known_text import KnownText, hidden_characters, text_of
from lnfgen.music.parts import MELODY
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.regions import part_named, random_share, region
from lnfgen.music.song import Song
from lnfgen.music.tonality import pitch_name
from lnfgen.music.tracks import BASS
from lnfgen.wording import counted

KnownPart = KnownMusic | KnownText

SPAN = 8  # characters of a text that a variation keeps or draws anew together


def known_whole(encoding: Encoding, piece: GivenPiece) -> KnownPart:
    """A piece of which nothing is hidden, on the grid and the keys of the model."""
    if isinstance(encoding, MusicEncoding):
        song = on_grid(encoding, piece)
        return KnownMusic.aligned(encoding, song, np.zeros_like(song.roll.sounding))
    text = text_of(piece)
    return _known_text(encoding, text, np.zeros(len(text), np.bool_))


def nothing_known(
    encoding: Encoding, num_steps: int, time_signature: TimeSignature | None
) -> KnownPart:
    """A piece of so many steps or characters, all of which are hidden."""
    blank = encoding.blank(num_steps, time_signature)
    if isinstance(blank, str):
        return _known_text(encoding, blank, np.ones(num_steps, np.bool_))
    assert isinstance(encoding, MusicEncoding)
    return KnownMusic.aligned(encoding, Song(blank), np.ones_like(blank.sounding))


def known_part(
    encoding: Encoding,
    piece: GivenPiece,
    words: Sequence[str],
    gap: str | None = None,
) -> KnownPart:
    """A piece whose cells or characters that `words` name are hidden, and all others known.

    Args:
        words: for music those of `music.regions.region`; for a text numbers of characters, as 10-20
            or, with commas, 10-20,35.
        gap: the character that marks the hidden characters of a text; `_` if there are no words.

    Raises:
        LnfgenError: if nothing is hidden or nothing is kept, or a word means nothing.
    """
    if isinstance(encoding, TextEncoding):
        text = text_of(piece)
        hidden = hidden_characters(encoding, text, words, gap)
        if hidden.all():
            raise _nothing_kept("character")
        return _known_text(encoding, text, hidden)
    assert isinstance(encoding, MusicEncoding)
    song = on_grid(encoding, piece)
    if gap is not None:
        raise LnfgenError(
            f"found {gap!r} to mark gaps in music; expected it for a text; name what is free "
            "instead"
        )
    if not words:
        raise LnfgenError(
            "found nothing that is free; say what to draw: --free bars:5-8 (in Python free=)"
        )
    return _known_music(encoding, song, _hidden_cells(song, words))


def known_melody(encoding: Encoding, piece: GivenPiece, above: bool = False) -> KnownMusic:
    """The highest line of a piece of music, below which all is hidden.

    With `above` it is the lowest line, above which all is hidden. Of a band, the part melody is
    known, or the bass, and all others are hidden. One part alone with notes becomes that.

    Raises:
        LnfgenError: if the piece or the model is one of text, or lacks that part.
    """
    if not isinstance(encoding, MusicEncoding):
        text_of(piece)
        raise LnfgenError(
            "found a text; expected a piece of music, whose melody is to be harmonised"
        )
    role = BASS if above else MELODY
    if encoding.parts and role not in encoding.roles:
        roles = ", ".join(encoding.roles)
        raise LnfgenError(f"the model has no {role}, but {roles}; choose another model")
    song = on_grid(encoding, piece, role)
    if not encoding.parts:
        word = "above-bass" if above else "below-melody"
        return _known_music(encoding, song, _hidden_cells(song, [word]))
    number = encoding.roles.index(role)
    if not song.roll.sounding[:, number].any():
        raise LnfgenError(f"found no notes of the {role}; name its track, as --tracks {role}=2")
    hidden = np.ones_like(song.roll.sounding)
    hidden[:, number] = False
    return _known_music(encoding, song, hidden)


def little_room(melody: KnownMusic, above: bool) -> str:
    """A remark on a melody that leaves less than an octave free at most steps; "" for others."""
    num_free = melody.hidden.sum(axis=(1, 2))
    if np.median(num_free) >= 12:
        return ""
    if above:
        highest = pitch_name(melody.keys[-1])
        return (
            f"few keys are free above the line, up to {highest}; leave --above out to draw below it"
        )
    lowest = pitch_name(melody.keys[0])
    return f"few keys are free below the melody, down to {lowest}; to draw above it, take --above"


def known_intro(
    encoding: Encoding, piece: GivenPiece, added: int, voices: int | None = None
) -> KnownPart:
    """A piece that goes on for `added` hidden steps or characters after its end.

    Music goes on in so many voices at most, by default as many as sound at once in its last two
    bars. The model draws a fuller piece, of which these are the outer voices, so that chords may
    follow a line. A band keeps all its parts.

    Raises:
        LnfgenError: if `added` is out of range, or voices are asked for of a text or a band.
    """
    if voices is not None:
        found = counted(voices, "voice")
        if voices < 1 or isinstance(piece, str):
            raise LnfgenError(f"{found} to go on with; expected at least 1, and a piece of music")
        if encoding.roles:
            raise LnfgenError(
                f"{found} for a band, which goes on in all its parts; leave voices out"
            )
    if not 1 <= added <= MAX_LENGTH:
        raise LnfgenError(f"{added:,} steps to add; expected 1 to {MAX_LENGTH:,}")
    if isinstance(encoding, MusicEncoding):
        return _known_song_to_go_on(encoding, on_grid(encoding, piece), added, voices)
    text = text_of(piece)
    is_added = np.arange(len(text) + added) >= len(text)
    return _known_text(encoding, text + GAP * added, is_added)


def _known_song_to_go_on(
    encoding: MusicEncoding, song: Song, added: int, voices: int | None
) -> KnownMusic:
    roll = song.roll
    if voices is None and not encoding.parts:
        voices = _voices_at_end(roll)
    after = ((0, added), (0, 0), (0, 0))
    onsets = None
    if roll.onsets is not None:
        onsets = np.pad(roll.onsets, after)
    longer = replace(roll, sounding=np.pad(roll.sounding, after), onsets=onsets)
    hidden = np.pad(np.zeros_like(roll.sounding), after, constant_values=True)
    return KnownMusic.aligned(encoding, replace(song, roll=longer), hidden, voices=voices)


def _voices_at_end(roll: PianoRoll) -> int:
    """The most keys that sound at once in the last two bars, or in all if these are silent."""
    keys_at_once = roll.sounding.sum(axis=(1, 2))
    last_bars = list(roll.bars().values())[-2:]
    most_at_end = int(keys_at_once[last_bars[0] :].max())
    return most_at_end or int(keys_at_once.max())


def partly_hidden(whole: KnownPart, share: float, rng: np.random.Generator) -> KnownPart:
    """The piece with a share of its places hidden, chosen at random.

    A place is a bar of a voice or of a part of a band, or a span of `SPAN` characters of a text.
    """
    if isinstance(whole, KnownMusic):
        roll = whole.song.roll
        hidden_cells = _of_whole_notes(roll, random_share(roll, share, rng))
        return KnownMusic.aligned(whole.encoding, whole.song, hidden_cells, whole.shift)
    num_spans = -(-whole.num_steps // SPAN)
    chosen_spans = rng.permutation(num_spans)[: round(share * num_spans)]
    span_of_character = np.arange(whole.num_steps) // SPAN
    return replace(whole, hidden=np.isin(span_of_character, chosen_spans))


def _known_text(encoding: Encoding, text: str, hidden: np.ndarray) -> KnownText:
    assert isinstance(encoding, TextEncoding)
    return KnownText.aligned(encoding, text, hidden)


def _known_music(encoding: MusicEncoding, song: Song, hidden: np.ndarray) -> KnownMusic:
    """A song with these cells hidden, or an `LnfgenError` if no note is left."""
    if not (song.roll.sounding & ~hidden).any():
        raise _nothing_kept("note")
    return KnownMusic.aligned(encoding, song, _of_whole_notes(song.roll, hidden))


def _nothing_kept(what: str) -> LnfgenError:
    return LnfgenError(
        f"no {what} of the piece is kept; to draw all of a piece there is `lnfgen sample`"
    )


def _hidden_cells(song: Song, words: Sequence[str]) -> np.ndarray:
    """The cells bool [T, R, 128] of these words of `music.regions.region`.

    Bars and outer lines are those of the song's file.
    """
    roll = song.roll
    hidden = region(roll, words, file_bars(song))
    for line, is_top in (("below-melody", True), ("above-bass", False)):
        roles = {part_named(word) for word in words if line in word}
        for role in roles:
            number = roll.roles.index(role) if role else 0
            hidden[:, number] &= ~file_line(song, is_top, role)
    return hidden


def _of_whole_notes(roll: PianoRoll, hidden: np.ndarray) -> np.ndarray:
    """The hidden cells bool [T, R, 128] without those of notes that begin in a known cell.

    These notes are kept to their ends.
    """
    known = np.zeros_like(hidden)
    for part in range(roll.num_parts):
        for start, length, pitch in roll.notes(part):
            column = pitch - roll.lowest_pitch
            if not hidden[start, part, column]:
                known[start : start + length, part, column] = True
    return hidden & ~known
