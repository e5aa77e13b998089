"""The latent of one step, seen two ways: the prior's p(z_t | z_<t, T), and q(z_t | x) for each value x_t might have.

Source: Ziegler & Rush (2019), whose figure of a two-dimensional latent shows that the prior puts a mode on the
posterior of each symbol that may follow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lnfgen.models.latent_flow import LOG_SQRT_2PI, LatentFlow
from lnfgen.models.posterior import Gaussian
from lnfgen.streams import stream_seed

MAX_ROW_STEPS = 100_000
"""Rows times time steps in one pass of the prior: some 100 MB of activations at the small preset."""

SMOOTHING = 0.5
"""Width of the kernel that samples are smoothed with, in standard deviations of a posterior: a mode is about as wide as
one, so it stays apart from its neighbours, which a rule of thumb for one broad mode would not leave it."""

NUM_SAMPLES = 6000
"""Samples behind a smoothed density: a mode that holds a twentieth of the mass has some 300."""

GRID = 128
"""Cells along each axis of a density."""

Extent = tuple[float, float, float, float]  # left, right, bottom, top


@dataclass(frozen=True)
class Subject:
    """A step to look at: of a piece x `[T]` or `[T, P]`, with the values `[C]` or `[C, P]` that x_t might have."""

    x: Tensor
    step: int
    candidates: Tensor


@dataclass(frozen=True)
class View:
    """What is seen of a `Subject` in two latent features: the prior's density, and each candidate's posterior."""

    density: np.ndarray  # [GRID, GRID], from the bottom up
    means: np.ndarray  # [C, 2]
    deviations: np.ndarray  # [C, 2]


@dataclass(frozen=True)
class Views:
    """Views of several subjects in the same features and the same window."""

    features: tuple[int, int]
    extent: Extent
    views: list[View]


def look(
    model: LatentFlow,
    subjects: Sequence[Subject],
    *,
    features: tuple[int, int] | None = None,
    triangular: bool = True,
    seed: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> Views:
    """The conditional prior at each subject beside its candidates' posteriors; z_<t is the posterior's mean.

    With a latent of two features the density is exact, on a grid; with more it is that of samples, smoothed.

    Args:
        features: which two; those in which the candidates are `most_apart` if not given.
        triangular: whether z_t is made of eps_<=t alone. If not, the densities are p(z_t | T).
        progress: told how many subjects are done.
    """
    posteriors = [candidate_posteriors(model, subject.x, subject.step, subject.candidates) for subject in subjects]
    pair = list(features or most_apart(posteriors))
    means = [posterior.mean[:, pair].double().numpy() for posterior in posteriors]
    deviations = [(0.5 * posterior.log_variance[:, pair].double()).exp().numpy() for posterior in posteriors]
    exact = triangular and model.latent == 2
    points: list[np.ndarray] = []
    paths: list[Tensor] = []
    for index, subject in enumerate(subjects):
        generator = torch.Generator().manual_seed(stream_seed(seed, index))
        paths.append(posterior_of(model, subject.x[None]).mean[0])
        # Exact densities only take their window from samples.
        count = NUM_SAMPLES // 8 if exact else NUM_SAMPLES
        if triangular:
            z = conditional_samples(model, paths[-1], subject.step, count, generator)
        else:
            z = whole_samples(model, len(subject.x), count, generator)
        points.append(z[:, subject.step, pair].double().numpy())
        progress(index + 1)
    extent = window(points, means, deviations)
    views = []
    for subject, path, samples, mean, deviation in zip(subjects, paths, points, means, deviations, strict=True):
        if exact:
            values = grid(extent, GRID)[:, np.argsort(pair)].to(path.dtype)
            density = conditional_log_density(model, path, subject.step, values).double().exp()
            shown = density.reshape(GRID, GRID).numpy()
        else:
            width = SMOOTHING * np.median(deviation, axis=0)
            shown = smoothed_density(samples, extent, GRID, (float(width[0]), float(width[1])))
        views.append(View(shown, mean, deviation))
    return Views((pair[0], pair[1]), extent, views)


def window(points: Sequence[np.ndarray], means: Sequence[np.ndarray], deviations: Sequence[np.ndarray]) -> Extent:
    """A window round almost all points `[S, 2]` and each candidate's two standard deviations, with a little room."""
    margin = 2.5
    lows = [np.quantile(p, 0.005, axis=0) for p in points]
    lows += [(m - margin * d).min(0) for m, d in zip(means, deviations, strict=True)]
    highs = [np.quantile(p, 0.995, axis=0) for p in points]
    highs += [(m + margin * d).max(0) for m, d in zip(means, deviations, strict=True)]
    low, high = np.min(lows, axis=0), np.max(highs, axis=0)
    room = 0.05 * (high - low)
    (left, bottom), (right, top) = (low - room).tolist(), (high + room).tolist()
    return left, right, bottom, top


@torch.inference_mode()
def posterior_of(model: LatentFlow, x: Tensor) -> Gaussian:
    """q(z | x) of sequences of one length: x `[N, T]` or `[N, T, P]` -> `[N, T, D]`."""
    x = x.to(model.device)
    lengths = torch.full((len(x),), x.shape[1], device=model.device)
    mean, log_variance = model.posterior(x, lengths, model.positions(lengths, x.shape[1]))
    return Gaussian(mean.cpu(), log_variance.cpu())


def candidate_posteriors(model: LatentFlow, x: Tensor, step: int, candidates: Tensor) -> Gaussian:
    """q(z_t | x with x_t replaced) for each candidate: x `[T, ...]`, candidates `[C, ...]` -> `[C, D]`."""
    replaced = x.repeat(len(candidates), *(1,) * x.dim())
    replaced[:, step] = candidates.to(x.dtype)
    mean, log_variance = posterior_of(model, replaced)
    return Gaussian(mean[:, step], log_variance[:, step])


