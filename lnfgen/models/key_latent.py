"""A latent with a number for each bit of a frame, and an encoder and a decoder that are the same for all keys."""

import torch
from torch import Tensor, nn

from lnfgen.models.observation import Frames
from lnfgen.models.output import FactorisedHead
from lnfgen.models.posterior import INITIAL_LOG_VARIANCE, LOG_VARIANCE_BOUND, Gaussian
from lnfgen.transforms.bounds import bounded

DISTANCE = 4.0
"""Initial distance of the means of the two values of a bit. With deviations of `exp(INITIAL_LOG_VARIANCE / 2) = 0.22`
the values hardly overlap, so that z starts as a precise code of x, which it must (see `models.posterior`)."""

SLOPE = 8.0
"""Initial slope of a logit. At a bit's two means the logits are -16 and 16, so nothing is lost at the start."""


class KeyPosterior(nn.Module):
    """`z_ti ~ Normal(mean[x_ti], variance[x_ti])` for each bit i of a frame: two means and two variances for all keys.

    So z is x with noise, given z the keys are independent of each other, and all that is to be learned of music is left
    to the prior. With a flow that is autoregressive across the features (`af-af`), that is a NADE over the keys whose
    weights are tied across them: see `nn.key_networks`.

    Sources: categorical normalizing flows (Lippe & Gavves 2021, arXiv 2006.09790), whose encoding is a mixture with one
    distribution for each value of a variable; D. Johnson (EvoMUSART 2017) for weights that are tied across the keys.

    Limits: z is no shorter than x. A flow of split couplings has the low keys in one half and the high ones in the
    other, and says little of how the keys of a half go together.
    """

    def __init__(self, frames: Frames) -> None:
        super().__init__()
        self.frames = frames
        self.mean = nn.Parameter(torch.tensor([0.0, DISTANCE]).repeat(frames.bits_per_key, 1))
        self.raw = nn.Parameter(torch.zeros(frames.bits_per_key, 2))

    def forward(self, x: Tensor, lengths: Tensor, positions: Tensor) -> Gaussian:
        """x `[B, T, P]` -> mean and log-variance `[B, T, num_logits]`."""
        bits = self.frames.bits(x, self.mean.dtype).unflatten(-1, (-1, self.frames.num_pitches))
        mean, raw = (
            torch.lerp(by_value[:, :1], by_value[:, 1:], bits).flatten(-2) for by_value in (self.mean, self.raw)
        )
        return Gaussian(mean, INITIAL_LOG_VARIANCE + bounded(raw, LOG_VARIANCE_BOUND))


class KeyHead(FactorisedHead):
    """`p(bit i of x_t | z) = sigmoid(slope z_ti + offset)`, with the same slope and offset for all keys."""

    def __init__(self, frames: Frames) -> None:
        super().__init__(frames)
        self.num_keys = frames.num_pitches
        self.slope = nn.Parameter(torch.full((frames.bits_per_key, 1), SLOPE))
        self.offset = nn.Parameter(torch.full((frames.bits_per_key, 1), -SLOPE * DISTANCE / 2))

    def logits(self, context: Tensor) -> Tensor:
        by_key = context.to(self.dtype).unflatten(-1, (-1, self.num_keys))
        return torch.addcmul(self.offset, self.slope, by_key).flatten(-2)
