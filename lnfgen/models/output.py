"""The emission p(x_t | z), and output heads: from the output of a network at a step to the
distribution of x_t."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lnfgen.device import Dropout
from lnfgen.flows.codebook import Codebook
from lnfgen.models.observation import Frames, Known, NoteNoise, Observation, Symbols
from lnfgen.nn.masking import tempered
from lnfgen.nn.mlp import MADE, MLP
from lnfgen.nn.stepper import looping

UNITS_PER_KEY = 4  # the NADE head has this many hidden units for each key


class OutputHead(nn.Module, ABC):
    """p(x_t | context), parallel over the leading axes of context `[..., B, T, C]`; x is `[B, T]`
    or `[B, T, P]`."""

    # True if a step depends on the steps before it, so that sampling goes step by step
    reads_past = False

    @abstractmethod
    def forward(
        self, context: Tensor, x: Tensor, noisy: Tensor | None = None, temperature: float = 1.0
    ) -> Tensor:
        """The logits `[..., B, T, num_logits]` at the temperature, which `Observation.log_prob`
        takes.

        A head that `reads_past` reads the steps before in `noisy`, by default x itself.

        The logits have the precision of the parameters, also under autocast, because
        log-probabilities are summed.
        """

    @abstractmethod
    def sampler(self, temperature: float) -> "Sampler":
        """A function that draws x from context `[..., C]` and random numbers from
        `Observation.uniform`.

        If the head `reads_past`, it is called for the steps in order, with context `[B, C]`, and
        keeps the steps before that it needs. Otherwise one call may be for all steps.
        """

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype


class Drawn(NamedTuple):
    """A draw x `[...]` or `[..., P]`, and the logits `[..., num_logits]` at x and the
    temperature."""

    x: Tensor
    logits: Tensor


class Sampler:
    """Draws x from an output head: `x = sampler(context, uniform)`."""

    def __init__(self, draw: Callable[[Tensor, Tensor, Known | None], Drawn]) -> None:
        self.draw = draw

    def __call__(self, context: Tensor, uniform: Tensor) -> Tensor:
        return self.draw(context, uniform, None).x

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows `[B]` of the steps before: row i becomes what row `rows[i]` was."""


class FactorisedHead(OutputHead):
    """A categorical symbol, or keys that are independent of each other, given the context of the
    step alone."""

    def __init__(self, observation: Observation) -> None:
        super().__init__()
        self.observation = observation

    @abstractmethod
    def logits(self, context: Tensor) -> Tensor:
        """context `[..., C]` -> `[..., num_logits]` at temperature 1, in the precision of the
        parameters."""

    def forward(
        self, context: Tensor, x: Tensor, noisy: Tensor | None = None, temperature: float = 1.0
    ) -> Tensor:
        return tempered(self.logits(context), temperature)

    def sampler(self, temperature: float) -> Sampler:
        def draw(context: Tensor, uniform: Tensor, known: Known | None) -> Drawn:
            logits = tempered(self.logits(context), temperature)
            return Drawn(self.observation.sample(logits, uniform, known), logits)

        return Sampler(draw)


class IndependentHead(FactorisedHead):
    """The logits are a perceptron of the context."""

    def __init__(
        self, observation: Observation, num_context: int, hidden: int, dropout: float
    ) -> None:
        super().__init__(observation)
        self.mlp = MLP(num_context, [hidden], observation.num_logits, dropout=dropout)

    def logits(self, context: Tensor) -> Tensor:
        return self.mlp(context).to(self.dtype)


class SymbolHead(FactorisedHead):
    """`p(x_t = k | z_t) = p(z_t | k) / sum_j p(z_t | j)` of a codebook: Bayes' rule, where all
    codes are as likely."""

    def __init__(self, symbols: Symbols, codes: Codebook) -> None:
        """It begins with a copy of these codes."""
        super().__init__(symbols)
        self.codebook = copy.deepcopy(codes)

    def logits(self, context: Tensor) -> Tensor:
        return self.codebook.log_prob(context.to(self.dtype))


