"""`lnfgen continue`."""

from typing import Annotated

import typer

from lnfgen.cli.options import Device, Json, Programs, Quiet, Seed, Tracks
from lnfgen.cli.own_piece import Count, Model, Out, Particles, Settings, Source, Temperature, draw_pieces
from lnfgen.conventions import PARTICLES


def command(
    intro: Source,
    out: Out,
    length: Annotated[
        int | None,
        typer.Option(
            min=1, help="Time steps or characters to add.", show_default="drawn, as pieces of the training data go on"
        ),
    ] = None,
    bars: Annotated[int | None, typer.Option(min=1, help="Bars to add, instead of --length.")] = None,
    model: Model = None,
    count: Count = 1,
    temperature: Temperature = 1.0,
    particles: Particles = PARTICLES,
    seed: Seed = None,
    tracks: Tracks = "all",
    program: Programs = "0",
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Go on from the end of a piece or a text, which stays exactly as it is, and print the files written."""
    settings = Settings(intro, out, model, count, temperature, particles, seed, tracks, program, device, json)
    draw_pieces(settings, lambda trained, own, **drawing: trained.extend(own, length=length, bars=bars, **drawing))
