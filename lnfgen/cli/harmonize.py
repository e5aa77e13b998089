"""`lnfgen harmonize`."""

from functools import partial
from typing import Annotated

import typer

from lnfgen.cli.own_piece import DrawingOptions, shares_options
from lnfgen.conventions import MELODY_PARTICLES


@partial(shares_options, tracks="melody", particles=MELODY_PARTICLES)
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
    drawing.draw("harmonize", melody, "harmonize", music_alone=True, above=above)
