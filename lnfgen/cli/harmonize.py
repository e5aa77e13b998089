"""`lnfgen harmonize`."""

from typing import Annotated

import typer

from lnfgen.cli import console
from lnfgen.cli.own_piece import DrawingOptions, shares_options
from lnfgen.conventions import MELODY_PARTICLES


@shares_options(tracks="melody", particles=MELODY_PARTICLES)
def command(
    drawing: DrawingOptions,
    melody: Annotated[str, typer.Argument(help="A piece of music; - is stdin.")],
    above: Annotated[
        bool, typer.Option("--above", help="Keep the lowest line, and draw above it.")
    ] = False,
) -> None:
    """Keep a melody exactly, draw what sounds below it, and print the files written.

    The melody is the highest line of its track; with --tracks all, that of the whole piece. A bass
    is kept by --above --tracks bass. A model of a band keeps the part melody, or with --above the
    bass, and draws all other parts.
    """
    task = drawing.prepare("harmonize", melody, music_alone=True)
    with console.jobs() as progress:
        task.model.harmonize(task.piece, above=above, **task.drawing(progress))
    task.close()
