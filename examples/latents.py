"""The paper's figure of a prior's modes: `python examples/latents.py RUN "the compan" "a mil"`.

It writes latents.png. Source: Ziegler & Rush (2019, arXiv 1901.10548).

The prior of a step, p(z_t | z_<t), has a mode at the posterior q(z_t | x) of each symbol that may
follow. A panel shows contours of that prior in two latent features, and over them the posteriors of
the symbols or frames that fit it best, as ellipses of 1 and 2 standard deviations. The title names
the likeliest ones: the percentage says how many samples of the prior are nearer to that posterior
than to any other.

A panel shows the step that follows a TEXT. Without a TEXT the panels show steps of a piece that the
run has sampled. RUN is a run with a latent of at least two features, or a model in the box.

The density is that of samples of p(z_t | z_<t). Where the flow is not causal (`coupling`), the
noise of all steps is drawn, and the contours are those of p(z_t | T).
"""

import argparse
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.patches import Ellipse
from matplotlib.patheffects import withStroke
from scipy.ndimage import gaussian_filter
from torch import Tensor

import lnfgen
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.files import write_bytes
from lnfgen.flows.coupling import CouplingFlow
from lnfgen.flows.temporal import ContextFlow, InverseAutoregressiveFlow
from lnfgen.formats.rolltext import pitch_name
from lnfgen.models.latent_flow import LatentFlow
from lnfgen.models.sequence_model import SequenceModel
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

MOST_KEYS = 5
"""A frame is named by so many of its pitches."""

BLANKS = {" ": "␣", "\n": "↵", "\t": "⇥"}
"""Visible signs for blanks."""


class Step(NamedTuple):
    """A step of a piece: the sequence x, `[T]` of text or `[T, 1, P]` of music, and its place."""

    x: np.ndarray
    place: int


class View(NamedTuple):
    """What a panel shows of a step.

    Attributes:
        samples: of the step's prior, `[S, D]`.
        means, deviations: of the posteriors of C values, `[C, D]`.
        values: `[C]` or `[C, 1, P]`, the likeliest first.
        shares: `[C]`, of the samples.
    """

    samples: np.ndarray
    means: np.ndarray
    deviations: np.ndarray
    values: np.ndarray
    shares: np.ndarray


def chosen_steps(pool: list[np.ndarray], run: TrainedModel, texts: list[str]) -> list[Step]:
    """The step after each text, or else four steps of a sample of the pool.

    After a text the same sample goes on.
    """
    sample = pool[0]
    steps: list[Step] = []
    for text in texts:
        x = np.concatenate([run.encoding.encode(text), sample[:LENGTH]])
        steps.append(Step(x, len(text)))
    if not texts:
        for share in (0.125, 0.375, 0.625, 0.875):
            steps.append(Step(sample, round(share * len(sample))))
    return steps


