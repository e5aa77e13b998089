"""`lnfgen eval`."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

import typer

from lnfgen.cli import console, options
from lnfgen.conventions import NLL_SAMPLES, SplitName


# Each argument is an option that a person has.
def command(  # noqa: PLR0913
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
    split: Annotated[
        SplitName | None,
        typer.Option(help="Split of a dataset.", show_default="test, or all of a file"),
    ] = None,
    seed: options.FixedSeed = 0,
    json: options.Json = False,
    quiet: options.Quiet = False,
    samples: Annotated[
        int,
        typer.Option(
            min=1,
            max=1_000_000,
            rich_help_panel=options.EFFORT,
            help="Samples of the latent for each sequence (K).",
        ),
    ] = NLL_SAMPLES,
    passes: options.Passes = None,
    precision: Annotated[
        Literal["float32", "bfloat16"],
        typer.Option(
            rich_help_panel=options.EFFORT,
            help="Of the networks: float32 or bfloat16. Densities are in float32 either way.",
        ),
    ] = "float32",
    device: options.Device = "auto",
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
    from lnfgen.runs.evaluation_data import evaluation_data_of

    folder = resolve_run(run)
    with console.jobs() as progress:
        data = evaluation_data_of(folder, dataset, split, progress)
        trained = load(folder.path, device, passes)
        if data.tracks:
            console.note(f"{data.name}: {data.tracks}")
        figures = trained.nll(
            data, samples=samples, seed=seed, precision=precision, progress=progress
        )
    values: dict[str, Any] = {
        "nll": figures.nll,  # the first row
        **asdict(figures),
        "unit": trained.encoding.unit,
        "split": data.split,
        "dropped": data.dropped,
        **trained.run.config.model.facts(),
        "passes": trained.passes,
        "dataset": data.name,
        "run": trained.run.name,
    }
    del values["each"]
    if not nll:
        del values["nll"], values["sounding_nll"]
    if json:
        console.result_json(values)
        return
    rows: list[tuple[str, object]] = []
    for name, value in values.items():
        if isinstance(value, float):
            rows.append((name, f"{value:.4f}"))
        elif value is not None:
            rows.append((name, value))
    scored = data.name
    if data.split != "all":
        scored += f", {data.split}"
    console.result_table(f"{trained.run.config.model.name} on {scored}", rows)
