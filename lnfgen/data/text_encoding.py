"""Texts as integers, and back: each character is an index into a vocabulary."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lnfgen.conventions import UNITS, Kind, TimeSignature, Unit
from lnfgen.data.dataset_options import Options
from lnfgen.data.encoding import EncodedPieces, Encoding
from lnfgen.errors import LnfgenError, UnreadableFileError
from lnfgen.formats import text
from lnfgen.formats.read_write import READABLE, WRITABLE_TEXT, read
from lnfgen.formats.text import UNKNOWN
from lnfgen.music.conversion import ConversionReport
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song
from lnfgen.wording import counted

GAP = "_"  # the character that marks a gap in a text
_OTHER_KIND = "found music; expected text, as the dataset of the model holds"


@dataclass(frozen=True)
class TextEncoding(Encoding):
    """Sequences of text: int32 [T], indices into `vocabulary`."""

    kind: ClassVar[Kind] = "text"
    roles: ClassVar[tuple[str, ...]] = ()

    # the unknown symbol, then the characters of train in the order of code points
    vocabulary: tuple[str, ...] = ()

    @property
    def unit(self) -> Unit:
        return UNITS["text"]

    @property
    def step_noun(self) -> str:
        return "character"

    @property
    def writable_suffixes(self) -> tuple[str, ...]:
        return WRITABLE_TEXT

    @property
    def no_steps(self) -> np.ndarray:
        return np.empty(0, "<i4")

    @property
    def num_symbols(self) -> int:
        """The size of the vocabulary, with the unknown symbol."""
        return len(self.vocabulary)

    @property
    def spaces(self) -> tuple[int, ...]:
        """The symbols of white space."""
        return tuple(index for index, symbol in enumerate(self.vocabulary) if symbol.isspace())

    def admits(self, values: np.ndarray) -> bool:
        lowest = int(values.min(initial=0))
        highest = int(values.max(initial=0))
        return lowest >= 0 and highest < self.num_symbols

    def encode(self, piece: PianoRoll | str) -> np.ndarray:
        """The text as int32 [T]. Characters outside the vocabulary become the unknown symbol.

        Raises:
            LnfgenError: if the piece is music.
        """
        if not isinstance(piece, str):
            raise LnfgenError(_OTHER_KIND)
        code_points = np.frombuffer(piece.encode("utf-32-le", errors="surrogatepass"), dtype="<u4")
        return self._lookup.take(code_points, mode="clip")

    @cached_property
    def _lookup(self) -> np.ndarray:
        """int32: the index in the vocabulary of each code point.

        The last entry stands for all higher code points.
        """
        code_points = [ord(character) for character in self.vocabulary[1:]]
        lookup = np.zeros(max(code_points, default=0) + 2, dtype=np.int32)
        lookup[code_points] = np.arange(1, self.num_symbols, dtype=np.int32)
        return lookup

    def decode(
        self,
        values: np.ndarray,
        time_signature: TimeSignature | None = None,
        *,
        keeps_silence: bool = False,
        cuts_ends: bool = False,
    ) -> str:
        """The text of these values. The unknown symbol becomes the character U+FFFD."""
        if values.ndim != 1 or not self.admits(values):
            shape = list(values.shape)
            raise LnfgenError(f"values of shape {shape} are not text of {self.num_symbols} symbols")
        return "".join([self.vocabulary[value] for value in values.tolist()])

    def adapt(
        self, pieces: Iterable[Song | PianoRoll | str]
    ) -> tuple[EncodedPieces, ConversionReport]:
        sequences: list[np.ndarray] = []
        changes = ConversionReport()
        for piece in pieces:
            if not isinstance(piece, str):
                raise LnfgenError(_OTHER_KIND)
            values = self.encode(piece)
            changes["unknown"] += int((values == 0).sum()) - piece.count(UNKNOWN)
            sequences.append(values)
        # A counter that has been added to holds no zeros.
        return EncodedPieces(sequences, None, None), +changes

    def homes(self, sequences: Iterable[np.ndarray]) -> None:
        return None

    def bar_shapes(self, time_signatures: Sequence[TimeSignature]) -> None:
        return None

    def blank(self, num_steps: int, time_signature: TimeSignature | None) -> str:
        return GAP * num_steps

    def steps_of_bars(self, bars: int, time_signature: TimeSignature | None) -> int:
        raise LnfgenError(
            f"found a length in bars ({bars}) for text, which has none; give the number of"
            " characters"
        )

    def fit_marginal(self, train: Iterable[np.ndarray]) -> Callable[[np.ndarray], float]:
        counts = np.full(self.num_symbols, 0.5)
        for x in train:
            # a count of every symbol for each line would take minutes for 30,000 symbols
            np.add.at(counts, x, 1)
        of_symbol = np.log(counts / counts.sum())
        return lambda x: float(of_symbol[x].sum())

    def reading_options(self, made_with: Mapping[str, Any]) -> Options:
        return Options(
            kind="text",
            max_length=made_with.get("max_length"),
            chunks=bool(made_with.get("chunks")),
        )

    def read_file(self, path: Path, options: Options) -> list[Song] | list[str]:
        """The lines of a text, the tunes of an ABC file, or under `options.chunks` its chunks.

        A file of music gives its songs, which `adapt` refuses.
        """
        suffix = path.suffix.lower()
        if suffix in READABLE and suffix not in WRITABLE_TEXT:
            return read(path)
        content = text.read_text(path)
        if options.chunks:
            max_length = options.max_length or text.MAX_LINE
            pieces = text.chunks(content.removesuffix("\n"), max_length)
        elif suffix == ".abc":
            pieces = text.abc_tunes(content)
        else:
            pieces = text.lines(content)
        if not pieces:
            raise UnreadableFileError(
                f"{path} holds no text; expected at least one line that is not blank"
            )
        return pieces

    def facts(self) -> dict[str, Any]:
        return {"vocabulary": self.num_symbols}

    def remarks(self) -> list[str]:
        characters = counted(self.num_symbols - 1, "character")
        return [f"vocabulary: {characters} in train, and an unknown symbol"]

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "vocabulary": list(self.vocabulary)}
