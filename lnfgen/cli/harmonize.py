"""`lnfgen harmonize`."""

from typing import Annotated

import typer

from lnfgen.cli.options import Device, Json, Programs, Quiet, Seed, Tracks
from lnfgen.cli.own_piece import Count, Model, Out, Particles, Settings, Temperature, draw_pieces
from lnfgen.conventions import MELODY_PARTICLES


def command(
    melody: Annotated[str, typer.Argument(help="A piece of music; - is stdin.")],
    out: Out,
    model: Model = None,
    count: Count = 1,
    temperature: Temperature = 1.0,
    particles: Particles = MELODY_PARTICLES,
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
    settings = Settings(melody, out, model, count, temperature, particles, seed, tracks, program, device, json)
    draw_pieces(settings, lambda trained, own, **drawing: trained.harmonize(own, **drawing), music_alone=True)
