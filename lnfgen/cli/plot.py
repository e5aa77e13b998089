"""`lnfgen plot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lnfgen.cli import console
from lnfgen.cli.options import USUAL_RUN, Quiet, Seed, drawn_seed
from lnfgen.errors import LnfgenError

if TYPE_CHECKING:
    from lnfgen.runs.folder import RunFolder


def command(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Run folders or models in the box, several to compare.", show_default=USUAL_RUN),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write: .png, .svg or .pdf.", show_default="curves.png or latents.png")
    ] = None,
    latents: Annotated[
        bool, typer.Option("--latents", help="Draw the prior's modes and the posteriors, not curves.")
    ] = False,
    prefix: Annotated[
        list[str] | None,
        typer.Option(
            help="With --latents of a text run: draw what may follow this text. It may be given several times."
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="I,J",
            help="With --latents: the two latent features to draw.",
            show_default="those that tell symbols apart best",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="With --latents: a copy of the run's dataset.", show_default="where it was in training"),
    ] = None,
    seed: Seed = None,
    quiet: Quiet = False,
) -> None:
    """Draw training curves, or with --latents what a run's prior has learned, and print the file written.

    Of several runs it draws the valid ELBO of each against its updates.

    --latents shows contours of p(z_t | z_<t, T) in two latent features at a few steps of a piece of the valid split,
    and over them q(z_t | x) for the true symbol or frame and for the most frequent ones, as ellipses of 1 and 2
    standard deviations.
    """
    from lnfgen.cli.sources import resolve_run
    from lnfgen.files import write_bytes
    from lnfgen.plots.canvas import require_picture

    for option, value in {"--prefix": prefix, "--features": features, "--dataset": dataset, "--seed": seed}.items():
        if value not in (None, []) and not latents:
            raise LnfgenError(f"found {option}, which curves do not have; add --latents")
    if latents and len(runs or []) > 1:
        raise LnfgenError(f"found {len(runs or [])} runs, and --latents looks into one; name one of them")
    target = out or Path("latents.png" if latents else "curves.png")
    suffix = require_picture(target)
    folders = [resolve_run(path) for path in runs] if runs else [resolve_run(None)]
    if latents:
        picture = _latents(folders[0], dataset, prefix or [], features, seed, suffix)
    else:
        picture = _curves(folders[0], suffix) if len(folders) == 1 else _compared(folders, suffix)
    write_bytes(target, picture)
    console.result(str(target))


def _title(run: RunFolder) -> str:
    return f"{run.path.resolve().name}: {run.config.name} on {run.dataset['name']}"


def _curves(run: RunFolder, suffix: str) -> bytes:
    from lnfgen.plots.curves import training_curves

    return training_curves(run.metrics(), run.encoding.unit, _title(run), str(run.path / "metrics.jsonl"), suffix)


def _compared(runs: list[RunFolder], suffix: str) -> bytes:
    from lnfgen.conventions import UNIT_WORDS
    from lnfgen.plots.curves import Course, compared_curves
    from lnfgen.runs.naming import distinct_names

    units = {run.encoding.unit: run for run in runs}
    if len(units) > 1:
        found = ", ".join(f"{run.name} is in {UNIT_WORDS[unit]}" for unit, run in units.items())
        raise LnfgenError(f"cannot draw runs of different units together: {found}; draw each kind by itself")
    names = distinct_names([run.path for run in runs])
    courses = [
        Course(name, run.metrics(), str(run.path / "metrics.jsonl")) for name, run in zip(names, runs, strict=True)
    ]
    return compared_curves(courses, runs[0].encoding.unit, suffix)


def _latents(
    run: RunFolder, source: str | None, prefixes: list[str], features: str | None, seed: int | None, suffix: str
) -> bytes:
    from lnfgen.flows.temporal import TemporalFlow
    from lnfgen.plots.conditionals import load_latent_model, views_of
    from lnfgen.plots.latents import draw_views
    from lnfgen.plots.steps import choose_steps
    from lnfgen.runs.dataset import dataset_of

    model = load_latent_model(run)
    pair = None if features is None else _pair(features, model.latent)
    seed = drawn_seed(seed)
    dataset = dataset_of(run, source, advice=f"name a copy of it: lnfgen plot {run.name} --latents --dataset DATASET")
    steps = choose_steps(dataset, prefixes, seed)
    with console.live("sampling the prior", len(steps)) as bar:
        views = views_of(model, steps, features=pair, seed=seed, progress=bar.update)
    if views.given != TemporalFlow.given:
        console.note(
            f"{run.config.model.time} is not causal in time: the contours are p(z_t | {views.given}), not "
            f"p(z_t | {TemporalFlow.given})"
        )
    return draw_views(steps, views, run.encoding, _title(run), suffix)


def _pair(features: str, latent: int) -> tuple[int, int]:
    """The two numbers that `--features` gives."""
    words = features.split(",")
    if len(words) == 2 and all(word.strip().isdecimal() for word in words):
        first, second = map(int, words)
        if first != second and max(first, second) < latent:
            return first, second
    raise LnfgenError(f"--features {features}: expected two different numbers from 0 to {latent - 1}, such as 0,1")
