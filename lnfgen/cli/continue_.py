"""`lnfgen continue`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lnfgen.cli.own_piece import DrawingOptions, Source, shares_options


@shares_options
def command(
    drawing: DrawingOptions,
    intro: Source,
    length: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Time steps or characters to add.",
            show_default="drawn, as in the training data",
        ),
    ] = None,
    bars: Annotated[
        int | None, typer.Option(min=1, help="Bars to add, in place of --length.")
    ] = None,
) -> None:
    """Go on from the end of a piece or a text, which stays exactly as it is, and print the files
    written.

    Music goes on with at most as many keys at once as its last two bars have, or as --voices says.
    A band goes on in all its parts.
    """
    from lnfgen.formats.read_write import WITH_VOICES

    voices = drawing.voices
    # voices are no more than a limit
    if drawing.out != "-" and Path(drawing.out).suffix.lower() not in WITH_VOICES:
        drawing = replace(drawing, voices=None)
    drawing.draw("continue", intro, "extend", length=length, bars=bars, voices=voices)