class NADEHead(OutputHead):
    """`p(frame | context) = prod_i p(key i | keys below i, context)`: whether it sounds, and
    whether it is struck.

    Source: NADE (Larochelle & Murray, 2011), as in RNN-NADE (Boulanger-Lewandowski et al., 2012,
    arXiv 1206.6392), but with the masks of MADE (arXiv 1502.03509) instead of a recurrence over the
    keys. Scoring is one pass for all keys and steps, and x is multiplied by the weights only once
    for all samples of the context.

    Sampling with fixed uniform numbers solves a triangular system over the keys, `x_i = [u_i <
    p_i(x_<i)]`. It starts from silence and sweeps over all keys. After k sweeps the lowest k keys
    are exact, and a sweep without change has found the solution, which is bit for bit that of a
    loop over the keys. The worst case is one sweep per key.
    """

    def __init__(self, frames: Frames, num_context: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.frames = frames
        num_keys, bits = frames.num_pitches, frames.bits_per_key
        self.features = nn.Sequential(nn.Linear(num_context, hidden), nn.GELU(), Dropout(dropout))
        self.made = MADE(num_keys, hidden, UNITS_PER_KEY * num_keys, bits, inputs_per_feature=bits)
        nn.init.normal_(self.made.first.weight, std=frames.bit_scale)

    def forward(
        self, context: Tensor, x: Tensor, noisy: Tensor | None = None, temperature: float = 1.0
    ) -> Tensor:
        return self._logits(context, temperature)(x)

    def sampler(self, temperature: float) -> Sampler:
        def draw(context: Tensor, uniform: Tensor, known: Known | None) -> Drawn:
            logits, x = self._logits(context, temperature), self.frames.silence(uniform)
            for _ in range(self.frames.num_pitches):
                found = logits(x)
                drawn = self.frames.sample(found, uniform, known)
                if torch.equal(drawn, x):
                    return Drawn(x, found)
                x = drawn
            return Drawn(x, logits(x))

        return Sampler(draw)

    def _logits(self, context: Tensor, temperature: float) -> Callable[[Tensor], Tensor]:
        """The function from x to logits."""
        conditionals = self.made.given(self.features(context))

        def logits_of(x: Tensor) -> Tensor:
            by_key = conditionals(self.frames.bits(x, self.dtype))  # [..., P, 1 or 2]
            # all sounding logits, then all onset logits
            logits = by_key.transpose(-1, -2).flatten(-2).to(self.dtype)
            return tempered(logits, temperature)

        return logits_of


class Emission(nn.Module):
    """An output head over z_t, its position, and an exclusive bidirectional network, which sees
    z_<t and z_>t.

    Given z, the steps of x are independent (paper, section 4.3), so all are computed in parallel,
    apart from the recurrence of an LSTM. With a head that reads the past, this is p(x_t | x_<t, z),
    and sampling goes step by step.
    """

    def __init__(
        self, network: nn.Module | None, head: OutputHead, note_noise: float = 0.0
    ) -> None:
        """`network` is bidirectional and exclusive. Without one, the head reads z_t alone."""
        super().__init__()
        self.network = network
        self.head = head
        self.note_noise = NoteNoise(note_noise)

    def forward(self, z: Tensor, lengths: Tensor, positions: Tensor, x: Tensor) -> Tensor:
        """z `[K * B, T, D]`, positions `[K * B, T, F]`, x `[B, T]` or `[B, T, P]` -> logits `[K, B,
        T, num_logits]`."""
        context = self.context(z, lengths, positions)
        return self.head(context.unflatten(0, (-1, len(x))), x, self.note_noise(x))

    def sample(
        self, z: Tensor, lengths: Tensor, positions: Tensor, uniform: Tensor, temperature: float
    ) -> Tensor:
        """z `[N, T, D]`, uniform `[N, T, ...]` -> x `[N, T]` or `[N, T, P]`."""
        context, draw = self.context(z, lengths, positions), self.head.sampler(temperature)
        if not self.head.reads_past:
            return draw(context, uniform)
        with looping(context):
            return torch.stack(
                [draw(*step) for step in zip(context.unbind(1), uniform.unbind(1), strict=True)], 1
            )

    def context(self, z: Tensor, lengths: Tensor, positions: Tensor) -> Tensor:
        """The input of the head at each step: z `[N, T, D]`, positions `[N, T, F]` -> `[N, T,
        C]`."""
        if self.network is None:
            return z
        return torch.cat([self.network(torch.cat([z, positions], -1), lengths), z, positions], -1)
