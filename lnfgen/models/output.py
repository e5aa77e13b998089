"""The emission p(x_t | z), and output heads, which give the distribution of a step."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lnfgen.device.replacements import Dropout
from lnfgen.flows.codebook import Codebook
from lnfgen.models.observation import Frames, Known, NoteNoise, Observation, Symbols
from lnfgen.nn.masking import tempered
from lnfgen.nn.mlp import MADE, MLP
from lnfgen.nn.stepper import looping

UNITS_PER_KEY = 4  # the NADE head has this many hidden units for each key


class OutputHead(nn.Module, ABC):
    """p(x_t | context), parallel over the leading axes of context `[..., B, T, C]`.

    x is `[B, T]` or `[B, T, R, P]`.
    """

    # True if a step depends on the steps before it, so that sampling goes step by step
    reads_past = False

    @property
    def numbers_per_step(self) -> int:
        """How many numbers a layer that has units for each key makes of a step; 0 without one."""
        return 0

    @abstractmethod
    def forward(
        self, context: Tensor, x: Tensor, noisy: Tensor | None = None, temperature: float = 1.0
    ) -> Tensor:
        """The logits `[..., B, T, num_logits]` at the temperature, for `Observation.log_prob`.

        A head that `reads_past` reads the steps before in `noisy`, by default x itself.

        The logits have the precision of the parameters, also under autocast, because
        log-probabilities are summed.
        """

    @abstractmethod
    def sampler(self, temperature: float) -> "Sampler":
        """A function that draws x from context `[..., C]` and numbers of `Observation.uniform`.

        If the head `reads_past`, it is called for the steps in order, with context `[B, C]`, and
        keeps the steps before that it needs. Otherwise one call may be for all steps.
        """

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype


class DrawnStep(NamedTuple):
    """A draw x, `[...]` or `[..., R, P]`, and the logits `[..., num_logits]` it was drawn by."""

    x: Tensor
    logits: Tensor


class Sampler:
    """Draws x from an output head: `x = sampler(context, uniform)`."""

    def __init__(self, draw: Callable[[Tensor, Tensor, Known | None], DrawnStep]) -> None:
        self.draw = draw

    def __call__(self, context: Tensor, uniform: Tensor) -> Tensor:
        return self.draw(context, uniform, None).x

    def reindex(self, rows: Tensor) -> None:
        """Go on with these rows `[B]` of the steps before: row i becomes what row `rows[i]` was."""


class StretchSampler(Sampler, ABC):
    """A sampler of a head that reads the past, which may go on through known steps at once."""

    @abstractmethod
    def take(self, context: Tensor, x: Tensor) -> Tensor:
        """Go on through n steps of known x, and give their logits `[..., B, n, num_logits]`.

        It takes less time than to draw them one by one. x is `[B, n, R, P]`, and context `[..., B,
        n, C]` may be of several samples of z for each of its rows.
        """


class FactorisedHead(OutputHead):
    """A head whose symbol or keys are independent given the context of the step alone."""

    def __init__(self, observation: Observation) -> None:
        super().__init__()
        self.observation = observation

    @abstractmethod
    def logits(self, context: Tensor) -> Tensor:
        """context `[..., C]` -> logits `[..., num_logits]` at temperature 1.

        They have the precision of the parameters.
        """

    def forward(
        self, context: Tensor, x: Tensor, noisy: Tensor | None = None, temperature: float = 1.0
    ) -> Tensor:
        return tempered(self.logits(context), temperature)

    def sampler(self, temperature: float) -> Sampler:
        def draw(context: Tensor, uniform: Tensor, known: Known | None) -> DrawnStep:
            logits = tempered(self.logits(context), temperature)
            return DrawnStep(self.observation.sample(logits, uniform, known), logits)

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
    """`p(x_t = k | z_t) = p(z_t | k) / sum_j p(z_t | j)` of a codebook.

    That is Bayes' rule, where all codes are as likely.
    """

    def __init__(self, symbols: Symbols, codes: Codebook) -> None:
        """It begins with a copy of these codes."""
        super().__init__(symbols)
        self.codebook = copy.deepcopy(codes)

    def logits(self, context: Tensor) -> Tensor:
        return self.codebook.log_prob(context.to(self.dtype))


class NADEHead(OutputHead):
    """`p(frame | context) = prod_i p(key i | keys below i, context)`, of a key and its onset.

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
        num_keys = frames.parts * frames.num_pitches
        bits = frames.bits_per_key
        self.features = nn.Sequential(nn.Linear(num_context, hidden), nn.GELU(), Dropout(dropout))
        self.made = MADE(num_keys, hidden, UNITS_PER_KEY * num_keys, bits, inputs_per_feature=bits)
        nn.init.normal_(self.made.first.weight, std=frames.bit_scale)

    def forward(
        self, context: Tensor, x: Tensor, noisy: Tensor | None = None, temperature: float = 1.0
    ) -> Tensor:
        return self._logits(context, temperature)(x)

    def sampler(self, temperature: float) -> Sampler:
        def draw(context: Tensor, uniform: Tensor, known: Known | None) -> DrawnStep:
            logits = self._logits(context, temperature)
            x = self.frames.silence(*uniform.shape[:-1], device=uniform.device)
            for _ in range(self.frames.parts * self.frames.num_pitches):
                found = logits(x)
                drawn = self.frames.sample(found, uniform, known)
                if torch.equal(drawn, x):
                    return DrawnStep(x, found)
                x = drawn
            return DrawnStep(x, logits(x))

        return Sampler(draw)

    def _logits(self, context: Tensor, temperature: float) -> Callable[[Tensor], Tensor]:
        """The function from x `[..., R, P]` to logits `[..., num_logits]`."""
        conditionals = self.made.given(self.features(context))
        parts = self.frames.parts
        bits = self.frames.bits_per_key

        def logits_of(x: Tensor) -> Tensor:
            of_parts = self.frames.part_bits(x, self.dtype)
            by_bit = of_parts.unflatten(-1, (bits, -1)).transpose(-2, -3)  # [..., bits, R, P]
            by_key = conditionals(by_bit.flatten(-3))  # [..., R * P, bits]
            found = by_key.unflatten(-2, (parts, -1)).transpose(-1, -2)  # [..., R, bits, P]
            return tempered(found.flatten(-3).to(self.dtype), temperature)

        return logits_of


