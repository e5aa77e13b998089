"""The longest stretch of the past that came before note for note: what followed it then may follow
now."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from lnfgen.nn.copying import SPAN

# of the code of a frame, from Knuth's generator of random numbers, modulo 2^64
MULTIPLIER = 6364136223846793005
UNHEARD = -1  # the code before the first frame, which no frame is expected to have


def codes_of(frames: Tensor) -> Tensor:
    """A number for each frame `[..., P]`, `[...]`: equal frames have equal ones, and others hardly
    ever do."""
    keys = torch.full(frames.shape[-1:], MULTIPLIER, device=frames.device).cumprod(0)
    return (frames.long() * keys).sum(-1)


class Match(NamedTuple):
    """For N sequences before T steps: where the longest stretch lies that is the same as the last
    frames, `[N, T]`."""

    distance: Tensor  # how many frames back; of equally long stretches the farthest
    # the number of changes in it, so that a held frame counts once; 0 if there is no stretch
    length: Tensor

    def recalled(self, values: Tensor, steps: Tensor) -> Tensor:
        """What followed it, as by a head of attention: values `[N, t, F]` and steps `[T]` -> `[N,
        T, 1, F + 1]`.

        The weight of no step is `1 / (1 + length)`.
        """
        sources = (steps - self.distance).clamp(min=0)[..., None].expand(-1, -1, values.shape[-1])
        # before the first step there are no values
        value = pad(values, (0, 0, 0, 1)).gather(1, sources)
        attended = (self.length / (1 + self.length)).to(values)[..., None]
        return torch.cat([value * attended, 1 - attended], -1)[:, :, None]


class Runs(NamedTuple):
    """For N sequences and each distance from 1 to `SPAN`, how long the last frames have been as
    those before them.

    Sources: the match models of data compression (PAQ: M. Mahoney, 2005, CS-2005-16), which predict
    what followed the longest context that came before.
    """

    codes: Tensor  # of the last frames, the newest first, [N, SPAN]
    lengths: Tensor  # in changes, [N, SPAN]

    @classmethod
    def of_none(cls, codes: Tensor) -> "Runs":
        """Before the first frame, for as many sequences as there are codes `[N, ...]`."""
        size = (len(codes), SPAN)
        return cls(codes.new_full(size, UNHEARD), codes.new_zeros(size))

    def then(self, code: Tensor) -> "Runs":
        """With one frame more, whose code is `[N]`."""
        longer = self.lengths + (code != self.codes[:, 0])[:, None]
        lengths = torch.where(self.codes == code[:, None], longer, 0)
        return Runs(torch.cat([code[:, None], self.codes[:, :-1]], 1), lengths)

    def longest(self) -> Match:
        """That of the last frames, before one step."""
        length, place = self.lengths.flip(-1).max(-1, keepdim=True)  # the first of equal ones
        return Match(SPAN - place, length)


def longest_matches(codes: Tensor) -> Match:
    """Before each of the frames with these codes `[N, T]`, those of the frames before it."""
    runs, matches = Runs.of_none(codes), list[Match]()
    for code in codes.unbind(1):
        matches.append(runs.longest())
        runs = runs.then(code)
    return Match(*(torch.cat(each, 1) for each in zip(*matches, strict=True)))
