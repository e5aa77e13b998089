"""`lnfgen compare`: compare sampled music with a split, or any music with other music."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lnfgen.cli import console, options
from lnfgen.conventions import MUSIC_COUNT, SplitName
from lnfgen.errors import LnfgenError
from lnfgen.files import write_bytes
from lnfgen.wording import counted

if TYPE_CHECKING:
    from lnfgen.music.comparison import MusicComparison


def command(
    first: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN|MUSIC",
            help="Run or model; or a file, folder or dataset of music.",
            show_default=options.USUAL_RUN,
        ),
    ] = None,
    second: Annotated[
        str | None,
        typer.Argument(
            metavar="DATASET|MUSIC",
            help="Music to compare it with.",
            show_default="the run's dataset",
        ),
    ] = None,
    split: Annotated[SplitName, typer.Option(help="Split of datasets.")] = "test",
    count: Annotated[
        int | None,
        typer.Option(min=1, help="Pieces to sample from a run.", show_default=str(MUSIC_COUNT)),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(min=0.0, help="Below 1 safer samples, above 1 wilder.", show_default="1"),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the distributions into this .png, .svg or .pdf.")
    ] = None,
    seed: options.FixedSeed = 0,
    device: options.Device = "auto",
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare music that a run samples with a split of its dataset, or any music with other music.

    Both sides are cut into passages of 32 quarters or less. The table has a row for each figure,
    for instance the
    length of notes: its median on both sides, its 5 and 95 % quantiles, and the share of the first
    side's passages that lie inside the quantiles of the second. Music with parts, such as drums and
    a bass, also has figures of each part.

    AUC measures how well a classifier tells the two sides apart by these figures: 0.5 is not at
    all, 1 is always.
    """
    from lnfgen.api import compare, load
    from lnfgen.cli.sources import resolve_run
    from lnfgen.plots.canvas import require_picture
    from lnfgen.runs.material import scored_dataset
    from lnfgen.runs.naming import find

    if plot is not None:
        require_picture(plot)
    facts: dict[str, Any] = {"split": split, "seed": seed}
    if first is None or find(first, "run", "dataset", "files").kind == "run":
        run = resolve_run(first)
        facts |= {
            "count": count or MUSIC_COUNT,
            "temperature": 1.0 if temperature is None else temperature,
        }
        with console.jobs() as progress:
            dataset = scored_dataset(run, second, progress)
            comparison = load(run.path, device).compare(dataset, progress=progress, **facts)
        samples, reference = "samples", f"{dataset.name}, {split}"
        facts |= {"model": run.config.model.name, "dataset": dataset.name, "run": run.name}
    else:
        for_runs = {
            "count": count is not None,
            "temperature": temperature is not None,
            "device": device != "auto",
        }
        if given := [name for name, is_given in for_runs.items() if is_given]:
            raise LnfgenError(
                f"found --{given[0]}, but {first} is no run to sample from; name a run, or leave it out"
            )
        if second is None:
            raise LnfgenError(
                f"{first} is no run; expected a run, or two sets of music: lnfgen compare {first} OTHER"
            )
        with console.jobs() as progress:
            comparison = compare(first, second, progress=progress, **facts)
        samples, reference = first.name or str(first), Path(second).name or second
        facts |= {"samples": str(first), "reference": second}
    title = f"{samples} beside {reference}"
    if json:
        console.result_json({**comparison.to_json(), **facts})
    else:
        columns = (
            "figure",
            f"{reference}: median",
            "5 to 95 %",
            f"{samples}: median",
            "5 to 95 %",
            "inside",
        )
        console.result_table(title, _rows(comparison), columns)
        console.result("")
        console.result_table("", _summary(comparison, samples, reference))
    if plot is not None:
        from lnfgen.plots.distributions import figure_distributions

        title += f", AUC {_number(comparison.auc)}"
        write_bytes(
            plot, figure_distributions(comparison, title, samples, reference, plot.suffix.lower())
        )
        console.note(f"drawn: {plot}")


def _rows(comparison: "MusicComparison") -> Iterator[tuple[str, ...]]:
    from lnfgen.music.comparison import spread

    for row in comparison.figures.values():
        cells = [row.label]
        for values in (row.reference, row.samples):
            low, middle, high = spread(values)
            cells += [
                _number(middle),
                "-" if math.isnan(middle) else f"{_number(low)} to {_number(high)}",
            ]
        yield (*cells, "-" if math.isnan(row.inside) else f"{100 * row.inside:.0f} %")


def _summary(
    comparison: "MusicComparison", samples: str, reference: str
) -> Iterator[tuple[str, str]]:
    known = "0.5: a classifier cannot tell the two apart; 1: it always can"
    scale = "not known: it needs more pieces on each side" if math.isnan(comparison.auc) else known
    yield "AUC", f"{_number(comparison.auc)} ({scale})"
    ours, theirs = _number(comparison.samples_variety), _number(comparison.reference_variety)
    yield "variety", f"{samples} {ours}, {reference} {theirs} (mean distance between two passages)"
    yield "most copied", f"{_number(comparison.most_copied)} quarters in a row"
    first = (
        f"{samples} {comparison.samples_windows} from {counted(comparison.samples_pieces, 'piece')}"
    )
    second = f"{reference} {comparison.reference_windows} from {counted(comparison.reference_pieces, 'piece')}"
    yield "passages", f"of {comparison.window_quarters:g} quarters: {first}; {second}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"
