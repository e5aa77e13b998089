"""Text of which a part is known, as a model sees it, and back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lnfgen.data.encoding import changes_in_words
from lnfgen.data.text_encoding import GAP, TextEncoding
from lnfgen.errors import LnfgenError
from lnfgen.formats.text import UNKNOWN
from lnfgen.music.conversion import ConversionReport
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song
from lnfgen.wording import counted


@dataclass(frozen=True)
class KnownText:
    """A text of which a part is known, as a model sees it.

    Attributes:
        encoding: that of the model.
        text: the text itself.
        values: the whole text, its hidden part included, int32 [T].
        hidden: the characters that the model is to draw, bool [T].
        changes: the known characters that the model does not know.
    """

    encoding: TextEncoding
    text: str
    values: np.ndarray
    hidden: np.ndarray
    changes: ConversionReport

    time_signature = None  # which music has
    home_number = None  # which music has

    @classmethod
    def aligned(cls, encoding: TextEncoding, text: str, hidden: np.ndarray) -> KnownText:
        """A text and its hidden characters, bool [T], as a model sees them."""
        values = encoding.encode(text)
        is_written_so = np.array(list(text)) == UNKNOWN
        unknown = (values == 0) & ~hidden & ~is_written_so
        changes = ConversionReport(unknown=int(unknown.sum()))
        return cls(encoding, text, values, hidden, changes)

    @property
    def num_steps(self) -> int:
        """The characters."""
        return len(self.values)

    def remarks(self, *, reads_home: bool = False) -> list[str]:
        """What a person should know of the text as the model sees it; a text has no home."""
        changes = changes_in_words(self.changes)
        return [changes] if changes else []

    def remarks_on_drawing(self, words: Sequence[str] = ()) -> list[str]:
        """No remark: a model draws wherever a text has gaps, whatever words name."""
        return []

    def decoded(self, x: np.ndarray) -> str:
        """The whole text that was drawn, int32 [T]; unknown characters stay as they were."""
        characters = list(self.text)
        drawn = self.encoding.decode(x)
        for place in np.flatnonzero(self.hidden):
            characters[place] = drawn[place]
        return "".join(characters)

    def decoded_so_far(self, x: np.ndarray) -> str:
        """The first t characters that were drawn, int32 [t]."""
        return self.encoding.decode(x)


def text_of(piece: Song | PianoRoll | str) -> str:
    """The piece, which must be a text of at least a character."""
    if not isinstance(piece, str):
        raise LnfgenError("found music; expected text, as the model makes; choose another model")
    if not piece:
        raise LnfgenError("found an empty text; expected at least a character")
    return piece


def hidden_characters(
    encoding: TextEncoding, text: str, words: Sequence[str], gap: str | None
) -> np.ndarray:
    """The characters bool [T] that words of `known_part` or gaps name.

    Raises:
        LnfgenError: if there are none, a word means nothing, or the mark of gaps is no mark.
    """
    hidden = np.zeros(len(text), dtype=np.bool_)
    for word in words:
        for numbers in word.split(","):
            hidden[_characters(numbers, len(text))] = True
    if gap is None and words:
        return hidden
    mark = GAP if gap is None else gap
    if len(mark) != 1:
        raise LnfgenError(f"found {mark!r} to mark gaps; expected one character")
    if gap is None and mark in encoding.vocabulary:
        raise LnfgenError(
            f"the model writes {mark!r}, so it cannot mark gaps; mark them with another character "
            "and --gap (in Python gap=), or name them: --free 10-20 (in Python free=)"
        )
    hidden |= np.array(list(text)) == mark
    if not hidden.any():
        raise LnfgenError(
            f"found no gap in the text; mark each missing character with {mark!r}, or say which to "
            "draw: --free 10-20 (in Python free=)"
        )
    return hidden


def _characters(word: str, length: int) -> slice:
    """The characters that `10-20`, `10-` or `10` means, from 1 on."""
    match = re.fullmatch(r"(\d{1,9})(-(\d{0,9}))?", word.strip())
    if match is None:
        raise LnfgenError(
            f"found {word!r} for a text; expected the numbers of characters, as 10-20"
        )
    first = int(match[1])
    last = first
    if match[2] is not None:
        last = int(match[3] or length)
    if not 1 <= first <= last <= length:
        text = f"a text of {counted(length, 'character')}"
        raise LnfgenError(f"found {word!r} for {text}; expected numbers from 1 to {length:,}")
    return slice(first - 1, last)
