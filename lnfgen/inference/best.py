"""The best of many pieces: the likeliest ones of those that copy no long passage of the training
data.

The model that drew a piece scores it, by the importance-sampled NLL of `inference.scoring`, p(T)
included. Likely pieces have fewer odd notes or letters, and less variety too. Those with copies,
learned by heart, are left out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lnfgen.conventions import Progress, no_progress, stream_seed
from lnfgen.data.encoding import Encoding
from lnfgen.errors import LnfgenError
from lnfgen.formats.read_write import Piece
from lnfgen.formats.text import with_long_copies
from lnfgen.inference.scoring import score
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.copies import longest_copies
from lnfgen.music.figures import pitched_parts
from lnfgen.music.pianoroll import PianoRoll, bar_length
from lnfgen.wording import counted

# The longest passage of the training data that a chosen piece may hold: of music in any key, in
# bars of the piece; of a text in characters, as set phrases and headers are shorter.
MAX_COPY_BARS, MAX_COPY_CHARS = 4, 120
_SCORING = 1 << 40  # the random stream of the scores; those that draw pieces have lower numbers


@dataclass(frozen=True)
class Choice:
    """A piece that was drawn."""

    index: int  # its place among all that were drawn, from 0 on
    piece: Piece
    nll: float | None = None  # in the unit of the encoding, if the piece was chosen by that
    # for music, quarters of the longest passage that train has too, if known
    longest_copy: float | None = None


def choose_best(
    model: SequenceModel,
    encoding: Encoding,
    pieces: Sequence[Piece],
    best: int,
    train: Iterable[Piece] | None,
    *,
    seed: int = 0,
    progress: Progress = no_progress,
) -> list[Choice]:
    """Choose the `best` pieces with the lowest NLL and without a long copy of a piece of `train`,
    the best one first.

    There are fewer if too many hold a copy of over `MAX_COPY_BARS` or `MAX_COPY_CHARS`. Silent
    pieces come last.
    """
    copies, is_copied = _copies(encoding, pieces, train)
    if all(is_copied):
        most = (
            counted(MAX_COPY_BARS, "bar")
            if encoding.kind == "music"
            else counted(MAX_COPY_CHARS, "character")
        )
        problem = (
            f"{counted(len(pieces), 'piece')}, each with a copy of the train split of over {most}"
        )
        raise LnfgenError(
            f"{problem}; expected one without; draw more pieces, or at a higher temperature"
        )
    indices = [index for index, copied in enumerate(is_copied) if not copied]
    sequences, _ = encoding.adapt(pieces[index] for index in indices)
    nlls = score(
        model, sequences, encoding.unit, seed=stream_seed(seed, _SCORING), progress=progress
    ).each
    choices = [
        Choice(index, pieces[index], nll, copies[index])
        for index, nll in zip(indices, nlls, strict=True)
    ]

    def place(choice: Choice) -> tuple[bool, float | None]:
        return isinstance(choice.piece, PianoRoll) and not choice.piece.sounding.any(), choice.nll

    return sorted(choices, key=place)[:best]


def _copies(
    encoding: Encoding, pieces: Sequence[Piece], train: Iterable[Piece] | None
) -> tuple[list[float | None], list[bool]]:
    """Return the quarters of the longest copy in each piece, if known, and True for each piece with
    a long copy."""
    unknown: list[float | None] = [None] * len(pieces)
    if train is None:
        return unknown, [False] * len(pieces)
    if encoding.kind == "text":
        texts, corpus = (
            [piece for piece in side if isinstance(piece, str)] for side in (pieces, train)
        )
        return unknown, with_long_copies(texts, corpus, MAX_COPY_CHARS)
    rolls, known = (
        [pitched_parts(one) for one in side if isinstance(one, PianoRoll)]
        for side in (pieces, train)
    )
    copies = longest_copies(rolls, known)
    most = [MAX_COPY_BARS * bar_length(roll.time_signature, 1) for roll in rolls]
    return [*copies], [quarters > limit for quarters, limit in zip(copies, most, strict=True)]
