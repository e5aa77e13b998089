"""`lnfgen eval`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lnfgen.cli import console, options
from lnfgen.config import PRECISIONS
from lnfgen.conventions import NLL_SAMPLES
from lnfgen.errors import LnfgenError

if TYPE_CHECKING:
    from lnfgen.inference.scoring import Score
    from lnfgen.runs.material import Material
    from lnfgen.runs.trained import TrainedModel


def command(
    run: options.Run = None,
    dataset: Annotated[
        str | None, typer.Argument(help="Dataset, or a file to score whole.", show_default="the one it was trained on")
    ] = None,
    nll: Annotated[bool, typer.Option("--nll", help="Also the importance-sampled NLL.")] = False,
    samples: Annotated[int, typer.Option(min=1, help="Samples K of the latent for each sequence.")] = NLL_SAMPLES,
    split: Annotated[
        str | None, typer.Option(help="train, valid or test.", show_default="test, or all of a file")
    ] = None,
    seed: Annotated[int, typer.Option(callback=options.checked_seed, help="Random seed of all that is drawn.")] = 0,
    precision: options.Precision = None,
    device: options.Device = "auto",
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Score a run on a split or on a file of yours: NLL, ELBO and its parts.

    All figures are costs in nats per time step (music) or bits per character (text): lower is better. They
    include the cost of the length T of each sequence, and are divided by the sum of T + 1.

    A file is scored whole, brought onto the model's grid and range of pitches; with --split it is made into a dataset,
    as train would. Files and folders are read as those of the run's dataset were: on the same grid, with the same
    --tracks, --drums, --chunks and --max-length.
    """
    if precision not in (None, *PRECISIONS):
        raise LnfgenError(f"--precision: found {precision!r}, expected float32 or bfloat16")

    from lnfgen.cli.sources import resolve_run

    folder = resolve_run(run)

    from lnfgen.api import load
    from lnfgen.runs.material import material_of

    with console.jobs() as progress:
        material = material_of(folder, dataset, split, progress)
    trained = load(folder.path, device)
    if material.tracks:
        console.note(f"{material.name}: {material.tracks}")
    with console.about(material.name), console.jobs() as progress:
        figures = trained.nll(material, samples=samples, seed=seed, precision=precision or "float32", progress=progress)
    values = _values(trained, material, figures, nll)
    if json:
        console.result_json(values)
    else:
        known = {name: value for name, value in values.items() if value is not None}
        shown = ((name, f"{value:.4f}" if isinstance(value, float) else value) for name, value in known.items())
        scored = material.name if material.split == "all" else f"{material.name}, {material.split}"
        console.result_table(f"{trained.run.config.model.name} on {scored}", shown)


def _values(trained: TrainedModel, material: Material, figures: Score, nll: bool) -> dict[str, Any]:
    """Return the figures and what they were measured on, as `--json` prints them."""
    return {
        **({"nll": figures.nll} if nll else {}),
        "elbo": figures.elbo,
        "reconstruction": figures.reconstruction,
        "kl": figures.kl,
        "length": figures.length,
        "unit": trained.encoding.unit,
        "marginal_nll": figures.marginal_nll,
        **({"sounding_nll": figures.sounding_nll} if nll and figures.sounding_nll is not None else {}),
        "samples": figures.samples,
        "split": material.split,
        "sequences": figures.sequences,
        "steps": figures.steps,
        "dropped": material.dropped,
        **trained.run.config.model.facts(),
        "dataset": material.name,
        "run": trained.run.name,
    }
