"""The conditional prior of one step, p(z_t | z_<t, T), beside the posterior q(z_t | x) of each candidate for x_t.

Source: Ziegler & Rush (2019). Their figure of a two-dimensional latent shows that the prior has a mode at the posterior
of each symbol that may follow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lnfgen.compute import prepare_machine
from lnfgen.errors import LnfgenError
from lnfgen.models.latent_flow import LOG_SQRT_2PI, LatentFlow
from lnfgen.models.posterior import Gaussian
from lnfgen.plots.candidates import LatentStep
from lnfgen.runs.folder import RunFolder
from lnfgen.streams import stream_seed

NOT_TRIANGULAR = ("coupling",)
"""Kinds of flow across time in which z_t depends on later steps of eps too."""

MAX_ROW_STEPS = 100_000
"""Rows times time steps in one pass of the prior. It takes some 100 MB of activations at the small preset."""

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
    triangular: bool  # whether the densities are p(z_t | z_<t, T); if not, they are p(z_t | T)


def load_latent_model(run: RunFolder, device: str = "auto") -> LatentFlow:
    """The model of a run, if it has a latent that can be drawn.

    Raises:
        LnfgenError: if it has no latent, or a latent of one feature.
    """
    model = run.load_model(prepare_machine(device))
    if not isinstance(model, LatentFlow):
        raise LnfgenError(f"{run.path} is a run of {run.config.name}, which has no latents; leave --latents out")
    if model.latent < 2:
        raise LnfgenError(f"{run.path} has a latent of 1 feature; expected at least 2 to draw")
    return model


def is_triangular(run: RunFolder) -> bool:
    """Whether z_t of the run's prior depends on no later step of eps, so that p(z_t | z_<t, T) can be computed."""
    return run.config.model.time not in NOT_TRIANGULAR


