"""Frames that copy attention recalls, as distributions of voices that the distribution of a model
is mixed with.

`p(frame) = sum_c w_c p_c(frame)`: part 0 is the model, and each head of the attention is a part
that copies the frame of a step that it attends to. One part more copies the frame that the piece
began with, because what goes back to the start is not like anything yet. Bands repeat bars note for
note, and heads, which recall means of several steps, are not
certain enough for that: another part copies what followed the longest stretch that came before
(`lnfgen.nn.matching`). The model reads the recalled frames as well, but scores that are added up
never become certain enough to repeat a phrase of thirty steps without a mistake. The mixture is one
of whole frames, written voice by voice: after each voice the weights are those given the voices so
far, by Bayes' rule. So a frame that begins as the recalled one goes on as it does, and another one
is left to the model.

Sources: Merity et al. (2017, arXiv 1609.07843) and See et al. (2017, arXiv 1704.04368) mix a model
with a pointer so, for words.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lnfgen.models.voice_leading import highest_key, lowest_key
from lnfgen.nn.copying import NUM_HEADS, CopyAttention
from lnfgen.nn.matching import Runs, codes_of

# the parts that copy: the heads, and the start of the piece; in a band also the match
NUM_COPIES = NUM_HEADS + 1
# beside its bits a frame has its highest and its lowest key, to be recalled as voices
NUM_EDGES = 2
# the least probability of a key that a head copies, which is that of any other key than the
# recalled one
LEAST = 1e-6
UNSURE = 1e-3  # a head copies an onset with a probability of at least this, and at most 1 less this
# a head attends to some step, and to none, with at least this probability for its weight
NEVER = 1e-4
# the logit of the weight of a head at first, where it attends to some step as much as to none
FIRST_GATE = -3.0
# the logit of the weight of a match of n changes at first is OF_ONE + MATCHED log n
MATCHED, OF_ONE = 2.0, -1.0
NOT_YET = 1 << 40  # the step at which a piece begins of which no key has sounded


def recallable(bits: Tensor, x: Tensor) -> Tensor:
    """The bits `[..., T, F]` of frames x `[..., T, P]`, then the highest and the lowest key: `[...,
    T, F + 2 P]`."""
    keys = torch.arange(x.shape[-1], device=x.device)
    edges = [(keys == edge(x > 0)[..., None]).to(bits) for edge in (highest_key, lowest_key)]
    return torch.cat([bits, *edges], -1)


class Opening(NamedTuple):
    """The frames that N pieces began with, and when."""

    values: Tensor  # `recallable` values of the first frame that sounds, [N, F]
    step: Tensor  # its step, [N]; NOT_YET where nothing has sounded

    @classmethod
    def of(cls, values: Tensor, sounds: Tensor) -> "Opening":
        """From the values `[N, T, F]` of all frames and where something sounds, bool `[N, T]`."""
        first = sounds.to(torch.uint8).argmax(1)
        step = torch.where(sounds.any(1), first, NOT_YET)
        return cls(values[torch.arange(len(values), device=values.device), first], step)

    def then(self, values: Tensor, sounds: Tensor, step: int) -> "Opening":
        """With the values `[N, F]` of the frame of one step more, and where something sounds in it,
        bool `[N]`."""
        begins = sounds & (self.step == NOT_YET)
        return Opening(
            torch.where(begins[:, None], values, self.values), torch.where(begins, step, self.step)
        )

    def since(self, steps: Tensor) -> Tensor:
        """How many steps after the start each step `[T]` is, `[N, T]`; at most 0 where the start is
        not known."""
        return steps - self.step[:, None]

    def recalled(self, steps: Tensor) -> Tensor:
        """As by a head of the attention that attends to the start alone, at steps `[T]`: `[N, T, 1,
        F + 1]`."""
        known = (self.since(steps) > 0)[..., None].to(self.values)
        return torch.cat([self.values[:, None] * known, 1 - known], -1)[:, :, None]


class Memory(NamedTuple):
    """What may be copied of the frames so far of N sequences, which are drawn step by step."""

    values: Tensor  # `recallable` values of the last frames, [N, t, F]
    opening: Opening
    runs: Runs | None  # of a part of a band

    @classmethod
    def of_none(cls, values: Tensor, silence: Tensor, in_band: bool) -> "Memory":
        """Before the first step: a silent frame `[N, P]`, and its values `[N, F]`."""
        opening = Opening.of(values[:, None], (silence > 0).any(-1, keepdim=True))
        return cls(
            values[:, None][:, :0], opening, Runs.of_none(codes_of(silence)) if in_band else None
        )

    def then(self, values: Tensor, x: Tensor, step: int) -> "Memory":
        """With the frame x `[N, P]` of one step more, and its values `[N, F]`."""
        last = torch.cat([self.values, values[:, None]], 1)[:, -CopyAttention.REACH :]
        runs = None if self.runs is None else self.runs.then(codes_of(x))
        return Memory(last, self.opening.then(values, (x > 0).any(-1), step), runs)

    def of(self, rows: Tensor) -> "Memory":
        """That of some sequences."""
        opening = Opening(*(each[rows] for each in self.opening))
        return Memory(
            self.values[rows], opening, self.runs and Runs(*(each[rows] for each in self.runs))
        )

    def attended(self, copying: CopyAttention) -> Tensor:
        """What the heads recall at the next step, and in a band the match, `[N, 1, copies - 1, F +
        1]`."""
        attended = copying.next(self.values)[:, None]
        if self.runs is None:
            return attended
        end = torch.full((1,), self.values.shape[1], device=attended.device)
        return torch.cat([attended, self.runs.longest().recalled(self.values, end)], -2)


class Copies(NamedTuple):
    """What H parts copy for R frames: probabilities of keys, `[R, H, P]` each, given that they
    recall a frame.

    Choices are distributions over no key and then each key, `[R, H, 1 + P]`.
    """

    sounding: Tensor
    struck: Tensor  # if the key sounds
    top: Tensor  # of the highest key; in silence there is none
    bottom: Tensor  # of the lowest key

    @classmethod
    def of(cls, recalled: Tensor, num_keys: int) -> "Copies":
        """From the mean of `recallable` values and the weight of no step, `[R, H, F + 2 P + 1]`."""
        attended = (1 - recalled[..., -1:]).clamp(min=LEAST)
        sounding, *struck, top, bottom = (
            (recalled[..., :-1] / attended).clamp(max=1).split(num_keys, -1)
        )
        onset = struck[0] / sounding.clamp(min=UNSURE) if struck else sounding
        return cls(sounding, onset.clamp(UNSURE, 1 - UNSURE), top, bottom)

    def top_choice(self) -> Tensor:
        return torch.cat([1 - self.top.sum(-1, keepdim=True), self.top], -1)

    def bottom_choice(self, free: Tensor) -> Tensor:
        """Of the keys where `free` `[R, P]` is True."""
        return pad(self.bottom * free[:, None], (1, 0))

    def next_choice(self, free: Tensor) -> Tensor:
        """Of the highest key among those where `free` `[R, P]` is True, as if each key were copied
        by itself."""
        keys = self.sounding * free[:, None]
        none_from = (1 - keys).flip(-1).cumprod(-1).flip(-1)  # no key sounds from here up
        return torch.cat(
            [none_from[..., :1], keys * pad(none_from[..., 1:], (0, 1), value=1.0)], -1
        )


class Choice(NamedTuple):
    """A choice of no key or one key by each of C parts."""

    parts: Tensor  # their log-probabilities, [..., R, C, 1 + P]

    @classmethod
    def of(cls, none: Tensor, scores: Tensor, copied: Tensor) -> "Choice":
        """From the model's scores of no key `[..., R, 1]` and of the keys `[..., R, P]`, and what
        the heads copy."""
        model = torch.log_softmax(torch.cat([none, scores], -1).to(copied), -1)
        copied = copied.clamp(min=LEAST).log().expand(*model.shape[:-2], -1, -1, -1)
        return cls(torch.cat([model[..., None, :], copied], -2))

    def mixed(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The log-probability of no key, `[..., R, 1]`, and those of the keys: weights `[..., R,
        C]`, logarithms."""
        every = torch.logsumexp(weights[..., None] + self.parts, -2)
        return every[..., :1], every[..., 1:]

    def weighed(self, weights: Tensor, key: Tensor) -> Tensor:
        """The weights given that this key `[R]` was chosen, or none where it is -1."""
        places = (key + 1)[:, None, None].expand(*self.parts.shape[:-1], 1)
        return torch.log_softmax(weights + self.parts.gather(-1, places)[..., 0], -1)


