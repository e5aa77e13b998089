"""The best of many pieces: the likeliest ones of those without a long copy of the training data.

The model that drew a piece scores it, by the importance-sampled NLL of `inference.scoring`, p(T)
included. Likely pieces have fewer odd notes or letters, and less variety too. Those with copies,
learned by heart, are left out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lnfgen.conventions import Progress, no_progress, stream_seed
from lnfgen.data.encoding import Encoding
from lnfgen.errors import LnfgenError
from lnfgen.formats.text import with_long_copies
from lnfgen.inference.scoring import score
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.copies import longest_copies
from lnfgen.music.pianoroll import PianoRoll, pitched_parts
from lnfgen.music.time_signature import bar_length
from lnfgen.wording import counted

# The longest passage of the training data that a chosen piece may hold: of music in any key, in
# bars of the piece; of a text in characters, as set phrases and headers are shorter.
MAX_COPY_BARS = 4
MAX_COPY_CHARS = 120
_SCORING = 1 << 40  # the random stream of the scores; those that draw pieces have lower numbers


@dataclass(frozen=True)
class DrawnPiece:
    """A piece that was drawn."""

    index: int  # its place among all that were drawn, from 0 on
    piece: PianoRoll | str
    nll: float | None = None  # in the unit of the encoding, if the piece was chosen by that
    # for music, quarters of the longest passage that train has too, if known
    longest_copy: float | None = None
    # with wishes, if the piece was steered; False if it is as plain ones are
    is_steered: bool | None = None


# Each argument is a choice of its own, as for the command.
def choose_best(  # noqa: PLR0913
    model: SequenceModel,
    encoding: Encoding,
    pieces: Sequence[PianoRoll | str],
    best: int,
    train: Iterable[PianoRoll | str] | None,
    *,
    seed: int = 0,
    progress: Progress = no_progress,
) -> list[DrawnPiece]:
    """Choose the `best` pieces with the lowest NLL, the best one first.

    Pieces with a copy of a piece of `train` of over `MAX_COPY_BARS` or `MAX_COPY_CHARS` are left
    out, so there can be fewer. Silent pieces come last.

    Raises:
        LnfgenError: if each piece has a long copy.
    """
    copies, is_copied = _copies(encoding, pieces, train)
    if all(is_copied):
        raise LnfgenError(_nothing_left(encoding, len(pieces)))
    indices = [index for index, copied in enumerate(is_copied) if not copied]
    sequences, _ = encoding.adapt(pieces[index] for index in indices)
    scores = score(
        model, sequences, encoding.unit, seed=stream_seed(seed, _SCORING), progress=progress
    )
    choices = []
    for index, nll in zip(indices, scores.each, strict=True):
        choices.append(DrawnPiece(index, pieces[index], nll, copies[index]))
    choices.sort(key=lambda choice: (_is_silent(choice.piece), choice.nll))
    return choices[:best]


def _nothing_left(encoding: Encoding, count: int) -> str:
    most = counted(MAX_COPY_CHARS, "character")
    if encoding.kind == "music":
        most = counted(MAX_COPY_BARS, "bar")
    found = f"{counted(count, 'piece')}, each with a copy of the train split of over {most}"
    return f"{found}; expected one without; draw more pieces, or at a higher temperature"


def _is_silent(piece: PianoRoll | str) -> bool:
    return isinstance(piece, PianoRoll) and not piece.sounding.any()


def _copies(
    encoding: Encoding, pieces: Sequence[PianoRoll | str], train: Iterable[PianoRoll | str] | None
) -> tuple[list[float | None], list[bool]]:
    """The quarters of the longest copy in each piece, if known, and if that is a long copy."""
    unknown: list[float | None] = [None] * len(pieces)
    if train is None:
        return unknown, [False] * len(pieces)
    if encoding.kind == "text":
        texts = [piece for piece in pieces if isinstance(piece, str)]
        corpus = [piece for piece in train if isinstance(piece, str)]
        return unknown, with_long_copies(texts, corpus, MAX_COPY_CHARS)
    rolls = _pitched_rolls(pieces)
    copies = longest_copies(rolls, _pitched_rolls(train))
    is_long = []
    for roll, quarters in zip(rolls, copies, strict=True):
        most = MAX_COPY_BARS * bar_length(roll.time_signature, 1)
        is_long.append(quarters > most)
    return [*copies], is_long


def _pitched_rolls(pieces: Iterable[PianoRoll | str]) -> list[PianoRoll]:
    return [pitched_parts(piece) for piece in pieces if isinstance(piece, PianoRoll)]
