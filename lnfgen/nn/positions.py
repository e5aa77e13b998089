"""Position features: where a step lies in its sequence."""

import math

import torch
from torch import Tensor, nn

from lnfgen.nn.masking import flip

# features of the place of a step in its sequence that every network of a model reads
POSITION_SIZE = 16
# half the slowest wave, in steps; no published piece is as long, so no two positions are alike
LONGEST_WAVE = 4096.0
# steps in which a feature of nearness to the end falls to 1 / e
NEAR_END = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
# waves in a bar: of 8, 4 and 2 bars, one and a half; those of beats are added
OF_A_BAR = (0.125, 0.25, 0.5, 1.0, 2.0)
# of a bar that have their own feature, as three parts of a beat have, by which 3/4 differs from 6/8
BEATS = (2, 3, 4)
# features of the place in a bar and of its metre
NUM_OF_METRE = 4 * (len(OF_A_BAR) + 2) + len(BEATS) + 1


class Positions(nn.Module):
    """Features of "steps since the start" and "steps to the end": lengths `[B]` -> `[B, T,
    features]`.

    Sinusoids (Vaswani et al., 2017) carry the same information as the one-hot vectors of the
    reference implementation in fewer numbers, and exist for every length. A learned projection
    selects from them.

    With `near_end` there are also features that are 1 at the last step and fall exponentially with
    the distance to it. A network hardly learns this from sinusoids and few ends; with these
    features a text ends where a sentence does.

    With `in_metre` there are also features of the place in the bars of each sequence's time
    signature, because a sum of the other waves is soon out of step with the bars. `metres` `[B, 3]`
    has the steps of a bar, its beats, and the parts of a beat
    (`lnfgen.music.pianoroll.bar_and_beats`). The first step begins a bar.

    With several `parts`, whose steps take turns, there is a feature of each part.
    """

    frequency: Tensor  # [num_waves], radians per step
    reach: Tensor  # [num_near], steps

    def __init__(
        self, features: int, *, near_end: bool = False, in_metre: bool = False, parts: int = 1
    ) -> None:
        super().__init__()
        self.in_metre, self.parts = in_metre, parts if parts > 1 else 0
        # half periods of 1 to LONGEST_WAVE
        waves = torch.exp(-math.log(LONGEST_WAVE) * torch.arange(16) / 15)
        num_waves, of_metre = len(waves), NUM_OF_METRE if in_metre else 0
        self.register_buffer("frequency", math.pi * waves, persistent=False)
        self.register_buffer("reach", torch.tensor(NEAR_END if near_end else ()), persistent=False)
        self.project = nn.Linear(4 * num_waves + len(self.reach) + of_metre + self.parts, features)
        scale = (2 * num_waves + of_metre / 2) ** -0.5  # unit scale: sinusoids have mean square 1/2
        nn.init.normal_(self.project.weight, std=scale)
        near = self.project.weight[:, 4 * num_waves : 4 * num_waves + len(self.reach)]
        # they stand out from the many waves, because a piece has one end to learn from
        nn.init.normal_(near)

    def forward(self, lengths: Tensor, num_steps: int, metres: Tensor | None = None) -> Tensor:
        steps = torch.arange(num_steps, device=lengths.device)[:, None]
        angle = steps * self.frequency
        wave = torch.cat([angle.sin(), angle.cos()], -1)
        start = wave.to(self.project.weight.dtype).expand(len(lengths), -1, -1)
        to_end = torch.cat(
            [start, torch.exp(-steps / self.reach).to(start.dtype).expand(len(lengths), -1, -1)], -1
        )
        features = [start, flip(to_end, lengths)]
        if self.in_metre:
            assert metres is not None
            features += self._of_metre(lengths, steps, metres)
        if self.parts:
            turns = (steps % self.parts == torch.arange(self.parts, device=steps.device)).to(
                start.dtype
            )
            features.append(turns.expand(len(lengths), -1, -1))
        return self.project(torch.cat(features, -1))

    def _of_metre(self, lengths: Tensor, steps: Tensor, metres: Tensor) -> list[Tensor]:
        """The place in the bars of each sequence from the start and from the end, and what bars
        they are."""
        dtype = self.project.weight.dtype
        # [B, 1, 1]
        length, beats, parts = (metres[:, None, index : index + 1] for index in range(3))
        per_bar = torch.cat(
            [*(torch.full_like(length, number) for number in OF_A_BAR), beats, beats * parts], -1
        )
        angle = steps * (2 * math.pi * per_bar / length)
        wave = torch.cat([angle.sin(), angle.cos()], -1).to(dtype)
        kinds = torch.cat([*(beats == number for number in BEATS), parts == 3], -1).to(dtype)
        return [wave, flip(wave, lengths), kinds.expand(-1, len(steps), -1)]