def conditional_samples(
    model: LatentFlow, z: Tensor, step: int, num_samples: int, generator: torch.Generator
) -> Tensor:
    """Samples of z_t given z_<t and T: z `[T, D]` -> `[S, t + 1, D]`, where only the last step is drawn, the rest is z.

    For any flow that is triangular in time: eps_<t stands for z_<t, so a fresh eps_t after it gives a fresh z_t. Costs
    a `forward` of t + 1 steps a sample.
    """
    positions = _positions(model, len(z))[:, : step + 1]
    eps, _ = _in_chunks(model.prior.inverse, z[None, : step + 1], positions)
    eps = eps.repeat(num_samples, 1, 1)
    eps[:, step] = torch.randn(num_samples, z.shape[-1], generator=generator).to(z.dtype)
    return _in_chunks(model.prior, eps, positions)[0]


def conditional_log_density(model: LatentFlow, z: Tensor, step: int, values: Tensor) -> Tensor:
    """log p(z_t | z_<t, T) at given z_t: z `[T, D]`, values `[G, D]` -> `[G]`.

    For any flow that is triangular in time; costs an `inverse` of t + 1 steps a value.
    """
    rows = z[None, : step + 1].repeat(len(values), 1, 1)
    rows[:, step] = values
    eps, ladj = _in_chunks(model.prior.inverse, rows, _positions(model, len(z))[:, : step + 1])
    return ladj[:, step] - (0.5 * eps[:, step] ** 2 + LOG_SQRT_2PI).sum(-1)


def whole_samples(model: LatentFlow, num_steps: int, num_samples: int, generator: torch.Generator) -> Tensor:
    """Samples of z given T alone, `[S, T, D]`: all that a flow which is not triangular in time has to show."""
    positions = _positions(model, num_steps)
    eps = torch.randn(num_samples, num_steps, model.latent, generator=generator).to(positions.dtype)
    return _in_chunks(model.prior, eps, positions)[0]


def most_apart(posteriors: Sequence[Gaussian]) -> tuple[int, int]:
    """The two features in which candidates overlap least: posteriors `[C, D]` at several steps -> i < j.

    The overlap of two normals is Bhattacharyya's coefficient, the integral of the root of their product, from 0 to 1;
    over independent features it multiplies. It is averaged over pairs of candidates and over steps.
    """
    coefficients = []
    for mean, log_variance in posteriors:
        first, second = torch.triu_indices(len(mean), len(mean), offset=1)
        variance = log_variance.double().exp()
        total = variance[first] + variance[second]
        scale = (2 * (variance[first] * variance[second]).sqrt() / total).sqrt()
        coefficients.append(scale * torch.exp(-0.25 * (mean[first] - mean[second]).double() ** 2 / total))
    overlap = torch.cat(coefficients)
    if not len(overlap):  # a candidate alone has nothing to be apart from
        return 0, 1
    table = overlap.T @ overlap
    i, j = torch.triu_indices(len(table), len(table), offset=1)
    best = int(table[i, j].argmin())
    return int(i[best]), int(j[best])


def frequent_steps(sequences: Sequence[np.ndarray], limit: int) -> np.ndarray:
    """The values that steps take most often, commonest first: sequences `[T_i]` or `[T_i, P]` -> `[C]` or `[C, P]`."""
    distinct, counts = np.unique(np.concatenate(sequences), axis=0, return_counts=True)
    return distinct[np.argsort(-counts, kind="stable")[:limit]]


def grid(extent: Extent, size: int) -> Tensor:
    """The centres of size x size cells, row by row from the bottom: `[size * size, 2]`, float64."""
    left, right, bottom, top = extent
    cells = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    across, up = left + (right - left) * cells, bottom + (top - bottom) * cells
    return torch.stack([across.repeat(size), up.repeat_interleave(size)], -1)


def smoothed_density(points: np.ndarray, extent: Extent, size: int, width: tuple[float, float]) -> np.ndarray:
    """A density of points `[S, 2]` in the cells of `grid`, `[size, size]` from the bottom up.

    A histogram under a normal kernel of the given standard deviations; points outside the extent count, but do not
    show.
    """
    from scipy.ndimage import gaussian_filter

    left, right, bottom, top = extent
    cell = ((right - left) / size, (top - bottom) / size)
    edges = (np.linspace(bottom, top, size + 1), np.linspace(left, right, size + 1))
    counts, _, _ = np.histogram2d(points[:, 1], points[:, 0], bins=edges)
    density = counts / (len(points) * cell[0] * cell[1])
    return gaussian_filter(density, (width[1] / cell[1], width[0] / cell[0]), mode="constant")


def _positions(model: LatentFlow, num_steps: int) -> Tensor:
    with torch.inference_mode():
        return model.positions(torch.tensor([num_steps], device=model.device), num_steps)


@torch.inference_mode()
def _in_chunks(
    direction: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]], rows: Tensor, positions: Tensor
) -> tuple[Tensor, Tensor]:
    """A flow's direction on rows `[N, T, D]` that share their positions `[1, T, F]`, a few at a time."""
    num_steps, device = rows.shape[1], positions.device
    parts = []
    for part in rows.split(max(1, MAX_ROW_STEPS // num_steps)):
        lengths = torch.full((len(part),), num_steps, device=device)
        value, ladj = direction(part.to(device), positions.expand(len(part), -1, -1), lengths)
        parts.append((value.cpu(), ladj.cpu()))
    values, ladjs = zip(*parts, strict=True)
    return torch.cat(values), torch.cat(ladjs)
