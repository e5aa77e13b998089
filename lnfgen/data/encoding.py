"""What music and text answer alike: how a piece becomes the integers of a dataset, and comes back.

`music_encoding` and `text_encoding` have the two encodings, and `encoding_json` reads both.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from lnfgen.conventions import Kind, TimeSignature, Unit
from lnfgen.data.dataset_options import Options
from lnfgen.music.conversion import ConversionReport
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song
from lnfgen.wording import counted, counted_ends


def changes_in_words(changes: ConversionReport) -> str:
    """A line on what pieces lose on their way into an encoding, as `Encoding.adapt` counts it.

    It is empty if they lose nothing.
    """
    notes = counted(changes["out_of_range"], "note")
    characters = counted(changes["unknown"], "character")
    lines = {
        "rounded": f"rounded {counted_ends(changes['rounded'])} to the model's grid",
        "out_of_range": f"left out {notes} beyond the model's range",
        "unknown": f"took {characters} not in the model's vocabulary as unknown",
    }
    return "; ".join(line for name, line in lines.items() if changes[name])


class EncodedPieces(list[np.ndarray]):
    """Sequences of pieces, with what is known of each before its notes."""

    def __init__(
        self,
        sequences: Iterable[np.ndarray],
        bar_shapes: np.ndarray | None,
        homes: np.ndarray | None,
    ) -> None:
        super().__init__(sequences)
        self.bar_shapes = bar_shapes  # as `Encoding.bar_shapes` gives them; None for text
        self.homes = homes  # as `Encoding.homes` gives them


class Encoding(Protocol):
    """The meaning of the integers of a dataset: a `MusicEncoding` or a `TextEncoding`.

    A sequence is uint8 [T, R, P] for music, T steps of R parts and P keys, and int32 [T] for text.
    """

    kind: ClassVar[Kind]

    @property
    def unit(self) -> Unit:
        """The unit of a negative log-likelihood of these sequences."""

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of the parts of a band; empty for other music and for text."""

    @property
    def step_noun(self) -> str:
        """What messages call a step: `step` of music, and `character` of text."""

    @property
    def writable_suffixes(self) -> tuple[str, ...]:
        """The suffixes of the files that pieces can be written to, the usual one first."""

    @property
    def no_steps(self) -> np.ndarray:
        """A sequence of no steps. It has the type, and after its first axis the shape, of all."""

    def admits(self, values: np.ndarray) -> bool:
        """True if sequences may have these values, which have the type of all and any shape."""

    def encode(self, piece: PianoRoll | str) -> np.ndarray:
        """The sequence of a piece, or an `LnfgenError` if the piece does not fit."""

    def decode(
        self,
        values: np.ndarray,
        time_signature: TimeSignature | None = None,
        *,
        keeps_silence: bool = False,
        cuts_ends: bool = False,
    ) -> PianoRoll | str:
        """The piece that `encode` gives these values for. A text ignores all that is music's.

        Args:
            time_signature: that of a piece of music; None: the usual one of the set.
            keeps_silence: the piece has a step for each value, with the silence that fills the bar
                of an upbeat.
            cuts_ends: silent bars before the first note and after the last one are left out, if the
                dataset has none.

        Raises:
            LnfgenError: if the values have a shape or range that this encoding does not give.
        """

    def adapt(
        self, pieces: Iterable[Song | PianoRoll | str]
    ) -> tuple[EncodedPieces, ConversionReport]:
        """Encode pieces of any grid, range or vocabulary, and count what they lose on the way.

        The counts are `rounded` and `out_of_range` for music, where those of the reading of a song
        count too, and `unknown` characters for text. `changes_in_words` has words for them.

        Raises:
            LnfgenError: if a piece is of the other kind.
        """

    def bar_shapes(self, time_signatures: Sequence[TimeSignature]) -> np.ndarray | None:
        """The time signatures of N sequences as a model reads them, float32 [N, 3]; None for
        text."""

    def homes(self, sequences: Iterable[np.ndarray]) -> np.ndarray | None:
        """The homes of N sequences as a model reads them, int64 [N]; None for text."""

    def blank(self, num_steps: int, time_signature: TimeSignature | None) -> PianoRoll | str:
        """A piece of so many steps with nothing in it, on which a model may draw all.

        Music is silent, with all 128 keys of MIDI, and a text consists of gaps.
        """

    def steps_of_bars(self, bars: int, time_signature: TimeSignature | None) -> int:
        """How many steps so many bars have, rounded up; an `LnfgenError` for text."""

    def fit_marginal(self, train: Iterable[np.ndarray]) -> Callable[[np.ndarray], float]:
        """Fit the simplest model of sequences, which any other must beat.

        Its symbols are independent, each as often as in the training split. For music these are
        independent keys, each silent or sounding, and struck or held if it sounds. Half a count is
        added to every count (Krichevsky & Trofimov, 1981), so that what train never shows is
        unlikely, but not impossible.

        Returns:
            log p(x | T) in nats as a function of a sequence x.
        """

    def reading_options(self, made_with: Mapping[str, Any]) -> Options:
        """The options to read other files with, as those of a dataset in this encoding were.

        `made_with` are the options in the `dataset.json` of that dataset.
        """

    def read_file(self, path: Path, options: Options) -> list[Song] | list[str]:
        """The pieces of a file to encode, at least one; an `UnreadableFileError` if it has none."""

    def facts(self) -> dict[str, Any]:
        """What `lnfgen info` shows of the encoding, as plain values."""

    def remarks(self) -> list[str]:
        """Lines for a person who has just made a dataset in this encoding."""

    def to_json(self) -> dict[str, Any]:
        """Kind and attributes as plain JSON values, which `encoding_from_json` reads."""
