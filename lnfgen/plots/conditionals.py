"""The conditional prior of one step, p(z_t | z_<t, T), beside the posterior q(z_t | x) of each candidate for x_t.

Source: Ziegler & Rush (2019). Their figure of a two-dimensional latent shows that the prior has a mode at the posterior
of each symbol that may follow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from lnfgen.device import prepare_machine
from lnfgen.errors import LnfgenError
from lnfgen.flows.features import FeatureFlow
from lnfgen.models.latent_flow import LatentFlow
from lnfgen.models.posterior import Gaussian
from lnfgen.plots.steps import LatentStep
from lnfgen.runs.checkpoint import load_model
from lnfgen.runs.folder import RunFolder
from lnfgen.streams import stream_seed

MAX_ROW_STEPS = 100_000
"""Rows times time steps in one pass of a prior that draws all steps. It takes some 100 MB of activations at the small
preset."""

SMOOTHING = 0.5
"""Width of the kernel that smooths samples, in standard deviations of a posterior. A mode of the prior is about as wide
as a posterior, so neighbouring modes stay apart. The usual rules, made for one broad mode, would blur them."""

NUM_SAMPLES = 6000
"""Samples from which a density is estimated. A mode with a twentieth of the mass gets some 300 of them."""

GRID = 128
"""Cells along each axis of a density."""

Extent = tuple[float, float, float, float]  # left, right, bottom, top


@dataclass(frozen=True)
class View:
    """A `LatentStep` in two latent features: the prior's density, and the posterior of each candidate."""

    density: np.ndarray  # [GRID, GRID], the bottom row first
    means: np.ndarray  # [C, 2]
    deviations: np.ndarray  # [C, 2]


@dataclass(frozen=True)
class Views:
    """Views of several steps in the same features and the same window."""

    features: tuple[int, int]
    extent: Extent
    views: list[View]
    given: str  # what stands behind the bar in p(z_t | ...), the densities


def load_latent_model(run: RunFolder) -> LatentFlow:
    """The model of a run, if it has a latent that can be drawn.

    Raises:
        LnfgenError: if it has no latent, or a latent of one feature.
    """
    model = load_model(run, prepare_machine("auto", run.config.model.hidden_size, run.config.model.emission))
    if not isinstance(model, LatentFlow):
        raise LnfgenError(f"{run.name} is a run of {run.config.name}, which has no latents; leave --latents out")
    if model.latent < 2:
        raise LnfgenError(f"{run.name} has a latent of 1 feature; expected at least 2 to draw")
    return model