class Emission(nn.Module):
    """An output head over z_t, its position, and a network over the other steps of z.

    The network is bidirectional and exclusive: it sees z_<t and z_>t.

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

    def forward(
        self,
        z: Tensor,
        lengths: Tensor,
        positions: Tensor,
        x: Tensor,
        temperature: float = 1.0,
    ) -> Tensor:
        """The logits `[K, B, T, num_logits]` of x `[B, T]` or `[B, T, R, P]` at the temperature.

        z is `[K * B, T, D]`, and positions are `[K * B, T, F]`.
        """
        context = self.context(z, lengths, positions)
        return self.head(context.unflatten(0, (-1, len(x))), x, self.note_noise(x), temperature)

    # What is drawn from, and who hears how far it is.
    def sample(  # noqa: PLR0913
        self,
        z: Tensor,
        lengths: Tensor,
        positions: Tensor,
        uniform: Tensor,
        temperature: float,
        progress: Callable[[int], None] = lambda done: None,
    ) -> Tensor:
        """z `[N, T, D]`, uniform `[N, T, ...]` -> x `[N, T]` or `[N, T, R, P]`.

        `progress` is called with the number of steps that are drawn, if the head `reads_past`.
        """
        context = self.context(z, lengths, positions)
        draw = self.head.sampler(temperature)
        if not self.head.reads_past:
            return draw(context, uniform)
        steps: list[Tensor] = []
        with looping(context):
            for step in zip(context.unbind(1), uniform.unbind(1), strict=True):
                steps.append(draw(*step))
                progress(len(steps))
        return torch.stack(steps, 1)

    def context(self, z: Tensor, lengths: Tensor, positions: Tensor) -> Tensor:
        """The input of the head at each step, `[N, T, C]`.

        z is `[N, T, D]`, and positions are `[N, T, F]`.
        """
        if self.network is None:
            return z
        return torch.cat([self.network(torch.cat([z, positions], -1), lengths), z, positions], -1)
