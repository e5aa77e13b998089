"""The latent flow model of Ziegler & Rush (2019): a VAE over sequences whose prior is a normalizing flow."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lnfgen.flows.causal import Solver
from lnfgen.flows.temporal import TemporalFlow
from lnfgen.models.emission import Emission
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Observation
from lnfgen.models.posterior import Posterior
from lnfgen.models.sequence_model import SequenceModel, Terms
from lnfgen.nn.masking import length_mask
from lnfgen.nn.positions import Positions

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


class LatentFlow(SequenceModel):
    """`p(x) = p(T) integral p(z | T) p(x | z, T) dz`; `ELBO = E_q[log p(x|z) + log p(z) - log q(z|x)] + log p(T)`.

    One pass of the posterior serves all K samples; they are folded into the batch for the prior and the emission.
    """

    exact = False

    def __init__(
        self,
        observation: Observation,
        length: LengthModel,
        positions: Positions,
        posterior: Posterior,
        prior: TemporalFlow,
        emission: Emission,
        latent: int,
    ) -> None:
        super().__init__(observation, length)
        self.positions = positions
        self.posterior = posterior
        self.prior = prior
        self.emission = emission
        self.latent = latent

    @property
    def solver(self) -> Solver | None:
        return self.prior.solver

    def noise(self, num_samples: int, batch: int, num_steps: int, generator: torch.Generator) -> Tensor:
        shape = (num_samples, batch, num_steps, self.latent)
        return torch.randn(shape, generator=generator, device=generator.device)

    def forward(self, x: Tensor, lengths: Tensor, noise: Tensor | None) -> Terms:
        assert noise is not None
        num_samples, batch, num_steps, _ = noise.shape
        mask = length_mask(lengths, num_steps)
        positions = self.positions(lengths, num_steps)
        posterior = self.posterior(x, lengths, positions)
        z = posterior.sample(noise)  # [K, B, T, D]
        # log q at the sample: its standardised value is the noise itself.
        log_q = -(0.5 * noise**2 + LOG_SQRT_2PI + 0.5 * posterior.log_variance).sum(-1)

        folded = z.flatten(0, 1)
        lengths_k, positions_k = lengths.repeat(num_samples), positions.repeat(num_samples, 1, 1)
        eps, ladj = self.prior.inverse(folded, positions_k, lengths_k)
        log_p = (ladj - (0.5 * eps**2 + LOG_SQRT_2PI).sum(-1)).unflatten(0, (num_samples, batch))
        logits = self.emission(folded, lengths_k, positions_k, x)

        def total(steps: Tensor) -> Tensor:
            return torch.where(mask, steps, torch.zeros_like(steps)).sum(-1)

        sounding = self.observation.sounding_log_prob(logits, x)
        return Terms(
            reconstruction=total(self.observation.log_prob(logits, x)),
            kl=total(log_q - log_p),
            sounding=None if sounding is None else total(sounding),
        )

    def sample_batch(
        self, lengths: Sequence[int], generators: Sequence[torch.Generator], temperature: float
    ) -> list[Tensor]:
        def normal(batch: int, num_steps: int, generator: torch.Generator) -> Tensor:
            return torch.randn(batch, num_steps, self.latent, generator=generator)

        eps = self._drawn(normal, lengths, generators)
        uniform = self._drawn(self.observation.uniform, lengths, generators)
        steps = torch.tensor(lengths, device=self.device)
        positions = self.positions(steps, max(lengths))
        z, _ = self.prior(temperature * eps, positions, steps)
        return self._unpadded(self.emission.sample(z, steps, positions, uniform, temperature), lengths)
