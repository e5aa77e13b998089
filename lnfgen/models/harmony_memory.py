"""What the units of a key read of the harmonies so far, counted from the home of a piece."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lnfgen.conventions import SOUNDING
from lnfgen.device.replacements import Dropout
from lnfgen.models.degree_units import NUM_DEGREES, degrees_of_keys
from lnfgen.nn.positions import NUM_HOMES
from lnfgen.nn.scans import GatedRecurrence

NUM_MODES = 2

SIZE = 64
"""Features of the harmonies so far."""

MOST_DROPOUT = 0.5


class HarmonyState(NamedTuple):
    """The states of the recurrences of N sequences, `[N, SIZE]` each."""

    first: Tensor
    second: Tensor

    def of_rows(self, rows: Tensor) -> "HarmonyState":
        return HarmonyState(self.first[rows], self.second[rows])


class HarmonyMemory(nn.Module):
    """Features of each degree, made of the harmonies so far and of the place in the piece.

    The harmony of a frame is which degrees sound in it, and which of them is the lowest. A degree
    is the semitones of a key above the tonic. The recurrences of single keys
    (`lnfgen.models.frame_past`) know no tonic, so they cannot tell a dominant from another chord;
    these can, and they are the same in every home. Where a piece has no home they read nothing and
    give nothing.

    A piece that is moved has the same degrees, so moving pieces in training gives the memory
    nothing new, and it would soon know the pieces by heart. Therefore it has twice the dropout of
    the model.
    """

    degrees: Tensor  # of each key in a home, [12, P]
    class_of_key: Tensor  # 1 at its place among twelve, [P, 12]

    def __init__(self, num_pitches: int, num_context: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.first = GatedRecurrence(2 * NUM_DEGREES, SIZE, entry=True)
        self.second = GatedRecurrence(SIZE, SIZE)
        num_of_place = num_context - NUM_HOMES + NUM_MODES
        self.at_place = nn.Linear(SIZE + num_of_place, SIZE)
        self.of_degrees = nn.Linear(SIZE, NUM_DEGREES * hidden)
        # At first they are 0, because the other features of a key are learned sooner.
        nn.init.zeros_(self.of_degrees.weight)
        nn.init.zeros_(self.of_degrees.bias)
        self.input_dropout = Dropout(dropout / 2)
        self.dropout = Dropout(min(MOST_DROPOUT, 2 * dropout))
        degrees = degrees_of_keys(num_pitches)
        class_of_key = nn.functional.one_hot(degrees[0], NUM_DEGREES).to(torch.get_default_dtype())
        self.register_buffer("degrees", degrees, persistent=False)
        self.register_buffer("class_of_key", class_of_key, persistent=False)

    def forward(
        self, frames: Tensor, context: Tensor, state: HarmonyState | None = None
    ) -> tuple[Tensor, HarmonyState]:
        """What is remembered before each step, `[B, n, SIZE]`, and the state after the last one.

        Args:
            frames: the frame before each step, `[B, n, P]`.
            context: its last features are the home, `[..., B, n, C]`.
            state: that before the first step, None in silence.
        """
        home = context.reshape(-1, *context.shape[-3:])[0, ..., -NUM_HOMES:]  # of all samples of z
        first, second = (None, None) if state is None else state
        y, first = self.first(self.input_dropout(self._harmony(frames, home)), first)
        y, second = self.second(self.dropout(y), second)
        return self.dropout(y), HarmonyState(first, second)

    def units(self, memory: Tensor, context: Tensor) -> Tensor:
        """The features `[..., S, P, hidden]` of each key, for memory `[S, SIZE]` and a context."""
        home = context[..., -NUM_HOMES:]
        memory = memory.expand(*context.shape[:-1], -1)
        # Of the home the place has the mode alone, so a piece that is moved has the same features.
        mode = home.unflatten(-1, (NUM_MODES, NUM_DEGREES)).sum(-1)
        place = torch.cat([memory, context[..., :-NUM_HOMES], mode], -1)
        at_place = torch.tanh(self.at_place(place))
        of_degrees = self.of_degrees(self.dropout(at_place)).unflatten(-1, (NUM_DEGREES, -1))
        degrees = self.degrees[_tonic(home)][..., None]  # [..., S, P, 1]
        of_keys = of_degrees.gather(-2, degrees.expand(*degrees.shape[:-1], of_degrees.shape[-1]))
        return of_keys * _has_home(home)[..., None]

    def _harmony(self, frames: Tensor, home: Tensor) -> Tensor:
        """The degrees that sound in frames `[B, n, P]`, and the lowest one, `[B, n, 24]`."""
        sounding = (frames & SOUNDING).to(home)
        lowest = sounding * (sounding.cumsum(-1) == 1)
        classes = torch.stack([sounding, lowest], -2) @ self.class_of_key.to(home)  # [B, n, 2, 12]
        places = torch.arange(NUM_DEGREES, device=frames.device)
        class_of_degree = (places + _tonic(home)[..., None]) % NUM_DEGREES
        degrees = classes.gather(-1, class_of_degree[..., None, :].expand_as(classes))
        return (degrees > 0).flatten(-2).to(home) * _has_home(home)


def _tonic(home: Tensor) -> Tensor:
    """The column of the tonic of a home `[..., NUM_HOMES]` among twelve, `[...]`."""
    return home.argmax(-1) % NUM_DEGREES


def _has_home(home: Tensor) -> Tensor:
    """1 where a piece has a home, and else 0, `[..., 1]`."""
    return home.sum(-1, keepdim=True)
