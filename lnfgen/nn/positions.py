"""Position features: where a step lies in its sequence."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lnfgen.nn.masking import flip

# Features of the place of a step in its sequence, which every network of a model reads.
POSITION_SIZE = 16
# Half the slowest wave, in steps. No published piece is as long, so no two positions are alike.
LONGEST_WAVE = 4096.0
# Steps in which a feature of nearness to the end falls to 1 / e.
NEAR_END = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
# Waves in a bar: of 8, 4 and 2 bars, one and a half. Those of beats are added.
OF_A_BAR = (0.125, 0.25, 0.5, 1.0, 2.0)
# Beats of a bar that have their own feature, as three parts of a beat have. By it 3/4 differs
# from 6/8.
BEATS = (2, 3, 4)
# Features of the place in a bar and of its time signature.
NUM_OF_BAR = 4 * (len(OF_A_BAR) + 2) + len(BEATS) + 1


NUM_HOMES = 24  # major keys, then minor ones, by the column of their tonic among twelve


class Outline(NamedTuple):
    """What is known of B pieces of music before their notes."""

    bar_shapes: Tensor | None = None  # [B, 3]
    homes: Tensor | None = None  # int64 [B], under NUM_HOMES; NUM_HOMES where a piece has none

    def of_rows(self, rows: Tensor) -> "Outline":
        """That of some of the pieces."""
        bar_shapes = None if self.bar_shapes is None else self.bar_shapes[rows]
        homes = None if self.homes is None else self.homes[rows]
        return Outline(bar_shapes, homes)


NO_OUTLINE = Outline()


class Positions(nn.Module):
    """Features of "steps since the start" and "steps to the end": `[B]` -> `[B, T, features]`.

    Sinusoids (Vaswani et al., 2017) carry the same information as the one-hot vectors of the
    reference implementation in fewer numbers, and exist for every length. A learned projection
    selects from them.

    With `near_end` there are also features that are 1 at the last step and fall exponentially with
    the distance to it. A network hardly learns this from sinusoids and few ends; with these
    features a text ends where a sentence does.

    With `reads_time_signature` there are also features of the place in the bars of each sequence's
    time signature, because a sum of the other waves is soon out of step with the bars. `bar_shapes`
    `[B, 3]` has the steps of a bar, its beats, and the parts of a beat
    (`lnfgen.music.time_signature.bar_and_beats`). The first step begins a bar.

    With `reads_home` the last `NUM_HOMES` features are 1 for the home of the sequence, and else 0.
    """

    frequency: Tensor  # [num_waves], radians per step
    reach: Tensor  # [num_near], steps

    def __init__(
        self,
        features: int,
        *,
        near_end: bool = False,
        reads_time_signature: bool = False,
        reads_home: bool = False,
    ) -> None:
        """`features` are those of the place of a step; the home's are added."""
        super().__init__()
        self.reads_home = reads_home
        self.size = features + NUM_HOMES if reads_home else features
        self.reads_time_signature = reads_time_signature
        # Half periods of 1 to LONGEST_WAVE.
        waves = torch.exp(-math.log(LONGEST_WAVE) * torch.arange(16) / 15)
        num_waves = len(waves)
        of_bar = NUM_OF_BAR if reads_time_signature else 0
        self.register_buffer("frequency", math.pi * waves, persistent=False)
        self.register_buffer("reach", torch.tensor(NEAR_END if near_end else ()), persistent=False)
        self.project = nn.Linear(4 * num_waves + len(self.reach) + of_bar, features)
        scale = (2 * num_waves + of_bar / 2) ** -0.5  # unit scale: sinusoids have mean square 1/2
        nn.init.normal_(self.project.weight, std=scale)
        near = self.project.weight[:, 4 * num_waves : 4 * num_waves + len(self.reach)]
        # They stand out from the many waves, because a piece has one end to learn from.
        nn.init.normal_(near)

    def forward(self, lengths: Tensor, num_steps: int, outline: Outline = NO_OUTLINE) -> Tensor:
        steps = torch.arange(num_steps, device=lengths.device)[:, None]
        angle = steps * self.frequency
        wave = torch.cat([angle.sin(), angle.cos()], -1)
        start = wave.to(self.project.weight.dtype).expand(len(lengths), -1, -1)
        nearness = torch.exp(-steps / self.reach).to(start.dtype).expand(len(lengths), -1, -1)
        to_end = torch.cat([start, nearness], -1)
        features = [start, flip(to_end, lengths)]
        if self.reads_time_signature:
            assert outline.bar_shapes is not None
            features += self._of_bar(lengths, steps, outline.bar_shapes)
        of_place = self.project(torch.cat(features, -1))
        if not self.reads_home:
            return of_place
        return torch.cat([of_place, self._of_home(outline.homes, of_place)], -1)

    def _of_home(self, homes: Tensor | None, of_place: Tensor) -> Tensor:
        """The home of each sequence at each step, `[B, T, NUM_HOMES]`; 0 where there is none."""
        batch, num_steps = of_place.shape[:2]
        if homes is None:
            return of_place.new_zeros(batch, num_steps, NUM_HOMES)
        one_hot = nn.functional.one_hot(homes, NUM_HOMES + 1)[:, None, :NUM_HOMES]
        return one_hot.to(of_place).expand(-1, num_steps, -1)

    def _of_bar(self, lengths: Tensor, steps: Tensor, bar_shapes: Tensor) -> list[Tensor]:
        """The place in the bars of each sequence from both ends, and what bars they are."""
        dtype = self.project.weight.dtype
        length, beats, parts = bar_shapes[:, None].split(1, -1)  # [B, 1, 1]
        of_a_bar = [torch.full_like(length, number) for number in OF_A_BAR]
        per_bar = torch.cat([*of_a_bar, beats, beats * parts], -1)
        angle = steps * (2 * math.pi * per_bar / length)
        wave = torch.cat([angle.sin(), angle.cos()], -1).to(dtype)
        are_beats = [beats == number for number in BEATS]
        kinds = torch.cat([*are_beats, parts == 3], -1).to(dtype)
        return [wave, flip(wave, lengths), kinds.expand(-1, len(steps), -1)]
