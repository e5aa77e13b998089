"""`lnfgen vary`."""

from typing import Annotated

import typer

from lnfgen.cli.options import Device, Json, Programs, Quiet, Seed, Tracks
from lnfgen.cli.own_piece import Count, Model, Out, Particles, Settings, Source, Temperature, draw_pieces
from lnfgen.conventions import AMOUNT, PARTICLES


def command(
    piece: Source,
    out: Out,
    amount: Annotated[
        float, typer.Option(help="The share to draw anew: 0 gives the piece itself, 1 a fresh piece of its length.")
    ] = AMOUNT,
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
    """Keep a piece but for a share of it, chosen at random, draw that anew, and print the files written.

    The share is one of the bars of each voice, or of a text in spans of eight characters. All others stay exactly.
    """
    settings = Settings(piece, out, model, count, temperature, particles, seed, tracks, program, device, json)
    draw_pieces(settings, lambda trained, own, **drawing: trained.vary(own, amount=amount, **drawing), amount=amount)
