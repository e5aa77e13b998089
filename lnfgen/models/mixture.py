"""The distribution of a frame as a mixture of the model and of copies of recalled frames.

`p(frame) = sum_c w_c p_c(frame)`: component 0 is the model, and each copy of a recall
(`lnfgen.nn.recall`) is a component. The model reads the recalled frames as well, but scores that
are added up never become certain enough to repeat a phrase of thirty steps without a mistake. The
mixture is one of whole frames, written voice by voice: after each voice the weights are those given
the voices so far, by Bayes' rule. So a frame that begins as the recalled one goes on as it does,
and another one is left to the model.

Sources: Merity et al. (2017, arXiv 1609.07843) and See et al. (2017, arXiv 1704.04368) mix a model
with a pointer so, for words.
"""

import math
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lnfgen.models.voice_leading import highest_key, lowest_key
from lnfgen.nn.copying import CopyAttention
from lnfgen.nn.matching import LongestMatch
from lnfgen.nn.opening import OpeningRecall
from lnfgen.nn.parameter_groups import SHARPNESS
from lnfgen.nn.recall import Recall

# Beside its bits a frame has its highest and its lowest key, to be recalled as voices.
NUM_EDGES = 2
# The least probability of a key that a copy has, which is that of any other key than the recalled.
LEAST = 1e-6
UNSURE = 1e-3  # a copy has an onset with a probability of at least this, and at most 1 less this
# A recall attends to some step, and to none, with at least this probability for its weight.
NEVER = 1e-4
# The logit of the weight of a copy at first, where it recalls some step as much as none.
FIRST_GATE = -3.0
# The logit of the weight of a match of n changes at first is OF_ONE + MATCHED log n.
MATCHED = 2.0
OF_ONE = -1.0


def recallable(bits: Tensor, x: Tensor) -> Tensor:
    """What frames x `[..., P]` are recalled by: `[..., F + 2 P]`.

    These are their bits `[..., F]`, then a bit for each key that is the highest or the lowest one.
    """
    keys = torch.arange(x.shape[-1], device=x.device)
    is_highest = keys == highest_key(x > 0)[..., None]
    is_lowest = keys == lowest_key(x > 0)[..., None]
    return torch.cat([bits, is_highest.to(bits), is_lowest.to(bits)], -1)


class Copies(NamedTuple):
    """C copies of recalled frames for N frames: probabilities of keys, `[N, C, P]` each.

    They are given that some frame is recalled. Choices are distributions over no key and then each
    key, `[N, C, 1 + P]`.
    """

    sounding: Tensor
    struck: Tensor  # if the key sounds
    highest: Tensor  # of the highest key; in silence there is none
    lowest: Tensor

    @classmethod
    def of(cls, recalled: Tensor, num_keys: int) -> "Copies":
        """From `recallable` values and the weight of no step, `[N, C, F + 2 P + 1]`."""
        attended = (1 - recalled[..., -1:]).clamp(min=LEAST)
        values = (recalled[..., :-1] / attended).clamp(max=1)
        sounding, *struck, highest, lowest = values.split(num_keys, -1)
        onset = sounding
        if struck:
            onset = struck[0] / sounding.clamp(min=UNSURE)
        return cls(sounding, onset.clamp(UNSURE, 1 - UNSURE), highest, lowest)

    def highest_choice(self) -> Tensor:
        """The choice of the highest key."""
        none = 1 - self.highest.sum(-1, keepdim=True)
        return torch.cat([none, self.highest], -1)

    def lowest_choice(self, free: Tensor) -> Tensor:
        """The choice of the lowest key among those where `free` `[N, P]` is True."""
        return pad(self.lowest * free[:, None], (1, 0))

    def next_choice(self, free: Tensor) -> Tensor:
        """The choice of the highest key among those where `free` `[N, P]` is True.

        Each key counts as copied by itself.
        """
        keys = self.sounding * free[:, None]
        none_from = (1 - keys).flip(-1).cumprod(-1).flip(-1)  # no key sounds from here up
        none_above = pad(none_from[..., 1:], (0, 1), value=1.0)
        return torch.cat([none_from[..., :1], keys * none_above], -1)

    def of_rows(self, rows: Tensor) -> "Copies":
        """The copies for some of the frames."""
        return Copies(self.sounding[rows], self.struck[rows], self.highest[rows], self.lowest[rows])


