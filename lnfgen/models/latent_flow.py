"""The latent flow of Ziegler & Rush (2019): a VAE over sequences with a flow as its prior."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lnfgen.flows.features import LOG_SQRT_2PI
from lnfgen.flows.temporal import AutoregressiveFlow, FlowSteps, TemporalFlow
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Frames, Known, Observation
from lnfgen.models.output import Emission, OutputHead, StretchSampler
from lnfgen.models.posterior import Gaussian, Posterior, SymbolPosterior
from lnfgen.models.sequence_model import SequenceModel, SharedTensors, WeighedSteps, drawn_by
from lnfgen.nn.masking import MIN_TEMPERATURE, sum_real
from lnfgen.nn.positions import NO_OUTLINE, Outline, Positions
from lnfgen.nn.stepper import looping


class LatentFlow(SequenceModel):
    """`p(x) = p(T) integral p(z | T) p(x | z, T) dz`, with a bound from a posterior.

    `ELBO = E_q[log p(x | z) + log p(z) - log q(z | x)] + log p(T)`.

    The posterior runs once for all K samples of z. Prior and emission then treat the samples as one
    batch of K * B.
    """

    def __init__(  # noqa: PLR0913  (an argument for each distribution)
        self,
        observation: Observation,
        length: LengthModel,
        *,
        positions: Positions,
        posterior: Posterior | SymbolPosterior,
        prior: TemporalFlow,
        emission: Emission,
    ) -> None:
        super().__init__(observation, length, positions)
        self.posterior = posterior
        self.noise_size = prior.noise_size
        self.prior = prior
        self.emission = emission
        self.latent = prior.num_features

    @property
    def output_head(self) -> OutputHead:
        return self.emission.head

    def encode(self, x: Tensor, lengths: Tensor, outline: Outline = NO_OUTLINE) -> SharedTensors:
        """The mean and log-variance `[B, T, D]` of the posterior, and the positions `[B, T, F]`."""
        positions = self.positions_of(lengths, x.shape[1], outline)
        posterior = self.posterior(x, lengths, positions)
        return posterior.mean, posterior.log_variance, positions

    def kl(self, lengths: Tensor, encoded: SharedTensors, noise: Tensor | None) -> Tensor:
        assert noise is not None
        z, positions, lengths_k = _folded(lengths, encoded, noise)
        log_p = self.prior.log_prob(z, positions, lengths_k).unflatten(0, noise.shape[:2])
        # The density q at the sample, where (z - mean) / deviation is the noise itself.
        log_q = -(0.5 * noise**2 + LOG_SQRT_2PI + 0.5 * encoded[1]).sum(-1)
        return sum_real(log_q - log_p, lengths)

    def logits(
        self, x: Tensor, lengths: Tensor, encoded: SharedTensors, noise: Tensor | None
    ) -> Tensor:
        assert noise is not None
        z, positions, lengths_k = _folded(lengths, encoded, noise)
        return self.emission(z, lengths_k, positions, x)

    # The arguments are those of `SequenceModel.generate`.
    def generate(  # noqa: PLR0913
        self,
        lengths: Sequence[int],
        noise: Tensor | None,
        uniform: Tensor,
        temperature: float,
        outline: Outline,
        progress: Callable[[int], None] = lambda done: None,
    ) -> list[Tensor]:
        steps = torch.tensor(lengths, device=self.device)
        z, positions = self._drawn(steps, max(lengths), noise, temperature, outline)
        x = self.emission.sample(z, steps, positions, uniform, temperature, progress)
        return self._unpadded(x, lengths)

    def drawn_logits(
        self,
        x: Tensor,
        lengths: Tensor,
        noise: Tensor | None,
        temperature: float,
        outline: Outline,
    ) -> Tensor:
        with torch.no_grad():
            z, positions = self._drawn(lengths, x.shape[1], noise, temperature, outline)
        return self.emission(z, lengths, positions, x, temperature)[0]

    def _drawn(
        self,
        lengths: Tensor,
        num_steps: int,
        noise: Tensor | None,
        temperature: float,
        outline: Outline,
    ) -> tuple[Tensor, Tensor]:
        """z that the prior draws from noise, and the positions: `[B, T, D]` and `[B, T, F]`."""
        assert noise is not None
        positions = self.positions_of(lengths, num_steps, outline)
        return self.prior.draw(positions, lengths, noise, temperature), positions

    def steps(
        self,
        num_sequences: int,
        num_steps: int,
        temperature: float,
        outline: Outline = NO_OUTLINE,
    ) -> WeighedSteps:
        """`SymbolSteps` if z_t is a code of x_t and drawn given z_<t; otherwise `LatentSteps`."""
        lengths = torch.full((num_sequences,), num_steps, device=self.device)
        positions = self.positions_of(lengths, num_steps, outline)
        if isinstance(self.posterior, SymbolPosterior) and isinstance(
            self.prior, AutoregressiveFlow
        ):
            return SymbolSteps(self, positions, temperature)
        return LatentSteps(self, positions, temperature)


def _folded(
    lengths: Tensor, encoded: SharedTensors, noise: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """z `[K * B, T, D]` for noise `[K, B, T, D]`, and positions and lengths repeated K times."""
    mean, log_variance, positions = encoded
    num_samples = len(noise)
    z = Gaussian(mean, log_variance).sample(noise).flatten(0, 1)
    return (
        z,
        positions.expand(num_samples, *positions.shape).flatten(0, 1),
        lengths.repeat(num_samples),
    )


class LatentSteps(WeighedSteps):
    """At the first step all of z is drawn from the prior, then x step by step.

    A step is drawn from p(x_t | x_<t, z).

    The weight of a step is the probability of its known part. Limit: no step of z is drawn to fit
    what is known. If x_t depends on z alone, and much is known, it takes many rows until one has a
    z that fits.
    """

    def __init__(self, model: LatentFlow, positions: Tensor, temperature: float) -> None:
        """`positions` are `[G, T, F]`."""
        self._observation = model.observation
        self._prior = model.prior
        self._emission = model.emission
        self._positions = positions
        self._temperature = max(temperature, MIN_TEMPERATURE)
        self._sampler = model.emission.head.sampler(self._temperature)
        # Rows of `positions`, later of the context.
        self._rows = torch.arange(len(positions), device=positions.device)
        self._context: Tensor | None = None

    @property
    def takes_stretches(self) -> bool:
        return isinstance(self._sampler, StretchSampler)

    def draw(
        self, t: int, known: Known, generators: Sequence[torch.Generator]
    ) -> tuple[Tensor, Tensor]:
        observation = self._observation
        num_rows = len(self._rows)
        context = self._context_of(slice(t, t + 1), generators)[:, 0]
        uniform = drawn_by(
            generators, num_rows, lambda count, one: observation.uniform(count, 1, one)[:, 0]
        )
        x, logits = self._sampler.draw(context, uniform.to(context.device), known)
        return x, observation.log_prob(logits, x, known.mask)

    def take(
        self, t: int, known: Known, generators: Sequence[torch.Generator]
    ) -> tuple[Tensor, Tensor]:
        """At the first step the rows of a sequence have one x, and each a z of its own."""
        observation = self._observation
        sampler = self._sampler
        assert isinstance(observation, Frames)
        assert isinstance(sampler, StretchSampler)
        x = observation.from_bits(known.values)  # [G, n, R, P]
        groups, num_steps = x.shape[:2]
        per_group = len(self._rows) // groups
        context = self._context_of(slice(t, t + num_steps), generators)
        of_rows = x.repeat_interleave(per_group, 0)
        if t > 0:
            logits = sampler.take(context, of_rows)
            return of_rows, observation.log_prob(logits, of_rows).sum(-1)
        of_samples = context.unflatten(0, (groups, per_group)).transpose(0, 1)
        logits = sampler.take(of_samples, x)  # [rows of a group, G, n, num_logits]
        sampler.reindex(torch.arange(groups, device=x.device).repeat_interleave(per_group))
        log_prob = observation.log_prob(logits, x).sum(-1)
        return of_rows, log_prob.transpose(0, 1).flatten()

    def reindex(self, rows: Tensor) -> None:
        self._sampler.reindex(rows)
        self._rows = self._rows[rows]

    def _context_of(self, steps: slice, generators: Sequence[torch.Generator]) -> Tensor:
        """The context of each row at some steps, `[N, n, C]`. At first, all of z is drawn."""
        if self._context is None:
            self._context = self._contexts(self._positions[self._rows], generators)
            self._rows = torch.arange(len(self._rows), device=self._rows.device)
        return self._context[self._rows, steps]

    def _contexts(self, positions: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Draw z of all steps, and give the context of each step, `[N, T, C]`."""
        num_rows, num_steps = positions.shape[:2]
        shape = (num_steps, self._prior.noise_size)
        noise = drawn_by(
            generators, num_rows, lambda count, one: torch.randn(count, *shape, generator=one)
        )
        lengths = torch.full((num_rows,), num_steps, device=positions.device)
        z = self._prior.draw(positions, lengths, noise.to(positions.device), self._temperature)
        return self._emission.context(z, lengths, positions)


