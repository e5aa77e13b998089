"""The paper's figure of a prior's modes: `python examples/latents.py RUN "the compan" "a mil"`
writes latents.png.

Source: Ziegler & Rush (2019, arXiv 1901.10548). The prior of a step, p(z_t | z_<t), has a mode at
the posterior q(z_t | x) of each symbol that may follow. A panel shows contours of that prior in two
latent features, and over them the posteriors of the symbols or frames that fit it best, as ellipses
of 1 and 2 standard deviations. The title names
the likeliest ones: the percentage says how many samples of the prior are nearer to that posterior
than to any other.

A panel shows the step that follows a TEXT. Without a TEXT the panels show steps of a piece that the
run has sampled. RUN is a run with a latent of at least two features, or a model in the box.

The density is that of samples of p(z_t | z_<t). Where the flow is not causal (`coupling`), the
noise of all steps is drawn, and the contours are those of p(z_t | T).
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.patches import Ellipse
from matplotlib.patheffects import withStroke
from scipy.ndimage import gaussian_filter
from torch import Tensor

import lnfgen
from lnfgen.files import write_bytes
from lnfgen.flows.temporal import ContextFlow, InverseAutoregressiveFlow
from lnfgen.formats.rolltext import pitch_name
from lnfgen.models.latent_flow import LatentFlow
from lnfgen.plots.canvas import ACCENT, MID, file_bytes, new_figure, require_picture, set_title
from lnfgen.runs.trained import TrainedModel

SAMPLES = 3000
"""Samples of z_t from which a density is made."""

SMOOTHING = 0.5
"""The width of the kernel that smooths them, in standard deviations of a posterior: a mode is about
as wide as that."""

CELLS = 128
"""Cells of a density along each axis."""

MASSES = (0.95, 0.8, 0.6, 0.4, 0.2)
"""A contour is the smallest region that holds this share of the density."""

LENGTH = 24
"""Steps that follow a TEXT, or of a whole piece if there is none."""

MOST_VALUES = 60
"""The commonest symbols or frames in samples of the run: those that fit the prior best are among
them."""


class Step(NamedTuple):
    """A step of a piece: the sequence x `[T]` or `[T, P]`, and its place there."""

    x: np.ndarray
    place: int


class View(NamedTuple):
    """Samples of a step's prior `[S, D]`, and the posteriors of C values: means and deviations `[C,
    D]`."""

    samples: np.ndarray
    means: np.ndarray
    deviations: np.ndarray
    values: np.ndarray  # [C] or [C, P], the likeliest first
    shares: np.ndarray  # [C], of the samples


def chosen_steps(pool: list[np.ndarray], run: TrainedModel, texts: list[str]) -> list[Step]:
    """The step after each text, which a sample of the pool follows; or else four steps of a
    sample."""
    if texts:
        return [
            Step(np.concatenate([run.encoding.encode(text), pool[0][:LENGTH]]), len(text))
            for text in texts
        ]
    return [Step(pool[0], round(share * len(pool[0]))) for share in (0.125, 0.375, 0.625, 0.875)]


def commonest(pool: list[np.ndarray]) -> np.ndarray:
    """The values that steps of the pool take most often, `[C]` or `[C, P]`."""
    distinct, counts = np.unique(np.concatenate(pool), axis=0, return_counts=True)
    return distinct[np.argsort(-counts, kind="stable")[:MOST_VALUES]]


@torch.inference_mode()
def view_of(model: LatentFlow, step: Step, values: np.ndarray, shown: int, seed: int) -> View:
    """The prior at a step, and the posteriors with each value in the place of x_t: those `shown`
    that fit it best."""
    x = np.stack([step.x] * len(values))
    x[:, step.place] = values
    lengths = torch.full((len(x),), x.shape[1])
    mean, log_variance, positions = model.encode(torch.from_numpy(x), lengths)
    # Of the steps before t, z is the mean of the posterior with the first value in the place of
    # x_t.
    samples = prior_samples(model, mean[:1], positions[:1], step.place, seed).numpy()
    means, deviations = (
        mean[:, step.place].numpy(),
        (0.5 * log_variance[:, step.place]).exp().numpy(),
    )
    distances = (((samples[:, None] - means) / deviations) ** 2 + 2 * np.log(deviations)).sum(-1)
    shares = np.bincount(distances.argmin(1), minlength=len(values)) / len(samples)
    best = np.argsort(-shares, kind="stable")[:shown]
    return View(samples, means[best], deviations[best], values[best], shares[best])


def prior_samples(model: LatentFlow, z: Tensor, positions: Tensor, place: int, seed: int) -> Tensor:
    """Samples `[S, D]` of z_t given the earlier steps of z `[1, T, D]`."""
    steps, generator = torch.tensor([z.shape[1]]), torch.Generator().manual_seed(seed)
    if isinstance(model.prior, ContextFlow) and not isinstance(
        model.prior, InverseAutoregressiveFlow
    ):
        context = model.prior.contexts(z, positions, steps)[:, place]
        noise = torch.randn(SAMPLES, model.prior.noise_size, generator=generator)
        return model.prior.features.draw(noise, context.expand(SAMPLES, -1))
    eps = model.prior.inverse(z, positions, steps)[0].repeat(SAMPLES, 1, 1)
    drawn = torch.randn(eps.shape, generator=generator)
    here = slice(None) if is_joint(model) else slice(place, place + 1)
    eps[:, here] = drawn[:, here]
    return model.prior(eps, positions.expand(SAMPLES, -1, -1), steps.expand(SAMPLES))[0][:, place]


def is_joint(model: Any) -> bool:
    """True if the steps of z are not drawn one given the others: in a flow by couplings over the
    whole sequence."""
    return type(model.prior).__name__ == "CouplingFlow"


def clearest_features(views: list[View]) -> tuple[int, int]:
    """The two features whose means of the values differ most beside the posteriors' deviations."""
    spread = np.mean([view.means.std(0) / np.median(view.deviations, 0) for view in views], 0)
    first, second = sorted(np.argsort(-spread)[:2].tolist())
    return first, second


def name_of(run: TrainedModel, value: np.ndarray) -> str:
    """A character, with a visible sign for a blank; or the pitches of a frame."""
    if run.encoding.kind == "text":
        return {" ": "␣", "\n": "↵", "\t": "⇥"}.get(
            symbol := run.encoding.vocabulary[int(value)], symbol
        )
    return (
        " ".join(pitch_name(run.encoding.lowest_pitch + int(key)) for key in value.nonzero()[0][:5])
        or "rest"
    )


def title_of(run: TrainedModel, step: Step, view: View) -> str:
    before = [name_of(run, value) for value in step.x[max(0, step.place - 24) : step.place]]
    where = "".join(before) if run.encoding.kind == "text" else before[-1]
    likeliest = zip(
        view.values[: 3 if run.encoding.kind == "text" else 1], view.shares, strict=False
    )
    found = [
        f"{name_of(run, value)} {100 * share:.0f} %" for value, share in likeliest if share >= 0.01
    ]
    return f"after {where}: {', '.join(found)}"


def draw_panel(
    axis: Any, view: View, names: list[str], features: tuple[int, int], window: np.ndarray
) -> None:
    """Contours of the samples' density in the window `[2, 2]` (a low and a high end for each
    feature), and ellipses."""
    samples, means, deviations = (part[:, features] for part in view[:3])
    counts = np.histogram2d(samples[:, 0], samples[:, 1], CELLS, window.tolist())[0]
    density = gaussian_filter(
        counts, SMOOTHING * np.median(deviations, 0) * CELLS / np.diff(window)[:, 0]
    ).T
    ordered = np.sort(density.ravel())[::-1]
    held = np.cumsum(ordered) / max(ordered.sum(), 1e-9)
    levels = np.unique(ordered[np.searchsorted(held[:-1], MASSES)])
    if len(levels) > 1:
        extent = window.ravel().tolist()
        axis.contourf(
            density, [*levels, 1.001 * density.max()], cmap="Blues", alpha=0.6, extent=extent
        )
        axis.contour(density, levels, colors=MID, linewidths=0.6, extent=extent)
    for index, name in enumerate(names):
        color, width, size = (ACCENT, 1.8, 11) if index == 0 else ("#333333", 0.8, 9)
        for times in (1, 2):
            ring = Ellipse(
                means[index],
                *(2 * times * deviations[index]),
                fill=False,
                edgecolor=color,
                linewidth=width,
            )
            axis.add_patch(ring)
        halo = [withStroke(linewidth=2, foreground="white")]
        place = {"ha": "center", "va": "center", "parse_math": False, "path_effects": halo}
        axis.text(*means[index], name, color=color, fontsize=size, **place)
    axis.set(xlim=window[0], ylim=window[1], xlabel=f"latent feature {features[0]}")
    axis.tick_params(labelsize=8)


def picture(run: TrainedModel, steps: list[Step], views: list[View], suffix: str) -> bytes:
    features = clearest_features(views)
    reach = [
        np.concatenate(
            [view.samples, view.means - 2.5 * view.deviations, view.means + 2.5 * view.deviations]
        )
        for view in views
    ]
    ends = np.quantile(np.concatenate(reach)[:, features], (0.002, 0.998), axis=0)
    window = (ends + np.outer([-0.05, 0.05], ends[1] - ends[0])).T
    columns = min(len(steps), 2)
    rows = -(-len(steps) // columns)
    figure = new_figure(4.6 * columns, 4.3 * rows + 0.4)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axis, step, view in zip(panels.flat, steps, views, strict=False):
        draw_panel(axis, view, [name_of(run, value) for value in view.values], features, window)
        axis.set_title(title_of(run, step, view), loc="left", fontsize=9, parse_math=False)
    for axis in panels.flat[len(steps) :]:
        axis.set_visible(False)
    for axis in panels[:, 0]:
        axis.set_ylabel(f"latent feature {features[1]}")
    given = "T" if is_joint(run.model) else "z_<t"
    name = f"{run.run.name}: {run.run.config.model.name} on {run.run.dataset['name']}"
    set_title(
        figure,
        f"{name}\ncontours: p(z_t | {given}); ellipses: q(z_t | x), that of the likeliest bold",
    )
    return file_bytes(figure, suffix)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="a run folder, or a model in the box")
    parser.add_argument(
        "texts", nargs="*", metavar="TEXT", help="of a text run: what comes before a step"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("latents.png"), help=".png, .svg or .pdf (latents.png)"
    )
    parser.add_argument(
        "--values", type=int, help="posteriors in a panel (12 of characters, 7 of frames)"
    )
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    suffix = require_picture(asked.out)
    run = lnfgen.load(asked.run, "cpu")
    if not isinstance(run.model, LatentFlow) or run.model.latent < 2:
        raise SystemExit(
            f"error: {asked.run} is a run of {run.run.config.model.name}; expected a latent of at least 2 features"
        )
    is_text = run.encoding.kind == "text"
    if asked.texts and not is_text:
        raise SystemExit(
            f"error: {asked.run} makes music, which has no text before a step; leave the texts out"
        )
    pool = [
        run.encoding.encode(piece) for piece in run.sample(16, length=4 * LENGTH, seed=asked.seed)
    ]
    values, shown = commonest(pool), asked.values or (12 if is_text else 7)
    steps = chosen_steps(pool, run, asked.texts)
    views = [view_of(run.model, step, values, shown, asked.seed) for step in steps]
    write_bytes(asked.out, picture(run, steps, views, suffix))


if __name__ == "__main__":
    main()
