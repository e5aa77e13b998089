"""`lnfgen vary`."""

from typing import Annotated

import typer

from lnfgen.cli.own_piece import DrawingOptions, Source, shares_options
from lnfgen.conventions import AMOUNT


@shares_options
def command(
    drawing: DrawingOptions,
    piece: Source,
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
    drawing.draw("vary", piece, "vary", shown=["amount"], amount=amount)