class SymbolSteps(WeighedSteps):
    """The steps of a model whose z_t is a code of the symbol x_t: a language model.

    Where x_t is known, z_t is drawn from q(z_t | x_t), and the step weighs p(z_t | z_<t) p(x_t |
    z_t) / q(z_t | x_t). Where it is hidden, z_t is drawn from p(z_t | z_<t) and x_t from p(x_t |
    z_t), and the step weighs 1.
    """

    def __init__(self, model: LatentFlow, positions: Tensor, temperature: float) -> None:
        """`positions` are `[G, T, F]`."""
        assert isinstance(model.prior, AutoregressiveFlow)
        temperature = max(temperature, MIN_TEMPERATURE)
        self._observation = model.observation
        self._posterior = model.posterior
        self._noise_size = model.noise_size
        self._prior = FlowSteps(model.prior, positions, temperature)
        self._sampler = model.emission.head.sampler(temperature)
        self._num_rows = len(positions)
        self._device = positions.device

    def draw(
        self, t: int, known: Known, generators: Sequence[torch.Generator]
    ) -> tuple[Tensor, Tensor]:
        num_rows = self._num_rows
        size = self._noise_size
        noise = drawn_by(
            generators, num_rows, lambda count, one: torch.randn(count, size, generator=one)
        )
        uniform = drawn_by(
            generators, num_rows, lambda count, one: torch.rand(count, 1, generator=one)
        )
        noise = noise.to(self._device)
        q = self._posterior(known.values.long())
        with looping(noise):
            z = torch.where(
                known.mask[:, None], q.sample(noise[:, : q.mean.shape[-1]]), self._prior.draw(noise)
            )
            x, logits = self._sampler.draw(z, uniform.to(self._device), known)
            log_joint = self._prior.log_prob(z) + self._observation.log_prob(logits, x)
            self._prior.take(z)
        return x, torch.where(known.mask, log_joint - q.log_prob(z), torch.zeros_like(log_joint))

    def reindex(self, rows: Tensor) -> None:
        self._prior.reindex(rows)
        self._num_rows = len(rows)