class Gate(nn.Module):
    """The weights of the model and of the copies for a frame: from how much each head attends, and
    from its context.

    In a band the scores of each part are multiplied by the exponential of its `sharpness`. Training
    leaves it near 0, which is right for true songs. In songs that the model draws, drums then leave
    their pattern too often, and calibration raises it.
    """

    def __init__(self, num_context: int, copies: int, parts: int) -> None:
        super().__init__()
        self.from_attended = nn.Linear(copies, copies)
        self.from_context = nn.Linear(num_context, copies, bias=False)
        with torch.no_grad():
            self.from_attended.weight.copy_(torch.eye(copies))
            self.from_attended.bias.fill_(FIRST_GATE)
            self.from_attended.bias[-1] = FIRST_GATE + math.log(NEVER)  # the start attends always
            self.from_attended.weight.diagonal()[NUM_HEADS:-1] = MATCHED
            self.from_attended.bias[NUM_HEADS:-1] = OF_ONE
            self.from_context.weight.zero_()
        self.sharpness = nn.Parameter(torch.zeros(parts)) if parts > 1 else None

    def forward(self, nothing: Tensor, context: Tensor, parts: Tensor) -> Tensor:
        """Logarithms `[..., R, 1 + H]` for frames of the `parts` `[R]`.

        They follow from the weights of no step `[R, H]` and from contexts `[..., R, num_context]`.
        """
        scores = self.from_attended(-torch.logit(nothing, eps=NEVER)) + self.from_context(context)
        if self.sharpness is not None:
            scores = scores * self.sharpness[parts, None].exp()
        return torch.log_softmax(pad(scores, (1, 0)), -1)


def mixed_onset(weights: Tensor, onset: Tensor, copies: Copies) -> Tensor:
    """The logits of onsets from the model's own: weights `[..., R, C]` and onset `[..., R, P]` ->
    `[..., R, P]`."""
    chance = torch.cat(
        [torch.sigmoid(onset)[..., None, :], copies.struck.expand(*onset.shape[:-2], -1, -1, -1)],
        -2,
    )
    return torch.logit((weights.exp()[..., None] * chance).sum(-2), eps=LEAST)
