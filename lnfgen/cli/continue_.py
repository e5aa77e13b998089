"""`lnfgen continue`."""

from typing import TYPE_CHECKING, Annotated

import typer

from lnfgen.cli import given
from lnfgen.cli.options import Device, Json, Programs, Quiet, Seed, Tracks
from lnfgen.conventions import PARTICLES

if TYPE_CHECKING:
    from lnfgen.formats import Piece
    from lnfgen.given import Given
    from lnfgen.runs.trained import TrainedModel


def command(
    intro: given.Source,
    out: given.Out,
    length: Annotated[
        int | None,
        typer.Option(
            min=1, help="Time steps or characters to add.", show_default="drawn, as pieces of the training data go on"
        ),
    ] = None,
    bars: Annotated[int | None, typer.Option(min=1, help="Bars to add, instead of --length.")] = None,
    model: given.Model = None,
    count: given.Count = 1,
    temperature: given.Temperature = 1.0,
    particles: given.Particles = PARTICLES,
    seed: Seed = None,
    tracks: Tracks = "all",
    program: Programs = "0",
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Go on from the end of a piece or a text, which stays exactly as it is, and print the files written."""

    def find(trained: "TrainedModel", found: "Piece", seed: int) -> "Given":
        from lnfgen.filling import added_steps
        from lnfgen.given import given_intro

        added = added_steps(trained.model, trained.encoding, found, length, bars, seed)
        return given_intro(trained.encoding, found, added)

    asked = given.Asked(out, model, count, seed, tracks, program, device, json)
    given.draw_given(intro, asked, find, "going on", temperature=temperature, particles=particles)
