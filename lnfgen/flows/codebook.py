"""A codebook: normal distributions, one for each symbol that a latent can stand for.

The prior of z_t is a mixture of them, so it has a mode for each likely symbol, of some fifty.
Layers of NLSq have two modes each, and learn fifty slowly.
"""

import math

import torch
from torch import Tensor, nn

from lnfgen.flows.features import LOG_SQRT_2PI, FeaturePrior
from lnfgen.nn.masking import tempered
from lnfgen.nn.mlp import MLP
from lnfgen.transforms.bounds import LOG_SCALE_BOUND, bounded

# Initial standard deviations of a code, where codes are mixed and where they are embedded.
MIXTURE_SCALE = 0.5
EMBEDDING_SCALE = 0.3
FAR = 1e9  # the soft embedding takes a larger |z| for this, so that its square is finite in float32


class Codebook(nn.Module):
    """K codes: `p(z | k) = prod_d Normal(z_d; m_kd, s_kd^2)`, z `[..., D]`."""

    def __init__(
        self, num_features: int, num_codes: int, initial_scale: float, spread: float = 1.0
    ) -> None:
        """The first centres are drawn from N(0, spread^2)."""
        super().__init__()
        self.num_features = num_features
        self.num_codes = num_codes
        self.means = nn.Parameter(spread * torch.randn(num_features, num_codes))  # [D, K]
        self.raw_log_scales = nn.Parameter(torch.full_like(self.means, math.log(initial_scale)))

    @property
    def log_scales(self) -> Tensor:
        """log s within its bound, `[D, K]`."""
        return bounded(self.raw_log_scales, LOG_SCALE_BOUND)

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z | k) for z `[..., D]`: `[..., K]`."""
        log_scales = self.log_scales
        deviations = (z.unsqueeze(-1) - self.means) * torch.exp(-log_scales)
        # Constants are added after the sum over D, which saves passes over [..., D, K].
        return -0.5 * deviations.square().sum(-2) - (log_scales + LOG_SQRT_2PI).sum(-2)


class CodeMixture(FeaturePrior):
    """A mixture of codes: `p(z | context) = sum_k w_k(context) p(z | k)`.

    It is drawn by a choice of a code and a draw from its normal. Several noises give the same z, so
    it is no flow. At a temperature T the weights are `w_k^(1/T)`, divided by their sum, and the
    normal of each code stays as it is.
    """

    extra_noise = 1  # the last number of a step chooses the code

    def __init__(self, num_features: int, num_codes: int, num_context: int, hidden: int) -> None:
        super().__init__()
        self.codebook = Codebook(num_features, num_codes, MIXTURE_SCALE)
        self.conditioner = MLP(num_context, [hidden], num_codes)

    def log_weights(
        self,
        context: Tensor,
        dtype: torch.dtype,
        temperature: float = 1.0,
        added: Tensor | float = 0.0,
    ) -> Tensor:
        """log w_k(context) at a temperature: context `[..., C]` -> `[..., K]`.

        `added` `[..., K]` is added to the scores of the codes.
        """
        scores = self.conditioner(context).to(dtype) + added
        return torch.log_softmax(tempered(scores, temperature), -1)

    def draw(
        self, noise: Tensor, context: Tensor, temperature: float = 1.0, added: Tensor | float = 0.0
    ) -> Tensor:
        """z `[..., D]` from noise `[..., D + 1]`, whose last number chooses the code.

        At temperature 0 z is the mean of the code.
        """
        weights = torch.exp(self.log_weights(context, noise.dtype, temperature, added))
        cumulative = weights.cumsum(-1)
        chosen = torch.special.ndtr(noise[..., -1:]) * cumulative[..., -1:]
        code = torch.searchsorted(cumulative, chosen)[..., 0].clamp(max=self.codebook.num_codes - 1)
        mean = self.codebook.means.t()[code]
        if temperature == 0:
            return mean
        scale = torch.exp(self.codebook.log_scales.t()[code])
        return torch.addcmul(mean, scale, noise[..., :-1])

    def log_prob(
        self, z: Tensor, context: Tensor, temperature: float = 1.0, added: Tensor | float = 0.0
    ) -> Tensor:
        log_weights = self.log_weights(context, z.dtype, temperature, added)
        return torch.logsumexp(log_weights + self.codebook.log_prob(z), -1)


class SoftEmbedding(nn.Module):
    """`sum_k p(k | z) table_k` for the codes k of a codebook, and z itself.

    z `[..., D]` -> `[..., E + D]`. All codes are as likely before z is seen. The sum is an
    embedding of the symbol that z stands for, soft as z leaves that open.
    """

    def __init__(self, num_features: int, num_codes: int, embedding: int) -> None:
        super().__init__()
        self.codebook = Codebook(num_features, num_codes, EMBEDDING_SCALE)
        self.table = nn.Parameter(torch.randn(num_codes, embedding))

    def forward(self, z: Tensor) -> Tensor:
        shares = torch.softmax(self._log_prob(z), -1)
        return torch.cat([shares @ self.table, z], -1)

    @torch.no_grad()
    def codes(self, z: Tensor) -> Tensor:
        """The likeliest code of each z: `[..., D]` -> `[...]`."""
        return self._log_prob(z).argmax(-1)

    def _log_prob(self, z: Tensor) -> Tensor:
        """log p(z | k): `[..., D]` -> `[..., K]`."""
        return self.codebook.log_prob(z.clamp(-FAR, FAR))
