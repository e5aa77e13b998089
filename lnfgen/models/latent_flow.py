"""The latent flow model of Ziegler & Rush (2019): a VAE over sequences whose prior is a normalizing flow."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lnfgen.flows.features import LOG_SQRT_2PI
from lnfgen.flows.temporal import TemporalFlow
from lnfgen.models.codes import SymbolPosterior
from lnfgen.models.conditional import ConditionalPrior
from lnfgen.models.emission import Emission
from lnfgen.models.latent_filling import LatentFilling
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Known, Observation
from lnfgen.models.posterior import Gaussian, Posterior
from lnfgen.models.sequence_model import Encoded, Filled, SequenceModel
from lnfgen.nn.masking import sum_real
from lnfgen.nn.positions import Positions


class LatentFlow(SequenceModel):
    """`p(x) = p(T) integral p(z | T) p(x | z, T) dz`; `ELBO = E_q[log p(x|z) + log p(z) - log q(z|x)] + log p(T)`.

    The posterior runs once for all K samples of z. Prior and emission then treat the samples as one batch of K * B.
    """

    exact = False

    def __init__(
        self,
        observation: Observation,
        length: LengthModel,
        *,
        positions: Positions,
        posterior: Posterior | SymbolPosterior,
        prior: TemporalFlow,
        emission: Emission,
    ) -> None:
        super().__init__(observation, length)
        self.positions = positions
        self.posterior = posterior
        self.noise_size = prior.noise_size
        self.prior, self.loops_to_score = prior, prior.loops_to_score
        self.emission = emission
        self.latent = prior.num_features
        self.conditional: ConditionalPrior | None = None
        """What draws z given a part of x, once it is fitted (`models.add_conditional`); until then the prior does."""

    def draw_noise(self, num_samples: int, batch: int, num_steps: int, generator: torch.Generator) -> Tensor:
        shape = (num_samples, batch, num_steps, self.latent)
        return torch.randn(shape, generator=generator, device=generator.device)

    def encode(self, x: Tensor, lengths: Tensor, metres: Tensor | None = None) -> Encoded:
        """The mean and log-variance of the posterior, each `[B, T, D]`, and the positions `[B, T, F]`."""
        positions = self.positions_of(lengths, x.shape[1], metres)
        return *self.posterior(x, lengths, positions), positions

    def kl(self, lengths: Tensor, encoded: Encoded, noise: Tensor | None) -> Tensor:
        return self.kl_from(self.prior, lengths, encoded, noise)

    def kl_from(self, flow: TemporalFlow, lengths: Tensor, encoded: Encoded, noise: Tensor | None) -> Tensor:
        """`kl` with another flow for p(z). In place of the positions, `encoded` has the context of that flow."""
        assert noise is not None
        z, positions, lengths_k = _folded(lengths, encoded, noise)
        log_p = flow.log_prob(z, positions, lengths_k).unflatten(0, noise.shape[:2])
        # log q at the sample, where (z - mean) / deviation is the noise itself.
        log_q = -(0.5 * noise**2 + LOG_SQRT_2PI + 0.5 * encoded[1]).sum(-1)
        return sum_real(log_q - log_p, lengths)

    def logits(self, x: Tensor, lengths: Tensor, encoded: Encoded, noise: Tensor | None) -> Tensor:
        assert noise is not None
        z, positions, lengths_k = _folded(lengths, encoded, noise)
        return self.emission(z, lengths_k, positions, x)

    def explain(
        self, x: Tensor, lengths: Tensor, noise: Tensor | None, choice: Tensor, metres: Tensor | None = None
    ) -> tuple[Tensor | None, Tensor]:
        assert noise is not None
        encoded = self.encode(x, lengths, metres)
        terms = self.terms(x, lengths, encoded, noise.to(self.device))
        weights = torch.softmax((terms.reconstruction - terms.kl)[:, 0].cpu().double(), 0)
        chosen = int(torch.searchsorted(weights.cumsum(0), choice).clamp(max=len(weights) - 1))
        z, positions, _ = _folded(lengths, encoded, noise[chosen : chosen + 1].to(self.device))
        eps, _ = self.prior.inverse(z, positions, lengths)
        return eps, self.emission(z, lengths, positions, x)[0]

    def generate(
        self,
        lengths: Sequence[int],
        eps: Tensor | None,
        uniform: Tensor,
        temperature: float,
        metres: Tensor | None = None,
        prior_temperature: float = 1.0,
    ) -> list[Tensor]:
        assert eps is not None
        steps = torch.tensor(lengths, device=self.device)
        positions = self.positions_of(steps, max(lengths), metres)
        z = self.prior.draw(positions, steps, eps, prior_temperature)
        return self._unpadded(self.emission.sample(z, steps, positions, uniform, temperature), lengths)

    def fill_batch(
        self,
        known: Known,
        num_particles: int,
        generators: Sequence[torch.Generator],
        temperature: float,
        progress: Callable[[int, int], None] = lambda done, total: None,
        metres: Tensor | None = None,
    ) -> Filled:
        """By particles that carry z, then by moves of z and of the hidden part in turn: see `models.latent_filling`."""
        return LatentFilling(self, known, num_particles, generators, temperature, metres).run(progress)

    def log_known(
        self,
        guess: Tensor,
        known: Known,
        num_particles: int,
        generators: Sequence[torch.Generator],
        kept: Tensor | None = None,
        metres: Tensor | None = None,
    ) -> Tensor:
        return LatentFilling(self, known, num_particles, generators, 1.0, metres).log_known(guess, kept)


def _folded(lengths: Tensor, encoded: Encoded, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """z `[K * B, T, D]` for noise `[K, B, T, D]`, and positions and lengths repeated K times."""
    mean, log_variance, positions = encoded
    num_samples = len(noise)
    z = Gaussian(mean, log_variance).sample(noise).flatten(0, 1)
    return z, positions.expand(num_samples, *positions.shape).flatten(0, 1), lengths.repeat(num_samples)
