"""`lnfgen preprocess`: make a dataset folder from files, folders or a named dataset."""

from pathlib import Path
from typing import Annotated

import typer

from lnfgen.cli import console, options
from lnfgen.conventions import Kind


# Each argument is an option that a person has.
def command(  # noqa: PLR0913
    source: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders, or the name of one dataset of `lnfgen list --datasets`."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Dataset folder to write.", show_default="./NAME of source")
    ] = None,
    as_: Annotated[
        Kind | None, typer.Option("--as", help="Read all files as this.", show_default="by suffix")
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Cut music at bar lines to this many steps; drop lines of text over this many "
            "characters.",
            show_default="256 steps, 288 characters",
        ),
    ] = None,
    chunks: Annotated[
        bool, typer.Option("--chunks", help="Cut text every --max-length characters, not at lines.")
    ] = False,
    shares: Annotated[
        str,
        typer.Option(
            help="Shares of train, valid and test, if the files are not named after the splits."
        ),
    ] = "0.8,0.1,0.1",
    seed: options.FixedSeed = 0,
    steps_per_quarter: options.StepsPerQuarter = 4,
    tracks: options.Tracks = "all",
    parts: options.Parts = "auto",
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail on the first unreadable file.")
    ] = False,
    download: Annotated[
        bool, typer.Option("--download", help="Download the files of a named dataset.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            rich_help_panel=options.EFFORT,
            help="Processes that read music. The result is the same.",
            show_default="processors, to 16",
        ),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make a dataset folder of music, text, benchmark files or a named dataset, and print its path.

    Files that are named train, valid and test, or are in folders with these names, become these
    splits. Otherwise whole pieces are dealt in an order that --seed decides, so that the steps of
    the splits keep to the shares. If there are too few, each is cut into the splits. Copies are
    left out.

    Lead sheets, which are melodies with chord symbols, become songs of a band whose chords and bass
    play the symbols. With --parts 1 they are the melodies alone.

    A file that takes over 20 CPU seconds or 1,500 MB of memory to read is left out. The environment
    variables LNFGEN_READ_SECONDS and LNFGEN_READ_MB allow more.
    """
    from lnfgen.api import preprocess
    from lnfgen.cli.sources import tell_sizes
    from lnfgen.data.facts import dataset_facts

    with console.jobs() as progress:
        dataset = preprocess(
            source,
            out,
            kind=as_,
            max_length=max_length,
            chunks=chunks,
            shares=_shares(shares),
            seed=seed,
            steps_per_quarter=steps_per_quarter,
            parts=parts,
            strict=strict,
            tracks=tracks,
            download=download,
            jobs=jobs,
            progress=progress,
        )
    if as_json:
        facts = {"path": str(dataset.path), **dataset_facts(dataset)}
        if dataset.survey:
            facts["verdict"] = dataset.survey.facts(*source)
        console.result_json(facts)
    else:
        tell_sizes(dataset, *source)
        console.result(str(dataset.path))


def _shares(words: str) -> tuple[float, float, float]:
    try:
        train, valid, test = (float(share) for share in words.split(","))
    except ValueError:
        found = f"{words!r}; expected three shares, such as 0.8,0.1,0.1"
        raise typer.BadParameter(found, param_hint="--shares") from None
    return train, valid, test