def views_of(
    model: LatentFlow,
    steps: Sequence[LatentStep],
    *,
    features: tuple[int, int] | None = None,
    seed: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> Views:
    """The conditional prior at each step, and the posteriors of its candidates.

    For the other steps of z the mean of the posterior is taken.

    Args:
        features: which two; if not given, those in which the candidates are `most_apart`.
        progress: is told how many steps are done.
    """
    posteriors = [candidate_posteriors(model, step) for step in steps]
    pair = features or most_apart(posteriors)
    means = [posterior.mean[:, pair].double().numpy() for posterior in posteriors]
    deviations = [(0.5 * posterior.log_variance[:, pair].double()).exp().numpy() for posterior in posteriors]
    points: list[np.ndarray] = []
    for index, step in enumerate(steps):
        path = posterior_of(model, torch.from_numpy(np.array(step.x))[None], step.metres).mean[0]
        generator = torch.Generator().manual_seed(stream_seed(seed, index))
        z = prior_samples(model, path, step.step, NUM_SAMPLES, generator, step.metres)
        points.append(z[:, pair].double().numpy())
        progress(index + 1)
    extent = window(points, means, deviations)
    densities = [
        smoothed_density(samples, extent, GRID, SMOOTHING * np.median(deviation, axis=0))
        for samples, deviation in zip(points, deviations, strict=True)
    ]
    views = [View(*parts) for parts in zip(densities, means, deviations, strict=True)]
    return Views(pair, extent, views, model.prior.given)


def window(points: Sequence[np.ndarray], means: Sequence[np.ndarray], deviations: Sequence[np.ndarray]) -> Extent:
    """A window that holds nearly all points `[S, 2]` and 2.5 standard deviations round each candidate, and a margin."""
    centres, reach = np.concatenate(means), 2.5 * np.concatenate(deviations)
    ends = [quantile for p in points for quantile in np.quantile(p, [0.005, 0.995], axis=0)]
    held = np.concatenate([ends, centres - reach, centres + reach])
    low, high = held.min(0), held.max(0)
    room = 0.05 * (high - low)
    (left, bottom), (right, top) = (low - room).tolist(), (high + room).tolist()
    return left, right, bottom, top


@torch.inference_mode()
def posterior_of(model: LatentFlow, x: Tensor, metres: np.ndarray | None = None) -> Gaussian:
    """q(z | x) of sequences that are equally long and have the same bars `[1, 3]`: `[N, T, ...]` -> `[N, T, D]`."""
    x = x.to(model.device)
    lengths = torch.full((len(x),), x.shape[1], device=model.device)
    mean, log_variance, _ = model.encode(x, lengths, _told(model, metres, len(x)))
    return Gaussian(mean.cpu(), log_variance.cpu())


def candidate_posteriors(model: LatentFlow, step: LatentStep) -> Gaussian:
    """q(z_t | x) with each candidate in turn in the place of x_t: `[C, D]`."""
    replaced = np.stack([step.x] * len(step.candidates))
    replaced[:, step.step] = step.candidates
    mean, log_variance = posterior_of(model, torch.from_numpy(replaced), step.metres)
    return Gaussian(mean[:, step.step], log_variance[:, step.step])


@torch.inference_mode()
def prior_samples(
    model: LatentFlow,
    z: Tensor,
    step: int,
    num_samples: int,
    generator: torch.Generator,
    metres: np.ndarray | None = None,
) -> Tensor:
    """Samples of z_t given what the prior reads for this step of the others: z `[T, D]` -> `[S, D]`.

    Where the prior maps its steps one by one, only this step is drawn, since the others give its context. Otherwise all
    steps are drawn, and nothing but T is given.
    """
    prior, length = model.prior, len(z)
    lengths = torch.tensor([length], device=model.device)
    positions, z = model.positions_of(lengths, length, _told(model, metres, 1)), z[None].to(model.device)
    contexts = prior.contexts(prior.inverse(z, positions, lengths)[0], z, positions, lengths)
    if contexts is not None:
        eps = torch.randn(num_samples, z.shape[-1], generator=generator).to(z)
        return cast(FeatureFlow, prior.features)(eps, contexts[0, step].expand(num_samples, -1))[0].cpu()
    parts = []
    for some in torch.randn(num_samples, length, z.shape[-1], generator=generator).split(MAX_ROW_STEPS // length or 1):
        part, _ = prior(some.to(z), positions.expand(len(some), -1, -1), lengths.expand(len(some)))
        parts.append(part[:, step].cpu())
    return torch.cat(parts)


def _told(model: LatentFlow, metres: np.ndarray | None, count: int) -> Tensor | None:
    return None if metres is None else torch.from_numpy(metres).to(model.device).expand(count, -1)


def most_apart(posteriors: Sequence[Gaussian]) -> tuple[int, int]:
    """The two features in which candidates overlap least: posteriors `[C, D]` at several steps -> i < j.

    The overlap of two normals is the Bhattacharyya coefficient: the integral of the square root of their product, from
    0 to 1. That of two independent features is the product of each one's. It is averaged over pairs of candidates and
    over steps.
    """
    coefficients = []
    for mean, log_variance in posteriors:
        first, second = torch.triu_indices(len(mean), len(mean), offset=1)
        variance = log_variance.double().exp()
        total = variance[first] + variance[second]
        scale = (2 * (variance[first] * variance[second]).sqrt() / total).sqrt()
        coefficients.append(scale * torch.exp(-0.25 * (mean[first] - mean[second]).double() ** 2 / total))
    overlap = torch.cat(coefficients)
    if not len(overlap):  # there is one candidate at each step, hence no pair
        return 0, 1
    table = overlap.T @ overlap
    i, j = torch.triu_indices(len(table), len(table), offset=1)
    best = int(table[i, j].argmin())
    return int(i[best]), int(j[best])


def smoothed_density(points: np.ndarray, extent: Extent, size: int, width: np.ndarray) -> np.ndarray:
    """The density of points `[S, 2]` in equal cells of the extent: `[size, size]`, the bottom row first.

    It is a histogram, smoothed with a normal kernel whose standard deviations are `width`. Points outside the extent
    are not shown, but count as part of the whole mass.
    """
    from scipy.ndimage import gaussian_filter

    left, right, bottom, top = extent
    cell = np.array([right - left, top - bottom]) / size
    counts, _, _ = np.histogram2d(points[:, 0], points[:, 1], size, np.reshape(extent, (2, 2)))
    density = counts / (len(points) * cell.prod())
    return gaussian_filter(density, width / cell, mode="constant").T