def commonest(pool: list[np.ndarray]) -> np.ndarray:
    """The values that steps of the pool take most often, `[C]` or `[C, 1, P]`."""
    distinct, counts = np.unique(np.concatenate(pool), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return distinct[order[:MOST_VALUES]]


@torch.inference_mode()
def view_of(model: LatentFlow, step: Step, values: np.ndarray, shown: int, seed: int) -> View:
    """The prior at a step, and the posteriors with each value in the place of x_t.

    Of the values those `shown` that fit the prior best are in the view.
    """
    x = np.stack([step.x] * len(values))
    x[:, step.place] = values
    lengths = torch.full((len(x),), x.shape[1])
    mean, log_variance, positions = model.encode(torch.from_numpy(x), lengths)
    # Of the steps before t, z is the mean of the posterior with the first value in the place of
    # x_t.
    samples = prior_samples(model, mean[:1], positions[:1], step.place, seed).numpy()
    means = mean[:, step.place].numpy()
    deviations = (0.5 * log_variance[:, step.place]).exp().numpy()
    scaled = (samples[:, None] - means) / deviations
    distances = (scaled**2 + 2 * np.log(deviations)).sum(-1)
    shares = np.bincount(distances.argmin(1), minlength=len(values)) / len(samples)
    best = np.argsort(-shares, kind="stable")[:shown]
    return View(samples, means[best], deviations[best], values[best], shares[best])


def prior_samples(model: LatentFlow, z: Tensor, positions: Tensor, place: int, seed: int) -> Tensor:
    """Samples `[S, D]` of z_t given the earlier steps of z `[1, T, D]`."""
    prior = model.prior
    num_steps = torch.tensor([z.shape[1]])
    generator = torch.Generator().manual_seed(seed)
    if isinstance(prior, ContextFlow) and not isinstance(prior, InverseAutoregressiveFlow):
        context = prior.contexts(z, positions, num_steps)[:, place]
        noise = torch.randn(SAMPLES, prior.noise_size, generator=generator)
        return prior.features.draw(noise, context.expand(SAMPLES, -1))
    eps = prior.inverse(z, positions, num_steps)[0].repeat(SAMPLES, 1, 1)
    drawn = torch.randn(eps.shape, generator=generator)
    if is_joint(model):
        eps = drawn
    else:
        eps[:, place] = drawn[:, place]
    of_samples = positions.expand(SAMPLES, -1, -1)
    return prior(eps, of_samples, num_steps.expand(SAMPLES))[0][:, place]


def is_joint(model: SequenceModel) -> bool:
    """True if the steps of z are drawn together: by couplings over the whole sequence."""
    return isinstance(model, LatentFlow) and isinstance(model.prior, CouplingFlow)


def clearest_features(views: list[View]) -> tuple[int, int]:
    """The two features whose means of the values differ most beside the posteriors' deviations."""
    spreads = [view.means.std(0) / np.median(view.deviations, 0) for view in views]
    clearest = np.argsort(-np.mean(spreads, 0))[:2]
    first, second = sorted(clearest.tolist())
    return first, second


def name_of(run: TrainedModel, value: np.ndarray) -> str:
    """A character, with a visible sign for a blank; or the pitches of a frame."""
    encoding = run.encoding
    if isinstance(encoding, TextEncoding):
        symbol = encoding.vocabulary[int(value)]
        return BLANKS.get(symbol, symbol)
    assert isinstance(encoding, MusicEncoding)
    (frame,) = value  # of one part
    keys = frame.nonzero()[0][:MOST_KEYS]
    pitches = [pitch_name(encoding.lowest_pitch + int(key)) for key in keys]
    return " ".join(pitches) or "rest"


def title_of(run: TrainedModel, step: Step, view: View) -> str:
    """What goes before the step, and the likeliest values."""
    before = [name_of(run, value) for value in step.x[max(0, step.place - LENGTH) : step.place]]
    if isinstance(run.encoding, TextEncoding):
        where = "".join(before)
        most = 3
    else:
        where = before[-1]
        most = 1
    found: list[str] = []
    for value, share in zip(view.values[:most], view.shares, strict=False):
        if share >= 0.01:
            found.append(f"{name_of(run, value)} {100 * share:.0f} %")
    return f"after {where}: {', '.join(found)}"


def draw_panel(
    axis: Any, view: View, names: list[str], features: tuple[int, int], window: np.ndarray
) -> None:
    """Contours of the samples' density, and ellipses.

    `window` is `[2, 2]`, a low and a high end for each feature.
    """
    _draw_contours(axis, view, features, window)
    means = view.means[:, features]
    deviations = view.deviations[:, features]
    halo = [withStroke(linewidth=2, foreground="white")]
    for index, name in enumerate(names):
        is_likeliest = index == 0
        color = ACCENT if is_likeliest else "#333333"
        for times in (1, 2):
            width, height = 2 * times * deviations[index]
            ring = Ellipse(
                means[index],
                width,
                height,
                fill=False,
                edgecolor=color,
                linewidth=1.8 if is_likeliest else 0.8,
            )
            axis.add_patch(ring)
        axis.text(
            *means[index],
            name,
            color=color,
            fontsize=11 if is_likeliest else 9,
            ha="center",
            va="center",
            parse_math=False,
            path_effects=halo,
        )
    axis.set(xlim=window[0], ylim=window[1], xlabel=f"latent feature {features[0]}")
    axis.tick_params(labelsize=8)


def _draw_contours(axis: Any, view: View, features: tuple[int, int], window: np.ndarray) -> None:
    """The smallest regions that hold the `MASSES` of the samples."""
    samples = view.samples[:, features]
    counts, _, _ = np.histogram2d(samples[:, 0], samples[:, 1], CELLS, window.tolist())
    typical = np.median(view.deviations[:, features], 0)
    cells_of_deviation = typical * CELLS / np.diff(window)[:, 0]
    density = gaussian_filter(counts, SMOOTHING * cells_of_deviation).T
    ordered = np.sort(density.ravel())[::-1]
    held = np.cumsum(ordered) / max(ordered.sum(), 1e-9)
    levels = np.unique(ordered[np.searchsorted(held[:-1], MASSES)])
    if len(levels) < 2:
        return
    extent = window.ravel().tolist()
    filled = [*levels, 1.001 * density.max()]
    axis.contourf(density, filled, cmap="Blues", alpha=0.6, extent=extent)
    axis.contour(density, levels, colors=MID, linewidths=0.6, extent=extent)


def window_of(views: list[View], features: tuple[int, int]) -> np.ndarray:
    """`[2, 2]`: the low and the high end of each feature, for all panels."""
    reach: list[np.ndarray] = []
    for view in views:
        far = 2.5 * view.deviations
        reach += [view.samples, view.means - far, view.means + far]
    ends = np.quantile(np.concatenate(reach)[:, features], (0.002, 0.998), axis=0)
    margins = np.outer([-0.05, 0.05], ends[1] - ends[0])
    return (ends + margins).T


def picture(run: TrainedModel, steps: list[Step], views: list[View], suffix: str) -> bytes:
    """The file of a picture with a panel for each step."""
    features = clearest_features(views)
    window = window_of(views, features)
    columns = min(len(steps), 2)
    rows = math.ceil(len(steps) / columns)
    figure = new_figure(4.6 * columns, 4.3 * rows + 0.4)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axis, step, view in zip(panels.flat, steps, views, strict=False):
        names = [name_of(run, value) for value in view.values]
        draw_panel(axis, view, names, features, window)
        axis.set_title(title_of(run, step, view), loc="left", fontsize=9, parse_math=False)
    for axis in panels.flat[len(steps) :]:
        axis.set_visible(False)
    for axis in panels[:, 0]:
        axis.set_ylabel(f"latent feature {features[1]}")
    given = "T" if is_joint(run.model) else "z_<t"
    title = f"{run.run.name}: {run.run.config.model.name} on {run.run.dataset['name']}"
    legend = f"contours: p(z_t | {given}); ellipses: q(z_t | x), that of the likeliest bold"
    set_title(figure, f"{title}\n{legend}")
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
    model = fitting_model(run, asked.run, asked.texts)
    pool: list[np.ndarray] = []
    for piece in run.sample(16, length=4 * LENGTH, seed=asked.seed):
        pool.append(run.encoding.encode(piece))
    values = commonest(pool)
    shown = asked.values or (12 if isinstance(run.encoding, TextEncoding) else 7)
    steps = chosen_steps(pool, run, asked.texts)
    views = [view_of(model, step, values, shown, asked.seed) for step in steps]
    write_bytes(asked.out, picture(run, steps, views, suffix))


def fitting_model(run: TrainedModel, name: str, texts: list[str]) -> LatentFlow:
    """The model of a run of which a picture can be made; else a line ends the program."""
    if not isinstance(run.model, LatentFlow) or run.model.latent < 2:
        found = f"{name} is a run of {run.run.config.model.name}"
        raise SystemExit(f"error: {found}; expected a latent of at least 2 features")
    if run.encoding.roles:
        raise SystemExit(
            f"error: {name} makes songs of a band; expected music of one part, or text"
        )
    if texts and not isinstance(run.encoding, TextEncoding):
        found = f"{name} makes music, which has no text before a step"
        raise SystemExit(f"error: {found}; leave the texts out")
    return run.model


if __name__ == "__main__":
    main()
