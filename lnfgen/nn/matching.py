"""A recall of what followed the longest stretch of the past that came before note for note."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from lnfgen.nn.copying import SPAN
from lnfgen.nn.recall import Memory, PastValues, Recall

# Of the code of a frame, from Knuth's generator of random numbers, modulo 2^64.
MULTIPLIER = 6364136223846793005
# The code before the first frame, which no frame is expected to have.
NO_FRAME = -1


def codes_of(frames: Tensor) -> Tensor:
    """A number for each frame of bits `[..., F]`, `[...]`.

    Equal frames have equal numbers, and others hardly ever do.
    """
    multipliers = torch.full(frames.shape[-1:], MULTIPLIER, device=frames.device).cumprod(0)
    return (frames.long() * multipliers).sum(-1)


class Match(NamedTuple):
    """Before T steps of N sequences, the longest stretch that equals the last frames, `[N, T]`."""

    distance: Tensor  # how many frames back; of equally long stretches the farthest
    length: Tensor  # the changes in it, so that a held frame counts once; 0 if there is no stretch

    def of_steps(self, start: int, stop: int) -> "Match":
        """The match of some of the steps."""
        return Match(self.distance[:, start:stop], self.length[:, start:stop])

    def recalled(self, values: Tensor, steps: Tensor) -> Tensor:
        """The copy of what followed it: values `[N, t, F]`, steps `[T]` -> `[N, T, 1, F + 1]`.

        The weight of no step is `1 / (1 + length)`.
        """
        sources = (steps - self.distance).clamp(min=0)
        places = sources[..., None].expand(-1, -1, values.shape[-1])
        if not values.shape[1]:  # before the first step
            values = pad(values, (0, 0, 0, 1))
        value = values.gather(1, places)
        attended = (self.length / (1 + self.length)).to(values)[..., None]
        return torch.cat([value * attended, 1 - attended], -1)[:, :, None]


class Runs(NamedTuple):
    """For each distance from 1 to `SPAN`, how long the last frames equal those so far before them.

    Sources: the match models of data compression (PAQ: M. Mahoney, 2005, CS-2005-16), which predict
    what followed the longest context that came before.
    """

    codes: Tensor  # of the last frames of N sequences, the newest first, [N, SPAN]
    lengths: Tensor  # in changes, [N, SPAN]

    @classmethod
    def of_none(cls, num_sequences: int, device: torch.device) -> "Runs":
        """Before the first frame."""
        codes = torch.full((num_sequences, SPAN), NO_FRAME, device=device)
        return cls(codes, torch.zeros_like(codes))

    def then(self, code: Tensor) -> "Runs":
        """With one frame more, whose code is `[N]`."""
        is_change = code != self.codes[:, 0]
        longer = self.lengths + is_change[:, None]
        lengths = torch.where(self.codes == code[:, None], longer, 0)
        return Runs(torch.cat([code[:, None], self.codes[:, :-1]], 1), lengths)

    def longest(self) -> Match:
        """The longest stretch before the coming step, `[N, 1]`."""
        # `max` takes the first of equal lengths, so the farthest distance comes first.
        length, place = self.lengths.flip(-1).max(-1, keepdim=True)
        return Match(SPAN - place, length)

    def through(self, codes: Tensor) -> tuple[Match, "Runs"]:
        """The match before each of the next frames, and the runs after them; codes are `[N, T]`."""
        runs = self
        distances = []
        lengths = []
        for code in codes.unbind(1):
            match = runs.longest()
            distances.append(match.distance)
            lengths.append(match.length)
            runs = runs.then(code)
        return Match(torch.cat(distances, 1), torch.cat(lengths, 1)), runs


def longest_matches(codes: Tensor) -> Match:
    """Before each of the frames with these codes `[N, T]`, the match of the frames before it."""
    match, _ = Runs.of_none(len(codes), codes.device).through(codes)
    return match


class LongestMatch(Recall):
    """Each step recalls what followed the longest stretch that equals the last frames.

    Bands repeat bars note for note, and heads of attention, which recall means of several steps,
    are not certain enough for that.
    """

    num_copies = 1

    def __init__(self, num_compared: int) -> None:
        """Frames are equal if their first `num_compared` values are, which are 0 or 1."""
        super().__init__()
        self.num_compared = num_compared

    def copies_of(self, values: Tensor) -> Callable[[int, int], Tensor]:
        match = longest_matches(codes_of(values[..., : self.num_compared]))

        def copies(start: int, stop: int) -> Tensor:
            first = max(0, start - SPAN)
            steps = torch.arange(start - first, stop - first, device=values.device)
            return match.of_steps(start, stop).recalled(values[:, first:stop], steps)

        return copies

    def memory(self, silence: Tensor) -> "MatchMemory":
        return MatchMemory(self.num_compared, silence)


class MatchMemory(Memory):
    """The runs so far, and the values that a match may recall."""

    def __init__(self, num_compared: int, silence: Tensor) -> None:
        self._num_compared = num_compared
        self._past = PastValues(silence)
        self._runs = Runs.of_none(len(silence), silence.device)

    def recalled(self) -> Tensor:
        values = self._past.last(SPAN)
        end = torch.full((1,), values.shape[1], device=values.device)
        return self._runs.longest().recalled(values, end)[:, 0]

    def append(self, values: Tensor) -> None:
        self._past.append(values)
        self._runs = self._runs.then(codes_of(values[:, : self._num_compared]))

    def take(self, values: Tensor) -> Tensor:
        before = self._past.last(SPAN)
        codes = codes_of(values[..., : self._num_compared])
        match, self._runs = self._runs.through(codes)
        self._past.extend(values)
        start = before.shape[1]
        steps = torch.arange(start, start + values.shape[1], device=values.device)
        return match.recalled(torch.cat([before, values], 1), steps)

    def reindex(self, rows: Tensor) -> None:
        self._past.reindex(rows)
        self._runs = Runs(self._runs.codes[rows], self._runs.lengths[rows])
