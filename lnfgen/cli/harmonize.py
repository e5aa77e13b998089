"""`lnfgen harmonize`."""

from typing import TYPE_CHECKING, Annotated

import typer

from lnfgen.cli import given
from lnfgen.cli.options import Device, Json, Programs, Quiet, Seed, Tracks
from lnfgen.conventions import MELODY_PARTICLES

if TYPE_CHECKING:
    from lnfgen.formats import Piece
    from lnfgen.given import Given
    from lnfgen.runs.trained import TrainedModel


def command(
    melody: Annotated[str, typer.Argument(help="A piece of music; - is stdin.")],
    out: given.Out,
    model: given.Model = None,
    count: given.Count = 1,
    temperature: given.Temperature = 1.0,
    particles: given.Particles = MELODY_PARTICLES,
    seed: Seed = None,
    tracks: Tracks = "melody",
    program: Programs = "0",
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Keep a melody exactly, draw what sounds below it, and print the files written.

    The melody is the highest line of its track; with --tracks all, that of the whole piece.
    """

    def find(trained: "TrainedModel", found: "Piece", seed: int) -> "Given":
        from lnfgen.given import given_melody

        return given_melody(trained.encoding, found)

    asked = given.Asked(out, model, count, seed, tracks, program, device, json)
    given.draw_given(melody, asked, find, "harmonizing", temperature=temperature, particles=particles)
