"""`lnfgen eval`."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

import typer

from lnfgen.cli import console, options
from lnfgen.conventions import NLL_SAMPLES, SplitName


def command(
    run: options.Run = None,
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="Dataset, or a file to score whole.", show_default="the dataset of the run"
        ),
    ] = None,
    nll: Annotated[
        bool, typer.Option("--nll", help="Print the importance-sampled NLL too.")
    ] = False,
    samples: Annotated[
        int, typer.Option(min=1, help="Samples of the latent for each sequence (K).")
    ] = NLL_SAMPLES,
    split: Annotated[
        SplitName | None,
        typer.Option(help="Split to score.", show_default="test, or all of a file"),
    ] = None,
    passes: options.Passes = None,
    seed: options.FixedSeed = 0,
    precision: Annotated[
        Literal["float32", "bfloat16"],
        typer.Option(
            help="Of the networks: float32 or bfloat16. Densities are in float32 either way."
        ),
    ] = "float32",
    device: options.Device = "auto",
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Score a run on a split or on a file of yours: NLL, ELBO and its parts.

    All figures are costs in nats per time step (music) or bits per character (text): lower is
    better. They include the cost of the length T of each sequence, and are divided by the sum of T
    + 1.

    A file is scored whole, on the model's grid and range of pitches. A folder, and a file with
    --split, is first made into a dataset, as by train. Files are read with the same --tracks,
    --parts, --chunks and --max-length as those of the run's dataset.
    """
    from lnfgen.api import load
    from lnfgen.cli.sources import resolve_run
    from lnfgen.runs.material import material_of

    folder = resolve_run(run)
    with console.jobs() as progress:
        material = material_of(folder, dataset, split, progress)
        trained = load(folder.path, device, passes)
        if material.tracks:
            console.note(f"{material.name}: {material.tracks}")
        figures = trained.nll(
            material, samples=samples, seed=seed, precision=precision, progress=progress
        )
    values: dict[str, Any] = {
        "nll": figures.nll,  # the first row
        **asdict(figures),
        "unit": trained.encoding.unit,
        "split": material.split,
        "dropped": material.dropped,
        **trained.run.config.model.facts(),
        "passes": trained.passes,
        "dataset": material.name,
        "run": trained.run.name,
    }
    del values["each"]
    if not nll:
        del values["nll"], values["sounding_nll"]
    if json:
        console.result_json(values)
    else:
        known = {name: value for name, value in values.items() if value is not None}
        shown = (
            (name, f"{value:.4f}" if isinstance(value, float) else value)
            for name, value in known.items()
        )
        scored = material.name if material.split == "all" else f"{material.name}, {material.split}"
        console.result_table(f"{trained.run.config.model.name} on {scored}", shown)
