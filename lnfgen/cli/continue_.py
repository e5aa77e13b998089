"""`lnfgen continue`."""

from typing import Annotated

import typer

from lnfgen.cli.options import Device, Json, Programs, Quiet, Seed, Tracks
from lnfgen.cli.own_piece import Count, Model, Out, Particles, Source, Temperature, draw_pieces
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
    draw_pieces(
        lambda trained, piece, **settings: trained.extend(piece, length=length, bars=bars, **settings),
        intro,
        out,
        model,
        count=count,
        temperature=temperature,
        particles=particles,
        seed=seed,
        tracks=tracks,
        program=program,
        device=device,
        json=json,
    )
