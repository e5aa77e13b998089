"""What a model is scored on: a split of a dataset or a whole file, as sequences in the model's encoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lnfgen.data.dataset import Dataset
from lnfgen.data.encoding import Changes, Encoding
from lnfgen.data.sources import Options
from lnfgen.errors import UnreadableFileError
from lnfgen.formats import text
from lnfgen.formats.read_write import READABLE, Piece, read
from lnfgen.music.tracks import said_of


@dataclass(frozen=True)
class Material:
    """Sequences to score.

    Attributes:
        name: of the dataset or file.
        split: the split of a dataset, or "all" of a file.
        dropped: sequences that the dataset left out for their length.
        changes: what the pieces lost on their way into the encoding.
        tracks: a few words on the tracks of a file that were kept or left out; empty if no piece has several.
    """

    name: str
    split: str
    sequences: Sequence[np.ndarray]
    dropped: int
    changes: Changes
    tracks: str = ""


def split_of(dataset: Dataset, split: str, encoding: Encoding) -> Material:
    """A split of a dataset. Where the dataset has another encoding, its pieces are brought into this one.

    Raises:
        DatasetError: if the dataset has no such split, or a damaged one.
        LnfgenError: if it holds the other kind.
    """
    chosen = dataset.split(split)
    if dataset.encoding == encoding:
        return Material(dataset.name, split, chosen, chosen.dropped, Changes())
    sequences, changes = encoding.adapt(dataset.pieces(split))
    return Material(dataset.name, split, sequences, chosen.dropped, changes)


def whole_file(path: Path, encoding: Encoding, options: Options) -> Material:
    """All pieces of a file. A text is divided into lines, tunes or chunks, as the model's dataset is.

    Args:
        options: those by which the model's dataset was read.

    Raises:
        UnreadableFileError: if the file is missing or damaged, or holds no text.
        LnfgenError: if it holds the other kind.
    """
    suffix = path.suffix.lower()
    pieces: list[Piece]
    if encoding.kind == "text" and (suffix in (".txt", ".abc") or suffix not in READABLE):
        content = text.read_text(path)
        if options.chunks:
            pieces = [*text.chunks(content, options.max_length or text.MAX_LINE)]
        else:
            pieces = [*(text.abc_tunes(content) if suffix == ".abc" else text.lines(content))]
        if not pieces:
            raise UnreadableFileError(f"{path} holds no text; expected at least one line that is not blank")
    else:
        grid = encoding.steps_per_quarter
        pieces = read(path, steps_per_quarter=grid, drums=options.drums, tracks=options.tracks)
    sequences, changes = encoding.adapt(pieces)
    several = [piece.tracks for piece in pieces if not isinstance(piece, str) and len(piece.tracks) > 1]
    return Material(path.name, "all", sequences, 0, changes, said_of(several) if several else "")
