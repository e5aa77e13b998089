"""`lnfgen vary`."""

from typing import Annotated

import typer

from lnfgen.cli import console
from lnfgen.cli.own_piece import DrawingOptions, PieceSource, shares_options
from lnfgen.conventions import AMOUNT


@shares_options()
def command(
    drawing: DrawingOptions,
    piece: PieceSource,
    amount: Annotated[
        float,
        typer.Option(
            help="Share to draw anew: 0 gives the piece itself, 1 a fresh piece of its length."
        ),
    ] = AMOUNT,
) -> None:
    """Draw a share of a piece anew, chosen at random, keep the rest, and print the files written.

    The share is counted in bars of each voice, or part of a band, or in spans of eight characters
    of a text. The rest stays exactly.
    """
    task = drawing.prepare("vary", piece)
    with console.jobs() as progress:
        task.model.vary(task.piece, amount=amount, **task.drawing(progress))
    task.close(amount=amount)
