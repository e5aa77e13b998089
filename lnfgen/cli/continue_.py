"""`lnfgen continue`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lnfgen.cli import console
from lnfgen.cli.own_piece import DrawingOptions, PieceSource, shares_options


@shares_options()
def command(
    drawing: DrawingOptions,
    intro: PieceSource,
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
    """Go on from the end of a piece or a text, which stays as it is, and print the files written.

    Music goes on with at most as many keys at once as its last two bars have, or as --voices says.
    A band goes on in all its parts.
    """
    from lnfgen.formats.read_write import WITH_VOICES

    voices = drawing.voices
    is_stdout = drawing.out == "-"
    if not is_stdout and Path(drawing.out).suffix.lower() not in WITH_VOICES:
        # In a format without voices, they limit the keys at once and no more.
        drawing = replace(drawing, voices=None)
    task = drawing.prepare("continue", intro)
    with console.jobs() as progress:
        task.model.extend(
            task.piece, length=length, bars=bars, voices=voices, **task.drawing(progress)
        )
    task.close()
