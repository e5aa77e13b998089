"""Output heads: from what a network says of a step to the distribution of its symbol or its keys."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lnfgen.models.observation import Frames, Observation
from lnfgen.nn.dropout import Dropout
from lnfgen.nn.made import MADE
from lnfgen.nn.mlp import MLP

UNITS_PER_KEY = 4
"""Hidden units of the NADE head that each further key opens."""


class OutputHead(nn.Module, ABC):
    """p(x_t | context): context `[..., B, T, C]`, x `[B, T]` or `[B, T, P]`. Parallel over all leading axes."""

    @abstractmethod
    def forward(self, context: Tensor, x: Tensor) -> Tensor:
        """The logits of x, as `Observation.log_prob` takes them: `[..., B, T, num_logits]`.

        In the parameters' own precision, under autocast too: log-probabilities add up over keys and steps.
        """

    @abstractmethod
    def sample(self, context: Tensor, uniform: Tensor, temperature: float) -> Tensor:
        """x of context `[..., C]`, drawn with the uniform numbers that `Observation.uniform` gives."""

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype


class IndependentHead(OutputHead):
    """A categorical symbol, or keys that are independent given the context: one perceptron, blind to x."""

    def __init__(self, observation: Observation, num_context: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.observation = observation
        self.mlp = MLP(num_context, [hidden], observation.num_logits, dropout=dropout)

    def forward(self, context: Tensor, x: Tensor) -> Tensor:
        return self.mlp(context).to(self.dtype)

    def sample(self, context: Tensor, uniform: Tensor, temperature: float) -> Tensor:
        return self.observation.sample(self.mlp(context).to(self.dtype), uniform, temperature)


class NADEHead(OutputHead):
    """`p(frame | context) = prod_i p(key i | keys below i, context)`: sounding, and onset given sounding.

    NADE (Larochelle & Murray, 2011) as RNN-NADE uses it (Boulanger-Lewandowski et al., arXiv 1206.6392), made of masks
    (MADE, arXiv 1502.03509) instead of a recurrence over the keys. The density of all keys and steps is one pass; the
    products of x are taken once for all samples in front of `[B, T]`.

    Sampling with the uniform numbers fixed is a triangular system over the keys, `x_i = [u_i < p_i(x_<i)]`. Sweeps over
    all keys from silence: after k of them the lowest k are exact, and a sweep that changes no bit has found the
    solution, so the result is the loop's over the keys, bit for bit. A head trained on JSB, in float32 on one CPU core,
    needs 6 sweeps for a frame on average and 9 for 60 frames at once (88 at most): 0.7 ms and 9.0 ms, where a loop that
    computes each hidden unit once takes 8.7 ms and 10.1 ms.

    Weights on the bits start large enough to be felt: with default-sized ones the tiny baseline on JSB is 0.6 nats
    behind at 360 updates. Direct connections from the lower keys to a logit, as MADE may have, end within 0.02 nats of
    none: left out.
    """

    def __init__(self, frames: Frames, num_context: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.frames = frames
        num_keys, bits = frames.num_pitches, frames.num_logits // frames.num_pitches
        self.features = nn.Sequential(nn.Linear(num_context, hidden), nn.GELU(), Dropout(dropout))
        self.made = MADE(num_keys, hidden, UNITS_PER_KEY * num_keys, bits, inputs_per_feature=bits)
        nn.init.normal_(self.made.first.weight, std=frames.bit_scale)

    def forward(self, context: Tensor, x: Tensor) -> Tensor:
        return self.logits(self.made.given(self.features(context)))(x)

    def sample(self, context: Tensor, uniform: Tensor, temperature: float) -> Tensor:
        return self.settled(self.logits(self.made.given(self.features(context))), uniform, temperature)

    def settled(self, logits: Callable[[Tensor], Tensor], uniform: Tensor, temperature: float) -> Tensor:
        """The frame `[..., P]` with `x_i = [u_i < p_i(x_<i)]`, by sweeps; `logits` are those of `self.logits`."""
        x = torch.zeros(*uniform.shape[:-1], self.frames.num_pitches, dtype=torch.uint8, device=uniform.device)
        for _ in range(self.frames.num_pitches):
            drawn = self.frames.sample(logits(x), uniform, temperature)
            if torch.equal(drawn, x):
                break
            x = drawn
        return x

    def logits(self, conditionals: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """The map from x to its logits, of the map from its bits to the parameters of each key, as MADE gives it."""

        def of_x(x: Tensor) -> Tensor:
            by_key = conditionals(self.frames.bits(x, self.dtype))  # [..., P, 1 or 2]
            return by_key.transpose(-1, -2).flatten(-2).to(self.dtype)  # all sounding, then all onsets

        return of_x