def look(
    model: LatentFlow,
    steps: Sequence[LatentStep],
    *,
    features: tuple[int, int] | None = None,
    triangular: bool = True,
    seed: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> Views:
    """The conditional prior at each step, and the posteriors of its candidates. For z_<t the posterior's mean is taken.

    With a latent of two features the density is computed exactly on a grid. With more it is estimated from samples.

    Args:
        features: which two; if not given, those in which the candidates are `most_apart`.
        triangular: whether z_t depends on eps_<=t alone. If not, the densities are p(z_t | T).
        progress: is told how many steps are done.
    """
    pieces = [torch.from_numpy(np.array(step.x)) for step in steps]
    posteriors = [
        candidate_posteriors(model, x, step.step, torch.from_numpy(step.candidates))
        for x, step in zip(pieces, steps, strict=True)
    ]
    pair = list(features or most_apart(posteriors))
    means = [posterior.mean[:, pair].double().numpy() for posterior in posteriors]
    deviations = [(0.5 * posterior.log_variance[:, pair].double()).exp().numpy() for posterior in posteriors]
    exact = triangular and model.latent == 2
    points: list[np.ndarray] = []
    paths: list[Tensor] = []
    for index, (x, step) in enumerate(zip(pieces, steps, strict=True)):
        generator = torch.Generator().manual_seed(stream_seed(seed, index))
        paths.append(posterior_of(model, x[None]).mean[0])
        # An exact density needs samples only to choose its window.
        count = NUM_SAMPLES // 8 if exact else NUM_SAMPLES
        if triangular:
            z = conditional_samples(model, paths[-1], step.step, count, generator)
        else:
            z = whole_samples(model, len(x), count, generator)
        points.append(z[:, step.step, pair].double().numpy())
        progress(index + 1)
    extent = window(points, means, deviations)
    views = []
    for step, path, samples, mean, deviation in zip(steps, paths, points, means, deviations, strict=True):
        if exact:
            values = grid(extent, GRID)[:, np.argsort(pair)].to(path.dtype)
            density = conditional_log_density(model, path, step.step, values).double().exp()
            shown = density.reshape(GRID, GRID).numpy()
        else:
            width = SMOOTHING * np.median(deviation, axis=0)
            shown = smoothed_density(samples, extent, GRID, (float(width[0]), float(width[1])))
        views.append(View(shown, mean, deviation))
    return Views((pair[0], pair[1]), extent, views, triangular)


def window(points: Sequence[np.ndarray], means: Sequence[np.ndarray], deviations: Sequence[np.ndarray]) -> Extent:
    """A window that holds nearly all points `[S, 2]` and 2.5 standard deviations round each candidate, and a margin."""
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
    """q(z | x) of sequences that are equally long: x `[N, T]` or `[N, T, P]` -> `[N, T, D]`."""
    x = x.to(model.device)
    lengths = torch.full((len(x),), x.shape[1], device=model.device)
    mean, log_variance = model.posterior(x, lengths, model.positions(lengths, x.shape[1]))
    return Gaussian(mean.cpu(), log_variance.cpu())


def candidate_posteriors(model: LatentFlow, x: Tensor, step: int, candidates: Tensor) -> Gaussian:
    """q(z_t | x) with each candidate in turn in the place of x_t: x `[T, ...]`, candidates `[C, ...]` -> `[C, D]`."""
    replaced = x.repeat(len(candidates), *(1,) * x.dim())
    replaced[:, step] = candidates.to(x.dtype)
    mean, log_variance = posterior_of(model, replaced)
    return Gaussian(mean[:, step], log_variance[:, step])


def conditional_samples(
    model: LatentFlow, z: Tensor, step: int, num_samples: int, generator: torch.Generator
) -> Tensor:
    """Samples of z_t given z_<t and T: z `[T, D]` -> `[S, t + 1, D]`. Only the last step is drawn, the rest is z.

    It holds for any flow that is triangular in time. There eps_<t determines z_<t, and the other way round, so a fresh
    eps_t after the same eps_<t gives a fresh z_t. Each sample costs a `forward` of t + 1 steps.
    """
    positions = _positions(model, len(z))[:, : step + 1]
    eps, _ = _in_chunks(model.prior.inverse, z[None, : step + 1], positions)
    eps = eps.repeat(num_samples, 1, 1)
    eps[:, step] = torch.randn(num_samples, z.shape[-1], generator=generator).to(z.dtype)
    return _in_chunks(model.prior, eps, positions)[0]


def conditional_log_density(model: LatentFlow, z: Tensor, step: int, values: Tensor) -> Tensor:
    """log p(z_t | z_<t, T) at given z_t: z `[T, D]`, values `[G, D]` -> `[G]`.

    It holds for any flow that is triangular in time. Each value costs an `inverse` of t + 1 steps.
    """
    rows = z[None, : step + 1].repeat(len(values), 1, 1)
    rows[:, step] = values
    eps, ladj = _in_chunks(model.prior.inverse, rows, _positions(model, len(z))[:, : step + 1])
    return ladj[:, step] - (0.5 * eps[:, step] ** 2 + LOG_SQRT_2PI).sum(-1)


def whole_samples(model: LatentFlow, num_steps: int, num_samples: int, generator: torch.Generator) -> Tensor:
    """Samples of z given T alone, `[S, T, D]`. It is for flows not triangular in time, where z_t | z_<t is unknown."""
    positions = _positions(model, num_steps)
    eps = torch.randn(num_samples, num_steps, model.latent, generator=generator).to(positions.dtype)
    return _in_chunks(model.prior, eps, positions)[0]


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


def grid(extent: Extent, size: int) -> Tensor:
    """The centres of size x size cells, row by row from the bottom: `[size * size, 2]`, float64."""
    left, right, bottom, top = extent
    cells = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    across, up = left + (right - left) * cells, bottom + (top - bottom) * cells
    return torch.stack([across.repeat(size), up.repeat_interleave(size)], -1)


def smoothed_density(points: np.ndarray, extent: Extent, size: int, width: tuple[float, float]) -> np.ndarray:
    """The density of points `[S, 2]` in the cells of `grid`: `[size, size]`, the bottom row first.

    It is a histogram, smoothed with a normal kernel whose standard deviations are `width`. Points outside the extent
    are not shown, but count as part of the whole mass.
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
    """A flow's `forward` or `inverse` of rows `[N, T, D]`, in parts that fit in memory; positions `[1, T, F]`."""
    num_steps, device = rows.shape[1], positions.device
    parts = []
    for part in rows.split(max(1, MAX_ROW_STEPS // num_steps)):
        lengths = torch.full((len(part),), num_steps, device=device)
        value, ladj = direction(part.to(device), positions.expand(len(part), -1, -1), lengths)
        parts.append((value.cpu(), ladj.cpu()))
    values, ladjs = zip(*parts, strict=True)
    return torch.cat(values), torch.cat(ladjs)
