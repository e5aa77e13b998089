"""`lnfgen fill`."""

from typing import Annotated

import typer

from lnfgen.cli.options import Device, Json, Programs, Quiet, Seed, Tracks
from lnfgen.cli.own_piece import Count, Model, Out, Particles, Settings, Source, Temperature, draw_pieces
from lnfgen.conventions import PARTICLES


def command(
    piece: Source,
    out: Out,
    free: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            help="What to draw anew: bars:5-8, steps:1-16, keys:C3-C5, voice:2, below-melody or above-bass; with "
            "commas what they have in common. Of a text: characters, as 10-20. Give it again for more.",
            show_default="the gaps of a text",
        ),
    ] = None,
    gap: Annotated[
        str | None, typer.Option(help="Of a text: the character that marks each missing one.", show_default="_")
    ] = None,
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
    """Keep a part of a piece as it is, draw the rest, and print the files written.

    All that --free does not name is kept exactly: notes, held notes and silence. Of a text, each _ is a gap.
    """
    settings = Settings(piece, out, model, count, temperature, particles, seed, tracks, program, device, json)
    draw_pieces(settings, lambda trained, own, **drawing: trained.fill(own, free or [], gap=gap, **drawing))
