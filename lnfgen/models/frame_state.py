"""The features of a frame that is drawn voice by voice, and what they are made of."""

from typing import NamedTuple

from torch import Tensor

from lnfgen.models.mixture import Copies
from lnfgen.models.voice_leading import DrawnVoices, PairTables


class Tables(NamedTuple):
    """What follows from the weights alone, and is computed once for all steps."""

    near: Tensor  # the spectrum of a convolution
    of_turns: dict[str, PairTables | None]


class FramesBefore(NamedTuple):
    """The frame of each part at the step before each of S steps, `[S, R, P]`."""

    frames: Tensor
    noisy: Tensor  # the same frames with noise


class Recalled(NamedTuple):
    """What may be copied to N frames."""

    copies: Tensor  # of `recallable` values, and the weight of no step, [N, C, F + 1]
    since_opening: Tensor  # the beat, counted from the start of the piece, [N, NUM_BEAT_FEATURES]


class FrameState(NamedTuple):
    """The features of N frames of one part each, and the voices of them that are drawn so far."""

    units: Tensor  # the hidden units of each key, [..., N, P, hidden]
    copies: Copies
    # Of the model and of the copies, given the voices drawn so far: logarithms, [..., N, 1 + C].
    weights: Tensor
    of_voices: Tensor  # what the voices drawn so far add to the units of all keys, [N, 1, hidden]
    paths: Tensor  # features of each key's way to sound, [N, P, PATH]
    # The number of keys at or below each key in the frame before, at most NUM_VOICES, [N, P].
    below: Tensor
    # The cases of moves to each key, [N, NUM_VOICES + 1, P], of each voice by its number.
    cases: Tensor
    drawn: DrawnVoices
    # Where a key was silent in the frame before, [N, P]; if it sounds now it is struck.
    silent: Tensor
    parts: Tensor  # that the frames are of, [N]

    def of_rows(self, rows: Tensor) -> "FrameState":
        """The state of some of the frames."""
        return FrameState(
            units=self.units.index_select(-3, rows),
            copies=self.copies.of_rows(rows),
            weights=self.weights.index_select(-2, rows),
            of_voices=self.of_voices[rows],
            paths=self.paths[rows],
            below=self.below[rows],
            cases=self.cases[rows],
            drawn=self.drawn.of_rows(rows),
            silent=self.silent[rows],
            parts=self.parts[rows],
        )
