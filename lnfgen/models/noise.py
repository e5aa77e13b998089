"""The random numbers that a sequence is made of: those that would have given it, and the sequence that they give.

Given its length T, a sequence that a model draws is a function of independent N(0, 1): eps, which the prior makes z of,
and the numbers that choose its symbols or bits. So every model has such numbers, also one without a latent. `noise_of`
draws them given the sequence, and `sequence_of` is the function.

If x is a sample of the model, its numbers are N(0, 1) again. So whatever turns independent N(0, 1) into independent
N(0, 1), such as `sqrt(1 - a^2) noise + a fresh`, turns a sample into a sample.

- A bit is set where u < p. Given the bit, u is uniform on [0, p) or on [p, 1).
- A symbol is the first to arrive in a race: of exponential times E_j, the least E_j / p_j wins. Given that k did, the
  time it took is Exp(1) =: R, so that E_k = p_k R, and all others arrive later: E_j = p_j R + Exp(1). This is the
  posterior of Gumbel noise in Maddison, Tarlow & Minka (2014, arXiv 1411.0030), as Oberst & Sontag (2019, arXiv
  1905.05824) use it for counterfactuals. In place of inverting the distribution function it has no order of symbols:
  one symbol gives way to another only as far as that one has become likelier.
- z given x comes from q(z | x) by importance resampling: of K draws, one by its weight p(x, z) / q(z | x). This alone
  is approximate.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lnfgen.models.observation import Frames, Observation
from lnfgen.models.sequence_model import SequenceModel

BOUND = 8.0
"""The numbers are kept in [-BOUND, BOUND]; beyond it, float64 cannot tell their probability from 1."""


class Noise(NamedTuple):
    """The random numbers of a sequence, N(0, 1) each.

    Attributes:
        latent: eps `[T, D]`; None without a latent.
        output: `[T, num_logits]`, float64, on the CPU.
    """

    latent: Tensor | None
    output: Tensor


@torch.inference_mode()
def noise_of(
    model: SequenceModel,
    x: Tensor,
    generator: torch.Generator,
    *,
    num_samples: int,
    num_steps: int | None = None,
    metres: Tensor | None = None,
) -> Noise:
    """Draw the numbers that give x `[T]` or `[T, P]`.

    Args:
        num_samples: draws K of z, of which one is chosen.
        num_steps: draw for so many steps and use the first T of them, so that sequences of different lengths get the
            same random numbers from the same seed.
        metres: `[1, 3]`, that of x, for a model that is told it.
    """
    steps, batch, lengths = num_steps or len(x), x[None].to(model.device), torch.tensor([len(x)], device=model.device)
    drawn = model.draw_noise(num_samples, 1, steps, generator)
    uniform = torch.rand(steps, model.observation.num_logits, generator=generator, dtype=torch.float64)[: len(x)]
    choice = torch.rand(1, generator=generator, dtype=torch.float64)
    eps, logits = model.explain(batch, lengths, None if drawn is None else drawn[:, :, : len(x)], choice, metres)
    return Noise(None if eps is None else eps[0], output_noise(model.observation, logits[0].cpu().double(), x, uniform))


@torch.inference_mode()
def sequence_of(model: SequenceModel, noise: Noise, metres: Tensor | None = None) -> Tensor:
    """The sequence `[T]` or `[T, P]` that these numbers give, on the CPU; `metres` as in `noise_of`."""
    uniform = torch.special.ndtr(noise.output)[None]
    if model.device.type == "mps":  # which has no float64
        uniform = uniform.float()
    eps = None if noise.latent is None else noise.latent[None].to(model.device)
    return model.generate([len(noise.output)], eps, uniform.to(model.device), 1.0, metres)[0]


def combined(do: Callable[..., Tensor], *noises: Noise) -> Noise:
    """What `do` makes of the latent parts of some noises, and of their outputs."""
    latents = [noise.latent for noise in noises if noise.latent is not None]
    return Noise(do(*latents) if latents else None, do(*(noise.output for noise in noises)))


def fresh_noise(num_steps: int, like: Noise, generator: torch.Generator) -> Noise:
    """Numbers of a sample with so many steps, of the same model as `like`."""
    eps = like.latent
    if eps is not None:
        eps = torch.randn(num_steps, eps.shape[1], generator=generator).to(eps)
    return Noise(eps, torch.randn(num_steps, like.output.shape[1], generator=generator, dtype=torch.float64))


def output_noise(observation: Observation, logits: Tensor, x: Tensor, uniform: Tensor) -> Tensor:
    """The numbers that choose x `[..., T]` or `[..., T, P]`, from uniform ones with the shape of the logits.

    All are float64. The logits `[..., T, num_logits]` are those at x.
    """
    if isinstance(observation, Frames):
        bits = observation.bits(x, torch.bool)
        p, q = torch.sigmoid(logits), torch.sigmoid(-logits)
        below = torch.where(bits, uniform * p, p + uniform * q)
        above = torch.where(bits, q + (1 - uniform) * p, (1 - uniform) * q)
        if observation.has_onsets:  # the onset of a silent key chooses nothing
            sounding = bits[..., : observation.num_pitches]
            chooses = torch.cat([torch.ones_like(sounding), sounding], -1)
            below, above = torch.where(chooses, below, uniform), torch.where(chooses, above, 1 - uniform)
    else:
        p, times, chosen = torch.softmax(logits, -1), -torch.log1p(-uniform), x.long()[..., None]
        race = times.gather(-1, chosen)
        times = (p * race + times).scatter(-1, chosen, p.gather(-1, chosen) * race)
        below, above = torch.exp(-times), -torch.expm1(-times)
    # Each tail from its own side, where it is a small number and so is exact.
    normal = torch.where(below < above, torch.special.ndtri(below), -torch.special.ndtri(above))
    return normal.clamp(-BOUND, BOUND)
