"""The features of a frame that is drawn voice by voice, and what they are made of."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lnfgen.conventions import SOUNDING
from lnfgen.models.frame_past import KeysState
from lnfgen.models.harmony_memory import HarmonyState
from lnfgen.models.held_notes import steps_held
from lnfgen.models.mixture import Copies
from lnfgen.models.observation import AllowedKeys
from lnfgen.models.voice_leading import DrawnVoices, PairTables


class Tables(NamedTuple):
    """What follows from the weights alone, and is computed once for all steps."""

    near: Tensor  # the spectrum of a convolution
    of_turns: dict[str, PairTables | None]


class FramesBefore(NamedTuple):
    """The frame of each part at the step before each of S steps, `[S, R, P]` or `[B, n, R, P]`."""

    frames: Tensor
    noisy: Tensor  # the same frames with noise
    # `steps_held` of these frames; 0 where noise hides the key. None if nothing reads it.
    held: Tensor | None

    def of_steps(self, start: int, stop: int) -> "FramesBefore":
        """Those before the steps from `start` to before `stop`."""
        return self._each(lambda frames: frames[:, start:stop])

    def in_rows(self) -> "FramesBefore":
        """`[B, n, R, P]` -> `[B * n, R, P]`."""
        return self._each(lambda frames: frames.flatten(0, 1))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "FramesBefore":
        held = None if self.held is None else change(self.held)
        return FramesBefore(change(self.frames), change(self.noisy), held)


def frames_before(x: Tensor, noisy: Tensor, ahead: Tensor, held: Tensor | None) -> FramesBefore:
    """The frames before each step of x, and of x with noise, `[B, n, R, P]`.

    Before the first step were the frames `ahead`, whose keys had been held for `held` steps; both
    are `[B, R, P]`. Without `held` no steps are counted.
    """
    noisy_before = torch.cat([ahead[:, None], noisy[:, :-1]], 1)
    held_before: Tensor | None = None
    if held is not None:
        is_hidden = (noisy_before & SOUNDING) == 0
        held_before = torch.cat([held[:, None], steps_held(held, x)[:, :-1]], 1)
        held_before = held_before.masked_fill(is_hidden, 0)
    return FramesBefore(
        frames=torch.cat([ahead[:, None], x[:, :-1]], 1), noisy=noisy_before, held=held_before
    )


class Past(NamedTuple):
    """What S steps read of all frames before them."""

    of_keys: Tensor  # by the recurrences of each key, [S, P, size]
    of_harmonies: Tensor | None  # [S, size]; None without a `HarmonyMemory`


class PastState(NamedTuple):
    """The states of all recurrences over the frames of N sequences."""

    keys: KeysState
    harmony: HarmonyState | None

    def of_rows(self, rows: Tensor) -> "PastState":
        harmony = None if self.harmony is None else self.harmony.of_rows(rows)
        return PastState(self.keys.of_rows(rows), harmony)


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
    # What is added to the score of each key by how long it has been held, [N, P].
    of_held: Tensor | None
    parts: Tensor  # that the frames are of, [N]
    allowed: AllowedKeys | None = None  # the keys that may be chosen, [N, P]; None for all

    def with_held(self, scores: Tensor) -> Tensor:
        """Scores of the keys `[..., N, P]`, with what is added by how long each has been held."""
        return scores if self.of_held is None else scores + self.of_held

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
            of_held=None if self.of_held is None else self.of_held[rows],
            parts=self.parts[rows],
            allowed=None if self.allowed is None else self.allowed.each(lambda keys: keys[rows]),
        )
