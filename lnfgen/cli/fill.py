"""`lnfgen fill`."""

from typing import Annotated

import typer

from lnfgen.cli import console
from lnfgen.cli.own_piece import DrawingOptions, PieceSource, shares_options


@shares_options()
def command(
    drawing: DrawingOptions,
    piece: PieceSource,
    free: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART",
            help="Draw this part anew: bars:5-8, steps:1-16, keys:C3-C5, voice:2, below-melody or "
            "above-bass, and of a band part:drums; with commas, only what all of them cover. Of a "
            "text: characters, such as 10-20,35. Repeatable.",
            show_default="the gaps of a text",
        ),
    ] = None,
    gap: Annotated[
        str | None,
        typer.Option(help="Character that marks each missing one in a text.", show_default="_"),
    ] = None,
) -> None:
    """Keep a part of a piece as it is, draw the rest, and print the files written.

    Everything that --free does not name is kept exactly: notes, held notes and silence. A text may
    have gaps in place of --free: each _, or where the model writes _ itself, as folk-abc does, the
    character that --gap names.
    """
    task = drawing.prepare("fill", piece)
    with console.jobs() as progress:
        task.model.fill(task.piece, free or [], gap=gap, **task.drawing(progress))
    task.close()
