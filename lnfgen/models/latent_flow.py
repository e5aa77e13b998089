"""The latent flow model of Ziegler & Rush (2019): a VAE over sequences whose prior is a normalizing flow."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lnfgen.flows.features import LOG_SQRT_2PI
from lnfgen.flows.temporal import AutoregressiveFlow, TemporalFlow
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Observation
from lnfgen.models.output import Emission
from lnfgen.models.posterior import Gaussian, Posterior, SymbolPosterior
from lnfgen.models.sequence_model import Encoded, SequenceModel
from lnfgen.models.steps import LatentSteps, SymbolSteps, WeighedSteps
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
        self.prior = prior
        self.emission = emission
        self.latent = prior.num_features

    def draw_noise(self, num_samples: int, batch: int, num_steps: int, generator: torch.Generator) -> Tensor:
        shape = (num_samples, batch, num_steps, self.latent)
        return torch.randn(shape, generator=generator, device=generator.device)

    def encode(self, x: Tensor, lengths: Tensor, metres: Tensor | None = None) -> Encoded:
        """The mean and log-variance of the posterior, each `[B, T, D]`, and the positions `[B, T, F]`."""
        positions = self.positions_of(lengths, x.shape[1], metres)
        return *self.posterior(x, lengths, positions), positions

    def kl(self, lengths: Tensor, encoded: Encoded, noise: Tensor | None) -> Tensor:
        assert noise is not None
        z, positions, lengths_k = _folded(lengths, encoded, noise)
        log_p = self.prior.log_prob(z, positions, lengths_k).unflatten(0, noise.shape[:2])
        # log q at the sample, where (z - mean) / deviation is the noise itself.
        log_q = -(0.5 * noise**2 + LOG_SQRT_2PI + 0.5 * encoded[1]).sum(-1)
        return sum_real(log_q - log_p, lengths)

    def logits(self, x: Tensor, lengths: Tensor, encoded: Encoded, noise: Tensor | None) -> Tensor:
        assert noise is not None
        z, positions, lengths_k = _folded(lengths, encoded, noise)
        return self.emission(z, lengths_k, positions, x)

    def generate(
        self,
        lengths: Sequence[int],
        noise: Tensor | None,
        uniform: Tensor,
        temperature: float,
        metres: Tensor | None = None,
    ) -> list[Tensor]:
        assert noise is not None
        steps = torch.tensor(lengths, device=self.device)
        positions = self.positions_of(steps, max(lengths), metres)
        z = self.prior.draw(positions, steps, noise, temperature)
        return self._unpadded(self.emission.sample(z, steps, positions, uniform, temperature), lengths)

    def steps(
        self, num_sequences: int, num_steps: int, temperature: float, metres: Tensor | None = None
    ) -> WeighedSteps:
        """If z_t says the symbol and is drawn given z_<t, `SymbolSteps`; otherwise `LatentSteps`."""
        lengths = torch.full((num_sequences,), num_steps, device=self.device)
        positions = self.positions_of(lengths, num_steps, metres)
        if isinstance(self.posterior, SymbolPosterior) and isinstance(self.prior, AutoregressiveFlow):
            posterior, emission = self.posterior, self.emission
            return SymbolSteps(self.observation, self.prior, posterior, emission, positions, temperature)
        return LatentSteps(self.observation, self.prior, self.emission, positions, temperature)


def _folded(lengths: Tensor, encoded: Encoded, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """z `[K * B, T, D]` for noise `[K, B, T, D]`, and positions and lengths repeated K times."""
    mean, log_variance, positions = encoded
    num_samples = len(noise)
    z = Gaussian(mean, log_variance).sample(noise).flatten(0, 1)
    return z, positions.expand(num_samples, *positions.shape).flatten(0, 1), lengths.repeat(num_samples)