class MixedChoice(NamedTuple):
    """A choice of no key or one key by the model and by each copy: C + 1 components."""

    components: Tensor  # their log-probabilities, [..., N, C + 1, 1 + P]

    @classmethod
    def of(cls, none: Tensor, scores: Tensor, copied: Tensor) -> "MixedChoice":
        """From the model's scores of no key `[..., N, 1]` and of the keys `[..., N, P]`.

        The choices of the copies are `copied` `[N, C, 1 + P]`.
        """
        model = torch.log_softmax(torch.cat([none, scores], -1).to(copied), -1)
        copied = copied.clamp(min=LEAST).log().expand(*model.shape[:-2], -1, -1, -1)
        return cls(torch.cat([model[..., None, :], copied], -2))

    def mixed(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The log-probability of no key, `[..., N, 1]`, and those of the keys, `[..., N, P]`.

        The weights `[..., N, C + 1]` are logarithms.
        """
        every = torch.logsumexp(weights[..., None] + self.components, -2)
        return every[..., :1], every[..., 1:]

    def weights_given(self, weights: Tensor, key: Tensor) -> Tensor:
        """The weights after this key `[N]` was chosen, or none where it is -1."""
        places = (key + 1)[:, None, None].expand(*self.components.shape[:-1], 1)
        chosen = self.components.gather(-1, places)[..., 0]
        return torch.log_softmax(weights + chosen, -1)


class Gate(nn.Module):
    """The weights of the model and of the copies for a frame.

    They follow from how much each copy recalls, and from the context of the frame. In a band the
    scores of each part are multiplied by the exponential of its `sharpness`. Training leaves it at
    0, which is right for true songs. In songs that the model draws, drums then leave their pattern
    too often, and calibration raises it.
    """

    rate_groups: ClassVar[dict[str, str]] = {"sharpness": SHARPNESS}

    def __init__(self, num_context: int, recalls: Sequence[Recall], parts: int) -> None:
        super().__init__()
        copies = sum(recall.num_copies for recall in recalls)
        self.from_attended = nn.Linear(copies, copies)
        self.from_context = nn.Linear(num_context, copies, bias=False)
        with torch.no_grad():
            self.from_attended.weight.copy_(torch.eye(copies))
            self.from_context.weight.zero_()
            bias = self.from_attended.bias
            slope = self.from_attended.weight.diagonal()
            bias.fill_(FIRST_GATE)
            first = 0
            for recall in recalls:
                own = slice(first, first + recall.num_copies)
                if isinstance(recall, OpeningRecall):  # it recalls its frame at all steps
                    bias[own] = FIRST_GATE + math.log(NEVER)
                elif isinstance(recall, LongestMatch):
                    slope[own] = MATCHED
                    bias[own] = OF_ONE
                first += recall.num_copies
        self.sharpness: nn.Parameter | None = None
        if parts > 1:
            self.sharpness = nn.Parameter(torch.zeros(parts), requires_grad=False)

    def forward(self, nothing: Tensor, context: Tensor, parts: Tensor) -> Tensor:
        """Logarithms of the weights, `[..., N, 1 + C]`, for frames of the `parts` `[N]`.

        They follow from the weights of no step `[N, C]` and contexts `[..., N, num_context]`.
        """
        recalled = -torch.logit(nothing, eps=NEVER)
        scores = self.from_attended(recalled) + self.from_context(context)
        if self.sharpness is not None:
            scores = scores * self.sharpness[parts, None].exp()
        return torch.log_softmax(pad(scores, (1, 0)), -1)


def mixed_onset(weights: Tensor, onset: Tensor, copies: Copies) -> Tensor:
    """The logits of onsets in the mixture, `[..., N, P]`, from those of the model `[..., N, P]`.

    The weights `[..., N, C + 1]` are logarithms.
    """
    model = torch.sigmoid(onset)[..., None, :]
    copied = copies.struck.expand(*onset.shape[:-2], -1, -1, -1)
    chance = (weights.exp()[..., None] * torch.cat([model, copied], -2)).sum(-2)
    return torch.logit(chance, eps=LEAST)


def recalls_of_a_band(num_compared: int, periods: tuple[int, ...]) -> list[Recall]:
    """The recalls of each part of a band: attention, the longest match, the start of the piece."""
    return [CopyAttention(num_compared, periods), LongestMatch(num_compared), OpeningRecall()]


def recalls_of_one_part(num_compared: int) -> list[Recall]:
    """The recalls of music of one part: attention, and the start of the piece."""
    return [CopyAttention(num_compared), OpeningRecall()]
